//! How values of a series hang together: memory, trend, order and disorder.

use std::f64::consts::LN_2;

use super::joint::Pairs;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::order::Sorted;
use super::parts::{ROW, defined, finite, finite_changes, full, full_changes, log_ratio, within};
use super::registry::{Function, Input, Parameter, count};
use super::returns::LogReturn;
use super::volatility::true_range;
use super::window::Windowed;
use super::window::{Delay, Fold, Largest, Moments, Smallest, Statistic, Window, bars};
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

/// Entropy of the counts of a histogram, as a share of the most it can be.
fn entropy(counts: impl Iterator<Item = usize>, total: usize, most: f64) -> f64 {
    let mut sum = 0.0;
    for held in counts.filter(|held| *held > 0) {
        let share = held as f64 / total as f64;
        sum -= share * numeric::ln(share);
    }
    within(sum / numeric::ln(most), 0.0, 1.0)
}

/// Entropy of a histogram between the extremes of a window.
#[derive(Clone)]
struct Shannon {
    window: Sorted,
    bins: usize,
}

impl Kernel<1, 1> for Shannon {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let bins = self.bins;
        [self.window.push(x).map_or(f64::NAN, |sorted| {
            let n = sorted.len();
            let (low, high) = (sorted[0], sorted[n - 1]);
            let width = high - low;
            if !width.is_finite() {
                return f64::NAN;
            }
            if width == 0.0 {
                return 0.0;
            }
            let mut before = 0;
            let counts = (1..=bins).map(|j| {
                let edge = low + width * (j as f64 / bins as f64);
                let end = if j == bins { n } else { sorted.partition_point(|v| *v < edge) };
                let end = if end < before { before } else { end };
                let held = end - before;
                before = end;
                held
            });
            entropy(counts, n, bins as f64)
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.window.visit(state);
    }
}

/// Entropy of the orders in which neighbouring values stand.
#[derive(Clone)]
struct Permutation {
    last: Vec<f64>,
    codes: Vec<f64>,
    next: usize,
    counts: Vec<u32>,
    /// Codes since the last that was none.
    clean: usize,
}

/// In place of the code of values of which one is NaN.
const NONE: f64 = -1.0;

impl Permutation {
    fn new(period: usize, order: usize) -> Self {
        Self {
            last: vec![f64::NAN; order],
            codes: vec![NONE; period + 1 - order],
            next: 0,
            counts: vec![0; (1..=order).product()],
            clean: 0,
        }
    }

    /// Number of the order of the last values, ties by time: Lehmer's code.
    fn code(&self) -> f64 {
        if self.last.iter().any(|x| x.is_nan()) {
            return NONE;
        }
        let order = self.last.len();
        let mut code = 0;
        for i in 0..order {
            let smaller = self.last[i + 1..].iter().filter(|x| **x < self.last[i]).count();
            code = code * (order - i) + smaller;
        }
        code as f64
    }

    fn slot(&mut self, code: f64) -> Option<&mut u32> {
        if code < 0.0 { None } else { self.counts.get_mut(count(code)) }
    }
}

impl Kernel<1, 1> for Permutation {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.last.rotate_left(1);
        if let Some(newest) = self.last.last_mut() {
            *newest = x;
        }
        let code = self.code();
        let gone = std::mem::replace(&mut self.codes[self.next], code);
        self.next = if self.next + 1 == self.codes.len() { 0 } else { self.next + 1 };
        if let Some(held) = self.slot(gone) {
            *held -= 1;
        }
        let total = self.codes.len();
        self.clean = match self.slot(code) {
            Some(held) => {
                *held += 1;
                total.min(self.clean + 1)
            }
            None => 0,
        };
        if self.clean < total {
            return [f64::NAN];
        }
        let counts = self.counts.iter().map(|held| *held as usize);
        [entropy(counts, total, self.counts.len() as f64)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.codes.rotate_left(self.next);
        self.next = 0;
        state.floats(&mut self.last);
        state.floats(&mut self.codes);
        let most = self.counts.len() as f64;
        for code in &mut self.codes {
            // Codes come from a file.
            if !(*code >= 0.0 && *code < most && code.fract() == 0.0) {
                *code = NONE;
            }
        }
        self.counts.fill(0);
        for code in self.codes.clone() {
            if let Some(held) = self.slot(code) {
                *held += 1;
            }
        }
        self.clean = self.codes.iter().rev().take_while(|code| **code >= 0.0).count();
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

/// Distance as a share of the path; rounding may make the path the shorter one.
fn share_of_path(far: f64, path: f64) -> f64 {
    if path == 0.0 { 0.0 } else { within(far.abs() / path, 0.0, 1.0) }
}

/// Kaufman's efficiency ratio.
#[derive(Clone)]
struct Efficiency {
    before: f64,
    delay: Delay,
    path: Window<Sum>,
}

impl Kernel<1, 1> for Efficiency {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let far = x - self.delay.push(x);
        let change = x - std::mem::replace(&mut self.before, x);
        [self.path.push(at, change.abs()).map_or(f64::NAN, |p| share_of_path(far, p.value()))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.delay.visit(state);
        self.path.visit(state);
    }
}

/// Path of true ranges over the range of a window.
#[derive(Clone)]
struct Choppiness {
    before: f64,
    path: Window<Sum>,
    high: Window<Largest>,
    low: Window<Smallest>,
    scale: f64,
}

impl Kernel<3, 1> for Choppiness {
    fn step(&mut self, at: i64, [high, low, close]: [f64; 3]) -> [f64; 1] {
        let before = std::mem::replace(&mut self.before, close);
        let term = true_range(high, low, before);
        // The larger and smaller of two let a NaN close pass.
        let term = if before.is_nan() { f64::NAN } else { term };
        let folds = (self.path.push(at, term), self.high.push(at, high), self.low.push(at, low));
        let (Some(path), Some(high), Some(low)) = folds else { return [f64::NAN] };
        [self.scale * log_ratio(path.value(), high.0 - low.0)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.path.visit(state);
        self.high.visit(state);
        self.low.visit(state);
    }
}

/// Ranges of two halves of a window against that of the whole.
#[derive(Clone)]
struct Fractal {
    high: Windowed<Highest>,
    low: Windowed<Lowest>,
    older: [Delay; 2],
}

#[derive(Clone)]
struct Highest;

impl Statistic for Highest {
    type Fold = Largest;

    fn read(fold: Largest, _x: f64, _length: f64) -> f64 {
        fold.0
    }
}

#[derive(Clone)]
struct Lowest;

impl Statistic for Lowest {
    type Fold = Smallest;

    fn read(fold: Smallest, _x: f64, _length: f64) -> f64 {
        fold.0
    }
}

impl Kernel<2, 1> for Fractal {
    fn step(&mut self, at: i64, [high, low]: [f64; 2]) -> [f64; 1] {
        let ([high], [low]) = (self.high.step(at, [high]), self.low.step(at, [low]));
        let [old_high, old_low] = &mut self.older;
        let (old_high, old_low) = (old_high.push(high), old_low.push(low));
        let halves = (high - low) + (old_high - old_low);
        let whole = numeric::max(high, old_high) - numeric::min(low, old_low);
        // Each half spans half as many bars, so its steps count double.
        let whole = if halves.is_nan() { f64::NAN } else { 0.5 * whole };
        [log_ratio(halves, whole) / LN_2]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
        for delay in &mut self.older {
            delay.visit(state);
        }
    }
}

const X: &[Input] = &[Input::Series("close")];
const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];

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
        name: "entropy",
        known_as: &["shannon_entropy"],
        inputs: &[Input::Given],
        parameters: &[
            Parameter::window("period", 2, Some(100.0)),
            Parameter::window("bins", 2, Some(10.0)),
        ],
        build: |p| node(Shannon { window: Sorted::new(count(p[0])), bins: count(p[1]) }),
        summary: "Entropy of the histogram of the last bars",
        formula: "-sum(s ln s) / ln(bins), s the shares of the last period values in bins of equal width between the \
                  smallest and the largest, the j-th from min + (max - min) (j - 1) / bins on; in [0, 1], 0 where all are \
                  equal. Of returns: entropy(log_return(1), 100).",
        source: "C. Shannon, A Mathematical Theory of Communication, 1948.",
        ..ONE
    },
    Function {
        name: "permutation_entropy",
        known_as: &["ordinal_entropy"],
        parameters: &[
            Parameter::window("period", 3, Some(100.0)),
            Parameter {
                name: "order",
                kind: super::registry::Kind::Whole(2, 7),
                default: Some(3.0),
            },
        ],
        check: |p| {
            (p[1] >= p[0]).then_some("`order` of permutation_entropy must be below `period`")
        },
        build: |p| node(Permutation::new(count(p[0]), count(p[1]))),
        summary: "Entropy of the orders of neighbouring values",
        formula: "-sum(s ln s) / ln(order!), s the shares of the orders in which the period - order + 1 runs of order \
                  neighbours of the last period values stand, ties by time; in [0, 1].",
        source: "C. Bandt and B. Pompe, Permutation Entropy, Physical Review Letters 88, 2002.",
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
    Function {
        name: "efficiency_ratio",
        known_as: &["kaufman_efficiency", "fractal_efficiency"],
        parameters: &[Parameter::window("period", 2, Some(10.0))],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let n = count(p[0]);
            node(Efficiency { before: f64::NAN, delay: Delay::new(n), path: Window::new(n) })
        },
        summary: "Distance covered as a share of the path",
        formula: "|x[t] - x[t - period]| / sum of |x[i] - x[i - 1]| over the last period changes; in [0, 1], 0 where \
                  nothing moved.",
        source: "P. Kaufman, Trading Systems and Methods, 1995.",
        ..ONE
    },
    Function {
        name: "choppiness",
        known_as: &["choppiness_index", "chop"],
        inputs: HIGH_LOW_CLOSE,
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let n = count(p[0]);
            node(Choppiness {
                before: f64::NAN,
                path: Window::new(n),
                high: Window::new(n),
                low: Window::new(n),
                scale: 100.0 / numeric::ln(p[0]),
            })
        },
        summary: "How much of the movement leads nowhere",
        formula: "100 ln(sum of true ranges / (highest high - lowest low)) / ln(period) over period bars; about 0 in a \
                  straight move, 100 in a range, above 100 only by the close before the window; NaN where the range is 0.",
        source: "E. Dreiss, Choppiness Index, 1992.",
        ..ONE
    },
    Function {
        name: "fractal_dimension",
        known_as: &["frama_dimension"],
        inputs: &[Input::Column("high"), Input::Column("low")],
        parameters: &[Parameter::window("half", 1, Some(8.0))],
        memory: |p| Memory::Finite(2 * bars(p[0])),
        warmup: |p| 2 * bars(p[0]) - 1,
        build: |p| {
            let n = count(p[0]);
            node(Fractal {
                high: Windowed::new(n),
                low: Windowed::new(n),
                older: [Delay::new(n), Delay::new(n)],
            })
        },
        summary: "Fractal dimension by the ranges of two halves",
        formula: "log2((a + b) / (r / 2)), a and b the ranges (highest high - lowest low) of the last half bars and of the \
                  half before, r that of both; about 1 in a straight move, 2 in a range; NaN where a range is 0.",
        source: "J. Ehlers, FRAMA - Fractal Adaptive Moving Average, 2005.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn orders_and_histograms_by_hand() {
        // Orders of three: up, up, peak, valley; four runs in three kinds.
        let x = [1.0, 2.0, 3.0, 4.0, 2.0, 3.0];
        let got = single("permutation_entropy", &[6.0, 3.0], &[&x])[5];
        let want = (0.5 * 2_f64.ln() + 0.5 * 4_f64.ln()) / 6_f64.ln();
        assert!((got - want).abs() < 1e-15);
        // Halves of [1, 4]: 1, 2 below 2.5; 3, 4 above.
        assert_eq!(single("entropy", &[4.0, 2.0], &[&x])[3], 1.0);
        assert_eq!(single("entropy", &[3.0, 9.0], &[&[2.0; 4]])[2..], [0.0, 0.0]);
    }

    #[test]
    fn lines_and_paths_by_hand() {
        let x = [1.0, 2.0, 3.0, 2.0];
        let got = all("trend_fit", &[3.0], &[&x]);
        assert_eq!((got[0][2], got[1][2]), (0.5, 1.0));
        assert_eq!((got[0][3], got[1][3]), (0.0, 0.0));
        assert_eq!(single("efficiency_ratio", &[2.0], &[&x])[2..], [1.0, 0.0]);
        let got = single("autocorrelation", &[4.0, 1.0], &[&[1.0, -1.0, 1.0, -1.0]]);
        assert_eq!(got[3], -0.75);
        let flat = [1.0; 4];
        assert_eq!(single("fractal_dimension", &[1.0], &[&[2.0; 4], &flat])[1..], [2.0; 3]);
    }
}
