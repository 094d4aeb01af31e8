//! Keys and blocks at the limits: empty keys, the longest ones, keys that their heads do not tell apart, blocks of one entry.

use std::ops::Bound;

use durable::SeededEntropy;
use sstable::{BuildOptions, KeyLayout, Restarts};

use crate::fixture::{Fixture, Model, key, read_options, small, sought};
use crate::model::{ModelBounds, ModelCursor, as_keys, is_inverted, random_bounds, walk};

const ALL: ModelBounds = (Bound::Unbounded, Bound::Unbounded);

/// Looks up all keys of `model` and others, verifies, and walks at random, whatever the way to read.
fn check(model: &Model, options: BuildOptions, steps: usize) {
    let random = SeededEntropy::new(17);
    let fixture = Fixture::new(model.clone(), options);
    let keys = sought(model, options.key_layout);
    for read in read_options() {
        let table = fixture.open(&read);
        table.verify().expect("a table that is whole");
        for entry in &keys {
            let found = table.get(&key(entry)).expect("the disk is whole");
            assert_eq!(found.as_ref(), model.get(entry), "{entry:?}");
        }
        for bounds in [ALL, random_bounds(&keys, &random), random_bounds(&keys, &random)] {
            if is_inverted(&bounds) {
                continue;
            }
            let (start, end) = as_keys(&bounds);
            let bounds_of_scan =
                (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
            let mut cursor = table.scan(bounds_of_scan).expect("the bounds are in order");
            walk(&mut cursor, &mut ModelCursor::over(model, &bounds), &keys, &random, steps);
        }
    }
}

/// Every way to group the entries of a block.
const RESTARTS: [Restarts; 4] =
    [Restarts::Adaptive, Restarts::Every(1), Restarts::Every(2), Restarts::Every(17)];

fn model(stems: impl Iterator<Item = Vec<u8>>, suffix_len: usize, value_len: usize) -> Model {
    let entry = |(at, stem): (usize, Vec<u8>)| {
        let suffix = (at as u64).to_be_bytes()[8 - suffix_len..].to_vec();
        ((stem, suffix), vec![at as u8; value_len])
    };
    stems.enumerate().map(entry).collect()
}

#[test]
fn stems_of_zeros_have_equal_heads_and_are_told_apart() {
    // The empty stem is among them. All bytes of all heads are zero.
    for suffix_len in [0, 1] {
        let model = model((0..60).map(|len| vec![0; len]), suffix_len, 3);
        for restarts in RESTARTS {
            let key_layout = KeyLayout::with_suffix(suffix_len as u8);
            check(&model, BuildOptions { key_layout, restarts, ..small() }, 150);
        }
    }
}

#[test]
fn many_versions_of_one_stem_have_no_other_head_than_zeros() {
    for stem in [&b""[..], b"a stem that is longer than a head"] {
        let model = model((0..400).map(|_| stem.to_vec()), 2, 5);
        assert_eq!(model.len(), 400);
        for restarts in RESTARTS {
            let key_layout = KeyLayout::with_suffix(2);
            check(&model, BuildOptions { key_layout, restarts, ..small() }, 150);
        }
    }
}

#[test]
fn a_block_of_one_entry_is_walked_over_like_every_other() {
    for suffix_len in [0, 2] {
        let model = model((0..50_u8).map(|at| vec![b'k'; usize::from(at / 2)]), suffix_len, 70);
        let key_layout = KeyLayout::with_suffix(suffix_len as u8);
        for restarts in RESTARTS {
            let options = BuildOptions { key_layout, restarts, block_bytes: 64, ..small() };
            let fixture = Fixture::new(model.clone(), options);
            assert_eq!(fixture.built.properties.data_blocks, model.len() as u64);
            check(&model, options, 150);
        }
    }
}

#[test]
fn the_longest_stems_are_walked_over_in_groups_and_alone() {
    // Stems that differ at the end, in the middle or nowhere but in their lengths.
    let stem = |at: usize| {
        let mut stem = vec![b'x'; kv::MAX_KEY_LEN - at % 2];
        let places = [kv::MAX_KEY_LEN - 10, kv::MAX_KEY_LEN / 2, 7];
        stem[places[at % 3]] = (at / 6) as u8;
        stem
    };
    let model = model((0..24).map(stem), 1, 10);
    for (restarts, block_bytes) in [
        (Restarts::Adaptive, 4 << 20),
        (Restarts::Every(1), 4 << 20),
        (Restarts::Every(17), 4 << 20),
        (Restarts::Every(2), 1 << 19),
    ] {
        let key_layout = KeyLayout::with_suffix(1);
        check(&model, BuildOptions { key_layout, restarts, block_bytes, ..small() }, 60);
    }
}
