//! The expected content of a store, in a file that one process writes and the next one reads.
//!
//! | offset | width | field, little-endian |
//! |---|---|---|
//! | 0 | 4 | capacity: how many ids there can be |
//! | 4 | 4 | count: how many are in use |
//! | 8 + 8 id | 4 | version of the last write to `id`, times two, plus one if it was a put |
//! | 12 + 8 id | 4 | size of the value in bytes |
//!
//! The file is written without a large buffer: the memory of the writer may be limited.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use crate::failure::{Failure, Outcome};
use crate::model::{KeyState, Model};

/// Two numbers of four bytes.
type Entry = [u8; 8];

/// Writes the content that `model` expects to the file at `path`.
pub(super) fn write(path: &Path, model: &Model) -> Outcome<()> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        assert!(model.in_use() <= model.capacity(), "an id in use is one that there can be");
        file.write_all(&entry(model.capacity(), model.in_use()))?;
        for id in 0..model.in_use() {
            file.write_all(&entry(model.state(id).to_bits(), model.value_bytes(id)))?;
        }
        debug_assert_eq!(model.states().len(), model.capacity() as usize, "each id has a state");
        file.flush()
    };
    write().map_err(|error| Failure::io("write", path, &error))
}

/// Reads the model from the file at `path`.
pub(super) fn read(path: &Path) -> Outcome<Model> {
    let read = || {
        let mut file = BufReader::new(File::open(path)?);
        let (capacity, count) = numbers(next(&mut file)?);
        if count > capacity {
            return Err(std::io::Error::from(ErrorKind::InvalidData));
        }
        let mut known = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (state, value_bytes) = numbers(next(&mut file)?);
            known.push((KeyState::from_bits(state), value_bytes));
        }
        assert_eq!(known.len(), count as usize, "the file had every entry");
        Ok(Model::of_states(capacity, &known))
    };
    read().map_err(|error| Failure::io("read", path, &error))
}

fn next(file: &mut impl Read) -> std::io::Result<Entry> {
    let mut entry = Entry::default();
    file.read_exact(&mut entry).map(|()| entry)
}

fn entry(first: u32, second: u32) -> Entry {
    let entry = (u64::from(second) << 32 | u64::from(first)).to_le_bytes();
    debug_assert_eq!(numbers(entry), (first, second), "an entry reads back");
    entry
}

fn numbers(entry: Entry) -> (u32, u32) {
    let both = u64::from_le_bytes(entry);
    (both as u32, (both >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1-1.expected");
        let mut model = Model::new(5);
        model.write(0, KeyState::new(1, true), 100);
        model.write(2, KeyState::new(7, true), 12);
        model.write(2, KeyState::new(u32::MAX >> 1, false), 0);
        write(&path, &model).unwrap();
        let found = read(&path).unwrap();
        assert_eq!((found.capacity(), found.in_use()), (5, 3));
        for id in 0..5 {
            let of = |model: &Model| (model.state(id), model.value_bytes(id));
            assert_eq!(of(&found), of(&model), "{id}");
        }
    }

    #[test]
    fn a_file_that_is_cut_or_counts_too_much_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1-1.expected");
        write(&path, &Model::of_states(2, &[(KeyState::new(1, true), 100)])).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path).unwrap_err().text.contains("1-1.expected"), "{cut}");
        }
        std::fs::write(&path, [entry(1, 2), entry(1, 100), entry(1, 100)].concat()).unwrap();
        assert!(read(&path).is_err());
    }
}
