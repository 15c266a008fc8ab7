//! Windows over the last `w` bars that forget exactly and never drift.
//!
//! A running total that adds the new value and takes off the old one keeps the rounding error of every bar it ever
//! saw, so it drifts and depends on where it started. Here a window is folded from parts that hold its own bars only.
//! The clock is cut into blocks of `w` slots (`floor(at / w)`, so blocks stand still whatever the start), and the
//! window is
//!
//! ```text
//!      oldest block touched       whole blocks          current block
//!   . . . . [ . x x x x x ]     [ x x   x ] [ x   x ]     [ x x x .
//!              suffix, folded     each folded left          prefix, folded
//!              right to left      to right                  left to right
//! ```
//!
//! The suffix folds of a block are made once, from right to left, when the block becomes the oldest: a stack with the
//! whole block on top; a bar that leaves the window pops one. A new bar extends the prefix. Without holes in the clock
//! there are no whole blocks between, a step costs one append, one pop and one join, and the block's fold is paid by
//! the `w` steps it serves. With holes the window still holds `w` bars, over more blocks; their folds are joined again
//! when a block opens or closes, which costs the number of blocks in the window.
//!
//! Each part depends on bars of the window alone, in an order fixed by the clock, so a full window has the same bits
//! from any start. The oldest block counts as a suffix even where the window holds all of it: who started inside that
//! block cannot know. A NaN needs no care in the folds, as no part of a window without NaN has ever touched one; a
//! count of bars since the last NaN says when a window is one.
//!
//! A step is O(1) amortised; the bar that opens a block pays for it all, which for a live bar is `length` appends.

use std::collections::VecDeque;

use super::node::{Kernel, Visit};
use super::registry::count;
use crate::numeric::{self, Sum};

/// Window parameters as numbers of bars; they were checked to be whole and in range.
pub(super) fn bars(value: f64) -> u64 {
    count(value) as u64
}

/// Something that values in bar order are folded into; the default is the fold of none.
pub trait Fold: Copy + Default + Send + Sync + 'static {
    /// Takes a value newer than those held.
    fn append(&mut self, x: f64);
    /// Takes a value older than those held.
    fn prepend(&mut self, x: f64);
    /// Joins what is held with `newer` values.
    #[must_use]
    fn join(self, newer: Self) -> Self;
}

impl Fold for Sum {
    fn append(&mut self, x: f64) {
        self.add(x);
    }

    fn prepend(&mut self, x: f64) {
        self.add(x);
    }

    fn join(self, newer: Self) -> Self {
        self.with(newer)
    }
}

/// Sum with weights 1, 2, ... from the oldest value to the newest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weighted {
    n: f64,
    sum: Sum,
    total: Sum,
}

impl Weighted {
    /// The weighted sum.
    pub fn value(self) -> f64 {
        self.total.value()
    }
}

impl Fold for Weighted {
    fn append(&mut self, x: f64) {
        self.n += 1.0;
        self.sum.add(x);
        self.total.add(self.n * x);
    }

    fn prepend(&mut self, x: f64) {
        // Every value held gains one in weight, the new one has weight 1.
        self.n += 1.0;
        self.sum.add(x);
        self.total = self.total.with(self.sum);
    }

    fn join(self, newer: Self) -> Self {
        let mut total = self.total.with(newer.total);
        total.add(self.n * newer.sum.value());
        Self { n: self.n + newer.n, sum: self.sum.with(newer.sum), total }
    }
}

/// Number, mean and spread, from sums of differences to a pivot.
///
/// The pivot is a value of the window, so it takes a common offset away exactly, and it bounds the cancellation: its
/// own distance from the mean is part of the spread, so sum of squares and spread differ by a factor `n` at most. The
/// relative error of the spread is thus below a few `n * 2^-53` for any values, and values that are all equal have a
/// spread of exactly 0. Welford's update would be as stable, at the cost of a division in the loop-carried chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    n: f64,
    pivot: f64,
    sum: Sum,
    squares: Sum,
}

impl Moments {
    /// Plain mean.
    pub fn mean(self) -> f64 {
        self.pivot + self.sum.value() / self.n
    }

    /// `x` less the mean, without losing what they have in common.
    pub fn distance(self, x: f64) -> f64 {
        (x - self.pivot) - self.sum.value() / self.n
    }

    /// Standard deviation; the sum of squares is divided by `n - ddof`.
    pub fn deviation(self, ddof: f64) -> f64 {
        let sum = self.sum.value();
        let spread = self.squares.value() - sum * sum / self.n;
        // NaN passes, as the comparison with it is false.
        if spread < 0.0 { 0.0 } else { (spread / (self.n - ddof)).sqrt() }
    }
}

