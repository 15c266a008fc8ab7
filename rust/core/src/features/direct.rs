//! Whole candles of one symbol on their own clock: the short way through a graph.
//!
//! The engine of `stream` copies every column into wires and every result out of them, since bars of several symbols
//! and clocks meet there. Where all of a graph lives on the candles' own bars, steps read the candles where they lie
//! and write results to where the caller wants them; only what one step makes for another goes through columns of one
//! block, which stay in the cache. Outputs that nobody reads are not made. The kernels are the same, so are the bits.

use std::sync::Arc;

use super::graph::{Graph, Source, Work, anchor};
use super::node::{BLOCK, MOST, Node};
use crate::bars::Bars;

/// A graph on one clock, with its state.
pub struct Direct {
    graph: Arc<Graph>,
    nodes: Vec<Box<dyn Node>>,
    /// Columns of a block; empty for wires that lie elsewhere.
    wires: Vec<Vec<f64>>,
    /// Wires that a step or a feature reads.
    read: Vec<bool>,
    /// The feature whose column a step writes to.
    owner: Vec<Option<usize>>,
    at: Vec<i64>,
}

/// Where the values of a wire lie while a block runs.
enum Place<'a> {
    Nowhere,
    Given(&'a [f64]),
    Made(&'a mut [f64]),
}

impl Place<'_> {
    fn values(&self) -> &[f64] {
        match self {
            Self::Nowhere => &[],
            Self::Given(values) => values,
            Self::Made(values) => values,
        }
    }
}

impl Direct {
    /// At its start; None where the graph needs more than the candles' own bars.
    pub fn new(graph: Arc<Graph>) -> Option<Self> {
        if graph.clocks.len() > 1 {
            return None;
        }
        let nodes = graph.steps.iter().map(|step| match &step.work {
            Work::Call(function, parameters) => Some((function.build)(parameters)),
            Work::Hold(_) => None,
        });
        let nodes = nodes.collect::<Option<Vec<_>>>()?;
        let count = graph.wires.len();
        let mut read = vec![false; count];
        for wire in graph.steps.iter().flat_map(|step| &step.inputs).chain(&graph.results) {
            read[*wire] = true;
        }
        let mut owner = vec![None; count];
        let sources = &graph.clocks[0].sources;
        for (feature, wire) in graph.results.iter().enumerate() {
            if owner[*wire].is_none() && !sources.iter().any(|(_, source)| source == wire) {
                owner[*wire] = Some(feature);
            }
        }
        Some(Self { nodes, wires: vec![vec![]; count], read, owner, at: vec![], graph })
    }

    /// Runs over bars `from..` of the candles, as many as the columns of `out` have room for, one column a feature.
    ///
    /// `extra` are the columns of [`Graph::extra`], `own` those of the user's own features. `go` is asked between
    /// blocks and stops the work where it says no, which gives false.
    pub fn run(
        &mut self,
        bars: &Bars,
        extra: &[&[f64]],
        own: &[&[f64]],
        from: usize,
        out: &mut [&mut [f64]],
        go: &dyn Fn() -> bool,
    ) -> bool {
        let mut rest: Vec<&mut [f64]> = out.iter_mut().map(|column| &mut column[..]).collect();
        let end = from + rest.first().map_or(0, |column| column.len());
        let mut start = from;
        while start < end {
            if !go() {
                return false;
            }
            let stop = end.min(start + BLOCK);
            let heads = rest
                .iter_mut()
                .map(|column| {
                    let (head, tail) = std::mem::take(column).split_at_mut(stop - start);
                    *column = tail;
                    head
                })
                .collect();
            self.block(bars, extra, own, start..stop, heads);
            start = stop;
        }
        true
    }

    fn block(
        &mut self,
        bars: &Bars,
        extra: &[&[f64]],
        own: &[&[f64]],
        range: std::ops::Range<usize>,
        out: Vec<&mut [f64]>,
    ) {
        let n = range.len();
        let times = &bars.open_time()[range.clone()];
        self.number(bars, times);
        let columns = [bars.open(), bars.high(), bars.low(), bars.close(), bars.volume()];
        let Self { graph, nodes, wires, read, owner, at } = self;
        let mut places: Vec<Place<'_>> = Vec::with_capacity(wires.len());
        for (wire, column) in wires.iter_mut().enumerate() {
            places.push(if read[wire] && owner[wire].is_none() {
                column.resize(n.max(column.len()), f64::NAN);
                Place::Made(&mut column[..n])
            } else {
                Place::Nowhere
            });
        }
        for (source, wire) in &graph.clocks[0].sources {
            let given = match source {
                Source::Column(0) | Source::CloseTime => {
                    let later = if *source == Source::CloseTime { bars.interval_ms() } else { 0 };
                    if let Place::Made(column) = &mut places[*wire] {
                        for (slot, time) in column.iter_mut().zip(times) {
                            *slot = (time + later) as f64;
                        }
                    }
                    continue;
                }
                Source::Column(k) => columns[k - 1],
                Source::Extra(k) => extra[*k],
                Source::Own(k) => own[*k],
            };
            places[*wire] = Place::Given(&given[range.clone()]);
        }
        let mut copies = vec![];
        for (feature, column) in out.into_iter().enumerate() {
            let wire = graph.results[feature];
            if owner[wire] == Some(feature) {
                places[wire] = Place::Made(column);
            } else {
                copies.push((wire, column));
            }
        }
        for (step, node) in graph.steps.iter().zip(nodes) {
            let mut outputs: [&mut [f64]; MOST] = Default::default();
            let made = &mut places[step.first..step.first + step.width];
            for (slot, place) in outputs.iter_mut().zip(made) {
                if let Place::Made(column) = std::mem::replace(place, Place::Nowhere) {
                    *slot = column;
                }
            }
            let mut inputs: [&[f64]; MOST] = [&[]; MOST];
            for (slot, wire) in inputs.iter_mut().zip(&step.inputs) {
                *slot = places[*wire].values();
            }
            node.block(at, &inputs[..step.inputs.len()], &mut outputs[..step.width]);
            let made = &mut places[step.first..step.first + step.width];
            for (slot, place) in outputs.into_iter().zip(made) {
                *place = Place::Made(slot);
            }
        }
        for (wire, column) in copies {
            column.copy_from_slice(places[wire].values());
        }
    }

    /// Numbers of the bars on their clock.
    fn number(&mut self, bars: &Bars, times: &[i64]) {
        let Some(first) = times.first() else { return };
        let length = bars.interval_ms();
        let start = anchor(length);
        let number = |time: i64| (time - start).div_euclid(length);
        if bars.is_even() {
            // Without reading the times, and without a division a bar.
            let first = number(*first);
            self.at.resize(times.len(), 0);
            for (slot, at) in self.at.iter_mut().zip(first..) {
                *slot = at;
            }
        } else {
            self.at.clear();
            self.at.extend(times.iter().map(|time| number(*time)));
        }
    }
}
