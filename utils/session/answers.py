"""Answers of a segmenter as a session needs them: remembered, and in finer and coarser versions."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import Recent
from utils.geometry.part_tree import PartTree
from utils.segmenter import Segmenter
from utils.selection import otsu_threshold
from utils.session.state import DEFAULT_GRANULARITY, Click, Lesson

REMEMBERED = 24  # sets of answers; three of 100,000 vertices each are 29 MB together
STOPS = (0.0, DEFAULT_GRANULARITY, 1.0)  # granularity of the three rungs where they are thresholds
FINEST_SHIFT, COARSEST_SHIFT = 0.6, 0.75  # how far the slider's ends lie from the threshold towards 1 and towards 0


@dataclass(frozen=True, eq=False)
class Answer:
    """probability  (V,) float32, read-only; None: nothing was asked
    quality      expected IoU, where the segmenter tells
    rung         how many steps above (or below 0) the default answer it is, of all `rungs` that there are, from small
                 to large; of an answer between them there are none
    """

    probability: np.ndarray | None = None
    quality: float | None = None
    rung: int = 0
    rungs: range = range(0)

    def at(self, rung: int) -> int:
        """The rung that is there nearest to a wanted one."""
        return min(max(rung, self.rungs.start), self.rungs.stop - 1) if self.rungs else 0


class NotReady(Segmenter):
    """Answers nothing yet, while what will is being made ready."""

    label = "nothing answers yet"

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        raise UserError("nothing answers clicks yet: wait a moment")

    @property
    def part_tree(self) -> PartTree:
        raise UserError("nothing proposes parts yet: wait a moment")


class Answers:
    """The answers of one segmenter on one mesh.

    A nested segmenter gives answers from small to large, the rungs of a ladder, and continuous ones between, which the
    granularity moves along. One that is not, such as a decoder trained on the mesh, gives one probability for all;
    finer and coarser selections then are higher and lower thresholds on it (`by_threshold`).

    One that learns (`models.iseg3d.segmenter`): who asks says which lessons it should have
    learnt, and it is brought there first. So sessions that share it keep their own lessons; undo is to ask with fewer.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter, self.identity = segmenter, segmenter.identity
        self.by_threshold = not segmenter.nested
        self.default_threshold = segmenter.threshold
        self.learns = segmenter.learns
        self.ready = not isinstance(segmenter, NotReady)
        self._learnt: list[tuple[Lesson, bool]] = []  # and whether it changed the segmenter
        self._held: Recent[list[Answer]] = Recent(REMEMBERED)
        self._lock = threading.RLock()  # several tabs may ask at once

    @property
    def part_tree(self) -> PartTree:
        """Nested parts of the whole mesh; UserError from what proposes none."""
        try:
            return self.segmenter.part_tree
        except UserError as error:
            raise UserError(f"{str(error).split(':')[0]}: let the prior decoder answer") from error

    def ask(
        self, clicks: Clicks, granularity: float = DEFAULT_GRANULARITY, lessons: tuple[Lesson, ...] = (), rung: int = 0
    ) -> Answer:
        """The answer after `lessons`, of which a segmenter that does not learn takes no notice.

        rung: the nearest one that is there answers; only at the default granularity. UserError if the clicks cannot be
        asked.
        """
        lessons = lessons if self.learns else ()
        between = None if self.by_threshold or granularity == DEFAULT_GRANULARITY else granularity

        def fresh() -> list[Answer]:
            self._study(lessons)
            return self._fresh(clicks, between)

        with self._lock:
            found = self._held.get((tuple(clicks.pairs), between, lessons), fresh)  # corrections come in an order
        return found[found[0].at(rung) - found[0].rung]

    def learn(self, lessons: tuple[Lesson, ...]) -> bool:
        """Whether the last of `lessons` changes a segmenter that has learnt those before it."""
        with self._lock:
            self._study(lessons)
            return self._learnt[-1][1]

    def _study(self, lessons: tuple[Lesson, ...]) -> None:
        """Bring the segmenter to where it has learnt exactly these lessons, in this order."""
        common = 0
        while common < min(len(lessons), len(self._learnt)) and self._learnt[common][0] == lessons[common]:
            common += 1
        while len(self._learnt) > common:
            if self._learnt.pop()[1]:
                self.segmenter.undo_fine_tuning()
        for lesson in lessons[common:]:
            changed = self.segmenter.fine_tune(_clicks(lesson.clicks), [_clicks(other) for other in lesson.others])
            self._learnt.append((lesson, changed))

    def _fresh(self, clicks: Clicks, between: float | None) -> list[Answer]:
        """The one answer at a granularity, or all rungs, ascending."""
        if between in STOPS:
            return [Answer(_frozen(self.segmenter.candidates(clicks).probability[0 if between == STOPS[0] else -1]))]
        if between is not None:
            return [Answer(_frozen(self.segmenter.probability(clicks, between)))]
        if self.by_threshold:
            only, rungs = _frozen(self.segmenter.probability(clicks)), range(-1, 2)
            return [Answer(only, None, rung, rungs) for rung in rungs]
        found = self.segmenter.ladder(clicks)
        rungs = range(-found.middle, len(found.probability) - found.middle)
        quality: Sequence[float | None] = [None] * len(rungs) if found.quality is None else found.quality.tolist()
        return [Answer(_frozen(row), each, rung, rungs) for row, each, rung in zip(found.probability, quality, rungs)]

    def threshold(self, probability: np.ndarray, chosen: float | None, granularity: float, rung: int = 0) -> float:
        """The value to select from: `chosen`, or Otsu's if that is None; `by_threshold` granularity or rung move it."""
        base = otsu_threshold(probability) if chosen is None else chosen
        return shifted_threshold(base, STOPS[1 + rung] if rung else granularity) if self.by_threshold else base


def shifted_threshold(base: float, granularity: float) -> float:
    """`base` at granularity 0.5, towards 1 for finer and 0 for coarser selections, which therefore are nested."""
    turn = 2 * (granularity - DEFAULT_GRANULARITY)  # -1 finest, 1 coarsest
    return base + (1 - base) * FINEST_SHIFT * -turn if turn < 0 else base * (1 - COARSEST_SHIFT * turn)


def _clicks(clicks: tuple[Click, ...]) -> Clicks:
    ordered = sorted(clicks, key=lambda click: not click.positive)
    return Clicks.of(ordered)


def _frozen(values: np.ndarray) -> np.ndarray:
    held = np.array(values, dtype=np.float32)
    held.setflags(write=False)
    return held
