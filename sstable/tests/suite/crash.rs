//! Crashes and failing calls while a table is written.

use std::path::Path;

use durable::{Fault, Inject, Plan, SimFs};
use kv::Error;
use sstable::ReadOptions;

use crate::fixture::{PATH, build, entries, open, small};

#[test]
fn a_crash_while_writing_leaves_no_table_or_the_whole_one() {
    let model = entries(0, 60, small().key_layout);
    let disk = SimFs::new();
    build(&disk, &model, small()).unwrap();
    let last = disk.ops();
    let mut sweep = disk.sweep();
    let (mut whole, mut missing) = (0, 0);
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(3) {
            let image = sweep.image(&variant);
            match open(&image, &ReadOptions::default()).and_then(|table| table.verify()) {
                Ok(()) => whole += 1,
                Err(error) => {
                    assert!(error.is_corruption() || error.io_kind().is_some(), "{error}");
                    missing += 1;
                }
            }
            let is_there = image.contents(Path::new(PATH)).is_some();
            assert!(
                point < last || is_there,
                "a finished table survives: {}",
                sweep.explain(&variant)
            );
            if point == last {
                let table = open(&image, &ReadOptions::default()).unwrap();
                table.verify().unwrap();
                assert_eq!(table.properties().unwrap().entries, 60);
            }
        }
    }
    assert!(whole > 0 && missing > 0, "{whole} {missing}");
}

#[test]
fn every_call_that_fails_while_a_table_is_built_fails_the_table() {
    let model = entries(0, 3_000, small().key_layout);
    let calls = {
        let fs = Inject::over_sim(SimFs::new(), Plan::none());
        build(&fs, &model, small()).unwrap();
        fs.calls()
    };
    assert!(calls > 4, "the file is written in several calls");
    for at in 0..calls {
        for fault in [Fault::Eio, Fault::Late, Fault::NoSpace, Fault::Torn(100)] {
            let fs = Inject::over_sim(SimFs::new(), Plan::once(at, fault.clone()));
            let built = build(&fs, &model, small());
            if fs.injected() > 0 {
                assert!(matches!(built, Err(Error::Io { .. })), "{fault:?} at call {at}");
            }
        }
    }
}

#[test]
fn every_call_that_fails_while_a_table_is_read_fails_the_read() {
    let model = entries(0, 400, small().key_layout);
    let disk = SimFs::new();
    build(&disk, &model, small()).unwrap();
    for options in crate::fixture::read_options() {
        let read = |fs: &Inject| -> kv::Result<()> {
            let table = open(fs, &options)?;
            for (entry, value) in &model {
                assert_eq!(table.get(&entry.0)?.as_ref(), Some(value));
            }
            table.verify()
        };
        let fs = Inject::over_sim(disk.clone(), Plan::none());
        read(&fs).unwrap();
        for at in 0..fs.calls() {
            let fs = Inject::over_sim(disk.clone(), Plan::once(at, Fault::Eio));
            let failed = read(&fs);
            assert!(fs.injected() == 0 || matches!(failed, Err(Error::Io { .. })), "call {at}");
        }
    }
}
