//! The directory of a store: who may open it, who it is, and which of the files in it are ours.
//!
//! A writer holds the file `LOCK` exclusively for as long as the store is open; the file is never removed, because a
//! removed lock file lets two writers lock two files of one name. A reader beside the writer takes no lock and changes
//! nothing, not even by creating the lock file.
//!
//! Files are named by number, and a name is ours only if [`NamePattern::name`] makes exactly that name of a number.
//! Everything else in the directory belongs to somebody else and is left alone. So is an entry with a name of ours that is
//! not a regular file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kv::{Error, Result};

use crate::clock::Clock;
use crate::fs::{Entry, EntryKind, Fs, Lock, LockMode};
use crate::leftover::{self, Leftover};
use crate::sync::Mutex;

const LOCK_FILE: &str = "LOCK";

/// The name of the mark of a directory that is no store yet: see [`new_store`](crate::new_store).
pub(crate) const MARK_FILE: &str = "UNFINISHED";

/// How often an opening tries to lock a directory that is left over, and how long it pauses in between. Counted, not
/// measured: a clock that is moved by hand must not make the wait endless.
const ATTEMPTS: usize = 5_000;
const PAUSE: Duration = Duration::from_millis(2);

/// A directory that holds a store, locked if it was opened for writing. Cheap to clone; the lock is held until it is
/// let go with [`StoreDir::unlock`], or the last clone is dropped.
#[derive(Clone, Debug)]
pub struct StoreDir {
    fs: Arc<dyn Fs>,
    path: Arc<Path>,
    lock: Arc<HeldLock>,
}

/// The lock of a directory that was opened for writing, shared by all clones. The fields are dropped in this order.
#[derive(Debug)]
struct HeldLock {
    lock: Mutex<Option<Box<dyn Lock>>>,
    /// The store was dropped, and its jobs have not ended.
    leftover: Mutex<Option<Leftover>>,
}

/// The purpose for which a directory is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Writing; a missing directory is created.
    Create,
    /// Writing; the directory must be there.
    Write,
    /// Reading, beside a writer or without one.
    Read,
}

impl StoreDir {
    /// Opens the directory `path`.
    ///
    /// # Errors
    /// `Locked` when another writer has it, in this process or another one; `Io`.
    pub fn open(fs: Arc<dyn Fs>, path: &Path, mode: OpenMode) -> Result<Self> {
        if mode == OpenMode::Create {
            fs.create_dir(path)?;
        }
        let path = fs.resolve(path)?;
        let lock = match mode {
            OpenMode::Create | OpenMode::Write => Some(lock(&*fs, &path)?),
            OpenMode::Read => None,
        };
        Ok(Self { fs, path: path.into(), lock: Arc::new(HeldLock::new(lock)) })
    }

