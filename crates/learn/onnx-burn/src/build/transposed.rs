//! Convolutions the other way round, and channels as pixels.

use super::call::{Call, Value};
use super::fault::Result;
use ops::frozen::elements;
use ops::frozen::{Conv, ConvShape, ConvSource, Op};

/// How a transposed convolution runs along one axis.
///
/// Where the stride is s, every s-th element of the result sees the same elements of the kernel. So each of the s phases is a
/// convolution of its own, with the s-th part of the kernel, and none reads the zeros that the textbook puts between the input's
/// elements.
struct Axis {
    stride: usize,
    dilation: usize,
    /// Elements of the kernel that one phase has, the largest one.
    taps: usize,
    /// Zeros before and after the input.
    padding: [usize; 2],
    /// What of the phases put together is the result: the first one, and how many.
    start: usize,
    size: usize,
}

impl Axis {
    /// The phase that an element of the kernel belongs to, and its place there.
    fn place(&self, element: usize) -> (usize, usize) {
        let at = element * self.dilation;
        (at % self.stride, self.taps - 1 - at / self.stride)
    }
}

impl Call<'_> {
    /// Along `axis` (0 for rows) over `size` elements.
    fn transposed_axis(&self, axis: usize, size: usize, kernel: usize) -> Result<Axis> {
        let number = |name: &str, default| -> Result<usize> { Ok(self.two(name)?.map_or(default, |two| two[axis])) };
        let (stride, dilation, more) = (number("strides", 1)?, number("dilations", 1)?, number("output_padding", 0)?);
        if [size, kernel, stride, dilation].contains(&0) {
            return Err("a kernel, stride or dilation of 0".into());
        }
        let known = |count: Option<usize>| count.filter(|&count| elements(&[count]).is_some());
        let reach = known((kernel - 1).checked_mul(dilation)).ok_or("its kernel is too large")?;
        let spread = known((size - 1).checked_mul(stride).and_then(|spread| spread.checked_add(reach + 1)));
        let whole = known(spread.and_then(|spread| spread.checked_add(more))).ok_or("its result is too large")?;
        let same = known(size.checked_mul(stride)).ok_or("its result is too large")?;
        let given = self.int_list("output_shape").filter(|list| !list.is_empty());
        let given = given.map(|list| list.get((list.len().max(2) - 2) + axis).copied().unwrap_or_default());
        let mode = self.text("auto_pad");
        // The pads that bring the result to a size.
        let fitted = |size: usize| {
            let total = whole.saturating_sub(size);
            if mode == "SAME_UPPER" { total / 2 } else { total - total / 2 }
        };
        let (before, size_after) = match (given, mode) {
            (Some(given), _) => {
                let given = known(usize::try_from(given).ok()).ok_or_else(|| format!("an output_shape of {given}"))?;
                (fitted(given), given)
            }
            (None, "SAME_UPPER" | "SAME_LOWER") => (fitted(same), same.min(whole)),
            (None, "VALID") => (0, whole),
            (None, "" | "NOTSET") => {
                let pads = self.int_list("pads").filter(|pads| !pads.is_empty()).unwrap_or_else(|| vec![0; 4]);
                let pad = |index: usize| pads.get(index).and_then(|&pad| usize::try_from(pad).ok());
                let (before, after) = pad(axis)
                    .zip(pad(axis + 2))
                    .filter(|_| pads.len() == 4)
                    .ok_or_else(|| format!("pads of {pads:?} are not supported"))?;
                let left = whole.checked_sub(before).and_then(|left| left.checked_sub(after));
                (before, left.ok_or("its pads leave nothing")?)
            }
            (None, mode) => return Err(format!("auto_pad '{mode}' is not supported").into()),
        };
        let taps = reach / stride + 1;
        // Whole strides before the result are left out, as far as the zeros before the input go.
        let skipped = (before / stride).min(taps - 1);
        let count = known(before.checked_add(size_after)).ok_or("its result is too large")?.div_ceil(stride) - skipped;
        let padding = [taps - 1 - skipped, (count + skipped).saturating_sub(size)];
        Ok(Axis { stride, dilation, taps, padding, start: before - skipped * stride, size: size_after })
    }

    /// A convolution with the phases of the result as channels, which are then put side by side.
    pub(super) fn conv_transpose(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let [_, channels, rows, columns] = self.image(&x)?;
        let weight = self.constant_input(1)?.ok_or("it has no weight")?;
        let misfit = || format!("a weight of {:?} does not fit {channels} channels", weight.shape);
        let &[inputs, per_group, kernel_rows, kernel_columns] = weight.shape.as_slice() else {
            return Err(misfit().into());
        };
        let groups = usize::try_from(self.int("group", 1)).ok().filter(|&groups| groups > 0).ok_or("no groups")?;
        let kernel = [kernel_rows, kernel_columns];
        if inputs != channels
            || !channels.is_multiple_of(groups)
            || self.two("kernel_shape")?.is_some_and(|k| k != kernel)
        {
            return Err(misfit().into());
        }
        let outputs = elements(&[per_group, groups]).filter(|&outputs| outputs > 0).ok_or_else(misfit)?;
        let down = self.transposed_axis(0, rows, kernel[0])?;
        let across = self.transposed_axis(1, columns, kernel[1])?;
        let (stride, taps) = ([down.stride, across.stride], [down.taps, across.taps]);
        let all = elements(&[outputs, stride[0], stride[1]]).ok_or("its stride is too large")?;
        let group_inputs = channels / groups;
        let count = elements(&[all, group_inputs, taps[0], taps[1]]).ok_or("its kernel is too large")?;
        self.spend(count)?;
        let from = self.floats(1)?.unwrap_or_default();
        let mut phases = vec![0.0; count];
        for (at, value) in from.iter().enumerate() {
            let (column, row) = (at % kernel[1], at / kernel[1] % kernel[0]);
            let (output, input) = (at / (kernel[0] * kernel[1]) % per_group, at / (kernel[0] * kernel[1] * per_group));
            let output = input / group_inputs * per_group + output;
            let ((phase_row, row), (phase_column, column)) = (down.place(row), across.place(column));
            let output = (output * stride[0] + phase_row) * stride[1] + phase_column;
            phases[((output * group_inputs + input % group_inputs) * taps[0] + row) * taps[1] + column] = *value;
        }
        let bias = self.floats(2)?.unwrap_or_else(|| vec![0.0; outputs]);
        let bias = bias.iter().flat_map(|&bias| std::iter::repeat_n(bias, stride[0] * stride[1])).collect();
        let shape = ConvShape {
            sources: vec![ConvSource { channels, upsample: 1 }],
            outputs: all,
            kernel: taps,
            stride: [1, 1],
            padding: [down.padding[0], across.padding[0], down.padding[1], across.padding[1]],
            dilation: [1, 1],
            groups,
        };
        let conv = Conv { shape, weight: phases, bias, activation: None };
        let mut y = self.emit(Op::Conv(Box::new(conv)), vec![x])?;
        y = self.interleaved(y, stride)?;
        for (axis, Axis { start, size, .. }) in [(2, down), (3, across)] {
            if self.shape(&y)[axis] > size {
                y = self.emit(Op::Slice { axis, start, size }, vec![y])?;
            }
        }
        Ok(y)
    }

    /// Channels `[c, rows, columns]` as blocks of pixels.
    fn interleaved(&mut self, x: Value, [down, across]: [usize; 2]) -> Result<Value> {
        if [down, across] == [1, 1] {
            return Ok(x);
        }
        let [n, channels, rows, columns] = self.image(&x)?;
        let left = channels / (down * across);
        let split = self.reshaped(x, vec![n, left, down, across, rows, columns])?;
        let moved = self.emit(Op::Transpose { order: vec![0, 1, 4, 2, 5, 3] }, vec![split])?;
        self.reshaped(moved, vec![n, left, rows * down, columns * across])
    }

    fn block_size(&self) -> Result<usize> {
        let block = self.int("blocksize", 0);
        Ok(usize::try_from(block).ok().filter(|&b| b > 0).ok_or_else(|| format!("a blocksize of {block}"))?)
    }

    pub(super) fn depth_to_space(&mut self) -> Result<Value> {
        let (x, block) = (self.input(0)?, self.block_size()?);
        let [n, channels, rows, columns] = self.image(&x)?;
        let area = block.checked_mul(block).filter(|&area| channels.is_multiple_of(area));
        let left = channels / area.ok_or_else(|| format!("{channels} channels are no blocks of {block}x{block}"))?;
        match self.text("mode") {
            "CRD" => self.interleaved(x, [block; 2]),
            "" | "DCR" => {
                let split = self.reshaped(x, vec![n, block, block, left, rows, columns])?;
                let moved = self.emit(Op::Transpose { order: vec![0, 3, 4, 1, 5, 2] }, vec![split])?;
                self.reshaped(moved, vec![n, left, rows * block, columns * block])
            }
            mode => Err(format!("mode '{mode}' is not supported").into()),
        }
    }

    pub(super) fn space_to_depth(&mut self) -> Result<Value> {
        let (x, block) = (self.input(0)?, self.block_size()?);
        let [n, channels, rows, columns] = self.image(&x)?;
        if !rows.is_multiple_of(block) || !columns.is_multiple_of(block) {
            return Err(format!("{rows}x{columns} pixels are no blocks of {block}x{block}").into());
        }
        let (down, across) = (rows / block, columns / block);
        let split = self.reshaped(x, vec![n, channels, down, block, across, block])?;
        let moved = self.emit(Op::Transpose { order: vec![0, 3, 5, 1, 2, 4] }, vec![split])?;
        self.reshaped(moved, vec![n, channels * block * block, down, across])
    }
}
