//! One damage to one store, as a value with a one-word text form.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use durable::SimFs;

use super::Options;
use super::fixture::Fixture;
use crate::random::Random;

/// A sector, the unit in which disks misplace bytes.
const SECTOR: usize = 512;
/// A page, the unit in which caches lose them.
const PAGE: usize = 4096;

/// A damage. Files are numbered in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Corruption {
    /// None at all: the fixture itself must be sound.
    Nothing,
    /// A bit of a byte is inverted.
    Flip { file: usize, at: usize, bit: u8 },
    /// A byte has another value.
    Set { file: usize, at: usize, byte: u8 },
    /// The end is gone.
    Cut { file: usize, len: usize },
    /// The file is gone.
    Delete { file: usize },
    /// The file is an older one of the same name.
    Older { file: usize, generation: usize },
    /// Two files have each other's names.
    Swap { file: usize, with: usize },
    /// A file lies over another one.
    Copy { file: usize, over: usize },
    /// Two sectors lie in each other's place.
    Sectors { file: usize, first: usize, second: usize },
    /// A page is zeros.
    Zero { file: usize, page: usize },
    /// Bytes that nobody wrote are at the end.
    Junk { file: usize, len: usize },
    /// There are files and directories of somebody else.
    Foreign,
}

impl Corruption {
    /// Does it to `sim`, which is a copy of the store of `fixture`.
    pub(super) fn apply(&self, fixture: &Fixture<'_>, sim: &SimFs) {
        let path = |file: usize| fixture.path(file);
        let bytes = |file: usize| sim.contents(path(file)).unwrap_or_default();
        let change = |file: usize, change: &dyn Fn(&mut Vec<u8>)| {
            let mut changed = bytes(file);
            change(&mut changed);
            sim.set_contents(path(file), changed);
        };
        match *self {
            Self::Nothing => {}
            Self::Flip { file, at, bit } => change(file, &|bytes| bytes[at] ^= 1 << bit),
            Self::Set { file, at, byte } => change(file, &|bytes| bytes[at] = byte),
            Self::Cut { file, len } => change(file, &|bytes| bytes.truncate(len)),
            Self::Delete { file } => sim.delete(path(file)),
            Self::Older { file, generation } => {
                let older = fixture.older(file).nth(generation).expect("the file was older once");
                sim.set_contents(path(file), older.to_vec());
            }
            Self::Swap { file, with } => {
                let (one, other) = (bytes(file), bytes(with));
                sim.set_contents(path(file), other);
                sim.set_contents(path(with), one);
            }
            Self::Copy { file, over } => sim.set_contents(path(over), bytes(file)),
            Self::Sectors { file, first, second } => {
                change(file, &|bytes| swap_sectors(bytes, first, second));
            }
            Self::Zero { file, page } => change(file, &|bytes| zero_page(bytes, page)),
            Self::Junk { file, len } => change(file, &|bytes| add_junk(bytes, len)),
            Self::Foreign => fixture.foreign().for_each(|path| {
                sim.set_contents(&path, b"not yours".to_vec());
            }),
        }
    }

    /// The one file that this changes without taking it away, and which part of it, if its bytes end at `used`.
    pub(super) fn extent(&self, used: impl Fn(usize) -> usize) -> Option<(usize, Extent)> {
        let from = |file: usize, at: usize, end: usize| {
            (file, if end >= used(file) && end > at + 1 { Extent::End } else { Extent::From(at) })
        };
        match *self {
            Self::Flip { file, at, .. } | Self::Set { file, at, .. } => {
                Some(from(file, at, at + 1))
            }
            Self::Sectors { file, first, second } => {
                Some(from(file, first * SECTOR, (second + 1) * SECTOR))
            }
            Self::Zero { file, page } => Some(from(file, page * PAGE, (page + 1) * PAGE)),
            Self::Cut { file, .. } | Self::Older { file, .. } | Self::Junk { file, .. } => {
                Some((file, Extent::End))
            }
            Self::Nothing
            | Self::Foreign
            | Self::Delete { .. }
            | Self::Swap { .. }
            | Self::Copy { .. } => None,
        }
    }
}

fn swap_sectors(bytes: &mut [u8], first: usize, second: usize) {
    assert!(first != second, "two sectors change places");
    for at in 0..SECTOR {
        bytes.swap(first * SECTOR + at, second * SECTOR + at);
    }
}

fn zero_page(bytes: &mut [u8], page: usize) {
    let end = bytes.len().min((page + 1) * PAGE);
    bytes[page * PAGE..end].fill(0);
}

fn add_junk(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend((0..len).map(|at| (at as u8).wrapping_mul(37) ^ 0x5a));
}

/// The part of a file that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Some of it, not before this byte.
    From(usize),
    /// Everything after some byte.
    End,
}

