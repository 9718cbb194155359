//! A layer table that can be, with the graph that it stands for.

use serde::{Deserialize, Serialize};

use crate::error::RepresentationError;
use crate::graph::{ArchitectureError, Graph, Parameter};
use crate::maps::MapShape;
use crate::table::{FRAMES_PER_SAMPLE, LayerTable, Stem};

/// Bits of a latent's value.
const LATENT_BITS: u8 = 8;

/// A decoder: a layer table within the limits, and its graph. Written and read as the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LayerTable", into = "LayerTable")]
pub struct Architecture {
    table: LayerTable,
    graph: Graph,
}

impl Architecture {
    /// Checks every entry of a table and the sums against [`limits`](crate::limits).
    pub fn new(table: LayerTable) -> Result<Self, ArchitectureError> {
        Ok(Self { graph: Graph::of(&table)?, table })
    }

    /// The layer table.
    pub fn table(&self) -> &LayerTable {
        &self.table
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Values of a latent.
    pub fn latent_dim(&self) -> usize {
        self.table.latent_dim
    }

    /// Values of a latent that are a carrier's coefficients, its last ones.
    pub fn coefficients(&self) -> usize {
        self.table.carrier.map_or(0, |carrier| carrier.coefficients)
    }

    /// Bits of each value of a latent: 8, but for a carrier's coefficients.
    pub fn latent_bits(&self) -> Vec<u8> {
        let numbers = self.latent_dim() - self.coefficients();
        let wide = self.table.carrier.map_or(LATENT_BITS, |carrier| carrier.bits);
        (0..self.latent_dim()).map(|d| if d < numbers { LATENT_BITS } else { wide }).collect()
    }

    /// The class maps that so many samples are fed with, if any are.
    ///
    /// # Errors
    ///
    /// More pixels than [`limits::MAP_PIXELS`](crate::limits::MAP_PIXELS).
    pub fn map_shape(&self, samples: usize) -> Result<Option<MapShape>, RepresentationError> {
        let Stem { height, width, classes, .. } = self.table.stem;
        if classes == 0 { Ok(None) } else { MapShape::new(samples, height, width, classes).map(Some) }
    }

    /// Frames that a latent stands for, 1 or 2.
    pub fn frames(&self) -> usize {
        self.table.frames
    }

    /// Latents of a sample: as many as it takes for a pair of frames, 1 or 2.
    pub fn latents_per_sample(&self) -> usize {
        FRAMES_PER_SAMPLE / self.frames()
    }

    /// Values of a sample's latents, one latent behind the other.
    pub fn sample_dim(&self) -> usize {
        self.latents_per_sample() * self.latent_dim()
    }

    /// Floating-point operations for one pair, see [`Graph::flops`].
    pub fn flops(&self) -> u64 {
        self.latents_per_sample() as u64 * self.graph.flops()
    }

    /// Rows and columns of the decoded frames, before resampling to the clip's size.
    pub fn output_size(&self) -> (usize, usize) {
        self.graph.nodes().last().map_or((0, 0), |heads| (heads.output.height, heads.output.width))
    }

    /// Every parameter in the order in which archives and checkpoints hold them, see [`Graph::parameters`].
    pub fn parameters(&self) -> &[Parameter] {
        self.graph.parameters()
    }
}

impl TryFrom<LayerTable> for Architecture {
    type Error = ArchitectureError;

    fn try_from(table: LayerTable) -> Result<Self, ArchitectureError> {
        Self::new(table)
    }
}

impl From<Architecture> for LayerTable {
    fn from(architecture: Architecture) -> Self {
        architecture.table
    }
}

#[cfg(test)]
mod tests {
    use kernels::{Nonlinearity, Skip};

    use super::*;
    use crate::graph::{Activation, Operation, ParameterKind, ParameterRole};
    use crate::table::{Head, Layer, Refine, Stage};

    fn reference() -> Architecture {
        Architecture::new(LayerTable::reference(36, 28)).unwrap()
    }

    #[test]
    fn the_reference_table_has_the_published_size_and_cost() {
        let reference = reference();
        assert_eq!(reference.graph().parameter_count(), 228_958);
        assert_eq!(reference.output_size(), (384, 512));
        let heads = reference.graph().nodes().last().unwrap();
        assert_eq!(heads.input, Activation { channels: 18, height: 384, width: 512 });
        let gflop = reference.graph().flops() as f64 / 1e9;
        assert!((gflop - 3.24).abs() < 0.02, "{gflop}");
    }

    #[test]
    fn a_skip_has_parameters_only_where_channels_change() {
        let reference = reference();
        let names: Vec<&str> = reference.parameters().iter().map(|p| p.name.as_str()).collect();
        let skips: Vec<&str> = names.iter().filter(|n| n.starts_with("skips")).copied().collect();
        let expected =
            ["skips.2.weight", "skips.2.bias", "skips.3.weight", "skips.3.bias", "skips.4.weight", "skips.4.bias"];
        assert_eq!(skips, expected);
        assert!(names.contains(&"refine.1.weight"));
    }

