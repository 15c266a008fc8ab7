//! Shape of single bars: bodies, wicks, gaps, runs, and bars smoothed into each other.

use super::average::ema_fade;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::parts::{Change, Map, ROW, finite_changes, full_changes, within};
use super::registry::{Function, Input, Parameter};
use super::undefined::defined;
use super::window::bars;
use crate::numeric;

/// A part of a bar as a share of its range; 0 where it has none.
#[inline]
fn share(part: f64, range: f64) -> [f64; 1] {
    [if range == 0.0 && !part.is_nan() { 0.0 } else { defined(part / range) }]
}

/// Bars in one direction up to this one, with their sign.
#[derive(Clone, Debug)]
struct Run {
    before: f64,
    length: f64,
    known: f64,
    most: f64,
}

impl Kernel<1, 1> for Run {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let before = std::mem::replace(&mut self.before, x);
        let change = x - before;
        if change.is_nan() {
            (self.length, self.known) = (0.0, 0.0);
            return [f64::NAN];
        }
        self.known = (self.known + 1.0).min(self.most);
        let sign = if x > before {
            1.0
        } else if x < before {
            -1.0
        } else {
            0.0
        };
        // A move against the run, or none, begins anew.
        let held = if self.length * sign > 0.0 { self.length } else { 0.0 };
        self.length = within(held + sign, -self.most, self.most);
        [if self.known < self.most { f64::NAN } else { self.length }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        state.float(&mut self.length);
        state.float(&mut self.known);
    }
}

/// Bars whose opens are the middle of the body before.
#[derive(Clone, Debug)]
struct HeikinAshi {
    open: f64,
    close: f64,
}

impl Kernel<4, 4> for HeikinAshi {
    fn step(&mut self, _at: i64, bar: [f64; 4]) -> [f64; 4] {
        if bar.iter().any(|x| x.is_nan()) {
            return [f64::NAN; 4];
        }
        let [open, high, low, close] = bar;
        let middle = if self.open.is_nan() {
            f64::midpoint(open, close)
        } else {
            f64::midpoint(self.open, self.close)
        };
        let mean = 0.25 * open + 0.25 * high + 0.25 * low + 0.25 * close;
        (self.open, self.close) = (middle, mean);
        let top = numeric::max(high, numeric::max(middle, mean));
        let bottom = numeric::min(low, numeric::min(middle, mean));
        [middle, top, bottom, mean]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.open);
        state.float(&mut self.close);
    }
}

const BAR: &[Input] =
    &[Input::Column("open"), Input::Column("high"), Input::Column("low"), Input::Column("close")];
const HIGH_LOW: &[Input] = &[Input::Column("high"), Input::Column("low")];

