//! The child's side: sessions of writers on an engine, and one journal line for each event.
//!
//! Usually each writer, the upkeep and the engine's background work have threads of their own. A child without background
//! threads does all work in turn in one thread, so each such child makes the same calls in the same order.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use durable::{Env, SystemClock};
use kv::{Durability, Error, SequenceNumber};

use super::config::ProcessConfig;
use super::journal::{Event, Journal};
use super::work::{Place, Session, Task, WriteId};
use crate::observe::observe;
use crate::opening::{failed, without_panic};
use crate::random::{Random, sub_seed};
use crate::stepper::Stepper;
use crate::subject::{Opened, Subject};

/// How long the upkeep looks away between two pieces of work.
const PAUSE: Duration = Duration::from_millis(1);

/// How many batches there are between two pieces of upkeep, where all is done in turn.
const BATCHES_AN_UPKEEP: u32 = 4;

/// One in so many sessions checks the subject's own rule, which may read the whole store.
const SESSIONS_A_CHECK: usize = 4;

/// The state that the threads of a session share.
struct Work<'s> {
    config: &'s ProcessConfig,
    session: Session,
    journal: &'s Journal,
    opened: &'s Opened,
    /// The best that the engine can do.
    able: Durability,
    /// Runs background work between writes, if the engine has no threads.
    stepper: Option<&'s Stepper>,
    /// The upkeep follows from it.
    upkeep: Random,
    /// A thread gave up, or all writers have ended, or nobody wants to know any more.
    is_over: &'s AtomicBool,
}

/// A whole life, as long as it may last.
pub(super) fn run(
    subject: &dyn Subject,
    config: &ProcessConfig,
    journal: &Journal,
) -> Result<(), String> {
    let is_orphan = watch_parent();
    let stepper =
        (config.background == 0).then(|| Arc::new(Stepper::new(Arc::new(SystemClock::new()))));
    let life = Life { subject, config, journal, stepper };
    if config.sessions == 0 {
        return life.look();
    }
    for number in 0..config.sessions {
        life.session(Session { life: config.number, number }, &is_orphan)?;
        if is_orphan.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}

/// The sessions of one process.
struct Life<'l> {
    subject: &'l dyn Subject,
    config: &'l ProcessConfig,
    journal: &'l Journal,
    /// Runs background work between writes, if the engine has no threads.
    stepper: Option<Arc<Stepper>>,
}

impl Life<'_> {
    /// Opens the store, checks it, and closes it.
    fn look(&self) -> Result<(), String> {
        let opened = self.open(Session { life: self.config.number, number: 0 })?;
        opened.check_invariant()?;
        self.close(&opened)
    }

    /// Opens the store, lets the writers work, and closes or drops the store.
    fn session(&self, session: Session, is_orphan: &AtomicBool) -> Result<(), String> {
        let Self { config, journal, .. } = *self;
        let opened = self.open(session)?;
        let random = Random::new(session_seed(config, session));
        if random.one_in(SESSIONS_A_CHECK) {
            opened.check_invariant()?;
        }
        let able = opened.engine().capabilities().durability;
        let (stepper, is_over) = (self.stepper.as_deref(), AtomicBool::new(false));
        let upkeep = Random::new(!session_seed(config, session));
        let work = Work {
            config,
            session,
            journal,
            opened: &opened,
            able,
            stepper,
            upkeep,
            is_over: &is_over,
        };
        work.run(is_orphan)?;
        if is_orphan.load(Ordering::SeqCst) {
            return Ok(());
        }
        if random.one_in(2) {
            return self.close(&opened);
        }
        drop(opened);
        // Queued jobs die with the handle.
        if let Some(stepper) = &self.stepper {
            stepper.forget();
        }
        journal.tell(&Event::Dropped)
    }

    fn close(&self, opened: &Opened) -> Result<(), String> {
        opened.engine().close().map_err(|error| format!("close failed: {error}"))?;
        self.journal.tell(&Event::Closed)
    }

    /// Opens the store and tells all that is found in it.
    fn open(&self, session: Session) -> Result<Opened, String> {
        let Self { subject, config, journal, .. } = *self;
        journal.tell(&Event::Open { session })?;
        let mut env = Env::os(config.background);
        if let Some(stepper) = &self.stepper {
            env.executor = Arc::clone(stepper) as Arc<_>;
        }
        let opened =
            subject.open(&env, &config.store, config.option_set).map_err(failed("open"))?;
        let mut events = found(&opened, config)?;
        events.push(Event::All { recovered: opened.recovered().map(|newest| newest.0) });
        journal.tell_all(&events)?;
        Ok(opened)
    }
}

