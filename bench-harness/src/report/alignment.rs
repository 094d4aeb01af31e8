//! Cells of text in columns.

/// One line of cells with an indent. Each cell comes with the width of its column, and whether it begins at the left.
pub(super) fn align(cells: impl Iterator<Item = (impl AsRef<str>, usize, bool)>) -> String {
    let cells = cells.map(|(text, width, is_left)| {
        let text = text.as_ref();
        if is_left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    });
    format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
}
