"""The decoder's command line: the published commands and files, interruption, and what a person can get wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import decoder
from models.iseg import segmenter as segmenters
from models.iseg.checkpoint import load_decoder_checkpoint
from models.iseg.decoder_stage import train_decoder
from models.iseg.segmenter import DecoderSegmenter
from models.open import open_segmenter
from tests.halves import half_of, write_halves
from tests.published import probability, random_release
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import save_torch
from utils.geometry.mesh import load_mesh
from utils.options import parse_settings
from utils.output.export import save_colored_mesh
from utils.segmenter import Segmenter


@pytest.fixture(scope="module")
def work(icosphere, tmp_path_factory):
    """A folder with mesh.ply, features and supervision."""
    directory = tmp_path_factory.mktemp("decoder")
    save_colored_mesh(directory / "mesh.ply", icosphere, np.full((icosphere.num_vertices, 3), 0.5))

    mesh = load_mesh(directory / "mesh.ply")
    write_halves(directory / "data", mesh, views=4, clicked=20)
    generator = torch.Generator().manual_seed(5)
    save_torch(directory / "pred_f.pth", torch.tanh(torch.randn(mesh.num_vertices, 256, generator=generator)))
    return directory


def _arguments(work, save_dir, *more):
    """Of a training in a few small steps."""
    return [
        *("--obj_path", f"{work / 'mesh.ply'}", "--encoder_f_path", f"{work / 'pred_f.pth'}", "--device", "cpu"),
        *("--decoder_data_dir", f"{work / 'data'}", "--save_dir", f"{save_dir}", "--mode", "train"),
        *("--steps", "4", "--batch_size", "2", *more),
    ]


def _train(work, save_dir, *more):
    return decoder.main(_arguments(work, save_dir, *more))


def _ask(work, save_dir, *more):
    files = ("--obj_path", f"{work / 'mesh.ply'}", "--encoder_f_path", f"{work / 'pred_f.pth'}")
    return decoder.main([*files, "--device", "cpu", "--save_dir", f"{save_dir}", "--mode", "test", *more])


@pytest.fixture(scope="module")
def trained(work, tmp_path_factory):
    save_dir = tmp_path_factory.mktemp("trained")
    assert _train(work, save_dir) == 0
    return save_dir


def _states(path):
    held = load_decoder_checkpoint(path)
    return held.attention_state_dict | held.model_state_dict


def test_checkpoint_has_the_published_keys_and_says_what_it_is(trained, work):
    held = torch.load(trained / "decoder_checkpoint.pth", weights_only=True)
    assert {
        "attention_state_dict",
        "model_state_dict",
        "optimizer_state_dict",
        "epoch",
        "batch_idx",
        "shuffled_indices",
        "losses",
        "num_batch",
    } <= set(held)
    assert held["architecture"] == "geometric" and held["teacher"] == "halves-00000000" and held["complete"]
    assert len(held["losses"]) == held["batch_idx"] == held["num_batch"] == 4
    assert held["run"]["loss"] == "lifted" and held["run"]["steps"] == 4


def test_a_trained_decoder_answers_by_what_it_was_asked_all_over_the_mesh(trained, work):
    path = trained / "decoder_checkpoint.pth"
    mesh = load_mesh(work / "mesh.ply")
    asked, segmenter = (
        load_decoder_checkpoint(path).asked(mesh, path),
        DecoderSegmenter.load(path, work / "pred_f.pth", mesh),
    )
    assert asked is not None and len(asked.vertices) > 20
    logits = np.log(own := segmenter.decode(np.array([7]), np.array([True])).astype(float)) - np.log1p(-own)
    expected = asked.elect(logits, 7, mesh.vertex_areas)
    assert segmenter.probability(Clicks.from_lists([7])) == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-4)


def test_a_large_mesh_is_trained_and_asked_on_fewer_vertices(work, tmp_path, monkeypatch):
    monkeypatch.setattr(segmenters, "LARGE", 90)
    mesh, mixed = load_mesh(work / "mesh.ply"), torch.randn(3, 256, generator=torch.Generator().manual_seed(5))
    field = tmp_path / "smooth.pth"  # is learned from in fewer steps than noise
    save_torch(field, torch.tanh(torch.from_numpy(mesh.normalized) @ mixed))
    options = ("--encoder_f_path", f"{field}", "--steps", "40", "--batch_size", "8", "--learning_rate", "1e-3")
    assert _train(work, tmp_path, *options) == 0
    path = tmp_path / "decoder_checkpoint.pth"
    held = load_decoder_checkpoint(path)
    assert held.complete and held.votes is not None and held.votes.shape[1] <= 100 < mesh.num_vertices
    segmenter = DecoderSegmenter.load(path, field, mesh)
    away = np.flatnonzero(np.abs(mesh.normalized[:, 0]) > 0.5)
    agree = [
        ((segmenter.probability(Clicks.from_lists([vertex])) > 0.5) == half_of(mesh, vertex)).mean()
        for vertex in away[::9].tolist()
    ]
    assert np.mean(agree) > 0.75  # of a coin, a half; the ball itself has 162 vertices
    monkeypatch.setattr("utils.output.figures.save_render_views", lambda *_: None)  # 30 pictures
    assert _ask(work, tmp_path, "--encoder_f_path", f"{field}", "--select_vertices", "7", "-90") == 0


def test_finished_training_is_not_repeated(trained, work, capsys):
    before = (trained / "decoder_checkpoint.pth").read_bytes()
    assert _train(work, trained) == 0
    assert "already trained" in capsys.readouterr().out
    assert (trained / "decoder_checkpoint.pth").read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [
        ("--architecture", "geometric", "--loss", "lifted"),
        ("--architecture", "published", "--loss", "rendered", "--num_epochs", "1", "--data_percentage", "0.4"),
    ],
)
def test_killed_training_goes_on_from_its_last_checkpoint(options, work, tmp_path, capsys):
    class Killed(BaseException):
        pass

    assert _train(work, tmp_path / "whole", *options) == 0

    def die_in_step_4(step):
        if step.stage.startswith("train decoder") and step.done == 4:
            raise Killed

    with pytest.raises(Killed):
        arguments = _arguments(work, tmp_path / "broken", *options, "--save_interval", "2")
        train_decoder(parse_settings(decoder.DecoderSettings, None, arguments), die_in_step_4)
    assert not load_decoder_checkpoint(tmp_path / "broken" / "decoder_checkpoint.pth").complete
    capsys.readouterr()
    assert _train(work, tmp_path / "broken", *options) == 0
    assert "goes on after step 2" in capsys.readouterr().out
    whole, resumed = (_states(tmp_path / name / "decoder_checkpoint.pth") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert load_decoder_checkpoint(tmp_path / "broken" / "decoder_checkpoint.pth").complete
    assert len(list((tmp_path / "broken").iterdir())) == 1


def test_other_settings_do_not_overwrite_a_decoder_unasked(trained, work, tmp_path):
    (tmp_path / "decoder_checkpoint.pth").write_bytes((trained / "decoder_checkpoint.pth").read_bytes())
    for options in (("--steps", "5"), ("--architecture", "published"), ("--seed", "1"), ("--data_percentage", "0.5")):
        with pytest.raises(UserError, match="--overwrite 1"):
            _train(work, tmp_path, *options)
    assert _train(work, tmp_path, "--seed", "1", "--overwrite", "1") == 0
    assert _train(work, tmp_path, "--seed", "2", "--continue_train", "0") == 0
    assert load_decoder_checkpoint(tmp_path / "decoder_checkpoint.pth").seed == 2


def test_released_files_answer_as_published_on_the_command_line(work, tmp_path):
    """The published command, with the published signed notation, and the published file names."""
    features, _, weights, field = random_release(tmp_path, 162)
    assert (
        decoder.main(
            [
                "--mode",
                "test",
                "--save_dir",
                f"{tmp_path}/",
                "--model_name",
                "decoder_checkpoint.pth",
                "--encoder_f_path",
                str(features),
                "--obj_path",
                str(work / "mesh.ply"),
                "--select_vertices",
                "51",
                "-107",
            ]
        )
        == 0
    )
    found = np.load(tmp_path / "vertex_probability_v51_v-107.npy")
    np.testing.assert_allclose(found, probability(weights, field, [51], [107]), atol=1e-6)
    assert found.shape == (162,) and found.dtype == np.float32
    for name in ("colored_mesh_v51_v-107.ply", "render_views_v51_v-107.png"):
        assert (tmp_path / name).stat().st_size > 1000
    assert not list(tmp_path.glob("selection_*"))


def test_hard_answers_are_parts_and_labels(work, trained, tmp_path, capsys, monkeypatch):
    # The 30 pictures are drawn in the test above.
    monkeypatch.setattr("utils.output.figures.save_render_views", lambda path, *_: path.touch())
    for name in ("decoder_checkpoint.pth",):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    assert _ask(work, tmp_path, "--select_vertices", "7", "--hard", "1", "--show_spheres", "1") == 0
    names = {path.name for path in tmp_path.iterdir()} - {"decoder_checkpoint.pth"}
    assert names == {
        "vertex_probability_v7.npy",
        "colored_mesh_v7.ply",
        "colored_mesh_with_clicks_v7.ply",
        "render_views_v7.png",
        "selection_v7.glb",
        "selection_v7.obj",
        "selection_v7.mtl",
        "selection_v7.seg",
    }
    printed = capsys.readouterr().out
    assert " ms for 1 click on 162 vertices" in printed and all(name in printed for name in names)
    assert len((tmp_path / "selection_v7.seg").read_text().split()) == 320


class Fixed(Segmenter):
    """Answers what it is told."""

    def probability(self, clicks, granularity=None):
        return np.linspace(0.3, 0.9, 162, dtype=np.float32)  # Otsu would cut at 0.6


def test_an_answer_is_cut_where_its_segmenter_keeps_clicked_vertices_apart(icosphere):
    probability = Fixed(icosphere).probability(None)
    for threshold, cut in ((None, 0.5), (0.8, 0.8)):
        answer = Fixed(icosphere).segment([100], threshold=threshold)
        assert answer.threshold == cut and (answer.selected == (probability > cut)).all()


def test_vertex_zero_is_clicked_either_way(work, trained):
    """In the published notation and in lists of either kind."""
    segmenter = open_segmenter(
        load_mesh(work / "mesh.ply"),
        checkpoint=trained / "decoder_checkpoint.pth",
        features=work / "pred_f.pth",
        device="cpu",
    )

    def ask(*clicks):
        options = ["--obj_path", "mesh.ply", "--mode", "test", *clicks]
        return segmenter.probability(parse_settings(decoder.DecoderSettings, None, options).clicks)

    signed, listed = ask("--select_vertices", "9", "-0"), ask("--positive_vertices", "9", "--negative_vertices", "0")
    assert (signed == listed).all()
    assert np.abs(signed - ask("--positive_vertices", "9", "0")).max() > 1e-4


@pytest.mark.parametrize(
    "clicks, message",
    [
        (["--select_vertices", "162"], "from 0 to 161"),
        (["--select_vertices", "-5"], "no positive click"),
        ([], "no positive click"),
        (["--select_vertices", "5", "-5"], "both as a positive and as a negative"),
        (["--select_vertices", "one"], "not a vertex id"),
        (["--select_vertices", "5", "--threshold", "2"], "not a probability"),
    ],
)
def test_bad_clicks_leave_nothing_behind(clicks, message, work, trained):
    before = {path.name for path in trained.iterdir()}
    with pytest.raises(UserError, match=message):
        _ask(work, trained, *clicks)
    assert {path.name for path in trained.iterdir()} == before


def test_errors_are_one_line_and_exit_code_2(work, tmp_path):
    """Through the real command, in another folder: nothing to load yet, and the message says what to run."""
    run = subprocess.run(
        [
            sys.executable,
            str(Path(decoder.__file__).resolve()),
            "--mode",
            "test",
            "--obj_path",
            str(work / "mesh.ply"),
            "--encoder_f_path",
            str(work / "pred_f.pth"),
            "--save_dir",
            str(tmp_path / "new"),
            "--select_vertices",
            "3",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (
        run.returncode == 2 and run.stderr.count("\n") == 1 and run.stderr.startswith("error: no decoder checkpoint at")
    )
    assert not (tmp_path / "new").exists()
