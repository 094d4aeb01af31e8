//! A small store with files of every kind, its history, and older states of its files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use durable::{MetadataModel, SimFs, Variant};
use kv::{Error, UnixMillis};

use super::corruption::{Corruption, Extent, foreign_files};
use super::reading::Reading;
use crate::oracle::History;
use crate::run::Run;
use crate::script::Script;
use crate::subject::{Opened, Subject};
use crate::world::{SIM_DIR, World};

/// Writes that make an engine with tiny limits write, seal, rewrite and remove files; after each part the files are
/// remembered as they were.
const PARTS: [&str; 4] = [
    "p15.300/b p16.300/b p17.200/b d16/b p18.100+p19.100+d17/s p20.500/b p21.500/b p15.50/b drain",
    "maintain drain p5.30/b p20.40/b reopen p22.400/b p23.400/b d15/s",
    "p24.300/b p0.0/b p25.500+p26.600/b drain maintain drain p22.70/b d21/b sync",
    "reopen p27.200/b p28.300/b d24/b p9.10/b sync",
];

/// The last write. In a store that is not closed, this is the last synced group.
const LAST: &str = "p29.60+p15.33/s";

/// A group may begin so many bytes before its first changed byte, because the bytes in between may be equal by chance.
const SLACK: usize = 8;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// How the last use of a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was closed.
    Close,
    /// The process died: everything that it wrote is there.
    Kill,
    /// The power was cut: everything that was not synced is gone.
    PowerCut,
}

impl Stop {
    /// The store that finds most comes first.
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::PowerCut, Self::Close];
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Close => "close",
            Self::Kill => "kill",
            Self::PowerCut => "power-cut",
        })
    }
}

impl FromStr for Stop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|stop| stop.to_string() == text);
        known.ok_or_else(|| format!("a store does not end with {text:?}"))
    }
}

/// An earlier state of a file.
struct Older {
    bytes: Vec<u8>,
    /// The last batch that had been begun.
    issued: usize,
}

/// A store to be damaged.
pub(super) struct Fixture<'s> {
    subject: &'s dyn Subject,
    option_set: usize,
    stop: Stop,
    sim: SimFs,
    files: Vec<PathBuf>,
    bytes: Vec<Vec<u8>>,
    older: Vec<Vec<Older>>,
    /// Where the last group begins in each file that it is in.
    last_group: Vec<Option<usize>>,
    tails: Vec<bool>,
    history: History,
    keys: Vec<u8>,
    now: UnixMillis,
}

