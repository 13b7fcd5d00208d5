"""How far a mesh is that is being made ready, and how long that will still take."""

from __future__ import annotations

import time

from utils.progress import Step

# Seconds of one core that each stage takes: a constant, and for a million faces (bytes of the file where it is read).
# Measured on the goat with 20,000 to 1,280,000 faces; what is slower than that is seen and allowed for.
STAGES = {
    "read the mesh": (0.1, 0.22),
    "load the networks": (3.5, 0.0),
    "instant answers": (0.3, 3.0),
    "cut the mesh": (0.3, 7.5),
    "look at the mesh": (3.5, 3.0),
    "ask around": (3.5, 0.5),
}
BYTES = 33  # of a file for a face, until it is read


class Opening:
    """Hears of the stages of one mesh; a stage that is not among `STAGES` only shows its name.

    size  of its file, bytes
    """

    def __init__(self, size: int) -> None:
        self.stage, self._size = next(iter(STAGES)), size / 1e6
        self._faces = self._size / BYTES
        self._began = self._entered = time.monotonic()

    def has_faces(self, count: int) -> None:
        """The mesh was read."""
        self._faces = count / 1e6

    def __call__(self, step: Step) -> None:
        self.stage, self._entered = step.stage, time.monotonic()

    @property
    def share(self) -> float:
        """Of the whole that is done, 0 to 1; within a stage by the clock, never to its end."""
        done, now, whole = self._expected()
        return (done + now * self._within(now)) / whole

    @property
    def seconds_left(self) -> float:
        """Allows for a machine that was slower, or faster, than expected so far."""
        done, now, whole = self._expected()
        pace = (self._entered - self._began + 1) / (done + 1)
        return pace * (whole - done - now * self._within(now))

    def _expected(self) -> tuple[float, float, float]:
        """Seconds of the stages before this one, of this one, and of all."""
        seconds = {
            name: fixed + each * (self._size if name == "read the mesh" else self._faces)
            for name, (fixed, each) in STAGES.items()
        }
        names = list(seconds)
        place = names.index(self.stage) if self.stage in seconds else len(names)
        return sum(seconds[name] for name in names[:place]), seconds.get(self.stage, 0.0), sum(seconds.values())

    def _within(self, expected: float) -> float:
        spent = time.monotonic() - self._entered
        return spent / (spent + 0.5 * expected) if spent > 0 and expected > 0 else 0.0
