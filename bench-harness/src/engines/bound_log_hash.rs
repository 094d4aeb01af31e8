//! `bound:log+hash`: the floor for every hash engine on a log. A batch is appended with one `write(2)`, a get reads with one
//! `pread`, and a hash map has the place of each value.
//!
//! It leaves out the costs of a real engine: no checksum, no merge, no hint, no group commit, space is never given back.
//! It does honour `Sync`, with one `fdatasync` a batch, so that it bounds durable writes as well.
//!
//! | field of a log record | width | |
//! |---|---|---|
//! | key length | 2 | little-endian |
//! | value length | 4 | little-endian; all ones: the key was removed |
//! | key, value | | |

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::{
    Bytes, Capabilities, Cursor, Durability, Error, KeyRange, Kv, Op, Result, ScanSupport,
    SequenceNumber, Stats, Unit, WriteBatch,
};
use parking_lot::{Mutex, RwLock};

use super::Registration;
use super::sorted_cursor::SortedCursor;
use crate::random::mix;

pub(super) const REGISTRATION: Registration = Registration {
    name: "bound:log+hash",
    about: "yardstick: one write(2) a put, one pread a get, a hash map; no checksums, no merge",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |directory, _| Ok(Box::new(BoundLogHash::open(directory)?)),
    settings: |_| "no cache; the hash map takes what it takes".into(),
};

const HEADER_BYTES: usize = 6;
const REMOVED: u32 = u32::MAX;

/// Where a value lies in the log.
#[derive(Clone, Copy)]
struct Location {
    offset: u64,
    len: u32,
}

type Directory = HashMap<Box<[u8]>, Location, BuildHasherDefault<FastHasher>>;

struct BoundLogHash {
    path: PathBuf,
    log: Arc<File>,
    directory: RwLock<Directory>,
    tail: Mutex<Tail>,
}

/// The end of the log, and the memory that a batch is put together in.
#[derive(Default)]
struct Tail {
    offset: u64,
    newest: SequenceNumber,
    buffer: Vec<u8>,
}

impl BoundLogHash {
    fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("log");
        let mut options = File::options();
        let log = options.create(true).truncate(false).read(true).write(true).open(&path);
        let log = log.map_err(|error| Error::io("open", &path, error))?;
        let (known, offset) = recover(&log).map_err(|error| Error::io("read", &path, error))?;
        Ok(Self {
            path,
            log: Arc::new(log),
            directory: RwLock::new(known),
            tail: Mutex::new(Tail { offset, ..Tail::default() }),
        })
    }

    fn io_error(&self, op: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = self.path.clone();
        move |error| Error::io(op, path, error)
    }
}

/// Reads the log from its start; a torn record ends it.
fn recover(log: &File) -> std::io::Result<(Directory, u64)> {
    let mut known = Directory::default();
    let len = log.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 18, log);
    let mut offset = 0;
    let mut header = [0; HEADER_BYTES];
    let mut key = Vec::new();
    while offset + HEADER_BYTES as u64 <= len {
        reader.read_exact(&mut header)?;
        let [k0, k1, v0, v1, v2, v3] = header;
        let value_len = u32::from_le_bytes([v0, v1, v2, v3]);
        key.resize(usize::from(u16::from_le_bytes([k0, k1])), 0);
        let value_at = offset + HEADER_BYTES as u64 + key.len() as u64;
        let end = value_at + if value_len == REMOVED { 0 } else { u64::from(value_len) };
        if end > len {
            break;
        }
        reader.read_exact(&mut key)?;
        if value_len == REMOVED {
            known.remove(&key[..]);
        } else {
            known.insert(key[..].into(), Location { offset: value_at, len: value_len });
            reader.seek_relative(i64::from(value_len))?;
        }
        offset = end;
    }
    Ok((known, offset))
}

impl Kv for BoundLogHash {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        thread_local!(static VALUE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        let location = self.directory.read().get(key).copied();
        let Some(location) = location else { return Ok(false) };
        VALUE.with_borrow_mut(|value| {
            read_value(&self.log, location, value).map_err(self.io_error("read"))?;
            found(value);
            Ok(true)
        })
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let mut tail = self.tail.lock();
        tail.buffer.clear();
        for op in batch.ops() {
            let value_len = match op {
                Op::Delete { .. } => REMOVED,
                _ => op.value().len() as u32,
            };
            tail.buffer.extend_from_slice(&(op.key().len() as u16).to_le_bytes());
            tail.buffer.extend_from_slice(&value_len.to_le_bytes());
            tail.buffer.extend_from_slice(op.key());
            tail.buffer.extend_from_slice(op.value());
        }
        self.log.write_all_at(&tail.buffer, tail.offset).map_err(self.io_error("append"))?;
        if durability == Durability::Sync {
            self.log.sync_data().map_err(self.io_error("sync"))?;
        }
        let mut directory = self.directory.write();
        for op in batch.ops() {
            tail.offset += (HEADER_BYTES + op.key().len()) as u64;
            let location = Location { offset: tail.offset, len: op.value().len() as u32 };
            tail.offset += op.value().len() as u64;
            match (op, directory.get_mut(op.key())) {
                (Op::Delete { key }, _) => drop(directory.remove(key)),
                (_, Some(known)) => *known = location,
                (_, None) => drop(directory.insert(op.key().into(), location)),
            }
        }
        tail.newest = tail.newest.next();
        Ok(tail.newest)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        let directory = self.directory.read();
        let matching = directory.iter().filter(|(key, _)| range.contains(key));
        let entries = matching.map(|(key, &at)| (Bytes::copy_from_slice(key), at)).collect();
        drop(directory);
        let (log, path) = (Arc::clone(&self.log), self.path.clone());
        Ok(Box::new(SortedCursor::new(entries, move |&location: &Location, value| {
            read_value(&log, location, value).map_err(|error| Error::io("read", &path, error))
        })))
    }

    fn sync(&self) -> Result<()> {
        self.log.sync_data().map_err(self.io_error("sync"))
    }

    fn close(&self) -> Result<()> {
        self.sync()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Sorting, Durability::Sync)
            .with_max_value_len(REMOVED as usize - 1)
    }

    fn stats(&self) -> Stats {
        let entries = self.directory.read().len() as u64;
        let stats = Stats::default().with("entries", Unit::Count, entries);
        stats.with("log", Unit::Bytes, self.tail.lock().offset)
    }
}

fn read_value(log: &File, location: Location, value: &mut Vec<u8>) -> std::io::Result<()> {
    assert!(location.len != REMOVED, "a removed key has no location");
    value.resize(location.len as usize, 0);
    log.read_exact_at(value, location.offset)
}

/// Mixes eight bytes at a time; nobody attacks a yardstick.
#[derive(Default)]
struct FastHasher(u64);

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = mix(self.0 ^ u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_record_is_forgotten_and_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let engine = BoundLogHash::open(directory.path()).unwrap();
        engine.put(b"a", b"1", Durability::Buffered).unwrap();
        engine.put(b"b", b"2", Durability::Buffered).unwrap();
        engine.log.set_len(engine.tail.lock().offset - 1).unwrap();
        let engine = BoundLogHash::open(directory.path()).unwrap();
        assert_eq!(engine.get(b"b").unwrap(), None);
        engine.put(b"c", b"3", Durability::Sync).unwrap();
        let engine = BoundLogHash::open(directory.path()).unwrap();
        assert_eq!(engine.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(engine.get(b"c").unwrap().as_deref(), Some(&b"3"[..]));
    }
}
