//! Which stems a table may hold: a Bloom filter in lines of one cache line (Putze, Sanders, Singler: Cache-, Hash- and
//! Space-Efficient Bloom Filters, 2007), whose bits lie in two words of the line (Lang, Neumann, Kemper, Boncz:
//! Performance-Optimal Filtering, 2019).
//!
//! A look-up touches one line, so a miss costs one cache miss. The choice was measured with 2 M keys of 16 bytes:
//!
//! | filter | bits a key | false positives | look-up | building, a key |
//! |---|---|---|---|---|
//! | bits anywhere in a line | 10 | 0.96 % | 24 ns | 16 to 24 ns |
//! | binary fuse, 8 bits | 9.0 to 10.1 | 0.39 % | 17 to 24 ns | 77 to 190 ns |
//!
//! Building a table takes about 250 ns a key otherwise. A false positive costs less than a microsecond, so the sharper
//! filter saves 6 ns a miss at most.
//!
//! The hash of a stem is XXH3 with 64 bits and seed 0. With `n` lines it belongs to line `(hash * n) >> 64`. Its lower half
//! chooses two words of 8 bytes, one of each half of the line. It also chooses up to three bits in the first word. The second
//! word has the same bits, rotated. A look-up waits for its line, and meanwhile the processor begins the next ones. The fewer
//! instructions each of them takes, the more are in flight. In one run, after other data had filled the caches, a test took:
//!
//! | bits, with 10 bits a key | false positives | look-up |
//! |---|---|---|
//! | three in each of two words | 1.10 % | 48 ns |
//! | three, and the same rotated | 1.16 % | 42 ns |
//! | a fixed pattern, rotated, for each word | 4.55 % | 39 ns |
//! | none: reading one byte of the line | | 31 ns |
//!
//! In a filter with hints, 64 bytes of [hints](hints) follow each line. The lines are one run of bytes in the file, which
//! begins at a multiple of 64. They have a checksum for each chunk of 32 KiB, and a reader checks a chunk when it needs it
//! first. The filter block, named by the directory, describes them:
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 1 | kind: 5, or 6 with hints |
//! | 1 | 1 | bits of a stem in each of its words, 1 to 3 |
//! | 2 | 2 | zero |
//! | 4 | 4 | number of lines |
//! | 8 | 8 | offset of the first line in the file |
//! | 16 | 4 a chunk | its CRC-32, started from the seed of its offset |

mod builder;
mod directory;
mod hints;
mod line;

pub(crate) use builder::FilterBuilder;
pub(crate) use directory::{CHUNK_LEN, FilterDirectory};
pub(crate) use hints::{hint_of, start_of};
pub use line::hash_stem;
pub(crate) use line::{LINE_LEN, is_set};
