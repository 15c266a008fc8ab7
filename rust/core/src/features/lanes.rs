//! Windows of several whole blocks at once, a block a lane.
//!
//! The folds of one block are a chain, each value after the one before. Blocks know nothing of each other, so where
//! several full ones lie side by side, step `j` of all of them is one vector instruction:
//!
//! ```text
//!   lane    older bars (suffix)     block (prefix)
//!    0       values[0 .. w]        values[w .. 2w]
//!    1       values[w .. 2w]       values[2w .. 3w]      ...
//! ```
//!
//! Rows are turned into columns of lanes before and back behind. The suffixes of all lanes are folded backwards and kept,
//! then the prefixes forwards, which are joined and read step by step, so that the divisions and roots of `read` run
//! beside the sums of the next steps. The operations on each block and their order are those of
//! [`Window::push`](super::window::Window::push), so the bits are the same.
//!
//! Gain (EPYC with AVX2, blocks in the cache): standard deviation over 60 bars 3.8 -> 2.8 ns a bar, z-score 4.1 -> 3.2,
//! mean over 20 bars 1.9 -> 1.7, the sixteen columns of workload B 29.8 -> 26.9. Cost: windows longer than a fifth of the
//! bars that come at once find too few blocks side by side.
//!
//! Tried and dropped: to gather each step of all lanes from the untouched values, which costs more than to turn them once
//! (the standard deviation took 3.9 to 4.3 ns); to keep what is folded forwards and read it in a second pass (3.5).

#![allow(clippy::inline_always, clippy::needless_range_loop)] // as in `wide`

use super::wide::{CHUNK, fetch};
use super::window::Fold;
use crate::simd::Simd;

/// Most blocks that are folded at once; fewer than half of it are not worth the detour.
pub(super) const LANES: usize = 8;

/// A [`Total`](super::window::Total) a lane.
#[derive(Clone, Copy)]
struct Totals<const W: usize> {
    sum: [f64; W],
    part: [f64; W],
    lost: [f64; W],
}

impl<const W: usize> Totals<W> {
    const NONE: Self = Self { sum: [0.0; W], part: [0.0; W], lost: [0.0; W] };

    /// Adds a term to each; the sums.
    #[inline(always)]
    fn add(&mut self, terms: &[f64; W]) -> [f64; W] {
        let mut values = [0.0; W];
        for k in 0..W {
            self.part[k] += terms[k];
            values[k] = self.sum[k] + self.part[k];
        }
        values
    }

    /// As [`Fold::carry`].
    #[inline(always)]
    fn carry(&mut self) {
        for k in 0..W {
            let part = self.part[k] + self.lost[k];
            let sum = self.sum[k] + part;
            let moved = sum - self.sum[k];
            let lost = (self.sum[k] - (sum - moved)) + (part - moved);
            self.lost[k] = if lost.is_finite() { lost } else { 0.0 };
            self.sum[k] = sum;
            self.part[k] = 0.0;
        }
    }
}

