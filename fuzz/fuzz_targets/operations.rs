//! `operations` under libFuzzer; the invariant is in `src/operations.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::operations(data));
