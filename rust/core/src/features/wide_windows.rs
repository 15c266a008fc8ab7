//! Loops over many bars of windows: folds of blocks into columns, columns joined into values. As in `wide`.
//!
//! The folds themselves are in `fold`.

#![allow(clippy::needless_range_loop, clippy::inline_always)] // as in `wide`

use super::wide::{CHUNK, fetch, widest};
use super::window::{Fold, MOST};

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
