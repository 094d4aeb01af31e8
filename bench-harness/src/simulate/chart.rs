//! Plots of the rows: one SVG for each kind of amplification, with a panel for each workload.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::parameters::StrategyName;
use super::row::AmplificationRow;
use crate::failure::{Failure, Outcome};

/// Width and height of a plot, in pixels.
const SIZE: (u32, u32) = (1200, 800);

type Value = fn(&AmplificationRow) -> f64;
type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The names of the files and their content.
pub(super) fn plots(rows: &[AmplificationRow]) -> Outcome<Vec<(&'static str, String)>> {
    let kinds: [(&str, &str, Value); 3] = [
        ("write.svg", "bytes written for each byte of the user", |row| row.write_amplification),
        ("read.svg", "runs that a miss asks, without filters", |row| row.read_amplification),
        ("space.svg", "bytes of tables for each live byte", |row| row.space_amplification),
    ];
    let plot = |(name, title, value)| {
        let svg = plot(rows, title, value);
        svg.map(|svg| (name, svg))
            .map_err(|text| Failure::usage(format!("cannot draw {name}: {text}")))
    };
    kinds.into_iter().map(plot).collect()
}

fn color(strategy: StrategyName) -> RGBColor {
    match strategy {
        StrategyName::Leveled => RGBColor(31, 119, 180),
        StrategyName::SizeTiered => RGBColor(214, 39, 40),
        StrategyName::LazyLeveled => RGBColor(44, 140, 44),
    }
}

fn plot(rows: &[AmplificationRow], title: &str, value: Value) -> Result<String, String> {
    let mut workloads: Vec<&str> = rows.iter().map(|row| &row.workload[..]).collect();
    let mut seen = std::collections::BTreeSet::new();
    workloads.retain(|workload| seen.insert(*workload));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        let area = area.titled(title, ("sans-serif", 26)).map_err(|error| error.to_string())?;
        let panels = area.split_evenly((workloads.len().div_ceil(2), 2));
        for (workload, panel) in workloads.iter().zip(&panels) {
            let of_workload = rows.iter().filter(|row| row.workload == *workload);
            draw(panel, workload, &of_workload.collect::<Vec<_>>(), value)?;
        }
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// The ends of an axis, with some room.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    (low.min(high) * 0.9, high * 1.1)
}

fn draw(
    panel: &Panel<'_>,
    title: &str,
    rows: &[&AmplificationRow],
    value: Value,
) -> Result<(), String> {
    let (least, most) = ends(rows.iter().map(|row| row.live_bytes as f64));
    let (_, top) = ends(rows.iter().map(|row| value(row)));
    let failed = |error: DrawingAreaErrorKind<_>| format!("{error:?}");
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d((least..most).log_scale(), 0.0..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("live bytes")
        .x_label_formatter(&|bytes| crate::quantity::show_bytes(*bytes))
        .draw()
        .map_err(failed)?;
    for strategy in StrategyName::ALL {
        let points = rows.iter().filter(|row| row.strategy == strategy.text());
        let points: Vec<(f64, f64)> =
            points.map(|row| (row.live_bytes as f64, value(row))).collect();
        let style = color(strategy).stroke_width(2);
        let line = LineSeries::new(points.iter().copied(), style).point_size(3);
        let legend = chart.draw_series(line).map_err(failed)?.label(strategy.text());
        legend.legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    let mut labels = chart.configure_series_labels();
    labels
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK);
    labels.draw().map_err(failed)
}
