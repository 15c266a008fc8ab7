//! Combinatorially symmetric cross-validation (D. Bailey, J. Borwein, M. Lopez de Prado and J. Zhu 2017).
//!
//! The periods are cut into S blocks; each half of them judges what the other half chose. A Sharpe ratio needs two
//! sums over a half, so sums over blocks are all that is kept of the returns: 2 S numbers a trial.
//!
//! Halves come in pairs that complete each other. Of each pair the one with the first block is built up block by block
//! in lexicographic order, so that mostly one block is added to sums that are there already, and the other is the whole
//! less the first. Each of the two is chosen on once and judged on once.
//!
//! Ratios are only ranked, and a square keeps their order: `s1 |s1| / (s2 - s1^2 / n)` needs no root.
//!
//! What it costs: 12.9 M orders of 1,000 trials in 16 blocks, two divisions a trial and pair of halves. Of its samples
//! (`perf`, avx512, one thread) 51% lie in the orders, half of them right behind a `vdivpd`, 25% in finding the winner and
//! counting who is below, 24% in adding blocks, which waits for the second cache. What helped, in one interleaved run on one
//! thread: sums of a table as it lies instead of a transposed copy, 8.6 to 2.9 ms; the largest order kept in registers while
//! orders are made, loops over lanes by place and sums of blocks by wide instructions, 19.1 to 12.4 ms for the splits.
//! Dropped: the same loops as zipped iterators, which stayed calls inside functions compiled for a path (42 ms); `f64::max`
//! for the largest, no gain. Not tried: comparing products instead of quotients, which would need an exact pass over what is
//! nearly equal.

// Bodies must end up inside the functions that are compiled for a path, or their instructions are not used.
#![allow(clippy::inline_always)]
// Iterators over lanes stay calls in functions that are compiled for a path, and arrays then live in memory: 1.5 times the
// time of the whole search. Loops over places are unrolled into registers.
#![allow(clippy::needless_range_loop)]

mod sums;

pub use sums::{BlockSums, MOST_BLOCKS, block_sizes, block_sums, block_sums_of_table};

use rayon::prelude::*;

use super::{Progress, pool};
use crate::numeric::ln;
use crate::simd::Simd;
use crate::{Error, Result};

/// A spread of less than this share of the mean square is none but rounding.
const NO_SPREAD: f64 = 1e-12;
/// Pairs of halves that a task walks.
const PAIRS: usize = 64;

/// What came of one choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Trial that was best where it was chosen.
    pub winner: usize,
    /// Its Sharpe ratio there.
    pub chosen: f64,
    /// Its Sharpe ratio in the other half.
    pub judged: f64,
    /// Its place there from the worst, equal ones sharing the mean of theirs, over the number of trials plus one.
    pub rank: f64,
    /// Log odds of that rank.
    pub logit: f64,
}

/// Sums of two rows.
#[inline(always)]
fn plus_body(to: &mut [f64], a: &[f64], b: &[f64]) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to = a + b;
    }
}

on_every_path! {
    /// [`plus_body`] with the instructions of the machine.
    plus(to: &mut [f64], a: &[f64], b: &[f64]) = plus_body
}

/// A half with the sums of its blocks so far, level by level.
struct Stack<'a> {
    sums: &'a BlockSums,
    chosen: Vec<usize>,
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
}

impl Stack<'_> {
    /// Moves to another half, and adds only the blocks that differ; the last block of a half is added by who looks.
    fn go(&mut self, simd: Simd, half: &[usize]) {
        let same = self.chosen.iter().zip(half).take_while(|(a, b)| a == b).count();
        self.chosen.clear();
        self.chosen.extend_from_slice(half);
        for (level, &block) in half[..half.len() - 1].iter().enumerate().skip(same) {
            for (held, sums) in
                [(&mut self.first, &self.sums.first), (&mut self.second, &self.sums.second)]
            {
                let (below, here) = held.split_at_mut(level);
                match below.last() {
                    None => here[0].copy_from_slice(&sums[block]),
                    Some(below) => plus(simd, &mut here[0], below, &sums[block]),
                }
            }
        }
    }

    /// Sums over all but the last block of the half; zeros where it is the only one.
    fn below<'s>(&'s self, zeros: &'s [f64]) -> [&'s [f64]; 2] {
        match self.chosen.len() {
            0 | 1 => [zeros, zeros],
            more => [&self.first[more - 2], &self.second[more - 2]],
        }
    }
}

/// A number in the order of the Sharpe ratio; 0 for a half without returns, NaN for one that is constant otherwise.
#[inline(always)]
fn order(s1: f64, s2: f64, inverse: f64) -> f64 {
    let spread = s2 - s1 * s1 * inverse;
    let value = s1 * s1.abs() / spread;
    let flat = if s1 == 0.0 { 0.0 } else { f64::NAN };
    if spread <= NO_SPREAD * s2 { flat } else { value }
}

fn sharpe(order: f64, n: f64) -> f64 {
    (order.abs() * (n - 1.0)).sqrt().copysign(order) / n
}

