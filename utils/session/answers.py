"""Answers of a segmenter as a session needs them: remembered, and in finer and coarser versions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from utils.clicks import Clicks
from utils.segmenter import Segmenter
from utils.selection import otsu_threshold
from utils.session.state import DEFAULT_GRANULARITY, Click, Lesson

REMEMBERED = 64  # answers; 100,000 vertices each are 26 MB together
STOPS = (0.0, DEFAULT_GRANULARITY, 1.0)  # granularity of the finer, the default and the coarser candidate
FINEST_SHIFT, COARSEST_SHIFT = (
    0.6,
    0.75,
)  # how far from the threshold towards 1 and towards 0 the ends of the slider lie


@dataclass(frozen=True, eq=False)
class Answer:
    """probability  (V,) float32, read-only
    quality      expected IoU of the finer, the default and the coarser candidate, where the segmenter tells"""

    probability: np.ndarray
    quality: tuple[float, float, float] | None = None


class Answers:
    """The answers of one segmenter on one mesh.

    A nested segmenter gives three answers, between which the granularity moves. One that is not, such as a decoder
    trained on the mesh, gives one probability for all; finer and coarser selections then are higher and lower
    thresholds on it (`by_threshold`).

    One that learns (`models.iseg3d.segmenter`): who asks says which lessons it should have
    learnt, and it is brought there first. So sessions that share it keep their own lessons, and undo is to ask with fewer.

    identity  of the segmenter, for logs
    """

    def __init__(self, segmenter: Segmenter, identity: str = "") -> None:
        self.segmenter, self.identity = segmenter, identity
        self.by_threshold = not segmenter.nested
        self.default_threshold = segmenter.threshold
        self.learns = segmenter.learns
        self._learnt: list[tuple[Lesson, bool]] = []  # and whether it changed the segmenter
        self._held: OrderedDict[tuple, Answer] = OrderedDict()
        self._lock = threading.Lock()  # several tabs may ask at once

    def ask(self, clicks: Clicks, granularity: float = DEFAULT_GRANULARITY, lessons: tuple[Lesson, ...] = ()) -> Answer:
        """The answer after `lessons`, of which a segmenter that does not learn takes no notice; UserError if the clicks cannot be asked."""
        lessons = lessons if self.learns else ()
        key = (clicks.key, None if self.by_threshold else granularity, lessons)
        with self._lock:
            if key not in self._held:
                self._study(lessons)
                for place, answer in self._fresh(clicks, granularity):
                    self._held[(clicks.key, place, lessons)] = answer
            self._held.move_to_end(key)
            while len(self._held) > REMEMBERED:
                self._held.popitem(last=False)
            return self._held[key]

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

    def _fresh(self, clicks: Clicks, granularity: float) -> list[tuple[float | None, Answer]]:
        if self.by_threshold:
            return [(None, Answer(_frozen(self.segmenter.probability(clicks))))]
        if granularity not in STOPS:
            return [(granularity, Answer(_frozen(self.segmenter.probability(clicks, granularity))))]
        found = self.segmenter.candidates(clicks)
        quality = None if found.quality is None else tuple(float(value) for value in found.quality)
        answers = [(stop, Answer(_frozen(probability), quality)) for stop, probability in zip(STOPS, found.probability)]
        return sorted(answers, key=lambda pair: pair[0] == granularity)  # the wanted one last: it is forgotten last

    def threshold(self, probability: np.ndarray, chosen: float | None, granularity: float) -> float:
        """The value to select from: `chosen`, or Otsu's if that is None, moved by the granularity where it works so."""
        base = otsu_threshold(probability) if chosen is None else chosen
        return shifted_threshold(base, granularity) if self.by_threshold else base


def shifted_threshold(base: float, granularity: float) -> float:
    """`base` at granularity 0.5, towards 1 for finer and towards 0 for coarser selections, which therefore are nested."""
    turn = 2 * (granularity - DEFAULT_GRANULARITY)  # -1 finest, 1 coarsest
    return base + (1 - base) * FINEST_SHIFT * -turn if turn < 0 else base * (1 - COARSEST_SHIFT * turn)


def _clicks(clicks: tuple[Click, ...]) -> Clicks:
    return Clicks.from_lists([c.vertex for c in clicks if c.positive], [c.vertex for c in clicks if not c.positive])


def _frozen(values: np.ndarray) -> np.ndarray:
    held = np.array(values, dtype=np.float32)
    held.setflags(write=False)
    return held
