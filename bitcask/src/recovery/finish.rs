//! The last step of loading: the keydir drops the tombstones, and the live records of each data file are counted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicUsize;
use durable::{Executor, fan_out};
use kv::Result;

use crate::data_file::FileTable;
use crate::file_handle::LiveCount;
use crate::keydir::Keydir;

/// Finishes `keydir` shard by shard, in this thread and in those of `executor`, and counts the live records of `files`.
///
/// # Errors
/// `InvalidArgument` when the keydir cannot hold the keys; `Io` on `dir` when a thread panics.
pub(crate) fn finish(
    keydir: &Arc<Keydir>,
    files: &FileTable,
    executor: &dyn Executor,
    dir: &Path,
) -> Result<()> {
    let numbers = files.numbers();
    debug_assert!(files.iter().all(|file| file.handle.live.records() == 0), "counted once");
    let (next, shards, keydir) = (AtomicUsize::new(0), keydir.shard_count(), Arc::clone(keydir));
    let work = move || {
        // A shared counter is slow: every thread would write its cache line. So each thread counts for itself.
        let mut counts = vec![LiveCount::default(); numbers];
        let shard = || next.fetch_add(1, Ordering::Relaxed);
        for shard in std::iter::repeat_with(shard).take_while(|&shard| shard < shards) {
            keydir.finish_loading_shard(shard, &mut |version| {
                // A file that is not in the table has no live count.
                if let Some(count) = counts.get_mut(usize::from(version.location.file)) {
                    count.add(version.location);
                }
            })?;
        }
        Ok(counts)
    };
    assert!(shards > 0, "a keydir has shards");
    for counts in fan_out(executor, "bitcask-load", ("load", dir), shards - 1, work)? {
        for (number, count) in counts.into_iter().enumerate() {
            if let Some(file) = files.get(number as u16) {
                file.handle.live.add_all(count);
            }
        }
    }
    Ok(())
}
