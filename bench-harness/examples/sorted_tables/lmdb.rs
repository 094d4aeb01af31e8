//! The side of LMDB, through `heed`.

use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithTls};
use kv::Direction;

use crate::data::{Keys, belongs, value_of};
use crate::walk::{check, in_order, use_up};

/// Address space for the file.
const MAP_BYTES: usize = 16 << 30;

type Entries = Database<'static, Bytes, Bytes>;

pub(crate) struct Lmdb {
    env: Env<WithTls>,
    entries: Entries,
}

/// A read transaction: one for all look-ups and walks, so that none of them pays for its begin.
pub(crate) struct View<'e> {
    txn: RoTxn<'e, WithTls>,
    entries: Entries,
}

impl Lmdb {
    /// A database with the entries of `keys`, put in order, so that its pages are full.
    pub(crate) fn load(folder: &Path, keys: &Keys) -> Self {
        std::fs::create_dir(folder).expect("a new directory");
        let env = open(folder).expect("an environment");
        let txn = env.write_txn().expect("a transaction");
        let created = env.create_databases_and_commit(txn, |opener, txn| {
            let created = opener.create_database::<Bytes, Bytes>(txn, None);
            created.map(CommitOrAbort::<_, ()>::Commit)
        });
        let entries = created.expect("a new database").unwrap_commit();
        let mut txn = env.write_txn().expect("a transaction");
        for key in keys.iter() {
            entries.put(&mut txn, key, &value_of(key)).expect("a put that works");
        }
        txn.commit().expect("a commit that works");
        Self { env, entries }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { txn: self.env.read_txn().expect("a transaction"), entries: self.entries }
    }
}

#[expect(unsafe_code, reason = "heed has no other way to open an environment")]
fn open(folder: &Path) -> heed::Result<Env<WithTls>> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES);
    // SAFETY: the flag risks the file at a power cut and nothing else, and no later run reads the file.
    unsafe { options.flags(EnvFlags::NO_SYNC) };
    // SAFETY: the directory was made for this process, which changes the files in it only through LMDB.
    unsafe { options.open(folder) }
}

impl View<'_> {
    /// Looks up one key after the other, each of which is there or is not.
    pub(crate) fn look_up(&self, keys: &Keys, is_there: bool) -> impl FnMut(usize) {
        let mut turns = keys.turns();
        move |calls| {
            for key in turns.next_turn(calls) {
                let found = self.entries.get(&self.txn, key).expect("a look-up that works");
                assert_eq!(found.map(|value| belongs(key, value)), is_there.then_some(true));
            }
        }
    }

    /// Steps of a walk, as [`crate::walk::steps`] has them for cursors.
    pub(crate) fn scan(&self, keys: &Keys) -> impl FnMut(usize) {
        let fresh = || self.entries.iter(&self.txn).expect("a scan that works");
        steps(fresh, keys, Direction::Forward)
    }

    pub(crate) fn scan_back(&self, keys: &Keys) -> impl FnMut(usize) {
        let fresh = || self.entries.rev_iter(&self.txn).expect("a scan that works");
        steps(fresh, keys, Direction::Backward)
    }
}

fn steps<'t, I>(fresh: impl Fn() -> I, keys: &Keys, direction: Direction) -> impl FnMut(usize)
where
    I: Iterator<Item = heed::Result<(&'t [u8], &'t [u8])>>,
{
    let mut entries = fresh();
    for key in in_order(keys, direction) {
        let entry = entries.next().expect("a walk over all keys");
        check(key, entry.expect("an entry that can be read"));
    }
    move |calls| {
        for _ in 0..calls {
            let entry = entries.next().or_else(|| {
                entries = fresh();
                entries.next()
            });
            let entry = entry.expect("a database with entries");
            use_up(entry.expect("an entry that can be read"));
        }
    }
}
