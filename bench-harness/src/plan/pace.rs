//! `quick` on a slow or busy machine: smaller sizes, decided before the first cell, the same for every engine.
//!
//! Without them the time limit would cut phases wherever the machine happens to be slow. Phases that were cut are not
//! ranked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Plan;
use crate::quantity::floor_to_u64;
use crate::random::Random;
use crate::workload::{Count, Span};

/// For so long the machine is watched.
const WATCHED: Duration = Duration::from_millis(200);
/// Steps of the work in a second on the machine that the sizes of `quick` were chosen on, while nothing else ran.
const REFERENCE_STEPS_S: f64 = 1.0e7;
/// Keys of the work.
const KEYS: u64 = 20_000;
/// A machine that is slower by less is no slower: two looks at the same machine differ as much.
const SLACK: f64 = 1.3;
/// The part of the budget that is planned for. The rest is for engines that are slower than others.
const PLANNED: f64 = 0.8;
/// Phases are not made shorter than this part; blocks go first, down to [`LEAST_BLOCKS`].
const LEAST_SCALE: f64 = 0.3;
/// From two blocks on, engines can be compared.
const LEAST_BLOCKS: u32 = 2;
/// The least sizes.
const LEAST_COUNT: u64 = 50;
const LEAST_SPAN: Duration = Duration::from_millis(10);

/// How many times slower this machine is now than the reference, at least 1.
pub(crate) fn slowness() -> f64 {
    let mut random = Random::new(1, &[]);
    let mut map = BTreeMap::new();
    let (begun, mut steps) = (Instant::now(), 0_u32);
    while steps % 64 != 0 || begun.elapsed() < WATCHED {
        map.insert(random.below(KEYS), [steps; 25]);
        steps += 1;
    }
    let rate = f64::from(steps) / begun.elapsed().as_secs_f64();
    std::hint::black_box(map);
    let slowness = if rate * SLACK < REFERENCE_STEPS_S { REFERENCE_STEPS_S / rate } else { 1.0 };
    assert!(slowness >= 1.0 && slowness.is_finite(), "{slowness} times slower");
    slowness
}

/// The plan with sizes and blocks with which a machine that is so many times slower keeps the budget; the same plan if it
/// does. With `keep_blocks`, all blocks stay.
pub(crate) fn fit(mut plan: Plan, slowness: f64, keep_blocks: bool) -> Plan {
    let Some(budget) = plan.budget.filter(|_| slowness > 1.0) else { return plan };
    let time = budget.as_secs_f64() * PLANNED;
    let fitting = |plan: &Plan| {
        let (fixed, scaled) = plan.estimated_parts_s(slowness);
        ((time - fixed) / scaled).max(0.0)
    };
    let mut scale = fitting(&plan);
    while scale < LEAST_SCALE && plan.blocks > LEAST_BLOCKS && !keep_blocks {
        plan.blocks -= 1;
        scale = fitting(&plan);
    }
    if scale < 1.0 {
        plan.workloads.iter_mut().for_each(|(_, workload)| {
            let scale = scale.max(LEAST_SCALE);
            let smaller = |count: Count| {
                Count((floor_to_u64(count.0 as f64 * scale)).max(LEAST_COUNT.min(count.0)))
            };
            workload.records = workload.records.map(smaller);
            for phase in &mut workload.phase {
                phase.ops = phase.ops.map(smaller);
                phase.duration = phase
                    .duration
                    .map(|Span(time)| Span(time.mul_f64(scale).max(LEAST_SPAN.min(time))));
            }
        });
    }
    assert!(plan.blocks > 0, "a plan has a block");
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Plan {
        let common = crate::cli::parse(["kvbench".into()].into_iter()).unwrap().common;
        Plan::quick(&crate::engines::own(), &common).unwrap()
    }

    fn sizes(plan: &Plan) -> String {
        serde_json::to_string(&plan.workloads).unwrap()
    }

    #[test]
    fn a_quiet_machine_gets_the_whole_plan() {
        let plan = fit(quick(), 1.0, false);
        assert_eq!((plan.blocks, sizes(&plan)), (quick().blocks, sizes(&quick())));
        // Many engines take longer than the budget, and the machine is not the cause.
        let short = Plan { budget: Some(Duration::from_secs(1)), ..quick() };
        assert_eq!(fit(short, 1.0, false).blocks, quick().blocks);
    }

    #[test]
    fn a_slower_machine_gets_smaller_sizes_in_the_same_blocks_that_keep_the_budget() {
        let plan = fit(quick(), 1.5, false);
        assert_eq!(plan.blocks, quick().blocks);
        assert_ne!(sizes(&plan), sizes(&quick()));
        let (fixed, scaled) = plan.estimated_parts_s(1.5);
        assert!(fixed + scaled <= plan.budget.unwrap().as_secs_f64(), "{fixed} {scaled}");
        assert!(plan.workloads.iter().all(|(_, workload)| workload.check().is_ok()));
    }

    #[test]
    fn a_very_slow_machine_gets_fewer_blocks_unless_they_were_asked_for() {
        let plan = fit(quick(), 10.0, false);
        assert_eq!(plan.blocks, LEAST_BLOCKS);
        assert_eq!(fit(quick(), 10.0, true).blocks, quick().blocks);
    }
}
