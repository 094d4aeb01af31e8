//! The frozen views that are open, so that the keydir keeps what they still need.
//!
//! A view is registered inside the commit section, so its sequence number is exactly the newest published write: no
//! write is half inside it.

use durable::sync::Mutex;
use durable::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::keydir::Undo;

/// The sequence numbers of the open views.
#[derive(Debug, Default)]
pub(crate) struct Views {
    open: Mutex<Vec<u64>>,
    /// The newest open view plus one, or 0 when none is open.
    newest: AtomicU64,
}

impl Views {
    /// Opens a view at `sequence`. Called inside the commit section.
    pub(crate) fn open(self: &Arc<Self>, sequence: u64) -> View {
        let mut open = self.open.lock();
        open.push(sequence);
        self.publish(&open);
        View { views: Arc::clone(self), sequence }
    }

    /// What a write has to keep. Called inside the commit section.
    pub(crate) fn undo(&self) -> Undo {
        match self.newest.load(Ordering::Acquire) {
            0 => Undo::Forget,
            newest => Undo::KeepFor(newest - 1),
        }
    }

    /// Calls `act` with the open views while no other can be opened.
    pub(crate) fn with_open(&self, act: impl FnOnce(&[u64])) {
        act(&self.open.lock());
    }

    fn close(&self, sequence: u64) {
        let mut open = self.open.lock();
        if let Some(at) = open.iter().position(|&view| view == sequence) {
            open.swap_remove(at);
        }
        self.publish(&open);
    }

    fn publish(&self, open: &[u64]) {
        let newest = open.iter().max().map_or(0, |newest| newest + 1);
        self.newest.store(newest, Ordering::Release);
    }
}

/// An open view; dropping it closes it.
#[derive(Debug)]
pub(crate) struct View {
    views: Arc<Views>,
    pub(crate) sequence: u64,
}

impl Drop for View {
    fn drop(&mut self) {
        self.views.close(self.sequence);
    }
}
