//! Sums of returns over the blocks that halves are put together of.

// Bodies must end up inside the functions that are compiled for a path, or their instructions are not used.
#![allow(clippy::inline_always)]

use crate::numeric::Sum;
use crate::simd::Simd;
use crate::stats::Panel;
use crate::{Error, Result};

/// Most blocks: 184,756 halves.
pub const MOST_BLOCKS: usize = 20;

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

fn check_blocks(periods: usize, blocks: usize) -> Result<()> {
    if !(2..=MOST_BLOCKS).contains(&blocks) || !blocks.is_multiple_of(2) {
        let bound = format!("an even number from 2 to {MOST_BLOCKS}");
        return Err(Error::parameter("blocks", blocks, bound));
    }
    if periods < 2 * blocks {
        return Err(Error::parameter("periods", periods, format!(">= {}", 2 * blocks)));
    }
    Ok(())
}

/// Sums over blocks.
pub fn block_sums(panel: &Panel<'_>, blocks: usize) -> Result<BlockSums> {
    check_blocks(panel.periods, blocks)?;
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

/// Trials that are summed side by side: what is held of them stays in registers and the nearest cache.
const BESIDE: usize = 64;

/// [`Sum`]s of some trials and of their squares, side by side.
struct Sums {
    first: [[f64; BESIDE]; 2],
    second: [[f64; BESIDE]; 2],
}

/// Adds one term to every sum; the steps of [`Sum::add`], lane by lane.
#[inline(always)]
fn add(held: &mut [[f64; BESIDE]; 2], terms: &[f64; BESIDE]) {
    let [sums, lost] = held;
    for ((sum, lost), &x) in sums.iter_mut().zip(lost).zip(terms) {
        let total = *sum + x;
        let (more, less) = if sum.abs() >= x.abs() { (*sum, x) } else { (x, *sum) };
        *lost += (more - total) + less;
        *sum = total;
    }
}

/// Adds the rows of one block for as many trials as lie side by side, from `at` on.
#[inline(always)]
fn sums_body(sums: &mut Sums, rows: &[f64], trials: usize, at: usize) {
    let width = BESIDE.min(trials - at);
    for row in rows.chunks_exact(trials) {
        let mut terms = [0.0; BESIDE];
        terms[..width].copy_from_slice(&row[at..at + width]);
        add(&mut sums.first, &terms);
        for x in &mut terms {
            *x *= *x;
        }
        add(&mut sums.second, &terms);
    }
}

on_every_path! {
    /// [`sums_body`] with the instructions of the machine.
    sums_of(sums: &mut Sums, rows: &[f64], trials: usize, at: usize) = sums_body
}

/// Sums over blocks of returns that stand period by period, as in a table; the bits of [`block_sums`].
pub fn block_sums_of_table(values: &[f64], trials: usize, blocks: usize) -> Result<BlockSums> {
    if trials == 0 || !values.len().is_multiple_of(trials) {
        return Err(Error::parameter("trials", trials, "a divisor of the number of returns"));
    }
    let periods = values.len() / trials;
    check_blocks(periods, blocks)?;
    let simd = Simd::chosen()?;
    let sizes = block_sizes(periods, blocks);
    let mut first = vec![vec![0.0; trials]; blocks];
    let mut second = first.clone();
    let mut rest = values;
    for (block, &size) in sizes.iter().enumerate() {
        let (rows, later) = rest.split_at(size * trials);
        for at in (0..trials).step_by(BESIDE) {
            let zero = [[0.0; BESIDE]; 2];
            let mut sums = Sums { first: zero, second: zero };
            sums_of(simd, &mut sums, rows, trials, at);
            for (to, [sum, lost]) in [(&mut first, &sums.first), (&mut second, &sums.second)] {
                for ((to, &sum), &lost) in to[block][at..].iter_mut().zip(sum).zip(lost) {
                    *to = if lost.is_finite() { sum + lost } else { sum };
                }
            }
        }
        rest = later;
    }
    // What is not finite shows in a sum, as the squares are added; only then it is looked for.
    let finite = second.iter().flatten().all(|x| x.is_finite());
    if !finite && let Some(at) = values.iter().position(|x| !x.is_finite()) {
        let name = format!("return {} of trial {}", at / trials, at % trials);
        return Err(Error::parameter(name, values[at], "finite"));
    }
    Ok(BlockSums { sizes, first, second })
}
