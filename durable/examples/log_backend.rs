//! Measures what an append costs through each [`LogBackend`], in three states of the disk: pages resident and nobody
//! syncing, pages being written back by a thread that syncs all the time, and pages evicted after each sync.
//!
//! ```text
//! cargo run --release -p durable --example log_backend -- [DIRECTORY]
//! ```
//!
//! The backends take turns within one run, so their ratio means something even where the disk's speed does not.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]
#![expect(clippy::disallowed_methods, reason = "this measures the disk itself")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use durable::{Fs, LogBackend, LogFile, OsFs};

const APPEND_BYTES: usize = 136;
const CAPACITY_BYTES: u64 = 64 << 20;
const APPENDS: usize = 400_000;
const ROUNDS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum State {
    Resident,
    WrittenBack,
    Evicted,
}

fn main() -> kv::Result<()> {
    let dir = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("| state | backend | mean ns | p50 ns | p99.9 ns | max us |");
    println!("|---|---|---|---|---|---|");
    for state in [State::Resident, State::WrittenBack, State::Evicted] {
        let mut samples = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS * 2 {
            let at = round % 2;
            let backend = [LogBackend::Mapped, LogBackend::Written][at];
            samples[at].extend(measure(&dir, backend, state)?);
        }
        for (backend, samples) in ["mapped", "written"].iter().zip(&mut samples) {
            print_row(state, backend, samples);
        }
    }
    Ok(())
}

fn print_row(state: State, backend: &str, samples: &mut [u64]) {
    samples.sort_unstable();
    let at = |per_mille: usize| samples[(samples.len() - 1) * per_mille / 1000];
    let mean = samples.iter().sum::<u64>() / samples.len() as u64;
    let (p50, p999, max) = (at(500), at(999), at(1000) / 1000);
    println!("| {state:?} | {backend} | {mean} | {p50} | {p999} | {max} |");
}

fn measure(dir: &Path, backend: LogBackend, state: State) -> kv::Result<Vec<u64>> {
    let path = dir.join("log-backend-measurement");
    let fs = OsFs::new(backend);
    let log = fs.create_log(&path, CAPACITY_BYTES)?;
    let done = Arc::new(AtomicBool::new(false));
    let disturber = {
        let (log, done, path) = (Arc::clone(&log), Arc::clone(&done), path.clone());
        std::thread::spawn(move || disturb(&*log, &path, state, &done))
    };
    let mut samples = Vec::with_capacity(APPENDS);
    let bytes = [0x5a; APPEND_BYTES];
    for at in 0..APPENDS as u64 {
        let (offset, end) = (at * APPEND_BYTES as u64, (at + 1) * APPEND_BYTES as u64);
        let start = Instant::now();
        log.reserve(end)?;
        log.append(offset, &bytes)?;
        samples.push(start.elapsed().as_nanos() as u64);
    }
    done.store(true, Ordering::Relaxed);
    disturber.join().expect("the disturber does not panic")?;
    fs.remove(&path)?;
    Ok(samples)
}

fn disturb(log: &dyn LogFile, path: &Path, state: State, done: &AtomicBool) -> kv::Result<()> {
    while !done.load(Ordering::Relaxed) {
        match state {
            State::Resident => std::thread::sleep(Duration::from_millis(1)),
            State::WrittenBack => log.sync()?,
            State::Evicted => {
                log.sync()?;
                evict(path);
            }
        }
    }
    Ok(())
}

/// Asks the kernel to drop the clean pages of the file. Pages that are mapped and in use may stay.
fn evict(path: &Path) {
    if let Ok(file) = std::fs::File::open(path) {
        let whole = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        whole.unwrap_or_default();
    }
}
