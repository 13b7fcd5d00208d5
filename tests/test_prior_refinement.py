"""Refining the prior on one mesh: targets from the teacher's masks, training, interruption, and the command line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import decoder
from utils.supervision.training_samples import choose_samples
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.refinement import PriorRefinement, RefinementSettings, masks_on_nodes
from models.prior.segmenter import PriorSegmenter, is_refined_prior
from tests.fakes import FakeTeacher
from tests.halves import write_halves
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import load_torch, save_torch
from utils.geometry.mesh import load_mesh
from utils.output.export import save_colored_mesh
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import lift_masks


@pytest.fixture(scope="module")
def work(icosphere, tmp_path_factory):
    """A folder with mesh.ply, click supervision and an untrained prior."""
    directory = tmp_path_factory.mktemp("refinement")
    save_colored_mesh(directory / "mesh.ply", icosphere, np.full((icosphere.num_vertices, 3), 0.5))
    write_halves(directory / "data", load_mesh(directory / "mesh.ply"), views=6, clicked=20)
    torch.manual_seed(3)
    network = PriorNetwork(PriorConfig(width=16, static_layers=1, click_layers=1, hops=2))
    save_torch(
        directory / "prior.pt",
        {
            "config": network.config.to_dict(),
            "weights": network.state_dict(),
            "teacher": FakeTeacher.name,
            "left_out": ["masks"],
            "field_mean": torch.zeros(256),
            "field_components": torch.eye(256)[:, :64],
        },
    )
    return directory


@pytest.fixture(scope="module")
def mesh(work):
    return load_mesh(work / "mesh.ply")


@pytest.fixture(scope="module")
def segmenter(work, mesh) -> PriorSegmenter:
    return PriorSegmenter(mesh, FakeTeacher(), weights=work / "prior.pt", views=6, voters=0)


@pytest.fixture(scope="module")
def targets(work, mesh):
    from utils.supervision.store import SupervisionSet

    samples = SupervisionSet.open(work / "data", mesh)
    chosen = choose_samples(samples, 100, 1.0, torch.Generator().manual_seed(0))
    return lift_masks(samples, chosen, Rasterizer(mesh, "embree"), torch.Generator().manual_seed(0))


@pytest.fixture
def shipped(work, monkeypatch):
    """The command line with the untrained prior and a fake teacher in place of the shipped ones."""
    monkeypatch.setattr(decoder, "WEIGHTS", work / "prior.pt")
    monkeypatch.setattr("SAM_repo.teacher.load_teacher", lambda *_, **__: FakeTeacher())


def _train(work, save_dir, *more):
    return decoder.main(
        [
            "--obj_path",
            str(work / "mesh.ply"),
            "--device",
            "cpu",
            "--decoder_data_dir",
            str(work / "data"),
            "--save_dir",
            str(save_dir),
            "--mode",
            "train",
            "--steps",
            "5",
            *more,
        ]
    )


def test_masks_on_nodes_are_the_weighted_means_over_the_corners_of_their_faces(segmenter, targets):
    shares, shown = masks_on_nodes(segmenter, targets)
    patches, faces = segmenter.patches, segmenter.mesh.faces
    for k in (0, len(shares) - 1):
        weight, target = targets.weight[k].numpy(), targets.target[k].numpy()
        for n in range(0, len(segmenter.nodes), 97):
            total = inside = 0.0
            for fine in np.flatnonzero(patches.node == n):
                for vertex in faces[patches.parent[fine]]:
                    total += patches.areas[fine] * weight[vertex]
                    inside += patches.areas[fine] * weight[vertex] * target[vertex]
            assert shown[k, n] == (total > 0)
            if total > 0:
                assert shares[k, n] == pytest.approx(inside / total, abs=1e-5)


def test_a_mask_chooses_the_candidate_it_confirms_and_else_the_default_stays(segmenter, targets, monkeypatch):
    half, whole = segmenter.nodes.position[:, 0].numpy() > 0, np.ones(len(segmenter.nodes), dtype=bool)

    def answer(faces, positive):
        """Finer: a half of the sphere; default and coarser: all of it."""
        side = half if half[segmenter.patches.node[faces[0]]] else ~half
        return np.stack([np.where(selected, 1.0, -1.0) for selected in (side, whole, whole)]), np.full(3, 0.5)

    monkeypatch.setattr(segmenter, "answer_together", answer)
    settings = RefinementSettings(sets=12, shares=(1.0, 0.0, 0.0))
    refinement = PriorRefinement(segmenter, targets, settings)
    assert refinement.confirmed == 12
    halves = [
        click_set
        for click_set in refinement.sets
        if np.array_equal(click_set.target, half if half[click_set.nodes[0]] else ~half)
    ]
    assert len(halves) >= 9  # from few views the visible half can be all that is visible
    for click_set in halves:
        assert np.array_equal(click_set.smaller, click_set.target) and click_set.larger.all()
    strict = PriorRefinement(segmenter, targets, RefinementSettings(sets=12, shares=(1.0, 0.0, 0.0), confirmed=1.01))
    assert strict.confirmed == 0 and all(click_set.target.all() for click_set in strict.sets)


def test_refining_brings_the_default_to_the_targets_and_leaves_the_prior_as_it_was(segmenter, targets):
    before = {key: value.clone() for key, value in segmenter.network.state_dict().items()}
    refinement = PriorRefinement(segmenter, targets, RefinementSettings(steps=50, learning_rate=5e-3, sets=20))
    position = segmenter.nodes.position.numpy()
    for click_set in refinement.sets:  # a wish that the untrained network does not have
        click_set.target = np.linalg.norm(position - position[click_set.nodes[0]], axis=1) < 0.6
        click_set.smaller = click_set.larger = click_set.target
    refinement.run()
    assert np.mean(refinement.losses[-5:]) < 0.7 * np.mean(refinement.losses[:3])
    assert all(torch.equal(value, before[key]) for key, value in segmenter.network.state_dict().items())


def test_an_interrupted_refinement_goes_on_as_if_it_had_not_been(segmenter, targets):
    settings = RefinementSettings(steps=6, sets=10, sets_per_step=3)
    whole = PriorRefinement(segmenter, targets, settings)
    whole.run()

    class Killed(BaseException):
        pass

    first, kept = PriorRefinement(segmenter, targets, settings), {}

    def after_step():
        if len(first.losses) == 3:
            kept.update(weights=first.weights(), state=first.state())
            raise Killed

    with pytest.raises(Killed):
        first.run(after_step)
    second = PriorRefinement(segmenter, targets, settings)
    second.restore(kept["weights"], kept["state"])
    second.run()
    assert second.losses == pytest.approx(whole.losses, rel=1e-4)


def test_training_refines_the_prior_by_default_and_its_checkpoint_answers(work, mesh, tmp_path, shipped, capsys):
    assert _train(work, tmp_path) == 0
    path = tmp_path / "decoder_checkpoint.pth"
    assert is_refined_prior(path) and "prior refined" in capsys.readouterr().out
    ask = [
        "--obj_path",
        str(work / "mesh.ply"),
        "--device",
        "cpu",
        "--save_dir",
        str(tmp_path),
        "--mode",
        "test",
        "--select_vertices",
        "3",
        "-9",
    ]
    assert decoder.main(ask) == 0
    assert "refined prior decoder" in capsys.readouterr().out
    answer = np.load(tmp_path / "vertex_probability_v3_v-9.npy")
    refined = PriorSegmenter(mesh, FakeTeacher(), weights=path)
    assert np.allclose(answer, refined.probability(Clicks.from_lists([3], [9])), atol=1e-5)
    assert not np.array_equal(refined.network.head.weight, load_torch(work / "prior.pt")["weights"]["head.weight"])
    assert decoder.main([*ask, "--segmenter", "prior"]) == 0
    assert "refined" not in capsys.readouterr().out
    before = path.read_bytes()
    assert _train(work, tmp_path) == 0 and "already trained" in capsys.readouterr().out and path.read_bytes() == before


def test_a_missing_or_damaged_checkpoint_is_no_refined_prior(tmp_path, work):
    assert not is_refined_prior(tmp_path / "none.pth") and not is_refined_prior(work / "prior.pt")
    (tmp_path / "damaged.pth").write_bytes((work / "prior.pt").read_bytes()[:2000])
    assert not is_refined_prior(tmp_path / "damaged.pth")


def test_refinements_of_other_settings_meshes_and_kinds_are_refused(work, icosphere, tmp_path, shipped):
    assert _train(work, tmp_path) == 0
    with pytest.raises(UserError, match="--overwrite 1"):
        _train(work, tmp_path, "--seed", "1")
    with pytest.raises(UserError, match="--init scratch"):
        _train(work, tmp_path, "--init", "prior", "--loss", "lifted")
    with pytest.raises(UserError, match="refined on another mesh"):
        moved = type(icosphere)(icosphere.vertices * [1, 2, 1], icosphere.faces)
        PriorSegmenter(moved, FakeTeacher(), weights=tmp_path / "decoder_checkpoint.pth")
    save_torch(tmp_path / "pred_f.pth", torch.zeros(icosphere.num_vertices, 256))
    with pytest.raises(UserError, match="not a decoder checkpoint"):  # the features describe the paper's training
        _train(work, tmp_path, "--encoder_f_path", str(tmp_path / "pred_f.pth"))
