//! Power cuts and deaths of the process at every operation of a round, judged by the acknowledgements and views before it.

use std::sync::Arc;

use durable::Variant;

use super::Options;
use super::record::Round;
use crate::random::{Random, sub_seed};
use crate::run::EngineRun;
use crate::subject::Subject;
use crate::world::World;

/// Judges the images of all crash points, and returns how many there were.
pub(super) fn judge(
    subject: &dyn Subject,
    option_set: usize,
    round: &Round,
    options: &Options,
) -> Result<u64, String> {
    let random = Random::new(sub_seed(options.seed, 4));
    let mut sweep = round.sim.sweep();
    let mut states = 0;
    while let Some(point) = sweep.next_point() {
        if point < round.from {
            continue;
        }
        let mut variants = sweep.all_variants(1);
        // Keep the two plainest: all data survives, or only synced data survives.
        while variants.len() > options.variants_a_point.max(2) {
            variants.swap_remove(2 + random.below(variants.len() - 2));
        }
        let (synced, handed_over) = round.lo(point);
        assert!(synced <= handed_over, "a power cut leaves no more than the death of the process");
        for variant in variants {
            states += 1;
            let died = variant == Variant::All;
            let image = if died { sweep.restarted() } else { sweep.image(&variant) };
            let lo = if died { handed_over } else { synced };
            let world = World::at(Arc::new(image), sub_seed(2, point as u64), round.now);
            let (keys, history) = (round.keys.clone(), round.history.clone());
            let between = (lo, round.history.issued());
            let resumed = EngineRun::resume(subject, option_set, world, keys, history, between);
            let checked = resumed.and_then(|mut run| run.check_writable());
            checked.map_err(|what| {
                let place =
                    format!("before operation {point} that left {}", sweep.explain(&variant));
                format!("after a crash {place}: {what}")
            })?;
        }
    }
    Ok(states)
}
