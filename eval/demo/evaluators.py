"""Trains the demo's two evaluators on the procedural drive and exports them to ONNX.

SegNet-style: image [n, 3, 384, 512] in 0..255 -> logits [n, 6, 384, 512] over drive.CLASSES. PoseNet-style: yuv6_pair
[n, 12, 192, 256] in 0..255 -> pose [n, 12]: drive.MOTION in units of its standard deviation, then six log variances.
They learn from the demo clip as decoded and, so that they do not merely know it by heart, from short stretches of other
seeds' drives rendered at the evaluators' size. Needs drive.py's clip and truth; a few minutes on two cores:

    python evaluators.py --clip ../../assets/demo.mkv --truth ../work/demo.npz --data ../work/stretches.npz --out ../../assets
"""

import argparse
import time
from multiprocessing import get_context
from pathlib import Path

import drive
import numpy as np
import onnx
import torch
import torch.nn.functional as F
from preprocess import SIZE, clip_inputs, yuv6
from torch import nn

STRETCH = 9
"""Frames in one stretch of another seed's drive."""
FOOTPRINT = 0.6
"""A sample's footprint, in evaluator pixels, when rendered at their size: the clip is resized without antialiasing."""


def stretch(seed):
    """Frames uint8 [STRETCH, 3, h, w], class maps [STRETCH, h, w], motion [STRETCH - 1, 6] from somewhere in a seed's drive."""
    start = int(np.random.default_rng(seed).integers(0, 100))
    course = drive.Drive(seed, start + STRETCH)
    views = [course.render(f, SIZE[1], SIZE[0], FOOTPRINT) for f in range(start, start + STRETCH)]
    frames = np.stack([image.transpose(2, 0, 1) for image, _ in views])
    return frames, np.stack([labels for _, labels in views]), course.motion()[start:]


def known_truth(truth):
    """The clip's class maps at the evaluators' size [n, h, w] and the motion of its pairs [n - 1, 6]."""
    known = np.load(truth)
    rows = ((np.arange(SIZE[0]) + 0.5) * drive.HEIGHT / SIZE[0]).astype(int)
    columns = ((np.arange(SIZE[1]) + 0.5) * drive.WIDTH / SIZE[1]).astype(int)
    return known["classes"][:, rows][:, :, columns], known["motion"]


def training_data(clip, truth, seeds, workers):
    """Frames uint8 [n, 3, h, w], class maps uint8 [n, h, w], motion [pairs, 6] and the pairs' first frames [pairs]."""
    labels, motion = known_truth(truth)
    frames, labels, motion = [clip_inputs(clip).round().to(torch.uint8).numpy()], [labels], [motion]
    with get_context("spawn").Pool(workers) as pool:
        for more in pool.imap(stretch, range(1000, 1000 + seeds)):
            for kept, new in zip((frames, labels, motion), more):
                kept.append(new)
    ends = np.cumsum([len(part) for part in frames]) - 1
    first = np.setdiff1d(np.arange(ends[-1]), ends)
    return {"frames": np.concatenate(frames), "labels": np.concatenate(labels), "motion": np.concatenate(motion), "first": first}


class Unit(nn.Module):
    """Convolution, batch normalisation (folded away by `fold`), ReLU."""

    def __init__(self, c_in, c_out, size=3, stride=1, groups=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, size, stride, size // 2, groups=groups, bias=False)
        self.norm, self.act = nn.BatchNorm2d(c_out), act

    def forward(self, x):
        x = self.norm(self.conv(x))
        return F.relu(x) if self.act else x

    def fold(self):
        self.conv = torch.nn.utils.fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


def separable(c_in, c_out, stride=1):
    """A depthwise 3x3 and a pointwise convolution."""
    return nn.Sequential(Unit(c_in, c_in, 3, stride, c_in, act=False), Unit(c_in, c_out, 1))


class SegNet(nn.Module):
    """A small U-Net of separable convolutions behind a stem of stride 2; bilinear back to full resolution."""

    def __init__(self, classes, widths=(16, 24, 40, 64, 96)):
        super().__init__()
        self.stem = Unit(3, widths[0], 3, 2)
        self.down = nn.ModuleList(nn.Sequential(separable(a, b, 2), separable(b, b)) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(separable(b + a, a) for a, b in zip(widths, widths[1:]))
        self.head = nn.Conv2d(widths[0], classes, 3, padding=1)

    def forward(self, image):
        x = self.stem((image - 128) / 64)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up, skip in zip(reversed(self.up), reversed(skips)):
            x = up(torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), skip], 1))
        return F.interpolate(self.head(x), scale_factor=2, mode="bilinear", align_corners=False)


class PoseNet(nn.Module):
    """Strided convolutions on both frames at once, then a dense layer that keeps where in the view things moved."""

    def __init__(self, widths=(32, 40, 56, 64, 64)):
        super().__init__()
        layers = [Unit(12, widths[0], 5, 2)]
        for a, b in zip(widths, widths[1:]):
            layers.append(Unit(a, b, 3, 2))
        self.features = nn.Sequential(*layers, Unit(widths[-1], 20, 1), nn.Flatten())
        self.dense = nn.Linear(20 * 6 * 8, 56)
        self.pose = nn.Linear(56, 12)

    def forward(self, yuv6_pair):
        return self.pose(F.relu(self.dense(self.features((yuv6_pair - 128) / 64))))


