//! The oracle: the expected content after each batch, the crash invariant, and its second invariant.
//!
//! `Model[0]` is empty, and `Model[j]` is the content after batch `j`.
//!
//! **The crash invariant.** After a crash and a reopening there is one `j` with `lo <= j <= hi` such that all reads equal
//! `Model[j]`: whole batches, in order, no hole. `hi` is the last batch that was begun. `lo` is the last batch that was
//! promised to survive: synced for a power cut, handed over for a killed process, all of them for a clean close.
//!
//! **Visible implies durable.** A reader of the writing handle that sees `Model[v]` has seen each batch up to `v`. Let
//! `s <= v` be a batch of the class `Sync`. From that moment on, `s` and everything before it survives a power cut, also
//! before the writer of `s` returns. [`History::see`] raises `lo` accordingly.

use std::sync::Arc;

use kv::{Durability, SequenceNumber, UnixMillis, WriteBatch};

use crate::observe::Observed;

mod model;

pub(crate) use model::Model;

/// The models of one run, and how far its promises reach.
#[derive(Clone, Debug)]
pub(crate) struct History {
    states: Vec<State>,
    /// Up to here a power cut must not take anything.
    pub(crate) synced: usize,
    /// Up to here the death of the process must not take anything.
    pub(crate) handed_over: usize,
}

#[derive(Clone, Debug)]
struct State {
    model: Arc<Model>,
    /// The batch that led here.
    batch: Arc<WriteBatch>,
    durability: Durability,
    sequence: Option<SequenceNumber>,
}

impl History {
    /// The history of an empty store.
    pub(crate) fn new() -> Self {
        let (model, batch) = (Arc::default(), Arc::default());
        let sequence = Some(SequenceNumber::ZERO);
        let empty = State { model, batch, durability: Durability::None, sequence };
        Self { states: vec![empty], synced: 0, handed_over: 0 }
    }

    /// The number of the last batch that was begun.
    pub(crate) fn issued(&self) -> usize {
        assert!(!self.states.is_empty(), "the empty store is always a state");
        self.states.len() - 1
    }

    /// The content after all batches.
    pub(crate) fn newest(&self) -> &Model {
        &self.states[self.issued()].model
    }

    /// The content after batch `j`.
    pub(crate) fn model(&self, j: usize) -> &Model {
        assert!(j <= self.issued(), "batch {j} was begun");
        &self.states[j].model
    }

    /// Forgets all batches after `j`, because a crash came before them.
    pub(crate) fn truncate(&mut self, j: usize) {
        assert!(j <= self.issued(), "a crash leaves batches that were begun");
        self.states.truncate(j + 1);
        debug_assert_eq!(self.issued(), j, "batch {j} is the last one now");
    }

    /// The batch after number `j`.
    pub(crate) fn batch_after(&self, j: usize) -> Option<Arc<WriteBatch>> {
        self.states.get(j + 1).map(|state| Arc::clone(&state.batch))
    }

    /// Begins a batch of the class that the engine gives it, and returns its number.
    pub(crate) fn issue(&mut self, batch: &WriteBatch, durability: Durability) -> usize {
        assert!(self.synced <= self.issued(), "only batches that were begun are promised");
        assert!(self.handed_over <= self.issued(), "only batches that were begun are promised");
        let mut model = self.newest().clone();
        model.apply(batch);
        let (model, batch) = (Arc::new(model), Arc::new(batch.clone()));
        self.states.push(State { model, batch, durability, sequence: None });
        self.issued()
    }

    /// Batch `j` got a sequence number. `Err`: the numbers do not grow with the batches.
    pub(crate) fn acknowledge(&mut self, j: usize, sequence: SequenceNumber) -> Result<(), String> {
        assert!(0 < j && j <= self.issued(), "batch {j} was begun");
        let known = |state: &State| state.sequence;
        let before = self.states[..j].iter().rev().find_map(known).unwrap_or_default();
        if sequence <= before {
            return Err(format!("sequence number {sequence} was given out after {before}"));
        }
        let after = self.states[j + 1..].iter().find_map(known);
        if let Some(after) = after.filter(|after| *after <= sequence) {
            return Err(format!("sequence number {sequence} was given out before {after}"));
        }
        self.states[j].sequence = Some(sequence);
        Ok(())
    }

    /// A reader of the writing handle has seen `Model[v]`: the newest batch of class `Sync` up to there is durable.
    pub(crate) fn see(&mut self, v: usize) {
        let before = self.synced;
        self.synced = self.synced.max(self.durable_if_seen(v));
        debug_assert!(before <= self.synced && self.synced <= self.issued(), "promises only grow");
    }

