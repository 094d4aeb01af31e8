//! `peer:lmdb`: LMDB, a copy-on-write B-tree in a memory map, through `heed`.
//!
//! A write is a transaction of its own. Whether commits sync is a property of the whole environment. With `NO_SYNC` a power
//! cut can damage all of it. So a run of the class `Sync` opens the environment without that flag, and a run of a weaker
//! class with it. Empty keys and keys over 511 bytes are refused: it knows none.
//!
//! - `WRITE_MAP`, where commits do not sync: pages are changed in the mapping and not copied and written back, and the kernel
//!   keeps them when the process dies. Puts are 4.3 times as fast, batches 3.3 times. With syncs it gains nothing.
//! - Each thread keeps its read transaction while nothing is written ([`super::thread_views`]). LMDB's own means to that end, slots tied
//!   to threads, is out of reach: a cursor may change threads, and a thread may read while it has a cursor open. Gets are 1.2
//!   times as fast as with a transaction each.
//! - `NO_READ_AHEAD`: point reads of a store larger than memory would bring in pages that nobody asked for.

use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};
use kv::{
    Capabilities, Cursor, Direction, Durability, KeyRange, Kv, Op, Result, SequenceNumber, Stats,
    Unit, WriteBatch,
};

use super::adapter_state::{AdapterState, failure};
use super::copied::Copied;
use super::thread_views::ThreadViews;
use super::view_cursor::{StretchRequest, View, ViewCursor};
use super::{EngineConfig, Registration};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:lmdb",
    about: "LMDB: copy-on-write B-tree in a memory map",
    version: "heed 0.23.1, LMDB 0.9.70",
    classes: &[Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(Lmdb::open(directory, config)?)),
    settings: |config| {
        let flags = if config.durability < Durability::Sync {
            "NO_SYNC, WRITE_MAP"
        } else {
            "commits sync (fdatasync for the pages, an O_DSYNC write for the root)"
        };
        format!(
            "{flags}, NO_READ_AHEAD, map of {} GiB, a thread keeps its read transaction until a write",
            MAP_BYTES >> 30
        )
    },
};

/// Address space for the file, and the most that it can hold. With `WRITE_MAP` the file has this length at once, as a hole.
const MAP_BYTES: usize = 16 << 30;
/// Read transactions at one time.
const READERS: u32 = 1_024;

type Entries = Database<'static, Bytes, Bytes>;

struct Lmdb {
    state: AdapterState,
    env: Env<WithoutTls>,
    entries: Entries,
    views: ThreadViews<RoTxn<'static, WithoutTls>>,
}

impl Lmdb {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let durability = config.durability.max(Durability::Buffered);
        let state = AdapterState::new(directory, durability).without_empty_keys();
        let env = open_env(directory, durability).map_err(state.failed("open"))?;
        let entries = create_entries(&env).map_err(state.failed("open"))?;
        let state = state.with_longest_key(env.max_key_size());
        Ok(Self { state, env, entries, views: ThreadViews::new() })
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> heed::Result<bool> {
        let begin = |_| self.env.clone().static_read_txn();
        self.views.read(begin, |txn| {
            let value = self.entries.get(txn, key)?;
            value.inspect(|value| found(value));
            Ok(value.is_some())
        })
    }

    fn apply(&self, batch: &WriteBatch) -> heed::Result<()> {
        let mut txn = self.env.write_txn()?;
        for op in batch.ops() {
            match op {
                Op::Delete { key } => drop(self.entries.delete(&mut txn, key)?),
                _ => self.entries.put(&mut txn, op.key(), op.value())?,
            }
        }
        txn.commit()?;
        self.views.invalidate();
        Ok(())
    }
}

#[expect(unsafe_code, reason = "heed has no other way to open an environment")]
fn open_env(directory: &Path, durability: Durability) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_readers(READERS);
    let mut flags = EnvFlags::NO_READ_AHEAD;
    if durability < Durability::Sync {
        flags |= EnvFlags::NO_SYNC | EnvFlags::WRITE_MAP;
    }
    // SAFETY: `NO_READ_AHEAD` is advice. `NO_SYNC` risks the file at a power cut and nothing else. The directory belongs to
    // one cell of a run and goes away with it. `WRITE_MAP` lets stray writes of this process reach the file: its values are
    // lent as shared slices only, and every value that is read is checked.
    unsafe { options.flags(flags) };
    // SAFETY: the directory was made for this process, and no other process changes the files in it. This one changes
    // them only through LMDB, whose lock file stays in force (no `NO_LOCK`).
    unsafe { options.open(directory) }
}

fn create_entries(env: &Env<WithoutTls>) -> heed::Result<Entries> {
    let txn = env.write_txn()?;
    let created = env.create_databases_and_commit(txn, |opener, txn| {
        opener.create_database::<Bytes, Bytes>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
    })?;
    Ok(created.unwrap_commit())
}

impl Kv for Lmdb {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        if !self.state.can_hold(key) {
            return Ok(false);
        }
        self.get(key, found).map_err(self.state.failed("read"))
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.state.write(batch, || self.apply(batch))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        let txn = self.env.clone().static_read_txn().map_err(self.state.failed("read"))?;
        let view = LmdbView { txn, entries: self.entries, path: self.env.path().into() };
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.env.force_sync())
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.env.force_sync())
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default().with("newest_transaction", Unit::Count, self.env.info().last_txn_id as u64)
    }
}

struct LmdbView {
    txn: RoTxn<'static, WithoutTls>,
    entries: Entries,
    path: PathBuf,
}

impl LmdbView {
    fn try_copy(&self, request: StretchRequest<'_>, into: &mut Copied) -> heed::Result<()> {
        let bounds = (request.start, request.end);
        match request.direction {
            Direction::Forward => {
                push(self.entries.range(&self.txn, &bounds)?, request.wanted, into)
            }
            Direction::Backward => {
                push(self.entries.rev_range(&self.txn, &bounds)?, request.wanted, into)
            }
        }
    }
}

fn push<'t>(
    entries: impl Iterator<Item = heed::Result<(&'t [u8], &'t [u8])>>,
    wanted: usize,
    into: &mut Copied,
) -> heed::Result<()> {
    for entry in entries.take(wanted) {
        let (key, value) = entry?;
        into.push(key, value);
    }
    Ok(())
}

impl View for LmdbView {
    const KEEPS_ITERATOR: bool = false;

    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()> {
        self.try_copy(request, into).map_err(|error| failure("read", &self.path, &error))
    }
}
