"""Flat pieces of surface, which people hardly ever divide: an answer takes each whole, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.prior.fine_faces import FineFaces

FLAT, BENT = np.radians(1.0), np.radians(3.0)  # turn between neighbours, and from the mean normal, up to which
LEAST = 1e-4  # share of the surface from which on a piece counts
SURE, DIVIDED = 0.8, 0.1  # a piece stays divided if more than this share of it is so surely in, and as much out


@dataclass(frozen=True, eq=False)
class FlatPieces:
    """The flat pieces among E fine faces that are worth looking at.

    face   (M,) int64 ascending, the faces in such pieces
    piece  (M,) int64, the piece of each, from 0; area (M,) float64; count: of pieces
    """

    face: np.ndarray
    piece: np.ndarray
    area: np.ndarray
    count: int

    @classmethod
    def of(cls, fine: FineFaces) -> FlatPieces:
        label = fine.within(FLAT)
        total, faces = np.bincount(label, fine.area), np.bincount(label)
        mean = np.stack([np.bincount(label, fine.area * column) for column in fine.normal.T], axis=1)
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        away = np.einsum("fi,fi->f", fine.normal, mean[label]) < np.cos(BENT)
        bent = np.bincount(label, away) > 0
        wanted = ~bent & (faces > 1) & (total >= LEAST * fine.area.sum())
        face = np.flatnonzero(wanted[label])
        piece = np.unique(label[face], return_inverse=True)[1]
        return cls(face, piece, fine.area[face], int(wanted.sum()))

    def whole(self, probability: np.ndarray, included: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """(E,) where each piece has the mean probability (E,) of its faces, for clicks on some of the fine faces.

        A piece stays as it is if it is surely divided, or if that goes against a click on it. A single click takes the
        piece that it is on.
        """
        if not self.count:
            return probability
        value = probability[self.face]
        total, mean = self._sums(np.ones_like(value)), self._sums(value)
        mean /= total
        inside, outside = (self._sums(sure) / total for sure in (value > SURE, value < 1 - SURE))
        added, taken = self._clicked(included), self._clicked(excluded)
        if len(included) + len(excluded) == 1:
            mean = np.where(added, np.maximum(mean, 0.51), mean)
        left = (np.minimum(inside, outside) > DIVIDED) | (added & (mean < 0.5)) | (taken & (mean > 0.5))
        result = probability.copy()
        result[self.face] = np.where(left[self.piece], value, mean[self.piece])
        return result

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """(count,) sums over the pieces' area."""
        return np.bincount(self.piece, self.area * values, self.count)

    def _clicked(self, faces: np.ndarray) -> np.ndarray:
        """(count,) bool, the pieces that hold some of the faces."""
        place = np.minimum(np.searchsorted(self.face, faces), len(self.face) - 1)
        result = np.zeros(self.count, dtype=bool)
        result[self.piece[place[self.face[place] == faces]]] = True
        return result
