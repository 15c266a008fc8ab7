//! One closed bar of a single symbol, without blocks: what a live row costs.
//!
//! A block of one spends its time on columns of length one. Here each wire is one number, steps are laid out in a flat
//! list, and steps of a longer clock run only at the bars that close it. The kernels are the same, so the bits are.

use super::super::graph::{Graph, Source, Work};
use super::super::node::MOST;
use super::{Engine, Row, State};

/// A step as the loop reads it.
#[derive(Clone, Copy, Debug)]
struct Call {
    clock: usize,
    first: usize,
    inputs: [usize; MOST],
    count: usize,
}

/// What a clock does at a bar.
#[derive(Clone, Copy, Debug, Default)]
struct Tick {
    closed: bool,
    at: i64,
    time: i64,
    stamp: i64,
}

/// Room for one row.
#[derive(Clone, Debug)]
pub(super) struct Live {
    wires: Vec<f64>,
    ticks: Vec<Tick>,
    calls: Vec<Call>,
}

impl Live {
    /// For a graph.
    pub(super) fn new(graph: &Graph) -> Self {
        let calls = graph.steps.iter().map(|step| {
            let mut inputs = [0; MOST];
            inputs[..step.inputs.len()].copy_from_slice(&step.inputs);
            Call { clock: step.clock, first: step.first, inputs, count: step.inputs.len() }
        });
        debug_assert!(graph.steps.iter().all(|s| match s.work {
            Work::Hold(_) => s.inputs.len() == 1,
            Work::Call(..) => s.inputs.len() <= MOST,
        }));
        Self {
            wires: vec![f64::NAN; graph.wires.len()],
            ticks: vec![Tick::default(); graph.clocks.len()],
            calls: calls.collect(),
        }
    }
}

impl Engine {
    /// Takes a closed bar of the first symbol and writes its row, one value a feature; the bars of other symbols that
    /// were fed go into it.
    pub fn update(&mut self, row: &Row<'_>, out: &mut [f64]) {
        if self.feeds.len() > 1 || !self.update_alone(row) {
            self.feed(0, row);
            self.give(out);
            return;
        }
        for (slot, wire) in out.iter_mut().zip(&self.graph.results) {
            *slot = self.live.wires[*wire];
        }
    }

    /// Runs what was taken, writes the last row and forgets the columns.
    fn give(&mut self, out: &mut [f64]) {
        self.run();
        for (k, slot) in out.iter_mut().enumerate() {
            *slot = self.values(k).last().copied().unwrap_or(f64::NAN);
        }
        self.clear();
    }

