//! Tests of `window`.

use super::super::contract::Random;
use super::*;

/// Slots of a clock with holes of all lengths.
fn clock(random: &mut Random, bars: usize) -> Vec<i64> {
    let mut slot = -500;
    (0..bars)
        .map(|_| {
            slot += match random.below(12) {
                0 => 1 + random.slots(4),
                1 => 1 + random.slots(40),
                _ => 1,
            };
            slot
        })
        .collect()
}

fn windowed<S: Statistic>(length: usize, at: &[i64], x: &[f64]) -> Vec<f64> {
    let mut kernel = Windowed::<S>::new(length);
    at.iter().zip(x).map(|(at, x)| kernel.step(*at, [*x])[0]).collect()
}

#[derive(Clone)]
struct Summed;

impl Statistic for Summed {
    type Fold = Total;

    fn read(fold: Total, _x: f64, _length: f64) -> f64 {
        fold.value()
    }
}

#[derive(Clone)]
struct Spread;

impl Statistic for Spread {
    type Fold = Moments;

    fn read(fold: Moments, _x: f64, _length: f64) -> f64 {
        fold.deviation(0.0)
    }
}

#[derive(Clone)]
struct Rising;

impl Statistic for Rising {
    type Fold = Weighted;

    fn read(fold: Weighted, _x: f64, _length: f64) -> f64 {
        fold.value()
    }
}

/// A fold that is nothing but its own order: positions of the values must rise.
#[derive(Clone, Copy, Default)]
struct Order {
    n: u32,
    first: f64,
    last: f64,
}

impl Fold for Order {
    fn append(&mut self, x: f64) {
        *self = self.join(Self { n: 1, first: x, last: x });
    }

    fn prepend(&mut self, x: f64) {
        *self = Self { n: 1, first: x, last: x }.join(*self);
    }

    fn join(self, newer: Self) -> Self {
        if self.n == 0 || newer.n == 0 {
            return if self.n == 0 { newer } else { self };
        }
        assert_eq!(self.last + 1.0, newer.first);
        Self { n: self.n + newer.n, first: self.first, last: newer.last }
    }
}

#[test]
fn window_holds_its_last_bars_in_order_over_any_holes() {
    let mut random = Random(1);
    for length in [1, 2, 3, 5, 8, 30] {
        let mut window = Window::<Order>::new(length);
        for (i, at) in clock(&mut random, 600).into_iter().enumerate() {
            let fold = window.push(at, i as f64);
            assert_eq!(fold.is_some(), i + 1 >= length);
            if let Some(fold) = fold {
                assert_eq!(fold.n as usize, length);
                assert_eq!(fold.last, i as f64);
                let held: Vec<f64> = window.values().collect();
                let want: Vec<f64> = (i + 1 - length..=i).map(|v| v as f64).collect();
                assert_eq!(held, want);
            }
        }
    }
}

#[test]
fn full_windows_have_the_same_bits_from_every_start() {
    fn check<S: Statistic>(random: &mut Random) {
        for length in [1, 2, 3, 7, 16, 40] {
            let at = clock(random, 250);
            let x: Vec<f64> = at.iter().map(|_| 1e5 * random.unit() - 3e4).collect();
            let whole = windowed::<S>(length, &at, &x);
            for start in 0..250 {
                let later = windowed::<S>(length, &at[start..], &x[start..]);
                for i in start..250 {
                    if i + 1 < start + length {
                        assert!(later[i - start].is_nan());
                    } else {
                        assert_eq!(whole[i].to_bits(), later[i - start].to_bits());
                    }
                }
            }
        }
    }
    let mut random = Random(2);
    check::<Summed>(&mut random);
    check::<Spread>(&mut random);
    check::<Rising>(&mut random);
}

/// Ten million bars against sums of whole numbers, which are exact.
#[test]
fn sums_and_moments_do_not_drift_over_ten_million_bars() {
    const SCALE: f64 = 1024.0;
    let mut random = Random(3);
    for (length, spikes) in [(20_usize, true), (1000, true), (1000, false)] {
        let bars = if length == 20 { 10_000_000 } else { 1_000_000 };
        let mut totals = Windowed::<Summed>::new(length);
        let mut spreads = Windowed::<Spread>::new(length);
        let mut ring = vec![0_i128; length];
        let (mut sum, mut squares) = (0_i128, 0_i128);
        let mut at = 0;
        for i in 0..bars {
            at += 1 + i64::from(random.below(1000) == 0);
            let spike = spikes && random.below(500) == 0;
            // Moves of a thousandth around 1e5: the offset is a hundred million times the spread.
            let whole: i128 =
                if spike { 1 << 50 } else { 102_400_000 + i128::from(random.next() % 3) };
            let old = std::mem::replace(&mut ring[i % length], whole);
            sum += whole - old;
            squares += whole * whole - old * old;
            let x = whole as f64 / SCALE;
            let (total, spread) = (totals.step(at, [x])[0], spreads.step(at, [x])[0]);
            if i + 1 >= length {
                let exact = sum as f64 / SCALE;
                assert!((total - exact).abs() <= 1e-15 * exact, "{total} and {exact} at {i}");
                let n = length as i128;
                let exact = ((n * squares - sum * sum) as f64).sqrt() / (n as f64 * SCALE);
                assert!((spread - exact).abs() <= 1e-12 * exact, "{spread}, {exact} at {i}");
            }
        }
    }
}

#[test]
fn moments_of_a_common_value_are_exact() {
    let mut random = Random(4);
    let at = clock(&mut random, 300);
    for x in [0.1, 1e5 + 0.1, -7.3e-9] {
        for length in [2, 3, 7, 50] {
            let spread = windowed::<Spread>(length, &at, &vec![x; 300]);
            assert!(spread[length - 1..].iter().all(|v| *v == 0.0));
        }
    }
}

#[test]
fn many_bars_at_once_have_the_bits_of_steps() {
    fn check<S: Statistic>(random: &mut Random, scale: f64) {
        for length in [1, 2, 3, 7, 8, 9, 20, 60, 200, 300] {
            for holes in [false, true] {
                let at = if holes { clock(random, 2_600) } else { (3..2_603).collect() };
                let x: Vec<f64> = at.iter().map(|_| scale * (random.unit() - 0.3)).collect();
                let want = windowed::<S>(length, &at, &x);
                let mut kernel = Windowed::<S>::new(length);
                let mut got = vec![0.0; x.len()];
                // What a block ends with the next one begins with: whole, short and single ones.
                for piece in [0..1_100, 1_100..1_140, 1_140..1_141, 1_141..2_600] {
                    let out = [&mut got[piece.clone()]];
                    kernel.block(&at[piece.clone()], [&x[piece]], out);
                }
                for i in 0..x.len() {
                    assert_eq!(got[i].to_bits(), want[i].to_bits(), "{length}, bar {i}");
                }
            }
        }
    }
    let mut random = Random(9);
    for scale in [1.0, 1e5, 1e308, 1e-310] {
        check::<Summed>(&mut random, scale);
        check::<Spread>(&mut random, scale);
        check::<Rising>(&mut random, scale);
    }
}

#[test]
fn a_clock_that_stands_still_or_runs_back_does_no_harm() {
    let mut random = Random(6);
    for length in [1, 3, 10] {
        let mut kernel = Windowed::<Summed>::new(length);
        for i in 0..500 {
            let at = match random.below(4) {
                0 => i64::MIN,
                1 => i64::MAX,
                _ => random.slots(30),
            };
            let total = kernel.step(at, [1.0])[0];
            assert!(if i + 1 < length { total.is_nan() } else { total == length as f64 });
        }
    }
}
