//! Read-set validation: the rule of Badger, `FoundationDB` and fjall.

use kv::ConflictKind;

use super::certifier::{Candidate, Certifier, Refusal};

/// Refuses a transaction that writes, if anything that it read was overwritten after its snapshot.
///
/// The commit order is a serial order, so a write-write conflict alone is none. Transactions that write nothing always
/// commit.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadSetValidation;

impl Certifier for ReadSetValidation {
    fn name(&self) -> &'static str {
        "rsv"
    }

    fn allows_concurrent_writes(&self) -> bool {
        true
    }

    /// The commit order is a serial order, so each snapshot has a prefix of it.
    fn spares_readers(&self) -> bool {
        true
    }

    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let stale = !candidate.read_only && !candidate.outgoing.is_empty();
        stale.then(|| Refusal { outgoing: Some(0), ..Refusal::new(ConflictKind::Read) })
    }
}
