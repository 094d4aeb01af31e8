//! The only place that writes to the terminal: results go to stdout, progress and complaints to stderr.
//!
//! A reader that goes away (`kvbench | head`) is no reason to fail: the files of the run are the result. A full disk is one.

use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::failure::{Failure, FailureKind, Outcome};

/// Prints a result. `Err`: the system refused it, for another reason than a reader that went away.
pub(crate) fn result(text: &str) -> Outcome<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.or_else(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            return Ok(());
        }
        let text = format!("cannot write to the standard output: {error}");
        Err(Failure { kind: FailureKind::Io, text })
    })
}

/// The width of the terminal that results go to; no limit where they go elsewhere.
pub(crate) fn width() -> usize {
    width_of(&std::io::stdout())
}

fn width_of(stream: &(impl AsFd + IsTerminal)) -> usize {
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|_| stream.is_terminal());
    size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(usize::MAX)
}

/// Prints one line about the run, or a complaint.
pub(crate) fn note(text: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "kvbench: {text}").unwrap_or_default();
}

/// One line that says how far the run is: rewritten in a terminal, one line a block elsewhere.
pub(crate) struct Progress {
    style: Style,
    last_line: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Quiet,
    Rewritten,
    Lines,
}

impl Progress {
    /// Progress for this terminal, or none.
    pub(crate) fn new(quiet: bool) -> Self {
        let style = if quiet {
            Style::Quiet
        } else if std::io::stderr().is_terminal() {
            Style::Rewritten
        } else {
            Style::Lines
        };
        Self { style, last_line: String::new() }
    }

    /// Says where the run is: `block` changes rarely, `detail` with every cell.
    pub(crate) fn show(&mut self, block: &str, detail: &str) {
        let mut stderr = std::io::stderr().lock();
        match self.style {
            Style::Rewritten => {
                // Of a line that the terminal breaks, only the last part would be rewritten.
                let width = width_of(&stderr).saturating_sub(1);
                let text: String = format!("{block}  {detail}").chars().take(width).collect();
                let line = write!(stderr, "\r\x1b[K{text}");
                line.and_then(|()| stderr.flush()).unwrap_or_default();
            }
            Style::Lines if self.last_line != block => {
                writeln!(stderr, "kvbench: {block}").unwrap_or_default();
                self.last_line = block.into();
            }
            Style::Lines | Style::Quiet => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.style == Style::Rewritten {
            write!(std::io::stderr(), "\r\x1b[K").unwrap_or_default();
        }
    }
}
