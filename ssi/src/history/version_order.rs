//! The known order of versions of keys without a total order.

use super::model::{ABSENT, History, KeyId, Outcome, RecordedOperation};
use super::observation::{Observation, Observer};
use super::placement::Placement;
use super::versions::{VersionId, VersionTable};
use super::write_index::WriteIndex;

/// The pairs of versions, earlier and later, that are known of the keys without a total order.
pub(super) fn successors(
    history: &History,
    writes: &WriteIndex,
    versions: &VersionTable,
    placement: &Placement,
) -> Vec<(VersionId, VersionId)> {
    if versions.unordered_count() == 0 {
        return Vec::new();
    }
    let mut pairs = reads_before_writes(history, writes, versions, placement);
    let mut follows_another: Vec<VersionId> = pairs.iter().map(|&(_, later)| later).collect();
    follows_another.sort_unstable();
    let keys = (0..history.keys.len() as u32).map(KeyId);
    for key in keys.filter(|&key| !versions.is_ordered(key)) {
        let mut newest_placed = versions.initial(key);
        for version in versions.of_key(key).skip(1) {
            if versions.is_placed(version) {
                pairs.push((newest_placed, version));
                newest_placed = version;
            } else if placement.is_list(key) {
                // No list holds the element, so it came after the longest one.
                pairs.push((newest_placed, version));
            } else if follows_another.binary_search(&version).is_err() {
                pairs.push((versions.initial(key), version));
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    debug_assert!(
        pairs.iter().all(|(earlier, later)| earlier != later),
        "no version follows itself"
    );
    pairs
}

/// The versions that a transaction read and the ones that it wrote to the same key, where one of them has no place.
fn reads_before_writes(
    history: &History,
    writes: &WriteIndex,
    versions: &VersionTable,
    placement: &Placement,
) -> Vec<(VersionId, VersionId)> {
    let mut observer = Observer::default();
    let mut pairs = Vec::new();
    for reader in 0..history.transactions.len() {
        if history.transactions[reader].outcome != Outcome::Committed {
            continue;
        }
        let wrote = |key| {
            history.operations_of(reader).iter().rev().find_map(|operation| match *operation {
                RecordedOperation::Write { key: written, value } if written == key => Some(value),
                _ => None,
            })
        };
        let of_reader = |key, value| {
            let mut range = writes.range_of(key, value);
            let own = range.find(|&write| {
                let write = &writes.all()[write];
                write.transaction == reader as u32 && write.last
            });
            own.and_then(|write| versions.version_of(write))
        };
        observer.replay(history, reader, &mut |observation| {
            let Observation::Value { key, value } = observation else { return };
            if versions.is_ordered(key) || placement.is_list(key) || value == ABSENT {
                return;
            }
            let Some(own) = wrote(key).and_then(|written| of_reader(key, written)) else { return };
            let mut read =
                writes.range_of(key, value).filter_map(|write| versions.version_of(write));
            let (Some(read), None) = (read.next(), read.next()) else { return };
            let both_placed = versions.is_placed(read) && versions.is_placed(own);
            if read != own && !both_placed {
                pairs.push((read, own));
            }
        });
    }
    pairs
}
