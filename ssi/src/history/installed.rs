//! Which transactions have an effect on others.

use super::model::{ABSENT, History, Outcome};
use super::observation::{Observation, Observer};
use super::write_index::WriteIndex;

/// For each transaction, whether its writes count.
///
/// Those of a committed transaction do. Those of a transaction with an unknown outcome do if a committed transaction read
/// one of them, and nobody else can have written that value.
pub(super) fn installed(history: &History, writes: &WriteIndex) -> Vec<bool> {
    let outcome = |transaction: u32| history.transactions[transaction as usize].outcome;
    let mut installed: Vec<bool> = history
        .transactions
        .iter()
        .map(|transaction| transaction.outcome == Outcome::Committed)
        .collect();
    if history.count(Outcome::Unknown) == 0 {
        return installed;
    }
    let mut observer = Observer::default();
    let mut seen = Vec::new();
    for reader in 0..history.transactions.len() {
        if history.transactions[reader].outcome != Outcome::Committed {
            continue;
        }
        observer.replay(history, reader, &mut |observation| {
            let Observation::Value { key, value } = observation else { return };
            let writers = writes.of(key, value);
            let certain =
                writers.iter().all(|write| outcome(write.transaction) != Outcome::Committed);
            let unknown =
                writers.iter().find(|write| outcome(write.transaction) == Outcome::Unknown);
            if let (true, true, Some(unknown)) = (value != ABSENT, certain, unknown) {
                seen.push(unknown.transaction);
            }
        });
    }
    for transaction in seen {
        installed[transaction as usize] = true;
    }
    installed
}