/// Every damage to `fixture`, or as much of it as `options` want: the coarse ones first, because they find most.
pub(super) fn all(fixture: &Fixture<'_>, options: &Options, random: &Random) -> Vec<Corruption> {
    let mut corruptions = vec![Corruption::Nothing, Corruption::Foreign];
    for file in fixture.damaged_files() {
        coarse(fixture, file, options.cuts, &mut corruptions);
    }
    for file in fixture.damaged_files() {
        bytes(file, fixture.len(file), options, random, &mut corruptions);
    }
    debug_assert!(
        corruptions.iter().all(|damage| damage.to_string().parse() == Ok(*damage)),
        "a damage reads back"
    );
    corruptions
}

/// Damage to whole parts of `file`, to all of it, and between it and other files.
fn coarse(fixture: &Fixture<'_>, file: usize, cuts: usize, corruptions: &mut Vec<Corruption>) {
    let len = fixture.len(file);
    assert!(file < fixture.count(), "the store has no file {file}");
    corruptions.push(Corruption::Delete { file });
    let step = (len / cuts.max(1)).max(1);
    corruptions.extend((0..len).step_by(step).map(|len| Corruption::Cut { file, len }));
    corruptions.extend(len.checked_sub(1).map(|len| Corruption::Cut { file, len }));
    let sectors = len / SECTOR;
    let pairs = (1..sectors).map(|second| (second - 1, second));
    let pairs = pairs.chain((2..sectors).map(|second| (0, second)));
    let swap = |(first, second)| Corruption::Sectors { file, first, second };
    corruptions.extend(pairs.map(swap));
    corruptions.extend((0..len.div_ceil(PAGE)).map(|page| Corruption::Zero { file, page }));
    corruptions.extend([1, 100, PAGE].map(|len| Corruption::Junk { file, len }));
    let generations = fixture.older(file).len();
    corruptions.extend((0..generations).map(|generation| Corruption::Older { file, generation }));
    for other in (0..fixture.count()).filter(|other| fixture.are_alike(file, *other)) {
        corruptions.push(Corruption::Copy { file, over: other });
        if file < other {
            corruptions.push(Corruption::Swap { file, with: other });
        }
    }
}

fn bytes(
    file: usize,
    len: usize,
    options: &Options,
    random: &Random,
    corruptions: &mut Vec<Corruption>,
) {
    for at in 0..len {
        let one = random.below(8) as u8;
        let bits = if options.every_bit { 0..8 } else { one..one + 1 };
        corruptions.extend(bits.map(|bit| Corruption::Flip { file, at, bit }));
        if random.one_in(options.one_set_in.max(1)) {
            corruptions.extend([0x00, 0xff].map(|byte| Corruption::Set { file, at, byte }));
        }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Flip { file, at, bit } => write!(f, "flip:{file}:{at}:{bit}"),
            Self::Set { file, at, byte } => write!(f, "set:{file}:{at}:{byte}"),
            Self::Cut { file, len } => write!(f, "cut:{file}:{len}"),
            Self::Delete { file } => write!(f, "delete:{file}"),
            Self::Older { file, generation } => write!(f, "older:{file}:{generation}"),
            Self::Swap { file, with } => write!(f, "swap:{file}:{with}"),
            Self::Copy { file, over } => write!(f, "copy:{file}:{over}"),
            Self::Sectors { file, first, second } => write!(f, "sectors:{file}:{first}:{second}"),
            Self::Zero { file, page } => write!(f, "zero:{file}:{page}"),
            Self::Junk { file, len } => write!(f, "junk:{file}:{len}"),
            Self::Foreign => f.write_str("foreign"),
        }
    }
}

impl FromStr for Corruption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no damage is called {text:?}");
        let mut words = text.split(':');
        let kind = words.next().ok_or_else(unknown)?;
        let numbers = words.map(str::parse).collect::<Result<Vec<usize>, _>>();
        let numbers = numbers.map_err(|_| unknown())?;
        Ok(match (kind, &numbers[..]) {
            ("nothing", []) => Self::Nothing,
            ("flip", &[file, at, bit]) => Self::Flip { file, at, bit: bit as u8 },
            ("set", &[file, at, byte]) => Self::Set { file, at, byte: byte as u8 },
            ("cut", &[file, len]) => Self::Cut { file, len },
            ("delete", &[file]) => Self::Delete { file },
            ("older", &[file, generation]) => Self::Older { file, generation },
            ("swap", &[file, with]) => Self::Swap { file, with },
            ("copy", &[file, over]) => Self::Copy { file, over },
            ("sectors", &[file, first, second]) => Self::Sectors { file, first, second },
            ("zero", &[file, page]) => Self::Zero { file, page },
            ("junk", &[file, len]) => Self::Junk { file, len },
            ("foreign", []) => Self::Foreign,
            _ => return Err(unknown()),
        })
    }
}

/// Where foreign files and directories are put, below `dir`.
pub(super) fn foreign_files(dir: &std::path::Path) -> impl Iterator<Item = PathBuf> {
    let names = ["notes.txt", "000001.data.bak", "CURRENT~", "lost+found/0001", ".hidden"];
    let dir = dir.to_path_buf();
    names.into_iter().map(move |name| dir.join(name))
}
