//! The lock order of the engine, in one place. In debug builds a thread that takes a lock while it holds one of the same
//! or a later place panics (`durable::sync`). Locks of `durable` come after all of these. Syncs run outside of the
//! commit section, unless a writer finds no next file prepared, needs a larger one, or has to seal one itself.

use durable::sync::Rank;

/// The ranked locks, in the order in which a thread takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// `Merger::current`: the merge that is in progress.
    Merge,
    /// `Committer::section`: the commit section.
    Commit,
    /// `Sealer::sealing`: one file is sealed at a time.
    Sealing,
    /// `Rotation::prepared`: the file after the active one.
    PreparedFile,
    /// `Rotation::next_id`: held until the manifest knows the id.
    NextFileId,
    /// `Sealer::queue`: the full files that are not sealed.
    SealQueue,
    /// `DamagedFiles::found`: the files that were found damaged.
    DamagedFiles,
    /// `FileSet::change`: the file table is replaced.
    FileTable,
    /// `Views::open`: the open views. A shard of the keydir, which has no rank, may be locked under it.
    OpenViews,
    /// `Held::files`: the files that one view holds.
    ViewFiles,
    /// `FileRegistry::numbers`: the numbers of data files.
    FileNumbers,
    /// `Keydir::releasing`: one thread releases versions of closed views. A shard of the keydir comes after this.
    Releasing,
    /// `keydir::OpenViews::open` and `closed`, never both: the sequence numbers of views.
    ViewNumbers,
    /// `PagePool::pages`: the memory of the keydir.
    Pages,
}

impl Lock {
    /// The rank of the lock.
    pub(crate) const fn rank(self) -> Rank {
        let name = match self {
            Self::Merge => "the merge in progress",
            Self::Commit => "the commit section",
            Self::Sealing => "sealing",
            Self::PreparedFile => "the prepared file",
            Self::NextFileId => "the next file id",
            Self::SealQueue => "the queue of files to seal",
            Self::DamagedFiles => "the damaged files",
            Self::FileTable => "the file table",
            Self::OpenViews => "the open views",
            Self::ViewFiles => "the files of a view",
            Self::FileNumbers => "the file numbers",
            Self::Releasing => "releasing undo lists",
            Self::ViewNumbers => "the numbers of views",
            Self::Pages => "the pages of the keydir",
        };
        Rank::new(Rank::ENGINE + 100 * (self as u16 + 1), name)
    }
}
