// Trades on candles: as many bars make one candle as suit what is in sight; the reader zooms, or steps from trade to trade.
function iso(ms){return new Date(ms).toISOString().slice(0,16).replace("T"," ");}
function price(x){
 var size=Math.abs(x),digits=size>=1?Math.max(2,5-Math.floor(Math.log10(size))):size?5-Math.floor(Math.log10(size)):0;
 return number(x,Math.min(digits,12));
}
function spanOf(ms){
 var units=[[86400000,"day"],[3600000,"hour"],[60000,"minute"],[1000,"second"]];
 for(var i=0;i<units.length;i++)if(ms%units[i][0]===0||i===3){
  var n=ms/units[i][0];return number(n,n%1?2:0)+" "+units[i][1]+(n===1?"":"s");}
}
makers.candles=function(host,spec){
 var c=spec.columns,n=c.o.length,time=new Float64Array(n),tick=spec.tick;
 var open=new Float64Array(n),high=new Float64Array(n),low=new Float64Array(n),close=new Float64Array(n),last=0;
 for(var i=0;i<n;i++){
  time[i]=(i?time[i-1]:spec.start)+c.t[i]*spec.unit;
  var o=last+c.o[i],k=o+c.c[i];
  open[i]=o*tick;close[i]=k*tick;high[i]=(Math.max(o,k)+c.h[i])*tick;low[i]=(Math.min(o,k)-c.l[i])*tick;last=k;
 }
 var trades=c.entered.length,from=time[0],to=time[n-1]+spec.step,current=-1,range=[from,to],drawing=false;
 function firstAt(t){var a=0,b=n;while(a<b){var m=(a+b)>>1;if(time[m]<t)a=m+1;else b=m;}return a;}
 // Sums of whole bars that a calendar knows, where the bars allow it.
 function grouped(a,b){
  var most=narrow?110:400,wanted=Math.max(1,(b-a)/most)*spec.step,nice=spec.step;
  var steps=[1,2,3,5,6,10,12,15,20,30,60,120,180,240,360,480,720,1440,2880,4320,10080,20160,43200,86400,259200];
  for(var s=0;s<steps.length&&nice<wanted;s++)if(steps[s]*60000%spec.step===0)nice=steps[s]*60000;
  while(nice<wanted)nice*=2;
  var out={x:[],open:[],high:[],low:[],close:[],every:nice},key=null,at=-1;
  for(var i=a;i<b;i++){
   var mine=Math.floor(time[i]/nice);
   if(mine!==key){
    key=mine;at++;out.x.push(time[i]);out.open.push(open[i]);out.high.push(high[i]);out.low.push(low[i]);out.close.push(close[i]);
   }else{
    if(high[i]>out.high[at])out.high[at]=high[i];
    if(low[i]<out.low[at])out.low[at]=low[i];
    out.close[at]=close[i];
   }
  }
  return out;
 }
 function lines(gain,found,only){
  var x=[],y=[];
  found.forEach(function(i){if((c.ret[i]>0)===gain&&(only?i===current:i!==current)){
   x.push(c.entered[i],c.left[i],null);y.push(c.bought[i],c.sold[i],null);}});
  return {type:"scatter",mode:"lines",x:x,y:y,line:{color:gain?spec.gain:spec.loss,width:only?3.5:1.6},hoverinfo:"skip",
   name:gain?"trade that gained":"trade that lost",showlegend:!only};
 }
 function marks(long,found){
  var x=[],y=[],t=[],size=[];
  found.forEach(function(i){if((c.side[i]>0)===long){x.push(c.entered[i]);y.push(c.bought[i]);t.push(inert(words(i)));
   size.push(i===current?14:8);}});
  return {type:"scatter",mode:"markers",x:x,y:y,text:t,hovertemplate:"%{text}<extra></extra>",
   name:long?"long entry":"short entry",marker:{symbol:long?"triangle-up":"triangle-down",size:size,
   color:long?spec.long:spec.short,line:{width:1,color:"rgba(128,138,148,.8)"}}};
 }
 function words(i){
  return (c.side[i]>0?"long":"short")+", in "+iso(c.entered[i])+" at "+price(c.bought[i])+", out "+iso(c.left[i])+" at "+
   price(c.sold[i])+" by "+spec.reasons[c.reason[i]]+", "+number(c.ret[i]*100,3)+"%";
 }
 function draw(){
  var a=Math.max(0,firstAt(range[0])-1),b=Math.min(n,firstAt(range[1])+1),bars=grouped(a,b),found=[],i;
  for(i=0;i<trades;i++)if(c.left[i]>=range[0]&&c.entered[i]<=range[1])found.push(i);
  var layout=JSON.parse(JSON.stringify(spec.layout)),bottom=Infinity,top=-Infinity;
  for(i=0;i<bars.x.length;i++){bottom=Math.min(bottom,bars.low[i]);top=Math.max(top,bars.high[i]);}
  var room=(top-bottom||Math.abs(top)||1)*0.05,data=[{type:"candlestick",x:bars.x,open:bars.open,high:bars.high,
   low:bars.low,close:bars.close,name:"candles of "+spanOf(bars.every),increasing:{line:{color:spec.bar,width:1},
   fillcolor:"rgba(0,0,0,0)"},decreasing:{line:{color:spec.bar,width:1},fillcolor:spec.bar},
   hoverinfo:"x+y",showlegend:true}];
  data.push(lines(true,found,false),lines(false,found,false));
  if(current>=0)data.push(lines(c.ret[current]>0,found,true));
  if(found.length<=160)data.push(marks(true,found),marks(false,found));
  Object.assign(layout.xaxis,{type:"date",range:[range[0],range[1]],rangeslider:{visible:false},nticks:8,tickangle:0});
  Object.assign(layout.yaxis,{range:[bottom-room,top+room],fixedrange:true,title:{text:"Price"}});
  layout.dragmode="zoom";layout.hovermode="closest";
  drawing=true;
  show(host,data,layout);
  drawing=false;
  var shown=current>=0?"Trade "+(current+1)+" of "+number(trades,0)+": "+words(current)+". ":"";
  say(host,shown+iso(range[0])+" to "+iso(range[1])+" UTC, candles of "+spanOf(bars.every)+", "+
   number(found.length,0)+" trade"+(found.length===1?"":"s")+" in sight"+
   (found.length>160?"; zoom in to see entries.":"."));
 }
 function move(a,b){
  var least=12*spec.step,width=Math.min(Math.max(b-a,least),to-from),middle=(a+b)/2;
  a=Math.max(from,Math.min(middle-width/2,to-width));
  range=[a,a+width];draw();
 }
 function zoom(factor){var m=(range[0]+range[1])/2,h=(range[1]-range[0])*factor/2;move(m-h,m+h);}
 function step(by){
  if(!trades)return;
  if(current<0){
   // From the middle of what is in sight: the nearest trade on that side.
   var m=range[1]-range[0]>=to-from?(by>0?from:to):(range[0]+range[1])/2,i;
   if(by>0){for(i=0;i<trades-1&&c.entered[i]<m;i++);}else{for(i=trades-1;i>0&&c.entered[i]>m;i--);}
   current=i;
  }else current=Math.max(0,Math.min(trades-1,current+by));
  var length=Math.max(c.left[current]-c.entered[current],20*spec.step);
  move(c.entered[current]-length,c.left[current]+length);
 }
 var acts={all:function(){current=-1;move(from,to);},closer:function(){zoom(0.4);},wider:function(){zoom(2.5);},
  earlier:function(){var w=(range[1]-range[0])*0.6;move(range[0]-w,range[1]-w);},
  later:function(){var w=(range[1]-range[0])*0.6;move(range[0]+w,range[1]+w);},
  previous:function(){step(-1);},next:function(){step(1);}};
 document.querySelectorAll('button[data-plot="'+host.id+'"]').forEach(function(b){
  b.addEventListener("click",acts[b.dataset.act]);});
 draw();
 host.on("plotly_relayout",function(e){
  if(drawing)return;
  if(e["xaxis.autorange"]){current=-1;move(from,to);return;}
  var a=e["xaxis.range[0]"],b=e["xaxis.range[1]"];
  if(a===undefined&&e["xaxis.range"]){a=e["xaxis.range"][0];b=e["xaxis.range"][1];}
  if(a===undefined)return;
  function ms(v){return typeof v==="number"?v:Date.parse(String(v).replace(" ","T")+(/Z$/.test(v)?"":"Z"));}
  if(ms(b)>ms(a)&&(ms(a)!==range[0]||ms(b)!==range[1]))move(ms(a),ms(b));
 });
};
