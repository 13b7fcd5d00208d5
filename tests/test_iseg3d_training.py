"""Training iSeg3D: reshuffled primitives, shards, training that resumes, and the commands from clouds to answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import iseg3d
from models.iseg3d.annotation import AnnotationSettings
from models.iseg3d.clouds import LabelledCloud, exposed, labelled_cloud, sample_exposed, without_tiny
from models.iseg3d.dataset import (
    HELD_OUT_SEED,
    MOST,
    SHARD,
    CloudSet,
    GenerateSettings,
    generate,
    held_out_clouds,
    make_clouds,
    shard_path,
    write_clouds,
)
from models.iseg3d.query import along_surface
from models.iseg3d.reshuffle import own_primitive, reshuffled
from models.iseg3d.segmenter import Iseg3dSegmenter
from models.iseg3d.training import KINDS, Training, TrainSettings, config_for, exported, heatmaps, train
from models.points.pointnet2 import PointNet2Config
from models.points.surface import Primitive, into_unit_ball, sample_surface
from tests.test_iseg3d import CONFIG, save_weights
from tests.test_iseg3d_datasets import write_abc
from utils.clicks import Clicks
from utils.errors import UserError, run_cli
from utils.files import load_torch, save_json, save_torch
from utils.geometry.mesh import Mesh, load_mesh
from utils.shapes.solids import rotation_to

SIZE, POINTS = 4, 160  # clouds of a shard, points of a cloud
CPU = torch.device("cpu")
SQUARE = Primitive("Plane", np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))


def small_config(kind: str) -> PointNet2Config:
    return CONFIG if kind == "embedding" else replace(CONFIG, inputs=5, outputs=1)


def small(folder: Path, shapes: int = SIZE, **more) -> GenerateSettings:
    """Few clouds of few points."""
    return GenerateSettings(data_dir=folder, shapes=shapes, points=POINTS, shard=SIZE, **more)


def boxes() -> list[Primitive]:
    box = trimesh.creation.box((1, 1, 1)).subdivide()
    return [Primitive("Box", np.asarray(box.vertices), np.asarray(box.faces))]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two shards on disk, for tests that only read."""
    folder = tmp_path_factory.mktemp("clouds")
    write_clouds(small(folder, 2 * SIZE))
    return folder


@pytest.fixture
def copied(made, tmp_path) -> Path:
    """The same in a folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    for path in made.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


# --- clouds ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_cloud_and_another_one_another():
    for seed in (0, 2, 4):
        first, again, other = (labelled_cloud(s, count=200) for s in (seed, seed, seed + 1))
        for name in ("points", "normals", "labels"):
            assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
        assert first.points.tobytes() != other.points.tobytes()


def test_clouds_fit_the_unit_ball_and_number_their_primitives_from_zero():
    for seed in range(5):
        cloud = labelled_cloud(seed, count=400)
        assert cloud.points.shape == cloud.normals.shape == (400, 3) and cloud.labels.shape == (400,)
        assert np.linalg.norm(cloud.points, axis=1).max() < 1.01 and np.allclose(
            np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-5
        )
        counts = np.bincount(cloud.labels)
        assert (counts >= 20).all() or len(counts) == 1


def test_nothing_inside_another_primitive_is_sampled():
    """Two balls that run into each other: every point is outside the other one."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    vertices = np.concatenate([ball.vertices, ball.vertices + [0.9, 0, 0]])
    faces = np.concatenate([ball.faces, ball.faces + len(ball.vertices)])
    points, _, chosen = sample_surface(vertices, faces, 1500, np.random.default_rng(0))
    free = exposed(points, vertices, faces, np.random.default_rng(1))
    other = np.where((chosen < len(ball.faces))[:, None], [0.9, 0, 0], 0.0)
    depth = np.linalg.norm(points - other, axis=1)
    assert not free[depth < 0.97].any() and free[depth > 1.03].mean() > 0.98 and 200 < (~free).sum() < 700


