//! When a deletion may be forgotten.
//!
//! A deletion hides older puts of its key. It may go when none is left outside the merge, **live or dead**: a dead put
//! is just what would come back. Only files that hold some older write can have one. They are asked by the filter in their
//! hint; one without a hint that counts says maybe to everything. The answer is never wrong in the dangerous
//! direction, and a deletion that is kept names the file that it is kept for, so that it is looked at again when that
//! file has gone: no deletion stays for ever.
//!
//! A put that has expired is a deletion with the same number.

use std::cell::OnceCell;
use std::sync::Arc;

use durable::{Access, Mapped, read_whole};

use crate::engine::Inner;
use crate::files::HINT;
use crate::filter::may_contain;
use crate::hint_file;
use crate::planted::Mistake;
use crate::sealed_file::check_hint;
use crate::state::Sealed;

/// The sealed files that a merge leaves, which may hold puts older than its deletions.
pub(super) struct Outside {
    files: Vec<OutsideFile>,
    forgets_too_much: bool,
}

struct OutsideFile {
    id: u64,
    sealed: Sealed,
    /// Opened when it is first asked. `None` inside: it has no hint that counts.
    hint: OnceCell<Option<Arc<dyn Mapped>>>,
}

impl Outside {
    /// All sealed files but `inputs`. A file that is sealed later has only newer records.
    pub(super) fn of(inner: &Inner, inputs: &[u64]) -> Self {
        let state = inner.manifest.state();
        let others = state.files.iter().filter(|(id, _)| !inputs.contains(id));
        let file = |(&id, sealed): (&u64, &Option<Sealed>)| {
            sealed.map(|sealed| OutsideFile { id, sealed, hint: OnceCell::new() })
        };
        let forgets_too_much = inner.options.has(Mistake::ForgetDeletionsTooEarly);
        Self { files: others.filter_map(file).collect(), forgets_too_much }
    }

    /// The file for which a deletion of `key` by write `sequence` must be kept. `None`: it may go.
    pub(super) fn blocker(&self, inner: &Inner, key: &[u8], sequence: u64) -> Option<u64> {
        let may_hide =
            |file: &&OutsideFile| file.sealed.oldest < sequence && file.may_have(inner, key);
        self.files.iter().filter(|_| !self.forgets_too_much).find(may_hide).map(|file| file.id)
    }
}

impl OutsideFile {
    fn may_have(&self, inner: &Inner, key: &[u8]) -> bool {
        let Some(bytes) = self.hint.get_or_init(|| self.open_hint(inner)) else { return true };
        let path = inner.dir_path.join(HINT.name(self.id));
        let source = self.sealed.source(inner.manifest.store_id(), self.id);
        hint_file::filter(bytes.bytes(), &source, &path)
            .map_or(true, |filter| may_contain(filter, key))
    }

    fn open_hint(&self, inner: &Inner) -> Option<Arc<dyn Mapped>> {
        let path = inner.dir_path.join(HINT.name(self.id));
        let file = inner.options.env.fs.open(&path).ok()?;
        let bytes = file.map(Access::Random).or_else(|_| read_whole(&*file)).ok()?;
        check_hint(bytes.bytes(), self.sealed.hint?, &path).ok()?;
        Some(bytes)
    }
}
