"""A procedural drive: renders dashcam-like frames with their class maps and the camera's true motion.

A seed fixes everything: the road's curvature, the scenery, the traffic and the camera's smooth random motion. `Drive`
renders any frame at any size by meeting one ray per pixel with the ground plane and, inside their windows, with the
solid things beside and on the road. Run as a script it encodes the demo clip with the ffmpeg command line:

    python drive.py --out ../../assets/demo.mkv --truth ../work/demo.npz

World frame: x along the drive, y left, z up, metres. Angles: yaw to the left, pitch up, roll to the right, radians.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np
import solids
from solids import noise

WIDTH, HEIGHT, FPS, FOCAL = 1164, 874, 20, 910.0
CLASSES = ("road", "lane mark", "terrain", "sky", "roadside object", "vehicle")
ROAD, MARK, TERRAIN, SKY, OBJECT, VEHICLE = range(len(CLASSES))
MOTION = ("yaw", "pitch", "roll", "forward", "lateral", "vertical")
LANE = 3.6
EDGE = 1.5 * LANE + 0.9
HAZE = np.array([196.0, 208.0, 218.0])


def fractal(x, y, cell, width, octaves=3):
    """Octaves of value noise around 0, each faded out where the pixel's footprint `width` hides its cells."""
    total, weight = np.zeros_like(x), 1.0
    for _ in range(octaves):
        total += weight * np.clip(cell / (width + 1e-6) - 0.7, 0, 1) * (noise(x / cell, y / cell) - 0.5)
        cell, weight = cell * 0.41, weight * 0.75
    return total


def blend(image, colour, cover):
    """Paint `colour` over `image` where `cover` (0..1) says."""
    image += (colour - image) * cover[..., None]


class Sines:
    """A smooth random function of time within about [-1, 1]: three sines with random phases."""

    def __init__(self, rng, slow, fast):
        self.omega = 2 * np.pi * rng.uniform(slow, fast, 3)
        self.phase = rng.uniform(0, 2 * np.pi, 3)
        self.weight = np.array([0.5, 0.35, 0.25])

    def __call__(self, t):
        return np.sin(np.multiply.outer(t, self.omega) + self.phase) @ self.weight


class Road:
    """The centre line y = f(x) of three lanes: the oncoming one on the left, two of ours; gentle curves."""

    def __init__(self, rng):
        self.length = rng.uniform([170, 300], [240, 460])
        self.amplitude = np.array([0.15, 0.15]) * self.length / (2 * np.pi)
        self.phase = rng.uniform(0, 2 * np.pi, 2)

    def centre(self, x):
        return sum(a * np.sin(2 * np.pi * x / n + p) for a, n, p in zip(self.amplitude, self.length, self.phase))

    def heading(self, x):
        return np.arctan(sum(2 * np.pi / n * a * np.cos(2 * np.pi * x / n + p)
                             for a, n, p in zip(self.amplitude, self.length, self.phase)))

    def place(self, x, left):
        """The point `left` metres to the left of the centre line at x."""
        h = self.heading(x)
        return np.array([x - left * np.sin(h), self.centre(x) + left * np.cos(h)])


