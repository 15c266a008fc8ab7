//! A set of features over whole candles, on several threads.
//!
//! Features that share no step run apart; each group writes columns of its own, so no bit depends on the threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::grammar::interval_text;
use super::graph::Graph;
use super::stream::Engine;
use crate::bars::Bars;
use crate::{Error, Result};

/// Candles by symbol; the first is the one that rows are made for.
pub type Symbols<'a> = [(&'a str, &'a Bars)];

/// Computes every feature; one column each, of the first symbol's length. None if `cancel` was set.
///
/// `own` holds one column a feature of the user's own, of the first symbol's length.
pub fn compute(
    graph: &Graph,
    symbols: &Symbols<'_>,
    own: &[&[f64]],
    threads: usize,
    cancel: &AtomicBool,
) -> Result<Option<Vec<Vec<f64>>>> {
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
    let groups = shares(graph, threads.max(1));
    let run = |group: &Vec<usize>| -> Result<Option<Vec<Vec<f64>>>> {
        let features = group.iter().map(|k| graph.features[*k].clone()).collect();
        let part = Arc::new(Graph::new(features, &graph.own)?);
        let mut engine = Engine::new(part, symbols[0].0, base.interval_ms())?;
        let feeds = engine
            .feeds()
            .iter()
            .map(|name| {
                let found = symbols.iter().find(|(s, _)| s == name);
                let bars = found.map(|(_, bars)| *bars).ok_or_else(|| missing(name, symbols))?;
                if bars.interval_ms() != base.interval_ms() {
                    return Err(Error::Feature(format!(
                        "candles of {name} have bars of {}, those of {} of {}: resample them to \
                         one interval",
                        interval_text(bars.interval_ms()),
                        symbols[0].0,
                        interval_text(base.interval_ms())
                    )));
                }
                Ok(bars)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut out: Vec<Vec<f64>> = group.iter().map(|_| Vec::with_capacity(base.len())).collect();
        let go = || !cancel.load(Ordering::Relaxed);
        let finished = engine.compute(&feeds, own, &mut out, &go)?;
        Ok(finished.then_some(out))
    };
    let done: Vec<Option<Vec<Vec<f64>>>> = if groups.len() == 1 {
        vec![run(&groups[0])?]
    } else {
        // A pool of its own: a global one would not survive a fork.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|e| Error::parameter("threads", threads, format!("startable ({e})")))?;
        pool.install(|| groups.par_iter().map(run).collect::<Result<Vec<_>>>())?
    };
    let mut columns: Vec<Vec<f64>> = vec![vec![]; graph.features.len()];
    for (group, part) in groups.iter().zip(done) {
        let Some(part) = part else { return Ok(None) };
        for (k, column) in group.iter().zip(part) {
            columns[*k] = column;
        }
    }
    Ok(Some(columns))
}

fn missing(name: &str, symbols: &Symbols<'_>) -> Error {
    let have: Vec<&str> = symbols.iter().map(|(s, _)| *s).collect();
    Error::Feature(format!(
        "features name the symbol `{name}`, which is not among the candles of {}: give a dict of \
         candles by symbol",
        have.join(", ")
    ))
}

/// Components dealt to threads, the largest first, each to the one with least to do.
fn shares(graph: &Graph, threads: usize) -> Vec<Vec<usize>> {
    let mut components = graph.components();
    if threads == 1 || components.len() < 2 {
        return vec![(0..graph.features.len()).collect()];
    }
    components.sort_by_key(|c| std::cmp::Reverse(c.len()));
    let mut shares: Vec<Vec<usize>> = vec![vec![]; threads.min(components.len())];
    for component in components {
        if let Some(least) = shares.iter_mut().min_by_key(|s| s.len()) {
            least.extend(component);
        }
    }
    for share in &mut shares {
        share.sort_unstable();
    }
    shares
}
