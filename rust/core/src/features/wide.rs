//! Loops over many bars of a window: folds of blocks into columns, and columns joined into values.
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
use super::window::{Fold, MOST};
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

widest! {
    /// Writes the parts of windows that end in one block: `block` are its bars, of which those from `from` on are new.
    ///
    /// `new` takes the fold of the block up to each bar; `old` the fold of the older bars in the window that ends there.
    pub(super) fn fold_block<[F: Fold]>(
        values: &[f64],
        length: usize,
        block: std::ops::Range<usize>,
        from: usize,
        old: &mut [&mut [f64]; MOST],
        new: &mut [&mut [f64]; MOST],
    ) => fold_block_plain, fold_block_avx2, <F>
}

#[inline(always)]
fn fold_block_plain<F: Fold>(
    values: &[f64],
    length: usize,
    block: std::ops::Range<usize>,
    from: usize,
    old: &mut [&mut [f64]; MOST],
    new: &mut [&mut [f64]; MOST],
) {
    let (first, to) = (block.start, block.end);
    let newer = &values[block];
    // The longest older part is that of the first new bar.
    let most = (length - 1 - (from - first)).min(first);
    let older = &values[first - most..first];
    if newer.len() == length {
        let none = F::default().keep();
        for k in 0..F::OLD {
            old[k][to - 1] = none[k];
        }
    }
    // Written out, as `map` on arrays is not inlined and costs as much as a short block.
    let [n0, n1, n2] = new;
    let (n0, n1, n2) = (&mut n0[first..to], &mut n1[first..to], &mut n2[first..to]);
    let behind = first - most + length - 1;
    let [o0, o1, o2] = old;
    let (o0, o1, o2) = (
        &mut o0[behind..behind + most],
        &mut o1[behind..behind + most],
        &mut o2[behind..behind + most],
    );
    let (mut ahead, mut back) = (F::start(values[first]), F::start(values[first]));
    let (x, x_rest) = newer.as_chunks::<CHUNK>();
    let (n0, n0_rest) = n0.as_chunks_mut::<CHUNK>();
    let (n1, n1_rest) = n1.as_chunks_mut::<CHUNK>();
    let (n2, n2_rest) = n2.as_chunks_mut::<CHUNK>();
    let (z_rest, z) = older.as_rchunks::<CHUNK>();
    let (o0_rest, o0) = o0.as_rchunks_mut::<CHUNK>();
    let (o1_rest, o1) = o1.as_rchunks_mut::<CHUNK>();
    let (o2_rest, o2) = o2.as_rchunks_mut::<CHUNK>();
    // In turns, so that the processor runs both chains at a time.
    for turn in 0..x.len().max(z.len()) {
        if turn < x.len() {
            let kept = ahead.ahead(&x[turn]);
            n0[turn] = kept[0];
            if F::KEPT > 1 {
                n1[turn] = kept[1];
            }
            if F::KEPT > 2 && !F::FIRST {
                n2[turn] = kept[2];
            }
            ahead.carry();
        }
        if turn < z.len() {
            let at = z.len() - 1 - turn;
            let kept = back.back(&z[at]);
            o0[at] = kept[0];
            if F::OLD > 1 {
                o1[at] = kept[1];
            }
            if F::OLD > 2 {
                o2[at] = kept[2];
            }
            back.carry();
        }
    }
    forwards(&mut ahead, x_rest, n0_rest, n1_rest, n2_rest);
    if F::FIRST {
        new[F::KEPT - 1][first..to].fill(values[first]);
    }
    backwards(&mut back, z_rest, o0_rest, o1_rest, o2_rest);
}

#[inline(always)]
fn forwards<F: Fold>(fold: &mut F, x: &[f64], a: &mut [f64], b: &mut [f64], c: &mut [f64]) {
    let n = x.len();
    let (a, b, c) = (&mut a[..n], &mut b[..n], &mut c[..n]);
    for i in 0..n {
        fold.append(x[i]);
        let numbers = fold.keep();
        a[i] = numbers[0];
        if F::KEPT > 1 {
            b[i] = numbers[1];
        }
        if F::KEPT > 2 && !F::FIRST {
            c[i] = numbers[2];
        }
    }
}

#[inline(always)]
fn backwards<F: Fold>(fold: &mut F, x: &[f64], a: &mut [f64], b: &mut [f64], c: &mut [f64]) {
    let n = x.len();
    let (a, b, c) = (&mut a[..n], &mut b[..n], &mut c[..n]);
    for i in (0..n).rev() {
        fold.prepend(x[i]);
        let numbers = fold.keep();
        a[i] = numbers[0];
        if F::OLD > 1 {
            b[i] = numbers[1];
        }
        if F::OLD > 2 {
            c[i] = numbers[2];
        }
    }
}

