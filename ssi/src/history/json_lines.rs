//! Reading a history from lines of JSON.

use std::io::{BufRead, Read};
use std::path::Path;

use kv::{Error, Result};
use serde_json::Value;

use super::builder::HistoryBuilder;
use super::event;
use super::model::History;

/// The longest line that a reader holds in memory.
pub(super) const MAX_EVENT_BYTES: usize = 64 << 20;

/// Reads a history in the JSON-lines format of this crate, which includes that of Elle and `elle-cli`.
///
/// `path` is the name of `input` in errors. The memory is that of the [`History`] and of the longest line.
///
/// # Errors
/// `Io`; `Corruption` at the offset of the first line that is no event, or that does not fit to the events before it.
pub fn read_json_lines(path: impl AsRef<Path>, mut input: impl BufRead) -> Result<History> {
    let path = path.as_ref();
    let mut builder = HistoryBuilder::new();
    let (mut line, mut offset, mut text) = (0_u64, 0_u64, Vec::new());
    loop {
        text.clear();
        let mut limited = (&mut input).take(MAX_EVENT_BYTES as u64 + 1);
        let length =
            limited.read_until(b'\n', &mut text).map_err(|error| Error::io("read", path, error))?;
        if length == 0 {
            return Ok(builder.finish());
        }
        line += 1;
        let bad = |what: String| Error::corruption(path, offset, format!("line {line}: {what}"));
        if length > MAX_EVENT_BYTES {
            return Err(bad(format!("the line is longer than {MAX_EVENT_BYTES} bytes")));
        }
        if !text.trim_ascii().is_empty() {
            let event: Value =
                serde_json::from_slice(&text).map_err(|error| bad(in_one_line(&error)))?;
            event::apply(event, &mut builder).map_err(bad)?;
        }
        offset += length as u64;
    }
}

/// The message of the parser without its own line number, which is always 1.
fn in_one_line(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    format!("column {}: {message}", error.column())
}
