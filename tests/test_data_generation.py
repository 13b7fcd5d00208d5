"""The click supervision stage as a person runs it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.iseg.click_stage import SupervisionSettings, make_supervision
from tests.fakes import FakeTeacher
from utils.errors import run_cli
from utils.geometry.mesh import Mesh
from utils.options import parse_settings
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewSettings, build_view_pool
from utils.supervision.store import SupervisionSet


@pytest.fixture
def obj_path(two_boxes, tmp_path):
    path = tmp_path / "mallet.obj"
    lines = [f"v {x} {y} {z}" for x, y, z in two_boxes.vertices] + [f"f {a} {b} {c}" for a, b, c in two_boxes.faces + 1]
    path.write_text("\n".join(lines) + "\n")
    return path


def _run(*argv) -> int:
    """The exit code of the stage, with a teacher without weights."""

    def stage() -> None:
        settings = parse_settings(SupervisionSettings, None, [str(value) for value in argv])
        make_supervision(settings, teacher=FakeTeacher())

    with pytest.raises(SystemExit) as ended:
        run_cli(stage)
    return ended.value.code


def _few(obj_path, directory):
    return (
        "--obj_path",
        obj_path,
        "--decoder_data_dir",
        directory,
        "--percentage",
        0.1,
        "--n_views",
        3,
        "--pool_views",
        6,
    )


def test_published_defaults():
    args = parse_settings(SupervisionSettings, None, ["--obj_path", "hammer.obj"])
    published = {
        "percentage": 0.03,
        "n_views": 100,
        "radius": 2.0,
        "render_res": 224,
        "seed": 0,
        "single_click": True,
        "second_positive": False,
        "second_negative": False,
        "overwrite": False,
        "max_pairs": 5,
        "refinements": 6,
        "min_score": 0.4,
        "max_clicks": 0,
        "pair_views": 0,
        "share_pairs": False,
        "min_facing": 0.0,
    }
    assert {name: getattr(args, name) for name in published} == published and tuple(args.background) == (1, 1, 1)


def test_stage_draws_its_own_views_and_sums_up(obj_path, two_boxes, tmp_path, capsys):
    assert (
        _run(*_few(obj_path, tmp_path / "out"), "--second_positive", 1, "--second_negative", 1, "--refinements", 1) == 0
    )
    samples = SupervisionSet.open(tmp_path / "out", Mesh(two_boxes.vertices, two_boxes.faces))
    assert len(samples.cameras) == 6 and (tmp_path / "out" / "views" / "pool.json").is_file()
    printed = capsys.readouterr().out
    assert f"{int((samples.kind == 0).sum())} single clicks" in printed and f"{len(samples.by_view())} views" in printed
    assert len(samples) > 20


def test_stage_reuses_the_views_of_the_encoder(obj_path, two_boxes, tmp_path):
    rasterizer = Rasterizer(Mesh(two_boxes.vertices, two_boxes.faces), "embree")
    build_view_pool(tmp_path / "views", rasterizer, FakeTeacher(), ViewSettings("sphere", 9))
    assert _run(*_few(obj_path, tmp_path / "out"), "--encoder_data_dir", tmp_path / "views") == 0
    samples = SupervisionSet.open(tmp_path / "out", rasterizer.mesh)
    assert len(samples.cameras) == 9 and not (tmp_path / "out" / "views").exists()
    assert samples.settings["views"]["sampling"] == "sphere"


def test_same_seed_gives_the_same_files_and_another_does_not(obj_path, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert _run(*_few(obj_path, tmp_path / name), "--seed", seed) == 0
    a, b, c = ((tmp_path / name / "single_000.npz").read_bytes() for name in "abc")
    assert a == b != c


def test_preview_is_a_sheet_of_pictures(obj_path, tmp_path):
    assert _run(*_few(obj_path, tmp_path / "out"), "--preview", 1) == 0
    sheet = np.asarray(Image.open(tmp_path / "out" / "preview.png"))
    assert sheet.shape[1] == 6 * 224 and sheet.std() > 10


@pytest.mark.parametrize(
    "extra, says",
    [
        (["--single_click", 0], "nothing to do"),
        (["--percentage", 3], "0.03 for 3 %"),
        (["--percentage", 0], "0.03 for 3 %"),
        (["--percentage", "nan"], "is no number"),
        (["--pair_views", -1], "--pair_views"),
        (["--min_facing", 1], "--min_facing"),
        (["--single_click", 0, "--second_positive", 1], "data_generation.py"),
        (["--encoder_data_dir", "nowhere"], "no views at nowhere"),
        (["--obj_path", "missing.obj"], "missing.obj"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(obj_path, tmp_path, capsys, extra, says):
    assert _run(*_few(obj_path, tmp_path / "out"), *extra) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1 and says in error[0]
    assert not (tmp_path / "out").exists()


def test_finished_set_of_other_settings_is_refused_until_overwritten(obj_path, tmp_path, capsys):
    command = _few(obj_path, tmp_path / "out")
    assert _run(*command) == 0
    assert _run(*command, "--percentage", 0.2) == 2
    assert "percentage" in capsys.readouterr().err
    assert _run(*command, "--percentage", 0.2, "--overwrite", 1) == 0
