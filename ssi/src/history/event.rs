//! One event of a history file: the fields of a JSON object or an EDN map, which look alike.

use serde_json::{Map, Value};

use super::builder::{Completion, HistoryBuilder};
use super::model::{Operation, Outcome, Scalar};

/// The newest version of the format that this module reads.
pub(super) const FORMAT_VERSION: u64 = 1;

/// Adds one event to `builder`.
///
/// # Errors
/// The text of a message without a place: the reader knows the line.
pub(super) fn apply(event: Value, builder: &mut HistoryBuilder) -> Result<(), String> {
    let Value::Object(mut event) = event else {
        return Err("an event is an object".to_string());
    };
    // The optional first line names the format instead of an event.
    if let Some(version) = event.get("history") {
        return check_version(version);
    }
    let Some(session) = session(&event)? else {
        return Ok(());
    };
    let announced = operations(event.remove("value"))?;
    let told = |error: kv::Error| match error {
        kv::Error::InvalidArgument(what) => what,
        other => other.to_string(),
    };
    let outcome = match event.get("type").and_then(Value::as_str) {
        Some("invoke") => return builder.invoke_with(session, announced).map_err(told),
        Some("ok") => Outcome::Committed,
        Some("fail") => Outcome::Aborted,
        Some("info") => Outcome::Unknown,
        Some(other) => return Err(format!("unknown type {other:?} of an event")),
        None => return Err("field `type` is missing".to_string()),
    };
    let completion = Completion {
        number: number(&event, "txn")?,
        snapshot: number(&event, "snap")?,
        commit: number(&event, "commit")?,
        read_only: event.get("ro").and_then(Value::as_bool).unwrap_or(false),
        ..Completion::new(outcome, announced)
    };
    builder.complete(session, completion).map_err(told)
}

fn check_version(version: &Value) -> Result<(), String> {
    match version.as_u64() {
        Some(FORMAT_VERSION) => Ok(()),
        _ => Err(format!("version {version} of the format; this program reads {FORMAT_VERSION}")),
    }
}

/// The session of an event. `None` for an event of something other than a client: a fault that the test injected.
fn session(event: &Map<String, Value>) -> Result<Option<u64>, String> {
    match event.get("process") {
        // A history of one client need not name it.
        None | Some(Value::Null) => Ok(Some(0)),
        Some(Value::String(_)) => Ok(None),
        Some(process) => match process.as_u64() {
            Some(session) => Ok(Some(session)),
            None => Err(format!("field `process` is {process}, not a number from 0")),
        },
    }
}

fn number(event: &Map<String, Value>, field: &str) -> Result<Option<u64>, String> {
    match event.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(format!("field `{field}` is {value}, not a number from 0")),
        },
    }
}

fn operations(value: Option<Value>) -> Result<Vec<Operation>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(operations)) => operations.into_iter().map(operation).collect(),
        Some(other) => Err(format!("field `value` is {other}, not a list of operations")),
    }
}

fn operation(operation: Value) -> Result<Operation, String> {
    let Value::Array(parts) = operation else {
        return Err(format!("{operation} is no operation: it is not a list"));
    };
    let shown = || Value::Array(parts.clone()).to_string();
    let [Value::String(name), target, rest @ ..] = &parts[..] else {
        return Err(format!("{} is no operation: it names no key", shown()));
    };
    match (name.as_str(), rest) {
        ("r", []) => Ok(Operation::Read(scalar(target)?, None)),
        ("r", [Value::Array(elements)]) => Ok(Operation::ReadList(
            scalar(target)?,
            elements.iter().map(scalar).collect::<Result<_, _>>()?,
        )),
        ("r", [value]) => Ok(Operation::Read(scalar(target)?, optional(value)?)),
        ("w", [value]) => Ok(Operation::Write(scalar(target)?, optional(value)?)),
        ("append", [element]) => Ok(Operation::Append(scalar(target)?, scalar(element)?)),
        ("s", [] | [Value::Null]) => scan(target, &[]),
        ("s", [Value::Array(entries)]) => scan(target, entries),
        _ => Err(format!("{} is no operation", shown())),
    }
}

fn scan(bounds: &Value, entries: &[Value]) -> Result<Operation, String> {
    let bound = |bound: &Value| match bound {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(format!("{other} is no bound of a scan: it is neither a text nor null")),
    };
    let Value::Array(ends) = bounds else {
        return Err(format!("{bounds} is no range: it is not a list"));
    };
    let [from, to] = &ends[..] else {
        return Err(format!("{bounds} is no range: it has not two bounds"));
    };
    let entry = |entry: &Value| match entry.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((scalar(key)?, scalar(value)?)),
        _ => Err(format!("{entry} is no entry of a scan: a key and a value")),
    };
    let entries = entries.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Operation::Scan(bound(from)?, bound(to)?, entries))
}

fn optional(value: &Value) -> Result<Option<Scalar>, String> {
    if value.is_null() { Ok(None) } else { scalar(value).map(Some) }
}

fn scalar(value: &Value) -> Result<Scalar, String> {
    match value {
        Value::String(text) => Ok(Scalar::Text(text.clone())),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Ok(Scalar::Integer(integer)),
            None => Err(format!("{number} is not an integer of 64 bits")),
        },
        other => Err(format!("{other} is neither an integer nor a text")),
    }
}
