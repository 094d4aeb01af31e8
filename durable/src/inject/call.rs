//! Calls to the file system, as a fault plan and a hook see them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use kv::Error;

/// The kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// `Fs::create_dir`
    CreateDir,
    /// `Fs::list`
    List,
    /// `Fs::open`
    Open,
    /// `Fs::open_writable`
    OpenWritable,
    /// `Fs::create`
    Create,
    /// `Fs::create_log`
    CreateLog,
    /// `Fs::rename`
    Rename,
    /// `Fs::remove`
    Remove,
    /// `Fs::link`
    Link,
    /// `Fs::sync_dir`
    SyncDir,
    /// `Fs::lock`
    Lock,
    /// `Fs::free_space`
    FreeSpace,
    /// `File::len`
    Len,
    /// `File::read_at`, `LogFile::read`
    Read,
    /// `File::write_at`
    Write,
    /// `File::set_len`
    SetLen,
    /// `File::sync`, `LogFile::sync`
    SyncFile,
    /// `File::map`
    Map,
    /// `LogFile::reserve`.
    Reserve,
    /// `LogFile::append`
    Append,
    /// `LogFile::cut`
    Cut,
    /// `LogFile::finish`
    Finish,
}

/// Each kind with its name in plans, and its name in the errors of the real file system.
const KINDS: [(OpKind, &str, &str); 22] = [
    (OpKind::CreateDir, "create-dir", "create directory"),
    (OpKind::List, "list", "list"),
    (OpKind::Open, "open", "open"),
    (OpKind::OpenWritable, "open-writable", "open"),
    (OpKind::Create, "create", "create"),
    (OpKind::CreateLog, "create-log", "create"),
    (OpKind::Rename, "rename", "rename"),
    (OpKind::Remove, "remove", "remove"),
    (OpKind::Link, "link", "link"),
    (OpKind::SyncDir, "sync-dir", "sync directory"),
    (OpKind::Lock, "lock", "lock"),
    (OpKind::FreeSpace, "free-space", "measure"),
    (OpKind::Len, "len", "measure"),
    (OpKind::Read, "read", "read"),
    (OpKind::Write, "write", "write"),
    (OpKind::SetLen, "set-len", "set length"),
    (OpKind::SyncFile, "sync-file", "sync"),
    (OpKind::Map, "map", "map"),
    (OpKind::Reserve, "reserve", "allocate"),
    (OpKind::Append, "append", "append"),
    (OpKind::Cut, "cut", "set length"),
    (OpKind::Finish, "finish", "set length"),
];

impl OpKind {
    fn entry(self) -> (&'static str, &'static str) {
        let found = KINDS.iter().find(|(kind, ..)| *kind == self);
        found.map(|(_, name, op)| (*name, *op)).expect("the table has all kinds")
    }

    /// Its name in the errors of the real file system.
    pub(super) fn op(self) -> &'static str {
        self.entry().1
    }

    /// Whether it changes anything.
    pub fn is_mutating(self) -> bool {
        !matches!(
            self,
            Self::List
                | Self::Open
                | Self::OpenWritable
                | Self::Lock
                | Self::FreeSpace
                | Self::Len
                | Self::Read
                | Self::Map
        )
    }

    /// Whether it returns nothing but success, so that a plan can leave it out.
    pub(super) fn is_skippable(self) -> bool {
        self.is_mutating() && !matches!(self, Self::Create | Self::CreateLog)
    }

    pub(super) fn may_need_space(self) -> bool {
        let gives_space = matches!(self, Self::Remove | Self::Cut | Self::Finish);
        self == Self::Lock || (self.is_mutating() && !gives_space)
    }

    pub(super) fn opens_a_file(self) -> bool {
        matches!(
            self,
            Self::CreateDir
                | Self::List
                | Self::Open
                | Self::OpenWritable
                | Self::Create
                | Self::CreateLog
                | Self::SyncDir
                | Self::Lock
        )
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().0)
    }
}

impl FromStr for OpKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = KINDS.iter().find(|(_, name, _)| *name == text);
        let unknown = || Error::InvalidArgument(format!("no file system call is called {text:?}"));
        found.map(|(kind, ..)| *kind).ok_or_else(unknown)
    }
}

/// A call that is about to run.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// Its number, from 0, among all calls.
    pub index: usize,
    /// Its kind.
    pub kind: OpKind,
    /// The file or directory, for an open file the path that it was opened under.
    pub path: &'c Path,
    /// The new name that a rename or a link gives.
    pub to: Option<&'c Path>,
}

impl Call<'_> {
    /// Whether one of its paths contains `part`.
    pub(super) fn is_about(&self, part: &str) -> bool {
        let contains = |path: &Path| path.to_string_lossy().contains(part);
        contains(self.path) || self.to.is_some_and(contains)
    }
}
