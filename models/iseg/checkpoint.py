"""Decoder checkpoints and feature fields: the published files and ours, checked on the way in.

A released `decoder_checkpoint.pth` holds attention_state_dict, model_state_dict, optimizer_state_dict, epoch,
batch_idx, shuffled_indices, losses and num_batch. Ours has the same keys, so that either program reads it, and says
besides which architecture it is, what mesh, features and teacher it belongs to, and how the training stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.iseg.correcting import Voters
from utils.errors import UserError
from utils.files import digest, load_json, load_torch, save_torch
from utils.geometry.coarse import CoarseMesh
from utils.geometry.mesh import Mesh

PUBLISHED_KEYS = ("attention_state_dict", "model_state_dict")
PARALLEL_PREFIX = "module."  # of state dicts saved from a multi-GPU wrapper


@dataclass
class DecoderCheckpoint:
    """Everything in a decoder checkpoint; what a released file lacks has its default.

    attention_state_dict, model_state_dict   of the attention and of the decoder, without `module.` prefix
    optimizer_state_dict   of Adam
    epoch, batch_idx       where the training stands: `batch_idx` batches of pass `epoch` are done
    shuffled_indices       (S,) int64, the order of samples in this pass
    losses                 one a step; num_batch: steps in a pass
    architecture, config   how to build the decoder
    mesh_digest, features_digest, teacher, seed   what it was trained on, None if not recorded
    run                    the settings of the training, plain values; a training resumes only under the same
    generator_state        of the random generator of the training
    voters, votes          (K,) int64 vertices and (K, N) int8, of what is asked on: `models.iseg.correcting.Voters`
    complete               is the training over?
    """

    attention_state_dict: dict
    model_state_dict: dict
    optimizer_state_dict: dict = field(default_factory=dict)
    epoch: int = 0
    batch_idx: int = 0
    shuffled_indices: Tensor | None = None
    losses: list = field(default_factory=list)
    num_batch: int = 0
    architecture: str = "published"
    config: dict = field(default_factory=dict)
    mesh_digest: str | None = None
    features_digest: str | None = None
    teacher: str | None = None
    seed: int | None = None
    run: dict = field(default_factory=dict)
    generator_state: Tensor | None = None
    complete: bool = True
    voters: Tensor | None = None
    votes: Tensor | None = None

    def asked(self, mesh: Mesh, path: str | Path) -> Voters | None:
        """What the decoder answered all over the mesh, if it was asked; UserError if that is of another mesh.

        Files made before large meshes were answered on coarse ones hold all vertices.
        """
        if self.voters is None or self.votes is None:
            return None
        voters, votes = self.voters.numpy(), self.votes.numpy()
        if isinstance(mesh, CoarseMesh) and votes.shape[1:] == (mesh.full.num_vertices,):
            voters, votes = mesh.of_vertex[voters], votes[:, mesh.own]
        if votes.shape != (len(voters), mesh.num_vertices) or votes.dtype != np.int8:
            raise UserError(f"{path} holds votes of another mesh than {mesh.path}; train the decoder again")
        return Voters(voters, votes)


def save_decoder_checkpoint(path: str | Path, checkpoint: DecoderCheckpoint) -> None:
    """Write the checkpoint whole or not at all."""
    save_torch(path, {entry.name: getattr(checkpoint, entry.name) for entry in fields(checkpoint)})


def load_decoder_checkpoint(path: str | Path, map_location: str | torch.device = "cpu") -> DecoderCheckpoint:
    """Read a released checkpoint or one of ours; UserError if it is missing, truncated or something else."""
    held = load_torch(path, map_location, "decoder checkpoint")
    if not isinstance(held, dict) or any(not isinstance(held.get(key), dict) for key in PUBLISHED_KEYS):
        raise UserError(
            f"{path} is not a decoder checkpoint ({' and '.join(PUBLISHED_KEYS)} are missing); "
            "give the file that decoder.py --mode train wrote"
        )
    known = {entry.name for entry in fields(DecoderCheckpoint)}
    values = {name: value for name, value in held.items() if name in known}
    for key in PUBLISHED_KEYS:
        values[key] = {name.removeprefix(PARALLEL_PREFIX): value for name, value in values[key].items()}
    return DecoderCheckpoint(**values)


def require_mesh(checkpoint: DecoderCheckpoint, path: str | Path, mesh: Mesh, features_digest: str) -> None:
    """UserError if the checkpoint says that it belongs to another mesh or another field. Released ones do not say."""
    if checkpoint.mesh_digest not in (None, mesh.digest):
        raise UserError(
            f"{path} was trained on another mesh than {mesh.path}; give that mesh, or train a decoder for this one"
        )
    if checkpoint.features_digest not in (None, features_digest):
        raise UserError(
            f"{path} was trained on another feature field than the one given; give the pred_f.pth it was trained "
            "on, or train the decoder again"
        )


def load_state(module: torch.nn.Module, state: dict, path: str | Path) -> None:
    """Put a state dict into a network; UserError if names or shapes differ."""
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = str(error).strip().splitlines()
        reason = (lines[1] if len(lines) > 1 else lines[0]).strip()[:160]
        raise UserError(
            f"{path} does not fit the decoder's architecture ({reason}); train the decoder again"
        ) from error


def load_features(path: str | Path, mesh: Mesh, channels: int = 256) -> tuple[Tensor, str]:
    """A feature field (V, channels) float32 in the published format, and its digest.

    `pred_f.json` beside the file, where there is one, says which mesh it belongs to. UserError if the field is missing,
    damaged, of another mesh, not finite, or changed since that note was written.
    """
    path = Path(path)
    features = load_torch(path, what="feature field")
    if not isinstance(features, Tensor) or features.dim() != 2 or not features.is_floating_point():
        raise UserError(
            f"{path} is not a feature field (a float tensor, vertices x {channels}); "
            "give the pred_f.pth that encoder.py wrote"
        )
    if len(features) != mesh.num_vertices:
        raise UserError(
            f"{path} has features of {len(features)} vertices but {mesh.path} has {mesh.num_vertices}; "
            "give the features of this mesh, or make them with encoder.py"
        )
    if features.shape[1] != channels:
        raise UserError(
            f"{path} has {features.shape[1]} channels, the decoder reads {channels}; make it with encoder.py"
        )
    features = features.detach().float().contiguous()
    identity = digest(features)
    _check_note(path, mesh, identity)
    return features, identity


def _check_note(path: Path, mesh: Mesh, identity: str) -> None:
    note = path.with_suffix(".json")
    if not note.is_file():
        return
    held = load_json(note, "note beside the feature field")
    if not isinstance(held, dict):
        raise UserError(f"{note} is damaged; make the features again with encoder.py, or remove that file")
    if held.get("mesh_digest") not in (None, mesh.digest):
        raise UserError(
            f"{path} holds the features of another mesh than {mesh.path}; give the features of this mesh, "
            "or make them with encoder.py"
        )
    if held.get("features_digest") not in (None, identity):
        raise UserError(f"{path} is not the file that {note} describes; make the features again with encoder.py")
