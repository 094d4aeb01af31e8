//! The engine passes every suite.

use torture::{conformance, histories};

use crate::subject::BitcaskSubject;

#[test]
fn it_keeps_the_contract() {
    let report = conformance::run(&BitcaskSubject::default()).unwrap_or_else(|e| panic!("{e}"));
    assert!(report.states > 0);
}

#[test]
fn it_agrees_with_a_map_through_random_histories() {
    let options = histories::Options::default();
    let report = histories::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 0);
}
