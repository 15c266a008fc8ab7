//! What windows are folded into: sums, moments, largest and smallest values.
//!
//! [`Fold`] is what `window` needs to know of them, one value at a time and in the chunks that `wide` and `lanes` take.

// What a block of bars runs through must end up in loops that are compiled for other target features.
#![allow(clippy::inline_always, clippy::needless_range_loop)]

use super::wide::CHUNK;
use crate::numeric::{self, Sum};

/// Most numbers that a fold is kept as in columns.
pub const MOST: usize = 3;

/// Something that values in bar order are folded into; the default is the fold of none.
pub trait Fold: Copy + Default + Send + Sync + 'static {
    /// Numbers that it is kept as while many bars are folded at once; with 0, bars are taken one by one.
    const KEPT: usize = 0;
    /// As [`Fold::KEPT`], of the older part: what both parts share need not be kept twice.
    const OLD: usize = Self::KEPT;
    /// That the last number is the value given to [`Fold::start`], the same for a whole block.
    const FIRST: bool = false;
    /// That no order of the values matters, so that [`Fold::overlap`] may see some twice.
    const OVERLAPS: bool = false;

    /// How many totals of [`Fold::terms`] it consists of; 0: of something else.
    const TOTALS: usize = 0;

    /// What a value adds to each total in a window whose current block begins with the value `first`.
    #[inline(always)]
    fn terms(_x: f64, _first: f64) -> [f64; 2] {
        [0.0; 2]
    }

    /// The fold of none in a window whose current block begins with the value `first`.
    #[must_use]
    #[inline(always)]
    fn start(_first: f64) -> Self {
        Self::default()
    }

    /// Takes a value newer than those held.
    fn append(&mut self, x: f64);
    /// Takes a value older than those held.
    fn prepend(&mut self, x: f64);
    /// Joins what is held with `newer` values.
    #[must_use]
    fn join(self, newer: Self) -> Self;

    /// Appends a chunk of values; the numbers kept after each of them.
    #[inline(always)]
    fn ahead(&mut self, x: &[f64; CHUNK]) -> [[f64; CHUNK]; MOST] {
        let mut kept = [[0.0; CHUNK]; MOST];
        for i in 0..CHUNK {
            self.append(x[i]);
            let numbers = self.keep();
            for k in 0..Self::KEPT {
                kept[k][i] = numbers[k];
            }
        }
        kept
    }

    /// Prepends a chunk of values, the last one first; the numbers kept from each of them on.
    #[inline(always)]
    fn back(&mut self, x: &[f64; CHUNK]) -> [[f64; CHUNK]; MOST] {
        let mut kept = [[0.0; CHUNK]; MOST];
        for i in (0..CHUNK).rev() {
            self.prepend(x[i]);
            let numbers = self.keep();
            for k in 0..Self::OLD {
                kept[k][i] = numbers[k];
            }
        }
        kept
    }

    /// Called between terms now and then: the time to move them to where rounding does not hurt.
    #[inline(always)]
    fn carry(&mut self) {}

    /// The numbers it is kept as, the first [`Fold::KEPT`] of them.
    #[inline(always)]
    fn keep(self) -> [f64; MOST] {
        [0.0; MOST]
    }

    /// The fold that was kept as these numbers; `bars` are those of the whole window for the newer part, 0 for the
    /// older one.
    #[must_use]
    #[inline(always)]
    fn kept(_numbers: [f64; MOST], _bars: f64) -> Self {
        Self::default()
    }

    /// Of two values in windows that may overlap; neither is NaN or -0.
    #[inline(always)]
    fn overlap(a: f64, _b: f64) -> f64 {
        a
    }
}

/// A sum whose rounding errors hardly grow with its terms: they are added up in short parts, and what is lost where a
/// part joins the sum joins it with the next one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    sum: f64,
    part: f64,
    lost: f64,
}

impl Total {
    /// The sum.
    #[inline(always)]
    pub fn value(self) -> f64 {
        self.sum + self.part
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        Self { sum: value, part: 0.0, lost: 0.0 }
    }

    #[inline(always)]
    fn add(&mut self, x: f64) {
        self.part += x;
    }

    /// Adds a chunk in order; the sum after each term. Only the parts are a chain, the rest is done side by side.
    #[inline(always)]
    fn ahead(&mut self, x: &[f64; CHUNK]) -> [f64; CHUNK] {
        let mut sums = [0.0; CHUNK];
        for i in 0..CHUNK {
            self.part += x[i];
            sums[i] = self.part;
        }
        for sum in &mut sums {
            *sum += self.sum;
        }
        sums
    }

