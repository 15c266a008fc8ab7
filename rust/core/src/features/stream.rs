//! The graph at work: bars go in, rows of features come out, in blocks or one by one.
//!
//! Batch and live are the same engine; a block of one bar is a live bar. Within a block every clock collects the bars
//! that close in it, then each step runs once over the ticks of its clock. `blocks` runs over whole candles, `live` is
//! the short way for one bar of one symbol, `snapshot` saves the state.
//!
//! # When a long bar is known
//!
//! Bars of a longer clock are gathered from the symbol's own bars. One is closed by the bar that ends at its end or
//! later, or, after a hole, by the first bar behind its end, and is known at that bar's close. A first long bar whose
//! beginning is absent is left out. Every tick carries a *stamp*, twice the time at which it is known, less one where a
//! bar behind the end told it; holding a series on another clock means: the last tick with a stamp that is not later.
//! Bars of several symbols come in time order, those of the first symbol last among equal times; what comes between two
//! bars of the first symbol waits for the second.

use std::sync::Arc;

mod blocks;
mod live;
mod snapshot;

pub use blocks::Place;
pub use snapshot::SNAPSHOT_FORMAT;

use live::Live;

use super::graph::{Graph, Source, Work, anchor};
use super::node::{MOST, Node};
use crate::bars::{Bars, FUNDING_COLUMNS};
use crate::{Error, Result};

/// One closed bar of a symbol, with what else the graph reads.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Opening time, milliseconds UTC.
    pub open_time: i64,
    /// Open, high, low, close, volume.
    pub values: [f64; 5],
    /// Further columns, in the order of [`Graph::extra`].
    pub extra: &'a [f64],
    /// The user's own features, in order; of the first symbol alone.
    pub own: &'a [f64],
}

/// A longer bar in the making.
#[derive(Clone, Debug, Default)]
struct Long {
    /// Number on its clock.
    at: i64,
    /// 1 while it holds a bar.
    live: i64,
    /// 0 until a first long bar has begun; 1 while its beginning is absent; 2 from then on.
    whole: i64,
    values: [f64; 5],
    extra: Vec<f64>,
}

/// Closed bars of a clock that wait for the steps.
#[derive(Clone, Debug)]
struct Ticks {
    feed: usize,
    interval_ms: i64,
    anchor: i64,
    long: Option<Long>,
    at: Vec<i64>,
    time: Vec<i64>,
    stamp: Vec<i64>,
}

enum State {
    Node(Box<dyn Node>),
    Hold { from: usize, exact: bool, last: f64, time: i64 },
}

impl Clone for State {
    fn clone(&self) -> Self {
        match self {
            Self::Node(node) => Self::Node(node.copy()),
            Self::Hold { from, exact, last, time } => {
                Self::Hold { from: *from, exact: *exact, last: *last, time: *time }
            }
        }
    }
}

/// A graph with its state.
#[derive(Clone)]
pub struct Engine {
    graph: Arc<Graph>,
    interval_ms: i64,
    feeds: Vec<String>,
    clocks: Vec<Ticks>,
    states: Vec<State>,
    wires: Vec<Vec<f64>>,
    /// How the further columns join into a longer bar.
    merges: Vec<Merge>,
    bars: i64,
    last: Vec<i64>,
    live: Live,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Merge {
    Sum,
    First,
    Largest,
    Smallest,
    Last,
}

impl Merge {
    /// Volumes, counts and payments add, asks widen as bids do, anything else is that of the last bar: as candles are resampled.
    fn of(name: &str) -> Self {
        match name {
            "trades" | "funding_paid" => Self::Sum,
            "ask_open" => Self::First,
            "ask_high" => Self::Largest,
            "ask_low" => Self::Smallest,
            _ if name.ends_with("volume") => Self::Sum,
            _ => Self::Last,
        }
    }

