"""Damage that knows nothing of a format: bytes, lines and words."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from fuzz.values import NUMBERS, WORDS

Damage = Callable[[bytes, Random], bytes]
NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


def flip(data: bytes, random: Random) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5, 30))):
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    return bytes(out)


def truncate(data: bytes, random: Random) -> bytes:
    return data[: random.choice((1, len(data) // 2, len(data) - 1, random.randrange(len(data))))]


def behead(data: bytes, random: Random) -> bytes:
    return data[random.choice((1, 3, random.randrange(len(data)))) :]


def blank(data: bytes, random: Random) -> bytes:
    """A block of zeros, as a full disk leaves it."""
    start = random.randrange(len(data))
    length = random.randrange(1, 1 + len(data) // 3)
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def block(data: bytes, random: Random) -> bytes:
    """A block that is missing, or there twice."""
    start, end = sorted((random.randrange(len(data)), random.randrange(1, len(data) + 1)))
    return data[:start] + data[end:] if random.random() < 0.5 else data[:end] + data[start:]


def noise(data: bytes, random: Random) -> bytes:
    place = random.randrange(len(data))
    return data[:place] + random.randbytes(random.choice((1, 8, 200))) + data[place:]


def other(data: bytes, random: Random) -> bytes:
    """Another file altogether, or this one twice."""
    return random.choice(
        (b"", b"\n", b"\x00", b" " * 10, data + data, b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04",
         b"\x1f\x8b\x08", b"<html><body>404</body></html>\n",
         b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
         random.randbytes(2000), b"\x93NUMPY", b"SQLite format 3\x00", b"null", b"[]", b"{}", b"3\n")
    )  # fmt: skip


def line(data: bytes, random: Random) -> bytes:
    """A line that is missing, doubled, swapped, cut off or empty."""
    lines = data.split(b"\n")
    k = random.randrange(len(lines))
    way = random.randrange(5)
    if way == 0:
        del lines[k]
    elif way == 1:
        lines.insert(k, lines[k])
    elif way == 2:
        other = random.randrange(len(lines))
        lines[k], lines[other] = lines[other], lines[k]
    elif way == 3:
        lines[k] = lines[k][: random.randrange(len(lines[k]) + 1)]
    else:
        lines.insert(k, b"")
    return b"\n".join(lines)


def word(data: bytes, random: Random) -> bytes:
    """A word that is missing, doubled, swapped with another or replaced."""
    parts = re.split(rb"([ \t\n,=\"]+)", data)
    words = range(0, len(parts), 2)
    k, other = random.choice(words), random.choice(words)
    way = random.randrange(4)
    if way == 0:
        parts[k] = b""
    elif way == 1:
        parts[k] += b" " + parts[k]
    elif way == 2:
        parts[k], parts[other] = parts[other], parts[k]
    else:
        parts[k] = random.choice(WORDS).encode()
    return b"".join(parts)


def number(data: bytes, random: Random) -> bytes:
    """Numbers that are none, are absurd or have lost their point."""
    found = list(NUMBER.finditer(data))
    for match in sorted(random.sample(found, min(len(found), random.choice((1, 1, 3)))), key=lambda m: -m.start()):
        lost = match[0].replace(b".", b"")
        new = random.choice((*(one.encode() for one in NUMBERS), lost, lost, match[0] + match[0], b"-" + match[0]))
        data = data[: match.start()] + new + data[match.end() :]
    return data


def encoding(data: bytes, random: Random) -> bytes:
    """The same text as another program stores it."""
    text = data.decode("utf-8", "replace")
    return random.choice(
        (
            lambda: b"\xef\xbb\xbf" + data,
            lambda: text.encode("utf-16"),
            lambda: text.encode("utf-32"),
            lambda: data.replace(b"\n", b"\r\n"),
            lambda: data.replace(b"\n", b"\r"),
            lambda: data.replace(b" ", b"\xa0"),
            lambda: data.replace(b" ", b"\t"),
            lambda: data.replace(b".", b","),
            lambda: data.rstrip(b"\n"),
            lambda: b"\n\n" + data,
            lambda: data.replace(b"\n", b"\n\n"),
            lambda: data.replace(b"e", "é".encode("latin-1"), 3),
        )
    )()


BYTES: dict[str, Damage] = {f.__name__: f for f in (flip, truncate, behead, blank, block, noise, other)}
TEXT: dict[str, Damage] = {f.__name__: f for f in (flip, truncate, blank, block, other, line, word, number, encoding)}
