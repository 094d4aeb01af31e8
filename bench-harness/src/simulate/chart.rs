//! Plots of the rows: one SVG for each kind of amplification, with a panel for each workload.
//!
//! Sizes are chosen for a width of 800 pixels. The colors can be told apart without red and green (Okabe and Ito), and each
//! strategy has a marker of its own. The legend stands above the panels, so it hides no line.

use plotters::coord::Shift;
use plotters::element::DynElement;
use plotters::prelude::*;

use super::parameters::StrategyName;
use super::row::AmplificationRow;
use crate::failure::{Failure, Outcome};

/// Width and height of a plot, in pixels.
const SIZE: (u32, u32) = (800, 660);
/// The height of the title and the legend together.
const HEADER: u32 = 66;
/// The font of all texts, with sizes that `plotters` divides by 1.24.
const FONT: &str = "sans-serif";
const TITLE_SIZE: u32 = 20;
const TEXT_SIZE: u32 = 15;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One plot.
struct Plot {
    file: &'static str,
    title: &'static str,
    axis: &'static str,
    value: fn(&AmplificationRow) -> f64,
}

const PLOTS: [Plot; 3] = [
    Plot {
        file: "write.svg",
        title: "Write amplification: bytes written to tables for each byte of the user",
        axis: "bytes per byte",
        value: |row| row.write_amplification,
    },
    Plot {
        file: "read.svg",
        title: "Read amplification: runs that a read of an absent key asks, without filters",
        axis: "runs",
        value: |row| row.read_amplification,
    },
    Plot {
        file: "space.svg",
        title: "Space amplification: bytes of tables for each live byte",
        axis: "bytes per byte",
        value: |row| row.space_amplification,
    },
];

/// The names of the files and their content.
pub(super) fn plots(rows: &[AmplificationRow]) -> Outcome<Vec<(&'static str, String)>> {
    let draw = |plot: &Plot| {
        let failed = |text| Failure::usage(format!("cannot draw {}: {text}", plot.file));
        Ok((plot.file, plot.draw(rows).map_err(failed)?))
    };
    PLOTS.iter().map(draw).collect()
}

/// An error of a backend that writes into memory.
fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Plot {
    fn draw(&self, rows: &[AmplificationRow]) -> Result<String, String> {
        let mut workloads: Vec<&str> = rows.iter().map(|row| &row.workload[..]).collect();
        let mut seen = std::collections::BTreeSet::new();
        workloads.retain(|workload| seen.insert(*workload));
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            area.fill(&WHITE).map_err(text)?;
            let (header, body) = area.split_vertically(HEADER);
            let header = header.titled(self.title, (FONT, TITLE_SIZE)).map_err(text)?;
            draw_legend(&header)?;
            let panels = body.split_evenly((workloads.len().div_ceil(2), 2));
            for (workload, panel) in workloads.iter().zip(&panels) {
                let of_workload = rows.iter().filter(|row| row.workload == *workload);
                self.draw_panel(panel, workload, &of_workload.collect::<Vec<_>>())?;
            }
            area.present().map_err(text)?;
        }
        Ok(svg)
    }

    fn draw_panel(
        &self,
        panel: &Area<'_>,
        title: &str,
        rows: &[&AmplificationRow],
    ) -> Result<(), String> {
        let (least, most) = ends(rows.iter().map(|row| row.live_bytes as f64));
        let (_, top) = ends(rows.iter().map(|row| (self.value)(row)));
        let mut chart = ChartBuilder::on(panel)
            .caption(title, (FONT, TEXT_SIZE + 2))
            .margin(8)
            .margin_right(20)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d((least..most).log_scale(), 0.0..top)
            .map_err(text)?;
        chart
            .configure_mesh()
            .label_style((FONT, TEXT_SIZE))
            .axis_desc_style((FONT, TEXT_SIZE))
            .x_desc("live data")
            .x_label_formatter(&|bytes| decimal_bytes(*bytes))
            .y_desc(self.axis)
            .y_label_formatter(&|value| short(*value))
            .y_labels(6)
            .max_light_lines(0)
            .draw()
            .map_err(text)?;
        for strategy in StrategyName::ALL {
            let points = rows.iter().filter(|row| row.strategy == strategy.text());
            let points: Vec<(f64, f64)> =
                points.map(|row| (row.live_bytes as f64, (self.value)(row))).collect();
            let style = color(strategy).stroke_width(2);
            chart.draw_series(LineSeries::new(points.iter().copied(), style)).map_err(text)?;
            chart.draw_series(points.iter().map(|point| marker(strategy, *point))).map_err(text)?;
        }
        Ok(())
    }
}

/// The line, the marker and the name of each strategy, side by side.
fn draw_legend(header: &Area<'_>) -> Result<(), String> {
    let (mut x, y) = (60, 16);
    for strategy in StrategyName::ALL {
        let style = color(strategy).stroke_width(2);
        header.draw(&PathElement::new([(x, y), (x + 36, y)], style)).map_err(text)?;
        header.draw(&marker(strategy, (x + 18, y))).map_err(text)?;
        let name = Text::new(strategy.text(), (x + 44, y - 7), (FONT, TEXT_SIZE));
        header.draw(&name).map_err(text)?;
        x += 180;
    }
    Ok(())
}

fn color(strategy: StrategyName) -> RGBColor {
    match strategy {
        StrategyName::Leveled => RGBColor(0, 114, 178),
        StrategyName::SizeTiered => RGBColor(213, 94, 0),
        StrategyName::LazyLeveled => RGBColor(0, 158, 115),
    }
}

fn marker<'a, C: Clone + 'static>(
    strategy: StrategyName,
    at: C,
) -> DynElement<'static, SVGBackend<'a>, C> {
    let color = color(strategy);
    match strategy {
        StrategyName::Leveled => Circle::new(at, 4, color.filled()).into_dyn(),
        StrategyName::SizeTiered => TriangleMarker::new(at, 5, color.filled()).into_dyn(),
        StrategyName::LazyLeveled => Cross::new(at, 4, color.stroke_width(2)).into_dyn(),
    }
}

/// The ends of an axis, with some room.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    (low.min(high) * 0.8, high * 1.2)
}

/// A power of ten of bytes, in decimal units as the axis is: `100 MB`, `1 TB`.
fn decimal_bytes(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    // A tick is a power of ten only up to rounding.
    let unit = units.iter().find(|(scale, _)| bytes >= scale * 0.999);
    unit.map_or_else(
        || format!("{bytes:.0} B"),
        |(scale, unit)| format!("{} {unit}", short(bytes / scale)),
    )
}

/// At most one digit after the point.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_decimal_units() {
        let texts = [1e8, 1e9 - 1e-3, 1e11, 1e12, 2.5e12, 100.0].map(decimal_bytes);
        assert_eq!(texts, ["100 MB", "1 GB", "100 GB", "1 TB", "2.5 TB", "100 B"]);
        assert_eq!([0.0, 0.2 * 3.0, 25.0].map(short), ["0", "0.6", "25"]);
    }
}
