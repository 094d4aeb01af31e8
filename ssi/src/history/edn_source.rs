//! The bytes of an EDN file, with their places.

use std::io::BufRead;
use std::path::Path;

use kv::{Error, Result};

use super::json_lines::MAX_EVENT_BYTES;

/// A position in the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) line: u64,
}

/// The bytes of the input, with one byte of look-ahead.
pub(super) struct Source<'p, R> {
    path: &'p Path,
    input: R,
    pub(super) place: Place,
    /// The bytes that the current event may still take.
    budget: usize,
}

impl<'p, R: BufRead> Source<'p, R> {
    pub(super) fn new(path: &'p Path, input: R) -> Self {
        Self { path, input, place: Place { offset: 0, line: 1 }, budget: MAX_EVENT_BYTES }
    }

    /// The bytes from here on belong to the next event.
    pub(super) fn begin_event(&mut self) {
        self.budget = MAX_EVENT_BYTES;
    }

    pub(super) fn error(&self, place: Place, what: &str) -> Error {
        Error::corruption(self.path, place.offset, format!("line {}: {what}", place.line))
    }

    pub(super) fn fail<T>(&self, what: &str) -> Result<T> {
        Err(self.error(self.place, what))
    }

    /// The next byte, which stays.
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        let buffer = self.input.fill_buf().map_err(|error| Error::io("read", self.path, error))?;
        Ok(buffer.first().copied())
    }

    /// Takes the next byte.
    pub(super) fn take(&mut self) -> Result<Option<u8>> {
        let next = self.peek()?;
        if let Some(byte) = next {
            if self.budget == 0 {
                return self.fail(&format!("the event is longer than {MAX_EVENT_BYTES} bytes"));
            }
            self.budget -= 1;
            self.input.consume(1);
            self.place.offset += 1;
            self.place.line += u64::from(byte == b'\n');
        }
        Ok(next)
    }

    /// Skips white space, commas and comments. The next byte, if there is one, begins a form or ends a collection.
    pub(super) fn skip_space(&mut self) -> Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b';') => while self.take()?.is_some_and(|byte| byte != b'\n') {},
                Some(byte) if byte.is_ascii_whitespace() || byte == b',' => {
                    self.take()?;
                }
                other => return Ok(other),
            }
        }
    }

    /// The bytes of a number, keyword or symbol: up to the next space or bracket.
    pub(super) fn word(&mut self) -> Result<String> {
        let mut word = Vec::new();
        while let Some(byte) = self.peek()? {
            if byte.is_ascii_whitespace() || b",;\"()[]{}".contains(&byte) {
                break;
            }
            word.push(byte);
            self.take()?;
        }
        String::from_utf8(word).or_else(|_| self.fail("a word is not UTF-8"))
    }
}
