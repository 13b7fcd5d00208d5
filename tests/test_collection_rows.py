"""Parquet: manifests, files of rows, and the page of a run. Without Ray."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from models.collection.manifest import Entry, read_entries
from models.collection.rows import COLUMNS, Shards, pack
from models.collection.summary import Totals, write_summary
from utils.errors import UserError

arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: bash install_environment.sh --collection")
parquet = pytest.importorskip("pyarrow.parquet")


def test_parquet_manifests_are_read_here_and_elsewhere(tmp_path):
    import fsspec

    table = arrow.table({"id": [7, 3], "path": ["a.obj", "/far/b.ply"], "clicks": [[5, -9], None], "more": [0, 0]})
    parquet.write_table(table, tmp_path / "m.parquet")
    fsspec.filesystem("memory").pipe_file("/shop/m.parquet", (tmp_path / "m.parquet").read_bytes())
    assert read_entries(str(tmp_path / "m.parquet"), clicks=True) == [
        Entry("3", "/far/b.ply"),
        Entry("7", str(tmp_path / "a.obj"), "5 -9"),
    ]
    assert read_entries("memory://shop/m.parquet")[1] == Entry("7", "memory:///shop/a.obj", "5 -9")


def test_bad_parquet_manifests_are_one_line(tmp_path):
    parquet.write_table(arrow.table({"id": [1], "file": ["a.obj"]}), tmp_path / "m.parquet")
    (tmp_path / "damaged.parquet").write_bytes((tmp_path / "m.parquet").read_bytes()[:-20])
    for name, said in (("m", r"lacks the column path \(it has id, file\)"), ("damaged", "no readable Parquet file")):
        with pytest.raises(UserError, match=said):
            read_entries(str(tmp_path / f"{name}.parquet"))


def test_files_of_rows_hold_what_was_found(tmp_path):
    held = [
        {"id": "a", "path": "a.obj", "error": None, "labels": np.array([1, 65535]), "ladder": np.array([], int)},
        {"id": "b", "path": "b.obj", "error": "no surface", "seconds": 1.5},
        {"id": "c", "path": "c.obj", "error": None, "labels": np.arange(3), "quality": [0.5, 0.25], "tree": "[]"},
    ]
    path = tmp_path / "rows-00000.parquet"
    Shards().write(path, map(pack, held))
    assert Shards().count(path) == 3 and list(tmp_path.iterdir()) == [path]
    found = list(Shards().read(tmp_path))
    assert [list(row) for row in found] == [list(COLUMNS)] * 3
    assert [row["labels"] for row in found] == [[1, 65535], None, [0, 1, 2]]
    assert [row["ladder"] for row in found] == [[], None, None]
    assert found[2]["quality"] == [0.5, 0.25] and found[1]["error"] == "no surface" and found[1]["seconds"] == 1.5
    path.write_bytes(path.read_bytes()[:100])
    assert Shards().count(path) == Shards().count(tmp_path / "none.parquet") == -1


@pytest.fixture
def finished(tmp_path):
    """A run of nine boxes: two fail, one mesh is gone; the later, the better."""
    rows = []
    for number in range(9):
        path = tmp_path / f"{number}.ply"
        box = trimesh.creation.box((1, 1, 2 + number))
        path.write_bytes(box.export(file_type="ply"))
        row = {"id": f"<{number}>", "path": str(path), "error": None, "seconds": float(number), "memory_mib": 100.0}
        if number in (2, 5):
            row["error"] = f"{path} is empty"
        else:
            row |= {"faces": 12, "labels": np.arange(12) // 6 + 1, "quality": [number / 10, number / 10]}
        rows.append(pack(row))
    (tmp_path / "0.ply").unlink()
    Shards().write(tmp_path / "rows-00000.parquet", rows[:6])
    Shards().write(tmp_path / "rows-00001.parquet", rows[6:])
    return tmp_path


def test_totals_know_the_worst_a_sample_and_why_meshes_fail(finished):
    totals = Totals.of(finished)
    assert (totals.rows, totals.failed, totals.reasons) == (9, 2, {"the mesh is empty": 2})
    assert totals.worst(3) == [0, 1, 3] and totals.sample(3) == [0, 4, 8] and len(totals.sample(100)) == 7
    assert totals.measured["seconds"] == [float(number) for number in range(9)]


def test_the_page_shows_a_sample_and_the_worst_and_names_what_it_cannot_draw(finished):
    steps = []
    page = write_summary(finished, "parts", 2, steps.append).read_text()
    assert "<h1>9 meshes</h1>" in page and "the mesh is empty" in page and "&lt;2&gt;" in page
    assert page.count("<figure>") == 4 and page.count("(not drawn: ") == 2
    assert [path.name for path in sorted((finished / "pictures").iterdir())] == ["00000001.png", "00000008.png"]
    assert (steps[-1].done, steps[-1].total) == (3, 3)
