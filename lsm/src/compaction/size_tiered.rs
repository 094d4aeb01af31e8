//! Size-tiered compaction: adjacent runs of similar size become one.
//!
//! All runs of the tree count, the newest first, whatever their levels. A window of adjacent runs is a bucket if their sizes lie
//! within a band around their mean, or are all small. If a bucket has `min_runs`, its runs become one at the place of the
//! oldest. If sizes go up and down with age there may be no such bucket. So from `run_limit` runs on the cheapest `min_runs`
//! adjacent runs are merged.
//!
//! Source: Cassandra's `SizeTieredCompactionStrategy`. Departure: Cassandra's buckets know no age, because each of its cells has a
//! timestamp and a read asks every run. Here a read stops at the first run that has the key, so only adjacent runs may merge.

use super::busy::Busy;
use super::draft::{self, Draft, Motion};
use super::file::Key;
use super::invalid_options::InvalidOptions;
use super::options::SizeTieredOptions;
use super::plan::{Plan, Reason};
use super::reclaim;
use super::run::{Place, Run};
use super::strategy::{Score, Strategy, Urgency};
use super::tree::Tree;

/// Size-tiered compaction (STCS).
#[derive(Clone, Debug)]
pub struct SizeTiered {
    options: SizeTieredOptions,
}

type Runs<'t, K> = [(Place, &'t Run<K>)];

impl SizeTiered {
    /// The strategy with these parameters.
    ///
    /// # Errors
    /// A parameter is out of its range.
    pub fn new(options: SizeTieredOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self { options })
    }

    /// How many of `runs`, from the first one on, are a bucket at most.
    fn bucket_len<K: Key>(&self, runs: &Runs<'_, K>) -> usize {
        let (mut least, mut most, mut sum, mut len) = (u64::MAX, 0, 0_u128, 0);
        for (at, (_, run)) in runs.iter().take(self.options.max_runs).enumerate() {
            (least, most) = (least.min(run.bytes()), most.max(run.bytes()));
            sum += u128::from(run.bytes());
            let percent_of_mean = |bytes: u64| u128::from(bytes) * (at as u128 + 1) * 100;
            let is_band = percent_of_mean(least) >= sum * u128::from(self.options.low_percent)
                && percent_of_mean(most) <= sum * u128::from(self.options.high_percent);
            if is_band || most <= self.options.small_bytes {
                len = at + 1;
            }
            debug_assert!(least <= most && u128::from(most) <= sum, "the sum has the largest run");
        }
        debug_assert!(len <= runs.len().min(self.options.max_runs), "a bucket is a window of runs");
        len
    }

    /// The bucket with the fewest bytes among those with `least` runs; without one, the longest.
    fn best_bucket<'r, 't, K: Key>(&self, runs: &'r Runs<'t, K>, least: usize) -> &'r Runs<'t, K> {
        debug_assert!(least >= 2, "a merge has two inputs");
        let starts = (0..runs.len()).map(|start| &runs[start..]);
        let buckets = starts.map(|rest| &rest[..self.bucket_len(rest)]);
        let enough = buckets.clone().filter(|bucket| bucket.len() >= least);
        let cheapest = enough.min_by_key(|bucket| bytes(bucket));
        cheapest.or_else(|| buckets.max_by_key(|bucket| bucket.len())).unwrap_or(&[])
    }

    /// The `min_runs` adjacent runs with the fewest bytes.
    fn cheapest<'r, 't, K: Key>(&self, runs: &'r Runs<'t, K>) -> Option<&'r Runs<'t, K>> {
        debug_assert!(runs.len() >= 2, "a merge has two inputs");
        let len = self.options.min_runs.min(runs.len());
        runs.windows(len).min_by_key(|window| bytes(window))
    }
}

fn bytes<K: Key>(runs: &Runs<'_, K>) -> u64 {
    runs.iter().map(|(_, run)| run.bytes()).sum()
}

/// `runs` as one run at the place of the oldest.
pub(super) fn merge_all<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    reason: Reason,
    runs: &Runs<'_, K>,
) -> Option<Plan<K>> {
    debug_assert!(runs.is_sorted_by_key(|run| run.0), "the newest run is first");
    let output = runs.last()?.0;
    let sources = runs.iter().map(|run| draft::whole(*run)).collect();
    Draft { reason, sources, output, motion: Motion::MoveIfClean }.plan(tree, busy)
}

