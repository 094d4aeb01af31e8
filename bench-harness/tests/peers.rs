//! `kvbench` with engines of others.

#![cfg(all(feature = "peers", target_os = "linux"))]

use std::process::Command;

/// Each put of one thread waits for a sync of its own.
const ARGUMENTS: [&str; 14] = [
    "run",
    "-e",
    "bitcask,peer:*",
    "-w",
    "sync-writes",
    "-n",
    "100",
    "-t",
    "1",
    "--ops",
    "20",
    "-r",
    "1",
    "-q",
];

#[test]
fn a_synced_put_of_every_engine_is_a_counted_sync() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvbench"));
    let output = command.args(ARGUMENTS).args(["--format", "csv"]).current_dir(&folder).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut table = csv::Reader::from_reader(&output.stdout[..]);
    let names = table.headers().unwrap().clone();
    let at = |name| names.iter().position(|known| known == name).unwrap();
    let mut engines = 0;
    for row in table.records().map(Result::unwrap) {
        let cell = |name| row[at(name)].to_owned();
        let is_whole_phase = cell("op") == "all" && cell("phase") == "run";
        if is_whole_phase && cell("durability") == "sync" && cell("engine") != "bound:null" {
            let [ops, fsyncs] = ["ops", "fsyncs"].map(|name| cell(name).parse::<u64>().unwrap());
            assert!(ops > 0 && fsyncs >= ops, "{}: {fsyncs} for {ops}", cell("engine"));
            engines += 1;
        }
    }
    assert!(engines >= 9, "bitcask, bound:log+hash and seven peers: {engines}");
}
