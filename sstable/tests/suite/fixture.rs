//! Tables of all kinds, and the entries that they should hold.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use durable::{Entropy, FileWriter, Fs, SeededEntropy, SimFs};
use kv::Result;
use sstable::{
    BlockCache, BuildOptions, BuiltTable, Compression, KeyLayout, ReadMode, ReadOptions, Restarts,
    Table, TableBuilder, TableId,
};

/// Where the table is.
pub(crate) const PATH: &str = "table";

/// A key in the order of its layout, with its value.
pub(crate) type Model = BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>;

/// The shapes of keys.
pub(crate) const SHAPES: usize = 5;

/// A disk with a table, and its entries.
pub(crate) struct Fixture {
    pub(crate) disk: SimFs,
    pub(crate) model: Model,
    pub(crate) built: BuiltTable,
    pub(crate) options: BuildOptions,
}

/// Small blocks, so that few entries make many of them.
pub(crate) fn small() -> BuildOptions {
    BuildOptions { block_bytes: 256, index_block_bytes: 128, ..BuildOptions::default() }
}

/// Options that differ in everything that changes the bytes of a table.
pub(crate) fn all_options() -> Vec<BuildOptions> {
    let suffix = KeyLayout::with_suffix(8);
    vec![
        small(),
        BuildOptions { key_layout: suffix, ..small() },
        BuildOptions { restarts: Restarts::Every(4), compression: Compression::Lz4, ..small() },
        BuildOptions {
            key_layout: suffix,
            restarts: Restarts::Every(16),
            compression: Compression::Zstd(1),
            filter_bits_per_stem: 0,
            ..BuildOptions::default()
        },
        BuildOptions { key_layout: KeyLayout::with_suffix(1), ..BuildOptions::default() },
    ]
}

/// Every way to read a table.
pub(crate) fn read_options() -> Vec<ReadOptions> {
    let cached = || Some(Arc::new(BlockCache::new(1 << 20)));
    vec![
        ReadOptions { mode: ReadMode::Mapped, cache: None },
        ReadOptions { mode: ReadMode::Mapped, cache: cached() },
        ReadOptions { mode: ReadMode::Positional, cache: None },
        ReadOptions { mode: ReadMode::Positional, cache: cached() },
    ]
}

/// Entries whose keys have the given shape: hashed, decimal, zero-padded, long prefixes, or few stems with many versions.
pub(crate) fn entries(shape: usize, count: usize, layout: KeyLayout) -> Model {
    let random = SeededEntropy::new(shape as u64);
    let entry = |at: usize| {
        let number = random.next_u64();
        let stem = match shape {
            0 => number.to_be_bytes().to_vec(),
            1 => format!("user{}", number % 1_000_000).into_bytes(),
            2 => format!("{at:016}").into_bytes(),
            3 => format!("/home/of/the/project/src/{:03}/file{at:05}", number % 7).into_bytes(),
            _ => vec![b'k'; (number % 9) as usize],
        };
        let suffix = random.next_u64().to_be_bytes()[..layout.suffix_len().min(8)].to_vec();
        let value = format!("value {at} of {number}; ").into_bytes().repeat(at % 3);
        ((stem, suffix), value)
    };
    (0..count).map(entry).collect()
}

pub(crate) fn key(entry: &(Vec<u8>, Vec<u8>)) -> Vec<u8> {
    [&entry.0[..], &entry.1].concat()
}

/// Builds a table of `model` on `fs`.
pub(crate) fn build(fs: &dyn Fs, model: &Model, options: BuildOptions) -> Result<BuiltTable> {
    let writer = FileWriter::create(fs, Path::new(PATH))?;
    let mut builder = TableBuilder::new(writer, TableId([7; 16]), options)?;
    for (entry, value) in model {
        builder.add(&key(entry), value)?;
    }
    builder.add_named_block("notes", b"opaque bytes".to_vec())?;
    builder.finish(fs)
}

impl Fixture {
    pub(crate) fn new(model: Model, options: BuildOptions) -> Self {
        let disk = SimFs::new();
        let built = build(&disk, &model, options).expect("the disk is whole");
        Self { disk, model, built, options }
    }

    pub(crate) fn open(&self, options: &ReadOptions) -> Arc<Table> {
        open(&self.disk, options).expect("the disk is whole")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.disk.contents(Path::new(PATH)).expect("it was built")
    }
}

pub(crate) fn open(fs: &dyn Fs, options: &ReadOptions) -> Result<Arc<Table>> {
    Table::open(fs.open(Path::new(PATH))?, options).map(Arc::new)
}

/// Runs `check` with tables of every kind: options, key shapes, numbers of entries, ways to read.
pub(crate) fn on_every_table(check: impl Fn(&Fixture, &Arc<Table>)) {
    for options in all_options() {
        for shape in 0..SHAPES {
            for count in [0, 1, 400] {
                let fixture = Fixture::new(entries(shape, count, options.key_layout), options);
                for read in read_options() {
                    check(&fixture, &fixture.open(&read));
                }
            }
        }
    }
}

/// Keys that are in the model, beside its keys, and far from all of them.
pub(crate) fn sought(model: &Model, layout: KeyLayout) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut sought = vec![(Vec::new(), vec![0; layout.suffix_len()])];
    sought.push((vec![0xff; 40], vec![0xff; layout.suffix_len()]));
    for (stem, suffix) in model.keys() {
        sought.push((stem.clone(), suffix.clone()));
        sought.push(([&stem[..], &[0]].concat(), suffix.clone()));
        sought.push((stem[..stem.len() / 2].to_vec(), suffix.clone()));
        sought.push((stem.clone(), vec![0; suffix.len()]));
        sought.push((stem.clone(), vec![0xff; suffix.len()]));
    }
    sought
}