/// Windows by doubling, for folds that may see a value twice: a column of windows of a power of two, and how far apart
/// two of them make up the whole window. What lies before the first full window means nothing.
pub(super) fn overlapping<'a, F: Fold>(
    values: &'a [f64],
    length: usize,
    out: &'a mut [f64],
    spare: &'a mut [f64],
) -> (&'a [f64], usize) {
    let n = values.len();
    if length == 1 {
        return (values, 0);
    }
    let (mut have, mut free) = (&mut out[..n], &mut spare[..n]);
    let mut width = if length < 4 {
        pair::<F>(values, 1, have);
        2
    } else {
        four::<F>(values, 1, have);
        4
    };
    while 2 * width <= length {
        let wider = 4 * width <= length;
        if wider {
            four::<F>(have, width, free);
        } else {
            pair::<F>(have, width, free);
        }
        (have, free) = (free, have);
        width *= if wider { 4 } else { 2 };
    }
    (have, length - width)
}

widest! {
    fn four<[F: Fold]>(from: &[f64], apart: usize, to: &mut [f64]) => four_plain, four_avx2, <F>
}

#[inline(always)]
fn four_plain<F: Fold>(from: &[f64], apart: usize, to: &mut [f64]) {
    let count = from.len().saturating_sub(3 * apart);
    let part = |k: usize| &from[from.len().min(k * apart)..][..count];
    let (a, b, c, d) = (part(0), part(1), part(2), part(3));
    let to = &mut to[from.len() - count..from.len()];
    for i in 0..count {
        to[i] = F::overlap(F::overlap(a[i], b[i]), F::overlap(c[i], d[i]));
    }
}

widest! {
    fn pair<[F: Fold]>(from: &[f64], apart: usize, to: &mut [f64]) => pair_plain, pair_avx2, <F>
}

#[inline(always)]
fn pair_plain<F: Fold>(from: &[f64], apart: usize, to: &mut [f64]) {
    let n = from.len();
    let apart = apart.min(n);
    let (a, b, to) = (&from[apart..], &from[..n - apart], &mut to[apart..n]);
    for i in 0..n - apart {
        to[i] = F::overlap(a[i], b[i]);
    }
}

widest! {
    /// Writes what `read` makes of windows that two columns make up, and of the newest values; the first of `two` begins
    /// with the first new bar, the second so far before it; the bars before `from` are left out.
    pub(super) fn read_overlap<[F: Fold], [const O: usize], [R: Fn(F, f64) -> [f64; O]]>(
        two: [&[f64]; 2],
        from: usize,
        x: &[f64],
        out: &mut [&mut [f64]; O],
        read: R,
    ) => read_overlap_plain, read_overlap_avx2, <F, O, R>
}

#[inline(always)]
fn read_overlap_plain<F: Fold, const O: usize, R: Fn(F, f64) -> [f64; O]>(
    [newer, older]: [&[f64]; 2],
    from: usize,
    x: &[f64],
    out: &mut [&mut [f64]; O],
    read: R,
) {
    let n = x.len();
    let (newer, older, x) = (&newer[from..n], &older[..n - from], &x[from..]);
    for k in 0..O {
        let column = &mut out[k][from..n];
        for first in (0..n - from).step_by(8) {
            let to = (n - from).min(first + 8);
            fetch(&x[first..to], n);
            for i in first..to {
                let fold = F::kept([F::overlap(newer[i], older[i]), 0.0, 0.0], 0.0);
                column[i] = read(fold, x[i])[k];
            }
        }
    }
}

widest! {
    /// Joins the parts of every window and writes what `read` makes of it and of its newest value.
    pub(super) fn read_all<[F: Fold], [const O: usize], [R: Fn(F, f64) -> [f64; O]]>(
        old: [&[f64]; MOST],
        new: [&[f64]; MOST],
        x: &[f64],
        bars: f64,
        out: &mut [&mut [f64]; O],
        read: R,
    ) => read_all_plain, read_all_avx2, <F, O, R>
}

#[inline(always)]
fn read_all_plain<F: Fold, const O: usize, R: Fn(F, f64) -> [f64; O]>(
    old: [&[f64]; MOST],
    new: [&[f64]; MOST],
    x: &[f64],
    bars: f64,
    out: &mut [&mut [f64]; O],
    read: R,
) {
    let n = x.len();
    let cut = |used: bool| if used { n } else { 0 };
    let ([o0, o1, o2], [n0, n1, n2]) = (old, new);
    let (o0, o1, o2) = (&o0[..n], &o1[..cut(F::OLD > 1)], &o2[..cut(F::OLD > 2)]);
    let (n0, n1, n2) = (&n0[..n], &n1[..cut(F::KEPT > 1)], &n2[..cut(F::KEPT > 2)]);
    for k in 0..O {
        out[k] = &mut std::mem::take(&mut out[k])[..n];
    }
    let number = |column: &[f64], used: bool, i: usize| if used { column[i] } else { 0.0 };
    for i in 0..n {
        let older = F::kept([o0[i], number(o1, F::OLD > 1, i), number(o2, F::OLD > 2, i)], 0.0);
        let newer = F::kept([n0[i], number(n1, F::KEPT > 1, i), number(n2, F::KEPT > 2, i)], bars);
        let values = read(older.join(newer), x[i]);
        for k in 0..O {
            out[k][i] = values[k];
        }
    }
}
