"""Making figures: which are meant, what is there already, how long it takes, and what is written."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.figures.figure import TOGETHER, Figure, Outcome, as_record, measures_of
from models.figures.page import write_page
from models.figures.workshop import FigureSettings, Workshop
from utils.errors import UserError
from utils.files import digest, load_json, save_json
from utils.output.panels import save_sheet
from utils.progress import Progress, Step, silent

QUICK_MINUTES = 0.2  # of a figure in a quick run


def load_figures(folder: Path) -> list[Figure]:
    """The figures of a folder: one module each, which holds it as `FIGURE`; in the order of the files' names."""
    found = []
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith(("fig", "iseg3d")):
            continue
        name = f"paper_figures.{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise UserError(f"{path} is no Python module")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        found.append(module.FIGURE)
    return found


def make_figures(
    names: Sequence[str], settings: FigureSettings, figures: Sequence[Figure], on_progress: Progress = silent
) -> list[Path]:
    """Make the named figures and return their records; "all" makes all, "list" prints what there is, "page" writes
    docs/paper.md from the records.

    A figure is three files in `settings.out`: NAME.png, NAME.pdf and, last, NAME.json. Those that are there are kept.
    Raises UserError for unknown names and meshes that are missing, before anything is made.
    """
    if "list" in names:
        print(listing(figures))
        return []
    page = "page" in names
    chosen = choose([name for name in names if name != "page"], figures)
    shop = Workshop(settings)
    clock = _Clock(chosen, settings.quick)
    for figure in chosen:
        _checked(figure, settings)
        shop.table.of(figure.name, settings.quick)
    if chosen and settings.SAM != "auto":
        _ = shop.teacher  # weights that are missing are told of before the meshes are made
    records = []
    for figure in chosen:
        shop.on_progress = clock.progress(figure, on_progress)
        records.append(_make(figure, shop))
        clock.done(figure)
    if page:
        print(f"page: {write_page(settings.out, figures)}")
    return records


def choose(names: Iterable[str], figures: Sequence[Figure]) -> list[Figure]:
    """The figures that are meant by their number, table or name; each once, in the order of the paper."""
    wanted = set()
    for name in names:
        found = [f.name for f in figures if name == "all" or name.lower() in (*f.numbers, f.name)]
        if not found:
            there = ", ".join(number for figure in figures for number in figure.numbers)
            raise UserError(f"no figure '{name}'; there are all, list, page, {there}")
        wanted.update(found)
    return [figure for figure in figures if figure.name in wanted]


def listing(figures: Sequence[Figure]) -> str:
    """What there is, a line each: how to ask for it, minutes alone on two cores, what it is."""
    lines = [f"{'ask for':<16} {'minutes':>7}  figure"]
    for figure in figures:
        numbers = " ".join(figure.numbers)
        lines.append(f"{numbers:<16} {figure.minutes:>7.0f}  {figure.title}")
    lines.append(f"\n{TOGETHER}")
    return "\n".join(lines)


def _make(figure: Figure, shop: Workshop) -> Path:
    settings = shop.settings
    run = settings.record() | {"meshes": _meshes(figure, shop)}
    path = settings.out / f"{figure.name}.json"
    pictures = [path.with_suffix(ending) for ending in (".png", ".pdf")]
    there = path.is_file() and all(picture.is_file() for picture in pictures)
    if there and not settings.overwrite and load_json(path, "record of a figure", dict).get("run") == run:
        print(f"{figure.label}: {path} is there; --overwrite 1 makes it again")
        return path
    path.unlink(missing_ok=True)
    started = time.perf_counter()
    outcome = figure.make(shop)
    save_sheet(pictures, outcome.sheet)
    record = as_record(figure, outcome, run, time.perf_counter() - started)
    save_json(path, record)
    _tell(figure, outcome, record, pictures)
    return path


def _checked(figure: Figure, settings: FigureSettings) -> None:
    """UserError where a figure of other settings would be lost."""
    path = settings.out / f"{figure.name}.json"
    if settings.overwrite or not path.is_file():
        return
    held, wanted = load_json(path, "record of a figure", dict).get("run", {}), settings.record()
    other = [f"--{name}" for name, value in wanted.items() if held.get(name) != value]
    if set(other) - {"--version", "--prior"}:  # these are not asked for: the figure is made again
        raise UserError(f"{path} is of another {', '.join(other)}; choose another --out or add --overwrite 1")


def _meshes(figure: Figure, shop: Workshop) -> dict[str, str]:
    """Name -> digest of the meshes of a figure, labels included."""
    names = shop.table.of(figure.name, shop.settings.quick)
    subjects = [shop.subject(name) for name in names]
    return {s.name: digest(s.mesh.digest, "" if s.labels is None else s.labels)[:12] for s in subjects}


def _tell(figure: Figure, outcome: Outcome, record: dict[str, Any], pictures: Sequence[Path]) -> None:
    print(f"\n{figure.label}: {figure.title}")
    for measure in measures_of(record):
        paper = "" if measure.paper is None else f"   paper {measure.paper:g}"
        print(f"  {measure.what}: {measure.text()}{paper}")
    print(f"  {record['verdict']}: {outcome.why}")
    print(f"  {pictures[0]} ({record['seconds']:.0f} s)", flush=True)


class _Clock:
    """Guesses the time left from the minutes that the figures are known to take, and from how fast it goes here."""

    def __init__(self, figures: Sequence[Figure], quick: bool) -> None:
        self.minutes = {figure.name: QUICK_MINUTES if quick else figure.minutes for figure in figures}
        self.order, self.finished = list(self.minutes), 0.0
        self.started = time.perf_counter()

    def done(self, figure: Figure) -> None:
        self.finished += self.minutes[figure.name]

    def left(self) -> float:
        """Minutes."""
        spent = (time.perf_counter() - self.started) / 60
        total = sum(self.minutes.values())
        pace = spent / self.finished if self.finished else 1.0
        return max(0.0, (total - self.finished) * pace - (0 if self.finished else spent))

    def progress(self, figure: Figure, on_progress: Progress) -> Progress:
        """Tells of the figure's stages with its place among all, and the time left of all."""
        place = f"{self.order.index(figure.name) + 1}/{len(self.order)} {figure.name}"

        def tell(step: Step) -> None:
            note = f"{step.note} " if step.note else ""
            left = f"{note}all: {self.left():.0f} min left"
            on_progress(replace(step, stage=f"{place}: {step.stage}", note=left))

        return tell
