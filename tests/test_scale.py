"""The benchmark's shapes of any size, its fresh processes and its factors per doubling."""

from __future__ import annotations

import numpy as np
import pytest

from models.scale import STAGES, ScaleSettings, of_size, per_doubling, scale_report, time_scale
from tests.test_golden import MESHES
from utils.errors import UserError
from utils.files import load_json
from utils.geometry.mesh import Mesh


@pytest.mark.parametrize("count", (500, 5_996, 9_000, 30_000))
def test_a_shape_is_given_as_many_faces_as_wanted(count):
    mesh, whole = Mesh(*of_size(MESHES / "camel.obj", count)), Mesh(*of_size(MESHES / "camel.obj", 5_996))
    assert 0.7 * count <= mesh.num_faces <= count + 1
    assert np.allclose(np.ptp(mesh.vertices, axis=0), np.ptp(whole.vertices, axis=0), rtol=0.2)
    if count >= 5_996:
        assert np.isclose(mesh.face_areas.sum() / mesh.scale**-2, whole.face_areas.sum() / whole.scale**-2, rtol=1e-3)


def test_factors_are_those_of_twice_as_many_faces():
    assert per_doubling({1000: 1.0, 4000: 4.0, 8000: 4.0}) == pytest.approx([2.0, 1.0])


def test_stages_are_timed_in_fresh_processes_and_kept(tmp_path):
    out = tmp_path / "scale.json"
    settings = ScaleSettings(scale=True, scale_mesh=MESHES / "camel.obj", faces=(400, 1000), scale_stages=("load",))
    results = time_scale(settings, out)
    assert set(results["runs"]) == {"400/load", "1000/load"} and load_json(out) == results
    assert all(0 < run["seconds"] < 60 and 0 < run["memory_gib"] < 4 for run in results["runs"].values())
    text = scale_report(results)
    assert "| 400 | " in text and "| to 1,000 | " in text
    assert time_scale(settings, out) == results
    with pytest.raises(UserError, match="results of camel"):
        time_scale(ScaleSettings(scale=True, faces=(400,), scale_stages=tuple(STAGES)), out)