    /// As [`StoreDir::open`] for writing. If a store of this process that was dropped still holds the lock, waits for it, up
    /// to ten seconds: see [`StoreDir::abandon`].
    ///
    /// # Errors
    /// As [`StoreDir::open`]. `Locked` at once when the owner of the lock was not dropped.
    pub fn open_after_leftovers(
        fs: &Arc<dyn Fs>,
        path: &Path,
        mode: OpenMode,
        clock: &dyn Clock,
    ) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            // Looked at before the attempt: a leftover releases the lock before it leaves the list.
            let is_left_over = fs.resolve(path).is_ok_and(|path| leftover::is_left_over(&path));
            match Self::open(Arc::clone(fs), path, mode) {
                Err(Error::Locked { .. }) if is_left_over => clock.sleep(PAUSE),
                opened => return opened,
            }
        }
        Self::open(Arc::clone(fs), path, mode)
    }

    /// The file system that the directory is in.
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file `name` in it.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.path.join(name)
    }

    /// The entries in it.
    ///
    /// # Errors
    /// `Io`.
    pub fn list(&self) -> Result<Vec<Entry>> {
        self.fs.list(&self.path)
    }

    /// Whether `name` is that of the lock file.
    pub fn is_lock(name: &str) -> bool {
        name == LOCK_FILE
    }

    /// Refuses a directory in which a checkpoint or a repair has begun and not ended.
    ///
    /// # Errors
    /// `InvalidArgument`; `Io`.
    pub fn check_finished(&self) -> Result<()> {
        if !self.list()?.iter().any(|entry| entry.name == MARK_FILE) {
            return Ok(());
        }
        let what = "no store, because a checkpoint or a repair has begun here and not ended; \
                    repeat it, or remove the directory";
        Err(Error::InvalidArgument(format!("{}: {what}", self.path.display())))
    }

    /// Refuses to go on if the directory was opened for reading.
    ///
    /// # Errors
    /// `ReadOnly`.
    pub fn require_writer(&self) -> Result<()> {
        if self.lock.lock.lock().is_some() { Ok(()) } else { Err(Error::ReadOnly) }
    }

    /// Refuses to go on if the directory or the lock file that was locked is no longer the one that the path names.
    /// Called before files are created or renamed, which goes by path, and after each sync of the log
    /// ([`StoreDir::guard`]).
    ///
    /// # Errors
    /// `Io`.
    pub fn check_in_place(&self) -> Result<()> {
        self.lock.lock.lock().as_ref().map_or(Ok(()), |lock| lock.check())
    }

    /// [`StoreDir::check_in_place`] for the log ([`GroupSync::guarded`](crate::log::GroupSync::guarded)), which may
    /// outlive the store and must not keep it locked. A store that was unlocked is `Closed`.
    pub fn guard(&self) -> impl Fn() -> Result<()> + Send + Sync + use<> {
        let lock = Arc::downgrade(&self.lock);
        move || {
            let held = lock.upgrade().ok_or(Error::Closed)?;
            let lock = held.lock.lock();
            lock.as_ref().ok_or(Error::Closed)?.check()
        }
    }

    /// Lets go of the lock, for all clones: the store is closed.
    pub fn unlock(&self) {
        drop(self.lock.lock.lock().take());
        drop(self.lock.leftover.lock().take());
    }

    /// The store was dropped and not closed. The lock is released with the last clone, which a running job may have: an
    /// opening in this process waits for that.
    pub fn abandon(&self) {
        if self.lock.lock.lock().is_some() {
            *self.lock.leftover.lock() = Some(Leftover::announce(&self.path));
        }
    }
}

impl HeldLock {
    fn new(lock: Option<Box<dyn Lock>>) -> Self {
        Self { lock: Mutex::new(lock), leftover: Mutex::default() }
    }
}

/// Locks the store, and names the store rather than its lock file when somebody else has it.
fn lock(fs: &dyn Fs, path: &Path) -> Result<Box<dyn Lock>> {
    fs.lock(&path.join(LOCK_FILE), LockMode::Exclusive).map_err(|error| match error {
        Error::Locked { .. } => Error::Locked { path: path.into() },
        error => error,
    })
}

/// How the files of one kind are named: a number of at least six digits between two fixed parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamePattern {
    prefix: &'static str,
    suffix: &'static str,
    /// The greatest number.
    last: u64,
}

impl NamePattern {
    /// Names such as `000001.data`, for the suffix `.data` and no prefix.
    pub const fn new(prefix: &'static str, suffix: &'static str) -> Self {
        Self { prefix, suffix, last: u64::MAX }
    }

    /// The same names, for numbers below `limit` only: a name with a greater number is not ours.
    ///
    /// # Panics
    /// For a limit of 0.
    pub const fn below(self, limit: u64) -> Self {
        assert!(limit > 0, "a pattern has a number");
        Self { last: limit - 1, ..self }
    }

    /// The name of file `number`.
    pub fn name(&self, number: u64) -> String {
        format!("{}{number:06}{}", self.prefix, self.suffix)
    }

