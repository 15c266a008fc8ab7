//! Shape of the values of a window: moments beyond the second, and what their order tells.

use super::node::{Kernel, Node, Visit, node};
use super::operators::quotient;
use super::order::Sorted;
use super::parts::{ROW, finite, full};
use super::registry::{Function, Input, Kind, Parameter, count};
use super::undefined::defined;
use super::window::{Fold, Moments, Statistic, Windowed};
use crate::numeric::Sum;

/// Sums of the first four powers of differences to a pivot of the window; see `Moments`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Powers {
    n: f64,
    pivot: f64,
    sums: [Sum; 4],
}

impl Powers {
    /// Second to fourth central moments.
    fn central(self) -> [f64; 3] {
        let n = self.n;
        let [a, b, c, d] = self.sums.map(|sum| sum.value() / n);
        let second = b - a * a;
        [
            if second < 0.0 { 0.0 } else { second },
            c - a * (3.0 * b - 2.0 * a * a),
            d - a * (4.0 * c - a * (6.0 * b - 3.0 * a * a)),
        ]
    }
}

impl Fold for Powers {
    fn append(&mut self, x: f64) {
        if self.n == 0.0 {
            self.pivot = x;
        }
        let d = x - self.pivot;
        self.n += 1.0;
        let mut power = 1.0;
        for sum in &mut self.sums {
            power *= d;
            sum.add(power);
        }
    }

    fn prepend(&mut self, x: f64) {
        self.append(x);
    }

    fn join(self, newer: Self) -> Self {
        if self.n == 0.0 {
            return newer;
        }
        let (n, h) = (newer.n, newer.pivot - self.pivot);
        let [a, b, c, _] = newer.sums.map(Sum::value);
        let mut joint = self;
        joint.n += n;
        for (sum, more) in joint.sums.iter_mut().zip(newer.sums) {
            *sum = sum.with(more);
        }
        let h2 = h * h;
        for (sum, shift) in joint.sums.iter_mut().zip([
            n * h,
            h * (2.0 * a + n * h),
            h * (3.0 * b + 3.0 * h * a + n * h2),
            h * (4.0 * c + 6.0 * h * b + h2 * (4.0 * a + n * h)),
        ]) {
            sum.add(shift);
        }
        joint
    }
}

/// Adjusted Fisher-Pearson skewness.
#[derive(Clone, Debug)]
struct Skewness;

impl Statistic for Skewness {
    type Fold = Powers;

    fn read(fold: Powers, _x: f64, n: f64) -> f64 {
        let [m2, m3, _] = fold.central();
        let plain = quotient(quotient(m3, m2), m2.sqrt());
        defined((n * (n - 1.0)).sqrt() / (n - 2.0) * plain)
    }
}

/// Unbiased excess kurtosis.
#[derive(Clone, Debug)]
struct Kurtosis;

impl Statistic for Kurtosis {
    type Fold = Powers;

    fn read(fold: Powers, _x: f64, n: f64) -> f64 {
        let [m2, _, m4] = fold.central();
        let excess = quotient(quotient(m4, m2), m2) - 3.0;
        defined((n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * excess + 6.0))
    }
}

/// Standard deviation (`ddof` 1) as a share of the mean.
#[derive(Clone, Debug)]
struct Variation;

impl Statistic for Variation {
    type Fold = Moments;

    fn read(fold: Moments, _x: f64, _n: f64) -> f64 {
        defined(quotient(fold.deviation(1.0), fold.mean()))
    }
}

/// Value at a share of the order, between the two around it by their distance.
fn at_share(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = count(place).min(sorted.len() - 1);
    let above = (below + 1).min(sorted.len() - 1);
    let part = place - below as f64;
    if part == 0.0 {
        return sorted[below];
    }
    defined(sorted[below] + part * (sorted[above] - sorted[below]))
}

fn middle(sorted: &[f64]) -> f64 {
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    f64::midpoint(low, high)
}

