"""Stand-in until models/prior/refinement.py has it."""

from __future__ import annotations

import time

import numpy as np
import torch

from models.prior.refinement import PriorRefinement, RefinementSettings
from models.prior.segmenter import REFINED, WEIGHTS, PriorSegmenter, load_prior
from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.files import digest, save_torch
from utils.geometry.mesh import load_mesh
from utils.progress import Progress, silent
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import lift_masks
from utils.supervision.training_samples import open_samples
from utils.training import resumable


def refine(settings, on_progress: Progress = silent) -> None:
    """Refine the prior decoder on one mesh, or finish an interrupted refinement; needs no feature field."""
    started = time.perf_counter()
    mesh = load_mesh(settings.obj_path)
    data = open_samples(settings, settings.data_dir, mesh, settings.seed)
    told = {"steps": settings.steps, "learning_rate": settings.learning_rate, "sets_per_step": settings.batch_size}
    loop = RefinementSettings(**{key: value for key, value in told.items() if value is not None})
    path = settings.checkpoint
    prior = load_prior(WEIGHTS)[1]
    kept = ("config", "teacher", "field_mean", "field_components", "left_out")
    record = {
        "kind": REFINED,
        "mesh_digest": mesh.digest,
        "supervised_by": data.samples.teacher_name,
        "run": {**loop.to_dict(), **data.record, "prior": digest(WEIGHTS.read_bytes())},
        **{key: prior[key] for key in kept if key in prior},
    }
    named = {"kind": "--init", "mesh_digest": "mesh", "run": "training settings, click supervision or prior"}
    remedy = "add --overwrite 1 to train it again, or choose another --save_dir or --model_name"
    held = resumable(path, record, named, "decoder checkpoint", remedy, settings.start_over)
    if held is not None and held["complete"]:
        print(f"decoder: {path} is already trained ({loop.steps} steps); --overwrite 1 trains it again")
        return
    teacher = load_teacher("vit_t", device=choose_device(settings.device))
    segmenter = PriorSegmenter(mesh, teacher, settings.directory / "prior", WEIGHTS)
    generator = torch.Generator().manual_seed(settings.seed)
    targets = lift_masks(
        data.samples, data.chosen, Rasterizer(mesh, settings.renderer), generator, on_progress=on_progress
    )
    refinement = PriorRefinement(segmenter, targets, loop, settings.seed)
    resumed_at = 0
    if held is not None:
        refinement.restore(held["weights"], held["state"])
        resumed_at = len(refinement.losses)
        print(f"decoder: {path} goes on after step {resumed_at}")

    def save(complete: bool = False) -> None:
        save_torch(path, {**record, "weights": refinement.weights(), "state": refinement.state(), "complete": complete})

    def after_step() -> None:
        if len(refinement.losses) % min(settings.save_interval, 20) == 0:
            save()

    refinement.run(after_step)
    save(complete=True)
    print(
        f"decoder: {path} (prior refined: {refinement.confirmed} of {len(refinement.sets)} click sets confirmed by a "
        f"mask, loss {np.mean(refinement.losses[-20:]):.4f}, {len(refinement.losses) - resumed_at} steps, "
        f"{time.perf_counter() - started:.1f} s)"
    )
