use super::super::version::Location;
use super::*;

fn version(sequence: u64) -> Version {
    Version { location: Location { file: 7, offset: 64, len: 8 * sequence }, sequence }
}

fn arena(max_pages: usize) -> Arena {
    Arena::new(max_pages, &Arc::default())
}

/// Lengths around every limit of the encoding and of the pages.
const KEY_LENS: [usize; 20] = [
    0, 1, 11, 127, 128, 300, 1_000, 1_366, 2_028, 2_029, 2_030, 2_100, 4_074, 4_077, 4_078, 4_080,
    8_170, 8_180, 40_000, 65_535,
];

#[test]
fn entries_with_keys_of_every_length_read_back() {
    let mut arena = arena(ADDRESSABLE_PAGES);
    let keys: Vec<Vec<u8>> = KEY_LENS.iter().map(|&len| vec![len as u8; len]).collect();
    let mut places = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        places.push(arena.push(key, version(at as u64 + 1)).unwrap());
        arena.check_invariants();
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(arena.key(places[at]), key);
        assert_eq!(arena.version(places[at]), version(at as u64 + 1));
    }
    arena.free(places[3]);
    arena.set_version(places[4], version(99));
    arena.check_invariants();
    let mut left: Vec<_> =
        arena.entries().map(|(place, _, version)| (place.0, version.sequence)).collect();
    left.sort_unstable();
    let expected = (0..places.len()).filter(|&at| at != 3);
    let mut expected: Vec<_> =
        expected.map(|at| (places[at].0, if at == 4 { 99 } else { at as u64 + 1 })).collect();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

/// Keys of about 1,400 to 4,100 bytes ran out of addresses long before the arena said that it was full.
#[test]
fn entries_of_any_lengths_fit_into_the_pages_that_are_reckoned_for_them() {
    for &first in &KEY_LENS {
        for &second in &KEY_LENS {
            let lens = [first, second, first, first, second, second, first, second];
            let bytes: usize = lens.iter().map(|&len| stored_len(len)).sum();
            for filled in [0, 1, 2_000, 2_040] {
                let mut arena = arena(ADDRESSABLE_PAGES);
                arena.push(&vec![1; filled], version(1)).unwrap();
                let before = arena.pages();
                arena.max_pages = before + pages_for(bytes);
                for len in lens {
                    assert!(arena.push(&vec![2; len], version(2)).is_some(), "{lens:?}");
                }
                arena.check_invariants();
            }
        }
    }
}

#[test]
fn an_arena_without_pages_refuses_and_keeps_what_it_has() {
    for &len in &KEY_LENS {
        let mut arena = arena(20);
        let mut count = 0;
        while arena.push(&vec![3; len], version(count + 1)).is_some() {
            count += 1;
        }
        assert!(arena.pages() <= 20);
        assert_eq!(arena.entries().count() as u64, count, "{len}");
        arena.check_invariants();
    }
}

#[test]
fn copying_what_is_left_takes_no_more_pages_than_before() {
    let mut random = 1_u64;
    for _ in 0..200 {
        let mut below = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        let mut arena = arena(ADDRESSABLE_PAGES);
        let mut places = Vec::new();
        for _ in 0..60 {
            let len = KEY_LENS[below(KEY_LENS.len())] / (1 + below(3));
            places.push(arena.push(&vec![4; len], version(9)).unwrap());
        }
        places.retain(|_| below(3) > 0);
        for &place in &places {
            arena.free(place);
        }
        let mut copy = arena.afresh();
        for (_, key, version) in arena.entries() {
            copy.push(key, version).unwrap();
        }
        copy.check_invariants();
        assert!(copy.pages() <= arena.pages());
    }
}
