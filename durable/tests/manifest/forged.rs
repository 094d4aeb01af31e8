//! Files whose checksums are right and whose content is not. They come from a writer with a bug, or from somebody who
//! means harm; written here from the tables, not with the code under test.

use std::path::Path;

use durable::manifest::{Manifest, State};
use durable::{Fs as _, SimFs, crc32};
use kv::{Error, Result};

use crate::basics::{ID, STORE, add, reopen, store};
use crate::toy::{Edit, Toy};

/// A record before it is framed.
#[derive(Clone, Debug)]
struct Draft {
    kind: u8,
    edit_number: u64,
    payload: Vec<u8>,
    /// The first reserved byte.
    reserved: u8,
}

/// A store before it is written: what a forger can change, and the sums are made afterwards.
#[derive(Clone, Debug)]
struct Forgery {
    current: [u8; 60],
    header: [u8; 60],
    records: Vec<Draft>,
    /// Added to the sum of the snapshot in `CURRENT`.
    snapshot_sum_error: u32,
}

impl Forgery {
    /// A store in order: one snapshot, two edits.
    fn honest() -> Self {
        let mut block = [0; 60];
        block[7] = 1;
        block[8] = 2;
        block[10] = 200;
        block[16..32].copy_from_slice(&ID.0);
        block[32] = 1;
        block[40] = 1;
        let (mut current, mut header) = (block, block);
        current[..7].copy_from_slice(b"KVCURRT");
        header[..7].copy_from_slice(b"KVMANIF");
        let mut snapshot = Vec::new();
        Toy::default().encode_state(&mut snapshot);
        let records = vec![
            Draft { kind: 1, edit_number: 0, payload: snapshot, reserved: 0 },
            edit(1, &add(1)),
            edit(2, &add(2)),
        ];
        Self { current, header, records, snapshot_sum_error: 0 }
    }

    /// Sets all copies of a field: in `CURRENT` and in the header.
    fn set(&mut self, at: usize, bytes: &[u8]) {
        self.current[at..at + bytes.len()].copy_from_slice(bytes);
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|byte| self.header[at + byte]))
    }

    fn write(mut self) -> SimFs {
        let mut file = sealed(self.header);
        for draft in &self.records {
            let record = draft.framed(&self.header[16..40], file.len() as u64);
            if file.len() == 64 {
                let sum = u32::from_le_bytes(std::array::from_fn(|at| record[at]));
                let named = sum.wrapping_add(self.snapshot_sum_error).to_le_bytes();
                self.current[56..60].copy_from_slice(&named);
            }
            file.extend(record);
        }
        let disk = SimFs::new();
        let dir = Path::new(STORE);
        disk.create_dir(dir).unwrap();
        let generation = u64::from_le_bytes(std::array::from_fn(|byte| self.current[32 + byte]));
        disk.set_contents(&dir.join(format!("MANIFEST-{generation:06}")), file);
        disk.set_contents(&dir.join("CURRENT"), sealed(self.current));
        disk.duplicate()
    }
}

impl Draft {
    /// The record at `offset` of the file whose header has `store_and_generation`.
    fn framed(&self, store_and_generation: &[u8], offset: u64) -> Vec<u8> {
        let mut body = (self.payload.len() as u32).to_le_bytes().to_vec();
        body.extend(self.edit_number.to_le_bytes());
        body.extend([self.kind, self.reserved, 0, 0, 0, 0, 0, 0]);
        body.extend(&self.payload);
        body.resize((body.len() + 4).next_multiple_of(8) - 4, 0);
        let summed = [store_and_generation, &offset.to_le_bytes(), &body].concat();
        [&crc32(&summed).to_le_bytes()[..], &body].concat()
    }
}

fn edit(edit_number: u64, edit: &Edit) -> Draft {
    let mut payload = Vec::new();
    Toy::encode_edit(edit, &mut payload);
    Draft { kind: 2, edit_number, payload, reserved: 0 }
}

fn sealed(block: [u8; 60]) -> Vec<u8> {
    [&block[..], &crc32(&block).to_le_bytes()].concat()
}

/// What reading a forgery says, in which nothing is touched.
fn read(forge: impl FnOnce(&mut Forgery)) -> Result<Toy> {
    let mut forgery = Forgery::honest();
    forge(&mut forgery);
    let disk = forgery.write();
    let store = store(&disk);
    let locked = disk.ops();
    let found = Manifest::read(&store).map(durable::manifest::LoadedManifest::into_state);
    assert_eq!(disk.ops(), locked);
    found
}

