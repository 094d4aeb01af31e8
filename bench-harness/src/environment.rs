//! The machine and the build, for the manifest. Neither host names nor user names are recorded.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

/// Calls that the cost of the clock is averaged over.
const CLOCK_CALLS: u32 = 10_000;

/// The machine and the file system of a run; `stores` is where engines keep their files.
pub(crate) fn describe(stores: &Path) -> Value {
    json!({
        "harness_version": env!("CARGO_PKG_VERSION"),
        "rustc": env!("KVBENCH_RUSTC"),
        "profile": env!("KVBENCH_PROFILE"),
        "target": env!("KVBENCH_TARGET"),
        "git_commit": git(&["rev-parse", "HEAD"]),
        "git_is_dirty": git(&["status", "--porcelain"]).map(|text| !text.is_empty()),
        "cpu": field_of("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map(usize::from).ok(),
        "memory": field_of("/proc/meminfo", "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_string()),
        "governor": fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .ok()
            .map(|text| text.trim().to_string()),
        "file_system": file_system(stores),
        "clock_call_ns": clock_call_ns(),
    })
}

/// The load of the machine: runnable tasks, averaged over a minute.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn field_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_string())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

/// Type and options of the mount that holds `path`, or will hold it: the longest mount point above it.
fn file_system(path: &Path) -> Option<String> {
    let existing = std::path::absolute(path).ok()?;
    let path = existing.ancestors().find_map(|path| path.canonicalize().ok())?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 3 && path.starts_with(fields[1]));
    let nearest = above.max_by_key(|fields| fields[1].len())?;
    Some(format!("{} {}", nearest[2], nearest[3]))
}

/// The cost of reading the clock once; part of every measured call.
fn clock_call_ns() -> f64 {
    let start = Instant::now();
    for _ in 0..CLOCK_CALLS {
        std::hint::black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / f64::from(CLOCK_CALLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_the_one_on_which_engines_will_make_their_files() {
        let stores = Path::new("/proc/self/no-such-directory/stores");
        let described = describe(stores);
        assert!(described["file_system"].as_str().unwrap().starts_with("proc "), "{described}");
    }
}
