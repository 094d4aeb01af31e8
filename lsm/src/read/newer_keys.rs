//! Names keys that a reader of an older state passes and that have a newer version. Transactions find conflicts by them.

use kv::SequenceNumber;

/// Called with a key and the number of its newest version.
pub type NewerSeen = Box<dyn FnMut(&[u8], SequenceNumber) + Send>;

/// Calls a [`NewerSeen`] once for each key that a move passes.
pub(crate) struct NewerKeys {
    see: NewerSeen,
    /// The key that this move has named last.
    named: Option<Vec<u8>>,
}

impl NewerKeys {
    pub(crate) fn new(see: NewerSeen) -> Self {
        Self { see, named: None }
    }

    /// Another move begins, and names its keys again.
    pub(super) fn begin_move(&mut self) {
        self.named = None;
    }

    /// Names `user`, unless it is the key that was named last.
    pub(super) fn name(&mut self, user: &[u8], newest: u64) {
        if self.named.as_deref() == Some(user) {
            return;
        }
        let mut named = self.named.take().unwrap_or_default();
        named.clear();
        named.extend_from_slice(user);
        self.named = Some(named);
        (self.see)(user, SequenceNumber(newest));
    }
}
