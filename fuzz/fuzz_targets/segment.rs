//! `segment` under libFuzzer; the law is in `src/segment.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::segment(data));