    fn join(self, held: f64, new: f64) -> f64 {
        match self {
            Self::Sum => held + new,
            Self::Last => new,
            Self::Largest if held.is_nan() || new > held => new,
            Self::Smallest if held.is_nan() || new < held => new,
            Self::First | Self::Largest | Self::Smallest => held,
        }
    }
}

impl Engine {
    /// At its start, for candles of `symbol` and `interval_ms`; the other symbols come in the order of
    /// [`Engine::feeds`].
    pub fn new(graph: Arc<Graph>, symbol: &str, interval_ms: i64) -> Result<Self> {
        if interval_ms <= 0 {
            return Err(Error::parameter("interval_ms", interval_ms, "> 0"));
        }
        graph.check_interval(interval_ms)?;
        let mut feeds = vec![symbol.to_owned()];
        feeds.extend(graph.symbols().into_iter().filter(|s| s != symbol));
        let interval = |clock: usize| graph.interval(clock, interval_ms);
        let clocks: Vec<Ticks> = graph
            .clocks
            .iter()
            .enumerate()
            .map(|(number, clock)| {
                let length = interval(number);
                let fresh = Long { extra: vec![f64::NAN; graph.extra.len()], ..Long::default() };
                Ticks {
                    feed: clock
                        .symbol
                        .as_ref()
                        .and_then(|s| feeds.iter().position(|f| f == s))
                        .unwrap_or(0),
                    interval_ms: length,
                    anchor: anchor(length),
                    long: (length != interval_ms).then_some(fresh),
                    at: vec![],
                    time: vec![],
                    stamp: vec![],
                }
            })
            .collect();
        let states = graph
            .steps
            .iter()
            .map(|step| match &step.work {
                Work::Call(function, parameters) => State::Node((function.build)(parameters)),
                Work::Hold(from) => State::Hold {
                    from: *from,
                    exact: interval(*from) == interval(step.clock),
                    last: f64::NAN,
                    time: i64::MIN,
                },
            })
            .collect();
        Ok(Self {
            wires: vec![vec![]; graph.wires.len()],
            merges: graph.extra.iter().map(|name| Merge::of(name)).collect(),
            last: vec![i64::MIN; feeds.len()],
            live: Live::new(&graph),
            graph,
            interval_ms,
            feeds,
            clocks,
            states,
            bars: 0,
        })
    }

    /// Symbols whose bars it needs; the first is the one that rows are made for.
    pub fn feeds(&self) -> &[String] {
        &self.feeds
    }

    /// The compiled set.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Bars of the first symbol so far.
    pub fn bars(&self) -> i64 {
        self.bars
    }

    /// Bar length, milliseconds.
    pub fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// Opening time of the last bar of a symbol; None before the first.
    pub fn last_time(&self, feed: usize) -> Option<i64> {
        (self.last[feed] != i64::MIN).then_some(self.last[feed])
    }

    /// Takes a closed bar of a symbol; [`Engine::run`] makes rows of what was taken.
    pub fn feed(&mut self, feed: usize, row: &Row<'_>) {
        self.last[feed] = row.open_time;
        self.bars += i64::from(feed == 0);
        let known = 2 * (row.open_time + self.interval_ms);
        for number in 0..self.clocks.len() {
            if self.clocks[number].feed != feed {
                continue;
            }
            if self.clocks[number].long.is_none() {
                self.tick(number, row, known);
            } else {
                self.gather(number, row, known);
            }
        }
    }

    /// Closes a bar of a clock.
    fn tick(&mut self, number: usize, row: &Row<'_>, stamp: i64) {
        let clock = &mut self.clocks[number];
        let length = clock.interval_ms;
        clock.at.push((row.open_time - clock.anchor).div_euclid(length));
        clock.time.push(row.open_time);
        clock.stamp.push(stamp);
        for (source, wire) in &self.graph.clocks[number].sources {
            self.wires[*wire].push(match source {
                Source::Column(0) => row.open_time as f64,
                Source::Column(k) => row.values[k - 1],
                Source::CloseTime => (row.open_time + length) as f64,
                Source::Extra(k) => row.extra[*k],
                Source::Own(k) => row.own[*k],
            });
        }
    }

    /// Adds a bar to the longer one that it lies in; closes what it ends.
    fn gather(&mut self, number: usize, row: &Row<'_>, known: i64) {
        let (length, start) = (self.clocks[number].interval_ms, self.clocks[number].anchor);
        let Some(mut long) = self.clocks[number].long.take() else { return };
        // Without a division where the bar lies in the one that is open: bars come in order.
        let inside = long.live == 1 && row.open_time < (long.at + 1) * length + start;
        let at = if inside { long.at } else { (row.open_time - start).div_euclid(length) };
        if long.live == 1 && long.at != at {
            self.close(number, &mut long, known - 1);
        }
        if long.live == 0 {
            // A first bar off the grid still begins the long one, if no shorter bar fits before it.
            let begun = row.open_time - (at * length + start) < self.interval_ms;
            long.whole = if long.whole == 0 && !begun { 1 } else { 2 };
            long.at = at;
            long.live = 1;
            long.values = row.values;
            long.extra.copy_from_slice(row.extra);
        } else {
            let [_, high, low, close, volume] = row.values;
            let held = &mut long.values;
            held[1] = if high > held[1] { high } else { held[1] };
            held[2] = if low < held[2] { low } else { held[2] };
            held[3] = close;
            held[4] += volume;
            for ((slot, value), merge) in long.extra.iter_mut().zip(row.extra).zip(&self.merges) {
                *slot = merge.join(*slot, *value);
            }
        }
        if row.open_time + self.interval_ms >= (at + 1) * length + start {
            self.close(number, &mut long, known);
        }
        self.clocks[number].long = Some(long);
    }

