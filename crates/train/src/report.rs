//! report.json and report.html: how a finished run went and where its bytes are, as data and as one self-contained page.

use std::fmt::Write;

use archive::Budget;
use base64::Engine;
use image::{ImageEncoder, codecs::png::PngEncoder};
use perception::targets::Targets;
use plotters::prelude::*;
use repr::Representation;
use serde::Serialize;
use thiserror::Error;

use crate::config::Config;
use crate::evaluate::{EvaluateError, Evaluation};
use crate::metrics::{EpochLine, Metrics};
use crate::pairs;
use crate::run::{RunFolder, TrainError};

/// Why a report cannot be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A chart or an image cannot be drawn.
    #[error("the run's report cannot be drawn: {0}; archive.bin and the checkpoints are whole")]
    Drawing(String),
}

fn drawing(error: impl std::fmt::Display) -> ReportError {
    ReportError::Drawing(error.to_string())
}

/// What report.json holds.
#[derive(Serialize)]
struct Report<'a> {
    clip: &'a str,
    frames: usize,
    parameters: usize,
    gflop_per_pair: f64,
    archive_bytes: usize,
    psnr: f64,
    mean_frame_psnr: f64,
    training_seconds: f64,
    pair_psnr: Vec<f64>,
    budget: &'a Budget,
    epochs: &'a [EpochLine],
    config: &'a Config,
}

/// Writes both files into the run folder.
pub fn write(
    config: &Config,
    targets: &Targets,
    folder: &RunFolder,
    representation: &Representation,
    bytes: &[u8],
    evaluation: &Evaluation,
    seconds: f64,
) -> Result<(), TrainError> {
    let budget = archive::budget(bytes)?;
    let epochs = Metrics::read(&folder.metrics())?;
    let report = Report {
        clip: &representation.clip.name,
        frames: representation.clip.frames,
        parameters: config.decoder.parameter_count(),
        gflop_per_pair: config.decoder.flops() as f64 / 1e9,
        archive_bytes: bytes.len(),
        psnr: evaluation.psnr,
        mean_frame_psnr: mean_frame_psnr(targets),
        training_seconds: seconds,
        pair_psnr: evaluation.pair_mse.iter().map(|&mse| frames::psnr(mse)).collect(),
        budget: &budget,
        epochs: &epochs,
        config,
    };
    let json = serde_json::to_string_pretty(&report).map_err(drawing)?;
    output::write_whole(folder.report_json(), json.as_bytes())?;
    let page = page(&report, representation, targets)?;
    Ok(output::write_whole(folder.report_html(), page.as_bytes())?)
}

/// PSNR in dB of the clip's mean frame, unrounded, in place of every frame: the floor, which a decoder reaches that ignores
/// its latents.
fn mean_frame_psnr(targets: &Targets) -> f64 {
    let (count, length) = (targets.frame_count() as u64, targets.info.frame_len());
    let mut sums = vec![(0, 0); length];
    for frame in targets.frames().chunks_exact(length) {
        for ((sum, squares), &value) in sums.iter_mut().zip(frame) {
            let value = u64::from(value);
            *sum += value;
            *squares += value * value;
        }
    }
    // In integers, as the difference of two large sums would lose digits.
    let spread: f64 = sums.iter().map(|&(sum, squares)| (count * squares - sum * sum) as f64).sum();
    frames::psnr(spread / (count * count) as f64 / length as f64)
}

