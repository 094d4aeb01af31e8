//! Reading what a crash has left.

use bitcask::Bitcask;
use kv::{Durability, Kv, WriteBatch};

use crate::world::{STORE, World, entries, key};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// A short run: what is there after each write, and the writes that were synced with the number of operations then.
fn run(world: &World) -> (Vec<Entries>, Vec<(usize, usize)>) {
    let engine = Bitcask::open(STORE, world.options()).unwrap();
    let (mut states, mut synced) = (vec![Vec::new()], Vec::new());
    for step in 0..24_u32 {
        let mut batch = WriteBatch::new();
        batch.put(&key(step % 5), &[step as u8; 250]).put(&key(10 + step % 3), &[step as u8; 9]);
        if step % 4 == 3 {
            batch.delete(&key(step % 2));
        }
        let sync = step % 6 == 5;
        let durability = if sync { Durability::Sync } else { Durability::Buffered };
        engine.write(&batch, durability).unwrap();
        states.push(entries(&engine));
        if sync {
            synced.push((world.disk.ops(), states.len() - 1));
        }
        if step % 8 == 7 {
            world.executor.run_all();
        }
    }
    engine.merge().unwrap();
    synced.push((world.disk.ops(), states.len() - 1));
    engine.close().unwrap();
    (states, synced)
}

/// Every write that was synced, and a prefix of the rest; what recovery makes of it; and not a byte changes.
#[test]
fn a_reader_shows_of_any_crash_what_recovery_would_and_leaves_it_as_it_is() {
    let world = World::new();
    let (states, synced) = run(&world);
    let mut sweep = world.disk.sweep();
    let (mut read, mut refused) = (0, 0);
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(2) {
            let image = World::on(sweep.image(&variant));
            let (ops, before) = (image.disk.ops(), image.disk.all_contents());
            let place = format!("point {point}, {variant}");
            let reader = Bitcask::open_read_only(STORE, image.options());
            assert_eq!(image.disk.ops(), ops, "{place}");
            assert_eq!(image.disk.all_contents(), before, "{place}");
            let Ok(reader) = reader else {
                let has_store = before.keys().any(|path| path.ends_with("CURRENT"));
                assert!(!has_store, "{place}: {reader:?}");
                refused += 1;
                continue;
            };
            read += 1;
            let newest = reader.newest_sequence().0 as usize;
            let shown = entries(&reader);
            assert_eq!(shown, states[newest], "{place}");
            let reached = synced.iter().rfind(|(ops, _)| *ops <= point);
            assert!(reached.is_none_or(|(_, state)| newest >= *state), "{place}");
            let engine = image.open().unwrap();
            assert_eq!(engine.newest_sequence().0 as usize, newest, "{place}");
            assert_eq!(entries(&engine), shown, "{place}");
            assert_eq!(reader.refresh().unwrap().0 as usize, newest, "{place}");
            assert_eq!(entries(&reader), shown, "{place}");
        }
    }
    assert!(read > 1_000 && refused > 0, "{read} images were read, and {refused} held no store");
}
