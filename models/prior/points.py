"""What the point network says of a mesh's nodes: an embedding in which the points of a part lie together."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.spatial import KDTree

from models.points.carry import NEIGHBORS, NORMAL_WEIGHT
from models.points.clouds import sample_cloud
from models.points.embedding import WEIGHTS, Embedder, load_network
from models.points.pointnet2 import PointNet2
from models.prior.nodes import NodeGraph
from utils.geometry.mesh import Mesh


def embed_nodes(mesh: Mesh, graph: NodeGraph) -> np.ndarray:
    """(N, EMBEDDING) float32: the mean embedding of the points of a cloud near each node, on its side of thin walls."""
    cloud = sample_cloud(mesh)
    tree = KDTree(np.concatenate([cloud.positions, NORMAL_WEIGHT * cloud.normals], axis=1))
    away, near = tree.query(np.concatenate([graph.position, NORMAL_WEIGHT * graph.normal], axis=1), k=NEIGHBORS)
    weight = 1 / (away + 1e-3) ** 2
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nkd,nk->nd", Embedder(_network(), cloud)()[near], weight).astype(np.float32)


@cache
def _network() -> PointNet2:
    return load_network(WEIGHTS, "embedding")