def mirror(flip, *tensors):
    """Flip the samples chosen by `flip` left to right."""
    return [torch.where(flip.view(-1, *[1] * (t.dim() - 1)), t.flip(-1), t) for t in tensors]


def segmentation_loss(net, data, pick, rng):
    """Cross-entropy on windows of full height and half the width."""
    at = int(torch.randint(0, SIZE[1] // 2 + 1, (), generator=rng))
    frames, labels = (data[key][pick][..., at : at + SIZE[1] // 2] for key in ("frames", "labels"))
    frames, labels = mirror(torch.rand(len(pick), generator=rng) < 0.5, frames, labels)
    return F.cross_entropy(net(jitter(frames.float(), rng)), labels.long())


def pose_loss(net, data, pick, rng):
    """Mean square error of the pose, and a little of the likelihood that the variances are for."""
    first = data["first"][pick]
    pair = torch.cat([data["frames"][first], data["frames"][first + 1]], 1)
    flip = torch.rand(len(pick), generator=rng) < 0.5
    (pair,) = mirror(flip, pair)
    sign = torch.where(flip[:, None], torch.tensor([-1.0, 1, -1, 1, -1, 1]), torch.ones(6))
    target = (data["motion"][pick] * sign - data["mean"]) / data["std"]
    pair = jitter(pair.float(), rng)
    out = net(torch.cat([yuv6(pair[:, :3]), yuv6(pair[:, 3:])], 1))
    error = (out[:, :6] - target) ** 2
    likelihood = error.detach() * torch.exp(-out[:, 6:]) + out[:, 6:]
    return error.mean() + 0.02 * likelihood.mean()


def jitter(frames, rng):
    """Each sample brighter or darker by up to 8 %."""
    gain = 0.92 + 0.16 * torch.rand(len(frames), 1, 1, 1, generator=rng)
    return (frames * gain).clamp(0, 255)


def fit(net, loss_of, data, samples, epochs, batch, rate, seed):
    """AdamW with one cosine cycle over all samples."""
    rng = torch.Generator().manual_seed(seed)
    net.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=0.01)
    steps = -(-samples // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps, pct_start=0.15)
    start = time.time()
    for epoch in range(epochs):
        total = 0.0
        for pick in torch.randperm(samples, generator=rng).split(batch):
            loss = loss_of(net, data, pick, rng)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(pick) / samples
        print(f"{type(net).__name__} epoch {epoch + 1}/{epochs}: loss {total:.4f}, {time.time() - start:.0f} s", flush=True)


def export(net, shape, path, names):
    """One ONNX file, batch dimension n, batch normalisation folded."""
    net.eval()
    for module in net.modules():
        if isinstance(module, Unit):
            module.fold()
    batch = torch.export.Dim("n")
    torch.onnx.export(net, (torch.rand(2, *shape) * 255,), str(path), input_names=[names[0]], output_names=[names[1]], opset_version=18,
                      dynamo=True, dynamic_shapes=({0: batch},), external_data=False, verbose=False)
    tidy(path)
    parameters = sum(p.numel() for p in net.parameters())
    print(f"{path}: {parameters} parameters, {path.stat().st_size} bytes")


def tidy(path):
    """Keep the graph alone: the exporter also stores source lines and paths of the machine it ran on."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    model.graph.ClearField("value_info")
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="drive.py's clip")
    parser.add_argument("--truth", type=Path, required=True, help="drive.py's class maps and motion (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder for segnet-demo.onnx and posenet-demo.onnx")
    parser.add_argument("--data", type=Path, required=True, help="rendered training frames (.npz, 1 GB), made when absent")
    parser.add_argument("--seeds", type=int, default=130, help="other drives to learn from")
    parser.add_argument("--only", choices=("segnet", "posenet"), help="train one of the two")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)

    if not args.data.exists():
        np.savez(args.data, **training_data(args.clip, args.truth, args.seeds, args.threads))
    data = {name: torch.from_numpy(array) for name, array in np.load(args.data).items()}
    data["motion"] = data["motion"].float()
    # The sideways components average to nothing once views are mirrored, so only the others have a mean to take off.
    data["mean"] = data["motion"].mean(0) * torch.tensor([0.0, 1, 0, 1, 0, 1])
    data["std"] = data["motion"].std(0)
    print(f"{len(data['frames'])} frames, {len(data['first'])} pairs", flush=True)

    if args.only != "posenet":
        torch.manual_seed(1)
        net = SegNet(len(drive.CLASSES))
        fit(net, segmentation_loss, data, len(data["frames"]), epochs=4, batch=8, rate=6e-3, seed=1)
        export(net, (3, *SIZE), args.out / "segnet-demo.onnx", ("image", "logits"))
    if args.only != "segnet":
        torch.manual_seed(2)
        net = PoseNet()
        fit(net, pose_loss, data, len(data["first"]), epochs=24, batch=16, rate=3e-3, seed=2)
        export(net, (12, SIZE[0] // 2, SIZE[1] // 2), args.out / "posenet-demo.onnx", ("yuv6_pair", "pose"))


if __name__ == "__main__":
    main()
