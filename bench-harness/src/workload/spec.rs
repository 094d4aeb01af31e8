//! The keys of a workload file. The README explains each of them; this is the same list for the compiler.

use kv::Durability;
use serde::{Deserialize, Serialize};

use super::{Bytes, Count, LengthRange, Span};
use crate::distribution::KeyChoice;
use crate::keys::KeyShape;

/// The size of values where a workload says nothing.
const DEFAULT_VALUE_BYTES: u64 = 100;

/// One workload: an engine runs all of its phases in order, on one fresh directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    /// One line that says whose behaviour this is.
    pub(crate) about: String,
    /// The group that `@group` selects.
    pub(crate) group: Option<String>,
    /// How many keys are loaded. Absent with an `input`: all that it has.
    pub(crate) records: Option<Count>,
    /// The shape of made-up keys.
    pub(crate) key: Option<KeyShape>,
    /// The size of made-up values, with their header of 12 bytes.
    pub(crate) value_bytes: Option<Bytes>,
    /// A real input that keys and values, or a whole trace, come from: a built-in name, or a file. A relative path begins
    /// at the folder of the workload file.
    pub(crate) input: Option<String>,
    /// Divides the value sizes of a trace.
    pub(crate) value_divisor: Option<Count>,
    /// The durability class to ask for, whatever the run asks for.
    #[serde(default, with = "durability")]
    pub(crate) durability: Option<Durability>,
    /// Threads of phases that say nothing else.
    pub(crate) threads: Option<u32>,
    /// Smaller sizes for `kvbench quick`; without this table the workload is not part of it.
    pub(crate) quick: Option<Quick>,
    /// The phases, in order.
    #[serde(default)]
    pub(crate) phase: Vec<Phase>,
}

/// Sizes of a workload in `kvbench quick`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quick {
    /// Instead of the workload's.
    pub(crate) records: Option<Count>,
    /// Instead of the workload's.
    pub(crate) value_divisor: Option<Count>,
    /// For every phase that mixes.
    pub(crate) duration: Option<Span>,
    /// For every phase that replays, or that mixes until a number of operations is reached.
    pub(crate) ops: Option<Count>,
}

/// One phase, measured on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phase {
    /// The name in the results.
    pub(crate) name: String,
    /// Kind: puts every record once, in this order.
    pub(crate) load: Option<LoadOrder>,
    /// Kind: operations at random, with these weights.
    pub(crate) mix: Option<Mix>,
    /// Kind: the operations of the trace, in its order.
    #[serde(default)]
    pub(crate) replay: bool,
    /// Kind: one cursor over all entries.
    pub(crate) sweep: Option<SweepDirection>,
    /// Kind: nothing for this time, so that work in the background is done before the next phase.
    pub(crate) rest: Option<Span>,
    /// Kind: closes the engine cleanly, opens it again and reads one key.
    #[serde(default)]
    pub(crate) reopen: bool,
    /// How a mix picks keys.
    #[serde(default, with = "key_choice")]
    pub(crate) keys: Option<KeyChoice>,
    /// How many entries a scan reads.
    pub(crate) scan_length: Option<LengthRange>,
    /// Scans stay within the keys that share this many bytes with the picked one.
    pub(crate) prefix_bytes: Option<u32>,
    /// How many writes of a load, or of a mix of puts alone, go into one batch.
    pub(crate) batch: Option<u32>,
    /// A second mix, uniform, on one more thread, as long as the first goes on. Plans of published runs call it `beside`.
    #[serde(alias = "beside")]
    pub(crate) background: Option<Mix>,
    /// Ends the phase after this many operations on each thread.
    pub(crate) ops: Option<Count>,
    /// Ends the phase after this time; a load may stay incomplete.
    pub(crate) duration: Option<Span>,
    /// Threads that run the mix.
    pub(crate) threads: Option<u32>,
}

/// In which order records are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LoadOrder {
    /// Far from key order.
    Random,
    /// In the order of the input, or of the ids.
    Sequential,
}

