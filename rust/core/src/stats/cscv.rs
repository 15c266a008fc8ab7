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

// Bodies must end up inside the functions that are compiled for a path, or their instructions are not used.
#![allow(clippy::inline_always)]

use rayon::prelude::*;

use super::{Panel, Progress, pool};
use crate::numeric::{Sum, ln};
use crate::simd::Simd;
use crate::{Error, Result};

/// A spread of less than this share of the mean square is none but rounding.
const NO_SPREAD: f64 = 1e-12;
/// Most blocks: 184,756 halves.
pub const MOST_BLOCKS: usize = 20;
/// Pairs of halves that a task walks.
const PAIRS: usize = 64;

/// Sums of the returns of every trial over every block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSums {
    /// Periods of each block; they differ by one at most.
    pub sizes: Vec<usize>,
    /// Sums, by block and trial.
    pub first: Vec<Vec<f64>>,
    /// Sums of squares, by block and trial.
    pub second: Vec<Vec<f64>>,
}

/// Lengths of so many consecutive blocks that differ by one at most, the longer ones first.
pub fn block_sizes(periods: usize, blocks: usize) -> Vec<usize> {
    (0..blocks).map(|b| periods / blocks + usize::from(b < periods % blocks)).collect()
}

/// Sums over blocks.
pub fn block_sums(panel: &Panel<'_>, blocks: usize) -> Result<BlockSums> {
    if !(2..=MOST_BLOCKS).contains(&blocks) || !blocks.is_multiple_of(2) {
        let bound = format!("an even number from 2 to {MOST_BLOCKS}");
        return Err(Error::parameter("blocks", blocks, bound));
    }
    if panel.periods < 2 * blocks {
        return Err(Error::parameter("periods", panel.periods, format!(">= {}", 2 * blocks)));
    }
    let sizes = block_sizes(panel.periods, blocks);
    let mut first = vec![Vec::with_capacity(panel.trials()); blocks];
    let mut second = first.clone();
    for number in 0..panel.trials() {
        let mut rest = panel.trial(number);
        for (block, &size) in sizes.iter().enumerate() {
            let (here, later) = rest.split_at(size);
            first[block].push(here.iter().copied().collect::<Sum>().value());
            second[block].push(here.iter().map(|x| x * x).collect::<Sum>().value());
            rest = later;
        }
    }
    Ok(BlockSums { sizes, first, second })
}

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

/// A half with the sums of its blocks so far, level by level.
struct Stack<'a> {
    sums: &'a BlockSums,
    chosen: Vec<usize>,
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
}

impl Stack<'_> {
    /// Moves to another half, and adds only the blocks that differ; the last block of a half is added by who looks.
    fn go(&mut self, half: &[usize]) {
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
                    Some(below) => {
                        for ((to, a), b) in here[0].iter_mut().zip(below).zip(&sums[block]) {
                            *to = a + b;
                        }
                    }
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

/// Orders of all trials in a half and in the rest; whether one is undefined.
#[inline(always)]
fn orders_body(
    below: [&[f64]; 2],
    block: [&[f64]; 2],
    whole: [&[f64]; 2],
    (n, other): (f64, f64),
    (here, there): (&mut [f64], &mut [f64]),
) -> bool {
    let (inside, outside) = (1.0 / n, 1.0 / other);
    let mut bad = false;
    let sums = below[0].iter().zip(below[1]).zip(block[0].iter().zip(block[1]));
    let slots = here.iter_mut().zip(there);
    for ((((b1, b2), (x1, x2)), (w1, w2)), (a, b)) in
        sums.zip(whole[0].iter().zip(whole[1])).zip(slots)
    {
        let (s1, s2) = (b1 + x1, b2 + x2);
        *a = order(s1, s2, inside);
        *b = order(w1 - s1, w2 - s2, outside);
        bad |= a.is_nan() | b.is_nan();
    }
    bad
}

/// Values that are looked at together, so that vectors hold them.
const CHUNK: usize = 16;

/// Largest value; the lanes let it run beside itself.
#[inline(always)]
fn largest(values: &[f64]) -> f64 {
    let more = |a: f64, b: f64| if b > a { b } else { a };
    let mut lanes = [f64::NEG_INFINITY; CHUNK];
    let (chunks, rest) = values.as_chunks::<CHUNK>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = more(*lane, x);
        }
    }
    lanes.iter().chain(rest).fold(f64::NEG_INFINITY, |a, &b| more(a, b))
}

