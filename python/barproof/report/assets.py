"""Style and script of the page, as text that goes into it.

The buttons of a figure are listed one by one: by default plotly.js offers one that uploads the figure.
"""

from __future__ import annotations

__all__ = ["CSS", "SCRIPT"]

CSS = """
:root{color-scheme:light dark;--page:#fff;--panel:#f6f7f8;--ink:#1a1f25;--soft:#56606b;--line:#dde1e5;
--accent:#2b6cae;--gain:#1d7f5d;--loss:#b8442d;--warn:#9a5b00;--warn-bg:#fdf5e6;--open:#6a4fa3;--grid:#e6e9ec;--shade:rgba(20,30,40,.16)}
@media (prefers-color-scheme:dark){:root{--page:#13161a;--panel:#1b1f25;--ink:#e3e7eb;--soft:#9ca7b2;--line:#2e353d;
--accent:#74aee6;--gain:#5cc29c;--loss:#ec8a74;--warn:#e5b35c;--warn-bg:#2a2418;--open:#b9a3ec;--grid:#272d34;--shade:rgba(0,0,0,.6)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums lining-nums}
.wrap{max-width:1120px;margin:0 auto;padding:28px 24px 48px}
header{border-bottom:2px solid var(--ink);padding-bottom:14px}
h1{font-size:1.65rem;line-height:1.2;margin:0 0 8px;letter-spacing:-.01em;overflow-wrap:anywhere}
.summary{font-size:1.02rem;margin:0;max-width:100ch;overflow-wrap:anywhere}
.meta{max-width:none;color:var(--soft);font-size:.82rem;margin:8px 0 0;overflow-wrap:anywhere}
nav{margin:10px 0 0;font-size:.84rem}
nav ul{display:flex;flex-wrap:wrap;gap:2px 16px;list-style:none;margin:0;padding:0}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:2px}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
section{margin-top:34px;min-width:0}
h2{font-size:1.12rem;margin:0 0 12px;padding-bottom:5px;border-bottom:1px solid var(--line)}
h3{font-size:.95rem;margin:22px 0 8px}
p{margin:0 0 10px;max-width:80ch}
.note{color:var(--soft);font-size:.84rem;max-width:100ch;margin-top:8px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:1px;background:var(--line);
border:1px solid var(--line);margin:20px 0 0}
.tiles>div{background:var(--page);padding:10px;min-width:0}
.tiles dt{color:var(--soft);font-size:.76rem}
.tiles dd{margin:1px 0 0;font-size:1.16rem;font-weight:600;letter-spacing:-.01em;overflow-wrap:anywhere}
.tiles small{display:block;color:var(--soft);font-size:.74rem;font-weight:400;letter-spacing:0;line-height:1.35}
dl{margin:0}
.gain{color:var(--gain)}.loss{color:var(--loss)}
.caveats{border:1px solid var(--line);border-left:3px solid var(--warn);padding:0 16px;margin:0 0 16px;list-style:none}
.caveats li{display:grid;grid-template-columns:5.2rem 1fr;gap:0 12px;padding:9px 0;border-bottom:1px solid var(--line)}
.caveats li:last-child{border-bottom:0}
.caveats p{margin:0;min-width:0;max-width:none;font-size:.92rem;overflow-wrap:anywhere}
.badge{font-size:.72rem;font-weight:600;color:var(--soft);padding-top:.2em;letter-spacing:.02em}
.badge.level-warn{color:var(--warn)}
.verdict{--tone:var(--soft);margin:14px 0 16px;padding:16px 20px 14px;border:1px solid var(--tone);
border-left-width:8px;background:color-mix(in srgb,var(--tone) 9%,var(--page))}
.verdict-refuted,.verdict-crashed{--tone:var(--loss)}.verdict-nothing-proved{--tone:var(--open)}
.verdict-sound{--tone:var(--gain)}
.verdict h2{display:flex;align-items:center;gap:.45em;font-size:2.1rem;line-height:1.15;letter-spacing:-.015em;
margin:0 0 8px;padding:0;border:0;color:var(--tone)}
.verdict .mark{display:inline-grid;place-items:center;flex:none;width:1.25em;height:1.25em;border-radius:50%;
background:var(--tone);color:var(--page);font-size:.72em;font-weight:700}
.verdict .why{font-size:1.08rem;font-weight:600;margin:0 0 6px;max-width:90ch;overflow-wrap:anywhere}
.verdict .means{font-size:.92rem;margin:0 0 10px;max-width:100ch}
.counts{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:0;padding:0;font-size:.86rem}
.counts small{color:var(--soft);font-size:.92em}
.outcome{--tone:var(--soft);color:var(--tone);font-weight:600}
.outcome.level-fail,.outcome.level-error{--tone:var(--loss)}.outcome.level-warn{--tone:var(--warn)}
.outcome.level-inconclusive{--tone:var(--open)}.outcome.level-pass{--tone:var(--gain)}
.finding>summary .head{display:inline-grid;grid-template-columns:6.6rem 4.8rem 4.2rem minmax(0,1fr);gap:0 10px;
width:calc(100% - 1.3rem);vertical-align:top;font-weight:400}
.finding>summary .outcome{font-size:.82rem;padding-top:.06em}
.finding>summary .code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-weight:600;
font-size:.84rem}
.finding>summary .severity,.finding>summary .name{color:var(--soft);font-size:.82rem}
.finding>summary .what{min-width:0;overflow-wrap:anywhere}
.finding>summary .title{display:block;font-weight:600;font-size:.94rem}
.finding>summary:hover{background:var(--panel)}
.finding>dl,.finding>.scroll,.finding>pre,.finding>.label{margin-left:1.1rem}
.finding>.scroll{margin-top:10px}.finding[open]>summary{margin-bottom:6px}
.facts.finding>div{grid-template-columns:7.4rem minmax(0,1fr)}
.facts.finding ol{margin:0;padding-left:1.2em}
.facts.evidence{max-width:760px}
.facts.evidence>div{grid-template-columns:minmax(7.4rem,14rem) minmax(0,1fr)}
.hint{color:var(--soft);font-size:.92em;margin-left:.7em}
.label{font-size:.84rem;font-weight:600;margin:8px 0 4px}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em;overflow-wrap:anywhere}
pre{font:.8rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:0 0 12px;padding:8px 10px;
border:1px solid var(--line);max-height:22rem;overflow:auto}
.told{font-size:1.02rem;max-width:90ch}
h4{font-size:.92rem;margin:16px 0 6px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));gap:8px 24px}
.charts>*{min-width:0}
td.prose,th.prose{white-space:normal;min-width:14rem;overflow-wrap:anywhere}
/* A shadow at an edge beyond which the table goes on. */
.scroll{overflow-x:auto;margin:0 0 12px;position:relative;background:
linear-gradient(to right,var(--page) 30%,transparent) left/36px 100%,
linear-gradient(to left,var(--page) 30%,transparent) right/36px 100%,
linear-gradient(to right,var(--shade),transparent) left/14px 100%,
linear-gradient(to left,var(--shade),transparent) right/14px 100%;
background-repeat:no-repeat;background-attachment:local,local,scroll,scroll}
.scroll.compact{width:fit-content;max-width:100%}
.scroll:focus-visible,.long:focus-visible,summary:focus-visible,select:focus-visible,
a:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.84rem;line-height:1.35}
caption{text-align:left;font-weight:600;padding:0 0 6px;font-size:.88rem}
caption span{position:sticky;left:0;display:inline-block;max-width:88vw}
.aloud{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
th,td{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
th:last-child,td:last-child{padding-right:2px}
thead th{color:var(--soft);font-weight:500;border-bottom:1px solid var(--soft);vertical-align:bottom;font-size:.78rem;
white-space:normal}
tbody th{font-weight:400}
.num{text-align:right}
tbody tr:hover{background:var(--panel)}
.months table{table-layout:fixed;min-width:760px}.months thead th{padding-right:7px}
.months td{text-align:right;padding:4px 7px;border:1px solid var(--page)}
.months td[style]{background:color-mix(in srgb,var(--tint) var(--w),transparent)}
.months td.up{--tint:var(--gain)}.months td.down{--tint:var(--loss)}
.months .total{font-weight:600}
.columns{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:4px 32px}
.columns>*{min-width:0}
.flow{columns:2;column-gap:32px}.flow>*{break-inside:avoid}
.facts>div{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:12px;padding:4px 0;
border-bottom:1px solid var(--line);font-size:.84rem}
.facts dt{color:var(--soft);overflow-wrap:anywhere}
.facts dd{margin:0;overflow-wrap:anywhere;min-width:0}
.facts.figures>div{grid-template-columns:1fr auto}.facts.figures dd{text-align:right}
.facts.code dd{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.8rem}
figure{margin:0 0 14px;min-width:0}
figcaption{font-size:.88rem;font-weight:600;margin-bottom:2px}
figcaption span{display:block;color:var(--soft);font-weight:400;font-size:.82rem}
.plot{width:100%;min-width:0}
.plot .main-svg text{fill:var(--soft)!important}
.plot .legendtext,.plot .g-gtitle text,.plot .xtitle,.plot .ytitle,.plot .hm text{fill:var(--ink)!important}
.plot .heatmap-label text,.plot .hmtext,.plot .heatmaplayer text{fill:var(--ink)!important}
.plot .hoverlayer text{fill:#f2f4f6!important}
.plot .modebar-group{background:transparent!important}
.plot .gridlayer path{stroke:var(--grid)!important;stroke-opacity:1!important}
.choices{display:flex;flex-wrap:wrap;gap:8px 18px;margin:0 0 8px;font-size:.84rem}
.choices label{color:var(--soft);min-width:0;max-width:100%}
select{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--line);border-radius:3px;
padding:3px 6px;max-width:100%}
details{border-bottom:1px solid var(--line);margin:0 0 10px;padding-bottom:6px}
summary{cursor:pointer;font-size:.88rem;font-weight:600;padding:4px 0}
footer{margin-top:36px;padding-top:10px;border-top:1px solid var(--line);color:var(--soft);font-size:.8rem}
@media (max-width:760px){.flow{columns:1}.columns{grid-template-columns:minmax(0,1fr)}}
@media (max-width:560px){.wrap{padding:18px 14px 36px}h1{font-size:1.35rem}.summary{font-size:.96rem}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tiles dd{font-size:1.1rem}
.verdict{padding:12px 14px;border-left-width:6px}.verdict h2{font-size:1.7rem}.verdict .why{font-size:1rem}
.finding>summary .head{grid-template-columns:auto auto 1fr}.finding>summary .what{grid-column:1/-1}
.finding>dl,.finding>.scroll,.finding>pre,.finding>.label{margin-left:0}
.caveats{padding:0 12px}.caveats li{grid-template-columns:minmax(0,1fr)}
.facts>div,.facts.evidence>div{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}
.facts.finding>div{grid-template-columns:minmax(0,1fr);gap:0}
.facts.code>div{grid-template-columns:minmax(0,1fr);gap:0}}
@media print{*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
@page{margin:14mm}body{font-size:10pt}.wrap{max-width:none;padding:0}nav,.choices{display:none}
section{margin-top:20px}h2,h3,caption,figcaption{break-after:avoid}figure,tr,.tiles,.verdict,
.caveats li{break-inside:avoid}
.scroll{overflow:visible;background:none}table{font-size:7.5pt}th,td{padding-right:6px}}
"""

