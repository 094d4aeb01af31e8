//! The plans in flight.

use std::collections::BTreeSet;

use super::file::{File, FileId, Key};
use super::plan::Plan;
use super::run::Place;

/// The input files and the output ranges of the plans in flight.
#[derive(Clone, Debug)]
pub struct Busy<K> {
    files: BTreeSet<FileId>,
    outputs: Vec<(Place, K, K)>,
}

impl<K: Key> Default for Busy<K> {
    fn default() -> Self {
        Self { files: BTreeSet::new(), outputs: Vec::new() }
    }
}

impl<K: Key> Busy<K> {
    /// Marks the inputs and the output range of `plan`.
    ///
    /// # Panics
    /// A plan in flight has the same input, or writes into the same range of a run.
    pub fn begin(&mut self, plan: &Plan<K>) {
        assert!(self.allows(plan), "plans in flight share no file and no range of an output");
        for file in plan.files() {
            let is_new = self.files.insert(file.id);
            assert!(is_new, "file {} is an input of two plans", file.id);
        }
        debug_assert!(plan.smallest <= plan.largest && !self.is_idle(), "a plan has inputs");
        self.outputs.push((plan.output, plan.smallest.clone(), plan.largest.clone()));
    }

    /// Takes the marks of `plan` away: it is installed or given up.
    ///
    /// # Panics
    /// The plan was not in flight.
    pub fn end(&mut self, plan: &Plan<K>) {
        for file in plan.files() {
            let was_there = self.files.remove(&file.id);
            assert!(was_there, "file {} was an input", file.id);
        }
        let is_it = |(place, smallest, largest): &(Place, K, K)| {
            (*place, smallest, largest) == (plan.output, &plan.smallest, &plan.largest)
        };
        let at = self.outputs.iter().position(is_it);
        self.outputs.remove(at.expect("the plan was in flight"));
        debug_assert_eq!(self.files.is_empty(), self.outputs.is_empty(), "a plan has both or none");
    }

    /// Whether no plan is in flight.
    pub fn is_idle(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a plan in flight reads the file.
    pub fn has(&self, file: &File<K>) -> bool {
        self.files.contains(&file.id)
    }

    /// Whether a plan in flight reads one of the files.
    pub fn has_any(&self, files: &[File<K>]) -> bool {
        !self.files.is_empty() && files.iter().any(|file| self.has(file))
    }

    /// Whether `plan` can be in flight beside the others.
    pub fn allows(&self, plan: &Plan<K>) -> bool {
        let overlaps = |(place, smallest, largest): &(Place, K, K)| {
            *place == plan.output && *smallest <= plan.largest && plan.smallest <= *largest
        };
        !plan.inputs.iter().any(|input| self.has_any(&input.files))
            && !self.outputs.iter().any(overlaps)
    }
}
