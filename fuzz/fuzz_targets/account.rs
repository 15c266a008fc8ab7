//! An account of several symbols by index equals bar by bar, bit for bit: one run with limits that change, and a sweep.
#![no_main]

use barproof_core::fuzzing::{AccountCase, Draw};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Bars of a symbol: around the sizes of the blocks of the index, and few enough for many cases a second.
const LENGTHS: [usize; 12] = [1, 2, 3, 5, 16, 17, 33, 64, 100, 257, 300, 530];

fuzz_target!(|input: &[u8]| -> Corpus {
    let case = AccountCase::new(&mut Draw::read(input), &LENGTHS);
    // Rules that contradict each other are refused at once: nothing grows from them.
    if case.agrees("input") { Corpus::Keep } else { Corpus::Reject }
});
