//! The formats of segments: where their frames start, and whether a frame of one segment counts in another. The tables are
//! in the [module above](super).

use serde::Serialize;

use super::witness;

/// Bytes of the header of a segment.
pub const SEGMENT_HEADER_LEN: u64 = 64;

/// Where the parts of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentLayout {
    /// Frames follow the header. For a segment that is published when it is whole, like an output of a merge.
    Plain,
    /// Slots of a witness lie between header and frames. For the segments of a log that is synced as it grows.
    Witnessed,
}

impl SegmentLayout {
    /// Where the first frame starts.
    pub fn first_frame(self) -> u64 {
        match self {
            Self::Plain => SEGMENT_HEADER_LEN,
            Self::Witnessed => witness::FIRST_FRAME,
        }
    }

    /// The format that new segments with this layout are written in.
    pub fn format(self) -> SegmentFormat {
        match self {
            Self::Plain => SegmentFormat::V3,
            Self::Witnessed => SegmentFormat::V4,
        }
    }

    /// Whether the byte at `offset` belongs to a slot of a witness.
    pub(super) fn is_slot(self, offset: u64) -> bool {
        self == Self::Witnessed && witness::is_slot(offset)
    }
}

/// The format of a segment, which its magic names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "u8")]
pub enum SegmentFormat {
    /// Plain, with the salt that all segments of formats 1 and 2 have in common. It is only read.
    V1,
    /// Witnessed, with the common salt. It is only read.
    V2,
    /// Plain, with a salt of its own for each segment.
    V3,
    /// Witnessed, with a salt of its own for each segment.
    V4,
}

impl SegmentFormat {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V3, Self::V4];

    /// The number of the format, from 1 on.
    pub fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// The format with that number. `None`: this build knows no such format.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.number() == number)
    }

    /// The format of the segment `bytes`, by its magic alone. `None`: no magic that this build knows.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|format| bytes.starts_with(format.magic()))
    }

    /// Where the parts of the segment are.
    pub fn layout(self) -> SegmentLayout {
        match self {
            Self::V1 | Self::V3 => SegmentLayout::Plain,
            Self::V2 | Self::V4 => SegmentLayout::Witnessed,
        }
    }

    /// Where the first frame starts.
    pub fn first_frame(self) -> u64 {
        self.layout().first_frame()
    }

    pub(super) fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::V1 => b"KVSEGM01",
            Self::V2 => b"KVSEGM02",
            Self::V3 => b"KVSEGM03",
            Self::V4 => b"KVSEGM04",
        }
    }
}

impl From<SegmentFormat> for u8 {
    fn from(format: SegmentFormat) -> Self {
        format.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_number_and_by_its_magic() {
        for (at, format) in SegmentFormat::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(format.number()), at + 1);
            assert_eq!(SegmentFormat::from_number(format.number()), Some(format));
            assert_eq!(SegmentFormat::of(format.magic()), Some(format));
        }
        assert_eq!(SegmentFormat::from_number(0), None);
        assert_eq!(SegmentFormat::from_number(5), None);
        assert_eq!(SegmentFormat::of(b"KVSEGM05"), None);
        assert_eq!(SegmentFormat::of(b"KVSEGM0"), None);
    }

    #[test]
    fn new_segments_are_written_in_the_newest_format_of_their_layout() {
        for layout in [SegmentLayout::Plain, SegmentLayout::Witnessed] {
            let of_layout =
                SegmentFormat::ALL.into_iter().filter(|format| format.layout() == layout);
            assert_eq!(of_layout.max_by_key(|format| format.number()), Some(layout.format()));
        }
    }
}
