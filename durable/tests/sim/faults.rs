//! What the fault injector counts, fails, leaves out and shows.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};

use durable::{
    Access, Call, Fault, Fs, Inject, LockMode, OpKind, Plan, SimFs, SyncFailure, read_whole,
};
use kv::{Error, Result};

fn path(name: &str) -> &Path {
    Path::new(name)
}

/// Makes one call of each kind, and says which of them failed, and how.
fn call_everything(fs: &dyn Fs) -> Vec<Result<()>> {
    let mut results = vec![
        fs.create_dir(path("dir")),
        fs.list(path("dir")).map(drop),
        fs.lock(path("LOCK"), LockMode::Shared).map(drop),
        fs.free_space(path("dir")).map(drop),
    ];
    if let Ok(file) = keep(&mut results, fs.create(path("file"))) {
        results.push(file.write_at(0, b"12345678"));
        results.push(file.set_len(8));
        results.push(file.sync());
        results.push(file.len().map(drop));
        results.push(file.read_at(0, &mut [0; 4]));
        results.push(file.map(Access::Random).map(drop));
    }
    if let Ok(log) = keep(&mut results, fs.create_log(path("log"), 100)) {
        results.push(log.cut(0));
        results.push(log.append(0, b"12345678"));
        results.push(log.read(0, 8, &mut |_| ()));
        results.push(log.finish(8));
        results.push(log.sync());
    }
    results.push(fs.open(path("file")).map(drop));
    results.push(fs.open_writable(path("file")).map(drop));
    results.push(fs.link(path("file"), path("link")));
    results.push(fs.rename(path("link"), path("other")));
    results.push(fs.remove(path("other")));
    results.push(fs.sync_dir(path("")));
    results
}

fn keep<T>(results: &mut Vec<Result<()>>, result: Result<T>) -> Result<T> {
    results.push(result.as_ref().map(drop).map_err(Clone::clone));
    result
}

fn over_sim(plan: Plan) -> (Inject, SimFs) {
    let sim = SimFs::new();
    (Inject::over_sim(sim.clone(), plan), sim)
}

#[test]
fn every_call_is_counted_and_can_be_the_one_that_fails() {
    let (fs, _) = over_sim(Plan::none());
    assert!(call_everything(&fs).iter().all(Result::is_ok));
    assert_eq!(fs.injected(), 0);
    let calls = fs.calls();
    assert_eq!(calls, 23);
    for at in 0..calls {
        let (fs, _) = over_sim(Plan::once(at, Fault::Eio));
        let results = call_everything(&fs);
        assert_eq!(fs.injected(), 1, "call {at}");
        let first = results.iter().position(Result::is_err);
        assert_eq!(first, Some(at));
    }
}

#[test]
fn a_sticky_fault_stays_until_it_is_lifted() {
    let (fs, _) = over_sim(Plan { at: 3, fault: Fault::Eio, sticky: true });
    let results = call_everything(&fs);
    assert!(results[..3].iter().all(Result::is_ok));
    assert!(results[3..].iter().all(Result::is_err));
    assert_eq!(fs.injected(), fs.calls() - 3);
    fs.lift();
    assert!(call_everything(&fs).iter().all(Result::is_ok));
}

/// The failures when `fault` is injected at each call in turn.
fn failures(fault: &Fault) -> Vec<Error> {
    let failure = |at| {
        let (fs, _) = over_sim(Plan::once(at, fault.clone()));
        call_everything(&fs).into_iter().find_map(Result::err)
    };
    (0..23).filter_map(failure).collect()
}

#[test]
fn a_fault_hits_only_calls_that_can_fail_so() {
    assert_eq!(failures(&Fault::TooManyFiles).len(), 8);
    let full = failures(&Fault::NoSpace);
    assert!(full.iter().all(|error| error.io_kind() == Some(ErrorKind::StorageFull)));
    let over_quota = failures(&Fault::Quota);
    assert!(over_quota.iter().all(|error| error.io_kind() == Some(ErrorKind::QuotaExceeded)));
    assert_eq!((full.len(), over_quota.len()), (12, 12));
    assert_eq!(failures(&Fault::Short).len(), 2);
    assert_eq!(failures(&Fault::Torn(7)).len(), 2);
    assert_eq!(failures(&Fault::Torn(8)).len(), 0);
    assert_eq!(failures(&Fault::Late).len(), 14);
    let fills = failures(&Fault::Fills);
    assert!(fills.iter().all(|error| error.io_kind() == Some(ErrorKind::StorageFull)));
    assert_eq!(fills.len(), 2);
}

