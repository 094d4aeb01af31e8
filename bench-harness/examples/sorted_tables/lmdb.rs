//! The side of LMDB, through `heed`.

use std::hint::black_box;
use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithTls};

use crate::data::{Keys, value};

/// Address space for the file.
const MAP_BYTES: usize = 16 << 30;

type Entries = Database<'static, Bytes, Bytes>;

pub(crate) struct Lmdb {
    env: Env<WithTls>,
    entries: Entries,
}

/// A read transaction.
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
            entries.put(&mut txn, key, &value()).expect("a put that works");
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
    pub(crate) fn look_up(&self, keys: &Keys, is_there: bool) -> impl FnMut() {
        let mut keys = keys.iter().cycle();
        move || {
            let key = keys.next().expect("keys come again and again");
            let found = self.entries.get(&self.txn, key).expect("a look-up that works");
            assert_eq!(found.map(|value| black_box(value[7])).is_some(), is_there);
        }
    }

    pub(crate) fn scan(&self) -> impl FnMut() {
        cycle(|| self.entries.iter(&self.txn).expect("a scan that works"))
    }

    pub(crate) fn scan_back(&self) -> impl FnMut() {
        cycle(|| self.entries.rev_iter(&self.txn).expect("a scan that works"))
    }
}

/// Steps of a scan that begins anew at its end. The first scan is over when this returns, so all pages are in memory.
fn cycle<'t, I>(fresh: impl Fn() -> I) -> impl FnMut()
where
    I: Iterator<Item = heed::Result<(&'t [u8], &'t [u8])>>,
{
    let read = |entry: I::Item| {
        let (key, value) = entry.expect("an entry that can be read");
        black_box((key[0], value[0]));
    };
    fresh().for_each(read);
    let mut entries = fresh();
    move || {
        let entry = entries.next().or_else(|| {
            entries = fresh();
            entries.next()
        });
        read(entry.expect("a database with entries"));
    }
}