class Drive:
    """One seeded drive of `frames` frames."""

    def __init__(self, seed, frames=160):
        rng = np.random.default_rng(seed)
        self.frames, self.road = frames, Road(rng)
        fine = np.arange(frames * 10) / (10 * FPS)
        speed = 19 + 6.5 * Sines(rng, 0.12, 0.35)(fine)
        # Speed is along the road; its bends, of slope 0.1 or so, make it longer than its x by this cosine.
        ahead = np.concatenate([[0], np.cumsum(speed[:-1] / (10 * FPS) * np.cos(np.arctan(0.1)))])[::10]
        self.time = t = np.arange(frames) / FPS
        drift = 0.55 * Sines(rng, 0.15, 0.4)(t)
        self.position = np.stack([ahead, self.road.centre(ahead) + drift, 1.38 + 0.05 * Sines(rng, 0.8, 1.6)(t)], 1)
        heading = self.road.heading(ahead)
        lean = 0.6 * np.gradient(heading) * FPS * 0.15
        self.yaw = heading + np.radians(1.0) * Sines(rng, 0.25, 0.6)(t)
        self.pitch = np.radians(-0.6) + np.radians(0.9) * Sines(rng, 0.45, 1.3)(t)
        self.roll = np.radians(1.0) * Sines(rng, 0.3, 0.9)(t) + lean
        self.exposure = 1 + 0.06 * Sines(rng, 0.1, 0.3)(t)
        self.sun = np.array([rng.uniform(-0.6, 0.6), rng.choice([-1, 1]) * rng.uniform(0.4, 0.8), 0.75])
        self.sun /= np.linalg.norm(self.sun)
        self.grass = np.array([rng.uniform(108, 156), rng.uniform(116, 134), rng.uniform(58, 76)])
        self.zenith = np.array([rng.uniform(70, 100), rng.uniform(124, 146), rng.uniform(182, 204)])
        self.origin = rng.uniform(0, 200, 2)
        self.fixed = self._scenery(rng)
        self.traffic = self._traffic(rng)

    def motion(self):
        """True motion [frames - 1, 6] of each consecutive pair: three angles, then displacement in the first's heading."""
        step = np.diff(self.position, axis=0)
        c, s = np.cos(self.yaw[:-1]), np.sin(self.yaw[:-1])
        turn = [np.diff(a) for a in (self.yaw, self.pitch, self.roll)]
        return np.stack([*turn, c * step[:, 0] + s * step[:, 1], c * step[:, 1] - s * step[:, 0], step[:, 2]], 1)

    def _scenery(self, rng):
        things, end = [], self.position[-1, 0] + 330

        def put(thing, x, left, turn=0.0):
            thing.position, thing.heading = self.road.place(x, left), self.road.heading(x) + turn
            things.append(thing)

        for x in np.arange(4, end, 24):
            for side in (-1, 1):
                put(solids.post(OBJECT), x, side * (EDGE + 1.3))
        for x in np.arange(10, end, 45):
            put(solids.pole(OBJECT), x, -EDGE - 6.5)
        for x in np.arange(60, end, 130):
            put(solids.sign(rng, OBJECT), x + rng.uniform(0, 50), -EDGE - 3.6)
        for x in np.arange(0, end, 3.2):
            side = rng.choice([-1, 1])
            dense = noise(np.array([x / 35 + self.origin[0]]), np.array([10.0 * side]))[0]
            if rng.random() < 0.25 + dense:
                put(solids.tree(rng, OBJECT), x, side * (EDGE + rng.uniform(5, 9) + 40 * rng.random() ** 2.5))
        for x in np.arange(20, end, 48):
            put(solids.house(rng, OBJECT), x + rng.uniform(0, 20), rng.choice([-1, 1]) * rng.uniform(22, 38), rng.uniform(-0.3, 0.3))
        return things

    def _traffic(self, rng):
        """Vehicles as (solid, x of each frame, metres left of the centre line)."""
        ahead = self.position[:, 0]
        lead = ahead + 15 + 4 * Sines(rng, 0.08, 0.2)(self.time)
        slow = [26 + 46 * k + rng.uniform(0, 12) + 14.5 * self.time for k in range(5)]
        oncoming = [30 + 62 * k + rng.uniform(0, 25) - 17 * self.time for k in range(9)]
        traffic = [(solids.car(rng, VEHICLE), lead, 0.25 * Sines(rng, 0.1, 0.3)(self.time))]
        for k, x in enumerate(slow):
            traffic.append(((solids.truck if k % 2 else solids.car)(rng, VEHICLE), x, np.full(self.frames, -LANE)))
        for x in oncoming:
            traffic.append(((solids.car if rng.random() < 0.75 else solids.truck)(rng, VEHICLE), x, np.full(self.frames, LANE)))
        return traffic

    def render(self, frame, width=WIDTH, height=HEIGHT, spread=1.0):
        """RGB uint8 and class map uint8 [height, width] of a frame; `spread`: side of a sample's footprint in pixels."""
        return View(self, frame, width, height, spread).render()


