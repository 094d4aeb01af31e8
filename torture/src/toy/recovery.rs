//! Opening a store: finding the log that counts, its good frames, and beginning the next log.
//!
//! A frame that fails its check is damage if a later frame says that this place was durable when that frame was written. If
//! no later frame says so, it is a torn tail. A log that `CURRENT` calls closed has no tail.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::store_dir::{OpenMode, StoreDir};
use durable::{Entry, EntryKind, Env, Fs, copy_whole};
use kv::memory::MemoryEngine;
use kv::{
    Direction, Durability, Entries, Error, KeyRange, Kv as _, Result, SequenceNumber, WriteBatch,
};

use super::bug::Bug;
use super::commit::State;
use super::format::{self, Current, HEADER, LogId};
use super::log::{self, Log};

/// The content that opening found, in a new log.
pub(super) struct Opened {
    pub(super) memory: MemoryEngine,
    pub(super) log: Log,
    pub(super) newest: SequenceNumber,
    /// The locked directory.
    pub(super) held: StoreDir,
}

/// The content of a log.
#[derive(Default)]
struct Read {
    memory: MemoryEngine,
    newest: SequenceNumber,
    /// Where the last good frame ends.
    end: usize,
}

pub(super) fn open(env: &Env, dir: &Path, bug: Option<Bug>) -> Result<Opened> {
    let fs = &*env.fs;
    fs.create_dir(dir)?;
    let held = match bug {
        Some(Bug::Unlocked) => StoreDir::open(Arc::clone(&env.fs), dir, OpenMode::Read)?,
        _ => StoreDir::open_after_leftovers(&env.fs, dir, OpenMode::Create, &*env.clock)?,
    };
    let listed = fs.list(dir)?;
    if bug != Some(Bug::NamesNotSyncedAtOpening) {
        // The process before this one may have died between renaming CURRENT and making the name durable.
        fs.sync_dir(dir)?;
    }
    let Some(current) = current(fs, dir, &listed)? else {
        let id = LogId { store: env.entropy.next_u64(), number: 1 };
        return begin_empty(fs, dir, id, held);
    };
    check_strays(fs, dir, &listed, bug)?;
    let unknown = listed.iter().filter_map(|entry| log::number_of(&entry.name)).max();
    let unknown = unknown.filter(|latest| (current.id.number + 1..1 << 40).contains(latest));
    if let (Some(Bug::StartsOverAtUnknownLog), Some(latest)) = (bug, unknown) {
        return begin_empty(fs, dir, LogId { number: latest + 1, ..current.id }, held);
    }
    recover(fs, dir, &listed, &current, held, bug)
}

/// An empty store with the log `id`.
fn begin_empty(fs: &dyn Fs, dir: &Path, id: LogId, held: StoreDir) -> Result<Opened> {
    let (memory, newest) = (MemoryEngine::new(), SequenceNumber::ZERO);
    let log = begin_log(fs, dir, id, &memory, newest)?;
    log.write_current(fs, false)?;
    Ok(Opened { memory, log, newest, held })
}

/// Entries that the store does not know are no concern of it, unless a bug makes them one.
fn check_strays(fs: &dyn Fs, dir: &Path, listed: &[Entry], bug: Option<Bug>) -> Result<()> {
    let latest = listed.iter().filter_map(|entry| log::number_of(&entry.name)).max();
    if bug == Some(Bug::LargeNumbersRefused) && latest > Some(1 << 40) {
        return Err(Error::InvalidArgument("a number is too large".into()));
    }
    if bug != Some(Bug::ForeignFilesRemoved) {
        return Ok(());
    }
    let is_known =
        |name: &str| log::number_of(name).is_some() || ["CURRENT", "LOCK"].contains(&name);
    let files = listed.iter().filter(|entry| entry.kind == EntryKind::File);
    let mut foreign = files.filter(|entry| !is_known(&entry.name));
    foreign.try_for_each(|entry| fs.remove(&dir.join(&entry.name)))
}

/// Reads the log that `current` names, and begins the next one.
fn recover(
    fs: &dyn Fs,
    dir: &Path,
    listed: &[Entry],
    current: &Current,
    held: StoreDir,
    bug: Option<Bug>,
) -> Result<Opened> {
    let path = log::path(dir, current.id.number);
    if !listed.iter().any(|entry| log::number_of(&entry.name) == Some(current.id.number)) {
        return Err(Error::corruption(path, 0, "the log that CURRENT names is missing"));
    }
    let bytes = contents(fs, &path)?;
    let Read { memory, newest, end } = read(&path, current, &bytes, bug)?;
    assert!(end <= bytes.len(), "a frame ends inside of its log");
    let newest = if bug == Some(Bug::NumbersRestart) { SequenceNumber::ZERO } else { newest };
    let continues = bug == Some(Bug::TornTailKept) && end < bytes.len();
    if continues || bug == Some(Bug::ServesWhatIsNotDurable) {
        let log = Log::resume(fs, dir, current.id, &bytes[..end])?;
        return Ok(Opened { memory, log, newest, held });
    }
    let id = LogId { number: current.id.number + 1, ..current.id };
    let log = begin_log(fs, dir, id, &memory, newest)?;
    log.write_current(fs, false)?;
    let is_file = |entry: &&Entry| entry.kind == EntryKind::File;
    for number in listed.iter().filter(is_file).filter(|_| bug != Some(Bug::OrphansKept)) {
        let number = log::number_of(&number.name).filter(|number| *number != id.number);
        number.map_or(Ok(()), |number| fs.remove(&log::path(dir, number)))?;
    }
    Ok(Opened { memory, log, newest, held })
}