/// Which way a sweep goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SweepDirection {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// The weights of the operations of a mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Mix {
    /// Reads a key.
    pub(crate) get: u32,
    /// Reads a key that was never put.
    pub(crate) get_miss: u32,
    /// Writes a key that the distribution picks.
    pub(crate) put: u32,
    /// Writes the next new key.
    pub(crate) insert: u32,
    /// Removes a key that the distribution picks.
    pub(crate) delete: u32,
    /// Reads some entries from a key on.
    pub(crate) scan: u32,
    /// Reads a key and writes it back.
    pub(crate) rmw: u32,
}

impl Mix {
    /// The sum of all weights.
    pub(crate) fn total(&self) -> u64 {
        let weights =
            [self.get, self.get_miss, self.put, self.insert, self.delete, self.scan, self.rmw];
        weights.into_iter().map(u64::from).sum()
    }

    /// Whether it writes keys that the distribution picks.
    pub(crate) fn writes_loaded_keys(&self) -> bool {
        self.put > 0 || self.delete > 0 || self.rmw > 0
    }
}

/// The kind of a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PhaseKind {
    /// See [`Phase::load`].
    Load(LoadOrder),
    /// See [`Phase::mix`].
    Mix(Mix),
    /// See [`Phase::replay`].
    Replay,
    /// See [`Phase::sweep`].
    Sweep(SweepDirection),
    /// See [`Phase::rest`].
    Rest(Span),
    /// See [`Phase::reopen`].
    Reopen,
}

impl Phase {
    /// The kind of the phase. `Err`: it names none, or several.
    pub(crate) fn kind(&self) -> Result<PhaseKind, String> {
        let kinds = [
            self.load.map(PhaseKind::Load),
            self.mix.map(PhaseKind::Mix),
            self.replay.then_some(PhaseKind::Replay),
            self.sweep.map(PhaseKind::Sweep),
            self.rest.map(PhaseKind::Rest),
            self.reopen.then_some(PhaseKind::Reopen),
        ];
        let mut named = kinds.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(kind), None) => Ok(kind),
            _ => Err(format!(
                "phase \"{}\" needs exactly one of load, mix, replay, sweep, rest, reopen",
                self.name
            )),
        }
    }
}

impl Workload {
    /// The size of the values, in bytes; for values that come from an input, their mean, which a plan has put in.
    pub(crate) fn value_len(&self) -> u64 {
        self.value_bytes.map_or(DEFAULT_VALUE_BYTES, |size| size.0)
    }

    /// The most rows of the input that the workload uses.
    pub(crate) fn input_rows(&self) -> u64 {
        let replayed = self.phase.iter().find(|phase| phase.replay).and_then(|phase| phase.ops);
        self.records.or(replayed).map_or(u64::MAX, |limit| limit.0)
    }

    /// Checks the workload. `Err` names the mistake.
    pub(crate) fn check(&self) -> Result<(), String> {
        super::check::check(self)
    }

    /// Puts the sizes for `quick` in the place of the normal ones; `false` where there are none.
    pub(crate) fn shrink_to_quick(&mut self) -> bool {
        let Some(quick) = self.quick.clone() else { return false };
        self.records = quick.records.or(self.records);
        self.value_divisor = quick.value_divisor.or(self.value_divisor);
        for phase in &mut self.phase {
            match phase.kind() {
                Ok(PhaseKind::Mix(_)) => {
                    // A phase that time alone ends is not cut to fewer operations: it would be over in no time.
                    phase.ops = phase.ops.map(|ops| quick.ops.unwrap_or(ops));
                    phase.duration = quick.duration.or(phase.duration);
                }
                Ok(PhaseKind::Replay) => phase.ops = quick.ops.or(phase.ops),
                _ => {}
            }
        }
        true
    }
}

/// A durability by its name.
mod durability {
    use kv::Durability;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes the field by reference"
    )]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Durability>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(durability) => serializer.collect_str(durability),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Durability>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| crate::durability::parse(&name)).transpose().map_err(D::Error::custom)
    }
}

/// A distribution in its written form.
mod key_choice {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::distribution::KeyChoice;

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<KeyChoice>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(choice) => serializer.collect_str(choice),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<KeyChoice>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse()).transpose().map_err(D::Error::custom)
    }
}
