//! The possible contents of a store of which some batches are indeterminate.

use kv::{UnixMillis, WriteBatch};

use crate::observe::Observed;
use crate::oracle::Model;

/// The batches since a moment at which everything was known.
#[derive(Clone, Debug, Default)]
pub(crate) struct PossibleContents {
    base: Model,
    batches: Vec<(WriteBatch, WriteOutcome)>,
    /// The content that this handle shows: the base and the acknowledged batches.
    visible: Model,
    /// The number of batches that survive a power cut.
    pub(crate) synced: usize,
    /// The number of batches that survive the death of the process.
    pub(crate) handed_over: usize,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    Acknowledged,
    /// Its write returned an error: there, or not there.
    Indeterminate,
}

impl PossibleContents {
    pub(crate) fn issue(&mut self, batch: WriteBatch, fate: WriteOutcome) {
        assert!(self.synced <= self.len(), "only batches that were begun are promised");
        assert!(self.handed_over <= self.len(), "only batches that were begun are promised");
        if fate == WriteOutcome::Acknowledged {
            self.visible.apply(&batch);
        }
        self.batches.push((batch, fate));
    }

    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    pub(crate) fn indeterminate(&self) -> usize {
        self.batches.iter().filter(|(_, fate)| *fate == WriteOutcome::Indeterminate).count()
    }

    pub(crate) fn visible(&self) -> &Model {
        &self.visible
    }

    /// The store was opened and holds `model`: from now on everything is known again.
    pub(crate) fn resume_from(&mut self, model: Model) {
        *self = Self { base: model.clone(), visible: model, ..Self::default() };
    }

    /// The possible model that `observed` is, with the first `lo` batches in it unless they are indeterminate.
    pub(crate) fn find(
        &self,
        observed: &Observed,
        lo: usize,
        now: UnixMillis,
    ) -> Result<Model, String> {
        assert!(lo <= self.len(), "{lo} of {} batches are promised", self.len());
        let mut models = vec![self.base.clone()];
        let equal = |models: &[Model]| models.iter().find(|m| m.equals(observed, now)).cloned();
        let mut found = if lo == 0 { equal(&models) } else { None };
        for (at, (batch, fate)) in self.batches.iter().enumerate() {
            let mut with = models.clone();
            for model in &mut with {
                model.apply(batch);
            }
            if *fate == WriteOutcome::Indeterminate {
                with.extend(models);
            }
            models = with;
            if found.is_none() && at + 1 >= lo {
                found = equal(&models);
            }
        }
        debug_assert_eq!(models.len(), 1 << self.indeterminate(), "each doubles the models");
        found.ok_or_else(|| {
            let difference = self.visible.difference(observed, now).unwrap_or_default();
            let count = self.batches.len();
            format!(
                "the store should hold the first {lo} or more of {count} batches; against all that were \
                 acknowledged, {difference}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1);

    fn put(number: u8) -> WriteBatch {
        let mut batch = WriteBatch::new();
        batch.put(&[number], b"v");
        batch
    }

    fn holds(numbers: &[u8]) -> Observed {
        let entry = |number: &u8| (vec![*number].into(), "v".into());
        Observed { entries: numbers.iter().map(entry).collect() }
    }

    #[test]
    fn a_store_holds_the_promised_batches_and_any_choice_of_indeterminate_ones() {
        let mut possible = PossibleContents::default();
        possible.issue(put(1), WriteOutcome::Acknowledged);
        possible.issue(put(2), WriteOutcome::Indeterminate);
        possible.issue(put(3), WriteOutcome::Acknowledged);
        for found in [&[1, 3][..], &[1, 2, 3], &[1], &[1, 2]] {
            possible.find(&holds(found), 1, NOW).unwrap();
        }
        possible.find(&holds(&[]), 1, NOW).unwrap_err();
        possible.find(&holds(&[1]), 3, NOW).unwrap_err();
        possible.find(&holds(&[3]), 0, NOW).unwrap_err();
    }
}
