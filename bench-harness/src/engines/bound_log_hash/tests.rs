use super::*;

fn check(engine: &BoundLogHash, count: u32) {
    for number in 0..count {
        let key = number.to_be_bytes();
        let expected = (number % 3 != 0).then(|| vec![number as u8; 1000]);
        assert_eq!(engine.get(&key).unwrap().as_deref(), expected.as_deref());
    }
}

fn fill(engine: &BoundLogHash, count: u32) {
    for number in 0..count {
        let key = number.to_be_bytes();
        engine.put(&key, &vec![number as u8; 1000], Durability::Buffered).unwrap();
        if number % 3 == 0 {
            engine.delete(&key, Durability::Buffered).unwrap();
        }
    }
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_image_and_a_replay_lead_to_the_same_entries() {
    for (is_clean, durability) in
        [(true, Durability::Buffered), (false, Durability::Buffered), (true, Durability::Sync)]
    {
        let directory = tempfile::tempdir().unwrap();
        // More than one segment.
        let count = 20_000;
        let engine = BoundLogHash::open(directory.path(), durability).unwrap();
        fill(&engine, count);
        check(&engine, count);
        if is_clean {
            engine.close().unwrap();
        }
        assert_eq!(engine.image.exists(), is_clean);
        drop(engine);
        let engine = BoundLogHash::open(directory.path(), durability).unwrap();
        check(&engine, count);
        engine.put(b"new", b"1", Durability::Sync).unwrap();
        assert_eq!(engine.get(b"new").unwrap().as_deref(), Some(&b"1"[..]));
    }
}

#[test]
fn an_opening_after_a_clean_close_and_its_gets_change_no_name_in_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let engine = BoundLogHash::open(directory.path(), Durability::Buffered).unwrap();
    fill(&engine, 20_000);
    engine.close().unwrap();
    drop(engine);
    let before = names(directory.path());
    assert_eq!(before, ["000000.log", "000001.log", "image"]);
    for _ in 0..2 {
        let engine = BoundLogHash::open(directory.path(), Durability::Sync).unwrap();
        check(&engine, 20_000);
        engine.sync().unwrap();
        assert_eq!(names(directory.path()), before);
        engine.close().unwrap();
        assert_eq!(names(directory.path()), before);
    }
}

#[test]
fn writes_behind_an_image_survive_with_and_without_a_close() {
    let directory = tempfile::tempdir().unwrap();
    let open = || BoundLogHash::open(directory.path(), Durability::Buffered).unwrap();
    let value = |number: u32, round: u32| (number % 7 != round % 7).then(|| vec![round as u8; 9]);
    for round in 0..9 {
        let engine = open();
        for number in 0..2_000_u32 {
            let (key, written) = (number.to_be_bytes(), value(number, round));
            let known = engine.get(&key).unwrap();
            let expected = round.checked_sub(1).and_then(|round| value(number, round));
            assert_eq!(known.as_deref(), expected.as_deref(), "{number} in round {round}");
            match written {
                Some(written) => engine.put(&key, &written, Durability::Buffered).unwrap(),
                None => engine.delete(&key, Durability::Buffered).unwrap(),
            };
        }
        if round % 3 != 1 {
            engine.close().unwrap();
        }
        if round % 3 == 2 {
            // Writes go on after a close, too.
            let before = engine.get(&1_u32.to_be_bytes()).unwrap();
            engine.delete(&1_u32.to_be_bytes(), Durability::Sync).unwrap();
            if let Some(before) = before {
                engine.put(&1_u32.to_be_bytes(), &before, Durability::Sync).unwrap();
            }
        }
    }
}

#[test]
fn a_slot_of_a_damaged_image_is_an_error_and_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let engine = BoundLogHash::open(directory.path(), Durability::Buffered).unwrap();
    fill(&engine, 1_000);
    engine.close().unwrap();
    let image = engine.image.clone();
    drop(engine);
    let whole = std::fs::read(&image).unwrap();
    // Offset, length and segment of every slot.
    for damaged in [8..11, 11..14, 14..16] {
        let mut bytes = whole.clone();
        for slot in bytes[4096..].as_chunks_mut::<16>().0 {
            slot[damaged.clone()].fill(0x7f);
        }
        std::fs::write(&image, bytes).unwrap();
        let engine = BoundLogHash::open(directory.path(), Durability::Buffered).unwrap();
        let error = engine.get(&1_u32.to_be_bytes()).unwrap_err();
        assert!(matches!(error, Error::Corruption { .. }), "{error}");
    }
}

#[test]
fn syncs_of_several_threads_share_rounds() {
    let directory = tempfile::tempdir().unwrap();
    let engine = &BoundLogHash::open(directory.path(), Durability::Sync).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            scope.spawn(move || {
                for number in 0..20_u32 {
                    let key = [thread.to_be_bytes(), number.to_be_bytes()].concat();
                    engine.put(&key, b"1", Durability::Sync).unwrap();
                }
            });
        }
    });
    let stats = engine.stats();
    assert_eq!(stats.get("entries"), Some(80));
    assert!((1..=80).contains(&stats.get("syncs").unwrap()));
}