/// Median of the distances from `centre`, a value between the smallest and largest.
///
/// Distances fall towards the centre and rise behind it; the smallest so many of them belong to neighbours, whose first
/// one is found by halving.
fn median_distance(sorted: &[f64], centre: f64) -> f64 {
    let n = sorted.len();
    let nth = |k: usize| {
        // The k + 1 nearest values lie side by side; find where they begin.
        let (mut low, mut high) = (0, n - k - 1);
        while low < high {
            let half = usize::midpoint(low, high);
            if centre - sorted[half] > sorted[half + k + 1] - centre {
                low = half + 1;
            } else {
                high = half;
            }
        }
        let (left, right) = (centre - sorted[low], sorted[low + k] - centre);
        if left > right { left } else { right }
    };
    f64::midpoint(nth((n - 1) / 2), nth(n / 2))
}

/// A function of the values of a window in ascending order, and of the newest.
#[derive(Clone)]
struct Ordered<F> {
    window: Sorted,
    read: F,
}

impl<F: Fn(&[f64], f64) -> f64 + Clone + Send + Sync + 'static> Kernel<1, 1> for Ordered<F> {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.window.push(x).map_or(f64::NAN, |sorted| (self.read)(sorted, x))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.window.visit(state);
    }
}

fn ordered(
    period: f64,
    read: impl Fn(&[f64], f64) -> f64 + Clone + Send + Sync + 'static,
) -> Box<dyn Node> {
    node(Ordered { window: Sorted::new(count(period)), read })
}

/// Standard deviations of a normal distribution in its median distance from the median.
const NORMAL: f64 = 1.482_602_218_505_602;

const X: &[Input] = &[Input::Series("close")];

const fn period(least: u32) -> [Parameter; 1] {
    [Parameter::window("period", least, None)]
}

