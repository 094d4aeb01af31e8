//! Opening a store whose manifest has records of several edits (framing 2).
//!
//! The first byte of an input decides. 0: the edits of the right manifest are grouped into records anew, and each byte of the
//! rest is the number of edits of one record. The invariant: the store opens, and holds and verifies as before. Anything
//! else: records of kind 3 with any payload and right sums follow the right ones, each with a byte for the step of its edit
//! number and a byte for its length. The invariant is that of `manifest` for right sums.

use durable::SimFs;
use kv::Kv;

use super::fixture::{CLOSED, Fixture, open};
use super::input::Input;
use super::manifest::{MANIFEST, Record, records, survive, write_generation};
use super::model::agrees_or_fails;

/// The kind of a record with one edit.
const ONE_EDIT: u8 = 2;
/// The kind of a record with several edits.
const SEVERAL_EDITS: u8 = 3;

/// Opens the store with the manifest that `data` describes.
///
/// # Panics
/// When the invariant is broken.
pub fn run(data: &[u8]) {
    let fixture = &*CLOSED;
    let disk = fixture.disk.duplicate();
    let mut input = Input::new(data);
    if input.byte().unwrap_or_default() == 0 {
        regroup(fixture, &disk, input);
        let (engine, _executor) = open(&disk, 10, false).expect("the manifest says the same");
        agrees_or_fails(&engine, &fixture.model);
        engine.verify().expect("the files are those that the manifest names");
        engine.close().expect("the disk is whole");
    } else {
        forge(fixture, &disk, input);
        survive(&disk);
    }
}

fn regroup(fixture: &Fixture, disk: &SimFs, mut input: Input<'_>) {
    let old = records(&fixture.bytes(MANIFEST));
    let (snapshot, edits) = old.split_first().expect("a manifest begins with a snapshot");
    assert!(edits.iter().all(|edit| edit.kind == ONE_EDIT), "the store writes edits one by one");
    let mut new = vec![snapshot.clone()];
    let mut rest = edits;
    while !rest.is_empty() {
        let count = usize::from(input.byte().unwrap_or(1)).clamp(1, rest.len());
        let (group, after) = rest.split_at(count);
        new.push(joined(group));
        rest = after;
    }
    write_generation(fixture, disk, &new);
}

/// One record with the edits of `group`.
fn joined(group: &[Record]) -> Record {
    if let [alone] = group {
        return alone.clone();
    }
    let mut payload = varint(group.len());
    for edit in group {
        payload.extend(varint(edit.payload.len()));
        payload.extend_from_slice(&edit.payload);
    }
    Record { kind: SEVERAL_EDITS, edit_number: group[group.len() - 1].edit_number, payload }
}

/// `number` in groups of seven bits, the low ones first, with the high bit set in all but the last.
fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number % 0x80) as u8 | 0x80);
        number /= 0x80;
    }
    bytes.push(number as u8);
    bytes
}

fn forge(fixture: &Fixture, disk: &SimFs, mut input: Input<'_>) {
    let mut records = records(&fixture.bytes(MANIFEST));
    while let (Some(step), Some(len)) = (input.byte(), input.byte()) {
        let last = records[records.len() - 1].edit_number;
        let edit_number = last.wrapping_add(u64::from(step));
        let payload = input.bytes(usize::from(len)).to_vec();
        records.push(Record { kind: SEVERAL_EDITS, edit_number, payload });
    }
    write_generation(fixture, disk, &records);
}
