//! The cells beside which the disk was faster or slower than beside the others: they run once more.

use crate::probe;
use crate::row::Row;

/// The indexes of the outliers among `cells`, which ran one workload in one block: in some phase their disk speed differed
/// from that of more than half of the others.
pub(crate) fn find(cells: &[Vec<Row>]) -> Vec<usize> {
    let is_outlier = |at: &usize| {
        cells[*at].iter().any(|row| {
            let others = cells.iter().enumerate().filter(|(other, _)| other != at);
            let others = others.filter_map(|(_, rows)| sync_ns(rows, &row.phase));
            let Some(own) = row.disk_sync_ns() else { return false };
            let (other, same): (Vec<_>, Vec<_>) =
                others.partition(|sync| probe::differ(own, *sync));
            assert!(other.len() + same.len() < cells.len(), "a cell is compared with the others");
            other.len() > same.len()
        })
    };
    (0..cells.len()).filter(is_outlier).collect()
}

/// The disk's time for a sync beside `phase` in the cell with these rows.
fn sync_ns(rows: &[Row], phase: &str) -> Option<f64> {
    rows.iter().filter(|row| row.phase == phase).find_map(Row::disk_sync_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(sync_ns: Option<f64>) -> Vec<Row> {
        let row = Row { probe_before_ns: sync_ns, probe_after_ns: sync_ns, ..Row::default() };
        // The sum has the probes; the rows of single operations have none.
        vec![row, Row::default()]
    }

    #[test]
    fn a_cell_is_an_outlier_where_its_disk_speed_differs_from_that_of_most_others() {
        let outliers_of =
            |times: &[f64]| find(&times.iter().map(|time| cell(Some(*time))).collect::<Vec<_>>());
        assert_eq!(outliers_of(&[100.0, 140.0, 120.0]), [] as [usize; 0]);
        assert_eq!(outliers_of(&[100.0, 300.0, 120.0]), [1]);
        assert_eq!(outliers_of(&[100.0, 10.0, 120.0, 110.0]), [1]);
        // The disk speed changed in the middle: each half differs from most of the others.
        assert_eq!(outliers_of(&[100.0, 100.0, 300.0, 300.0]), [0, 1, 2, 3]);
        assert_eq!(outliers_of(&[100.0, 300.0]), [0, 1]);
        assert_eq!(outliers_of(&[100.0]), [] as [usize; 0]);
    }

    #[test]
    fn a_cell_without_a_probe_is_no_outlier_and_makes_none() {
        let cells = [cell(Some(100.0)), cell(None), cell(None), cell(Some(110.0))];
        assert!(find(&cells).is_empty());
    }
}
