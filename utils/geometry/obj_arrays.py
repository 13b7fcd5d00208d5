"""Reading the surface of an OBJ text as arrays, a tenth of the time of reading it word by word.

What is not written in the usual way is left to `utils.geometry.obj`; of what is read here, both say the same.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.geometry.surface import FileSurface, colors_of

NEWLINE, SPACE, SLASH, HASH = b"\n /#"
UNUSUAL = (b"\t", b"\\\n", b"\v", b"\f", b"\x00")  # in the text; a backslash continues a line
VALUE = b"0123456789+-.eE \n"  # of coordinates; names of numbers (nan, inf) are left to words
INDEX = b"0123456789 \n"


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of a text (B,) uint8 that ends with a line end: first byte and the byte after the last, line end
    included."""

    text: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, text: np.ndarray) -> _Lines:
        end = np.flatnonzero(text == NEWLINE) + 1
        return cls(text, np.concatenate([[0], end[:-1]]), end)

    @cached_property
    def _letters(self) -> tuple[np.ndarray, np.ndarray]:
        """The first and the second byte of each line; of an empty last one, the line end is both."""
        return self.text[self.start], self.text[np.minimum(self.start + 1, len(self.text) - 1)]

    def beginning(self, letters: bytes) -> np.ndarray:
        """(N,) bool, the lines that begin with one or two letters."""
        found = self._letters[0] == letters[0]
        return found & (self._letters[1] == letters[1]) if len(letters) == 2 else found

    def some(self, chosen: np.ndarray) -> _Lines:
        """The chosen lines (N,) bool as a text of their own, a blank instead of the first letter of each."""
        edge = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
        runs = zip(self.start[edge[0::2]].tolist(), self.end[edge[1::2] - 1].tolist())
        text = np.concatenate([self.text[start:end] for start, end in runs])
        length = (self.end - self.start)[chosen]
        end = np.cumsum(length)
        text[end - length] = SPACE
        return _Lines(text, end - length, end)

    def words(self) -> np.ndarray:
        """(N,) words on each line."""
        blank = self.text <= SPACE
        begins = ~blank
        begins[1:] &= blank[:-1]
        at, each = np.flatnonzero(begins), len(self.start)
        most = len(at) // each
        if most and len(at) == most * each:  # as many on each, if the first and the last of each lie in its line
            rows = at.reshape(each, most)
            if (rows[:, 0] >= self.start).all() and (rows[:, -1] < self.end).all():
                return np.full(each, most)
        return np.diff(np.searchsorted(at, self.end), prepend=0)

    def hold_only(self, letters: bytes) -> bool:
        return not self.text.tobytes().translate(None, letters)


def read_arrays(data: bytes) -> FileSurface | None:
    """The surface; None where the text is unusual, or describes none."""
    data = (data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data) + b"\n"
    if any(sign in data for sign in UNUSUAL) or not data.isascii():
        return None
    lines = _Lines.of(np.frombuffer(data, dtype=np.uint8))
    if lines.beginning(b" ").any() or lines.beginning(b"v\n").any() or lines.beginning(b"f\n").any():
        return None
    places, faces = lines.beginning(b"v "), lines.beginning(b"f ")
    if not places.any() or not faces.any():
        return None
    names, piece = _pieces(lines, faces)
    rows, polygons = _values(lines.some(places)), _corners(lines.some(faces))
    if rows is None or polygons is None:
        return None
    colors = colors_of(rows[:, 3:]) if rows.shape[1] == 6 else None
    return _surface(np.ascontiguousarray(rows[:, :3]), *polygons, colors=colors, names=names, piece=piece)


def _values(lines: _Lines) -> np.ndarray | None:
    """(V, 3 or 6) float64 of lines of as many values."""
    count = lines.words()
    if count[0] not in (3, 6) or (count != count[0]).any() or not lines.hold_only(VALUE):
        return None
    return _parsed(lines.text, np.float64, len(count) * int(count[0]), int(count[0]))


def _corners(lines: _Lines) -> tuple[np.ndarray, np.ndarray] | None:
    """(C,) int64 vertices of the corners of all polygons, from 0, and how many each has (N,)."""
    text = lines.text
    if HASH in text or ord("-") in text:  # a comment; counted from the end
        return None
    count = lines.words()
    if SLASH in text:  # from a slash to the end of the word are a coordinate and a normal
        place = np.arange(len(text), dtype=np.int32 if len(text) < 2**31 else np.int64)
        blank = np.maximum.accumulate(np.where(text <= SPACE, place, 0))
        slash = np.maximum.accumulate(np.where(text == SLASH, place, 0))
        text[(slash > blank) & (text > SPACE)] = SPACE
        if not np.array_equal(lines.words(), count):
            return None
    if not lines.hold_only(INDEX):
        return None
    numbers = _parsed(text, np.int64, int(count.sum()), 1)
    return None if numbers is None else (numbers.ravel() - 1, count)


def _parsed(text: np.ndarray, kind: type, total: int, columns: int) -> np.ndarray | None:
    """(total / columns, columns) numbers of a text of so many words; None if they are no numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # from older numpy for what newer ones refuse
        try:
            numbers = np.fromstring(text.tobytes(), dtype=kind, sep=" ")
        except (DeprecationWarning, ValueError, OverflowError):
            return None
    return numbers.reshape(-1, columns) if len(numbers) == total else None


def _pieces(lines: _Lines, faces: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The names of groups in the order in which faces use them, and that of each face, -1 for none."""
    named = np.flatnonzero(lines.beginning(b"g ") | lines.beginning(b"o ") | _alone(lines, b"g") | _alone(lines, b"o"))
    words = [lines.text[lines.start[at] + 1 : lines.end[at]].tobytes().decode().strip() for at in named]
    latest = np.searchsorted(named, np.flatnonzero(faces)) - 1
    used = np.unique(latest[latest >= 0])
    names = list(dict.fromkeys(words[at] for at in used.tolist() if words[at]))
    number = np.array([names.index(word) if word in names else -1 for word in words] + [-1], dtype=np.int64)
    return names, number[latest]


def _alone(lines: _Lines, letter: bytes) -> np.ndarray:
    return lines.beginning(letter + b"\n")


def _surface(vertices: np.ndarray, corners: np.ndarray, count: np.ndarray, **rest) -> FileSurface:
    """Polygons as fans."""
    if (count == 3).all():
        return FileSurface.of_triangles(vertices, corners.reshape(-1, 3), **rest)
    sides = np.maximum(count - 2, 0)
    polygon = np.repeat(np.arange(len(count)), sides)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])[polygon]
    step = np.arange(len(polygon)) - np.repeat(np.cumsum(sides) - sides, sides)
    faces = corners[np.stack([first, first + step + 1, first + step + 2], axis=1)]
    return FileSurface(vertices, faces, polygon, len(count), **rest)
