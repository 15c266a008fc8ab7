//! Choices against the definition, ties, constants, and what the lanes of a vector may hide.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // small numbers

use super::*;
use crate::stats::Panel;

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

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn every_path_gives_the_same_bits() {
    for trials in [1, 7, 16, 61] {
        let mut v = noise(trials, 8);
        v[0] = 0.0;
        let part = |k: usize| &v[k * trials..][..trials];
        let squares: Vec<f64> = part(7).iter().map(|x| 3.0 + x.abs()).collect();
        let total: Vec<f64> = part(5).iter().map(|x| 30.0 + x).collect();
        let mut seen: Vec<(Vec<u64>, usize, u64)> = vec![];
        for simd in Simd::available() {
            let (mut here, mut there) = (vec![0.0; trials], vec![0.0; trials]);
            let slots = [&mut here[..], &mut there[..]];
            let sums = [[part(0), &squares], [part(2), &squares], [part(4), &total]];
            let best = orders(simd, sums, [9.0, 8.0], slots);
            let top = largest(&here);
            assert_eq!(best, Some([top, largest(&there)]));
            let found = choose(simd, &here, top, part(3));
            let mut bits: Vec<u64> = here.iter().chain(&there).map(|x| x.to_bits()).collect();
            bits.extend(best.unwrap().map(f64::to_bits));
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
            let oos: Vec<f64> = (0..panel.trials()).map(|k| ratio(k, &|b| !chosen(b))).collect();
            let winner = (0..is.len()).max_by(|&a, &b| is[a].total_cmp(&is[b])).unwrap();
            let place = oos.iter().filter(|&&x| x <= oos[winner]).count();
            out.push((winner, is[winner], oos[winner], place as f64 / (is.len() + 1) as f64));
        }
    }
    out
}

#[test]
fn choices_are_those_of_the_definition() {
    for (trials, periods, blocks) in [(2, 8, 4), (5, 33, 6), (9, 64, 8), (40, 41, 4)] {
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
fn sums_of_a_table_have_the_bits_of_sums_by_trial() {
    for (trials, periods) in [(1, 8), (3, 9), (64, 17), (65, 33), (130, 40)] {
        let mut values = noise(trials, periods);
        values[0] = 1e17; // something to compensate
        values[1] = -1e17;
        let table: Vec<f64> =
            (0..periods * trials).map(|i| values[i % trials * periods + i / trials]).collect();
        let panel = Panel::new(&values, periods).unwrap();
        assert_eq!(block_sums_of_table(&table, trials, 4), block_sums(&panel, 4));
    }
    let mut bad = vec![0.5; 24];
    bad[13] = f64::NAN;
    let error = block_sums_of_table(&bad, 3, 4).unwrap_err();
    assert_eq!(error.to_string(), "`return 4 of trial 1` must be finite, was NaN");
    assert!(block_sums_of_table(&bad, 5, 4).is_err() && block_sums_of_table(&bad, 0, 4).is_err());
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

#[test]
fn blocks_are_even_in_number_and_as_long_as_each_other() {
    assert_eq!(block_sizes(33, 6), [6, 6, 6, 5, 5, 5]);
    assert_eq!(block_sizes(8, 4), [2; 4]);
    let sums = |periods, blocks| block_sums_of_table(&vec![0.5; periods], 1, blocks);
    let refused = |periods, blocks| sums(periods, blocks).unwrap_err().to_string();
    for blocks in [0, 1, 3, 21, 22] {
        let bound = format!("`blocks` must be an even number from 2 to 20, was {blocks}");
        assert_eq!(refused(100, blocks), bound);
    }
    assert_eq!(refused(31, 16), "`periods` must be >= 32, was 31");
    assert!(sums(32, 16).is_ok() && sums(40, 20).is_ok());
    let panel = Panel::new(&[0.5, 1.0], 2).unwrap();
    assert!(
        block_sums_of_table(&[0.5; 9], 2, 2).is_err() && block_sums_of_table(&[], 0, 2).is_err()
    );
    assert!(block_sums(&panel, 2).is_err() && block_sums_of_table(&[0.5, 1.0], 1, 2).is_err());
}

#[test]
fn halves_are_those_of_a_scan_over_all_sets() {
    for blocks in [2_usize, 4, 6, 10] {
        let mut want: Vec<Vec<usize>> = (0_u32..1 << blocks)
            .filter(|set| set & 1 == 1 && set.count_ones() as usize == blocks / 2)
            .map(|set| (0..blocks).filter(|&b| (set >> b) & 1 == 1).collect())
            .collect();
        want.sort();
        assert_eq!(halves(blocks), want);
        assert_eq!(pairs(blocks), want.len());
    }
}

#[test]
fn units_change_nothing() {
    let values = noise(19, 40);
    let scaled: Vec<f64> = values.iter().map(|x| x * 2f64.powi(-40)).collect();
    assert_eq!(run(&scaled, 40, 4, 1), run(&values, 40, 4, 1));
}

#[test]
fn the_first_of_equal_winners_that_do_equally_badly_is_named() {
    let one = noise(1, 16);
    for split in run(&one.repeat(18), 16, 4, 1) {
        assert_eq!((split.winner, split.rank), (0, 0.5));
    }
    // Trials 0 and 1 do not trade in the first half; in the second one is worse, wherever it stands.
    let better = [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0, 3.0];
    let worse = [0.0, 0.0, 0.0, 0.0, 1.0, -2.0, 1.0, -1.0];
    let last = [-1.0, -2.0, -1.0, -2.0, 5.0, 6.0, 5.0, 6.0];
    for (values, winner) in
        [([better, worse, last].concat(), 1), ([worse, better, last].concat(), 0)]
    {
        let split = run(&values, 8, 2, 1)[0];
        assert_eq!((split.winner, split.rank), (winner, 0.25));
    }
}

/// Wherever they stand among the lanes, and in either half alone.
#[test]
fn constant_trials_are_found_in_every_lane() {
    let (trials, periods) = (40, 8);
    for some in [vec![3], vec![0, 15], vec![3, 20], vec![16, 31], vec![39], vec![35, 36]] {
        for part in [0..4, 4..8, 0..8] {
            let mut values = noise(trials, periods);
            for trial in &some {
                values[trial * periods..][part.clone()].fill(0.25);
            }
            let panel = Panel::new(&values, periods).unwrap();
            let sums = block_sums(&panel, 2).unwrap();
            let error = cscv(&sums, 1, &Progress::default()).unwrap_err().to_string();
            let name = format!("`trial {}` must be 0 or varying", some[0]);
            assert!(error.starts_with(&name), "{some:?} {part:?}: {error}");
        }
    }
    let one = block_sums(&Panel::new(&noise(1, 8), 8).unwrap(), 2).unwrap();
    let error = cscv(&one, 1, &Progress::default()).unwrap_err();
    assert_eq!(error.to_string(), "`trials` must be >= 2, was 1");
}

#[test]
fn progress_counts_pairs_of_halves() {
    let sums = block_sums(&Panel::new(&noise(3, 64), 64).unwrap(), 10).unwrap();
    let progress = Progress::default();
    cscv(&sums, 2, &progress).unwrap();
    assert_eq!(progress.done.load(std::sync::atomic::Ordering::Relaxed), pairs(10));
}
