//! Statistics of a window: sums, spreads, lines, and of two series together.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::oscillators::Extreme;
use super::registry::{Function, Input, Parameter, consistent, count};
use super::undefined::{defined, whole};
use super::window::{Fold, Largest, Moments, Smallest, Statistic, Window, Windowed, bars};
use crate::numeric::{self, Sum};

/// Sum of a window.
#[derive(Clone, Debug)]
pub struct Total;

impl Statistic for Total {
    type Fold = Sum;

    #[inline]
    fn read(fold: Sum, _x: f64, _length: f64) -> f64 {
        defined(fold.value())
    }
}

/// Variance of a window (`ddof` 0).
#[derive(Clone, Debug)]
pub struct Variance;

impl Statistic for Variance {
    type Fold = Moments;

    #[inline]
    fn read(fold: Moments, _x: f64, _length: f64) -> f64 {
        let deviation = fold.deviation(0.0);
        defined(deviation * deviation)
    }
}

/// Mean distance of the values of a window from their mean.
#[derive(Clone, Debug)]
pub struct AverageDeviation {
    window: Window<Moments>,
    length: f64,
}

impl Kernel<1, 1> for AverageDeviation {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.window.push(at, x).map_or(f64::NAN, |fold| {
            let mean = fold.mean();
            let mut spread = 0.0;
            for x in self.window.values() {
                spread += (x - mean).abs();
            }
            defined(spread / self.length)
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.window.visit(state);
    }
}

/// Sums for a straight line through a window, of differences to one of its values.
///
/// The common offset of the values is taken away before anything is summed, so that small slopes of large values keep
/// their digits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    n: f64,
    pivot: f64,
    sum: Sum,
    /// With weights 0, 1, ... from the oldest.
    weighted: Sum,
}

impl Line {
    /// Slope, and the line's height at the newest bar.
    fn fit(self) -> [f64; 2] {
        let Self { n, pivot, .. } = self;
        let (sum, middle) = (self.sum.value(), 0.5 * (n - 1.0));
        // Sum of squares of the places about their middle.
        let spread = n * (n * n - 1.0) / 12.0;
        let slope = (self.weighted.value() - middle * sum) / spread;
        [slope, pivot + (sum / n + slope * middle)]
    }
}

impl Fold for Line {
    fn append(&mut self, x: f64) {
        if self.n == 0.0 {
            self.pivot = x;
        }
        let d = x - self.pivot;
        self.sum.add(d);
        self.weighted.add(self.n * d);
        self.n += 1.0;
    }

    fn prepend(&mut self, x: f64) {
        if self.n == 0.0 {
            self.pivot = x;
        }
        // Every value held gains one in weight, the new one has weight 0.
        self.weighted = self.weighted.with(self.sum);
        self.sum.add(x - self.pivot);
        self.n += 1.0;
    }

    fn join(self, newer: Self) -> Self {
        if self.n == 0.0 {
            return newer;
        }
        if newer.n == 0.0 {
            return self;
        }
        let shift = newer.pivot - self.pivot;
        let mut sum = self.sum.with(newer.sum);
        sum.add(newer.n * shift);
        let mut weighted = self.weighted.with(newer.weighted);
        weighted.add(self.n * newer.sum.value());
        weighted.add(shift * newer.n * (self.n + 0.5 * (newer.n - 1.0)));
        Self { n: self.n + newer.n, pivot: self.pivot, sum, weighted }
    }
}

/// What a function makes of slope, height at the newest bar, and length of the line through a window.
#[derive(Clone, Debug)]
pub struct Regression<F> {
    window: Window<Line>,
    length: f64,
    read: F,
}

impl<F> Regression<F> {
    /// Over `period` values; `read` takes slope, height at the newest bar, and the period.
    pub fn new(period: f64, read: F) -> Self {
        Self { window: Window::new(count(period)), length: period, read }
    }
}

