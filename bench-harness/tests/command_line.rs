//! `kvbench` as its users meet it: what it prints, what it writes, how it ends.

#![expect(clippy::unwrap_used, reason = "clippy does not know helpers of tests as tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

fn kvbench(arguments: &[&str], folder: &Path) -> Output {
    command(arguments, folder).output().unwrap()
}

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvbench"));
    command.args(arguments).current_dir(folder);
    command
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The complaint of a run that must fail: one line, and nothing on stdout.
fn complaint(arguments: &[&str], exit_code: i32) -> String {
    let folder = folder();
    let output = kvbench(arguments, folder.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit_code), "{text}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn only_run(folder: &Path) -> std::path::PathBuf {
    let mut runs = folder.join("results").read_dir().unwrap();
    let run = runs.next().unwrap().unwrap().path();
    assert!(runs.next().is_none());
    run
}

const SMALL_RUN: [&str; 16] = [
    "run",
    "-e",
    "bitcask,memory",
    "-w",
    "ycsb-a,ycsb-e,sync-writes",
    "-n",
    "300",
    "--ops",
    "500",
    "-d",
    "1m",
    "-r",
    "2",
    "--seed",
    "5",
    "--quiet",
];

#[test]
fn a_run_prints_tables_and_writes_its_folder() {
    let folder = folder();
    let output = kvbench(&SMALL_RUN, folder.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for expected in
        ["ycsb-a / run", "ycsb-e / run", "sync-writes / run", "bound:btree", "not ranked"]
    {
        assert!(printed.contains(expected), "{expected} is missing in\n{printed}");
    }
    let (_, summary) = printed.split_once("summary: winners").unwrap();
    for expected in ["ycsb-a / run", "sync-writes / run", "bitcask alone", "longest stall"] {
        assert!(summary.contains(expected), "{expected} is missing in\n{summary}");
    }
    let run = only_run(folder.path());
    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["plan"]["seed"], 5);
    assert!(run.join("report.md").exists() && !run.join("stores").exists());
    let mut rows = csv::Reader::from_path(run.join("summary.csv")).unwrap();
    let headers = rows.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    let is_synced = |row: &&csv::StringRecord| {
        &row[column("durability")] == "sync" && &row[column("op")] == "all"
    };
    for row in rows.iter().filter(is_synced) {
        let is_idle = &row[column("engine")] == "bound:null";
        assert_eq!(row[column("probe_before_ns")].is_empty(), is_idle, "{row:?}");
        assert_eq!(row[column("probe_after_ns")].is_empty(), is_idle, "{row:?}");
    }
    // Three engines keep the class: `bitcask` and two yardsticks.
    assert_eq!(rows.iter().filter(is_synced).count(), 3 * 2);
    let all = rows.iter().filter(|row| &row[column("op")] == "all");
    // Five engines, two blocks, five phases.
    assert_eq!(all.count(), 5 * 2 * 5);
    assert!(rows.iter().all(|row| &row[column("verify_errors")] == "0"));
}

#[test]
fn the_same_seed_gives_every_engine_the_same_operations() {
    let folder = folder();
    let arguments = [&SMALL_RUN[..], &["--format", "csv"]].concat();
    let output = kvbench(&arguments, folder.path());
    let mut rows = csv::Reader::from_reader(&output.stdout[..]);
    let headers = rows.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    // The engine that does nothing returns as many entries as a scan wants.
    let judged = |row: &csv::StringRecord| &row[column("engine")] != "bound:null";
    for row in rows.records().map(Result::unwrap).filter(judged) {
        let key = ["workload", "block", "phase", "op"].map(|name| row[column(name)].to_string());
        let count =
            ["ops", "entries", "user_bytes_written"].map(|name| row[column(name)].to_string());
        assert_eq!(counts.entry(key.clone()).or_insert(count.clone()), &count, "{key:?}");
    }
    assert!(counts.len() > 10);
}

