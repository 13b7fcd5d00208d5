"""User clicks on the vertices of a mesh.

A click is a vertex and whether it includes or excludes its region. The two are kept apart, since a sign on the index
fails at vertex 0 (`-0 == 0` for integers). The published command line writes an exclusion as a minus sign;
`Clicks.from_signed` reads it from the text, so that `-0` is understood there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.errors import UserError

if TYPE_CHECKING:  # imported where it is used: it takes seconds
    import torch
    from torch import Tensor

_SIGNED_VERTEX = re.compile(r"[+-]?\d{1,18}")  # fits int64


@dataclass(frozen=True, eq=False)
class Clicks:
    """A set of clicks. The order matters to segmenters that correct an answer by one click after the other.

    vertices  (C,) int64, indices in the order of the mesh file
    positive  (C,) bool; True includes the region, False excludes it
    """

    vertices: Tensor
    positive: Tensor

    def __post_init__(self) -> None:
        import torch

        vertices = torch.as_tensor(self.vertices, dtype=torch.int64).reshape(-1)
        positive = torch.as_tensor(self.positive, dtype=torch.bool).reshape(-1)
        if len(vertices) != len(positive):
            raise ValueError(f"{len(vertices)} vertices but {len(positive)} labels")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "positive", positive)

    @classmethod
    def of(cls, clicks: Iterable[tuple[int, bool]]) -> Clicks:
        """Clicks from pairs of a vertex and whether it includes."""
        import torch

        pairs = list(clicks)
        return cls(
            torch.tensor([vertex for vertex, _ in pairs], dtype=torch.int64),
            torch.tensor([include for _, include in pairs], dtype=torch.bool),
        )

    @classmethod
    def from_lists(cls, positive: Iterable[int] = (), negative: Iterable[int] = ()) -> Clicks:
        """Clicks from the vertices to include and the vertices to exclude."""
        return cls.of([*((int(v), True) for v in positive), *((int(v), False) for v in negative)])

    @classmethod
    def from_signed(cls, values: Iterable[str | int]) -> Clicks:
        """Clicks from the published notation: `5141 -10795` includes 5141 and excludes 10795.

        Only as text does `-0` differ from `0`: it excludes vertex 0. UserError for anything that is not a whole number.
        """
        texts = [str(value).strip() for value in values]
        for text in texts:
            if not _SIGNED_VERTEX.fullmatch(text):
                raise UserError(
                    f"'{text}' is not a vertex id: give whole numbers, with a minus sign for a click that "
                    "excludes (-0 excludes vertex 0)"
                )
        return cls.of((abs(int(text)), not text.startswith("-")) for text in texts)

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

    def to(self, device: str | torch.device) -> Clicks:
        return Clicks(self.vertices.to(device), self.positive.to(device))

    @property
    def pairs(self) -> list[tuple[int, bool]]:
        """Each vertex and whether it includes."""
        return list(zip(self.vertices.tolist(), self.positive.tolist()))

    @property
    def key(self) -> tuple[tuple[int, bool], ...]:
        """The distinct clicks, positives first, then by vertex id: equal for clicks that ask for the same thing."""
        return tuple(sorted(set(self.pairs), key=lambda click: (not click[1], click[0])))

    def distinct(self) -> Clicks:
        """Each click once, in the order in which they were first made."""
        return Clicks.of(dict.fromkeys(self.pairs))

    def canonical(self) -> Clicks:
        """The distinct clicks in the order of `key`."""
        return Clicks.of(self.key)

    def label(self) -> str:
        """The published file-name part, `v5141_v-10795`, in the order given (`v-0` excludes vertex 0)."""
        return "_".join(f"v{'' if include else '-'}{vertex}" for vertex, include in self.pairs)

    def validate(self, num_vertices: int) -> Clicks:
        """These clicks, if they can be asked of a mesh of `num_vertices` vertices.

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
