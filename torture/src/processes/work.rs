//! The batches of the writers of a child. Each batch follows from its name.
//!
//! Most batches of a writer put its *mark*, a key of its own, and one to three *pairs*. A pair is a head, which every batch on
//! the pair puts, and two bodies, which are put or deleted. So a head names the last batch on the pair, even if that batch
//! deleted a body. A mark names the last batch of its writer. Some batches only put or delete the *lone* key, the second key
//! of the writer's own. No two states of mark and lone key are equal.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use kv::{Durability, WriteBatch};

use crate::random::{Random, sub_seed};
use crate::universe;

/// How many pairs the writers share.
pub(super) const PAIRS: u8 = 12;

/// How many bodies a pair has.
pub(super) const BODIES: u8 = 2;

/// Lengths of values: most are small, some do not fit into a data file of 1 KiB.
const LENGTHS: [usize; 16] = [8, 8, 9, 12, 16, 20, 31, 40, 63, 64, 100, 127, 128, 255, 400, 1100];

/// In each round of this many batches a writer puts its lone key once and deletes it once.
const ROUND: u32 = 8;
const LONE_PUT: u32 = 3;
const LONE_DELETE: u32 = 6;

/// Which session of a store's history: of which life, and the how many-th in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Session {
    pub(super) life: u16,
    pub(super) number: u16,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}.{}", self.life, self.number)
    }
}

impl FromStr for Session {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (life, number) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { life: life.parse()?, number: number.parse()? })
    }
}

/// Which batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WriteId {
    /// Of which session.
    pub(super) session: Session,
    /// Of which writer in it.
    pub(super) writer: u8,
    /// The how many-th of that writer, from 1.
    pub(super) count: u32,
}

impl WriteId {
    fn to_ordinal(self) -> u64 {
        assert!(self.count <= 0xff_ffff, "a session has fewer batches than fit into 24 bits");
        let Session { life, number } = self.session;
        let session = u64::from(life) << 48 | u64::from(number) << 32;
        session | u64::from(self.writer) << 24 | u64::from(self.count)
    }

    fn from_ordinal(ordinal: u64) -> Self {
        let session = Session { life: (ordinal >> 48) as u16, number: (ordinal >> 32) as u16 };
        Self { session, writer: (ordinal >> 24) as u8, count: ordinal as u32 & 0xff_ffff }
    }

    /// The write that put `value`, which must be whole.
    pub(super) fn of_value(value: &[u8]) -> Result<Self, String> {
        let stamp = value.first_chunk().map(|stamp| u64::from_le_bytes(*stamp));
        let ordinal = stamp.and_then(|stamp| stamp.checked_sub(1));
        let ordinal = ordinal.ok_or("a value is none that was ever put")?;
        let is_whole = universe::value(ordinal, value.len()) == value;
        is_whole.then_some(Self::from_ordinal(ordinal)).ok_or_else(|| "a value is a mixture".into())
    }

    pub(super) fn value(self, len: usize) -> Vec<u8> {
        debug_assert_eq!(Self::from_ordinal(self.to_ordinal()), self, "a value names its write");
        universe::value(self.to_ordinal(), len)
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of writer {} in {}", self.count, self.writer, self.session)
    }
}

/// The role of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Mark(u8),
    Lone(u8),
    Head(u8),
    Body(u8, u8),
}

impl Place {
    /// All places that a store with so many writers may fill.
    pub(super) fn all(writers: u8) -> impl Iterator<Item = Self> {
        let own = (0..writers).flat_map(|writer| [Self::Mark(writer), Self::Lone(writer)]);
        own.chain((0..PAIRS).flat_map(Self::of_pair))
    }

    /// The places of a pair.
    pub(super) fn of_pair(pair: u8) -> impl Iterator<Item = Self> {
        assert!(pair < PAIRS, "there is no pair {pair}");
        [Self::Head(pair)].into_iter().chain((0..BODIES).map(move |body| Self::Body(pair, body)))
    }