/// Values that are looked at together, so that vectors hold them.
const CHUNK: usize = 16;

/// Sums over trials, first and second moments.
type Moments<'a> = [&'a [f64]; 2];

type Chunk = [f64; CHUNK];

/// Orders of the trials of one chunk in a half and in the rest.
#[inline(always)]
fn orders_of(
    [b1, b2]: [&Chunk; 2],
    [x1, x2]: [&Chunk; 2],
    [w1, w2]: [&Chunk; 2],
    [inside, outside]: [f64; 2],
) -> (Chunk, Chunk) {
    let (mut here, mut there) = ([0.0; CHUNK], [0.0; CHUNK]);
    for lane in 0..CHUNK {
        let (s1, s2) = (b1[lane] + x1[lane], b2[lane] + x2[lane]);
        here[lane] = order(s1, s2, inside);
        there[lane] = order(w1[lane] - s1, w2[lane] - s2, outside);
    }
    (here, there)
}

/// Raises the largest of every lane.
#[inline(always)]
fn raise(largest: &mut Chunk, values: &Chunk) {
    for lane in 0..CHUNK {
        largest[lane] = if values[lane] > largest[lane] { values[lane] } else { largest[lane] };
    }
}

/// The largest over lanes.
#[inline(always)]
fn over(lanes: &Chunk) -> f64 {
    let mut most = lanes[0];
    for lane in 1..CHUNK {
        most = if lanes[lane] > most { lanes[lane] } else { most };
    }
    most
}

