//! `table` under libFuzzer; the invariant is in `src/table.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::table(data));
