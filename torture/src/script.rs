//! A script: steps for an engine, as data that fits on one line.
//!
//! | text | step |
//! |---|---|
//! | `p3.20/b` | put a value of 20 bytes at key 3, with durability none, buffered or sync |
//! | `e3.20@500/b` | the same, expiring 500 ms from now |
//! | `d3/s` | delete key 3 |
//! | `r2-5/s` | delete the range from key 2 to key 5 |
//! | `p1.4+d2+p3.0/s` | one batch of several operations |
//! | `sync` | `Kv::sync` |
//! | `job`, `drain` | run one queued background job, or all |
//! | `maintain` | the subject's upkeep of its files: a flush, a merge |
//! | `reopen`, `kill` | open again after a close, or after dropping the handle without one |
//! | `tick.500` | let 500 ms pass |
//! | `get.3` | read key 3 |
//! | `walk.17` | a cursor over a range, moved about; both follow from the seed 17 |
//! | `hold`, `check` | open frozen views, or compare and drop those that are open |
//!
//! Keys are indexes into a table of keys that are edge cases; values are made from the number of the write.

use std::fmt;
use std::str::FromStr;

use kv::{Durability, KeyRange, UnixMillis, WriteBatch};

use crate::universe;

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put { key: u8, len: usize },
    Expiring { key: u8, len: usize, after_ms: u64 },
    Delete { key: u8 },
    DeleteRange { from: u8, to: u8 },
}

/// One thing that a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Write(Vec<Change>, Durability),
    Sync,
    Job,
    Drain,
    Maintain,
    Reopen,
    Kill,
    Tick(u64),
    Get(u8),
    Walk(u64),
    Hold,
    Check,
}

/// A list of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script(pub(crate) Vec<Step>);

impl Script {
    /// The keys that the script writes or reads, each once, in the order of their indexes.
    pub(crate) fn keys(&self) -> Vec<u8> {
        let mut keys: Vec<u8> = self.0.iter().flat_map(Step::keys).collect();
        keys.sort_unstable();
        keys.dedup();
        debug_assert!(keys.is_sorted_by(|a, b| a < b), "each key is there once");
        keys
    }
}

impl Step {
    fn keys(&self) -> Vec<u8> {
        match self {
            Self::Write(changes, _) => changes.iter().flat_map(Change::keys).collect(),
            Self::Get(key) => vec![*key],
            _ => Vec::new(),
        }
    }
}

impl Change {
    fn keys(&self) -> Vec<u8> {
        match *self {
            Self::Put { key, .. } | Self::Expiring { key, .. } | Self::Delete { key } => vec![key],
            Self::DeleteRange { from, to } => vec![from, to],
        }
    }
}

/// The batch of `changes` at the time `now`; its values are numbered from `first_value` on.
pub(crate) fn batch_of(changes: &[Change], first_value: u64, now: UnixMillis) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (at, change) in changes.iter().enumerate() {
        let value = |len| universe::value(first_value + at as u64, len);
        match *change {
            Change::Put { key, len } => batch.put(universe::key(key), &value(len)),
            Change::Expiring { key, len, after_ms } => {
                let expires_at = UnixMillis(now.0 + after_ms);
                batch.put_expiring(universe::key(key), &value(len), expires_at)
            }
            Change::Delete { key } => batch.delete(universe::key(key)),
            Change::DeleteRange { from, to } => batch.delete_range(range_between(from, to)),
        };
    }
    batch
}

/// The range from the lesser of two keys up to the greater one.
pub(crate) fn range_between(from: u8, to: u8) -> KeyRange {
    let (from, to) = (universe::key(from), universe::key(to));
    let (low, high) = (from.min(to), from.max(to));
    assert!(low <= high, "a range has an order");
    KeyRange::new(&low[..]..&high[..])
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(changes, durability) => {
                for (at, change) in changes.iter().enumerate() {
                    let plus = if at == 0 { "" } else { "+" };
                    write!(f, "{plus}{change}")?;
                }
                let letter = match durability {
                    Durability::None => 'n',
                    Durability::Buffered => 'b',
                    Durability::Sync => 's',
                };
                write!(f, "/{letter}")
            }
            Self::Sync => f.write_str("sync"),
            Self::Job => f.write_str("job"),
            Self::Drain => f.write_str("drain"),
            Self::Maintain => f.write_str("maintain"),
            Self::Reopen => f.write_str("reopen"),
            Self::Kill => f.write_str("kill"),
            Self::Tick(ms) => write!(f, "tick.{ms}"),
            Self::Get(key) => write!(f, "get.{key}"),
            Self::Walk(seed) => write!(f, "walk.{seed}"),
            Self::Hold => f.write_str("hold"),
            Self::Check => f.write_str("check"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, len } => write!(f, "p{key}.{len}"),
            Self::Expiring { key, len, after_ms } => write!(f, "e{key}.{len}@{after_ms}"),
            Self::Delete { key } => write!(f, "d{key}"),
            Self::DeleteRange { from, to } => write!(f, "r{from}-{to}"),
        }
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((changes, letter)) = text.split_once('/') {
            let durability = match letter {
                "n" => Durability::None,
                "b" => Durability::Buffered,
                "s" => Durability::Sync,
                _ => return Err(format!("no durability is called {letter:?}")),
            };
            let changes = changes.split('+').map(str::parse).collect::<Result<_, _>>()?;
            return Ok(Self::Write(changes, durability));
        }
        let (word, argument) = text.split_once('.').unwrap_or((text, "0"));
        Ok(match word {
            "sync" => Self::Sync,
            "job" => Self::Job,
            "drain" => Self::Drain,
            "maintain" => Self::Maintain,
            "reopen" => Self::Reopen,
            "kill" => Self::Kill,
            "tick" => Self::Tick(number(argument)?),
            "get" => Self::Get(number(argument)?),
            "walk" => Self::Walk(number(argument)?),
            "hold" => Self::Hold,
            "check" => Self::Check,
            _ => return Err(format!("no step is called {text:?}")),
        })
    }
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no change is called {text:?}");
        let kind = text.chars().next().ok_or_else(unknown)?;
        let rest = text.get(1..).ok_or_else(unknown)?;
        let split = |by| rest.split_once(by).ok_or_else(unknown);
        Ok(match kind {
            'p' => {
                let (key, len) = split('.')?;
                Self::Put { key: number(key)?, len: number(len)? }
            }
            'e' => {
                let (key, sizes) = split('.')?;
                let (len, after_ms) = sizes.split_once('@').ok_or_else(unknown)?;
                let after_ms = number(after_ms)?;
                Self::Expiring { key: number(key)?, len: number(len)?, after_ms }
            }
            'd' => Self::Delete { key: number(rest)? },
            'r' => {
                let (from, to) = split('-')?;
                Self::DeleteRange { from: number(from)?, to: number(to)? }
            }
            _ => return Err(unknown()),
        })
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is no number that fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_survives_the_way_through_text() {
        let text = "p3.20/b e3.20@500/n d3/s r2-5/s p1.4+d2+p3.0/s sync job drain maintain reopen kill \
                    tick.500 get.3 walk.17 hold check";
        let script: Script = text.parse().unwrap();
        assert_eq!(script.to_string(), text);
        assert_eq!(script.keys(), [1, 2, 3, 5]);
        assert!("p3/b".parse::<Script>().is_err());
        assert!("fly".parse::<Script>().is_err());
    }
}