    /// The same from the last term to the first.
    #[inline(always)]
    fn back(&mut self, x: &[f64; CHUNK]) -> [f64; CHUNK] {
        let mut sums = [0.0; CHUNK];
        for i in (0..CHUNK).rev() {
            self.part += x[i];
            sums[i] = self.part;
        }
        for sum in &mut sums {
            *sum += self.sum;
        }
        sums
    }

    #[inline(always)]
    fn with(self, newer: Self) -> Self {
        Self::of(self.value() + newer.value())
    }

    #[inline(always)]
    fn carry(&mut self) {
        // Knuth's sum of two: `sum` and `lost` hold exactly what both held. Parts begin at zero, so that the processor
        // can run the next one before this one has joined.
        let part = self.part + self.lost;
        let sum = self.sum + part;
        let moved = sum - self.sum;
        let lost = (self.sum - (sum - moved)) + (part - moved);
        // Beyond the largest number there is nothing to keep.
        self.lost = if lost.is_finite() { lost } else { 0.0 };
        (self.sum, self.part) = (sum, 0.0);
    }
}

impl Fold for Total {
    const KEPT: usize = 1;
    const TOTALS: usize = 1;

    #[inline(always)]
    fn terms(x: f64, _first: f64) -> [f64; 2] {
        [x, 0.0]
    }

    #[inline(always)]
    fn append(&mut self, x: f64) {
        self.add(x);
    }

    #[inline(always)]
    fn prepend(&mut self, x: f64) {
        self.add(x);
    }

    #[inline(always)]
    fn join(self, newer: Self) -> Self {
        self.with(newer)
    }

    #[inline(always)]
    fn carry(&mut self) {
        self.carry();
    }

    #[inline(always)]
    fn ahead(&mut self, x: &[f64; CHUNK]) -> [[f64; CHUNK]; MOST] {
        [self.ahead(x), [0.0; CHUNK], [0.0; CHUNK]]
    }

    #[inline(always)]
    fn back(&mut self, x: &[f64; CHUNK]) -> [[f64; CHUNK]; MOST] {
        [self.back(x), [0.0; CHUNK], [0.0; CHUNK]]
    }

    #[inline(always)]
    fn keep(self) -> [f64; MOST] {
        [self.value(), 0.0, 0.0]
    }

    #[inline(always)]
    fn kept([sum, ..]: [f64; MOST], _bars: f64) -> Self {
        Self::of(sum)
    }
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
    sum: Total,
    total: Total,
}

impl Weighted {
    /// The weighted sum.
    #[inline(always)]
    pub fn value(self) -> f64 {
        self.total.value()
    }
}

impl Fold for Weighted {
    const KEPT: usize = 3;

    #[inline(always)]
    fn append(&mut self, x: f64) {
        self.n += 1.0;
        self.sum.add(x);
        self.total.add(self.n * x);
    }

    #[inline(always)]
    fn prepend(&mut self, x: f64) {
        // Every value held gains one in weight, the new one has weight 1.
        self.n += 1.0;
        self.sum.add(x);
        self.total.add(self.sum.value());
    }

    #[inline(always)]
    fn join(self, newer: Self) -> Self {
        let lifted = self.n * newer.sum.value();
        Self {
            n: self.n + newer.n,
            sum: self.sum.with(newer.sum),
            total: Total::of(self.total.value() + (newer.total.value() + lifted)),
        }
    }

    #[inline(always)]
    fn carry(&mut self) {
        self.sum.carry();
        self.total.carry();
    }

    #[inline(always)]
    fn keep(self) -> [f64; MOST] {
        [self.n, self.sum.value(), self.total.value()]
    }

    #[inline(always)]
    fn kept([n, sum, total]: [f64; MOST], _bars: f64) -> Self {
        Self { n, sum: Total::of(sum), total: Total::of(total) }
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
    sum: Total,
    squares: Total,
}

impl Moments {
    /// Plain mean.
    #[inline(always)]
    pub fn mean(self) -> f64 {
        self.pivot + self.sum.value() / self.n
    }

    /// `x` less the mean, without losing what they have in common.
    #[inline(always)]
    pub fn distance(self, x: f64) -> f64 {
        (x - self.pivot) - self.sum.value() / self.n
    }