/// Writes what `read` makes of the windows that end in `W` full blocks of `length` bars.
///
/// `values` are the `length` bars before the first block and the blocks; each column of `out` has room for the blocks;
/// `spare` is for [`room`] numbers. `source` are the bars of the blocks where they came from: the ones that stand `ahead` of
/// them come next, and are asked for on the way.
pub(super) fn fill<F: Fold, const W: usize, const O: usize, R: Fn(F, f64) -> [f64; O]>(
    values: &[f64],
    source: (&[f64], usize),
    length: usize,
    spare: &mut [f64],
    out: &mut [&mut [f64]; O],
    read: &R,
) {
    #[cfg(target_arch = "x86_64")]
    if Simd::current().has_avx2() {
        // SAFETY: a `Simd` is made only of what this machine has, and beyond the plainest that has AVX2.
        return unsafe { fill_avx2::<F, W, O, R>(values, source, length, spare, out, read) };
    }
    fill_by::<F, W, O, R>(values, source, length, spare, out, read, turn_plain);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_avx2<F: Fold, const W: usize, const O: usize, R: Fn(F, f64) -> [f64; O]>(
    values: &[f64],
    source: (&[f64], usize),
    length: usize,
    spare: &mut [f64],
    out: &mut [&mut [f64]; O],
    read: &R,
) {
    let turn = |from: &[f64], width: usize, to: &mut [f64], height: usize| {
        turn_avx2(from, width, to, height);
    };
    fill_by::<F, W, O, R>(values, source, length, spare, out, read, turn);
}

/// Numbers that `lanes` need to work with on blocks of `length` bars with so many outputs.
pub(super) const fn room(lanes: usize, length: usize, outputs: usize) -> usize {
    (lanes + 1 + (2 + outputs) * lanes) * length
}

#[inline(always)]
fn fill_by<F: Fold, const W: usize, const O: usize, R: Fn(F, f64) -> [f64; O]>(
    values: &[f64],
    source: (&[f64], usize),
    length: usize,
    spare: &mut [f64],
    out: &mut [&mut [f64]; O],
    read: &R,
    turn: impl Fn(&[f64], usize, &mut [f64], usize),
) {
    // A row a step: what stands before the first block, then the blocks.
    let (rows, spare) = spare.split_at_mut((W + 1) * length);
    turn(&values[..(W + 1) * length], length, rows, W + 1);
    let second = if F::TOTALS > 1 { length } else { 0 };
    let (sums, spare) = spare.split_at_mut(W * length);
    let (squares, spare) = spare.split_at_mut(W * second);
    let (sums, squares) = (sums.as_chunks_mut().0, squares.as_chunks_mut().0);
    let mut pivots = [0.0; W];
    pivots.copy_from_slice(&rows[1..=W]);
    suffixes::<F, W>(rows, &pivots, sums, squares);
    let made = &mut spare[..O * W * length];
    prefixes::<F, W, O, R>(rows, source, &pivots, [sums, squares], made, read);
    for (column, made) in out.iter_mut().zip(made.chunks_exact(W * length)) {
        turn(made, W, column, length);
    }
}

/// Side of the squares that are turned at once.
const TILE: usize = 4;

/// Turns rows into columns: `from` are rows of `width`, `to` gets rows of `height`.
#[inline(always)]
fn turn_by(
    from: &[f64],
    width: usize,
    to: &mut [f64],
    height: usize,
    tile: impl Fn([&[f64; TILE]; TILE]) -> [[f64; TILE]; TILE],
) {
    let (from, to) = (&from[..width * height], &mut to[..width * height]);
    let below = height / TILE * TILE;
    for (y, rows) in from.chunks_exact(TILE * width).enumerate() {
        let (a, rest) = rows.split_at(width);
        let (b, rest) = rest.split_at(width);
        let (c, d) = rest.split_at(width);
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<TILE>(), b.as_chunks::<TILE>());
        let ((c, c_rest), (d, d_rest)) = (c.as_chunks::<TILE>(), d.as_chunks::<TILE>());
        let mut places = to.chunks_exact_mut(TILE * height);
        for ((a, b), ((c, d), place)) in a.iter().zip(b).zip(c.iter().zip(d).zip(&mut places)) {
            let turned = tile([a, b, c, d]);
            let place = &mut place[TILE * y..TILE * y + 3 * height + TILE];
            place[..TILE].copy_from_slice(&turned[0]);
            place[height..][..TILE].copy_from_slice(&turned[1]);
            place[2 * height..][..TILE].copy_from_slice(&turned[2]);
            place[3 * height..].copy_from_slice(&turned[3]);
        }
        let right = width / TILE * TILE;
        for x in 0..width - right {
            let place = &mut to[(right + x) * height + TILE * y..][..TILE];
            place.copy_from_slice(&[a_rest[x], b_rest[x], c_rest[x], d_rest[x]]);
        }
    }
    for y in below..height {
        let row = &from[y * width..][..width];
        for (x, value) in row.iter().enumerate() {
            to[x * height + y] = *value;
        }
    }
}

