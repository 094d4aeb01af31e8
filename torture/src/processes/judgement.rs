//! Follows a store through the journals of its processes, and judges each opening by the events before it.

use kv::Durability;

use super::journal::Event;
use super::ledger::{DurabilityLedger, Found};
use super::work::{Session, Task, WriteId};
use crate::report::Report;

/// Judges the openings of one store.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    seed: u64,
    /// The writes since the last opening that reported its content.
    ledger: DurabilityLedger,
    /// The current session, and the content that its opening has reported so far.
    session: Session,
    finding: Found,
    /// The greatest number that the sync under way covers.
    syncing: u64,
    /// Whether an acknowledgement is a promise.
    is_heard_in_time: bool,
    pub(super) report: Report,
}

impl Judge {
    /// Of a new store, in which so many writers work.
    pub(super) fn new(seed: u64, writers: u8) -> Self {
        Self {
            seed,
            ledger: DurabilityLedger::new(writers),
            session: Session::default(),
            finding: Found::default(),
            syncing: 0,
            is_heard_in_time: true,
            report: Report::default(),
        }
    }

    /// Observes events of a child.
    pub(super) fn observe(&mut self, events: &[Event]) -> Result<(), String> {
        events.iter().try_for_each(|event| self.observe_one(event))
    }

    /// Observes events from after a power cut was asked for. No acknowledgement among them is a promise.
    pub(super) fn observe_late(&mut self, events: &[Event]) -> Result<(), String> {
        self.is_heard_in_time = false;
        let heard = self.observe(events);
        self.is_heard_in_time = true;
        heard
    }

    /// Records a crash that writes of this class survive. Writes of lesser classes may be lost.
    pub(super) fn record_crash(&mut self, class: Durability) {
        self.ledger.record_crash(class);
    }

