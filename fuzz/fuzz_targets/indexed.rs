//! Indexed equals replay, bit for bit: one run with trades and marks, a sweep with windows, on 1 to 3 threads.
#![no_main]

use barproof_core::fuzzing::{Case, Draw};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Bars of a case: around the sizes of the blocks of the index, and few enough for many cases a second.
const LENGTHS: [usize; 16] = [1, 2, 3, 5, 15, 16, 17, 32, 33, 48, 64, 100, 256, 257, 300, 530];

fuzz_target!(|input: &[u8]| -> Corpus {
    let case = Case::new(&mut Draw::read(input), &LENGTHS);
    // Rules that contradict each other are refused at once: nothing grows from them.
    if case.agrees("input") { Corpus::Keep } else { Corpus::Reject }
});
