//! The worked example of `FORMAT.md`: the builder writes these bytes, and the reader reads them. It also reads the same table
//! with filters of older kinds.

use std::path::Path;
use std::sync::Arc;

use durable::{FileWriter, Fs, SimFs};
use sstable::{BuildOptions, KeyLayout, ReadOptions, Table, TableBuilder, TableId};

const FORMAT: &str = include_str!("../FORMAT.md");
/// The example with filters of older kinds. Kind 2 had the bits of a stem anywhere in a line. Kind 4 had them in two words,
/// each bit at a place of its own.
const OLDER_FILTERS: [&str; 2] =
    [include_str!("golden/filter-kind-2.hex"), include_str!("golden/filter-kind-4.hex")];

const ENTRIES: [(&[u8], &[u8]); 3] =
    [(b"apple\x01", b"red"), (b"apple\x02", b""), (b"banana\x01", b"yellow")];

/// The bytes of the example.
fn documented() -> Vec<u8> {
    let (_, example) = FORMAT.split_once("```hex\n").expect("the document has an example");
    let (lines, _) = example.split_once("```").expect("the example ends");
    bytes_of(lines)
}

/// A line is bytes in hexadecimal, and a remark behind `|`.
fn bytes_of(lines: &str) -> Vec<u8> {
    let digits = lines.lines().map(|line| line.split('|').next().unwrap_or_default());
    let digits: String = digits.flat_map(str::chars).filter(|digit| *digit != ' ').collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn build() -> kv::Result<Option<Vec<u8>>> {
    let disk = SimFs::new();
    let path = Path::new("table");
    let writer = FileWriter::create(&disk, path)?;
    let options = BuildOptions {
        key_layout: KeyLayout::with_suffix(1),
        block_bytes: 64,
        ..BuildOptions::default()
    };
    let id = TableId(std::array::from_fn(|at| at as u8));
    let mut builder = TableBuilder::new(writer, id, options)?;
    for (key, value) in ENTRIES {
        builder.add(key, value)?;
    }
    builder.finish(&disk)?;
    Ok(disk.contents(path))
}

/// The bytes in lines, so that a difference is easy to find.
fn lines(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(16).map(|line| format!("{line:02x?}")).collect()
}

#[test]
fn the_builder_writes_the_documented_bytes() {
    let built = build().unwrap().unwrap();
    assert_eq!(lines(&built), lines(&documented()));
}

/// Opens `bytes` as a table, and finds every entry of the example in it.
fn open_and_find_all(bytes: Vec<u8>) -> kv::Result<Arc<Table>> {
    let disk = SimFs::new();
    disk.set_contents(Path::new("table"), bytes);
    let file = disk.open(Path::new("table"))?;
    let table = Arc::new(Table::open(file, &ReadOptions::default())?);
    for (key, value) in ENTRIES {
        assert_eq!(table.get(key)?.as_deref(), Some(value));
    }
    assert_eq!(table.get(b"apple\x03")?, None);
    Ok(table)
}

#[test]
fn the_documented_bytes_are_a_table() {
    open_and_find_all(documented()).unwrap().verify().unwrap();
}

#[test]
fn a_table_with_a_filter_of_an_older_kind_loses_no_key() {
    for older in OLDER_FILTERS {
        let table = open_and_find_all(bytes_of(older)).unwrap();
        let verified = table.verify();
        assert!(matches!(verified, Err(kv::Error::Unsupported(_))), "its filter is not checked");
    }
}
