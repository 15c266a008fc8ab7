//! Loops over many bars: operations on columns, recursions in groups, ways into memory and out of it. Those of windows are in
//! `wide_windows`.
//!
//! The loops over columns have no branch and no dependence from bar to bar, so the compiler makes vector instructions
//! of them; they are compiled twice, for any x86-64 and for AVX2, and the machine chooses at run time. Both do the same
//! operations in the same order on every bar (no fused multiply-add, no reduction across lanes), so the bits are the
//! same.
//!
//! Loops count indices over slices of one length and fixed arrays: iterators are not always inlined into functions with
//! other target features, and a call a bar costs more than the work.

#![allow(clippy::needless_range_loop)]
// For the same reason: what is not inlined loses the wider instructions.
#![allow(clippy::inline_always)]

use std::cell::RefCell;

use super::volatility::true_range;
use crate::simd::Simd;

/// Terms after which a fold is told to [`Fold::carry`].
pub(super) const CHUNK: usize = 8;

/// Compiles a loop for any machine and for AVX2, and runs the one that fits.
macro_rules! widest {
    ($(#[$doc:meta])* $vis:vis fn $name:ident<$([$($bound:tt)*]),*>($($arg:ident: $type:ty),* $(,)?)
        => $plain:ident, $avx2:ident, <$($param:ident),*>) => {
        $(#[$doc])*
        $vis fn $name<$($($bound)*),*>($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            if $crate::simd::Simd::current().has_avx2() {
                // SAFETY: a `Simd` is made only of what this machine has, and beyond the plainest that has AVX2.
                return unsafe { $avx2::<$($param),*>($($arg),*) };
            }
            $plain::<$($param),*>($($arg),*);
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2<$($($bound)*),*>($($arg: $type),*) {
            $plain::<$($param),*>($($arg),*);
        }
    };
}
pub(super) use widest;

thread_local! {
    /// Columns that are needed while a block of bars is computed, and never after: the same memory for all kernels of a
    /// thread stays in its cache. Who lends inside of a loan gets another piece.
    static SCRATCH: RefCell<Vec<Vec<f64>>> = const { RefCell::new(Vec::new()) };
}

/// Columns for the time of a call.
pub(super) struct Scratch(Vec<f64>);

impl Scratch {
    /// So many columns of `room` numbers, whatever these are.
    pub(super) fn columns<const N: usize>(&mut self, room: usize) -> [&mut [f64]; N] {
        if self.0.len() < N * room {
            self.0.resize(N * room, 0.0);
        }
        let mut parts = self.0.chunks_exact_mut(room.max(1));
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    }
}

/// Lends the thread's columns.
#[inline]
pub(super) fn scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut held = Scratch(SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default());
    let done = work(&mut held);
    SCRATCH.with_borrow_mut(|pieces| pieces.push(held.0));
    done
}

pub(super) fn no_nan(x: &[f64]) -> bool {
    let mut found = false;
    any_nan(x, &mut found);
    !found
}

widest! {
    fn any_nan<>(x: &[f64], found: &mut bool) => any_nan_plain, any_nan_avx2, <>
}

#[inline(always)]
fn any_nan_plain(x: &[f64], found: &mut bool) {
    // Without an early end, so that it is one pass of vector instructions.
    let mut lanes = [0_u64; 8];
    let (eights, rest) = x.as_chunks::<8>();
    for eight in eights {
        for k in 0..8 {
            lanes[k] |= u64::from(eight[k].is_nan());
        }
    }
    *found = lanes.iter().any(|lane| *lane != 0) || rest.iter().any(|x| x.is_nan());
}

/// Copies a column to where it is not read soon: past the caches, where the machine can. [`fence`] comes after the last.
pub(super) fn stream(from: &[f64], to: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if Simd::current().has_avx2() && from.len() >= STREAMED {
        // SAFETY: a `Simd` is made only of what this machine has, and beyond the plainest that has AVX2.
        return unsafe { stream_avx2(from, to) };
    }
    to.copy_from_slice(from);
}

/// Fewer numbers are copied as ever.
#[cfg(target_arch = "x86_64")]
const STREAMED: usize = 64;

/// Makes what [`stream`] wrote visible in order with what is written later.
pub(super) fn fence() {
    // SAFETY: every x86-64 machine has this instruction.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn stream_avx2(from: &[f64], to: &mut [f64]) {
    use std::arch::x86_64::{_mm256_loadu_pd, _mm256_stream_pd};
    /// A line of the cache, written whole.
    #[repr(align(64))]
    struct Line([f64; 8]);
    let n = from.len();
    assert_eq!(n, to.len(), "columns are of one length");
    // SAFETY: any bits are floats, and a line is eight of them.
    let (head, lines, tail) = unsafe { to.align_to_mut::<Line>() };
    let (first, rest) = from.split_at(head.len());
    let (whole, last) = rest.split_at(8 * lines.len());
    head.copy_from_slice(first);
    tail.copy_from_slice(last);
    for (line, from) in lines.iter_mut().zip(whole.as_chunks::<8>().0) {
        let to = line.0.as_mut_ptr();
        // SAFETY: eight numbers are read and written, in arrays of eight; a line is aligned to 64 bytes, its half to 32.
        unsafe {
            let (low, high) = (_mm256_loadu_pd(from.as_ptr()), _mm256_loadu_pd(from[4..].as_ptr()));
            _mm256_stream_pd(to, low);
            _mm256_stream_pd(to.add(4), high);
        }
    }
}

/// How far ahead of where a column is read its line of the cache is asked for. Machines do so by themselves up to the end
/// of a page, which a column of a block crosses four times.
const AHEAD: usize = 512;

/// Asks for the line of the cache that stands so many numbers behind this part of a column.
#[inline(always)]
pub(super) fn fetch(part: &[f64], ahead: usize) {
    // SAFETY: an address that is asked for ahead is never an error, whatever lies there, and nothing is read from it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(part.as_ptr().wrapping_add(ahead).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (part, ahead);
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) nan: bool,
    pub(super) negative_zero: bool,
}

widest! {
    /// Copies a column and tells what stands in it, in one pass.
    pub(super) fn copy<>(from: &[f64], to: &mut [f64], seen: &mut Seen)
        => copy_plain, copy_avx2, <>
}

#[inline(always)]
fn copy_plain(from: &[f64], to: &mut [f64], seen: &mut Seen) {
    let n = from.len().min(to.len());
    let (mut nan, mut zero) = ([0_u64; 8], [0_u64; 8]);
    let (eights, rest) = from[..n].as_chunks::<8>();
    let (places, last) = to[..n].as_chunks_mut::<8>();
    for i in 0..eights.len() {
        let eight = &eights[i];
        for k in 0..8 {
            nan[k] |= u64::from(eight[k].is_nan());
            // Their signs: written as a comparison of bits it would not become vector instructions.
            zero[k] |= if eight[k] == 0.0 { eight[k].to_bits() } else { 0 };
        }
        places[i] = *eight;
    }
    last.copy_from_slice(rest);
    seen.nan = nan.iter().any(|lane| *lane != 0) || rest.iter().any(|x| x.is_nan());
    let negative = |x: &f64| x.to_bits() == 1 << 63;
    seen.negative_zero = zero.iter().any(|lane| *lane != 0) || rest.iter().any(negative);
}

pub(super) fn no_negative_zero(x: &[f64]) -> bool {
    x.iter().all(|x| x.to_bits() != 1 << 63)
}

widest! {
    /// Applies an operation to every row of some columns.
    pub(super) fn each<[const I: usize], [F: Fn([f64; I]) -> f64]>(
        columns: [&[f64]; I], out: &mut [f64], of: F,
    ) => each_plain, each_avx2, <I, F>
}

#[inline(always)]
fn each_plain<const I: usize, F: Fn([f64; I]) -> f64>(
    mut columns: [&[f64]; I],
    out: &mut [f64],
    of: F,
) {
    let n = out.len();
    for k in 0..I {
        columns[k] = &columns[k][..n];
    }
    for i in 0..n {
        let mut row = [0.0; I];
        for k in 0..I {
            row[k] = columns[k][i];
        }
        out[i] = of(row);
    }
}

/// Windows that are taken side by side.
const ABREAST: usize = 16;

widest! {
    /// Sums of the distances of all values of each window of `length` from a number of its own, oldest value first.
    pub(super) fn distances<>(values: &[f64], length: usize, from: &[f64], out: &mut [f64])
        => distances_plain, distances_avx2, <>
}

#[inline(always)]
fn distances_plain(values: &[f64], length: usize, from: &[f64], out: &mut [f64]) {
    let n = out.len().min(from.len());
    let whole = n / ABREAST;
    let (groups, places) = (from.as_chunks::<ABREAST>().0, out.as_chunks_mut::<ABREAST>().0);
    for i in 0..whole {
        let from = &groups[i];
        let mut sums = [0.0; ABREAST];
        for row in values[i * ABREAST..].windows(ABREAST).take(length) {
            for k in 0..ABREAST {
                sums[k] += (row[k] - from[k]).abs();
            }
        }
        places[i] = sums;
    }
    for i in whole * ABREAST..n {
        let mut sum = 0.0;
        for x in &values[i..i + length] {
            sum += (x - from[i]).abs();
        }
        out[i] = sum;
    }
}

widest! {
    /// Writes the gains and the losses of `x` over the value before each, the first of which is `before`, and tells of a
    /// NaN.
    pub(super) fn moves<>(
        x: &[f64], before: f64, up: &mut [f64], down: &mut [f64], nan: &mut bool,
    ) => moves_plain, moves_avx2, <>
}

#[inline(always)]
fn moves_plain(x: &[f64], before: f64, up: &mut [f64], down: &mut [f64], nan: &mut bool) {
    let Some(first) = x.first() else { return };
    let n = x.len();
    let gain = |change: f64| if change > 0.0 { change } else { 0.0 };
    let (mut bad, change) = (u64::from(first.is_nan()), first - before);
    (up[0], down[0]) = (gain(change), gain(-change));
    let (old, new, up, down) = (&x[..n - 1], &x[1..], &mut up[1..n], &mut down[1..n]);
    let whole = (n - 1) / 8;
    let (olds, news) = (old.as_chunks::<8>().0, new.as_chunks::<8>().0);
    let (ups, downs) = (up.as_chunks_mut::<8>().0, down.as_chunks_mut::<8>().0);
    let mut lanes = [0_u64; 8];
    for i in 0..whole {
        let (old, new) = (&olds[i], &news[i]);
        fetch(new, AHEAD);
        let (mut gains, mut losses) = ([0.0; 8], [0.0; 8]);
        for k in 0..8 {
            let change = new[k] - old[k];
            gains[k] = gain(change);
            losses[k] = gain(-change);
            lanes[k] |= u64::from(new[k].is_nan());
        }
        (ups[i], downs[i]) = (gains, losses);
    }
    bad |= lanes.iter().fold(0, |bad, lane| bad | lane);
    for i in 8 * whole..n - 1 {
        let change = new[i] - old[i];
        up[i] = gain(change);
        down[i] = gain(-change);
        bad |= u64::from(new[i].is_nan());
    }
    *nan = bad != 0;
}

widest! {
    /// Writes true ranges; `before` is the close before the first bar. Tells of a NaN, or of what may hide one.
    pub(super) fn true_ranges<>(
        bars: [&[f64]; 3], before: f64, range: &mut [f64], nan: &mut bool,
    ) => true_ranges_plain, true_ranges_avx2, <>
}

#[inline(always)]
fn true_ranges_plain(
    [high, low, close]: [&[f64]; 3],
    before: f64,
    range: &mut [f64],
    nan: &mut bool,
) {
    let n = close.len().min(high.len()).min(low.len());
    if n == 0 {
        return;
    }
    range[0] = true_range(high[0], low[0], before);
    let mut bad = u64::from((high[0] + low[0] + close[0]).is_nan());
    let (high, low, old, close) = (&high[1..n], &low[1..n], &close[..n - 1], &close[1..n]);
    let range = &mut range[1..n];
    let whole = (n - 1) / 8;
    let (highs, lows) = (high.as_chunks::<8>().0, low.as_chunks::<8>().0);
    let (olds, closes) = (old.as_chunks::<8>().0, close.as_chunks::<8>().0);
    let ranges = range.as_chunks_mut::<8>().0;
    let mut lanes = [0_u64; 8];
    for i in 0..whole {
        let (high, low, old, close) = (&highs[i], &lows[i], &olds[i], &closes[i]);
        fetch(high, AHEAD);
        fetch(low, AHEAD);
        fetch(close, AHEAD);
        let mut made = [0.0; 8];
        for k in 0..8 {
            made[k] = true_range(high[k], low[k], old[k]);
            // The sum of three is NaN where one is, and besides where infinities meet.
            lanes[k] |= u64::from((high[k] + low[k] + close[k]).is_nan());
        }
        ranges[i] = made;
    }
    for i in 8 * whole..n - 1 {
        range[i] = true_range(high[i], low[i], old[i]);
        bad |= u64::from((high[i] + low[i] + close[i]).is_nan());
    }
    *nan = bad != 0 || lanes.iter().any(|lane| *lane != 0);
}

/// Bars that pass through all loops of a kernel before the next ones do, where it may choose: what they leave for each
/// other stays in the first-level cache, and columns are read all the time, not in bursts that memory cannot follow.
pub(super) const PIECE: usize = 128;

/// Bars that a recursion takes at once.
pub(super) const GROUP: usize = 8;

/// A recursion that takes whole groups of bars: a mean fades by `keep` a bar and gains the share `gain` of each value.
#[derive(Clone, Copy)]
pub(super) struct Recursion {
    pub(super) keep: f64,
    pub(super) gain: f64,
    /// Powers 1 to [`GROUP`] of `keep`.
    pub(super) powers: [f64; GROUP],
}

widest! {
    /// Runs a recursion from `mean` over whole groups of bars, and tells of a NaN among them; with `RELATIVE` values count
    /// from the first of the group.
    pub(super) fn groups<[const RELATIVE: bool]>(
        law: Recursion, mean: &mut f64, x: &[f64], y: &mut [f64], nan: &mut bool,
    ) => groups_plain, groups_avx2, <RELATIVE>
}

#[inline(always)]
fn groups_plain<const RELATIVE: bool>(
    law: Recursion,
    mean: &mut f64,
    x: &[f64],
    y: &mut [f64],
    nan: &mut bool,
) {
    let Recursion { keep, gain, powers } = law;
    let (x, y) = (x.as_chunks::<GROUP>().0, y.as_chunks_mut::<GROUP>().0);
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &mut y[..n]);
    let mut last = *mean;
    let mut bad = [0_u64; GROUP];
    for i in 0..n {
        let x = &x[i];
        fetch(x, AHEAD);
        for j in 0..GROUP {
            bad[j] |= u64::from(x[j].is_nan());
        }
        let first = if RELATIVE { x[0] } else { 0.0 };
        let mut gains = [0.0; GROUP];
        for j in 0..GROUP {
            gains[j] = gain * if RELATIVE { x[j] - first } else { x[j] };
        }
        let mut part = 0.0;
        for j in 0..GROUP {
            part = keep * part + gains[j];
            gains[j] = part;
        }
        let apart = if RELATIVE { last - first } else { last };
        let mut means = [0.0; GROUP];
        for j in 0..GROUP {
            means[j] = powers[j] * apart + gains[j];
            if RELATIVE {
                means[j] += first;
            }
        }
        y[i] = means;
        last = means[GROUP - 1];
    }
    *mean = last;
    *nan = bad.iter().any(|bad| *bad != 0);
}
