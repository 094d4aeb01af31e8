//! Damage that a decoder finds in bytes whose place in a file it does not know.

/// A rule of the format that some bytes break. The table adds the path, and where the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Where the field begins that breaks the rule, counted from the beginning of the bytes.
    pub(crate) at: usize,
    /// The rule.
    pub(crate) what: &'static str,
}

/// The result of decoding.
pub(crate) type Checked<T> = Result<T, Damage>;

impl Damage {
    pub(crate) fn new(at: usize, what: &'static str) -> Self {
        Self { at, what }
    }
}
