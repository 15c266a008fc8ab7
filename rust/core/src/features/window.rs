//! Windows over the last `w` bars that forget exactly and never drift.
//!
//! A running total that adds the new value and takes off the old one keeps the rounding error of every bar it ever
//! saw, so it drifts and depends on where it started. Here a window is folded from two parts that hold its own bars
//! only. The clock is cut into blocks of `w` slots (`floor(at / w)`, so blocks stand still whatever the start), and the
//! window is
//!
//! ```text
//!            older bars              current block
//!   . . . . . [ x x x x x x x ] [ x x x .
//!      suffix, folded right to    prefix, folded
//!      left from the block        left to right
//! ```
//!
//! The suffix folds of all older bars are made once, when a block opens: `w - 1` values for the `w` steps that they
//! serve. After that a new bar extends the prefix, the suffix is the one shorter by a bar, and a step costs one append
//! and one join. Holes in the clock leave fewer bars to a block, so that blocks open more often.
//!
//! Each part depends on bars of the window alone, in an order fixed by the clock, so a full window has the same bits
//! from any start: who started inside the current block has no full window before the next one. For the same reason
//! the first value of the current block belongs to every full window, and folds may measure from it ([`Fold::start`]).
//! A NaN needs no care in the folds, as no part of a window without NaN has ever touched one; a count of bars since
//! the last NaN says when a window is one.
//!
//! A step is O(1) amortised; the bar that opens a block pays for it all, which for a live bar is `length` appends.
//!
//! # Many bars at once
//!
//! [`Window::fill`] does the same sums in the same order, block by block: one pass forwards and one backwards write the
//! parts into columns, then one loop without a branch joins them, which the compiler turns into vector instructions
//! (with AVX2 where the machine has it). Largest and smallest values do not depend on the order, so their windows are
//! made by doubling: of 2, 4, 8, ... bars, then two that overlap. Blocks of bars with a NaN go bar by bar.

// What a block of bars runs through must end up in loops that are compiled for other target features.
#![allow(clippy::inline_always, clippy::needless_range_loop)]

use std::ops::Range;

use super::node::{Kernel, Visit};
use super::registry::count;
use super::wide::{self, CHUNK};
use crate::numeric::{self, Sum};

/// Window parameters as numbers of bars; they were checked to be whole and in range.
pub(super) fn bars(value: f64) -> u64 {
    count(value) as u64
}

