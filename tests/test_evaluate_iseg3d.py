import json

import h5py
import numpy as np
import pytest
import torch

from models.iseg3d import clouds
from models.iseg3d.pointnet2 import PointNet2, PointNet2Config
from models.iseg3d.simulation import GreedyRun
from scripts import evaluate_iseg3d
from utils.errors import UserError
from utils.files import save_torch

SMALL = {
    "centers": (64, 16, 8),
    "neighbors": ((4, 4), (4, 4), (4, 4)),
    "widths": ((8, 8), (8, 8), (8, 8)),
    "propagated": (8, 8, 8),
}


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Small random networks in place of the shipped ones."""
    torch.manual_seed(0)
    for kind, extra in (("embedding", {"outputs": 4}), ("heatmap", {"inputs": 5, "outputs": 1})):
        network = PointNet2(PointNet2Config(**SMALL, **extra))
        save_torch(
            tmp_path / f"{kind}.pt",
            {"network": network.state_dict(), "config": network.config.to_dict(), "settings": {"kind": kind}},
        )
    monkeypatch.setattr(evaluate_iseg3d, "WEIGHTS", tmp_path / "embedding.pt")
    monkeypatch.setattr(evaluate_iseg3d, "HEATMAP_WEIGHTS", tmp_path / "heatmap.pt")
    monkeypatch.setattr(evaluate_iseg3d, "sample_cloud", lambda mesh, seed=0: clouds.sample_cloud(mesh, 300, seed))
    return tmp_path


def test_every_method_and_ablation_is_measured_and_a_second_run_reads_it_back(networks, capsys):
    out = networks / "results.json"
    arguments = [
        "--meshes",
        "meshes/camel.obj",
        "--ablation",
        "--clicks",
        "10",
        "--candidates",
        "8",
        "--asked",
        "2",
        "--out",
        str(out),
        "--plot",
    ]
    assert evaluate_iseg3d.main(arguments) == 0
    first = json.loads(out.read_text())
    assert set(first["methods"]) >= {"iseg3d", "fpfh", "heatmap", "neither OR nor SS", "OR", "SS", "OR, SS, OF always"}
    for name, entry in first["methods"].items():
        # a random heatmap network may select nothing; embeddings select at least the clicks
        assert (
            (name == "heatmap" or entry["miou@1"] > 0)
            and 0 <= entry["miou@10"] <= 1
            and 1 <= entry["noc@80"] <= 10
            and len(entry["curve"]) == 10
        )
        assert entry["interval@10"][0] <= entry["miou@10"] <= entry["interval@10"][1]
    assert out.with_suffix(".png").is_file() and "0.837, 7.7, 9.0" in capsys.readouterr().out
    kept = {path.name: path.stat().st_mtime_ns for path in out.with_suffix(".runs").iterdir()}
    assert evaluate_iseg3d.main(arguments) == 0
    assert json.loads(out.read_text()) == first
    assert {path.name: path.stat().st_mtime_ns for path in out.with_suffix(".runs").iterdir()} == kept


def test_partnet_files_are_clicked_on_where_a_person_has_them(networks, tmp_path):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, 5000, 3)).astype(np.float32)
    with h5py.File(tmp_path / "Chair.h5", "w") as file:
        file["pts"], file["nor"] = 3 * points + 1, points / np.linalg.norm(points, axis=2, keepdims=True)
        file["label"] = (points[..., 0] > 0).astype(np.int32) + 5
    arguments = ["--partnet", str(tmp_path / "Chair.h5"), "--methods", "iseg3d", "--clicks", "10", "--candidates", "8"]
    assert evaluate_iseg3d.main([*arguments, "--out", str(tmp_path / "r.json")]) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert list(result["methods"]["iseg3d"]["by_category"]) == ["Chair"] and result["methods"]["iseg3d"]["parts"] == 4
    with h5py.File(tmp_path / "Chair.h5", "a") as file:
        del file["nor"]
    with pytest.raises(UserError, match="no normals"):
        evaluate_iseg3d.main([*arguments, "--out", str(tmp_path / "r.json")])


def test_what_is_never_reached_counts_as_the_cap():
    entry = evaluate_iseg3d._means(np.array([[0.1] * 15, [0.5, 0.81, *[0.86] * 13]]))
    assert entry["noc@80"] == (15 + 2) / 2 and entry["noc@85"] == (15 + 3) / 2 and entry["failed@80"] == 0.5


def test_small_and_unlabelled_parts_are_not_asked_for():
    labels = np.array([-1] * 500 + [0] * 480 + [1] * 5 + [2] * 15)
    assert [int(part.sum()) for part in evaluate_iseg3d._parts(labels)] == [480, 15]


def test_nothing_to_measure_and_too_few_clicks_are_said(tmp_path):
    with pytest.raises(UserError, match="name shapes"):
        evaluate_iseg3d.main(["--out", str(tmp_path / "r.json")])
    with pytest.raises(UserError, match="below 10"):
        evaluate_iseg3d.main(["--meshes", "meshes/camel.obj", "--clicks", "5", "--out", str(tmp_path / "r.json")])


def test_clicks_of_a_run_are_told_apart_by_sign():
    run = GreedyRun([3, 5, 7], [True, False, True], [0.1, 0.2, 0.3])
    assert run.of(True).tolist() == [3, 7] and run.of(False).tolist() == [5]
