//! A small store with files of every kind, its history, and older states of its files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{MetadataModel, SimFs, Variant};
use kv::UnixMillis;

use super::corruption::foreign_files;
use super::stop::Stop;
use crate::oracle::History;
use crate::run::EngineRun;
use crate::script::Script;
use crate::subject::Subject;
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

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// An earlier state of a file.
pub(super) struct Older {
    pub(super) bytes: Vec<u8>,
    /// The last batch that had been begun.
    pub(super) issued: usize,
}

/// A file of the store.
pub(super) struct StoredFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) older: Vec<Older>,
    /// Where the last group begins, if it is in this file.
    pub(super) last_group: Option<usize>,
    /// Whether damage to its end may look like a torn tail.
    pub(super) may_lose_its_end: bool,
}

impl StoredFile {
    /// Where the zeros begin that the file may end with.
    pub(super) fn used(&self) -> usize {
        self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }
}

/// A store to be damaged.
pub(super) struct Fixture<'s> {
    pub(super) subject: &'s dyn Subject,
    pub(super) option_set: usize,
    pub(super) stop: Stop,
    pub(super) sim: SimFs,
    /// In the order of their paths.
    pub(super) files: Vec<StoredFile>,
    pub(super) history: History,
    pub(super) keys: Vec<u8>,
    pub(super) now: UnixMillis,
}

impl<'s> Fixture<'s> {
    /// Runs the script on a new store, and stops.
    pub(super) fn make(
        subject: &'s dyn Subject,
        option_set: usize,
        stop: Stop,
    ) -> Result<Self, String> {
        let sim = SimFs::new();
        let keys = PARTS.into_iter().chain([LAST]).collect::<Vec<_>>().join(" ");
        let keys = keys.parse::<Script>()?.keys();
        let world = World::on(Arc::new(sim.clone()), 1);
        let mut run = EngineRun::start(subject, option_set, world, keys.clone())?;
        let mut generations = Vec::new();
        for part in PARTS {
            run.steps(&part.parse()?)?;
            generations.push((files_of(&sim), run.history.issued()));
        }
        run.steps(&LAST.parse()?)?;
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
        let files = stored_files(subject, stop, &running, files_of(&sim), &generations);
        Ok(Self { subject, option_set, stop, sim, files, history, keys, now })
    }

    /// The path of the file.
    pub(super) fn path(&self, file: usize) -> &Path {
        &self.files[file].path
    }

    /// How many files there are.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// The files to be damaged. After a power cut only the ends of logs differ from those after the death of the process.
    pub(super) fn damaged_files(&self) -> impl Iterator<Item = usize> {
        let is_damaged =
            |file: &usize| self.stop != Stop::PowerCut || self.files[*file].may_lose_its_end;
        (0..self.files.len()).filter(is_damaged)
    }

    /// The length of the file, in bytes.
    pub(super) fn len(&self, file: usize) -> usize {
        self.files[file].bytes.len()
    }

    /// The earlier contents of the file.
    pub(super) fn older(&self, file: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        self.files[file].older.iter().map(|older| &older.bytes[..])
    }

    /// Whether two files are of one kind, so that one may be taken for the other.
    pub(super) fn are_alike(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.files[one], &self.files[other]);
        one.path.extension() == other.path.extension() && one.bytes != other.bytes
    }

    /// Paths of files that the store does not know.
    pub(super) fn foreign(&self) -> impl Iterator<Item = PathBuf> {
        let is_known = |path: &PathBuf| self.files.iter().any(|file| file.path == *path);
        foreign_files(Path::new(SIM_DIR)).filter(move |path| !is_known(path))
    }
}

impl fmt::Debug for Fixture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Fixture");
        let paths: Vec<&PathBuf> = self.files.iter().map(|file| &file.path).collect();
        shown.field("stop", &self.stop).field("files", &paths).finish_non_exhaustive()
    }
}

/// The files `found` after the stop. `running` are those just before it, and `generations` those after each part.
fn stored_files(
    subject: &dyn Subject,
    stop: Stop,
    running: &Files,
    found: Files,
    generations: &[(Files, usize)],
) -> Vec<StoredFile> {
    assert!(generations.is_sorted_by_key(|(_, issued)| *issued), "the parts follow one another");
    let paths: Vec<PathBuf> = found.keys().cloned().collect();
    let tails = subject.tails(&paths);
    assert!(tails.iter().all(|tail| paths.contains(tail)), "a tail is one of the files");
    let before = generations.last().map(|(files, _)| files);
    let of_path = |(path, bytes): (PathBuf, Vec<u8>)| {
        let earlier = before.and_then(|files| files.get(&path));
        // A file that the crash brought back has no part in the last group.
        let last_group = running.get(&path).and_then(|_| first_change(earlier, &bytes));
        let may_lose_its_end = stop != Stop::Close && tails.contains(&path);
        let older = distinct(generations, &path, &bytes);
        StoredFile { path, bytes, older, last_group, may_lose_its_end }
    };
    found.into_iter().map(of_path).collect()
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