const ONE: Function = Function {
    family: "distribution",
    inputs: X,
    parameters: &period(1),
    memory: finite,
    warmup: full,
    ..ROW
};

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "skewness",
        known_as: &["skew", "rolling_skew"],
        parameters: &period(3),
        build: |p| node(Windowed::<Skewness>::new(count(p[0]))),
        summary: "Skewness of the last bars",
        formula: "sqrt(n (n - 1)) / (n - 2) * m3 / m2^1.5 over the last n = period values, m2 and m3 their central \
                  moments; dimensionless, NaN where they are all equal.",
        source: "Adjusted Fisher-Pearson coefficient; as rolling().skew() of pandas, which gives 0 where all are equal.",
        ..ONE
    },
    Function {
        name: "kurtosis",
        known_as: &["kurt", "rolling_kurt"],
        parameters: &period(4),
        build: |p| node(Windowed::<Kurtosis>::new(count(p[0]))),
        summary: "Excess kurtosis of the last bars",
        formula: "(n - 1) / ((n - 2) (n - 3)) * ((n + 1) (m4 / m2^2 - 3) + 6) over the last n = period values, m2 and m4 \
                  their central moments; dimensionless, 0 for a normal distribution, NaN where they are all equal.",
        source: "Unbiased G2; as rolling().kurt() of pandas, which gives -3 where all are equal.",
        ..ONE
    },
    Function {
        name: "quantile",
        known_as: &["rolling_quantile"],
        parameters: &[
            Parameter::window("period", 1, None),
            Parameter { name: "q", kind: Kind::Within(0.0, 1.0), default: Some(0.5) },
        ],
        build: |p| {
            let q = p[1];
            ordered(p[0], move |sorted, _| at_share(sorted, q))
        },
        summary: "Quantile of the last bars",
        formula: "Value at place q (period - 1) of the last period values in ascending order, counted from 0, between two \
                  of them by their distance; in the unit of x.",
        source: "Definition 7 of R. Hyndman and Y. Fan, 1996; as numpy.quantile.",
        ..ONE
    },
    Function {
        name: "iqr",
        known_as: &["interquartile_range"],
        parameters: &period(2),
        build: |p| {
            ordered(p[0], |sorted, _| defined(at_share(sorted, 0.75) - at_share(sorted, 0.25)))
        },
        summary: "Distance between the quartiles of the last bars",
        formula: "quantile(x, period, 0.75) - quantile(x, period, 0.25); >= 0, in the unit of x.",
        source: "Definition; as scipy.stats.iqr.",
        ..ONE
    },
    Function {
        name: "mad",
        known_as: &["median_absolute_deviation"],
        parameters: &period(2),
        build: |p| ordered(p[0], |sorted, _| defined(median_distance(sorted, middle(sorted)))),
        summary: "Median distance from the median of the last bars",
        formula: "median(|x - median(x)|) over the last period values; >= 0, in the unit of x. Times 1.4826 it is the \
                  standard deviation of a normal distribution.",
        source: "F. Hampel, 1974; as scipy.stats.median_abs_deviation.",
        ..ONE
    },
    Function {
        name: "robust_zscore",
        known_as: &["modified_zscore", "mad_zscore"],
        inputs: &[Input::Given],
        parameters: &period(3),
        build: |p| {
            ordered(p[0], |sorted, x| {
                let centre = middle(sorted);
                defined(quotient(x - centre, NORMAL * median_distance(sorted, centre)))
            })
        },
        summary: "Distance from the median in median distances",
        formula: "(x - median) / (1.4826 mad) over the last period values; dimensionless, NaN where more than half of \
                  them are equal.",
        source: "B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers, 1993.",
        ..ONE
    },
    Function {
        name: "quantile_skew",
        known_as: &["bowley_skewness"],
        parameters: &period(3),
        build: |p| {
            ordered(p[0], |sorted, _| {
                let (low, high) = (at_share(sorted, 0.25), at_share(sorted, 0.75));
                let centre = middle(sorted);
                defined(quotient((high - centre) - (centre - low), high - low))
            })
        },
        summary: "Skewness by quartiles of the last bars",
        formula: "(q75 + q25 - 2 median) / (q75 - q25) over the last period values; in [-1, 1], NaN where the quartiles \
                  meet.",
        source: "A. Bowley, Elements of Statistics, 1901.",
        ..ONE
    },
    Function {
        name: "variation",
        known_as: &["coefficient_of_variation"],
        parameters: &period(2),
        build: |p| node(Windowed::<Variation>::new(count(p[0]))),
        summary: "Standard deviation as a share of the mean of the last bars",
        formula: "sd / mean over the last period values, sd with ddof 1; a fraction, NaN where the mean is 0.",
        source: "Definition; as scipy.stats.variation with ddof 1.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use super::super::contract::{Random, single};
    use super::*;

    #[test]
    fn shapes_by_hand() {
        let x = [1.0, 2.0, 3.0, 10.0, 4.0];
        assert_eq!(single("quantile", &[4.0, 0.5], &[&x])[3], 2.5);
        assert_eq!(single("quantile", &[4.0, 1.0], &[&x])[3..], [10.0, 10.0]);
        assert_eq!(single("quantile", &[3.0, 0.25], &[&x])[2], 1.5);
        assert_eq!(single("iqr", &[3.0], &[&x])[2], 1.0);
        assert_eq!(single("mad", &[4.0], &[&x])[3], 1.0);
        assert_eq!(single("skewness", &[3.0], &[&x])[2], 0.0);
        // 1, 2, 3, 10: m2 = 12.5, m4 = 348.5.
        let want = 3.0 / 2.0 * (5.0 * (348.5 / 156.25 - 3.0) + 6.0);
        assert!((single("kurtosis", &[4.0], &[&x])[3] - want).abs() < 1e-13);
    }

    #[test]
    fn median_distance_equals_sorting() {
        let mut random = Random(3);
        for n in 1..40 {
            for _ in 0..50 {
                let mut x: Vec<f64> = (0..n).map(|_| random.below(12) as f64 - 3.0).collect();
                x.sort_unstable_by(f64::total_cmp);
                let centre = middle(&x);
                let mut far: Vec<f64> = x.iter().map(|v| (v - centre).abs()).collect();
                far.sort_unstable_by(f64::total_cmp);
                assert_eq!(median_distance(&x, centre), middle(&far), "{x:?}");
            }
        }
    }
}
