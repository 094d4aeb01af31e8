//! Writing a history in the JSON-lines format.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::event::FORMAT_VERSION;
use super::model::{History, Outcome, RecordedOperation, RecordedTransaction, ValueId};

/// Writes `history` in the JSON-lines format: a line that names the format, then the events in their order.
///
/// Reading the lines again yields a history with the same transactions, events and operations.
///
/// # Errors
/// Those of `output`.
pub fn write_json_lines(history: &History, mut output: impl Write) -> io::Result<()> {
    writeln!(output, "{}", json!({ "history": FORMAT_VERSION }))?;
    let mut events: Vec<(u64, usize, bool)> = Vec::with_capacity(history.transactions.len() * 2);
    for (index, transaction) in history.transactions.iter().enumerate() {
        events.push((transaction.begin_event, index, true));
        events.push((transaction.end_event, index, false));
    }
    events.sort_unstable();
    for (_, index, begins) in events {
        let transaction = &history.transactions[index];
        let event = if begins {
            json!({ "type": "invoke", "process": transaction.session })
        } else {
            completion(history, index, transaction)
        };
        writeln!(output, "{event}")?;
    }
    output.flush()
}

fn completion(history: &History, index: usize, transaction: &RecordedTransaction) -> Value {
    let kind = match transaction.outcome {
        Outcome::Committed => "ok",
        Outcome::Aborted => "fail",
        Outcome::Unknown => "info",
    };
    let operations: Vec<Value> =
        history.operations_of(index).iter().map(|&operation| shown(history, operation)).collect();
    let mut event = json!({
        "type": kind,
        "process": transaction.session,
        "txn": transaction.number,
        "value": operations,
    });
    if let Some(snapshot) = transaction.snapshot {
        event["snap"] = json!(snapshot);
    }
    if let Some(commit) = transaction.commit {
        event["commit"] = json!(commit);
    }
    if transaction.read_only {
        event["ro"] = json!(true);
    }
    event
}

fn shown(history: &History, operation: RecordedOperation) -> Value {
    let key = |key| history.key_text(key);
    let value = |value: ValueId| -> Value {
        let parsed = serde_json::from_str(history.value_text(value));
        assert!(parsed.is_ok(), "the table of values holds canonical JSON");
        parsed.unwrap_or_default()
    };
    match operation {
        RecordedOperation::Read { key: read, value: found } => {
            json!(["r", key(read), value(found)])
        }
        RecordedOperation::Write { key: written, value: new } => {
            json!(["w", key(written), value(new)])
        }
        RecordedOperation::Append { key: list, value: new } => {
            json!(["append", key(list), value(new)])
        }
        RecordedOperation::ReadList { key: list, first, len } => {
            let elements: Vec<Value> =
                history.list(first, len).iter().copied().map(value).collect();
            json!(["r", key(list), elements])
        }
        RecordedOperation::Scan { bounds, first, len } => {
            let bounds = &history.ranges[bounds as usize];
            let entries = history.scan_entries(first, len).iter();
            let entries: Vec<Value> =
                entries.map(|&(found, content)| json!([key(found), value(content)])).collect();
            json!(["s", [bounds.from, bounds.to], entries])
        }
    }
}