/// A directory is opened to make the name of the new one in it durable.
#[test]
fn a_process_without_file_handles_creates_no_directory() {
    let (fs, sim) = over_sim(Plan::once(0, Fault::TooManyFiles));
    assert!(fs.create_dir(path("dir")).unwrap_err().is_out_of_file_handles());
    assert_eq!(sim.ops(), 0, "nothing was done");
    fs.create_dir(path("dir")).unwrap();
}

#[test]
fn a_short_or_torn_write_lands_in_part_and_a_late_failure_whole() {
    let short = [(Fault::Fills, 2), (Fault::Short, 2), (Fault::Torn(3), 3)];
    let faults = short.into_iter().chain([(Fault::Late, 4), (Fault::Eio, 0)]);
    for (fault, landed) in faults {
        let (fs, sim) = over_sim(Plan::once(1, fault.clone()));
        fs.create(path("a")).unwrap().write_at(0, b"1234").unwrap_err();
        assert_eq!(sim.contents(path("a")).unwrap(), b"1234"[..landed]);
        let (fs, sim) = over_sim(Plan::once(1, fault));
        fs.create_log(path("a"), 4).unwrap().append(0, b"1234").unwrap_err();
        let mut expected = b"1234"[..landed].to_vec();
        expected.resize(4, 0);
        assert_eq!(sim.contents(path("a")).unwrap(), expected);
    }
}

#[test]
fn a_failed_sync_reaches_the_file_that_was_opened_whatever_its_name_is_now() {
    let (fs, sim) = over_sim(Plan::once(3, Fault::Eio));
    sim.set_sync_failure(SyncFailure::Reverts);
    let file = fs.create(path("a")).unwrap();
    file.write_at(0, b"1").unwrap();
    fs.rename(path("a"), path("b")).unwrap();
    file.sync().unwrap_err();
    assert_eq!(sim.contents(path("b")).unwrap(), b"");
    file.sync().unwrap();
}

#[test]
fn a_late_failure_has_done_all_of_its_work() {
    for (at, work) in [(1, "write a 0+3"), (2, "sync a"), (3, "rename a b"), (4, "sync-dir ")] {
        let (fs, sim) = over_sim(Plan::once(at, Fault::Late));
        let file = fs.create(path("a")).unwrap();
        let calls: [&dyn Fn() -> Result<()>; 4] = [
            &|| file.write_at(0, b"123"),
            &|| file.sync(),
            &|| fs.rename(path("a"), path("b")),
            &|| fs.sync_dir(path("")),
        ];
        let failed = calls.iter().position(|call| call().is_err());
        assert_eq!(failed, Some(at - 1));
        assert_eq!(sim.op_name(sim.ops() - 1), work);
    }
}

#[test]
fn a_file_that_cannot_be_mapped_is_read_by_position() {
    let plan = Plan { at: 0, fault: Fault::NoMemory, sticky: true };
    let (fs, sim) = over_sim(plan);
    sim.set_contents(path("a"), b"bytes".to_vec());
    let file = fs.open(path("a")).unwrap();
    let refused = file.map(Access::Random).unwrap_err();
    assert!(refused.is_out_of_resources(), "{refused}");
    assert_eq!(read_whole(&*file).unwrap().bytes(), b"bytes");
    assert_eq!(fs.injected(), 2);
}

#[test]
fn a_skipped_call_reports_success_and_leaves_no_trace() {
    let (fs, sim) = over_sim(Plan::skip(OpKind::SyncFile, ".data"));
    let data = fs.create(path("1.data")).unwrap();
    data.sync().unwrap();
    let other = fs.create(path("1.other")).unwrap();
    other.sync().unwrap();
    assert_eq!(fs.injected(), 1);
    assert_eq!(sim.op_name(sim.ops() - 1), "sync 1.other");
    assert_eq!(sim.ops(), 3);
}

