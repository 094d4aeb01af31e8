//! Any damage to the files of a store that was closed cleanly.
//!
//! The invariant: opening the store and reading every key gives the values that were written, or an error that names the
//! damage. Never another value, a missing key without an error, or a panic. A store that still opens also closes, and opens
//! again under the same invariant.
//!
//! An input is a list of corruptions: a byte for the kind (flip, cut, append, copy a part, remove), a byte for the file, and
//! the fields of the kind.

use durable::SimFs;
use kv::{Error, Kv};

use super::fixture::{CLOSED, Fixture, Model, open};
use super::input::{Input, flip};
use super::model::agrees_or_fails;

/// Damages the fixture as `data` describes, and reads it.
///
/// # Panics
/// When the invariant is broken.
pub fn run(data: &[u8]) {
    let fixture = &*CLOSED;
    let disk = fixture.disk.duplicate();
    let mut input = Input::new(data);
    while corrupt(fixture, &disk, &mut input).is_some() {}
    judge(&disk, &fixture.model);
}

/// Applies one corruption. `None`: there are no more.
fn corrupt(fixture: &Fixture, disk: &SimFs, input: &mut Input<'_>) -> Option<()> {
    let (kind, file) = (input.byte()?, input.byte()?);
    let path = &fixture.files[usize::from(file) % fixture.files.len()];
    let mut bytes = disk.contents(path).unwrap_or_default();
    match kind % 5 {
        0 => flip(&mut bytes, input.number()?, input.byte()?),
        1 => bytes.truncate(input.number()?),
        2 => {
            let len = usize::from(input.byte()?);
            bytes.extend_from_slice(input.bytes(len));
        }
        3 => {
            let (from, to) = (input.number()? % 4096, input.number()? % 4096);
            let len = usize::from(input.byte()?);
            let part: Vec<u8> = bytes.iter().skip(from).take(len).copied().collect();
            bytes.iter_mut().skip(to).zip(part).for_each(|(old, new)| *old = new);
        }
        _ => {
            disk.delete(path);
            return Some(());
        }
    }
    disk.set_contents(path, bytes);
    Some(())
}

/// Opens the store on `disk` twice. It must hold the entries of `model` or be refused.
pub(super) fn judge(disk: &SimFs, model: &Model) {
    for opening in 10..12 {
        let engine = match open(disk, opening, false) {
            Ok((engine, _)) => engine,
            Err(error) => return expect_refusal(&error),
        };
        agrees_or_fails(&engine, model);
        if let Err(error) = engine.close() {
            return expect_refusal(&error);
        }
    }
}

/// A damaged version looks like a newer one, and a store without `CURRENT` like none.
fn expect_refusal(error: &Error) {
    let is_missing = error.io_kind() == Some(std::io::ErrorKind::NotFound);
    let is_clear = error.is_corruption() || matches!(error, Error::InvalidArgument(_));
    assert!(is_clear || is_missing, "the error does not name the damage: {error}");
}
