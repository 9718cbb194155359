//! What a convolution looks like.

/// One of the tensors that a convolution's input is concatenated from, along the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSource {
    /// Number of channels.
    pub channels: usize,
    /// Every value is repeated this many times in both directions (nearest-neighbour upsampling); 1 for none.
    pub upsample: usize,
}

/// What a convolution looks like. Zero padding; sizes in the order rows, columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// What the input is concatenated from.
    pub sources: Vec<ConvSource>,
    /// Channels of the result.
    pub outputs: usize,
    /// Size of the kernel.
    pub kernel: [usize; 2],
    /// Distance between the places where the kernel is applied.
    pub stride: [usize; 2],
    /// Rows of zeros above, columns left, rows below, columns right.
    pub padding: [usize; 4],
    /// Distance between the kernel's elements.
    pub dilation: [usize; 2],
    /// Groups of channels that do not mix; divides the channels of input and result.
    pub groups: usize,
}

impl ConvShape {
    /// A square kernel in the middle of its padding, with one stride both ways and no dilation: `stride` 1 keeps the size.
    pub fn centred(sources: Vec<ConvSource>, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Self {
        Self {
            sources,
            outputs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            dilation: [1; 2],
            groups,
        }
    }

    /// Rows and columns of the result, for those of the concatenated (upsampled) input; none where the kernel does not fit.
    pub fn output_size(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let padded = size[axis].checked_add(self.padding[axis])?.checked_add(self.padding[axis + 2])?;
            let span = self.kernel[axis].checked_sub(1)?.checked_mul(self.dilation[axis])?;
            padded.checked_sub(span)?.checked_sub(1)?.checked_div(self.stride[axis])?.checked_add(1)
        };
        Some([along(0)?, along(1)?])
    }

    /// Channels of the concatenated input.
    pub(super) fn inputs(&self) -> usize {
        self.sources.iter().map(|source| source.channels).sum()
    }

    /// True where a pixel of the result depends on that pixel of the sources alone.
    pub(super) fn is_pointwise(&self) -> bool {
        let upsampled = self.sources.iter().any(|source| source.upsample != 1);
        self.kernel == [1; 2] && self.stride == [1; 2] && self.padding == [0; 4] && !upsampled
    }
}