def test_nothing_inside_another_primitive_of_a_reshuffled_shape_is_sampled():
    """Of boxes, whose insides are half-spaces: no point of a box lies deep in another one."""
    buried = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        vertices, faces, labels = reshuffled(rng, boxes())
        points, _, chosen = sample_exposed(vertices, faces, 500, rng)
        assert points.shape == (500, 3) and len(np.unique(chosen)) > 20
        everywhere = sample_surface(vertices, faces, 500, np.random.default_rng(0))[0]
        for label in range(labels.max() + 1):
            corners = vertices[faces[labels == label]]
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            inside = [
                (np.einsum("nfi,fi->nf", here[:, None] - corners[:, 0], normals) < -0.01).all(axis=1)
                for here in (points, everywhere)
            ]
            assert not inside[0].any()
            buried += int(inside[1].sum())
    assert buried > 100


def test_held_out_seeds_are_never_trained_on(tmp_path):
    """Also not where no seed can be sampled and each gives way to all that are tried instead."""
    asked = []

    def failing(seed: int) -> LabelledCloud:
        asked.append(seed)
        raise ValueError("no area")

    with pytest.raises(UserError, match="no cloud can be made"):
        make_clouds(range(MOST + SHARD - 1, HELD_OUT_SEED), failing)  # the last of the last shard
    assert len(asked) == 8 and max(asked) < HELD_OUT_SEED
    with pytest.raises(UserError, match="held out"):
        write_clouds(GenerateSettings(data_dir=tmp_path / "data", shapes=MOST + 1))
    assert not (tmp_path / "data").exists()
    asked.clear()
    with pytest.raises(UserError):
        held_out_clouds(3, failing)
    assert min(asked) == HELD_OUT_SEED


def test_a_seed_that_cannot_be_sampled_gives_way_to_one_far_off():
    asked = []

    def failing(seed: int) -> LabelledCloud:
        asked.append(seed)
        if seed in (1, 10_000_020):
            raise ValueError("no area")
        return LabelledCloud(np.full((2, 3), seed, np.float32), np.zeros((2, 3), np.float32), np.zeros(2, np.int64))

    assert [cloud.points[0, 0] for cloud in make_clouds(range(3), failing)] == [0, np.float32(20_000_039), 2]
    assert asked == [0, 1, 10_000_020, 20_000_039, 2]
    with pytest.raises(UserError, match="seed 0"):
        make_clouds(range(1), lambda seed: failing(1))


def test_tiny_primitives_are_given_to_their_nearest_neighbours():
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [
            rng.normal(0, 0.1, (50, 3)),
            rng.normal(3, 0.1, (60, 3)),
            rng.normal(2.5, 0.01, (5, 3)),
            rng.normal(0.3, 0.01, (3, 3)),
        ]
    )
    labels = np.repeat([4, 1, 2, 7], [50, 60, 5, 3])
    assert without_tiny(points, labels).tolist() == [1] * 50 + [0] * 60 + [0] * 5 + [1] * 3
    assert without_tiny(points[:10], np.full(10, 3)).tolist() == [0] * 10  # nothing is large enough
    assert without_tiny(points[:50], labels[:50]).tolist() == [0] * 50


def test_points_are_uniform_by_area():
    """On two triangles, one three times as large: shares by area, and the mean in the middle of each."""
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 1, 5]])
    points, normals, chosen = sample_surface(vertices, np.array([[0, 1, 2], [3, 4, 5]]), 4000, np.random.default_rng(0))
    assert (chosen == 0).sum() == pytest.approx(1000, abs=2) and np.allclose(normals, [0, 0, 1])
    for k, corners in enumerate((vertices[:3], vertices[3:])):
        assert points[chosen == k].mean(axis=0) == pytest.approx(corners.mean(axis=0), abs=0.03)
    with pytest.raises(ValueError, match="area"):
        sample_surface(vertices, np.array([[0, 0, 1]]), 5, np.random.default_rng(0))
    ball = into_unit_ball(points)
    assert np.linalg.norm(ball, axis=1).max() == pytest.approx(1) and np.allclose(
        ball.min(axis=0) + ball.max(axis=0), 0
    )