const STYLE: &str = "
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1060px; margin: 2em auto; padding: 0 1em; color: #1c1f24; }
h1 { margin-bottom: 0; } h2 { margin-top: 1.8em; } .sub { color: #5b6470; margin-top: .2em; }
.figures { display: flex; gap: 2.5em; flex-wrap: wrap; margin: 1.4em 0; }
.figures div b { display: block; font-size: 1.7em; } .figures div { color: #5b6470; } .figures b { color: #1c1f24; }
table { border-collapse: collapse; } td, th { padding: .15em 1em .15em 0; text-align: right; }
td:first-child, th:first-child { text-align: left; font-family: ui-monospace, monospace; }
th { border-bottom: 1px solid #c9ced6; font-weight: 600; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 6px; } img { width: 100%; border-radius: 3px; }
svg { max-width: 100%; height: auto; } .bar { background: #2d6cdf; height: .7em; }
";

fn page(report: &Report<'_>, representation: &Representation, targets: &Targets) -> Result<String, TrainError> {
    let mut body = String::new();
    let Report { clip, frames, parameters, gflop_per_pair, archive_bytes, psnr, training_seconds, .. } = report;
    let clip = escape(clip);
    // Writing into a String cannot fail.
    let _ = write!(
        body,
        "<h1>{clip}</h1><p class=sub>{frames} frames, {parameters} parameters, {gflop_per_pair:.2} GFLOP a pair</p>\
         <div class=figures><div><b>{archive_bytes}</b>bytes</div><div><b>{psnr:.2} dB</b>PSNR at decoder size</div>\
         <div><b>{:.1} min</b>training</div></div>",
        training_seconds / 60.0
    );
    body += "<h2>Training</h2>";
    body += &chart("PSNR in dB over epochs", &psnr_series(report.epochs))?;
    body += &chart("loss over epochs", &[("loss", report.epochs.iter().map(|e| (e.epoch as f64, e.loss)).collect())])?;
    body += "<h2>Pairs</h2>";
    let per_pair = report.pair_psnr.iter().enumerate().map(|(i, &p)| (i as f64, p)).collect();
    body += &chart("PSNR in dB of each pair over time", &[("pair", per_pair)])?;
    body += &picks(report, representation, targets)?;
    body += "<h2>Bytes</h2>";
    body += &budget_table(report.budget);
    Ok(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{clip}</title><style>{STYLE}</style><body>{body}</body></html>\n"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

type Series<'a> = (&'a str, Vec<(f64, f64)>);

fn psnr_series(epochs: &[EpochLine]) -> [Series<'static>; 2] {
    let quantized = epochs.iter().filter_map(|e| Some((e.epoch as f64, e.quantized_psnr?))).collect();
    [("training", epochs.iter().map(|e| (e.epoch as f64, e.psnr)).collect()), ("quantized average", quantized)]
}

/// Lines over a common axis, as an SVG element.
fn chart(title: &str, series: &[Series<'_>]) -> Result<String, ReportError> {
    let points = || series.iter().flat_map(|(_, points)| points).filter(|(_, y)| y.is_finite());
    let range = |pick: fn(&(f64, f64)) -> f64| {
        let low = points().map(pick).fold(f64::INFINITY, f64::min);
        let high = points().map(pick).fold(f64::NEG_INFINITY, f64::max);
        let margin = ((high - low) * 0.05).max(1e-6);
        if low <= high { low - margin..high + margin } else { 0.0..1.0 }
    };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1000, 300)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(60)
            .build_cartesian_2d(range(|p| p.0), range(|p| p.1))
            .map_err(drawing)?;
        chart.configure_mesh().light_line_style(TRANSPARENT).x_labels(12).draw().map_err(drawing)?;
        for (i, (name, points)) in series.iter().enumerate() {
            let color = [RGBColor(45, 108, 223), RGBColor(222, 108, 40)][i % 2];
            let finite = points.iter().copied().filter(|(_, y)| y.is_finite());
            chart
                .draw_series(LineSeries::new(finite, color.stroke_width(2)))
                .map_err(drawing)?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        if series.len() > 1 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::LowerRight)
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.2))
                .draw()
                .map_err(drawing)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

/// Original and reconstruction of the best, the median and the worst pair.
fn picks(report: &Report<'_>, representation: &Representation, targets: &Targets) -> Result<String, TrainError> {
    let mut order: Vec<usize> = (0..report.pair_psnr.len()).collect();
    order.sort_by(|&a, &b| report.pair_psnr[b].total_cmp(&report.pair_psnr[a]));
    let picks = [("Best", order.first()), ("Median", order.get(order.len() / 2)), ("Worst", order.last())];
    let decoder = decoder::Decoder::new(representation).map_err(EvaluateError::from)?;
    let (height, width) = pairs::size(targets);
    let mut html = String::new();
    for (label, sample) in picks {
        let Some(&sample) = sample else { continue };
        let decoded = decoder.decode_native(sample).map_err(EvaluateError::from)?;
        let [_, original] = pairs::pair(targets, sample);
        let original: Vec<u8> = (0..height * width)
            .flat_map(|i| (0..3).map(move |c| c * height * width + i))
            .filter_map(|i| original.get(i).copied())
            .collect();
        let images = [png(&original, height, width)?, png(decoded[1].to_rgb().data(), height, width)?];
        let _ = write!(
            html,
            "<h3>{label}: pair {sample}, {:.2} dB (original | reconstruction, second frame)</h3><div class=pair>",
            report.pair_psnr[sample]
        );
        for image in images {
            let _ = write!(html, "<img alt=\"\" src=\"data:image/png;base64,{image}\">");
        }
        html += "</div>";
    }
    Ok(html)
}

/// Interleaved RGB as base64 of a PNG.
fn png(rgb: &[u8], height: usize, width: usize) -> Result<String, ReportError> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(rgb, width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .map_err(drawing)?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn budget_table(budget: &Budget) -> String {
    let mut html = String::from("<table><tr><th>part<th>values<th>bits a value<th>bytes<th>share<th></tr>");
    for share in &budget.shares {
        let percent = 100.0 * share.bytes / budget.bytes.max(1) as f64;
        let (values, bits) = match share.values {
            0 => (String::new(), String::new()),
            values => (values.to_string(), format!("{:.2}", share.bits_per_value())),
        };
        let _ = write!(
            html,
            "<tr><td>{}<td>{values}<td>{bits}<td>{:.1}<td>{percent:.1} %<td style=\"width:220px\">\
             <div class=bar style=\"width:{percent:.1}%\"></div></tr>",
            escape(&share.name),
            share.bytes
        );
    }
    html + "</table>"
}

#[cfg(test)]
mod tests {
    use frames::RgbFrame;
    use perception::targets::TargetInfo;

    use super::*;

    #[test]
    fn charts_are_svg_and_bear_degenerate_series() {
        for points in [vec![], vec![(1.0, 2.0)], vec![(1.0, f64::INFINITY), (2.0, 3.0)], vec![(0.0, 5.0), (9.0, 5.0)]] {
            let svg = chart("title", &[("a", points), ("b", vec![(0.0, 1.0)])]).unwrap();
            assert!(svg.starts_with("<svg") && svg.contains("title"));
        }
    }

    #[test]
    fn the_mean_frame_s_psnr_is_that_of_the_spread_around_it() {
        let size =
            TargetInfo { name: "clip".into(), clip_bytes: 1, clip_height: 1, clip_width: 2, height: 1, width: 2 };
        let mut targets = Targets::new(size);
        for level in [0, 10, 50] {
            targets.push(&RgbFrame::new(2, 1, vec![level, 7, 0, 0, 0, 0]).unwrap()).unwrap();
        }
        // One value of six spreads around its mean of 20, by 400, 100 and 900.
        assert!((mean_frame_psnr(&targets) - frames::psnr(1400.0 / 18.0)).abs() < 1e-12);
    }

    #[test]
    fn names_cannot_break_the_page() {
        assert_eq!(escape("<b>&"), "&lt;b&gt;&amp;");
    }
}
