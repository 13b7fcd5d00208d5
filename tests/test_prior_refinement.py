"""Refining the prior on one mesh: targets from the teacher's masks, training, interruption, and the command line."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from decoder import DecoderSettings
from models.iseg.decoder_stage import train_decoder
from models.prior.answers import NodeAnswer
from models.prior.checkpoint import is_refined_prior
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.refinement import ChosenSets, PriorRefinement, RefinementSettings, choose_sets, masks_on_nodes, refine
from models.prior.segmenter import Prepared, PriorSegmenter, prepare
from tests.fakes import FakeTeacher
from tests.halves import write_halves
from utils.errors import UserError
from utils.files import load_torch, save_torch
from utils.geometry.mesh import load_mesh
from utils.output.export import save_colored_mesh
from utils.progress import silent
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import lift_masks
from utils.supervision.store import SupervisionSet
from utils.supervision.training_samples import choose_samples


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
            "config": asdict(network.config),
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
def prepared(work, mesh) -> Prepared:
    return prepare(mesh, FakeTeacher(), weights=work / "prior.pt", views=6, voters=0)


@pytest.fixture(scope="module")
def targets(work, mesh):
    samples = SupervisionSet.open(work / "data", mesh)
    chosen = choose_samples(samples, 100, 1.0, torch.Generator().manual_seed(0))
    return lift_masks(samples, chosen, Rasterizer(mesh, "embree"), torch.Generator().manual_seed(0))


def _settings(work, save_dir, **changed) -> DecoderSettings:
    told = {"obj_path": work / "mesh.ply", "device": "cpu", "decoder_data_dir": work / "data", "steps": 5}
    return DecoderSettings(**told | {"save_dir": save_dir} | changed)


def _refine(work, save_dir, on_progress=silent, **changed) -> None:
    refine(_settings(work, save_dir, **changed), on_progress, FakeTeacher(), work / "prior.pt")


@pytest.fixture(scope="module")
def refined(work, tmp_path_factory):
    """The folder of a finished refinement."""
    directory = tmp_path_factory.mktemp("refined")
    _refine(work, directory)
    return directory


def _chosen(prepared, targets, settings, ask=None) -> ChosenSets:
    return choose_sets(prepared, targets, settings, torch.Generator().manual_seed(0), ask)


def test_masks_on_nodes_are_the_weighted_means_over_the_corners_of_their_faces(prepared, targets):
    shares, shown = masks_on_nodes(prepared, targets)
    patches, faces = prepared.patches, prepared.patches.mesh.faces
    for k in (0, len(shares) - 1):
        weight, target = targets.weight[k].numpy(), targets.target[k].numpy()
        for n in range(0, len(patches.graph), 97):
            total = inside = 0.0
            for fine in np.flatnonzero(patches.node == n):
                for vertex in faces[patches.fine.parent[fine]]:
                    total += patches.fine.area[fine] * weight[vertex]
                    inside += patches.fine.area[fine] * weight[vertex] * target[vertex]
            assert shown[k, n] == (total > 0)
            if total > 0:
                assert shares[k, n] == pytest.approx(inside / total, abs=1e-5)


def test_a_mask_chooses_the_candidate_it_confirms_and_else_the_default_stays(prepared, targets):
    half = prepared.patches.graph.position[:, 0] > 0

    def ask(nodes, positive):
        """Finer: a half of the sphere; default and coarser: all of it."""
        side = half if half[nodes[0]] else ~half
        every = np.ones(len(half), dtype=bool)
        return NodeAnswer(np.stack([np.where(selected, 1.0, -1.0) for selected in (side, every, every)]), np.ones(3))

    settings = RefinementSettings(sets=12, shares=(1.0, 0.0, 0.0))
    chosen = _chosen(prepared, targets, settings, ask)
    assert chosen.confirmed == 12
    halves = [each for each in chosen.sets if np.array_equal(each.target, half if half[each.nodes[0]] else ~half)]
    assert len(halves) >= 9  # from few views the visible half can be all that is visible
    for click_set in halves:
        assert np.array_equal(click_set.smaller, click_set.target) and click_set.larger.all()
    strict = _chosen(prepared, targets, replace(settings, confirmed=1.01), ask)
    assert strict.confirmed == 0 and all(click_set.target.all() for click_set in strict.sets)


def test_refining_brings_the_default_to_the_targets_and_leaves_the_prior_as_it_was(prepared, targets):
    before = {key: value.clone() for key, value in prepared.answers.network.state_dict().items()}
    settings = RefinementSettings(steps=30, learning_rate=8e-3, sets=20)
    sets, position = _chosen(prepared, targets, settings).sets, prepared.patches.graph.position
    for click_set in sets:  # a wish that the untrained network does not have
        click_set.target = np.linalg.norm(position - position[click_set.nodes[0]], axis=1) < 0.6
        click_set.smaller = click_set.larger = click_set.target
    refinement = PriorRefinement(prepared, sets, settings, torch.Generator().manual_seed(0))
    refinement.run()
    assert np.mean(refinement.losses[-5:]) < 0.7 * np.mean(refinement.losses[:3])
    assert all(torch.equal(value, before[key]) for key, value in prepared.answers.network.state_dict().items())


def test_an_interrupted_refinement_goes_on_as_if_it_had_not_been(prepared, targets):
    settings = RefinementSettings(steps=6, sets=10, sets_per_step=3)
    sets = _chosen(prepared, targets, settings).sets

    def begin() -> PriorRefinement:
        return PriorRefinement(prepared, sets, settings, torch.Generator().manual_seed(0))

    whole, first, kept = begin(), begin(), {}
    whole.run()

    def after_step():
        if len(first.losses) == 3:
            kept.update(deepcopy({"weights": first.weights(), "state": first.state()}))

    first.run(after_step=after_step)
    second = begin()
    second.restore(kept["weights"], kept["state"])
    second.run()
    assert second.losses == pytest.approx(whole.losses, rel=1e-4)


def test_training_refines_the_prior_by_default_and_its_checkpoint_answers(work, mesh, refined, capsys):
    assert not _settings(work, refined).from_scratch
    path = refined / "decoder_checkpoint.pth"
    assert is_refined_prior(path)
    segmenter = PriorSegmenter.prepare(mesh, FakeTeacher(), weights=path, views=6, voters=24)
    assert segmenter.kind == "trained" and segmenter.segment([3], [9]).selected[3]
    assert segmenter.sources == {"checkpoint": str(path)}
    head = segmenter.prepared.answers.network.head.weight
    assert not np.array_equal(head, load_torch(work / "prior.pt")["weights"]["head.weight"])
    before = path.read_bytes()
    _refine(work, refined)
    assert "already trained (5 steps)" in capsys.readouterr().out and path.read_bytes() == before


def test_a_killed_refinement_goes_on_from_its_last_checkpoint(work, refined, capsys):
    def kill(step):
        if step.stage == "refine decoder" and step.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _refine(work, refined, kill, model_name="killed.pth", save_interval=2)
    assert not load_torch(refined / "killed.pth")["complete"]
    _refine(work, refined, model_name="killed.pth")
    printed = capsys.readouterr().out
    assert "killed.pth goes on after step 2" in printed and "prior refined" in printed and "3 steps" in printed
    whole, parts = (load_torch(refined / name) for name in ("decoder_checkpoint.pth", "killed.pth"))
    assert parts["complete"] and parts["state"]["losses"] == pytest.approx(whole["state"]["losses"], rel=1e-4)


def test_a_missing_or_damaged_checkpoint_is_no_refined_prior(tmp_path, work):
    assert not is_refined_prior(tmp_path / "none.pth") and not is_refined_prior(work / "prior.pt")
    (tmp_path / "damaged.pth").write_bytes((work / "prior.pt").read_bytes()[:2000])
    assert not is_refined_prior(tmp_path / "damaged.pth")


def test_refinements_of_other_settings_meshes_and_kinds_are_refused(work, icosphere, refined, tmp_path):
    with pytest.raises(UserError, match="another training settings, click supervision or prior; add --overwrite 1"):
        _refine(work, refined, seed=1)
    with pytest.raises(UserError, match="--init scratch"):
        _settings(work, tmp_path, init="prior", loss="lifted")
    with pytest.raises(UserError, match="refined on another mesh"):
        moved = type(icosphere)(icosphere.vertices * [1, 2, 1], icosphere.faces)
        prepare(moved, FakeTeacher(), weights=refined / "decoder_checkpoint.pth")
    save_torch(tmp_path / "pred_f.pth", torch.zeros(icosphere.num_vertices, 256))
    features = _settings(work, refined, encoder_f_path=tmp_path / "pred_f.pth")
    assert features.from_scratch  # the features describe the paper's training
    with pytest.raises(UserError, match="not a decoder checkpoint"):
        train_decoder(features)
