//! Memory that an engine holds in files outside of its directory: shared memory, `memfd`, files that it unlinked.
//!
//! Such pages are neither on the heap nor in the engine's part of the page cache. This module counts the pages of the regular
//! files that the process has open (`/proc/self/fd`, asked with `mincore`) or mapped (`/proc/self/smaps`). Files that it had
//! open or mapped before the engine was opened are not counted. Nor are files below the engine's directory, deleted ones
//! included: [`crate::page_cache`] has them.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use durable::page_cache_bytes;

use crate::disk_use::BLOCK_BYTES;

/// A file by its number and the name that the kernel shows, which links of descriptors and lists of mappings share.
type Identity = (u64, Vec<u8>);

/// Finds the files elsewhere: neither of the harness nor below the directory of the engine.
#[derive(Debug)]
pub(crate) struct FilesElsewhere {
    directory: PathBuf,
    /// Open or mapped before the engine was opened, or opened by the harness later.
    harness: HashSet<Identity>,
    /// Files of the harness that it opens later.
    probe: PathBuf,
}

/// A file that the process has mapped.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    file: Identity,
    /// Its resident pages without those that were changed for this process alone; a page mapped twice counts half in each.
    bytes: u64,
}

impl FilesElsewhere {
    /// To be called before the engine is opened: files that are open or mapped now are the harness's. So is the one at
    /// `probe`, whenever it is opened.
    pub(crate) fn new(directory: &Path, probe: &Path) -> Self {
        let absolute = |path: &Path| {
            let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
            parent.map_or_else(
                || path.to_path_buf(),
                |parent| parent.join(path.file_name().unwrap_or_default()),
            )
        };
        let open = open_files().into_iter().map(|(file, _)| file);
        let harness = open.chain(mappings().into_iter().map(|mapping| mapping.file)).collect();
        Self { directory: absolute(directory), harness, probe: absolute(probe) }
    }

    /// Bytes of such files in memory that `shared_bytes`, which counts mapped shared memory, does not have.
    pub(crate) fn bytes(&self, shared_bytes: u64) -> u64 {
        let mut mapped = mappings();
        mapped.retain(|mapping| self.is_elsewhere(&mapping.file));
        let open = self.open_files().into_iter();
        let pages = |link: &Path| pages_of(link).unwrap_or_default();
        let open: Vec<_> = open.map(|(file, link)| (file, pages(&link))).collect();
        bytes_of(&mapped, &open, shared_bytes)
    }

    /// The open files elsewhere, each once.
    fn open_files(&self) -> Vec<(Identity, PathBuf)> {
        let mut seen = HashSet::new();
        let mut files = open_files();
        files.retain(|(file, _)| self.is_elsewhere(file) && seen.insert(file.clone()));
        files
    }

    fn is_elsewhere(&self, file: &Identity) -> bool {
        let path = Path::new(std::ffi::OsStr::from_bytes(&file.1));
        !path.starts_with(&self.directory) && path != self.probe && !self.harness.contains(file)
    }
}

/// Bytes in memory of files that are `mapped`, or `open` with so many bytes: each file once, and mapped shared memory, of
/// `shared_bytes`, not at all.
fn bytes_of(mapped: &[Mapping], open: &[(Identity, u64)], shared_bytes: u64) -> u64 {
    let total: u64 = mapped.iter().map(|mapping| mapping.bytes).sum();
    let unmapped = open.iter().map(|(file, bytes)| {
        let of_file = mapped.iter().filter(|mapping| mapping.file == *file);
        let counted: u64 = of_file.map(|mapping| mapping.bytes).sum();
        bytes.saturating_sub(counted)
    });
    total.saturating_sub(shared_bytes) + unmapped.sum::<u64>()
}

/// The pages of an open file in memory. Where they cannot be asked for, its blocks: a file in memory is in memory.
fn pages_of(descriptor: &Path) -> Option<u64> {
    let file = File::open(descriptor).ok()?;
    let blocks = || file.metadata().ok().map(|metadata| metadata.blocks() * BLOCK_BYTES);
    page_cache_bytes(&file).ok().or_else(blocks)
}

/// The regular files that the process has open, each with the link to it.
fn open_files() -> Vec<(Identity, PathBuf)> {
    let links = fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(io::Result::ok);
    let file = |link: PathBuf| {
        let metadata = fs::metadata(&link).ok().filter(Metadata::is_file)?;
        let name = fs::read_link(&link).ok()?.as_os_str().as_bytes().to_vec();
        Some(((metadata.ino(), name), link))
    };
    links.filter_map(|link| file(link.path())).collect()
}

