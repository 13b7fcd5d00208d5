"""The point network on the points of one mesh: an embedding in which the points of a part lie together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.points.clouds import Cloud
from models.points.pointnet2 import Plan, PointNet2, PointNet2Config
from utils.errors import UserError
from utils.files import load_torch
from utils.shipped import check_shipped

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "iseg3d.pt"


class Embedder:
    """A network, in evaluation mode, on the points of one cloud."""

    def __init__(self, network: PointNet2, cloud: Cloud) -> None:
        self.network = network.eval()
        device = next(network.parameters()).device
        self.points, self.normals = (torch.from_numpy(a).to(device) for a in (cloud.points, cloud.normals))
        self.plan = Plan.of(self.points, network.config)

    def forward(self, extra: Tensor | None = None) -> Tensor:
        """(N, outputs); `extra` (N, C): channels beside the normals."""
        channels = self.normals if extra is None else torch.cat([self.normals, extra], dim=1)
        return self.network(self.points, channels, self.plan)

    @torch.no_grad()
    def __call__(self, extra: Tensor | None = None) -> np.ndarray:
        return self.forward(extra).cpu().numpy()


def load_network(path: str | Path, kind: str) -> PointNet2:
    """The network of a kind (`models.iseg3d.training.KINDS`) in float32; UserError if the file cannot be used."""
    check_shipped(path)
    held = load_torch(path, what=f"{kind} network of iSeg3D")
    shipped = Path(path).parent == WEIGHTS.parent
    remedy = "restore it with: git checkout -- models/weights" if shipped else "train it again: iseg3d.py --mode train"
    try:
        if not isinstance(held, dict):
            raise TypeError("a network of iSeg3D is a dictionary")
        if held["settings"]["kind"] != kind:
            raise UserError(f"{path} holds a network of the kind {held['settings']['kind']}, not {kind}")
        network = PointNet2(PointNet2Config.from_dict(held["config"]))
        network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in held["network"].items()}
        )
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} does not hold a network of iSeg3D of this version; {remedy}") from error
    return network.eval()
