//! Field types of workload files: numbers with units, and ranges.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::quantity::{parse_bytes, parse_count, parse_duration};

/// A number or a text in a TOML file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number, or a text such as \"100k\", \"4KiB\" or \"10s\"")]
enum Raw {
    Number(u64),
    Text(String),
}

/// A count, written as `1000` or `"1M"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Raw")]
pub(crate) struct Count(pub(crate) u64);

/// A size in bytes, written as `100` or `"4KiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Raw")]
pub(crate) struct Bytes(pub(crate) u64);

/// A length of time, written as `"200ms"` or `"10s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// Lengths from `least` to `most`, all equally likely; written as `10` or `"1..100"`, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Raw", into = "String")]
pub(crate) struct LengthRange {
    /// The shortest length, at least 1.
    pub(crate) least: u32,
    /// The longest length.
    pub(crate) most: u32,
}

impl TryFrom<Raw> for Count {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        match raw {
            Raw::Number(number) => Ok(Self(number)),
            Raw::Text(text) => parse_count(&text).map(Self),
        }
    }
}

impl TryFrom<Raw> for Bytes {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        match raw {
            Raw::Number(number) => Ok(Self(number)),
            Raw::Text(text) => parse_bytes(&text).map(Self),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text).map(Self)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        format!("{}s", span.0.as_secs_f64())
    }
}

impl TryFrom<Raw> for LengthRange {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let range = match &raw {
            Raw::Number(length) => u32::try_from(*length).ok().map(|length| (length, length)),
            Raw::Text(text) => text.split_once("..").and_then(|(least, most)| {
                Some((least.trim().parse().ok()?, most.trim().parse().ok()?))
            }),
        };
        match range {
            Some((least, most)) if least >= 1 && least <= most => Ok(Self { least, most }),
            _ => Err("a length is a number from 1 or a range such as \"1..100\"".into()),
        }
    }
}

impl From<LengthRange> for String {
    fn from(range: LengthRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for LengthRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.least, self.most)
    }
}
