//! How two series move together over a window.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::parts::{finite, full};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::undefined::{defined, whole};
use super::window::{Fold, Window, bars};
use crate::numeric::Sum;

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
const BOTH: &[Input] = &[Input::Given, Input::Given];
const THIRTY: &[Parameter] = &[Parameter::window("period", 2, Some(30.0))];

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
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
    use super::super::statistics::Line;
    use super::*;
    use crate::features::contract::{Random, single};

    #[test]
    fn pairs_by_hand() {
        let x = [1.0, 2.0, 6.0, 3.0];
        let y: Vec<f64> = x.iter().map(|x| 5.0 - 2.0 * x).collect();
        assert!((single("correl", &[3.0], &[&x, &y])[2] + 1.0).abs() < 1e-15);
        // Returns of x 1 and 2, of y 1 and 3.
        assert_eq!(single("beta", &[2.0], &[&x, &[1.0, 2.0, 8.0, 8.0]])[2], 2.0);
        assert!(single("correl", &[2.0], &[&x, &[1.0; 4]]).iter().all(|v| v.is_nan()));
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
