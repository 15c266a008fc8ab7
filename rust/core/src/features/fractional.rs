//! Stationary series that keep their memory, and sums that tell when a series has moved enough.

use super::node::{Kernel, Memory, Visit, node};
use super::parts::ROW;
use super::registry::{Function, Input, Kind, Parameter, count};
use super::undefined::defined;
use super::window::bars;
use crate::numeric::Sum;

/// A fixed filter over the last values, the newest first.
#[derive(Clone)]
struct Filter {
    weights: Vec<f64>,
    ring: Vec<f64>,
    next: usize,
}

impl Filter {
    /// Weights of the binomial series of `(1 - B)^order`, cut after `width`.
    fn binomial(order: f64, width: usize) -> Self {
        let mut weights = Vec::with_capacity(width);
        let mut weight = 1.0;
        for k in 0..width {
            weights.push(weight);
            let k = k as f64;
            weight *= (k - order) / (k + 1.0);
        }
        Self { weights, ring: vec![f64::NAN; width], next: 0 }
    }
}

impl Kernel<1, 1> for Filter {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.ring[self.next] = x;
        self.next = if self.next + 1 == self.ring.len() { 0 } else { self.next + 1 };
        let (back, front) = self.ring.split_at(self.next);
        let newest_first = back.iter().rev().chain(front.iter().rev());
        // The weights of a level add up to almost nothing: plain sums would leave its rounding.
        let sum: Sum = self.weights.iter().zip(newest_first).map(|(w, x)| w * x).collect();
        [defined(sum.value())]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        state.floats(&mut self.ring);
    }
}

/// Page's sums of rises and falls, which begin anew at a threshold.
#[derive(Clone)]
struct Cusum {
    up: f64,
    down: f64,
    threshold: f64,
}

impl Kernel<1, 3> for Cusum {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 3] {
        if x.is_nan() {
            return [f64::NAN; 3];
        }
        let (up, down) = (self.up + x, self.down + x);
        self.up = if up > 0.0 && up.is_finite() { up } else { 0.0 };
        self.down = if down < 0.0 && down.is_finite() { down } else { 0.0 };
        let shown = (self.up, self.down);
        let mut event = 0.0;
        // As in the source: one event a bar, falls first.
        if self.down < -self.threshold {
            (self.down, event) = (0.0, -1.0);
        } else if self.up > self.threshold {
            (self.up, event) = (0.0, 1.0);
        }
        [shown.0, shown.1, event]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.up);
        state.float(&mut self.down);
    }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "frac_diff",
        known_as: &["fractional_difference", "fracdiff", "ffd"],
        family: "stationarity",
        inputs: &[Input::Series("close")],
        parameters: &[
            Parameter { name: "order", kind: Kind::Positive, default: Some(0.4) },
            Parameter::window("width", 2, Some(100.0)),
        ],
        memory: |p| Memory::Finite(bars(p[1])),
        warmup: |p| bars(p[1]) - 1,
        build: |p| node(Filter::binomial(p[0], count(p[1]))),
        summary: "Fractional difference by a window of fixed width",
        formula: "sum over k < width of w[k] x[t - k], w[0] = 1, w[k] = w[k - 1] (k - 1 - order) / k; in the unit of x. An \
                  order of 1 is diff(x, 1). The work of a bar grows with width.",
        source: "J. Hosking, Fractional Differencing, Biometrika 68, 1981; M. Lopez de Prado, Advances in Financial Machine \
                 Learning, 2018, section 5.5, where the width follows from a threshold on w.",
        ..ROW
    },
    Function {
        name: "cusum",
        known_as: &["cusum_filter"],
        family: "stationarity",
        inputs: &[Input::Given],
        parameters: &[Parameter { name: "threshold", kind: Kind::Positive, default: None }],
        outputs: &["up", "down", "event"],
        memory: |_| Memory::Cumulative,
        build: |p| node(Cusum { up: 0.0, down: 0.0, threshold: p[0] }),
        summary: "Cumulated rises and falls of a series, and events where they pass a threshold",
        formula: "up = max(0, up + x), down = min(0, down + x), in the unit of x; event = -1 where down < -threshold, else 1 \
                  where up > threshold, else 0; the sum of an event begins anew at 0 with the next bar. Of returns: \
                  cusum(log_return(1), 0.01).",
        source: "E. Page, 1954; M. Lopez de Prado, Advances in Financial Machine Learning, 2018, section 2.5.2.",
        ..ROW
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn differences_by_hand() {
        let x = [1.0, 4.0, 9.0, 16.0];
        assert_eq!(single("frac_diff", &[1.0, 2.0], &[&x])[1..], [3.0, 5.0, 7.0]);
        assert_eq!(single("frac_diff", &[2.0, 3.0], &[&x])[2..], [2.0, 2.0]);
        // 1, -1/2, -1/8.
        assert_eq!(single("frac_diff", &[0.5, 3.0], &[&x])[2], 9.0 - 2.0 - 0.125);
    }

    #[test]
    fn events_by_hand() {
        let got = all("cusum", &[2.0], &[&[1.0, 1.5, 1.0, -3.0, f64::NAN, -1.0]]);
        assert_eq!(got[0][..4], [1.0, 2.5, 1.0, 0.0]);
        assert_eq!(got[1][..4], [0.0, 0.0, 0.0, -3.0]);
        assert_eq!(got[2][..4], [0.0, 1.0, 0.0, -1.0]);
        assert!(got[0][4].is_nan());
        assert_eq!((got[1][5], got[2][5]), (-1.0, 0.0));
    }
}