# --- reshuffling ----------------------------------------------------------------------------------


def test_primitives_of_our_own_are_of_many_kinds_with_an_area():
    rng = np.random.default_rng(0)
    primitives = [own_primitive(rng) for _ in range(60)]
    assert len({primitive.kind for primitive in primitives}) >= 6
    for primitive in primitives:
        assert (
            np.isfinite(primitive.vertices).all()
            and primitive.faces.min() == 0
            and primitive.faces.max() == len(primitive.vertices) - 1
        )


def test_a_reshuffled_shape_is_one_label_for_each_primitive_and_hangs_together():
    repository = boxes()
    box = repository[0]
    counts = set()
    for seed in range(12):
        vertices, faces, labels = reshuffled(np.random.default_rng(seed), repository)
        count = labels.max() + 1
        counts.add(int(count))
        assert (np.bincount(labels) == len(box.faces)).all() and len(vertices) == count * len(box.vertices)
        assert faces.min() == 0 and faces.max() == len(vertices) - 1 and count >= 2
        own = [trimesh.Trimesh(vertices, faces[labels == k], process=False) for k in range(count)]
        assert all(piece.is_watertight and piece.volume > 0 for piece in own), "a mirrored copy that is inside out"
    assert len(counts) > 4


def test_a_repository_gives_all_primitives():
    """With one flat primitive, every normal of a cloud is that of some turned square."""
    for seed in range(3):
        cloud = labelled_cloud(seed, [SQUARE], count=300)
        for label in range(cloud.labels.max() + 1):
            normals = cloud.normals[cloud.labels == label]
            counts = np.unique(np.round(np.abs(normals @ normals[0]), 2), return_counts=True)
            assert counts[1][counts[0] == 1.0].sum() >= 0.5 * len(normals)  # tiny ones were given away


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.3, -0.5, 0.8)])
def test_turns_lead_the_third_axis_where_they_should(direction):
    """What `reshuffled` relies on when it lays normal against normal."""
    wanted = np.array(direction) / np.linalg.norm(direction)
    turn = rotation_to(wanted, 0.7)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)
    assert max(abs(turn @ axis @ wanted) for axis in np.eye(3)) == pytest.approx(1)


# --- shards ---------------------------------------------------------------------------------------


def test_clouds_come_back_from_disk_as_they_were_made(made):
    held = CloudSet(made, SIZE + 2, CONFIG)
    assert len(held) == SIZE + 2 and held.points.dtype == np.float32
    for index in (0, SIZE + 1):
        fresh = labelled_cloud(index, count=POINTS)
        assert held.points[index].tobytes() == fresh.points.tobytes() and (held.labels[index] == fresh.labels).all()
        assert np.allclose(held.normals[index], fresh.normals, atol=1e-3)
    assert held.plan(3) is held.plan(3) and held.plan(3).levels[0].centers.dtype == torch.int16


def test_making_clouds_goes_on_where_it_stopped(copied):
    kept, lost = shard_path(copied, 0), shard_path(copied, 1)
    content, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    write_clouds(small(copied, 2 * SIZE))
    assert lost.read_bytes() == content and kept.stat().st_mtime_ns == stamp


@pytest.mark.slow  # two processes have to start
def test_several_processes_make_the_same_clouds(made, tmp_path):
    write_clouds(small(tmp_path, 2 * SIZE, jobs=2))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }


def test_clouds_of_another_repository_are_refused(made, tmp_path):
    with pytest.raises(UserError, match="other primitives") as error:
        write_clouds(small(made), [SQUARE])
    assert "\n" not in str(error.value)
    shard_path(tmp_path, 0).touch()
    save_json(tmp_path / "source.json", [])
    with pytest.raises(UserError, match="other primitives"):
        write_clouds(small(tmp_path))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:500]),
        lambda path: path.write_text("x"),
        lambda path: path.unlink(),
        lambda path: np.savez(path, other=np.zeros(3)),
    ],
)
def test_missing_and_damaged_shards_are_refused_in_one_line(copied, damage):
    damage(shard_path(copied, 1))
    with pytest.raises(UserError) as error:
        CloudSet(copied, 2 * SIZE, CONFIG)
    assert "\n" not in str(error.value) and str(copied) in str(error.value)


