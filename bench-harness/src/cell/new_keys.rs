//! How many new keys a phase may insert: each of them needs an id, and memory in the model, before the phase begins.

use super::WARM_UP;
use crate::quantity::floor_to_u64;
use crate::workload::{Mix, Phase};

/// The new keys of a phase that does not say how many operations it makes: as many as there are records, at least this.
const LEAST_NEW_KEYS: u64 = 10_000;
/// The most operations in a second of a mix that inserts.
const FASTEST_INSERTS: f64 = 5e6;
/// The most operations in a second of a mix that inserts and scans.
const FASTEST_SCANS: f64 = 5e5;

/// The most new keys of a phase on a store of so many `records`. It runs on `threads` threads unless it says otherwise.
pub(super) fn most_new_keys(phase: &Phase, threads: u32, records: u32) -> u64 {
    let Some(mix) = phase.mix else { return 0 };
    let by_records = u64::from(records).max(LEAST_NEW_KEYS);
    let of_thread = |mix: Mix, ops: Option<u64>| {
        let most = match (ops, phase.duration) {
            (Some(ops), _) => ops,
            // Time ends the phase, not the keys, unless an engine is faster than any that keeps its writes.
            (None, Some(time)) => {
                let fastest = if mix.scan > 0 { FASTEST_SCANS } else { FASTEST_INSERTS };
                floor_to_u64(time.0.as_secs_f64() * (1.0 + WARM_UP) * fastest)
            }
            (None, None) => by_records,
        };
        // With a margin for the chance in the mix.
        let most_inserts = most * u64::from(mix.insert) / mix.total().max(1) + most / 10 + 100;
        if mix.insert > 0 { most_inserts } else { 0 }
    };
    // The background runs for as long as the others: a phase of so many operations says little about its own number.
    let background_ops = phase.ops.map(|ops| ops.0.max(by_records));
    let background = phase.background.map(|mix| of_thread(mix, background_ops));
    let counted = of_thread(mix, phase.ops.map(|ops| ops.0));
    let of_thread = counted.max(background.unwrap_or_default());
    // New keys go to all threads in turn, whether they insert or not.
    let threads = phase.threads.unwrap_or(threads) + u32::from(background.is_some());
    of_thread * u64::from(threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_keys(text: &str, threads: u32) -> u64 {
        most_new_keys(&toml::from_str(text).unwrap(), threads, 1_000)
    }

    #[test]
    fn every_thread_of_the_workload_and_the_background_have_room_for_new_keys() {
        let run = "name = \"run\"\nops = 50_000\n";
        let inserts = format!("{run}mix = {{ insert = 1 }}\n");
        assert!(new_keys(&inserts, 4) >= 200_000);
        assert!(new_keys(&(inserts + "threads = 2"), 4) < 200_000);
        let beside = format!("{run}mix = {{ get = 1 }}\nbackground = {{ insert = 1 }}");
        assert!(new_keys(&beside, 1) >= 100_000);
        assert_eq!(new_keys(&format!("{run}mix = {{ get = 1 }}"), 1), 0);
    }

    #[test]
    fn a_phase_that_time_ends_has_new_keys_for_five_million_operations_a_second() {
        let text = "name = \"run\"\nmix = { get = 95, insert = 5 }\nduration = \"1s\"";
        assert!(new_keys(text, 1) >= 250_000);
    }
}