    /// Differences to the pivot and their squares; these are as many values more.
    #[inline(always)]
    fn apart(&mut self, x: &[f64; CHUNK]) -> ([f64; CHUNK], [f64; CHUNK]) {
        let (mut apart, mut squares) = ([0.0; CHUNK], [0.0; CHUNK]);
        for i in 0..CHUNK {
            apart[i] = x[i] - self.pivot;
            squares[i] = apart[i] * apart[i];
        }
        self.n += CHUNK as f64;
        (apart, squares)
    }

    /// Standard deviation; the sum of squares is divided by `n - ddof`.
    #[inline(always)]
    pub fn deviation(self, ddof: f64) -> f64 {
        let sum = self.sum.value();
        let spread = self.squares.value() - sum * (sum / self.n);
        // NaN passes, as the comparison with it is false.
        let spread = if spread < 0.0 { 0.0 } else { spread };
        (spread / (self.n - ddof)).sqrt()
    }
}

impl Fold for Moments {
    const KEPT: usize = 3;
    const OLD: usize = 2;
    const FIRST: bool = true;
    const TOTALS: usize = 2;

    #[inline(always)]
    fn terms(x: f64, first: f64) -> [f64; 2] {
        let d = x - first;
        [d, d * d]
    }

    #[inline(always)]
    fn start(first: f64) -> Self {
        Self { pivot: first, ..Self::default() }
    }

    #[inline(always)]
    fn append(&mut self, x: f64) {
        let d = x - self.pivot;
        self.n += 1.0;
        self.sum.add(d);
        self.squares.add(d * d);
    }

    #[inline(always)]
    fn prepend(&mut self, x: f64) {
        self.append(x);
    }

    /// Both parts measure from the pivot of the newer one.
    #[inline(always)]
    fn join(self, newer: Self) -> Self {
        Self {
            n: self.n + newer.n,
            pivot: newer.pivot,
            sum: self.sum.with(newer.sum),
            squares: self.squares.with(newer.squares),
        }
    }

    #[inline(always)]
    fn carry(&mut self) {
        self.sum.carry();
        self.squares.carry();
    }

    #[inline(always)]
    fn ahead(&mut self, x: &[f64; CHUNK]) -> [[f64; CHUNK]; MOST] {
        let (apart, squares) = self.apart(x);
        [self.sum.ahead(&apart), self.squares.ahead(&squares), [self.pivot; CHUNK]]
    }

    #[inline(always)]
    fn back(&mut self, x: &[f64; CHUNK]) -> [[f64; CHUNK]; MOST] {
        let (apart, squares) = self.apart(x);
        [self.sum.back(&apart), self.squares.back(&squares), [self.pivot; CHUNK]]
    }

    #[inline(always)]
    fn keep(self) -> [f64; MOST] {
        [self.sum.value(), self.squares.value(), self.pivot]
    }

    #[inline(always)]
    fn kept([sum, squares, pivot]: [f64; MOST], bars: f64) -> Self {
        Self { n: bars, pivot, sum: Total::of(sum), squares: Total::of(squares) }
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
    const KEPT: usize = 1;
    const OVERLAPS: bool = true;

    #[inline(always)]
    fn append(&mut self, x: f64) {
        self.0 = numeric::max(self.0, x);
    }

    #[inline(always)]
    fn prepend(&mut self, x: f64) {
        self.append(x);
    }

    #[inline(always)]
    fn join(self, newer: Self) -> Self {
        Self(numeric::max(self.0, newer.0))
    }

    #[inline(always)]
    fn keep(self) -> [f64; MOST] {
        [self.0, 0.0, 0.0]
    }

    #[inline(always)]
    fn kept([x, ..]: [f64; MOST], _bars: f64) -> Self {
        Self(x)
    }

    #[inline(always)]
    fn overlap(a: f64, b: f64) -> f64 {
        if a > b { a } else { b }
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
    const KEPT: usize = 1;
    const OVERLAPS: bool = true;

    #[inline(always)]
    fn append(&mut self, x: f64) {
        self.0 = numeric::min(self.0, x);
    }

    #[inline(always)]
    fn prepend(&mut self, x: f64) {
        self.append(x);
    }

    #[inline(always)]
    fn join(self, newer: Self) -> Self {
        Self(numeric::min(self.0, newer.0))
    }

    #[inline(always)]
    fn keep(self) -> [f64; MOST] {
        [self.0, 0.0, 0.0]
    }

    #[inline(always)]
    fn kept([x, ..]: [f64; MOST], _bars: f64) -> Self {
        Self(x)
    }

    #[inline(always)]
    fn overlap(a: f64, b: f64) -> f64 {
        if a < b { a } else { b }
    }
}
