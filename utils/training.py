"""What every training here needs: a falling rate, checkpoints in time, and going on where an earlier run stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from utils.errors import UserError
from utils.files import load_torch

Value = TypeVar("Value")


def cosine(share: float, floor: float = 0.0) -> float:
    """The factor of the learning rate when a `share` (0 to 1) of the training is done: 1 falls to `floor`."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group of an optimizer one learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class Saver:
    """Saves when the last time is long enough ago.

    save     writes the checkpoint
    seconds  between two of them
    """

    def __init__(self, save: Callable[[], None], seconds: float) -> None:
        self.save, self.seconds, self._last = save, seconds, time.monotonic()

    def __call__(self) -> None:
        """Call after every step."""
        if time.monotonic() - self._last > self.seconds:
            self.save()
            self._last = time.monotonic()


def resumable(
    path: Path, record: dict[str, Any], named: dict[str, str], what: str, remedy: str, start_over: bool = False
) -> dict[str, Any] | None:
    """The checkpoint that an earlier run of the same training left at `path`, None if there is none or on `start_over`.

    record  what this training would write; named: the keys that must agree, each with the words for a person
    Raises UserError, ending in `remedy`, if the checkpoint is of another training or damaged.
    """
    if start_over or not path.is_file():
        return None
    held = load_torch(path, what=what, kind=dict)
    check_same(path, held, record, named, remedy)
    return held


def restored(path: Path, restore: Callable[[], Value], remedy: str) -> Value:
    """What `restore` makes of the checkpoint at `path`; UserError, ending in `remedy`, if it lacks what is needed."""
    try:
        return restore()
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} lacks part of a training, or is of another version; {remedy}") from error


def check_loss(loss: torch.Tensor | float, done: int | None = None) -> float:
    """The loss as a number; UserError if the training has diverged, before a step spoils its weights. done: steps."""
    value = float(loss)
    if not math.isfinite(value):
        when = "" if done is None else f" after step {done}"
        raise UserError(
            f"the training diverged{when}: its loss is {value}. The last checkpoint is kept; lower the learning rate "
            "and start over"
        )
    return value


def check_same(
    path: Path, held: Mapping[str, Any], record: Mapping[str, Any], named: dict[str, str], remedy: str
) -> None:
    """UserError unless what is `held` at `path` agrees with `record` in all keys of `named`; see `resumable`."""
    for key, words in named.items():
        if held.get(key) != record[key]:
            raise UserError(f"{path} was trained with another {words}; {remedy}")
