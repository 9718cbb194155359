//! The page: one HTML file, images and charts inside.

use std::fmt::Write;

use archive::Budget;
use metric::PIXELS;
use plotters::style::RGBColor;

use crate::chart::{Series, Span, Width, chart};
use crate::data::{PairFigures, Picture, RunReport};
use crate::epoch::EpochLine;
use crate::error::ReportError;
use crate::html::{css, escape};
use crate::pictures::PALETTE;

const SCORE: RGBColor = RGBColor(59, 125, 221);
const SEGNET: RGBColor = RGBColor(224, 112, 42);
const POSENET: RGBColor = RGBColor(42, 157, 110);
const RATE: RGBColor = RGBColor(148, 96, 214);
const TRAINING: RGBColor = RGBColor(150, 158, 172);

const STYLE: &str = include_str!("page.css");

/// A pair's images, as base64 of PNGs.
pub struct Shown<'a> {
    /// What the report says of the pair.
    pub picture: &'a Picture,
    /// The original's second frame.
    pub original: String,
    /// The same as decoded.
    pub reconstruction: String,
    /// The class map of the original, and the pixels whose class differs.
    pub maps: Option<[String; 2]>,
}

/// The whole page.
pub fn page(report: &RunReport, shown: &[Shown<'_>]) -> Result<String, ReportError> {
    let clip = escape(&report.clip);
    let body = [
        headline(report),
        "<h2>Training</h2>".into(),
        stages(&report.epochs),
        training(report)?,
        "<h2>Pairs</h2>".into(),
        pairs(report)?,
        shown.iter().map(|shown| picture(report, shown)).collect(),
        "<h2>Bytes</h2>".into(),
        budget_table(&report.budget),
    ];
    Ok(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{clip}</title><style>{STYLE}</style><body>{}</body></html>\n",
        body.concat()
    ))
}

/// The score and what it is made of, in the colours of its terms.
fn headline(report: &RunReport) -> String {
    let RunReport { frames, parameters, gflop_per_pair, archive_bytes, psnr, epochs, .. } = report;
    let (clip, minutes) = (escape(&report.clip), report.training_seconds / 60.0);
    let mut html = format!(
        "<h1>{clip}</h1><p class=sub>{frames} frames, {parameters} parameters, {gflop_per_pair:.2} GFLOP a pair, \
         {} epochs</p><div class=figures>",
        epochs.len()
    );
    let mut bar = String::new();
    if let Some(metric) = &report.metric {
        let figures = [
            (SEGNET, metric::segnet_term(metric.segnet_distortion), "100 &times; SegNet", metric.segnet_distortion),
            (
                POSENET,
                metric::posenet_term(metric.posenet_distortion),
                "&radic;(10 &times; PoseNet)",
                metric.posenet_distortion,
            ),
            (RATE, metric::rate_term(metric.rate), "25 &times; rate", metric.rate),
        ];
        // Writing into a String cannot fail.
        let _ = write!(html, "<div class=score><b>{:.4}</b>score</div>", metric.score);
        for (RGBColor(r, g, b), term, name, value) in figures {
            let color = css([r, g, b]);
            let _ = write!(html, "<div><b>{term:.4}</b><i style=\"background:{color}\"></i>{name}<br>{value:.6}</div>");
            let _ = write!(bar, "<span style=\"background:{color};flex-grow:{term:.6}\"></span>");
        }
        bar = format!("<div class=terms>{bar}</div>");
    }
    let _ = write!(
        html,
        "<div><b>{archive_bytes}</b>bytes</div><div><b>{psnr:.2} dB</b>PSNR at decoder size<br>mean frame: {:.2} dB</div>\
         <div><b>{minutes:.1}</b>minutes</div></div>",
        report.mean_frame_psnr
    );
    html + &bar
}

/// Runs of epochs with the same stage.
fn spans(epochs: &[EpochLine]) -> Vec<Span<'_>> {
    let span = |epochs: &[EpochLine]| Some((epochs.first()?.epoch, epochs.last()?.epoch));
    let named = epochs.chunk_by(|a, b| a.stage == b.stage).filter_map(|run| Some((&run.first()?.stage, span(run)?)));
    named.map(|(name, (first, last))| Span { name, begin: first as f64 - 0.5, end: last as f64 + 0.5 }).collect()
}

fn stages(epochs: &[EpochLine]) -> String {
    let entry =
        |span: &Span<'_>| format!("<li><b>{}</b> epochs {} to {}", escape(span.name), span.begin + 0.5, span.end - 0.5);
    format!("<ol class=stages>{}</ol>", spans(epochs).iter().map(entry).collect::<String>())
}

