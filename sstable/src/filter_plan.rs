//! How sharp the filters of a store should be.

/// The most bits for a stem that a plan gives. Further bits hardly make this filter sharper.
const MOST_BITS: u8 = 16;

/// By how much one more bit for each stem lowers the rate of false positives of a Bloom filter: `e^-(ln 2)^2`.
const RATE_PER_BIT: f64 = 0.618_503_137_8;

/// Divides `budget_bits` over the filters of a store: a look-up of an absent key is to read as few blocks in vain as it can.
/// Returns [`filter_bits_per_stem`](crate::BuildOptions::filter_bits_per_stem) for each sorted run.
///
/// `stems` has how many stems each run holds. A look-up asks the filters of all runs, so a false positive costs the same in
/// each of them. But a sharp filter is cheap where there are few stems. The plan gives one bit for each stem of a run after the
/// other, always where it saves most per bit of memory (Dayan, Athanassoulis, Idreos: Monkey, 2017). So small runs get sharp
/// filters, and the largest run goes without one when memory is short.
///
/// With [hints](crate::BuildOptions::hints), each bit of a filter comes with one of hints, and both are counted. So the sum of
/// stems times bits, twice with hints, is `budget_bits` at most. A run without stems gets no filter.
#[must_use]
pub fn plan_filters(stems: &[u64], hints: bool, budget_bits: u64) -> Vec<u8> {
    // A run that would need more than there is stays without a filter, so too low a price does no harm.
    let prices = stems.iter().map(|stems| stems.saturating_mul(1 + u64::from(hints)));
    let prices: Vec<u64> = prices.collect();
    let mut plan = vec![0; stems.len()];
    let mut left = budget_bits;
    while let Some(run) = best_run(&prices, &plan, left) {
        plan[run] += 1;
        left -= prices[run];
    }
    let spent = |(price, bits): (&u64, &u8)| u128::from(*price) * u128::from(*bits);
    let spent: u128 = prices.iter().zip(&plan).map(spent).sum();
    debug_assert_eq!(spent, u128::from(budget_bits - left), "each bit was counted once");
    plan
}

/// The run where one more bit for each stem saves most per bit of memory. `None`: no run may have more. `prices` has the memory
/// that such a bit takes in each run.
fn best_run(prices: &[u64], plan: &[u8], left: u64) -> Option<usize> {
    debug_assert_eq!(prices.len(), plan.len(), "each run has a place in the plan");
    let open = |run: &usize| (1..=left).contains(&prices[*run]) && plan[*run] < MOST_BITS;
    let gain = |run: usize| saving(plan[run]) / prices[run] as f64;
    // Of equal runs, the first one.
    (0..prices.len()).filter(open).rev().max_by(|one, other| gain(*one).total_cmp(&gain(*other)))
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
                let plan = plan_filters(&stems, false, budget);
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
            let plan = plan_filters(&stems, false, budget);
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
        assert!(plan_filters(&[], false, 100).is_empty());
        assert_eq!(plan_filters(&[10, 20], false, 0), [0, 0]);
        assert_eq!(plan_filters(&[0, 10], false, 1_000), [0, MOST_BITS]);
        assert_eq!(plan_filters(&[10, 10], false, 30), [2, 1], "the first one of equal runs");
        assert_eq!(plan_filters(&[u64::MAX - 1, 1], false, u64::MAX - 2), [0, MOST_BITS]);
        assert_eq!(plan_filters(&[u64::MAX, 1], true, u64::MAX - 1), [0, MOST_BITS]);
    }

    #[test]
    fn hints_take_as_much_of_the_budget_as_bits() {
        let stems = [300, 300, 1_000, 2_500, 9_000];
        for budget in (0..150_000).step_by(7_001) {
            let plan = plan_filters(&stems, true, 2 * budget);
            assert_eq!(plan, plan_filters(&stems, false, budget));
            assert!(2 * spent(&plan, &stems) <= 2 * budget);
            assert_eq!(plan, plan_filters(&stems, true, 2 * budget + 1), "no half of a bit");
        }
    }
}
