//! Any damage to the files of a store that was closed cleanly.
//!
//! The law: opening it and reading every key gives what was written, or an error that says what is wrong. Never another
//! value, a missing key without an error, or a panic. What still opens also closes and opens again under the same law.
//!
//! An input is a list of harms: a byte for the kind (flip, cut, append, copy a part, remove), a byte for the file, and
//! what the kind needs.

use durable::SimFs;
use kv::{Error, Kv};

use super::input::{Input, flip};
use super::reading::agrees_or_fails;
use super::specimen::{CLOSED, Model, Specimen, open};

/// Damages the specimen as `data` says, and reads it.
///
/// # Panics
/// When the law is broken.
pub fn run(data: &[u8]) {
    let specimen = &*CLOSED;
    let disk = specimen.disk.duplicate();
    let mut input = Input::new(data);
    while harm(specimen, &disk, &mut input).is_some() {}
    judge(&disk, &specimen.model);
}

/// Does one harm. `None`: there are no more.
fn harm(specimen: &Specimen, disk: &SimFs, input: &mut Input<'_>) -> Option<()> {
    let (kind, file) = (input.byte()?, input.byte()?);
    let path = &specimen.files[usize::from(file) % specimen.files.len()];
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

/// Opens the store on `disk`, which must hold what `model` says or be refused, twice.
pub(super) fn judge(disk: &SimFs, model: &Model) {
    for life in 10..12 {
        let engine = match open(disk, life, false) {
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
    assert!(is_clear || is_missing, "it does not call it damage: {error}");
}
