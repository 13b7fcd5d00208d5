"""The evaluation of the iSeg3D paper: every method on every kind of shape, read back by a second run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from models.iseg3d.evaluation import EvaluationSettings, Setting, evaluate, large_parts, means
from models.iseg3d.simulation import GreedyRun
from models.points.pointnet2 import PointNet2, PointNet2Config
from scripts import evaluate_iseg3d
from utils.errors import UserError
from utils.files import save_torch
from utils.shapes.builder import LabelledMesh
from utils.shapes.samples import save_sample

SETTING = Setting(clicks=10, candidates=8, asked=2, device="cpu")
SMALL = PointNet2Config(
    outputs=4,
    centers=(64, 16, 8),
    neighbors=((4, 4), (4, 4), (4, 4)),
    widths=((8, 8), (8, 8), (8, 8)),
    propagated=(8, 8, 8),
)


@pytest.fixture
def settings(tmp_path) -> EvaluationSettings:
    """Clouds of few points, and small random networks in place of the shipped ones."""
    torch.manual_seed(0)
    for kind, config in (("embedding", SMALL), ("heatmap", replace(SMALL, inputs=5, outputs=1))):
        held = {"network": PointNet2(config).state_dict(), "config": config.to_dict(), "settings": {"kind": kind}}
        save_torch(tmp_path / f"{kind}.pt", held)
    return EvaluationSettings(
        out=tmp_path / "results.json", points=300, embedding=tmp_path / "embedding.pt", heatmap=tmp_path / "heatmap.pt"
    )


@pytest.fixture
def mallet(two_boxes, two_boxes_head, tmp_path) -> Path:
    """A labelled mesh of two parts."""
    part = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    names = {"part": ["handle", "head"], "group": ["handle", "head"]}
    save_sample(tmp_path, "mallet", LabelledMesh(two_boxes.vertices, two_boxes.faces, part, part, names, "tools"))
    return tmp_path / "mallet.obj"


@pytest.fixture
def again(mallet) -> Path:
    """Another one, whose name comes first."""
    for path in mallet.parent.glob("mallet.*"):
        path.with_stem("again").write_text(path.read_text().replace("v 0.", "v 0.1"))
    return mallet.with_stem("again")


def test_every_method_and_ablation_is_measured_and_a_second_run_reads_it_back(settings, mallet, capsys):
    settings = replace(settings, meshes=(mallet,), ablation=True, plot=True, weights=(settings.embedding,))
    first, out = evaluate(settings, SETTING), settings.out
    assert json.loads(out.read_text()) == json.loads(json.dumps(first)) and first["shapes"] == ["mallet"]
    assert list(first["methods"]) == [
        "iseg3d",
        "fpfh",
        "heatmap",
        "neither OR nor SS",
        "OR",
        "SS",
        "OR, SS, OF always",
        "OR, SS, OF undone unless better",
        f"iseg3d, {settings.embedding.parent.name}/embedding",
    ]
    for name, entry in first["methods"].items():
        # A random heatmap network may select nothing; embeddings select at least the clicks.
        assert (name == "heatmap" or entry["miou@1"] > 0) and 0 <= entry["miou@10"] <= 1 and 1 <= entry["noc@80"] <= 10
        assert entry["interval@10"][0] <= entry["miou@10"] <= entry["interval@10"][1] and len(entry["curve"]) == 10
    assert out.with_suffix(".png").is_file() and "0.837, 7.7, 9.0" in capsys.readouterr().out
    kept = {path.name: path.stat().st_mtime_ns for path in out.with_suffix(".runs").iterdir()}
    assert evaluate(settings, SETTING) == first
    assert {path.name: path.stat().st_mtime_ns for path in out.with_suffix(".runs").iterdir()} == kept


def test_fine_tuning_on_one_shape_leaves_nothing_to_the_next(settings, mallet, again, tmp_path):
    """The network of a method is one for all parts and shapes."""
    settings = replace(settings, methods=(), ablation=True)
    curves = []
    for number, meshes in enumerate(((mallet, again), (again,))):
        out = tmp_path / f"{number}.json"
        evaluate(replace(settings, meshes=meshes, out=out), SETTING)
        runs = sorted(out.with_suffix(".runs").glob("again_*.json"))
        curves.append([(path.name, json.loads(path.read_text())["iou"]) for path in runs])
    assert len(curves[0]) == 5 and curves[0] == curves[1]


@pytest.mark.parametrize(
    "choice, shapes",
    [
        ({}, ["again", "mallet"]),
        ({"per_category": 1}, ["again"]),
        ({"per_category": 1, "skip_per_category": 1}, ["mallet"]),
    ],
)
def test_benchmark_shapes_are_chosen_by_category(settings, mallet, again, choice, shapes):
    found = evaluate(replace(settings, psb_dir=mallet.parent, methods=("iseg3d",), **choice), SETTING)
    assert found["shapes"] == shapes and found["methods"]["iseg3d"]["parts"] == 2 * len(shapes)


def test_held_out_synthetic_clouds_are_clicked_on(settings):
    result = evaluate(replace(settings, synthetic=1, methods=("fpfh",)), SETTING)
    assert result["shapes"] == ["synthetic 0"] and list(result["methods"]["fpfh"]["by_category"]) == ["synthetic"]


def test_partnet_files_are_clicked_on_where_a_person_has_them(settings, tmp_path):
    points = np.random.default_rng(0).normal(size=(2, 500, 3)).astype(np.float32)
    with h5py.File(tmp_path / "Chair.h5", "w") as file:
        file["pts"], file["nor"] = 3 * points + 1, points / np.linalg.norm(points, axis=2, keepdims=True)
        file["label"] = (points[..., 0] > 0).astype(np.int32) + 5
    settings = replace(settings, partnet=(tmp_path / "Chair.h5",), methods=("iseg3d",))
    entry = evaluate(settings, SETTING)["methods"]["iseg3d"]
    assert list(entry["by_category"]) == ["Chair"] and entry["parts"] == 4
    with h5py.File(tmp_path / "Chair.h5", "a") as file:
        del file["nor"]
    with pytest.raises(UserError, match="no normals"):
        evaluate(settings, SETTING)


def test_what_is_never_reached_counts_as_the_cap():
    entry = means([[0.1] * 15, [0.5, 0.81, *[0.86] * 13]])
    assert entry["noc@80"] == (15 + 2) / 2 and entry["noc@85"] == (15 + 3) / 2 and entry["failed@80"] == 0.5
    assert entry["miou@1"] == pytest.approx(0.3) and entry["miou@3"] == pytest.approx(0.48)


def test_small_and_unlabelled_parts_are_not_asked_for():
    labels = np.array([-1] * 500 + [0] * 480 + [1] * 5 + [2] * 15)
    assert [int(part.sum()) for part in large_parts(labels)] == [480, 15]


def test_the_published_options_are_understood(tmp_path, mallet):
    out = tmp_path / "r.json"
    with pytest.raises(UserError, match="name shapes"):
        evaluate_iseg3d.main(["--out", str(out)])
    with pytest.raises(UserError, match="below 10"):
        evaluate_iseg3d.main(["--meshes", str(mallet), "--clicks", "5", "--out", str(out)])
    with pytest.raises(UserError, match="no shape 16"):
        evaluate_iseg3d.main(f"--psb_dir {tmp_path} --ids 16 29 --methods iseg3d --ablation --out {out}".split())
    arguments = f"--meshes {mallet} --methods fpfh --candidates 2 --clicks 10 --seed 3 --plot 0 --out {out}"
    assert evaluate_iseg3d.main(arguments.split()) == 0
    assert json.loads(out.read_text())["settings"] == {
        "ids": [],
        "per_category": 2,
        "skip_per_category": 0,
        "meshes": [str(mallet)],
        "synthetic": 0,
        "partnet": [],
        "methods": ["fpfh"],
        "ablation": False,
        "weights": [],
        "clicks": 10,
        "candidates": 2,
        "asked": 4,
        "seed": 3,
    }


def test_clicks_of_a_run_are_told_apart_by_sign():
    run = GreedyRun([3, 5, 7], [True, False, True], [0.1, 0.2, 0.3])
    assert run.of(True).tolist() == [3, 7] and run.of(False).tolist() == [5]
