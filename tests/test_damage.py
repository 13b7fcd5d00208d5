"""What is read is verified, what is made is kept, and no NaN is written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.iseg.checkpoint import load_decoder_checkpoint, save_decoder_checkpoint
from models.iseg.encoder_stage import EncoderSettings, distill
from models.points.embedding import WEIGHTS as INSTANT
from models.prior.checkpoint import WEIGHTS, load_prior
from tests.fakes import FakeTeacher
from tests.fuzz import GOLDEN, Payload
from utils.errors import UserError, run_cli
from utils.files import (
    atomic_path,
    load_json,
    load_npz,
    load_torch,
    open_npy,
    save_json,
    save_npy,
    save_npz,
    save_torch,
)
from utils.folders import claim_folder
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import COUNT, Checked, option, parse_settings
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewSettings, build_view_pool
from utils.supervision.store import SupervisionSet
from utils.supervision.writer import ClickSettings, SecondClickSettings, write_supervision
from utils.training import check_loss

ROOT = Path(__file__).resolve().parents[1]


def _flip(path: Path, place: int, bit: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def test_a_flipped_bit_in_any_weight_is_noticed(tmp_path):
    rng = np.random.default_rng(0)
    for source, read in (
        (WEIGHTS, load_prior),
        (GOLDEN / "camel_decoder.pth", load_decoder_checkpoint),
        (INSTANT, load_torch),
    ):
        size = source.stat().st_size
        for place in rng.integers(size // 10, size - size // 10, 8).tolist():
            shutil.copy(source, tmp_path / source.name)
            _flip(tmp_path / source.name, place)
            try:
                read(tmp_path / source.name)
            except UserError as error:
                assert source.name in str(error) and "\n" not in str(error)
            else:  # between two records, where nothing is
                assert read_equal(source, tmp_path / source.name)


def read_equal(a: Path, b: Path) -> bool:
    """Whether two files of tensors hold the same."""
    from tests.fuzz import _same

    return _same(load_torch(a), load_torch(b))


def test_embeddings_and_manifests_carry_a_checksum_and_old_ones_without_are_read(tmp_path):
    save_npy(tmp_path / "a.npy", np.arange(60.0), seal=True)
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.arange(60.0))  # any program reads it
    size = (tmp_path / "a.npy").stat().st_size
    for place in (130, size // 2, size - 20):
        save_npy(tmp_path / "a.npy", np.arange(60.0), seal=True)
        _flip(tmp_path / "a.npy", place)
        with pytest.raises(UserError, match="checksum does not fit"):
            open_npy(tmp_path / "a.npy")
    np.save(tmp_path / "old.npy", np.arange(4.0))
    assert open_npy(tmp_path / "old.npy").sum() == 6
    save_json(tmp_path / "m.json", {"views": 40, "radius": 2.0}, seal=True)
    assert load_json(tmp_path / "m.json") == {"views": 40, "radius": 2.0}
    (tmp_path / "m.json").write_text((tmp_path / "m.json").read_text().replace("40", "41"))
    with pytest.raises(UserError, match="digest does not fit"):
        load_json(tmp_path / "m.json")


def test_damaged_pieces_of_work_are_made_again_and_the_others_are_kept(tmp_path, two_boxes):
    rasterizer, teacher = Rasterizer(two_boxes, "embree"), FakeTeacher(56, 7)
    settings = ViewSettings("sphere", 40, render_res=56)
    build_view_pool(tmp_path / "views", rasterizer, teacher, settings)
    before = {path: path.read_bytes() for path in sorted((tmp_path / "views").iterdir())}
    damages = [lambda b: b[:-40], lambda b: b"", lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:]]
    for name in ("embeddings_001.npy", "cameras.pt"):
        for damage in damages:
            path = tmp_path / "views" / name
            path.write_bytes(damage(path.read_bytes()))
            teacher.embed_calls = 0
            pool = build_view_pool(tmp_path / "views", rasterizer, teacher, settings)
            assert teacher.embed_calls == (name != "cameras.pt")
            assert len(pool.cameras) == 40 and len(open_npy(tmp_path / "views" / "embeddings_001.npy")) == 8
    assert {path: path.read_bytes() for path in before if path.suffix == ".npy"} == {
        path: data for path, data in before.items() if path.suffix == ".npy"
    }
    clicks = ClickSettings(percentage=0.05, n_views=3, render_res=56)
    make = (rasterizer, pool, teacher, clicks, SecondClickSettings())
    write_supervision(tmp_path / "clicks", *make)
    shards = {path: path.read_bytes() for path in sorted((tmp_path / "clicks").glob("*.npz"))}
    for path in shards:
        for damage in damages:
            path.write_bytes(damage(shards[path]))
            write_supervision(tmp_path / "clicks", *make)
            assert {each: each.read_bytes() for each in shards} == shards


def test_a_pickle_in_place_of_embeddings_never_runs(tmp_path):
    np.save(tmp_path / "e.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="e.npy is not a readable"):
        open_npy(tmp_path / "e.npy")
    torch.save({"a": Payload()}, tmp_path / "e.pth")
    with pytest.raises(UserError) as caught:
        load_torch(tmp_path / "e.pth")
    assert "weights_only" not in str(caught.value)


def test_clicks_on_vertices_or_views_that_there_are_not_are_refused(tmp_path):
    mesh = load_mesh(GOLDEN / "ball.obj")
    for name, value, says in (("vertices", 10_000, "vertices that the mesh"), ("view", 99, "views that there are not")):
        shutil.copytree(GOLDEN / "decoder_data", tmp_path / name)
        held = load_npz(tmp_path / name / "single_000.npz")
        held[name].reshape(-1)[0] = value
        save_npz(tmp_path / name / "single_000.npz", **held)
        with pytest.raises(UserError, match=says):
            SupervisionSet.open(tmp_path / name, mesh)


# --- nothing is lost ----------------------------------------------------------------------------------


def test_second_clicks_survive_an_overwrite_that_cannot_start(tmp_path, two_boxes):
    rasterizer, teacher = Rasterizer(two_boxes, "embree"), FakeTeacher(56, 7)
    pool = build_view_pool(tmp_path / "views", rasterizer, teacher, ViewSettings("sphere", 6, render_res=56))
    clicks = ClickSettings(percentage=0.05, n_views=3, render_res=56)
    write_supervision(tmp_path / "set", rasterizer, pool, teacher, clicks, SecondClickSettings())
    before = {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}
    other, second = replace(clicks, percentage=0.1), ("positive", "negative")
    with pytest.raises(UserError, match="another percentage"):
        write_supervision(
            tmp_path / "set", rasterizer, pool, teacher, other, SecondClickSettings(), second, overwrite=True
        )
    assert {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()} == before
    (tmp_path / "set" / "supervision.json").unlink()
    with pytest.raises(UserError, match="put that file back"):
        write_supervision(tmp_path / "set", rasterizer, pool, teacher, clicks, SecondClickSettings())
    assert len(list((tmp_path / "set").glob("*.npz"))) == len(before) - 1


@pytest.mark.parametrize("manifest", [None, "[]", "[" * 100_000, '{"a": 2}', "not JSON"])
def test_a_missing_or_odd_manifest_never_deletes_what_it_described(tmp_path, manifest):
    save_npy(tmp_path / "shard_0.npy", np.zeros(3))
    if manifest is not None:
        (tmp_path / "m.json").write_text(manifest)
    with pytest.raises(UserError):
        claim_folder(tmp_path / "m.json", {"a": 1}, ("shard_*.npy",), "shards")
    assert (tmp_path / "shard_0.npy").is_file()
    claim_folder(tmp_path / "m.json", {"a": 1}, ("shard_*.npy",), "shards", overwrite=True)
    assert not (tmp_path / "shard_0.npy").exists() and load_json(tmp_path / "m.json") == {"a": 1}


def test_a_manifest_that_cannot_be_written_deletes_nothing(tmp_path, monkeypatch):
    save_npy(tmp_path / "shard_0.npy", np.zeros(3))
    save_json(tmp_path / "m.json", {"a": 2})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError):
        claim_folder(tmp_path / "m.json", {"a": 1}, ("shard_*.npy",), "shards", overwrite=True)
    assert (tmp_path / "shard_0.npy").is_file() and (tmp_path / "m.json").is_file()


WRITER = """
import sys, time
from utils.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_swept_and_a_living_one_is_left_alone(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.txt")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline().strip() == b"writing"
        save_json(tmp_path / "b.json", {})
        assert len(list(tmp_path.glob(".part-*"))) == 1  # of the one that lives
        writer.send_signal(signal.SIGKILL)
    save_json(tmp_path / "b.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_two_writers_at_once_leave_one_whole_file(tmp_path):
    code = "import sys; from utils.files import *; [save_npy(sys.argv[1], np.full(20000, k)) for k in range(20)]"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.npy")], env=environment) for _ in range(2)
    ]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "a.npy").exists():
            assert len(set(np.load(tmp_path / "a.npy").tolist())) == 1
            seen += 1
        time.sleep(0.002)
    assert [writer.returncode for writer in writers] == [0, 0] and seen
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_a_field_of_other_settings_is_refused_not_replaced(tmp_path):
    def run(*extra: str) -> None:
        argv = ["--obj_path", str(GOLDEN / "ball.obj"), "--n_views", "3", "--render_res", "32", "--width", "8"]
        argv += ["--encoder_data_dir", str(tmp_path / "views"), "--encoder_model_dir", str(tmp_path / "field")]
        distill(parse_settings(EncoderSettings, None, [*argv, *extra]), teacher=FakeTeacher(56, 7))

    run("--steps", "2")
    before = (tmp_path / "field" / "pred_f.pth").read_bytes()
    with pytest.raises(UserError, match="another steps"):
        run("--steps", "3")
    assert (tmp_path / "field" / "pred_f.pth").read_bytes() == before
    run("--steps", "3", "--overwrite", "1")
    assert len(load_torch(tmp_path / "field" / "encoder_checkpoint.pth")["losses"]) == 3
    held = load_torch(tmp_path / "field" / "encoder_checkpoint.pth")
    save_torch(tmp_path / "field" / "encoder_checkpoint.pth", {k: v for k, v in held.items() if "optim" not in k})
    with pytest.raises(UserError, match="lacks part of a training"):
        run("--steps", "3")


