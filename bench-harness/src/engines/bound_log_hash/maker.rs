//! The thread that makes segments, so that no write waits for a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use durable::{Fs, LogFile, OsFs};
use kv::{Error, Result};

/// Bytes of a segment, and so of the largest batch.
pub(super) const SEGMENT_BYTES: u64 = 16 << 20;

/// The thread: it takes paths and hands over logs in the same order.
#[derive(Debug)]
pub(super) struct Maker {
    requests: Sender<PathBuf>,
    reserve: Receiver<Result<Arc<dyn LogFile>>>,
    thread: JoinHandle<()>,
}

impl Maker {
    /// Starts the thread. It ends when the requests do, or when nobody waits for its logs. With `fills`, segments are
    /// filled and synced.
    pub(super) fn start(fs: OsFs, fills: bool) -> Self {
        let (requests, paths) = channel::<PathBuf>();
        let (sender, reserve) = channel();
        let thread = std::thread::spawn(move || {
            let mut made = paths.iter().map(|path| create(&fs, &path, fills));
            while made.next().is_some_and(|new| sender.send(new).is_ok()) {}
        });
        Self { requests, reserve, thread }
    }

    /// Asks for a segment at `path`.
    pub(super) fn ask(&self, path: PathBuf) -> Result<()> {
        self.requests.send(path).map_err(|_| Error::Closed)
    }

    /// Waits for the oldest segment that was asked for.
    pub(super) fn take(&self) -> Result<Arc<dyn LogFile>> {
        self.reserve.recv().map_err(|_| Error::Closed)?
    }

    /// Ends the thread. It does not touch the directory any more.
    pub(super) fn stop(self) {
        let Self { requests, reserve, thread } = self;
        drop((requests, reserve));
        thread.join().unwrap_or_default();
    }
}

fn create(fs: &OsFs, path: &Path, fills: bool) -> Result<Arc<dyn LogFile>> {
    let log = fs.create_log(path, SEGMENT_BYTES)?;
    if fills {
        log.reserve(SEGMENT_BYTES)?;
        log.sync()?;
    }
    path.parent().map_or(Ok(()), |directory| fs.sync_dir(directory))?;
    Ok(log)
}
