//! A file system on which things go wrong: faults at the k-th call, and planted bugs.
//!
//! [`Inject`] wraps any [`Fs`] and counts every call to it and to its open files. A test runs a workload with
//! [`Plan::none`] to learn how many calls there are, and then once for each of them with a fault there. [`Plan::skip`]
//! leaves calls out instead, and so plants bugs like "the directory is not synced after the rename" without touching
//! the engine. A hook sees each call before it runs, so that a test can do something else in between.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::Result;

use crate::fs::{Entry, File, Fs, Lock, LockMode, LogFile};
use crate::sim_fs::{SimFs, SimInode};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

mod call;
mod handle;
mod plan;

pub use call::{Call, OpKind};
use handle::{InjectFile, InjectLog};
pub use plan::{Fault, Plan};
use plan::{Verdict, error};

/// A hook that runs before or after each call. It must not call the same [`Inject`].
pub type OnCall = Arc<dyn Fn(&Call<'_>) + Send + Sync>;

/// A file system with a plan of faults. Clones share the plan and the counters.
#[derive(Clone, Debug)]
pub struct Inject {
    fs: Arc<dyn Fs>,
    core: Arc<Core>,
}

/// The state that an [`Inject`] and its open files share.
struct Core {
    plan: Mutex<Plan>,
    sim: Option<SimFs>,
    calls: AtomicUsize,
    injected: AtomicUsize,
    lifted: AtomicBool,
    /// The directories that were synced: a real file system keeps their handles.
    kept_dirs: Mutex<BTreeSet<PathBuf>>,
    on_call: Mutex<Option<OnCall>>,
    on_return: Mutex<Option<OnCall>>,
}

impl Inject {
    /// `fs`, with `plan`.
    pub fn new(fs: Arc<dyn Fs>, plan: Plan) -> Self {
        Self::build(fs, None, plan)
    }

    /// A simulated disk, with `plan`. A sync that fails also has the effect on the disk that [`SimFs::set_sync_failure`] has set.
    pub fn over_sim(sim: SimFs, plan: Plan) -> Self {
        Self::build(Arc::new(sim.clone()), Some(sim), plan)
    }

    fn build(fs: Arc<dyn Fs>, sim: Option<SimFs>, plan: Plan) -> Self {
        let core = Core {
            plan: Mutex::new(plan),
            sim,
            calls: AtomicUsize::new(0),
            injected: AtomicUsize::new(0),
            lifted: AtomicBool::new(false),
            kept_dirs: Mutex::default(),
            on_call: Mutex::new(None),
            on_return: Mutex::new(None),
        };
        Self { fs, core: Arc::new(core) }
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.core.calls.load(Ordering::SeqCst)
    }

    /// How many calls failed or were skipped by plan.
    pub fn injected(&self) -> usize {
        self.core.injected.load(Ordering::SeqCst)
    }

    /// Changes the plan. [`Plan::at`] counts calls from the beginning, as before.
    pub fn arm(&self, plan: Plan) {
        *self.core.plan.lock() = plan;
    }

    /// Ends the plan: from now on nothing goes wrong. Calls are still counted.
    pub fn lift(&self) {
        self.core.lifted.store(true, Ordering::SeqCst);
    }

    /// Has `hook` called before each call, in the thread of the caller.
    pub fn on_call(&self, hook: OnCall) {
        *self.core.on_call.lock() = Some(hook);
    }

    /// Runs `hook` after each call, in the thread of the caller, before the caller gets the result. A test that blocks
    /// here holds a thread at the moment at which its sync is done and nobody knows it yet.
    pub fn on_return(&self, hook: OnCall) {
        *self.core.on_return.lock() = Some(hook);
    }

    fn file(&self, path: &Path, inner: Arc<dyn File>) -> Arc<dyn File> {
        let inode = self.core.inode(path);
        Arc::new(InjectFile { inner, core: Arc::clone(&self.core), inode })
    }
}

impl Core {
    /// Counts a call, shows it to the hook, and decides its outcome.
    fn judge<'c>(
        &self,
        kind: OpKind,
        path: &'c Path,
        to: Option<&'c Path>,
        len: usize,
    ) -> (Call<'c>, Verdict) {
        let index = self.calls.fetch_add(1, Ordering::SeqCst);
        let call = Call { index, kind, path, to };
        let hook = self.on_call.lock().clone();
        if let Some(hook) = hook {
            hook(&call);
        }
        if self.lifted.load(Ordering::SeqCst) {
            return (call, Verdict::Run);
        }
        let injected = self.injected.load(Ordering::SeqCst);
        let is_kept = kind == OpKind::SyncDir && self.kept_dirs.lock().contains(path);
        let verdict = self.plan.lock().judge(&call, len, injected, is_kept);
        if !matches!(verdict, Verdict::Run) {
            self.injected.fetch_add(1, Ordering::SeqCst);
        }
        (call, verdict)
    }

    /// Shows a call that has run to the hook, and passes its result on.
    fn returned<T>(&self, call: &Call<'_>, result: Result<T>) -> Result<T> {
        let hook = self.on_return.lock().clone();
        if let Some(hook) = hook {
            hook(call);
        }
        result
    }

    /// A call that returns something.
    fn returning<T>(
        &self,
        kind: OpKind,
        path: &Path,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let (call, verdict) = self.judge(kind, path, None, 0);
        let result = match verdict {
            Verdict::Fail(errno) => Err(error(errno, &call)),
            Verdict::FailAfter(errno) => act().and_then(|_done| Err(error(errno, &call))),
            Verdict::Run | Verdict::Skip | Verdict::FailAfterBytes(..) => act(),
        };
        self.returned(&call, result)
    }

    /// A call that does something or fails.
    fn doing(
        &self,
        kind: OpKind,
        path: &Path,
        to: Option<&Path>,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let (call, verdict) = self.judge(kind, path, to, 0);
        self.returned(&call, Self::carry_out(verdict, &call, act))
    }

    fn carry_out(
        verdict: Verdict,
        call: &Call<'_>,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        match verdict {
            Verdict::Skip => Ok(()),
            Verdict::Fail(errno) => Err(error(errno, call)),
            Verdict::FailAfter(errno) => {
                act()?;
                Err(error(errno, call))
            }
            Verdict::Run | Verdict::FailAfterBytes(..) => act(),
        }
    }

    fn inode(&self, path: &Path) -> Option<SimInode> {
        self.sim.as_ref().and_then(|sim| sim.inode(path))
    }
}

