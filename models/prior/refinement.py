"""Refining the prior decoder on one mesh with the teacher's masks of its click supervision (paper Sec. 3.3).

The masks of a small teacher are worse than what the prior answers, so they do not teach borders: they choose. For each
set of clicks the answer among the prior's candidates that a mask confirms becomes the target; where no candidate fits,
the default stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from models.prior.annotator import ClickSet
from models.prior.answers import Ask
from models.prior.checkpoint import REFINED, WEIGHTS, load_prior
from models.prior.inputs import click_batch
from models.prior.losses import LossWeights, set_losses
from models.prior.segmenter import Prepared, prepare
from models.prior.votes import pairwise_iou
from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.files import digest, save_torch
from utils.geometry.mesh import load_mesh
from utils.options import given
from utils.progress import Progress, Step, silent, track
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import LiftedTargets, lift_masks
from utils.supervision.training_samples import REMEDY, ClickTrainingSettings, kind_chances, open_samples, says_finished
from utils.teacher import Teacher
from utils.training import check_loss, cosine, restored, resumable, set_rate


@dataclass(frozen=True)
class RefinementSettings:
    """The refinement.

    steps, learning_rate   of Adam; the rate falls to zero along a cosine
    sets, sets_per_step    click sets that are looked at, and in a step
    confirmed              least IoU of a candidate with the teacher's mask that makes it the target
    shares                 how often single clicks, several positive clicks, and sets with negative ones are looked at
    """

    steps: int = 60
    learning_rate: float = 2e-4
    sets: int = 160
    sets_per_step: int = 8
    confirmed: float = 0.6
    shares: tuple[float, float, float] = (0.6, 0.15, 0.25)


def masks_on_nodes(prepared: Prepared, targets: LiftedTargets) -> tuple[np.ndarray, np.ndarray]:
    """The lifted masks of K click sets on the N nodes.

    Shares selected (K, N) float32, and (K, N) bool where a view shows a node. A node takes the values at the corners of
    its faces, by area and by how well the views show them.
    """
    patches, rows = prepared.patches, targets.rows.numpy()
    row_of = np.full(patches.mesh.num_vertices, -1, dtype=np.int64)
    row_of[rows] = np.arange(len(rows))
    corner = row_of[patches.mesh.faces[patches.fine.parent]].ravel()
    node, area = np.repeat(patches.node, 3), np.repeat(patches.fine.area, 3)
    kept = corner >= 0  # of a large mesh, only some vertices have rows
    shape = (len(patches.graph), len(rows))
    gather = sp.csr_matrix((area[kept].astype(np.float32), (node[kept], corner[kept])), shape=shape)
    weight = gather @ targets.weight.numpy().T
    inside = gather @ (targets.weight * targets.target).numpy().T
    return (inside / np.maximum(weight, 1e-20)).T, (weight > 0).T


@dataclass(frozen=True, eq=False)
class ChosenSets:
    """Click sets with what is wanted for each; confirmed: how many targets a mask chose."""

    sets: list[ClickSet]
    confirmed: int


def choose_sets(
    prepared: Prepared,
    targets: LiftedTargets,
    settings: RefinementSettings,
    generator: torch.Generator,
    ask: Ask | None = None,
    on_progress: Progress = silent,
) -> ChosenSets:
    """Click sets, each with the candidate that the mask confirms, else the default; `ask` gives the candidates."""
    ask, table, node = ask or prepared.answers.together, targets.clicks, prepared.patches.node
    faces = prepared.face_of_vertex[table.vertices.numpy()]
    usable = torch.from_numpy(((faces >= 0) | ~table.present.numpy()).all(axis=1))
    chance = torch.where(usable, kind_chances(table.kind, settings.shares), 0.0)
    chosen = torch.multinomial(chance, min(settings.sets, int((chance > 0).sum())), generator=generator)
    kept = LiftedTargets(table[chosen], targets.rows, targets.weight[chosen], targets.target[chosen])
    masks, shown = masks_on_nodes(prepared, kept)
    share = visible_area(prepared).numpy()
    sets, confirmed = [], 0
    for row in track(range(len(chosen)), "look at clicks", on_progress, len(chosen), unit="set"):
        present = kept.clicks.present[row].numpy()
        nodes, positive = node[faces[chosen[row]][present]], kept.clicks.positive[row].numpy()[present]
        answers = ask(nodes, positive).logits > 0
        fit = pairwise_iou(answers & shown[row], (masks[row] > 0.5)[None] & shown[row], share)[:, 0]
        fits = bool(fit.max() >= settings.confirmed)
        confirmed += fits
        wanted = answers[int(fit.argmax()) if fits else 1]
        if share[wanted].sum() > 0:
            smaller, larger = answers[0] & wanted, answers[2] | wanted
            sets.append(ClickSet(wanted, smaller, larger, nodes.tolist(), positive.tolist()))
    return ChosenSets(sets, confirmed)


def visible_area(prepared: Prepared) -> Tensor:
    """(N,) area of the nodes that some view shows, summing to 1."""
    area = prepared.answers.tensors.area * torch.from_numpy((prepared.seen > 0).astype(np.float32))
    return area / area.sum().clamp(min=1e-9)


class PriorRefinement:
    """One refinement: the network, its optimiser, the generator of all that is drawn, and how far it is.

    prepared  of the mesh, with the weights to begin with; it is not changed
    """

    def __init__(
        self, prepared: Prepared, sets: list[ClickSet], settings: RefinementSettings, generator: torch.Generator
    ) -> None:
        self.prepared, self.sets, self.settings, self.generator = prepared, sets, settings, generator
        self.network = deepcopy(prepared.answers.network).requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.losses: list[float] = []

    def run(self, on_progress: Progress = silent, after_step: Callable[[], None] = lambda: None) -> None:
        """Train to the last step from where this stands; `after_step` may save."""
        tensors, distances = self.prepared.answers.tensors, self.prepared.answers.distances
        weight, settings = visible_area(self.prepared), self.settings
        while len(self.losses) < settings.steps and self.sets:
            set_rate(self.optimizer, settings.learning_rate * cosine(len(self.losses) / settings.steps))
            drawn = torch.randint(len(self.sets), (settings.sets_per_step,), generator=self.generator).tolist()
            sets = [self.sets[place] for place in drawn]
            clicks = click_batch(tensors, distances, [(each.nodes, each.positive) for each in sets])
            logits, quality = self.network(tensors, self.network.encode(tensors), clicks)
            loss, _ = set_losses(logits, quality, sets, weight, LossWeights())
            value = check_loss(loss.detach(), len(self.losses))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.losses.append(value)
            note = f"loss {np.mean(self.losses[-20:]):.4f}"
            on_progress(Step("refine decoder", len(self.losses), settings.steps, note=note))
            after_step()

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

    def restore(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from what `weights` and `state` gave."""
        self.network.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.losses = list(state["losses"])


