//! Any numbers at the door: what is refused is refused with an error, and on what is taken both engines agree.
#![no_main]

use barproof_core::fuzzing::{Draw, numbers_at_the_door};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    if numbers_at_the_door(&mut Draw::read(input)) { Corpus::Keep } else { Corpus::Reject }
});
