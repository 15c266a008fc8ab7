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
//! (with AVX2 where the machine has it). Full blocks side by side are folded together (`lanes`). Largest and smallest
//! values do not depend on the order, so their windows are made by doubling: of 4, 16, ... bars, then two that overlap.
//! Blocks of bars with a NaN go bar by bar.

// What a block of bars runs through must end up in loops that are compiled for other target features.
#![allow(clippy::inline_always, clippy::needless_range_loop)]

use std::ops::Range;

pub use super::delay::Delay;
pub use super::fold::{Fold, Largest, MOST, Moments, Smallest, Total, Weighted};
use super::lanes::{self, LANES};
use super::node::{Kernel, Visit};
use super::registry::count;
use super::wide::{self, CHUNK};
use super::wide_windows;

/// Window parameters as numbers of bars; they were checked to be whole and in range.
pub(super) fn bars(value: f64) -> u64 {
    count(value) as u64
}

/// Below so many bars at once the columns cost more than they save.
const FEW: usize = 32;

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

    /// As [`Window::end_of`], without a division where the next block begins on time.
    #[inline(always)]
    fn next_end(&self, at: i64) -> i64 {
        let next = i64::try_from(self.length).ok().and_then(|slots| self.end.checked_add(slots));
        match next {
            // Ends are whole blocks, but for the first that is no end.
            Some(next) if at == self.end && self.end != i64::MIN => next,
            _ => self.end_of(at),
        }
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
        let many = F::KEPT > 0 && n >= FEW && self.length <= n;
        if many && wide::scratch(|scratch| self.fill_many(at, x, &mut out, &read, scratch)) {
            return;
        }
        for (i, (at, x)) in at.iter().zip(x).enumerate() {
            let values = self.push(*at, *x).map_or([f64::NAN; O], |fold| read(fold, *x));
            for (column, value) in out.iter_mut().zip(values) {
                if let Some(slot) = column.get_mut(i) {
                    *slot = value;
                }
            }
        }
    }

    /// As [`Window::fill`], block by block; false, and nothing done, where a NaN is among the bars.
    #[inline]
    fn fill_many<const O: usize>(
        &mut self,
        at: &[i64],
        x: &[f64],
        out: &mut [&mut [f64]; O],
        read: &impl Fn(F, f64) -> [f64; O],
        scratch: &mut wide::Scratch,
    ) -> bool {
        let n = x.len();
        let past = self.ring.len();
        let room = past + n + self.length;
        let [values, old @ .., a, b, c] = scratch.columns::<7>(room);
        let new = [a, b, c];
        let (front, back) = (&self.ring[self.next..], &self.ring[..self.next]);
        values[..front.len()].copy_from_slice(front);
        values[front.len()..past].copy_from_slice(back);
        let mut seen = wide::Seen::default();
        wide::copy(x, &mut values[past..past + n], &mut seen);
        if seen.nan {
            return false;
        }
        let values = &values[..past + n];
        let whole = F::OVERLAPS && !seen.negative_zero && wide::no_negative_zero(&values[..past]);
        if whole {
            // Bits of the clock alone: where the block ends, and what it holds by then.
            self.blocks(at, past, |_, _, _| {});
            let [a, b, ..] = new;
            let (last, apart) = wide_windows::overlapping::<F>(values, self.length, a, b);
            wide_windows::read_overlap::<F, O, _>(
                [&last[past..], &last[past.saturating_sub(apart)..]],
                // Bars before the first full window are undefined in any case.
                apart.saturating_sub(past).min(n),
                x,
                out,
                read,
            );
        } else {
            let length = self.length;
            let waiting = past..past;
            let mut parts = Parts { values, source: x, length, past, old, new, waiting };
            let mut run = past..past;
            self.blocks(at, past, |first, from, to| {
                let whole = from == first && to - first == length && first >= length;
                if F::TOTALS > 0 && whole {
                    run = if run.end == first { run.start..to } else { first..to };
                    if run.len() == LANES * length {
                        parts.side_by_side::<F, LANES, O, _>(run.clone(), out, read);
                        run = to..to;
                    }
                    return;
                }
                parts.few::<F, O, _>(run.clone(), out, read);
                run = to..to;
                parts.fold::<F>(first, from, to);
            });
            parts.few::<F, O, _>(run, out, read);
            parts.read::<F, O, _>(past + n, out, read);
        }
        // The windows that are not full or hold a NaN of an earlier block.
        let early = (self.length - 1).saturating_sub(self.clean).min(n);
        for column in &mut *out {
            column[..early].fill(f64::NAN);
        }
        self.clean = self.length.min(self.clean + n);
        let keep = self.length.min(past + n);
        self.ring.clear();
        self.ring.extend_from_slice(&values[past + n - keep..]);
        self.next = 0;
        self.stale = true;
        true
    }

    /// Walks over the blocks that bars fall into: (first bar, first new bar, bar behind the last), counted from the
    /// oldest value held.
    #[inline]
    fn blocks(&mut self, at: &[i64], past: usize, mut each: impl FnMut(usize, usize, usize)) {
        let n = at.len();
        let mut i = 0;
        while i < n {
            if self.closes(at[i]) {
                self.end = self.next_end(at[i]);
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

/// Windows in the making while many bars are taken: columns of the parts of each.
struct Parts<'a> {
    /// Bars held before, then new ones.
    values: &'a [f64],
    /// The new bars where they came from.
    source: &'a [f64],
    length: usize,
    /// How many were held before.
    past: usize,
    old: [&'a mut [f64]; MOST],
    new: [&'a mut [f64]; MOST],
    /// Bars whose parts stand in the columns and wait to be read.
    waiting: Range<usize>,
}

impl Parts<'_> {
    /// Makes the parts of a block, of which the bars from `from` on are new.
    #[inline]
    fn fold<F: Fold>(&mut self, first: usize, from: usize, to: usize) {
        let (values, length) = (self.values, self.length);
        wide_windows::fold_block::<F>(
            values,
            length,
            first..to,
            from,
            &mut self.old,
            &mut self.new,
        );
        self.waiting.end = to;
    }

    /// Reads the windows that wait; the next ones begin at bar `from`.
    #[inline]
    fn read<F: Fold, const O: usize, R: Fn(F, f64) -> [f64; O]>(
        &mut self,
        from: usize,
        out: &mut [&mut [f64]; O],
        read: &R,
    ) {
        let range = std::mem::replace(&mut self.waiting, from..from);
        if range.is_empty() {
            return;
        }
        let place = range.start - self.past..range.end - self.past;
        let mut columns = out.each_mut().map(|column| &mut column[place.clone()]);
        wide_windows::read_all::<F, O, _>(
            self.old.each_ref().map(|column| &column[range.clone()]),
            self.new.each_ref().map(|column| &column[range.clone()]),
            &self.values[range],
            self.length as f64,
            &mut columns,
            read,
        );
    }

    /// Writes windows that end in full blocks, `W` of them.
    #[inline]
    fn side_by_side<F: Fold, const W: usize, const O: usize, R: Fn(F, f64) -> [f64; O]>(
        &mut self,
        blocks: Range<usize>,
        out: &mut [&mut [f64]; O],
        read: &R,
    ) {
        self.read::<F, O, R>(blocks.end, out, read);
        let place = blocks.start - self.past..blocks.end - self.past;
        let mut columns = out.each_mut().map(|column| &mut column[place.clone()]);
        let values = &self.values[blocks.start - self.length..blocks.end];
        let source = (&self.source[place], self.source.len());
        wide::scratch(|scratch| {
            let [spare] = scratch.columns(lanes::room(W, self.length, O));
            lanes::fill::<F, W, O, R>(values, source, self.length, spare, &mut columns, read);
        });
    }

    /// Takes full blocks that are too few for all lanes: for half of them, or one by one.
    #[inline]
    fn few<F: Fold, const O: usize, R: Fn(F, f64) -> [f64; O]>(
        &mut self,
        mut blocks: Range<usize>,
        out: &mut [&mut [f64]; O],
        read: &R,
    ) {
        const HALF: usize = LANES / 2;
        if blocks.len() >= HALF * self.length {
            let to = blocks.start + HALF * self.length;
            self.side_by_side::<F, HALF, O, R>(blocks.start..to, out, read);
            blocks.start = to;
        }
        for first in blocks.clone().step_by(self.length) {
            self.fold::<F>(first, first, first + self.length);
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

#[cfg(test)]
mod tests;
