//! Opening a table, and what it says about itself.

use std::path::Path;

use durable::{Entropy, FileWriter, Inject, Plan, SeededEntropy, SimFs, crc32};
use kv::Error;
use sstable::{
    BuildOptions, Compression, KeyLayout, PropertyCollector, ReadMode, ReadOptions, Restarts,
    Table, TableBuilder, TableId,
};

use crate::fixture::{Fixture, PATH, entries, on_every_table, open, small};

#[test]
fn a_table_describes_itself_and_verifies() {
    on_every_table(|fixture, table| {
        let properties = table.properties().unwrap();
        assert_eq!(properties, fixture.built.properties);
        assert_eq!(properties.entries, fixture.model.len() as u64);
        assert_eq!(table.id(), fixture.built.id);
        assert_eq!(table.key_layout(), fixture.options.key_layout);
        assert_eq!(table.len_bytes(), fixture.built.file.len_bytes());
        assert_eq!(table.path(), Path::new(PATH));
        assert_eq!(fixture.built.crc, crc32(&fixture.bytes()));
        assert_eq!(table.named_block("notes").unwrap().as_deref(), Some(&b"opaque bytes"[..]));
        assert_eq!(table.named_block("others").unwrap(), None);
        assert!(table.named_block("sstable.index").is_err());
        table.verify().unwrap();
    });
}

#[test]
fn opening_by_position_reads_the_end_alone() {
    let fixture = Fixture::new(entries(0, 20_000, KeyLayout::PLAIN), BuildOptions::default());
    assert!(fixture.built.file.len_bytes() > 500_000);
    let fs = Inject::over_sim(fixture.disk.clone(), Plan::none());
    let options = ReadOptions { mode: ReadMode::Positional, cache: None };
    let table = open(&fs, &options).unwrap();
    // Opening the file, asking for its length, and one read.
    assert_eq!(fs.calls(), 3);
    // A look-up reads a part of the filter, an index block and a data block.
    let (entry, value) = fixture.model.iter().nth(7_000).unwrap();
    assert_eq!(table.get(&entry.0).unwrap().as_ref(), Some(value));
    assert_eq!(fs.calls(), 6);
}

#[test]
fn a_process_without_a_mapping_to_spare_reads_by_position() {
    let fixture = Fixture::new(entries(1, 400, KeyLayout::PLAIN), small());
    // Call 0 opens the file, call 1 maps it.
    let fs = Inject::over_sim(fixture.disk.clone(), Plan::once(1, durable::Fault::NoMemory));
    let table = open(&fs, &ReadOptions::default()).unwrap();
    assert_eq!(fs.injected(), 1);
    for (entry, value) in &fixture.model {
        assert_eq!(table.get(&entry.0).unwrap().as_ref(), Some(value));
    }
}

/// Counts the entries whose value is empty.
struct EmptyValues(u64);

impl PropertyCollector for EmptyValues {
    fn add(&mut self, _: &[u8], value: &[u8]) {
        self.0 += u64::from(value.is_empty());
    }

    fn finish(&mut self) -> Vec<(String, Vec<u8>)> {
        vec![("empty-values".into(), self.0.to_le_bytes().to_vec())]
    }
}

fn builder(options: BuildOptions) -> kv::Result<(SimFs, TableBuilder)> {
    let disk = SimFs::new();
    let writer = FileWriter::create(&disk, Path::new(PATH))?;
    Ok((disk, TableBuilder::new(writer, TableId([1; 16]), options)?))
}

#[test]
fn the_properties_of_a_collector_stand_in_the_table() {
    let (disk, mut builder) = builder(small()).unwrap();
    builder.collect(Box::new(EmptyValues(0)));
    for (key, value) in [(b"a", &b""[..]), (b"b", b"1"), (b"c", b"")] {
        builder.add(key, value).unwrap();
    }
    builder.finish(&disk).unwrap();
    let table = open(&disk, &ReadOptions::default()).unwrap();
    let properties = table.properties().unwrap();
    assert_eq!(properties.collected["empty-values"], 2_u64.to_le_bytes());
    table.verify().unwrap();
}

