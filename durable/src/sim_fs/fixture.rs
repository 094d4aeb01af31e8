//! Disks that a text describes: how fixtures of older formats are kept.

use std::path::Path;

use kv::{Error, Result};

use super::SimFs;
use crate::fs::Fs;

impl SimFs {
    /// A disk with the directory `dir` and the files that `fixture` describes, all of it durable. The line `= NAME LENGTH`
    /// begins a file of so many zeros in `dir`. Each line `OFFSET: DIGITS` below puts bytes there, two hexadecimal digits for
    /// each.
    ///
    /// # Errors
    /// `InvalidArgument` names the first line that is neither.
    pub fn from_fixture(dir: &Path, fixture: &str) -> Result<Self> {
        let disk = Self::new();
        disk.create_dir(dir)?;
        let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
        for line in fixture.lines() {
            let read = read_line(line, &mut files);
            read.ok_or_else(|| Error::InvalidArgument(format!("no line of a fixture: {line:?}")))?;
        }
        for (name, bytes) in files {
            disk.set_contents(&dir.join(name), bytes);
        }
        Ok(disk.duplicate())
    }
}

/// Begins a file, or puts bytes into the last one. `None`: the line does neither.
fn read_line<'f>(line: &'f str, files: &mut Vec<(&'f str, Vec<u8>)>) -> Option<()> {
    if let Some(file) = line.strip_prefix("= ") {
        let (name, len) = file.split_once(' ')?;
        files.push((name, vec![0; len.parse().ok()?]));
        return Some(());
    }
    let (offset, digits) = line.split_once(": ")?;
    let (_, bytes) = files.last_mut()?;
    let bytes = bytes.get_mut(offset.parse().ok()?..)?;
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    for (number, pair) in pairs.enumerate() {
        *bytes.get_mut(number)? = u8::from_str_radix(pair?, 16).ok()?;
    }
    Some(())
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_fixture_gives_each_file_its_bytes_and_zeros_between_them() {
        let fixture = "= a 6\n1: 0a0b\n4: ff\n= b 2";
        let disk = SimFs::from_fixture(Path::new("dir"), fixture).expect("it is right");
        assert_eq!(disk.contents(Path::new("dir/a")).expect("a"), [0, 10, 11, 0, 255, 0]);
        assert_eq!(disk.contents(Path::new("dir/b")).expect("b"), [0, 0]);
        assert_eq!(disk.ops(), 0, "all of it is durable");
    }

    #[test]
    fn a_line_that_describes_nothing_is_refused_by_name() {
        for line in ["0: 00", "= a", "= a x", "notes"] {
            let refused = SimFs::from_fixture(Path::new("dir"), line).expect_err(line);
            assert!(refused.to_string().contains(line), "{refused}");
        }
        for line in ["0: 0g", "0: 0", "2: 00", "1: 0000", "-1: 00"] {
            let fixture = format!("= a 2\n{line}");
            assert!(SimFs::from_fixture(Path::new("dir"), &fixture).is_err(), "{line}");
        }
    }
}
