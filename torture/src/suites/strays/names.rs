//! A store to put stray entries into, and the names that they get.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use durable::{Inject, Plan, SimFs};

use super::{KINDS, Kind, Stray};
use crate::observe::Observed;
use crate::run::EngineRun;
use crate::script::Script;
use crate::subject::Subject;
use crate::world::{SIM_DIR, World};

/// Enough writes to create, seal, rewrite and remove files.
const SCRIPT: &str = "p15.300/b p16.300/b p17.200/s d16/b p20.500/b p21.500/b p15.50/b drain maintain drain reopen \
                      p22.400/b p23.400/b p24.300/b maintain drain p25.60/s";

/// Numbers that a format may not expect: beyond 48 bits, the largest of 64 bits, and one with too many digits.
const ODD_NUMBERS: [&str; 3] =
    ["281474976710655", "18446744073709551615", "99999999999999999999999"];

/// The files of a store, and its content.
pub(super) struct Store {
    /// Paths relative to the store's directory.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    pub(super) content: Observed,
    pub(super) keys: Vec<u8>,
    /// Every name that the engine has used.
    used: BTreeSet<String>,
}

impl Store {
    pub(super) fn make(
        subject: &dyn Subject,
        option_set: usize,
        is_clean: bool,
    ) -> Result<Self, String> {
        let sim = SimFs::new();
        let inject = Inject::over_sim(sim.clone(), Plan::none());
        let used = Arc::<Mutex<BTreeSet<String>>>::default();
        let seen = Arc::clone(&used);
        inject.on_call(Arc::new(move |call| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let names =
                [Some(call.path), call.to].into_iter().flatten().filter_map(Path::file_name);
            seen.extend(names.map(|name| name.to_string_lossy().into_owned()));
        }));
        let script: Script = SCRIPT.parse()?;
        let keys = script.keys();
        let mut run =
            EngineRun::start(subject, option_set, World::on(Arc::new(inject), 1), keys.clone())?;
        run.steps(&script)?;
        let content = crate::observe::observe(run.engine(), &keys)?;
        if is_clean {
            run.close()?;
        }
        let sim = sim.duplicate();
        drop(run);
        let dir = Path::new(SIM_DIR);
        let files = sim.files().into_iter().filter_map(|path| {
            let bytes = sim.contents(&path)?;
            Some((path.strip_prefix(dir).ok()?.to_path_buf(), bytes))
        });
        let files: Vec<(PathBuf, Vec<u8>)> = files.collect();
        assert!(!files.is_empty(), "the engine has files");
        let used = used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Self { files, content, keys, used })
    }

    /// Whether a file of the store has this name.
    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(path, _)| path == Path::new(name))
    }

    /// Whether the engine might take `name` for one of its own: it has used the name, or one with another number.
    pub(super) fn could_own(&self, name: &str) -> bool {
        let shape = |name: &str| {
            split(name).map(|(before, _, after)| (before.to_string(), after.to_string()))
        };
        self.used.contains(name)
            || shape(name).is_some_and(|wanted| {
                self.used.iter().any(|used| shape(used).as_ref() == Some(&wanted))
            })
    }

    /// All stray entries; links and pipes for one in `one_real_in` names only.
    pub(super) fn strays(&self, one_real_in: usize) -> Vec<Stray> {
        assert!(!self.used.is_empty(), "the engine has files");
        let mut strays = Vec::new();
        for (at, name) in self.names().into_iter().enumerate() {
            for (kind, _) in KINDS {
                if !kind.is_real() || at % one_real_in.max(1) == 0 {
                    strays.push(Stray { kind, name: name.clone() });
                }
            }
        }
        strays
    }

    fn names(&self) -> BTreeSet<String> {
        let numbers = self.used.iter().filter_map(|name| split(name)?.1.parse::<u64>().ok());
        let largest = numbers.max().unwrap_or(0);
        let mut names = BTreeSet::new();
        for used in self.used.iter().filter(|used| !used.is_empty()) {
            names.insert(used.clone());
            names.insert(format!("{used}.tmp"));
            let Some((before, digits, after)) = split(used) else { continue };
            let width = digits.len();
            for next in 1..=3 {
                names.insert(format!("{before}{:0width$}{after}", largest + next));
            }
            names.extend(ODD_NUMBERS.map(|number| format!("{before}{number}{after}")));
        }
        let store =
            Path::new(SIM_DIR).file_name().unwrap_or_default().to_string_lossy().into_owned();
        names.retain(|name| !self.has(name) && *name != store);
        names
    }
}

/// A name before, in and after its first number.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    let start = name.find(|c: char| c.is_ascii_digit())?;
    let len = name[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len() - start);
    Some((&name[..start], &name[start..start + len], &name[start + len..]))
}

impl Kind {
    /// The content of a stray file.
    pub(super) fn bytes(self) -> &'static [u8] {
        if self == Self::Empty { b"" } else { b"not yours" }
    }
}
