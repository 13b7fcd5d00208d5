"""What a long stage tells while it works: one small value, which a terminal, a page or nobody listens to."""

from __future__ import annotations

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
