//! A compaction that is to be done.

use std::collections::BTreeSet;

use super::file::{File, FileId, Key};
use super::overlap;
use super::run::{Place, Run};
use super::tree::Tree;

/// The cause of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A level or a bucket of runs has reached its limit.
    Size,
    /// There are too many runs.
    Runs,
    /// Level 0 has too many runs while the next level is busy, so some of them become one.
    IntraL0,
    /// A large run in level 0 goes to the level that it fills.
    Settle,
    /// A file has many tombstones and expired entries, or old ones.
    Tombstones,
    /// No reader finds a live entry in the file.
    Obsolete,
    /// A file has entries that nobody needs any more, and nothing older lies below it.
    Elision,
    /// A user has asked for a range of keys.
    Range,
    /// Reads of a file pass many tombstones, or find nothing.
    Reads,
}

/// How a compaction treats its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// They are merged, and the outputs take their place.
    Rewrite,
    /// The files change their place as they are: none overlaps another, and no tombstone in them can go.
    Move,
    /// They go without outputs: no reader finds a live entry in them.
    Drop,
}

/// Files of one run that a compaction reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<K> {
    /// The place of the run.
    pub place: Place,
    /// The files, in the order of their keys.
    pub files: Vec<File<K>>,
}

impl<K: Key> Input<K> {
    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A compaction: the inputs become files of the run at `output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<K> {
    /// The cause.
    pub reason: Reason,
    /// The inputs, the newest run first. Of two entries of a key the one from the earlier input wins.
    pub inputs: Vec<Input<K>>,
    /// The place of the run that the output files join.
    pub output: Place,
    /// The first key of all inputs.
    pub smallest: K,
    /// The last key of all inputs.
    pub largest: K,
    /// How the inputs are treated.
    pub action: Action,
    /// Readers at this number and at later ones find no live entry in the inputs of a plan that drops them unread. 0 for other
    /// plans.
    pub unseen_from: u64,
}

impl<K: Key> Plan<K> {
    /// The files of all inputs.
    pub fn files(&self) -> impl Iterator<Item = &File<K>> {
        self.inputs.iter().flat_map(|input| &input.files)
    }

    /// The bytes of all inputs.
    pub fn input_bytes(&self) -> u64 {
        self.inputs.iter().map(Input::bytes).sum()
    }

    /// Whether the input files change their place as they are.
    pub fn is_move(&self) -> bool {
        self.action == Action::Move
    }

    /// The bytes that it writes at most: none if the files only change their place, or go.
    pub fn write_bytes(&self) -> u64 {
        if self.action == Action::Rewrite { self.input_bytes() } else { 0 }
    }

    /// Whether `id` is an input.
    pub fn has_input(&self, id: FileId) -> bool {
        self.files().any(|file| file.id == id)
    }

    /// Puts `outputs` into the tree in place of the inputs. A move has its input files as outputs, a plan that drops its
    /// inputs has none.
    ///
    /// # Panics
    /// An input is no longer where it was, an output has keys that no input has, or the outputs do not fit the action.
    pub fn install(&self, tree: &mut Tree<K>, outputs: Vec<File<K>>) {
        let is_within =
            |file: &File<K>| self.smallest <= file.smallest && file.largest <= self.largest;
        assert!(outputs.iter().all(is_within), "outputs have keys of the inputs");
        let is_new = |file: &File<K>| !self.has_input(file.id);
        match self.action {
            Action::Rewrite => {
                debug_assert!(outputs.iter().all(is_new), "a rewrite keeps no file");
            }
            Action::Move => {
                assert!(outputs.len() == self.files().count(), "a move keeps its files");
                debug_assert!(!outputs.iter().any(is_new), "a move makes no file");
            }
            Action::Drop => assert!(outputs.is_empty(), "dropped files have no outputs"),
        }
        let inputs = self.inputs.iter().map(|input| (input.place, &input.files[..]));
        tree.replace(inputs, self.output, outputs);
    }

    /// The input files in the order of their keys: the outputs of a move.
    ///
    /// # Panics
    /// The plan is no move.
    pub fn moved(&self) -> Vec<File<K>> {
        assert!(self.is_move(), "the files of other plans are rewritten");
        let mut files: Vec<File<K>> = self.files().cloned().collect();
        files.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        debug_assert!(overlap::is_sorted(&files), "files of a move do not overlap");
        files
    }

    /// Whether the plan keeps the order of ages: for each key, older places hold older entries after it as before it.
    ///
    /// - The output does not lie above an input.
    /// - No file of the output's run that stays has keys between the first and the last key of the inputs.
    /// - No file that stays in a run between an input's place and the output has keys of that input.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self, tree: &Tree<K>) -> Result<(), String> {
        self.check_inputs()?;
        let ids: BTreeSet<FileId> = self.files().map(|file| file.id).collect();
        let mut runs = tree.runs().take_while(|(place, _)| *place <= self.output);
        runs.try_for_each(|(place, run)| self.check_run(place, run, &ids))
    }

    fn check_inputs(&self) -> Result<(), String> {
        if !self.inputs.is_sorted_by(|newer, older| newer.place < older.place) {
            return Err("the inputs are not in the order of their ages".into());
        }
        let is_wrong = |input: &&Input<K>| input.files.is_empty() || input.place > self.output;
        self.inputs.iter().find(is_wrong).map_or(Ok(()), |input| {
            Err(format!("the input at {:?} is empty or older than the output", input.place))
        })
    }

    /// Checks the files that stay in the run at `place`; `ids` are those of the inputs.
    fn check_run(&self, place: Place, run: &Run<K>, ids: &BTreeSet<FileId>) -> Result<(), String> {
        debug_assert!(place <= self.output, "older runs are not in the way");
        let touches = |smallest: &K, largest: &K| {
            let range = run.overlapping(smallest, largest);
            run.files()[range].iter().map(|file| file.id).find(|id| !ids.contains(id))
        };
        if place == self.output {
            return touches(&self.smallest, &self.largest)
                .map_or(Ok(()), |id| Err(format!("the outputs overlap file {id} of their run")));
        }
        for input in self.inputs.iter().filter(|input| input.place <= place) {
            let Some((low, high)) = overlap::hull(&input.files) else { continue };
            // No file lies within the whole input: its single files need no look.
            if touches(&low, &high).is_none() {
                continue;
            }
            let mut passed =
                input.files.iter().filter_map(|file| touches(&file.smallest, &file.largest));
            if let Some(id) = passed.next() {
                return Err(format!(
                    "the input at {:?} passes file {id} at {place:?}",
                    input.place
                ));
            }
        }
        Ok(())
    }
}
