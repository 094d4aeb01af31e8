//! The choice of the data files to merge: a pure function of the facts about them.
//!
//! A file that wastes enough of itself is worth merging. Of these files, those with the best ratio of benefit to cost go
//! first: (1 - u) * age / (1 + u). Here u is the share of the file that is live. Age is the number of writes to the store since
//! the newest record of the file. The formula is that of Rosenblum and Ousterhout (The Design and
//! Implementation of a Log-Structured File System, 1992, section 3.6). Many small files are joined, so that openings and
//! crashes do not leave ever more of them. Files in which every put has expired are dropped without being read.
//!
//! A tombstone stays while another file, its blocker, may hold an older put of the key. A filter can be wrong about that, and
//! the output of a merge of the blocker alone has the same filter. So the gain of merging a blocker counts only if files that
//! it blocks fit into the same merge, and the merge takes them: the pair is resolved. Merging comes to rest on an idle store.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::Blocked;

/// The facts about a sealed data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: u64,
    pub(crate) len: u64,
    /// Bytes that merging it alone would free: dead and expired records, and tombstones. Tombstones that the merge would
    /// have to keep do not count.
    pub(crate) waste: u64,
    /// Writes to the store since the newest in the file.
    pub(crate) age: u64,
    /// The sequence numbers of its records.
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    /// Every record in it is a put that has expired, or a tombstone.
    pub(crate) expired: bool,
    /// No merge may take it: it is damaged, or the keydir does not know its newest records. It still holds older puts.
    pub(crate) is_excluded: bool,
}

/// The sealed data files, and which of them keep tombstones in others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SealedFiles {
    /// In the order of their ids.
    pub(crate) files: Vec<Candidate>,
    pub(crate) blocked: Vec<Blocked>,
}

impl Candidate {
    fn wastes(&self, percent: u64) -> bool {
        let (waste, len) = (u128::from(self.waste), u128::from(self.len));
        self.waste > 0 && waste * 100 >= len * u128::from(percent)
    }

    fn live(&self) -> u64 {
        self.len.saturating_sub(self.waste)
    }

    /// The bytes that a merge copies for it.
    fn cost(&self) -> u64 {
        self.live().max(1)
    }

    fn score(&self) -> f64 {
        let live = self.live() as f64 / self.len.max(1) as f64;
        let score = (1.0 - live) * (self.age + 1) as f64 / (1.0 + live);
        debug_assert!(score.is_finite() && score >= 0.0, "a share lies between 0 and 1");
        score
    }
}

/// When files are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// A file that wastes this share causes a merge.
    pub(crate) trigger_percent: u64,
    /// A merge also takes files that waste this share.
    pub(crate) include_percent: u64,
    /// Files below this many bytes are small.
    pub(crate) small_bytes: u64,
    /// With so many small files some are joined.
    pub(crate) small_files: usize,
    /// A merge copies at most this many bytes, if more than one file is in it.
    pub(crate) max_bytes: u64,
}

/// The plan of one merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Take these files out as they are: everything in them has expired, and nothing older is left outside.
    Drop(Vec<u64>),
    /// Copy the live records of these files.
    Rewrite(Vec<u64>),
}

/// The merge that is worth most now.
pub(crate) fn pick(sealed: &SealedFiles, policy: &Policy) -> Option<Plan> {
    let expired = expired_prefix(&sealed.files);
    if !expired.is_empty() {
        return Some(Plan::Drop(expired));
    }
    let files = sealed.with_gain(policy.max_bytes);
    if files.iter().any(|file| file.wastes(policy.trigger_percent)) {
        // A file that causes a merge is in it.
        let include_percent = policy.include_percent.min(policy.trigger_percent);
        let included = files.into_iter().filter(|file| file.wastes(include_percent));
        let inputs = sealed.best(included.collect(), policy.max_bytes);
        assert!(!inputs.is_empty(), "the file that causes the merge is worth it");
        return Some(Plan::Rewrite(inputs));
    }
    let small = files.into_iter().filter(|file| file.len < policy.small_bytes);
    let small: Vec<Candidate> = small.collect();
    // One file alone would be joined with itself, again and again.
    let are_many = small.len() >= policy.small_files.max(2);
    are_many.then(|| Plan::Rewrite(sealed.best(small, policy.max_bytes)))
}

