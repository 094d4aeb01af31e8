//! `--threads` with several numbers: variants of a workload.

use crate::failure::{Failure, Outcome};
use crate::workload::Workload;

/// Each workload once for each number of threads, under names that tell them apart where there are several. A workload
/// that mixes no operations runs once, under its own name: the number makes no difference to it.
pub(super) fn for_threads(
    workloads: Vec<(String, Workload)>,
    threads: &[u32],
) -> Outcome<Vec<(String, Workload)>> {
    if let Some(twice) = (1..threads.len()).find(|at| threads[..*at].contains(&threads[*at])) {
        return Err(Failure::usage(format!("--threads names {} twice", threads[twice])));
    }
    let variants = |(name, workload): (String, Workload)| {
        if threads.is_empty() || workload.phase.iter().all(|phase| phase.mix.is_none()) {
            return vec![(name, workload)];
        }
        let variant = |count: &u32| {
            let mut workload = workload.clone();
            let mixes = workload.phase.iter_mut().filter(|phase| phase.mix.is_some());
            mixes.for_each(|phase| phase.threads = Some(*count));
            let name = if threads.len() > 1 { format!("{name}-{count}t") } else { name.clone() };
            (name, workload)
        };
        threads.iter().map(variant).collect()
    };
    let workloads: Vec<_> = workloads.into_iter().flat_map(variants).collect();
    let mut names: Vec<_> = workloads.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::usage(format!("two workloads have the name {}", pair[0]))),
        None => Ok(workloads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(phase: &str) -> Workload {
        let text = format!("about = \"x\"\nrecords = 10\nphase = [{{ name = \"p\", {phase} }}]");
        toml::from_str(&text).unwrap()
    }

    fn names(threads: &[u32], workloads: &[(&str, &str)]) -> Outcome<Vec<String>> {
        let workloads = workloads.iter().map(|(name, phase)| ((*name).into(), workload(phase)));
        let workloads = for_threads(workloads.collect(), threads)?;
        Ok(workloads.into_iter().map(|(name, _)| name).collect())
    }

    const MIX: &str = "mix = { get = 1 }, ops = 1";
    const LOAD: &str = "load = \"random\"";

    #[test]
    fn a_number_of_threads_given_twice_is_refused() {
        let failure = names(&[1, 2, 1], &[("w", MIX)]).unwrap_err();
        assert_eq!(failure.text, "--threads names 1 twice");
    }

    #[test]
    fn workloads_that_mix_are_named_after_their_threads_and_loads_are_not() {
        let both = [("fill", LOAD), ("w", MIX)];
        assert_eq!(names(&[2, 256], &both).unwrap(), ["fill", "w-2t", "w-256t"]);
        assert_eq!(names(&[2], &both).unwrap(), ["fill", "w"]);
    }

    #[test]
    fn a_name_that_a_number_of_threads_gives_twice_is_refused() {
        let failure = names(&[1, 2], &[("w", MIX), ("w-2t", LOAD)]).unwrap_err();
        assert_eq!(failure.text, "two workloads have the name w-2t");
    }
}
