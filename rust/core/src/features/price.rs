//! What one bar says by itself: typical prices, its balance, its true range.

use super::node::{Kernel, Memory, Visit, node};
use super::registry::{Function, Input, Parameter, consistent};
use super::undefined::{defined, whole};
use super::volatility::{AtrRatio, atr_memory, true_range};
use super::window::bars;

/// What a function makes of one bar.
#[derive(Clone, Debug)]
pub struct PerBar<F, const I: usize>(pub F);

impl<F, const I: usize> Kernel<I, 1> for PerBar<F, I>
where
    F: Fn([f64; I]) -> f64 + Clone + Send + Sync + 'static,
{
    #[inline]
    fn step(&mut self, _at: i64, bar: [f64; I]) -> [f64; 1] {
        [(self.0)(bar)]
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}
}

/// Range of a bar together with the close before it.
#[derive(Clone, Debug)]
pub struct TrueRange {
    /// NaN before the first bar.
    previous: f64,
}

impl Kernel<3, 1> for TrueRange {
    #[inline]
    fn step(&mut self, _at: i64, [high, low, close]: [f64; 3]) -> [f64; 1] {
        let [high, low, before, _] =
            whole([high, low, std::mem::replace(&mut self.previous, close), close]);
        [if high.is_nan() { f64::NAN } else { true_range(high, low, before) }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.previous);
    }
}

/// Average true range in percent of the close.
#[derive(Clone, Debug)]
pub struct Percent<K>(K);

impl<K: Kernel<3, 1>> Kernel<3, 1> for Percent<K> {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 1] {
        [100.0 * self.0.step(at, bar)[0]]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

const HIGH_LOW: &[Input] = &[Input::Column("high"), Input::Column("low")];
const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];
const BAR: &[Input] =
    &[Input::Column("open"), Input::Column("high"), Input::Column("low"), Input::Column("close")];

fn one(_: &[f64]) -> Memory {
    Memory::Finite(1)
}

fn at_once(_: &[f64]) -> u64 {
    0
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "trange",
        known_as: &["true_range", "tr"],
        family: "volatility",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[],
        outputs: &[],
        memory: |_| Memory::Finite(2),
        warmup: |_| 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(TrueRange { previous: f64::NAN }),
        summary: "True range",
        formula: "max(high, c') - min(low, c'), c' the close before; >= 0, in the unit of the price.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as TRANGE of TA-Lib.",
    },
    Function {
        name: "natr",
        known_as: &["normalised_atr", "normalized_atr"],
        family: "volatility",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[Parameter::window("period", 1, Some(14.0))],
        outputs: &[],
        memory: atr_memory,
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Percent(AtrRatio::new(p[0]))),
        summary: "Average true range in percent of the close",
        formula: "100 * atr(period) / close; >= 0.",
        source: "As NATR of TA-Lib; 100 times atr_ratio.",
    },
    Function {
        name: "bop",
        known_as: &["balance_of_power"],
        family: "momentum",
        inputs: BAR,
        parameters: &[],
        outputs: &[],
        memory: one,
        warmup: at_once,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| {
            node(PerBar(|[open, high, low, close]: [f64; 4]| {
                let range = high - low;
                if range.is_nan() || range > 0.0 {
                    (close - open) / range
                } else {
                    0.0 * (close - open)
                }
            }))
        },
        summary: "Balance of power",
        formula: "(close - open) / (high - low); in [-1, 1], 0 where there is no range.",
        source: "I. Livshin; as BOP of TA-Lib.",
    },
    Function {
        name: "avgprice",
        known_as: &["ohlc4"],
        family: "price",
        inputs: BAR,
        parameters: &[],
        outputs: &[],
        memory: one,
        warmup: at_once,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| {
            node(PerBar(|[open, high, low, close]: [f64; 4]| {
                defined((high + low + close + open) / 4.0)
            }))
        },
        summary: "Mean of open, high, low and close",
        formula: "(high + low + close + open) / 4, in the unit of the price.",
        source: "As AVGPRICE of TA-Lib.",
    },
    Function {
        name: "medprice",
        known_as: &["hl2"],
        family: "price",
        inputs: HIGH_LOW,
        parameters: &[],
        outputs: &[],
        memory: one,
        warmup: at_once,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(PerBar(|[high, low]: [f64; 2]| defined(f64::midpoint(high, low)))),
        summary: "Middle of high and low",
        formula: "(high + low) / 2, in the unit of the price.",
        source: "As MEDPRICE of TA-Lib.",
    },
    Function {
        name: "typprice",
        known_as: &["hlc3", "typical_price"],
        family: "price",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[],
        outputs: &[],
        memory: one,
        warmup: at_once,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(PerBar(|[high, low, close]: [f64; 3]| defined((high + low + close) / 3.0))),
        summary: "Typical price",
        formula: "(high + low + close) / 3, in the unit of the price.",
        source: "As TYPPRICE of TA-Lib.",
    },
    Function {
        name: "wclprice",
        known_as: &["hlcc4", "weighted_close"],
        family: "price",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[],
        outputs: &[],
        memory: one,
        warmup: at_once,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| {
            node(PerBar(|[high, low, close]: [f64; 3]| defined((high + low + close * 2.0) / 4.0)))
        },
        summary: "Weighted close",
        formula: "(high + low + 2 * close) / 4, in the unit of the price.",
        source: "As WCLPRICE of TA-Lib.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn one_bar_by_hand() {
        let bar: [&[f64]; 4] = [&[1.0, 3.0], &[4.0, 3.0], &[0.0, 3.0], &[3.0, 3.0]];
        assert_eq!(single("bop", &[], &bar), [0.5, 0.0]);
        assert_eq!(single("avgprice", &[], &bar), [2.0, 3.0]);
        assert_eq!(single("medprice", &[], &bar[1..3]), [2.0, 3.0]);
        assert_eq!(single("wclprice", &[], &bar[1..])[0], 2.5);
        assert_eq!(single("typprice", &[], &bar[1..])[0], 7.0 / 3.0);
        assert_eq!(single("trange", &[], &[&[4.0, 6.0], &[1.0, 5.0], &[2.0, 5.5]])[1], 4.0);
        let got = single("natr", &[1.0], &[&[4.0, 6.0], &[1.0, 5.0], &[2.0, 5.0]]);
        assert_eq!(got[1], 80.0);
    }
}
