//! Is the best of many trials better than nothing? Maxima over trials, resample by resample.
//!
//! H. White 2000 (Reality Check), P. Hansen 2005 (SPA, studentised), J. Romano and M. Wolf 2005 (`StepM`). All of them
//! look at the same resampled means, so one pass gives them all.
//!
//! A resample is a list of blocks, and the sum over a block is a difference of two running sums: its cost is the
//! number of blocks and not of periods. Trials go through in tiles of [`LANES`], whose running sums stay in the cache
//! while [`ROWS`] resamples pass over them.
//!
//! The step-down p-values need the maximum over all trials that do no better than the one at hand. Trials come in the
//! order of their statistic, worst first, so that this is a running maximum, and it can be carried from one part of
//! the trials to the next.

// Bodies must end up inside the functions that are compiled for a path, or their instructions are not used.
#![allow(clippy::inline_always)]

use rayon::prelude::*;

use super::bootstrap::{Block, Resamples};
use super::{Panel, Progress, pool};
use crate::numeric::{Sum, mean};
use crate::simd::Simd;
use crate::{Error, Result};

/// Trials that go through together.
const LANES: usize = 16;
/// Squared deviations of a resample, in units of the sample's, that are only rounding.
const LEAST: f64 = 1e-12;
/// Resamples that a task makes.
const ROWS: usize = 64;

/// Root of the long-run variance of a mean times the number of periods, of one trial: what the stationary bootstrap
/// gives in the limit of many resamples, in closed form (Politis and Romano 1994, Lemma 1).
///
/// `gamma_0 + 2 sum_k (1 - k/n) q^k c_k` with `q = 1 - 1 / mean_block` and circular autocovariances `c_k`; the sum over
/// lags of `q^k x[t+k]` is a recursion in t. At least a millionth of `gamma_0`, which strong negative dependence could
/// undercut.
pub fn long_run_deviation(values: &[f64], mean_block: f64) -> f64 {
    let n = values.len();
    let centre = mean(values);
    let x: Vec<f64> = values.iter().map(|v| v - centre).collect();
    let variance = x.iter().map(|v| v * v).collect::<Sum>().value() / n as f64;
    let q = 1.0 - 1.0 / mean_block;
    if n < 2 || q == 0.0 {
        return variance.sqrt();
    }
    // plain = sum_k q^k x[t+k], slope = sum_k k q^k x[t+k], k from 1 to n - 1, around the end; here at t = n - 1.
    let (mut plain, mut slope, mut power) = (Sum::default(), Sum::default(), 1.0);
    for (k, v) in (1..n).zip(&x) {
        power *= q;
        plain.add(power * v);
        slope.add(k as f64 * power * v);
    }
    let (mut plain, mut slope) = (plain.value(), slope.value());
    let mut total = Sum::default();
    for t in (0..n).rev() {
        total.add(x[t] * (plain - slope / n as f64));
        // Lag n - 1 of t falls out at t - 1, where x[t] comes in at lag 1.
        let (shorter, less) = (
            plain - power * x[(t + n - 1) % n],
            slope - (n - 1) as f64 * power * x[(t + n - 1) % n],
        );
        plain = q * (x[t] + shorter);
        slope = q * (x[t] + shorter + less);
    }
    (variance + 2.0 * total.value() / n as f64).max(1e-6 * variance).sqrt()
}

/// What is asked of the resamples.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// By trial: what a resampled mean is divided by after the root of the number of periods; trials where it is not
    /// above 0 are left out.
    pub deviations: &'a [f64],
    /// By recentring and trial: what is added to the centred statistic.
    pub offsets: [&'a [f64]; 2],
    /// By trial: the statistic that step-down counts against; trials come in its order, least first.
    pub statistics: &'a [f64],
    /// Whether each resample is divided by a deviation of its own: the root of the summed squares of its blocks'
    /// centred sums (F. Goetze and H. R. Kuensch 1996). Else the sample's serves all.
    pub anew: bool,
}

/// Maxima over trials, by resample; of one part of the trials they are carried to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Maxima {
    /// Recentred fully: the least favourable case.
    pub upper: Vec<f64>,
    /// Recentred by the two offsets.
    pub others: [Vec<f64>; 2],
    /// Recentred fully, not divided by deviations.
    pub plain: Vec<f64>,
}

impl Maxima {
    /// Before any trial.
    pub fn none(rows: usize) -> Self {
        let least = vec![f64::NEG_INFINITY; rows];
        Self { upper: least.clone(), others: [least.clone(), least.clone()], plain: least }
    }
}