impl Fold for Moments {
    fn append(&mut self, x: f64) {
        if self.n == 0.0 {
            self.pivot = x;
        }
        let d = x - self.pivot;
        self.n += 1.0;
        self.sum.add(d);
        self.squares.add(d * d);
    }

    fn prepend(&mut self, x: f64) {
        self.append(x);
    }

    fn join(self, newer: Self) -> Self {
        if self.n == 0.0 {
            return newer;
        }
        let shift = newer.pivot - self.pivot;
        let mut sum = self.sum.with(newer.sum);
        sum.add(newer.n * shift);
        let mut squares = self.squares.with(newer.squares);
        squares.add(shift * (2.0 * newer.sum.value() + newer.n * shift));
        Self { n: self.n + newer.n, pivot: self.pivot, sum, squares }
    }
}

/// The largest value.
#[derive(Clone, Copy, Debug)]
pub struct Largest(pub f64);

impl Default for Largest {
    fn default() -> Self {
        Self(f64::NEG_INFINITY)
    }
}

impl Fold for Largest {
    fn append(&mut self, x: f64) {
        self.0 = numeric::max(self.0, x);
    }

    fn prepend(&mut self, x: f64) {
        self.append(x);
    }

    fn join(self, newer: Self) -> Self {
        Self(numeric::max(self.0, newer.0))
    }
}

/// The smallest value.
#[derive(Clone, Copy, Debug)]
pub struct Smallest(pub f64);

impl Default for Smallest {
    fn default() -> Self {
        Self(f64::INFINITY)
    }
}

impl Fold for Smallest {
    fn append(&mut self, x: f64) {
        self.0 = numeric::min(self.0, x);
    }

    fn prepend(&mut self, x: f64) {
        self.append(x);
    }

    fn join(self, newer: Self) -> Self {
        Self(numeric::min(self.0, newer.0))
    }
}

/// The last `length` bars, folded.
#[derive(Clone, Debug)]
pub struct Window<F> {
    length: usize,
    /// Values of the window; once it is full, the oldest stands at `next`.
    ring: Vec<f64>,
    next: usize,
    /// Where the current block ends on the clock.
    end: i64,
    /// Bars since the last NaN, at most `length`.
    clean: usize,
    /// Folds of the oldest block from each of its bars to its end, the longest on top; empty until the window is full
    /// and where it lies in the current block.
    suffix: Vec<F>,
    /// Blocks between: bars and fold of each, and their joint fold.
    whole: VecDeque<(usize, F)>,
    middle: F,
    held: usize,
    prefix: F,
}

impl<F: Fold> Window<F> {
    /// An empty window of `length` bars, at least 1.
    pub fn new(length: usize) -> Self {
        debug_assert!(length >= 1);
        Self {
            length,
            ring: Vec::with_capacity(length),
            next: 0,
            end: i64::MIN,
            clean: 0,
            suffix: Vec::with_capacity(length),
            whole: VecDeque::new(),
            middle: F::default(),
            held: 0,
            prefix: F::default(),
        }
    }

    /// Takes the value of the bar at `at`; the fold of the last `length` bars where there are so many and none is NaN.
    #[inline]
    pub fn push(&mut self, at: i64, x: f64) -> Option<F> {
        // A block cannot hold more bars than slots unless the clock stands still; then it is closed all the same.
        if at >= self.end || self.held == self.length {
            self.close(at);
        }
        self.clean = if x.is_nan() { 0 } else { self.length.min(self.clean + 1) };
        if self.ring.len() < self.length {
            self.ring.push(x);
        } else {
            if self.suffix.is_empty() {
                self.open();
            }
            self.suffix.pop();
            self.ring[self.next] = x;
            self.next = if self.next + 1 == self.length { 0 } else { self.next + 1 };
        }
        self.held += 1;
        self.prefix.append(x);
        if self.suffix.is_empty() && !self.whole.is_empty() && self.ring.len() == self.length {
            self.open();
        }
        (self.clean == self.length).then(|| {
            let Some(&suffix) = self.suffix.last() else { return self.prefix };
            let old = if self.whole.is_empty() { suffix } else { suffix.join(self.middle) };
            old.join(self.prefix)
        })
    }

