//! How sharp the filters of a store should be.

/// The most bits for a stem that a plan gives. Further bits hardly make this filter sharper.
const MOST_BITS: u8 = 16;

/// By how much one more bit for each stem lowers the rate of false positives of a Bloom filter: `e^-(ln 2)^2`.
const RATE_PER_BIT: f64 = 0.618_503_137_8;

/// Divides `budget_bits` over the filters of a store, so that a look-up of an absent key reads as few blocks in vain as it
/// can. Returns [`filter_bits_per_stem`](crate::BuildOptions::filter_bits_per_stem) for each sorted run.
///
/// `stems` has how many stems each run holds. A look-up asks the filters of all runs, so a bit in vain costs the same in each
/// of them, but a sharp filter is cheap where there are few stems. The plan gives one bit for each stem of a run after the
/// other, always where it saves most per bit of memory (Dayan, Athanassoulis, Idreos: Monkey, 2017). So small runs get sharp
/// filters, and the largest run goes without one when memory is short.
///
/// The sum of stems times bits is `budget_bits` at most. A run without stems gets no filter.
#[must_use]
pub fn plan_filters(stems: &[u64], budget_bits: u64) -> Vec<u8> {
    let mut plan = vec![0; stems.len()];
    let mut left = budget_bits;
    while let Some(run) = best_run(stems, &plan, left) {
        plan[run] += 1;
        left -= stems[run];
    }
    let spent = |(stems, bits): (&u64, &u8)| u128::from(*stems) * u128::from(*bits);
    let spent: u128 = stems.iter().zip(&plan).map(spent).sum();
    debug_assert_eq!(spent, u128::from(budget_bits - left), "each bit was counted once");
    plan
}

/// The run where one more bit for each stem saves most per bit of memory. `None`: no run may have more.
fn best_run(stems: &[u64], plan: &[u8], left: u64) -> Option<usize> {
    debug_assert_eq!(stems.len(), plan.len(), "each run has a place in the plan");
    let open = |run: &usize| (1..=left).contains(&stems[*run]) && plan[*run] < MOST_BITS;
    let gain = |run: usize| saving(plan[run]) / stems[run] as f64;
    // Of equal runs, the first one.
    (0..stems.len()).filter(open).rev().max_by(|one, other| gain(*one).total_cmp(&gain(*other)))
}

/// By how much the rate of false positives gets lower if a stem has one more bit than `bits`.
fn saving(bits: u8) -> f64 {
    let rate = |bits: u8| RATE_PER_BIT.powi(bits.into());
    rate(bits) - rate(bits + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many blocks a look-up of an absent key reads in vain.
    fn reads(plan: &[u8], stems: &[u64]) -> f64 {
        let runs = plan.iter().zip(stems).filter(|(_, stems)| **stems > 0);
        runs.map(|(bits, _)| RATE_PER_BIT.powi((*bits).into())).sum()
    }

    fn spent(plan: &[u8], stems: &[u64]) -> u64 {
        plan.iter().zip(stems).map(|(bits, stems)| u64::from(*bits) * stems).sum()
    }

    #[test]
    fn a_plan_beats_equal_filters_and_takes_no_more_memory() {
        for growth in [2, 4, 10] {
            let stems: Vec<u64> = (0..6).map(|level| 1_000 * u64::pow(growth, level)).collect();
            for bits in 1..=12 {
                let budget = stems.iter().sum::<u64>() * u64::from(bits);
                let plan = plan_filters(&stems, budget);
                assert!(spent(&plan, &stems) <= budget);
                let equal = vec![bits; stems.len()];
                assert!(reads(&plan, &stems) < reads(&equal, &stems), "{growth} {bits}: {plan:?}");
                assert!(plan.is_sorted_by(|small, large| small >= large), "{plan:?}");
            }
        }
    }

    #[test]
    fn no_exchange_of_bits_that_takes_no_more_memory_is_better() {
        let stems = [300, 300, 1_000, 2_500, 9_000];
        for budget in (0..150_000).step_by(7_001) {
            let plan = plan_filters(&stems, budget);
            for (from, to) in (0..5).flat_map(|from| (0..5).map(move |to| (from, to))) {
                let mut other = plan.clone();
                if from == to || other[from] == 0 || other[to] == MOST_BITS {
                    continue;
                }
                other[from] -= 1;
                other[to] += 1;
                let is_better = reads(&other, &stems) < reads(&plan, &stems) - 1e-12;
                let takes_more = spent(&other, &stems) > spent(&plan, &stems);
                assert!(!is_better || takes_more, "{plan:?} {other:?}");
            }
        }
    }

    #[test]
    fn without_memory_or_stems_there_is_no_filter() {
        assert!(plan_filters(&[], 100).is_empty());
        assert_eq!(plan_filters(&[10, 20], 0), [0, 0]);
        assert_eq!(plan_filters(&[0, 10], 1_000), [0, MOST_BITS]);
        assert_eq!(plan_filters(&[10, 10], 30), [2, 1], "the first one of equal runs");
        assert_eq!(plan_filters(&[u64::MAX, 1], u64::MAX), [0, MOST_BITS]);
    }
}
