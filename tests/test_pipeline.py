"""One command takes a mesh through every stage, and a second call redoes nothing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from models.pipeline import Pipeline, PipelineSettings, Preset, example_queries, parse_query, run_pipeline, written
from scripts import pipeline as script
from utils.errors import UserError, run_cli

# The fast preset with as little of everything as will do.
SMALL = Preset(
    {"view_sampling": "sphere", "n_views": 6},
    {"steps": 3},
    {
        "percentage": 0.03,
        "n_views": 4,
        "max_pairs": 2,
        "refinements": 1,
        "second_positive": True,
        "second_negative": True,
    },
    {"architecture": "geometric", "loss": "lifted", "steps": 3},
)


@pytest.fixture
def mesh_file(tmp_path, two_boxes):
    path = tmp_path / "my mesh.off"
    trimesh.Trimesh(two_boxes.vertices, two_boxes.faces, process=False).export(path)
    return path


def test_one_call_writes_the_answers_and_a_second_one_redoes_nothing(
    tmp_path, mesh_file, fake_teacher, capsys, monkeypatch
):
    out = tmp_path / "out dir"
    settings = PipelineSettings(obj_path=mesh_file, out_dir=out, device="cpu", queries=("120 -0", "7"))
    monkeypatch.setattr("utils.output.figures.save_render_views", lambda path, *_: path.touch())  # 30 pictures
    pipeline, heard = Pipeline(settings, SMALL, fake_teacher), []
    seconds = run_pipeline(settings, heard.append, pipeline)
    printed = capsys.readouterr().out
    assert {"distil field", "train decoder"} <= {step.stage for step in heard}
    assert all(step.done <= step.total for step in heard)
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
            assert out / "decoder" / file in written(settings)
    assert Image.open(out / "contact_sheet.png").width > 600
    assert list(seconds) == [*pipeline.stages, "queries", "contact sheet"]

    trained = (out / "decoder" / "decoder_checkpoint.pth").stat().st_mtime_ns
    embedded, prompted = fake_teacher.embed_calls, fake_teacher.segment_calls
    monkeypatch.setattr("utils.output.figures.save_contact_sheet", lambda *_, **__: None)  # is drawn anew
    run_pipeline(settings, pipeline=pipeline)
    assert (fake_teacher.embed_calls, fake_teacher.segment_calls) == (embedded, prompted)
    assert (out / "decoder" / "decoder_checkpoint.pth").stat().st_mtime_ns == trained


@pytest.mark.parametrize(
    "query, complaint", (("7 196", "0 to 195"), ("-7", "positive"), ("7 -7", "7"), ("seven", "seven"))
)
def test_a_bad_query_is_refused_before_any_work(tmp_path, mesh_file, query, complaint):
    with pytest.raises(UserError, match=complaint):
        script.main(["--obj_path", str(mesh_file), "--out_dir", str(tmp_path / "out"), f"--queries={query}"])
    assert not (tmp_path / "out").exists()


def test_user_errors_end_in_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--obj_path", str(tmp_path / "none.obj")])
    with pytest.raises(SystemExit) as end:
        run_cli(script.main)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "none.obj" in message and message.count("\n") == 1


def test_example_queries_are_one_click_two_and_a_negative(two_boxes, tetrahedron):
    for mesh in (two_boxes, tetrahedron):
        queries = [parse_query(text, mesh) for text in example_queries(mesh)]
        assert [(len(q.positives), len(q.negatives)) for q in queries] == [(1, 0), (2, 0), (1, 1)]
