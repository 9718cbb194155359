"""The page's "Class maps"."""

import math
from array import array
from types import SimpleNamespace

from .bits import Malformed, RangeDecoder, clamp, divide, squash, t


def table(size, largest):
    entries, x = [0] * size, 0
    for i in range(size // 2, size):
        while x < largest and t(4 * x) > (2 * (size - i) - 1) * 2**26 // size:
            x += 1
        entries[i], entries[size - 1 - i] = x, -x
    return entries


STRETCH, WIDE = table(2**12, 2047), table(2**14, 2815)
# By how much of 2^16 an estimate moves that has seen so many bits.
SHARES = [2**17 // (2 * seen + 3) for seen in range(1024)]
MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def hashed(k, bits):
    z = k * GOLDEN & MASK
    return (z ^ z >> 29) >> (64 - bits)


def key(k, *classes):
    for value in classes:
        k = k * 0x100000001B3 + value + 1
    return k & MASK


def pack(bits, numbers):
    packed = 0
    for number in numbers:
        packed = packed << bits | number
    return packed


def matches(value, others):
    packed = 0
    for other in others:
        packed = 2 * packed + (other == value)
    return packed


class Estimates:
    """A table of estimates."""

    def __init__(self, size, limit):
        self.p, self.seen, self.limit = array("I", [2**21]) * size, array("H", [0]) * size, limit

    def probability(self, i):
        return self.p[i] >> 6

    def opinion(self, i):
        seen = self.seen[i]
        if seen == 0:
            return 0, 0
        o = WIDE[self.p[i] >> 8]
        part = o * min(seen, 31)
        return o, part // 32 if part >= 0 else -(-part // 32)

    def learn(self, i, bit):
        p, seen = self.p[i], self.seen[i]
        self.p[i] = p + (((4194303 if bit else 0) - p) * SHARES[seen] >> 16)
        if seen < self.limit:
            self.seen[i] = seen + 1


class Weigher:
    def __init__(self, percent, rate):
        self.start, self.rate, self.sets = percent * (2**28 // 100), rate, {}

    def odds(self, x, number):
        self.number, self.x = number, x
        self.w = self.sets.get(number) or [self.start] * len(x)
        total = sum([(w >> 16) * x for w, x in zip(self.w, x)])
        self.made = ((total + 2**31) % 2**32 - 2**31) >> 10
        return self.made

    def learn(self, bit):
        error = clamp(((65536 if bit else 0) - squash(self.made)) * self.rate >> 10, -32767, 32767)
        w = [w + x * error for w, x in zip(self.w, self.x)]
        if max(w) > 7 * 2**28 or min(w) < -7 * 2**28:
            w = [clamp(w, -7 * 2**28, 7 * 2**28) for w in w]
        self.sets[self.number] = w


class Refiner:
    def __init__(self):
        self.start, self.contexts = [min(squash((k - 16) * 512), 65535) for k in range(33)], {}

    def refine(self, odds, context):
        y = clamp(odds, -8192, 8191) + 8192
        k, r = divmod(y, 512)
        self.c = self.contexts.setdefault(context, self.start[:])
        self.k = k + (r >= 256)
        return self.c[k] + divide((self.c[k + 1] - self.c[k]) * r, 512)

    def learn(self, bit):
        learn_chance(self.c, self.k, bit)


def learn_chance(chances, i, bit):
    p = chances[i]
    chances[i] = p + (65535 - p >> 6) if bit else p - (p >> 6)


PAD = 8


class Plane:
    """A map with what stands beyond its edges, up to 8 pixels, and its runs."""

    def __init__(self, rows, columns):
        self.rows, self.columns, self.stride = rows, columns, columns + 2 * PAD
        size = (rows + 2 * PAD) * self.stride
        self.value = bytearray(size)
        self.right, self.left, self.up, self.down = (bytearray([15]) * size for _ in range(4))

    def row(self, y):
        return (y + PAD) * self.stride

    def begin(self, before):
        """Above row 0 stands row 0 of the map before."""
        first, end = self.row(0), self.row(1)
        for mine, other in ((self.value, before.value), (self.right, before.right), (self.left, before.left)):
            mine[:first] = other[first:end] * PAD
        self.up[:first] = bytes([15]) * first

    def begin_row(self, y):
        start = self.row(y)
        self.value[start : start + PAD] = self.value[start + PAD - self.stride : start + PAD - self.stride + 1] * PAD

    def end_row(self, y):
        start, end = self.row(y), self.row(y + 1)
        self.value[end - PAD : end] = self.value[end - PAD - 1 : end - PAD] * PAD
        self.runs(self.right, range(end - 2, start - 1, -1), 1)
        self.runs(self.left, range(start + 1, end), -1)
        self.runs(self.up, range(start, end), -self.stride)

    def end(self):
        self.value[: self.row(0)] = self.value[self.row(0) : self.row(1)] * PAD
        last = self.row(self.rows - 1)
        self.value[self.row(self.rows) :] = self.value[last : last + self.stride] * PAD
        self.down[self.row(self.rows) :] = bytes([15]) * (PAD * self.stride)
        self.runs(self.down, range(self.row(self.rows) - 1, self.row(0) - 1, -1), self.stride)

    def runs(self, runs, places, step):
        value = self.value
        for at in places:
            runs[at] = min(runs[at + step] + 1, 15) if value[at] == value[at + step] else 1


def class_maps(payload, shape):
    """All pixels of the maps of a shape (maps, rows, columns, classes)."""
    coder = RangeDecoder(payload)
    maps, rows, columns, classes = shape
    model = MapModel(coder, shape)
    decoded = bytes(maps * rows * columns) if classes == 1 else b"".join(model.map() for _ in range(maps))
    coder.finish()
    return decoded


class MapModel:
    def __init__(self, coder, shape):
        maps, self.rows, self.columns, self.classes = shape
        self.coder = coder
        self.planes = [Plane(self.rows, self.columns) for _ in range(3)]
        self.ages = bytearray(self.rows * self.columns)
        room = max(maps * self.rows * self.columns, 1).bit_length() - 1 - 4
        self.calm, self.busy = Calm(coder, clamp(room, 8, 16)), Busy(coder, clamp(room, 8, 18), self)

    def map(self):
        n, p, q = self.planes = [self.planes[2], self.planes[0], self.planes[1]]
        n.begin(p)
        value, before, stride, ages, columns = n.value, p.value, n.stride, self.ages, self.columns
        decoded = bytearray()
        for y in range(self.rows):
            n.begin_row(y)
            first = n.row(y) + PAD
            run = 15
            for x in range(columns):
                at = first + x
                left = value[at - 1]
                if x > 0:
                    run = min(run + 1, 15) if left == value[at - 2] else 1
                age, above = ages[y * columns + x], at - stride
                pixel = n, p, q, at, x, y, run, age
                calm = (
                    left == value[above] == value[above - 1] == value[above + 1] == before[at] == before[at + 1]
                    == before[at - 1] == before[at + stride] == before[above]
                )  # fmt: skip
                if calm and self.calm.decode(pixel):
                    value[at] = left
                else:
                    value[at] = self.busy.decode(pixel, left if calm else None)
            n.end_row(y)
            row, old = value[first : first + columns], before[first : first + columns]
            for x in range(columns):
                i = y * columns + x
                ages[i] = min(ages[i] + 1, 15) if row[x] == old[x] else 0
            decoded += row
        n.end()
        return decoded


class Calm:
    def __init__(self, coder, bits):
        self.coder, self.bits = coder, bits
        self.deep = Estimates(16 * 16 * 8, 1023)
        self.tables = [Estimates(1 << bits, 1023) for _ in range(8)]
        self.weighers = [Weigher(8, 20), Weigher(8, 20)]

    def decode(self, pixel):
        n, p, q, at, x, y, run, age = pixel
        stride = n.stride
        v, w, above = n.value, p.value, at - stride
        c = v[at - 1]
        right, up = n.right[above], n.up[above]
        pr, pd, pl, pu = p.right[at], p.down[at], p.left[at], p.up[at]
        ring = matches(c, (w[at + stride + 1], w[at + stride - 1], w[above + 1], w[above - 1], w[at + 2],
                           w[at + 2 * stride], w[at - 2], w[above - stride]))  # fmt: skip
        if ring == 255 and right > 4 and run > 4 and pr > 4 and pd > 4 and pl > 3 and pu > 3 and up > 2:
            depth = (min(right, 8) + min(pr, 8) + min(pd, 8) + min(pl, 8)) // 4 - 4
            i = (c % 16 * 16 + age) * 8 + depth
            bit = self.coder.bit(self.deep.probability(i))
            self.deep.learn(i, bit)
            return bit
        u = q.value
        beside = matches(c, (v[at - 2], v[above - stride], v[above + 2], v[above - 2], v[above + 3]))
        cross = matches(c, (u[at], u[at + 1], u[at + stride], u[at - 1], u[above]))
        r7, d7, l7, u7, n7, run7, up7 = [min(number, 7) for number in (pr, pd, pl, pu, right, run, up)]
        contexts = (
            ring * 32 + beside,
            pack(3, (r7, l7, d7, n7)),
            y * 65536 + x // 8,
            pack(3, (run7, up7, n7, r7)),
            ring * 32 + cross,
            age * 4096 + pack(3, (r7, d7)),
            pack(3, (d7, u7, l7, r7)),
            age * 32 + beside,
        )
        places = [hashed(context * 256 + c, self.bits) for context in contexts]
        opinions = [estimates.opinion(i) for estimates, i in zip(self.tables, places)]
        inputs = [o for o, _ in opinions] + [part for _, part in opinions] + [256]
        numbers = pack(3, (r7, d7)), beside * 8 + bin(cross).count("1")
        odds = sum(weigher.odds(inputs, number) for weigher, number in zip(self.weighers, numbers))
        bit = self.coder.bit(squash(divide(odds, 2)))
        for weigher in self.weighers:
            weigher.learn(bit)
        for estimates, i in zip(self.tables, places):
            estimates.learn(i, bit)
        return bit


TEMPLATE = [(-1, 0, 4), (0, -1, 4), (1, -1, 4), (-1, -1, 3), (-2, 0, 3), (2, -1, 3), (0, -2, 3), (-2, -1, 2), (1, -2, 2),
            (-1, -2, 2), (3, -1, 2), (-3, 0, 2), (2, -2, 1), (-4, 0, 1), (4, -1, 1)]  # fmt: skip


class Busy:
    def __init__(self, coder, bits, model):
        self.coder, self.bits, self.rows, self.classes = coder, bits, model.rows, model.classes
        self.estimates = [Estimates(1 << bits, 255) for _ in range(32)]
        self.slot_p = [array("H", [2048]) * (1 << bits) for _ in range(32)]
        self.slot_seen = [bytearray(1 << bits) for _ in range(32)]
        self.chances = [[history % 64 * 1024 + 512 for history in range(1024)] for _ in range(32)]
        self.weighers, self.last = [Weigher(6, 45) for _ in range(6)], Weigher(16, 14)
        self.refiners = [Refiner(), Refiner()]
        self.strangers = [[] for _ in range(self.classes)]

    def decode(self, pixel, excluded):
        seen = self.look(pixel, excluded is not None)
        candidates, strangers = seen.candidates, self.strangers[seen.candidates[0]]
        out = [] if excluded is None else [excluded]
        asked = iter(candidates + strangers)
        while True:
            if len(out) == self.classes - 1:
                found = next(c for c in range(self.classes) if c not in out)
                break
            c = next((c for c in asked if c not in out), None)
            if c is None:
                found = 0
                for _ in range((self.classes - 1).bit_length()):
                    found = 2 * found + self.coder.bit(32768)
                if found >= self.classes or found in out:
                    raise Malformed("a class that cannot be")
                break
            if self.ask(seen, c, len(out), out[0] + 1 if out else 0):
                found = c
                break
            out.append(c)
        if found not in candidates:
            if found in strangers:
                strangers.remove(found)
            strangers.insert(0, found)
        return found

    def look(self, pixel, calm):
        """What the questions about a pixel have in common."""
        n, p, q, at, x, y, run, age = pixel
        stride, v, b, e = n.stride, n.value, p.value, q.value
        a, aa = at - stride, at - 2 * stride
        dx = dy = 0
        if not calm:
            mine = [(v[at + i + j * stride], i + j * stride, weight) for i, j, weight in TEMPLATE]
            least = math.inf
            for down in range(-2, 3):
                for over in range(-3, 4):
                    to = at + over + down * stride
                    error = abs(over) + abs(down)
                    for value, place, weight in mine:
                        if value != b[to + place]:
                            error += 2 * weight
                    if error < least:
                        least, dx, dy = error, over, down
        shift, to = (dx + 3) * 5 + dy + 2, at + dx + dy * stride
        w, north, nw, ne, ww, nn, n2 = v[at - 1], v[a], v[a - 1], v[a + 1], v[at - 2], v[aa], v[a + 2]
        h, pe, ps, pw, pn = b[at], b[at + 1], b[at + stride], b[at - 1], b[a]
        se, sw = b[at + stride + 1], b[at + stride - 1]
        q0, q1, q2, q3, q4 = e[at], e[at + 1], e[at + stride], e[at - 1], e[a]
        m0, me, ms, mw, mf, mn = b[to], b[to + 1], b[to + stride], b[to - 1], b[to + stride + 1], b[to - stride]
        pr, pl, pd, up = p.right[at], p.left[at], p.down[at], n.up[a]
        r8, l8, d8, nr, nl = min(pr, 8), min(pl, 8), min(pd, 8), min(n.right[a], 8), min(n.left[a], 8)
        nr2, nr3 = min(n.right[aa], 8), min(n.right[aa - stride], 10)
        alike = pack(1, (w == pw, north == pn, ne == b[a + 1], nw == b[a - 1]))

        votes = {}
        listed = ((w, 5), (north, 5), (h, 6), (ne, 2), (nw, 1), (pe, 3), (ps, 3), (pw, 1), (pn, 1), (q0, 2))
        for c, weight in listed + ((m0, 0 if calm else 5),):
            votes[c] = votes.get(c, 0) + weight

        seen = SimpleNamespace()
        seen.candidates = sorted(votes, key=lambda c: -votes[c])
        seen.contexts = [
            key(0, w, north, nw, ne),
            key(0, w, north, nw, ne, ww, nn),
            key(0, w, north, h, pe, ps),
            key(0, w, north, nw, ne, h, pe, ps, pw, pn),
            key(0, w, north, ne, h, pe, ps, se, sw, q0),
            key(0, w, north, nw, ne, ww, nn, n2, v[a - 2], v[aa + 1], v[aa - 1]),
            key(0, w, north, h, pe, ps, pw, pn, se, sw, b[a + 1], b[a - 1]),
            key(0, w, north, ne, h, pe, ps, b[at + 2], b[at + 2 * stride], se),
            key(0, w, north, h, pe, ps, q0, q1, q2),
            key(alike, w, north, h, pe, ps),
            key(y * 65536 + x // 8, w, north),
            key(y // 4 * 65536 + x // 4, w, h),
            key(pack(8, (r8, nr, run)), w, north, h),
            key(pack(8, (r8, nr, nl, l8)), w, north, h, ne),
            key(pack(8, (nr, nr2, nr3)), w, north, nn),
            key(shift, w, north, m0, me, h),
            key(0, w, north, nw, ne, m0, me),
            key(pack(8, (up, d8, r8)), w, north, h, m0),
            key(y * 65536, w, north, h),
            key(0, h, pe, ps, pw, pn, q0, q1, q2, q3, q4),
            key(pack(8, (run, up, nr)), w, north, ne, m0),
            key(0, w, ww, v[at - 3], north, ne, n2, v[a + 3], v[a + 4]),
            key(0, w, north, ne, m0, me, ms, mw, mf),
            key(0, w, north, nw, ne, m0, me, ms, mw, h, q0),
            key(0, m0, me, ms, mw, mf, mn, w, north, h),
            key(age, w, north, h, pe, ps),
            key(pack(8, (nr, up)), w, north, h, pe, ps),
            key(0, w, north, nn, v[aa - stride], v[aa + 1], v[aa - stride + 1], ne, v[aa - stride + 2]),
            key(0, q0, q1, q2, m0, me, w, north, ne),
            key(0, w, north, h, b[at + 2 * stride + 1], b[at + stride + 2], b[at + 2 * stride + 2],
                b[at + 2 * stride - 1], se),
        ]  # fmt: skip
        seen.asked = (
            (w, north, nw, ne, ww, nn, n2, v[a - 2], v[aa + 1], v[aa - 1], h, pe, ps, pw, pn, se, m0, q0),
            (w, north, nw, ne, h, pe, ps, pw, pn, se, sw, b[at + 2], b[at + 2 * stride], q0, q1, q2, m0, me,
             b[at + 2 * stride + 1], b[at + stride + 2], v[a + 3]),
        )  # fmt: skip
        seen.ten, seen.eight = (w, north, nw, ne, h, pe, ps, pw, pn, m0), (w, north, nw, ne, h, pe, ps, m0)
        seen.seven = (w, north, h, m0, ne, pe, ps)
        seen.runs = [min(number, 7) for number in (run, pr, n.right[a], pd, pl)]
        seen.calm, seen.shift, seen.band = calm, shift, 64 * y // self.rows
        return seen

    def ask(self, seen, c, rank, first):
        salt = (c * 4 + min(rank, 3)) * 512 + first
        keys = seen.contexts + [2**18 + matches(c, seen.asked[0]), 2**21 + matches(c, seen.asked[1])]
        places = [hashed(k * 0x2545F4914F6CDD1D + salt & MASK, self.bits) for k in keys]
        opinions = [estimates.opinion(i) for estimates, i in zip(self.estimates, places)]
        histories = [s[i] * 64 + (p[i] >> 6) for s, p, i in zip(self.slot_seen, self.slot_p, places)]
        inputs = [o for o, _ in opinions] + [part for _, part in opinions]
        inputs += [STRETCH[chances[h] >> 4] for chances, h in zip(self.chances, histories)] + [256]
        later, agreeing, low = int(rank > 0), seen.ten.count(c), c % 8
        run, pr, right, pd, pl = seen.runs
        numbers = (
            (later * 11 + agreeing) * 8 + low,
            matches(c, seen.eight) + later * 256 + seen.calm * 512,
            (run * 8 + pr) * 8 + right,
            (seen.shift * 2 + later) * 8 + low,
            (seen.band * 8 + low) * 2 + later,
            (pd * 8 + pl) * 8 + pr,
        )
        made = [weigher.odds(inputs, number) for weigher, number in zip(self.weighers, numbers)]
        last = later * 11 + agreeing
        odds = self.last.odds([clamp(divide(o, 4), -3071, 3071) for o in made], last)
        refined = self.refiners[0].refine(odds, last)
        refined += self.refiners[1].refine(odds, hashed(key(c, *seen.seven), 16))
        bit = self.coder.bit(2 * squash(odds) + refined >> 2)
        for learner in [self.last, *self.weighers, *self.refiners]:
            learner.learn(bit)
        for k, i in enumerate(places):
            self.estimates[k].learn(i, bit)
            learn_chance(self.chances[k], histories[k], bit)
            p, s = self.slot_p[k][i], self.slot_seen[k][i]
            self.slot_p[k][i] = p + (((4095 if bit else 0) - p) * (65536 // (s + 2)) + 32768 >> 16)
            self.slot_seen[k][i] = min(s + 1, 14)
        return bit
