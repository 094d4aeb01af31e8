//! Reading a history whose notation is not known.

use std::io::BufRead;
use std::path::Path;

use kv::{Error, Result};

use super::edn::read_edn;
use super::json_lines::read_json_lines;
use super::model::History;

/// Reads a history in JSON lines or EDN, whichever the first bytes of `input` look like.
///
/// ```
/// let edn = "{:type :invoke, :process 0}\n{:type :ok, :process 0, :value [[:w :x 1]]}";
/// let history = ssi::history::read("memory.edn", edn.as_bytes())?;
/// assert_eq!(history.transaction_count(), 1);
/// # Ok::<_, kv::Error>(())
/// ```
///
/// # Errors
/// As [`read_json_lines`] and [`read_edn`].
pub fn read(path: impl AsRef<Path>, mut input: impl BufRead) -> Result<History> {
    let path = path.as_ref();
    let start = input.fill_buf().map_err(|error| Error::io("read", path, error))?;
    if looks_like_json(start) { read_json_lines(path, input) } else { read_edn(path, input) }
}

/// Whether the first object has a key in quotation marks. An empty file is both, and so a history without events.
fn looks_like_json(start: &[u8]) -> bool {
    let Some(object) = start.trim_ascii_start().strip_prefix(b"{") else {
        return start.trim_ascii().is_empty();
    };
    matches!(object.trim_ascii_start().first(), Some(b'"' | b'}') | None)
}
