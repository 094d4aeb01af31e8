//! Each certifier lets only strictly serializable histories commit, and the counts of its aborts are known.

use kv::{ConflictKind, Cycle};
use ssi::certify::{Certifier, ExactCycles, ReadSetValidation, SerializableSnapshot};
use ssi::history::{IsolationLevel, check};

use crate::execution::{Abort, Program, Step, each_order, number, run};
use crate::oracle::{Rules, is_serializable, recorded};
use Step::{Delete, Get, Put, Scan};

pub(crate) const STRICT: Rules = Rules { real_time: true, versions: true };

const CERTIFIERS: [&dyn Certifier; 3] = [&ReadSetValidation, &SerializableSnapshot, &ExactCycles];

/// Aborts by the rule of the certifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// The schedules with an abort.
    schedules: usize,
    /// Aborts of the certifier: without them the history would not be strictly serializable.
    needed: usize,
    /// Aborts that were not needed.
    unneeded: usize,
}

/// Runs one schedule, checks the outcome against brute force, and counts.
fn tally(
    programs: &[Program],
    order: &[usize],
    setup: &[char],
    certifier: &dyn Certifier,
    tally: &mut Tally,
) {
    let run = run(programs, order, setup, certifier);
    let context = || format!("{} {programs:?} {order:?}", certifier.name());
    assert!(is_serializable(&run.committed, STRICT), "{}", context());
    for Abort { program, conflict, would_be } in &run.aborts {
        assert_eq!(conflict.loser, number(*program), "{}", context());
        if conflict.kind == ConflictKind::Write {
            continue;
        }
        let needed = !is_serializable(would_be, STRICT);
        tally.needed += usize::from(needed);
        tally.unneeded += usize::from(!needed);
        // Where the first committer wins, the conflict itself knows.
        if !certifier.allows_concurrent_writes() {
            assert_eq!(conflict.cycle == Cycle::Real, needed, "{}\n{conflict}", context());
        }
    }
    tally.schedules += usize::from(!run.aborts.is_empty());
}

/// The receipt report: two clerks and a reader.
pub(crate) fn receipts(reader_is_declared: bool) -> [Program; 3] {
    let together = |steps: [Step; 2]| Program { parts: vec![steps.to_vec()], read_only: false };
    [
        together([Get('b'), Put('t')]),
        together([Get('b'), Put('b')]),
        Program {
            parts: vec![vec![Get('b')], vec![Scan('r', 'z')]],
            read_only: reader_is_declared,
        },
    ]
}

#[test]
fn of_210_orders_of_the_receipt_report_6_must_abort() {
    for (declared, expected) in [(true, [70, 6, 6]), (false, [70, 24, 6])] {
        for (certifier, expected) in CERTIFIERS.into_iter().zip(expected) {
            let (mut count, mut orders) = (Tally::default(), 0);
            each_order(&receipts(declared), &mut |order| {
                orders += 1;
                tally(&receipts(declared), order, &['b', 'r', 's'], certifier, &mut count);
            });
            assert_eq!(orders, 210);
            assert_eq!(count.schedules, expected, "{} declared: {declared}", certifier.name());
        }
    }
}

#[test]
fn write_skew_among_three_transactions_and_three_keys_in_every_order() {
    let skewed = [('x', 'y'), ('y', 'z'), ('z', 'x')];
    let programs = skewed.map(|(read, write)| Program::of(&[Get(read), Put(write)]));
    let mut totals = [Tally::default(); 3];
    each_order(&programs, &mut |order| {
        for (certifier, total) in CERTIFIERS.into_iter().zip(&mut totals) {
            tally(&programs, order, &[], certifier, total);
        }
    });
    assert_eq!(
        totals.map(|total| (total.needed, total.unneeded)),
        [(702, 837), (702, 729), (1431, 0)]
    );
}

/// Every program of one to `longest` steps.
pub(crate) fn programs(steps: &[Step], longest: usize) -> Vec<Program> {
    let mut all: Vec<Vec<Step>> = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last
            .iter()
            .flat_map(|program| steps.iter().map(|step| [&program[..], &[*step]].concat()))
            .collect();
        all.extend(last.clone());
    }
    all.iter().skip(1).map(|steps| Program::of(steps)).collect()
}

