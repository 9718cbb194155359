//! Windows that slide over rows and columns.

use super::call::{Call, Value};
use super::fault::Result;
use ops::frozen::elements;
use ops::frozen::{Binary, Conv, ConvShape, ConvSource, Op, Reduction};

/// Where windows are.
struct Windows {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Above, left, below, right, as far as windows reach.
    padding: [usize; 4],
    /// The same as the file says it.
    declared: [usize; 4],
}

impl Windows {
    fn is_symmetric(&self) -> bool {
        self.padding[..2] == self.padding[2..]
    }
}

impl Call<'_> {
    /// Two numbers of an attribute, rows and columns.
    pub(super) fn two(&self, name: &str) -> Result<Option<[usize; 2]>> {
        let Some(list) = self.int_list(name).filter(|list| !list.is_empty()) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = list.iter().map(|&value| usize::try_from(value).ok()).collect();
        let sizes = sizes.and_then(|sizes| <[usize; 2]>::try_from(sizes).ok());
        sizes.map(Some).ok_or_else(|| format!("{name} of {list:?}; only rows and columns are supported").into())
    }

    /// The windows over inputs of `size` that the attributes say.
    fn windows(&self, size: [usize; 2], kernel: Option<[usize; 2]>) -> Result<Windows> {
        let kernel = self.two("kernel_shape")?.or(kernel).ok_or("it has no kernel_shape")?;
        let stride = self.two("strides")?.unwrap_or([1, 1]);
        let dilation = self.two("dilations")?.unwrap_or([1, 1]);
        if kernel.iter().chain(&stride).chain(&dilation).any(|&value| value == 0) {
            return Err("a kernel, stride or dilation of 0".into());
        }
        let pads = self.int_list("pads").filter(|pads| !pads.is_empty()).unwrap_or_else(|| vec![0; 4]);
        let sizes: Option<Vec<usize>> = pads.iter().map(|&pad| usize::try_from(pad).ok()).collect();
        let declared = sizes.and_then(|sizes| <[usize; 4]>::try_from(sizes).ok());
        let mut declared = declared.ok_or_else(|| format!("pads of {pads:?} are not supported"))?;
        let mut padding = declared;
        for axis in 0..2 {
            let span = (kernel[axis] - 1).checked_mul(dilation[axis]).and_then(|span| span.checked_add(1));
            let span = span.filter(|&span| elements(&[span]).is_some()).ok_or("its kernel is too large")?;
            match self.text("auto_pad") {
                "" | "NOTSET" => {
                    let padded =
                        declared[axis].checked_add(declared[axis + 2]).and_then(|pad| pad.checked_add(size[axis]));
                    let padded =
                        padded.filter(|&padded| elements(&[padded]).is_some()).ok_or("its pads are too large")?;
                    if self.int("ceil_mode", 0) != 0 && padded >= span {
                        // Windows may reach beyond the pads, but must begin before the pads at the end.
                        let mut last = (padded - span).div_ceil(stride[axis]) * stride[axis];
                        if last >= size[axis] + declared[axis] {
                            last -= stride[axis];
                        }
                        padding[axis + 2] = (last + span).saturating_sub(size[axis] + declared[axis]);
                    }
                }
                "VALID" => {
                    (padding[axis], padding[axis + 2]) = (0, 0);
                    (declared[axis], declared[axis + 2]) = (0, 0);
                }
                mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                    let last = (size[axis].div_ceil(stride[axis]).max(1) - 1) * stride[axis];
                    let total = (last + span).saturating_sub(size[axis]);
                    let less = total / 2;
                    let pair = if mode == "SAME_UPPER" { (less, total - less) } else { (total - less, less) };
                    (padding[axis], padding[axis + 2]) = pair;
                    (declared[axis], declared[axis + 2]) = pair;
                }
                mode => return Err(format!("auto_pad '{mode}' is not supported").into()),
            }
        }
        Ok(Windows { kernel, stride, dilation, padding, declared })
    }

    pub(super) fn conv(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let [_, channels, rows, columns] = self.image(&x)?;
        let weight = self.constant_input(1)?.ok_or("it has no weight")?;
        let &[outputs, _, kernel_rows, kernel_columns] = weight.shape.as_slice() else {
            return Err(format!("a weight of {:?}", weight.shape).into());
        };
        let windows = self.windows([rows, columns], Some([kernel_rows, kernel_columns]))?;
        let groups = usize::try_from(self.int("group", 1)).ok().filter(|&groups| groups > 0).ok_or("no groups")?;
        if weight.shape[2..] != windows.kernel || channels / groups != weight.shape[1] {
            return Err(
                format!("a weight of {:?} does not fit {channels} channels in {groups} groups", weight.shape).into()
            );
        }
        let bias = self.floats(2)?.unwrap_or_else(|| vec![0.0; outputs]);
        let Windows { kernel, stride, dilation, padding, .. } = windows;
        let sources = vec![ConvSource { channels, upsample: 1 }];
        let shape = ConvShape { sources, outputs, kernel, stride, padding, dilation, groups };
        let conv = Conv { shape, weight: self.floats(1)?.unwrap_or_default(), bias, activation: None };
        self.emit(Op::Conv(Box::new(conv)), vec![x])
    }

    pub(super) fn max_pool(&mut self) -> Result<Value> {
        let mut x = self.input(0)?;
        let [_, _, rows, columns] = self.image(&x)?;
        let windows = self.windows([rows, columns], None)?;
        let Windows { kernel, stride, dilation, .. } = windows;
        let mut padding = [windows.padding[0], windows.padding[1]];
        if !windows.is_symmetric() || (0..2).any(|axis| 2 * padding[axis] > kernel[axis]) {
            let [above, left, below, right] = windows.padding;
            let (before, after) = (vec![0, 0, above, left], vec![0, 0, below, right]);
            x = self.emit(Op::Pad { before, after, value: f32::NEG_INFINITY }, vec![x])?;
            padding = [0, 0];
        }
        self.emit(Op::MaxPool { kernel, stride, padding, dilation }, vec![x])
    }

    /// A convolution with the same weight everywhere; where windows reach beyond what counts, scaled to what they hold.
    pub(super) fn average_pool(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let [_, channels, rows, columns] = self.image(&x)?;
        let windows = self.windows([rows, columns], None)?;
        let Windows { kernel, stride, dilation, padding, declared } = windows;
        let count = elements(&[channels, kernel[0], kernel[1]]).ok_or("its kernel is too large")? / channels.max(1);
        let sources = vec![ConvSource { channels, upsample: 1 }];
        let shape = ConvShape { sources, outputs: channels, kernel, stride, padding, dilation, groups: channels };
        let size = shape.output_size([rows, columns]).ok_or("its kernel is larger than its input")?;
        let pads_count = self.int("count_include_pad", 0) != 0;
        let held = |axis: usize, size: usize, along: usize| -> Vec<usize> {
            let begin = if pads_count { 0 } else { padding[axis] };
            let end = size + padding[axis] + if pads_count { declared[axis + 2] } else { 0 };
            let held = |at: usize| {
                (0..kernel[axis]).filter(move |i| (begin..end).contains(&(at * stride[axis] + i * dilation[axis])))
            };
            (0..along).map(|at| held(at).count().max(1)).collect()
        };
        let (down, across) = (held(0, rows, size[0]), held(1, columns, size[1]));
        let weight = vec![1.0 / count as f32; channels * count];
        let conv = Conv { shape, weight, bias: vec![0.0; channels], activation: None };
        let average = self.emit(Op::Conv(Box::new(conv)), vec![x])?;
        if down.iter().all(|&held| held == kernel[0]) && across.iter().all(|&held| held == kernel[1]) {
            return Ok(average);
        }
        let scales =
            down.iter().flat_map(|down| across.iter().map(move |across| count as f32 / (down * across) as f32));
        let scales = self.float_constant(vec![1, 1, size[0], size[1]], scales.collect())?;
        self.combine(Binary::Mul, average, scales)
    }

    pub(super) fn global_average_pool(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let axes = (2..self.shape(&x).len()).collect();
        self.emit(Op::Reduce { reduction: Reduction::Mean, axes }, vec![x])
    }
}