/// What a half chose, before logarithms: the winner, its order there and where it is judged, and how many are below it
/// and equal to it there.
#[derive(Clone, Copy)]
struct Choice {
    winner: usize,
    best: f64,
    worst: f64,
    below: u64,
    equal: u64,
}

/// Chooses by one half and judges by the other. Of several that are best alike the one that does worst is taken.
#[inline(always)]
fn choose_body(chosen: &[f64], judged: &[f64]) -> Choice {
    let best = largest(chosen);
    let (mut worst, mut winner) = (f64::INFINITY, usize::MAX);
    for (number, chunk) in chosen.chunks(CHUNK).enumerate() {
        let mut hit = false;
        for &c in chunk {
            hit |= c == best;
        }
        if !hit {
            continue;
        }
        for (at, &c) in (number * CHUNK..).zip(chunk) {
            if c == best && (judged[at] < worst || winner == usize::MAX) {
                (worst, winner) = (judged[at], at);
            }
        }
    }
    let (mut below, mut equal) = (0u64, 0u64);
    for &x in judged {
        below += u64::from(x < worst);
        equal += u64::from(x == worst);
    }
    Choice { winner, best, worst, below, equal }
}

on_every_path! {
    /// [`orders_body`] with the instructions of the machine.
    orders(
        below: [&[f64]; 2],
        block: [&[f64]; 2],
        whole: [&[f64]; 2],
        sizes: (f64, f64),
        slots: (&mut [f64], &mut [f64]),
    ) -> bool = orders_body
}

on_every_path! {
    /// [`choose_body`] with the instructions of the machine.
    choose(chosen: &[f64], judged: &[f64]) -> Choice = choose_body
}

fn judge(simd: Simd, chosen: &[f64], judged: &[f64], n: f64, other: f64) -> Split {
    let Choice { winner, best, worst, below, equal } = choose(simd, chosen, judged);
    let place = below as f64 + f64::midpoint(equal as f64, 1.0);
    let rank = place / (judged.len() as f64 + 1.0);
    Split {
        winner,
        chosen: sharpe(best, n),
        judged: sharpe(worst, other),
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
            stack.go(half);
            let size: usize = half.iter().map(|&b| sums.sizes[b]).sum();
            let (n, other) = (size as f64, (periods - size) as f64);
            let last = half[half.len() - 1];
            let undefined = orders(
                simd,
                stack.below(&zeros),
                [&sums.first[last], &sums.second[last]],
                [&all, &squares],
                (n, other),
                (&mut here, &mut there),
            );
            if undefined {
                let bad = |x: &f64| x.is_nan();
                let at = here.iter().position(bad).or_else(|| there.iter().position(bad));
                let name = format!("trial {}", at.unwrap_or(0));
                return Err(Error::parameter(
                    name,
                    "constant there",
                    "0 or varying over each half",
                ));
            }
            out.push(judge(simd, &here, &there, n, other));
            out.push(judge(simd, &there, &here, other, n));
        }
        progress.add(some.len());
        Ok(out)
    };
    let done: Vec<Vec<Split>> = pool(threads)?
        .install(|| every.par_chunks(PAIRS).map(walk).collect::<Result<Vec<Vec<Split>>>>())?;
    Ok(if progress.stopped() { None } else { Some(done.concat()) })
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // small numbers
mod tests {
    use super::*;

