//! Line charts as SVG. Ink is plain black, which the page turns around in the dark.

use std::fmt::Write;
use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

use crate::error::ReportError;
use crate::html::escape;

/// Width and height of a chart over the page's width, and over half of it. Twice the size on the page, since coordinates are
/// whole pixels.
const WIDE: (u32, u32) = (2000, 520);
const HALF: (u32, u32) = (980, 480);
const FONT: (&str, i32) = ("sans-serif", 28);
/// Most points of a line; neighbours are averaged beyond.
const MAX_POINTS: usize = 2000;
/// Lines of at most this many points show each of them.
const MAX_MARKS: usize = 40;
/// Values that span a larger factor get a logarithmic axis.
const LOG_SPAN: f64 = 30.0;
/// Largest factor that a logarithmic axis spans; smaller values lie on its lower edge.
const MAX_LOG_SPAN: f64 = 1e4;

/// One line.
pub struct Series<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its colour.
    pub color: RGBColor,
    /// x and y; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

impl<'a> Series<'a> {
    pub fn new(name: &'a str, color: RGBColor, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        Self { name, color, points }
    }
}

/// A stretch of the x axis with a name, set off by a line where it begins.
pub struct Span<'a> {
    pub name: &'a str,
    pub begin: f64,
    pub end: f64,
}

/// Whether a chart takes the whole width of the page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Width {
    Wide,
    Half,
}

/// Lines over a common axis, as a `figure` with its legend; empty where no line has a point.
pub fn chart(
    title: &str,
    axis: &str,
    width: Width,
    spans: &[Span<'_>],
    series: &[Series<'_>],
) -> Result<String, ReportError> {
    let series: Vec<&Series<'_>> = series.iter().filter(|series| !series.points.is_empty()).collect();
    if series.is_empty() {
        return Ok(String::new());
    }
    let class = if width == Width::Wide { "wide" } else { "half" };
    let mut html = format!("<figure class={class}><figcaption><b>{}</b>", escape(title));
    for series in &series {
        let RGBColor(r, g, b) = series.color;
        // Writing into a String cannot fail.
        let _ = write!(html, " <i style=\"background:rgb({r},{g},{b})\"></i>{}", escape(series.name));
    }
    html += "</figcaption>";
    html += &svg(axis, width, spans, &series)?;
    Ok(html + "</figure>")
}

fn svg(axis: &str, width: Width, spans: &[Span<'_>], series: &[&Series<'_>]) -> Result<String, ReportError> {
    let size = if width == Width::Wide { WIDE } else { HALF };
    let points = || series.iter().flat_map(|series| &series.points);
    let limits = |pick: fn(&(f64, f64)) -> f64| {
        points().map(pick).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (left, right) = limits(|point| point.0);
    let x = Axis::of_counts(left, right, if width == Width::Wide { 14.0 } else { 7.0 });
    let (low, high) = limits(|point| point.1);
    let y = Axis::of_values(low, high);

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin_top(8)
            .margin_right(12)
            .x_label_area_size(76)
            .y_label_area_size(110)
            .build_cartesian_2d(x, y)
            .map_err(ReportError::drawing)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(BLACK.mix(0.12))
            .light_line_style(TRANSPARENT)
            .axis_style(BLACK.mix(0.5))
            .label_style(FONT)
            .x_desc(axis)
            .axis_desc_style(FONT)
            .draw()
            .map_err(ReportError::drawing)?;
        let pixels_per_x = f64::from(size.0 - 122) / (x.high - x.low);
        for (index, span) in spans.iter().enumerate().filter(|_| spans.len() > 1) {
            let begin = span.begin.max(x.low);
            if index > 0 {
                let line = [(begin, y.low), (begin, y.high)];
                chart.draw_series([PathElement::new(line, BLACK.mix(0.4))]).map_err(ReportError::drawing)?;
            }
            let room = (span.end.min(x.high) - begin) * pixels_per_x;
            let number = (index + 1).to_string();
            let named = format!("{number} {}", span.name);
            // A letter takes about half the height of its line.
            let fits = |text: &str| text.chars().count() as f64 * f64::from(FONT.1) * 0.52 + 16.0 < room;
            let Some(text) = [named, number].into_iter().find(|text| fits(text)) else { continue };
            let style = FONT.into_font().color(&BLACK.mix(0.6));
            let place = EmptyElement::at((begin, y.high)) + Text::new(text, (10, 2), style);
            chart.draw_series([place]).map_err(ReportError::drawing)?;
        }
        for series in series {
            let line: Vec<(f64, f64)> = thinned(&series.points).collect();
            if line.len() <= MAX_MARKS {
                let marks = line.iter().map(|&point| Circle::new(point, 5, series.color.filled()));
                chart.draw_series(marks).map_err(ReportError::drawing)?;
            }
            chart.draw_series(LineSeries::new(line, series.color.stroke_width(4))).map_err(ReportError::drawing)?;
        }
        area.present().map_err(ReportError::drawing)?;
    }
    Ok(svg)
}

/// At most [`MAX_POINTS`] points, each the mean of its neighbours.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    points.chunks(points.len().div_ceil(MAX_POINTS).max(1)).map(|chunk| {
        let mean = |pick: fn(&(f64, f64)) -> f64| chunk.iter().map(pick).sum::<f64>() / chunk.len() as f64;
        (mean(|point| point.0), mean(|point| point.1))
    })
}

