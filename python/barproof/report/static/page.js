// What the figures share: data are inflated, the library is woken, figures are drawn, the nearest one first.
var root=document.documentElement;
var narrow=window.matchMedia("(max-width: 640px)").matches;
// Buttons are listed one by one: by default there is one that uploads the figure.
// Without a pointer they would stand over what they are for at all times; touch has its gestures.
var hovers=window.matchMedia("(hover: hover)").matches;
var config={responsive:true,displaylogo:false,displayModeBar:narrow||!hovers?false:"hover",plotlyServerURL:"",
 modeBarButtons:[["toImage"],["zoom2d","pan2d"],["zoomIn2d","zoomOut2d","resetScale2d"]],showTips:false};
var makers={};
function at(id){return document.getElementById(id);}
function inflate(text){
 var raw=atob(text),bytes=new Uint8Array(raw.length);
 for(var i=0;i<raw.length;i++)bytes[i]=raw.charCodeAt(i);
 return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
}
var SIZES={u1:1,i1:1,i2:2,i4:4,f4:4,f8:8};
var TYPES={u1:Uint8Array,i1:Int8Array,i2:Int16Array,i4:Int32Array,f4:Float32Array,f8:Float64Array};
// Length of the head, the head, and the columns: of each all first bytes, then all second ones.
function columns(buffer){
 var length=new DataView(buffer).getUint32(0,true),from=4+length;
 var head=JSON.parse(new TextDecoder().decode(new Uint8Array(buffer,4,length)));
 var all=new Uint8Array(buffer),found={};
 head.columns.forEach(function(c){
  var width=SIZES[c[1]],n=c[2],own=new Uint8Array(n*width);
  for(var b=0;b<width;b++)for(var i=0;i<n;i++)own[i*width+b]=all[from+b*n+i];
  found[c[0]]=new TYPES[c[1]](own.buffer);from+=n*width;
 });
 head.columns=found;
 return head;
}
function read(id){
 var held=at(id),how=held.dataset.packed;
 if(!how)return Promise.resolve(JSON.parse(held.textContent));
 var got=inflate(held.textContent);
 return how==="text"?got.text().then(JSON.parse):got.arrayBuffer().then(columns);
}
function library(){
 return inflate(at("plotly").textContent).text().then(function(code){
  var s=document.createElement("script");s.textContent=code;document.head.appendChild(s);s.remove();
 });
}
function fit(layout,data){
 if(!narrow)return;
 layout.dragmode=false;layout.margin=Object.assign({},layout.margin,{l:44,r:8});
 Object.keys(layout).forEach(function(k){
  // Names of categories are longer than numbers and days.
  if(/^xaxis/.test(k)&&layout[k].nticks)layout[k].nticks=layout[k].type==="category"?3:4;});
 data.forEach(function(t){if(t.type==="heatmap"&&t.x.length>6)t.texttemplate="";});
}
// A figure replaces what stood in its place, and the wait for it.
function show(host,data,layout){
 fit(layout,data);
 if(!host.classList.contains("js-plotly-plot"))host.textContent="";
 return window.Plotly.react(host,data,layout,config);
}
function say(host,text){
 var line=at(host.id+"-told");
 if(line&&line.textContent!==text)line.textContent=text;
}
function picks(host){
 var found={};
 document.querySelectorAll('select[data-plot="'+host.id+'"]').forEach(function(p){found[p.dataset.name]=p;});
 return found;
}
// A table in the place of the one that the page came with.
function retable(host,caption,heads,rows){
 var box=at(host.id+"-table").querySelector(".scroll");
 if(!box)return;
 function cell(tag,text,scope,kind){var e=document.createElement(tag);e.textContent=text;
  if(scope)e.setAttribute("scope",scope);if(kind)e.className=kind;return e;}
 var table=document.createElement("table"),title=table.createCaption(),head=table.createTHead().insertRow();
 title.className="aloud";title.textContent=caption;box.setAttribute("aria-label",caption);
 heads.forEach(function(h,i){head.appendChild(cell("th",h,"col",i?"num":""));});
 var body=table.createTBody();
 rows.forEach(function(r){var row=body.insertRow();r.forEach(function(c,i){
  row.appendChild(i?cell("td",c,"","num"):cell("th",c,"row",""));});});
 box.textContent="";box.appendChild(table);
}
// As the page writes numbers: a true minus, separators, nothing invented for what is undefined.
function number(x,digits){
 if(x!==x)return "n/a";
 if(!isFinite(x))return x>0?"∞":"−∞";
 if(digits===null)return String(Number(x.toPrecision(6))).replace("-","−");
 var size=Math.abs(x),text=size>=1e9?size.toExponential(2).replace(/e([+-])(\d)$/,"e$10$2"):
  size.toLocaleString("en-US",{minimumFractionDigits:digits,maximumFractionDigits:digits});
 return (x<0&&/[1-9]/.test(text.split("e")[0])?"−":"")+text;
}
function formatted(metric,x){
 if(metric.percent&&isFinite(x))return number(x*100,metric.digits)+"%";
 return number(x,metric.digits);
}
function inert(text){return text.replace(/</g,"&lt;");}
