//! The error of parameters out of their ranges.

use std::fmt;

/// A parameter out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOptions {
    /// The parameter and the values that it can have.
    pub text: &'static str,
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl std::error::Error for InvalidOptions {}

pub(super) fn require(holds: bool, text: &'static str) -> Result<(), InvalidOptions> {
    if holds { Ok(()) } else { Err(InvalidOptions { text }) }
}
