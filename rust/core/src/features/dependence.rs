//! How values of a series hang together: memory, lines and the way back to a mean.

use std::f64::consts::LN_2;

use super::joint::Pairs;
use super::node::{Kernel, Visit, node};
use super::operators::quotient;
use super::parts::{ROW, finite, finite_changes, full, full_changes, within};
use super::registry::{Function, Input, Parameter, count};
use super::returns::LogReturn;
use super::undefined::defined;
use super::window::{Delay, Fold, Moments, Window};
use crate::numeric::{self, Sum};

/// Autocorrelation with the mean and the variance of the whole window.
#[derive(Clone)]
struct Autocorrelation {
    whole: Window<Moments>,
    pairs: Pairs,
    delay: Delay,
    length: f64,
    overlap: f64,
}

impl Kernel<1, 1> for Autocorrelation {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let pairs = self.pairs.push(at, [x, self.delay.push(x)]);
        let whole = self.whole.push(at, x);
        let (Some(pairs), Some(whole)) = (pairs, whole) else { return [f64::NAN] };
        let [_, _, common] = pairs.central();
        // The parts have means of their own, the definition takes that of the whole.
        let [new, old] = pairs.means().map(|mean| whole.distance(mean));
        let deviation = whole.deviation(0.0);
        let spread = self.length * deviation * deviation;
        [defined(quotient(common + self.overlap * new * old, spread))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.whole.visit(state);
        self.pairs.visit(state);
        self.delay.visit(state);
    }
}

/// Variance of long returns over that of short ones.
#[derive(Clone)]
struct VarianceRatio {
    short: LogReturn,
    long: LogReturn,
    shorts: Window<Moments>,
    longs: Window<Moments>,
    length: f64,
    lag: f64,
}

impl Kernel<1, 1> for VarianceRatio {
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 1] {
        let ([short], [long]) = (self.short.step(at, x), self.long.step(at, x));
        let folds = (self.shorts.push(at, short), self.longs.push(at, long));
        let (Some(shorts), Some(longs)) = folds else { return [f64::NAN] };
        let (n, q) = (self.length, self.lag);
        let (a, c) = (shorts.deviation(1.0), longs.deviation(0.0));
        let off = longs.distance(q * shorts.mean());
        let (short, overlap) = (a * a, n - q + 1.0);
        let long = overlap * (c * c + off * off) / (q * overlap * (1.0 - q / n));
        [defined(quotient(long, short))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.short.visit(state);
        self.long.visit(state);
        self.shorts.visit(state);
        self.longs.visit(state);
    }
}

/// Growth of squared differences with their span.
#[derive(Clone)]
struct Hurst {
    spans: Vec<(Delay, Window<Sum>, f64)>,
}

impl Hurst {
    fn new(period: usize) -> Self {
        let spans = std::iter::successors(Some(1_usize), |span| Some(2 * span));
        let spans = spans.take_while(|span| 4 * span <= period);
        Self {
            spans: spans
                .map(|span| {
                    let held = period - span;
                    (Delay::new(span), Window::new(held), held as f64)
                })
                .collect(),
        }
    }
}

impl Kernel<1, 1> for Hurst {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let value = if x > 0.0 { numeric::ln(x) } else { f64::NAN };
        let centre = 0.5 * (self.spans.len() - 1) as f64;
        let (mut known, mut product, mut squares) = (true, 0.0, 0.0);
        for (i, (delay, window, held)) in self.spans.iter_mut().enumerate() {
            let change = value - delay.push(value);
            let Some(fold) = window.push(at, change * change) else {
                known = false;
                continue;
            };
            let mean = fold.value() / *held;
            let place = i as f64 - centre;
            product += place * if mean > 0.0 { numeric::ln(mean) } else { f64::NAN };
            squares += place * place;
        }
        // A slope of 2 H over the logarithms of the spans, which lie ln 2 apart.
        [if known { defined(product / (2.0 * LN_2 * squares)) } else { f64::NAN }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for (delay, window, _) in &mut self.spans {
            delay.visit(state);
            window.visit(state);
        }
    }
}

/// Sums for a line over the places 0, 1, ... of a window's values, oldest first, about a pivot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    n: f64,
    pivot: f64,
    sum: Sum,
    squares: Sum,
    /// Places times differences.
    placed: Sum,
}

