"""What a session holds at one moment: plain immutable values."""

from __future__ import annotations

import base64
import binascii
import colorsys
import re
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from utils.clicks import Clicks
from utils.errors import UserError
from utils.options import Color

DEFAULT_GRANULARITY = 0.5  # 0 selects the finest part under the clicks, 1 the coarsest
TOUCHES = ("paint", "erase", "grow", "shrink", "fill", "largest")
EDITS = ("delete", "keep", "shrink", "extrude")
MAX_NAME = 60
MAX_PARTS = 200
MAX_RUNG = 9  # more steps than any segmenter knows answers
NO_PART = 0

# Told apart from each other, from the blue of the selection and from the green and red of the clicks.
PART_COLORS: tuple[Color, ...] = (
    (0.95, 0.56, 0.17),
    (0.46, 0.72, 0.70),
    (0.69, 0.48, 0.63),
    (0.93, 0.79, 0.28),
    (0.61, 0.46, 0.37),
    (1.00, 0.62, 0.66),
    (0.35, 0.63, 0.31),
    (0.53, 0.81, 0.98),
)


class Click(NamedTuple):
    """A clicked vertex, and whether it includes or excludes what it lies on."""

    vertex: int
    positive: bool


class Lesson(NamedTuple):
    """Clicks that a segmenter has learnt from.

    clicks  of both signs
    others  clicks of each part that was kept then, whose answers must not change
    """

    clicks: tuple[Click, ...]
    others: tuple[tuple[Click, ...], ...] = ()


class FaceSet:
    """An immutable set of a mesh's triangles, kept as bits: 25 kB for 200,000 triangles."""

    def __init__(self, mask: np.ndarray) -> None:
        self.size = len(mask)
        self._bits = np.packbits(np.asarray(mask, dtype=bool)).tobytes()

    @property
    def mask(self) -> np.ndarray:
        """(F,) bool, a fresh array."""
        return np.unpackbits(np.frombuffer(self._bits, dtype=np.uint8), count=self.size).astype(bool)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaceSet) and (self.size, self._bits) == (other.size, other._bits)

    def __hash__(self) -> int:
        return hash((self.size, self._bits))

    def to_text(self) -> str:
        """Compressed, for JSON."""
        return base64.b64encode(zlib.compress(self._bits)).decode("ascii")

    @classmethod
    def from_text(cls, text: str, size: int) -> FaceSet:
        """The inverse of `to_text` on a mesh of `size` triangles; ValueError for anything else."""
        expected = (size + 7) // 8
        try:
            opener = zlib.decompressobj()
            bits = opener.decompress(base64.b64decode(text, validate=True), expected + 1)
        except (binascii.Error, zlib.error, TypeError, ValueError) as error:
            raise ValueError("a set of faces is damaged") from error
        if len(bits) != expected or opener.unconsumed_tail:
            raise ValueError("a set of faces belongs to a mesh of another size")
        return cls(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=size).astype(bool))


@dataclass(frozen=True)
class Touch:
    """A correction of what the clicks select, by hand.

    kind   one of `TOUCHES`; corrections are applied in order, and again whenever a click changes what they correct
    faces  of "paint" and "erase"
    """

    kind: str
    faces: FaceSet | None = None


@dataclass(frozen=True)
class ShapeEdit:
    """A change of the shape (paper Fig. 11).

    kind    one of `EDITS`
    faces   that were selected
    amount  "shrink": the size that is left, 0 to 1; "extrude": distance along the normals, normalised units
    """

    kind: str
    faces: FaceSet
    amount: float = 0.0


@dataclass(frozen=True)
class Part:
    """A named part. Which faces are its own is in `State.labels`.

    id      >= 1, never used again in a session
    clicks  that selected it
    """

    id: int
    name: str
    color: Color
    clicks: tuple[Click, ...] = ()
    visible: bool = True
    locked: bool = False


@dataclass(frozen=True, eq=False)
class Proposals:
    """Parts that nobody clicked, of which a person keeps those that fit.

    labels    (F,) uint16: k + 1 for the proposal at place k, 0 for none; read-only
    parts     the nodes of the tree of parts that each consists of
    colors    the number of each one's colour (`part_color`)
    detail    at which the tree was cut
    identity  of the segmenter whose tree it is
    """

    labels: np.ndarray
    parts: tuple[tuple[int, ...], ...]
    colors: tuple[int, ...]
    detail: float
    identity: str