def test_primitives_that_no_cloud_can_be_made_of_do_not_claim_the_folder(tmp_path):
    line = Primitive("Line", np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 1, 2]]))
    with pytest.raises(UserError, match="no cloud can be made"):
        write_clouds(small(tmp_path, 1), [line])
    write_clouds(small(tmp_path, 1))
    assert shard_path(tmp_path, 0).is_file()


def test_clouds_are_made_of_abc_models_on_wish(tmp_path, capsys):
    write_abc(tmp_path / "abc")
    generate(small(tmp_path / "data", 1, abc_dir=tmp_path / "abc"))
    assert "1 models" in capsys.readouterr().out and shard_path(tmp_path / "data", 0).is_file()
    with pytest.raises(UserError, match="other primitives"):
        generate(small(tmp_path / "data", 1))


# --- training -------------------------------------------------------------------------------------


def training(folder: Path, kind: str = "embedding", shapes: int = SIZE, **more) -> Training:
    settings = TrainSettings(network=kind, shapes=shapes, batch_size=2, **more)
    return Training(settings, CloudSet(folder, shapes, small_config(kind)), CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_goes_on_bit_for_bit(made, tmp_path, kind):
    whole, broken, resumed = (training(made, kind, steps=4, seed=3) for _ in range(3))
    whole.run(lambda: None)

    class Stop(Exception):
        pass

    def stop() -> None:
        if broken.done == 2:
            save_torch(tmp_path / "c.pth", broken.state())
            raise Stop

    with pytest.raises(Stop):
        broken.run(stop)
    resumed.restore(load_torch(tmp_path / "c.pth"))
    assert resumed.done == 2
    resumed.run(lambda: None)
    for (name, value), other in zip(whole.network.state_dict().items(), resumed.network.state_dict().values()):
        assert torch.equal(value, other), name
    assert resumed.log == whole.log and [record["step"] for record in whole.log] == [1, 2, 3, 4]
    assert whole.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.5 * (1 + np.cos(np.pi * 0.75)))


def test_a_batch_turns_points_and_normals_alike_and_keeps_their_labels(tmp_path):
    """Of a ball, whose normals are its points: each cloud another turn, and a little noise."""
    directions = np.random.default_rng(0).normal(size=(1, POINTS, 3))
    points = (directions / np.linalg.norm(directions, axis=2, keepdims=True)).astype(np.float32)
    labels = (points[..., 2] > 0).astype(np.int16)
    np.savez(shard_path(tmp_path, 0), points=points, normals=points.astype(np.float16), labels=labels)
    batch = training(tmp_path, shapes=1).batch(np.random.default_rng(5))
    assert batch.points.shape == batch.normals.shape == (2 * POINTS, 3) and batch.clouds == 2
    first, second = batch.split(batch.points)
    for turned in (first, second):
        assert (turned - torch.from_numpy(points[0])).abs().mean() > 0.1
        gram = torch.from_numpy(points[0] @ points[0].T)
        assert torch.allclose(turned @ turned.T, gram, atol=0.05) and not torch.equal(turned @ turned.T, gram)
    assert not torch.allclose(first, second, atol=0.1)
    assert torch.allclose(batch.points, batch.normals, atol=0.03)
    assert (batch.labels == torch.from_numpy(labels[0]).long().repeat(2)).all()


def test_training_tells_primitives_apart(made):
    """A few steps on one cloud: its primitives come together and move away from each other."""
    run = training(made, shapes=1, steps=30, learning_rate=5e-3)
    run.run(lambda: None)
    first, last = (np.mean([record["loss"] for record in part]) for part in (run.log[:4], run.log[-4:]))
    assert last < 0.7 * first


