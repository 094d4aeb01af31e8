//! Creating a directory so that its name is durable.

use std::path::Path;

use kv::Result;

/// The calls that [`create_dir`] is made of.
pub(crate) trait DirCalls {
    /// Whether `path` is a directory, or a link to one.
    fn is_dir(&self, path: &Path) -> bool;

    /// Creates one directory in an existing one. Nothing happens if it is there already.
    fn make_dir(&self, path: &Path) -> Result<()>;

    /// Makes the names in a directory that was there before durable, as far as this process may.
    fn sync_old_dir(&self, dir: &Path) -> Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;
}

/// Creates `path` and its missing parents, each durable before the next.
///
/// A process that ran the same code before may have been killed between creating a directory and syncing its parent. So
/// the name of the deepest directory that is there already is synced, too. The names above it were durable before that
/// one was created.
pub(crate) fn create_dir(calls: &dyn DirCalls, path: &Path) -> Result<()> {
    let Some(parent) = parent(path) else { return Ok(()) };
    if calls.is_dir(path) {
        return calls.sync_old_dir(parent);
    }
    create_dir(calls, parent)?;
    calls.make_dir(path)?;
    calls.sync_dir(parent)
}

/// The directory that names `path`. `None`: the root and the working directory have no name to make durable.
fn parent(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
        .filter(|_| path != Path::new("."))
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Directories that are there, and the calls that were made.
    struct Recorder<'d> {
        present: &'d [&'d str],
        calls: RefCell<Vec<String>>,
    }

    impl Recorder<'_> {
        fn record(&self, call: &str, path: &Path) {
            self.calls.borrow_mut().push(format!("{call} {}", path.display()));
        }
    }

    impl DirCalls for Recorder<'_> {
        fn is_dir(&self, path: &Path) -> bool {
            self.present.iter().any(|dir| path == Path::new(dir))
        }

        fn make_dir(&self, path: &Path) -> Result<()> {
            self.record("make", path);
            Ok(())
        }

        fn sync_old_dir(&self, dir: &Path) -> Result<()> {
            self.record("sync-old", dir);
            Ok(())
        }

        fn sync_dir(&self, dir: &Path) -> Result<()> {
            self.record("sync", dir);
            Ok(())
        }
    }

    fn calls_for(path: &str, present: &[&str]) -> Vec<String> {
        let recorder = Recorder { present, calls: RefCell::default() };
        create_dir(&recorder, Path::new(path)).expect("no call fails");
        recorder.calls.into_inner()
    }

    #[test]
    fn each_directory_is_durable_before_the_next_is_created() {
        let calls = calls_for("/a/b/c", &["/", "/a"]);
        assert_eq!(calls, ["sync-old /", "make /a/b", "sync /a", "make /a/b/c", "sync /a/b"]);
        assert_eq!(calls_for("a/b", &["."]), ["make a", "sync .", "make a/b", "sync a"]);
    }

    #[test]
    fn the_name_of_a_directory_that_is_there_is_synced() {
        assert_eq!(calls_for("/a/b", &["/", "/a", "/a/b"]), ["sync-old /a"]);
        assert_eq!(calls_for("a", &[".", "a"]), ["sync-old ."]);
    }

    #[test]
    fn the_root_and_the_working_directory_have_no_name_to_sync() {
        for path in ["/", ".", ""] {
            assert!(calls_for(path, &["/", ".", ""]).is_empty());
        }
    }
}
