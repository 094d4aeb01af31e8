//! The ends of a script: closes, reopenings, comparisons of the whole content, and checks that the engine still works.

use kv::{Durability, Op, WriteBatch};

use super::EngineRun;
use crate::observe::observe;
use crate::opening::{failed, open};
use crate::script::Script;
use crate::universe;

impl EngineRun<'_> {
    pub(super) fn reopen(&mut self, clean: bool) -> Result<(), String> {
        if self.engine().capabilities().durability == Durability::None {
            return Ok(());
        }
        let issued = self.history.issued();
        let lo = if clean { issued } else { self.history.handed_over };
        assert!(lo <= issued, "only batches that were begun are promised");
        if clean {
            self.close()?;
            self.check_held()?;
        }
        self.held.clear();
        self.opened = None;
        self.world.next_life();
        self.opened = Some(open(self.subject, self.option_set, &self.world)?);
        let j = self.compare_all((lo, issued))?;
        self.history.resume_from(j);
        Ok(())
    }

    /// Closes twice: the second time nothing happens.
    pub(crate) fn close(&mut self) -> Result<(), String> {
        self.opened().check_invariant()?;
        self.engine().close().map_err(failed("close"))?;
        self.engine().close().map_err(failed("a second close"))?;
        self.promise(Durability::Sync);
        Ok(())
    }

    /// Reads everything. It must be the content after one of the batches in `between`, whose number is returned.
    pub(crate) fn compare_all(&mut self, between: (usize, usize)) -> Result<usize, String> {
        let observed = observe(self.engine(), &self.keys)?;
        let recovered = self.opened().recovered();
        let j = self.history.find(&observed, recovered, between, self.world.now())?;
        self.opened().check_invariant()?;
        Ok(j)
    }

    /// Reads everything; it must be the newest model.
    pub(crate) fn compare_newest(&self) -> Result<(), String> {
        let observed = observe(self.engine(), &self.keys)?;
        let issued = self.history.issued();
        self.history.find(&observed, None, (issued, issued), self.world.now())?;
        self.opened().check_invariant()
    }

    /// The engine can write again.
    pub(crate) fn check_writable(&mut self) -> Result<(), String> {
        let key = universe::KEYS as u8 - 1;
        let text = format!("p{key}.9/s p{key}.30/b sync get.{key}");
        let script: Script = text.parse().expect("the script is well-formed");
        self.steps(&script).map_err(|what| format!("afterwards, {what}"))
    }

    /// Writes the first batch that the crash took once more, with other values of the same size. No remains of the first
    /// attempt, or of later batches, may come back after the second.
    pub(crate) fn retry_what_was_lost(&mut self) -> Result<(), String> {
        let Some(lost) = self.lost.take() else { return Ok(()) };
        let mut again = WriteBatch::new();
        for range in lost.delete_ranges() {
            again.delete_range(range.clone());
        }
        for op in lost.ops() {
            let other: Vec<u8> = op.value().iter().map(|byte| !byte).collect();
            match op {
                Op::Put { key, .. } => again.put(key, &other),
                Op::PutExpiring { key, expires_at, .. } => {
                    again.put_expiring(key, &other, expires_at)
                }
                Op::Delete { key } => again.delete(key),
            };
        }
        debug_assert_eq!(again.ops().count(), lost.ops().count(), "the same operations again");
        let retried = self.write(&again, Durability::Buffered);
        let killed = retried.and_then(|()| self.reopen(false));
        killed.map_err(|what| format!("after a retry of the lost batch, {what}"))
    }

    /// The subject's own upkeep, a clean close and an opening. None of them changes the content.
    pub(crate) fn check_reopening(&mut self) -> Result<(), String> {
        let script: Script = "maintain drain reopen".parse().expect("the script is well-formed");
        self.steps(&script).map_err(|what| format!("afterwards, {what}"))
    }
}