#[inline(always)]
fn turn_plain(from: &[f64], width: usize, to: &mut [f64], height: usize) {
    turn_by(from, width, to, height, |rows| {
        let mut turned = [[0.0; TILE]; TILE];
        for i in 0..TILE {
            for j in 0..TILE {
                turned[j][i] = rows[i][j];
            }
        }
        turned
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn turn_avx2(from: &[f64], width: usize, to: &mut [f64], height: usize) {
    use std::arch::x86_64::{
        __m256d, _mm256_loadu_pd, _mm256_permute2f128_pd, _mm256_storeu_pd, _mm256_unpackhi_pd,
        _mm256_unpacklo_pd,
    };
    turn_by(from, width, to, height, |rows| {
        // SAFETY: four numbers are read from an array of four.
        let row = |i: usize| -> __m256d { unsafe { _mm256_loadu_pd(rows[i].as_ptr()) } };
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (low_ab, high_ab) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        let (low_cd, high_cd) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
        let turned = [
            _mm256_permute2f128_pd::<0x20>(low_ab, low_cd),
            _mm256_permute2f128_pd::<0x20>(high_ab, high_cd),
            _mm256_permute2f128_pd::<0x31>(low_ab, low_cd),
            _mm256_permute2f128_pd::<0x31>(high_ab, high_cd),
        ];
        let mut made = [[0.0; TILE]; TILE];
        for (row, turned) in made.iter_mut().zip(turned) {
            // SAFETY: four numbers are written to an array of four.
            unsafe { _mm256_storeu_pd(row.as_mut_ptr(), turned) };
        }
        made
    });
}

/// Folds of what lies before each bar of the blocks.
#[inline(always)]
fn suffixes<F: Fold, const W: usize>(
    rows: &[f64],
    pivots: &[f64; W],
    sums: &mut [[f64; W]],
    squares: &mut [[f64; W]],
) {
    let length = sums.len();
    sums[length - 1] = [0.0; W];
    if F::TOTALS > 1 {
        squares[length - 1] = [0.0; W];
    }
    let (mut sum, mut square) = (Totals::<W>::NONE, Totals::<W>::NONE);
    let mut to = length - 1;
    while to > 0 {
        let from = to.saturating_sub(CHUNK);
        for at in (from..to).rev() {
            // What stands before bar `at` begins with the one behind it of the block before.
            let [a, b] = terms::<F, W>(&rows[(at + 1) * (W + 1)..][..W], pivots);
            sums[at] = sum.add(&a);
            if F::TOTALS > 1 {
                squares[at] = square.add(&b);
            }
        }
        sum.carry();
        if F::TOTALS > 1 {
            square.carry();
        }
        to = from;
    }
}

/// Folds the blocks forwards, joins what is held after each bar with what lies before it, and reads.
#[inline(always)]
fn prefixes<F: Fold, const W: usize, const O: usize, R: Fn(F, f64) -> [f64; O]>(
    rows: &[f64],
    source: (&[f64], usize),
    pivots: &[f64; W],
    old: [&[[f64; W]]; 2],
    made: &mut [f64],
    read: &R,
) {
    let [sums, squares] = old;
    let length = sums.len();
    let bars = length as f64;
    let none = [0.0; W];
    let (mut sum, mut square) = (Totals::<W>::NONE, Totals::<W>::NONE);
    let mut from = 0;
    while from < length {
        let to = length.min(from + CHUNK);
        for at in from..to {
            fetch(&source.0[at * W..], source.1);
            let x = &rows[at * (W + 1) + 1..][..W];
            let [a, b] = terms::<F, W>(x, pivots);
            let new_sum = sum.add(&a);
            let new_square = if F::TOTALS > 1 { square.add(&b) } else { none };
            let old_sum = &sums[at];
            let old_square = if F::TOTALS > 1 { &squares[at] } else { &none };
            let mut values = [[0.0; W]; O];
            for k in 0..W {
                let before = F::kept([old_sum[k], old_square[k], 0.0], 0.0);
                let first = if F::FIRST { pivots[k] } else { 0.0 };
                let fold = before.join(F::kept([new_sum[k], new_square[k], first], bars));
                let row = read(fold, x[k]);
                for column in 0..O {
                    values[column][k] = row[column];
                }
            }
            for column in 0..O {
                made[(column * length + at) * W..][..W].copy_from_slice(&values[column]);
            }
        }
        sum.carry();
        if F::TOTALS > 1 {
            square.carry();
        }
        from = to;
    }
}

#[inline(always)]
fn terms<F: Fold, const W: usize>(x: &[f64], pivots: &[f64; W]) -> [[f64; W]; 2] {
    let mut terms = [[0.0; W]; 2];
    for k in 0..W {
        let [a, b] = F::terms(x[k], pivots[k]);
        terms[0][k] = a;
        terms[1][k] = b;
    }
    terms
}