# --- no NaN is written ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_file_of_numbers_is_written_with_a_nan(tmp_path, bad):
    for name, write in (
        ("a.pth", lambda path, x: save_torch(path, {"deep": [{"x": torch.tensor([1.0, x]), "none": torch.zeros(0)}]})),
        ("b.pth", lambda path, x: save_torch(path, torch.tensor([[x, 0.0]], dtype=torch.bfloat16))),
        ("a.npy", lambda path, x: save_npy(path, np.array([x]))),
        ("a.npz", lambda path, x: save_npz(path, x=np.array([x], np.float16))),
    ):
        write(tmp_path / name, 1.0)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(UserError, match="was not written"):
            write(tmp_path / name, bad)
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_no_json_holds_a_nan(tmp_path, bad):
    """A report says null where nothing was measured; what a program goes on from is not written."""
    path, value = tmp_path / "a.json", {"mean": bad, "curve": [1.0, (bad, 2)], "name": "NaN"}
    save_json(path, value)
    held = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert held == {"mean": None, "curve": [1.0, [None, 2]], "name": "NaN"} == load_json(path)
    before = path.read_bytes()
    for how in ({"seal": True}, {"strict": True}):
        with pytest.raises(UserError, match="was not written"):
            save_json(path, value, **how)
    with pytest.raises(UserError, match="was not written"):
        claim_folder(path, value, (), "shards", overwrite=True)
    assert path.read_bytes() == before
    path.write_text('{"mean": NaN, "worst": -Infinity}')  # as it was written before
    assert load_json(path) == {"mean": None, "worst": None}


