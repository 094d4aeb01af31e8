//! The way in which the last use of a store ended.

use std::fmt;
use std::str::FromStr;

/// How the last use of a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was closed.
    Close,
    /// The process died: everything that it wrote is there.
    Kill,
    /// The power was cut: everything that was not synced is gone.
    PowerCut,
}

impl Stop {
    /// The store that finds most comes first.
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::PowerCut, Self::Close];
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Close => "close",
            Self::Kill => "kill",
            Self::PowerCut => "power-cut",
        })
    }
}

impl FromStr for Stop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|stop| stop.to_string() == text);
        known.ok_or_else(|| format!("a store does not end with {text:?}"))
    }
}