#[track_caller]
fn assert_corrupt(what: &str, forge: impl FnOnce(&mut Forgery)) {
    match read(forge) {
        Err(Error::Corruption { what: told, .. }) => assert!(told.contains(what), "{told}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn assert_refused(what: &str, forge: impl FnOnce(&mut Forgery)) {
    match read(forge) {
        Err(Error::InvalidArgument(told)) => assert!(told.contains(what), "{told}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn the_tables_are_all_there_is_to_writing_a_store() {
    assert_eq!(read(|_| ()).unwrap().files, [(1, 10), (2, 20)].into());
}

#[test]
fn a_store_of_somebody_else_or_of_the_future_is_refused_as_such() {
    assert_refused("framing 3", |forgery| forgery.set(7, &[3]));
    assert_refused("engine 201", |forgery| forgery.set(10, &[201]));
    assert_refused("format 3", |forgery| forgery.set(8, &[3]));
    assert_refused("0x1", |forgery| forgery.header[48] = 1);
    assert!(read(|forgery| forgery.header[48] = 4).is_ok(), "a feature that the toy knows");
    assert!(read(|forgery| forgery.header[52] = 1).is_ok(), "an optional feature");
}

#[test]
fn a_header_that_makes_no_sense_is_damage() {
    assert_corrupt("reserved", |forgery| forgery.set(7, &[0]));
    assert_corrupt("reserved", |forgery| forgery.header[56] = 1);
    for at in 11..16 {
        assert_corrupt("reserved", |forgery| forgery.set(at, &[1]));
    }
    assert_corrupt("magic", |forgery| forgery.current[..7].copy_from_slice(b"KVMANIF"));
    assert_corrupt("magic", |forgery| forgery.header[..7].copy_from_slice(b"KVCURRT"));
}

#[test]
fn a_header_that_differs_from_current_is_damage() {
    for at in [8, 10, 16, 31, 32, 39, 40, 47] {
        assert_corrupt("than CURRENT names", |forgery| forgery.header[at] ^= 1);
    }
    assert_corrupt("not the one that CURRENT names", |forgery| forgery.snapshot_sum_error = 1);
    assert_corrupt("CURRENT knows of 3", |forgery| forgery.current[48] = 3);
    assert!(read(|forgery| forgery.current[48] = 2).is_ok());
}

#[test]
fn records_out_of_order_are_damage() {
    let out = "out of order";
    assert_corrupt(out, |forgery| forgery.records[1].edit_number = 2);
    assert_corrupt(out, |forgery| forgery.records[2].edit_number = 1);
    assert_corrupt(out, |forgery| forgery.records[2].edit_number = 0);
    assert_corrupt(out, |forgery| forgery.records[0].kind = 2);
    assert_corrupt(out, |forgery| forgery.records[2].kind = 1);
    assert_corrupt(out, |forgery| {
        let snapshot = forgery.records[0].clone();
        forgery.records.push(Draft { edit_number: 3, ..snapshot });
    });
    assert_corrupt("snapshot", |forgery| forgery.records.clear());
}

#[test]
fn payloads_that_make_no_sense_are_damage() {
    assert_corrupt("is there already", |forgery| forgery.records.push(edit(3, &add(1))));
    for record in 0..3 {
        assert_corrupt("behind the last field", |forgery| forgery.records[record].payload.push(0));
        assert_corrupt("", |forgery| {
            let payload = &mut forgery.records[record].payload;
            payload.truncate(payload.len() - 1);
        });
    }
    assert_corrupt("unknown kind", |forgery| forgery.records[1].payload[0] = 99);
    assert_corrupt("items", |forgery| forgery.records[0].payload[0] = 0x7f);
}

#[test]
fn a_record_of_an_unknown_kind_counts_as_a_bad_one() {
    assert_corrupt("durable record", |forgery| forgery.records[1].kind = 4);
    assert_corrupt("durable record", |forgery| forgery.records[1].reserved = 1);
    assert_eq!(read(|forgery| forgery.records[2].kind = 4).unwrap().files.len(), 1);
}

#[test]
fn a_list_of_edits_that_makes_no_sense_is_damage() {
    let list = |number: u64, payload: &[u8]| {
        let payload = payload.to_vec();
        move |forgery: &mut Forgery| {
            forgery.records[2] = Draft { kind: 3, edit_number: number, payload, reserved: 0 };
        }
    };
    let notes = |count: u8| [&[count][..], &[3, 3, 1, b'a'].repeat(count.into())].concat();
    assert_eq!(read(list(3, &notes(2))).unwrap().note, "a");
    assert_corrupt("out of order", list(2, &notes(2)));
    assert_corrupt("out of order", list(4, &notes(2)));
    assert_corrupt("fewer than two", list(2, &notes(1)));
    assert_corrupt("fewer than two", list(1, &notes(0)));
    assert_corrupt("behind the last field", list(3, &[notes(2), vec![0]].concat()));
    assert_corrupt("items", list(101, &[100, 0]));
    assert_corrupt("behind the last field", list(3, &[2, 4, 3, 1, b'a', 0, 3, 3, 1, b'a']));
}

#[test]
fn numbers_at_their_limit_are_an_error_and_not_a_wrap() {
    for at in [32, 40] {
        let mut forgery = Forgery::honest();
        forgery.set(at, &u64::MAX.to_le_bytes());
        assert_eq!(forgery.number(at), u64::MAX);
        assert!(reopen(&forgery.write()).unwrap_err().is_corruption());
    }
    let mut forgery = Forgery::honest();
    forgery.records.truncate(1);
    forgery.records[0].edit_number = u64::MAX;
    let manifest = reopen(&forgery.write()).unwrap();
    assert!(manifest.append(&add(1)).unwrap_err().is_corruption());
    assert_eq!(manifest.state().files.len(), 0);
}
