//! Labels of trades equal those of the engine that steps every bar, and cells of a sweep those of the labels.
#![no_main]

use barproof_core::fuzzing::{Case, Draw};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Bars of a case: every bar makes a label of each combination.
const LENGTHS: [usize; 10] = [1, 2, 3, 5, 16, 17, 33, 64, 100, 257];

fuzz_target!(|input: &[u8]| -> Corpus {
    let case = Case::new(&mut Draw::read(input), &LENGTHS);
    if case.labels_agree("input") { Corpus::Keep } else { Corpus::Reject }
});