/// The entries of the store. Each key is looked up as well.
fn found(opened: &Opened, config: &ProcessConfig) -> Result<Vec<Event>, String> {
    let observed = observe(opened.engine(), &[])?;
    let mut events = Vec::new();
    for (key, value) in &observed.entries {
        let WriteId { session, writer, count } = WriteId::of_value(value)?;
        let key = key.escape_ascii().to_string().replace(' ', "\\x20");
        events.push(Event::Found { key, session, writer, count, len: value.len() });
    }
    for key in Place::all(config.writers).map(Place::key) {
        let scanned = observed.entries.iter().any(|(found, _)| found == key.as_bytes());
        let got = opened.engine().get(key.as_bytes()).map_err(|e| format!("get failed: {e}"))?;
        if got.is_some() != scanned {
            return Err(format!("a scan and a get disagree on whether there is {key}"));
        }
    }
    assert_eq!(events.len(), observed.entries.len(), "each entry is told once");
    Ok(events)
}

fn session_seed(config: &ProcessConfig, session: Session) -> u64 {
    sub_seed(config.seed, u64::from(session.life) << 16 | u64::from(session.number))
}

/// Whether the parent is gone: it holds the other end of the standard input, and never writes to it.
fn watch_parent() -> Arc<AtomicBool> {
    let is_orphan = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_orphan);
    thread::spawn(move || {
        // However this ends, nobody is there to care.
        std::io::stdin().read(&mut [0]).map(drop).unwrap_or_default();
        told.store(true, Ordering::SeqCst);
    });
    is_orphan
}

impl Work<'_> {
    /// Lets all threads run to their end.
    fn run(&self, is_orphan: &AtomicBool) -> Result<(), String> {
        if self.stepper.is_some() {
            return (0..self.config.writers).try_for_each(|writer| self.write(writer, is_orphan));
        }
        let guarded = |work: &dyn Fn() -> Result<(), String>| {
            let worked = without_panic(work);
            if worked.is_err() {
                self.is_over.store(true, Ordering::SeqCst);
            }
            worked
        };
        thread::scope(|scope| {
            let write = |writer| move || guarded(&|| self.write(writer, is_orphan));
            let writers: Vec<_> = (0..self.config.writers).map(|w| scope.spawn(write(w))).collect();
            let upkeep = scope.spawn(move || guarded(&|| self.upkeep()));
            let panicked = |_| Err("a thread panicked".to_string());
            let ended = writers.into_iter().map(|writer| writer.join().unwrap_or_else(panicked));
            let written = ended.fold(Ok(()), Result::and);
            self.is_over.store(true, Ordering::SeqCst);
            upkeep.join().unwrap_or_else(panicked).and(written)
        })
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn write(&self, writer: u8, is_orphan: &AtomicBool) -> Result<(), String> {
        for count in 1..=self.config.batches {
            if self.is_over() || is_orphan.load(Ordering::SeqCst) {
                break;
            }
            let id = WriteId { session: self.session, writer, count };
            let task = Task::of(self.config.seed, id);
            let survives = task.durability.min(self.able);
            self.journal.tell(&Event::Begin { writer, count, survives })?;
            let sequence = self.write_patiently(id, &task)?.0;
            self.journal.tell(&Event::Done { writer, count, sequence })?;
            if let Some(stepper) = self.stepper {
                stepper.step()?;
                if count % BATCHES_AN_UPKEEP == 0 {
                    self.keep_up()?;
                }
            }
        }
        Ok(())
    }

    fn write_patiently(&self, id: WriteId, task: &Task) -> Result<SequenceNumber, String> {
        loop {
            match self.write_once(id, task) {
                Err(Error::Stalled { .. }) => match self.stepper {
                    Some(stepper) => drop(stepper.step()?),
                    None => thread::yield_now(),
                },
                answer => return answer.map_err(|error| format!("write {id} failed: {error}")),
            }
        }
    }

    /// Single changes take the way that the engine has for them.
    fn write_once(&self, id: WriteId, task: &Task) -> kv::Result<SequenceNumber> {
        let engine = self.opened.engine();
        match task.changes[..] {
            [(place, Some(len))] => {
                engine.put(place.key().as_bytes(), &id.value(len), task.durability)
            }
            [(place, None)] => engine.delete(place.key().as_bytes(), task.durability),
            _ => engine.write(&task.batch(id), task.durability),
        }
    }

    /// Maintains and syncs until the writers have ended.
    fn upkeep(&self) -> Result<(), String> {
        while !self.is_over() {
            thread::sleep(PAUSE);
            self.keep_up()?;
        }
        Ok(())
    }

    fn keep_up(&self) -> Result<(), String> {
        if !self.upkeep.one_in(4) {
            return self.opened.maintain().map_err(|error| format!("maintain failed: {error}"));
        }
        self.journal.tell(&Event::Syncing)?;
        self.opened.engine().sync().map_err(|error| format!("sync failed: {error}"))?;
        self.journal.tell(&Event::Synced)
    }
}
