//! `edits` under libFuzzer; the invariant is in `src/edits.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::edits(data));