/// Running sums of the studentised, centred returns of the trials of a tile: at t the sum before t.
fn tile(panel: &Panel<'_>, first: usize, deviations: &[f64]) -> Vec<f64> {
    let n = panel.periods;
    let mut out = vec![0.0; (n + 1) * LANES];
    for (lane, number) in (first..panel.trials().min(first + LANES)).enumerate() {
        let deviation = deviations[number];
        if deviation <= 0.0 || deviation.is_nan() {
            continue;
        }
        let values = panel.trial(number);
        let centre = mean(values);
        let scale = 1.0 / ((n as f64).sqrt() * deviation);
        let mut sum = Sum::default();
        for (t, v) in values.iter().enumerate() {
            sum.add((v - centre) * scale);
            out[(t + 1) * LANES + lane] = sum.value();
        }
    }
    out
}

/// What is asked of the trials of a tile; those that are left out, or are no trials, are moved to minus infinity.
struct Lanes {
    upper: [f64; LANES],
    others: [[f64; LANES]; 2],
    deviations: [f64; LANES],
    statistics: [f64; LANES],
}

impl Lanes {
    fn new(question: &Question<'_>, first: usize, trials: usize) -> Self {
        let none = [f64::NEG_INFINITY; LANES];
        let mut lanes = Self {
            upper: none,
            others: [none, none],
            deviations: [0.0; LANES],
            statistics: [f64::INFINITY; LANES],
        };
        for (lane, k) in (first..trials.min(first + LANES)).enumerate() {
            if question.deviations[k] > 0.0 {
                lanes.statistics[lane] = question.statistics[k];
                lanes.upper[lane] = 0.0;
                lanes.others = [0, 1].map(|i| {
                    let mut offsets = lanes.others[i];
                    offsets[lane] = question.offsets[i][k];
                    offsets
                });
                lanes.deviations[lane] = question.deviations[k];
            }
        }
        lanes
    }
}

/// Maxima of a resample so far.
struct Row {
    upper: f64,
    others: [f64; 2],
    plain: f64,
}

impl Row {
    /// Takes the trials of a tile; counts those whose statistic is reached.
    #[inline(always)]
    fn take(
        &mut self,
        sums: &[f64; LANES],
        scales: &[f64; LANES],
        lanes: &Lanes,
        counts: &mut [u64; LANES],
    ) {
        // A NaN (minus infinity times a scale of 0, of a trial that is left out) is never more.
        let more = |a: f64, b: f64| if b > a { b } else { a };
        for lane in 0..LANES {
            let value = sums[lane] * scales[lane] + lanes.upper[lane];
            self.upper = more(self.upper, value);
            let moved = |i: usize| (sums[lane] + lanes.others[i][lane]) * scales[lane];
            self.others[0] = more(self.others[0], moved(0));
            self.others[1] = more(self.others[1], moved(1));
            self.plain = more(self.plain, sums[lane] * lanes.deviations[lane] + lanes.upper[lane]);
            counts[lane] += u64::from(self.upper >= lanes.statistics[lane]);
        }
    }
}

/// What a task leaves: its resamples, and by trial how many reach its statistic.
#[derive(Default)]
struct Part {
    rows: Vec<Row>,
    counts: Vec<u64>,
}

/// Sums over the blocks of a resample, of the trials of a tile.
#[inline(always)]
fn resampled(tile: &[f64], blocks: &[Block]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for block in blocks {
        let low = &tile[block.start as usize * LANES..][..LANES];
        let high = &tile[block.end as usize * LANES..][..LANES];
        for lane in 0..LANES {
            sums[lane] += high[lane] - low[lane];
        }
    }
    sums
}

/// The same with what turns each sum into one over the resample's own deviation; 0 where that is only rounding, as in
/// a resample of one block around the whole.
#[inline(always)]
fn resampled_anew(tile: &[f64], blocks: &[Block], n: usize) -> ([f64; LANES], [f64; LANES]) {
    let (mut sums, mut squares, mut weighted) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let (mut part, mut length, mut lengths) = ([0.0; LANES], 0.0, 0.0);
    for (at, block) in blocks.iter().enumerate() {
        let low = &tile[block.start as usize * LANES..][..LANES];
        let high = &tile[block.end as usize * LANES..][..LANES];
        let size = f64::from(block.end - block.start);
        if block.joined {
            length += size;
            for lane in 0..LANES {
                part[lane] += high[lane] - low[lane];
            }
        } else {
            length = size;
            for lane in 0..LANES {
                part[lane] = high[lane] - low[lane];
            }
        }
        if blocks.get(at + 1).is_none_or(|next| !next.joined) {
            lengths += length * length;
            for lane in 0..LANES {
                sums[lane] += part[lane];
                squares[lane] += part[lane] * part[lane];
                weighted[lane] += length * part[lane];
            }
        }
    }
    let mut scales = [0.0; LANES];
    for lane in 0..LANES {
        let centre = sums[lane] / n as f64;
        let square = squares[lane] - 2.0 * centre * weighted[lane] + centre * centre * lengths;
        scales[lane] = if square > LEAST { 1.0 / square.sqrt() } else { 0.0 };
    }
    (sums, scales)
}

