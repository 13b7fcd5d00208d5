"""What `scripts/evaluate.py --task parts` can measure: one line a partitioner in `PARTITIONERS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from models.open import open_segmenter
from models.prior import segmenter as prior
from models.prior.parts import PARTS_VERSION
from utils.evaluation import partition_baselines as baselines
from utils.evaluation.partition_runs import Partitioner
from utils.files import digest


def _prior(cache_dir: Path | None) -> Partitioner:
    weights = digest(prior.WEIGHTS.read_bytes()) if prior.WEIGHTS.is_file() else ""
    return Partitioner(
        "prior",
        f"prior {prior.ANSWERS_VERSION} {PARTS_VERSION} {weights}",
        open=lambda mesh: open_segmenter(mesh, "prior", cache_dir=cache_dir),
    )


PARTITIONERS: dict[str, Callable[[Path | None], Partitioner]] = {
    "prior": _prior,
    "shape_diameter": lambda _: Partitioner(
        "shape_diameter", "shape_diameter 1", lambda mesh, graph, count: baselines.shape_diameter(mesh, graph)
    ),
    "k_means": lambda _: Partitioner("k_means", "k_means 1", baselines.k_means),
    "components": lambda _: Partitioner(
        "components", "components 1", lambda mesh, graph, count: baselines.components(mesh, graph)
    ),
}
NAMES = tuple(PARTITIONERS)


@cache
def build_partitioner(cache_dir: Path | None, name: str) -> Partitioner:
    """The partitioner of a name; cache_dir: where the prior keeps what it makes of a mesh."""
    return PARTITIONERS[name](cache_dir)
