//! Builds a table from a sorted CSV file, and looks keys up.
//!
//! ```text
//! cargo run --release -p sstable --example csv -- build TABLE < SORTED.csv
//! cargo run --release -p sstable --example csv -- get TABLE KEY...
//! cargo run --release -p sstable --example csv -- scan TABLE FROM TO
//! ```
//!
//! A line is a key, a comma, and the value up to the end of the line. Lines are sorted by key, in byte order, and no key comes
//! twice (`LC_ALL=C sort -t, -k1,1 -u`). A table that could not be built is removed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows its results")]

use std::io::BufRead as _;
use std::ops::Bound;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, io};

use durable::{FileWriter, Fs as _, OsFs, SystemEntropy};
use kv::{Cursor as _, Error, Result};
use sstable::{BuildOptions, BuiltTable, ReadOptions, Table, TableBuilder, TableId};

fn main() -> ExitCode {
    if let Err(error) = run() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["build", table] => build(Path::new(table)),
        ["get", table, ref keys @ ..] => get(&*open(table)?, keys),
        ["scan", table, from, to] => scan(&open(table)?, from, to),
        _ => Err(Error::InvalidArgument(
            "build TABLE | get TABLE KEY... | scan TABLE FROM TO".into(),
        )),
    }
}

fn build(path: &Path) -> Result<()> {
    let fs = OsFs::default();
    let writer = FileWriter::create(&fs, path)?;
    let built = match write(&fs, writer) {
        Ok(built) => built,
        Err(error) => {
            // Without its end the file is no table, and it would be in the way of the next attempt.
            if let Err(stays) = fs.remove(path) {
                eprintln!("{stays}");
            }
            return Err(error);
        }
    };
    println!("{} entries, {} bytes", built.properties.entries, built.file.len_bytes());
    Ok(())
}

/// Writes the lines of the standard input.
fn write(fs: &OsFs, writer: FileWriter) -> Result<BuiltTable> {
    let id = TableId::random(&SystemEntropy);
    let mut builder = TableBuilder::new(writer, id, BuildOptions::default())?;
    for (at, line) in io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| Error::io("read", "standard input", error))?;
        let (key, value) = line.split_once(',').unwrap_or((&line, ""));
        builder.add(key.as_bytes(), value.as_bytes()).map_err(|error| match error {
            Error::InvalidArgument(what) => {
                Error::InvalidArgument(format!("{what} (line {}, key {key:?})", at + 1))
            }
            other => other,
        })?;
    }
    builder.finish(fs)
}

fn open(path: &str) -> Result<Arc<Table>> {
    let file = OsFs::default().open(Path::new(path))?;
    Table::open(file, &ReadOptions::default()).map(Arc::new)
}

fn get(table: &Table, keys: &[&str]) -> Result<()> {
    for key in keys {
        match table.get(key.as_bytes())? {
            Some(value) => println!("{key},{}", value.escape_ascii()),
            None => println!("{key} is not there"),
        }
    }
    Ok(())
}

fn scan(table: &Arc<Table>, from: &str, to: &str) -> Result<()> {
    let bounds = (Bound::Included(from.as_bytes()), Bound::Excluded(to.as_bytes()));
    let mut cursor = table.scan(bounds)?;
    while cursor.next()? {
        let (key, value) = cursor.entry()?;
        println!("{},{}", key.escape_ascii(), value.escape_ascii());
    }
    Ok(())
}
