"""One command takes a mesh through every stage, and a second call redoes nothing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

import data_generation
import encoder
from models import presets
from scripts import pipeline
from tests.fakes import FakeTeacher
from utils.errors import UserError, run_cli


@pytest.fixture
def small_preset(monkeypatch):
    """The fast preset with as little of everything as will do."""
    for table, values in (
        ("_VIEWS", ["--view_sampling", "sphere", "--n_views", "6"]),
        ("_FIELD", ["--steps", "3"]),
        ("_CLICKS", ["--percentage", "0.03", "--n_views", "4", "--max_pairs", "2", "--refinements", "1"]),
        ("_DECODER", ["--architecture", "geometric", "--loss", "lifted", "--steps", "3"]),
    ):
        monkeypatch.setitem(getattr(presets, table), "fast", values)


@pytest.fixture
def teacher(monkeypatch) -> FakeTeacher:
    """A fake one in place of SAM in every stage."""
    fake = FakeTeacher()
    for stage in (encoder, data_generation):
        monkeypatch.setattr(stage, "load_teacher", lambda *_, **__: fake)
    return fake


@pytest.fixture
def mesh_file(tmp_path, two_boxes):
    path = tmp_path / "my mesh.off"
    trimesh.Trimesh(two_boxes.vertices, two_boxes.faces, process=False).export(path)
    return path


def test_one_command_writes_the_answers_and_a_second_call_redoes_nothing(
    tmp_path, mesh_file, small_preset, teacher, capsys
):
    out = tmp_path / "out dir"
    command = ["--obj_path", str(mesh_file), "--out_dir", str(out), "--device", "cpu", "--queries", "120 -0", "7"]
    assert pipeline.main(command) == 0
    printed = capsys.readouterr().out
    for name in ("v120_v-0", "v7"):
        probability = np.load(out / "decoder" / f"vertex_probability_{name}.npy")
        assert probability.shape == (196,) and ((probability >= 0) & (probability <= 1)).all()
        for file in (
            f"colored_mesh_{name}.ply",
            f"colored_mesh_with_clicks_{name}.ply",
            f"render_views_{name}.png",
            f"selection_{name}.glb",
            f"selection_{name}.obj",
            f"selection_{name}.seg",
        ):
            assert (out / "decoder" / file).is_file() and str(out / "decoder" / file) in printed
    assert Image.open(out / "contact_sheet.png").width > 600
    assert all(
        stage in printed for stage in ("views and feature field", "click supervision", "decoder training", "together")
    )

    trained = (out / "decoder" / "decoder_checkpoint.pth").stat().st_mtime_ns
    embedded, prompted = teacher.embed_calls, teacher.segment_calls
    assert pipeline.main(command) == 0
    assert (teacher.embed_calls, teacher.segment_calls) == (embedded, prompted)
    assert (out / "decoder" / "decoder_checkpoint.pth").stat().st_mtime_ns == trained


@pytest.mark.parametrize(
    "query, complaint", (("7 196", "0 to 195"), ("-7", "positive"), ("7 -7", "7"), ("seven", "seven"))
)
def test_a_bad_query_is_refused_before_any_work(tmp_path, mesh_file, teacher, query, complaint):
    with pytest.raises(UserError, match=complaint):
        pipeline.main(["--obj_path", str(mesh_file), "--out_dir", str(tmp_path / "out"), f"--queries={query}"])
    assert not (tmp_path / "out").exists() and teacher.embed_calls == 0


def test_user_errors_end_in_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--obj_path", str(tmp_path / "none.obj")])
    with pytest.raises(SystemExit) as end:
        run_cli(pipeline.main)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "none.obj" in message and message.count("\n") == 1


def test_example_queries_are_one_click_two_and_a_negative(two_boxes, tetrahedron):
    for mesh in (two_boxes, tetrahedron):
        queries = [pipeline.parse_query(text, mesh)[1] for text in pipeline.example_queries(mesh)]
        assert [(len(q.positives), len(q.negatives)) for q in queries] == [(1, 0), (2, 0), (1, 1)]
