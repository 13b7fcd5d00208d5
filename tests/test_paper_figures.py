"""The figures of the papers: one door, numbers that mean what they say, nothing lost and nothing half-written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.figures import edits, page
from models.figures.clicking import COMPLETE, INEFFECTIVE, PARTIAL, effectiveness, fit, rating
from models.figures.figure import AGREES, MINUTES, Figure, Measure, Outcome
from models.figures.run import choose, listing, load_figures, make_figures
from models.figures.sides import ViewMask, agreement
from models.figures.subjects import Subject, Table, open_subject
from models.figures.workshop import FigureSettings, Workshop, decoders_now
from models.iseg3d.training import cubes
from scripts.figures import make
from scripts.figures.fig06_second_clicks import neighbours
from scripts.figures.fig19_symmetry import mirror
from tests.labelled import save_shape
from tests.sessions import write_obj
from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.output.colors import PALETTE
from utils.output.panels import Chart, MeshPictures, Panel, Sheet, save_sheet, with_spheres
from utils.shapes.paper import PAPER_SHAPES
from utils.shapes.samples import make_sample

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "scripts" / "figures"
FIGURES = load_figures(FOLDER)
TABLE = Table.read(FOLDER / "meshes.json")


@pytest.fixture
def mallet(two_boxes, two_boxes_head) -> Subject:
    """Two labelled parts, handle and head, in one group."""
    labels = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    return Subject("mallet", two_boxes, "tool", labels, ("handle", "head"), ("mallet",), (0, 0))


def settings(out: Path, **more) -> FigureSettings:
    return FigureSettings(out=out, quick=True, **more)


def stub(name: str = "fig99_stub", make=None) -> Figure:
    """A figure that needs no mesh."""
    sheet = Sheet([("row", [Panel(np.full((40, 60, 3), 0.5, dtype=np.float32), "words below")])], "A title")

    def measured(shop: Workshop) -> Outcome:
        return Outcome([Measure.mean("IoU", [[0.5, 0.7], [0.6]], 0.8)], AGREES, "because", sheet)

    return Figure(name, ("99", "table9"), "a stub", "nothing", 1, make or measured)


# --- the published setting ---------------------------------------------------------------------------


def test_the_published_setting_is_handed_on_to_the_stages(tmp_path, icosphere):
    shop = Workshop(FigureSettings(out=tmp_path, preset="paper", SAM="vit_t"))
    ball = Subject("ball", write_obj(icosphere, tmp_path / "ball.obj"))
    pipeline = shop.pipeline(ball, shop.settings.preset)
    decoder, field, clicks = pipeline.decoder(), pipeline.encoder(), pipeline.clicks()
    assert (decoder.architecture, decoder.loss) == ("published", "rendered")
    assert (field.distillation, field.n_views, field.SAM) == ("rendered", 1000, "vit_t")
    assert clicks.second_positive and clicks.second_negative and clicks.n_views == 100


def test_a_teacher_without_weights_is_told_of_before_any_mesh_is_made(tmp_path):
    with pytest.raises(UserError, match="download_sam"):
        make_figures(["2"], FigureSettings(out=tmp_path / "out", SAM="vit_h"), FIGURES)
    assert not (tmp_path / "out").exists()


# --- the door ----------------------------------------------------------------------------------------


def test_every_figure_of_both_papers_has_a_number_and_can_be_asked_for():
    asked = {number for figure in FIGURES for number in figure.numbers}
    assert {str(n) for n in range(2, 22)} - {"4"} <= asked  # 4 is a diagram
    assert {"table1", "sec4.3", *(f"iseg3d:{n}" for n in (3, 4, 5, 6, 7))} <= asked
    assert {f"iseg3d:table{n}" for n in (1, 2, 3)} <= asked
    assert [figure.name for figure in choose(["20"], FIGURES)] == ["fig07_20_stability"]
    assert len(choose(["all"], FIGURES)) == len(FIGURES) == len({figure.name for figure in FIGURES})
    for figure in FIGURES:
        assert (FOLDER / f"{figure.name}.py").is_file(), "a figure is found under its file's name"


def test_the_list_states_the_minutes_of_each(capsys):
    assert make.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for figure in FIGURES:
        line = next(line for line in lines if line.endswith(figure.title))
        assert f" {figure.minutes:.0f}  " in line and figure.numbers[0] in line
    assert listing(FIGURES).splitlines()[0] == lines[0]


def test_all_takes_at_most_ninety_minutes():
    assert MINUTES <= 90 and f"{MINUTES} minutes" in listing(FIGURES)
    assert all(0 < figure.minutes < MINUTES for figure in FIGURES)


def test_unknown_names_list_what_there_is(tmp_path):
    with pytest.raises(UserError, match=r"no figure '77'; there are all, list, page, .*table1.*iseg3d:table2"):
        make_figures(["2", "77"], settings(tmp_path), FIGURES)
    assert not list(tmp_path.iterdir())


def test_the_table_names_meshes_that_it_knows_for_every_figure():
    for figure in FIGURES:
        for quick in (False, True):
            names = TABLE.of(figure.name, quick)
            assert figure.name in TABLE.figures and set(names) <= set(TABLE.subjects), figure.name
    gallery = TABLE.of("fig02_single_clicks", False)
    assert len(gallery) >= 12 and len({TABLE.subjects[name]["kind"] for name in gallery}) >= 6
    assert len(TABLE.of("fig07_20_stability", False)) == 7  # as in Sec. 4.3


def test_a_missing_mesh_names_the_file_and_the_table(tmp_path):
    table = tmp_path / "meshes.json"
    table.write_text(json.dumps({"subjects": {}, "figures": {"fig99_stub": ["dragon"]}, "quick": {}}))
    with pytest.raises(UserError, match=r"dragon\.obj.*change 'dragon' in .*meshes\.json"):
        make_figures(["99"], settings(tmp_path / "out", table=table), [stub()])
    with pytest.raises(UserError, match="is no folder"):
        open_subject("camel", TABLE, tmp_path / "none", tmp_path)


def test_a_persons_own_mesh_is_taken_first(tmp_path, two_boxes, two_boxes_head):
    save_shape(tmp_path / "psb", 7, two_boxes, two_boxes_head[two_boxes.faces[:, 0]].astype(int))
    lines = [f"v {x} {y} {z}" for x, y, z in two_boxes.vertices] + [f"f {a} {b} {c}" for a, b, c in two_boxes.faces + 1]
    (tmp_path / "camel.obj").write_text("\n".join(lines) + "\n")
    subject = open_subject("camel", TABLE, tmp_path, tmp_path / "made")
    assert subject.mesh.num_vertices == two_boxes.num_vertices and subject.kind == "animal"
    with pytest.raises(UserError, match=r"camel.seg beside it"):
        _ = subject.wishes
    shutil.copy(next((tmp_path / "psb").rglob("*.seg")), tmp_path / "camel.seg")
    assert [wish.name for wish in open_subject("camel", TABLE, tmp_path, tmp_path / "made").wishes] == [
        "part 0",
        "part 1",
    ]
    assert open_subject("teapot", TABLE, tmp_path, tmp_path / "made").mesh.num_vertices == 3000


# --- what is written ---------------------------------------------------------------------------------


def test_a_figure_is_a_picture_a_pdf_with_text_and_its_numbers(tmp_path):
    figure = stub()
    table = tmp_path / "meshes.json"
    table.write_text(json.dumps({"subjects": {}, "figures": {}, "quick": {}}))
    make_figures(["99"], settings(tmp_path / "out", table=table), [figure])
    out = tmp_path / "out"
    assert Image.open(out / "fig99_stub.png").width > 60
    pdf = (out / "fig99_stub.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/Font" in pdf, "words stay text"
    held = json.loads((out / "fig99_stub.json").read_text())
    assert held["measures"][0]["ours"] == pytest.approx(0.6) and held["measures"][0]["paper"] == 0.8
    assert held["measures"][0]["count"] == 3 and held["run"]["quick"] and "mean nothing" in held["verdict"]


def test_finished_figures_are_kept_and_others_settings_are_not_overwritten(tmp_path):
    calls = []
    first = stub()
    counted = replace(first, make=lambda shop: calls.append(1) or first.make(shop))
    table = tmp_path / "meshes.json"
    table.write_text(json.dumps({"subjects": {}, "figures": {}, "quick": {}}))
    how = settings(tmp_path / "out", table=table)
    for _ in range(2):
        make_figures(["99"], how, [counted])
    assert len(calls) == 1
    with pytest.raises(UserError, match=r"is of another --seed; choose another --out or add --overwrite 1"):
        make_figures(["99"], replace(how, seed=5), [counted])
    (tmp_path / "out" / "fig99_stub.pdf").unlink()  # as after an interruption
    make_figures(["99"], how, [counted])
    make_figures(["99"], replace(how, overwrite=True, seed=5), [counted])
    assert len(calls) == 3


def test_nothing_is_left_of_a_figure_that_fails(tmp_path):
    def fails(shop: Workshop) -> Outcome:
        raise UserError("no such part")

    table = tmp_path / "meshes.json"
    table.write_text(json.dumps({"subjects": {}, "figures": {}, "quick": {}}))
    with pytest.raises(UserError, match="no such part"):
        make_figures(["99"], settings(tmp_path / "out", table=table), [stub(make=fails)])
    assert not list((tmp_path / "out").glob("fig99*"))


def test_progress_tells_the_place_among_all_and_the_time_left(tmp_path):
    heard = []

    def works(shop: Workshop) -> Outcome:
        from utils.progress import track

        list(track([1, 2], "work", shop.on_progress, 2))
        return stub().make(shop)

    table = tmp_path / "meshes.json"
    table.write_text(json.dumps({"subjects": {}, "figures": {}, "quick": {}}))
    two = [stub("fig98_first", works), stub("fig99_second", works)]
    make_figures(["all"], settings(tmp_path / "out", table=table), two, heard.append)
    assert heard[0].stage == "1/2 fig98_first: work" and heard[-1].stage == "2/2 fig99_second: work"
    assert all("min left" in step.note for step in heard)


def test_measurements_are_read_back(tmp_path, mallet):
    shop = Workshop(settings(tmp_path, seed=1))
    first = shop.measured("something", "ours", [mallet], lambda: {"value": 1.5})
    assert shop.measured("something", "ours", [mallet], lambda: pytest.fail("measured twice")) == first
    other = Workshop(settings(tmp_path, seed=2))
    assert other.measured("something", "ours", [mallet], lambda: {"value": 2.5}) == {"value": 2.5}


def test_answers_of_other_decoders_are_not_read_back(tmp_path, mallet, monkeypatch):
    shop = Workshop(settings(tmp_path, seed=1))
    shop.measured("something", "field", [mallet], lambda: {"value": 1.5})
    monkeypatch.setattr("models.iseg.correcting.ANSWERS_VERSION", -1)
    assert shop.measured("something", "field", [mallet], lambda: {"value": 2.5}) == {"value": 2.5}


# --- the page ----------------------------------------------------------------------------------------


def test_the_page_says_when_decoders_are_of_an_earlier_version():
    (name, record), *_ = page.records_in(ROOT / "docs" / "figures", FIGURES).items()
    now = record | {"run": record["run"] | {"decoders": decoders_now()}}
    assert "of an earlier version" in page.page_text(
        FIGURES, {name: record | {"run": record["run"] | {"decoders": "0 0"}}}
    )
    assert "of an earlier version" not in page.page_text(FIGURES, {name: now})


def test_the_page_is_what_its_records_say():
    made = page.records_in(ROOT / "docs" / "figures", FIGURES)
    assert len(made) >= 16
    assert page.PAGE.read_text() == page.page_text(FIGURES, made)
    for name in made:
        assert (ROOT / "docs" / "figures" / f"{name}.jpg").is_file()
    pictures = sum(path.stat().st_size for path in (ROOT / "docs" / "figures").iterdir())
    assert pictures < 3_000_000


def test_the_page_shows_claim_numbers_and_verdict_and_leaves_quick_runs_out(tmp_path):
    figure = stub()
    table = tmp_path / "meshes.json"
    table.write_text(json.dumps({"subjects": {}, "figures": {}, "quick": {}}))
    make_figures(["99"], settings(tmp_path / "quick", table=table), [figure])
    with pytest.raises(UserError, match="holds no figures"):
        page.write_page(tmp_path / "quick", [figure], tmp_path / "paper.md")
    make_figures(["99"], FigureSettings(out=tmp_path / "full", table=table), [figure])
    text = page.write_page(tmp_path / "full", [figure], tmp_path / "docs" / "paper.md").read_text()
    assert "| IoU | 0.8 | 0.60 [0.60, 0.60] | 3 |" in text and "**Agrees.** because" in text
    assert (tmp_path / "docs" / "figures" / "fig99_stub.jpg").is_file()


# --- what is measured --------------------------------------------------------------------------------


def test_effectiveness_follows_its_rules():
    areas = np.ones(100)
    region = np.arange(100) < 40

    def of(selected: np.ndarray) -> dict[str, float]:
        return fit(selected, region, areas)

    assert effectiveness(of(region)) == COMPLETE and rating(of(region)) == 5
    assert effectiveness(of(np.zeros(100, bool))) == INEFFECTIVE and rating(of(np.zeros(100, bool))) == 1
    half = of(np.arange(100) < 20)
    assert effectiveness(half) == PARTIAL and rating(half) == pytest.approx(1 + 4 * 0.5)
    assert effectiveness(of(np.ones(100, bool))) == PARTIAL, "everything is not the region and no other"
    assert effectiveness(of(~region)) == INEFFECTIVE


def test_masks_that_agree_are_told_from_masks_that_do_not(mallet):
    faces = np.arange(mallet.mesh.num_faces)
    head = mallet.labels == 1
    cameras = np.array([[2.0, 0, 0], [1.9, 0, 0.3], [0, 0, 2.0]])
    alike = [ViewMask(view, faces, head) for view in range(3)]
    assert agreement(alike, mallet, cameras, 30.0) == ([1.0] * 3, [1.0])
    other = [ViewMask(0, faces, head), ViewMask(1, faces, ~head)]
    assert agreement(other, mallet, cameras, 30.0) == ([0.0], [0.0])
    apart = [ViewMask(0, faces[head], head[head]), ViewMask(1, faces[~head], head[~head])]
    assert agreement(apart, mallet, cameras, 30.0) == ([], []), "views that show nothing in common say nothing"


def test_a_mirror_is_found_where_there_is_one(mallet, tetrahedron):
    axis, image = mirror(mallet)
    flipped = mallet.mesh.normalized.copy()
    flipped[:, axis] *= -1
    assert np.allclose(mallet.mesh.normalized[image], flipped, atol=1e-5)
    assert mirror(Subject("tetrahedron", tetrahedron)) is None


def test_neighbours_share_a_border(mallet):
    assert neighbours(mallet) == [], "components that do not touch are no neighbours"
    strip = Mesh(
        np.array([[x, y, 0.0] for x in range(4) for y in (0.0, 1.0)]),
        np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4], [4, 5, 6], [5, 7, 6]]),
    )
    subject = Subject("strip", strip, "", np.array([0, 0, 1, 1, 2, 2]), ("a", "b", "c"), ("x", "y"), (0, 1, 1))
    assert [(first.name, second.name) for first, second in neighbours(subject)] == [("b", "c"), ("a", "b")]


def test_cubes_mark_the_points_beside_clicks_by_their_sign():
    points = torch.tensor([[0.0, 0, 0], [0.02, 0.02, 0.02], [0.03, 0, 0], [0.5, 0, 0]])
    channels = cubes(points, torch.tensor([0, 3]), torch.tensor([True, False]))
    assert channels[:, 0].tolist() == [1, 1, 0, 0] and channels[:, 1].tolist() == [0, 0, 0, 1]
    assert cubes(points, torch.tensor([0]), torch.tensor([True]))[:, 1].sum() == 0


def test_edits_change_the_selection_and_nothing_else(two_boxes, two_boxes_head):
    graph = FaceGraph(two_boxes)
    head = two_boxes_head[two_boxes.faces[:, 0]]
    assert edits.without(two_boxes, head).num_faces + edits.only(two_boxes, head).num_faces == two_boxes.num_faces
    grown = edits.extruded(two_boxes, two_boxes_head.astype(float), 0.1)
    moved = np.linalg.norm(grown.vertices - two_boxes.vertices, axis=1)
    assert moved[~two_boxes_head].max() == 0 and moved[two_boxes_head].min() == pytest.approx(0.1 * two_boxes.scale)
    short = edits.shortened(two_boxes, graph, ~head, 0.5)

    def length(vertices: np.ndarray) -> float:
        return float(np.ptp(vertices[~two_boxes_head][:, 1]))

    assert length(short.vertices) == pytest.approx(0.5 * length(two_boxes.vertices))
    shape = short.vertices[two_boxes_head] - two_boxes.vertices[two_boxes_head]
    assert np.ptp(shape, axis=0).max() < 1e-9, "what hangs on the selection moves along in one piece"
    assert edits.contiguity(two_boxes, graph, np.ones(len(head), bool)) < 1 == edits.contiguity(two_boxes, graph, head)


def test_shapes_like_the_papers_have_named_parts():
    shape = make_sample(replace(PAPER_SHAPES["candle"], vertices=900), "candle", fineness=6.0)
    assert {"wax", "flame", "dish"} <= set(shape.names["part"]) and {"stick", "candle"} == set(shape.names["group"])
    assert set(PAPER_SHAPES) == {"guitar", "alien", "candle", "truck", "bicycle", "airplane"}


# --- the look ----------------------------------------------------------------------------------------


def test_pictures_are_plain_with_a_blue_selection_and_spheres(mallet):
    pictures = MeshPictures(mallet.mesh)
    values = np.zeros(mallet.mesh.num_vertices)
    values[mallet.mesh.faces[mallet.labels == 1]] = 1
    clicks = Clicks.from_lists([120], [10])
    image = pictures.picture((20, 35), values, None, 120)
    assert max(image.shape[:2]) <= 120 and (image[0] == 1).all(), "plain background"
    blue = (image[..., 2] > image[..., 0] + 0.2).mean()
    assert 0.1 < blue < 0.8
    angle = pictures.angles(clicks, values)[0]
    dotted = pictures.picture(angle, values, clicks, 120)
    plain = pictures.picture(angle, values, None, 120)
    assert (np.abs(dotted - plain).max(axis=2) > 0.2).sum() > 20
    hidden = pictures.hidden_angle(Clicks.from_lists([120]), values)
    assert not pictures.sees(hidden, Clicks.from_lists([120]))


def test_spheres_are_green_to_include_and_red_to_exclude():
    image = with_spheres(np.ones((40, 80, 3)), [(20, 20, True), (60, 20, False)], PALETTE, 8)
    assert image[22, 20, 1] > image[22, 20, 0] + 0.2 and image[22, 60, 0] > image[22, 60, 1] + 0.2
    assert (image[20, 40] == 1).all() and (image[0] == 1).all()


def test_a_sheet_holds_its_charts_and_words(tmp_path):
    drawn = []
    sheet = Sheet([("", [Chart(lambda axes: drawn.append(axes.get_position().width), "below", 2.0)])], "Title", 200)
    save_sheet([tmp_path / "a.png", tmp_path / "a.pdf"], sheet)
    assert drawn and Image.open(tmp_path / "a.png").width >= 400 and (tmp_path / "a.pdf").is_file()


# --- all of it ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_quick_run_makes_every_figure(tmp_path):
    make.main(["all", "--quick", "--out", str(tmp_path)])
    for figure in FIGURES:
        for ending in (".png", ".pdf", ".json"):
            assert (tmp_path / f"{figure.name}{ending}").stat().st_size > 500, figure.name
    with pytest.raises(UserError, match="other than of --quick"):
        make.main(["page", "--out", str(tmp_path)])