    /// The number of the file called `name`, if it follows the pattern to the letter.
    pub fn parse(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.prefix)?.strip_suffix(self.suffix)?;
        let number = digits.parse().ok().filter(|&number| number <= self.last)?;
        (self.name(number) == name).then_some(number)
    }

    /// The numbers of the regular files among `entries` that follow the pattern.
    pub fn numbers(self, entries: &[Entry]) -> impl Iterator<Item = u64> {
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        files.filter_map(move |entry| self.parse(&entry.name))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::{ManualClock, OsFs, SimFs};

    /// Releases the last clone of a dropped store when an opening begins to wait.
    #[derive(Debug)]
    struct ReleasingClock(ManualClock, Mutex<Option<StoreDir>>);

    impl Clock for ReleasingClock {
        fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }

        fn now(&self) -> kv::UnixMillis {
            self.0.now()
        }

        fn sleep(&self, _: Duration) {
            drop(self.1.lock().take());
        }
    }

    #[test]
    fn an_opening_waits_for_a_store_of_this_process_that_was_dropped_and_for_no_other() {
        let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
        let open = |clock: &dyn Clock| {
            StoreDir::open_after_leftovers(&fs, Path::new("dropped"), OpenMode::Create, clock)
        };
        let held_by_a_job = open(&ManualClock::new()).unwrap();
        let clock = ReleasingClock(ManualClock::new(), Mutex::new(Some(held_by_a_job.clone())));
        assert!(matches!(open(&clock), Err(Error::Locked { .. })));
        assert!(clock.1.lock().is_some(), "nobody waits for a store that is open");
        held_by_a_job.abandon();
        drop(held_by_a_job);
        let reopened = open(&clock).unwrap();
        assert!(clock.1.lock().is_none() && !leftover::is_left_over(reopened.path()));
    }

    const DATA: NamePattern = NamePattern::new("", ".data");

    fn open(path: &Path, mode: OpenMode) -> Result<StoreDir> {
        StoreDir::open(Arc::new(OsFs::default()), path, mode)
    }

    #[test]
    fn a_second_writer_is_refused_until_the_last_clone_of_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/store");
        let first = open(&path, OpenMode::Create).unwrap();
        let clone = first.clone();
        drop(first);
        let refused = open(&path, OpenMode::Write).unwrap_err();
        assert!(matches!(&refused, Error::Locked { path: locked } if *locked == path));
        let reader = open(&path, OpenMode::Read).unwrap();
        assert!(matches!(reader.require_writer(), Err(Error::ReadOnly)));
        drop(clone);
        open(&path, OpenMode::Write).unwrap().require_writer().unwrap();
    }

    #[test]
    fn a_reader_creates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let reader = open(dir.path(), OpenMode::Read).unwrap();
        assert_eq!(reader.list().unwrap(), []);
        assert!(open(&dir.path().join("missing"), OpenMode::Write).is_err());
    }

    #[test]
    fn only_names_that_we_would_write_are_ours() {
        assert_eq!(DATA.name(1), "000001.data");
        for number in [0, 1, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(DATA.parse(&DATA.name(number)), Some(number));
        }
        for foreign in
            ["1.data", "0000001.data", "+00001.data", "00001 .data", "000001.data2", "a000001.data"]
        {
            assert_eq!(DATA.parse(foreign), None, "{foreign}");
        }
        assert_eq!(DATA.parse("18446744073709551616.data"), None);
        assert_eq!(NamePattern::new("a.data", ".data").parse("a.data"), None);
        let limited = DATA.below(7);
        assert_eq!((limited.parse("000006.data"), limited.parse("000007.data")), (Some(6), None));
    }

    #[test]
    fn links_and_directories_with_a_name_of_ours_are_left_alone() {
        let entry = |name: &str, kind| Entry { name: name.into(), kind };
        let entries = [
            entry("000001.data", EntryKind::File),
            entry("000002.data", EntryKind::Other),
            entry("000003.data", EntryKind::Dir),
            entry("notes.txt", EntryKind::File),
        ];
        assert_eq!(DATA.numbers(&entries).collect::<Vec<_>>(), [1]);
    }
}