fn mappings() -> Vec<Mapping> {
    parse(&fs::read("/proc/self/smaps").unwrap_or_default())
}

/// Reads the text of `smaps`: a line with range, rights, offset, device, file number and name begins each mapping.
fn parse(smaps: &[u8]) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    for line in smaps.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let Some(first) = words.next() else { continue };
        let number = |word: Option<&[u8]>| std::str::from_utf8(word?).ok()?.parse::<u64>().ok();
        match first.strip_suffix(b":") {
            Some(field @ (b"Pss" | b"Anonymous")) => {
                let bytes = number(words.next()).unwrap_or_default() * 1024;
                let Some(mapping) = found.last_mut() else { continue };
                let is_private = field == b"Anonymous";
                mapping.bytes =
                    if is_private { mapping.bytes.saturating_sub(bytes) } else { bytes };
            }
            // Other fields.
            Some(_) => {}
            None => {
                let inode = number(words.nth(3)).unwrap_or_default();
                // The name is the rest of the line, spaces included.
                let name =
                    line.iter().position(|byte| *byte == b'/').map_or(&[][..], |at| &line[at..]);
                found.push(Mapping { file: (inode, name.to_vec()), bytes: 0 });
            }
        }
    }
    // A mapping without a file has no number.
    found.retain(|mapping| mapping.file.0 != 0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 8 << 20;

    #[test]
    fn a_mapping_has_its_number_its_name_and_the_pages_that_are_not_private() {
        let text = b"7f00-7f10 rw-s 00000000 00:01 42                         /memfd:a b (deleted)\n\
            Rss:                  16 kB\nPss:                  16 kB\nPss_Dirty:  3 kB\nAnonymous:             4 kB\n\
            VmFlags: rd wr\n7f20-7f30 rw-p 00000000 00:00 0 [heap]\nPss: 9 kB\n";
        let file = (42, b"/memfd:a b (deleted)".to_vec());
        assert_eq!(parse(text), [Mapping { file, bytes: 12 << 10 }]);
    }

    #[test]
    fn a_file_that_is_open_and_mapped_twice_counts_once_and_mapped_shared_memory_elsewhere() {
        let file = |number: u64| (number, b"/tmp/file".to_vec());
        // The kernel counts half of each page in each of two mappings.
        let half = |number| Mapping { file: file(number), bytes: 400 };
        let (mapped, open) =
            ([half(1), half(1), half(2), half(2)], [(file(1), 1_000), (file(3), 7)]);
        assert_eq!(bytes_of(&mapped, &open, 0), 1_000 + 800 + 7);
        // The second file is shared memory.
        assert_eq!(bytes_of(&mapped, &open, 800), 1_000 + 7);
        assert_eq!(bytes_of(&[], &open, 0), 1_007);
    }

    #[test]
    fn pages_of_unlinked_files_elsewhere_count_and_those_of_the_directory_and_of_the_harness_do_not()
     {
        let folder = tempfile::tempdir().unwrap();
        let (directory, probe) = (folder.path().join("store"), folder.path().join("store.probe"));
        fs::create_dir(&directory).unwrap();
        let create = |path: &Path| {
            let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
            io::Write::write_all(&mut &file, &vec![1; BYTES]).unwrap();
            file
        };
        let early = create(&folder.path().join("early"));
        let elsewhere = FilesElsewhere::new(&directory, &probe);
        // Other tests of this process have files open meanwhile.
        let root = folder.path().canonicalize().unwrap();
        let is_here = |file: &Identity| file.1.starts_with(root.as_os_str().as_bytes());
        let pages = || {
            let files = elsewhere.open_files().into_iter().filter(|(file, _)| is_here(file));
            files.map(|(_, link)| pages_of(&link).unwrap()).collect::<Vec<_>>()
        };
        let own = (create(&probe), create(&directory.join("data")));
        assert_eq!(pages(), [0_u64; 0]);
        let hidden = create(&folder.path().join("hidden"));
        fs::remove_file(folder.path().join("hidden")).unwrap();
        let twice = hidden.try_clone().unwrap();
        assert_eq!(pages(), [BYTES as u64]);
        assert!(elsewhere.bytes(u64::MAX) >= BYTES as u64);
        drop((early, own, hidden, twice));
        assert_eq!(pages(), [0_u64; 0]);
    }
}