impl Fold for Line {
    fn append(&mut self, x: f64) {
        if self.n == 0.0 {
            self.pivot = x;
        }
        let d = x - self.pivot;
        self.placed.add(self.n * d);
        self.n += 1.0;
        self.sum.add(d);
        self.squares.add(d * d);
    }

    fn prepend(&mut self, x: f64) {
        if self.n == 0.0 {
            self.pivot = x;
        }
        // All others move up by one place.
        self.placed = self.placed.with(self.sum);
        let d = x - self.pivot;
        self.n += 1.0;
        self.sum.add(d);
        self.squares.add(d * d);
    }

    fn join(self, newer: Self) -> Self {
        if self.n == 0.0 {
            return newer;
        }
        let (n, h, sum) = (newer.n, newer.pivot - self.pivot, newer.sum.value());
        let mut joint = Self {
            n: self.n + n,
            pivot: self.pivot,
            sum: self.sum.with(newer.sum),
            squares: self.squares.with(newer.squares),
            placed: self.placed.with(newer.placed),
        };
        joint.placed.add(0.5 * h * n * (n - 1.0));
        joint.placed.add(self.n * (sum + n * h));
        joint.sum.add(n * h);
        joint.squares.add(h * (2.0 * sum + n * h));
        joint
    }
}

/// Slope as a share of the mean, and share of the variance that the line explains.
#[derive(Clone)]
struct TrendFit(Window<Line>);

