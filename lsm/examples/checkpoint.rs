//! Takes a checkpoint of a store that is written to, and opens it for reading.
//!
//! ```sh
//! cargo run -p lsm --example checkpoint
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;

use kv::{Durability, KeyRange, Kv};
use lsm::{Lsm, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let store = Lsm::open(temporary.path().join("store"), Options::new())?;
    for number in 0..10_000_u32 {
        store.put(&number.to_be_bytes(), b"before the checkpoint", Durability::Buffered)?;
    }
    let copy = temporary.path().join("copy");
    let newest = store.checkpoint(&copy)?;
    for number in 0..10_000_u32 {
        store.delete(&number.to_be_bytes(), Durability::Buffered)?;
    }
    store.close()?;
    // Takes no lock and changes nothing.
    let reader = Lsm::open_read_only(&copy, Options::new())?;
    assert_eq!(reader.newest_sequence(), newest);
    let mut cursor = reader.scan(KeyRange::all())?;
    let mut entries = 0;
    while cursor.next()? {
        entries += 1;
    }
    println!("batch {}: {entries} entries", newest.0);
    reader.verify()?;
    Ok(())
}
