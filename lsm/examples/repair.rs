//! Makes a store of what can be read of a damaged one, and says what was lost.
//!
//! ```sh
//! cargo run -p lsm --example repair -- DAMAGED NEW
//! ```
//!
//! Without arguments it damages a store of its own first.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]
#![expect(clippy::disallowed_methods, reason = "an example damages a file")]

use std::error::Error;
use std::path::Path;

use kv::{Durability, Kv};
use lsm::{Lsm, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [damaged, new] = &arguments[..] {
        return repair(Path::new(damaged), Path::new(new));
    }
    let temporary = tempfile::tempdir()?;
    let damaged = temporary.path().join("damaged");
    make_damaged_store(&damaged)?;
    repair(&damaged, &temporary.path().join("new"))
}

fn repair(damaged: &Path, new: &Path) -> Result<(), Box<dyn Error>> {
    let repair = lsm::repair(damaged, new, &Options::new())?;
    println!("{} tables and {} logs: {} keys", repair.tables, repair.logs, repair.keys);
    for loss in &repair.losses {
        println!("{loss}");
    }
    let store = Lsm::open(new, Options::new().create(false))?;
    store.verify()?;
    store.close()?;
    Ok(())
}

/// A store without its manifest, and with a damaged block in its table.
fn make_damaged_store(path: &Path) -> Result<(), Box<dyn Error>> {
    let store = Lsm::open(path, Options::new())?;
    for number in 0..10_000_u32 {
        store.put(&number.to_be_bytes(), b"value", Durability::Buffered)?;
    }
    store.close()?;
    std::fs::remove_file(path.join("CURRENT"))?;
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "table") {
            let mut bytes = std::fs::read(&path)?;
            bytes[10_000] ^= 1;
            std::fs::write(&path, bytes)?;
        }
    }
    assert!(Lsm::open(path, Options::new()).is_err(), "no opening takes the damaged store");
    Ok(())
}
