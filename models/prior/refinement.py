"""Refining the prior decoder on one mesh with a teacher's masks of single clicks (paper Sec. 3.3).

The masks, lifted to the nodes, become votes beside the prior's own (`models.prior.taught`). No network is trained.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from models.prior.checkpoint import REFINED, WEIGHTS, load_prior
from models.prior.segmenter import Prepared, prepare
from models.prior.taught import LiftedMasks
from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.files import digest, save_torch
from utils.geometry.mesh import load_mesh
from utils.progress import Progress, silent
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import LiftedTargets, lift_masks
from utils.supervision.training_samples import REMEDY, ClickTrainingSettings, open_samples
from utils.teacher import Teacher
from utils.training import resumable

KEPT_OF_THE_PRIOR = ("config", "weights", "teacher", "field_mean", "field_components", "format")


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


def lifted_masks(prepared: Prepared, targets: LiftedTargets) -> LiftedMasks | None:
    """What the lifted masks of single clicks say; None if no view shows any click, or they are on no face."""
    masks, shown = masks_on_nodes(prepared, targets)
    faces = prepared.face_of_vertex[targets.clicks.vertices[:, 0].numpy()]
    on = faces >= 0
    return LiftedMasks.of(prepared.patches.graph, prepared.patches.node[faces[on]], masks[on], shown[on])


def refine(
    settings: ClickTrainingSettings,
    on_progress: Progress = silent,
    teacher: Teacher | None = None,
    weights: Path = WEIGHTS,
) -> None:
    """Refine the prior on one mesh. Needs click supervision, of which it reads the single clicks; no feature field.

    teacher, weights: of the prior, in place of the embedded and the shipped ones. Raises UserError if the checkpoint is
    of another training.
    """
    started = time.perf_counter()
    mesh, path = load_mesh(settings.obj_path), settings.checkpoint
    settings = replace(settings, use_positive_click=False, use_negative_click=False)
    data = open_samples(settings, settings.data_dir, mesh, settings.seed)
    _, prior = load_prior(weights)
    record: dict[str, Any] = {
        "kind": REFINED,
        "mesh_digest": mesh.digest,
        "supervised_by": data.samples.teacher_name,
        "run": {**data.record, "prior": digest(weights.read_bytes())},
        **{key: prior[key] for key in KEPT_OF_THE_PRIOR if key in prior},
    }
    named = {"kind": "--init", "mesh_digest": "mesh", "run": "click supervision or prior"}
    if resumable(path, record, named, "decoder checkpoint", REMEDY, settings.start_over) is not None:
        print(f"decoder: {path} is already refined; --overwrite 1 refines it again")
        return
    teacher = teacher or load_teacher("vit_t", device=choose_device(settings.device))
    prepared = prepare(mesh, teacher, settings.directory / "prior", weights, on_progress=on_progress)
    generator = torch.Generator().manual_seed(settings.seed)
    rasterizer = Rasterizer(mesh, settings.renderer)
    targets = lift_masks(data.samples, data.chosen, rasterizer, generator, on_progress=on_progress)
    lifted = lifted_masks(prepared, targets)
    if lifted is None:
        raise UserError(f"no view shows a click of {settings.data_dir}; run data_generation.py with more --n_views")
    save_torch(path, record | {"lifted": lifted.state(prepared.patches.graph)})
    role = "lead" if lifted.leads else "advise"
    print(
        f"decoder: {path} (prior refined: the masks of {len(lifted.nodes)} clicks {role}, agreeing by "
        f"{lifted.consistency:.2f}; {time.perf_counter() - started:.1f} s)"
    )
