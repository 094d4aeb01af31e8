//! A trace: CSV with the columns `ts,op,value_size,key`, where `op` is `put` or `del`. Rows are replayed in their
//! order; the time is not used.

use std::collections::HashMap;
use std::io::BufRead;

use serde::Deserialize;

use super::Input;

/// One operation of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceStep {
    /// Which key, by the order of first operations.
    pub(crate) id: u32,
    /// The size of the new value; `None` for a deletion.
    pub(crate) value_bytes: Option<u32>,
}

#[derive(Deserialize)]
struct Row {
    op: String,
    value_size: u32,
    key: String,
}

/// Reads at most `limit` operations.
pub(super) fn read(lines: impl BufRead, limit: u64) -> Result<Input, String> {
    let mut ids: HashMap<Box<[u8]>, u32> = HashMap::new();
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    let mut steps = Vec::new();
    let mut rows = csv::Reader::from_reader(lines);
    for row in rows.deserialize::<Row>() {
        if steps.len() as u64 == limit {
            break;
        }
        // The header is line 1.
        let line = steps.len() + 2;
        let row = row.map_err(|error| format!("line {line}: {}", one_line(&error)))?;
        let key: Box<[u8]> = row.key.into_bytes().into();
        let id = *ids.entry(key).or_insert_with_key(|key| {
            keys.push(key.clone());
            keys.len() as u32 - 1
        });
        let value_bytes = match row.op.as_str() {
            "put" => Some(row.value_size),
            "del" => None,
            other => {
                return Err(format!("line {line}: the operation \"{other}\" is not put or del"));
            }
        };
        debug_assert!((id as usize) < keys.len(), "an operation has a key");
        steps.push(TraceStep { id, value_bytes });
    }
    if steps.is_empty() {
        return Err("there are no operations".into());
    }
    Ok(Input::Trace { keys: keys.into(), steps })
}

fn one_line(error: &csv::Error) -> String {
    error.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        read(text.as_bytes(), u64::MAX).unwrap_err()
    }

    #[test]
    fn a_truncated_trace_is_refused_with_its_line() {
        let text = "ts,op,value_size,key\n1,put,5,a\n2,pu";
        assert!(complaint(text).starts_with("line 3: "), "{}", complaint(text));
    }

    #[test]
    fn an_unknown_operation_is_refused_with_its_line() {
        let text = "ts,op,value_size,key\n1,get,5,a\n";
        assert_eq!(complaint(text), "line 2: the operation \"get\" is not put or del");
    }

    #[test]
    fn keys_get_ids_in_the_order_of_their_first_operation() {
        let text = "ts,op,value_size,key\n1,put,5,b\n2,put,6,a\n3,del,0,b\n";
        let Input::Trace { keys, steps } = read(text.as_bytes(), u64::MAX).unwrap() else {
            panic!("a trace was expected");
        };
        assert_eq!(keys.iter().map(|key| &key[..]).collect::<Vec<_>>(), [b"b", b"a"]);
        assert_eq!(steps[2], TraceStep { id: 0, value_bytes: None });
    }
}