/// The content of `CURRENT`. `None`: there is no store yet.
fn current(fs: &dyn Fs, dir: &Path, listed: &[Entry]) -> Result<Option<Current>> {
    let path = dir.join("CURRENT");
    if listed.iter().any(|entry| entry.name == "CURRENT") {
        let current = Current::parse(&contents(fs, &path)?);
        let broken = || Error::corruption(&path, 0, "it is not what was written");
        return current.map(Some).ok_or_else(broken);
    }
    // A crash during the very first opening leaves the first log without a frame of data, and nothing else.
    for number in listed.iter().filter_map(|entry| log::number_of(&entry.name)) {
        let log = log::path(dir, number);
        if number > 1 || fs.open(&log)?.len()? > HEADER as u64 {
            return Err(Error::corruption(&path, 0, "it is missing, and there are logs"));
        }
    }
    Ok(None)
}

fn contents(fs: &dyn Fs, path: &Path) -> Result<Vec<u8>> {
    copy_whole(&*fs.open(path)?)
}

fn read(path: &Path, current: &Current, bytes: &[u8], bug: Option<Bug>) -> Result<Read> {
    let damaged = |at: usize, what: &str| Err(Error::corruption(path, at as u64, what));
    let checks = bug != Some(Bug::ChecksumsIgnored);
    if let Some((len, sum)) = current.closed.filter(|_| checks)
        && (len != bytes.len() as u64 || sum != durable::crc32(bytes))
    {
        return damaged(0, "it is not as long, or not the same, as when the store was closed");
    }
    let mut read = Read::default();
    while let Some(frame) = format::parse(current.id, bytes, read.end, checks) {
        apply(&read.memory, &frame.batch, bug)?;
        (read.newest, read.end) = (frame.sequence, frame.end);
    }
    if read.end == bytes.len() && read.end > 0 {
        return Ok(read);
    }
    if read.end == 0 {
        return damaged(0, "its first frame fails its check");
    }
    let later = (read.end + 1..bytes.len())
        .filter_map(|offset| format::parse(current.id, bytes, offset, true))
        .any(|frame| frame.durable > read.end as u64);
    if later && bug != Some(Bug::DamageTakenForTornTail) {
        return damaged(
            read.end,
            "a frame fails its check, and later ones were written after a sync",
        );
    }
    Ok(read)
}

fn apply(memory: &MemoryEngine, batch: &WriteBatch, bug: Option<Bug>) -> Result<()> {
    if bug != Some(Bug::DeletesForgotten) {
        return memory.write(batch, Durability::None).map(drop);
    }
    let mut puts = WriteBatch::new();
    for op in batch.ops().filter(|op| !matches!(op, kv::Op::Delete { .. })) {
        puts.put(op.key(), op.value());
    }
    memory.write(&puts, Durability::None).map(drop)
}

/// A log with all entries of `memory` in its first frame, durable under its name.
fn begin_log(
    fs: &dyn Fs,
    dir: &Path,
    id: LogId,
    memory: &MemoryEngine,
    newest: SequenceNumber,
) -> Result<Log> {
    let mut log = Log::create(fs, dir, id)?;
    let mut all = WriteBatch::new();
    for entry in Entries::new(memory.scan(KeyRange::all())?, Direction::Forward) {
        let (key, value) = entry?;
        all.put(&key, &value);
    }
    let frame = format::frame(&log, newest, &all.ops().collect::<Vec<_>>());
    log.append(&frame)?;
    log.file().sync()?;
    log.note_durable(log.end());
    assert_eq!(log.durable(), log.end(), "a log begins with a durable frame");
    fs.sync_dir(dir)?;
    Ok(log)
}

/// A log that a compaction has begun and `CURRENT` does not name yet.
///
/// # Errors
/// Nothing has changed, and no file is left unless it cannot be removed: then the next opening removes it.
pub(super) fn next_log(env: &Env, dir: &Path, memory: &MemoryEngine, state: &State) -> Result<Log> {
    let fs = &*env.fs;
    let id = LogId { number: state.log.id().number + 1, ..state.log.id() };
    let begun = begin_log(fs, dir, id, memory, state.newest).and_then(|log| {
        log.prepare_current(fs, false)?;
        Ok(log)
    });
    begun.inspect_err(|_| {
        drop(fs.remove(&log::path(dir, id.number)));
        drop(fs.remove(&dir.join(log::TEMPORARY)));
    })
}

/// The end of a compaction: `CURRENT` names `next`, and the old log is gone.
pub(super) fn change_to(env: &Env, dir: &Path, next: &Log, state: &State) -> Result<()> {
    let fs = &*env.fs;
    let old = log::path(dir, state.log.id().number);
    assert!(next.id().number > state.log.id().number, "logs are numbered in their order");
    if state.has(Bug::OldLogRemovedFirst) {
        fs.remove(&old)?;
        return next.swap_current(fs);
    }
    next.swap_current(fs)?;
    fs.remove(&old)
}

/// The logs and temporary files in the directory that do not belong to the store whose log has the number `live`.
pub(super) fn orphans(fs: &dyn Fs, dir: &Path, live: u64) -> Result<Vec<PathBuf>> {
    let is_orphan = |name: &str| {
        name == log::TEMPORARY || log::number_of(name).is_some_and(|number| number != live)
    };
    let entries = fs.list(dir)?.into_iter().filter(|entry| is_orphan(&entry.name));
    Ok(entries.map(|entry| dir.join(entry.name)).collect())
}