    /// The values of a full window, oldest first.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.ring[self.next..].iter().chain(&self.ring[..self.next]).copied()
    }

    /// Leaves the current block behind.
    fn close(&mut self, at: i64) {
        let slots = i64::try_from(self.length).unwrap_or(i64::MAX);
        self.end = at.div_euclid(slots).saturating_add(1).saturating_mul(slots);
        if self.held > 0 {
            let block = std::mem::take(&mut self.prefix);
            self.whole.push_back((std::mem::take(&mut self.held), block));
            self.middle = self.middle.join(block);
        }
    }

    /// Makes the next block the oldest, of a full window.
    fn open(&mut self) {
        let Some((bars, _)) = self.whole.pop_front() else { return };
        self.middle = self.whole.iter().fold(F::default(), |joint, (_, fold)| joint.join(*fold));
        let (front, back) = (&self.ring[self.next..], &self.ring[..self.next]);
        let ahead = bars.min(front.len());
        let mut fold = F::default();
        for x in back[..bars - ahead].iter().rev().chain(front[..ahead].iter().rev()) {
            fold.prepend(*x);
            self.suffix.push(fold);
        }
    }

    /// As [`Kernel::visit`]: the values and how they fall into blocks; all folds follow from these.
    pub fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        let old = (!self.suffix.is_empty()).then_some(self.suffix.len());
        let current = (self.held > 0).then_some(self.held);
        let bars = old.into_iter().chain(self.whole.iter().map(|(bars, _)| *bars)).chain(current);
        let mut bars: Vec<f64> = bars.map(|bars| bars as f64).collect();
        state.list(&mut self.ring, self.length);
        state.list(&mut bars, self.length);
        state.int(&mut self.end);
        self.refold(&bars);
    }

    fn refold(&mut self, bars: &[f64]) {
        self.suffix.clear();
        self.whole.clear();
        (self.middle, self.prefix, self.held) = (F::default(), F::default(), 0);
        self.clean = self.ring.iter().rev().take_while(|x| !x.is_nan()).count();
        let mut rest = &self.ring[..];
        for bars in bars {
            // Counts come from a file: no more than there are values.
            let (block, later) = rest.split_at(count(*bars).min(rest.len()));
            rest = later;
            let mut fold = F::default();
            for x in block {
                fold.append(*x);
            }
            if rest.is_empty() {
                (self.held, self.prefix) = (block.len(), fold);
                break;
            }
            self.whole.push_back((block.len(), fold));
            self.middle = self.middle.join(fold);
        }
        if self.ring.len() == self.length && !self.whole.is_empty() {
            self.open();
        }
    }
}

/// A statistic of a window of one series.
pub trait Statistic: Clone + Send + Sync + 'static {
    /// What the window is folded into.
    type Fold: Fold;
    /// The value of a window of `length` bars whose newest value is `x`.
    fn read(fold: Self::Fold, x: f64, length: f64) -> f64;
}

/// Kernel of a [`Statistic`]: NaN for the first `length - 1` bars and while the window touches a NaN.
#[derive(Clone, Debug)]
pub struct Windowed<S: Statistic> {
    window: Window<S::Fold>,
    length: f64,
}

impl<S: Statistic> Windowed<S> {
    /// Over `length` bars.
    pub fn new(length: usize) -> Self {
        Self { window: Window::new(length), length: length as f64 }
    }
}

impl<S: Statistic> Kernel<1, 1> for Windowed<S> {
    #[inline]
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.window.push(at, x).map_or(f64::NAN, |fold| S::read(fold, x, self.length))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.window.visit(state);
    }
}

/// The value some bars ago.
#[derive(Clone, Debug)]
pub struct Delay {
    ring: Vec<f64>,
    next: usize,
}

impl Delay {
    /// Of `bars` bars, at least 1.
    pub fn new(bars: usize) -> Self {
        debug_assert!(bars >= 1);
        Self { ring: vec![f64::NAN; bars], next: 0 }
    }

    /// Takes the newest value and gives the one so many bars before it; NaN where there is none.
    #[inline]
    pub fn push(&mut self, x: f64) -> f64 {
        let old = std::mem::replace(&mut self.ring[self.next], x);
        self.next = if self.next + 1 == self.ring.len() { 0 } else { self.next + 1 };
        old
    }

    /// As [`Kernel::visit`].
    pub fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        state.floats(&mut self.ring);
    }
}

/// The last `length` values in ascending order; NaN is left out.
///
/// Exact, and a step moves at most `length` neighbouring values, which for the windows in use is faster than any tree.
#[derive(Clone, Debug)]
pub struct Sorted {
    length: usize,
    ring: Vec<f64>,
    next: usize,
    clean: usize,
    order: Vec<f64>,
}

