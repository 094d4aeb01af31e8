//! Prints what is in a store as JSON: the manifest, and each record of each data file. Touches nothing, so it also works
//! beside a writer, and on a store that does not open.
//!
//! ```sh
//! cargo run -p bitcask --example dump -- DIRECTORY
//! ```

use std::error::Error;
use std::io::{Write as _, stdout};

use durable::Env;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("which directory?")?;
    writeln!(stdout(), "{:#}", bitcask::dump(directory, &Env::os(1))?)?;
    Ok(())
}