/// Orders of all trials in a half and in the rest, and the largest of each; none if one is undefined.
#[inline(always)]
#[allow(clippy::similar_names)] // of one sum: its whole chunks, and the last
fn orders_body(
    [below, block, whole]: [Moments<'_>; 3],
    [n, other]: [f64; 2],
    [here, there]: [&mut [f64]; 2],
) -> Option<[f64; 2]> {
    let inverse = [1.0 / n, 1.0 / other];
    let (mut most_here, mut most_there) = ([f64::NEG_INFINITY; CHUNK], [f64::NEG_INFINITY; CHUNK]);
    let mut bad = false;
    let (b1, last_b1) = below[0].as_chunks::<CHUNK>();
    let (b2, last_b2) = below[1].as_chunks::<CHUNK>();
    let (x1, last_x1) = block[0].as_chunks::<CHUNK>();
    let (x2, last_x2) = block[1].as_chunks::<CHUNK>();
    let (w1, last_w1) = whole[0].as_chunks::<CHUNK>();
    let (w2, last_w2) = whole[1].as_chunks::<CHUNK>();
    let (to_here, last_here) = here.as_chunks_mut::<CHUNK>();
    let (to_there, last_there) = there.as_chunks_mut::<CHUNK>();
    for at in 0..to_here.len() {
        let (a, b) = orders_of([&b1[at], &b2[at]], [&x1[at], &x2[at]], [&w1[at], &w2[at]], inverse);
        raise(&mut most_here, &a);
        raise(&mut most_there, &b);
        let mut odd = false;
        for lane in 0..CHUNK {
            odd |= a[lane].is_nan() | b[lane].is_nan();
        }
        bad |= odd;
        to_here[at] = a;
        to_there[at] = b;
    }
    // Lanes without a trial have the order 0 and are not looked at.
    let padded = |part: &[f64]| -> Chunk {
        let mut out = [0.0; CHUNK];
        out[..part.len()].copy_from_slice(part);
        out
    };
    let (a, b) = orders_of(
        [&padded(last_b1), &padded(last_b2)],
        [&padded(last_x1), &padded(last_x2)],
        [&padded(last_w1), &padded(last_w2)],
        inverse,
    );
    for (slots, most, values) in [(last_here, &mut most_here, a), (last_there, &mut most_there, b)]
    {
        let rest = slots.len();
        slots.copy_from_slice(&values[..rest]);
        let mut lanes = [f64::NEG_INFINITY; CHUNK];
        lanes[..rest].copy_from_slice(slots);
        raise(most, &lanes);
        bad |= slots.iter().any(|x| x.is_nan());
    }
    if bad { None } else { Some([over(&most_here), over(&most_there)]) }
}

/// What a half chose, before logarithms: the winner, its order where it is judged, and how many are below it and equal
/// to it there.
#[derive(Clone, Copy)]
struct Choice {
    winner: usize,
    judged: f64,
    below: u64,
    equal: u64,
}

/// Chooses by one half, whose largest order is known, and judges by the other. Of several that are best alike the one
/// that does worst is taken.
#[inline(always)]
fn choose_body(chosen: &[f64], best: f64, judged: &[f64]) -> Choice {
    let (mut worst, mut winner) = (f64::INFINITY, usize::MAX);
    let mut look = |from: usize, to: usize| {
        for at in from..to {
            if chosen[at] == best && (judged[at] < worst || winner == usize::MAX) {
                (worst, winner) = (judged[at], at);
            }
        }
    };
    let (chunks, _) = chosen.as_chunks::<CHUNK>();
    for number in 0..chunks.len() {
        let mut hit = false;
        for lane in 0..CHUNK {
            hit |= chunks[number][lane] == best;
        }
        if hit {
            look(number * CHUNK, (number + 1) * CHUNK);
        }
    }
    look(chunks.len() * CHUNK, chosen.len());
    let (mut below, mut equal) = (0u64, 0u64);
    for &x in judged {
        below += u64::from(x < worst);
        equal += u64::from(x == worst);
    }
    Choice { winner, judged: worst, below, equal }
}

on_every_path! {
    /// [`orders_body`] with the instructions of the machine.
    orders(
        sums: [Moments<'_>; 3],
        sizes: [f64; 2],
        slots: [&mut [f64]; 2],
    ) -> Option<[f64; 2]> = orders_body
}

on_every_path! {
    /// [`choose_body`] with the instructions of the machine.
    choose(chosen: &[f64], best: f64, judged: &[f64]) -> Choice = choose_body
}

fn judge(simd: Simd, [chosen, judged]: [&[f64]; 2], best: f64, [n, other]: [f64; 2]) -> Split {
    let found = choose(simd, chosen, best, judged);
    let place = found.below as f64 + f64::midpoint(found.equal as f64, 1.0);
    let rank = place / (judged.len() as f64 + 1.0);
    Split {
        winner: found.winner,
        chosen: sharpe(best, n),
        judged: sharpe(found.judged, other),
        rank,
        logit: ln(rank / (1.0 - rank)),
    }
}

/// All halves that hold the first block, in lexicographic order.
fn halves(blocks: usize) -> Vec<Vec<usize>> {
    let size = blocks / 2;
    let mut half: Vec<usize> = (0..size).collect();
    let mut out = vec![];
    loop {
        out.push(half.clone());
        let Some(at) = (1..size).rev().find(|&i| half[i] < blocks - size + i) else {
            return out;
        };
        half[at] += 1;
        for i in at + 1..size {
            half[i] = half[i - 1] + 1;
        }
    }
}

/// Pairs of halves of so many blocks.
pub fn pairs(blocks: usize) -> usize {
    (1..blocks / 2).fold(1, |ways, i| ways * (blocks - i) / i)
}

/// Every choice: first of each pair the half with the first block, then the other. None if it was stopped.
///
/// # Errors
///
/// If there are fewer than two trials, or one is constant but not 0 over a half, where it has no Sharpe ratio.
pub fn cscv(sums: &BlockSums, threads: usize, progress: &Progress) -> Result<Option<Vec<Split>>> {
    let blocks = sums.sizes.len();
    let trials = sums.first.first().map_or(0, Vec::len);
    if trials < 2 {
        return Err(Error::parameter("trials", trials, ">= 2"));
    }
    let whole = |of: &[Vec<f64>]| -> Vec<f64> {
        let mut total = of[0].clone();
        for block in &of[1..] {
            for (to, x) in total.iter_mut().zip(block) {
                *to += x;
            }
        }
        total
    };
    let (all, squares) = (whole(&sums.first), whole(&sums.second));
    let periods: usize = sums.sizes.iter().sum();
    let every = halves(blocks);
    let zeros = vec![0.0; trials];
    let simd = Simd::chosen()?;
    let walk = |some: &[Vec<usize>]| -> Result<Vec<Split>> {
        if progress.stopped() {
            return Ok(vec![]);
        }
        let empty = vec![vec![0.0; trials]; blocks / 2];
        let mut stack = Stack { sums, chosen: vec![], first: empty.clone(), second: empty };
        let (mut here, mut there) = (vec![0.0; trials], vec![0.0; trials]);
        let mut out = Vec::with_capacity(2 * some.len());
        for half in some {
            stack.go(simd, half);
            let size: usize = half.iter().map(|&b| sums.sizes[b]).sum();
            let (n, other) = (size as f64, (periods - size) as f64);
            let last = half[half.len() - 1];
            let sums =
                [stack.below(&zeros), [&sums.first[last], &sums.second[last]], [&all, &squares]];
            let Some(best) = orders(simd, sums, [n, other], [&mut here, &mut there]) else {
                let bad = |x: &f64| x.is_nan();
                let at = here.iter().position(bad).or_else(|| there.iter().position(bad));
                let name = format!("trial {}", at.unwrap_or(0));
                return Err(Error::parameter(
                    name,
                    "constant there",
                    "0 or varying over each half",
                ));
            };
            out.push(judge(simd, [&here, &there], best[0], [n, other]));
            out.push(judge(simd, [&there, &here], best[1], [other, n]));
        }
        progress.add(some.len());
        Ok(out)
    };
    let done: Vec<Vec<Split>> = pool(threads)?
        .install(|| every.par_chunks(PAIRS).map(walk).collect::<Result<Vec<Vec<Split>>>>())?;
    Ok(if progress.stopped() { None } else { Some(done.concat()) })
}

#[cfg(test)]
mod tests;
