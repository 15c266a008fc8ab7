//! Returns: how far the price, or any series, moved over some bars.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::{quotient, relative};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::wide;
use super::window::{Delay, bars};
use crate::numeric;

/// Up to this share the series for the logarithm is exact to the last bit or two; it is a move of four percent.
const NEAR: f64 = 0.02;

/// Difference as a share of the sum, the variable of the series; NaN where that does not apply.
#[inline]
fn tangent(x: f64, before: f64) -> f64 {
    let sum = x + before;
    let share = (x - before) / sum;
    if share.abs() <= NEAR && sum.abs() <= f64::MAX { share } else { f64::NAN }
}

/// `ln((1 + s) / (1 - s))` of a small `s`, as `2 * (s + s^3 / 3 + s^5 / 5 + ...)`.
#[inline]
fn series(s: f64) -> f64 {
    let q = s * s;
    let tail = 1.0 / 9.0 + q * (1.0 / 11.0);
    let tail = 1.0 / 5.0 + q * (1.0 / 7.0 + q * tail);
    2.0 * s * (1.0 + q * (1.0 / 3.0 + q * tail))
}

fn far_growth(x: f64, before: f64) -> f64 {
    let factor = quotient(x, before);
    if factor > 0.0 { numeric::ln(factor) } else { f64::NAN }
}

/// Logarithm of a growth factor; NaN where there is none.
///
/// The quotient of near values has lost the digits that their logarithm consists of; the series has not, and needs no
/// function call.
#[inline]
pub(super) fn log_growth(x: f64, before: f64) -> f64 {
    let near = series(tangent(x, before));
    if near.is_nan() { far_growth(x, before) } else { near }
}

/// Change over some bars as a share of where it began.
#[derive(Clone, Debug)]
pub struct SimpleReturn(Delay);

impl Kernel<1, 1> for SimpleReturn {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [relative(x, self.0.push(x))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        self.0.fill(x, |place, x, before| {
            wide::each([x, before], &mut y[place], |[x, before]| relative(x, before));
        });
    }
}

/// Logarithm of the growth over some bars.
#[derive(Clone, Debug)]
pub struct LogReturn(Delay);

impl LogReturn {
    /// Over `bars` bars, at least 1.
    pub fn new(bars: usize) -> Self {
        Self(Delay::new(bars))
    }
}

impl Kernel<1, 1> for LogReturn {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [log_growth(x, self.0.push(x))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        self.0.fill(x, |place, x, before| {
            let y = &mut y[place];
            wide::each([x, before], y, |[x, before]| series(tangent(x, before)));
            if !wide::no_nan(y) {
                for ((y, x), before) in y.iter_mut().zip(x).zip(before) {
                    if y.is_nan() {
                        *y = far_growth(*x, *before);
                    }
                }
            }
        });
    }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "simple_return",
        known_as: &["return", "returns", "ret", "pct_change"],
        family: "returns",
        inputs: &[Input::Series("close")],
        parameters: &[Parameter::window("period", 1, Some(1.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0]) + 1),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(SimpleReturn(Delay::new(count(p[0])))),
        summary: "Simple return over a number of bars",
        formula: "(x[t] - x[t - period]) / x[t - period], a fraction; NaN where x[t - period] is 0.",
        source: "Definition; as ROCP of TA-Lib, which gives 0 where x[t - period] is 0.",
    },
    Function {
        name: "log_return",
        known_as: &["logret", "log_returns", "logreturn", "log_ret"],
        family: "returns",
        inputs: &[Input::Series("close")],
        parameters: &[Parameter::window("period", 1, Some(1.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0]) + 1),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(LogReturn::new(count(p[0]))),
        summary: "Logarithmic return over a number of bars",
        formula: "ln(x[t] / x[t - period]); NaN where the quotient is not above 0.",
        source: "Definition.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn returns_by_hand() {
        let x = [2.0, 4.0, 1.0, 0.0, 5.0];
        let got = single("simple_return", &[1.0], &[&x]);
        assert_eq!(got[1..4], [1.0, -0.75, -1.0]);
        assert!(got[0].is_nan() && got[4].is_nan());
        assert_eq!(single("simple_return", &[2.0], &[&x])[2], -0.5);
        let got = single("log_return", &[1.0], &[&x]);
        assert_eq!(got[1], std::f64::consts::LN_2);
        // A fall to nothing has no finite logarithm.
        assert!(got[3].is_nan() && got[4].is_nan());
    }
}