    #[test]
    fn nodes_name_their_parameters_and_follow_each_other() {
        let reference = reference();
        let graph = reference.graph();
        for pair in graph.nodes().windows(2) {
            assert_eq!(pair[0].output, pair[1].input);
        }
        let name = |id: crate::ParameterId| graph.parameters()[id.index()].name.as_str();
        let Operation::Stage { conv, skip: Skip::Convolution(skip), upscale: 2, .. } = graph.nodes()[3].operation
        else {
            panic!("{:?}", graph.nodes()[3]);
        };
        assert_eq!(
            [conv.weight, conv.bias, skip.weight].map(name),
            ["blocks.2.weight", "blocks.2.bias", "skips.2.weight"]
        );
        assert_eq!((conv.outputs, conv.fan_in()), (4 * 27, 9 * 36));
        let (weight, bias) = (&graph.parameters()[conv.weight.index()], &graph.parameters()[conv.bias.index()]);
        assert_eq!((weight.shape.as_slice(), weight.phases), ([108, 36, 3, 3].as_slice(), 4));
        assert_eq!((bias.shape.as_slice(), bias.phases), ([108].as_slice(), 4));
        assert_eq!((bias.role, bias.kind), (ParameterRole::Hidden, ParameterKind::Bias));
        assert_eq!(graph.parameters()[0].phases, 48);
        assert!(graph.parameters().iter().enumerate().all(|(i, parameter)| parameter.id.index() == i));
    }

    /// HNeRV at 640x1280 with 16 channels of 2x4 (Chen et al., "HNeRV: a hybrid neural representation for videos", 2023), narrow.
    fn hnerv() -> LayerTable {
        let block = |channels, upscale, kernel| {
            Layer::Stage(Stage { skip: false, activation: Nonlinearity::Gelu, ..Stage::new(channels, upscale, kernel) })
        };
        let layers = [(10, 1, 1), (8, 5, 1), (7, 4, 3), (6, 4, 5), (5, 2, 5), (5, 2, 5)]
            .map(|(c, r, k)| block(c, r, k))
            .to_vec();
        let stem = Stem { linear: false, ..Stem::new(16, 2, 4) };
        LayerTable { frames: 1, head: Head::Tanh, ..LayerTable::new(128, stem, layers) }
    }

    #[test]
    fn a_latent_can_be_an_image_of_one_frame() {
        let hnerv = Architecture::new(hnerv()).unwrap();
        assert_eq!(hnerv.output_size(), (640, 1280));
        assert_eq!((hnerv.frames(), hnerv.latents_per_sample(), hnerv.sample_dim()), (1, 2, 256));
        let (first, last) = (&hnerv.graph().nodes()[0], hnerv.graph().nodes().last().unwrap());
        assert_eq!(first.input, Activation { channels: 16, height: 2, width: 4 });
        assert!(matches!(first.operation, Operation::Stage { skip: Skip::None, upscale: 1, .. }), "{first:?}");
        assert!(matches!(&last.operation, Operation::Heads { heads, gain: 2.0 } if heads.len() == 1), "{last:?}");
        assert_eq!(hnerv.parameters()[0].name, "blocks.0.weight");
        assert!(hnerv.parameters().iter().all(|p| !p.name.starts_with("s")), "neither stem nor skips");
        let refused = |change: fn(&mut LayerTable)| {
            let mut table = self::hnerv();
            change(&mut table);
            Architecture::new(table).unwrap_err().to_string()
        };
        assert!(refused(|t| t.latent_dim = 127).contains("latent_dim is 127, must be 128"));
        assert!(refused(|t| t.frames = 3).contains("frames is 3, must be 1 to 2"));
        assert!(refused(|t| t.frames = 0).contains("frames is 0"));
    }

    #[test]
    fn impossible_tables_are_refused_with_the_entry_named() {
        let broken = |change: fn(&mut LayerTable)| {
            let mut table = LayerTable::reference(20, 16);
            change(&mut table);
            Architecture::new(table).unwrap_err().to_string()
        };
        assert!(broken(|t| t.latent_dim = 0).contains("latent_dim"));
        assert!(broken(|t| t.stem.channels = 100_000).contains("stem.channels"));
        assert!(broken(|t| t.layers[1] = Layer::Stage(Stage::new(0, 2, 3))).contains("layers[1]"));
        assert!(broken(|t| t.layers[0] = Layer::Stage(Stage::new(8, 2, 2))).contains("1, 3 or 5"));
        assert!(
            broken(|t| t.layers[6] = Layer::Refine(Refine { hidden: 4, dilation: 9, gain: 0.1 })).contains("dilation")
        );
        assert!(
            broken(|t| t.layers[6] = Layer::Refine(Refine { hidden: 4, dilation: 1, gain: f32::NAN })).contains("gain")
        );
        assert!(broken(|t| t.stem.height = 4000).contains("rows"));
        assert!(broken(|t| t.layers = vec![t.layers[0]; 40]).contains("number of layers"));
        let wide = |t: &mut LayerTable| {
            for layer in &mut t.layers {
                if let Layer::Stage(stage) = layer {
                    stage.channels = 512;
                }
            }
        };
        assert!(broken(wide).contains("limit"));
    }
}
