//! `witness` under libFuzzer; the invariant is in `src/witness.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::witness(data));
