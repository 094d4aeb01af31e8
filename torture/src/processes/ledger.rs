//! The durability ledger: the writes of a store since its last opening, and the check of the next opening against them.
//!
//! A writer knows the sequence number of each write that was acknowledged to it. Each writer may have one more write in
//! flight, whose number is greater than all numbers that were acknowledged before the write began. The keys of a writer's own
//! show how many of its batches are there. The head of a pair shows the last batch on that pair. These invariants follow:
//! - Every write that was promised to survive is there, and every write with a lesser number.
//! - No acknowledged write is missing if a write with a greater number is there.
//! - Each batch is there whole or not at all. The unknown numbers can be chosen so that the last batch on each pair is the one
//!   that the pair shows ([`super::order`]).
//! - Each number is given out once, and numbers continue after the greatest one that the opening found.
//! - No crash takes away the content of an earlier opening.

use std::collections::BTreeMap;

use kv::Durability;

use super::order::Order;
use super::work::{PAIRS, Place, Task, WriteId};

/// The value of a key: who put it, and how long it is.
pub(super) type Shown = (WriteId, usize);

/// The content that an opening found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) entries: BTreeMap<String, Shown>,
    /// The newest write, as the engine says.
    pub(super) recovered: Option<u64>,
}

/// A write that was begun.
#[derive(Clone, Debug)]
struct Begun {
    id: WriteId,
    task: Task,
    survives: Durability,
    /// The greatest number that had been acknowledged when it began.
    floor: u64,
    sequence: Option<u64>,
}

/// The writes since an opening, and how long they must survive.
#[derive(Clone, Debug)]
pub(super) struct DurabilityLedger {
    /// The content that the opening found.
    base: Found,
    /// The writes since, by writer.
    begun: Vec<Vec<Begun>>,
    /// Those of them that were acknowledged, by number.
    acknowledged: BTreeMap<u64, WriteId>,
    /// All numbers since are greater.
    floor: u64,
    /// The greatest number that the end of the process must not take.
    buffered: u64,
    /// The greatest number that a power cut must not take.
    synced: u64,
    /// The worst crash so far, as the least class that survives it.
    crash_class: Durability,
}

impl DurabilityLedger {
    /// Of a new store.
    pub(super) fn new(writers: u8) -> Self {
        Self::since(Found::default(), 0, usize::from(writers))
    }

    fn since(base: Found, floor: u64, writers: usize) -> Self {
        Self {
            base,
            begun: vec![Vec::new(); writers],
            acknowledged: BTreeMap::new(),
            floor,
            buffered: 0,
            synced: 0,
            crash_class: Durability::None,
        }
    }

    /// The ledger after an opening that found this content.
    pub(super) fn followed_by(&self, found: Found) -> Self {
        let newest = self.present(&found).map(|present| self.newest_present(&present));
        let known = self.floor.max(newest.unwrap_or_default());
        let floor = found.recovered.unwrap_or(known);
        Self::since(found, floor, self.begun.len())
    }

    pub(super) fn begin(&mut self, id: WriteId, task: Task, survives: Durability) {
        let begun = Begun { id, task, survives, floor: self.newest(), sequence: None };
        let of_writer = &mut self.begun[usize::from(id.writer)];
        assert!(
            of_writer.last().is_none_or(|last| last.id.count + 1 == id.count),
            "a writer counts its batches"
        );
        of_writer.push(begun);
    }

    /// Returns the class that the write has. `Err`: the write cannot have got this number.
    pub(super) fn acknowledge(&mut self, id: WriteId, sequence: u64) -> Result<Durability, String> {
        let begun = self.begun[usize::from(id.writer)].last_mut();
        let begun = begun.filter(|begun| begun.id == id && begun.sequence.is_none());
        let begun = begun.ok_or("the child tells of a write that it did not begin")?;
        begun.sequence = Some(sequence);
        if sequence <= begun.floor {
            let floor = begun.floor;
            return Err(format!("write {id} got number {sequence}; {floor} was given out before"));
        }
        if let Some(other) = self.acknowledged.insert(sequence, id) {
            return Err(format!("number {sequence} was given to write {id} and to write {other}"));
        }
        Ok(begun.survives)
    }

    /// Every write up to this number has at least this class.
    pub(super) fn promise(&mut self, class: Durability, number: u64) {
        if class >= Durability::Buffered {
            self.buffered = self.buffered.max(number);
        }
        if class >= Durability::Sync {
            self.synced = self.synced.max(number);
        }
        assert!(self.synced <= self.buffered, "a sync hands over as well");
    }

    /// Records a crash that writes of this class survive. Writes of lesser classes may be lost.
    pub(super) fn record_crash(&mut self, class: Durability) {
        self.crash_class = self.crash_class.max(class);
    }

    /// The greatest number that was acknowledged so far.
    pub(super) fn newest(&self) -> u64 {
        let newest = self.acknowledged.keys().next_back().copied().unwrap_or(self.floor);
        debug_assert!(newest >= self.floor, "numbers go on after those of the opening");
        newest
    }

