"""What a long stage tells while it works: one small value, which a terminal, a page or nobody listens to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


@dataclass(frozen=True)
class Step:
    """Where a stage stands.

    stage  a few words, the same for all of its steps; done of total `unit`s are finished
    note   what else is worth showing, such as the loss
    """

    stage: str
    done: int
    total: int
    unit: str = "step"
    note: str = ""


Progress = Callable[[Step], None]


def silent(step: Step) -> None:
    """Listens to nothing: the default of every stage."""


class Bars:
    """Draws a progress bar for each stage on a terminal, and nothing where the output is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._stage = ""

    def __call__(self, step: Step) -> None:
        if self._bar is None or self._stage != step.stage:
            self.close()
            self._stage = step.stage
            self._bar = tqdm(total=step.total, initial=step.done, desc=step.stage, unit=step.unit, disable=None)
        self._bar.set_postfix_str(step.note, refresh=False)
        self._bar.update(step.done - self._bar.n)
        if step.done >= step.total:
            self.close()

    def close(self) -> None:
        """End the bar that is being drawn."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def track(
    items: Iterable[Item], stage: str, on_progress: Progress, total: int, unit: str = "step", done: int = 0
) -> Iterator[Item]:
    """The items, one after another; `on_progress` hears of the beginning and of every finished one."""
    on_progress(Step(stage, done, total, unit))
    for item in items:
        yield item
        done += 1
        on_progress(Step(stage, done, total, unit))


class Lines:
    """Prints a line every so many seconds, for outputs that are no terminal: what is done, the rate, the time left."""

    def __init__(self, every: float = 30.0) -> None:
        self.every, self._stage = every, ""
        self._began = self._said = 0.0
        self._first = 0

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        if self._stage != step.stage:
            self._stage, self._began, self._said, self._first = step.stage, now, now, step.done
        if now - self._said < self.every and step.done < step.total:
            return
        self._said = now
        rate = (step.done - self._first) / max(now - self._began, 1e-9)
        words = f"{step.stage}: {step.done:,} of {step.total:,}"
        if step.done > self._first:
            words += f", {rate:.3g} {step.unit} a second, {duration((step.total - step.done) / rate)} left"
        print(f"{words}, {step.note}" if step.note else words, flush=True)


def duration(seconds: float) -> str:
    """In the largest unit that fits: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