    fn observe_one(&mut self, event: &Event) -> Result<(), String> {
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
                self.end_opening()?;
            }
            Event::Begin { writer, count, survives } => {
                let id = WriteId { session: self.session, writer: *writer, count: *count };
                self.ledger.begin(id, Task::of(self.seed, id), *survives);
            }
            Event::Done { writer, count, sequence } => {
                let id = WriteId { session: self.session, writer: *writer, count: *count };
                let survives = self.ledger.acknowledge(id, *sequence)?;
                self.report.steps += 1;
                self.promise(survives, *sequence);
            }
            Event::Syncing => self.syncing = self.ledger.newest(),
            Event::Synced => self.promise(Durability::Sync, self.syncing),
            Event::Closed => {
                self.promise(Durability::Sync, self.ledger.newest());
                self.record_crash(Durability::Buffered);
            }
            Event::Dropped => self.record_crash(Durability::Buffered),
            Event::Failed(what) => return Err(what.clone()),
            Event::End => {}
        }
        Ok(())
    }

    fn end_opening(&mut self) -> Result<(), String> {
        let found = std::mem::take(&mut self.finding);
        let judged = self.ledger.judge(&found);
        judged.map_err(|what| format!("{} opened the store, and {what}", self.session))?;
        self.report.states += 1;
        self.ledger = self.ledger.followed_by(found);
        assert!(self.finding.entries.is_empty(), "the next opening reports from the beginning");
        self.syncing = 0;
        Ok(())
    }

    fn promise(&mut self, class: Durability, number: u64) {
        assert!(number <= self.ledger.newest(), "only numbers that were given out are promised");
        if self.is_heard_in_time {
            self.ledger.promise(class, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SEED: u64 = 3;

    const FIRST: Session = Session { life: 1, number: 0 };
    const SECOND: Session = Session { life: 1, number: 1 };

    fn id(writer: u8, count: u32) -> WriteId {
        WriteId { session: FIRST, writer, count }
    }

    fn begin(id: WriteId, survives: Durability) -> Event {
        Event::Begin { writer: id.writer, count: id.count, survives }
    }

    fn done(id: WriteId, sequence: u64) -> Event {
        Event::Done { writer: id.writer, count: id.count, sequence }
    }

    /// The events of an opening that finds these writes, in this order.
    fn opening(writes: &[WriteId], recovered: Option<u64>) -> Vec<Event> {
        let mut entries = BTreeMap::new();
        for id in writes {
            for (place, len) in Task::of(SEED, *id).changes {
                entries.remove(&place.key());
                entries.extend(len.map(|len| (place.key(), (*id, len))));
            }
        }
        let found = entries.into_iter().map(|(key, (id, len))| {
            let WriteId { session, writer, count } = id;
            Event::Found { key, session, writer, count, len }
        });
        let opened = [Event::Open { session: SECOND }].into_iter().chain(found);
        opened.chain([Event::All { recovered }]).collect()
    }

    /// A judge who was told of two writers with two writes each: `0.1`, `1.1`, `0.2` with the numbers 1, 2 and 4, of
    /// which only the second is buffered, and `1.2`, which was never acknowledged.
    fn told() -> Judge {
        let mut judge = Judge::new(SEED, 2);
        judge.observe(&opening(&[], Some(0))).unwrap();
        let session = [
            Event::Open { session: FIRST },
            Event::All { recovered: Some(0) },
            begin(id(0, 1), Durability::None),
            done(id(0, 1), 1),
            begin(id(1, 1), Durability::Buffered),
            done(id(1, 1), 2),
            begin(id(0, 2), Durability::None),
            begin(id(1, 2), Durability::None),
            done(id(0, 2), 4),
        ];
        judge.observe(&session).unwrap();
        judge
    }

    fn hears(mut judge: Judge, events: &[Event]) -> Result<(), String> {
        judge.observe(events)
    }

    #[test]
    fn a_killed_process_may_leave_any_prefix_with_all_that_was_buffered() {
        let mut judge = told();
        judge.record_crash(Durability::Buffered);
        let prefixes: [&[WriteId]; 4] = [
            &[id(0, 1), id(1, 1)],
            &[id(0, 1), id(1, 1), id(0, 2)],
            &[id(0, 1), id(1, 1), id(1, 2)],
            &[id(0, 1), id(1, 1), id(1, 2), id(0, 2)],
        ];
        for prefix in prefixes {
            hears(judge.clone(), &opening(prefix, None)).unwrap();
        }
        hears(judge.clone(), &opening(&[id(0, 1)], None)).unwrap_err();
        hears(judge.clone(), &opening(&[id(1, 1)], None)).unwrap_err();
        hears(judge, &opening(&[], None)).unwrap_err();
    }

    #[test]
    fn a_power_cut_may_leave_any_prefix_with_all_that_was_synced() {
        let mut judge = told();
        judge.record_crash(Durability::Sync);
        hears(judge.clone(), &opening(&[], Some(0))).unwrap();
        hears(judge.clone(), &opening(&[id(0, 1)], Some(1))).unwrap();
        hears(judge, &opening(&[id(1, 1)], Some(2))).unwrap_err();
    }

    #[test]
    fn a_sync_covers_what_was_acknowledged_before_it_began() {
        let mut judge = told();
        judge.observe(&[Event::Syncing, done(id(1, 2), 5), Event::Synced]).unwrap();
        judge.record_crash(Durability::Sync);
        let three = [id(0, 1), id(1, 1), id(0, 2)];
        hears(judge.clone(), &opening(&three, Some(4))).unwrap();
        hears(judge, &opening(&three[..2], Some(3))).unwrap_err();
    }

    #[test]
    fn what_is_told_too_late_is_no_promise() {
        let mut judge = told();
        judge.observe_late(&[Event::Syncing, Event::Synced]).unwrap();
        judge.record_crash(Durability::Sync);
        hears(judge, &opening(&[], Some(0))).unwrap();
    }

    #[test]
    fn a_closed_store_has_everything() {
        let mut judge = told();
        judge.observe(&[done(id(1, 2), 3), Event::Closed]).unwrap();
        let all = [id(0, 1), id(1, 1), id(1, 2), id(0, 2)];
        hears(judge.clone(), &opening(&all, Some(4))).unwrap();
        hears(judge, &opening(&all[..3], Some(3))).unwrap_err();
    }

    #[test]
    fn half_of_a_batch_is_none() {
        let mut judge = told();
        judge.record_crash(Durability::Buffered);
        let mut half = opening(&[id(0, 1), id(1, 1), id(0, 2)], None);
        half.retain(|event| !matches!(event, Event::Found { key, .. } if key == "mark/0"));
        hears(judge, &half).unwrap_err();
    }

    #[test]
    fn what_the_engine_says_it_recovered_is_what_is_there() {
        let mut judge = told();
        judge.record_crash(Durability::Buffered);
        let two = [id(0, 1), id(1, 1)];
        hears(judge.clone(), &opening(&two, Some(2))).unwrap();
        hears(judge.clone(), &opening(&two, Some(1))).unwrap_err();
        hears(judge, &opening(&two, Some(4))).unwrap_err();
    }

    #[test]
    fn numbers_are_given_out_once_and_grow() {
        hears(told(), &[done(id(1, 2), 4)]).unwrap_err();
        hears(told(), &[done(id(1, 2), 2)]).unwrap_err();
        hears(told(), &[done(id(1, 2), 3)]).unwrap();
    }

    #[test]
    fn what_was_found_once_stays() {
        let mut judge = told();
        judge.record_crash(Durability::Buffered);
        judge.observe(&opening(&[id(0, 1), id(1, 1), id(0, 2)], None)).unwrap();
        judge.record_crash(Durability::Sync);
        hears(judge, &opening(&[id(0, 1), id(1, 1)], None)).unwrap_err();
    }
}
