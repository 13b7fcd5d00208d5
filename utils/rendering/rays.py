"""What rays meet first, without anything else of the rendering: a click needs no more."""

from __future__ import annotations

from typing import Any

import numpy as np


def ray_scene(vertices: np.ndarray, faces: np.ndarray) -> Any:
    """What Embree casts rays at: vertices (V, 3), faces (F, 3), maybe none. `run(origins, directions, query=...)`."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    scene = rtcore_scene.EmbreeScene()  # pyright: ignore[reportAttributeAccessIssue]
    if len(faces):
        TriangleMesh(scene, np.ascontiguousarray(vertices, dtype=np.float32), faces.astype(np.int32))
    return scene
