//! Expressions compiled to one graph: equal parts are computed once.
//!
//! A *clock* is a symbol and an interval; its *ticks* are closed bars. A *wire* is a series on a clock: a column of the
//! candles, a feature of the user's own, an output of a function, or a series of another clock *held* on this one.
//! Steps stand in an order in which every wire is written before it is read, so running the graph is one pass.

use std::collections::BTreeMap;

use super::grammar::{Expr, interval_text};
use super::node::Memory;
use super::registry::{CLOSE_TIME, COLUMNS, Function, Input};
use crate::digest::Digest;
use crate::{Error, Result};

/// Days from the epoch, a Thursday, to the first Monday: weeks begin on Mondays.
const MONDAY_MS: i64 = 4 * 86_400_000;
const WEEK_MS: i64 = 7 * 86_400_000;

/// Where the grid of bars of an interval begins, milliseconds UTC.
pub fn anchor(interval_ms: i64) -> i64 {
    if interval_ms % WEEK_MS == 0 { MONDAY_MS } else { 0 }
}

/// A series that comes from outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// One of [`COLUMNS`], by position.
    Column(usize),
    /// When the bar closes, milliseconds UTC.
    CloseTime,
    /// A further column, by position in [`Graph::extra`].
    Extra(usize),
    /// A feature of the user's own, by position.
    Own(usize),
}

/// A symbol and an interval; None is that of the candles the set is computed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Whose bars.
    pub symbol: Option<String>,
    /// How long.
    pub interval_ms: Option<i64>,
    /// What is read of them, and the wire it goes to.
    pub sources: Vec<(Source, usize)>,
}

/// What a step does.
#[derive(Clone)]
pub enum Work {
    /// Runs a function of the table.
    Call(&'static Function, Vec<f64>),
    /// Holds the last value of another clock.
    Hold(usize),
}

/// One computation.
#[derive(Clone)]
pub struct Step {
    /// Clock that it runs on.
    pub clock: usize,
    /// What it does.
    pub work: Work,
    /// Wires that it reads.
    pub inputs: Vec<usize>,
    /// First wire that it writes.
    pub first: usize,
    /// Number of wires that it writes.
    pub width: usize,
}

/// What is known of a series before it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Bars before the first value, at most.
    pub warmup: u64,
    /// What a value depends on.
    pub memory: Memory,
}

/// A compiled set of features.
#[derive(Clone)]
pub struct Graph {
    /// The features, in order.
    pub features: Vec<Expr>,
    /// Names of the user's own features.
    pub own: Vec<String>,
    /// Clocks; the first is that of the candles.
    pub clocks: Vec<Clock>,
    /// Steps in running order.
    pub steps: Vec<Step>,
    /// The wire of each feature, on the first clock.
    pub results: Vec<usize>,
    /// Further columns that are read.
    pub extra: Vec<String>,
    /// What reads each of them first: a function, or the column itself.
    pub readers: Vec<String>,
    /// Clock of each wire.
    pub wires: Vec<usize>,
    known: BTreeMap<String, usize>,
}

impl Graph {
    /// Compiles features; `own` names the user's own.
    pub fn new(features: Vec<Expr>, own: &[String]) -> Result<Self> {
        let mut graph = Self {
            features: vec![],
            own: own.to_vec(),
            clocks: vec![Clock { symbol: None, interval_ms: None, sources: vec![] }],
            steps: vec![],
            results: vec![],
            extra: vec![],
            readers: vec![],
            wires: vec![],
            known: BTreeMap::new(),
        };
        for feature in &features {
            let wire = graph.wire(feature, 0, feature)?;
            graph.results.push(wire);
        }
        graph.features = features;
        Ok(graph)
    }

    /// Canonical names, in order.
    pub fn names(&self) -> Vec<String> {
        self.features.iter().map(Expr::text).collect()
    }

