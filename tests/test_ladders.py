"""`scripts/ladders.py`: what single clicks may mean, drawn."""

from __future__ import annotations

from PIL import Image

from models.prior.segmenter import PriorSegmenter
from SAM_repo.teacher import load_teacher
from scripts import ladders
from tests.mesh_files import write_obj


def test_every_click_gets_a_row_of_its_nested_answers(two_boxes, tmp_path, monkeypatch):
    rows, save, opened = [], ladders.save_sheet, []

    def open_quickly(mesh, kind, device):
        """The shipped prior from few views and voters."""
        opened.append(kind)
        return PriorSegmenter.prepare(mesh, load_teacher("vit_t"), views=2, voters=24)

    monkeypatch.setattr(ladders, "open_segmenter", open_quickly)
    monkeypatch.setattr(ladders, "save_sheet", lambda paths, sheet: (rows.extend(sheet.rows), save(paths, sheet)))
    mesh, out = tmp_path / "mallet.obj", tmp_path / "sheet.jpg"
    write_obj(mesh, two_boxes.vertices, two_boxes.faces)
    ladders.main(["--obj_path", str(mesh), "--out", str(out), "--clicks", "2", "--side", "60"])
    assert opened == ["prior"] and len(rows) == 2
    for words, panels in rows:
        assert words.startswith("mallet.obj, vertex")
        assert len(panels) > 1, "a click means more than one thing"
        shares = [float(panel.label.split("%")[0]) for panel in panels]
        assert shares == sorted(shares)
        assert sum(panel.label.endswith("default") for panel in panels) == 1
    assert Image.open(out).width > 60