fn training(report: &RunReport) -> Result<String, ReportError> {
    let (epochs, spans) = (&report.epochs, spans(&report.epochs));
    let points = |value: &dyn Fn(&EpochLine) -> Option<f64>| -> Vec<(f64, f64)> {
        epochs.iter().filter_map(|line| Some((line.epoch as f64, value(line)?))).collect()
    };
    let over = |title: &str, width, series: &[Series<'_>]| chart(title, "epoch", width, &spans, series);
    let per_byte = metric::byte_slope(report.original_bytes);
    let training = |value: &dyn Fn(&EpochLine) -> Option<f64>| Series::new("training pass", TRAINING, points(value));
    let archived = |color, value: &dyn Fn(&EpochLine) -> Option<f64>| Series::new("archive", color, points(value));
    let charts = [
        over(
            "Score of the archive",
            Width::Wide,
            &[
                Series::new("score", SCORE, points(&|line| Some(line.score?.score))),
                Series::new("100 × SegNet", SEGNET, points(&|line| Some(metric::segnet_term(line.score?.segnet)))),
                Series::new(
                    "√(10 × PoseNet)",
                    POSENET,
                    points(&|line| Some(metric::posenet_term(line.score?.posenet))),
                ),
                Series::new("25 × rate", RATE, points(&|line| Some(per_byte * line.score?.archive_bytes as f64))),
            ],
        )?,
        over(
            "SegNet distortion",
            Width::Half,
            &[training(&|line| line.segnet), archived(SEGNET, &|line| Some(line.score?.segnet))],
        )?,
        over(
            "PoseNet distortion",
            Width::Half,
            &[training(&|line| line.posenet), archived(POSENET, &|line| Some(line.score?.posenet))],
        )?,
        over("Loss", Width::Wide, &[Series::new("loss", SCORE, points(&|line| Some(line.loss)))])?,
        over("PSNR in dB", Width::Half, &[training(&|line| line.psnr), archived(SCORE, &|line| line.quantized_psnr)])?,
        over(
            "Learning rate",
            Width::Half,
            &[Series::new("at the epoch's end", SCORE, points(&|line| Some(line.learning_rate)))],
        )?,
    ];
    Ok(format!("<div class=charts>{}</div>", charts.concat()))
}

fn pairs(report: &RunReport) -> Result<String, ReportError> {
    let points = |value: fn(&PairFigures) -> Option<f64>| -> Vec<(f64, f64)> {
        let pairs = report.pairs.iter().enumerate();
        pairs.filter_map(|(index, pair)| Some((index as f64, value(pair)?))).collect()
    };
    let over = |title: &str, series: &[Series<'_>]| chart(title, "pair", Width::Wide, &[], series);
    let charts = [
        over(
            "What each pair adds to the score: the mean is the score without its rate",
            &[
                Series::new("SegNet", SEGNET, points(|pair| Some(pair.seen?.segnet_term))),
                Series::new("PoseNet", POSENET, points(|pair| Some(pair.seen?.posenet_term))),
                Series::new("both", SCORE, points(|pair| Some(pair.seen?.score()))),
            ],
        )?,
        over("PSNR of each pair in dB", &[Series::new("PSNR", SCORE, points(|pair| Some(pair.psnr)))])?,
    ];
    Ok(format!("<div class=charts>{}</div>", charts.concat()))
}

/// A pair's images and figures.
fn picture(report: &RunReport, shown: &Shown<'_>) -> String {
    let Shown { picture: Picture { label, sample, class_pixels }, original, reconstruction, maps } = shown;
    let label = escape(label);
    let figures = report.pairs.get(*sample).map_or(String::new(), |pair| {
        let psnr = format!("PSNR {:.2} dB", pair.psnr);
        match &pair.seen {
            Some(seen) => format!(
                "adds {:.4} to the score: SegNet {:.6} ({:.4}), PoseNet {:.6} ({:.4}); {psnr}",
                seen.score(),
                seen.segnet_distortion,
                seen.segnet_term,
                seen.posenet_distortion,
                seen.posenet_term
            ),
            None => psnr,
        }
    });
    let image = |png: &str, caption: &str| {
        format!(
            "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{png}\"><figcaption>{caption}</figcaption></figure>"
        )
    };
    let mut html = format!(
        "<h3>{label}: pair {sample}</h3><p class=sub>{figures}</p><div class=images>{}{}",
        image(original, "original, second frame"),
        image(reconstruction, "reconstruction")
    );
    if let Some(([map, disagreement], counts)) = maps.as_ref().zip(class_pixels.as_ref()) {
        html += &image(map, "classes of the original");
        html += &image(disagreement, "pixels whose class differs, in their new class");
        html += "</div><p class=legend>";
        for (class, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (color, share) = (css(PALETTE[class % PALETTE.len()]), 100.0 * *count as f64 / PIXELS as f64);
            let _ = write!(html, "<span><i style=\"background:{color}\"></i>class {class}: {share:.1} %</span> ");
        }
        return html + "</p>";
    }
    html + "</div>"
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
            "<tr><td>{}<td>{values}<td>{bits}<td>{:.1}<td>{percent:.1} %<td class=share>\
             <div style=\"width:{percent:.1}%\"></div></tr>",
            escape(&share.name),
            share.bytes
        );
    }
    let _ = write!(html, "<tr class=sum><td>archive<td><td><td>{}<td><td></tr>", budget.bytes);
    html + "</table>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{MetricFigures, Seen};
    use crate::fixture;
    use metric::Score;
    use std::num::NonZeroU64;

    fn line(epoch: usize, stage: &str) -> EpochLine {
        EpochLine {
            epoch,
            stage: stage.into(),
            loss: 1.0 / epoch as f64,
            psnr: None,
            segnet: None,
            posenet: None,
            learning_rate: 1e-3,
            quantized_psnr: None,
            score: None,
            seconds: 60.0 * epoch as f64,
        }
    }

    fn page_of(
        epochs: &[EpochLine],
        metric: Option<MetricFigures>,
        pairs: Vec<PairFigures>,
        class_pixels: Option<Vec<usize>>,
    ) -> String {
        let pictures = vec![Picture { label: "Worst".into(), sample: 0, class_pixels }; pairs.len()];
        let report = RunReport {
            clip: "a<b>&\"c".into(),
            frames: 2 * pairs.len(),
            samples: pairs.len(),
            parameters: 99,
            gflop_per_pair: 1.0,
            original_bytes: NonZeroU64::new(1000).unwrap(),
            archive_bytes: 10,
            metric,
            psnr: f64::INFINITY,
            mean_frame_psnr: 18.0,
            training_seconds: 90.0,
            pairs,
            pictures,
            budget: Budget { bytes: 10, shares: Vec::new() },
            epochs: epochs.to_vec(),
            config: fixture::recipe(),
        };
        // What is stored says all: an infinite PSNR too.
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<RunReport>(&json).unwrap(), report);
        let shown = |picture| Shown {
            picture,
            original: "AAAA".into(),
            reconstruction: "BBBB".into(),
            maps: picture.class_pixels.is_some().then(|| ["CCCC".into(), "DDDD".into()]),
        };
        let shown: Vec<Shown<'_>> = report.pictures.iter().map(shown).collect();
        page(&report, &shown).unwrap()
    }

    #[test]
    fn without_evaluators_the_page_speaks_of_pixels_alone() {
        let epochs = [line(1, "one"), EpochLine { psnr: Some(20.0), quantized_psnr: Some(21.0), ..line(2, "<two>") }];
        let page = page_of(&epochs, None, vec![PairFigures { psnr: 25.125, seen: None }], None);
        for part in
            ["<title>a&lt;b&gt;&amp;&quot;c</title>", "PSNR in dB", "Loss", "Learning rate", "PSNR 25.12 dB", "1.5"]
        {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains("<b>&lt;two&gt;</b> epochs 2 to 2") && !page.contains("<two>") && !page.contains("a<b>"));
        for part in ["SegNet", "PoseNet", "class 0", "NaN", "http:", "https:", "<script"] {
            assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(part), "{part}");
        }
        assert_eq!((page.matches("<svg").count(), page.matches("<img").count()), (4, 2));
    }

    #[test]
    fn with_evaluators_the_page_has_the_score_its_terms_and_the_classes() {
        let score = Score { segnet: 0.01, posenet: 0.1, archive_bytes: 10, score: 2.25 };
        let seen = |epoch| EpochLine { segnet: Some(0.02), posenet: Some(0.2), score: Some(score), ..line(epoch, "s") };
        let metric = MetricFigures { score: 2.25, segnet_distortion: 0.01, posenet_distortion: 0.1, rate: 0.01 };
        let mut counts = vec![0; 8];
        (counts[3], counts[7]) = (PIXELS / 4, 3 * PIXELS / 4);
        let pairs = Seen::all(&[[0.01, 0.1]]).into_iter().map(|seen| PairFigures { psnr: 30.0, seen: Some(seen) });
        let page = page_of(&[seen(1), seen(2)], Some(metric), pairs.collect(), Some(counts));
        let parts = [
            "<b>2.2500</b>score",
            "<b>1.0000</b>",
            "<b>0.2500</b>",
            "Score of the archive",
            "SegNet distortion",
            "PoseNet distortion",
            "What each pair adds",
            "adds 2.0000 to the score: SegNet 0.010000 (1.0000), PoseNet 0.100000 (1.0000); PSNR 30.00 dB",
            "class 3: 25.0 %",
            "class 7: 75.0 %",
        ];
        for part in parts {
            assert!(page.contains(part), "{part}");
        }
        for image in ["AAAA", "BBBB", "CCCC", "DDDD"] {
            assert!(page.contains(&format!("src=\"data:image/png;base64,{image}\"")), "{image}");
        }
        assert_eq!((page.matches("<svg").count(), page.matches("class 1:").count()), (7, 0));
    }

    #[test]
    fn a_run_without_epochs_or_pairs_has_a_page() {
        let metric = MetricFigures { score: 0.0, segnet_distortion: 0.0, posenet_distortion: 0.0, rate: 0.0 };
        let page = page_of(&[], Some(metric), Vec::new(), None);
        assert!(page.contains("inf dB") && !page.contains("<svg") && page.ends_with("</html>\n"));
    }
}