/// Everything that wastes anything, and each blocker with the files that it blocks.
pub(crate) fn pick_all(sealed: &SealedFiles) -> Option<Plan> {
    let files = sealed.files.iter().filter(|file| !file.is_excluded);
    let paired: BTreeSet<u64> = sealed.pairs().flat_map(|pair| [pair.file, pair.blocker]).collect();
    let is_wasteful =
        |file: &&Candidate| file.waste > 0 || file.expired || paired.contains(&file.id);
    let wasteful = files.filter(is_wasteful);
    let wasteful: Vec<u64> = wasteful.map(|file| file.id).collect();
    (!wasteful.is_empty()).then_some(Plan::Rewrite(wasteful))
}

impl SealedFiles {
    /// The file `id`, if a merge may take it.
    fn get(&self, id: u64) -> Option<&Candidate> {
        debug_assert!(self.files.is_sorted_by_key(|file| file.id), "files are found by their ids");
        let at = self.files.binary_search_by_key(&id, |file| file.id).ok()?;
        Some(&self.files[at]).filter(|file| !file.is_excluded)
    }

    /// The blocked tombstones of which a merge may take both files.
    fn pairs(&self) -> impl Iterator<Item = &Blocked> {
        self.blocked
            .iter()
            .filter(|pair| self.get(pair.file).is_some() && self.get(pair.blocker).is_some())
    }

    /// The files that a merge may take. The waste of a blocker includes the tombstones that go if the file with them is
    /// in the same merge, of at most `max_bytes`.
    fn with_gain(&self, max_bytes: u64) -> Vec<Candidate> {
        let mut gain = BTreeMap::<u64, u64>::new();
        for pair in &self.blocked {
            let (Some(file), Some(blocker)) = (self.get(pair.file), self.get(pair.blocker)) else {
                continue;
            };
            if file.cost().saturating_add(blocker.cost()) <= max_bytes {
                let sum = gain.entry(pair.blocker).or_default();
                *sum = sum.saturating_add(pair.bytes);
            }
        }
        let files = self.files.iter().filter(|file| !file.is_excluded);
        let with_gain = |file: &Candidate| {
            let gain = gain.get(&file.id).copied().unwrap_or(0);
            Candidate { waste: file.waste.saturating_add(gain), ..*file }
        };
        files.map(with_gain).collect()
    }

    /// The best of `files`, at least one, each with the files that it blocks as far as they fit.
    fn best(&self, mut files: Vec<Candidate>, max_bytes: u64) -> Vec<u64> {
        files.sort_by(|a, b| b.score().total_cmp(&a.score()).then(a.id.cmp(&b.id)));
        let (mut inputs, mut copied) = (Vec::new(), 0_u64);
        for id in files.iter().map(|file| file.id) {
            let Some(cost) = self.get(id).map(Candidate::cost) else { continue };
            if inputs.contains(&id) {
                continue;
            }
            if !inputs.is_empty() && copied.saturating_add(cost) > max_bytes {
                break;
            }
            inputs.push(id);
            copied = copied.saturating_add(cost);
            for pair in self.pairs().filter(|pair| pair.blocker == id) {
                let cost = self.get(pair.file).map_or(u64::MAX, Candidate::cost);
                if !inputs.contains(&pair.file) && copied.saturating_add(cost) <= max_bytes {
                    inputs.push(pair.file);
                    copied += cost;
                }
            }
        }
        debug_assert_eq!(inputs.is_empty(), files.is_empty(), "one file is always taken");
        inputs
    }
}

/// The most files in which everything has expired, and that all other files are newer than: an older put of one of their
/// keys, in a file that stays, would come back.
fn expired_prefix(files: &[Candidate]) -> Vec<u64> {
    let mut by_age: Vec<&Candidate> = files.iter().collect();
    by_age.sort_by_key(|file| (file.oldest, file.id));
    let expired = by_age.iter().take_while(|file| file.expired && !file.is_excluded).count();
    let mut prefix = 0;
    let mut newest = 0;
    for (at, file) in by_age[..expired].iter().enumerate() {
        newest = newest.max(file.newest);
        let stays_older = by_age[at + 1..].iter().any(|other| other.oldest < newest);
        if !stays_older {
            prefix = at + 1;
        }
    }
    debug_assert!(prefix <= expired, "no file with live records is dropped");
    by_age[..prefix].iter().map(|file| file.id).collect()
}

#[cfg(test)]
mod tests;