def test_the_networks_of_both_kinds_have_their_channels():
    assert (config_for("embedding").inputs, config_for("embedding").outputs) == (3, 32)
    assert (config_for("heatmap").inputs, config_for("heatmap").outputs) == (5, 1)


def test_heatmaps_are_gaussians_of_the_nearest_click():
    points = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (30, 3))).float()
    clicks, positive = torch.tensor([3, 9, 20]), torch.tensor([True, False, True])
    found = heatmaps(points, clicks, positive, width=0.4)
    for i in range(30):
        away = [float((points[i] - points[c]).norm()) for c in clicks]
        expected = [np.exp(-(min(away[0], away[2]) ** 2) / 0.32), np.exp(-(away[1] ** 2) / 0.32)]
        assert found[i].tolist() == pytest.approx(expected, abs=1e-3)
    assert (heatmaps(points, clicks[:1], positive[:1])[:, 1] == 0).all()


def test_what_is_exported_is_the_network_in_half_the_size(made):
    run = training(made, steps=1)
    run.run(lambda: None)
    held = exported(run)
    assert held["settings"]["kind"] == "embedding" and held["steps"] == 1 and held["config"] == CONFIG.to_dict()
    for name, value in run.network.state_dict().items():
        assert held["network"][name].dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        assert torch.allclose(held["network"][name].float(), value.float(), atol=2e-3)


def test_a_training_goes_on_from_its_checkpoint_and_starts_over_on_wish(copied, tmp_path):
    folder = tmp_path / "run"
    checkpoint, weights = folder / "embedding_checkpoint.pth", folder / "embedding.pt"

    def run(**more) -> list[int]:
        """The steps that were taken."""
        settings = TrainSettings(data_dir=copied, shapes=SIZE, batch_size=2, save_dir=folder, device="cpu", **more)
        steps: list[int] = []
        assert train(settings, lambda step: steps.append(step.done), CONFIG) == weights
        return steps[1:]

    def refused(match: str, **more) -> None:
        with pytest.raises(UserError, match=match) as error:
            run(**more)
        assert "\n" not in str(error.value) and str(checkpoint) in str(error.value)

    assert run(steps=2) == [1, 2] and run(steps=2) == []
    held = load_torch(checkpoint)
    held["done"], held["log"] = 1, held["log"][:1]
    save_torch(checkpoint, held)
    assert run(steps=2) == [2] and len(load_torch(checkpoint)["log"]) == 2
    before = weights.read_bytes()
    for other in ({"steps": 3}, {"steps": 2, "seed": 1}, {"steps": 2, "learning_rate": 0.5}):
        refused("another choice of settings; choose another --save_dir or give --overwrite 1", **other)
    shard = shard_path(copied, 0)
    arrays = dict(np.load(shard))
    np.savez(shard, **arrays | {"points": arrays["points"] + 1})
    refused("another set of clouds", steps=2)
    np.savez(shard, **arrays)
    assert weights.read_bytes() == before
    assert run(steps=3, overwrite=True) == [1, 2, 3]
    for damaged in (b"x", before[:400]):
        checkpoint.write_bytes(damaged)
        refused("checkpoint", steps=3)
    save_torch(checkpoint, [1])
    refused("another", steps=3)


def test_a_training_begins_with_the_weights_it_is_given(made, tmp_path):
    first = training(made, steps=3)
    first.run(lambda: None)
    path = tmp_path / "first.pt"
    save_torch(path, exported(first))
    second = training(made, steps=1, init=path)
    held = load_torch(path)["network"]
    assert all(torch.equal(value, held[name].to(value.dtype)) for name, value in second.network.state_dict().items())
    assert second.record != training(made, steps=1).record
    with pytest.raises(UserError, match="another architecture"):
        Training(second.settings, CloudSet(made, SIZE, replace(CONFIG, outputs=CONFIG.outputs + 1)), CPU)
    with pytest.raises(UserError, match="of the kind embedding, not heatmap"):
        training(made, "heatmap", init=path)
    path.unlink()
    assert exported(second)["settings"] == second.state()["settings"] == second.record


