//! From a variant to the fate of each pending effect.

use super::disk::Disk;
use super::inode::Fate;
use super::names::NameState;
use super::pending::{Pending, Piece, files_in};
use super::random::Random;
use super::variant::{MetadataModel, Variant};

/// The pending effects that survive.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) names: Names,
    pub(super) data: Data,
    /// With a seed: a file that grew without its bytes holds stale ones instead of zeros.
    pub(super) stale: Option<u64>,
}

/// Which pending directory operations survive.
#[derive(Debug)]
pub(super) enum Names {
    All,
    /// So many, from the oldest on.
    Prefix(usize),
    /// Those marked.
    Subset(Vec<bool>),
}

/// Which pending data effects survive.
#[derive(Debug)]
pub(super) enum Data {
    /// The page cache as it is, with the pages that a failed sync has lost on the disk.
    Cache,
    /// One fate for each.
    Fates(Vec<Fate>),
}

impl Selection {
    pub(super) fn of(variant: &Variant, disk: &Disk, pending: &Pending, point: usize) -> Self {
        let choice = Choice { disk, pending };
        let (names, data) = match variant {
            Variant::All => return Self { names: Names::All, data: Data::Cache, stale: None },
            Variant::Random(_, seed) => return choice.random(*seed, point),
            Variant::None(_) => (Names::Prefix(0), choice.every(Fate::Drop)),
            Variant::DataOnly(_) => (Names::Prefix(0), choice.every(Fate::Keep)),
            Variant::NamesOnly => (Names::All, choice.every(Fate::LengthOnly)),
            Variant::BareNames => (Names::All, choice.every(Fate::Drop)),
            Variant::Drop(_, number) => choice.all_but(*number),
            Variant::Keep(_, number) => choice.only(*number),
            Variant::Tear(len) => (Names::All, choice.tear(*len, false)),
            Variant::TearHead(len) => (Names::All, choice.tear_head(*len)),
            Variant::Garble(len) => (Names::All, choice.tear(*len, true)),
            Variant::RemovalsLost(_) => (choice.without_removals(), choice.every(Fate::Keep)),
        };
        Self { names, data: Data::Fates(data), stale: None }
    }
}

/// The effects to choose from.
struct Choice<'c> {
    disk: &'c Disk,
    pending: &'c Pending,
}

impl Choice<'_> {
    fn every(&self, fate: Fate) -> Vec<Fate> {
        vec![fate; self.pending.data.len()]
    }

    fn name_state(&self) -> &NameState {
        self.disk.names(self.pending.model)
    }

    fn all_but(&self, number: usize) -> (Names, Vec<Fate>) {
        let mut data = self.every(Fate::Keep);
        if let Some(number) = number.checked_sub(self.pending.names) {
            if let Some(fate) = data.get_mut(number) {
                *fate = Fate::Drop;
            }
            return (Names::All, data);
        }
        let names = match self.pending.model {
            MetadataModel::Strict => {
                Names::Subset((0..self.pending.names).map(|at| at != number).collect())
            }
            MetadataModel::Journalled => Names::Prefix(number),
        };
        (names, data)
    }

    fn only(&self, number: usize) -> (Names, Vec<Fate>) {
        let mut data = self.every(Fate::Drop);
        if let Some(number) = number.checked_sub(self.pending.names) {
            if let Some(fate) = data.get_mut(number) {
                *fate = Fate::Keep;
            }
            let names = if self.has_name(number) { Names::Prefix(0) } else { Names::All };
            return (names, data);
        }
        let names = match self.pending.model {
            MetadataModel::Strict => {
                Names::Subset((0..self.pending.names).map(|at| at == number).collect())
            }
            MetadataModel::Journalled => Names::Prefix(number + 1),
        };
        (names, data)
    }

    /// Whether the file of data effect `number` has a durable name.
    fn has_name(&self, number: usize) -> bool {
        let owner = self.pending.files.iter().find(|(_, range)| range.contains(&number));
        owner.is_none_or(|(inode, _)| {
            self.pending.names == 0
                || files_in(&self.name_state().durable).any(|named| named == *inode)
        })
    }

    /// The last write up to its byte `len`. If `garbled`, the sector there is destroyed.
    fn tear(&self, len: usize, garbled: bool) -> Vec<Fate> {
        let mut data = self.every(Fate::Keep);
        let mut left = len;
        for number in self.pending.last_write() {
            let piece_len = self.pending.data[number].write.map_or(0, |(_, len)| len);
            data[number] = match left {
                0 => Fate::Drop,
                left if left >= piece_len => Fate::Keep,
                left if garbled => Fate::Garbled { len: left },
                left => Fate::Torn { len: left, full_length: false },
            };
            left = left.saturating_sub(piece_len);
        }
        data
    }

    /// The last write from its byte `len` on.
    fn tear_head(&self, len: usize) -> Vec<Fate> {
        let mut data = self.every(Fate::Keep);
        let mut left = len;
        for number in self.pending.last_write() {
            let piece_len = self.pending.data[number].write.map_or(0, |(_, len)| len);
            data[number] = match left {
                0 => Fate::Keep,
                left if left >= piece_len => Fate::Drop,
                left => Fate::Headless { skip: left },
            };
            left = left.saturating_sub(piece_len);
        }
        data
    }

    fn without_removals(&self) -> Names {
        let effects = &self.name_state().pending;
        match self.pending.model {
            MetadataModel::Strict => {
                Names::Subset(effects.iter().map(|effect| effect.remove.is_none()).collect())
            }
            MetadataModel::Journalled => {
                let first = effects.iter().position(|effect| effect.remove.is_some());
                first.map_or(Names::All, Names::Prefix)
            }
        }
    }

    fn random(&self, seed: u64, point: usize) -> Selection {
        let mut random = Random::new(seed ^ (point as u64).wrapping_mul(0xd134_2543_de82_ef95));
        let (names_kept, data_kept) = (1 + random.below(8), 1 + random.below(8));
        let names = match self.pending.model {
            MetadataModel::Strict => {
                let keep = |_| random.chance(names_kept);
                Names::Subset((0..self.pending.names).map(keep).collect())
            }
            MetadataModel::Journalled => Names::Prefix(random.below(self.pending.names + 1)),
        };
        let stale = random.chance(4).then(|| random.next());
        let pieces = self.pending.data.iter();
        let fate = |piece: &Piece| match piece.write {
            _ if random.chance(data_kept) => Fate::Keep,
            None => Fate::Drop,
            Some((_, len)) => match random.below(4) {
                0 | 1 => Fate::Drop,
                2 => Fate::LengthOnly,
                _ => Fate::Torn { len: random.below(len), full_length: random.chance(4) },
            },
        };
        let data = Data::Fates(pieces.map(fate).collect());
        Selection { names, data, stale }
    }
}