    fn close(&mut self, number: usize, long: &mut Long, stamp: i64) {
        long.live = 0;
        if long.whole < 2 {
            return;
        }
        let (length, start) = (self.clocks[number].interval_ms, self.clocks[number].anchor);
        let open_time = long.at * length + start;
        let row = Row { open_time, values: long.values, extra: &long.extra, own: &[] };
        self.tick(number, &row, stamp);
    }

    /// Runs every step over the bars that were taken since [`Engine::clear`].
    pub fn run(&mut self) {
        for (step, state) in self.graph.steps.iter().zip(&mut self.states) {
            let clock = &self.clocks[step.clock];
            let n = clock.at.len();
            let (before, after) = self.wires.split_at_mut(step.first);
            let after = &mut after[..step.width];
            for wire in after.iter_mut() {
                wire.resize(n, f64::NAN);
            }
            match state {
                State::Node(node) => {
                    if n == 0 {
                        continue;
                    }
                    let mut inputs: [&[f64]; MOST] = [&[]; MOST];
                    for (slot, wire) in inputs.iter_mut().zip(&step.inputs) {
                        *slot = &before[*wire];
                    }
                    let mut outputs: [&mut [f64]; MOST] = Default::default();
                    for (slot, wire) in outputs.iter_mut().zip(after) {
                        *slot = wire;
                    }
                    node.block(&clock.at, &inputs[..step.inputs.len()], &mut outputs[..step.width]);
                }
                State::Hold { from, exact, last, time } => {
                    let source = &self.clocks[*from];
                    let values = &before[step.inputs[0]];
                    let mut next = 0;
                    for (out, (stamp, now)) in
                        after[0].iter_mut().zip(clock.stamp.iter().zip(&clock.time))
                    {
                        while next < source.stamp.len() && source.stamp[next] <= *stamp {
                            (*last, *time) = (values[next], source.time[next]);
                            next += 1;
                        }
                        let stale = *exact && *time != *now;
                        *out = if stale { f64::NAN } else { *last };
                    }
                    if next < source.stamp.len() {
                        let end = source.stamp.len() - 1;
                        (*last, *time) = (values[end], source.time[end]);
                    }
                }
            }
        }
    }

    /// Values of feature `k` for the bars of the first symbol taken since [`Engine::clear`].
    pub fn values(&self, k: usize) -> &[f64] {
        &self.wires[self.graph.results[k]]
    }

    /// Forgets the rows, keeps the state.
    pub fn clear(&mut self) {
        for clock in &mut self.clocks {
            clock.at.clear();
            clock.time.clear();
            clock.stamp.clear();
        }
        // What steps make is written over: only their lengths change.
        for (_, wire) in self.graph.clocks.iter().flat_map(|clock| &clock.sources) {
            self.wires[*wire].clear();
        }
    }

    /// Which of [`Graph::extra`] are read of a symbol.
    pub fn reads(&self, feed: usize) -> Vec<bool> {
        let clocks = self.graph.clocks.iter().zip(&self.clocks).filter(|(_, c)| c.feed == feed);
        let sources: Vec<&Source> = clocks.flat_map(|(c, _)| &c.sources).map(|(s, _)| s).collect();
        (0..self.graph.extra.len()).map(|k| sources.contains(&&Source::Extra(k))).collect()
    }