    /// The row of a bar in `self.live`; false, and nothing done, where the blocks must do it: bars are waiting, or this
    /// one, behind a hole, would close two bars of a longer clock.
    fn update_alone(&mut self, row: &Row<'_>) -> bool {
        let longer = self.clocks.iter().any(|clock| clock.long.is_some());
        if self.clocks.iter().any(|c| !c.at.is_empty()) || (longer && self.is_behind_a_hole(row)) {
            return false;
        }
        self.last[0] = row.open_time;
        self.bars += 1;
        let known = 2 * (row.open_time + self.interval_ms);
        for number in 0..self.clocks.len() {
            if self.clocks[number].long.is_some() {
                self.gather(number, row, known);
                let clock = &mut self.clocks[number];
                let tick = &mut self.live.ticks[number];
                tick.closed = !clock.at.is_empty();
                if tick.closed {
                    (tick.at, tick.time, tick.stamp) = (clock.at[0], clock.time[0], clock.stamp[0]);
                    clock.at.clear();
                    clock.time.clear();
                    clock.stamp.clear();
                    for (_, wire) in &self.graph.clocks[number].sources {
                        self.live.wires[*wire] = self.wires[*wire][0];
                        self.wires[*wire].clear();
                    }
                }
                continue;
            }
            let clock = &self.clocks[number];
            let last = self.live.ticks[number];
            // Without a division where the bar follows the last one.
            let follows = last.closed && row.open_time - last.time == clock.interval_ms;
            let at = if follows {
                last.at + 1
            } else {
                (row.open_time - clock.anchor).div_euclid(clock.interval_ms)
            };
            self.live.ticks[number] = Tick { closed: true, at, time: row.open_time, stamp: known };
            for (source, wire) in &self.graph.clocks[number].sources {
                self.live.wires[*wire] = match source {
                    Source::Column(0) => row.open_time as f64,
                    Source::Column(k) => row.values[k - 1],
                    Source::CloseTime => (row.open_time + clock.interval_ms) as f64,
                    Source::Extra(k) => row.extra[*k],
                    Source::Own(k) => row.own[*k],
                };
            }
        }
        let Live { wires, ticks, calls } = &mut self.live;
        for (call, state) in calls.iter().zip(&mut self.states) {
            let tick = ticks[call.clock];
            match state {
                State::Node(node) => {
                    if tick.closed {
                        node.one(tick.at, wires, &call.inputs[..call.count], call.first);
                    }
                }
                State::Hold { from, exact, last, time } => {
                    let source = ticks[*from];
                    let value = wires[call.inputs[0]];
                    if tick.closed {
                        if source.closed && source.stamp <= tick.stamp {
                            (*last, *time) = (value, source.time);
                        }
                        let stale = *exact && *time != tick.time;
                        wires[call.first] = if stale { f64::NAN } else { *last };
                    }
                    // What was not known yet is known to the next tick.
                    if source.closed {
                        (*last, *time) = (value, source.time);
                    }
                }
            }
        }
        true
    }

    /// Whether a bar comes later than one interval after the last.
    fn is_behind_a_hole(&self, row: &Row<'_>) -> bool {
        self.last[0] != i64::MIN && row.open_time - self.last[0] > self.interval_ms
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::engine;
    use super::*;

    /// Bars with holes of every length, off the grid from the middle on.
    fn times() -> Vec<i64> {
        let steps = [1, 1, 1, 2, 1, 5, 1, 1, 11, 1, 1, 1, 1, 1, 1, 1, 3, 1, 17, 1];
        let mut minute = 0;
        let mut all = vec![];
        for (i, step) in std::iter::repeat_n(steps, 12).flatten().enumerate() {
            all.push(minute * 60_000 + if i > 130 { 7_000 } else { 0 });
            minute += step;
        }
        all
    }

    #[test]
    fn a_live_row_has_the_bits_of_a_block_of_one() {
        let texts = [
            "close",
            "sma(4)",
            "sma(3)@5m",
            "sma(ratio(close, rsi(2)@10m), 2)@5m",
            "ratio(max(high, 2)@2m, sma(close@10m, 3))",
            "obv()",
            "close@A",
            "close@1m",
            "stoch(3, 2, 2)",
        ];
        let (mut live, mut blocks) = (engine(&texts), engine(&texts));
        let width = live.graph().results.len();
        let (mut a, mut b) = (vec![0.0; width], vec![0.0; width]);
        let mut alone = 0;
        for (i, open_time) in times().into_iter().enumerate() {
            let price = 100.0 + (i as f64 * 0.7).sin() * 3.0 + (i as f64 * 0.11).cos() * 9.0;
            let values = [price, price + 1.0, price - 1.0, price + 0.3, (i % 7) as f64];
            let row = Row { open_time, values, extra: &[], own: &[] };
            alone += usize::from(!live.is_behind_a_hole(&row));
            live.update(&row, &mut a);
            blocks.feed(0, &row);
            blocks.give(&mut b);
            let bits = |row: &[f64]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&a), bits(&b), "bar {i}");
            assert_eq!(live.snapshot(&[]), blocks.snapshot(&[]), "state after bar {i}");
        }
        assert!(alone > 150);
        assert!(a.iter().all(|v| !v.is_nan()));
    }
}
