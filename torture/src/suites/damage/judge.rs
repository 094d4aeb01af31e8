//! Opens a damaged store and reads it, and decides which batches it may have lost.

use std::sync::Arc;

use kv::Error;

use super::corruption::{Corruption, Extent};
use super::fixture::{Fixture, StoredFile};
use super::reading::Reading;
use super::stop::Stop;
use crate::subject::Opened;
use crate::world::World;

/// A group may begin so many bytes before its first changed byte, because the bytes in between may be equal by chance.
const SLACK: usize = 8;

impl Fixture<'_> {
    /// Opens and reads the damaged store, has the engine work on it, and opens and reads it again.
    pub(super) fn judge(
        &self,
        corruption: &Corruption,
        largest_allocation: Option<fn() -> usize>,
    ) -> Result<(), String> {
        let sim = self.sim.duplicate();
        corruption.apply(self, &sim);
        let is_same =
            |file: &StoredFile| sim.contents(&file.path).is_some_and(|now| now == file.bytes);
        let is_harmless = self.files.iter().all(is_same);
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
        let Some((file, extent)) = corruption.extent(|file| self.files[file].used()) else {
            return issued;
        };
        let file = &self.files[file];
        if !file.may_lose_its_end {
            return issued;
        }
        // An older version of the whole file hides everything since, its witness included.
        if let Corruption::Older { generation, .. } = *corruption {
            return file.older[generation].issued;
        }
        let in_last = file.last_group.is_some_and(|start| match extent {
            Extent::End => true,
            Extent::From(at) => at + SLACK >= start,
        });
        assert!(issued > 0, "the last group holds a batch");
        let without_last = issued - usize::from(in_last);
        match (self.subject.has_witness(&file.path), self.stop) {
            // The witness knows of every sync.
            (true, Stop::Close | Stop::Kill) => issued,
            (false, _) if extent == Extent::End => 0,
            // After a power cut: the claim of the last sync was not synced itself.
            (true, Stop::PowerCut) | (false, _) => without_last,
        }
    }

    fn check_allocation(&self, largest: Option<fn() -> usize>) -> Result<(), String> {
        let store: usize = self.files.iter().map(|file| file.bytes.len()).sum();
        let (cap, largest) = (4 * store + (1 << 20), largest.map_or(0, |take| take()));
        if largest <= cap {
            return Ok(());
        }
        Err(format!("one allocation took {largest} bytes; the store has {store}"))
    }
}

/// Work on a damaged store may fail, but has to say why.
fn refusal(call: &str, error: &Error) -> Result<(), String> {
    match error {
        Error::Corruption { .. } | Error::Poisoned { .. } => Ok(()),
        _ => Err(format!("{call} does not call it damage: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use durable::Env;

    use super::*;
    use crate::subject::Subject;
    use crate::toy::ToySubject;

    #[test]
    fn only_damage_to_the_end_of_an_unclosed_log_may_lose_a_batch() {
        let toy = ToySubject::default();
        for stop in Stop::ALL {
            let fixture = Fixture::make(&toy, 0, stop).unwrap();
            let issued = fixture.history.issued();
            let is_log = |file: &StoredFile| file.path.extension().is_some_and(|e| e == "log");
            let log = fixture.files.iter().rposition(is_log).unwrap();
            let other = fixture.files.iter().position(|file| !is_log(file)).unwrap();
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
            let is_log = |file: &StoredFile| file.path.extension().is_some_and(|e| e == "log");
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
