// A sweep over two of its axes: combinations that share a cell become one value; heatmap or surface.
function median(v){
 v.sort(function(a,b){return a-b;});
 var m=v.length>>1;
 return v.length%2?v[m]:(v[m-1]+v[m])/2;
}
var POOLS={
 median:median,
 best:function(v,falling){return falling?Math.min.apply(null,v):Math.max.apply(null,v);},
 mean:function(v){return v.reduce(function(a,b){return a+b;},0)/v.length;},
 worst:function(v,falling){return falling?Math.max.apply(null,v):Math.min.apply(null,v);}
};
function quantile(v,q){
 v=v.slice().sort(function(a,b){return a-b;});
 var at=(v.length-1)*q,low=Math.floor(at),high=Math.ceil(at);
 return v[low]+(v[high]-v[low])*(at-low);
}
function cellsOf(spec,metric,pool,wide,tall){
 var across=spec.columns["a"+wide],up=tall===null?null:spec.columns["a"+tall],values=spec.columns["m"+metric];
 var nx=spec.axes[wide].labels.length,ny=tall===null?1:spec.axes[tall].labels.length,held=[];
 for(var c=0;c<nx*ny;c++)held.push({n:0,v:[]});
 for(var i=0;i<values.length;i++){
  var cell=held[(up?up[i]:0)*nx+across[i]];
  cell.n++;
  if(values[i]===values[i])cell.v.push(values[i]);
 }
 var falling=spec.metrics[metric].falling,out={z:[],text:[],n:[]};
 for(var y=0;y<ny;y++){
  var z=[],text=[],n=[];
  for(var x=0;x<nx;x++){
   var one=held[y*nx+x],value=one.v.length?POOLS[pool](one.v,falling):NaN;
   z.push(isFinite(value)?value:null);n.push(one.n);
   text.push(one.n?formatted(spec.metrics[metric],value):"");
  }
  out.z.push(z);out.text.push(text);out.n.push(n);
 }
 return out;
}
function colours(metric,z){
 var seen=[].concat.apply([],z).filter(function(v){return v!==null;});
 // A few extreme cells would leave the others without colour: beyond the ninth decile the colour is full.
 if(metric.signed){
  var span=seen.length?quantile(seen.map(Math.abs),seen.length>8?0.9:1):1;
  return [-(span||1),span||1];
 }
 if(!seen.length)return [0,1];
 var low=Math.min.apply(null,seen),high=Math.max.apply(null,seen);
 return high>low?[low,high]:[low-Math.abs(low)*0.5,(high+Math.abs(high)*0.5)||1];
}
function frame(x,y,dash){
 return {type:"rect",xref:"x",yref:"y",x0:x-0.5,x1:x+0.5,y0:y-0.5,y1:y+0.5,
  line:{width:dash?1.5:3,dash:dash||"solid",color:"#777"},fillcolor:"rgba(0,0,0,0)"};
}
function base(spec,height){
 var layout=JSON.parse(JSON.stringify(spec.layout));
 layout.height=height;
 return layout;
}
function heat(host,spec,cells,limits,metric,wide,tall){
 var x=spec.axes[wide],y=tall===null?{name:"",labels:[""]}:spec.axes[tall];
 var few=x.labels.length*y.labels.length<=120&&x.labels.length<=12;
 var layout=base(spec,Math.min(640,150+34*Math.max(y.labels.length,2))),shapes=[];
 var place=function(i){return [spec.columns["a"+wide][i],tall===null?0:spec.columns["a"+tall][i]];};
 var chosen=place(spec.chosen),done={};
 done[chosen]=true;
 spec.neighbours.forEach(function(i){var p=place(i);if(!done[p]){done[p]=true;shapes.push(frame(p[0],p[1],"dot"));}});
 shapes.push(frame(chosen[0],chosen[1],""));
 layout.shapes=shapes;
 layout.margin=Object.assign({},layout.margin,{t:56,b:58});
 Object.assign(layout.xaxis,{type:"category",title:{text:x.name,standoff:22},showline:false});
 Object.assign(layout.yaxis,{type:"category",title:{text:y.name},showgrid:false,showticklabels:tall!==null});
 return show(host,[{type:"heatmap",z:cells.z,x:x.labels,y:y.labels,text:cells.text,
  texttemplate:few?"%{text}":"",customdata:cells.n,colorscale:metric.scale,zmin:limits[0],zmax:limits[1],xgap:2,ygap:2,
  hoverongaps:false,hovertemplate:spec.axes[wide].name+" %{x}<br>"+(y.name?y.name+" %{y}<br>":"")+metric.label+
  " %{text}<br>%{customdata} combinations<extra></extra>",
  colorbar:{orientation:"h",thickness:8,len:0.5,x:1,xanchor:"right",y:1,yanchor:"bottom",outlinewidth:0,nticks:4,
   tickformat:metric.ticks}}],layout);
}
function surface(host,spec,cells,limits,metric,wide,tall){
 var x=spec.axes[wide],y=spec.axes[tall],layout=base(spec,520);
 var ink=getComputedStyle(root).getPropertyValue("--ink").trim(),grid=getComputedStyle(root).getPropertyValue("--line").trim();
 function axis(a){return {title:{text:a.name},tickvals:a.labels.map(function(_,i){return i;}),ticktext:a.labels,
  color:ink,gridcolor:grid,showbackground:false};}
 var i=spec.columns["a"+wide][spec.chosen],j=spec.columns["a"+tall][spec.chosen],solid=metric.scale.map(function(s){
  return [s[0],s[1].replace(/rgba\((.*),[^,]*\)/,"rgb($1)")];});
 delete layout.xaxis;delete layout.yaxis;
 layout.dragmode="turntable";
 layout.margin={l:0,r:0,t:10,b:0};
 layout.scene={xaxis:axis(x),yaxis:axis(y),zaxis:{title:{text:metric.label},color:ink,gridcolor:grid,
  showbackground:false},camera:{eye:{x:1.6,y:-1.6,z:0.95},center:{x:0,y:0,z:-0.22}},aspectmode:"manual",aspectratio:{x:1.2,y:1.2,z:0.7}};
 layout.hovermode="closest";
 return show(host,[{type:"surface",z:cells.z,text:cells.text,colorscale:solid,cmin:limits[0],cmax:limits[1],showscale:false,
  hovertemplate:"%{text}<extra></extra>",connectgaps:false,opacity:0.95},
  {type:"scatter3d",mode:"markers",x:[i],y:[j],z:[cells.z[j][i]],marker:{size:6,color:ink,symbol:"diamond"},
   hovertemplate:"chosen: "+cells.text[j][i]+"<extra></extra>"}],layout);
}
makers.sweep=function(host,spec){
 var chosen=picks(host);
 // Tables take texts as they are; figures read tags in them.
 spec.axes.forEach(function(a){a.plain=a.labels;a.title=a.name;a.labels=a.labels.map(inert);a.name=inert(a.name);});
 function draw(){
  function value(name){return chosen[name]?chosen[name].value:null;}
  var k=Number(value("metric")||0),pool=value("pool")||"median",metric=spec.metrics[k];
  var pair=(value("axes")||spec.pairs[0]).split("-").map(Number),wide=pair[0],tall=pair.length>1?pair[1]:null;
  // The axis with more levels lies across, so that cells stay wide enough to read.
  if(tall!==null&&spec.axes[tall].labels.length>spec.axes[wide].labels.length){var other=wide;wide=tall;tall=other;}
  var cells=cellsOf(spec,k,pool,wide,tall),limits=colours(metric,cells.z),high=value("view")==="surface"&&tall!==null;
  if(high!==host.classList.contains("high")){window.Plotly.purge(host);host.textContent="";}
  host.classList.toggle("high",high);
  (high?surface:heat)(host,spec,cells,limits,metric,wide,tall);
  var names=spec.axes[wide].title+(tall===null?"":" by "+spec.axes[tall].title);
  var i=spec.columns["a"+wide][spec.chosen],j=tall===null?0:spec.columns["a"+tall][spec.chosen];
  var told=metric.label+", "+pool+" of the combinations of a cell, over "+names+". "+
   (high?"The mark":"The frame")+" is where combination "+spec.number+" lies ("+cells.text[j][i]+")"+
   (high?".":"; dotted frames hold its neighbours.");
  host.setAttribute("aria-label",(high?"Surface: ":"Heatmap: ")+told);
  say(host,told);
  var heads=[tall===null?"Over":spec.axes[tall].title+" / "+spec.axes[wide].title].concat(spec.axes[wide].plain);
  retable(host,metric.label+" over "+names,heads,cells.text.map(function(row,y){
   return [tall===null?metric.label:spec.axes[tall].plain[y]].concat(row);}));
 }
 Object.keys(chosen).forEach(function(name){chosen[name].addEventListener("change",draw);});
 draw();
};
