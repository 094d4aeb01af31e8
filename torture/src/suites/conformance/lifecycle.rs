//! Stories of handles: closing, opening again, opening twice, and files of other people.

use kv::{Durability, Error, KeyRange};

use super::{Stage, Story, Told, done, ensure, refused};

pub(super) const STORIES: &[Story] = &[
    ("a-closed-engine-refuses-calls", a_closed_engine_refuses_calls),
    ("a-clean-close-keeps-everything", a_clean_close_keeps_everything),
    ("a-dropped-handle-loses-no-buffered-write", a_dropped_handle_loses_no_buffered_write),
    ("a-dropped-store-opens-at-once", a_dropped_store_opens_at_once),
    ("a-store-is-open-once", a_store_is_open_once),
    ("foreign-files-are-left-alone", foreign_files_are_left_alone),
    ("opening-again-and-again-changes-nothing", opening_again_and_again_changes_nothing),
];

fn a_closed_engine_refuses_calls(stage: &mut Stage<'_>) -> Told {
    stage.put(b"a", b"1")?;
    let engine = stage.engine();
    done("close", engine.close())?;
    done("a second close", engine.close())?;
    let is_closed = |error: &Error| matches!(error, Error::Closed);
    refused("a get after close", engine.get(b"a"), "Closed", is_closed)?;
    let put = engine.put(b"a", b"2", Durability::Buffered);
    refused("a put after close", put, "Closed", is_closed)?;
    refused("a scan after close", engine.scan(KeyRange::all()), "Closed", is_closed)?;
    refused("a sync after close", engine.sync(), "Closed", is_closed)?;
    if let Some(snapshots) = stage.opened().snapshots() {
        refused("a snapshot after close", snapshots.snapshot(), "Closed", is_closed)?;
    }
    Ok(())
}

fn a_clean_close_keeps_everything(stage: &mut Stage<'_>) -> Told {
    if !stage.is_persistent() {
        return Ok(());
    }
    for round in 0..60_u8 {
        let durability = [Durability::None, Durability::Buffered][usize::from(round % 2)];
        done("put", stage.engine().put(&[round], &[round; 90], durability))?;
    }
    stage.reopen()?;
    (0..60_u8).try_for_each(|round| stage.expect(&[round], Some(&[round; 90])))
}

fn a_dropped_handle_loses_no_buffered_write(stage: &mut Stage<'_>) -> Told {
    if !stage.is_persistent() {
        return Ok(());
    }
    for round in 0..60_u8 {
        stage.put(&[round], &[round; 90])?;
    }
    stage.kill();
    stage.open()?;
    (0..60_u8).try_for_each(|round| stage.expect(&[round], Some(&[round; 90])))
}

/// A background job may run when the handle is dropped. The opening waits for its end.
fn a_dropped_store_opens_at_once(stage: &mut Stage<'_>) -> Told {
    if !stage.is_persistent() {
        return Ok(());
    }
    for round in 0..20_u8 {
        for key in 0..40_u8 {
            stage.put(&[key], &[round; 90])?;
        }
        stage.opened = None;
        if !stage.world.is_real() {
            stage.world.next_life();
        }
        stage.open()?;
        (0..40_u8).try_for_each(|key| stage.expect(&[key], Some(&[round; 90])))?;
    }
    Ok(())
}

fn a_store_is_open_once(stage: &mut Stage<'_>) -> Told {
    if !stage.is_persistent() {
        return Ok(());
    }
    stage.put(b"a", b"1")?;
    let is_locked = |error: &Error| matches!(error, Error::Locked { .. });
    refused("a second open", stage.try_open(), "Locked", is_locked)?;
    stage.put(b"a", b"2")?;
    stage.expect(b"a", Some(b"2"))?;
    stage.reopen()?;
    stage.expect(b"a", Some(b"2"))
}

fn foreign_files_are_left_alone(stage: &mut Stage<'_>) -> Told {
    if !stage.is_persistent() {
        return Ok(());
    }
    let (fs, dir) = (std::sync::Arc::clone(&stage.world.env.fs), stage.world.dir.clone());
    let names = ["notes.txt", "000001.data.bak", "old.log~", "core"];
    for name in names {
        let file = fs.create(&dir.join(name)).map_err(|e| e.to_string())?;
        file.write_at(0, b"not yours").map_err(|e| e.to_string())?;
    }
    fs.create_dir(&dir.join("lost+found")).map_err(|e| e.to_string())?;
    stage.put(b"a", b"1")?;
    stage.reopen()?;
    done("maintain", stage.opened().maintain())?;
    stage.reopen()?;
    stage.expect(b"a", Some(b"1"))?;
    for name in names {
        let file = fs.open(&dir.join(name)).map_err(|e| format!("{name} is gone: {e}"))?;
        let mut bytes = [0; 9];
        file.read_at(0, &mut bytes).map_err(|e| format!("{name} was changed: {e}"))?;
        ensure!(&bytes == b"not yours", "{name} was changed");
    }
    done("a listing of the foreign directory", fs.list(&dir.join("lost+found")))
}

fn opening_again_and_again_changes_nothing(stage: &mut Stage<'_>) -> Told {
    if !stage.is_persistent() {
        return Ok(());
    }
    stage.put(b"a", b"1")?;
    for _ in 0..6 {
        stage.reopen()?;
        stage.expect(b"a", Some(b"1"))?;
    }
    let entries = |stage: &Stage<'_>| stage.world.env.fs.list(&stage.world.dir);
    let before = entries(stage).map_err(|e| e.to_string())?.len();
    for _ in 0..6 {
        stage.reopen()?;
    }
    let after = entries(stage).map_err(|e| e.to_string())?.len();
    ensure!(after <= before, "{before} files became {after} by opening and closing");
    Ok(())
}
