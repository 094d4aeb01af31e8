//! Random scripts.

use kv::{Capabilities, Durability};

use crate::opening::capabilities;
use crate::random::Random;
use crate::script::{Change, Script, Step};
use crate::subject::Subject;
use crate::universe::KEYS;

/// Value lengths around the edges that formats have: nothing, one byte, a varint's steps, sectors, pages, and the data
/// file limit of 2 KiB that subjects are asked to open with.
const LENGTHS: [usize; 24] = [
    0, 0, 1, 2, 7, 8, 9, 20, 20, 31, 60, 63, 64, 100, 127, 128, 129, 255, 256, 400, 511, 513, 1100,
    2049,
];

/// The content of a generated script, and how often each kind of step occurs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScriptConfig {
    /// Steps in the script.
    pub(crate) steps: usize,
    /// Whether the script has steps that only read.
    pub(crate) reads: bool,
    /// Whether the engine's content survives a reopening.
    pub(crate) persistent: bool,
    /// One in this many steps makes something durable.
    pub(crate) one_sync_in: usize,
    /// The abilities of the engine.
    pub(crate) capabilities: Capabilities,
}

/// The scripts of a suite that changes a store and lets something go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes {
    /// Steps in a script.
    pub(crate) steps: usize,
    /// One in this many steps makes something durable.
    pub(crate) one_sync_in: usize,
    /// Whether the store is opened again, if its content survives that.
    pub(crate) reopens: bool,
    /// Engines that promise less than this are left out.
    pub(crate) least: Durability,
}

impl Changes {
    /// The script that follows from `seed`. `None`: the engine of `subject` promises less than [`Changes::least`], or
    /// does not open, which the first history will report.
    pub(crate) fn script(
        self,
        subject: &dyn Subject,
        option_set: usize,
        seed: u64,
    ) -> Option<Script> {
        let Self { steps, one_sync_in, reopens, least } = self;
        assert!(option_set < subject.option_sets(), "there are no options {option_set}");
        let capabilities = capabilities(subject, option_set)?;
        let persistent = reopens && capabilities.durability > Durability::None;
        let config = ScriptConfig { steps, reads: false, persistent, one_sync_in, capabilities };
        (capabilities.durability >= least).then(|| script(seed, &config))
    }
}

/// The script that follows from `seed`.
pub(crate) fn script(seed: u64, config: &ScriptConfig) -> Script {
    let random = Random::new(seed);
    let mut keys: Vec<u8> = (0..KEYS as u8).collect();
    let wanted = [1, 2, 4, 8, 16, KEYS][random.below(6)];
    while keys.len() > wanted {
        keys.swap_remove(random.below(keys.len()));
    }
    let generator = Generator { random, keys, config: *config };
    let script = Script((0..config.steps).map(|_| generator.step()).collect());
    assert_eq!(script.0.len(), config.steps, "a script is as long as was asked for");
    script
}

struct Generator {
    random: Random,
    keys: Vec<u8>,
    config: ScriptConfig,
}

impl Generator {
    fn step(&self) -> Step {
        let random = &self.random;
        match random.below(100) {
            0..12 if self.config.reads => Step::Get(self.key()),
            12..20 if self.config.reads => Step::Walk(random.next() % 10_000),
            20..23 if self.config.reads => Step::Hold,
            23..26 if self.config.reads => Step::Check,
            26..36 => Step::Job,
            36..39 => Step::Drain,
            39..43 => Step::Maintain,
            43..45 if self.config.persistent => Step::Reopen,
            45..47 if self.config.persistent => Step::Kill,
            47..49 if self.config.capabilities.expiry => Step::Tick(*random.pick(&[1, 50, 500])),
            _ if random.one_in(self.config.one_sync_in * 2) => Step::Sync,
            _ => Step::Write(self.changes(), self.durability()),
        }
    }

    fn changes(&self) -> Vec<Change> {
        let several = self.random.one_in(4);
        let count = if several { 2 + self.random.below(5) } else { 1 };
        (0..count).map(|_| self.change()).collect()
    }

    fn change(&self) -> Change {
        let random = &self.random;
        let capabilities = &self.config.capabilities;
        match random.below(20) {
            0..5 => Change::Delete { key: self.key() },
            5 if capabilities.range_delete => {
                Change::DeleteRange { from: self.key(), to: self.key() }
            }
            6..9 if capabilities.expiry => {
                let after_ms = *random.pick(&[1, 40, 400, 4000]);
                Change::Expiring { key: self.key(), len: self.len(), after_ms }
            }
            _ => Change::Put { key: self.key(), len: self.len() },
        }
    }

    fn durability(&self) -> Durability {
        if self.random.one_in(self.config.one_sync_in) {
            Durability::Sync
        } else if self.random.one_in(3) {
            Durability::None
        } else {
            Durability::Buffered
        }
    }

    fn key(&self) -> u8 {
        *self.random.pick(&self.keys)
    }

    fn len(&self) -> usize {
        *self.random.pick(&LENGTHS)
    }
}
