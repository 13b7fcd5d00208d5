"""Every script's `main` in this process, with an input that it cannot work with and odd options beside."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import data_generation
import decoder
import encoder
import interactive
import iseg3d
from models.figures.workshop import FigureSettings
from models.iseg3d.evaluation import EvaluationSettings
from models.iseg3d.query import AnswerSettings
from models.iseg3d.training import TrainSettings
from models.pipeline import PipelineSettings
from models.prior.measuring import MeasureSettings
from models.prior.training import TrainSettings as PriorSettings
from models.proposals import ProposalSettings
from SAM_repo.evaluation.benchmark import BenchmarkSettings
from scripts import (
    evaluate,
    evaluate_iseg3d,
    evaluate_teacher,
    gallery,
    ladders,
    make_meshes,
    parts,
    pipeline,
    record_page,
    train_prior,
    train_vit_t,
)
from scripts.figures import make as figures
from utils.geometry.mesh import FORMATS

Odd = Callable[[np.random.Generator, list[str]], list[str]]


@dataclass(frozen=True)
class Door:
    """A script's main, what its command line begins with, the option of its input, and its settings."""

    main: Callable[[list[str]], int | None]
    first: tuple[str, ...]
    input: str
    settings: Any


DOORS = (
    Door(encoder.main, (), "--obj_path", encoder.EncoderSettings),
    Door(data_generation.main, (), "--obj_path", data_generation.SupervisionSettings),
    Door(decoder.main, ("--mode", "test", "--select_vertices", "0"), "--obj_path", decoder.DecoderSettings),
    Door(decoder.main, ("--mode", "train"), "--obj_path", decoder.DecoderSettings),
    Door(iseg3d.main, ("--positive_vertices", "0"), "--obj_path", AnswerSettings),
    Door(iseg3d.main, ("--mode", "train"), "--data_dir", TrainSettings),
    Door(interactive.main, ("--port", "0"), "--obj_path", interactive.InteractiveSettings),
    Door(pipeline.main, (), "--obj_path", PipelineSettings),
    Door(parts.main, (), "--obj_path", ProposalSettings),
    Door(ladders.main, (), "--obj_path", ladders.LadderSettings),
    Door(evaluate.main, ("--methods", "geodesic"), "--psb_dir", evaluate.Settings),
    Door(evaluate.main, ("--task", "parts"), "--psb_dir", evaluate.Settings),
    Door(evaluate_iseg3d.main, ("--per_category", "1"), "--psb_dir", EvaluationSettings),
    Door(evaluate_iseg3d.main, ("--synthetic", "0"), "--meshes", EvaluationSettings),
    Door(evaluate_teacher.main, ("--held_out", "0"), "--psb_dir", BenchmarkSettings),
    Door(gallery.main, ("--methods", "geodesic", "--parts", "1:1"), "--psb_dir", gallery.GallerySettings),
    Door(gallery.main, ("--methods", "geodesic", "--worst_of", "geodesic"), "--results", gallery.GallerySettings),
    Door(figures.main, ("table1",), "--table", FigureSettings),
    Door(make_meshes.main, (), "--names", make_meshes.Settings),
    Door(train_prior.main, ("train",), "--data", PriorSettings),
    Door(train_prior.main, ("measure",), "--data", MeasureSettings),
    Door(train_vit_t.main, ("measure",), "--run", train_vit_t.FinishedSettings),
    Door(train_vit_t.main, ("export",), "--run", train_vit_t.FinishedSettings),
    Door(record_page.main, (), "--obj_path", record_page.RecordingSettings),
)
USELESS = (
    *(b"", b"\0" * 99, b"ply\nformat ascii 1.0\nelement vertex 9\nend_header\n", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"),
    *(b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", b"{}", b"[]", b'{"a": NaN}'),
    *(
        b"v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n",
        b"OFF\n3 1 0\n0 0 0\n",
        b"glTF\2\0\0\0\x14\0\0\0",
        b"solid a\nendsolid a\n",
    ),
)


def useless(rng: np.random.Generator, folder: Path) -> Path:
    """The place of an input that is missing, a folder, or a file of nothing that could be worked with."""
    path = folder / f"input{rng.choice([*FORMATS, '.json', '.pt', ''])}"
    how = rng.random()
    if how < 0.2:
        path.mkdir()
        if how < 0.1:
            (path / "split.json").write_bytes(USELESS[int(rng.integers(len(USELESS)))])
    elif how < 0.85:
        path.write_bytes(USELESS[int(rng.integers(len(USELESS)))])
    return path


def script_case(rng: np.random.Generator, folder: Path, odd: Odd) -> None:
    """One script, which has nothing to work with; odd: draws options with odd values out of some names."""
    door = DOORS[int(rng.integers(len(DOORS)))]
    fields = door.settings.__dataclass_fields__
    argv = [*door.first, door.input, str(useless(rng, folder))]
    for name, ending in (
        ("out", ".png" if door.main in (gallery.main, ladders.main) else ".json"),
        ("run", ""),
        ("folder", ""),
    ):
        if name in fields and f"--{name}" != door.input:
            argv += [f"--{name}", str(folder / f"{name}{ending}")]
    names = [name for name, each in fields.items() if "option" in each.metadata and f"--{name}" not in argv]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        door.main([*argv, *(odd(rng, names) if rng.random() < 0.6 else [])])
    finally:
        for number, handler in handlers.items():  # the page has its own
            signal.signal(number, handler)
