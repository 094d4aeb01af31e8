//! The choice of the data files to merge: a pure function of the facts about them.
//!
//! A file that wastes enough of itself is worth merging. Of these files, those with the best ratio of benefit to cost go
//! first: (1 - u) * age / (1 + u). Here u is the share of the file that is live. Age is the number of writes to the store since
//! the newest record of the file. The formula is that of Rosenblum and Ousterhout (The Design and
//! Implementation of a Log-Structured File System, 1992, section 3.6). Many small files are joined, so that openings and
//! crashes do not leave ever more of them. Files in which every put has expired are dropped without being read.

/// The facts about a sealed data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: u64,
    pub(crate) len: u64,
    /// Bytes that merging it would free, or would let others free: dead and expired records, and tombstones.
    /// Tombstones that the merge would have to keep do not count; tombstones elsewhere that are kept because of this file
    /// do.
    pub(crate) waste: u64,
    /// Writes to the store since the newest in the file.
    pub(crate) age: u64,
    /// The sequence numbers of its records.
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    /// Every record in it is a put that has expired, or a tombstone.
    pub(crate) expired: bool,
}

impl Candidate {
    fn wastes(&self, percent: u64) -> bool {
        self.waste > 0 && self.waste * 100 >= self.len * percent
    }

    fn live(&self) -> u64 {
        self.len.saturating_sub(self.waste)
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
pub(crate) fn pick(files: &[Candidate], policy: &Policy) -> Option<Plan> {
    let expired = expired_prefix(files);
    if !expired.is_empty() {
        return Some(Plan::Drop(expired));
    }
    if files.iter().any(|file| file.wastes(policy.trigger_percent)) {
        // A file that causes a merge is in it.
        let include_percent = policy.include_percent.min(policy.trigger_percent);
        let included = files.iter().filter(|file| file.wastes(include_percent));
        let inputs = best(included.copied().collect(), policy.max_bytes);
        assert!(!inputs.is_empty(), "the file that causes the merge is worth it");
        return Some(Plan::Rewrite(inputs));
    }
    let small = files.iter().filter(|file| file.len < policy.small_bytes);
    let small: Vec<Candidate> = small.copied().collect();
    // One file alone would be joined with itself, again and again.
    (small.len() >= policy.small_files.max(2)).then(|| Plan::Rewrite(best(small, policy.max_bytes)))
}

/// Everything that wastes anything.
pub(crate) fn pick_all(files: &[Candidate]) -> Option<Plan> {
    let wasteful = files.iter().filter(|file| file.waste > 0 || file.expired);
    let wasteful: Vec<u64> = wasteful.map(|file| file.id).collect();
    (!wasteful.is_empty()).then_some(Plan::Rewrite(wasteful))
}

/// The best of `files`, at least one.
fn best(mut files: Vec<Candidate>, max_bytes: u64) -> Vec<u64> {
    files.sort_by(|a, b| b.score().total_cmp(&a.score()).then(a.id.cmp(&b.id)));
    let mut copied = 0;
    let fits = |file: &&Candidate| {
        let first = copied == 0;
        copied += file.live().max(1);
        first || copied <= max_bytes
    };
    let best: Vec<u64> = files.iter().take_while(fits).map(|file| file.id).collect();
    debug_assert_eq!(best.is_empty(), files.is_empty(), "one file is always taken");
    best
}

/// The most files in which everything has expired, and that all other files are newer than: an older put of one of their
/// keys, in a file that stays, would come back.
fn expired_prefix(files: &[Candidate]) -> Vec<u64> {
    let mut by_age: Vec<&Candidate> = files.iter().collect();
    by_age.sort_by_key(|file| (file.oldest, file.id));
    let expired = by_age.iter().take_while(|file| file.expired).count();
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
