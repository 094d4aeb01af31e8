use super::*;

fn pick(files: &[Candidate], policy: &Policy) -> Option<Plan> {
    let mut files = files.to_vec();
    files.sort_by_key(|file| file.id);
    super::pick(&SealedFiles { files, blocked: Vec::new() }, policy)
}

const POLICY: Policy = Policy {
    trigger_percent: 60,
    include_percent: 40,
    small_bytes: 250,
    small_files: 4,
    max_bytes: 2_000,
};

fn file(id: u64, waste: u64) -> Candidate {
    let (oldest, newest) = (id * 10 + 1, id * 10 + 9);
    Candidate {
        id,
        len: 1_000,
        waste,
        age: 1_000_u64.saturating_sub(id * 10),
        oldest,
        newest,
        expired: false,
        is_excluded: false,
    }
}

fn ids(plan: Option<Plan>) -> Vec<u64> {
    match plan {
        Some(Plan::Drop(ids) | Plan::Rewrite(ids)) => ids,
        None => Vec::new(),
    }
}

#[test]
fn nothing_is_done_before_a_file_wastes_enough_and_then_others_come_along() {
    assert_eq!(pick(&[file(1, 590), file(2, 450)], &POLICY), None);
    let picked = pick(&[file(1, 390), file(2, 450), file(3, 600)], &POLICY);
    assert_eq!(picked, Some(Plan::Rewrite(vec![3, 2])));
}

#[test]
fn of_two_files_with_the_same_waste_the_older_goes_first_and_a_merge_has_an_end() {
    let files: Vec<Candidate> = (1..9).map(|id| file(id, 600)).collect();
    assert_eq!(ids(pick(&files, &POLICY)), [1, 2, 3, 4, 5]);
    let huge = Candidate { len: 100_000, waste: 70_000, ..file(1, 0) };
    assert_eq!(ids(pick(&[huge, file(2, 900)], &POLICY)).len(), 1);
}

#[test]
fn small_files_are_joined_when_there_are_many() {
    let small = |id| Candidate { len: 100, ..file(id, 0) };
    assert_eq!(pick(&[small(1), small(2), small(3), file(4, 0)], &POLICY), None);
    let four = [small(1), small(2), small(3), small(5), file(4, 0)];
    assert_eq!(ids(pick(&four, &POLICY)).len(), 4);
}

#[test]
fn an_expired_file_is_dropped_when_nothing_older_stays() {
    let expired = |id| Candidate { expired: true, waste: 1_000, ..file(id, 0) };
    assert_eq!(pick(&[file(3, 0), expired(2), expired(1)], &POLICY), Some(Plan::Drop(vec![1, 2])));
    assert_eq!(pick(&[file(1, 0), expired(2)], &POLICY), Some(Plan::Rewrite(vec![2])));
    // A merge has put numbers 5 to 25 into file 9.
    let wide = Candidate { oldest: 5, newest: 25, ..file(9, 0) };
    assert_eq!(pick(&[expired(1), wide], &POLICY), Some(Plan::Rewrite(vec![1])));
}

#[test]
fn an_expired_file_stays_while_an_excluded_one_holds_older_puts() {
    let expired = Candidate { expired: true, waste: 1_000, ..file(2, 0) };
    let excluded = Candidate { is_excluded: true, ..file(1, 0) };
    assert_eq!(pick(&[excluded, expired], &POLICY), Some(Plan::Rewrite(vec![2])));
    assert_eq!(pick(&[excluded], &POLICY), None);
}

#[test]
fn a_blocker_is_merged_with_the_file_that_it_blocks_or_not_at_all() {
    let (blocker, tombstones) = (Candidate { len: 100, ..file(1, 0) }, file(2, 0));
    let blocked = vec![Blocked { file: 2, blocker: 1, bytes: 90 }];
    let both = SealedFiles { files: vec![blocker, tombstones], blocked };
    assert_eq!(super::pick(&both, &POLICY), Some(Plan::Rewrite(vec![1, 2])));
    assert_eq!(pick_all(&both), Some(Plan::Rewrite(vec![1, 2])));
    let narrow = Policy { max_bytes: 1_099, ..POLICY };
    assert_eq!(super::pick(&both, &narrow), None);
    let excluded = Candidate { is_excluded: true, ..tombstones };
    let alone = SealedFiles { files: vec![blocker, excluded], ..both };
    assert_eq!(super::pick(&alone, &POLICY), None);
    assert_eq!(pick_all(&alone), None);
}

