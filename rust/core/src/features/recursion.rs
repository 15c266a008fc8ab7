//! Loops over many bars of recursions, which take bars in groups of eight from their seed on. As in `wide`.
//!
//! Within a group the values are a recursion of their own that begins at nothing, so that groups run side by side in the
//! processor; between groups only the mean is handed on, one multiplication and one addition for eight bars. What feeds the
//! recursion (true ranges, gains and losses) is made in the same loop and never leaves the registers: memory is read all the
//! time, not in bursts that it cannot follow.

#![allow(clippy::needless_range_loop, clippy::inline_always)] // as in `wide`

use std::ops::Range;

use super::momentum::{gain, strength};
use super::volatility::true_range;
use super::wide::{AHEAD, fetch, widest};

/// Bars that a recursion takes at once.
pub(super) const GROUP: usize = 8;

/// Bars that are run through at once, and again one by one where a NaN is among them.
const PIECE: usize = 32 * GROUP;

/// Where the bars from `from` on end that go together: whole groups where a group begins, there are as many and a bar before
/// them, else one.
pub(super) fn next_piece(from: usize, end: usize, begins: bool) -> usize {
    let left = end - from;
    if begins && from > 0 && left >= GROUP {
        from + left.min(PIECE) / GROUP * GROUP
    } else {
        from + 1
    }
}

/// A recursion that takes whole groups of bars: a mean fades by `keep` a bar and gains the share `gain` of each value.
#[derive(Clone, Copy)]
pub(super) struct Recursion {
    pub(super) keep: f64,
    pub(super) gain: f64,
    /// Powers 1 to [`GROUP`] of `keep`.
    pub(super) powers: [f64; GROUP],
}

impl Recursion {
    /// Means after each bar of a group, from the mean before it; with `RELATIVE` values count from the first of the group.
    #[inline(always)]
    fn group<const RELATIVE: bool>(&self, last: &mut f64, x: &[f64; GROUP]) -> [f64; GROUP] {
        let first = if RELATIVE { x[0] } else { 0.0 };
        let mut gains = [0.0; GROUP];
        for j in 0..GROUP {
            gains[j] = self.gain * if RELATIVE { x[j] - first } else { x[j] };
        }
        let mut part = 0.0;
        for j in 0..GROUP {
            part = self.keep * part + gains[j];
            gains[j] = part;
        }
        let apart = if RELATIVE { *last - first } else { *last };
        let mut means = [0.0; GROUP];
        for j in 0..GROUP {
            means[j] = self.powers[j] * apart + gains[j];
            if RELATIVE {
                means[j] += first;
            }
        }
        *last = means[GROUP - 1];
        means
    }
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
        y[i] = law.group::<RELATIVE>(&mut last, x);
    }
    *mean = last;
    *nan = bad.iter().any(|bad| *bad != 0);
}

widest! {
    /// Wilder's mean of true ranges over whole groups of bars `from..to`, before which there is one. Tells of a NaN, or of what
    /// may hide one.
    pub(super) fn ranges<>(
        law: Recursion, mean: &mut f64, bars: [&[f64]; 3], piece: Range<usize>, y: &mut [f64], nan: &mut bool,
    ) => ranges_plain, ranges_avx2, <>
}

#[inline(always)]
fn ranges_plain(
    law: Recursion,
    mean: &mut f64,
    [high, low, close]: [&[f64]; 3],
    piece: Range<usize>,
    y: &mut [f64],
    nan: &mut bool,
) {
    let Range { start: from, end: to } = piece;
    let (highs, lows) = (high[from..to].as_chunks().0, low[from..to].as_chunks().0);
    let (closes, olds) = (close[from..to].as_chunks().0, close[from - 1..to - 1].as_chunks().0);
    let y = y[from..to].as_chunks_mut::<GROUP>().0;
    let n = y.len();
    let (highs, lows): (&[[f64; GROUP]], &[[f64; GROUP]]) = (&highs[..n], &lows[..n]);
    let (closes, olds): (&[[f64; GROUP]], &[[f64; GROUP]]) = (&closes[..n], &olds[..n]);
    let mut last = *mean;
    let mut bad = [0_u64; GROUP];
    for i in 0..n {
        let (high, low, close, old) = (&highs[i], &lows[i], &closes[i], &olds[i]);
        fetch(high, AHEAD);
        fetch(low, AHEAD);
        fetch(close, AHEAD);
        let mut x = [0.0; GROUP];
        for j in 0..GROUP {
            x[j] = true_range(high[j], low[j], old[j]);
            // The sum of three is NaN where one is, and besides where infinities meet.
            bad[j] |= u64::from((high[j] + low[j] + close[j]).is_nan());
        }
        y[i] = law.group::<false>(&mut last, &x);
    }
    *mean = last;
    *nan = bad.iter().any(|bad| *bad != 0);
}

widest! {
    /// Wilder's index of relative strength over whole groups of the values `from..to`, before which there is one; `means` are
    /// those of gains and losses. Tells of a change that is NaN.
    pub(super) fn strengths<>(
        law: Recursion, means: &mut [f64; 2], x: &[f64], piece: Range<usize>, y: &mut [f64], nan: &mut bool,
    ) => strengths_plain, strengths_avx2, <>
}

#[inline(always)]
fn strengths_plain(
    law: Recursion,
    means: &mut [f64; 2],
    x: &[f64],
    piece: Range<usize>,
    y: &mut [f64],
    nan: &mut bool,
) {
    let Range { start: from, end: to } = piece;
    let (olds, news) = (x[from - 1..to - 1].as_chunks().0, x[from..to].as_chunks().0);
    let y = y[from..to].as_chunks_mut::<GROUP>().0;
    let n = y.len();
    let (olds, news): (&[[f64; GROUP]], &[[f64; GROUP]]) = (&olds[..n], &news[..n]);
    let [mut up, mut down] = *means;
    let mut bad = [0_u64; GROUP];
    for i in 0..n {
        let (old, new) = (&olds[i], &news[i]);
        fetch(new, AHEAD);
        let (mut gains, mut losses) = ([0.0; GROUP], [0.0; GROUP]);
        for j in 0..GROUP {
            let change = new[j] - old[j];
            gains[j] = gain(change);
            losses[j] = gain(-change);
            bad[j] |= u64::from(change.is_nan());
        }
        let ups = law.group::<false>(&mut up, &gains);
        let downs = law.group::<false>(&mut down, &losses);
        let mut made = [0.0; GROUP];
        for j in 0..GROUP {
            made[j] = strength(ups[j], downs[j]);
        }
        y[i] = made;
    }
    *means = [up, down];
    *nan = bad.iter().any(|bad| *bad != 0);
}
