use super::*;
use crate::filter::may_contain;

const SOURCE: Source =
    Source { store: StoreId([7; 16]), id: 3, len: 4096, crc: 9, first_record: 64 };

fn hint() -> Vec<u8> {
    HintBuilder::default().finish(&SOURCE)
}

#[test]
fn a_hint_for_another_data_file_is_refused() {
    let mut other = SOURCE;
    other.crc += 1;
    let read = |source: &Source| read(&hint(), source, Path::new("hint"), &mut |_| ());
    assert!(read(&other).is_err());
    read(&SOURCE).unwrap();
}

#[test]
fn an_entry_past_the_end_of_the_data_file_is_refused() {
    let mut bytes = hint();
    bytes[48] = 1;
    put_varint(&mut bytes, 1);
    put_varint(&mut bytes, 4096 / 8 * 2);
    put_prefixed(&mut bytes, b"key");
    let read = read(&bytes, &SOURCE, Path::new("hint"), &mut |_| ());
    assert!(read.unwrap_err().to_string().contains("past the end"));
}

#[test]
fn an_entry_that_the_keydir_cannot_hold_is_refused() {
    let entry = |sequence: u64, len: u64, key: &[u8]| {
        let mut bytes = hint();
        bytes[48] = 1;
        put_varint(&mut bytes, sequence);
        put_varint(&mut bytes, len / 8 * 2);
        put_prefixed(&mut bytes, key);
        let source = Source { len: 1 << 20, ..SOURCE };
        bytes[32..40].copy_from_slice(&source.len.to_le_bytes());
        read(&bytes, &source, Path::new("hint"), &mut |_| ())
    };
    let long = vec![7; MAX_KEY_LEN + 1];
    entry(SEQUENCE_LIMIT - 1, 32, b"key").unwrap();
    entry(1, 70_000, &long[1..]).unwrap();
    assert!(entry(SEQUENCE_LIMIT, 32, b"key").is_err());
    assert!(entry(1, 70_000, &long).is_err());
    assert!(entry(1, 0, b"").is_err(), "a frame has a header");
    assert!(entry(1, 24, b"key").is_err(), "a frame has its key");
}

#[test]
fn a_hint_with_bytes_behind_its_entries_or_too_few_is_refused() {
    let whole = hint();
    let longer = [&whole[..], b"x"].concat();
    let mut promising = whole.clone();
    promising[48] = 1;
    for bytes in [&longer, &promising] {
        assert!(read(bytes, &SOURCE, Path::new("hint"), &mut |_| ()).is_err());
    }
    let mut large = whole;
    large[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(filter(&large, &SOURCE, Path::new("hint")).is_err(), "a filter longer than the file");
}

#[test]
fn a_hint_of_format_1_does_not_count() {
    let [golden] = crate::golden::lines(include_str!("../../tests/golden/hint-1.hex"));
    read(&golden, &SOURCE, Path::new("golden"), &mut |_| ()).unwrap_err();
}

#[test]
fn the_filter_knows_the_puts_and_not_the_tombstones() {
    let mut builder = HintBuilder::default();
    builder.add(5, 40, b"put", false);
    builder.add(6, 40, b"tombstone", true);
    let bytes = builder.finish(&SOURCE);
    let filter = filter(&bytes, &SOURCE, Path::new("hint")).unwrap();
    assert!(may_contain(filter, b"put") && !may_contain(filter, b"tombstone"));
}

#[test]
fn the_encoding_is_the_one_of_format_2() {
    let [golden] = crate::golden::lines(include_str!("../../tests/golden/hint-2.hex"));
    let mut seen = Vec::new();
    read(&golden, &SOURCE, Path::new("golden"), &mut |entry| {
        seen.push((
            entry.key.to_vec(),
            entry.sequence,
            entry.offset,
            entry.len,
            entry.is_tombstone,
        ));
    })
    .unwrap();
    assert_eq!(seen, [(b"ab".to_vec(), 5, 64, 40, false), (b"c".to_vec(), 9, 104, 32, true)]);
    let mut builder = HintBuilder::default();
    for (key, sequence, _, len, tombstone) in &seen {
        builder.add(*sequence, *len, key, *tombstone);
    }
    assert_eq!(builder.finish(&SOURCE), golden);
}
