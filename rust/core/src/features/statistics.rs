//! Statistics of a window: sums, spreads, lines, largest and smallest values.

use super::node::{Kernel, Visit, node};
use super::oscillators::Extreme;
use super::parts::{finite, full};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::undefined::defined;
use super::window::{Fold, Largest, Moments, Smallest, Statistic, Window, Windowed};
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
    pub(super) fn fit(self) -> [f64; 2] {
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
const THIRTY: &[Parameter] = &[Parameter::window("period", 2, Some(30.0))];
const FOURTEEN: &[Parameter] = &[Parameter::window("period", 2, Some(14.0))];

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
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

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
        let got = all("minmax", &[2.0], &[&x]);
        assert_eq!((got[0][3], got[1][3]), (3.0, 6.0));
    }
}
