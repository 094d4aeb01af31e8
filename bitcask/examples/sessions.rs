//! A session table: open, put, batch, scan, sync, close, open again, verify.
//!
//! ```sh
//! cargo run -p bitcask --example sessions -- [DIRECTORY]
//! ```
//!
//! Without a directory it works in a temporary one. With one, `examples/dump.rs` shows afterwards what is in it.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::Path;

use bitcask::{Bitcask, Options};
use kv::{Durability, KeyRange, Kv, WriteBatch};

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args_os().nth(1) {
        Some(directory) => run(Path::new(&directory)),
        None => run(&tempfile::tempdir()?.path().join("sessions")),
    }
}

fn run(directory: &Path) -> Result<(), Box<dyn Error>> {
    let store = Bitcask::open(directory, Options::new())?;

    // On the disk when this returns.
    store.put(b"session:ada", b"page 1", Durability::Sync)?;
    // With the operating system when this returns: survives `kill -9`, not a power cut.
    store.put(b"session:grace", b"page 1", Durability::Buffered)?;
    // Both or neither, in this process and after any crash.
    let mut move_on = WriteBatch::new();
    move_on.put(b"session:ada", b"page 2").delete(b"session:grace");
    store.write(&move_on, Durability::Buffered)?;
    // Everything so far, as if each write had been `Sync`.
    store.sync()?;

    // A frozen view: the put below is not in it.
    let mut cursor = store.scan(KeyRange::prefix(b"session:"))?;
    store.put(b"session:edsger", b"page 1", Durability::Buffered)?;
    while cursor.next()? {
        println!("{}: {}", cursor.key().escape_ascii(), cursor.value().escape_ascii());
    }
    // Also writes the hint file, which makes the next opening fast.
    store.close()?;

    let store = Bitcask::open(directory, Options::new())?;
    assert_eq!(store.get(b"session:ada")?.as_deref(), Some(&b"page 2"[..]));
    assert_eq!(store.get(b"session:grace")?, None);
    assert_eq!(store.get(b"session:edsger")?.as_deref(), Some(&b"page 1"[..]));
    println!("{:?}", store.verify()?);
    let stats = store.statistics();
    println!("{} keys, {} bytes live, {} dead", stats.keys, stats.live_bytes, stats.dead_bytes);
    store.close()?;
    Ok(())
}
