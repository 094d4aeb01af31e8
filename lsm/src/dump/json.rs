//! Writing JSON piece by piece.

use std::io::Write;
use std::path::Path;

use kv::{Error, Result};
use serde_json::{Value, json};

/// An answer that is being written.
pub(super) struct Json<'o> {
    out: &'o mut dyn Write,
    /// Why no more can be written.
    failed: Option<Error>,
}

impl<'o> Json<'o> {
    /// An answer that goes to `out`.
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Self { out, failed: None }
    }

    pub(super) fn text(&mut self, text: &str) -> Result<()> {
        let written = self.out.write_all(text.as_bytes());
        written.map_err(|error| {
            let error = Error::io("write", Path::new("dump"), error);
            self.failed.insert(error).clone()
        })
    }

    pub(super) fn value(&mut self, value: &Value) -> Result<()> {
        self.text(&value.to_string())
    }

    /// What stands before item `at` of a list.
    pub(super) fn separate(&mut self, at: usize) -> Result<()> {
        self.text(if at == 0 { "\n" } else { ",\n" })
    }

    /// Begins an object with the members of the object `head`. Another member follows.
    pub(super) fn begin(&mut self, head: &Value) -> Result<()> {
        let head = head.to_string();
        debug_assert!(head.len() > 2 && head.ends_with('}'), "an object with members");
        self.text(&head[..head.len() - 1])?;
        self.text(",")
    }

    /// Writes the list `name`, whose items `visit` hands over one by one. The answer is what `visit` returns.
    ///
    /// # Errors
    /// The answer cannot be written. Other errors of `visit` are in the answer.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        visit: impl FnOnce(&mut dyn FnMut(&Value) -> Result<()>) -> Result<T>,
    ) -> Result<Result<T>> {
        self.text(&format!("\"{name}\":["))?;
        let mut at = 0;
        let visited = visit(&mut |item| {
            self.separate(at)?;
            at += 1;
            self.value(item)
        });
        // A reader of the answer that has gone is no damage of the store.
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.text("]")?;
        Ok(visited)
    }
}

/// `key` with escapes for all that is not printable.
pub(super) fn escaped(key: &[u8]) -> Value {
    json!(key.escape_ascii().to_string())
}
