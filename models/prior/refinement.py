"""Refining the prior decoder on one mesh with the teacher's masks of its click supervision (paper Sec. 3.3, from a start that knows shapes).

The masks of a small teacher are worse than what the prior answers, so they do not teach borders: they choose. For each set of clicks
the answer among the prior's candidates that a mask confirms becomes the target; where no candidate fits, the default stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from tqdm import tqdm

from models.prior.segmenter import PriorSegmenter
from models.prior.training import ClickSet, PriorTraining, batch_of, set_losses
from models.prior.votes import pairwise_iou
from utils.supervision.lifted_targets import LiftedTargets
from utils.supervision.training_samples import kind_chances


@dataclass(frozen=True)
class RefinementSettings:
    """The refinement.

    steps, learning_rate   of Adam; the rate falls to zero along a cosine
    sets, sets_per_step    click sets that are looked at, and in a step
    confirmed              least IoU of a candidate with the teacher's mask that makes it the target
    shares                 how often single clicks, several positive clicks, and sets with a negative click are looked at
    """

    steps: int = 60
    learning_rate: float = 2e-4
    sets: int = 160
    sets_per_step: int = 8
    confirmed: float = 0.6
    shares: tuple[float, float, float] = (0.6, 0.15, 0.25)

    def to_dict(self) -> dict:
        """Plain values for a checkpoint."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def masks_on_nodes(segmenter: PriorSegmenter, targets: LiftedTargets) -> tuple[np.ndarray, np.ndarray]:
    """The lifted masks of K click sets on the N nodes: shares selected (K, N) float32, and (K, N) bool where a view shows a node.

    A node takes the values at the corners of its faces, by area and by how well the views show them.
    """
    patches, rows = segmenter.patches, targets.rows.numpy()
    row_of = np.full(segmenter.num_vertices, -1, dtype=np.int64)
    row_of[rows] = np.arange(len(rows))
    corner = row_of[segmenter.mesh.faces[patches.parent]].ravel()
    node, area = np.repeat(patches.node, 3), np.repeat(patches.areas, 3)
    kept = corner >= 0  # of a large mesh, only some vertices have rows
    gather = sp.csr_matrix(
        (area[kept].astype(np.float32), (node[kept], corner[kept])), shape=(len(segmenter.nodes), len(rows))
    )
    weight = gather @ targets.weight.numpy().T
    inside = gather @ (targets.weight * targets.target).numpy().T
    return (inside / np.maximum(weight, 1e-20)).T, (weight > 0).T


class _Clicked:
    """A mesh as `models.prior.training.batch_of` reads it: what clicks on its nodes need, kept."""

    def __init__(self, segmenter: PriorSegmenter) -> None:
        self.segmenter, self.nodes, self.device = segmenter, segmenter.nodes, segmenter.nodes.area.device
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    def _of(self, nodes: list[int], which: int) -> Tensor:
        new = [node for node in dict.fromkeys(nodes) if node not in self._held]
        if new:
            distances, masks = self.segmenter.clicks_on(np.array(new))
            self._held |= {node: (distances[k], masks[k]) for k, node in enumerate(new)}
        return torch.stack([self._held[node][which] for node in nodes]).float()

    def distances(self, nodes: list[int]) -> Tensor:
        """(C, N, 2)."""
        return self._of(nodes, 0)

    def masks(self, nodes: list[int]) -> Tensor:
        """(C, N, 4)."""
        return self._of(nodes, 1)


