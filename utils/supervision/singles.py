"""Pass one of making click supervision: every chosen view and vertex prompted with its one positive click."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from utils.progress import Progress, silent
from utils.rendering.view_pool import ViewPool
from utils.supervision.click_views import ClickViews
from utils.supervision.prompts import prompt_clicks
from utils.supervision.store import ABSENT, SHARD_SAMPLES, Samples, SupervisionSet, write_shards
from utils.teacher import Teacher


def write_singles(
    directory: Path,
    pool: ViewPool,
    teacher: Teacher,
    views: ClickViews,
    prompted: Tensor,
    size: tuple[int, int],
    shard_samples: int = SHARD_SAMPLES,
    on_progress: Progress = silent,
) -> None:
    """Write the samples of kind "single": of the vertices and views in prompted (N, C) bool, with masks of `size`."""

    def samples_of(view: int, _: Sequence[str]) -> Iterator[tuple[str, Samples]]:
        first = prompted[view].nonzero()[:, 0]
        labels = torch.ones((len(first), 1), dtype=torch.int64)
        asked = teacher.in_view(pool.cameras[view])
        answer = prompt_clicks(asked, pool.embedding(view), views.pixels[view, first][:, None], labels, size)
        vertices = torch.stack([views.vertices[first], torch.full_like(first, ABSENT)], dim=1)
        positive = torch.tensor([True, False]).repeat(len(first), 1)
        yield "single", Samples.of(vertices, positive, view, answer.scores, answer.masks)

    counts = prompted.sum(dim=1)
    write_shards(directory, ("single",), counts, samples_of, size, "single clicks", shard_samples, on_progress)


class SingleMasks:
    """The single masks that may get a second click.

    views, samples  where the sampled vertices show, and the singles
    first           (S,) int64, which sampled vertex each sample clicks
    by_view         view -> samples (n,) of a score of at least `min_score`; views without any are left out
    """

    def __init__(self, views: ClickViews, samples: SupervisionSet, min_score: float) -> None:
        self.views, self.samples = views, samples
        self.first = views.index_of(samples.vertices[:, 0])
        good = samples.score >= min_score
        self.by_view = {view: of[good[of]] for view, of in samples.by_view().items() if good[of].any()}

    def __iter__(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(view, samples (n,), their sampled vertices (n,)) of every view, in order."""
        for view, samples in self.by_view.items():
            yield view, samples, self.first[samples]
