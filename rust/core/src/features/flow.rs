//! Chaikin's flow of volume: where in its range a bar closed, times what was traded.

use super::average::ema_fade;
use super::node::{Kernel, Memory, Visit, node};
use super::registry::{Function, Input, Parameter, consistent};
use super::undefined::{Held, defined};
use super::window::bars;
use crate::numeric::Sum;

/// Volume times where the close lies in the range, -1 at the low and 1 at the high; 0 where there is no range.
#[inline]
fn flow([high, low, close, volume]: [f64; 4]) -> f64 {
    let range = high - low;
    if range > 0.0 { ((close - low) - (high - close)) / range * volume } else { 0.0 }
}

/// Chaikin's accumulation and distribution line.
#[derive(Clone, Debug)]
pub struct Accumulation(Sum);

impl Kernel<4, 1> for Accumulation {
    #[inline]
    fn step(&mut self, _at: i64, bar: [f64; 4]) -> [f64; 1] {
        self.0.add(flow(bar));
        [defined(self.0.value())]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for part in self.0.parts() {
            state.float(part);
        }
    }
}

/// Chaikin's oscillator.
///
/// A mean of the line less the line itself is all that is kept: it moves by what flows in, not by the level of the line,
/// which grows for good. `mean - line` becomes `(1 - alpha) * (mean - line - flow)`.
#[derive(Clone, Debug)]
pub struct ChaikinOscillator {
    keep: [f64; 2],
    below: [f64; 2],
    warmup: f64,
    seen: f64,
}

impl Kernel<4, 1> for ChaikinOscillator {
    #[inline]
    fn step(&mut self, _at: i64, bar: [f64; 4]) -> [f64; 1] {
        // Both means begin with the first value of the line.
        if self.seen > 0.0 {
            let flow = flow(bar);
            for (below, keep) in self.below.iter_mut().zip(self.keep) {
                *below = keep * (*below - flow);
            }
        }
        self.seen = if self.seen <= self.warmup { self.seen + 1.0 } else { self.seen };
        [if self.seen > self.warmup { defined(self.below[0] - self.below[1]) } else { f64::NAN }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.floats(&mut self.below);
        state.float(&mut self.seen);
    }
}

const BAR_AND_VOLUME: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close"), Input::Column("volume")];

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "ad",
        known_as: &["accumulation_distribution", "chaikin_line", "adl"],
        family: "volume",
        inputs: BAR_AND_VOLUME,
        parameters: &[],
        outputs: &[],
        memory: |_| Memory::Cumulative,
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Held(Accumulation(Sum::default()))),
        summary: "Chaikin's accumulation and distribution line",
        formula: "Sum since the start of volume * ((close - low) - (high - close)) / (high - low), 0 for bars without a \
                  range; in the unit of the volume. Its level depends on where it starts: use its changes.",
        source: "M. Chaikin; as AD of TA-Lib.",
    },
    Function {
        name: "adosc",
        known_as: &["chaikin_oscillator"],
        family: "volume",
        inputs: BAR_AND_VOLUME,
        parameters: &[
            Parameter::window("fast", 2, Some(3.0)),
            Parameter::window("slow", 2, Some(10.0)),
        ],
        outputs: &[],
        // Volumes differ by more orders than prices: a spike in the seed fades twice.
        memory: |p| Memory::Fading(bars(p[1]) + 2 * ema_fade(p[1])),
        warmup: |p| bars(p[1]) - 1,
        delays: |_| [0, 0],
        check: |p| (p[0] >= p[1]).then_some("`fast` of adosc must be less than `slow`"),
        build: |p| {
            let keep = [p[0], p[1]].map(|period| (period - 1.0) / (period + 1.0));
            let (below, warmup) = ([0.0; 2], p[1] - 1.0);
            node(Held(ChaikinOscillator { keep, below, warmup, seen: 0.0 }))
        },
        summary: "Chaikin's oscillator",
        formula: "Exponential mean of ad with alpha 2 / (fast + 1) less that with 2 / (slow + 1), both seeded with the first \
                  value; in the unit of the volume. Where ad starts cancels, so it fades.",
        source: "M. Chaikin; as ADOSC of TA-Lib, which also takes periods in the other order.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn flow_by_hand() {
        let high = [4.0, 4.0, 2.0, 4.0];
        let low = [0.0, 0.0, 2.0, 0.0];
        let close = [4.0, 1.0, 2.0, 3.0];
        let bar: [&[f64]; 4] = [&high, &low, &close, &[10.0, 4.0, 9.0, 2.0]];
        // Flows 10, -2, 0, 1.
        assert_eq!(single("ad", &[], &bar), [10.0, 8.0, 8.0, 9.0]);
        let got = single("adosc", &[2.0, 3.0], &bar);
        assert!(got[1].is_nan());
        // alpha 2/3 and 1/2 of 10, 8, 8: 10, 26/3, 74/9 and 10, 9, 8.5.
        assert!((got[2] - (74.0 / 9.0 - 8.5)).abs() < 1e-14);
    }
}
