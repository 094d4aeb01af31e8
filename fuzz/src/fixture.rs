//! A small Bitcask that was closed cleanly, to be damaged; and the environment in which engines are opened.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use bitcask::{Bitcask, Options};
use durable::{Clock, Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, Kv, WriteBatch};

/// Where the store is.
const STORE: &str = "store";

/// The entries that a store should hold.
pub(super) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// The fixture. It is made once, and each run works on a copy.
pub(super) static CLOSED: LazyLock<Fixture> = LazyLock::new(Fixture::make);

/// A disk with a store on it.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) disk: SimFs,
    /// Its files, in the order of their names.
    pub(super) files: Vec<PathBuf>,
    pub(super) model: Model,
}

impl Fixture {
    /// Two openings, with data files of 1 KiB: several sealed files with hints, tombstones, a batch, and a manifest with
    /// edits behind its snapshot.
    fn make() -> Self {
        let disk = SimFs::new();
        let mut model = Model::new();
        for opening in 0..2_u8 {
            let engine = open(&disk, u64::from(opening), true).expect("the disk is whole").0;
            write(&engine, opening, &mut model).expect("the disk is whole");
            engine.close().expect("the disk is whole");
        }
        let disk = disk.duplicate();
        Self { files: disk.files(), disk, model }
    }

    /// The path of the file whose name begins with `prefix`.
    pub(super) fn file(&self, prefix: &str) -> PathBuf {
        let named = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        };
        self.files.iter().find(named).expect("a closed store has this file").clone()
    }

    /// The bytes of the file whose name begins with `prefix`.
    pub(super) fn bytes(&self, prefix: &str) -> Vec<u8> {
        self.disk.contents(&self.file(prefix)).expect("it was listed")
    }
}

fn write(engine: &Bitcask, opening: u8, model: &mut Model) -> kv::Result<()> {
    for number in opening * 8..opening * 8 + 12 {
        let (key, value) = (vec![b'k', number], vec![number; 20 * usize::from(number)]);
        engine.put(&key, &value, Durability::Buffered)?;
        model.insert(key, value);
    }
    let gone = [b'k', opening * 8 + 3];
    let mut batch = WriteBatch::new();
    batch.delete(&gone).put(b"batch", &[opening]);
    engine.write(&batch, Durability::Sync)?;
    model.remove(&gone[..]);
    model.insert(b"batch".to_vec(), vec![opening]);
    Ok(())
}

/// Opens the store on `disk`. Its background work runs when the caller steps the executor. `opening` must be another number
/// for each opening, because it is the seed of random ids.
pub(super) fn open(
    disk: &SimFs,
    opening: u64,
    create: bool,
) -> kv::Result<(Bitcask, Arc<ManualExecutor>)> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock)));
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(opening)),
    };
    let options = Options::in_env(env).data_file_bytes(Options::MIN_DATA_FILE_BYTES).create(create);
    Ok((Bitcask::open(STORE, options)?, executor))
}
