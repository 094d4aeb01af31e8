//! Everything that can be read from an engine, read in every way, which must agree.

use kv::{Bytes, Direction, Entries, Error, KeyRange, Kv};

use crate::universe;

/// The content of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) entries: Vec<(Bytes, Bytes)>,
}

/// Why nothing could be observed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A read failed.
    Failed(Error),
    /// Two ways of reading disagree.
    Torn(String),
}

impl From<Trouble> for String {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Failed(error) => format!("a read failed: {error}"),
            Trouble::Torn(what) => what,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Scans all of `engine` forwards and backwards and gets each key found and each of `keys`; all must tell the same.
pub(crate) fn observe(engine: &dyn Kv, keys: &[u8]) -> Result<Observed, Trouble> {
    let entries = scan(engine, Direction::Forward)?;
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        let (first, second) = (describe(&pair[0].0), describe(&pair[1].0));
        return Err(Trouble::Torn(format!("a scan went from key {first} to {second}")));
    }
    let mut backward = scan(engine, Direction::Backward)?;
    backward.reverse();
    if backward != entries {
        let (there, back) = (entries.len(), backward.len());
        let what = format!("{there} entries forwards and other {back} entries backwards");
        return Err(Trouble::Torn(what));
    }
    for (key, value) in &entries {
        check_get(engine, key, Some(value))?;
    }
    let found = |key: &Bytes| entries.binary_search_by(|(found, _)| found.cmp(key));
    for key in keys.iter().map(|&key| universe::key(key)).filter(|key| found(key).is_err()) {
        check_get(engine, key, None)?;
    }
    Ok(Observed { entries })
}

fn scan(engine: &dyn Kv, direction: Direction) -> kv::Result<Vec<(Bytes, Bytes)>> {
    Entries::new(engine.scan(KeyRange::all())?, direction).collect()
}

fn check_get(engine: &dyn Kv, key: &[u8], scanned: Option<&Bytes>) -> Result<(), Trouble> {
    let mut equal = scanned.is_none();
    let found = engine.get_with(key, &mut |value| {
        equal = scanned.is_some_and(|scanned| &scanned[..] == value);
    })?;
    if equal && found == scanned.is_some() {
        return Ok(());
    }
    let (key, scanned) = (describe(key), scanned.map_or("no entry".into(), |v| describe(v)));
    Err(Trouble::Torn(format!("a scan found {scanned} at key {key}, and a get something else")))
}

/// Bytes for a message: readable, and not longer than a line can bear.
pub(crate) fn describe(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    let more = if bytes.len() > SHOWN { "..." } else { "" };
    format!("\"{shown}{more}\" ({} B)", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::ScriptedEngine;

    /// Two of the table's keys, with values.
    fn sound() -> ScriptedEngine {
        ScriptedEngine::sound(&[("a", "1"), ("b", "2")])
    }

    /// Observes the table's first three keys: `a`, `b` and the empty one.
    fn observed(engine: &ScriptedEngine) -> Result<Observed, Trouble> {
        observe(engine, &[0, 1, 2])
    }

    #[track_caller]
    fn is_torn(change: impl Fn(&mut ScriptedEngine)) {
        let mut engine = sound();
        change(&mut engine);
        assert!(matches!(observed(&engine), Err(Trouble::Torn(_))));
    }

    #[test]
    fn an_engine_whose_answers_agree_is_observed() {
        assert_eq!(observed(&sound()).unwrap().entries, sound().forward);
    }

    #[test]
    fn a_scan_that_is_out_of_order_is_noticed() {
        is_torn(|engine| {
            engine.forward.swap(0, 1);
            engine.backward.swap(0, 1);
        });
    }

    #[test]
    fn an_entry_that_is_shown_twice_is_noticed() {
        is_torn(|engine| {
            engine.forward.insert(0, engine.forward[0].clone());
            engine.backward.push(engine.forward[0].clone());
        });
    }

    #[test]
    fn a_backward_scan_that_differs_is_noticed() {
        is_torn(|engine| drop(engine.backward.pop()));
        is_torn(|engine| engine.backward[0].1 = Bytes::from_static(b"3"));
    }

    #[test]
    fn a_get_that_differs_from_the_scan_is_noticed() {
        is_torn(|engine| drop(engine.gets.remove(&b"a"[..])));
        is_torn(|engine| drop(engine.gets.insert("a".into(), "3".into())));
        // The empty key, which no scan shows.
        is_torn(|engine| drop(engine.gets.insert("".into(), "3".into())));
    }

    #[test]
    fn a_failed_read_is_no_disagreement() {
        let engine = ScriptedEngine { fails: true, ..sound() };
        assert!(matches!(observed(&engine), Err(Trouble::Failed(_))));
    }
}
