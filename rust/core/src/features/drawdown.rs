//! Where a series stands between its highs and lows, and how long ago they were.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::parts::{ROW, finite, full};
use super::registry::{Function, Input, Parameter, count};
use super::undefined::defined;
use super::window::{Fold, Largest, Smallest, Statistic, Window, Windowed, bars};
use crate::numeric::{self, Sum};

/// The largest value and how many bars ago it was, the latest where several are equal.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    n: f64,
    value: f64,
    age: f64,
}

impl Default for Peak {
    fn default() -> Self {
        Self { n: 0.0, value: f64::NEG_INFINITY, age: 0.0 }
    }
}

impl Fold for Peak {
    fn append(&mut self, x: f64) {
        self.n += 1.0;
        self.age += 1.0;
        if x >= self.value {
            (self.value, self.age) = (x, 0.0);
        }
    }

    fn prepend(&mut self, x: f64) {
        if x > self.value {
            (self.value, self.age) = (x, self.n);
        }
        self.n += 1.0;
    }

    fn join(self, newer: Self) -> Self {
        let n = self.n + newer.n;
        if newer.n > 0.0 && newer.value >= self.value {
            return Self { n, ..newer };
        }
        Self { n, value: self.value, age: self.age + newer.n }
    }
}

/// The deepest fall from an earlier value, as a share of that.
#[derive(Clone, Copy, Debug)]
pub struct Fall {
    high: f64,
    low: f64,
    deepest: f64,
}

impl Default for Fall {
    fn default() -> Self {
        Self { high: f64::NEG_INFINITY, low: f64::INFINITY, deepest: 0.0 }
    }
}

impl Fall {
    fn between(high: f64, low: f64) -> f64 {
        if low < high { relative(low, high) } else { 0.0 }
    }
}

impl Fold for Fall {
    fn append(&mut self, x: f64) {
        let deepest = numeric::min(self.deepest, Self::between(self.high, x));
        *self = Self { high: numeric::max(self.high, x), low: numeric::min(self.low, x), deepest };
    }

    fn prepend(&mut self, x: f64) {
        let deepest = numeric::min(self.deepest, Self::between(x, self.low));
        *self = Self { high: numeric::max(self.high, x), low: numeric::min(self.low, x), deepest };
    }

    fn join(self, newer: Self) -> Self {
        let across = Self::between(self.high, newer.low);
        Self {
            high: numeric::max(self.high, newer.high),
            low: numeric::min(self.low, newer.low),
            deepest: numeric::min(numeric::min(self.deepest, newer.deepest), across),
        }
    }
}

/// How far the newest value lies below the largest.
#[derive(Clone, Debug)]
struct BelowHigh;

impl Statistic for BelowHigh {
    type Fold = Largest;

    fn read(fold: Largest, x: f64, _length: f64) -> f64 {
        if fold.0 > 0.0 { defined(relative(x, fold.0)) } else { f64::NAN }
    }
}

/// How far the newest value lies above the smallest.
#[derive(Clone, Debug)]
struct AboveLow;

impl Statistic for AboveLow {
    type Fold = Smallest;

    fn read(fold: Smallest, x: f64, _length: f64) -> f64 {
        if fold.0 > 0.0 { defined(relative(x, fold.0)) } else { f64::NAN }
    }
}

/// Deepest fall inside the window.
#[derive(Clone, Debug)]
struct Deepest;

impl Statistic for Deepest {
    type Fold = Fall;

    fn read(fold: Fall, _x: f64, _length: f64) -> f64 {
        if fold.low > 0.0 { defined(fold.deepest) } else { f64::NAN }
    }
}

/// Bars since the peak.
#[derive(Clone, Debug)]
struct Age;

impl Statistic for Age {
    type Fold = Peak;

    fn read(fold: Peak, _x: f64, _length: f64) -> f64 {
        fold.age
    }
}

/// Bars since the low: the peak of the series turned over.
#[derive(Clone, Debug)]
struct AgeOfLow(Windowed<Age>);

impl Kernel<1, 1> for AgeOfLow {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.0.step(at, [-x])
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Place between the smallest and the largest.
#[derive(Clone, Debug)]
struct Position {
    high: Window<Largest>,
    low: Window<Smallest>,
}

impl Kernel<1, 1> for Position {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let (Some(high), Some(low)) = (self.high.push(at, x), self.low.push(at, x)) else {
            return [f64::NAN];
        };
        let range = high.0 - low.0;
        [if range == 0.0 { 0.5 } else { defined((x - low.0) / range) }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
    }
}

/// Root mean square of drawdowns.
#[derive(Clone, Debug)]
struct Ulcer {
    drawdown: Windowed<BelowHigh>,
    squares: Window<Sum>,
    length: f64,
}

impl Kernel<1, 1> for Ulcer {
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 1] {
        let [depth] = self.drawdown.step(at, x);
        [self
            .squares
            .push(at, depth * depth)
            .map_or(f64::NAN, |s| (s.value() / self.length).sqrt())]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.drawdown.visit(state);
        self.squares.visit(state);
    }
}

/// The highest value so far and the bars since; from the first bar on.
#[derive(Clone, Debug)]
struct FromPeak {
    peak: f64,
    age: f64,
}

impl Kernel<1, 2> for FromPeak {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 2] {
        if x.is_nan() {
            return [f64::NAN; 2];
        }
        self.age += 1.0;
        if x >= self.peak {
            (self.peak, self.age) = (x, 0.0);
        }
        let depth = if self.peak > 0.0 { defined(relative(x, self.peak)) } else { f64::NAN };
        [depth, self.age]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.peak);
        state.float(&mut self.age);
    }
}

