//! Loops over many bars: operations on columns, ways into memory and out of it. Those of windows are in `wide_windows`, those
//! of recursions in `recursion`.
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
pub(super) const AHEAD: usize = 512;

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

/// Bars that pass through all loops of a kernel before the next ones do, where it may choose: what they leave for each
/// other stays in the first-level cache, and columns are read all the time, not in bursts that memory cannot follow.
pub(super) const PIECE: usize = 128;
