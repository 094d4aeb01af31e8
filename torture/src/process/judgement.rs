//! Whether what an opening found is what the sessions before it must have left.
//!
//! Writers know the sequence number of each write that was acknowledged to them. Of each other write, at most one of each
//! writer, it is only known that its number is greater than those which were acknowledged before it began. The keys of a
//! writer's own tell which of its batches are there: the first so many. The heads of the pairs tell which batch was the
//! last on each pair. From these follow the laws:
//! - what was promised to survive is there, and everything with a lesser number;
//! - no acknowledged write is missing with a lesser number than one that is there;
//! - what is there is there whole, and the missing numbers can be chosen so that the last batch on each pair is the one
//!   that it shows ([`super::order`]);
//! - numbers are given out once, and go on where the opening found the end;
//! - what an opening has found once, no crash takes away again.

use std::collections::BTreeMap;

use kv::{Durability, SequenceNumber};

use super::journal::Event;
use super::order::Order;
use super::work::{PAIRS, Place, Task, WriteId};
use crate::report::Report;

/// Sessions of one life; what follows belongs to the next one.
const SESSIONS_A_LIFE: u32 = 1 << 16;

/// The number of the first session of a life.
pub(super) fn first_session(life: u32) -> u32 {
    life * SESSIONS_A_LIFE
}

/// The value of a key: who put it, and how long it is.
type Shown = (WriteId, usize);

/// What an opening found.
#[derive(Clone, Debug, Default)]
struct Found {
    entries: BTreeMap<String, Shown>,
    recovered: Option<u64>,
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

/// Follows the life of a store through the journals of its processes.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    seed: u64,
    /// What the last opening found that told it.
    base: Found,
    /// The writes since, by writer.
    begun: Vec<Vec<Begun>>,
    /// Those of them that were acknowledged, by number.
    acknowledged: BTreeMap<u64, WriteId>,
    /// No number of the session is as small as this.
    floor: u64,
    /// The greatest number that the end of the process must not take.
    buffered: u64,
    /// The greatest number that a power cut must not take.
    synced: u64,
    /// The greatest number that the sync under way covers.
    syncing: u64,
    /// What has befallen the store since the last opening: the least class that survives it.
    endured: Durability,
    /// Whether what is acknowledged still counts.
    is_heard_in_time: bool,
    /// The session that is being opened, and what it has found so far.
    session: u32,
    finding: Found,
    pub(crate) report: Report,
}

impl Judge {
    /// Of a new store, in which so many writers work.
    pub(crate) fn new(seed: u64, writers: u8) -> Self {
        Self {
            seed,
            base: Found::default(),
            begun: vec![Vec::new(); usize::from(writers)],
            acknowledged: BTreeMap::new(),
            floor: 0,
            buffered: 0,
            synced: 0,
            syncing: 0,
            endured: Durability::None,
            is_heard_in_time: true,
            session: 0,
            finding: Found::default(),
            report: Report::default(),
        }
    }

    /// Takes in what a child told.
    pub(crate) fn hear(&mut self, events: &[Event]) -> Result<(), String> {
        events.iter().try_for_each(|event| self.hear_one(event))
    }

    /// Takes in what a child told when its world was already coming to an end: nothing of that is a promise any more.
    pub(crate) fn overhear(&mut self, events: &[Event]) -> Result<(), String> {
        self.is_heard_in_time = false;
        let heard = self.hear(events);
        self.is_heard_in_time = true;
        heard
    }

    /// Something has befallen the store that writes of this class survive, and those of lesser ones need not.
    pub(crate) fn endure(&mut self, class: Durability) {
        self.endured = self.endured.max(class);
    }

