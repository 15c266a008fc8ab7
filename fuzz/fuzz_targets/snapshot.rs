//! Streams of features, saved and loaded between bars, go on with the same bits; forged states are refused or go on.
#![no_main]

use barproof_core::fuzzing::{Draw, stream_state};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    if stream_state(&mut Draw::read(input)) { Corpus::Keep } else { Corpus::Reject }
});
