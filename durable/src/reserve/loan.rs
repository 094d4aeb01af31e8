//! Loans: the space of `RESERVE-LAST` is free for one operation, and for nobody else.
//!
//! 1. The operation finds the disk full.
//! 2. The loan begins. It waits until no thread is inside [`DiskReserve::outside_loans`], and keeps others from entering.
//!    Whatever may grow a file goes through there: appends to logs, and the creation of files.
//! 3. The file is removed, the operation runs again, and the file is created again.
//! 4. The loan ends.
//!
//! An engine goes through `outside_loans` only while `RESERVE` is released. One race remains. A thread sees `RESERVE` held
//! and pauses. Others release it and use up its space. The thread then allocates during a loan. The loan fails with
//! `StorageFull`, and poisons nothing. The store opens and closes again as soon as a user frees space.

use std::sync::atomic::Ordering;

use kv::Result;

use super::{DiskReserve, is_disk_full};

impl DiskReserve {
    /// Runs `operation`. If it finds the disk full, keeps others from allocating, releases the reserve, runs the operation
    /// again, and creates the file again right after it. The operation must be safe to run after a failure of that kind. It
    /// must not lend this reserve, and not enter [`DiskReserve::outside_loans`].
    ///
    /// # Errors
    /// The error of the last run. If the reserve cannot be released, the error of the first run.
    ///
    /// # Panics
    /// In debug builds when the operation breaks that rule. In release builds it waits for ever.
    pub fn lend<T>(&self, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        let releases = self.releases.load(Ordering::Acquire);
        let full = match operation() {
            Err(error) if is_disk_full(&error) => error,
            result => return result,
        };
        let _alone = self.lending.write();
        // Repeat also if another loan released the file since: its space may be free.
        let is_released = self.release().is_ok_and(|is_released| is_released);
        if !is_released && self.releases.load(Ordering::Acquire) == releases {
            return Err(full);
        }
        let result = operation();
        self.restore();
        result
    }

    /// Runs `allocate`, which may use up disk space, while the space of this reserve is not lent. Waits for the end of a
    /// loan.
    pub fn outside_loans<T>(&self, allocate: impl FnOnce() -> T) -> T {
        let _shared = self.lending.read();
        allocate()
    }
}