impl Fs for Inject {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.core.doing(OpKind::CreateDir, path, None, || self.fs.create_dir(path))
    }

    fn resolve(&self, dir: &Path) -> Result<PathBuf> {
        self.fs.resolve(dir)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.core.returning(OpKind::List, dir, || self.fs.list(dir))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = self.core.returning(OpKind::Open, path, || self.fs.open(path))?;
        Ok(self.file(path, file))
    }

    fn open_writable(&self, path: &Path) -> Result<Arc<dyn File>> {
        let open = || self.fs.open_writable(path);
        let file = self.core.returning(OpKind::OpenWritable, path, open)?;
        Ok(self.file(path, file))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = self.core.returning(OpKind::Create, path, || self.fs.create(path))?;
        Ok(self.file(path, file))
    }

    fn create_log(&self, path: &Path, capacity: u64) -> Result<Arc<dyn LogFile>> {
        let create = || self.fs.create_log(path, capacity);
        let inner = self.core.returning(OpKind::CreateLog, path, create)?;
        let inode = self.core.inode(path);
        Ok(Arc::new(InjectLog { inner, core: Arc::clone(&self.core), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.core.doing(OpKind::Rename, from, Some(to), || self.fs.rename(from, to))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.core.doing(OpKind::Remove, path, None, || self.fs.remove(path))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.core.doing(OpKind::Link, from, Some(to), || self.fs.link(from, to))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.core.doing(OpKind::SyncDir, dir, None, || self.fs.sync_dir(dir))?;
        self.core.kept_dirs.lock().insert(dir.into());
        Ok(())
    }

    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Lock>> {
        self.core.returning(OpKind::Lock, path, || self.fs.lock(path, mode))
    }

    fn free_space(&self, dir: &Path) -> Result<u64> {
        self.core.returning(OpKind::FreeSpace, dir, || self.fs.free_space(dir))
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("plan", &*self.plan.lock()).finish_non_exhaustive()
    }
}
