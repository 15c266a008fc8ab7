//! The stationary bootstrap (D. N. Politis and J. P. Romano 1994) from a documented stream.
//!
//! With `p = 1 / mean block`: a resample begins at `floor(u n)`; then one uniform decides each step, below `p` a fresh
//! `floor(u n)` from the next uniform, else the position after the last, around the end. Uniforms are the top 53 bits
//! of `SplitMix64` times 2^-53. How many a resample takes depends on what it drew, so where each begins in the stream is
//! counted first, in one go; then resamples can be made anywhere, in any order.

use rayon::prelude::*;

use super::{Progress, pool};
use crate::{Error, Result};

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Uniforms of `SplitMix64` (S. Vigna) in [0, 1), from any place of the stream on.
#[derive(Clone, Debug)]
struct Uniforms {
    state: u64,
}

impl Uniforms {
    fn at(seed: u64, drawn: u64) -> Self {
        Self { state: seed.wrapping_add(GAMMA.wrapping_mul(drawn)) }
    }

    #[inline]
    fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_add(GAMMA);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    #[inline]
    fn skip(&mut self) {
        self.state = self.state.wrapping_add(GAMMA);
    }
}

/// A block of a resample: from this position on, so many, not around the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First position.
    pub start: u32,
    /// Position after the last.
    pub end: u32,
    /// Whether it goes on, around the end, where the block before it stopped.
    pub joined: bool,
}

/// Resamples of `n` observations.
#[derive(Debug)]
pub enum Resamples {
    /// Made from the stream when they are asked for.
    Drawn {
        /// Observations.
        n: usize,
        /// Chance that a block ends.
        p: f64,
        /// Seed of the stream.
        seed: u64,
        /// Where in the stream each begins.
        begins: Vec<u64>,
    },
    /// Given as positions, one resample after the other.
    Given {
        /// Observations.
        n: usize,
        /// Positions.
        positions: Vec<u32>,
    },
}

impl Resamples {
    /// So many resamples of the stream.
    pub fn drawn(n: usize, mean_block: f64, rows: usize, seed: u64) -> Result<Self> {
        if n == 0 || u32::try_from(n).is_err() {
            return Err(Error::parameter("n", n, "from 1 to 4294967295"));
        }
        if mean_block < 1.0 || mean_block.is_nan() {
            return Err(Error::parameter("mean_block", mean_block, ">= 1"));
        }
        let p = 1.0 / mean_block;
        let mut begins = Vec::with_capacity(rows);
        let (mut random, mut drawn) = (Uniforms::at(seed, 0), 0u64);
        for _ in 0..rows {
            begins.push(drawn);
            random.skip();
            let mut fresh = 0;
            for _ in 1..n {
                if random.next() < p {
                    random.skip();
                    fresh += 1;
                }
            }
            drawn += n as u64 + fresh;
        }
        Ok(Self::Drawn { n, p, seed, begins })
    }

    /// Resamples by their positions.
    pub fn given(positions: &[i64], n: usize) -> Result<Self> {
        let checked = positions
            .iter()
            .map(|&at| u32::try_from(at).ok().filter(|&at| (at as usize) < n))
            .collect::<Option<Vec<u32>>>();
        match checked {
            Some(positions) if n > 0 && positions.len().is_multiple_of(n) => {
                Ok(Self::Given { n, positions })
            }
            _ => Err(Error::parameter("positions", "others", format!("rows of {n} below {n}"))),
        }
    }

    /// How many there are.
    pub fn rows(&self) -> usize {
        match self {
            Self::Drawn { begins, .. } => begins.len(),
            Self::Given { n, positions } => positions.len() / n,
        }
    }

    /// Observations of a resample.
    pub fn observations(&self) -> usize {
        match self {
            Self::Drawn { n, .. } | Self::Given { n, .. } => *n,
        }
    }

