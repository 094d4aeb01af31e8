//! A worker as its parent sees it: a process group that reports over one pipe and is killed with its owner.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::failure::{Failure, Outcome};
use crate::memory_limit::{MemoryCgroup, refused};
use crate::suspend;
use crate::worker::{Message, Order};

/// The most characters of a line that is no message that a complaint shows.
const SHOWN_CHARS: usize = 80;
/// How long the last lines of a worker that has ended may take through the pipe. A busy machine may be slow to read them; only
/// a process that has left the group of the worker holds the pipe open for so long.
const LAST_LINES: Duration = Duration::from_secs(20);

/// How long a worker that closed its output may take until it has ended.
const TIME_TO_END: Duration = Duration::from_secs(2);

/// A worker. It leads a process group of its own, and the whole group is killed with the owner: processes that the engine
/// started end too.
pub(crate) struct WorkerProcess {
    child: Child,
    messages: Receiver<Result<Message, String>>,
    /// Its number is then free for another process.
    was_waited_for: bool,
}

/// The news of a worker.
pub(crate) enum News {
    /// It sent a message.
    Message(Message),
    /// It wrote this line, which is no message; later lines are not read.
    NoMessage(String),
    /// It ended, or closed its output, without a last message.
    Gone,
    /// None within the time.
    Nothing,
}

impl WorkerProcess {
    /// Starts a worker. It waits for its order, so it is in its cgroup before it needs any memory to speak of.
    pub(crate) fn start(order: &Order, cgroup: Option<&MemoryCgroup>) -> Outcome<Self> {
        let program = std::env::current_exe().map_err(cannot_start)?;
        let mut worker = Self::spawn(Command::new(program).arg("worker"))?;
        if let Some(cgroup) = cgroup {
            cgroup.add(worker.child.id()).map_err(refused)?;
        }
        let text =
            serde_json::to_string(order).map_err(|error| Failure::usage(error.to_string()))?;
        debug_assert!(serde_json::from_str::<Order>(&text).is_ok(), "an order reads back");
        worker.send_line(&text).map_err(cannot_start)?;
        Ok(worker)
    }

    /// Starts `command` as a worker, in a process group of its own.
    pub(crate) fn spawn(command: &mut Command) -> Outcome<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = suspend::start_group(|| command.spawn()).map_err(cannot_start)?;
        let messages = listen(child.stdout.take());
        Ok(Self { child, messages, was_waited_for: false })
    }

    /// Tells the worker that its limit is set: it opens the engine now.
    pub(crate) fn release(&mut self) -> Outcome<()> {
        self.send_line("limited")
            .map_err(|error| Failure::engine(format!("the worker is gone: {error}")))
    }

    /// Sends a line. JSON without indents has no line breaks.
    fn send_line(&mut self, line: &str) -> std::io::Result<()> {
        debug_assert!(!line.contains('\n'), "one line is one message");
        let stdin = self.child.stdin.as_mut();
        stdin.map_or(Ok(()), |stdin| stdin.write_all(format!("{line}\n").as_bytes()))
    }

    /// The next news, after `pause` at most. When the worker has ended, its processes are killed, and its last lines come first,
    /// however long they take up to [`LAST_LINES`].
    pub(crate) fn next(&self, pause: Duration) -> News {
        match self.messages.recv_timeout(pause) {
            Ok(heard) => heard.map_or_else(News::NoMessage, News::Message),
            Err(RecvTimeoutError::Disconnected) => News::Gone,
            // Its children may hold the pipe open when the worker has ended.
            Err(RecvTimeoutError::Timeout) if !self.has_ended() => News::Nothing,
            Err(RecvTimeoutError::Timeout) => {
                self.kill_group();
                let last = self.messages.recv_timeout(LAST_LINES);
                last.map_or(News::Gone, |heard| heard.map_or_else(News::NoMessage, News::Message))
            }
        }
    }

    /// Whether the process has ended. It stays a zombie, so that its number is not given to another one.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(WaitId::Pid(self.id()), options);
        matches!(status, Ok(Some(_)))
    }

    /// Says how a worker ended that is gone, and kills the processes that it started: none of them holds a file any more. A
    /// worker that panics closes its pipe some time before it ends, and its own end is the one that is reported.
    pub(crate) fn end_of_gone(mut self) -> std::io::Result<ExitStatus> {
        let begun = Instant::now();
        while !self.has_ended() && begun.elapsed() < TIME_TO_END {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.end()
    }

    /// Kills the worker and the processes that it started. A process that is ending by itself keeps its own status.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        assert!(!self.was_waited_for, "the number of the group is still its own");
        suspend::forget_group();
        self.kill_group();
        self.was_waited_for = true;
        self.child.wait()
    }

    /// Kills the worker and the processes that it started. Its number must be its own still.
    fn kill_group(&self) {
        // Fails only where all of them have ended.
        rustix::process::kill_process_group(self.id(), Signal::KILL).unwrap_or_default();
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if !self.was_waited_for {
            self.end().map(drop).unwrap_or_default();
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn cannot_start(error: std::io::Error) -> Failure {
    Failure::engine(format!("cannot start a worker: {error}"))
}

/// The messages of a worker, up to the first line that is none. The channel closes when the pipe does.
fn listen(stdout: Option<ChildStdout>) -> Receiver<Result<Message, String>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n'));
        for line in lines.map_while(Result::ok) {
            let message = read_message(&line);
            let is_last = message.is_err();
            if sender.send(message).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// The message on a line; the begin of the line where it is none.
fn read_message(line: &[u8]) -> Result<Message, String> {
    serde_json::from_slice(line)
        .map_err(|_| String::from_utf8_lossy(line).chars().take(SHOWN_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_of_a_worker_that_has_ended_is_heard_however_busy_the_machine_is() {
        let mut worker = WorkerProcess::spawn(&mut Command::new("true")).unwrap();
        // Whoever reads the pipe gets no core for a while.
        let (sender, messages) = channel();
        worker.messages = messages;
        while !worker.has_ended() {
            std::thread::yield_now();
        }
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            sender.send(Ok(Message::Done)).unwrap();
        });
        assert!(matches!(worker.next(Duration::from_millis(1)), News::Message(Message::Done)));
        assert!(matches!(worker.next(Duration::from_millis(1)), News::Gone));
    }

    #[test]
    fn a_line_that_is_no_message_is_shown_up_to_its_80th_character() {
        assert!(matches!(read_message(b"\"done\""), Ok(Message::Done)));
        assert_eq!(read_message(b"cache miss").unwrap_err(), "cache miss");
        assert_eq!(read_message(&[0xff; 500]).unwrap_err().chars().count(), SHOWN_CHARS);
    }
}
