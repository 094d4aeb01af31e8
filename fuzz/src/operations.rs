//! Short sessions with a store, with crashes, against a model.
//!
//! The invariant: reads return the values that the acknowledged writes left. After a power cut at any operation of the disk,
//! the store holds the state after one of the batches. That batch is the last one that was durable by then, or the last one
//! begun, or one between them. A killed process loses no batch that was acknowledged as `Buffered`, and a clean close loses
//! none. No call fails on a disk that works, and the store verifies.
//!
//! An input is a list of at most 64 steps: a byte for the kind, and the fields of the kind.

use std::sync::Arc;

use bitcask::Bitcask;
use durable::{ManualExecutor, MetadataModel, SimFs, Variant};
use kv::{Durability, Kv, WriteBatch};

use super::fixture::{Model, open};
use super::input::Input;
use super::model::{agrees_or_fails, scan};

const MOST_STEPS: usize = 64;
const SOUND: &str = "nothing fails on a disk that works";

/// Plays the script in `data`.
///
/// # Panics
/// When the invariant is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut session = Session::begin();
    for _ in 0..MOST_STEPS {
        if session.step(&mut input).is_none() {
            break;
        }
    }
    session.check();
    session.reopen();
}

/// How far the store had come when the disk had done so many operations.
#[derive(Clone, Copy, Debug)]
struct Mark {
    ops: usize,
    /// The batches that a power cut may not take.
    durable: usize,
}

/// A store in use, and the entries that it should hold.
#[derive(Debug)]
struct Session {
    number: u64,
    disk: SimFs,
    engine: Bitcask,
    executor: Arc<ManualExecutor>,
    /// The entries after each batch; the first is the empty store.
    models: Vec<Model>,
    /// How many operations the disk had done when each batch began. Of a batch from before the last crash: none.
    begun: Vec<usize>,
    /// The batches that the death of the process may not take.
    buffered: usize,
    marks: Vec<Mark>,
}

impl Session {
    fn begin() -> Self {
        let disk = SimFs::new();
        let (engine, executor) = open(&disk, 0, true).expect(SOUND);
        let marks = vec![Mark { ops: 0, durable: 0 }];
        let (models, begun) = (vec![Model::new()], vec![0]);
        Self { number: 0, disk, engine, executor, models, begun, buffered: 0, marks }
    }

    /// Takes one step of the script. `None`: there are no more.
    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let kind = input.byte()?;
        match kind % 16 {
            0..=5 => self.write(1, input),
            6 | 7 => self.write(2 + usize::from(kind >> 4), input),
            8 => {
                self.engine.sync().expect(SOUND);
                self.acknowledge(Durability::Sync);
            }
            9 => drop(self.executor.step()),
            10 => self.executor.run_all(),
            11 => self.check(),
            12 => self.reopen(),
            13 => self.kill(),
            14 => self.engine.merge().expect(SOUND),
            _ => self.cut_power(input),
        }
        Some(())
    }

    fn newest(&self) -> usize {
        self.models.len() - 1
    }

    /// Writes a batch of `ops` operations, each of a key, and a length in units of 4 bytes or a delete.
    fn write(&mut self, ops: usize, input: &mut Input<'_>) {
        let durability = match input.byte().unwrap_or_default() % 4 {
            0 => Durability::Sync,
            1 => Durability::None,
            _ => Durability::Buffered,
        };
        let mut model = self.models[self.newest()].clone();
        let mut batch = WriteBatch::new();
        for op in 0..ops {
            let key = input.byte().unwrap_or_default() % 16;
            let key = vec![key; usize::from(key)];
            let len = input.byte().unwrap_or_default();
            if len < 0x40 {
                batch.delete(&key);
                model.remove(&key);
            } else {
                let value = vec![(self.models.len() + op) as u8; usize::from(len - 0x40) * 4];
                batch.put(&key, &value);
                model.insert(key, value);
            }
        }
        self.models.push(model);
        self.begun.push(self.disk.ops());
        self.engine.write(&batch, durability).expect(SOUND);
        self.acknowledge(durability);
    }

    /// Every write so far was acknowledged, with the last one, as `durability` says.
    fn acknowledge(&mut self, durability: Durability) {
        if durability >= Durability::Buffered {
            self.buffered = self.newest();
        }
        if durability == Durability::Sync {
            self.marks.push(Mark { ops: self.disk.ops(), durable: self.newest() });
        }
    }

    /// Everything can be read.
    fn check(&self) {
        let model = &self.models[self.newest()];
        scan(&self.engine, &mut |_, _| ()).expect(SOUND);
        agrees_or_fails(&self.engine, model);
        self.engine.verify().expect(SOUND);
    }

    fn reopen(&mut self) {
        self.engine.close().expect(SOUND);
        self.acknowledge(Durability::Sync);
        let newest = self.newest();
        self.resume(self.disk.restarted(), newest..=newest, newest);
    }

    fn kill(&mut self) {
        let durable = self.durable_at(self.disk.ops());
        self.resume(self.disk.restarted(), self.buffered..=self.newest(), durable);
    }

    /// Cuts the power a number of operations ago.
    fn cut_power(&mut self, input: &mut Input<'_>) {
        let ops = self.disk.ops();
        let back = usize::from(input.byte().unwrap_or_default()) % 32;
        let point = ops.saturating_sub(back);
        let variant = variant(input);
        let last_begun = self.begun.iter().rposition(|begun| *begun < point).unwrap_or(0);
        let old = self.begun.iter().rposition(|begun| *begun == 0).unwrap_or(0);
        let durable = self.durable_at(point);
        let most = last_begun.max(old);
        self.resume(self.disk.crash(point, &variant), durable..=most, durable);
    }

    fn durable_at(&self, point: usize) -> usize {
        let marks = self.marks.iter().filter(|mark| mark.ops <= point);
        marks.map(|mark| mark.durable).max().unwrap_or(0)
    }

    /// Goes on with `disk`, which must hold the entries after one of `batches`. The first `durable` batches stay there,
    /// whatever happens while the store is opened.
    fn resume(&mut self, disk: SimFs, batches: std::ops::RangeInclusive<usize>, durable: usize) {
        self.number += 1;
        let (engine, executor) = open(&disk, self.number, true).expect(SOUND);
        let mut found = Model::new();
        let scanned = scan(&engine, &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
        });
        scanned.expect(SOUND);
        let same = batches.clone().rev().find(|batch| self.models[*batch] == found);
        let newest =
            same.unwrap_or_else(|| panic!("none of the batches {batches:?} left {found:?}"));
        self.models.truncate(newest + 1);
        self.begun = vec![0; newest + 1];
        self.buffered = newest;
        let opened = Mark { ops: disk.ops(), durable: newest };
        self.marks = vec![Mark { ops: 0, durable: durable.min(newest) }, opened];
        (self.disk, self.engine, self.executor) = (disk, engine, executor);
        self.check();
    }
}

fn variant(input: &mut Input<'_>) -> Variant {
    let kind = input.byte().unwrap_or_default();
    let model = if kind & 0x80 == 0 { MetadataModel::Strict } else { MetadataModel::Journalled };
    let mut number = || usize::from(input.byte().unwrap_or_default());
    match kind % 10 {
        0 => Variant::All,
        1 => Variant::None(model),
        2 => Variant::DataOnly(model),
        3 => Variant::NamesOnly,
        4 => Variant::BareNames,
        5 => Variant::Drop(model, number()),
        6 => Variant::Keep(model, number()),
        7 => Variant::Tear(number()),
        8 => Variant::RemovalsLost(model),
        _ => Variant::Random(model, number() as u64),
    }
}