    /// Further columns of a symbol's candles in the order of [`Graph::extra`], empty where not read.
    pub(super) fn further_columns<'a>(
        &self,
        feed: usize,
        bars: &'a Bars,
    ) -> Result<Vec<&'a [f64]>> {
        let reads = self.reads(feed);
        let names = self.graph.extra.iter().zip(&self.graph.readers).zip(reads);
        names
            .map(|((name, reader), read)| {
                if !read {
                    return Ok(&[][..]);
                }
                let own = bars.extra().get(name).map(Vec::as_slice);
                if let Some(column) = own.or_else(|| bars.funding_column(name)) {
                    return Ok(column);
                }
                let whose = &self.feeds[feed];
                if FUNDING_COLUMNS.contains(&name.as_str()) {
                    return Err(Error::Feature(format!(
                        "`{reader}` needs the funding of {whose}, which its candles do not carry: \
                         attach it with with_funding(...)"
                    )));
                }
                let known: Vec<&str> = bars.extra().keys().map(String::as_str).collect();
                let have = if known.is_empty() { "none".into() } else { known.join(", ") };
                Err(Error::Feature(format!(
                    "`{reader}` needs the column `{name}`, which candles of {whose} do not have \
                     (further columns: {have}): read candles with it, or leave the feature out"
                )))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::parse;
    use super::*;

    const MINUTE: i64 = 60_000;

    pub(super) fn engine(texts: &[&str]) -> Engine {
        let features = texts.iter().flat_map(|t| parse(t, &[]).unwrap()).collect();
        Engine::new(Arc::new(Graph::new(features, &[]).unwrap()), "A", MINUTE).unwrap()
    }

    /// A flat bar of a symbol, at a minute.
    fn bar(engine: &mut Engine, symbol: &str, minute: i64, price: f64) {
        let feed = engine.feeds().iter().position(|f| f == symbol).unwrap();
        let values = [price, price, price, price, 1.0];
        engine.feed(feed, &Row { open_time: minute * MINUTE, values, extra: &[], own: &[] });
    }

    pub(super) fn row(engine: &mut Engine, minute: i64, price: f64) -> Vec<f64> {
        bar(engine, "A", minute, price);
        engine.run();
        let row = (0..engine.graph().results.len()).map(|k| engine.values(k)[0]).collect();
        engine.clear();
        row
    }

    fn same(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{a:?} and {b:?}");
    }

    #[test]
    fn a_long_bar_is_known_at_its_last_bar_or_behind_a_hole() {
        let mut e = engine(&["close@5m"]);
        let mut known: Vec<f64> = vec![];
        for minute in [0, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15] {
            known.extend(row(&mut e, minute, minute as f64));
        }
        let nan = f64::NAN;
        same(&known, &[nan, nan, nan, nan, 4.0, 4.0, 4.0, 6.0, 6.0, 6.0, 14.0, 14.0]);
        // Begun inside a long bar, that one is left out.
        let mut e = engine(&["close@5m"]);
        let late: Vec<f64> =
            (1..11).flat_map(|minute| row(&mut e, minute, minute as f64)).collect();
        assert!(late[..8].iter().all(|v| v.is_nan()));
        same(&late[8..], &[9.0, 9.0]);
    }

    #[test]
    fn symbols_of_one_time_know_each_other_whichever_comes_first() {
        for texts in
            [["close@B", "ratio(close, close@C)@B"], ["close@C", "ratio(close, close@C)@B"]]
        {
            let mut e = engine(&texts);
            for (minute, b, c) in [(0, 6.0, 2.0), (1, 9.0, 3.0)] {
                bar(&mut e, "B", minute, b);
                bar(&mut e, "C", minute, c);
                assert_eq!(row(&mut e, minute, 1.0)[1], 3.0);
            }
            // No bar of C at this time: the ratio of B has no value, and neither has a later row without B.
            bar(&mut e, "B", 2, 8.0);
            assert!(row(&mut e, 2, 1.0)[1].is_nan());
            bar(&mut e, "C", 3, 8.0);
            assert!(row(&mut e, 3, 1.0)[1].is_nan());
        }
    }

    #[test]
    fn bars_that_wait_for_the_first_symbol_are_saved() {
        let texts = ["sma(3)@B", "max(2)@B/2m"];
        let (mut e, mut saved) = (engine(&texts), engine(&texts));
        for minute in 0..7 {
            bar(&mut e, "B", minute, minute as f64);
            bar(&mut saved, "B", minute, minute as f64);
            let state = saved.snapshot(b"more");
            let (fresh, more) = engine(&texts).restored(&state, "").unwrap();
            assert_eq!(more, b"more");
            saved = fresh;
        }
        bar(&mut e, "B", 7, 7.0);
        bar(&mut saved, "B", 7, 7.0);
        let rows = [row(&mut e, 7, 1.0), row(&mut saved, 7, 1.0)];
        same(&rows[0], &[6.0, 7.0]);
        same(&rows[1], &rows[0]);
    }
}
