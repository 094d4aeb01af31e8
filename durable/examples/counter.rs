//! A counter that survives crashes: each run adds one.
//!
//! ```sh
//! cargo run -p durable --example counter -- DIRECTORY
//! ```
//!
//! The directory is locked against a second run at the same time, and the file in it is replaced in one step, so that a
//! crash at any moment leaves the old number or the new one.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::publish::replace_atomically;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Fs, OsFs};

fn main() -> Result<(), Box<dyn Error>> {
    let directory: PathBuf = std::env::args_os().nth(1).ok_or("which directory?")?.into();
    let dir = StoreDir::open(Arc::new(OsFs::default()), &directory, OpenMode::Create)?;
    let file = dir.file("counter");
    let count = read(&**dir.fs(), &file)? + 1;
    replace_atomically(&**dir.fs(), &file, &count.to_le_bytes())?;
    println!("run {count}");
    Ok(())
}

/// The number in `file`, or 0 when there is none yet.
fn read(fs: &dyn Fs, file: &Path) -> kv::Result<u64> {
    let mut number = [0; 8];
    match fs.open(file) {
        Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => {}
        opened => opened?.read_at(0, &mut number)?,
    }
    Ok(u64::from_le_bytes(number))
}
