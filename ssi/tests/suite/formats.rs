//! Files: the golden ones, the errors, and the way there and back.

use std::path::{Path, PathBuf};

use ssi::history::{
    AnomalyKind, History, IsolationLevel, Outcome, check, read, read_edn, read_json_lines,
    write_json_lines,
};

use crate::story::history;

fn golden(name: &str) -> (PathBuf, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    #[expect(clippy::disallowed_methods, reason = "a golden file is on the real disk")]
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

fn report_of(name: &str) -> String {
    let (path, bytes) = golden(name);
    check(&read(&path, &bytes[..]).unwrap()).unwrap().to_string()
}

fn lines_of(history: &History) -> String {
    let mut lines = Vec::new();
    write_json_lines(history, &mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}

#[test]
fn the_golden_report_of_write_skew_is_told_word_for_word() {
    let (_, expected) = golden("write_skew.report.txt");
    assert_eq!(report_of("write_skew.jsonl"), String::from_utf8(expected).unwrap());
}

#[test]
fn json_and_edn_of_one_history_have_one_report() {
    assert_eq!(report_of("list_append.edn"), report_of("list_append.jsonl"));
    assert!(report_of("list_append.edn").contains("G-single"), "{}", report_of("list_append.edn"));
}

#[test]
fn the_example_of_the_specification_is_a_history() {
    let text = include_str!("../../HISTORY.md");
    let example = text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let history = read_json_lines("HISTORY.md", example.as_bytes()).unwrap();
    assert_eq!((history.transaction_count(), history.operation_count()), (2, 4));
    assert_eq!((history.count(Outcome::Committed), history.count(Outcome::Aborted)), (1, 1));
}

#[test]
fn a_history_that_was_written_is_read_the_same() {
    let told = history(
        "0 commits 1: w x 10, d y, a l 1
         1 commits: r x 10, r y -, l l 1, s a..c, s ..
         2 aborts: w x 11
         3 vanishes: w y 12, a l 2",
    );
    let lines = lines_of(&told);
    assert!(lines.starts_with("{\"history\":1}\n"), "{lines}");
    let read = read_json_lines("told.jsonl", lines.as_bytes()).unwrap();
    assert_eq!(lines_of(&read), lines);
    assert_eq!(check(&read).unwrap().to_string(), check(&told).unwrap().to_string());
}

#[test]
fn an_error_names_the_file_the_line_and_the_offset() {
    let begin = "{\"type\":\"invoke\",\"process\":0}\n";
    let cases = [
        ("{\"type\":\"invoke\",\"process\":0", "column"),
        ("[]", "an event is an object"),
        ("{\"process\":1}", "field `type` is missing"),
        ("{\"type\":\"never\",\"process\":1}", "unknown type"),
        ("{\"type\":\"invoke\",\"process\":-1}", "field `process`"),
        ("{\"type\":\"invoke\",\"process\":0}", "before its last one ended"),
        ("{\"type\":\"ok\",\"process\":1}", "did not begin"),
        ("{\"type\":\"ok\",\"process\":0,\"commit\":\"a\"}", "field `commit`"),
        ("{\"type\":\"ok\",\"process\":0,\"value\":7}", "not a list of operations"),
        ("{\"type\":\"ok\",\"process\":0,\"value\":[7]}", "is no operation"),
        ("{\"type\":\"ok\",\"process\":0,\"value\":[[\"q\",\"x\",1]]}", "is no operation"),
        ("{\"type\":\"ok\",\"process\":0,\"value\":[[\"r\",\"x\",1.5]]}", "integer of 64 bits"),
        (
            "{\"type\":\"ok\",\"process\":0,\"value\":[[\"r\",{},1]]}",
            "neither an integer nor a text",
        ),
        ("{\"type\":\"ok\",\"process\":0,\"value\":[[\"s\",[\"a\"],[]]]}", "has not two bounds"),
        ("{\"type\":\"ok\",\"process\":0,\"value\":[[\"s\",[\"a\",7],[]]]}", "is no bound"),
        (
            "{\"type\":\"ok\",\"process\":0,\"value\":[[\"s\",[\"a\",\"b\"],[[\"c\",1]]]]}",
            "lies outside",
        ),
        (
            "{\"type\":\"ok\",\"process\":0,\"value\":[[\"s\",[null,null],[[\"c\",1],[\"c\",2]]]]}",
            "twice",
        ),
        ("{\"history\":2}", "version 2"),
    ];
    for (line, expected) in cases {
        let text = format!("{begin}{line}\n");
        let error = read_json_lines("h.jsonl", text.as_bytes()).unwrap_err();
        let told = error.to_string();
        let place = format!("h.jsonl is damaged at byte {}: line 2: ", begin.len());
        assert!(told.starts_with(&place) && told.contains(expected), "{line}: {told}");
    }
}

#[test]
fn a_bad_event_in_edn_has_its_line() {
    let text = "{:type :invoke, :process 0}\n\n{:type :ok,\n :process 1}";
    let error = read_edn("h.edn", text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("h.edn") && error.contains("line 3: session 1"), "{error}");
}

#[test]
fn events_of_faults_and_unknown_fields_are_skipped() {
    let text = r#"{"type":"info","process":"nemesis","f":"kill","value":"n1"}
        {"type":"invoke","process":0,"f":"txn","time":3,"index":1,"value":[["r","x",null]]}

        {"type":"ok","process":0,"f":"txn","time":4,"index":2,"value":[["r","x",null]],"error":null}"#;
    assert_eq!(read_json_lines("h.jsonl", text.as_bytes()).unwrap().transaction_count(), 1);
}

#[test]
fn the_announced_writes_of_a_failed_transaction_are_not_to_be_read() {
    let text = r#"{"type":"invoke","process":0,"value":[["w","x",1]]}
        {"type":"fail","process":0}
        {"type":"invoke","process":0,"value":[["r","x",null]]}
        {"type":"ok","process":0,"value":[["r","x",1]]}"#;
    let report = check(&read_json_lines("h.jsonl", text.as_bytes()).unwrap()).unwrap();
    assert_eq!(report.count(AnomalyKind::G1a), 1, "{report}");
}

#[test]
fn a_transaction_without_an_end_may_have_committed() {
    let text = r#"{"type":"invoke","process":0,"value":[["w","x",1]]}
        {"type":"invoke","process":1}
        {"type":"ok","process":1,"value":[["r","x",1]]}"#;
    let history = read_json_lines("h.jsonl", text.as_bytes()).unwrap();
    assert_eq!(history.count(Outcome::Unknown), 1);
    assert!(check(&history).unwrap().holds(IsolationLevel::StrictSerializable));
}

#[test]
fn a_history_that_contradicts_itself_is_an_error() {
    for (story, expected) in [
        ("1 commits: w x 1\n2 commits: a x 2", "both write and append"),
        ("1 commits 5: w x 1\n2 commits 5: w x 2", "state the same place"),
    ] {
        let error = check(&history(story)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_empty_file_is_a_history_without_transactions() {
    for text in ["", "\n", "{\"history\":1}\n"] {
        assert_eq!(read("empty", text.as_bytes()).unwrap().transaction_count(), 0);
    }
}

#[test]
fn a_damaged_file_is_an_error_or_another_history() {
    for name in ["write_skew.jsonl", "list_append.jsonl", "list_append.edn"] {
        let (path, bytes) = golden(name);
        let mut histories = 0;
        let mut try_bytes = |damaged: &[u8]| {
            if let Ok(history) = read(&path, damaged) {
                histories += 1;
                drop(check(&history));
            }
        };
        for place in 0..bytes.len() {
            try_bytes(&bytes[..place]);
            for replacement in b"09[]{}\":,-ntx \xff\\" {
                let mut damaged = bytes.clone();
                damaged[place] = *replacement;
                try_bytes(&damaged);
            }
        }
        assert!(histories > 0, "some damage is no error: {name}");
    }
}
