//! An account bar by bar, saved and loaded between bars, equals the backtest; forged states are refused or go on.
#![no_main]

use barproof_core::fuzzing::{Draw, live_account};
use libfuzzer_sys::{Corpus, fuzz_target};

const LENGTHS: [usize; 8] = [1, 2, 5, 16, 40, 100, 257, 300];

fuzz_target!(|input: &[u8]| -> Corpus {
    if live_account(&mut Draw::read(input), &LENGTHS) { Corpus::Keep } else { Corpus::Reject }
});
