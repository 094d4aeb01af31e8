//! Tombstones that merges had to keep: their entries follow the files.

use super::*;

fn blocked(file: u64, blocker: u64, bytes: u64) -> Blocked {
    Blocked { file, blocker, bytes }
}

/// The entries that a merge of `inputs` into `outputs` makes of `before`.
fn passed_on(outputs: &[u64], inputs: &[u64], before: &[Blocked]) -> Vec<Blocked> {
    let outputs = outputs.iter().map(|&id| (id, sealed())).collect();
    let mut merge = Merge { outputs, ..Merge::of(inputs.to_vec()) };
    merge.pass_on(before);
    merge.blocked
}

/// Files 3 and 4 have tombstones that files 1 and 2 block. File 7 is an output.
#[test]
fn tombstones_outside_a_merge_are_blocked_by_its_first_output_instead_of_the_input() {
    let before = [blocked(3, 1, 30), blocked(4, 2, 40), blocked(3, 2, 50)];
    let cases: [(&[u64], &[u64], &[Blocked]); 6] = [
        // The blocker is an input, and the file with the tombstones is not.
        (&[7], &[1], &[blocked(3, 7, 30)]),
        (&[7, 8], &[2], &[blocked(4, 7, 40), blocked(3, 7, 50)]),
        // The file with the tombstones is an input: the merge has looked at them.
        (&[7], &[3], &[]),
        (&[7], &[1, 3], &[]),
        (&[7], &[2, 3], &[blocked(4, 7, 40)]),
        // Nothing comes out of the merge, so nothing blocks.
        (&[], &[1, 2], &[]),
    ];
    for (outputs, inputs, expected) in cases {
        assert_eq!(passed_on(outputs, inputs, &before), expected, "{inputs:?} into {outputs:?}");
    }
}

#[test]
fn the_sum_of_each_file_is_that_of_its_entries_through_merges_and_removals() {
    let mut state = State::default();
    for id in 0..5 {
        state.apply(&Change::Begin(id).into()).unwrap();
    }
    let merge = |outputs: &[u64], inputs: &[u64], blocked: &[Blocked]| {
        let outputs = outputs.iter().map(|&id| (id, sealed())).collect();
        Edit::merge(Merge { outputs, inputs: inputs.to_vec(), blocked: blocked.to_vec() })
    };
    let entries = [blocked(3, 1, 30), blocked(4, 2, 40), blocked(3, 2, 50)];
    state.apply(&merge(&[], &[], &entries)).unwrap();
    let sums = |state: &State| [3, 4, 5].map(|file| state.blocked.bytes_in(file));
    assert_eq!(sums(&state), [80, 40, 0]);
    state.apply(&Edit::reserve(5)).unwrap();
    state.apply(&merge(&[5], &[2], &[blocked(4, 5, 40), blocked(3, 5, 50)])).unwrap();
    assert_eq!(sums(&state), [80, 40, 0]);
    state.apply(&Edit::remove(1)).unwrap();
    assert_eq!(sums(&state), [50, 40, 0]);
    state.apply(&Edit::remove(3)).unwrap();
    assert_eq!(sums(&state), [0, 40, 0]);
    let mut bytes = Vec::new();
    state.encode_state(&mut bytes);
    assert_eq!(decode(4, &bytes), state);
}