const X: &[Input] = &[Input::Series("close")];
const PERIOD_FROM_2: &[Parameter] = &[Parameter::window("period", 2, Some(50.0))];

const ONE: Function = Function {
    family: "drawdown",
    inputs: X,
    parameters: PERIOD_FROM_2,
    memory: finite,
    warmup: full,
    ..ROW
};

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "drawdown",
        known_as: &["rolling_drawdown", "distance_from_high"],
        build: |p| node(Windowed::<BelowHigh>::new(count(p[0]))),
        summary: "How far a series lies below its highest value of the last bars",
        formula: "x / max(x, period) - 1; in [-1, 0] for values >= 0, a fraction, NaN where the largest is not above 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "run_up",
        known_as: &["rolling_run_up", "distance_from_low"],
        build: |p| node(Windowed::<AboveLow>::new(count(p[0]))),
        summary: "How far a series lies above its lowest value of the last bars",
        formula: "x / min(x, period) - 1; >= 0, a fraction, NaN where the smallest is not above 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "max_drawdown",
        known_as: &["rolling_max_drawdown", "mdd"],
        build: |p| node(Windowed::<Deepest>::new(count(p[0]))),
        summary: "Deepest fall inside the last bars",
        formula: "min over i <= j of x[j] / x[i] - 1 among the last period values; in [-1, 0], a fraction, NaN unless all \
                  are above 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "ulcer_index",
        known_as: &["ulcer"],
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        memory: |p| Memory::Finite(2 * bars(p[0]) - 1),
        warmup: |p| 2 * bars(p[0]) - 2,
        build: |p| {
            let n = count(p[0]);
            node(Ulcer { drawdown: Windowed::new(n), squares: Window::new(n), length: n as f64 })
        },
        summary: "Root mean square of the drawdowns of the last bars",
        formula: "sqrt(mean(drawdown(x, period)^2)) over the last period bars; in [0, 1], a fraction.",
        source: "P. Martin and B. McCann, The Investor's Guide to Fidelity Funds, 1989; there in percent.",
        ..ONE
    },
    Function {
        name: "bars_since_high",
        known_as: &["since_high"],
        inputs: &[Input::Series("high")],
        build: |p| node(Windowed::<Age>::new(count(p[0]))),
        summary: "Bars since the highest value of the last bars",
        formula: "Bars from the largest of the last period values to the newest, the latest of equal ones; a whole number \
                  in [0, period - 1].",
        source: "Definition; what aroon(period - 1) of TA-Lib is made of.",
        ..ONE
    },
    Function {
        name: "bars_since_low",
        known_as: &["since_low"],
        inputs: &[Input::Series("low")],
        build: |p| node(AgeOfLow(Windowed::new(count(p[0])))),
        summary: "Bars since the lowest value of the last bars",
        formula: "Bars from the smallest of the last period values to the newest, the latest of equal ones; a whole number \
                  in [0, period - 1].",
        source: "Definition; what aroon(period - 1) of TA-Lib is made of.",
        ..ONE
    },
    Function {
        name: "range_position",
        known_as: &["position_in_range", "minmax_scale"],
        build: |p| node(Position { high: Window::new(count(p[0])), low: Window::new(count(p[0])) }),
        summary: "Place of a series between its extremes of the last bars",
        formula: "(x - min(x, period)) / (max(x, period) - min(x, period)); in [0, 1], 0.5 where all are equal.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "from_peak",
        known_as: &["all_time_high", "ath_distance", "underwater"],
        parameters: &[],
        outputs: &["drawdown", "age"],
        memory: |_| Memory::Cumulative,
        warmup: |_| 0,
        build: |_| node(FromPeak { peak: f64::NEG_INFINITY, age: 0.0 }),
        summary: "Drawdown from the highest value so far, and the bars since",
        formula: "drawdown = x / p - 1 with p the largest value since the first bar, in [-1, 0] for values >= 0, NaN where \
                  p is not above 0; age = bars since p, the latest of equal ones.",
        source: "Definition. The start is part of it: drawdown(period) forgets.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn falls_and_ages_by_hand() {
        let x = [4.0, 2.0, 3.0, 1.0, 8.0, 8.0];
        assert_eq!(single("drawdown", &[3.0], &[&x])[2..], [-0.25, -2.0 / 3.0, 0.0, 0.0]);
        assert_eq!(single("run_up", &[3.0], &[&x])[2..], [0.5, 0.0, 7.0, 7.0]);
        assert_eq!(single("max_drawdown", &[3.0], &[&x])[2..], [-0.5, -2.0 / 3.0, -2.0 / 3.0, 0.0]);
        assert_eq!(single("bars_since_high", &[3.0], &[&x])[2..], [2.0, 1.0, 0.0, 0.0]);
        assert_eq!(single("bars_since_low", &[3.0], &[&x])[2..], [1.0, 0.0, 1.0, 2.0]);
        assert_eq!(single("range_position", &[3.0], &[&x])[2..], [0.5, 0.0, 1.0, 1.0]);
        let got = all("from_peak", &[], &[&x]);
        assert_eq!(got[0], [0.0, -0.5, -0.25, -0.75, 0.0, 0.0]);
        assert_eq!(got[1], [0.0, 1.0, 2.0, 3.0, 0.0, 0.0]);
    }
}
