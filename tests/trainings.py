"""Trainings in place of a refinement, for tests of the page; what runs in a process of its own imports little."""

from __future__ import annotations

import time
from pathlib import Path

from utils.errors import UserError
from utils.progress import Progress, Step


def train(seconds: float, mesh: Path, out: Path, query: str, start_over: bool, on_progress: Progress) -> None:
    """Halfway through at once, and done after some seconds."""
    on_progress(Step("render and embed views", 10, 10))
    on_progress(Step("ask around", 5, 10))
    time.sleep(seconds)
    out.mkdir(parents=True)
    (out / "weights").touch()


def fail(mesh: Path, out: Path, query: str, start_over: bool, on_progress: Progress) -> None:
    """Cannot begin; leaves nothing when it starts over."""
    if not start_over:
        raise UserError("no SAM checkpoint here; do this")


def steps(on_progress: Progress) -> None:
    """Several stages, one of which goes back."""
    for stage in ("render and embed views", "single clicks", "one that nobody knows"):
        for done in (10, 2, 7):
            on_progress(Step(stage, done, 10))


def break_down(on_progress: Progress) -> None:
    """A fault of ours."""
    raise ZeroDivisionError("by nothing")