    fn noise(trials: usize, periods: usize) -> Vec<f64> {
        let mut state = 1u64;
        (0..trials * periods)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
            })
            .collect()
    }

    #[test]
    fn every_path_gives_the_same_bits() {
        for trials in [1, 7, 16, 61] {
            let mut v = noise(trials, 8);
            v[0] = 0.0;
            let part = |k: usize| &v[k * trials..][..trials];
            let squares: Vec<f64> = part(7).iter().map(|x| 3.0 + x.abs()).collect();
            let mut seen: Vec<(Vec<u64>, usize, u64)> = vec![];
            for simd in Simd::available() {
                let (mut here, mut there) = (vec![0.0; trials], vec![0.0; trials]);
                let slots = (&mut here[..], &mut there[..]);
                let below = [part(0), &squares];
                let bad =
                    orders(simd, below, [part(2), &squares], [part(4), part(5)], (9.0, 8.0), slots);
                let found = choose(simd, &here, part(3));
                let mut bits: Vec<u64> = here.iter().chain(&there).map(|x| x.to_bits()).collect();
                bits.push(u64::from(bad));
                seen.push((bits, found.winner, found.below * 1_000 + found.equal));
            }
            assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    fn run(values: &[f64], periods: usize, blocks: usize, threads: usize) -> Vec<Split> {
        let panel = Panel::new(values, periods).unwrap();
        let sums = block_sums(&panel, blocks).unwrap();
        cscv(&sums, threads, &Progress::default()).unwrap().unwrap()
    }

    /// From the returns of each half, by mean and deviation.
    fn plain(values: &[f64], periods: usize, blocks: usize) -> Vec<(usize, f64, f64, f64)> {
        let panel = Panel::new(values, periods).unwrap();
        let mut edges = vec![0];
        for size in block_sizes(periods, blocks) {
            edges.push(edges[edges.len() - 1] + size);
        }
        let ratio = |k: usize, chosen: &dyn Fn(usize) -> bool| {
            let part: Vec<f64> = (0..blocks)
                .filter(|&b| chosen(b))
                .flat_map(|b| panel.trial(k)[edges[b]..edges[b + 1]].to_vec())
                .collect();
            crate::numeric::mean(&part) / crate::numeric::standard_deviation(&part)
        };
        let mut out = vec![];
        for half in halves(blocks) {
            for inside in [true, false] {
                let chosen = |b: usize| half.contains(&b) == inside;
                let is: Vec<f64> = (0..panel.trials()).map(|k| ratio(k, &chosen)).collect();
                let oos: Vec<f64> =
                    (0..panel.trials()).map(|k| ratio(k, &|b| !chosen(b))).collect();
                let winner = (0..is.len()).max_by(|&a, &b| is[a].total_cmp(&is[b])).unwrap();
                let place = oos.iter().filter(|&&x| x <= oos[winner]).count();
                out.push((winner, is[winner], oos[winner], place as f64 / (is.len() + 1) as f64));
            }
        }
        out
    }

    #[test]
    fn choices_are_those_of_the_definition() {
        for (trials, periods, blocks) in [(2, 8, 4), (5, 33, 6), (9, 64, 8)] {
            let values = noise(trials, periods);
            let found = run(&values, periods, blocks, 2);
            assert_eq!(found.len(), 2 * pairs(blocks));
            for (a, b) in found.iter().zip(plain(&values, periods, blocks)) {
                assert_eq!((a.winner, a.rank), (b.0, b.3));
                assert!((a.chosen - b.1).abs() < 1e-12 && (a.judged - b.2).abs() < 1e-12);
            }
        }
        assert_eq!(pairs(16), 6_435);
    }

    #[test]
    fn threads_change_no_bit() {
        let values = noise(30, 100);
        let one = run(&values, 100, 12, 1);
        for threads in [2, 5] {
            assert_eq!(run(&values, 100, 12, threads), one);
        }
    }

    #[test]
    fn equal_trials_share_a_rank_and_the_worst_of_equal_winners_counts() {
        let one = noise(1, 16);
        let values = [one.clone(), one.clone(), one].concat();
        for split in run(&values, 16, 4, 1) {
            assert_eq!((split.rank, split.logit), (0.5, 0.0));
        }
        // Trials 0 and 1 do not trade in the first half; what they do in the second differs.
        let mut values = vec![0.0; 8];
        values[4..].copy_from_slice(&[1.0, -2.0, 1.0, -1.0]);
        values.extend([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0, 3.0]);
        values.extend([-1.0, -2.0, -1.0, -2.0, 5.0, 6.0, 5.0, 6.0]);
        let split = run(&values, 8, 2, 1)[0];
        assert_eq!((split.winner, split.chosen, split.rank), (0, 0.0, 0.25));
    }

    #[test]
    fn constant_returns_have_no_ratio() {
        let mut values = noise(2, 16);
        values[..16].fill(0.001);
        let panel = Panel::new(&values, 16).unwrap();
        let sums = block_sums(&panel, 4).unwrap();
        let error = cscv(&sums, 1, &Progress::default()).unwrap_err();
        assert!(error.to_string().starts_with("`trial 0` must be 0 or varying"));
    }

    #[test]
    fn a_request_to_stop_is_heard() {
        let values = noise(3, 64);
        let sums = block_sums(&Panel::new(&values, 64).unwrap(), 8).unwrap();
        let progress = Progress::default();
        progress.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(cscv(&sums, 2, &progress).unwrap(), None);
    }
}
