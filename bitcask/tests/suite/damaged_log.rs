//! Damage in a file of the log that is not sealed, while the store is open.

use bitcask::{Bitcask, MergeOptions};
use kv::{Durability, Error, Kv};

use crate::world::{FIRST_RECORD, STORE, World, delete, fill, key};

/// How long the frame is of a put of [`fill`].
const RECORD_LEN: usize = 136;

/// Damages record `record` of data file `id` on the disk.
fn damage(world: &World, id: u64, record: usize) {
    let victim = world.data_path(id);
    let mut bytes = world.disk.contents(&victim).unwrap();
    bytes[FIRST_RECORD + record * RECORD_LEN + 60] ^= 1;
    world.disk.set_contents(&victim, bytes);
}

/// Damages the only put of key `number` on the disk, of round 1.
fn damage_put(world: &World, number: u32) {
    let put = [key(number).as_slice(), &[1; 100]].concat();
    for path in world.data_files().into_iter().map(|id| world.data_path(id)) {
        let mut bytes = world.disk.contents(&path).unwrap();
        if let Some(at) = bytes.windows(put.len()).position(|window| window == put) {
            bytes[at + 60] ^= 1;
            return world.disk.set_contents(&path, bytes);
        }
    }
    panic!("no file has the put");
}

/// Checks that `refused` names record `record` of data file `id`.
fn assert_names(refused: &Error, id: u64, record: usize) {
    let Error::Corruption { path, offset, .. } = refused else { panic!("{refused:?}") };
    assert!(path.ends_with(format!("{id:06}.data")), "{refused}");
    assert_eq!(*offset, (FIRST_RECORD + record * RECORD_LEN) as u64, "{refused}");
}

/// A store whose active file 0 has a damaged record, that of key 3.
fn with_damaged_active_file(merge: Option<MergeOptions>) -> (World, Bitcask) {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().data_file_bytes(8192).merge(merge)).unwrap();
    fill(&engine, 0..10, 1);
    damage(&world, 0, 3);
    (world, engine)
}

#[test]
fn a_merge_of_a_damaged_log_names_the_damage_and_writes_go_on() {
    let (world, engine) = with_damaged_active_file(None);
    for _ in 0..2 {
        assert_names(&engine.merge().unwrap_err(), 0, 3);
    }
    // Many files are filled and sealed behind the damaged one.
    for round in 2..30 {
        fill(&engine, 100..150, round);
        world.executor.run_all();
    }
    engine.put(b"synced", b"1", Durability::Sync).unwrap();
    assert_names(&engine.get(&key(3)).unwrap_err(), 0, 3);
    assert_eq!(engine.get(&key(4)).unwrap().as_deref(), Some(&[1; 100][..]));
    assert_eq!(engine.get(&key(149)).unwrap().as_deref(), Some(&[29; 100][..]));
    assert_eq!(engine.statistics().seal_stalls, 0, "sealing goes on behind the damaged file");
    assert_names(&engine.merge().unwrap_err(), 0, 3);
}

/// The next opening refuses the store, and so does a reader. Closing says it.
#[test]
fn closing_a_store_with_a_damaged_log_and_opening_it_again_name_the_damage() {
    let (world, engine) = with_damaged_active_file(None);
    fill(&engine, 100..250, 1);
    assert_names(&engine.close().unwrap_err(), 0, 3);
    drop(engine);
    assert_names(&world.open().unwrap_err(), 0, 3);
    assert_names(&Bitcask::open_read_only(STORE, world.options()).unwrap_err(), 0, 3);
}

/// Nothing was synced but the files that were sealed. A torn write at the damage would end the log in front of them.
#[test]
fn opening_after_a_kill_names_the_damage_although_no_later_frame_proves_it() {
    let (world, engine) = with_damaged_active_file(None);
    fill(&engine, 100..250, 1);
    world.executor.run_all();
    drop(engine);
    for _ in 0..2 {
        assert_names(&world.open().unwrap_err(), 0, 3);
    }
    assert_names(&Bitcask::open_read_only(STORE, world.options()).unwrap_err(), 0, 3);
}

/// The slots of the witness with the newest claims are damaged, too, and every later file is sealed. So nothing in the log
/// claims that the file was durable to its end.
#[test]
fn a_damaged_file_in_front_of_sealed_ones_is_named_although_no_claim_is_left() {
    let (world, engine) = with_damaged_active_file(None);
    let path = world.data_path(0);
    let before = world.disk.contents(&path).unwrap();
    fill(&engine, 100..250, 1);
    engine.close().unwrap_err();
    drop(engine);
    let mut bytes = world.disk.contents(&path).unwrap();
    bytes[..FIRST_RECORD].copy_from_slice(&before[..FIRST_RECORD]);
    world.disk.set_contents(&path, bytes);
    assert_names(&world.open().unwrap_err(), 0, 3);
    assert_names(&Bitcask::open_read_only(STORE, world.options()).unwrap_err(), 0, 3);
}

/// The damaged file may hold older puts of keys that were deleted since, and no filter says which. So nothing is merged, and no
/// writer waits for merges.
#[test]
fn with_a_damaged_log_nothing_is_merged_in_the_background_and_no_writer_waits() {
    let (world, engine) = with_damaged_active_file(Some(MergeOptions::default()));
    delete(&engine, 0..3);
    for round in 0..60 {
        fill(&engine, 100..150, round);
        world.executor.run_all();
    }
    let stats = engine.statistics();
    assert_eq!((stats.merges, stats.writes_stalled), (0, 0), "{stats:?}");
    assert_eq!(engine.get(&key(0)).unwrap(), None);
}

/// Takes so many background steps, then finds the damage of the active file. Returns how many merges that gave up.
fn merges_given_up_by_damage_after(steps: u64) -> u64 {
    let world = World::new();
    let merge = Some(MergeOptions::default());
    let engine = Bitcask::open(STORE, world.options().data_file_bytes(8192).merge(merge)).unwrap();
    (0..4).for_each(|round| fill(&engine, 0..60, round));
    world.step(steps);
    fill(&engine, 200..201, 1);
    damage_put(&world, 200);
    assert!(engine.merge().unwrap_err().is_corruption());
    let merges = engine.statistics().merges;
    world.executor.run_all();
    let stats = engine.statistics();
    assert_eq!(stats.merges, merges, "after {steps} steps: {stats:?}");
    stats.merges_failed
}

/// A tombstone that such a merge dropped could have hidden an older put from a user who repairs the damaged file.
#[test]
fn a_merge_in_progress_is_given_up_when_the_log_is_found_damaged() {
    let given_up: u64 = (0..400).step_by(7).map(merges_given_up_by_damage_after).sum();
    assert!(given_up > 3, "some merges were in progress: {given_up}");
}