impl Kernel<1, 2> for TrendFit {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 2] {
        let Some(line) = self.0.push(at, x) else { return [f64::NAN; 2] };
        let (n, sum) = (line.n, line.sum.value());
        let common = line.placed.value() - 0.5 * (n - 1.0) * sum;
        let places = n * (n * n - 1.0) / 12.0;
        let spread = line.squares.value() - sum * sum / n;
        let slope = common / places;
        let explained = if spread > 0.0 { quotient(slope * common, spread) } else { f64::NAN };
        [defined(quotient(slope, line.pivot + sum / n)), within(defined(explained), 0.0, 1.0)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Share of a spread that counts as none: what rounding leaves of one that is 0.
pub(super) const NOTHING: f64 = 1e-13;

/// Regression of changes on levels.
#[derive(Clone)]
struct Reversion {
    before: f64,
    pairs: Pairs,
    length: f64,
}

impl Kernel<1, 2> for Reversion {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 2] {
        let before = std::mem::replace(&mut self.before, x);
        let Some(fold) = self.pairs.push(at, [x - before, before]) else { return [f64::NAN; 2] };
        let [changes, levels, common] = fold.central();
        let speed = quotient(common, levels);
        let left = changes - speed * common;
        let left = if left > NOTHING * changes { left } else { 0.0 };
        let error = (left / (self.length - 2.0) / levels).sqrt();
        let score = defined(quotient(speed, error));
        [defined(speed), score]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.pairs.visit(state);
    }
}

const X: &[Input] = &[Input::Series("close")];

const ONE: Function = Function {
    family: "dependence",
    inputs: X,
    parameters: &[Parameter::window("period", 3, Some(20.0))],
    memory: finite,
    warmup: full,
    ..ROW
};

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "autocorrelation",
        known_as: &["acf", "autocorr", "serial_correlation"],
        inputs: &[Input::Given],
        parameters: &[
            Parameter::window("period", 3, Some(50.0)),
            Parameter::window("lag", 1, Some(1.0)),
        ],
        check: |p| {
            (p[1] + 2.0 > p[0])
                .then_some("`lag` of autocorrelation must be at least 2 below `period`")
        },
        build: |p| {
            node(Autocorrelation {
                whole: Window::new(count(p[0])),
                pairs: Pairs::new(count(p[0] - p[1])),
                delay: Delay::new(count(p[1])),
                length: p[0],
                overlap: p[0] - p[1],
            })
        },
        summary: "Correlation of a series with its own past",
        formula: "sum of (x[i] - m) (x[i - lag] - m) over the period - lag pairs of the window / sum of (x[i] - m)^2, m \
                  the mean of the last period values; in [-1, 1], NaN where nothing moved.",
        source: "Definition; as statsmodels.tsa.stattools.acf with adjusted=False.",
        ..ONE
    },
    Function {
        name: "variance_ratio",
        known_as: &["lo_mackinlay"],
        parameters: &[
            Parameter::window("period", 4, Some(100.0)),
            Parameter::window("lag", 2, Some(2.0)),
        ],
        memory: finite_changes,
        warmup: full_changes,
        check: |p| {
            (2.0 * p[1] > p[0])
                .then_some("`lag` of variance_ratio must be at most half of `period`")
        },
        build: |p| {
            node(VarianceRatio {
                short: LogReturn::new(1),
                long: LogReturn::new(count(p[1])),
                shorts: Window::new(count(p[0])),
                longs: Window::new(count(p[0] - p[1]) + 1),
                length: p[0],
                lag: p[1],
            })
        },
        summary: "Variance of long returns over that of short ones",
        formula: "Variance of log returns over lag bars, overlapping, divided by lag times that of one-bar returns, over \
                  the last n = period one-bar returns; the first divides by lag (n - lag + 1) (1 - lag / n), the second by \
                  n - 1. 1 for a random walk, above it where moves go on; >= 0, NaN where nothing moved.",
        source: "A. Lo and C. MacKinlay, Stock Market Prices Do Not Follow Random Walks, Review of Financial Studies 1, \
                 1988; as arch.unitroot.VarianceRatio.",
        ..ONE
    },
    Function {
        name: "hurst",
        known_as: &["hurst_exponent"],
        parameters: &[Parameter::window("period", 8, Some(100.0))],
        build: |p| node(Hurst::new(count(p[0]))),
        summary: "Hurst exponent by the growth of squared differences",
        formula: "Half the slope of ln(mean((y[i] - y[i - s])^2)) on ln(s) with y = ln(x), over the spans s = 1, 2, 4, ... \
                  up to period / 4 and all differences inside the last period values. About 0.5 for a random walk, below \
                  for a reverting, above for a trending series; NaN where nothing moved over a span.",
        source: "Structure function of order 2 (variance of differences, not rescaled range): T. Di Matteo, Multi-Scaling \
                 in Finance, Quantitative Finance 7, 2007.",
        ..ONE
    },
    Function {
        name: "trend_fit",
        known_as: &["linear_trend", "trend_r2"],
        outputs: &["slope", "r2"],
        build: |p| node(TrendFit(Window::new(count(p[0])))),
        summary: "Line through the last bars: relative slope, and how well it fits",
        formula: "slope = least-squares slope over the last period values / their mean, a fraction per bar, NaN where that \
                  is 0; r2 = share of their variance on the line, in [0, 1], NaN where they are all equal.",
        source: "Definition; as scipy.stats.linregress.",
        ..ONE
    },
    Function {
        name: "mean_reversion",
        known_as: &["dickey_fuller", "ornstein_uhlenbeck", "half_life"],
        parameters: &[Parameter::window("period", 4, Some(100.0))],
        outputs: &["speed", "t"],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            node(Reversion { before: f64::NAN, pairs: Pairs::new(count(p[0])), length: p[0] })
        },
        summary: "How fast a series returns to its mean",
        formula: "Least squares of x[i] - x[i - 1] on x[i - 1] with a constant over the last period changes: speed is the \
                  slope, per bar (a half-life is -ln 2 / ln(1 + speed) where speed lies in (-1, 0)), t its Student \
                  statistic, that of Dickey's and Fuller's test without lags; NaN where x or what is left does not move.",
        source: "D. Dickey and W. Fuller, 1979; as statsmodels.tsa.stattools.adfuller with maxlag=0.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn lines_by_hand() {
        let x = [1.0, 2.0, 3.0, 2.0];
        let got = all("trend_fit", &[3.0], &[&x]);
        assert_eq!((got[0][2], got[1][2]), (0.5, 1.0));
        assert_eq!((got[0][3], got[1][3]), (0.0, 0.0));
        let got = single("autocorrelation", &[4.0, 1.0], &[&[1.0, -1.0, 1.0, -1.0]]);
        assert_eq!(got[3], -0.75);
    }
}
