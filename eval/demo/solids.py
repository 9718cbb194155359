"""Solid things of the procedural drive: convex polyhedra and ragged blobs, and the cars, trees and houses made of them.

A solid is a list of parts in its own frame (x ahead, y left, z up, metres; origin on the ground). Rays meet a convex
polyhedron where the last of its planes is entered before the first is left; a blob is an ellipsoid whose thin rim is
eaten away by noise, so that a tree has no smooth outline.
"""

from dataclasses import dataclass, field

import numpy as np

TILE = 256
_TILE = np.random.default_rng(7).random((TILE, TILE), dtype=np.float32)


def noise(x, y):
    """Value noise in [0, 1] with cells of size 1: a smoothed lattice of random values."""
    ix, iy = np.floor(x), np.floor(y)
    fx, fy = x - ix, y - iy
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    ix, iy = ix.astype(np.int64) % TILE, iy.astype(np.int64) % TILE
    jx, jy = (ix + 1) % TILE, (iy + 1) % TILE
    low = _TILE[iy, ix] * (1 - fx) + _TILE[iy, jx] * fx
    high = _TILE[jy, ix] * (1 - fx) + _TILE[jy, jx] * fx
    return low * (1 - fy) + high * fy


@dataclass
class Convex:
    """A convex polyhedron: points p with normals @ p <= offsets; one colour for each plane."""

    normals: np.ndarray
    offsets: np.ndarray
    colours: np.ndarray

    def hit(self, origin, rays, sun):
        """Distances [n] (inf where missed) and colours [n, 3] along rays [3, n] from `origin`."""
        slope = self.normals @ rays
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (self.offsets - self.normals @ origin).astype(np.float32)[:, None] / slope
        enter = np.where(slope < 0, t, np.float32(-np.inf))
        leave = np.where(slope > 0, t, np.float32(np.inf)).min(0)
        near = enter.max(0)
        hit = (near < leave) & (near > 0)
        shade = 0.66 + 0.45 * np.maximum(self.normals @ sun, 0) + 0.08 * self.normals[:, 2]
        lit = self.colours * shade[:, None]
        colour = np.zeros((len(near), 3), np.float32)
        colour[hit] = lit[enter[:, hit].argmax(0)]
        return np.where(hit, near, np.float32(np.inf)), colour


@dataclass
class Blob:
    """An ellipsoid of leaves."""

    centre: np.ndarray
    radii: np.ndarray
    colour: np.ndarray

    def hit(self, origin, rays, sun):
        """As Convex.hit."""
        o, d = (origin - self.centre) / self.radii, rays / self.radii[:, None]
        a, b, c = (d * d).sum(0), o @ d, o @ o - 1
        root = b * b - a * c
        distance, colour = np.full(len(a), np.inf, np.float32), np.zeros((len(a), 3), np.float32)
        met = np.flatnonzero(root > 0)
        chord, t = np.sqrt(root[met] / a[met]), (-b[met] - np.sqrt(root[met])) / a[met]
        p = origin[:, None] + rays[:, met] * t
        u, v = p[1] + 0.7 * p[0], p[2] + 0.3 * p[0]
        rough = 0.5 * noise(u * 1.6, v * 1.6) + 0.3 * noise(u * 4.1, v * 4.1) + 0.2 * noise(u * 9, v * 9)
        normal = (p - self.centre[:, None]) / self.radii[:, None] ** 2
        normal /= np.linalg.norm(normal, axis=0)
        shade = (0.62 + 0.4 * np.maximum(sun @ normal, 0) + 0.14 * normal[2]) * (0.45 + 1.1 * rough)
        solid = (t > 0) & (chord > 0.95 * rough)
        distance[met[solid]] = t[solid]
        colour[met] = self.colour * shade[:, None]
        return distance, colour


@dataclass
class Solid:
    """Parts at a place on the ground, turned by `heading`, within `radius` and below `height`.

    `shadow` is the half length and half width of the shade it casts.
    """

    label: int
    parts: list
    radius: float
    height: float
    shadow: tuple
    position: np.ndarray = field(default_factory=lambda: np.zeros(2))
    heading: float = 0.0


def convex(planes, colour, **special):
    """Planes (name, normal, offset) -> Convex; `special` maps plane names to colours of their own."""
    normals = np.array([n for _, n, _ in planes], dtype=np.float32)
    length = np.linalg.norm(normals, axis=1)
    offsets = np.array([o for _, _, o in planes], dtype=np.float32) / length
    colours = np.array([special.get(name, colour) for name, _, _ in planes], dtype=np.float32)
    return Convex(normals / length[:, None], offsets, colours)


