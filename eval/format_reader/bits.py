"""The page's "Logarithms", "Range coder" and "Adaptive bits, fields, floats"."""

import math
import struct


class Malformed(Exception):
    """The archive is none, or none that this reader knows."""


def divide(a, b):
    """Towards zero, as the page's `/`; b is positive."""
    return a // b if a >= 0 else -(-a // b)


def clamp(value, low, high):
    return low if value < low else high if value > high else value


# Logarithms


LN = [math.floor(65536 * math.log(1 + m / 1024)) for m in range(1024)]
TAIL = [round(2**27 / (1 + math.exp(i / 64))) for i in range(769)]
BELL = [max(1, round(65536 * math.exp(-i / 128))) for i in range(2048)]


def ln(x):
    if x == 0:
        return 0
    e = x.bit_length() - 1
    return e * 45426 + LN[(x << 10 >> e) - 1024]


def log_odds(a, b):
    return clamp(divide(ln(a) - ln(b), 256), -2815, 2815)


def t(x):
    i = x // 16
    return TAIL[i] - (TAIL[i] - TAIL[min(i + 1, 768)]) * (x % 16) // 16


# squash of every value that it tells apart, from -12288 on.
SQUASH = [(t(-x) + 1024) >> 11 for x in range(-12288, 0)] + [65536 - ((t(x) + 1024) >> 11) for x in range(12289)]


def squash(x):
    return SQUASH[clamp(x, -12288, 12288) + 12288]


# Range coder


class RangeDecoder:
    def __init__(self, payload):
        if len(payload) % 2:
            raise Malformed("an odd number of bytes")
        self.words = struct.unpack(f">{len(payload) // 2}H", payload)
        self.next = 0
        self.range = 2**64 - 1
        self.offset = 0
        for _ in range(4):
            self.offset = self.offset << 16 | self.word()

    def word(self):
        at = self.next
        self.next += 1
        if at < len(self.words):
            return self.words[at]
        if at >= len(self.words) + 4:
            raise Malformed("the payload is cut off")
        return 0

    def bit(self, p):
        """Whether the next bit is set, which has the probability p in units of 2^-16."""
        p = 1 if p < 1 else 65535 if p > 65535 else p
        scale = self.range >> 16
        part = scale * p
        if self.offset < part:
            bit, self.range = 1, part
        else:
            if self.offset // scale >= 65536:
                raise Malformed("the payload is no encoder's")
            bit, self.range = 0, scale * (65536 - p)
            self.offset -= part
        if self.range < 1 << 48:
            self.range <<= 16
            self.offset = self.offset << 16 | self.word()
        return bit

    def finish(self):
        if self.next < len(self.words) or self.offset >= 2**49 - 1:
            raise Malformed("something is left of the payload")


# Adaptive bits, fields, floats


class Adaptive:
    def __init__(self):
        self.p, self.seen = 2**31, 0

    def odds(self):
        return log_odds(self.p, 2**32 - self.p)

    def learn(self, bit):
        self.p += divide(2 * ((2**32 - 1 if bit else 0) - self.p), 2 * self.seen + 3)
        self.seen = min(self.seen + 1, 4094)

    def decode(self, coder):
        bit = coder.bit(self.p >> 16)
        self.learn(bit)
        return bit


class Field:
    def __init__(self, bits):
        self.bits = bits
        self.states = [Adaptive() for _ in range(1 << bits)]

    def decode(self, coder):
        prefix = 1
        for _ in range(self.bits):
            prefix = 2 * prefix + self.states[prefix].decode(coder)
        return prefix - (1 << self.bits)


class Float:
    def __init__(self):
        self.sign, self.exponent, self.fraction = Adaptive(), Field(8), [Adaptive() for _ in range(23)]

    def decode(self, coder):
        """The bits of an f32."""
        bits = self.sign.decode(coder) << 8
        bits |= self.exponent.decode(coder)
        for state in self.fraction:
            bits = 2 * bits + state.decode(coder)
        value = struct.unpack("<f", struct.pack("<I", bits))[0]
        if not abs(value) <= 1e6:
            raise Malformed(f"a step or minimum of {value}")
        return bits