impl Sorted {
    /// An empty window of `length` bars, at least 1.
    pub fn new(length: usize) -> Self {
        debug_assert!(length >= 1);
        Self {
            length,
            ring: Vec::with_capacity(length),
            next: 0,
            clean: 0,
            order: Vec::with_capacity(length),
        }
    }

    /// Takes a value; the sorted values of the last `length` bars where there are so many and none is NaN.
    ///
    /// Zeros are sorted by their sign, and are equal when compared.
    pub fn push(&mut self, x: f64) -> Option<&[f64]> {
        self.clean = if x.is_nan() { 0 } else { self.length.min(self.clean + 1) };
        let mut gone = f64::NAN;
        if self.ring.len() < self.length {
            self.ring.push(x);
        } else {
            gone = std::mem::replace(&mut self.ring[self.next], x);
            self.next = if self.next + 1 == self.length { 0 } else { self.next + 1 };
        }
        let hole = self.order.binary_search_by(|v| v.total_cmp(&gone)).ok();
        let place = self.order.partition_point(|v| v.total_cmp(&x).is_lt());
        match hole {
            Some(hole) if x.is_nan() => {
                self.order.remove(hole);
            }
            Some(hole) if hole < place => {
                self.order.copy_within(hole + 1..place, hole);
                self.order[place - 1] = x;
            }
            Some(hole) => {
                self.order.copy_within(place..hole, place + 1);
                self.order[place] = x;
            }
            None if x.is_nan() => {}
            None => self.order.insert(place, x),
        }
        (self.clean == self.length).then_some(&self.order[..])
    }

    /// As [`Kernel::visit`].
    pub fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        state.list(&mut self.ring, self.length);
        self.order.clear();
        self.order.extend(self.ring.iter().filter(|x| !x.is_nan()));
        self.order.sort_unstable_by(f64::total_cmp);
        self.clean = self.ring.iter().rev().take_while(|x| !x.is_nan()).count();
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::Random;
    use super::*;

    /// Slots of a clock with holes of all lengths.
    fn clock(random: &mut Random, bars: usize) -> Vec<i64> {
        let mut slot = -500;
        (0..bars)
            .map(|_| {
                slot += match random.below(12) {
                    0 => 1 + random.slots(4),
                    1 => 1 + random.slots(40),
                    _ => 1,
                };
                slot
            })
            .collect()
    }

    fn windowed<S: Statistic>(length: usize, at: &[i64], x: &[f64]) -> Vec<f64> {
        let mut kernel = Windowed::<S>::new(length);
        at.iter().zip(x).map(|(at, x)| kernel.step(*at, [*x])[0]).collect()
    }

    #[derive(Clone)]
    struct Total;

    impl Statistic for Total {
        type Fold = Sum;

        fn read(fold: Sum, _x: f64, _length: f64) -> f64 {
            fold.value()
        }
    }

    #[derive(Clone)]
    struct Spread;

    impl Statistic for Spread {
        type Fold = Moments;

        fn read(fold: Moments, _x: f64, _length: f64) -> f64 {
            fold.deviation(0.0)
        }
    }

    #[derive(Clone)]
    struct Rising;

    impl Statistic for Rising {
        type Fold = Weighted;

        fn read(fold: Weighted, _x: f64, _length: f64) -> f64 {
            fold.value()
        }
    }

    /// A fold that is nothing but its own order: positions of the values must rise.
    #[derive(Clone, Copy, Default)]
    struct Order {
        n: u32,
        first: f64,
        last: f64,
    }

    impl Fold for Order {
        fn append(&mut self, x: f64) {
            *self = self.join(Self { n: 1, first: x, last: x });
        }

        fn prepend(&mut self, x: f64) {
            *self = Self { n: 1, first: x, last: x }.join(*self);
        }

        fn join(self, newer: Self) -> Self {
            if self.n == 0 || newer.n == 0 {
                return if self.n == 0 { newer } else { self };
            }
            assert_eq!(self.last + 1.0, newer.first);
            Self { n: self.n + newer.n, first: self.first, last: newer.last }
        }
    }

    #[test]
    fn window_holds_its_last_bars_in_order_over_any_holes() {
        let mut random = Random(1);
        for length in [1, 2, 3, 5, 8, 30] {
            let mut window = Window::<Order>::new(length);
            for (i, at) in clock(&mut random, 600).into_iter().enumerate() {
                let fold = window.push(at, i as f64);
                assert_eq!(fold.is_some(), i + 1 >= length);
                if let Some(fold) = fold {
                    assert_eq!(fold.n as usize, length);
                    assert_eq!(fold.last, i as f64);
                    let held: Vec<f64> = window.values().collect();
                    let want: Vec<f64> = (i + 1 - length..=i).map(|v| v as f64).collect();
                    assert_eq!(held, want);
                }
            }
        }
    }