def test_every_json_is_written_in_one_place():
    """Else a NaN could get into one: `utils.files`, and the three that refuse it themselves."""
    allowed = {"utils/files.py", "utils/session/journal.py", "utils/output/glb.py", "utils/geometry/materials.py"}
    allowed |= {"utils/viewer/scene.py"}  # to the page
    allowed |= {"models/scale_stages.py", "models/collection/guard.py"}  # to another process
    allowed |= {"models/prior/training.py"}  # whole numbers of a generator
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ("utils", "models", "SAM_repo", "scripts")
        for path in (ROOT / room).rglob("*.py")
        if "json.dump" in path.read_text(encoding="utf-8")
    }
    assert found <= allowed


def test_a_checkpoint_with_a_nan_answers_nothing(tmp_path):
    held = load_decoder_checkpoint(GOLDEN / "camel_decoder.pth")
    next(iter(held.model_state_dict.values())).view(-1)[0] = float("nan")
    torch.save(vars(held), tmp_path / "decoder.pth")
    with pytest.raises(UserError, match="NaN"):
        load_decoder_checkpoint(tmp_path / "decoder.pth")
    with pytest.raises(UserError, match="was not written"):
        save_decoder_checkpoint(tmp_path / "decoder.pth", held)


def test_divergence_stops_a_training_in_one_line():
    assert check_loss(torch.tensor(0.5), 3) == 0.5
    with pytest.raises(UserError, match="diverged after step 7") as caught:
        check_loss(torch.tensor(float("nan")), 7)
    assert "\n" not in str(caught.value)