#[test]
fn batches_and_rests_change_nothing_but_the_speed() {
    let folder = folder();
    let text = r#"
        [workload.bulk]
        about = "loads and overwrites in batches"
        records = 500
        phase = [
            { name = "load", load = "random", batch = 7 },
            { name = "settle", rest = "1ms" },
            { name = "overwrite", mix = { put = 1 }, batch = 30, ops = 400, threads = 2 },
        ]"#;
    std::fs::write(folder.path().join("bulk.toml"), text).unwrap();
    let output = kvbench(&["run", "-c", "bulk.toml", "-r", "1", "--format", "csv"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rows = csv::Reader::from_reader(&output.stdout[..]);
    let headers = rows.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    for row in rows.records().map(Result::unwrap) {
        let expected = if &row[column("phase")] == "load" { "500" } else { "800" };
        assert_eq!((&row[column("ops")], &row[column("records")]), (expected, "500"));
    }
}

#[test]
fn several_threads_agree_with_the_model_too() {
    let folder = folder();
    let arguments = [
        "run",
        "-w",
        "ycsb-a,readwhilewriting",
        "-n",
        "2000",
        "-t",
        "3",
        "--ops",
        "3000",
        "-r",
        "1",
    ];
    let output = kvbench(&arguments, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("3 threads"), "{printed}");
}

#[test]
fn wrong_usage_is_one_line_and_exit_code_2() {
    assert!(complaint(&["run", "--recrods", "5"], 2).contains("--records"));
    assert!(complaint(&["run", "-e", "memroy"], 2).contains("did you mean \"memory\"?"));
    assert!(complaint(&["run", "-d", "0s"], 2).contains("no time"));
    assert!(complaint(&["run", "-w", "ycbs-a"], 2).contains("did you mean \"ycsb-a\"?"));
    assert!(complaint(&["run", "-n", "many"], 2).contains("no count"));
    assert!(complaint(&["lst"], 2).contains("'list'"));
    assert!(complaint(&["run", "-w", "ycsb-a", "--value", "3"], 2).contains("value_bytes = 3"));
    assert!(complaint(&["run", "-c", "none.toml"], 2).contains("none.toml"));
    assert!(complaint(&["run", "--baseline", "lsm"], 2).contains("unknown baseline"));
    assert!(complaint(&["run", "-t", "1,2,1"], 2).contains("--threads names 1 twice"));
    assert!(complaint(&["--mem", "1"], 2).contains("1MiB at least"));
    assert!(complaint(&["run", "-d", "5"], 2).contains("a number with ms, s or m"));
    assert!(complaint(&["run", "-d", "1e19s"], 2).contains("is longer than"));
    assert!(complaint(&["simulate", "--dry-run"], 2).contains("simulate does not use --dry-run"));
    assert!(complaint(&["simulate", "-n", "0"], 2).contains("keys = 0 is not from"));
    assert!(complaint(&["table"], 2).contains("<FOLDER>"));
    assert!(complaint(&["calibration", "none.csv"], 4).contains("cannot read none.csv"));
}

#[test]
fn simulations_of_one_second_have_folders_of_their_own_and_are_quiet_if_asked() {
    let folder = folder();
    let text = include_str!("../simulations/amplification.toml");
    let line = text.lines().find(|line| line.starts_with("workloads = ")).unwrap();
    std::fs::write(folder.path().join("s.toml"), text.replace(line, "workloads = [\"uniform\"]"))
        .unwrap();
    let arguments = ["simulate", "-c", "s.toml", "-n", "1000", "--label", "mine", "--quiet"];
    let start = |_| {
        let mut command = command(&arguments, folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for simulation in [0, 1, 2].map(start) {
        let output = simulation.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && text.lines().count() == 1, "{text}");
    }
    let names = folder.path().join("results").read_dir().unwrap().map(|entry| {
        let path = entry.unwrap().path();
        assert!(path.join("write.svg").exists(), "{}", path.display());
        path.file_name().unwrap().to_string_lossy().into_owned()
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() == 3 && names.iter().all(|name| name.contains("-mine")), "{names:?}");
}

#[test]
fn a_folder_that_cannot_be_written_is_exit_code_4() {
    let folder = folder();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for flag in ["--out", "--dir"] {
        let arguments =
            ["run", "-w", "ycsb-c", "-n", "10", "--ops", "10", "--quiet", flag, "file/below"];
        let output = kvbench(&arguments, folder.path());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{text}");
        assert!(text.contains("cannot create file/below"), "{text}");
    }
}

#[test]
fn a_full_disk_behind_the_standard_output_is_exit_code_4() {
    let folder = folder();
    let run = ["run", "-e", "memory", "-w", "ycsb-c", "-n", "10", "--ops", "10", "-r", "1"];
    for arguments in [&["list"][..], &["--help"], &["--dry-run"], &run] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(arguments, folder.path()).stdout(full).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {text}");
        assert!(text.contains("cannot write to the standard output"), "{text}");
    }
    assert!(only_run(folder.path()).join("report.md").exists());
}

#[test]
fn an_input_that_is_missing_is_told_before_a_folder_is_made() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    let text = "[workload.w]\nabout = \"x\"\ninput = \"words.tsv\"\n\
        phase = [{ name = \"load\", load = \"random\" }]\n";
    std::fs::write(folder.path().join("mine/own.toml"), text).unwrap();
    let arguments = ["run", "-e", "memory", "-c", "mine/own.toml", "-r", "1"];
    let output = kvbench(&arguments, folder.path());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("workload w: cannot read input mine/words.tsv"), "{complaint}");
    assert!(!folder.path().join("results").exists());
    // The path begins at the folder of the workload file.
    std::fs::write(folder.path().join("mine/words.tsv"), "a\tfirst\nb\tsecond\n").unwrap();
    let output = kvbench(&arguments, folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_batch_that_the_harness_puts_together_is_no_memory_of_the_engine() {
    let folder = folder();
    let text = "[workload.w]\nabout = \"x\"\nrecords = 20_000\nvalue_bytes = 1024\n\
        phase = [{ name = \"load\", load = \"random\", batch = 10_000 }]\n";
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let arguments = ["run", "-e", "memory", "-c", "own.toml", "-r", "1", "--format", "csv"];
    let output = kvbench(&arguments, folder.path());
    let mut rows = csv::Reader::from_reader(&output.stdout[..]);
    let headers = rows.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    let is_idle = |row: &&csv::StringRecord| &row[column("engine")] == "bound:null";
    let row = rows.iter().find(is_idle).unwrap();
    // A batch takes 10 MB.
    for of in ["memory_anon_bytes", "memory_peak_bytes"] {
        assert!(row[column(of)].parse::<u64>().unwrap() < 2 << 20, "{row:?}");
    }
}

#[test]
fn an_interrupt_keeps_what_was_measured_and_leaves_no_store() {
    let folder = folder();
    let arguments = ["run", "-w", "ycsb-c", "-n", "100", "-d", "200ms", "-r", "1000"];
    let mut running = command(&arguments, folder.path());
    let mut running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let summary = || folder.path().join("results").read_dir().ok()?.next()?.ok();
    let has_rows = |folder: std::fs::DirEntry| {
        std::fs::read_to_string(folder.path().join("summary.csv"))
            .is_ok_and(|text| text.lines().count() > 4)
    };
    while !summary().is_some_and(has_rows) {
        assert!(running.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = {
        running.wait().unwrap();
        running.wait_with_output().unwrap()
    };
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stdout).contains("ycsb-c / run"));
    let run = only_run(folder.path());
    assert!(run.join("report.md").exists() && !run.join("stores").exists());
    let rows = csv::Reader::from_path(run.join("summary.csv")).unwrap().into_records();
    assert!(rows.map(Result::unwrap).count() >= 4);
}

/// The state of a process, as the letter of `/proc`; `None` when it is gone.
fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The worker of a process, once there is one.
fn worker_of(pid: &str) -> String {
    let children = || std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    // The run asks other programs about the machine first.
    let is_worker = |child: &&str| {
        let command = std::fs::read_to_string(format!("/proc/{child}/cmdline"));
        command.is_ok_and(|command| command.contains("\0worker\0"))
    };
    loop {
        if let Some(child) = children().split_whitespace().find(is_worker) {
            return child.into();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_worker_stops_and_continues_with_the_run_and_its_cell_is_measured_again() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = folder();
    let arguments =
        ["run", "-e", "memory", "-w", "readrandom", "-n", "100", "-d", "2s", "-r", "1", "--quiet"];
    let mut command = command(&arguments, folder.path());
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (id, pid) = (running.id().to_string(), Pid::from_child(&running));
    let worker = worker_of(&id);
    kill_process(pid, Signal::TSTP).unwrap();
    wait_until(|| state(&id) == Some('T') && state(&worker) == Some('T'));
    kill_process(pid, Signal::CONT).unwrap();
    wait_until(|| state(&id) != Some('T') && state(&worker) != Some('T'));
    // The cell that was stopped runs once more, in another process.
    wait_until(|| state(&worker).is_none_or(|state| state == 'Z'));
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = csv::Reader::from_path(only_run(folder.path()).join("summary.csv")).unwrap();
    assert!(rows.into_records().count() > 0);
}

#[test]
fn the_stores_of_a_killed_run_go_when_the_next_one_begins() {
    let folder = folder();
    let arguments = ["run", "-e", "memory", "-w", "ycsb-c", "-n", "100", "-d", "1m", "-r", "1"];
    let mut killed = command(&arguments, folder.path()).stderr(Stdio::null()).spawn().unwrap();
    worker_of(&killed.id().to_string());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let stores = only_run(folder.path()).join("stores");
    assert!(stores.exists());
    let arguments = ["run", "-e", "memory", "-w", "ycsb-c", "-n", "100", "--ops", "9", "-r", "1"];
    let output = kvbench(&arguments, folder.path());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("removed the stores of a killed run: ").count(), 1, "{text}");
    assert!(!stores.exists());
}

#[test]
fn a_run_in_which_no_engine_fits_fails_with_their_names() {
    let folder = folder();
    let arguments =
        ["run", "-e", "memory", "-w", "overwrite", "-n", "50k", "--ops", "1000", "-r", "1"];
    let limited = [&arguments[..], &["--limit-memory", "8MiB", "--quiet"]].concat();
    let output = kvbench(&limited, folder.path());
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if complaint.contains("needs a memory cgroup") {
        println!("skipped, because no memory group can be made here: {complaint}");
        return;
    }
    assert_eq!((output.status.code(), complaint.lines().count()), (Some(5), 1), "{complaint}");
    assert!(
        complaint.contains("were not checked: ") && complaint.contains("memory"),
        "{complaint}"
    );
}

#[test]
fn lists_name_everything_in_text_and_json() {
    let folder = folder();
    let text = String::from_utf8(kvbench(&["list"], folder.path()).stdout).unwrap();
    for expected in ["memory", "bound:log+hash", "ycsb-f", "git-history", "zipfian"] {
        assert!(text.contains(expected), "{expected}");
    }
    let json = kvbench(&["list", "engines", "--json"], folder.path()).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(json["engines"].as_array().unwrap().len() >= 3);
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = folder();
    let output = kvbench(&["--dry-run"], folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("git-history") && text.contains("about"), "{text}");
    assert!(!folder.path().join("results").exists());
}

#[test]
fn the_engine_that_does_nothing_is_in_every_table_and_never_ranked() {
    let folder = folder();
    let arguments = ["run", "-e", "memory", "-w", "ycsb-c", "-n", "100", "-d", "50ms", "-r", "1"];
    let output = kvbench(&arguments, folder.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains(", loop "), "{printed}");
    let line = printed.lines().find(|line| line.contains("bound:null ")).unwrap();
    assert!(line.trim_start().starts_with("-  bound:null"), "{line}");
    assert!(!line.contains('%'), "it is no share of a bound: {line}");
}

#[test]
fn a_schedule_is_kept_and_its_columns_are_filled() {
    let folder = folder();
    let arguments = [
        "run", "-e", "memory", "-w", "ycsb-a", "-n", "100", "-d", "300ms", "-r", "1", "--rate",
        "5k", "--format", "csv",
    ];
    let output = kvbench(&arguments, folder.path());
    let mut rows = csv::Reader::from_reader(&output.stdout[..]);
    let headers = rows.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let mut found = 0;
    for row in rows.records().map(Result::unwrap).filter(|row| &row[column("phase")] == "run") {
        assert_eq!(&row[column("target_rate")], "5000.0");
        for name in ["achieved_rate", "late_ops"] {
            assert_ne!(&row[column(name)], "", "{name}");
        }
        let reached: f64 = row[column("achieved_rate")].parse().unwrap();
        assert!(reached < 10_000.0, "{reached}");
        found += 1;
    }
    assert!(found > 3);
}

#[test]
fn two_runs_of_one_second_have_folders_and_stores_of_their_own() {
    let folder = folder();
    let arguments = ["run", "-e", "memory", "-w", "ycsb-c", "-n", "100", "--ops", "100", "-r", "1"];
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let mut run = command(&arguments, folder.path());
            run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let runs = folder.path().join("results").read_dir().unwrap();
    let names: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
    assert_eq!(names.len(), 3);
    for run in names {
        let name = run.file_name().unwrap().to_str().unwrap();
        let mut rows = csv::Reader::from_path(run.join("summary.csv")).unwrap();
        let headers = rows.headers().unwrap().clone();
        let column = headers.iter().position(|header| header == "run_id").unwrap();
        assert!(rows.records().all(|row| &row.unwrap()[column] == name));
        assert!(!run.join("stores").exists());
    }
}

#[test]
fn a_folder_whose_name_is_not_unicode_is_a_folder() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff");
    let arguments = ["run", "-e", "memory", "-w", "ycsb-c", "-n", "100", "--ops", "100", "-r", "1"];
    let output = command(&arguments, folder.path()).arg("-o").arg(odd).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(folder.path().join(odd).read_dir().unwrap().count(), 1);
}

#[test]
fn a_sweep_over_threads_has_a_table_for_each_number() {
    let folder = folder();
    let arguments = [
        "--seed", "1", "run", "-e", "memory", "-w", "ycsb-c", "-n", "100", "--ops", "100", "-r",
        "1", "-t", "1,2",
    ];
    let output = kvbench(&arguments, folder.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    for expected in ["ycsb-c-1t / run", "ycsb-c-2t / run", "1 thread,", "2 threads,"] {
        assert!(printed.contains(expected), "{expected}\n{printed}");
    }
}

#[test]
fn a_workload_that_mixes_nothing_runs_once_and_keeps_its_name_in_a_sweep_over_threads() {
    let folder = folder();
    let arguments = ["run", "-e", "memory", "-w", "fillbatch,overwrite", "-t", "2,256"];
    let output = kvbench(&[&arguments[..], &["--dry-run"]].concat(), folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in ["\nfillbatch: ", "\noverwrite-2t: ", "\noverwrite-256t: "] {
        assert_eq!(text.matches(expected).count(), 1, "{expected}\n{text}");
    }
    assert!(!text.contains("fillbatch-"), "{text}");
}

#[test]
fn a_workload_is_listed_with_its_group_its_sizes_and_its_mix() {
    let folder = folder();
    let output = kvbench(&["list", "workloads"], folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("ycsb-b ")).unwrap();
    for expected in ["@ycsb", "1.00M x 1000 B", "95 get 5 put"] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
}

#[test]
fn an_engine_that_does_not_fit_in_its_memory_has_no_number_and_the_run_goes_on() {
    let folder = folder();
    let arguments =
        ["run", "-e", "memory,bitcask", "-w", "overwrite", "-n", "50k", "--ops", "1000", "-r", "1"];
    let limited = [&arguments[..], &["--limit-memory", "8MiB"]].concat();
    let output = kvbench(&limited, folder.path());
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("needs a memory cgroup") {
        println!("skipped, because no memory group can be made here: {complaint}");
        assert_eq!((output.status.code(), complaint.lines().count()), (Some(2), 1), "{complaint}");
        assert!(!folder.path().join("results").exists(), "nothing was measured");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("limited to 8.00M with page cache"), "{text}");
    let misfits: Vec<_> =
        text.lines().filter(|line| line.contains("did not fit in 8.00M")).collect();
    assert!(misfits.iter().any(|line| line.contains("memory")), "{text}");
    let null = text.lines().find(|line| line.contains("bound:null")).unwrap();
    assert!(!null.contains("did not fit"), "{text}");
    let run = only_run(folder.path());
    let manifest = std::fs::read_to_string(run.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["memory_limit"]["limit_bytes"], 8 << 20);
    assert!(manifest["memory_limit"]["raised_by_bytes"][0].as_u64() > Some(1 << 20), "{manifest}");
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("limited to 8.00M") && report.contains("did not fit"), "{report}");
}

#[test]
fn a_limit_in_which_no_process_runs_is_refused() {
    let text = complaint(&["quick", "--limit-memory", "4KiB"], 2);
    assert!(text.contains("1MiB at least"), "{text}");
}
