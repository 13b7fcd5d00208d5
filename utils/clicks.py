"""User clicks on the vertices of a mesh.

A click is a vertex and whether it includes or excludes its region. The two are kept apart, since a sign on the index
fails at vertex 0 (`-0 == 0` for integers). The published command line writes an exclusion as a minus sign;
`Clicks.from_signed` reads it from the text, so that `-0` is understood there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch
from torch import Tensor

from utils.errors import UserError

_SIGNED_VERTEX = re.compile(r"[+-]?\d{1,18}")  # fits int64


@dataclass(frozen=True, eq=False)
class Clicks:
    """A set of clicks; the order carries no meaning.

    vertices  (C,) int64, indices in the order of the mesh file
    positive  (C,) bool; True includes the region, False excludes it
    """

    vertices: Tensor
    positive: Tensor

    def __post_init__(self):
        vertices = torch.as_tensor(self.vertices, dtype=torch.int64).reshape(-1)
        positive = torch.as_tensor(self.positive, dtype=torch.bool).reshape(-1)
        if len(vertices) != len(positive):
            raise ValueError(f"{len(vertices)} vertices but {len(positive)} labels")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "positive", positive)

    @classmethod
    def from_lists(cls, positive=(), negative=()) -> Clicks:
        """Clicks from the vertices to include and the vertices to exclude (iterables of int)."""
        include, exclude = [int(v) for v in positive], [int(v) for v in negative]
        labels = [True] * len(include) + [False] * len(exclude)
        return cls(torch.tensor(include + exclude, dtype=torch.int64), torch.tensor(labels, dtype=torch.bool))

    @classmethod
    def from_signed(cls, values) -> Clicks:
        """Clicks from the published notation: `5141 -10795` includes 5141 and excludes 10795.

        values: iterable of str or int. Only as text does `-0` differ from `0`: it excludes vertex 0.
        Raises UserError for anything that is not a whole number.
        """
        texts = [str(value).strip() for value in values]
        for text in texts:
            if not _SIGNED_VERTEX.fullmatch(text):
                raise UserError(
                    f"'{text}' is not a vertex id: give whole numbers, with a minus sign for a click that "
                    "excludes (-0 excludes vertex 0)"
                )
        return cls(
            torch.tensor([abs(int(text)) for text in texts], dtype=torch.int64),
            torch.tensor([not text.startswith("-") for text in texts], dtype=torch.bool),
        )

    def __len__(self) -> int:
        return len(self.vertices)

    @property
    def positives(self) -> Tensor:
        """(P,) int64: the vertices to include."""
        return self.vertices[self.positive]

    @property
    def negatives(self) -> Tensor:
        """(N,) int64: the vertices to exclude."""
        return self.vertices[~self.positive]

    def to(self, device) -> Clicks:
        return Clicks(self.vertices.to(device), self.positive.to(device))

    @property
    def key(self) -> tuple[tuple[int, bool], ...]:
        """The distinct clicks in a fixed order: equal for two sets of clicks that ask for the same thing."""
        distinct = set(zip(self.vertices.tolist(), self.positive.tolist()))
        return tuple(sorted(distinct, key=lambda click: (not click[1], click[0])))

    def distinct(self) -> Clicks:
        """Each click once, in the order in which they were first made."""
        vertices, positive = (
            zip(*dict.fromkeys(zip(self.vertices.tolist(), self.positive.tolist()))) if len(self) else ((), ())
        )
        return Clicks(torch.tensor(vertices, dtype=torch.int64), torch.tensor(positive, dtype=torch.bool))

    def canonical(self) -> Clicks:
        """The distinct clicks, positives first, each kind by vertex id."""
        key = self.key
        return Clicks.from_lists([v for v, include in key if include], [v for v, include in key if not include])

    def label(self) -> str:
        """The published file-name part, `v5141_v-10795`, in the order given (`v-0` excludes vertex 0)."""
        pairs = zip(self.vertices.tolist(), self.positive.tolist())
        return "_".join(f"v{'' if include else '-'}{vertex}" for vertex, include in pairs)

    def validate(self, num_vertices: int) -> Clicks:
        """These clicks, if they can be asked of a mesh of ``num_vertices`` vertices.

        Raises UserError if a vertex is out of range, no click is positive, or a vertex is both included and excluded.
        """
        outside = self.vertices[(self.vertices < 0) | (self.vertices >= num_vertices)]
        if len(outside):
            raise UserError(f"vertex {int(outside[0])} is not on this mesh: give ids from 0 to {num_vertices - 1}")
        if not bool(self.positive.any()):
            raise UserError("no positive click: give at least one vertex to include")
        both = sorted(set(self.positives.tolist()) & set(self.negatives.tolist()))
        if both:
            raise UserError(
                f"vertex {both[0]} is given both as a positive and as a negative click: keep one of the two"
            )
        return self


@dataclass
class ClickHistory:
    """Clicks made one after another, with undo and redo; knows nothing of how they are shown.

    A vertex clicked again takes the new label; a click that repeats the current state changes nothing.
    """

    _past: list[tuple[tuple[int, bool], ...]] = field(default_factory=list)
    _current: tuple[tuple[int, bool], ...] = ()
    _future: list[tuple[tuple[int, bool], ...]] = field(default_factory=list)

    @property
    def clicks(self) -> Clicks:
        """The clicks in force, in the order they were made."""
        vertices, labels = [vertex for vertex, _ in self._current], [label for _, label in self._current]
        return Clicks(torch.tensor(vertices, dtype=torch.int64), torch.tensor(labels, dtype=torch.bool))

    def add(self, vertex: int, positive: bool = True) -> None:
        """Click a vertex. What was undone before is forgotten."""
        click = (int(vertex), bool(positive))
        if click not in self._current:
            self._become(tuple(c for c in self._current if c[0] != click[0]) + (click,))

    def replace(self, vertex: int, positive: bool = True) -> None:
        """Single-click mode: this click alone."""
        self._become(((int(vertex), bool(positive)),))

    def reset(self) -> None:
        """Remove all clicks (one undo brings them back)."""
        if self._current:
            self._become(())

    def undo(self) -> bool:
        """Take back the last change. Returns whether there was one."""
        return self._move(self._past, self._future)

    def redo(self) -> bool:
        """Do again what was undone last. Returns whether there was anything."""
        return self._move(self._future, self._past)

    def _become(self, state) -> None:
        if state != self._current:
            self._past.append(self._current)
            self._current = state
            self._future.clear()

    def _move(self, source, target) -> bool:
        if not source:
            return False
        target.append(self._current)
        self._current = source.pop()
        return True
