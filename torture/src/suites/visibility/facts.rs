//! The facts of a round: its answers and looks, judged against the history, each with its time.

use kv::{Error, UnixMillis};

use super::actors::{Look, Shared, Task};
use super::record::Fact;
use crate::oracle::History;

/// Judges the answers and the looks, and returns the facts that crashes are judged by. `has_reverted`: a failed sync has
/// taken bytes out of the page cache.
pub(super) fn facts(
    shared: &Shared,
    tasks: &[Task],
    looks: Vec<Look>,
    has_reverted: bool,
    history: &mut History,
    now: UnixMillis,
) -> Result<Vec<(usize, Fact)>, String> {
    let mut facts = Vec::new();
    // The first batch whose write returned an error. Neither it nor a later one may be visible.
    let mut first_failed = history.issued() + 1;
    for answer in shared.answers().iter() {
        let j = answer.j;
        let sequence = match &answer.sequence {
            Ok(sequence) => *sequence,
            Err(Error::Io { .. } | Error::Poisoned { .. }) if shared.has_failed() => {
                first_failed = first_failed.min(j);
                continue;
            }
            Err(error) => return Err(format!("write {j} failed: {error}")),
        };
        history.acknowledge(j, sequence)?;
        let task = tasks.iter().find(|task| task.j == j).ok_or("an answer to no task")?;
        facts.push((answer.ops, Fact::Acknowledged { j, durability: task.durability }));
    }
    let acknowledged = facts.iter().filter_map(|(_, fact)| match fact {
        Fact::Acknowledged { j, .. } => Some(*j),
        Fact::Seen { .. } => None,
    });
    if let Some(j) = acknowledged.max().filter(|j| *j > first_failed) {
        return Err(format!(
            "write {j} was acknowledged behind write {first_failed}, which failed"
        ));
    }
    // Everything from before the writers is visible.
    let base = tasks.first().map_or(history.issued(), |first| first.j - 1);
    assert!(base < first_failed, "what was there before the writers has not failed");
    let shows = Shows { base, newest: first_failed - 1, may_fail: has_reverted };
    facts.extend(seen(looks, shows, history, now)?);
    Ok(facts)
}

/// The batches that the views of a round may show.
#[derive(Clone, Copy, Debug)]
struct Shows {
    /// The first view shows this batch at least.
    base: usize,
    /// The last view shows this batch at most.
    newest: usize,
    /// A look may fail, because a sync has failed and may have taken the bytes away that it reads.
    may_fail: bool,
}

/// The views of all looks, in their order. Each shows every batch that was acknowledged before it began, and every batch
/// of an earlier view.
fn seen(
    looks: Vec<Look>,
    shows: Shows,
    history: &History,
    now: UnixMillis,
) -> Result<Vec<(usize, Fact)>, String> {
    let mut newest = shows.base;
    let mut facts = Vec::new();
    for look in looks {
        let observed = match look.observed {
            Err(_) if shows.may_fail => continue,
            observed => observed?,
        };
        let least = look.acknowledged.max(newest);
        let v = history.find(&observed, None, (least, shows.newest), now);
        let v = v.map_err(|what| format!("a reader beside the writers: {what}"))?;
        assert!(v >= newest, "views only grow");
        newest = v;
        facts.push((look.ops, Fact::Seen { v }));
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use kv::{Durability, WriteBatch};

    use super::*;
    use crate::observe::Observed;

    const NOW: UnixMillis = UnixMillis(1);

    fn look(acknowledged: usize, shown: u8) -> Look {
        let observed = Observed { entries: vec![("a".into(), vec![shown].into())] };
        Look { acknowledged, observed: Ok(observed), ops: 9 }
    }

    #[test]
    fn a_view_shows_all_acknowledged_batches_and_never_goes_back() {
        let mut history = History::new();
        for number in 1..=3_u8 {
            let mut batch = WriteBatch::new();
            batch.put(b"a", &[number]);
            history.issue(&batch, Durability::Sync);
        }
        let judged = |looks| {
            let shows = Shows { base: 1, newest: 3, may_fail: false };
            seen(looks, shows, &history, NOW).map(|facts| facts.len())
        };
        assert_eq!(judged(vec![look(1, 1), look(1, 2), look(2, 3)]), Ok(3));
        judged(vec![look(2, 1)]).unwrap_err();
        judged(vec![look(1, 2), look(1, 1)]).unwrap_err();
        judged(vec![look(0, 4)]).unwrap_err();
        let failed = Shows { base: 1, newest: 2, may_fail: true };
        seen(vec![look(0, 3)], failed, &history, NOW).unwrap_err();
        seen(vec![look(0, 2)], failed, &history, NOW).unwrap();
    }
}
