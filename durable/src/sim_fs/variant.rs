//! The part of the undurable effects that a crash leaves, as a value with a one-word text form.

use std::fmt;
use std::str::FromStr;

use kv::Error;

/// Which directory operations may survive a power cut when not all of them do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetadataModel {
    /// Any subset of those since the last sync of the directory: all that POSIX promises.
    Strict,
    /// A prefix of those of the whole file system, and a file that is synced has its name, as on ext4 and XFS.
    Journalled,
}

/// The effects that a crash leaves. "Effects" are the directory operations and the page-sized pieces of writes, and the changes of
/// length, that are pending at the crash point: first the former in their order, then those of one file after another.
///
/// The text form is one word, with the metadata model before it where it matters: `all`, `strict/none`,
/// `journalled/drop:3`. Without a model, `strict` is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Everything: the process died, the machine did not. `all`
    All,
    /// Nothing that was not synced. `none`
    None(MetadataModel),
    /// All bytes and lengths, no directory operation. `data-only`
    DataOnly(MetadataModel),
    /// All directory operations and lengths, no bytes: zeros where a file grew. `names-only`
    NamesOnly,
    /// All directory operations and nothing else: new files are empty. `bare-names`
    BareNames,
    /// All but one effect; journalled, losing a directory operation loses the later ones too. `drop:3`
    Drop(MetadataModel, usize),
    /// One effect; journalled, a directory operation brings the earlier ones. A piece of a file that would have no name
    /// brings all names. `keep:2`
    Keep(MetadataModel, usize),
    /// All, but only so many bytes of the last write. `tear:512`
    Tear(usize),
    /// All, but without the first so many bytes of the last write: later sectors of a page reached the disk and earlier
    /// ones did not. `tear-head:512`
    TearHead(usize),
    /// As [`Variant::Tear`], on a disk that destroys the sector in which it is interrupted, earlier bytes included. No
    /// suite asks for it: see the limits of the model in the module's documentation. `garble:512`
    Garble(usize),
    /// All but removals and renames, and journalled all after the first of them: old files are back. `removals-lost`
    RemovalsLost(MetadataModel),
    /// A random part, decided by the seed and the crash point: pieces are kept, lost, torn at any byte, or there as
    /// zeros or stale bytes. `random:17`
    Random(MetadataModel, u64),
}

impl fmt::Display for MetadataModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::Journalled => "journalled",
        })
    }
}

impl FromStr for MetadataModel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "strict" => Ok(Self::Strict),
            "journalled" => Ok(Self::Journalled),
            _ => Err(Error::InvalidArgument(format!("no metadata model is called {text:?}"))),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None(model) => write!(f, "{model}/none"),
            Self::DataOnly(model) => write!(f, "{model}/data-only"),
            Self::NamesOnly => f.write_str("names-only"),
            Self::BareNames => f.write_str("bare-names"),
            Self::Drop(model, effect) => write!(f, "{model}/drop:{effect}"),
            Self::Keep(model, effect) => write!(f, "{model}/keep:{effect}"),
            Self::Tear(len) => write!(f, "tear:{len}"),
            Self::TearHead(len) => write!(f, "tear-head:{len}"),
            Self::Garble(len) => write!(f, "garble:{len}"),
            Self::RemovalsLost(model) => write!(f, "{model}/removals-lost"),
            Self::Random(model, seed) => write!(f, "{model}/random:{seed}"),
        }
    }
}

impl FromStr for Variant {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::InvalidArgument(format!("no crash variant is called {text:?}"));
        let (model, word) = match text.split_once('/') {
            Some((model, word)) => (model.parse()?, word),
            None => (MetadataModel::Strict, text),
        };
        if let Some((word, number)) = word.split_once(':') {
            let number: u64 = number.parse().map_err(|_| unknown())?;
            return match word {
                "drop" => Ok(Self::Drop(model, number as usize)),
                "keep" => Ok(Self::Keep(model, number as usize)),
                "tear" => Ok(Self::Tear(number as usize)),
                "tear-head" => Ok(Self::TearHead(number as usize)),
                "garble" => Ok(Self::Garble(number as usize)),
                "random" => Ok(Self::Random(model, number)),
                _ => Err(unknown()),
            };
        }
        match word {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None(model)),
            "data-only" => Ok(Self::DataOnly(model)),
            "names-only" => Ok(Self::NamesOnly),
            "bare-names" => Ok(Self::BareNames),
            "removals-lost" => Ok(Self::RemovalsLost(model)),
            _ => Err(unknown()),
        }
    }
}
