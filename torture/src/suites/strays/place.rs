//! The directory of a store with one stray entry.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use durable::{EntryKind, SimFs};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::names::Store;
use super::{Kind, Stray};
use crate::world::{BEGINNING, World};

/// The directory of a store with a stray entry.
pub(super) struct Place {
    pub(super) world: World,
    pub(super) path: PathBuf,
    /// The simulated disk, unless the store is on the real one.
    pub(super) sim: Option<SimFs>,
    /// The target of a link, outside of the store.
    pub(super) target: Option<PathBuf>,
}

impl Place {
    /// A copy of `store` with `stray`, on the disk that can hold it.
    pub(super) fn make(store: &Store, stray: &Stray) -> Result<Self, String> {
        if stray.kind.is_real() {
            return Self::real(store, stray)
                .map_err(|error| format!("no store with a stray: {error}"));
        }
        let sim = SimFs::new();
        let world = World::at(Arc::new(sim.clone()), 5, BEGINNING);
        for (path, bytes) in &store.files {
            sim.set_contents(&world.dir.join(path), bytes.clone());
        }
        let path = world.dir.join(&stray.name);
        match stray.kind {
            Kind::Dir => world.env.fs.create_dir(&path).map_err(|error| error.to_string())?,
            kind => sim.set_contents(&path, kind.bytes().to_vec()),
        }
        Ok(Self { world, path, sim: Some(sim), target: None })
    }

    fn real(store: &Store, stray: &Stray) -> std::io::Result<Self> {
        let world = World::real(5).map_err(std::io::Error::other)?;
        for (path, bytes) in &store.files {
            let path = world.dir.join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, bytes)?;
        }
        let path = world.dir.join(&stray.name);
        if stray.kind == Kind::Pipe {
            // A system call and no program: a forked process would hold the lock files of other tests for a moment.
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            return Ok(Self { world, path, sim: None, target: None });
        }
        let target = world.dir.with_extension("outside");
        fs::write(&target, b"not yours")?;
        std::os::unix::fs::symlink(&target, &path)?;
        Ok(Self { world, path, sim: None, target: Some(target) })
    }

    /// All names in the directory.
    pub(super) fn names(&self) -> Result<BTreeSet<String>, String> {
        let listed = self.world.env.fs.list(&self.world.dir);
        let listed = listed.map_err(|error| format!("list failed: {error}"))?;
        Ok(listed.into_iter().map(|entry| entry.name).collect())
    }

    /// The kind of the entry that has the name of the stray now.
    pub(super) fn kind(&self) -> Result<Option<EntryKind>, String> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let listed = self.world.env.fs.list(&self.world.dir).map_err(|error| error.to_string())?;
        Ok(listed.into_iter().find(|entry| entry.name == name).map(|entry| entry.kind))
    }

    /// The bytes of that entry, which is a file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, String> {
        let file = self.world.env.fs.open(&self.path).map_err(|error| error.to_string())?;
        let mut bytes = vec![0; file.len().map_err(|error| error.to_string())? as usize];
        file.read_at(0, &mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}