# --- numbers of the command line ----------------------------------------------------------------------


def test_settings_check_their_numbers_however_they_are_made():
    from dataclasses import dataclass

    @dataclass(frozen=True, kw_only=True)
    class Settings(Checked):
        share: float = option(0.5, within="(0, 1]")
        count: int = option(1, within=COUNT)
        angles: tuple[float, ...] = option((0.0,))
        maybe: float | None = option(None, within="[0, 2]")

    Settings(share=1.0, maybe=0.0)
    for wrong in ({"share": 0}, {"share": float("nan")}, {"count": 0}, {"angles": (0.0, float("inf"))}, {"maybe": 2.1}):
        with pytest.raises(UserError, match=f"--{next(iter(wrong))}"):
            Settings(**wrong)
    with pytest.raises(SystemExit):
        parse_settings(Settings, None, ["--share", "much"])


def test_an_argument_that_is_none_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        run_cli(lambda: parse_settings(EncoderSettings, None, ["--n_views", "many"]) and 0)
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("place", ["a_file/out", "/proc/out"])
def test_an_output_folder_that_cannot_be_is_one_line(tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("")

    def main() -> None:
        with atomic_path(Path(place) / "x.json") as temporary:
            temporary.write_text("")

    with pytest.raises(SystemExit) as ended:
        run_cli(main)
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_too_little_memory_is_one_line(capsys):
    def main() -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    with pytest.raises(SystemExit) as ended:
        run_cli(main)
    assert ended.value.code == 2 and "memory" in capsys.readouterr().err


def test_an_object_that_no_view_shows_is_refused(tmp_path, icosphere):
    needle = Mesh(icosphere.vertices * [1, 1e-7, 1e-7], icosphere.faces)
    with pytest.raises(UserError, match="no view shows"):
        build_view_pool(
            tmp_path, Rasterizer(needle, "embree"), FakeTeacher(56, 7), ViewSettings("sphere", 4, render_res=32)
        )