class PriorRefinement:
    """One refinement: the network, its optimiser, the generator of all that is drawn, and how far it is.

    segmenter  `PriorSegmenter` of the mesh with the weights to begin with; it is not changed
    targets    the teacher's masks, as `utils.supervision.lifted_targets.lift_masks` gives them
    """

    def __init__(
        self, segmenter: PriorSegmenter, targets: LiftedTargets, settings: RefinementSettings, seed: int = 0
    ) -> None:
        self.segmenter, self.settings = segmenter, settings
        self.network = deepcopy(segmenter.network).requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.generator = torch.Generator().manual_seed(seed)
        self.losses: list[float] = []
        self.clicked = _Clicked(segmenter)
        seen = segmenter.views.seen > 0
        area = segmenter.nodes.area * torch.from_numpy(seen.astype(np.float32))
        self.weight = area / area.sum().clamp(min=1e-9)
        self.confirmed = 0  # sets whose target a mask chose
        self.sets = self._choose(targets)

    def _choose(self, targets: LiftedTargets) -> list[ClickSet]:
        """Click sets with what is wanted for each: the candidate that the mask confirms, else the default."""
        chance = kind_chances(targets.clicks.kind, self.settings.shares)
        table = targets.clicks
        faces = self.segmenter.face_of_vertex[table.vertices.numpy()]
        chance = torch.where(torch.from_numpy(((faces >= 0) | ~table.present.numpy()).all(axis=1)), chance, 0.0)
        chosen = torch.multinomial(chance, min(self.settings.sets, int((chance > 0).sum())), generator=self.generator)
        kept = LiftedTargets(table[chosen], targets.rows, targets.weight[chosen], targets.target[chosen])
        masks, shown = masks_on_nodes(self.segmenter, kept)
        share = self.weight.numpy()
        result = []
        for row in tqdm(range(len(chosen)), desc="look at clicks", unit="set", disable=None, leave=False):
            present = table.present[chosen[row]].numpy()
            face, positive = faces[chosen[row]][present], table.positive[chosen[row]].numpy()[present]
            logits, _ = self.segmenter.answer_together(face, positive)
            answers = logits > 0
            fit = pairwise_iou(answers & shown[row], (masks[row] > 0.5)[None] & shown[row], share)[:, 0]
            best = int(fit.argmax()) if fit.max() >= self.settings.confirmed else 1
            self.confirmed += int(fit.max() >= self.settings.confirmed)
            wanted = answers[best]
            if share[wanted].sum() > 0:
                result.append(
                    ClickSet(
                        wanted,
                        answers[0] & wanted,
                        answers[2] | wanted,
                        self.segmenter.patches.node[face].tolist(),
                        positive.tolist(),
                    )
                )
        return result

    def run(self, after_step: Callable[[], None] = lambda: None) -> None:
        """Train to the last step from where this stands; `after_step` may save."""
        loss_settings = PriorTraining()
        bar = tqdm(
            total=self.settings.steps, initial=len(self.losses), desc="refine decoder", unit="step", disable=None
        )
        while len(self.losses) < self.settings.steps and self.sets:
            done = len(self.losses) / self.settings.steps
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * math.cos(math.pi / 2 * done) ** 2
            drawn = torch.randint(len(self.sets), (self.settings.sets_per_step,), generator=self.generator).tolist()
            sets = [self.sets[place] for place in drawn]
            without = self.segmenter.without
            encoded = self.network.encode(self.segmenter.nodes, without)
            logits, quality = self.network(self.segmenter.nodes, encoded, *batch_of(self.clicked, sets, without))
            loss, _ = set_losses(logits, quality, sets, self.weight, loss_settings)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.losses.append(float(loss.detach()))
            bar.set_postfix(loss=f"{np.mean(self.losses[-20:]):.4f}", refresh=False)
            bar.update()
            after_step()
        bar.close()

    def state(self) -> dict[str, object]:
        """What `restore` needs to go on."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "losses": list(self.losses),
        }

    def weights(self) -> dict[str, Tensor]:
        """The network's parameters, detached."""
        return {key: value.detach().clone() for key, value in self.network.state_dict().items()}

    def restore(self, weights: dict[str, Tensor], state: dict) -> None:
        """Go on from what `weights` and `state` gave."""
        self.network.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.losses = list(state["losses"])
