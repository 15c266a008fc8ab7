//! Any text as a feature: an error or a canonical form that reads back to itself, and values that do not see ahead.
#![no_main]

use barproof_core::fuzzing::feature_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| feature_text(text));