impl<F> Kernel<1, 1> for Regression<F>
where
    F: Fn(f64, f64, f64) -> f64 + Clone + Send + Sync + 'static,
{
    #[inline]
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.window.push(at, x).map_or(f64::NAN, |line| {
            let [slope, end] = line.fit();
            defined((self.read)(slope, end, self.length))
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.window.visit(state);
    }
}

/// Number and sums of squares and products of pairs, from differences to one pair of the window.
///
/// A window takes one number at a time: a pair is pushed as two, the first waits for the second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair {
    n: f64,
    half: bool,
    waits: f64,
    pivots: [f64; 2],
    sums: [Sum; 2],
    /// Of the first squared, the second squared, and both.
    products: [Sum; 3],
}

impl Pair {
    fn take(&mut self, x: f64, y: f64) {
        if self.n == 0.0 {
            self.pivots = [x, y];
        }
        let (dx, dy) = (x - self.pivots[0], y - self.pivots[1]);
        self.n += 1.0;
        self.sums[0].add(dx);
        self.sums[1].add(dy);
        for (sum, product) in self.products.iter_mut().zip([dx * dx, dy * dy, dx * dy]) {
            sum.add(product);
        }
    }

    /// Spread of the first, of the second, and of both together.
    fn spreads(self) -> [f64; 3] {
        let [x, y] = self.sums.map(Sum::value);
        let [xx, yy, xy] = self.products.map(Sum::value);
        [xx - x * x / self.n, yy - y * y / self.n, xy - x * y / self.n]
    }
}

impl Fold for Pair {
    fn append(&mut self, x: f64) {
        if self.half {
            self.take(self.waits, x);
        }
        (self.half, self.waits) = (!self.half, x);
    }

    fn prepend(&mut self, x: f64) {
        if self.half {
            self.take(x, self.waits);
        }
        (self.half, self.waits) = (!self.half, x);
    }

    fn join(self, newer: Self) -> Self {
        if self.n == 0.0 {
            return newer;
        }
        let mut all = self;
        let shift = [newer.pivots[0] - self.pivots[0], newer.pivots[1] - self.pivots[1]];
        let later = newer.sums.map(Sum::value);
        let n = newer.n;
        for k in 0..2 {
            all.sums[k] = self.sums[k].with(newer.sums[k]);
            all.sums[k].add(n * shift[k]);
            all.products[k] = self.products[k].with(newer.products[k]);
            all.products[k].add(shift[k] * (2.0 * later[k] + n * shift[k]));
        }
        all.products[2] = self.products[2].with(newer.products[2]);
        all.products[2].add(shift[0] * later[1]);
        all.products[2].add(shift[1] * (later[0] + n * shift[0]));
        all.n += n;
        all
    }
}

/// A window of pairs.
#[derive(Clone, Debug)]
pub struct Pairs(Window<Pair>);

impl Pairs {
    /// The last `length` pairs.
    pub fn new(length: usize) -> Self {
        Self(Window::new(2 * length))
    }

    /// Takes the pair of the bar at `at`; the fold where there are enough and none holds a NaN.
    #[inline]
    pub fn push(&mut self, at: i64, x: f64, y: f64) -> Option<Pair> {
        // Two slots a bar: blocks of twice the length hold whole pairs.
        let at = at.saturating_mul(2);
        self.0.push(at, x);
        self.0.push(at.saturating_add(1), y)
    }

