//! How rough a path is, and how much order there is in it.

use std::f64::consts::LN_2;

use super::node::{Kernel, Memory, Visit, node};
use super::order::Sorted;
use super::parts::{ROW, finite, finite_changes, full, full_changes, log_ratio, within};
use super::registry::{Function, Input, Parameter, count};
use super::volatility::true_range;
use super::window::Windowed;
use super::window::{Delay, Largest, Smallest, Statistic, Window, bars};
use crate::numeric::{self, Sum};

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
    use crate::features::contract::single;

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
    fn paths_by_hand() {
        let x = [1.0, 2.0, 3.0, 2.0];
        assert_eq!(single("efficiency_ratio", &[2.0], &[&x])[2..], [1.0, 0.0]);
        let flat = [1.0; 4];
        assert_eq!(single("fractal_dimension", &[1.0], &[&[2.0; 4], &flat])[1..], [2.0; 3]);
    }
}
