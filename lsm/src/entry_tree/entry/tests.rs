use super::*;
use crate::internal_key::{self, Kind, LAYOUT};

fn probe(user: &[u8], sequence: u64) -> Probe<'_> {
    Probe { user, trailer: Trailer::new(sequence, Kind::Put) }
}

#[test]
fn an_entry_reads_back_whatever_its_lengths() {
    let entries = Entries::default();
    let mut written = Vec::new();
    for key_len in [0_u32, 1, 3, 7, 8, 9, 16, 23, 65_535] {
        for value_len in [0_u32, 1, 8, 100, 256, 257, 4096, 4097, 100_000] {
            let user: Vec<u8> = (0..key_len).map(|at| at as u8 ^ 0xa5).collect();
            let value: Vec<u8> = (0..value_len).map(|at| (at * 7) as u8).collect();
            let (index, bytes) = entries.write(probe(&user, 9), &value);
            assert!(bytes >= u64::from(key_len + value_len));
            written.push((index, user, value));
        }
    }
    for (index, user, value) in written {
        let entry = entries.get(index);
        let mut key = vec![7; 99];
        entry.copy_key(&mut key);
        assert_eq!(internal_key::split(&key), Some((&user[..], probe(&user, 9).trailer)));
        assert_eq!(entry.value(&mut Vec::new()), value);
        assert!(entry.is_of(&user) && !entry.is_of(b"another"));
    }
}

#[test]
fn entries_compare_as_internal_keys_do() {
    let users: Vec<Vec<u8>> = ["", "\0", "\0\0", "a", "a\0", "ab", "abcdefg", "abcdefgh"]
        .into_iter()
        .chain(["abcdefgh\0", "abcdefghi", "abcdefgi", "abcdefghijklmnop", "b", "\u{7f}zz"])
        .map(|user| user.as_bytes().to_vec())
        .collect();
    let entries = Entries::default();
    for one in &users {
        for other in &users {
            for (one_at, other_at) in [(1, 1), (1, 2), (300, 2)] {
                let (one, other) = (probe(one, one_at), probe(other, other_at));
                let entry = entries.get(entries.write(one, b"").0);
                let encoded = |probe: Probe<'_>| internal_key::encoded(probe.user, probe.trailer);
                let expected = LAYOUT.compare(&encoded(one), &encoded(other));
                assert_eq!(entry.compare(&other), expected, "{one:?} {other:?}");
                let shared = one.user.iter().zip(other.user).take_while(|(a, b)| a == b);
                let other = entries.get(entries.write(other, b"").0);
                assert_eq!(entry.shared_bytes(&other), shared.count());
            }
        }
        for skip in 0..20 {
            let entry = entries.get(entries.write(probe(one, 1), b"value").0);
            assert_eq!(entry.head(skip), probe(one, 1).head(skip), "{one:?} {skip}");
        }
    }
}