    /// The crash invariant for the content `found`.
    pub(super) fn judge(&self, found: &Found) -> Result<(), String> {
        let present = self.present(found)?;
        let end = self.judge_numbers(&present, found.recovered)?;
        let there = self.begun.iter().flatten().filter(|begun| is_there(&present, begun.id));
        let there: Vec<&Begun> = there.collect();
        let mut order = Order::new(&self.acknowledged, end);
        for begun in &there {
            order.add(begun.id, begun.floor, begun.sequence);
        }
        for pair in 0..PAIRS {
            let on_pair = |begun: &&&Begun| begun.task.changes(Place::Head(pair));
            let there: Vec<&Begun> = there.iter().filter(on_pair).copied().collect();
            let last = self.judge_pair(pair, &there, found)?;
            let earlier = there.iter().filter(|begun| Some(begun.id) != last);
            earlier.zip(last.into_iter().cycle()).for_each(|(it, last)| order.before(it.id, last));
        }
        let known = Place::all(self.begun.len() as u8).map(Place::key);
        let known = known.filter(|key| found.entries.contains_key(key)).count();
        if known < found.entries.len() {
            return Err("it holds keys that nobody put".into());
        }
        order.check()
    }

    /// How many of the batches of each writer are there: its mark and its lone key are as the last of them left them.
    fn present(&self, found: &Found) -> Result<Vec<u32>, String> {
        (0..self.begun.len() as u8).map(|writer| self.present_of(writer, found)).collect()
    }

    fn present_of(&self, writer: u8, found: &Found) -> Result<u32, String> {
        let own = [Place::Mark(writer), Place::Lone(writer)];
        let found = own.map(|place| found.entries.get(&place.key()).copied());
        let mut left = own.map(|place| self.base.entries.get(&place.key()).copied());
        assert!(usize::from(writer) < self.begun.len(), "there is no writer {writer}");
        if left == found {
            return Ok(0);
        }
        for begun in &self.begun[usize::from(writer)] {
            for (place, left) in own.iter().zip(&mut left) {
                if begun.task.changes(*place) {
                    *left = begun.task.puts(*place).map(|len| (begun.id, len));
                }
            }
            if left == found {
                return Ok(begun.id.count);
            }
        }
        let [mark, lone] = found.map(|shown| show(shown.as_ref()));
        Err(format!("the keys of writer {writer} hold {mark} and {lone}, as no batch left them"))
    }

    /// Compares the writes that are there with the promises. Returns a bound above all numbers that are there.
    fn judge_numbers(&self, present: &[u32], recovered: Option<u64>) -> Result<u64, String> {
        let promised = match self.crash_class {
            Durability::None | Durability::Buffered => self.buffered,
            Durability::Sync => self.synced,
        };
        let absent = self.acknowledged.iter().find(|(_, id)| !is_there(present, **id));
        let newest = self.newest_present(present);
        assert_eq!(present.len(), self.begun.len(), "a count for each writer");
        assert!(newest <= self.newest(), "a number that is there was acknowledged");
        if let Some((sequence, id)) = absent {
            let lost = format!("write {id}, number {sequence}, is lost");
            if *sequence <= promised {
                return Err(format!(
                    "{lost}; all up to number {promised} were promised to survive"
                ));
            }
            if *sequence < newest {
                return Err(format!("{lost}, and number {newest} is there"));
            }
        }
        let absent = absent.map_or(u64::MAX, |(sequence, _)| *sequence);
        let Some(recovered) = recovered else { return Ok(absent) };
        let says = format!("the engine says it recovered up to number {recovered}");
        let least = newest.max(self.base.recovered.unwrap_or_default());
        if recovered < least {
            return Err(format!("{says}, and {least} is there"));
        }
        if recovered >= absent {
            return Err(format!("{says}, and {absent} is not there"));
        }
        Ok(recovered + 1)
    }

    /// The greatest acknowledged number that is there.
    fn newest_present(&self, present: &[u32]) -> u64 {
        let mut there = self.acknowledged.iter().rev();
        let newest = there.find(|(_, id)| is_there(present, **id));
        newest.map_or(0, |(sequence, _)| *sequence)
    }

    /// Holds a pair against the last batch on it, and returns that if it is not older than the last opening. `there` are
    /// the later ones.
    fn judge_pair(
        &self,
        pair: u8,
        there: &[&Begun],
        found: &Found,
    ) -> Result<Option<WriteId>, String> {
        let head = Place::Head(pair).key();
        let shown = found.entries.get(&head).map(|(id, _)| *id);
        let last = there.iter().find(|begun| Some(begun.id) == shown);
        let older = self.base.entries.get(&head).map(|(id, _)| *id);
        let expected = |place: Place| match last {
            Some(last) => last.task.puts(place).map(|len| (last.id, len)),
            None => self.base.entries.get(&place.key()).copied(),
        };
        if let (None, Some(hidden)) = (last, there.first()) {
            let shown = shown.map_or("nothing".into(), |shown| format!("write {shown}"));
            let hidden = hidden.id;
            return Err(format!("pair {pair} shows {shown}, though write {hidden} is there"));
        }
        if last.is_none() && shown != older {
            let shown = shown.map_or("nothing".into(), |shown| format!("write {shown}"));
            return Err(format!("pair {pair} shows {shown}, of which other parts are not there"));
        }
        for place in Place::of_pair(pair) {
            let (key, expected) = (place.key(), expected(place));
            let shown = found.entries.get(&key).copied();
            if shown != expected {
                let [found, expected] = [shown, expected].map(|shown| show(shown.as_ref()));
                return Err(format!("{key} holds {found} instead of {expected}"));
            }
        }
        Ok(last.map(|last| last.id))
    }
}

fn is_there(present: &[u32], id: WriteId) -> bool {
    present.get(usize::from(id.writer)).is_some_and(|count| id.count <= *count)
}

fn show(shown: Option<&Shown>) -> String {
    shown.map_or("nothing".into(), |(id, len)| format!("{len} bytes of write {id}"))
}