class View:
    """The camera at one frame of a drive."""

    def __init__(self, drive, frame, width, height, spread):
        self.drive, self.frame, self.width, self.height, self.spread = drive, frame, width, height, spread
        self.origin = drive.position[frame]
        yaw, pitch, roll = drive.yaw[frame], drive.pitch[frame], drive.roll[frame]
        cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        self.rotation = (np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
                         @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]]))
        self.scale = np.array([WIDTH / width, HEIGHT / height])

    def rays(self, columns, rows):
        """World directions [..., 3] through pixel positions (pixel centres at .5)."""
        left = (WIDTH / 2 - columns * self.scale[0]) / FOCAL
        up = (HEIGHT / 2 - rows * self.scale[1]) / FOCAL
        return np.stack([np.ones_like(left), left, up], -1) @ self.rotation.T

    def window(self, place, radius, height):
        """Slices (rows, columns) of the pixels that an upright cylinder may cover; None if out of sight."""
        corners = np.array([[x, y, z] for x in (-radius, radius) for y in (-radius, radius) for z in (0, height)])
        p = (corners + [*place, 0] - self.origin) @ self.rotation
        if p[:, 0].max() < 1:
            return None
        ahead = np.maximum(p[:, :1], 0.5)
        spots = (np.array([WIDTH / 2, HEIGHT / 2]) - FOCAL * p[:, 1:] / ahead) / self.scale
        low = np.maximum(np.floor(spots.min(0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(spots.max(0)).astype(int) + 1, [self.width, self.height])
        return (slice(low[1], high[1]), slice(low[0], high[0])) if (low < high).all() else None

    def render(self):
        drive, frame = self.drive, self.frame
        for solid, x, left in drive.traffic:
            solid.position = drive.road.place(x[frame], left[frame])
            solid.heading = drive.road.heading(x[frame]) + np.pi * (x[-1] < x[0])
        things = drive.fixed + [solid for solid, _, _ in drive.traffic]
        things = [(np.hypot(*(s.position - self.origin[:2])), s) for s in things]
        things = sorted((t for t in things if t[0] < 320), key=lambda t: -t[0])

        rays = self.rays(*np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)).astype(np.float32)
        image, labels = self.sky(rays)
        self.ground(rays, image, labels, things)
        for distance, solid in things:
            self.solid(solid, distance, image, labels)
        column, row = np.meshgrid(np.linspace(-1, 1, self.width), np.linspace(-1, 1, self.height))
        image *= (drive.exposure[frame] * (1 - 0.1 * (column**2 + row**2)))[..., None]
        return np.clip(np.rint(image), 0, 255).astype(np.uint8), labels

    def sky(self, rays):
        """Sky with clouds on a far plane, then two ranges of hills."""
        drive = self.drive
        slope = rays[..., 2] / np.hypot(rays[..., 0], rays[..., 1])
        height = np.clip(slope, 0.004, None)
        rise = np.clip(height / 0.5, 0, 1) ** 0.55
        image = (HAZE + 14) * (1 - rise[..., None]) + drive.zenith * rise[..., None]
        azimuth = np.arctan2(rays[..., 1], rays[..., 0])
        far = 1 / (height + 0.12)
        x, y = far * np.cos(azimuth) * 2 + drive.origin[0] + 0.02 * drive.time[self.frame], far * np.sin(azimuth) * 2 + drive.origin[1]
        cloud = 0.55 * noise(x * 0.6, y * 0.6) + 0.3 * noise(x * 1.7, y * 1.7) + 0.15 * noise(x * 4.5, y * 4.5)
        blend(image, np.array([246.0, 246.0, 244.0]), np.clip((cloud - 0.52) * 3.2, 0, 0.85) * np.clip(height * 9, 0, 1))
        labels = np.full(slope.shape, SKY, np.uint8)
        pixel = self.scale[0] * self.spread / FOCAL
        for base, swing, rate, colour in ((0.022, 0.07, 5.0, (122, 142, 160)), (0.012, 0.030, 17.0, (96, 116, 98))):
            top = base + swing * sum(w * noise(azimuth * rate * k + drive.origin[0] + 3 * k, np.full_like(azimuth, rate))
                                     for k, w in ((1, 0.6), (2.7, 0.28), (8, 0.12)))
            cover = np.clip((top - slope) / pixel + 0.5, 0, 1)
            tone = 0.93 + 0.09 * noise(azimuth * 70 + drive.origin[1], slope * 90) + 0.07 * noise(azimuth * 190, slope * 260)
            blend(image, np.array(colour, dtype=float) * tone[..., None], cover)
            labels[cover > 0.5] = TERRAIN
        return image, labels

    def ground(self, rays, image, labels, things):
        """The ground plane: fields, gravel, asphalt with wear, lane marks and shades."""
        drive, road = self.drive, self.drive.road
        row = int(np.argmax((rays[..., 2] < -0.003).any(1)))
        rays = rays[row:]
        far = self.origin[2] / np.maximum(-rays[..., 2], 0.003)
        x, y = self.origin[0] + far * rays[..., 0], self.origin[1] + far * rays[..., 1]
        heading = road.heading(x)
        left = (y - road.centre(x)) * np.cos(heading)
        pixel = self.spread * self.scale[0] / FOCAL
        across = far * pixel
        along = across * np.maximum(far / self.origin[2], 1)
        texel = np.sqrt(across * along)
        edge = np.hypot(*np.gradient(left)) * self.spread + 1e-4
        aside = np.abs(left)

        soil = 0.5 * fractal(x, y, 38.0, texel, 2)[..., None] * np.array([60.0, 34, 26]) + drive.grass
        soil *= (1 + 0.42 * fractal(x, y, 3.1, texel, 4))[..., None]
        gravel = np.array([158.0, 148, 132]) * (1 + 0.3 * fractal(x, y, 0.5, texel, 2))[..., None]
        blend(soil, gravel, np.clip((EDGE + 1.1 + 0.8 * fractal(x, y, 2.5, texel, 2) - aside) / (edge + 0.25) + 0.5, 0, 1))

        lane = (left / LANE + 0.5) % 1 - 0.5
        wear = 1 - 0.09 * np.exp(-(((np.abs(lane) - 0.23) / 0.09) ** 2)) + 0.035 * np.exp(-((lane / 0.12) ** 2))
        patch = np.clip((noise(x / 13 + drive.origin[1], np.round(left / LANE) * 7.3) - 0.7) * 60, 0, 1)
        seam = np.clip(0.06 / (along + 0.06), 0, 1) * (np.abs((x + 1.5 * np.round(left / LANE)) % 11 - 5.5) < 0.06 + along / 2)
        grain = 1 + 0.12 * fractal(x, left, 0.9, texel, 2) + 0.08 * fractal(x, left, 0.07, texel, 2) + 0.14 * fractal(x, left * 3, 7.0, texel, 2)
        tar = np.array([120.0, 120, 124]) * (wear * grain * (1 - 0.13 * patch) * (1 - 0.35 * seam))[..., None]
        asphalt = np.clip((EDGE - aside) / edge + 0.5, 0, 1)
        blend(soil, tar, asphalt)

        def stripe(at, half):
            return np.clip((half - np.abs(left - at)) / edge + 0.5, 0, 1) * np.clip(2 * half / edge, 0, 1)

        dash = np.clip((2.0 - np.abs(x % 10 - 5)) / (along + 0.02) + 0.5, 0, 1)
        worn = np.clip(0.95 - 0.9 * np.clip(fractal(x, left, 0.35, texel, 2) - 0.12, 0, 1), 0, 1)
        white = np.maximum.reduce([stripe(1.5 * LANE, 0.13), stripe(-1.5 * LANE, 0.13), stripe(-0.5 * LANE, 0.12) * dash]) * worn
        yellow = np.maximum(stripe(0.5 * LANE + 0.19, 0.1), stripe(0.5 * LANE - 0.19, 0.1)) * worn
        blend(soil, np.array([232.0, 232, 226]), white)
        blend(soil, np.array([214.0, 168, 58]), yellow)

        for distance, solid in things:
            if distance < 130:
                self.shade(solid, x, y, soil, row)
        blend(soil, HAZE, 1 - np.exp(-far / 750))
        cover = np.clip(-rays[..., 2] / pixel + 0.5, 0, 1)
        blend(image[row:], soil, cover)
        kinds = np.where(np.maximum(white, yellow) > 0.5, MARK, np.where(asphalt > 0.5, ROAD, TERRAIN))
        labels[row:] = np.where(cover > 0.5, kinds, labels[row:])

    def shade(self, solid, x, y, soil, row):
        """Darken the ground under a solid, cast away from the sun."""
        cast = -self.drive.sun[:2] / self.drive.sun[2] * 0.4 * solid.height
        centre = solid.position + cast
        spot = self.window(centre, max(solid.shadow) + np.hypot(*cast), 0)
        if spot is None or spot[0].stop <= row:
            return
        spot = slice(max(spot[0].start - row, 0), spot[0].stop - row), spot[1]
        c, s = np.cos(solid.heading), np.sin(solid.heading)
        dark = np.zeros(x[spot].shape, np.float32)
        for lean in (0.0, 0.5, 1.0):
            dx, dy = x[spot] - solid.position[0] - 2 * lean * cast[0], y[spot] - solid.position[1] - 2 * lean * cast[1]
            u, v = np.abs(c * dx + s * dy) / solid.shadow[0], np.abs(c * dy - s * dx) / solid.shadow[1]
            dark = np.maximum(dark, np.clip((1 - (u**4 + v**4) ** 0.25) * 4, 0, 1))
        soil[spot] *= (1 - 0.5 * dark)[..., None]

    def solid(self, solid, distance, image, labels):
        """Four samples a pixel of one solid, in its window."""
        spot = self.window(solid.position, solid.radius, solid.height)
        if spot is None:
            return
        rows, columns = spot
        shape = (4, rows.stop - rows.start, columns.stop - columns.start)
        column, row = np.meshgrid(np.arange(columns.start, columns.stop) + 0.5, np.arange(rows.start, rows.stop) + 0.5)
        jitter = 0.25 * self.spread * np.array([[-1, 1, -1, 1], [-1, -1, 1, 1]])[:, :, None, None]
        c, s = np.cos(solid.heading), np.sin(solid.heading)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        origin, sun = turn @ (self.origin - [*solid.position, 0]), turn @ self.drive.sun
        rays = (self.rays(column + jitter[0], row + jitter[1]).reshape(-1, 3) @ turn.T).T.astype(np.float32)
        nearest, total = np.full(rays.shape[1], np.inf, np.float32), np.zeros((rays.shape[1], 3), np.float32)
        for part in solid.parts:
            t, colour = part.hit(origin, rays, sun)
            closer = t < nearest
            nearest[closer], total[closer] = t[closer], colour[closer]
        cover = np.isfinite(nearest).reshape(shape).mean(0)
        total = total.reshape(*shape, 3).mean(0)
        mist = np.exp(-distance / 750)
        colour = total * mist + HAZE * (1 - mist) * cover[..., None]
        image[spot] = image[spot] * (1 - cover[..., None]) + colour
        labels[spot][cover >= 0.5] = solid.label


def encode(drive, path, crf):
    """Render every frame into ffmpeg; returns the class maps [frames, HEIGHT, WIDTH]."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-",
               "-c:v", "libx265", "-preset", "slow", "-crf", str(crf), "-pix_fmt", "yuv420p", "-x265-params", "log-level=error",
               "-bitexact", str(path)]
    maps = np.empty((drive.frames, HEIGHT, WIDTH), np.uint8)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
        for frame in range(drive.frames):
            image, maps[frame] = drive.render(frame)
            ffmpeg.stdin.write(image.tobytes())
            print(f"\rframe {frame + 1}/{drive.frames}", end="", flush=True)
        ffmpeg.stdin.close()
    print()
    if ffmpeg.returncode:
        raise SystemExit(f"ffmpeg failed on {path}")
    return maps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the clip to write (.mkv)")
    parser.add_argument("--truth", type=Path, required=True, help="class maps and motion for evaluators.py (.npz)")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--frames", type=int, default=160)
    parser.add_argument("--crf", type=float, default=23)
    args = parser.parse_args()
    for path in (args.out, args.truth):
        path.parent.mkdir(parents=True, exist_ok=True)
    drive = Drive(args.seed, args.frames)
    maps = encode(drive, args.out, args.crf)
    np.savez_compressed(args.truth, classes=maps, motion=drive.motion())
    shares = np.bincount(maps.ravel(), minlength=len(CLASSES)) / maps.size
    print(f"{args.out}: {drive.frames} frames, {args.out.stat().st_size} bytes")
    print("class shares: " + ", ".join(f"{name} {share:.1%}" for name, share in zip(CLASSES, shares)))


if __name__ == "__main__":
    main()