def refine(
    settings: ClickTrainingSettings,
    on_progress: Progress = silent,
    teacher: Teacher | None = None,
    weights: Path = WEIGHTS,
) -> None:
    """Refine the prior on one mesh, or finish an interrupted refinement. Needs click supervision, but no feature field.

    teacher, weights: in place of the embedded and the shipped ones. Raises UserError if the checkpoint is of another
    training.
    """
    started = time.perf_counter()
    mesh, path = load_mesh(settings.obj_path), settings.checkpoint
    data = open_samples(settings, settings.data_dir, mesh, settings.seed)
    loop = RefinementSettings(
        **given(steps=settings.steps, sets_per_step=settings.batch_size, learning_rate=settings.learning_rate)
    )
    network, prior = load_prior(weights)
    record = {
        "kind": REFINED,
        "mesh_digest": mesh.digest,
        "supervised_by": data.samples.teacher_name,
        "run": {**asdict(loop), "shares": list(loop.shares), **data.record, "prior": digest(weights.read_bytes())},
        "config": asdict(network.config),
        **{key: prior[key] for key in ("teacher", "field_mean", "field_components", "left_out") if key in prior},
    }
    named = {"kind": "--init", "mesh_digest": "mesh", "run": "training settings, click supervision or prior"}
    held = resumable(path, record, named, "decoder checkpoint", REMEDY, settings.start_over)
    resumed_at = restored(path, lambda: len(held["state"]["losses"]), REMEDY) if held is not None else 0
    if held is not None and says_finished(path, bool(held.get("complete")), resumed_at):
        return
    teacher = teacher or load_teacher("vit_t", device=choose_device(settings.device))
    prepared = prepare(mesh, teacher, settings.directory / "prior", weights)
    seed, generator = settings.seed, torch.Generator()
    rasterizer = Rasterizer(mesh, settings.renderer)
    targets = lift_masks(data.samples, data.chosen, rasterizer, generator.manual_seed(seed), on_progress=on_progress)
    chosen = choose_sets(prepared, targets, loop, generator.manual_seed(seed), on_progress=on_progress)
    refinement = PriorRefinement(prepared, chosen.sets, loop, generator)
    if held is not None:
        restored(path, lambda: refinement.restore(held["weights"], held["state"]), REMEDY)

    def save(complete: bool) -> None:
        save_torch(path, {**record, "weights": refinement.weights(), "state": refinement.state(), "complete": complete})

    def after_step() -> None:
        if len(refinement.losses) % min(settings.save_interval, 20) == 0:
            save(complete=False)

    refinement.run(on_progress, after_step)
    save(complete=True)
    print(
        f"decoder: {path} (prior refined: {chosen.confirmed} of {len(chosen.sets)} click sets confirmed by a mask, "
        f"loss {np.mean(refinement.losses[-20:]):.4f}, {len(refinement.losses) - resumed_at} steps, "
        f"{time.perf_counter() - started:.1f} s)"
    )