    /// As [`Kernel::visit`].
    pub fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Pearson's correlation of two series.
#[derive(Clone, Debug)]
pub struct Correlation(Pairs);

impl Kernel<2, 1> for Correlation {
    #[inline]
    fn step(&mut self, at: i64, [x, y]: [f64; 2]) -> [f64; 1] {
        [self.0.push(at, x, y).map_or(f64::NAN, |pair| {
            let [xx, yy, xy] = pair.spreads();
            if xx > 0.0 && yy > 0.0 {
                defined(xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)
            } else {
                f64::NAN
            }
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Slope of the returns of one series on those of another.
#[derive(Clone, Debug)]
pub struct Beta {
    pairs: Pairs,
    previous: [f64; 2],
}

impl Kernel<2, 1> for Beta {
    #[inline]
    fn step(&mut self, at: i64, now: [f64; 2]) -> [f64; 1] {
        let before = std::mem::replace(&mut self.previous, now);
        let [x, y] = whole([relative(now[0], before[0]), relative(now[1], before[1])]);
        [self.pairs.push(at, x, y).map_or(f64::NAN, |pair| {
            let [xx, _, xy] = pair.spreads();
            if xx > 0.0 { defined(xy / xx) } else { f64::NAN }
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.pairs.visit(state);
        state.floats(&mut self.previous);
    }
}

/// Smallest and largest value of a window.
#[derive(Clone, Debug)]
pub struct MinMax(Window<Smallest>, Window<Largest>);

impl Kernel<1, 2> for MinMax {
    #[inline]
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 2] {
        match (self.0.push(at, x), self.1.push(at, x)) {
            (Some(low), Some(high)) => [low.0, high.0],
            _ => [f64::NAN; 2],
        }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

/// Bars since the largest or the smallest value of a window.
#[derive(Clone, Debug)]
pub struct Age<const HIGH: bool>;

impl<const HIGH: bool> Statistic for Age<HIGH> {
    type Fold = Extreme<HIGH>;

    #[inline]
    fn read(fold: Extreme<HIGH>, _x: f64, _length: f64) -> f64 {
        fold.age
    }
}

/// Bars since the smallest and since the largest value of a window.
#[derive(Clone, Debug)]
pub struct Ages(Windowed<Age<false>>, Windowed<Age<true>>);

impl Kernel<1, 2> for Ages {
    #[inline]
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 2] {
        [self.0.step(at, x)[0], self.1.step(at, x)[0]]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

const X: &[Input] = &[Input::Series("close")];
const BOTH: &[Input] = &[Input::Given, Input::Given];
const THIRTY: &[Parameter] = &[Parameter::window("period", 2, Some(30.0))];
const FOURTEEN: &[Parameter] = &[Parameter::window("period", 2, Some(14.0))];

fn finite(p: &[f64]) -> Memory {
    Memory::Finite(bars(p[0]))
}

fn full(p: &[f64]) -> u64 {
    bars(p[0]) - 1
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "sum",
        known_as: &["rolling_sum", "total"],
        family: "rolling",
        inputs: X,
        parameters: THIRTY,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Total>::new(count(p[0]))),
        summary: "Sum of the last bars",
        formula: "Sum of the last period values, in the unit of x.",
        source: "As SUM of TA-Lib.",
    },
    Function {
        name: "minmax",
        known_as: &[],
        family: "rolling",
        inputs: X,
        parameters: THIRTY,
        outputs: &["min", "max"],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(MinMax(Window::new(count(p[0])), Window::new(count(p[0])))),
        summary: "Smallest and largest value of the last bars",
        formula: "min(x, period) and max(x, period), in the unit of x.",
        source: "As MINMAX of TA-Lib.",
    },
    Function {
        name: "maxindex",
        known_as: &["argmax", "rolling_argmax"],
        family: "rolling",
        inputs: X,
        parameters: THIRTY,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Age<true>>::new(count(p[0]))),
        summary: "Bars since the largest value of the last bars",
        formula: "0 where the newest is the largest, at most period - 1; the latest of equal ones.",
        source: "MAXINDEX of TA-Lib counts from the first bar of the array, which a stream cannot know: t less this; of \
                 equal values it may give an earlier one.",
    },
    Function {
        name: "minindex",
        known_as: &["argmin", "rolling_argmin"],
        family: "rolling",
        inputs: X,
        parameters: THIRTY,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Age<false>>::new(count(p[0]))),
        summary: "Bars since the smallest value of the last bars",
        formula: "0 where the newest is the smallest, at most period - 1; the latest of equal ones.",
        source: "MININDEX of TA-Lib counts from the first bar of the array, which a stream cannot know: t less this; of \
                 equal values it may give an earlier one.",
    },
    Function {
        name: "minmaxindex",
        known_as: &[],
        family: "rolling",
        inputs: X,
        parameters: THIRTY,
        outputs: &["min", "max"],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Ages(Windowed::new(count(p[0])), Windowed::new(count(p[0])))),
        summary: "Bars since the smallest and since the largest value of the last bars",
        formula: "minindex(x, period) and maxindex(x, period).",
        source: "MINMAXINDEX of TA-Lib counts from the first bar of the array: t less these; of equal values it may give \
                 an earlier one.",
    },
    Function {
        name: "var",
        known_as: &["variance", "rolling_var"],
        family: "statistics",
        inputs: X,
        parameters: &[Parameter::window("period", 2, Some(5.0))],
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Variance>::new(count(p[0]))),
        summary: "Variance of the last bars",
        formula: "mean((x - mean)^2) over period values (ddof 0); >= 0, in the squared unit of x.",
        source: "As VAR of TA-Lib, whose nbdev has no effect.",
    },
    Function {
        name: "avgdev",
        known_as: &["mean_absolute_deviation"],
        family: "statistics",
        inputs: X,
        parameters: FOURTEEN,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(AverageDeviation { window: Window::new(count(p[0])), length: p[0] }),
        summary: "Mean absolute deviation of the last bars",
        formula: "mean(|x - mean|) over period values; >= 0, in the unit of x.",
        source: "As AVGDEV of TA-Lib.",
    },
    Function {
        name: "linearreg",
        known_as: &["linear_regression"],
        family: "statistics",
        inputs: X,
        parameters: FOURTEEN,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Regression::new(p[0], |_, end, _| end)),
        summary: "Height of the line through the last bars at the newest",
        formula: "Least squares line through the last period values, at the newest; in the unit of x.",
        source: "As LINEARREG of TA-Lib.",
    },
    Function {
        name: "linearreg_slope",
        known_as: &["slope", "trend_slope"],
        family: "statistics",
        inputs: X,
        parameters: FOURTEEN,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Regression::new(p[0], |slope, _, _| slope)),
        summary: "Slope of the line through the last bars",
        formula: "Slope of the least squares line through the last period values, in the unit of x per bar.",
        source: "As LINEARREG_SLOPE of TA-Lib.",
    },
    Function {
        name: "linearreg_intercept",
        known_as: &["intercept"],
        family: "statistics",
        inputs: X,
        parameters: FOURTEEN,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Regression::new(p[0], |slope, end, n| end - slope * (n - 1.0))),
        summary: "Height of the line through the last bars at the oldest",
        formula: "Least squares line through the last period values, at the oldest; in the unit of x.",
        source: "As LINEARREG_INTERCEPT of TA-Lib.",
    },
    Function {
        name: "linearreg_angle",
        known_as: &[],
        family: "statistics",
        inputs: X,
        parameters: FOURTEEN,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Regression::new(p[0], |slope, _, _| numeric::atan(slope).to_degrees())),
        summary: "Angle of the line through the last bars",
        formula: "atan(linearreg_slope(x, period)) in degrees; in [-90, 90]. It depends on the unit of x.",
        source: "As LINEARREG_ANGLE of TA-Lib.",
    },
    Function {
        name: "tsf",
        known_as: &["time_series_forecast"],
        family: "statistics",
        inputs: X,
        parameters: FOURTEEN,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Regression::new(p[0], |slope, end, _| end + slope)),
        summary: "Height of the line through the last bars one bar on",
        formula: "Least squares line through the last period values, one bar after the newest; in the unit of x.",
        source: "As TSF of TA-Lib.",
    },
    Function {
        name: "correl",
        known_as: &["rolling_correlation", "pearson"],
        family: "statistics",
        inputs: BOTH,
        parameters: THIRTY,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Correlation(Pairs::new(count(p[0])))),
        summary: "Correlation of two series",
        formula: "Pearson's correlation of the last period pairs; in [-1, 1], NaN where one of the two does not move.",
        source: "As CORREL of TA-Lib, which gives 0 where one does not move.",
    },
    Function {
        name: "beta",
        known_as: &["rolling_beta"],
        family: "statistics",
        inputs: BOTH,
        parameters: &[Parameter::window("period", 2, Some(5.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0]) + 1),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Beta { pairs: Pairs::new(count(p[0])), previous: [f64::NAN; 2] }),
        summary: "Slope of the returns of a second series on those of a first",
        formula: "cov(rx, ry) / var(rx) over period bars, rx and ry the one-bar simple returns of x and y; NaN where rx \
                  does not move.",
        source: "As BETA of TA-Lib, which gives 0 where rx does not move, and takes a return from 0 as 0.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::contract::{Random, all, single};

    #[test]
    fn statistics_by_hand() {
        let x = [1.0, 2.0, 6.0, 3.0];
        assert_eq!(single("sum", &[3.0], &[&x])[2..], [9.0, 11.0]);
        assert_eq!(single("var", &[2.0], &[&x])[1..3], [0.25, 4.0]);
        assert_eq!(single("avgdev", &[3.0], &[&x])[2], 2.0);
        // Through 1, 2, 6: slope 2.5 about 3.
        assert_eq!(single("linearreg_slope", &[3.0], &[&x])[2], 2.5);
        assert_eq!(single("linearreg", &[3.0], &[&x])[2], 5.5);
        assert_eq!(single("linearreg_intercept", &[3.0], &[&x])[2], 0.5);
        assert_eq!(single("tsf", &[3.0], &[&x])[2], 8.0);
        assert_eq!(single("linearreg_angle", &[2.0], &[&x])[1], 45.0);
        assert_eq!(single("maxindex", &[3.0], &[&x])[2..], [0.0, 1.0]);
        assert_eq!(single("minindex", &[3.0], &[&x])[2..], [2.0, 2.0]);
        let y: Vec<f64> = x.iter().map(|x| 5.0 - 2.0 * x).collect();
        assert!((single("correl", &[3.0], &[&x, &y])[2] + 1.0).abs() < 1e-15);
        // Returns of x 1 and 2, of y 1 and 3.
        assert_eq!(single("beta", &[2.0], &[&x, &[1.0, 2.0, 8.0, 8.0]])[2], 2.0);
        assert!(single("correl", &[2.0], &[&x, &[1.0; 4]]).iter().all(|v| v.is_nan()));
        let got = all("minmax", &[2.0], &[&x]);
        assert_eq!((got[0][3], got[1][3]), (3.0, 6.0));
    }

    /// Slopes of a thousandth on a level of a hundred million, and pairs of it, against sums in whole numbers.
    #[test]
    fn lines_and_pairs_keep_their_digits_on_a_high_level() {
        let mut random = Random(4);
        for length in [2_usize, 7, 100] {
            let mut line = Window::<Line>::new(length);
            let mut pairs = Pairs::new(length);
            let mut whole: Vec<[i128; 2]> = vec![];
            let mut at = -300;
            for _ in 0..2_000 {
                at += 1 + i64::from(random.below(9) == 0) * random.slots(30);
                let pair = [random.below(50) as i128, random.below(3000) as i128];
                whole.push(pair);
                let [x, y] = pair.map(|v| 1e8 + v as f64 / 1024.0);
                let (line, pairs) = (line.push(at, x), pairs.push(at, x, y));
                assert_eq!(line.is_some(), whole.len() >= length);
                assert_eq!(pairs.is_some(), whole.len() >= length);
                let (Some(line), Some(pairs)) = (line, pairs) else { continue };
                let last = &whole[whole.len() - length..];
                let n = length as i128;
                let sum = |f: &dyn Fn(i128, [i128; 2]) -> i128| {
                    (0..).zip(last).map(|(i, p)| f(i, *p)).sum::<i128>()
                };
                let (x, y) = (sum(&|_, p| p[0]), sum(&|_, p| p[1]));
                let scale = 1024.0 * 1024.0 * n as f64;
                let exact = [
                    sum(&|_, p| n * p[0] * p[0]) - x * x,
                    sum(&|_, p| n * p[1] * p[1]) - y * y,
                    sum(&|_, p| n * p[0] * p[1]) - x * y,
                ]
                .map(|v| v as f64 / scale);
                let size = (exact[0] * exact[1]).sqrt();
                for (k, got) in pairs.spreads().into_iter().enumerate() {
                    let size = if k == 2 { size } else { exact[k] };
                    assert!((got - exact[k]).abs() <= 1e-12 * size, "{got} {}", exact[k]);
                }
                let slope = 12 * sum(&|i, p| i * p[0]) - 6 * (n - 1) * x;
                let slope = slope as f64 / (1024 * n * (n * n - 1)) as f64;
                assert!((line.fit()[0] - slope).abs() <= 1e-13, "{} {slope}", line.fit()[0]);
            }
        }
    }
}
