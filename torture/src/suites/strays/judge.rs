//! Uses a store with one stray entry, and checks the entry and the store.

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use durable::{EntryKind, SimFs};
use kv::{Durability, Error};

use super::names::Store;
use super::place::Place;
use super::{Kind, Stray};
use crate::observe::observe;
use crate::subject::{Opened, Subject};
use crate::watchdog::receive;
use crate::world::{BEGINNING, World};

/// A call on a pipe that takes longer hangs. The time of a stopped machine does not count.
const HANGING: Duration = Duration::from_secs(20);

/// Puts that are tried beside the stray entry; enough to begin and seal files.
const PUTS: u8 = 6;
const PUT_BYTES: usize = 700;

/// Judges `store` with `stray`.
pub(super) fn judge(
    subject: &dyn Subject,
    option_set: usize,
    store: &Store,
    stray: &Stray,
) -> Result<(), String> {
    let place = Place::make(store, stray)?;
    let case = Case { subject, option_set, store, stray, place };
    if stray.kind == Kind::Pipe { case.judge_pipe() } else { case.judge() }
}

struct Case<'s> {
    subject: &'s dyn Subject,
    option_set: usize,
    store: &'s Store,
    stray: &'s Stray,
    place: Place,
}

impl Case<'_> {
    fn judge(mut self) -> Result<(), String> {
        let acknowledged = self.use_store()?;
        self.check_stray()?;
        self.place.world.next_life();
        if self.place.kind()?.is_none() {
            return self.check_without(&acknowledged);
        }
        // A second opening beside the stray must do no worse than the first.
        if let Some(opened) = self.open()? {
            self.check_content(&opened, &acknowledged)?;
            drop(opened);
            self.place.world.next_life();
        }
        self.check_stray()?;
        if self.is_still_there()? {
            self.remove_stray()?;
        }
        self.check_without(&acknowledged)
    }

    /// As [`Case::judge`], with an eye on the clock: an engine that opens a pipe waits for somebody to write to it.
    fn judge_pipe(self) -> Result<(), String> {
        let path = self.place.path.clone();
        std::thread::scope(|scope| {
            let (done, is_done) = channel();
            let judged = scope.spawn(move || {
                let judged = self.judge();
                done.send(()).unwrap_or_default();
                judged
            });
            let waited = receive(&is_done, HANGING);
            if waited == Err(RecvTimeoutError::Timeout) {
                // A writer at the other end lets the engine go on.
                let freed = fs::File::options().read(true).write(true).open(&path);
                let judged = judged.join().unwrap_or_else(|_| Err("the engine panicked".into()));
                drop(freed);
                return Err(format!("the engine waits for a pipe; afterwards: {judged:?}"));
            }
            judged.join().unwrap_or_else(|_| Err("the engine panicked".into()))
        })
    }

    /// Opens the store beside the stray and writes. Returns how many puts were acknowledged, by key.
    fn use_store(&mut self) -> Result<Vec<u8>, String> {
        let Some(opened) = self.open()? else {
            let before = self.place.names()?;
            self.place.world.next_life();
            if self.open()?.is_some() {
                return Err("the first opening failed, and the second one does not".into());
            }
            self.place.world.next_life();
            let after = self.place.names()?;
            if !after.is_subset(&before) {
                return Err(format!(
                    "each failed opening leaves files behind: {before:?}, then {after:?}"
                ));
            }
            return Ok(Vec::new());
        };
        self.check_content(&opened, &[])?;
        let mut acknowledged = Vec::new();
        for key in 0..PUTS {
            let put = opened.engine().put(&[key], &[key; PUT_BYTES], Durability::Sync);
            if self.allowed("put", put.map(drop))? {
                acknowledged.push(key);
            }
        }
        self.allowed("maintain", opened.maintain())?;
        self.place.world.drain()?;
        self.check_content(&opened, &acknowledged)?;
        self.allowed("close", opened.engine().close())?;
        drop(opened);
        self.place.world.next_life();
        Ok(acknowledged)
    }

    /// The engine; nothing if it refuses the store with an error that names the stray.
    fn open(&self) -> Result<Option<Opened>, String> {
        let world = &self.place.world;
        match self.subject.open(&world.env, &world.dir, self.option_set) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) => self.allowed("open", Err(error)).map(|_refused| None),
        }
    }

    /// Whether a call succeeded. `Err`: it failed, and its error does not name the stray.
    fn allowed(&self, call: &str, answer: kv::Result<()>) -> Result<bool, String> {
        match answer {
            Ok(()) => Ok(true),
            Err(error) if names(&error, &self.stray.name) => Ok(false),
            Err(error) => Err(format!("{call} fails, and does not say why: {error}")),
        }
    }

    /// The content of the store is there, and so are the puts that were acknowledged.
    fn check_content(&self, opened: &Opened, acknowledged: &[u8]) -> Result<(), String> {
        let observed = observe(opened.engine(), &self.store.keys)?;
        let put = |key: &[u8]| {
            <&[u8; 1]>::try_from(key).ok().filter(|key| key[0] < PUTS).map(|key| key[0])
        };
        for (key, value) in &self.store.content.entries {
            let found = observed.entries.iter().find(|(found, _)| found == key);
            if put(key).is_none() && found.map(|(_, found)| found) != Some(value) {
                return Err(format!("key {} is lost or changed", crate::observe::describe(key)));
            }
        }
        let expected = |key: &u8| {
            opened
                .engine()
                .get(&[*key])
                .is_ok_and(|found| found.is_some_and(|v| v[..] == [*key; PUT_BYTES]))
        };
        match acknowledged.iter().find(|key| !expected(key)) {
            Some(key) => Err(format!("put {key} was acknowledged and is lost")),
            None => Ok(()),
        }
    }

    fn check_stray(&self) -> Result<(), String> {
        let expected = match self.stray.kind {
            Kind::Empty | Kind::File => EntryKind::File,
            Kind::Dir => EntryKind::Dir,
            Kind::Link | Kind::Pipe => EntryKind::Other,
        };
        let found = self.place.kind()?;
        let is_orphan = expected == EntryKind::File && self.store.could_own(&self.stray.name);
        if let Some(target) = &self.place.target {
            let bytes =
                fs::read(target).map_err(|error| format!("the target of the link: {error}"))?;
            if bytes != b"not yours" {
                return Err("the link was followed, and its target changed".into());
            }
        }
        match found {
            // An orphan may be removed, and its name may be taken.
            _ if is_orphan => Ok(()),
            None => Err("the stray was removed".into()),
            Some(found) if found != expected => Err(format!("the stray became a {found:?}")),
            Some(EntryKind::File) if self.place.bytes()? != self.stray.kind.bytes() => {
                Err("the stray was changed".into())
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether the entry is still the stray. The engine may have removed an orphan and taken its name.
    fn is_still_there(&self) -> Result<bool, String> {
        match (self.place.kind()?, self.stray.kind) {
            (None, _) => Ok(false),
            (Some(_), Kind::Empty | Kind::File) => {
                Ok(self.place.bytes()? == self.stray.kind.bytes())
            }
            (Some(_), _) => Ok(true),
        }
    }

    /// Takes the stray away, as its owner would.
    fn remove_stray(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the stray cannot be removed: {error}");
        match (self.stray.kind, &self.place.sim) {
            (Kind::Link | Kind::Pipe, _) => fs::remove_file(&self.place.path).map_err(failed),
            (Kind::Dir, Some(sim)) => {
                // The simulated disk removes no directories: the files move to another disk.
                let moved = SimFs::new();
                for path in sim.files() {
                    moved.set_contents(&path, sim.contents(&path).unwrap_or_default());
                }
                self.place.world = World::at(Arc::new(moved), 6, BEGINNING);
                Ok(())
            }
            _ => {
                let removed = self.place.world.env.fs.remove(&self.place.path);
                removed.map_err(|error| error.to_string())
            }
        }
    }

    fn check_without(&self, acknowledged: &[u8]) -> Result<(), String> {
        let world = &self.place.world;
        let opened = self.subject.open(&world.env, &world.dir, self.option_set);
        let opened = opened.map_err(|error| format!("without the stray, open fails: {error}"))?;
        self.check_content(&opened, acknowledged)?;
        let put = opened.engine().put(b"smoke", b"smoke", Durability::Sync);
        put.map(drop).map_err(|error| format!("without the stray, a put fails: {error}"))
    }
}

/// Whether the text of `error` names the entry.
fn names(error: &Error, name: &str) -> bool {
    error.to_string().contains(name)
}
