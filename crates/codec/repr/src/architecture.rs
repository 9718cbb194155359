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
    use crate::graph::{Activation, CarrierNode, Convolution, Operation, ParameterKind, ParameterRole};
    use crate::table::{Carrier, Head, Layer, Refine, Residual, Stage};

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

    /// Class maps of 9x12, two residual blocks between which the size doubles, a grey carrier.
    fn semantic() -> LayerTable {
        let residual = |hidden, kernel, dilation| {
            Layer::Residual(Residual { hidden, kernel, dilation, activation: Nonlinearity::Gelu })
        };
        let layers = vec![residual(3, 5, 8), Layer::Stage(Stage::new(6, 2, 1)), residual(2, 3, 1)];
        let stem = Stem { classes: 5, ..Stem::new(4, 9, 12) };
        let carrier = Some(Carrier { coefficients: 3, height: 2, width: 7, channels: 1, bits: 10 });
        LayerTable { carrier, ..LayerTable::new(5, stem, layers) }
    }

    #[test]
    fn a_map_feeds_a_decoder_of_one_frame_and_a_carrier_makes_the_other() {
        let semantic = Architecture::new(semantic()).unwrap();
        let graph = semantic.graph();
        assert_eq!((semantic.coefficients(), semantic.sample_dim(), semantic.output_size()), (3, 5, (18, 24)));
        assert_eq!(semantic.latent_bits(), [8, 8, 10, 10, 10]);
        assert_eq!(reference().latent_bits(), [8; 28]);
        assert_eq!(semantic.map_shape(7), Ok(Some(MapShape::new(7, 9, 12, 5).unwrap())));
        assert_eq!(reference().map_shape(7), Ok(None));
        let many = crate::limits::MAP_PIXELS / (9 * 12);
        assert!(semantic.map_shape(many).is_ok() && semantic.map_shape(many + 1).is_err());

        for pair in graph.nodes().windows(2) {
            assert_eq!(pair[0].output, pair[1].input);
        }
        let first = &graph.nodes()[0];
        assert_eq!(first.input, Activation { channels: 2, height: 1, width: 1 }, "the latent's other values");
        let Operation::Classes { linear, classes: 5 } = first.operation else { panic!("{first:?}") };
        assert_eq!((linear.inputs, linear.outputs, linear.kernel), (5 + 4 + 2, 4, 1));
        let Operation::Residual { first, second, nonlinearity: Nonlinearity::Gelu } = graph.nodes()[1].operation else {
            panic!("{:?}", graph.nodes()[1]);
        };
        let shape = |convolution: Convolution| {
            let Convolution { inputs, outputs, kernel, dilation, .. } = convolution;
            [inputs, outputs, kernel, dilation]
        };
        assert_eq!([first, second].map(shape), [[4, 3, 5, 8], [3, 4, 1, 1]]);
        let last = graph.nodes().last().unwrap();
        assert!(matches!(&last.operation, Operation::Heads { heads, .. } if heads.len() == 1), "{last:?}");
        let Some(&CarrierNode { linear: carrier, height: 2, width: 7 }) = graph.carrier() else { panic!("none") };
        assert_eq!(shape(carrier), [3, 14, 1, 1]);

        let names: Vec<&str> = semantic.parameters().iter().map(|p| p.name.as_str()).collect();
        let weights = ["stem", "residual.0.0", "residual.0.1", "blocks.0", "skips.0", "residual.1.0", "residual.1.1"];
        let expected: Vec<String> = weights
            .iter()
            .chain(&["rgb_1", "carrier"])
            .flat_map(|name| [format!("{name}.weight"), format!("{name}.bias")])
            .collect();
        assert_eq!(names, expected);
        let phases = |convolution: Convolution| {
            let parameter = &graph.parameters()[convolution.weight.index()];
            (parameter.role, parameter.phases, parameter.columns)
        };
        assert_eq!(phases(linear), (ParameterRole::Stem, 1, 1), "each row is a channel");
        assert_eq!(phases(carrier), (ParameterRole::Stem, 14, 7));
        let at = |side: usize, of: usize| side * side * 9 * 12 * of;
        let adds = at(1, 11 * 4 + 25 * 4 * 3 + 3 * 4 + 4 * 24) + at(2, 4 * 6 + 9 * 6 * 2 + 2 * 6 + 9 * 6 * 3) + 3 * 14;
        assert_eq!(graph.flops(), 2 * adds as u64);
    }

    #[test]
    fn impossible_semantic_tables_are_refused_with_the_entry_named() {
        let broken = |change: &dyn Fn(&mut LayerTable)| {
            let mut table = semantic();
            change(&mut table);
            Architecture::new(table).unwrap_err().to_string()
        };
        let carrier = |change: &dyn Fn(&mut Carrier)| broken(&|t| t.carrier.as_mut().into_iter().for_each(change));
        assert_eq!(broken(&|t| t.stem.classes = 256), "stem.classes is 256, must be 1 to 255");
        assert!(broken(&|t| t.stem.classes = 0).contains("stem.classes is 0, must be the number of classes"));
        assert!(broken(&|t| t.stem.linear = false).contains("stem.linear is false"));
        assert!(broken(&|t| t.frames = 1).contains("frames beside a carrier is 1"));
        assert!(broken(&|t| t.latent_dim = 3).contains("carrier.coefficients is 3, must be 1 to 2"));
        assert!(broken(&|t| t.latent_dim = 0).contains("carrier.coefficients is 3, must be 1 to 0"));
        assert!(carrier(&|c| c.coefficients = 0).contains("carrier.coefficients is 0"));
        assert!(carrier(&|c| c.coefficients = 1_000_000).contains("carrier.coefficients is 1000000"));
        assert!(carrier(&|c| c.height = 0).contains("carrier.height"));
        assert!(carrier(&|c| c.width = 4097).contains("carrier.width"));
        assert_eq!(carrier(&|c| c.channels = 2), "carrier.channels is 2, must be 1 or 3");
        assert_eq!(carrier(&|c| c.bits = 13), "carrier.bits is 13, must be 8 to 12");
        assert!(carrier(&|c| c.bits = 7).contains("carrier.bits is 7"));
        let vast = |t: &mut LayerTable| {
            t.latent_dim = 1024;
            t.carrier = Some(Carrier { coefficients: 1023, height: 4096, width: 4096, channels: 3, bits: 8 });
        };
        assert!(broken(&vast).contains("parameters"));

        let residual = |change: &dyn Fn(&mut Residual)| {
            broken(&|t| {
                if let Layer::Residual(residual) = &mut t.layers[2] {
                    change(residual);
                }
            })
        };
        assert!(residual(&|r| r.hidden = 0).contains("layers[2].hidden is 0"));
        assert!(residual(&|r| r.hidden = 513).contains("layers[2].hidden is 513"));
        assert_eq!(residual(&|r| r.kernel = 4), "layers[2].kernel is 4, must be 1, 3 or 5");
        assert_eq!(residual(&|r| r.dilation = 9), "layers[2].dilation is 9, must be 1 to 8");
        assert!(residual(&|r| r.dilation = 0).contains("layers[2].dilation is 0"));
        let wide = |t: &mut LayerTable| {
            (t.stem.height, t.stem.width) = (2048, 2048);
            t.layers =
                vec![Layer::Residual(Residual { hidden: 17, kernel: 1, dilation: 1, activation: Nonlinearity::Sin })];
        };
        assert!(broken(&wide).contains("values in an activation"));
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
