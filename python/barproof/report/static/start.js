// Draws what is in sight, then the rest while the browser has nothing else to do, the nearest first.
var hosts=Array.prototype.slice.call(document.querySelectorAll(".plot")),specs={};
function make(host){
 var spec=specs[host.id],kind=host.dataset.kind;
 if(kind)makers[kind](host,spec);else show(host,spec.data,spec.layout||{});
 host.dataset.drawn="yes";delete specs[host.id];
}
function waiting(){return hosts.filter(function(h){return specs[h.id];});}
function distance(host){
 var box=host.getBoundingClientRect();
 return box.bottom<0?-box.bottom:box.top>window.innerHeight?box.top-window.innerHeight:0;
}
function nearest(){
 return waiting().reduce(function(best,h){return best===null||distance(h)<distance(best)?h:best;},null);
}
function idle(then){window.requestIdleCallback?window.requestIdleCallback(then,{timeout:300}):setTimeout(then,1);}
function rest(){
 var next=nearest();
 if(next){make(next);idle(rest);}else root.dataset.drawn="yes";
}
function missing(text){
 hosts.forEach(function(h){if(h.dataset.drawn)return;var p=document.createElement("p");p.className="late";
  p.textContent=h.getAttribute("aria-label")+" "+text;h.textContent="";h.style.minHeight="0";h.appendChild(p);});
}
if(typeof DecompressionStream==="undefined"||!window.Response){
 missing("This browser is too old to draw it (it needs one of 2023 or later); its numbers are below.");
}else{
 Promise.all([library()].concat(hosts.map(function(h){
  return read(h.dataset.source).then(function(spec){specs[h.id]=spec;});}))).then(function(){
  for(var next=nearest();next&&distance(next)===0;next=nearest())make(next);
  root.dataset.ready=String(Math.round(performance.now()));
  idle(rest);
 }).catch(function(e){missing("It could not be drawn; its numbers are below.");throw e;});
}
// A link to what is folded unfolds it.
function reveal(){
 var key=location.hash.slice(1),target=key&&at(key);
 for(var e=target;e;e=e.parentElement)if(e.tagName==="DETAILS")e.open=true;
 if(target)target.scrollIntoView();
}
window.addEventListener("hashchange",reveal);
if(location.hash)reveal();
// Paper is narrower than most screens: figures are drawn again at its width, and back afterwards.
var PAPER=686,folded=[];
window.addEventListener("beforeprint",function(){
 for(var h=nearest();h;h=nearest())make(h);
 folded=Array.prototype.filter.call(document.querySelectorAll("details:not(.data)"),function(d){return !d.open;});
 folded.forEach(function(d){d.open=true;});
 hosts.forEach(function(host){
  if(!window.Plotly||!host.dataset.drawn)return;
  var part=host.closest(".columns,.charts")?(PAPER-28)/2:PAPER;
  window.Plotly.relayout(host,{width:part});
 });
});
window.addEventListener("afterprint",function(){
 folded.forEach(function(d){d.open=false;});
 hosts.forEach(function(host){if(window.Plotly&&host.dataset.drawn)window.Plotly.relayout(host,{width:null,autosize:true});});
});
