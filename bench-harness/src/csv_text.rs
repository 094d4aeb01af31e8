//! Rows as the text of a CSV file.

use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// The CSV text of `rows` with their headings; `subject` names them in a complaint.
pub(crate) fn to_csv<R: Serialize>(rows: &[R], subject: &str) -> Outcome<String> {
    let broken = |error: String| Failure::usage(format!("cannot show {subject}: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|error| broken(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| broken(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| broken(error.to_string()))?;
    debug_assert!(rows.is_empty() || text.lines().count() > rows.len(), "each row has a line");
    Ok(text)
}