impl<'s> Fixture<'s> {
    pub(super) fn make(
        subject: &'s dyn Subject,
        option_set: usize,
        stop: Stop,
    ) -> Result<Self, String> {
        let sim = SimFs::new();
        let script = |text: &str| text.parse::<Script>();
        let mut all = Script::default();
        for part in PARTS.into_iter().chain([LAST]) {
            all.0.extend(script(part)?.0);
        }
        let world = World::on(Arc::new(sim.clone()), 1);
        let mut run = Run::start(subject, option_set, world, all.keys())?;
        let mut generations = Vec::new();
        for part in PARTS {
            run.steps(&script(part)?)?;
            generations.push((files_of(&sim), run.history.issued()));
        }
        run.steps(&script(LAST)?)?;
        if stop == Stop::Close {
            run.close()?;
        }
        let (history, now) = (run.history.clone(), run.now());
        assert_eq!(history.synced, history.issued(), "the last write is synced");
        let running = files_of(&sim);
        let sim = match stop {
            Stop::Close | Stop::Kill => sim.duplicate(),
            Stop::PowerCut => sim.crash(sim.ops(), &Variant::None(MetadataModel::Journalled)),
        };
        drop(run);
        let found = files_of(&sim);
        let before = generations.last().map(|(files, _)| files.clone()).unwrap_or_default();
        let files: Vec<PathBuf> = found.keys().cloned().collect();
        let tails = subject.tails(&files);
        let may_lose = |path| stop != Stop::Close && tails.contains(path);
        let tails = files.iter().map(may_lose).collect();
        // A file that the crash brought back has no part in the last group.
        let last_group = found
            .iter()
            .map(|(path, now)| running.get(path).and_then(|_| first_change(before.get(path), now)));
        let last_group = last_group.collect();
        let older = files.iter().map(|path| distinct(&generations, path, &found[path])).collect();
        let (bytes, keys) = (found.into_values().collect(), all.keys());
        Ok(Self {
            subject,
            option_set,
            stop,
            sim,
            files,
            bytes,
            older,
            last_group,
            tails,
            history,
            keys,
            now,
        })
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The files to be damaged. After a power cut only the ends of logs differ from those after the death of the process.
    pub(super) fn damaged_files(&self) -> impl Iterator<Item = usize> {
        let is_damaged = |file: &usize| self.stop != Stop::PowerCut || self.tails[*file];
        (0..self.files.len()).filter(is_damaged)
    }

    pub(super) fn len(&self, file: usize) -> usize {
        self.bytes[file].len()
    }

    /// The earlier contents of the file.
    pub(super) fn older(&self, file: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        self.older[file].iter().map(|older| &older.bytes[..])
    }

    /// Whether two files are of one kind, so that one may be taken for the other.
    pub(super) fn are_alike(&self, one: usize, other: usize) -> bool {
        let kind = |file: usize| self.files[file].extension();
        one != other && kind(one) == kind(other) && self.bytes[one] != self.bytes[other]
    }

    pub(super) fn foreign(&self) -> impl Iterator<Item = PathBuf> {
        foreign_files(Path::new(SIM_DIR)).filter(|path| !self.files.contains(path))
    }

    /// Opens and reads the damaged store, has the engine work on it, and opens and reads it again.
    pub(super) fn judge(
        &self,
        corruption: &Corruption,
        largest_allocation: Option<fn() -> usize>,
    ) -> Result<(), String> {
        let sim = self.sim.duplicate();
        corruption.apply(self, &sim);
        let is_harmless = self
            .files
            .iter()
            .zip(&self.bytes)
            .all(|(path, bytes)| sim.contents(path).is_some_and(|now| now == *bytes));
        let mut world = World::at(Arc::new(sim.clone()), 3, self.now);
        largest_allocation.map(|take| take());
        let opened = self.open(&world)?;
        if is_harmless && opened.is_none() {
            return Err("the whole store was refused".into());
        }
        if let Some(opened) = opened {
            self.check(corruption, &opened, is_harmless)?;
            self.check_allocation(largest_allocation)?;
            let maintained = opened.maintain();
            maintained.or_else(|error| refusal("maintain", &error))?;
            world.drain()?;
            self.check(corruption, &opened, is_harmless)?;
            opened.engine().close().or_else(|error| refusal("close", &error))?;
            drop(opened);
            world.next_life();
            if let Some(opened) = self.open(&world)? {
                self.check(corruption, &opened, is_harmless)?;
            }
        }
        if *corruption == Corruption::Foreign {
            let touched =
                self.foreign().find(|path| sim.contents(path).as_deref() != Some(b"not yours"));
            return touched.map_or(Ok(()), |path| Err(format!("{} was touched", path.display())));
        }
        Ok(())
    }

    /// The engine, or nothing where it refuses the store in so many words.
    fn open(&self, world: &World) -> Result<Option<Opened>, String> {
        match self.subject.open(&world.env, &world.dir, self.option_set) {
            Ok(opened) => Ok(Some(opened)),
            // A damaged format version looks like a newer format.
            Err(Error::Corruption { .. } | Error::InvalidArgument(_) | Error::Unsupported(_)) => {
                Ok(None)
            }
            Err(error) => Err(format!("open does not call it damage: {error}")),
        }
    }

    fn check(
        &self,
        corruption: &Corruption,
        opened: &Opened,
        is_harmless: bool,
    ) -> Result<(), String> {
        let reading = Reading::of(opened.engine(), &self.keys)?;
        if let Some(error) = reading.unclear_error() {
            return Err(format!("a read does not call it damage: {error}"));
        }
        if let (true, Some(error)) = (is_harmless, reading.error()) {
            return Err(format!("a read of the whole store failed: {error}"));
        }
        let issued = self.history.issued();
        let newest = reading.agrees(self.history.newest(), self.now);
        let earlier = self.least_batch(corruption)..issued;
        let agrees = |j: &usize| reading.agrees(self.history.model(*j), self.now).is_ok();
        if newest.is_ok() || earlier.rev().any(|j| agrees(&j)) { Ok(()) } else { newest }
    }

    /// The earliest batch whose model the store may hold.
    fn least_batch(&self, corruption: &Corruption) -> usize {
        let issued = self.history.issued();
        let used = |file: usize| {
            self.bytes[file].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
        };
        let Some((file, extent)) = corruption.extent(used) else { return issued };
        assert!(file < self.files.len(), "the damage is to one of the files");
        if !self.tails[file] {
            return issued;
        }
        // An older version of the whole file hides everything since, its witness included.
        if let Corruption::Older { generation, .. } = *corruption {
            return self.older[file][generation].issued;
        }
        let in_last = self.last_group[file].is_some_and(|start| match extent {
            Extent::End => true,
            Extent::From(at) => at + SLACK >= start,
        });
        let without_last = issued - usize::from(in_last);
        match (self.subject.has_witness(&self.files[file]), self.stop) {
            // The witness knows of every sync.
            (true, Stop::Close | Stop::Kill) => issued,
            (false, _) if extent == Extent::End => 0,
            // After a power cut: the claim of the last sync was not synced itself.
            (true, Stop::PowerCut) | (false, _) => without_last,
        }
    }

    fn check_allocation(&self, largest: Option<fn() -> usize>) -> Result<(), String> {
        let store: usize = self.bytes.iter().map(Vec::len).sum();
        let (cap, largest) = (4 * store + (1 << 20), largest.map_or(0, |take| take()));
        if largest <= cap {
            return Ok(());
        }
        Err(format!("one allocation took {largest} bytes; the store has {store}"))
    }
}

impl fmt::Debug for Fixture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Fixture");
        shown.field("stop", &self.stop).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Work on a damaged store may fail, but has to say why.
fn refusal(call: &str, error: &Error) -> Result<(), String> {
    match error {
        Error::Corruption { .. } | Error::Poisoned { .. } => Ok(()),
        _ => Err(format!("{call} does not call it damage: {error}")),
    }
}

fn files_of(sim: &SimFs) -> Files {
    let files = sim.files().into_iter();
    files.map(|path| (path.clone(), sim.contents(&path).unwrap_or_default())).collect()
}

/// The offset at which the bytes of a file begin to differ from the earlier ones.
fn first_change(before: Option<&Vec<u8>>, now: &[u8]) -> Option<usize> {
    let before = before.map_or(&[][..], Vec::as_slice);
    let same = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    (same < now.len()).then_some(same)
}

/// The contents that `path` had in `generations` and has no longer.
fn distinct(generations: &[(Files, usize)], path: &Path, now: &[u8]) -> Vec<Older> {
    let of_path = generations.iter().filter_map(|(files, issued)| {
        Some(Older { bytes: files.get(path)?.clone(), issued: *issued })
    });
    let mut older: Vec<Older> = of_path.filter(|older| older.bytes != now).collect();
    older.dedup_by(|later, earlier| later.bytes == earlier.bytes);
    older
}

#[cfg(test)]
mod tests {
    use durable::Env;