    #[test]
    fn full_windows_have_the_same_bits_from_every_start() {
        fn check<S: Statistic>(random: &mut Random) {
            for length in [1, 2, 3, 7, 16, 40] {
                let at = clock(random, 250);
                let x: Vec<f64> = at.iter().map(|_| 1e5 * random.unit() - 3e4).collect();
                let whole = windowed::<S>(length, &at, &x);
                for start in 0..250 {
                    let later = windowed::<S>(length, &at[start..], &x[start..]);
                    for i in start..250 {
                        if i + 1 < start + length {
                            assert!(later[i - start].is_nan());
                        } else {
                            assert_eq!(whole[i].to_bits(), later[i - start].to_bits());
                        }
                    }
                }
            }
        }
        let mut random = Random(2);
        check::<Total>(&mut random);
        check::<Spread>(&mut random);
        check::<Rising>(&mut random);
    }

    /// Ten million bars against sums of whole numbers, which are exact.
    #[test]
    fn sums_and_moments_do_not_drift_over_ten_million_bars() {
        const SCALE: f64 = 1024.0;
        let mut random = Random(3);
        for (length, spikes) in [(20_usize, true), (1000, true), (1000, false)] {
            let bars = if length == 20 { 10_000_000 } else { 1_000_000 };
            let mut totals = Windowed::<Total>::new(length);
            let mut spreads = Windowed::<Spread>::new(length);
            let mut ring = vec![0_i128; length];
            let (mut sum, mut squares) = (0_i128, 0_i128);
            let mut at = 0;
            for i in 0..bars {
                at += 1 + i64::from(random.below(1000) == 0);
                let spike = spikes && random.below(500) == 0;
                // Moves of a thousandth around 1e5: the offset is a hundred million times the spread.
                let whole: i128 =
                    if spike { 1 << 50 } else { 102_400_000 + i128::from(random.next() % 3) };
                let old = std::mem::replace(&mut ring[i % length], whole);
                sum += whole - old;
                squares += whole * whole - old * old;
                let x = whole as f64 / SCALE;
                let (total, spread) = (totals.step(at, [x])[0], spreads.step(at, [x])[0]);
                if i + 1 >= length {
                    let exact = sum as f64 / SCALE;
                    assert!((total - exact).abs() <= 1e-15 * exact, "{total} and {exact} at {i}");
                    let n = length as i128;
                    let exact = ((n * squares - sum * sum) as f64).sqrt() / (n as f64 * SCALE);
                    assert!((spread - exact).abs() <= 1e-12 * exact, "{spread}, {exact} at {i}");
                }
            }
        }
    }

    #[test]
    fn moments_of_a_common_value_are_exact() {
        let mut random = Random(4);
        let at = clock(&mut random, 300);
        for x in [0.1, 1e5 + 0.1, -7.3e-9] {
            for length in [2, 3, 7, 50] {
                let spread = windowed::<Spread>(length, &at, &vec![x; 300]);
                assert!(spread[length - 1..].iter().all(|v| *v == 0.0));
            }
        }
    }

    #[test]
    fn sorted_window_equals_sorting() {
        let mut random = Random(5);
        for length in [1, 2, 3, 10] {
            let mut window = Sorted::new(length);
            let mut all: Vec<f64> = vec![];
            for _ in 0..2000 {
                let x = match random.below(20) {
                    0 => f64::NAN,
                    1 => -0.0,
                    2 => f64::INFINITY,
                    _ => random.below(5) as f64,
                };
                all.push(x);
                let got = window.push(x).map(<[f64]>::to_vec);
                let last = &all[all.len().saturating_sub(length)..];
                if last.len() < length || last.iter().any(|v| v.is_nan()) {
                    assert_eq!(got, None);
                } else {
                    let mut want = last.to_vec();
                    want.sort_by(f64::total_cmp);
                    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&got.unwrap()), bits(&want));
                }
            }
        }
    }

    #[test]
    fn a_clock_that_stands_still_or_runs_back_does_no_harm() {
        let mut random = Random(6);
        for length in [1, 3, 10] {
            let mut kernel = Windowed::<Total>::new(length);
            for i in 0..500 {
                let at = match random.below(4) {
                    0 => i64::MIN,
                    1 => i64::MAX,
                    _ => random.slots(30),
                };
                let total = kernel.step(at, [1.0])[0];
                assert!(if i + 1 < length { total.is_nan() } else { total == length as f64 });
            }
        }
    }
}