/// Takes the trials of a tile through the resamples of a task, whose blocks lie one after the other.
#[inline(always)]
fn pass_body(
    tile: &[f64],
    lanes: &Lanes,
    blocks: &[Block],
    ends: &[usize],
    (n, anew): (usize, bool),
    rows: &mut [Row],
    counts: &mut [u64; LANES],
) {
    for (row, span) in rows.iter_mut().zip(ends.windows(2)) {
        let own = &blocks[span[0]..span[1]];
        let (sums, scales) =
            if anew { resampled_anew(tile, own, n) } else { (resampled(tile, own), [1.0; LANES]) };
        row.take(&sums, &scales, lanes, counts);
    }
}

on_every_path! {
    /// [`pass_body`] with the instructions of the machine.
    pass(
        tile: &[f64],
        lanes: &Lanes,
        blocks: &[Block],
        ends: &[usize],
        how: (usize, bool),
        rows: &mut [Row],
        counts: &mut [u64; LANES],
    ) = pass_body
}

/// Maxima over these and earlier trials, and by trial how many resamples reach its statistic. None if it was stopped.
///
/// # Errors
///
/// If lengths do not fit.
pub fn maxima(
    panel: &Panel<'_>,
    question: &Question<'_>,
    resamples: &Resamples,
    before: &Maxima,
    threads: usize,
    progress: &Progress,
) -> Result<Option<(Maxima, Vec<u64>)>> {
    let (trials, rows) = (panel.trials(), resamples.rows());
    let fits = question.deviations.len() == trials
        && question.statistics.len() == trials
        && question.offsets.iter().all(|o| o.len() == trials);
    if !fits || resamples.observations() != panel.periods || before.upper.len() != rows {
        return Err(Error::parameter("trials", trials, "what the question and resamples are for"));
    }
    let simd = Simd::chosen()?;
    let firsts: Vec<usize> = (0..trials).step_by(LANES).collect();
    let pool = pool(threads)?;
    let tiles: Vec<Vec<f64>> = pool.install(|| {
        firsts.par_iter().map(|&first| tile(panel, first, question.deviations)).collect()
    });
    let lanes: Vec<Lanes> =
        firsts.iter().map(|&first| Lanes::new(question, first, trials)).collect();
    let task = |begin: usize| {
        let mut part = Part::default();
        if progress.stopped() {
            return part;
        }
        let end = (begin + ROWS).min(rows);
        let (mut blocks, mut ends) = (vec![], vec![0]);
        for row in begin..end {
            resamples.blocks(row, &mut blocks);
            ends.push(blocks.len());
            part.rows.push(Row {
                upper: before.upper[row],
                others: [before.others[0][row], before.others[1][row]],
                plain: before.plain[row],
            });
        }
        for (tile, lanes) in tiles.iter().zip(&lanes) {
            let mut counts = [0u64; LANES];
            let how = (panel.periods, question.anew);
            pass(simd, tile, lanes, &blocks, &ends, how, &mut part.rows, &mut counts);
            part.counts.extend_from_slice(&counts);
        }
        progress.add(end - begin);
        part
    };
    let begins: Vec<usize> = (0..rows).step_by(ROWS).collect();
    let done: Vec<Part> = pool.install(|| begins.into_par_iter().map(task).collect());
    if progress.stopped() {
        return Ok(None);
    }
    let mut found = Maxima::none(0);
    let mut counts = vec![0u64; trials];
    for part in done {
        for row in part.rows {
            found.upper.push(row.upper);
            found.others[0].push(row.others[0]);
            found.others[1].push(row.others[1]);
            found.plain.push(row.plain);
        }
        // Whole numbers add up to the same in any order.
        for (total, count) in counts.iter_mut().zip(part.counts) {
            *total += count;
        }
    }
    Ok(Some((found, counts)))
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // small numbers
mod tests {
    use super::*;
    use crate::stats::bootstrap::positions;

    fn noise(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64 - 0.45
            })
            .collect()
    }

    #[test]
    fn long_run_deviation_is_that_of_the_sum_over_lags() {
        for (n, block) in [(2, 3.0), (9, 1.0), (50, 4.0), (50, 400.0)] {
            let x = noise(n, 3);
            let centre = mean(&x);
            let c: Vec<f64> = x.iter().map(|v| v - centre).collect();
            let size = n as f64;
            let gamma = |k: usize| (0..n - k).map(|t| c[t] * c[t + k]).sum::<f64>() / size;
            let q: f64 = 1.0 - 1.0 / block;
            let mut want = gamma(0);
            for k in 1..n {
                let part = k as f64 / size;
                let kernel = (1.0 - part) * q.powi(k as i32) + part * q.powi((n - k) as i32);
                want += 2.0 * kernel * gamma(k);
            }
            let want = want.max(1e-6 * gamma(0)).sqrt();
            assert!((long_run_deviation(&x, block) / want - 1.0).abs() < 1e-10, "{n} {block}");
        }
        assert_eq!(long_run_deviation(&[0.5; 9], 3.0), 0.0);
        assert_eq!(long_run_deviation(&[0.5], 3.0), 0.0);
        // What goes up and down by turns has hardly a variance in the long run: a millionth of 4 is left.
        let by_turns: Vec<f64> = (0..50).map(|t| if t % 2 == 0 { 2.0 } else { -2.0 }).collect();
        assert!((long_run_deviation(&by_turns, 1e12) / 2e-3 - 1.0).abs() < 1e-10);
    }

    #[test]
    fn every_path_gives_the_same_bits() {
        let (trials, n, rows) = (23, 60, 40);
        let values = noise(trials * n, 5);
        let panel = Panel::new(&values, n).unwrap();
        let deviations = vec![0.3; trials];
        let zeros = vec![0.1; trials];
        let resamples = Resamples::drawn(n, 3.0, rows, 4).unwrap();
        let (mut blocks, mut ends) = (vec![], vec![0]);
        for row in 0..rows {
            resamples.blocks(row, &mut blocks);
            ends.push(blocks.len());
        }
        for anew in [false, true] {
            let offsets = [&zeros[..], &zeros[..]];
            let question = Question { deviations: &deviations, offsets, statistics: &zeros, anew };
            let mut seen: Vec<Vec<u64>> = vec![];
            for simd in Simd::available() {
                let least = || Row { upper: -9.0, others: [-9.0; 2], plain: -9.0 };
                let mut held: Vec<Row> = (0..rows).map(|_| least()).collect();
                let mut bits = vec![];
                for first in [0, LANES] {
                    let tile = tile(&panel, first, &deviations);
                    let lanes = Lanes::new(&question, first, trials);
                    let mut counts = [0; LANES];
                    pass(simd, &tile, &lanes, &blocks, &ends, (n, anew), &mut held, &mut counts);
                    bits.extend(counts);
                }
                for row in &held {
                    let all = [row.upper, row.others[0], row.others[1], row.plain];
                    bits.extend(all.map(f64::to_bits));
                }
                seen.push(bits);
            }
            assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn maxima_are_those_of_the_definition_in_parts_and_on_any_threads() {
        check(false);
        check(true);
    }

    #[test]
    fn reaching_a_statistic_is_enough_and_progress_counts_resamples() {
        let (trials, n, rows) = (20, 30, 70);
        let values = noise(trials * n, 2);
        let panel = Panel::new(&values, n).unwrap();
        let (ones, zeros) = (vec![1.0; trials], vec![0.0; trials]);
        let resamples = Resamples::drawn(n, 3.0, rows, 4).unwrap();
        let ask = |statistics: &[f64], progress: &Progress| {
            let offsets = [&zeros[..], &zeros[..]];
            let question = Question { deviations: &ones, offsets, statistics, anew: false };
            maxima(&panel, &question, &resamples, &Maxima::none(rows), 2, progress)
                .unwrap()
                .unwrap()
        };
        let progress = Progress::default();
        let (found, _) = ask(&zeros, &progress);
        assert_eq!(progress.done.load(std::sync::atomic::Ordering::Relaxed), rows);
        let least = found.upper[3];
        let (_, counts) = ask(&vec![least; trials], &progress);
        let want = found.upper.iter().filter(|&&most| most >= least).count();
        assert_eq!(counts[trials - 1], want as u64);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let values = noise(12, 2);
        let panel = Panel::new(&values, 4).unwrap();
        let (three, two) = ([1.0; 3], [1.0; 2]);
        let fits = Question {
            deviations: &three,
            offsets: [&three, &three],
            statistics: &three,
            anew: false,
        };
        let ask = |question: &Question<'_>, n: usize, rows: usize| {
            let resamples = Resamples::drawn(n, 2.0, 5, 1).unwrap();
            maxima(&panel, question, &resamples, &Maxima::none(rows), 1, &Progress::default())
                .is_ok()
        };
        assert!(ask(&fits, 4, 5));
        assert!(!ask(&fits, 3, 5) && !ask(&fits, 4, 6));
        assert!(!ask(&Question { deviations: &two, ..fits }, 4, 5));
        assert!(!ask(&Question { statistics: &two, ..fits }, 4, 5));
        assert!(!ask(&Question { offsets: [&three, &two], ..fits }, 4, 5));
    }

    fn check(anew: bool) {
        let (trials, n, rows) = (37, 50, 130);
        let values = noise(trials * n, 8);
        let panel = Panel::new(&values, n).unwrap();
        let mut deviations: Vec<f64> =
            (0..trials).map(|k| long_run_deviation(panel.trial(k), 4.0)).collect();
        deviations[5] = 0.0;
        let a: Vec<f64> = (0..trials).map(|k| -0.1 * k as f64).collect();
        let b: Vec<f64> = (0..trials).map(|k| 0.01 * k as f64).collect();
        let statistics: Vec<f64> = (0..trials).map(|k| 0.1 * k as f64).collect();
        let resamples = Resamples::drawn(n, 4.0, rows, 2).unwrap();
        let at = positions(&resamples, 1, &Progress::default()).unwrap();
        let question =
            Question { deviations: &deviations, offsets: [&a, &b], statistics: &statistics, anew };
        let ask = |threads| {
            let none = Maxima::none(rows);
            maxima(&panel, &question, &resamples, &none, threads, &Progress::default())
        };
        let (found, counts) = ask(1).unwrap().unwrap();
        assert_eq!(ask(3).unwrap().unwrap(), (found.clone(), counts.clone()));
        let mut want = vec![0u64; trials];
        for row in 0..rows {
            let (mut upper, mut low, mut plain) =
                (f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY);
            for k in (0..trials).filter(|&k| k != 5) {
                let x = panel.trial(k);
                let row = &at[row * n..][..n];
                let star: f64 = row.iter().map(|&t| x[t as usize]).sum::<f64>() / n as f64;
                let raw = (n as f64).sqrt() * (star - mean(x));
                let mut own = deviations[k];
                if anew {
                    let mut parts: Vec<f64> = vec![];
                    for (i, &t) in row.iter().enumerate() {
                        let moved = x[t as usize] - star;
                        if i > 0 && t == (row[i - 1] + 1) % n as i64 {
                            *parts.last_mut().unwrap() += moved;
                        } else {
                            parts.push(moved);
                        }
                    }
                    own = (parts.iter().map(|p| p * p).sum::<f64>() / n as f64).sqrt();
                }
                upper = upper.max(raw / own);
                low = low.max((raw + a[k] * deviations[k]) / own);
                plain = plain.max(raw);
                want[k] += u64::from(upper >= statistics[k]);
            }
            assert!((found.upper[row] - upper).abs() < 1e-11);
            assert!((found.others[0][row] - low).abs() < 1e-11);
            assert!((found.plain[row] - plain).abs() < 1e-11);
        }
        assert_eq!(counts, want);
        // In two parts, the maxima carried over.
        let cut = 20;
        let head = Panel::new(&values[..cut * n], n).unwrap();
        let tail = Panel::new(&values[cut * n..], n).unwrap();
        let part = |range: std::ops::Range<usize>| Question {
            deviations: &deviations[range.clone()],
            offsets: [&a[range.clone()], &b[range.clone()]],
            statistics: &statistics[range],
            anew,
        };
        let progress = Progress::default();
        let (carried, first) =
            maxima(&head, &part(0..cut), &resamples, &Maxima::none(rows), 2, &progress)
                .unwrap()
                .unwrap();
        let (whole, second) =
            maxima(&tail, &part(cut..trials), &resamples, &carried, 2, &progress).unwrap().unwrap();
        assert_eq!((whole, [first, second].concat()), (found, counts));
    }
}