    use super::*;
    use crate::toy::ToySubject;

    #[test]
    fn only_damage_to_the_end_of_an_unclosed_log_may_lose_a_batch() {
        let toy = ToySubject::default();
        for stop in Stop::ALL {
            let fixture = Fixture::make(&toy, 0, stop).unwrap();
            let issued = fixture.history.issued();
            let is_log = |path: &PathBuf| path.extension().is_some_and(|e| e == "log");
            let log = fixture.files.iter().rposition(is_log).unwrap();
            let other = fixture.files.iter().position(|path| !is_log(path)).unwrap();
            let least = |corruption| issued - fixture.least_batch(&corruption);
            let end = fixture.len(log) - 1;
            let lost = |unclean| if stop == Stop::Close { 0 } else { unclean };
            assert_eq!(least(Corruption::Flip { file: other, at: 0, bit: 0 }), 0);
            assert_eq!(least(Corruption::Cut { file: other, len: 0 }), 0);
            assert_eq!(least(Corruption::Delete { file: log }), 0);
            assert_eq!(least(Corruption::Flip { file: log, at: 0, bit: 0 }), 0);
            assert_eq!(least(Corruption::Flip { file: log, at: end, bit: 0 }), lost(1));
            assert_eq!(least(Corruption::Cut { file: log, len: 0 }), lost(issued));
        }
    }

    /// The toy's log, as if it had a witness.
    struct Witnessed;

    impl Subject for Witnessed {
        fn name(&self) -> &'static str {
            "witnessed"
        }

        fn open(&self, env: &Env, dir: &Path, option_set: usize) -> kv::Result<Opened> {
            ToySubject::default().open(env, dir, option_set)
        }

        fn tails(&self, files: &[PathBuf]) -> Vec<PathBuf> {
            ToySubject::default().tails(files)
        }

        fn has_witness(&self, _file: &Path) -> bool {
            true
        }
    }

    #[test]
    fn a_file_with_a_witness_loses_the_last_sync_at_most_and_only_after_a_power_cut() {
        for (stop, most) in [(Stop::Close, 0), (Stop::Kill, 0), (Stop::PowerCut, 1)] {
            let fixture = Fixture::make(&Witnessed, 0, stop).unwrap();
            let issued = fixture.history.issued();
            let is_log = |path: &PathBuf| path.extension().is_some_and(|e| e == "log");
            let file = fixture.files.iter().rposition(is_log).unwrap();
            for len in 0..fixture.len(file) {
                let least = fixture.least_batch(&Corruption::Cut { file, len });
                assert_eq!(issued - least, most, "{stop}, {len} bytes");
            }
            for generation in 0..fixture.older(file).len() {
                let least = fixture.least_batch(&Corruption::Older { file, generation });
                let is_tail = stop != Stop::Close;
                assert_eq!(least == issued, !is_tail, "an older file hides the syncs since");
                assert!(least > 0, "and not those before");
            }
        }
    }
}
