//! Real inputs: records with real keys and texts, and a trace of real puts and deletes.
//!
//! The two built-in inputs are embedded in the binary, so that it runs anywhere; a user's input is a file.

mod records;
mod trace;

use std::io::{BufRead, BufReader};
use std::sync::Arc;

use ruzstd::decoding::StreamingDecoder;

use crate::failure::{Failure, FailureKind, Outcome};
use crate::values::HEADER_BYTES;

pub(crate) use trace::TraceStep;

/// The built-in inputs: name, content, compressed file.
const BUILT_IN: [(&str, InputKind, &[u8]); 2] = [
    ("git-history", InputKind::Trace, include_bytes!("../data/git-history-rust-analyzer.csv.zst")),
    ("wordnet", InputKind::Records, include_bytes!("../data/wordnet-glosses.tsv.zst")),
];

/// The ending of a compressed file.
const COMPRESSED: &str = ".zst";

/// The content of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputKind {
    /// Keys with texts: `key<TAB>text` on each line.
    Records,
    /// Puts and deletes in their order: CSV with the columns `ts,op,value_size,key`.
    Trace,
}

/// An input, read.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Distinct keys and the text of each.
    Records {
        /// The keys, in the order of the file.
        keys: Arc<[Box<[u8]>]>,
        /// The texts, in the same order.
        texts: Arc<[Box<[u8]>]>,
    },
    /// Distinct keys and the operations on them.
    Trace {
        /// The keys, in the order of their first operation.
        keys: Arc<[Box<[u8]>]>,
        /// The operations.
        steps: Vec<TraceStep>,
    },
}

impl Input {
    /// The mean size of the values that it makes, with their header, in bytes. `value_divisor` divides those of a trace.
    pub(crate) fn mean_value_bytes(&self, value_divisor: u64) -> u64 {
        assert!(value_divisor > 0, "a workload is checked before its input is read");
        let header = HEADER_BYTES as u64;
        let add = |(count, sum), size| (count + 1, sum + size);
        let (count, sum) = match self {
            Self::Records { texts, .. } => {
                texts.iter().map(|text| header + text.len() as u64).fold((0, 0), add)
            }
            Self::Trace { steps, .. } => {
                let sizes = steps.iter().filter_map(|step| step.value_bytes);
                sizes.map(|size| (u64::from(size) / value_divisor).max(header)).fold((0, 0), add)
            }
        };
        u64::checked_div(sum, count).unwrap_or(header)
    }
}

/// The content of the input called `name`: a built-in name, or a file ending in `.tsv`, `.csv`, either also with `.zst`.
pub(crate) fn kind_of(name: &str) -> Result<InputKind, String> {
    if let Some((_, kind, _)) = BUILT_IN.iter().find(|(known, ..)| *known == name) {
        return Ok(*kind);
    }
    let plain = name.strip_suffix(COMPRESSED).unwrap_or(name);
    match plain.rsplit_once('.').map(|(_, ending)| ending) {
        Some("tsv") => Ok(InputKind::Records),
        Some("csv") => Ok(InputKind::Trace),
        _ => {
            let known = BUILT_IN.map(|(name, ..)| name);
            let text = crate::suggest::unknown("input", name, known);
            Err(format!("{text}; or a file ending in .tsv, .csv, .tsv.zst or .csv.zst"))
        }
    }
}

/// Reads the input called `name`, at most `limit` rows of it.
pub(crate) fn read(name: &str, limit: u64) -> Outcome<Input> {
    let kind = kind_of(name).map_err(Failure::usage)?;
    let lines = open(name)?;
    match kind {
        InputKind::Records => records::read(lines, limit),
        InputKind::Trace => trace::read(lines, limit),
    }
    .map_err(|text| Failure::usage(format!("input {name}: {text}")))
}

/// Whether `name` is the name of a built-in input, not that of a file.
pub(crate) fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(known, ..)| *known == name)
}

/// Reads the first bytes of the input called `name`. `Err`: there are none, or they cannot be read.
pub(crate) fn check_readable(name: &str) -> Outcome<()> {
    let mut source = open(name)?;
    let first = source.fill_buf();
    let first = first.map_err(|error| Failure::usage(format!("cannot read input {name}: {error}")));
    if first?.is_empty() {
        return Err(Failure::usage(format!("input {name} is empty")));
    }
    Ok(())
}

fn open(name: &str) -> Outcome<Box<dyn BufRead>> {
    if let Some((.., bytes)) = BUILT_IN.iter().find(|(known, ..)| *known == name) {
        return decompress(name, *bytes);
    }
    let file = std::fs::File::open(name).map_err(|error| Failure {
        kind: FailureKind::Usage,
        text: format!("cannot read input {name}: {error}"),
    })?;
    let file = BufReader::new(file);
    if name.ends_with(COMPRESSED) { decompress(name, file) } else { Ok(Box::new(file)) }
}

fn decompress(name: &str, source: impl std::io::Read + 'static) -> Outcome<Box<dyn BufRead>> {
    let decoder = StreamingDecoder::new(source)
        .map_err(|error| Failure::usage(format!("input {name} is no zstd file: {error}")))?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, decoder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_trace_is_what_its_notice_says() {
        let Input::Trace { keys, steps } = read("git-history", u64::MAX).unwrap() else {
            panic!("a trace was expected");
        };
        assert_eq!((keys.len(), steps.len()), (9_828, 115_715));
        assert_eq!(steps.iter().filter(|step| step.value_bytes.is_none()).count(), 7_663);
    }

    #[test]
    fn the_built_in_records_are_what_their_notice_says() {
        let Input::Records { keys, texts } = read("wordnet", 1_000).unwrap() else {
            panic!("records were expected");
        };
        assert_eq!((keys.len(), texts.len()), (1_000, 1_000));
        assert_eq!(&keys[0][..], b"n00001740:entity");
    }

    #[test]
    fn the_mean_size_of_values_counts_their_header_and_the_divisor() {
        let step = |value_bytes| TraceStep { id: 0, value_bytes };
        let steps = vec![step(Some(1_000)), step(None), step(Some(10))];
        let trace = Input::Trace { keys: Arc::new([]), steps };
        assert_eq!(trace.mean_value_bytes(10), u64::midpoint(100, 12));
        let texts: Arc<[Box<[u8]>]> = Arc::new([Box::from(&b"four"[..]), Box::from(&b""[..])]);
        let records = Input::Records { keys: Arc::new([]), texts };
        assert_eq!(records.mean_value_bytes(10), 12 + 2);
    }

    #[test]
    fn an_unknown_input_is_refused_with_the_right_word() {
        assert!(kind_of("wordnte").unwrap_err().contains("did you mean \"wordnet\"?"));
    }
}
