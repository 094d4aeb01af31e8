//! The failing syncs of a round.

use durable::{Fault, OpKind, Plan, SyncFailure};

use super::Options;
use crate::random::{Random, sub_seed};

/// How syncs fail in a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    /// `None`: none fails.
    pub(super) mode: Option<SyncFailure>,
    /// Whether all later syncs fail as well.
    is_sticky: bool,
}

impl Failing {
    const MODES: [SyncFailure; 4] = [
        SyncFailure::KeepsNew,
        SyncFailure::Reverts,
        SyncFailure::StaysDirty,
        SyncFailure::KeepsPart,
    ];

    /// One round of three has a failing sync.
    pub(super) fn of(options: &Options) -> Self {
        let random = Random::new(sub_seed(options.seed, 6));
        let mode = random.one_in(3).then(|| *random.pick(&Self::MODES));
        Self { mode, is_sticky: random.one_in(2) }
    }

    /// The plan by which the next sync after `calls` calls fails.
    pub(super) fn plan(self, calls: usize) -> Plan {
        assert!(self.mode.is_some(), "a sync fails only in a round that wants it");
        let fault = Fault::EioOf { kind: OpKind::SyncFile, path: String::new() };
        Plan { at: calls, fault, sticky: self.is_sticky }
    }
}
