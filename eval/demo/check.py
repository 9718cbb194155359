"""Shows what the demo's evaluators see: class shares, agreement with the truth, correlation with the true motion, and
distortions of the clip encoded again and of its mean frame; the correlation also on drives that training never saw.
Figures as Markdown tables on stdout:

    python check.py --clip ../../assets/demo.mkv --truth ../work/demo.npz --evaluators ../../assets --out ../work/demo.md
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import drive
import numpy as np
import onnxruntime
import torch
from evaluators import known_truth, stretch
from preprocess import clip_inputs, resize, rgb_frames, yuv6


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(evaluator, inputs, batch=8):
    """The evaluator's only output over all inputs [n, ...]."""
    name = evaluator.get_inputs()[0].name
    return [row for part in inputs.split(batch) for row in evaluator.run(None, {name: part.numpy()})[0]]


class Evaluators:
    """Both evaluators; `see` gives class maps [n, h, w] of frames and poses [n - 1, 12] of consecutive pairs."""

    def __init__(self, folder):
        self.segnet, self.posenet = session(folder / "segnet-demo.onnx"), session(folder / "posenet-demo.onnx")

    def see(self, frames):
        classes = np.concatenate([np.argmax(run(self.segnet, part), 1).astype(np.uint8) for part in frames.split(16)])
        planes = yuv6(frames)
        return classes, np.array(run(self.posenet, torch.cat([planes[:-1], planes[1:]], 1)))


def distortion(reference, other):
    """SegNet and PoseNet distortion over the samples (0,1), (2,3), ... (SegNet sees the second frame of each)."""
    (classes, poses), (others, turned) = reference, other
    pairs = len(classes) // 2 * 2
    return (np.mean(classes[1:pairs:2] != others[1:pairs:2]), np.mean((poses[0:pairs:2, :6] - turned[0:pairs:2, :6]) ** 2))


def psnr(clip, other):
    """PSNR in dB over all pixels and frames of the RGB a clip decodes to; `other` yields frames."""
    error = [torch.mean((a - b) ** 2).item() for a, b in zip(rgb_frames(clip), other)]
    return 10 * np.log10(255**2 / np.mean(error))


def encoded(clip, crf):
    """The clip encoded again by x265 medium at a CRF."""
    path = Path(tempfile.gettempdir()) / f"{clip.stem}-crf{crf}.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-c:v", "libx265", "-crf", str(crf), "-x265-params", "log-level=error",
                    str(path)], check=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--evaluators", type=Path, required=True, help="folder of the two ONNX files")
    parser.add_argument("--unseen", type=int, default=16, help="unseen drives, nine frames of each")
    parser.add_argument("--out", type=Path, required=True, help="the Markdown file to write")
    args = parser.parse_args()
    torch.set_num_threads(2)
    evaluators, (labels, motion) = Evaluators(args.evaluators), known_truth(args.truth)

    frames = clip_inputs(args.clip)
    classes, poses = reference = evaluators.see(frames)
    lines = [f"Agreement of the class maps with the truth: {np.mean(classes == labels):.2%} of the pixels.", "",
             "| class | share (true) | share (predicted) | intersection over union |", "|---|---:|---:|---:|"]
    for k, name in enumerate(drive.CLASSES):
        true, seen = labels == k, classes == k
        lines.append(f"| {name} | {true.mean():.1%} | {seen.mean():.1%} | {(true & seen).sum() / (true | seen).sum():.3f} |")

    unseen = [stretch(seed) for seed in range(5000, 5000 + args.unseen)]
    unseen_motion = np.concatenate([motion for _, _, motion in unseen])
    seen = [evaluators.see(torch.from_numpy(views).float()) for views, _, _ in unseen]
    unseen_poses = np.concatenate([pose for _, pose in seen])
    unseen_share = np.mean([np.mean(found == true) for (found, _), (_, true, _) in zip(seen, unseen)])
    lines += ["", f"On {args.unseen} unseen drives the class maps agree by {unseen_share:.2%}."]
    lines += ["", "| motion of a pair | unit | standard deviation | correlation, all pairs | samples alone | unseen drives |", "|---|---|---:|---:|---:|---:|"]
    for k, name in enumerate(drive.MOTION):
        unit, scale = ("degrees", 180 / np.pi) if k < 3 else ("metres", 1)
        every, samples = (np.corrcoef(motion[::step, k], poses[::step, k])[0, 1] for step in (1, 2))
        other = np.corrcoef(unseen_motion[:, k], unseen_poses[:, k])[0, 1]
        lines.append(f"| {name} | {unit} | {scale * motion[:, k].std():.3f} | {every:.3f} | {samples:.3f} | {other:.3f} |")

    lines += ["", "| instead of the clip | bytes | PSNR, dB | SegNet distortion | PoseNet distortion |", "|---|---:|---:|---:|---:|"]
    for crf in (30, 40, 50):
        path = encoded(args.clip, crf)
        seg, pose = distortion(reference, evaluators.see(clip_inputs(path)))
        lines.append(f"| x265 CRF {crf} | {path.stat().st_size:,} | {psnr(args.clip, rgb_frames(path)):.2f} | {seg:.5f} | {pose:.5f} |")
        path.unlink()
    mean = sum(rgb_frames(args.clip)) / len(frames)
    seg, pose = distortion(reference, evaluators.see(resize(mean.round()[None]).repeat(len(frames), 1, 1, 1)))
    lines.append(f"| the mean frame | | {psnr(args.clip, iter([mean.round()] * len(frames))):.2f} | {seg:.5f} | {pose:.5f} |")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
