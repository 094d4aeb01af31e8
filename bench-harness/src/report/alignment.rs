//! Cells of text in columns.

/// One line of cells, each as wide as its column, with an indent.
pub(super) fn align<'c>(cells: impl Iterator<Item = (&'c str, usize, bool)>) -> String {
    let cells = cells.map(|(text, width, is_left)| {
        if is_left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    });
    format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
}
