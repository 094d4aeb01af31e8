//! Forged tables: the corpus of the fuzz target `table`, every byte changed with right checksums, and the memory that it
//! takes to refuse them. The invariant is in `fuzz/src/table.rs`.
#![expect(clippy::disallowed_methods, reason = "the corpus is in real files")]

#[expect(unreachable_pub, reason = "it is public where it is fuzzed")]
#[path = "../../../fuzz/src/table.rs"]
mod table;

use std::fs;
use std::path::PathBuf;

#[test]
fn every_input_of_the_corpus_keeps_the_invariant() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/table");
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        table::run(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 10, "the corpus has inputs");
    table::run(&[]);
}

#[test]
fn every_changed_byte_with_right_checksums_keeps_the_invariant() {
    for (number, fixture) in table::FIXTURES.iter().enumerate() {
        let mut refused = 0;
        for at in 0..fixture.bytes.len() {
            for xor in [0x01, 0x04, 0x80, 0xff] {
                let mut bytes = fixture.bytes.clone();
                bytes[at] ^= xor;
                fixture.put_sums_right(&mut bytes);
                let used = table::use_table(bytes, (at % 4) as u8, fixture);
                refused += usize::from(used.is_err());
            }
        }
        // A changed value is a right table with another value; most of the other bytes matter.
        assert!(refused > fixture.bytes.len(), "{refused} refusals of table {number}");
    }
}

#[test]
fn verify_finds_a_fence_that_is_not_the_head_behind_it() {
    for fixture in table::FIXTURES.iter() {
        assert!(fixture.fences.len() > 1, "a top block and an index block");
        for &fence in &fixture.fences {
            let mut bytes = fixture.bytes.clone();
            bytes[fence] ^= 1;
            fixture.put_sums_right(&mut bytes);
            let refused = table::use_table(bytes, 0, fixture).unwrap_err().to_string();
            assert!(refused.contains("a fence"), "{refused}");
        }
    }
}

#[test]
fn pairs_of_changed_bytes_with_right_checksums_keep_the_invariant() {
    let mut number = 1_u64;
    for _ in 0..20_000 {
        // A linear congruential generator: the same inputs in every run.
        let mut next = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 33).to_le_bytes()
        };
        let (choice, places, bits) = (next(), next(), next());
        let script =
            [choice[0], choice[1], 1, places[0], places[1], bits[0], places[2], places[3], bits[1]];
        table::run(&script);
    }
}
