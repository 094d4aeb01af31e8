//! Lists that were read: all of one key must be prefixes of the longest one.

use super::anomaly::AnomalyKind;
use super::model::{ABSENT, History};
use super::placement::{each_list, longest_lists};
use super::read_fault::ReadFault;
use super::write_index::WriteIndex;

/// The reads of lists that contradict each other, and the elements of lists that nobody committed.
///
/// The last element of each list is left out: it is the version that the reader saw, which is judged like any other read.
pub(super) fn list_faults(
    history: &History,
    writes: &WriteIndex,
    installed: &[bool],
) -> Vec<ReadFault> {
    let longest = longest_lists(history);
    let mut faults = Vec::new();
    each_list(history, &mut |reader, key, elements| {
        let Some(longest) = longest.get(&key) else { return };
        let value = elements.last().copied().unwrap_or(ABSENT);
        let fault = ReadFault {
            kind: AnomalyKind::IncompatibleOrder,
            reader,
            key,
            value,
            other: Some(longest.reader),
            expected: None,
        };
        if !longest.elements.starts_with(elements) {
            faults.push(fault);
        }
    });
    let mut keys: Vec<_> = longest.into_iter().collect();
    keys.sort_unstable_by_key(|&(key, _)| key);
    for (key, longest) in keys {
        let inner = longest.elements.split_last().map_or(&[][..], |(_, inner)| inner);
        for &value in inner {
            let writers = writes.of(key, value);
            if writers.iter().any(|write| installed[write.transaction as usize]) {
                continue;
            }
            let other = writers.first().map(|write| write.transaction);
            let kind = if other.is_some() { AnomalyKind::G1a } else { AnomalyKind::UnwrittenRead };
            faults.push(ReadFault {
                kind,
                reader: longest.reader,
                key,
                value,
                other,
                expected: None,
            });
        }
    }
    faults
}