/// Visits every choice of programs, each once up to renaming of transactions, in every order; or one choice in so many, and
/// one order in so many of it.
pub(crate) fn each_schedule(
    programs: &[Program],
    transactions: usize,
    (choices, orders): (usize, usize),
    visit: &mut dyn FnMut(&[Program], &[usize]),
) {
    let mut choice = vec![0; transactions];
    let (mut choice_number, mut order_number) = (0, 0);
    loop {
        if choice_number % choices == 0 {
            let chosen: Vec<Program> =
                choice.iter().map(|&index| programs[index].clone()).collect();
            each_order(&chosen, &mut |order| {
                if order_number % orders == 0 {
                    visit(&chosen, order);
                }
                order_number += 1;
            });
        }
        choice_number += 1;
        // The next choice whose indexes do not decrease.
        let Some(place) = choice.iter().rposition(|&index| index + 1 < programs.len()) else {
            return;
        };
        let next = choice[place] + 1;
        choice[place..].fill(next);
    }
}

fn totals(programs: &[Program], transactions: usize, part: (usize, usize)) -> [Tally; 3] {
    let mut totals = [Tally::default(); 3];
    each_schedule(programs, transactions, part, &mut |chosen, order| {
        for (certifier, total) in CERTIFIERS.into_iter().zip(&mut totals) {
            tally(chosen, order, &['a'], certifier, total);
        }
    });
    totals
}

#[test]
fn two_transactions_of_up_to_two_steps_in_every_order() {
    let steps = [Get('a'), Get('b'), Put('a'), Put('b'), Delete('a'), Delete('b'), Scan('a', 'c')];
    let totals = totals(&programs(&steps, 2), 2, (1, 1));
    assert_eq!(
        totals.map(|total| (total.needed, total.unneeded)),
        [(3896, 2904), (1152, 0), (1152, 0)]
    );
}

#[test]
fn two_transactions_of_up_to_three_steps_in_one_schedule_of_49() {
    let steps = [Get('a'), Get('b'), Put('a'), Put('b'), Delete('a'), Delete('b'), Scan('a', 'c')];
    let totals = totals(&programs(&steps, 3), 2, (7, 7));
    assert_eq!(
        totals.map(|total| (total.needed, total.unneeded)),
        [(33113, 19364), (10672, 0), (10672, 0)]
    );
}

#[test]
fn three_transactions_of_up_to_two_steps_in_one_schedule_of_49() {
    let steps = [Get('a'), Get('b'), Put('a'), Put('b'), Scan('a', 'c')];
    let totals = totals(&programs(&steps, 2), 3, (7, 7));
    assert_eq!(
        totals.map(|total| (total.needed, total.unneeded)),
        [(29717, 21963), (10270, 2022), (10440, 0)]
    );
}

#[test]
fn the_history_checker_finds_certified_histories_strictly_serializable() {
    let steps = [Get('a'), Get('b'), Put('a'), Put('b'), Scan('a', 'c')];
    each_schedule(&programs(&steps, 2), 3, (31, 31), &mut |chosen, order| {
        for certifier in CERTIFIERS {
            let run = run(chosen, order, &['a'], certifier);
            let report = check(&recorded(&run.committed, true)).unwrap();
            assert!(
                report.holds(IsolationLevel::StrictSerializable),
                "{chosen:?} {order:?}\n{report}"
            );
            // Read-set validation lets blind writes overwrite each other.
            let snapshot = report.holds(IsolationLevel::SnapshotIsolation);
            assert!(snapshot, "{chosen:?} {order:?}\n{report}");
        }
    });
}

#[test]
fn a_conflict_names_the_pivot_and_both_dependencies() {
    let write_skew = [Program::of(&[Get('x'), Put('y')]), Program::of(&[Scan('y', 'z'), Put('x')])];
    let run = run(&write_skew, &[0, 0, 1, 1, 0, 1], &[], &SerializableSnapshot);
    let [abort] = &run.aborts[..] else { panic!("one abort: {run:?}") };
    assert_eq!(
        abort.conflict.to_string().lines().collect::<Vec<_>>(),
        [
            "conflict: transaction 2 lost, no serial order is certain (pivot 2, the cycle is real); run it again",
            r#"transaction 1 got "x" before transaction 2 put "x""#,
            r#"transaction 2 scanned ["y", "z") before transaction 1 put "y""#,
        ]
    );
}

#[test]
fn the_first_committer_of_a_key_wins() {
    let both = [Program::of(&[Put('x')]), Program::of(&[Delete('x')])];
    for certifier in CERTIFIERS {
        let run = run(&both, &[0, 1, 0, 1], &[], certifier);
        let kinds: Vec<ConflictKind> = run.aborts.iter().map(|abort| abort.conflict.kind).collect();
        let expected: &[ConflictKind] =
            if certifier.allows_concurrent_writes() { &[] } else { &[ConflictKind::Write] };
        assert_eq!(kinds, expected, "{}", certifier.name());
    }
}
