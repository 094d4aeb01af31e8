//! `store` under libFuzzer; the invariant is in `src/store.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::store(data));
