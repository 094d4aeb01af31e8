//! Opening a store whose manifest was replaced.
//!
//! The invariant for bytes without right sums is that of any damage to a closed store: the store opens and holds the entries
//! that were written, or is refused. A manifest with right sums can say anything. The invariant then: opening, reading,
//! verifying and closing never panic, hang, or take memory without bound.
//!
//! The first byte of an input decides: 0 the rest is the file `MANIFEST-*`; 1 a part of the right one, and the rest
//! behind it; 2 its records, changed at some places and followed by more edits, all with right sums; 3 changes to the
//! headers, with right sums. The encoding here is made from the tables in `durable::manifest`.

use bitcask::Bitcask;
use durable::{SimFs, crc32, seeded_crc32};
use kv::Kv;

use super::fixture::{CLOSED, Fixture, open};
use super::input::{Input, flip};
use super::model::scan;
use super::store::judge;

const CURRENT: &str = "CURRENT";
pub(super) const MANIFEST: &str = "MANIFEST-";
const HEADER_LEN: usize = 64;
const RECORD_HEADER_LEN: usize = 24;
/// The sums of headers are behind this many bytes.
const SUMMED_LEN: usize = 60;
/// Where `CURRENT` has the number of the edit that it proves, and the sum of the snapshot.
const PROVEN_EDIT_AT: usize = 48;
const SNAPSHOT_SUM_AT: usize = 56;

/// Opens the store with the manifest that `data` describes.
///
/// # Panics
/// When the invariant is broken.
pub fn run(data: &[u8]) {
    let fixture = &*CLOSED;
    let disk = fixture.disk.duplicate();
    let mut input = Input::new(data);
    match input.byte().unwrap_or_default() % 4 {
        0 => {
            disk.set_contents(&fixture.file(MANIFEST), input.rest().to_vec());
            judge(&disk, &fixture.model);
        }
        1 => {
            let mut bytes = fixture.bytes(MANIFEST);
            bytes.truncate(input.number().unwrap_or_default());
            bytes.extend_from_slice(input.rest());
            disk.set_contents(&fixture.file(MANIFEST), bytes);
            judge(&disk, &fixture.model);
        }
        2 => {
            forge_records(fixture, &disk, input);
            survive(&disk);
        }
        _ => {
            forge_headers(fixture, &disk, input);
            survive(&disk);
        }
    }
}

/// Opens, reads, verifies, writes and closes the store, twice. Every error is allowed.
pub(super) fn survive(disk: &SimFs) {
    for opening in 10..12 {
        let Ok((engine, executor)) = open(disk, opening, false) else { return };
        drop(read_all(&engine));
        drop(engine.verify());
        drop(engine.put(b"one more", b"value", kv::Durability::Sync));
        executor.run_all();
        drop(engine.close());
    }
}

fn read_all(engine: &Bitcask) -> kv::Result<()> {
    for key in CLOSED.model.keys() {
        drop(engine.get(key)?);
    }
    scan(engine, &mut |_, _| ())
}

/// A record of the manifest.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) edit_number: u64,
    pub(super) payload: Vec<u8>,
}

/// The records of a generation that is whole.
pub(super) fn records(generation: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut rest = &generation[HEADER_LEN..];
    while let Some(head) = rest.first_chunk::<RECORD_HEADER_LEN>() {
        let payload_len = u64_at(head, 0) >> 32;
        let end = RECORD_HEADER_LEN + usize::try_from(payload_len).expect("it is 32 bits");
        let payload = rest[RECORD_HEADER_LEN..end].to_vec();
        records.push(Record { kind: head[16], edit_number: u64_at(head, 8), payload });
        rest = rest.get(end.next_multiple_of(8)..).unwrap_or_default();
    }
    records
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|place| bytes[at + place]))
}

/// Appends `record` to `generation`, with the sum that belongs to `current`.
fn append(current: &[u8], generation: &mut Vec<u8>, record: &Record) {
    let start = generation.len();
    let salt = seeded_crc32(crc32(&current[16..32]), &current[32..40]);
    let len = u32::try_from(record.payload.len()).expect("inputs are short");
    let mut summed = len.to_le_bytes().to_vec();
    summed.extend_from_slice(&record.edit_number.to_le_bytes());
    summed.extend_from_slice(&u64::from(record.kind).to_le_bytes());
    summed.extend_from_slice(&record.payload);
    summed.resize((RECORD_HEADER_LEN + record.payload.len()).next_multiple_of(8) - 4, 0);
    let sum = seeded_crc32(seeded_crc32(salt, &(start as u64).to_le_bytes()), &summed);
    generation.extend_from_slice(&sum.to_le_bytes());
    generation.extend_from_slice(&summed);
}

/// Writes the right sum behind a header.
fn sum_header(bytes: &mut [u8]) {
    let sum = crc32(&bytes[..SUMMED_LEN]);
    bytes[SUMMED_LEN..HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
}

/// A number of changes, each of record, place and bits, where bits of zero cut the payload there; then edits, each with
/// its length before it.
fn forge_records(fixture: &Fixture, disk: &SimFs, mut input: Input<'_>) {
    let mut records = records(&fixture.bytes(MANIFEST));
    for _ in 0..input.byte().unwrap_or_default() % 32 {
        let (Some(which), Some(at), Some(xor)) = (input.byte(), input.number(), input.byte())
        else {
            break;
        };
        let which = usize::from(which) % records.len();
        let payload = &mut records[which].payload;
        if xor == 0 {
            payload.truncate(at);
        } else {
            flip(payload, at, xor);
        }
    }
    while let Some(len) = input.byte() {
        let edit_number = records[records.len() - 1].edit_number + 1;
        let payload = input.bytes(usize::from(len)).to_vec();
        records.push(Record { kind: 2, edit_number, payload });
    }
    write_generation(fixture, disk, &records);
}

pub(super) fn write_generation(fixture: &Fixture, disk: &SimFs, records: &[Record]) {
    let mut current = fixture.bytes(CURRENT);
    let mut generation = fixture.bytes(MANIFEST);
    generation.truncate(HEADER_LEN);
    for record in records {
        append(&current, &mut generation, record);
    }
    let snapshot_sum = &generation[HEADER_LEN..HEADER_LEN + 4];
    current[SNAPSHOT_SUM_AT..SUMMED_LEN].copy_from_slice(snapshot_sum);
    let proven = records[0].edit_number.to_le_bytes();
    current[PROVEN_EDIT_AT..SNAPSHOT_SUM_AT].copy_from_slice(&proven);
    sum_header(&mut current);
    disk.set_contents(&fixture.file(CURRENT), current);
    disk.set_contents(&fixture.file(MANIFEST), generation);
}

/// Changes, each of file, place and bits. With a file of 2 the same change is made to both headers, which have most
/// fields in common.
fn forge_headers(fixture: &Fixture, disk: &SimFs, mut input: Input<'_>) {
    let mut headers = [CURRENT, MANIFEST].map(|name| fixture.bytes(name));
    while let (Some(which), Some(at), Some(xor)) = (input.byte(), input.byte(), input.byte()) {
        for (number, header) in headers.iter_mut().enumerate() {
            if which % 3 == 2 || usize::from(which % 3) == number {
                flip(&mut header[..SUMMED_LEN], usize::from(at), xor);
            }
        }
    }
    for (name, mut header) in [CURRENT, MANIFEST].into_iter().zip(headers) {
        sum_header(&mut header);
        disk.set_contents(&fixture.file(name), header);
    }
}