#[test]
fn what_cannot_stand_in_a_table_is_refused_and_the_rest_goes_on() {
    let options = BuildOptions { key_layout: KeyLayout::with_suffix(2), ..small() };
    let (disk, mut builder) = builder(options).unwrap();
    builder.add(b"b\0\x01", b"value").unwrap();
    let long = vec![b'x'; kv::MAX_KEY_LEN + 3];
    for key in [&b"b\0\x01"[..], b"b\0\0", b"a\xff\xff", b"x", b"", &long] {
        let refused = builder.add(key, b"value");
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{key:?}");
    }
    assert!(builder.add_named_block("sstable.mine", Vec::new()).is_err());
    builder.add_named_block("twice", Vec::new()).unwrap();
    assert!(builder.add_named_block("twice", Vec::new()).is_err());
    builder.add(b"b\0\x02", b"").unwrap();
    assert_eq!(builder.entries(), 2);
    builder.finish(&disk).unwrap();
    let table = open(&disk, &ReadOptions::default()).unwrap();
    assert_eq!(table.properties().unwrap().entries, 2);
    table.verify().unwrap();
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = |options| matches!(builder(options), Err(Error::InvalidArgument(_)));
    assert!(refused(BuildOptions { block_bytes: 63, ..small() }));
    assert!(refused(BuildOptions { index_block_bytes: (16 << 20) + 1, ..small() }));
    assert!(refused(BuildOptions { restarts: Restarts::Every(0), ..small() }));
    assert!(refused(BuildOptions { compression: Compression::Zstd(100), ..small() }));
}

#[test]
fn the_estimated_length_is_near_the_final_one() {
    let model = entries(0, 5_000, KeyLayout::PLAIN);
    let (disk, mut builder) = builder(BuildOptions::default()).unwrap();
    for ((stem, _), value) in &model {
        builder.add(stem, value).unwrap();
    }
    let estimated = builder.estimated_len();
    let len = builder.finish(&disk).unwrap().file.len_bytes();
    assert!(estimated.abs_diff(len) * 50 < len, "{estimated} {len}");
}

/// How many thousandths of its keys and values a table of 50,000 entries takes, with values of 100 bytes.
fn thousandths(key: impl Fn(u32) -> Vec<u8>) -> u64 {
    let entry = |at: u32| ((key(at), Vec::new()), at.to_le_bytes().repeat(25));
    let fixture = Fixture::new((0..50_000).map(entry).collect(), BuildOptions::default());
    let properties = &fixture.built.properties;
    let raw = properties.key_bytes + properties.value_bytes;
    assert!(raw > 5_000_000, "the entries are all there");
    fixture.built.file.len_bytes() * 1_000 / raw
}

#[test]
fn a_table_takes_little_more_than_its_entries_and_less_where_keys_share_prefixes() {
    let random = SeededEntropy::new(3);
    let hashed = |_: u32| {
        (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())).to_be_bytes().to_vec()
    };
    assert!(thousandths(hashed) <= 1_050);
    assert!(thousandths(|_| format!("user{}", random.next_u64()).into_bytes()) <= 1_010);
    assert!(thousandths(|at| format!("{at:016}").into_bytes()) <= 950);
}

#[test]
fn something_else_is_no_table() {
    let disk = SimFs::new();
    for bytes in [Vec::new(), vec![0; 10], vec![0; 64], vec![0xff; 10_000]] {
        disk.set_contents(Path::new(PATH), bytes);
        for mode in [ReadMode::Mapped, ReadMode::Positional] {
            let opened = open(&disk, &ReadOptions { mode, cache: None });
            assert!(opened.unwrap_err().is_corruption());
        }
    }
    let file = durable::Fs::open(&disk, Path::new(PATH)).unwrap();
    assert!(Table::open(file, &ReadOptions::default()).is_err());
}