const ONE: Function = Function { family: "candle shape", inputs: BAR, ..ROW };

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "gap",
        known_as: &["overnight_return", "open_gap"],
        inputs: &[Input::Column("open"), Input::Column("close")],
        memory: |_| Memory::Finite(2),
        warmup: |_| 1,
        build: |_| {
            node(Change::new(|[open, _]: [f64; 2], [_, before]: [f64; 2]| {
                [defined(relative(open, before))]
            }))
        },
        summary: "Open against the close before",
        formula: "open[t] / close[t - 1] - 1, a fraction.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "body_return",
        known_as: &["intraday_return", "open_to_close"],
        inputs: &[Input::Column("open"), Input::Column("close")],
        build: |_| node(Map(|[open, close]: [f64; 2]| [defined(relative(close, open))])),
        summary: "Close against the open of the bar",
        formula: "close / open - 1, a fraction.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "body_share",
        known_as: &["body_ratio", "real_body"],
        build: |_| {
            node(Map(|[open, high, low, close]: [f64; 4]| share((close - open).abs(), high - low)))
        },
        summary: "Body as a share of the range of a bar",
        formula: "|close - open| / (high - low); in [0, 1], 0 where the range is 0.",
        source: "Definition; with the sign of the body it is BOP of TA-Lib.",
        ..ONE
    },
    Function {
        name: "upper_wick",
        known_as: &["upper_shadow"],
        build: |_| {
            node(Map(|[open, high, low, close]: [f64; 4]| {
                share(high - top(open, close), high - low)
            }))
        },
        summary: "Upper wick as a share of the range of a bar",
        formula: "(high - max(open, close)) / (high - low); in [0, 1], 0 where the range is 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "lower_wick",
        known_as: &["lower_shadow"],
        build: |_| {
            node(Map(|[open, high, low, close]: [f64; 4]| {
                share(-top(-open, -close) - low, high - low)
            }))
        },
        summary: "Lower wick as a share of the range of a bar",
        formula: "(min(open, close) - low) / (high - low); in [0, 1], 0 where the range is 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "close_position",
        known_as: &["close_location_value", "internal_bar_strength", "ibs"],
        inputs: &[Input::Column("high"), Input::Column("low"), Input::Column("close")],
        build: |_| {
            node(Map(|[high, low, close]: [f64; 3]| {
                let range = high - low;
                [if range == 0.0 && !close.is_nan() { 0.5 } else { defined((close - low) / range) }]
            }))
        },
        summary: "Place of the close in the range of its bar",
        formula: "(close - low) / (high - low); in [0, 1], 0.5 where the range is 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "bar_overlap",
        known_as: &["range_overlap"],
        inputs: HIGH_LOW,
        memory: |_| Memory::Finite(2),
        warmup: |_| 1,
        build: |_| {
            node(Change::new(|[high, low]: [f64; 2], [old_high, old_low]: [f64; 2]| {
                if old_high.is_nan() || old_low.is_nan() || high.is_nan() || low.is_nan() {
                    return [f64::NAN];
                }
                let common = numeric::min(high, old_high) - numeric::max(low, old_low);
                let both = numeric::max(high, old_high) - numeric::min(low, old_low);
                if both == 0.0 {
                    return [1.0];
                }
                [defined((if common > 0.0 { common } else { 0.0 }) / both)]
            }))
        },
        summary: "How much of two neighbouring bars' ranges they share",
        formula: "Length of the intersection of the ranges of this bar and the one before / length of the span of both; in \
                  [0, 1], 1 where both are the same price.",
        source: "Definition: Jaccard's index of two intervals.",
        ..ONE
    },
    Function {
        name: "run_length",
        known_as: &["streak", "consecutive_bars"],
        inputs: &[Input::Series("close")],
        parameters: &[Parameter::window("period", 1, Some(20.0))],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| node(Run { before: f64::NAN, length: 0.0, known: 0.0, most: p[0] }),
        summary: "Bars that moved one way in a row",
        formula: "Number of last changes of one sign, with that sign, counted up to period; a whole number in [-period, \
                  period], 0 where the last change is 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "heikin_ashi",
        known_as: &["heiken_ashi"],
        outputs: &["open", "high", "low", "close"],
        // The open keeps half of the one before: the share of an ema of 3.
        memory: |_| Memory::Fading(bars(1.0) + ema_fade(3.0)),
        build: |_| node(HeikinAshi { open: f64::NAN, close: f64::NAN }),
        summary: "Bars smoothed into each other",
        formula: "close = (open + high + low + close) / 4; open = mean of the smoothed open and close before, of the first \
                  bar the mean of its own; high and low = extremes of the bar's own and both; in the unit of the price.",
        source: "M. Honma; D. Valcu, Using the Heikin-Ashi Technique, 2004.",
        ..ONE
    },
];

/// The larger of two; NaN where one is.
fn top(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn shapes_by_hand() {
        let (open, high, low, close) = ([2.0, 4.0], [5.0, 4.0], [1.0, 4.0], [4.0, 4.0]);
        let bar: [&[f64]; 4] = [&open, &high, &low, &close];
        assert_eq!(single("body_share", &[], &bar), [0.5, 0.0]);
        assert_eq!(single("upper_wick", &[], &bar), [0.25, 0.0]);
        assert_eq!(single("lower_wick", &[], &bar), [0.25, 0.0]);
        assert_eq!(single("close_position", &[], &[&high, &low, &close]), [0.75, 0.5]);
        assert_eq!(single("gap", &[], &[&open, &close])[1], 0.0);
        assert_eq!(single("bar_overlap", &[], &[&[3.0, 4.0], &[1.0, 2.0]])[1], 1.0 / 3.0);
        let got = all("heikin_ashi", &[], &bar);
        assert_eq!([got[0][0], got[3][0], got[0][1], got[3][1]], [3.0, 3.0, 3.0, 4.0]);
    }

    #[test]
    fn runs_by_hand() {
        let x = [1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 5.0];
        let got = single("run_length", &[2.0], &[&x]);
        assert!(got[..2].iter().all(|v| v.is_nan()));
        assert_eq!(got[2..], [2.0, 2.0, 0.0, -1.0, 1.0]);
        let nan = f64::NAN;
        assert!(single("upper_wick", &[], &[&[nan], &[2.0], &[1.0], &[1.5]])[0].is_nan());
    }
}