# --- the command line -----------------------------------------------------------------------------


def write_obj(mesh: Mesh, path) -> None:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in mesh.vertices.tolist()] + [
        f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()
    ]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def work(two_boxes, tmp_path, monkeypatch):
    """A folder to stand in, with mesh.obj and the weights w.pt."""
    write_obj(two_boxes, tmp_path / "mesh.obj")
    save_weights(tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing them takes most of a query's time."""
    monkeypatch.setattr("utils.output.figures.save_render_views", lambda *_: None)


def ask(*more: str) -> int:
    usual = "--obj_path mesh.obj --weights w.pt --points 200 --device cpu --save_dir out"
    return iseg3d.main([*usual.split(), *more])


def refused(capsys, *arguments: str) -> str:
    """The one line that a wrong command ends in, with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        run_cli(lambda: iseg3d.main(list(arguments)))
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.strip()]
    assert ended.value.code == 2 and len(lines) == 1 and lines[0].startswith("error: "), said
    return lines[0]


def test_from_clouds_to_weights_to_an_answer(work, copied, no_pictures, capsys):
    data = f"--data_dir data --shapes {SIZE} --steps 3 --batch_size 2 --device cpu --save_dir run".split()
    assert iseg3d.main(["--mode", "generate", *data]) == 0
    assert iseg3d.main(["--mode", "train", *data]) == 0
    for network in ("heatmap", "cubes"):
        assert iseg3d.main(["--mode", "train", "--network", network, *data]) == 0
    assert {path.name for path in (work / "run").iterdir()} == {
        f"{kind}{ending}" for kind in KINDS for ending in (".pt", "_checkpoint.pth", ".png")
    }
    after = load_torch(work / "run" / "embedding.pt")
    assert after["steps"] == 3 and after["config"] == config_for("embedding").to_dict()
    assert ask("--weights", "run/embedding.pt", "--select_vertices", "150", "-10", "--hard", "1") == 0
    said = capsys.readouterr().out
    assert "2 clicks on 196 vertices (instant (iSeg3D)" in said and "train: run/embedding.pt (3 steps" in said
    assert f"generate: {SIZE} clouds in data" in said
    assert {path.suffix for path in (work / "out").iterdir()} == {".npy", ".ply", ".glb", ".obj", ".mtl", ".seg"}
    probability = np.load(work / "out" / "vertex_probability_v150_v-10.npy")
    assert probability.shape == (196,) and probability.dtype == np.float32 and probability[150] > 0.5 > probability[10]
    assert "heatmap, not embedding" in refused(
        capsys, "--obj_path", "mesh.obj", "--weights", "run/heatmap.pt", "--select_vertices", "3"
    )


def test_the_command_answers_as_the_segmenter_does(work, no_pictures):
    mesh = load_mesh(work / "mesh.obj")
    line = along_surface(mesh, [10, 30])
    clicks = "--select_vertices 150 120 --scribble 10 30 --granularity 0.8 --radius 0.3"
    assert ask(*f"{clicks} --smoothing 0 --seed 4 --show_spheres 1".split()) == 0
    segmenter = Iseg3dSegmenter(
        mesh, work / "w.pt", points=200, seed=4, settings=AnnotationSettings(0.3, smooth_rounds=0)
    )
    expected = segmenter.probability(Clicks.from_lists([150, 120], line), 0.8)
    (found,) = (work / "out").glob("vertex_probability_*.npy")
    assert np.load(found).tobytes() == expected.tobytes() and len(line) > 1
    assert list((work / "out").glob("colored_mesh_with_clicks_*.ply"))


def test_the_selection_obeys_every_click(work, no_pictures, two_boxes, capsys):
    """Also where the shares around the vertices would put Otsu's threshold beside one half."""
    scribbled = along_surface(two_boxes, [100, 160])
    assert ask("--select_vertices", "190", "120", "--scribble", "100", "160", "--hard", "1") == 0
    assert "above 0.500" in capsys.readouterr().out
    probability = np.load(next((work / "out").glob("vertex_probability_*.npy")))
    assert (probability[[190, 120]] > 0.5).all() and (probability[scribbled] < 0.5).all()


def test_fine_tuning_by_command_says_what_it_did(work, no_pictures, capsys):
    assert ask("--select_vertices", "150", "--fine_tune", "2") == 0
    assert "not fine-tuned" in capsys.readouterr().err
    assert ask("--select_vertices", "150", "-140", "--fine_tune", "2") == 0
    assert "fine-tuned in" in capsys.readouterr().err


def test_bad_input_of_a_query_ends_in_one_line_and_leaves_nothing(work, capsys, two_boxes):
    (work / "cut.pt").write_bytes((work / "w.pt").read_bytes()[:2000])
    save_weights(work / "heatmap.pt", "heatmap")
    save_torch(work / "field.pt", torch.zeros(196, 256))
    write_obj(Mesh(np.concatenate([two_boxes.vertices, [[9.0, 9, 9]]]), two_boxes.faces), work / "stray.obj")
    write_obj(Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 1, 2]])), work / "line.obj")
    good = ["--obj_path", "mesh.obj", "--weights", "w.pt", "--points", "200", "--select_vertices", "150"]
    before = sorted(path.name for path in work.iterdir())
    for more, reason in (
        (["--weights", "no.pt"], "no embedding network"),
        (["--weights", "cut.pt"], "cut.pt"),
        (["--weights", "mesh.obj"], "mesh.obj"),
        (["--weights", "heatmap.pt"], "heatmap, not embedding"),
        (["--weights", "field.pt"], "field.pt"),
        (["--select_vertices", "-3"], "no positive click"),
        (["--select_vertices"] + ["196"], "196"),
        (["--select_vertices", "1.5"], "1.5"),
        (["--negative_vertices", "150"], "both"),
        (["--negative_vertices", "999"], "999"),
        (["--scribble", "3", "150"], "one piece"),
        (["--scribble", "3", "999"], "999"),
        (["--scribble", "150", "151"], "both"),
        (["--obj_path", "no.obj"], "no mesh"),
        (["--obj_path", "w.pt"], "cannot read"),
        (["--obj_path", "line.obj"], "area"),
        (["--obj_path", "stray.obj", "--select_vertices", "196"], "no face"),
        (["--radius", "0"], "--radius"),
        (["--radius", "nan"], "--radius"),
        (["--granularity", "2"], "--granularity"),
        (["--fine_tune", "-1"], "--fine_tune"),
        (["--threshold", "7"], "--threshold"),
        (["--sphere_radius", "0"], "--sphere_radius"),
        (["--device", "tpu"], "tpu"),
    ):
        if "line.obj" in more:
            more = [*more, "--select_vertices", "0"]
        assert reason in refused(capsys, *good, *more), more
    assert "--obj_path" in refused(capsys, "--select_vertices", "3") and "no positive click" in refused(
        capsys, *good[:-2]
    )
    assert sorted(path.name for path in work.iterdir()) == before


def test_bad_input_of_training_ends_in_one_line_and_leaves_nothing(work, made, capsys):
    data = f"--data_dir {made} --shapes {SIZE} --steps 1 --batch_size 2 --device cpu --save_dir run".split()
    write_abc(work / "abc")
    before = sorted(path.name for path in made.iterdir())
    for arguments, reason in (
        (["train", *data, "--shapes", "50"], f"{made} holds 8 clouds, not 50; make them first"),
        (["train", "--data_dir", "no"], "make them first"),
        (["train", *data, "--learning_rate", "0"], "--learning_rate"),
        (["train", *data, "--device", "tpu"], "tpu"),
        (["generate", *data, "--abc_dir", "no"], "no folder"),
        (["generate", *data, "--abc_dir", "abc"], "other primitives"),
    ):
        assert reason in refused(capsys, "--mode", *arguments)
    assert not (work / "run").exists() and sorted(path.name for path in made.iterdir()) == before
