//! Operators: features made of features.

use super::node::{Kernel, Memory, Visit, node};
use super::registry::{Function, Input, Kind, Parameter, consistent, count};
use super::wide;
use super::window::{Delay, bars};

/// Quotient that is undefined, not infinite, where the divisor is zero.
#[inline]
pub(super) fn quotient(x: f64, y: f64) -> f64 {
    if y == 0.0 { f64::NAN } else { x / y }
}

/// How far `x` lies above `base`, as a share of it; subtracted first, so that small shares keep their digits.
#[inline]
pub(super) fn relative(x: f64, base: f64) -> f64 {
    quotient(x - base, base)
}

/// The value some bars ago.
#[derive(Clone, Debug)]
pub struct Lag(Delay);

impl Kernel<1, 1> for Lag {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.0.push(x)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        self.0.fill(x, |place, _, before| y[place].copy_from_slice(before));
    }
}

/// The value less the one some bars ago.
#[derive(Clone, Debug)]
pub struct Diff(Delay);

impl Kernel<1, 1> for Diff {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [x - self.0.push(x)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        self.0.fill(x, |place, x, before| {
            wide::each([x, before], &mut y[place], |[x, before]| x - before);
        });
    }
}

/// The value, held inside two bounds.
#[derive(Clone, Debug)]
pub struct Clip {
    low: f64,
    high: f64,
}

impl Kernel<1, 1> for Clip {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.hold(x)]
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        wide::each([x], y, |[x]| self.hold(x));
    }
}

impl Clip {
    #[inline]
    fn hold(&self, x: f64) -> f64 {
        if x < self.low {
            self.low
        } else if x > self.high {
            self.high
        } else {
            x
        }
    }
}

/// One value divided by another.
#[derive(Clone, Debug)]
pub struct Ratio;

impl Kernel<2, 1> for Ratio {
    #[inline]
    fn step(&mut self, _at: i64, [x, y]: [f64; 2]) -> [f64; 1] {
        [quotient(x, y)]
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}

    fn block(&mut self, _at: &[i64], [x, y]: [&[f64]; 2], [out]: [&mut [f64]; 1]) {
        wide::each([x, y], out, |[x, y]| quotient(x, y));
    }
}

const fn bound(name: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Real, default: None }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "lag",
        known_as: &["shift", "delay", "ref", "previous"],
        family: "operators",
        inputs: &[Input::Given],
        parameters: &[Parameter::window("bars", 1, None)],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0]) + 1),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Lag(Delay::new(count(p[0])))),
        summary: "Value of an earlier bar",
        formula: "x[t - bars]; counted in bars, not in time. NaN where that bar's x is.",
        source: "Definition.",
    },
    Function {
        name: "diff",
        known_as: &["difference", "delta", "momentum"],
        family: "operators",
        inputs: &[Input::Given],
        parameters: &[Parameter::window("bars", 1, Some(1.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0]) + 1),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Diff(Delay::new(count(p[0])))),
        summary: "Change since an earlier bar",
        formula: "x[t] - x[t - bars], in the unit of x.",
        source: "Definition; as MOM of TA-Lib.",
    },
    Function {
        name: "clip",
        known_as: &["clamp", "bound"],
        family: "operators",
        inputs: &[Input::Given],
        parameters: &[bound("low"), bound("high")],
        outputs: &[],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: |p| (p[0] > p[1]).then_some("`low` of clip must not be above `high`"),
        build: |p| node(Clip { low: p[0], high: p[1] }),
        summary: "Value held inside bounds",
        formula: "low where x < low, high where x > high, else x.",
        source: "Definition.",
    },
    Function {
        name: "ratio",
        known_as: &["div", "divide", "quotient"],
        family: "operators",
        inputs: &[Input::Given, Input::Given],
        parameters: &[],
        outputs: &[],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Ratio),
        summary: "One value divided by another",
        formula: "x / y; NaN where y is 0.",
        source: "Definition; DIV of TA-Lib gives an infinity where y is 0.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn operators_by_hand() {
        let x = [1.0, 4.0, f64::NAN, 9.0];
        let got = single("lag", &[2.0], &[&x]);
        assert!(got[0].is_nan() && got[1].is_nan());
        assert_eq!(got[2..], [1.0, 4.0]);
        assert_eq!(single("diff", &[1.0], &[&x])[1], 3.0);
        let got = single("clip", &[2.0, 5.0], &[&x]);
        assert_eq!([got[0], got[1], got[3]], [2.0, 4.0, 5.0]);
        assert!(got[2].is_nan());
        let got = single("ratio", &[], &[&x, &[0.0, 2.0, 1.0, -0.0]]);
        assert_eq!(got[1], 2.0);
        assert!(got[0].is_nan() && got[2].is_nan() && got[3].is_nan());
    }

    #[test]
    fn bounds_of_clip_in_the_wrong_order_are_refused() {
        let clip = super::FUNCTIONS.iter().find(|f| f.name == "clip").unwrap();
        let refusal = clip.complete(&[Some(2.0), Some(1.0)], "clip(close, 2, 1)").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "`low` of clip must not be above `high` in feature `clip(close, 2, 1)`"
        );
        assert!(clip.complete(&[Some(1.0), Some(1.0)], "clip(close, 1, 1)").is_ok());
    }
}
