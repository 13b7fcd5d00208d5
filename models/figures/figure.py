"""A figure of a paper: what it claims, what is measured of that, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from models.figures.workshop import Workshop
from utils.evaluation.annotator import bootstrap_interval
from utils.output.panels import Sheet

AGREES, PARTLY, DIFFERS, OPEN = "agrees", "partly", "does not agree", "not confirmed"
MINUTES = 45  # of all figures, from nothing, on 2 CPU cores: processor time of the one thread that works
TOGETHER = (
    f"All figures from nothing take about {MINUTES} minutes on 2 free CPU cores with vit_t; the minutes of one alone "
    "include making its meshes ready, which figures share."
)
QUICK_VERDICT = "quick run: the numbers mean nothing"


@dataclass(frozen=True)
class Measure:
    """One number of a figure.

    what      in words, with its unit where it has one
    ours      None: could not be measured
    paper     what the paper gives for it, or None where it only shows pictures
    interval  95 %, meshes resampled
    count     of what it is a mean
    """

    what: str
    ours: float | None
    paper: float | None = None
    interval: tuple[float, float] | None = None
    count: int | None = None

    @classmethod
    def mean(cls, what: str, groups: Sequence[Sequence[float]], paper: float | None = None) -> Measure:
        """The mean of values that come in groups (meshes), with its interval."""
        kept = [list(group) for group in groups if len(group)]
        values = [value for group in kept for value in group]
        if not values:
            return cls(what, None, paper, None, 0)
        interval = bootstrap_interval(kept, np.random.default_rng(0))
        return cls(what, float(np.mean(values)), paper, interval, len(values))

    def text(self) -> str:
        """The number for people, with its interval."""
        if self.ours is None:
            return "not measured"
        shown = f"{self.ours:.2f}"
        if self.interval is not None:
            shown += f" [{self.interval[0]:.2f}, {self.interval[1]:.2f}]"
        return shown


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a figure came to.

    verdict  AGREES, PARTLY, DIFFERS or OPEN; why: one or two sentences with the reason
    looks    what the picture shows beside what the paper describes, and where ours is worse
    """

    measures: Sequence[Measure]
    verdict: str
    why: str
    sheet: Sheet
    looks: str = ""
    meshes: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """One or more figures that are one measurement.

    name     of its files
    numbers  as the paper counts them: "7", "table1"; of the iSeg3D paper "iseg3d:6"
    claim    what the paper shows or says, in our words
    minutes  alone on 2 CPU cores, from nothing, meshes made ready included
    """

    name: str
    numbers: tuple[str, ...]
    title: str
    claim: str
    minutes: float
    make: Callable[[Workshop], Outcome] = field(compare=False)

    @property
    def label(self) -> str:
        """The numbers for people."""
        second = [number.partition(":")[2] for number in self.numbers if ":" in number]
        shown = ", ".join(_spoken(number) for number in second or self.numbers)
        return f"iSeg3D, {shown}" if second else f"iSeg, {shown}"


def _spoken(number: str) -> str:
    return (
        f"Table {number[5:]}"
        if number.startswith("table")
        else f"Sec. {number[3:]}"
        if number[:3] == "sec"
        else (f"Fig. {number}")
    )


def as_record(figure: Figure, outcome: Outcome, run: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What is written beside the pictures; run: the settings it depends on."""
    return {
        "figure": figure.name,
        "numbers": list(figure.numbers),
        "label": figure.label,
        "title": figure.title,
        "claim": figure.claim,
        "measures": [asdict(measure) for measure in outcome.measures],
        "verdict": QUICK_VERDICT if run["quick"] else outcome.verdict,
        "why": outcome.why,
        "looks": outcome.looks,
        "meshes": list(outcome.meshes),
        "run": run,
        "seconds": round(seconds, 1),
    }


def measures_of(record: dict[str, Any]) -> list[Measure]:
    """The numbers of a record."""
    return [
        Measure(**{**held, "interval": tuple(held["interval"]) if held["interval"] else None})
        for held in record["measures"]
    ]