@dataclass(frozen=True, eq=False)
class State:
    """Everything that undo takes back.

    labels       (F,) uint16, the id of the part each triangle belongs to, `NO_PART` for none; read-only
    clicks       in the order they were made
    touches      corrections by hand, in order
    granularity  0 to 1, see `DEFAULT_GRANULARITY`
    threshold    probability that is selected from; None is Otsu's
    parts        in the order they were made
    edits        of the shape, in order
    exclusive    do the positive clicks of the parts count as negative ones?
    only_free    are the faces of all parts hidden?
    lessons      that the segmenter has learnt, in order, if it is one that learns
    taking       may the selection take faces from parts that are not locked? else parts keep theirs
    reselected   id of the part that was selected again, whose faces may be taken in any case; `NO_PART` for none
    rung         steps from the default answer to a larger (above 0) or smaller one, as far as there are such
    proposals    parts that nobody clicked yet; None: nothing is proposed
    """

    labels: np.ndarray
    clicks: tuple[Click, ...] = ()
    touches: tuple[Touch, ...] = ()
    granularity: float = DEFAULT_GRANULARITY
    threshold: float | None = None
    parts: tuple[Part, ...] = ()
    edits: tuple[ShapeEdit, ...] = ()
    exclusive: bool = True
    only_free: bool = False
    lessons: tuple[Lesson, ...] = ()
    taking: bool = False
    reselected: int = NO_PART
    rung: int = 0
    proposals: Proposals | None = None

    @classmethod
    def empty(cls, num_faces: int) -> State:
        return cls(frozen_labels(np.zeros(num_faces, dtype=np.uint16)))

    def part(self, part_id: int) -> Part:
        for part in self.parts:
            if part.id == part_id:
                return part
        raise UserError(f"there is no part {part_id} (any more)")

    def with_part(self, part: Part) -> State:
        """With the part of the same id replaced."""
        return replace(self, parts=tuple(part if old.id == part.id else old for old in self.parts))

    def with_kept(
        self, part_id: int, faces: np.ndarray, clicks: tuple[Click, ...], name: str = "", color: int | None = None
    ) -> State:
        """With the faces (F,) bool as a new part, in a colour that no other has; UserError if there are too many."""
        if len(self.parts) >= MAX_PARTS:
            raise UserError(f"there are {MAX_PARTS} parts already: merge or delete some first")
        label = unique_name(part_name(name, f"part {part_id}"), {part.name for part in self.parts})
        labels = self.labels.copy()
        labels[faces] = part_id
        part = Part(part_id, label, fresh_color(part_id - 1 if color is None else color, self.parts), clicks)
        return replace(self, labels=frozen_labels(labels), parts=(*self.parts, part))

    def unselected(self) -> State:
        """Without clicks, corrections and a choice among answers."""
        return replace(self, clicks=(), touches=(), reselected=NO_PART, rung=0)

    def query(self) -> Clicks:
        """What is asked: the clicks in their order, and with `exclusive` the other parts' clicks as negatives."""
        signs = {click.vertex: click.positive for click in self.clicks}
        if self.exclusive:
            for part in self.parts:
                for click in part.clicks:
                    if click.positive:
                        signs.setdefault(click.vertex, False)
        return Clicks.of(signs.items())

    def lesson(self) -> Lesson:
        """What can be learnt from what is asked now."""
        asked = tuple(Click(vertex, positive) for vertex, positive in self.query().key)
        return Lesson(asked, tuple(part.clicks for part in self.parts if any(click.positive for click in part.clicks)))


def frozen_labels(labels: np.ndarray) -> np.ndarray:
    labels = np.array(labels, dtype=np.uint16)
    labels.setflags(write=False)
    return labels


def clean_name(text: object, fallback: str = "part") -> str:
    """A name that is safe in a file name: letters, digits, blanks and -_.() only."""
    name = re.sub(r"[^\w\-.() ]+", "_", str(text), flags=re.UNICODE)
    name = re.sub(r"\s+", " ", name).strip(" .")[:MAX_NAME].strip(" .")
    return name or fallback


def part_name(text: object, fallback: str = "part") -> str:
    """What a person calls a part: all but control characters and line breaks."""
    kept = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in str(text))
    return re.sub(" +", " ", kept).strip()[:MAX_NAME].strip() or fallback


def unique_name(name: str, taken: set[str]) -> str:
    """`name`, or `name 2`, `name 3`, ... where it is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name} {number}" in taken:
        number += 1
    return f"{name} {number}"


def is_number(value: object, low: float, high: float) -> bool:
    """Whether a value that anyone may have written is a number in a range; true and false are none."""
    return not isinstance(value, bool) and isinstance(value, (int, float)) and low <= value <= high


def part_color(index: int) -> Color:
    """The colour of the index-th part."""
    if index < len(PART_COLORS):
        return PART_COLORS[index]
    return colorsys.hsv_to_rgb((0.09 + 0.618034 * index) % 1.0, 0.55, 0.9)


def fresh_color(index: int, parts: Iterable[Part]) -> Color:
    """The colour of the index-th part, or the next one that none of `parts` has."""
    taken = {part.color for part in parts}
    while part_color(index) in taken:
        index += 1
    return part_color(index)


def joined(first: tuple[Click, ...], second: tuple[Click, ...]) -> tuple[Click, ...]:
    """The clicks of both; a vertex of both has the sign of the first."""
    known = {click.vertex for click in first}
    return first + tuple(click for click in second if click.vertex not in known)


def whole(value: object, low: int, high: int, what: str) -> int:
    """The value, if it is a whole number in a range; UserError if not."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{what} {str(value)[:20]} is not a whole number from {low} to {high}")
    return value


def share(value: float, what: str) -> float:
    """The value, if it is a number from 0 to 1; UserError if not."""
    if not is_number(value, 0, 1):
        raise UserError(f"{what} {value} is not a number from 0 to 1")
    return float(value)
