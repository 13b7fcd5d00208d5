"""The embedding of one cloud, and its online fine-tuning by a person's clicks (Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.iseg3d.annotation import PRINTED, AnnotationSettings, Annotator
from models.iseg3d.losses import fine_tuning_energy
from models.points.clouds import Cloud
from models.points.embedding import Embedder
from models.points.pointnet2 import PointNet2
from utils.selection import iou

PointClicks = tuple[np.ndarray, np.ndarray]  # positive (P,) and negative (Q,) points, int64
State = tuple[dict[str, Tensor], np.ndarray]  # weights and embedding


@dataclass(frozen=True)
class FineTuning:
    """What the paper leaves open of the fine-tuning, and how what is right stays so.

    steps            of gradient descent, each as long as would bring the loss to 0 if it were linear (Polyak's step)
    keep_weight      of the mean distance that the embeddings of the points of other parts move
    least_agreement  IoU of every other part, answered before and after; the change is shortened until all reach it
    """

    steps: int = 3
    keep_weight: float = 1.0
    least_agreement: float = 0.98


USUAL = FineTuning()


class OnlineEmbedding:
    """A network on one cloud and the annotator of its embedding; `fine_tune` changes both, `undo` restores them."""

    def __init__(self, network: PointNet2, cloud: Cloud, settings: AnnotationSettings = PRINTED) -> None:
        self.embedder = Embedder(network, cloud)
        self.annotator = Annotator(cloud.points, self.embedder(), settings)
        self._earlier: list[State] = []

    def fine_tune(self, clicks: PointClicks, others: Sequence[PointClicks] = (), settings: FineTuning = USUAL) -> bool:
        """Move the embeddings of the negative points away from those of the positive ones (Eq. 9-10).

        others: clicks of other parts, whose answers must not degrade: the change of the weights is halved until each
        of them agrees with its earlier answer, or dropped. Returns whether anything changed.
        """
        before = self._weights(), self.annotator.embedding
        changed = False
        try:
            changed = self._moved(before[0], clicks, others, settings)
        finally:
            if not changed:
                self._restore(before)
        if changed:
            self._earlier.append(before)
        return changed

    def undo(self) -> bool:
        """Restore weights and embedding, to the bit, from before the last fine-tuning; False if there was none."""
        if not self._earlier:
            return False
        self._restore(self._earlier.pop())
        return True

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.embedder.network.state_dict().items()}

    def _restore(self, state: State) -> None:
        self.embedder.network.load_state_dict(state[0])
        self.annotator.embedding = state[1]

    def _moved(
        self, before: dict[str, Tensor], clicks: PointClicks, others: Sequence[PointClicks], settings: FineTuning
    ) -> bool:
        """Whether weights and embedding are others now, with which the other parts' answers agree."""
        answers = [self.annotator.annotate(*other) for other in others]
        kept = np.flatnonzero(np.any(answers, axis=0)) if answers else np.zeros(0, dtype=np.int64)
        if not self._descend(clicks, kept, settings):
            return False
        after = self._weights()
        for share in (1.0, 0.5, 0.25, 0.125):
            if share < 1.0:
                mixed = {
                    name: torch.lerp(value, after[name], share) if value.is_floating_point() else value
                    for name, value in before.items()
                }
                self.embedder.network.load_state_dict(mixed)
            self.annotator.embedding = self.embedder()
            agreements = (iou(self.annotator.annotate(*other), answer) for other, answer in zip(others, answers))
            if all(agreement >= settings.least_agreement for agreement in agreements):
                return True
        return False

    def _descend(self, clicks: PointClicks, kept: np.ndarray, settings: FineTuning) -> bool:
        """Steps on Eq. 9 until it is 0, while the `kept` points (K,) are held; whether there was one."""
        parameters = list(self.embedder.network.parameters())
        device = parameters[0].device
        include, exclude, hold = (torch.from_numpy(points).to(device) for points in (*clicks, kept))
        start = torch.from_numpy(self.annotator.embedding).to(device)
        moved = False
        for _ in range(settings.steps):
            embedding = self.embedder.forward()
            loss = fine_tuning_energy(embedding[include], embedding[exclude])
            if float(loss.detach()) == 0.0:
                break
            if len(hold):
                loss = loss + settings.keep_weight * (embedding[hold] - start[hold]).norm(dim=1).mean()
            gradients = torch.autograd.grad(loss, parameters)
            length = sum(float(gradient.square().sum()) for gradient in gradients)
            if length == 0.0:
                break
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients):
                    parameter -= float(loss.detach()) / length * gradient
            moved = True
        return moved
