//! A session table: open, put, batch, scan, expiry, snapshot, sync, close, open again, merge, verify.
//!
//! ```sh
//! cargo run -p bitcask --example sessions -- [DIRECTORY]
//! ```
//!
//! Without a directory it works in a temporary one. With one, `examples/dump.rs` shows afterwards what is in it.
#![expect(clippy::disallowed_methods, reason = "an example reads the clock")]
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bitcask::{Bitcask, Options};
use kv::{Durability, KeyRange, Kv, Snapshots, UnixMillis, WriteBatch};

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
        let (key, value) = cursor.entry()?;
        println!("{}: {}", key.escape_ascii(), value.escape_ascii());
    }
    // Gone in an hour.
    let in_an_hour = UnixMillis(now()? + 3_600_000);
    let mut login = WriteBatch::new();
    login.put_expiring(b"session:alan", b"page 1", in_an_hour);
    store.write(&login, Durability::Buffered)?;
    // Answers the same for as long as it is held.
    let snapshot = store.snapshot()?;
    store.delete(b"session:alan", Durability::Buffered)?;
    assert!(snapshot.get(b"session:alan")?.is_some());
    drop(snapshot);
    // Also writes the hint file, which makes the next opening fast.
    store.close()?;

    let store = Bitcask::open(directory, Options::new())?;
    assert_eq!(store.get(b"session:ada")?.as_deref(), Some(&b"page 2"[..]));
    assert_eq!(store.get(b"session:grace")?, None);
    assert_eq!(store.get(b"session:edsger")?.as_deref(), Some(&b"page 1"[..]));
    println!("{:?}", store.verify()?);
    // Happens by itself, in the background, when files waste enough; here everything at once.
    store.merge()?;
    let stats = store.statistics();
    println!("{} keys, {} bytes live, {} dead", stats.keys, stats.live_bytes, stats.dead_bytes);
    store.close()?;
    Ok(())
}

fn now() -> Result<u64, Box<dyn Error>> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?)
}