    /// The least batch that a power cut leaves once a reader has seen `Model[v]`.
    pub(crate) fn durable_if_seen(&self, v: usize) -> usize {
        assert!(v <= self.issued(), "only batches that were begun are seen");
        let is_sync = |state: &State| state.durability == Durability::Sync;
        let durable = self.states[..=v].iter().rposition(is_sync).unwrap_or(0);
        debug_assert!(durable <= v, "nothing that was not seen is durable for it");
        durable
    }

    /// The store was opened again and holds `Model[j]`: it goes on from there, and recovery made it durable.
    ///
    /// Earlier indexes stay valid: crash points before the reopening use them.
    pub(crate) fn resume_from(&mut self, j: usize) {
        assert!(j <= self.issued(), "a store holds batches that were begun");
        if j != self.issued() {
            self.states.push(self.states[j].clone());
        }
        debug_assert_eq!(self.newest(), self.model(j), "the store goes on from batch {j}");
        self.synced = self.issued();
        self.handed_over = self.issued();
    }

    /// The crash invariant: the `j` between `lo` and `hi` whose model is `observed`, and whose number is `recovered` if
    /// the engine reports one. If several match, returns the least, because no more is proved.
    pub(crate) fn find(
        &self,
        observed: &Observed,
        recovered: Option<SequenceNumber>,
        (lo, hi): (usize, usize),
        now: UnixMillis,
    ) -> Result<usize, String> {
        assert!(hi <= self.issued(), "batch {hi} was begun");
        let equal = |j: &usize| self.states[*j].model.equals(observed, now);
        let numbered = |j: &usize| match (recovered, self.states[*j].sequence) {
            (Some(recovered), Some(sequence)) => recovered == sequence,
            _ => true,
        };
        if let Some(j) = (lo..=hi).find(|j| equal(j) && numbered(j)) {
            return Ok(j);
        }
        if let Some(j) = (lo..=hi).rev().find(equal) {
            let (recovered, sequence) = (recovered.unwrap_or_default(), self.states[j].sequence);
            let sequence = sequence.unwrap_or_default();
            return Err(format!(
                "the store says it recovered up to {recovered}, but holds batch {j}, numbered {sequence}"
            ));
        }
        let against = |j: usize| {
            let difference = self.states[j].model.difference(observed, now);
            format!("from batch {j} it differs: {}", difference.unwrap_or_default())
        };
        let elsewhere = (0..self.states.len()).rev().find(equal);
        let elsewhere = elsewhere.map_or("no batch at all".into(), |j| format!("batch {j}"));
        Err(format!(
            "the store should hold what one of the batches {lo} to {hi} left, and holds {elsewhere}; {}; {}",
            against(lo),
            against(hi)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1);

    /// Four batches that put `a`; the second has the class `Sync`.
    fn history() -> History {
        let mut history = History::new();
        for number in 1..=4_u8 {
            let mut batch = WriteBatch::new();
            batch.put(b"a", &[number]);
            let durability = if number == 2 { Durability::Sync } else { Durability::Buffered };
            assert_eq!(history.issue(&batch, durability), usize::from(number));
        }
        history
    }

    fn holds(number: u8) -> Observed {
        Observed { entries: vec![("a".into(), vec![number].into())] }
    }

    #[test]
    fn only_batches_between_the_bounds_are_found() {
        let history = history();
        assert_eq!(history.find(&holds(3), None, (2, 4), NOW), Ok(3));
        history.find(&holds(1), None, (2, 4), NOW).unwrap_err();
        history.find(&holds(4), None, (2, 3), NOW).unwrap_err();
        history.find(&Observed::default(), None, (1, 4), NOW).unwrap_err();
    }

    #[test]
    fn the_recovered_number_is_the_number_of_the_batch() {
        let mut history = history();
        history.acknowledge(3, SequenceNumber(7)).unwrap();
        assert_eq!(history.find(&holds(3), Some(SequenceNumber(7)), (0, 4), NOW), Ok(3));
        history.find(&holds(3), Some(SequenceNumber(8)), (0, 4), NOW).unwrap_err();
    }

    #[test]
    fn numbers_grow_with_the_batches() {
        let mut history = history();
        history.acknowledge(3, SequenceNumber(7)).unwrap();
        history.acknowledge(2, SequenceNumber(7)).unwrap_err();
        history.acknowledge(4, SequenceNumber(7)).unwrap_err();
        history.acknowledge(2, SequenceNumber(5)).unwrap();
        history.acknowledge(4, SequenceNumber(8)).unwrap();
    }

    #[test]
    fn a_view_makes_the_newest_synced_batch_in_it_durable() {
        let mut history = history();
        assert_eq!([0, 1, 2, 3, 4].map(|v| history.durable_if_seen(v)), [0, 0, 2, 2, 2]);
        history.see(1);
        assert_eq!(history.synced, 0);
        history.see(4);
        assert_eq!(history.synced, 2);
    }
}
