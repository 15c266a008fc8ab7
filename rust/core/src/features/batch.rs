//! A set of features over whole candles, on several threads.
//!
//! Features that share no step run apart; each group writes columns of its own, so no bit depends on the threads. Where
//! a group lives on the candles' own bars it goes the short way of `direct`, else through the engine.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::direct::{Direct, Sink};
use super::grammar::interval_text;
use super::graph::Graph;
use super::node::BLOCK;
use super::stream::Engine;
use crate::bars::Bars;
use crate::simd::Simd;
use crate::{Error, Result};

/// Candles by symbol; the first is the one that rows are made for.
pub type Symbols<'a> = [(&'a str, &'a Bars)];

/// Computes every feature into the columns of `out`, one each, of the first symbol's length. False if `cancel` was set.
///
/// `own` holds one column a feature of the user's own, of the first symbol's length.
pub fn compute(
    graph: &Graph,
    symbols: &Symbols<'_>,
    own: &[&[f64]],
    out: &mut [&mut [f64]],
    threads: usize,
    cancel: &AtomicBool,
) -> Result<bool> {
    Simd::chosen()?;
    let (_, base) = symbols[0];
    for (name, column) in graph.own.iter().zip(own) {
        if column.len() != base.len() {
            return Err(Error::Length {
                name: name.clone(),
                len: column.len(),
                other: "the candles",
                other_len: base.len(),
            });
        }
    }
    let threads = threads.max(1);
    let mut columns: Vec<Option<&mut [f64]>> = out.iter_mut().map(|c| Some(&mut **c)).collect();
    let mut parts = vec![];
    for features in groups(graph, threads) {
        let texts = features.iter().map(|k| graph.features[*k].clone()).collect();
        let compiled = Arc::new(Graph::new(texts, &graph.own)?);
        let columns = features.iter().filter_map(|k| columns[*k].take()).collect();
        parts.push(Part::new(compiled, symbols, columns)?);
    }
    let run = |part: &mut Part<'_>, to: usize| part.run(own, to, cancel);
    if parts.len() == 1 || threads == 1 {
        for part in &mut parts {
            if !run(part, base.len())? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    // A pool of its own: a global one would not survive a fork.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::parameter("threads", threads, format!("startable ({e})")))?;
    // A first piece tells what each part costs; then the dearest begin, and whoever is done takes the next.
    for to in [base.len().min(FIRST), base.len()] {
        parts.sort_by_key(|part| std::cmp::Reverse(part.spent));
        let waiting: Vec<Mutex<&mut Part<'_>>> = parts.iter_mut().map(Mutex::new).collect();
        let next = AtomicUsize::new(0);
        let done = pool.broadcast(|_| {
            while let Some(part) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Nobody else takes this one, so nobody can have left it poisoned.
                let Ok(mut part) = part.lock() else { return Ok(false) };
                if !run(&mut part, to)? {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        for finished in done {
            if !finished? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Bars of the piece that tells the cost.
const FIRST: usize = 4 * BLOCK;

/// Features that one thread runs, with their columns.
struct Part<'a> {
    runner: Runner,
    feeds: Vec<&'a Bars>,
    /// Further columns of the first symbol.
    extra: Vec<&'a [f64]>,
    /// What is not filled yet.
    columns: Vec<&'a mut [f64]>,
    from: usize,
    spent: Duration,
}

enum Runner {
    Direct(Box<Direct>),
    Engine(Box<Engine>),
}

impl<'a> Part<'a> {
    fn new(graph: Arc<Graph>, symbols: &Symbols<'a>, columns: Vec<&'a mut [f64]>) -> Result<Self> {
        let (symbol, base) = symbols[0];
        let engine = Engine::new(graph.clone(), symbol, base.interval_ms())?;
        let feeds = feeds_of(&engine, symbols)?.into_iter().map(|k| symbols[k].1).collect();
        let extra = engine.further_columns(0, base)?;
        let runner = match Direct::new(graph, Sink::Store) {
            Some(direct) => Runner::Direct(Box::new(direct)),
            None => Runner::Engine(Box::new(engine)),
        };
        Ok(Self { runner, feeds, extra, columns, from: 0, spent: Duration::ZERO })
    }

    /// Fills rows up to `to`, or all where the runner cannot stop; false if `cancel` was set.
    fn run(&mut self, own: &[&[f64]], to: usize, cancel: &AtomicBool) -> Result<bool> {
        let go = || !cancel.load(Ordering::Relaxed);
        let began = Instant::now();
        let finished = match &mut self.runner {
            Runner::Direct(direct) => {
                let mut heads: Vec<&mut [f64]> = vec![];
                for column in &mut self.columns {
                    let (head, tail) = std::mem::take(column).split_at_mut(to - self.from);
                    heads.push(head);
                    *column = tail;
                }
                let from = std::mem::replace(&mut self.from, to);
                direct.run(self.feeds[0], &self.extra, own, from, &mut heads, &go)
            }
            Runner::Engine(engine) => {
                let columns = std::mem::take(&mut self.columns);
                columns.is_empty() || engine.compute(&self.feeds, own, columns, &go)?
            }
        };
        self.spent = began.elapsed();
        Ok(finished)
    }
}

/// Which of the symbols each feed of an engine is; they must be there, with bars of one length.
pub(super) fn feeds_of(engine: &Engine, symbols: &Symbols<'_>) -> Result<Vec<usize>> {
    let (base, first) = symbols[0];
    let find = |name: &String| {
        let found = symbols.iter().position(|(s, _)| s == name);
        let at = found.ok_or_else(|| missing(name, symbols))?;
        let length = symbols[at].1.interval_ms();
        if length != first.interval_ms() {
            return Err(Error::Feature(format!(
                "candles of {name} have bars of {}, those of {base} of {}: resample them to one \
                 interval",
                interval_text(length),
                interval_text(first.interval_ms())
            )));
        }
        Ok(at)
    };
    engine.feeds().iter().map(find).collect()
}

fn missing(name: &str, symbols: &Symbols<'_>) -> Error {
    let have: Vec<&str> = symbols.iter().map(|(s, _)| *s).collect();
    Error::Feature(format!(
        "features name the symbol `{name}`, which is not among the candles of {}: give a dict of \
         candles by symbol",
        have.join(", ")
    ))
}

/// Features that are computed together: with one thread as few groups as can be, so that candles are read once; else
/// each component alone.
fn groups(graph: &Graph, threads: usize) -> Vec<Vec<usize>> {
    let mut components = graph.components();
    if threads > 1 {
        return components;
    }
    // Those that need more than the candles' own bars go apart, so that they do not slow down the others.
    let own_clock =
        |component: &Vec<usize>| component.iter().all(|k| graph.features[*k].on_one_clock());
    components.sort_by_key(|component| !own_clock(component));
    let split = components.partition_point(own_clock);
    let (simple, other) = components.split_at(split);
    [simple, other]
        .into_iter()
        .filter(|group| !group.is_empty())
        .map(|group| {
            let mut features = group.concat();
            features.sort_unstable();
            features
        })
        .collect()
}
