"""What the figures share: settings, meshes, and what answers clicks on them, made once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from models.figures.subjects import Subject, Table, open_subject
from models.iseg import correcting
from models.methods import MethodSettings, build_method
from models.open import TrainedFiles, open_segmenter
from models.pipeline import PRESETS, TRAINING_VERSION, Pipeline, PipelineSettings, Preset
from models.prior.checkpoint import WEIGHTS
from models.prior.segmenter import ANSWERS_VERSION, PriorSegmenter
from SAM_repo.teacher import SamTeacher, load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.evaluation.baselines import SamBaseline
from utils.evaluation.method import FaceSegmenter
from utils.files import Recent, digest, load_json, save_json
from utils.options import SEED, TEACHERS, Checked, option
from utils.progress import Progress, silent
from utils.segmenter import Segmenter
from utils.supervision.prompts import seeded

VERSION = 1  # of what is measured; counts up where kept measurements would change
HELD = 16  # meshes whose answers are held in memory
Value = TypeVar("Value")
_PAIRS = {"second_positive": True, "second_negative": True, "share_pairs": True}
# Figures about the field train decoders of their own on the paper's data, which has second clicks.
FAST = replace(
    PRESETS["fast"], clicks={**PRESETS["fast"].clicks, **_PAIRS, "pair_views": 4, "max_pairs": 3, "refinements": 1}
)
QUICK = Preset(  # an optimisation from nothing that shows nothing but that it runs
    {"view_sampling": "sphere", "n_views": 12},
    {"distillation": "collapsed", "steps": 40},
    {"percentage": 0.03, "max_clicks": 24, "n_views": 6, **_PAIRS, "pair_views": 3, "max_pairs": 1, "refinements": 1},
    {"architecture": "geometric", "loss": "lifted", "steps": 40},
)


@dataclass(frozen=True, kw_only=True)
class FigureSettings(Checked):
    """How the figures are made."""

    out: Path = option(
        Path("figures"), "folder of pictures and numbers; meshes made ready are kept in its work/", group="figures"
    )
    mesh_dir: Path | None = option(
        None, "folder of your own meshes: NAME.obj (with NAME.seg for parts) is taken before the one of the table"
    )
    table: Path = option(
        Path(__file__).resolve().parents[2] / "scripts" / "figures" / "meshes.json",
        "which figure shows which meshes",
        metavar="JSON",
    )
    preset: str = option(
        "refine",
        "what answers where a figure is not about another: refine, the prior refined on each mesh; fast, the paper's "
        "optimisation in minutes; paper, the published setting (GPU)",
        choices=tuple(PRESETS),
    )
    SAM: str = option("auto", "teacher; auto: the largest checkpoint present, else vit_t", choices=TEACHERS)
    quick: bool = option(
        False, "few, small meshes: shows that everything runs, not what is true", nargs="?", const=True
    )
    overwrite: bool = option(False, "make figures again that are there", nargs="?", const=True)
    seed: int = option(0, "of all randomness", within=SEED)
    device: str = option("auto", "auto, cpu or cuda")

    @property
    def work(self) -> Path:
        return self.out / "work"

    def record(self) -> dict[str, Any]:
        """What the numbers depend on besides the meshes."""
        given = {"preset": self.preset, "SAM": self.SAM, "quick": self.quick, "seed": self.seed}
        return given | {"version": VERSION, "prior": prior_now(), "decoders": decoders_now()}


def prior_now() -> str:
    """What the answers of the prior depend on."""
    weights = digest(WEIGHTS.read_bytes())[:12] if WEIGHTS.is_file() else "none"
    return f"{ANSWERS_VERSION} {weights}"


def decoders_now() -> str:
    """What a decoder trained on a mesh depends on besides its preset, and its answers."""
    return f"{TRAINING_VERSION} {correcting.ANSWERS_VERSION}"


class Workshop:
    """Opens meshes and what answers clicks on them; whatever takes time is kept on disk and shared by all figures."""

    def __init__(self, settings: FigureSettings, on_progress: Progress = silent) -> None:
        self.settings, self.on_progress = settings, on_progress
        self.table = Table.read(settings.table)
        self._subjects: dict[str, Subject] = {}
        self._held = Recent[Any](6 * HELD)

    def pick(self, full: Value, quick: Value) -> Value:
        """One of two numbers, by how thorough the run is."""
        return quick if self.settings.quick else full

    def rng(self, *what: str) -> np.random.Generator:
        """A generator for one purpose, the same in every run with the seed."""
        return np.random.default_rng(seeded(*what, self.settings.seed).initial_seed() % 2**63)

    # --- meshes ----------------------------------------------------------------------------------

    def subject(self, name: str) -> Subject:
        """The mesh of a name in the table."""
        if name not in self._subjects:
            where = self.settings.work / "meshes"
            self._subjects[name] = open_subject(name, self.table, self.settings.mesh_dir, where)
        return self._subjects[name]

    def subjects(self, figure: str) -> list[Subject]:
        """The meshes of a figure, by the table."""
        names = self.table.of(figure, self.settings.quick)
        if not names:
            raise UserError(f"{self.table.path} names no meshes for {figure}: add a line to its 'figures'")
        return [self.subject(name) for name in names]

    # --- what answers ----------------------------------------------------------------------------

    @cached_property
    def teacher(self) -> SamTeacher:
        return load_teacher(self.settings.SAM, device=choose_device(self.settings.device))

    def segmenter(self, subject: Subject) -> Segmenter:
        """What answers clicks by the settings' preset; in a quick run the prior from few views."""
        if self.settings.quick:
            return self._kept_open("quick", subject, lambda: self._quick(subject))
        return self.optimised(subject, self.settings.preset)

    def optimised(self, subject: Subject, preset: str) -> Segmenter:
        """The decoder that a preset makes for a mesh; finished work is used again."""
        return self._kept_open(preset, subject, lambda: self._trained(subject, preset))

    def field_preset(self) -> str:
        """The preset of figures that are about the feature field: that of the settings if it has one, else fast."""
        return self.settings.preset if PRESETS[self.settings.preset].needs_field else "fast"

    def pipeline(self, subject: Subject, preset: str) -> Pipeline:
        """The stages of a preset for a mesh, in their folder."""
        s, mesh = self.settings, subject.mesh
        if mesh.path is None:
            raise UserError(f"{subject.name} does not lie in a file")
        chosen = QUICK if s.quick else FAST if preset == "fast" else PRESETS[preset]
        name = f"{subject.name}_{mesh.digest[:8]}"
        recipe = chosen.digest if chosen.needs_field else digest(chosen.digest, prior_now())
        out = s.work / f"{preset}_{recipe[:8]}_{self.teacher.name}_{s.seed}" / name
        known = {"SAM": s.SAM, "seed": s.seed, "device": s.device}
        return Pipeline(PipelineSettings(obj_path=mesh.path, out_dir=out, name=name, preset=preset, **known), chosen)

    def _trained(self, subject: Subject, preset: str) -> Segmenter:
        pipeline = self.pipeline(subject, preset)
        for work in pipeline.stages.values():
            work(self.on_progress)
        files: TrainedFiles = pipeline.settings.files
        return open_segmenter(
            subject.mesh,
            "trained",
            checkpoint=files.checkpoint,
            features=files.features,
            device=self.settings.device,
            cache_dir=files.checkpoint.parent / "prior",
        )

    def _quick(self, subject: Subject) -> Segmenter:
        teacher = load_teacher("vit_t", device=choose_device(self.settings.device))
        return PriorSegmenter.prepare(subject.mesh, teacher, self.settings.work / "quick", views=8, voters=32)

    def baseline(self, subject: Subject) -> SamBaseline:
        """The paper's SAM baseline: masks in 100 views, averaged (Sec. 4.2)."""
        return self._method("sam_baseline", subject)

    def click_channels(self, subject: Subject) -> FaceSegmenter:
        """A network that sees clicks as channels, as InterObject3D does (Sec. 4.2)."""
        return self._method("click_channels", subject)

    def _method(self, name: str, subject: Subject) -> Any:
        s = self.settings
        chosen = MethodSettings(SAM=s.SAM, device=s.device, seed=s.seed, n_views=self.pick(100, 16))
        method = build_method(chosen, name)
        return self._kept_open(name, subject, lambda: method.prepare(subject.mesh, subject.graph).segmenter)

    def _kept_open(self, kind: str, subject: Subject, make: Callable[[], Any]) -> Any:
        return self._held.get((kind, subject.name), make)

    def identity(self, kind: str) -> str:
        """Everything that answers of a kind depend on besides the mesh, as text.

        kind: "ours", "sam_baseline", "click_channels", "field" (decoders of a preset with a field), or "both", of ours
        and of the SAM baseline.
        """
        s = self.settings
        if kind == "both":
            return f"{self.identity('ours')} {self.identity('sam_baseline')}"
        if kind in ("sam_baseline", "click_channels"):
            chosen = MethodSettings(SAM=s.SAM, device=s.device, seed=s.seed, n_views=self.pick(100, 16))
            return build_method(chosen, kind).identity
        answers = f"{ANSWERS_VERSION} {digest(WEIGHTS.read_bytes())} {decoders_now()}"
        preset = PRESETS[s.preset if kind == "ours" else self.field_preset()]
        return f"{kind} {s.quick} {preset.digest} {self.teacher.name} {s.seed} {answers}"

    # --- what was measured -----------------------------------------------------------------------

    def measured(self, what: str, kind: str, subjects: Sequence[Subject], make: Callable[[], Any]) -> Any:
        """Plain values that `make` measures on meshes with answers of a kind; read back if an earlier run did."""
        meshes = [part for subject in subjects for part in (subject.mesh.digest, _labels_digest(subject))]
        key = digest(what, VERSION, self.identity(kind), self.settings.quick, *meshes)
        path = self.settings.work / "measured" / f"{what.split()[0]}_{key}.json"
        if not path.is_file():
            save_json(path, {"what": what, "kind": kind, "values": make()})
        return load_json(path, "measurement", dict)["values"]


def _labels_digest(subject: Subject) -> str:
    return "" if subject.labels is None else digest(subject.labels, *subject.names)