    /// Appends the blocks of one resample.
    pub fn blocks(&self, row: usize, out: &mut Vec<Block>) {
        match self {
            Self::Drawn { n, p, seed, begins } => {
                drawn_blocks(*n, *p, Uniforms::at(*seed, begins[row]), out);
            }
            Self::Given { n, positions } => {
                let row = &positions[row * n..][..*n];
                let mut block = Block { start: row[0], end: row[0] + 1, joined: false };
                for &at in &row[1..] {
                    if at == block.end {
                        block.end += 1;
                    } else {
                        out.push(block);
                        let joined = at as usize == block.end as usize % n;
                        block = Block { start: at, end: at + 1, joined };
                    }
                }
                out.push(block);
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // floor(u n) lies in 0..n, and n fits
fn drawn_blocks(n: usize, p: f64, mut random: Uniforms, out: &mut Vec<Block>) {
    let (size, last) = (n as f64, n as u32);
    let mut start = (random.next() * size) as u32;
    let mut block = Block { start, end: start + 1, joined: false };
    for _ in 1..n {
        if random.next() < p {
            out.push(block);
            start = (random.next() * size) as u32;
            // A fresh place that happens to follow the last goes on with its block.
            let joined = start == block.end % last;
            block = Block { start, end: start + 1, joined };
        } else if block.end == last {
            out.push(block);
            block = Block { start: 0, end: 1, joined: true };
        } else {
            block.end += 1;
        }
    }
    out.push(block);
}

/// Positions of all resamples, one after the other.
pub fn positions(resamples: &Resamples, threads: usize, progress: &Progress) -> Result<Vec<i64>> {
    let n = resamples.observations();
    let mut out = vec![0i64; n * resamples.rows()];
    pool(threads)?.install(|| {
        out.par_chunks_mut(n).enumerate().for_each_init(Vec::new, |blocks, (row, slots)| {
            if progress.stopped() {
                return;
            }
            blocks.clear();
            resamples.blocks(row, blocks);
            let each = blocks.iter().flat_map(|b| b.start..b.end);
            for (slot, at) in slots.iter_mut().zip(each) {
                *slot = i64::from(at);
            }
        });
    });
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // small numbers
mod tests {
    use super::*;

    /// The definition, step by step.
    fn plain(n: usize, p: f64, rows: usize, seed: u64) -> Vec<i64> {
        let mut random = Uniforms::at(seed, 0);
        let mut out = vec![];
        for _ in 0..rows {
            let mut at = (random.next() * n as f64).floor() as usize;
            out.push(at as i64);
            for _ in 1..n {
                at = if random.next() < p {
                    (random.next() * n as f64).floor() as usize
                } else {
                    (at + 1) % n
                };
                out.push(at as i64);
            }
        }
        out
    }

    #[test]
    fn uniforms_are_those_published() {
        let mut random = Uniforms::at(1_234_567, 0);
        for want in [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973] {
            assert_eq!(random.next(), (want >> 11) as f64 * 2f64.powi(-53));
        }
        assert_eq!(Uniforms::at(1_234_567, 1).next(), {
            let mut random = Uniforms::at(1_234_567, 0);
            random.skip();
            random.next()
        });
    }

    #[test]
    fn resamples_are_those_of_the_definition_on_any_threads() {
        for (n, block) in [(1, 1.0), (2, 1.0), (7, 1.3), (40, 5.0), (40, 1e6)] {
            for seed in [0, 9, u64::MAX] {
                let resamples = Resamples::drawn(n, block, 23, seed).unwrap();
                let want = plain(n, 1.0 / block, 23, seed);
                for threads in [1, 3] {
                    let got = positions(&resamples, threads, &Progress::default()).unwrap();
                    assert_eq!(got, want);
                }
                let given = Resamples::given(&want, n).unwrap();
                assert_eq!(positions(&given, 2, &Progress::default()).unwrap(), want);
            }
        }
    }

    /// A uniform that is the chance itself is not below it, where blocks are counted and where they are made.
    #[test]
    fn a_block_ends_below_the_chance_and_not_at_it() {
        let mut tried = 0;
        for seed in 0..200 {
            let mut random = Uniforms::at(seed, 0);
            random.skip();
            let p = random.next();
            let block = 1.0 / p;
            if 1.0 / block == p {
                tried += 1;
                let resamples = Resamples::drawn(2, block, 3, seed).unwrap();
                let found = positions(&resamples, 1, &Progress::default()).unwrap();
                assert_eq!(found, plain(2, p, 3, seed));
            }
        }
        assert!(tried > 50);
    }

    /// Blocks that are joined make up the runs of positions that follow each other, around the end too.
    #[test]
    fn blocks_are_joined_where_positions_follow() {
        for (n, block) in [(1, 1.0), (2, 1.5), (7, 1.3), (40, 5.0), (6, 50.0)] {
            let drawn = Resamples::drawn(n, block, 60, 3).unwrap();
            let want = plain(n, 1.0 / block, 60, 3);
            let given = Resamples::given(&want, n).unwrap();
            assert_eq!((drawn.rows(), given.rows()), (60, 60));
            for (row, at) in want.chunks(n).enumerate() {
                let mut runs = vec![1_u32];
                for pair in at.windows(2) {
                    if pair[1] == (pair[0] + 1) % n as i64 {
                        *runs.last_mut().unwrap() += 1;
                    } else {
                        runs.push(1);
                    }
                }
                for resamples in [&drawn, &given] {
                    let (mut blocks, mut found) = (vec![], vec![]);
                    resamples.blocks(row, &mut blocks);
                    for block in blocks {
                        let length = block.end - block.start;
                        if block.joined {
                            *found.last_mut().unwrap() += length;
                        } else {
                            found.push(length);
                        }
                    }
                    assert_eq!(found, runs, "{n} {block} {row}");
                }
            }
        }
    }

    #[test]
    fn bounds_are_refused() {
        assert!(Resamples::drawn(0, 2.0, 1, 0).is_err());
        assert!(Resamples::drawn(3, f64::NAN, 1, 0).is_err());
        assert!(Resamples::drawn(3, 0.5, 1, 0).is_err());
        assert!(Resamples::given(&[], 0).is_err());
        assert!(Resamples::given(&[0, 3, 1], 3).is_err());
        assert!(Resamples::given(&[0, 1], 3).is_err());
    }
}
