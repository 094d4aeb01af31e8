//! Prints what is in a store as JSON: the manifest, each entry of each table by level, and each record of each log. Touches
//! nothing, so it also works beside a writer, and on a store that does not open.
//!
//! ```sh
//! cargo run -p lsm --example dump -- DIRECTORY
//! ```

use std::error::Error;
use std::io::{BufWriter, Write as _, stdout};

use durable::Env;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("which directory?")?;
    let mut out = BufWriter::new(stdout().lock());
    lsm::dump(directory, &Env::os(1), &mut out)?;
    out.flush()?;
    Ok(())
}