    /// Identity of an ordered list of features, as models keep it.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new("features/1");
        for name in self.names() {
            digest.text(&name);
        }
        digest.hex()
    }

    /// Symbols that are named.
    pub fn symbols(&self) -> Vec<String> {
        let mut found: Vec<String> = vec![];
        for symbol in self.clocks.iter().filter_map(|c| c.symbol.as_ref()) {
            if !found.contains(symbol) {
                found.push(symbol.clone());
            }
        }
        found
    }

    fn clock(&mut self, symbol: Option<String>, interval_ms: Option<i64>) -> usize {
        let same = |c: &Clock| c.symbol == symbol && c.interval_ms == interval_ms;
        if let Some(found) = self.clocks.iter().position(same) {
            return found;
        }
        self.clocks.push(Clock { symbol, interval_ms, sources: vec![] });
        self.clocks.len() - 1
    }

    fn source(&mut self, clock: usize, source: Source) -> usize {
        let there = self.clocks[clock].sources.iter().find(|(s, _)| *s == source);
        if let Some((_, wire)) = there {
            return *wire;
        }
        self.wires.push(clock);
        let wire = self.wires.len() - 1;
        self.clocks[clock].sources.push((source, wire));
        wire
    }

    fn column(&mut self, clock: usize, name: &str, reader: &str) -> usize {
        let source = match COLUMNS.iter().position(|c| *c == name) {
            Some(column) => Source::Column(column),
            None if name == CLOSE_TIME => Source::CloseTime,
            None => Source::Extra(self.extra.iter().position(|e| e == name).unwrap_or_else(|| {
                self.extra.push(name.to_owned());
                self.readers.push(reader.to_owned());
                self.extra.len() - 1
            })),
        };
        self.source(clock, source)
    }

    /// The wire of an expression on a clock; `whole` is the feature that it is part of, for messages.
    fn wire(&mut self, expr: &Expr, clock: usize, whole: &Expr) -> Result<usize> {
        match expr {
            Expr::Column(name) => Ok(self.column(clock, name, &expr.text())),
            Expr::Own(name) => {
                if clock != 0 {
                    return Err(Error::Feature(format!(
                        "feature `{name}` of your own lives on the candles' own bars and cannot be \
                         asked for on another clock, in feature `{}`",
                        whole.text()
                    )));
                }
                let index = self.own.iter().position(|own| own == name).unwrap_or_default();
                Ok(self.source(clock, Source::Own(index)))
            }
            Expr::Call { function, inputs, parameters, output } => {
                let mut given = inputs.iter();
                let mut wires = Vec::with_capacity(function.inputs.len());
                for input in function.inputs {
                    wires.push(match (input, given.next_if_series(*input)) {
                        (Input::Column(name), _) => self.column(clock, name, function.name),
                        (_, Some(expr)) => self.wire(expr, clock, whole)?,
                        (_, None) => unreachable!("the parser fills every input"),
                    });
                }
                let work = Work::Call(function, parameters.clone());
                Ok(self.step(clock, work, wires, function.width()) + output)
            }
            Expr::At { inner, symbol, interval_ms } => {
                let outer = self.clocks[clock].clone();
                let symbol = symbol.clone().or(outer.symbol);
                let interval = interval_ms.or(outer.interval_ms);
                if let (Some(long), Some(short)) = (interval, outer.interval_ms)
                    && long % short != 0
                {
                    return Err(Error::Feature(format!(
                        "`{}` is not a multiple of `{}` around it, in feature `{}`",
                        interval_text(long),
                        interval_text(short),
                        whole.text()
                    )));
                }
                let there = self.clock(symbol, interval);
                let wire = self.wire(inner, there, whole)?;
                if there == clock {
                    return Ok(wire);
                }
                Ok(self.step(clock, Work::Hold(there), vec![wire], 1))
            }
        }
    }

    /// Adds a step, or finds the equal one; its first wire.
    fn step(&mut self, clock: usize, work: Work, inputs: Vec<usize>, width: usize) -> usize {
        let what = match &work {
            Work::Call(function, parameters) => format!("{} {parameters:?}", function.name),
            Work::Hold(from) => format!("hold {from}"),
        };
        let key = format!("{clock} {what} {inputs:?}");
        if let Some(first) = self.known.get(&key) {
            return *first;
        }
        let first = self.wires.len();
        self.wires.extend(std::iter::repeat_n(clock, width));
        self.steps.push(Step { clock, work, inputs, first, width });
        self.known.insert(key, first);
        first
    }

    /// Interval of a clock for candles of `interval_ms`.
    pub fn interval(&self, clock: usize, interval_ms: i64) -> i64 {
        self.clocks[clock].interval_ms.unwrap_or(interval_ms)
    }

    /// Refuses intervals that candles of `interval_ms` cannot make.
    pub fn check_interval(&self, interval_ms: i64) -> Result<()> {
        for clock in &self.clocks {
            if let Some(long) = clock.interval_ms
                && long % interval_ms != 0
            {
                return Err(Error::Feature(format!(
                    "timeframe `{}` is not a multiple of the candles' {}: use one that is, or \
                     resample the candles",
                    interval_text(long),
                    interval_text(interval_ms)
                )));
            }
        }
        Ok(())
    }

    /// Warm-up and memory of every feature in bars of the candles; `own` are those of the user's own features.
    ///
    /// Without an interval sets that name longer ones cannot be told, which gives None; see
    /// [`Graph::check_interval`] for intervals that do not fit.
    pub fn facts(&self, interval_ms: Option<i64>, own: &[Facts]) -> Option<Vec<Facts>> {
        let base = Facts { warmup: 0, memory: Memory::Finite(1) };
        let mut of = vec![base; self.wires.len()];
        for (source, wire) in self.clocks.iter().flat_map(|c| &c.sources) {
            if let Source::Own(index) = source {
                of[*wire] = own.get(*index).copied().unwrap_or(base);
            }
        }
        for step in &self.steps {
            let joined = step
                .inputs
                .iter()
                .map(|w| of[*w])
                .reduce(|a, b| Facts {
                    warmup: a.warmup.max(b.warmup),
                    memory: a.memory.joined(b.memory),
                })
                .unwrap_or(base);
            let facts = match &step.work {
                Work::Call(function, parameters) => {
                    let delays = (function.delays)(parameters);
                    let late = |place: usize| delays.get(place).copied().unwrap_or(0);
                    let inputs = step.inputs.iter().enumerate();
                    let begun = inputs.map(|(place, w)| of[*w].warmup.saturating_add(late(place)));
                    let own = (function.warmup)(parameters) - late(0).max(late(1));
                    Facts {
                        warmup: own.saturating_add(begun.max().unwrap_or(0)),
                        memory: (function.memory)(parameters).over(joined.memory),
                    }
                }
                Work::Hold(from) => {
                    let (a, b) =
                        (self.clocks[*from].interval_ms, self.clocks[step.clock].interval_ms);
                    let (long, short) = (a.or(interval_ms), b.or(interval_ms));
                    match (long, short) {
                        _ if a == b => joined,
                        (Some(long), Some(short)) if long > short => {
                            let ratio = (long / short).unsigned_abs();
                            Facts {
                                // The first long bar may be cut off, the next one is complete.
                                warmup: joined.warmup.saturating_add(2).saturating_mul(ratio) - 2,
                                memory: joined.memory.on_shorter_bars(ratio),
                            }
                        }
                        (Some(_), Some(_)) => joined,
                        _ => return None,
                    }
                }
            };
            of[step.first..step.first + step.width].fill(facts);
        }
        Some(self.results.iter().map(|w| of[*w]).collect())
    }

    /// Features that share no step, in groups of their positions: each group can run on a thread of its own.
    pub fn components(&self) -> Vec<Vec<usize>> {
        // Steps of each wire, source wires having none.
        let mut writer = vec![None; self.wires.len()];
        for (number, step) in self.steps.iter().enumerate() {
            writer[step.first..step.first + step.width].fill(Some(number));
        }
        let mut parent: Vec<usize> = (0..self.steps.len()).collect();
        for (number, step) in self.steps.iter().enumerate() {
            for other in step.inputs.iter().filter_map(|w| writer[*w]) {
                let (a, b) = (root(&mut parent, number), root(&mut parent, other));
                parent[a.max(b)] = a.min(b);
            }
        }
        let mut groups: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (feature, wire) in self.results.iter().enumerate() {
            let group = writer[*wire].map(|step| root(&mut parent, step));
            groups.entry(group).or_default().push(feature);
        }
        groups.into_values().collect()
    }
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