/// An axis from `low` to `high`, round values marked on it.
#[derive(Clone, Copy, Debug)]
struct Axis {
    log: bool,
    low: f64,
    high: f64,
    /// About how many values are marked, at least how far apart.
    marks: f64,
    least: f64,
}

impl Axis {
    /// For numbers of epochs or pairs.
    fn of_counts(low: f64, high: f64, marks: f64) -> Self {
        Self { log: false, low: low - 0.5, high: high + 0.5, marks, least: 1.0 }
    }

    /// For values from `low` to `high`, with some room below and more above.
    fn of_values(low: f64, high: f64) -> Self {
        let (marks, least) = (6.0, 0.0);
        if low > 0.0 && high / low > LOG_SPAN {
            let low = low.max(high / MAX_LOG_SPAN);
            let room = (high / low).powf(0.07);
            return Self { log: true, low: low / room, high: high * room * room, marks, least };
        }
        // In proportion to the values too, so that the marks stay apart by more than their precision.
        let room = ((high - low) * 0.06).max(high.abs() * 1e-6).max(1e-9);
        Self { log: false, low: low - room, high: high + 2.0 * room, marks, least }
    }

    /// What is linear in pixels.
    fn place(&self, value: f64) -> f64 {
        if self.log { value.max(self.low).log10() } else { value }
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.log {
            return linear_ticks(self.low, self.high, self.marks, self.least);
        }
        let factors: &[f64] = if self.high / self.low > 1000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let ticks = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)));
        ticks.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (begin, end): (i32, i32)) -> i32 {
        let [low, high, place] = [self.low, self.high, *value].map(|value| self.place(value));
        begin + ((place - low) / (high - low) * f64::from(end - begin)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        label(*value)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten between `low` and `high`, at most `count` and one, `least` or more apart.
fn linear_ticks(low: f64, high: f64, count: f64, least: f64) -> Vec<f64> {
    let needed = (high - low) / count;
    let power = 10f64.powf(needed.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|&step| step >= needed);
    let step = step.unwrap_or(10.0 * power).max(least);
    if !(step.is_finite() && step > 0.0) {
        return Vec::new();
    }
    ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|i| i as f64 * step).collect()
}

/// A round value in few characters.
fn label(value: f64) -> String {
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => digits.to_string(),
    };
    let size = value.abs();
    // What is left of a zero after the arithmetic of a tick.
    if size < 1e-12 {
        return "0".into();
    }
    if (1e-3..1e6).contains(&size) {
        let decimals = (4 - size.log10().floor() as i32).clamp(0, 6) as usize;
        return trim(&format!("{value:.decimals$}"));
    }
    let text = format!("{value:.4e}");
    text.split_once('e').map_or(text.clone(), |(digits, exponent)| format!("{}e{exponent}", trim(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(points: &[(f64, f64)]) -> String {
        let series = [Series::new("a", BLUE, points.iter().copied()), Series::new("none", RED, [])];
        chart("title", "epoch", Width::Half, &[], &series).unwrap()
    }

    #[test]
    fn degenerate_series_do_not_break_a_chart() {
        let whole = [
            vec![(1.0, 2.0)],
            vec![(1.0, f64::INFINITY), (2.0, 3.0)],
            vec![(0.0, 5.0), (9.0, 5.0)],
            vec![(0.0, 0.0), (1.0, 0.0)],
            vec![(0.0, 0.0), (1.0, 1e9)],
            vec![(0.0, 1e-300), (1.0, 1e300)],
            vec![(0.0, -f64::MAX), (1.0, f64::MAX)],
            vec![(0.0, f64::MAX), (1.0, f64::MAX)],
            vec![(0.0, f64::MIN_POSITIVE), (1.0, f64::NAN)],
            (0..10_000).map(|i| (f64::from(i), f64::from(i % 7))).collect(),
        ];
        for points in whole {
            let html = draw(&points);
            assert!(html.contains("<svg") && html.contains("title") && html.contains("polyline"), "{points:?}");
            assert!(!html.contains("NaN") && !html.contains("inf") && !html.contains("none</figcaption>"));
            assert!(html.len() < 100_000);
        }
        assert_eq!(draw(&[]), "");
        assert_eq!(draw(&[(1.0, f64::NAN)]), "");
    }

    #[test]
    fn stages_are_marked_and_their_names_cannot_break_the_chart() {
        let span = |name, begin, end| Span { name, begin, end };
        let spans = [span("<s>&", 0.5, 60.5), span("a name that has no room", 60.5, 65.5), span("end", 65.5, 100.5)];
        let series = [Series::new("<i>", BLUE, (1..=100).map(|i| (f64::from(i), f64::from(i))))];
        let html = chart("<u>", "epoch", Width::Wide, &spans, &series).unwrap();
        assert!(html.contains("1 &lt;s&gt;&amp;") && html.contains("&lt;i&gt;") && html.contains("&lt;u&gt;"));
        assert!(!html.contains("<s>") && !html.contains("no room") && html.contains("3 end"));
        let alone = chart("t", "epoch", Width::Wide, &spans[..1], &series).unwrap();
        assert!(!alone.contains("&lt;s"));
    }

    #[test]
    fn values_over_decades_get_a_logarithmic_axis() {
        assert!(Axis::of_values(0.01, 1.0).log && !Axis::of_values(0.5, 1.0).log);
        assert!(!Axis::of_values(0.0, 1.0).log && !Axis::of_values(-1.0, 1.0).log);
        let axis = Axis::of_values(1e-12, 1.0);
        assert!(axis.low > 1e-5);
        // The upper edge of an image is its first row; what is too small lies on the lower edge.
        let rows = [1e-12, axis.low, (axis.low * axis.high).sqrt(), axis.high].map(|value| axis.map(&value, (100, 0)));
        assert_eq!(rows, [100, 100, 50, 0]);
        let labels: Vec<String> = Axis::of_values(0.01, 0.9).ticks().into_iter().map(label).collect();
        assert_eq!(labels, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
    }

    #[test]
    fn ticks_are_round_and_labels_short() {
        let labels = |low, high| -> Vec<String> { linear_ticks(low, high, 6.0, 0.0).into_iter().map(label).collect() };
        assert_eq!(labels(0.0, 0.31), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(24.93, 25.07), ["24.95", "25", "25.05"]);
        assert_eq!(labels(0.0, 3.2e-5), ["0", "1e-5", "2e-5", "3e-5"]);
        assert_eq!(labels(0.0, 5.5e7), ["0", "1e7", "2e7", "3e7", "4e7", "5e7"]);
        assert_eq!(linear_ticks(0.5, 3.5, 14.0, 1.0), [1.0, 2.0, 3.0]);
    }
}
