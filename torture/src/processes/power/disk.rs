//! An ext4 in an image file, mounted through a loop device, with a switch for its power.
//!
//! Everything is done by the usual commands. A script, in Perl or Python, makes the one call that no command makes:
//! an `ioctl` by hand would be unsafe code here. The script opens the file system first and then waits, so that
//! the cut comes at once when it is asked for.
//!
//! A mount outlives the process that made it. So another process waits for the end of this one, whatever that may be, and
//! cleans up.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Sparse, so most of it does not exist.
const IMAGE_BYTES: u64 = 256 << 20;

/// `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`, in the languages that a machine may have.
const SCRIPTS: [(&str, [&str; 2]); 2] = [
    (
        "perl",
        [
            "-e",
            "$| = 1; sysopen(my $root, $ARGV[0], 0) or die $!; print qq(ready\n); <STDIN>; \
             ioctl($root, 0x8004587d, my $flags = pack('I', 2)) or die $!;",
        ],
    ),
    (
        "python3",
        [
            "-c",
            "import fcntl, os, struct, sys; root = os.open(sys.argv[1], os.O_RDONLY); print('ready', flush=True); \
             sys.stdin.readline(); fcntl.ioctl(root, 0x8004587d, struct.pack('I', 2))",
        ],
    ),
];

/// Waits for a line or for the end of the sender. Then unmounts the disk, which also frees the loop device.
/// A process that uses it may need a moment to end, and without the line a mount may still be under way.
const UNMOUNT: &str = r#"
read -r line
for try in 1 2 3 4 5 6 7 8 9 10; do
  if grep -qsF " $1 " /proc/self/mounts; then
    umount "$1" && exit 0
  elif [ -n "$line" ]; then
    exit 0
  fi
  sleep 0.2
done
umount -l "$1"
"#;

/// The tries to unmount a busy file system, and the pause between two of them.
const UNMOUNT_TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Makes a disk, cuts its power and starts it again. `Err`: the program or permission that is missing.
pub(super) fn try_out() -> Result<(), String> {
    let mut disk = Disk::make()?;
    disk.switch()?.cut()?;
    disk.restart()
}

/// A disk that is switched on. It is unmounted and removed with its owner.
pub(super) struct Disk {
    /// Dropped first.
    #[expect(dead_code, reason = "it is there to be dropped")]
    caretaker: Caretaker,
    /// The directory of the image and the mount point. Other files in it survive every cut.
    directory: Option<TempDir>,
    path: PathBuf,
}

impl Disk {
    /// An empty disk.
    pub(super) fn make() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("no image of a disk: {error}");
        let directory = tempfile::tempdir().map_err(failed)?;
        let path = directory.path().to_path_buf();
        let caretaker = Caretaker::of(&path.join("root"))?;
        let disk = Self { caretaker, directory: Some(directory), path };
        let image = File::create(disk.image()).and_then(|image| image.set_len(IMAGE_BYTES));
        image.and_then(|()| std::fs::create_dir(disk.root())).map_err(failed)?;
        command(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image()))?;
        disk.mount()?;
        Ok(disk)
    }

    /// The root of its file system.
    pub(super) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// A directory on another file system.
    pub(super) fn beside(&self) -> &Path {
        &self.path
    }

    fn image(&self) -> PathBuf {
        self.path.join("image")
    }

    /// A switch that is ready to cut the power.
    pub(super) fn switch(&self) -> Result<Switch, String> {
        let mut missing = Vec::new();
        for (program, script) in SCRIPTS {
            match Switch::wait(Command::new(program).args(script).arg(self.root())) {
                Ok(switch) => return Ok(switch),
                Err(what) => missing.push(format!("{program}: {what}")),
            }
        }
        Err(format!("nobody can cut the power: {}", missing.join("; ")))
    }

    /// Switches it on again after a cut. The file system replays its journal.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    /// Leaves the image where it is, and says where.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.directory.take().map_or_else(|| self.path.clone(), TempDir::keep)
    }

    fn mount(&self) -> Result<(), String> {
        command(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))
    }

    /// Also gives the loop device back.
    fn unmount(&self) -> Result<(), String> {
        let mut last = Ok(());
        for _ in 0..UNMOUNT_TRIES {
            last = command(Command::new("umount").arg(self.root()));
            if last.is_ok() {
                break;
            }
            thread::sleep(PAUSE);
        }
        last
    }
}

/// A process that unmounts the disk when its owner lets go of it, or is gone.
struct Caretaker {
    process: Child,
}

impl Caretaker {
    fn of(root: &Path) -> Result<Self, String> {
        // An interrupt from the terminal must not end the caretaker with its owner.
        let process = Command::new("sh")
            .args(["-c", UNMOUNT, "sh"])
            .arg(root)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.map_err(|error| format!("sh cannot be run: {error}"))?;
        Ok(Self { process })
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        let stdin = self.process.stdin.take();
        // If it is gone, there is nothing that could be done.
        stdin.map_or(Ok(()), |mut stdin| stdin.write_all(b"done\n")).unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// A process that waits to cut the power of a disk.
pub(super) struct Switch {
    process: Child,
}

impl Switch {
    fn wait(command: &mut Command) -> Result<Self, String> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| error.to_string())?;
        let mut switch = Self { process };
        let mut line = String::new();
        let stdout = switch.process.stdout.take().map(BufReader::<ChildStdout>::new);
        let read = stdout.map(|mut stdout| stdout.read_line(&mut line));
        match read {
            Some(Ok(_)) if line == "ready\n" => Ok(switch),
            _ => Err("it cannot open the file system".into()),
        }
    }

    /// Cuts the power.
    pub(super) fn cut(mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the power cannot be cut: {error}");
        let stdin = self.process.stdin.take();
        stdin.map_or(Ok(()), |mut stdin| stdin.write_all(b"\n")).map_err(failed)?;
        let status = self.process.wait().map_err(failed)?;
        let refused = || format!("the file system refuses to be shut down ({status})");
        status.success().then_some(()).ok_or_else(refused)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// Runs a command to its end.
fn command(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name} cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let failed = || format!("{name} failed: {}", said.trim());
    output.status.success().then_some(()).ok_or_else(failed)
}
