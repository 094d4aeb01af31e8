//! A writer, and a follower that reads the same store beside it.
//!
//! ```sh
//! cargo run -p bitcask --example follow
//! ```
//!
//! The two share nothing but the directory: the follower could as well be another process.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::Path;
use std::thread;

use bitcask::{Bitcask, Options};
use kv::{Durability, Kv, SequenceNumber, WriteBatch};

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let directory = temporary.path().join("accounts");
    let store = Bitcask::open(&directory, Options::new())?;
    store.write(&transfer(0), Durability::Buffered)?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(&store));
        let follower = scope.spawn(|| follow(&directory));
        writer.join().expect("no panic")?;
        follower.join().expect("no panic")
    })?;
    Ok(())
}

const TRANSFERS: i64 = 100_000;

/// The two accounts after so many transfers: what they hold is always 0 in sum.
fn transfer(number: i64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(b"here", &(-number).to_le_bytes()).put(b"there", &number.to_le_bytes());
    batch
}

fn write(store: &Bitcask) -> kv::Result<()> {
    for number in 1..=TRANSFERS {
        store.write(&transfer(number), Durability::Buffered)?;
    }
    store.close()
}

fn follow(directory: &Path) -> kv::Result<()> {
    let reader = Bitcask::open_read_only(directory, Options::new())?;
    let balance = |key: &[u8]| -> kv::Result<i64> {
        let value = reader.get(key)?.and_then(|value| value[..].try_into().ok());
        Ok(value.map_or(0, i64::from_le_bytes))
    };
    let mut shown = SequenceNumber(0);
    while balance(b"there")? < TRANSFERS {
        // Until the next refresh, everything that is read is from one moment.
        let newest = reader.refresh()?;
        let (here, there) = (balance(b"here")?, balance(b"there")?);
        assert_eq!(here + there, 0);
        if newest > shown {
            println!("write {}: {there} there", newest.0);
        }
        shown = newest;
    }
    Ok(())
}
