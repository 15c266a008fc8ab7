//! Order and spread in a rolling window.

use super::node::{Kernel, Visit, node};
use super::operators::quotient;
use super::order::Sorted;
use super::parts::{finite, full};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::wide;
use super::window::{Largest, Moments, Smallest, Statistic, Windowed};

/// Largest value of a window.
#[derive(Clone, Debug)]
pub struct Max;

impl Statistic for Max {
    type Fold = Largest;

    #[inline]
    fn read(fold: Largest, _x: f64, _length: f64) -> f64 {
        fold.0
    }
}

/// Smallest value of a window.
#[derive(Clone, Debug)]
pub struct Min;

impl Statistic for Min {
    type Fold = Smallest;

    #[inline]
    fn read(fold: Smallest, _x: f64, _length: f64) -> f64 {
        fold.0
    }
}

/// How many standard deviations (`ddof` 0) the newest value lies above the mean of a window.
#[derive(Clone, Debug)]
pub struct ZScore;

impl Statistic for ZScore {
    type Fold = Moments;

    #[inline]
    fn read(fold: Moments, x: f64, _length: f64) -> f64 {
        quotient(fold.distance(x), fold.deviation(0.0))
    }
}

/// Middle value of a window.
#[derive(Clone, Debug)]
pub struct Median(Sorted);

impl Kernel<1, 1> for Median {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.0.push(x).map_or(f64::NAN, |sorted| {
            let half = sorted.len() / 2;
            if sorted.len() % 2 == 1 {
                sorted[half]
            } else {
                f64::midpoint(sorted[half - 1], sorted[half])
            }
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Share of the other values of a window that lie below the newest, ties by half.
#[derive(Clone, Debug)]
pub struct Rank(Sorted);

impl Kernel<1, 1> for Rank {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.0.push(x).map_or(f64::NAN, |sorted| {
            let below = sorted.partition_point(|v| *v < x);
            let equal = sorted[below..].partition_point(|v| *v <= x) - 1;
            share(below as f64, equal as f64, (sorted.len() - 1) as f64)
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn block(&mut self, at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        let (n, others) = (x.len(), (self.0.len() - 1) as f64);
        let placed = wide::scratch(|scratch| {
            let [below, equal] = scratch.columns(n);
            let placed = self.0.places(x, below, equal);
            if placed {
                wide::each([below, equal], y, |[below, equal]| share(below, equal, others));
            }
            placed
        });
        if !placed {
            for ((at, x), y) in at.iter().zip(x).zip(y) {
                [*y] = self.step(*at, [*x]);
            }
        }
    }
}

/// Share of the others that lie below, those that are equal by half.
#[inline]
fn share(below: f64, equal: f64, others: f64) -> f64 {
    (below + 0.5 * equal) / others
}

const X: &[Input] = &[Input::Series("close")];
const PERIOD: &[Parameter] = &[Parameter::window("period", 1, None)];
const PERIOD_FROM_2: &[Parameter] = &[Parameter::window("period", 2, None)];

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "max",
        known_as: &["rolling_max", "highest", "hhv", "donchian_high"],
        family: "rolling",
        inputs: X,
        parameters: PERIOD,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Max>::new(count(p[0]))),
        summary: "Largest value of the last bars",
        formula: "max(x[t - period + 1 ..= t]); +0 counts as larger than -0.",
        source: "As MAX of TA-Lib.",
    },
    Function {
        name: "min",
        known_as: &["rolling_min", "lowest", "llv", "donchian_low"],
        family: "rolling",
        inputs: X,
        parameters: PERIOD,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Min>::new(count(p[0]))),
        summary: "Smallest value of the last bars",
        formula: "min(x[t - period + 1 ..= t]); -0 counts as smaller than +0.",
        source: "As MIN of TA-Lib.",
    },
    Function {
        name: "median",
        known_as: &["rolling_median", "med"],
        family: "rolling",
        inputs: X,
        parameters: PERIOD,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Median(Sorted::new(count(p[0])))),
        summary: "Middle value of the last bars",
        formula: "The middle one of the last period values in order, or the mean of the middle two.",
        source: "Definition.",
    },
    Function {
        name: "rank",
        known_as: &["rolling_rank", "percentile_rank", "ts_rank"],
        family: "rolling",
        inputs: X,
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Rank(Sorted::new(count(p[0])))),
        summary: "Rank of the newest value among the last bars",
        formula: "(below + equal / 2) / (period - 1) over the other period - 1 values; in [0, 1], 0.5 when all are \
                  equal.",
        source: "Definition.",
    },
    Function {
        name: "zscore",
        known_as: &["z_score", "standardize", "standardise", "rolling_zscore"],
        family: "rolling",
        inputs: &[Input::Given],
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<ZScore>::new(count(p[0]))),
        summary: "Distance from the mean of the last bars in standard deviations",
        formula: "(x - mean) / sd over the last period values, sd with ddof 0; NaN where they are all equal.",
        source: "Definition.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn rank_median_and_extremes_by_hand() {
        let x = [3.0, 1.0, 2.0, 2.0, 9.0];
        assert_eq!(single("rank", &[3.0], &[&x])[2..], [0.5, 0.75, 1.0]);
        assert_eq!(single("median", &[3.0], &[&x])[2..], [2.0, 2.0, 2.0]);
        assert_eq!(single("median", &[2.0], &[&x])[1..], [2.0, 1.5, 2.0, 5.5]);
        assert_eq!(single("max", &[3.0], &[&x])[2..], [3.0, 2.0, 9.0]);
        assert_eq!(single("min", &[2.0], &[&x])[1..], [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(single("zscore", &[2.0], &[&x])[1..3], [-1.0, 1.0]);
    }

    #[test]
    fn zeros_of_both_signs_tie_and_are_ordered() {
        let x = [0.0, -0.0, 0.0, -0.0];
        assert_eq!(single("rank", &[3.0], &[&x])[2..], [0.5, 0.5]);
        assert!(single("max", &[2.0], &[&x])[1..].iter().all(|v| v.is_sign_positive()));
        assert!(single("min", &[2.0], &[&x])[1..].iter().all(|v| v.is_sign_negative()));
    }
}
