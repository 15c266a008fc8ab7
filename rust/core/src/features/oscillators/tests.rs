//! Tests of `oscillators`.

use super::*;
use crate::features::contract::{Random, all, single};

#[test]
fn extremes_know_their_age_and_the_latest_of_equal_ones() {
    let mut random = Random(3);
    for length in [1, 2, 5, 12] {
        let mut window = Window::<Extreme<true>>::new(length);
        let mut all: Vec<f64> = vec![];
        for at in 0..500 {
            all.push(random.below(4) as f64);
            if let Some(got) = window.push(at, all[all.len() - 1]) {
                let last = &all[all.len() - length..];
                let most = last.iter().copied().fold(f64::MIN, f64::max);
                let age = last.iter().rev().position(|x| *x == most).unwrap();
                assert_eq!((got.value, got.age), (most, age as f64));
            }
        }
    }
}

#[test]
fn oscillators_by_hand() {
    let x = [1.0, 2.0, 4.0, 3.0];
    assert_eq!(single("mom", &[2.0], &[&x])[2..], [3.0, 1.0]);
    assert_eq!(single("roc", &[1.0], &[&x])[1..], [100.0, 100.0, -25.0]);
    assert_eq!(single("rocr100", &[2.0], &[&x])[2..], [400.0, 150.0]);
    // Gains 1, 2, then a loss of 1: means 1.5 and 0, then 0.75 and 0.5.
    let got = single("cmo", &[2.0], &[&x]);
    assert_eq!(got[2], 100.0);
    assert!((got[3] - 20.0).abs() < 1e-12);
    assert_eq!(single("imi", &[2.0], &[&[1.0, 5.0], &[4.0, 4.0]])[1], 75.0);
    let (high, low) = ([4.0, 5.0, 5.0, 3.0], [1.0, 2.0, 3.0, 3.0]);
    let close = [2.0, 5.0, 4.0, 3.0];
    let got = all("stochf", &[2.0, 1.0, 0.0], &[&high, &low, &close]);
    for (got, want) in got[0][1..].iter().zip([100.0, 200.0 / 3.0, 0.0]) {
        assert!((got - want).abs() < 1e-13);
    }
    let got = single("willr", &[2.0], &[&high, &low, &close]);
    assert!(got[1] == 0.0 && (got[2] + 100.0 / 3.0).abs() < 1e-13);
    let got = all("aroon", &[2.0], &[&high, &low]);
    assert_eq!((&got[0][2..], &got[1][2..]), (&[0.0, 0.0][..], &[100.0, 50.0][..]));
}