/// Takes the next expression only where the input is a series.
trait NextIfSeries<'a> {
    fn next_if_series(&mut self, input: Input) -> Option<&'a Expr>;
}

impl<'a, I: Iterator<Item = &'a Expr>> NextIfSeries<'a> for I {
    fn next_if_series(&mut self, input: Input) -> Option<&'a Expr> {
        if matches!(input, Input::Column(_)) { None } else { self.next() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::parse;
    use super::*;

    fn graph(texts: &[&str]) -> Graph {
        let features = texts.iter().flat_map(|t| parse(t, &[]).unwrap()).collect();
        Graph::new(features, &[]).unwrap()
    }

    #[test]
    fn equal_parts_are_computed_once() {
        let g =
            graph(&["rsi(14)", "zscore(rsi(14), 100)", "macd().hist", "macd().signal", "rsi(14)"]);
        assert_eq!(g.steps.len(), 3);
        assert_eq!(g.results[0], g.results[4]);
        assert_eq!(g.components(), [vec![0, 1, 4], vec![2, 3]]);
    }

    #[test]
    fn clocks_nest_and_must_divide() {
        let g = graph(&["sma(rsi(14)@4h, 3)@1h", "rsi(14)@4h", "close@X/1h"]);
        assert_eq!(g.clocks.len(), 4);
        assert_eq!(g.symbols(), ["X"]);
        let refused = Graph::new(parse("sma(rsi(14)@1h, 3)@4h", &[]).unwrap(), &[]);
        assert_eq!(
            refused.err().map(|e| e.to_string()).unwrap(),
            "`1h` is not a multiple of `4h` around it, in feature `sma(rsi(14)@1h, 3)@4h`"
        );
        assert!(g.check_interval(300_000).is_ok());
        assert!(g.check_interval(7 * 60_000).is_err());
    }

    #[test]
    fn facts_are_in_bars_of_the_candles() {
        let g = graph(&["sma(20)", "lag(sma(20), 3)", "sma(20)@1h"]);
        assert_eq!(g.facts(None, &[]), None);
        let facts = g.facts(Some(300_000), &[]).unwrap();
        assert_eq!(facts[0], Facts { warmup: 19, memory: Memory::Finite(20) });
        assert_eq!(facts[1], Facts { warmup: 22, memory: Memory::Finite(23) });
        assert_eq!(facts[2], Facts { warmup: 21 * 12 - 2, memory: Memory::Finite(21 * 12) });
    }

    #[test]
    fn an_input_that_begins_late_may_hide_in_the_lag_of_the_other() {
        let g = graph(&["lead_lag(cci(2), open, 60, 1)", "lead_lag(open, cci(2), 60, 1)"]);
        let warmups: Vec<u64> =
            g.facts(None, &[]).unwrap().iter().map(|facts| facts.warmup).collect();
        assert_eq!(warmups, [60, 61]);
    }
}