    /// Its key. Those of a pair share a long prefix, and no two are neighbours of another kind.
    pub(super) fn key(self) -> String {
        match self {
            Self::Mark(writer) => format!("mark/{writer}"),
            Self::Lone(writer) => format!("lone/{writer}"),
            Self::Head(pair) => format!("pair/{pair:02}/head"),
            Self::Body(pair, body) => format!("pair/{pair:02}/{body}"),
        }
    }
}

/// A batch and its class.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// For each place the length of its new value; none where it is deleted.
    pub(super) changes: Vec<(Place, Option<usize>)>,
    pub(super) durability: Durability,
}

impl Task {
    /// The task called `id`, in a history that started from `seed`.
    pub(super) fn of(seed: u64, id: WriteId) -> Self {
        let random = Random::new(sub_seed(seed, id.to_ordinal()));
        let len = || Some(*random.pick(&LENGTHS));
        let durability = match random.below(12) {
            0 => Durability::Sync,
            1..5 => Durability::None,
            _ => Durability::Buffered,
        };
        let changes = match id.count % ROUND {
            LONE_PUT => vec![(Place::Lone(id.writer), len())],
            LONE_DELETE => vec![(Place::Lone(id.writer), None)],
            _ => {
                let first = random.below(usize::from(PAIRS)) as u8;
                let several = 1 + random.below(3) as u8;
                let mut changes = vec![(Place::Mark(id.writer), Some(8))];
                for pair in (0..several).map(|step| (first + step * 5) % PAIRS) {
                    let bodies = (0..BODIES).map(|body| Place::Body(pair, body));
                    changes.push((Place::Head(pair), Some(8)));
                    changes.extend(bodies.map(|body| (body, len().filter(|_| !random.one_in(3)))));
                }
                changes
            }
        };
        let task = Self { changes, durability };
        debug_assert!(
            task.changes
                .iter()
                .enumerate()
                .all(|(at, (place, _))| task.changes[..at].iter().all(|(other, _)| other != place)),
            "a batch changes each place once"
        );
        task
    }

    pub(super) fn batch(&self, id: WriteId) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for (place, len) in &self.changes {
            let key = place.key();
            match len {
                Some(len) => batch.put(key.as_bytes(), &id.value(*len)),
                None => batch.delete(key.as_bytes()),
            };
        }
        assert_eq!(batch.ops().count(), self.changes.len(), "one operation for each place");
        batch
    }

    /// Whether it puts or deletes `place`.
    pub(super) fn changes(&self, place: Place) -> bool {
        self.changes.iter().any(|(changed, _)| *changed == place)
    }

    /// The length of the value that it puts at `place`.
    pub(super) fn puts(&self, place: Place) -> Option<usize> {
        self.changes.iter().find(|(changed, _)| *changed == place).and_then(|(_, len)| *len)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ID: WriteId = WriteId { session: Session { life: 700, number: 5 }, writer: 3, count: 17 };

    #[test]
    fn a_value_names_its_write_and_is_whole_or_refused() {
        let mut value = ID.value(100);
        assert_eq!(WriteId::of_value(&value), Ok(ID));
        value[60] ^= 1;
        WriteId::of_value(&value).unwrap_err();
        WriteId::of_value(&value[..7]).unwrap_err();
    }

    #[test]
    fn no_two_batches_leave_a_writer_with_the_same_keys_of_its_own() {
        let (mut mark, mut lone) = (None, None);
        let mut seen = BTreeSet::from([(mark, lone)]);
        for count in 1..100 {
            let task = Task::of(1, WriteId { count, ..ID });
            for (place, len) in task.changes {
                let left = len.map(|_| count);
                match place {
                    Place::Mark(_) => mark = left,
                    Place::Lone(_) => lone = left,
                    Place::Head(_) | Place::Body(..) => {}
                }
            }
            assert!(seen.insert((mark, lone)), "batch {count}");
        }
    }
}
