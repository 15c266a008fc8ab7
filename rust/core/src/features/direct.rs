//! Whole candles of one symbol on their own clock: the short way through a graph.
//!
//! The engine of `stream` copies every column into wires and every result out of them, since bars of several symbols
//! and clocks meet there. Where all of a graph lives on the candles' own bars, steps read the candles where they lie;
//! what they make goes through columns of one block, which stay in the cache. Outputs that nobody reads are not made. The
//! kernels are the same, so are the bits.
//!
//! What a feature is goes from such a column to the caller's past the cache: to read what stands there before it is
//! written over would cost as much again as to write it. Gain on the sixteen columns of workload B: 5 to 10%.

use std::sync::Arc;

use super::graph::{Graph, Source, Work, anchor};
use super::node::{BLOCK, MOST, Node};
use super::wide::{fence, stream};
use crate::bars::Bars;

/// What becomes of a feature's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// They are large, and read later if at all.
    Store,
    /// They are read at once.
    Read,
}

/// A graph on one clock, with its state.
pub struct Direct {
    graph: Arc<Graph>,
    sink: Sink,
    /// Bars taken.
    bars: usize,
    nodes: Vec<Box<dyn Node>>,
    /// Columns of a block, of wires that a step reads; empty for those that lie elsewhere.
    wires: Vec<Vec<f64>>,
    /// Columns of a block for the outputs of a step that nothing but features reads: the same for all steps, so that they
    /// stay in the cache until they are copied.
    passing: [Vec<f64>; MOST],
    /// Wires that a step reads.
    read: Vec<bool>,
    /// The features that a wire is the value of.
    owners: Vec<Vec<usize>>,
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
    pub fn new(graph: Arc<Graph>, sink: Sink) -> Option<Self> {
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
        for wire in graph.steps.iter().flat_map(|step| &step.inputs) {
            read[*wire] = true;
        }
        let mut owners = vec![vec![]; count];
        for (feature, wire) in graph.results.iter().enumerate() {
            owners[*wire].push(feature);
        }
        let (wires, passing) = (vec![vec![]; count], Default::default());
        Some(Self { sink, bars: 0, nodes, wires, passing, read, owners, at: vec![], graph })
    }

    /// Bars taken so far.
    pub fn bars(&self) -> usize {
        self.bars
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
                fence();
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
            self.bars = stop;
        }
        // Once, as each waits until all that was written is on its way.
        fence();
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
        self.number(bars, range.clone());
        let columns = [bars.open(), bars.high(), bars.low(), bars.close(), bars.volume()];
        let Self { graph, sink, nodes, wires, passing, read, owners, at, .. } = self;
        let put = |from: &[f64], to: &mut [f64]| match sink {
            Sink::Store => stream(from, to),
            Sink::Read => to.copy_from_slice(from),
        };
        let mut out = out;
        let mut places: Vec<Place<'_>> = Vec::with_capacity(wires.len());
        for (wire, column) in wires.iter_mut().enumerate() {
            places.push(if read[wire] {
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
                    let clock = times.iter().map(|time| (time + later) as f64);
                    if let Place::Made(column) = &mut places[*wire] {
                        for (slot, time) in column.iter_mut().zip(clock.clone()) {
                            *slot = time;
                        }
                    }
                    for feature in &owners[*wire] {
                        for (slot, time) in out[*feature].iter_mut().zip(clock.clone()) {
                            *slot = time;
                        }
                    }
                    continue;
                }
                Source::Column(k) => columns[k - 1],
                Source::Extra(k) => extra[*k],
                Source::Own(k) => own[*k],
            };
            let given = &given[range.clone()];
            places[*wire] = Place::Given(given);
            for feature in &owners[*wire] {
                put(given, out[*feature]);
            }
        }
        for column in passing.iter_mut() {
            column.resize(n.max(column.len()), f64::NAN);
        }
        for (step, node) in graph.steps.iter().zip(nodes) {
            let mut kept: [&mut [f64]; MOST] = Default::default();
            for (slot, place) in kept.iter_mut().zip(&mut places[step.first..][..step.width]) {
                if let Place::Made(column) = std::mem::replace(place, Place::Nowhere) {
                    *slot = column;
                }
            }
            let mut outputs: [&mut [f64]; MOST] = Default::default();
            let found = kept.iter_mut().zip(passing.iter_mut()).zip(&owners[step.first..]);
            for (slot, ((kept, column), owners)) in outputs.iter_mut().zip(found).take(step.width) {
                if !kept.is_empty() {
                    *slot = kept;
                } else if !owners.is_empty() {
                    *slot = &mut column[..n];
                }
            }
            let mut inputs: [&[f64]; MOST] = [&[]; MOST];
            for (slot, wire) in inputs.iter_mut().zip(&step.inputs) {
                *slot = places[*wire].values();
            }
            node.block(at, &inputs[..step.inputs.len()], &mut outputs[..step.width]);
            for (made, owners) in outputs.iter().zip(&owners[step.first..]).take(step.width) {
                for feature in owners {
                    put(made, out[*feature]);
                }
            }
            for (slot, place) in kept.into_iter().zip(&mut places[step.first..][..step.width]) {
                *place = Place::Made(slot);
            }
        }
    }

    /// Numbers of the bars on their clock.
    fn number(&mut self, bars: &Bars, range: std::ops::Range<usize>) {
        let times = bars.open_time();
        let Some(first) = times.first() else { return };
        let length = bars.interval_ms();
        let start = anchor(length);
        let number = |time: i64| (time - start).div_euclid(length);
        if bars.is_even() {
            // Without reading the times, whose first one of a block is far from all that was read before, and without a
            // division a bar.
            self.at.resize(range.len(), 0);
            let at = number(*first).saturating_add(i64::try_from(range.start).unwrap_or(i64::MAX));
            for (slot, at) in self.at.iter_mut().zip(at..) {
                *slot = at;
            }
        } else {
            self.at.clear();
            self.at.extend(times[range].iter().map(|time| number(*time)));
        }
    }
}