/// Most numbers that a fold is kept as in columns.
pub const MOST: usize = 3;
/// Below so many bars at once the columns cost more than they save.
const FEW: usize = 32;

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
    /// Bars of the current block.
    held: usize,
    /// That values came in without the folds: these must be made before the next step.
    stale: bool,
    /// Folds of the bars before the current block, from each of them to the last; the longest on top.
    suffix: Vec<F>,
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
            held: 0,
            stale: false,
            suffix: vec![],
            prefix: F::default(),
        }
    }

    /// Takes the value of the bar at `at`; the fold of the last `length` bars where there are so many and none is NaN.
    #[inline]
    pub fn push(&mut self, at: i64, x: f64) -> Option<F> {
        if self.stale {
            self.refold();
        }
        if self.closes(at) {
            self.open(at, x);
        }
        self.clean = if x.is_nan() { 0 } else { self.length.min(self.clean + 1) };
        if self.ring.len() < self.length {
            self.ring.push(x);
        } else {
            self.ring[self.next] = x;
            self.next = if self.next + 1 == self.length { 0 } else { self.next + 1 };
        }
        if self.held > 0 && self.held.is_multiple_of(CHUNK) {
            self.prefix.carry();
        }
        self.held += 1;
        self.prefix.append(x);
        (self.clean == self.length).then(|| {
            let older = self.length - self.held;
            let old = if older == 0 { F::default() } else { self.suffix[older - 1] };
            old.join(self.prefix)
        })
    }

    /// The values of a full window, oldest first.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.ring[self.next..].iter().chain(&self.ring[..self.next]).copied()
    }

    /// Whether a bar at `at` begins another block.
    #[inline(always)]
    fn closes(&self, at: i64) -> bool {
        // A block cannot hold more bars than slots unless the clock stands still; then it is closed all the same.
        at >= self.end || self.held == self.length
    }

    fn end_of(&self, at: i64) -> i64 {
        let slots = i64::try_from(self.length).unwrap_or(i64::MAX);
        at.div_euclid(slots).saturating_add(1).saturating_mul(slots)
    }

    /// Begins the block of the bar at `at`, whose value is `first`.
    fn open(&mut self, at: i64, first: f64) {
        self.end = self.end_of(at);
        self.held = 0;
        self.prefix = F::start(first);
        self.suffix.clear();
        let (front, back) = (&self.ring[self.next..], &self.ring[..self.next]);
        let mut fold = self.prefix;
        for (i, x) in back.iter().rev().chain(front.iter().rev()).take(self.length - 1).enumerate()
        {
            fold.prepend(*x);
            self.suffix.push(fold);
            if (i + 1).is_multiple_of(CHUNK) {
                fold.carry();
            }
        }
    }

    /// As [`Kernel::visit`]: the values, and how many of them lie in the current block; all folds follow from these.
    pub fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        let mut held = vec![self.held as f64];
        state.list(&mut self.ring, self.length);
        state.list(&mut held, 1);
        state.int(&mut self.end);
        // Counts come from a file: no more than there are values.
        self.held = held.first().map_or(0, |held| count(*held)).min(self.ring.len());
        self.refold();
    }

    /// Makes all folds from the values.
    fn refold(&mut self) {
        self.stale = false;
        self.ring.rotate_left(self.next);
        self.next = 0;
        self.clean = self.ring.iter().rev().take_while(|x| !x.is_nan()).count();
        self.suffix.clear();
        let (older, block) = self.ring.split_at(self.ring.len() - self.held);
        self.prefix = F::start(block.first().copied().unwrap_or_default());
        let mut fold = self.prefix;
        for (i, x) in older.iter().rev().take(self.length - 1).enumerate() {
            fold.prepend(*x);
            self.suffix.push(fold);
            if (i + 1).is_multiple_of(CHUNK) {
                fold.carry();
            }
        }
        for (i, x) in block.iter().enumerate() {
            if i > 0 && i.is_multiple_of(CHUNK) {
                self.prefix.carry();
            }
            self.prefix.append(*x);
        }
    }

    /// Takes many bars; writes what `read` makes of each window and its newest value, NaN where there is no window.
    ///
    /// The same bits as [`Window::push`], faster.
    #[inline]
    pub fn fill<const O: usize>(
        &mut self,
        at: &[i64],
        x: &[f64],
        mut out: [&mut [f64]; O],
        read: impl Fn(F, f64) -> [f64; O],
    ) {
        let n = x.len();
        let regular = F::KEPT > 0 && n >= FEW && self.length <= n && wide::no_nan(x);
        if !regular {
            for (i, (at, x)) in at.iter().zip(x).enumerate() {
                let values = self.push(*at, *x).map_or([f64::NAN; O], |fold| read(fold, *x));
                for (column, value) in out.iter_mut().zip(values) {
                    if let Some(slot) = column.get_mut(i) {
                        *slot = value;
                    }
                }
            }
            return;
        }
        wide::scratch(|scratch| {
            let past = self.ring.len();
            let room = past + n + self.length;
            let [values, old @ .., a, b, c] = scratch.columns::<7>(room);
            let new = [a, b, c];
            let (front, back) = (&self.ring[self.next..], &self.ring[..self.next]);
            values[..front.len()].copy_from_slice(front);
            values[front.len()..past].copy_from_slice(back);
            values[past..past + n].copy_from_slice(x);
            let values = &values[..past + n];
            let whole = F::OVERLAPS && wide::no_negative_zero(values);
            if whole {
                // Bits of the clock alone: where the block ends, and what it holds by then.
                self.blocks(at, past, |_, _, _| {});
                let [a, b, ..] = new;
                let (last, apart) = wide::overlapping::<F>(values, self.length, a, b);
                wide::read_overlap::<F, O, _>(
                    [&last[past..], &last[past.saturating_sub(apart)..]],
                    // Bars before the first full window are undefined in any case.
                    apart.saturating_sub(past).min(n),
                    x,
                    &mut out,
                    read,
                );
            } else {
                let (length, mut old, mut new) = (self.length, old, new);
                self.blocks(at, past, |first, from, to| {
                    wide::fold_block::<F>(values, length, first..to, from, &mut old, &mut new);
                });
                wide::read_all::<F, O, _>(
                    [&old[0][past..], &old[1][past..], &old[2][past..]],
                    [&new[0][past..], &new[1][past..], &new[2][past..]],
                    x,
                    length as f64,
                    &mut out,
                    read,
                );
            }
            // The windows that are not full or hold a NaN of an earlier block.
            let early = (self.length - 1).saturating_sub(self.clean).min(n);
            for column in &mut out {
                column[..early].fill(f64::NAN);
            }
            self.clean = self.length.min(self.clean + n);
            let keep = self.length.min(past + n);
            self.ring.clear();
            self.ring.extend_from_slice(&values[past + n - keep..]);
            self.next = 0;
            self.stale = true;
        });
    }

    /// Walks over the blocks that bars fall into: (first bar, first new bar, bar behind the last), counted from the
    /// oldest value held.
    #[inline]
    fn blocks(&mut self, at: &[i64], past: usize, mut each: impl FnMut(usize, usize, usize)) {
        let n = at.len();
        let mut i = 0;
        while i < n {
            if self.closes(at[i]) {
                self.end = self.end_of(at[i]);
                self.held = 0;
            }
            let most = n.min(i + self.length - self.held);
            let slots = usize::try_from(self.end.saturating_sub(at[i])).unwrap_or(usize::MAX);
            let to = i.saturating_add(slots).min(most).max(i + 1);
            // A clock that does not run back has its last bar before the end, and so all of them; with holes it
            // may have left the block sooner.
            let to = if at[to - 1] < self.end {
                to
            } else {
                let inside = at[i..to].iter().take_while(|at| **at < self.end).count();
                i + inside.max(1)
            };
            each(past + i - self.held, past + i, past + to);
            self.held += to - i;
            i = to;
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

    fn block(&mut self, at: &[i64], [x]: [&[f64]; 1], y: [&mut [f64]; 1]) {
        let length = self.length;
        self.window.fill(at, x, y, |fold, x| [S::read(fold, x, length)]);
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

    /// Takes many values; hands out pieces of them with the values so many bars before: (where, now, before).
    #[inline]
    pub fn fill(&mut self, x: &[f64], mut each: impl FnMut(Range<usize>, &[f64], &[f64])) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        let bars = self.ring.len();
        let early = bars.min(x.len());
        each(0..early, &x[..early], &self.ring[..early]);
        each(early..x.len(), &x[early..], &x[..x.len() - early]);
        if x.len() < bars {
            self.ring.rotate_left(x.len());
        }
        self.ring[bars - early..].copy_from_slice(&x[x.len() - early..]);
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
    struct Summed;

    impl Statistic for Summed {
        type Fold = Total;

        fn read(fold: Total, _x: f64, _length: f64) -> f64 {
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
        check::<Summed>(&mut random);
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
            let mut totals = Windowed::<Summed>::new(length);
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
            let mut kernel = Windowed::<Summed>::new(length);
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
