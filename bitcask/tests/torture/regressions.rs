//! Bugs that a suite found once, each by its replay line.

use torture::replay;

use crate::subject::BitcaskSubject;

fn passes(line: &str) {
    let outcome = replay(&BitcaskSubject::default(), line);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Recovery numbered the files before it took the empty ones out, and the table after.
#[test]
fn an_empty_file_in_the_middle_does_not_shift_the_numbers_of_the_others() {
    passes(
        "faults subject=bitcask options=0 plan=eio@60 sync=keeps-new script=p51.255/b p12.20+p51.63/b job \
         p26.128/b p12.511/n p26.256/s p32.2/n p32.0/s p26.60/b p51.511/n p51.513/b p51.2049/b d32+p12.31/s \
         p26.2049/n d12/s p12.7/n p51.9+p26.128+d12/n maintain p12.31/b maintain d51/b d12/n d12/b sync d12/s \
         maintain reopen job d51/b maintain",
    );
}

/// A file that was begun, and not gone on in because the end mark of the one before found no space, stayed empty in
/// the middle of the log and looked like its end.
#[test]
fn a_rotation_that_fails_half_way_loses_no_file() {
    passes(
        "faults subject=bitcask options=0 plan=eio@53 sync=keeps-new script=p27.63/n p27.1100/b p27.1100/b job \
         p27.20+p27.2049+p27.31/b d27/b d38+d27+p27.511+d38/b p38.400/s p38.129/b d38/b p27.127+p27.1100/s sync \
         d38/s sync p27.20+p27.63+p27.400+p27.8+d38/b p38.511/b sync p38.9/b p38.256/b \
         p38.100+p38.1+p38.60+p38.128+p38.255+p27.128/n d27/n d38/n p38.0/b sync \
         p38.0+p38.1+p27.255+p27.2049+p38.64/b p38.0/b p38.400/b drain sync job",
    );
}

/// More seeds than the suite runs by itself: it was others than the usual one that found the failed rotation.
#[test]
fn failing_calls_with_other_seeds_lose_nothing() {
    for seed in SEEDS {
        let options = torture::faults::Options { seed, ..torture::faults::Options::default() };
        let report = torture::faults::run(&BitcaskSubject::default(), &options);
        report.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

const SEEDS: std::ops::Range<u64> = 11..13;
