"""Values: the page's "Mixer", "Levels" and "Regression"."""

from operator import mul

from .bits import BELL, clamp, divide, log_odds, squash


# Mixer


class Mixer:
    def __init__(self, families, weights):
        self.sets = [[[list(weights), 0] for _ in range(sets)] for sets in families]

    def decode(self, coder, select, x):
        chosen = [family[number] for family, number in zip(self.sets, select)]
        sums = [clamp(sum(map(mul, w, x)) >> 14, -(2**20), 2**20) for w, _ in chosen]
        bit = coder.bit(squash(divide(sum(sums), len(sums))))
        for entry, total in zip(chosen, sums):
            w, seen = entry
            error = (65536 if bit else 0) - squash(total)
            rate = 200 + 200000 // (100 + seen)
            entry[0] = [clamp(w + ((error * rate * x + 2**23) >> 24), -(2**20), 2**20) for w, x in zip(w, x)]
            entry[1] = min(seen + 1, 2**32 - 1)
        return bit


# Levels


class Levels:
    FAMILIES = (40, 88, 328)

    def __init__(self, bits):
        self.bits, self.count = bits, 1 << bits
        self.met = [0] * (2 * self.count)
        self.expected = [0] * self.count
        self.factors = [[2**24] * self.count, [2**24] * self.count]
        self.turn = 0

    def decode(self, coder, mixer, centre, spread):
        heights = self.heights(centre, spread)
        weights = [[h << 24 for h in heights]] + [list(map(mul, heights, factors)) for factors in self.factors]
        low, h, i = 0, self.count, 1
        for d in range(self.bits):
            h //= 2
            x = [log_odds(sum(w[low + h : low + 2 * h]), sum(w[low : low + h])) for w in weights]
            familiar = min((self.met[i] + 1).bit_length() - 1, 10)
            distance = min(abs(((low + h) << 16) - centre) * 4 // (spread + 1), 40)
            bit = mixer.decode(coder, (i if i < 32 else 32 + d, 8 * familiar + d, 8 * distance + d), x)
            i = 2 * i + bit
            low += h * bit
        self.learn(heights, low)
        return low

    def heights(self, centre, spread):
        c = clamp(centre >> 8, 0, (self.count - 1) << 8)
        deviation = clamp((spread * 321) >> 16, 0, 65536) + 26
        scale = 2**38 // deviation**2
        return [BELL[min((((l << 8) - c) ** 2 * scale) >> 32, 2047)] for l in range(self.count)]

    def learn(self, heights, s):
        scale = 2**32 // max(sum(heights), 1)
        for l, height in enumerate(heights):
            self.expected[l] += (height * scale) >> 8
        for shift in range(self.bits + 1):
            self.met[(self.count + s) >> shift] += 1
        self.correct(s)
        for l in range(self.turn, self.count, 16):
            self.correct(l)
        self.turn = (self.turn + 1) % 16

    def correct(self, l):
        met = self.met[self.count + l] << 24
        for factors, trust in zip(self.factors, (2**21, 2**27)):
            factors[l] = clamp(((met + trust) << 24) // (self.expected[l] + trust), 1, 2**38)


# Regression


class Regression:
    def __init__(self, ridges):
        n = len(ridges)
        self.r = ridges
        self.g = [[0] * n for _ in range(n)]
        self.w = [[0] * n for _ in range(n)]
        self.seen = [0] * n

    def predict(self, x):
        return sum(map(mul, x, self.w[len(x)]))

    def learn(self, x, v, fit):
        j, g = len(x), self.g
        row = g[j]
        for i, value in enumerate(x):
            row[i] += value * v
            g[i][j] = row[i]
        row[j] += v * v
        if row[j] > 2**38:
            self.halve()
        self.seen[j] = min(self.seen[j] + 1, 2**32 - 1)
        if fit and self.seen[j] % (1 + self.seen[j] // 512) == 0:
            g, w = self.g, self.w[j]
            for i in range(j):
                rest = (g[j][i] << 14) - sum(map(mul, g[i][:j], w)) - self.r[i] * w[i]
                w[i] = clamp(w[i] + divide(rest, g[i][i] + self.r[i]), -65536, 65536)

    def halve(self):
        self.g = [[sum_ >> 1 for sum_ in row] for row in self.g]


def limited(v):
    return clamp(v, -4096, 4096)


class Whitening:
    def __init__(self, n, ridge):
        self.pieces = [Regression([ridge] * min(64, n - start)) for start in range(0, n, 64)]

    def predict(self, j, entry):
        self.before = [entry(i) for i in range(j - j % 64, j)]
        return self.pieces[j // 64].predict(self.before)

    def learn(self, j, v):
        self.pieces[j // 64].learn(self.before, v, True)

    def halve(self):
        for piece in self.pieces:
            piece.halve()