SCRIPT = """
(function(){
"use strict";
var narrow=window.matchMedia("(max-width: 640px)").matches;
var config={responsive:true,displaylogo:false,displayModeBar:narrow?false:"hover",
plotlyServerURL:"",
modeBarButtons:[["toImage"],["zoom2d","pan2d"],["zoomIn2d","zoomOut2d","resetScale2d"]],showTips:false};
function draw(host,spec){
 var layout=spec.layout||{};
 if(narrow){layout.dragmode=false;layout.margin=Object.assign({},layout.margin,{l:44,r:8});
  Object.keys(layout).forEach(function(k){if(/^xaxis/.test(k)&&layout[k].nticks)layout[k].nticks=4;});
  spec.data.forEach(function(t){if(t.type==="heatmap"&&t.x.length>6)t.texttemplate="";});}
 host.textContent="";
 return window.Plotly.react(host,spec.data,layout,config);
}
document.querySelectorAll(".plot").forEach(function(host){
 var spec=JSON.parse(document.getElementById(host.dataset.source).textContent);
 if(!spec.choices){draw(host,spec);return;}
 var picks=Array.prototype.slice.call(document.querySelectorAll('select[data-plot="'+host.id+'"]'));
 function show(){var key=picks.map(function(p){return p.value;}).join(" ");
  window.Plotly.purge(host);draw(host,JSON.parse(JSON.stringify(spec.choices[key])));
  host.setAttribute("aria-label",spec.alt+" "+
   picks.map(function(p){return p.options[p.selectedIndex].text;}).join(", "));}
 picks.forEach(function(p){p.addEventListener("change",show);});
 show();
});
// A link to what is folded unfolds it.
function reveal(){
 var key=location.hash.slice(1),at=key&&document.getElementById(key);
 for(var e=at;e;e=e.parentElement)if(e.tagName==="DETAILS")e.open=true;
 if(at)at.scrollIntoView();
}
window.addEventListener("hashchange",reveal);
if(location.hash)reveal();
window.addEventListener("beforeprint",function(){
 document.querySelectorAll("details").forEach(function(d){d.open=true;});
 document.querySelectorAll(".plot").forEach(function(h){window.Plotly.Plots.resize(h);});
});
document.documentElement.dataset.drawn="yes";
})();
"""