#[test]
fn a_rename_is_skipped_by_either_name_and_once_if_not_sticky() {
    let skip = |at| {
        let plan = Plan { at, sticky: false, ..Plan::skip(OpKind::Rename, "CURRENT") };
        let (fs, sim) = over_sim(plan);
        fs.create(path("a")).unwrap();
        fs.rename(path("a"), path("CURRENT")).unwrap();
        fs.rename(path("a"), path("CURRENT")).map(|()| sim.files())
    };
    assert_eq!(skip(0).unwrap(), [path("CURRENT")], "the second attempt was real");
    assert_eq!(skip(2).unwrap(), [path("CURRENT")], "the first one was");
    assert_eq!(skip(3).unwrap_err().io_kind(), Some(ErrorKind::NotFound), "both were");
}

#[test]
fn a_skipped_append_uses_up_its_space() {
    let plan = Plan { sticky: false, ..Plan::skip(OpKind::Append, "") };
    let (fs, sim) = over_sim(plan);
    let log = fs.create_log(path("log"), 4).unwrap();
    log.append(0, b"12").unwrap();
    log.append(2, b"34").unwrap();
    assert_eq!(sim.contents(path("log")).unwrap(), b"\0\x0034");
}

#[test]
fn a_call_that_returns_something_is_not_skipped() {
    let (fs, _) = over_sim(Plan::skip(OpKind::Create, ""));
    fs.create(path("a")).unwrap();
    assert_eq!(fs.injected(), 0);
}

#[test]
fn a_hook_sees_each_call_before_it_runs() {
    let (fs, sim) = over_sim(Plan::none());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, disk) = (Arc::clone(&seen), sim);
    fs.on_call(Arc::new(move |call: &Call<'_>| {
        let line = format!("{} {} {} {}", call.index, call.kind, call.path.display(), disk.ops());
        log.lock().unwrap().push(line);
    }));
    fs.create(path("a")).unwrap().sync().unwrap();
    fs.rename(path("a"), path("b")).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["0 create a 0", "1 sync-file a 1", "2 rename a 2"]);
}

#[test]
fn a_hook_sees_each_call_after_it_has_run_and_before_it_returns() {
    let (fs, sim) = over_sim(Plan::once(1, Fault::Eio));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, disk) = (Arc::clone(&seen), sim);
    fs.on_return(Arc::new(move |call: &Call<'_>| {
        log.lock().unwrap().push(format!("{} {} {}", call.index, call.kind, disk.ops()));
    }));
    let file = fs.create(path("a")).unwrap();
    file.sync().unwrap_err();
    file.write_at(0, b"x").unwrap();
    assert_eq!(*seen.lock().unwrap(), ["0 create 1", "1 sync-file 2", "2 write 3"]);
}

#[test]
fn an_injector_wraps_any_file_system() {
    let inner: Arc<dyn Fs> = Arc::new(over_sim(Plan::none()).0);
    let fs = Inject::new(inner, Plan::once(1, Fault::Eio));
    let file = fs.create(path("a")).unwrap();
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(fs.clone().calls(), 3);
}

#[test]
fn the_text_of_a_plan_reads_back() {
    for text in [
        "none",
        "eio@17",
        "late@0",
        "no-space@3+",
        "quota@1",
        "too-many-files@2",
        "no-memory@5+",
        "short@9",
        "torn:100@9",
        "skip:sync-dir:@0+",
        "skip:sync-file:odd@name:1@4",
    ] {
        assert_eq!(text.parse::<Plan>().unwrap().to_string(), text);
    }
    let planted = Plan::skip(OpKind::SyncDir, "store");
    assert_eq!("skip:sync-dir:store@0+".parse::<Plan>().unwrap(), planted);
    for wrong in ["", "eio", "eio@", "eio@x", "torn@1", "torn:x@1", "skip:fly:@1", "skip:read@1"] {
        assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
    }
}
