//! A fault and its time, as a value with a text form.

use std::fmt;
use std::io;
use std::str::FromStr;

use kv::Error;
use rustix::io::Errno;

use super::call::{Call, OpKind};

/// One thing that goes wrong.
///
/// The text form is the fault and the call that it starts at, with a `+` if it stays: `eio@17`, `torn:100@9`,
/// `no-space@3+`, `skip:sync-dir:store@0+`, and `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of the call, from 0. Calls of any kind count.
    pub at: usize,
    /// The fault. A call that cannot have this fault goes through.
    pub fault: Fault,
    /// Whether it happens to all later calls as well, until [`Inject::lift`](super::Inject::lift).
    pub sticky: bool,
}

/// How a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`, and nothing was done. Any call. `eio`
    Eio,
    /// `EIO`, and everything was done. Any call that changes something. `late`
    Late,
    /// `ENOSPC`. Calls that may need space, syncs among them. `no-space`
    NoSpace,
    /// `ENOSPC` after half of the bytes: the disk fills up in the middle. Writes and appends. `fills`
    Fills,
    /// `EDQUOT`. As `NoSpace`. `quota`
    Quota,
    /// `EMFILE`. Open, create, create a directory, list, lock, and the first sync of each directory, whose handle is kept
    /// then. `too-many-files`
    TooManyFiles,
    /// `ENOMEM`, as when a process has all the mappings that it may have. Maps. `no-memory`
    NoMemory,
    /// `EIO` after half of the bytes. Writes and appends. `short`
    Short,
    /// `EIO` after so many bytes. Writes and appends of more than these. `torn:100`
    Torn(usize),
    /// `EIO`, and nothing was done, to one kind of call. Without `sticky`, the first call from `at` on that matches.
    /// `eio-of:sync-file:.data`
    EioOf {
        /// Which calls.
        kind: OpKind,
        /// Part of a path of the call; empty for all.
        path: String,
    },
    /// Not a failure but a planted bug: the call reports success and does nothing. Without `sticky`, the first call
    /// from `at` on that matches. Calls that return something cannot be skipped; the space of a skipped append is used
    /// up. `skip:sync-file:.data`
    Skip {
        /// Which calls.
        kind: OpKind,
        /// Part of a path of the call; empty for all.
        path: String,
    },
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Run,
    Skip,
    /// Fails without having run.
    Fail(Errno),
    /// Runs, and fails.
    FailAfter(Errno),
    /// Writes so many bytes, and fails.
    FailAfterBytes(usize, Errno),
}

impl Plan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::once(usize::MAX, Fault::Eio)
    }

    /// `fault` happens to call `at`.
    pub fn once(at: usize, fault: Fault) -> Self {
        Self { at, fault, sticky: false }
    }

    /// A planted bug: calls of `kind` on paths that contain `path` report success and do nothing.
    pub fn skip(kind: OpKind, path: impl Into<String>) -> Self {
        Self { at: 0, fault: Fault::Skip { kind, path: path.into() }, sticky: true }
    }

    /// The outcome of `call`, which writes `len` bytes, when `injected` faults happened already. `is_kept`: it syncs a
    /// directory whose handle is kept.
    pub(super) fn judge(
        &self,
        call: &Call<'_>,
        len: usize,
        injected: usize,
        is_kept: bool,
    ) -> Verdict {
        let kind = call.kind;
        if let Fault::Skip { kind: chosen, path } | Fault::EioOf { kind: chosen, path } =
            &self.fault
        {
            let is_due = call.index >= self.at && (self.sticky || injected == 0);
            let matches = is_due && kind == *chosen && call.is_about(path);
            return match &self.fault {
                Fault::EioOf { .. } if matches => Verdict::Fail(Errno::IO),
                Fault::Skip { .. } if matches && kind.is_skippable() => Verdict::Skip,
                _ => Verdict::Run,
            };
        }
        let is_due = call.index == self.at || (self.sticky && call.index > self.at);
        let writes = matches!(kind, OpKind::Write | OpKind::Append);
        match &self.fault {
            _ if !is_due => Verdict::Run,
            Fault::Eio => Verdict::Fail(Errno::IO),
            Fault::Late if kind.is_mutating() => Verdict::FailAfter(Errno::IO),
            Fault::NoSpace if kind.may_need_space() => Verdict::Fail(Errno::NOSPC),
            Fault::Quota if kind.may_need_space() => Verdict::Fail(Errno::DQUOT),
            Fault::TooManyFiles if kind.opens_a_file() && !is_kept => Verdict::Fail(Errno::MFILE),
            Fault::NoMemory if kind == OpKind::Map => Verdict::Fail(Errno::NOMEM),
            Fault::Fills if writes => Verdict::FailAfterBytes(len / 2, Errno::NOSPC),
            Fault::Short if writes => Verdict::FailAfterBytes(len / 2, Errno::IO),
            Fault::Torn(landed) if writes && *landed < len => {
                Verdict::FailAfterBytes(*landed, Errno::IO)
            }
            _ => Verdict::Run,
        }
    }
}

pub(super) fn error(errno: Errno, call: &Call<'_>) -> Error {
    Error::io(call.kind.op(), call.path, io::Error::from(errno))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::none() {
            return f.write_str("none");
        }
        let stays = if self.sticky { "+" } else { "" };
        write!(f, "{}@{}{stays}", self.fault, self.at)
    }
}

impl FromStr for Plan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "none" {
            return Ok(Self::none());
        }
        let unknown = || Error::InvalidArgument(format!("{text:?} is not a fault plan"));
        // A path may hold an `@`, a number does not.
        let (fault, at) = text.rsplit_once('@').ok_or_else(unknown)?;
        let (at, sticky) = at.strip_suffix('+').map_or((at, false), |at| (at, true));
        Ok(Self { at: at.parse().map_err(|_| unknown())?, fault: fault.parse()?, sticky })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eio => f.write_str("eio"),
            Self::Late => f.write_str("late"),
            Self::NoSpace => f.write_str("no-space"),
            Self::Fills => f.write_str("fills"),
            Self::Quota => f.write_str("quota"),
            Self::TooManyFiles => f.write_str("too-many-files"),
            Self::NoMemory => f.write_str("no-memory"),
            Self::Short => f.write_str("short"),
            Self::Torn(len) => write!(f, "torn:{len}"),
            Self::EioOf { kind, path } => write!(f, "eio-of:{kind}:{path}"),
            Self::Skip { kind, path } => write!(f, "skip:{kind}:{path}"),
        }
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::InvalidArgument(format!("no fault is called {text:?}"));
        if let Some(len) = text.strip_prefix("torn:") {
            return len.parse().map(Self::Torn).map_err(|_| unknown());
        }
        if let Some((what @ ("skip" | "eio-of"), calls)) = text.split_once(':') {
            let (kind, path) = calls.split_once(':').ok_or_else(unknown)?;
            let (kind, path) = (kind.parse()?, path.into());
            return Ok(match what {
                "skip" => Self::Skip { kind, path },
                _ => Self::EioOf { kind, path },
            });
        }
        match text {
            "eio" => Ok(Self::Eio),
            "late" => Ok(Self::Late),
            "no-space" => Ok(Self::NoSpace),
            "fills" => Ok(Self::Fills),
            "quota" => Ok(Self::Quota),
            "too-many-files" => Ok(Self::TooManyFiles),
            "no-memory" => Ok(Self::NoMemory),
            "short" => Ok(Self::Short),
            _ => Err(unknown()),
        }
    }
}