    fn hear_one(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Open { session } => {
                self.session = *session;
                self.finding = Found::default();
            }
            Event::Found { key, session, writer, count, len } => {
                let id = WriteId { session: *session, writer: *writer, count: *count };
                self.finding.entries.insert(key.clone(), (id, *len));
            }
            Event::All { recovered } => {
                self.finding.recovered = *recovered;
                self.judge().map_err(|what| {
                    format!("session {} opened the store, and {what}", self.session)
                })?;
                self.begin_session();
            }
            Event::Begin { writer, count, survives } => {
                self.begin(*writer, *count, *survives);
            }
            Event::Done { writer, count, sequence } => {
                self.acknowledge(*writer, *count, *sequence)?;
            }
            Event::Syncing => self.syncing = self.newest(),
            Event::Synced => self.promise(Durability::Sync, self.syncing),
            Event::Closed => {
                self.promise(Durability::Sync, self.newest());
                self.endure(Durability::Buffered);
            }
            Event::Dropped => self.endure(Durability::Buffered),
            Event::Failed(what) => return Err(what.clone()),
            Event::End => {}
        }
        Ok(())
    }

    fn begin_session(&mut self) {
        self.report.states += 1;
        let most = self.floor.max(self.newest_present());
        self.base = std::mem::take(&mut self.finding);
        self.floor = self.base.recovered.unwrap_or(most);
        self.begun.iter_mut().for_each(Vec::clear);
        self.acknowledged.clear();
        (self.buffered, self.synced, self.syncing) = (0, 0, 0);
        self.endured = Durability::None;
    }

    fn begin(&mut self, writer: u8, count: u32, survives: Durability) {
        let id = WriteId { session: self.session, writer, count };
        let floor = self.newest();
        let task = Task::of(self.seed, id);
        let begun = Begun { id, task, survives, floor, sequence: None };
        self.begun[usize::from(writer)].push(begun);
    }

    fn acknowledge(&mut self, writer: u8, count: u32, sequence: u64) -> Result<(), String> {
        self.report.steps += 1;
        let begun = self.begun[usize::from(writer)].last_mut();
        let begun = begun.filter(|begun| begun.id.count == count && begun.sequence.is_none());
        let begun = begun.ok_or("the child tells of a write that it did not begin")?;
        begun.sequence = Some(sequence);
        if sequence <= begun.floor {
            let (id, floor) = (begun.id, begun.floor);
            return Err(format!("write {id} got number {sequence}; {floor} was given out before"));
        }
        let (id, survives) = (begun.id, begun.survives);
        self.promise(survives, sequence);
        if let Some(other) = self.acknowledged.insert(sequence, id) {
            return Err(format!("number {sequence} was given to write {id} and to write {other}"));
        }
        Ok(())
    }

    /// All up to this number survives what this class survives.
    fn promise(&mut self, class: Durability, number: u64) {
        if self.is_heard_in_time && class >= Durability::Buffered {
            self.buffered = self.buffered.max(number);
        }
        if self.is_heard_in_time && class >= Durability::Sync {
            self.synced = self.synced.max(number);
        }
    }

    /// The greatest number that was acknowledged so far.
    fn newest(&self) -> u64 {
        self.acknowledged.keys().next_back().copied().unwrap_or(self.floor)
    }

    fn newest_present(&self) -> u64 {
        let present = self.present().unwrap_or_default();
        let mut there = self.acknowledged.iter().rev();
        let newest = there.find(|(_, id)| is_there(&present, **id));
        newest.map_or(0, |(sequence, _)| *sequence)
    }

    /// The main theorem, for what the session has found.
    fn judge(&self) -> Result<(), String> {
        let present = self.present()?;
        let end = self.judge_numbers(&present)?;
        let there = self.begun.iter().flatten().filter(|begun| is_there(&present, begun.id));
        let there: Vec<&Begun> = there.collect();
        let mut order = Order::new(&self.acknowledged, end);
        for begun in &there {
            order.add(begun.id, begun.floor, begun.sequence);
        }
        for pair in 0..PAIRS {
            let on_pair = |begun: &&&Begun| begun.task.changes(Place::Head(pair));
            let there: Vec<&Begun> = there.iter().filter(on_pair).copied().collect();
            let last = self.judge_pair(pair, &there)?;
            let earlier = there.iter().filter(|begun| Some(begun.id) != last);
            earlier.zip(last.into_iter().cycle()).for_each(|(it, last)| order.before(it.id, last));
        }
        let known = Place::all(self.begun.len() as u8).map(Place::key);
        let known = known.filter(|key| self.finding.entries.contains_key(key)).count();
        if known < self.finding.entries.len() {
            return Err("it holds keys that nobody put".into());
        }
        order.check()
    }

    /// How many of the batches of each writer are there: its mark and its lone key are as the last of them left them.
    fn present(&self) -> Result<Vec<u32>, String> {
        (0..self.begun.len() as u8).map(|writer| self.present_of(writer)).collect()
    }

    fn present_of(&self, writer: u8) -> Result<u32, String> {
        let own = [Place::Mark(writer), Place::Lone(writer)];
        let found = own.map(|place| self.finding.entries.get(&place.key()).copied());
        let mut left = own.map(|place| self.base.entries.get(&place.key()).copied());
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

    /// Holds what is there against what was promised. Returns a number that all that is there is less than.
    fn judge_numbers(&self, present: &[u32]) -> Result<u64, String> {
        let promised = match self.endured {
            Durability::None | Durability::Buffered => self.buffered,
            Durability::Sync => self.synced,
        };
        let absent = self.acknowledged.iter().find(|(_, id)| !is_there(present, **id));
        let newest = self.newest_present();
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
        let Some(recovered) = self.finding.recovered else { return Ok(absent) };
        let says = format!("the engine says it recovered up to number {recovered}");
        let least = newest.max(self.base.recovered.unwrap_or_default());
        if recovered < least {
            return Err(format!("{says}, and {least} is there"));
        }
        if recovered >= absent {
            return Err(format!("{says}, and {absent} is not there"));
        }
        Ok(SequenceNumber(recovered).next().0)
    }

    /// Holds a pair against the last batch on it, and returns that if it is not older than the last opening. `there` are
    /// the later ones.
    fn judge_pair(&self, pair: u8, there: &[&Begun]) -> Result<Option<WriteId>, String> {
        let head = Place::Head(pair).key();
        let shown = self.finding.entries.get(&head).map(|(id, _)| *id);
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
            let found = self.finding.entries.get(&key).copied();
            if found != expected {
                let [found, expected] = [found, expected].map(|shown| show(shown.as_ref()));
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