impl<K: Key> Strategy<K> for SizeTiered {
    fn pick(&self, tree: &Tree<K>, busy: &Busy<K>, urgency: Urgency) -> Option<Plan<K>> {
        let free = reclaim::pick_obsolete(tree, busy);
        if free.is_some() {
            return free;
        }
        let runs: Vec<(Place, &Run<K>)> = tree.runs().collect();
        // Runs that are not busy, between those that are.
        let free = || runs.split(|(_, run)| busy.has_any(run.files()));
        let wanted = (self.options.min_runs * urgency.percent()).div_ceil(100);
        let wanted = wanted.max(2);
        debug_assert!(wanted <= self.options.min_runs, "the limit is enough at any urgency");
        let buckets = free().map(|runs| self.best_bucket(runs, wanted));
        let buckets = buckets.filter(|bucket| bucket.len() >= wanted);
        let bucket = buckets.min_by_key(|bucket| bytes(bucket));
        let plan = bucket.and_then(|bucket| merge_all(tree, busy, Reason::Size, bucket));
        let plan = plan.or_else(|| {
            let is_crowded = runs.len() * 100 >= urgency.percent() * self.options.run_limit;
            let windows = free().filter(|runs| runs.len() >= 2 && is_crowded);
            let cheapest = windows.filter_map(|runs| self.cheapest(runs));
            let cheapest = cheapest.min_by_key(|window| bytes(window))?;
            merge_all(tree, busy, Reason::Runs, cheapest)
        });
        plan.or_else(|| reclaim::pick(tree, busy, &self.options.reclaim, urgency))
    }

    fn scores(&self, tree: &Tree<K>) -> Vec<Score> {
        let runs: Vec<(Place, &Run<K>)> = tree.runs().collect();
        let bucket = self.best_bucket(&runs, self.options.min_runs).len() as f64
            / self.options.min_runs as f64;
        let crowded = runs.len() as f64 / self.options.run_limit as f64;
        vec![Score::new(0, bucket.max(crowded))]
    }

    /// Tier `i` has the runs of about `small_bytes * min_runs^i` and room for `min_runs - 1` of them. The bytes over the
    /// room go to the next tier, and each of them stands for `min_runs` bytes that are merged with it.
    fn debt(&self, tree: &Tree<K>) -> u64 {
        let fan_in = self.options.min_runs as u64;
        let mut tiers = Vec::<u64>::new();
        for (_, run) in tree.runs() {
            let (tier, in_tier) = share(run.bytes(), self.options.small_bytes, fan_in);
            tiers.resize(tiers.len().max(tier + 1), 0);
            tiers[tier] += in_tier;
            tiers[tier.saturating_sub(1)] += run.bytes() - in_tier;
        }
        debug_assert_eq!(tiers.iter().sum::<u64>(), tree.bytes(), "each byte is in one tier");
        let (mut debt, mut carried, mut size) = (0_u64, 0_u64, self.options.small_bytes);
        let mut tiers = tiers.into_iter().fuse();
        loop {
            let bytes = tiers.next();
            if bytes.is_none() && carried == 0 {
                return debt;
            }
            let room = size.saturating_mul(fan_in - 1);
            carried = bytes.unwrap_or(0).saturating_add(carried).saturating_sub(room);
            debt = debt.saturating_add(carried.saturating_mul(fan_in));
            size = size.saturating_mul(fan_in);
        }
    }

    /// A byte more moves up to four bytes of its run to another tier.
    fn debt_factor(&self, tree: &Tree<K>) -> u64 {
        let fan_in = self.options.min_runs as u64;
        let (tiers, _) = share(tree.bytes(), self.options.small_bytes, fan_in);
        (tiers as u64 + 1) * fan_in * 5
    }

    fn max_input_bytes(&self) -> Option<u64> {
        None
    }

    fn target_file_bytes(&self) -> u64 {
        self.options.file_bytes
    }

    fn max_grandparent_bytes(&self) -> u64 {
        u64::MAX
    }
}

/// The tier of a run, the least `i` with `bytes <= small_bytes * fan_in^i`, and how many of its bytes count there. The others
/// count in the tier below: a run that grows a little must not change its tier with all that it has.
fn share(bytes: u64, small_bytes: u64, fan_in: u64) -> (usize, u64) {
    debug_assert!(small_bytes > 0 && fan_in > 1, "tiers grow");
    let (mut tier, mut below, mut size) = (0, 0, small_bytes);
    while bytes > size {
        (tier, below, size) = (tier + 1, size, size.saturating_mul(fan_in));
    }
    let part = u128::from(bytes - below) * u128::from(bytes) / u128::from(size - below);
    debug_assert!(part <= u128::from(bytes), "a part of the run");
    (tier, if tier == 0 { bytes } else { part as u64 })
}
