//! Lending the last part of the space, and making it again.

use super::*;

/// The operation that needs the space takes so much of it.
const EDIT_BYTES: u64 = BYTES / 4;

fn open_last(fs: Arc<dyn Fs>) -> DiskReserve {
    let dir = StoreDir::open(fs, Path::new(DIR), OpenMode::Create).unwrap();
    DiskReserve::open_last(&dir, STORE, BYTES).unwrap()
}

/// A disk that is full, and on which the last reserve is held.
fn full_disk() -> SimFs {
    let disk = SimFs::new();
    open_last(Arc::new(disk.clone())).ensure().unwrap();
    disk.set_free_space(Some(0));
    disk
}

/// Writes the file `edit` anew and makes it durable, as an edit of the manifest would.
fn edit(fs: &dyn Fs) -> Result<()> {
    let file = create_afresh(fs, &Path::new(DIR).join("edit"))?;
    file.write_at(0, &vec![1; EDIT_BYTES as usize])?;
    file.sync()?;
    fs.sync_dir(Path::new(DIR))
}

fn used(disk: &SimFs) -> u64 {
    disk.files().iter().map(|path| disk.contents(path).unwrap().len() as u64).sum()
}

/// Whether a file with a temporary name is there.
fn has_unfinished(disk: &SimFs) -> bool {
    disk.files().iter().any(|path| path.extension().is_some_and(|extension| extension == "tmp"))
}

fn is_whole(disk: &SimFs, name: &str) -> bool {
    disk.contents(&Path::new(DIR).join(name)).is_some_and(|bytes| bytes.len() as u64 == BYTES)
}

/// A delete of another thread could allocate in the space that an edit of the manifest was lent.
#[test]
fn nobody_allocates_while_the_last_reserve_is_lent() {
    let disk = full_disk();
    let last = open_last(Arc::new(disk.clone()));
    let create = || disk.create(&Path::new(DIR).join("tombstones")).map(drop);
    let mut runs = 0;
    std::thread::scope(|scope| {
        let mut delete = None;
        let lent = last.lend(|| {
            runs += 1;
            assert_eq!(last.lending.try_read().is_none(), runs > 1, "a loan lets nobody in");
            if runs > 1 {
                let last = &last;
                delete = Some(scope.spawn(move || last.outside_loans(create)));
            }
            edit(&disk)
        });
        lent.unwrap();
        // It came after the loan: the space that the edit left is reserved again.
        let refused = delete.unwrap().join().unwrap();
        assert!(refused.is_err_and(|error| is_disk_full(&error)));
    });
    assert_eq!(runs, 2);
    assert_eq!(names(&disk), ["RESERVE-LAST", "edit"]);
    assert!(last.lending.try_read().is_some(), "the loan has ended");
}

#[test]
fn an_operation_that_finds_space_is_no_loan() {
    let disk = full_disk();
    let last = open_last(Arc::new(disk.clone()));
    disk.set_free_space(None);
    let calls = disk.ops();
    let is_open = last.lend(|| Ok(last.lending.try_read().is_some())).unwrap();
    assert!(is_open, "nobody is kept out");
    let failed: Result<()> = last.lend(|| Err(Error::Closed));
    assert!(matches!(failed, Err(Error::Closed)));
    assert_eq!(disk.ops(), calls, "the reserve was not touched");
}

/// A loan; then space comes back, and the reserve is made whole.
fn lend_and_refill(fs: &Arc<dyn Fs>, disk: &SimFs) -> Result<()> {
    let last = open_last(Arc::clone(fs));
    last.lend(|| edit(&**fs))?;
    disk.set_free_space(Some(2 * BYTES));
    last.ensure()
}

#[test]
fn a_crash_at_any_call_of_a_loan_leaves_the_reserve_or_its_space() {
    let disk = full_disk();
    let (from, full) = (disk.ops(), used(&disk));
    lend_and_refill(&(Arc::new(disk.clone()) as _), &disk).unwrap();
    let mut states = 0;
    let mut sweep = disk.sweep();
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(6) {
            if point < from {
                continue;
            }
            let left = sweep.image(&variant);
            left.set_free_space(Some(full.saturating_sub(used(&left))));
            let fs: Arc<dyn Fs> = Arc::new(left.clone());
            let last = open_last(Arc::clone(&fs));
            assert!(!has_unfinished(&left), "{point}, {variant}: {:?}", names(&left));
            last.lend(|| edit(&left)).unwrap_or_else(|error| panic!("{point}, {variant}: {error}"));
            left.set_free_space(Some(2 * BYTES));
            last.ensure().unwrap();
            assert!(is_whole(&left, "RESERVE-LAST"), "{point}, {variant}");
            states += 1;
        }
    }
    assert!(states > 100, "{states}");
}

#[test]
fn a_failure_at_any_call_of_a_loan_leaves_no_unfinished_file_and_passes() {
    for fault in [Fault::NoSpace, Fault::Fills, Fault::Eio, Fault::TooManyFiles] {
        for sticky in [false, true] {
            for call in 0.. {
                let disk = full_disk();
                let inject = Arc::new(Inject::over_sim(disk.clone(), Plan::none()));
                let fs: Arc<dyn Fs> = Arc::clone(&inject) as _;
                let plan = Plan { at: call, fault: fault.clone(), sticky };
                inject.arm(plan.clone());
                let opened = StoreDir::open(fs, Path::new(DIR), OpenMode::Write)
                    .and_then(|dir| DiskReserve::open_last(&dir, STORE, BYTES));
                let Ok(last) = opened else { continue };
                let lent = last.lend(|| edit(&*inject));
                let was_reached = inject.calls() > call;
                inject.lift();
                // A disk that refuses to remove a file keeps it until the next attempt.
                let may_be_left = sticky && fault == Fault::Eio;
                let is_left = has_unfinished(&disk);
                assert!(!is_left || may_be_left, "{plan}: {lent:?} left {:?}", names(&disk));
                disk.set_free_space(Some(4 * BYTES));
                last.ensure().unwrap();
                assert!(!last.is_released() && is_whole(&disk, "RESERVE-LAST"), "{plan}");
                if !was_reached {
                    break;
                }
            }
        }
    }
}