/// Merges only as the picker says, until it says nothing. A tombstone of which blocker and file are in the merge goes,
/// unless the filter of another file is wrong about it, too.
#[test]
fn without_writes_blocked_tombstones_come_to_rest() {
    let mut state = 11_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..500 {
        let policy = Policy { max_bytes: 500 + random(3_000), ..POLICY };
        let count = 2 + random(20);
        let mut files: Vec<Candidate> =
            (0..count).map(|id| Candidate { len: 10 + random(1_500), ..file(id, 0) }).collect();
        let mut blocked = Vec::new();
        for file in &files {
            let blocker = random(count);
            if blocker != file.id {
                blocked.push(Blocked { file: file.id, blocker, bytes: random(file.len) });
            }
        }
        let mut next = 100;
        for round in 0.. {
            let sealed = SealedFiles { files: files.clone(), blocked: blocked.clone() };
            let Some(plan) = super::pick(&sealed, &policy) else { break };
            assert!(round < 200, "{sealed:?}");
            let taken = ids(Some(plan));
            let is_in = |id: u64| taken.contains(&id);
            let gone = blocked.iter().filter(|one| is_in(one.file) && is_in(one.blocker));
            let gone: u64 = gone.map(|one| one.bytes).sum();
            let (inputs, rest): (Vec<Candidate>, Vec<Candidate>) =
                files.iter().copied().partition(|file| is_in(file.id));
            let copied: u64 = inputs.iter().map(Candidate::live).sum();
            assert!(inputs.len() == 1 || copied <= policy.max_bytes);
            files = rest;
            next += 1;
            blocked.retain(|one| !(is_in(one.file) && is_in(one.blocker)));
            for one in &mut blocked {
                one.file = if is_in(one.file) { next } else { one.file };
                one.blocker = if is_in(one.blocker) { next } else { one.blocker };
            }
            // Filters of one in ten files are wrong.
            if let Some(outside) = files.first() {
                blocked.push(Blocked { file: next, blocker: outside.id, bytes: gone / 10 });
            }
            files.push(Candidate { len: copied.max(1), ..file(next, 0) });
        }
    }
}

/// A store as the picker sees it, of which each merge leaves what is live. With an included share above the trigger, and
/// with joins of a single file, this went on for ever once.
#[test]
fn without_writes_picking_comes_to_an_end_and_leaves_no_file_over_the_trigger() {
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..500 {
        let policy = Policy {
            trigger_percent: 1 + random(100),
            include_percent: random(100),
            small_files: random(6) as usize,
            ..POLICY
        };
        let mut files: Vec<Candidate> = (1..2 + random(40))
            .map(|id| {
                let len = 1 + random(2_000);
                let expired = random(10) == 0;
                let waste = if expired { len } else { random(len + 1) };
                Candidate { len, waste, expired, ..file(id, 0) }
            })
            .collect();
        let mut next = 100;
        for round in 0.. {
            let Some(plan) = pick(&files, &policy) else { break };
            assert!(round < 100, "{files:?}");
            let taken = ids(Some(plan));
            assert!(!taken.is_empty());
            let (inputs, rest): (Vec<_>, Vec<_>) =
                files.iter().partition(|file| taken.contains(&file.id));
            let copied: u64 = inputs.iter().map(Candidate::live).sum();
            assert!(inputs.len() == 1 || copied <= policy.max_bytes);
            files = rest;
            let (mut left, oldest) = (copied, inputs.iter().map(|file| file.oldest).min().unwrap());
            while left > 0 {
                next += 1;
                let len = left.min(1_000);
                files.push(Candidate { len, oldest, ..file(next, 0) });
                left -= len;
            }
        }
        assert!(files.iter().all(|file| !file.wastes(policy.trigger_percent)));
    }
}