def box(low, high, colour, **special):
    """An upright box between two corners; its planes are front, back, left, right, top, bottom."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    return convex(
        [("front", (1, 0, 0), x1), ("back", (-1, 0, 0), -x0), ("left", (0, 1, 0), y1),
         ("right", (0, -1, 0), -y0), ("top", (0, 0, 1), z1), ("bottom", (0, 0, -1), -z0)],
        colour, **special)


def wheels(length, width, size):
    """Four dark octagonal wheels."""
    angles = np.arange(8) * np.pi / 4
    return [convex([("tread", (np.cos(a), 0, np.sin(a)), size + x * np.cos(a) + size * np.sin(a)) for a in angles]
                   + [("left", (0, 1, 0), y + 0.12), ("right", (0, -1, 0), 0.12 - y)], (24, 24, 26), left=(66, 66, 70), right=(66, 66, 70))
            for x in (-0.31 * length, 0.31 * length) for y in (-width / 2 + 0.07, width / 2 - 0.07)]


def lamps(x, width, z, colour, depth=0.06):
    """A pair of lamps at the end `x` of a body."""
    return [box((x - depth, s * width / 2 - 0.2, z), (x + depth, s * width / 2 + 0.2, z + 0.17), colour) for s in (-0.72, 0.72)]


def car(rng, label):
    """A saloon with a sloping bonnet, glass and lamps."""
    paint = np.array([(178, 34, 36), (205, 208, 212), (44, 62, 108), (62, 66, 70), (228, 226, 218), (38, 84, 74),
                      (152, 120, 60)][rng.integers(7)], dtype=float)
    length, width, waist, top = 4.4, 1.84, 0.92, 1.45 + 0.2 * rng.random()
    glass = (52, 62, 74)
    body = convex(
        [("front", (1, 0, 0.25), length / 2 + 0.12), ("back", (-1, 0, 0.12), length / 2 + 0.05), ("left", (0, 1, 0.1), width / 2 + 0.05),
         ("right", (0, -1, 0.1), width / 2 + 0.05), ("top", (0, 0, 1), waist), ("bonnet", (0.22, 0, 1), 0.78 + 0.22 * length / 2),
         ("bottom", (0, 0, -1), -0.24)], paint)
    cabin = convex(
        [("front", (1, 0, 1.1), 0.95 + 1.1 * waist), ("back", (-1, 0, 0.6), 2.0 + 0.6 * waist), ("left", (0, 1, 0.32), width / 2 + 0.32 * waist),
         ("right", (0, -1, 0.32), width / 2 + 0.32 * waist), ("top", (0, 0, 1), top), ("bottom", (0, 0, -1), -waist + 0.02)],
        glass)
    roof = convex(
        [("front", (1, 0, 0), 0.42), ("back", (-1, 0, 0), 1.76), ("left", (0, 1, 0.32), width / 2 + 0.35 * waist),
         ("right", (0, -1, 0.32), width / 2 + 0.35 * waist), ("top", (0, 0, 1), top), ("bottom", (0, 0, -1), 0.09 - top)], paint)
    back, front = -length / 2, length / 2
    parts = [body, cabin, roof, *wheels(length, width, 0.31), *lamps(back, width, 0.62, (200, 28, 24)), *lamps(front, width, 0.56, (240, 240, 225)),
             box((back - 0.08, -0.27, 0.45), (back, 0.27, 0.58), (225, 225, 205)),
             box((back - 0.06, -0.85, 0.24), (front + 0.05, 0.85, 0.36), (34, 34, 36))]
    return Solid(label, parts, 2.6, top, (length / 2 + 0.35, width / 2 + 0.3))


def truck(rng, label):
    """A box truck."""
    hull = np.array([(214, 214, 208), (52, 92, 140), (186, 132, 52)][rng.integers(3)], dtype=float)
    length, width, top = 7.5, 2.4, 3.4
    parts = [box((-length / 2, -width / 2, 0.95), (length / 2 - 2, width / 2, top), hull, back=hull * 0.92),
             box((length / 2 - 1.9, -width / 2 + 0.1, 0.5), (length / 2, width / 2 - 0.1, 2.6), hull * 0.8, front=(52, 62, 74)),
             box((-length / 2 + 0.1, -1.0, 0.5), (length / 2, 1.0, 0.97), (44, 44, 46)),
             box((-length / 2 - 0.02, -0.03, 1.05), (-length / 2, 0.03, top - 0.1), (70, 70, 72)),
             box((-length / 2 - 0.05, -width / 2, 0.85), (-length / 2, width / 2, 0.97), (150, 40, 36)),
             *lamps(-length / 2, width, 0.62, (200, 28, 24)), *wheels(length, width, 0.48)]
    return Solid(label, parts, 4.1, top, (length / 2 + 0.4, width / 2 + 0.3))


def tree(rng, label):
    """A round or a pointed tree."""
    height = rng.uniform(4, 9)
    tint = np.array([rng.uniform(52, 98), rng.uniform(82, 112), rng.uniform(30, 52)])
    parts = [box((-0.16, -0.16, 0), (0.16, 0.16, 0.5 * height), (84, 66, 50))]
    if rng.random() < 0.35:
        levels = [(0.30, 0.26), (0.5, 0.20), (0.68, 0.14), (0.85, 0.08)]
        blobs = [((0, 0, z * height), (r * height, r * height, 0.17 * height)) for z, r in levels]
    else:
        spread = 0.2 * height
        blobs = [((rng.normal(0, spread * 0.7), rng.normal(0, spread * 0.7), rng.uniform(0.4, 0.8) * height),
                  (spread * rng.uniform(0.75, 1.2),) * 2 + (0.18 * height,)) for _ in range(6)]
    parts += [Blob(np.array(c), np.array(r), tint * rng.uniform(0.88, 1.12)) for c, r in blobs]
    return Solid(label, parts, 0.62 * height, 1.05 * height, (0.34 * height, 0.34 * height))


def house(rng, label):
    """A gabled house or barn with windows."""
    length, width, wall = rng.uniform(8, 16), rng.uniform(6, 9), rng.uniform(2.8, 5.5)
    plaster = np.array([(206, 196, 176), (178, 120, 92), (196, 202, 206), (150, 62, 52)][rng.integers(4)], dtype=float)
    tiles = np.array([(122, 66, 52), (86, 84, 88)][rng.integers(2)], dtype=float)
    x, y = length / 2, width / 2
    roof = convex([("left", (0, 0.7, 1), wall + 0.7 * (y + 0.4)), ("right", (0, -0.7, 1), wall + 0.7 * (y + 0.4)), ("front", (1, 0, 0), x + 0.3),
                   ("back", (-1, 0, 0), x + 0.3), ("bottom", (0, 0, -1), -wall)], tiles, front=plaster, back=plaster)
    parts = [box((-x, -y, 0), (x, y, wall), plaster), roof]
    for storey in np.arange(1.0, wall - 1.2, 2.4):
        for at in np.arange(-x + 1.5, x - 1, 2.8):
            parts.append(box((at, -y - 0.04, storey), (at + 1.1, y + 0.04, storey + 1.3), (58, 66, 78)))
        for at in np.arange(-y + 1.2, y - 1, 2.4):
            parts.append(box((-x - 0.04, at, storey), (x + 0.04, at + 1.0, storey + 1.3), (58, 66, 78)))
    return Solid(label, parts, np.hypot(x, y) + 2, wall + 3.5, (x + 1, y + 1))


def post(label):
    """A white roadside marker with a red band."""
    parts = [box((-0.07, -0.07, 0), (0.07, 0.07, 1.15), (226, 226, 220)), box((-0.08, -0.08, 0.8), (0.08, 0.08, 0.98), (196, 46, 36))]
    return Solid(label, parts, 0.15, 1.15, (0.15, 0.15))


def sign(rng, label):
    """A road sign, a board on two legs."""
    board = [(38, 92, 60), (40, 74, 140), (228, 190, 52)][rng.integers(3)]
    legs = [box((-0.05, y - 0.06, 0), (0.05, y + 0.06, 2.4), (120, 122, 124)) for y in (-0.9, 0.9)]
    boards = [box((-0.06, -1.5, 2.2), (0.06, 1.5, 3.9), (232, 232, 228)), box((-0.09, -1.42, 2.28), (0.09, 1.42, 3.82), board),
              box((-0.1, -1.1, 3.2), (0.1, 0.8, 3.42), (235, 235, 232)), box((-0.1, -1.1, 2.7), (0.1, 0.3, 2.9), (235, 235, 232))]
    return Solid(label, legs + boards, 1.6, 3.9, (0.3, 1.5))


def pole(label):
    """A wooden pole with a cross-arm."""
    parts = [box((-0.13, -0.13, 0), (0.13, 0.13, 8.5), (104, 86, 70)), box((-0.08, -1.1, 7.6), (0.08, 1.1, 7.8), (96, 80, 66))]
    return Solid(label, parts, 1.2, 8.5, (0.2, 0.2))
