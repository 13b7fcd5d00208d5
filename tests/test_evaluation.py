import json

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scipy.sparse.csgraph import dijkstra

import data_generation
import encoder
from models import presets
from SAM_repo.teacher import SamTeacher
from SAM_repo.vit_t import build_vit_t
from scripts import evaluate
from tests.fakes import FakeTeacher
from utils.errors import UserError
from utils.evaluation.annotator import OnFaces, bootstrap_interval, clicks_to_reach, next_click, run_part, stability
from utils.evaluation.baselines import Geodesic, SamBaseline
from utils.evaluation.psb import UnusableShape, area_iou, benchmark_ids, best_match, load_shape, parts_of, wanted_parts
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh


def test_face_graph_agrees_with_trimesh(two_boxes):
    reference = trimesh.Trimesh(two_boxes.vertices, two_boxes.faces, process=False)
    graph = FaceGraph(two_boxes)
    assert sorted(map(tuple, graph.pairs)) == sorted(map(tuple, np.sort(reference.face_adjacency, axis=1)))
    angles = {
        tuple(sorted(pair)): angle
        for pair, angle in zip(reference.face_adjacency.tolist(), reference.face_adjacency_angles)
    }
    np.testing.assert_allclose(graph.dihedral, [angles[tuple(pair)] for pair in graph.pairs.tolist()], atol=1e-3)
    assert not graph.concave[graph.dihedral > 0.1].any()  # each box is convex


def test_concave_creases_are_told_from_convex_ones():
    vertices = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0.5], [-1, 0, 0.5]], float)
    valley = Mesh(vertices, np.array([[0, 2, 1], [0, 1, 3]]))  # seen from +z both sides rise away from the edge
    object.__setattr__(valley, "winding", 1.0)
    ridge = Mesh(vertices * [1, 1, -1], valley.faces)
    object.__setattr__(ridge, "winding", 1.0)
    assert FaceGraph(valley).concave.tolist() == [True] and FaceGraph(ridge).concave.tolist() == [False]


def test_depth_inside_equals_a_search_from_every_face(icosphere):
    graph = FaceGraph(icosphere)
    region = icosphere.normalized[icosphere.faces].mean(1)[:, 1] > 0.2
    all_pairs = dijkstra(graph.matrix())
    expected = np.where(region, all_pairs[:, ~region].min(1), 0)
    np.testing.assert_allclose(graph.depth_inside(region), expected, atol=1e-9)


def test_clicks_go_to_the_middle_of_the_larger_error(icosphere):
    graph, areas = FaceGraph(icosphere), icosphere.face_areas
    height = icosphere.normalized[icosphere.faces].mean(1)[:, 1]
    part = height > 0.3
    first, positive = next_click(graph, areas, part, None)
    assert positive and height[first] > 0.9
    too_much, sign = next_click(graph, areas, part, height > -0.8)
    assert not sign and -0.8 < height[too_much] < 0.3
    missed, sign = next_click(graph, areas, part, height > 0.95)
    assert sign and 0.3 < height[missed] < 0.95
    drawn = {next_click(graph, areas, part, None, np.random.default_rng(seed))[0] for seed in range(20)}
    assert len(drawn) > 10 and part[list(drawn)].all()


class Obedient:
    """Selects exactly the clicked faces."""

    def __init__(self, num_faces):
        self.num_faces, self.calls = num_faces, 0

    def probabilities(self, faces, positive):
        self.calls += 1
        result = np.zeros(self.num_faces)
        result[faces[positive]] = 1
        return result


def test_run_records_the_iou_after_every_click(icosphere):
    graph, areas = FaceGraph(icosphere), icosphere.face_areas
    part = np.zeros(icosphere.num_faces, bool)
    part[[3, 50, 51]] = True
    run = run_part(Obedient(icosphere.num_faces), graph, areas, part)
    expected = [areas[run.faces[:k]].sum() / areas[part].sum() for k in (1, 2, 3)]
    np.testing.assert_allclose(run.iou[:3], expected)
    assert len(run.iou) == 20 and run.iou[-1] == 1 and sorted(run.faces) == [3, 50, 51]


def test_a_method_that_ignores_clicks_fails_and_ends(icosphere):
    class Deaf(Obedient):
        def probabilities(self, faces, positive):
            self.calls += 1
            return np.zeros(self.num_faces)

    deaf = Deaf(icosphere.num_faces)
    part = np.arange(icosphere.num_faces) < 100
    run = run_part(deaf, FaceGraph(icosphere), icosphere.face_areas, part)
    assert run.iou == [0.0] * 20 and deaf.calls == 1 and clicks_to_reach(run.iou, 0.8) == 20


def test_noc_counts_clicks_up_to_the_target():
    assert clicks_to_reach([0.2, 0.79, 0.8, 0.7], 0.8) == 3
    assert clicks_to_reach([0.2] * 20, 0.8) == 20


def test_bootstrap_interval_holds_the_mean():
    groups = [[0.2, 0.4], [0.9], [0.5, 0.6, 0.7]]
    low, high = bootstrap_interval(groups, np.random.default_rng(0))
    assert low < np.mean([v for g in groups for v in g]) < high


def test_geodesic_selects_the_disc_of_its_radius_and_obeys_negatives(icosphere):
    graph = FaceGraph(icosphere)
    prepared = Geodesic("geodesic", 0.15).prepare(icosphere, graph)
    distance = dijkstra(graph.matrix(), indices=7)
    one = prepared.probabilities(np.array([7]), np.array([True]))
    assert np.array_equal(one > 0.5, distance < 0.15)
    near = int(np.argsort(distance)[3])
    two = prepared.probabilities(np.array([7, near]), np.array([True, False]))
    assert two[near] < 0.5 < two[7] and ((two > 0.5) <= (one > 0.5)).all()


def test_iou_and_matching_weigh_by_area():
    areas = np.array([1.0, 2, 3, 4])
    assert area_iou(np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool), areas) == pytest.approx(2 / 6)
    assert best_match(np.array([5, 5, 6, 6]), np.array([0, 0, 0, 1]), areas) == {
        5: pytest.approx(3 / 6),
        6: pytest.approx(4 / 7),
    }
    assert [p.tolist() for p in parts_of(np.array([9, 0, 0, 0]), np.array([0.001, 1, 1, 1]))] == [
        [False, True, True, True]
    ]


@pytest.fixture
def benchmark_folder(tmp_path, two_boxes, two_boxes_head):
    """Three shapes in the benchmark's layout: one usable, one without labels, one with too few."""
    labels = two_boxes_head[two_boxes.faces[:, 0]].astype(int)
    (tmp_path / "off").mkdir()
    for shape in (1, 2, 3):
        trimesh.Trimesh(two_boxes.vertices, two_boxes.faces, process=False).export(tmp_path / "off" / f"{shape}.off")
        (tmp_path / "seg" / "Benchmark" / str(shape)).mkdir(parents=True)
    other = labels.copy()
    other[:3] = 1 - other[:3]
    for annotator, values in enumerate((labels, labels, other)):
        (tmp_path / "seg/Benchmark/1" / f"1_{annotator}.seg").write_text("\n".join(map(str, values)))
    (tmp_path / "seg/Benchmark/3/3_0.seg").write_text("0\n1\n")
    (tmp_path / "split.json").write_text(json.dumps({"Mallet": [1, 2], "Other": [3]}))
    return tmp_path


def test_reference_is_the_annotator_who_agrees_best(benchmark_folder):
    shape = load_shape(benchmark_folder, 1, "Mallet")
    assert benchmark_ids(benchmark_folder) == {1: "Mallet", 2: "Mallet", 3: "Other"}
    assert np.array_equal(shape.reference(), shape.segmentations[0]) and shape.agreement()[2] < shape.agreement()[0]
    with pytest.raises(UnusableShape, match="no human segmentation"):
        load_shape(benchmark_folder, 2, "Mallet")
    with pytest.raises(UnusableShape, match="2 labels for 384 faces"):
        load_shape(benchmark_folder, 3, "Other")


def test_human_level_matches_the_other_annotators_parts(benchmark_folder):
    shape = load_shape(benchmark_folder, 1, "Mallet")
    matches = [best_match(shape.segmentations[0], shape.segmentations[k], shape.mesh.face_areas) for k in (1, 2)]
    assert shape.human_level(0) == {
        label: pytest.approx((matches[0][label] + matches[1][label]) / 2) for label in (0, 1)
    }


def test_small_and_empty_parts_are_left_out_by_name():
    parts, left_out = wanted_parts(np.array([0, 0, 1, 2, 5]), np.array([50.0, 49, 0.5, 0, 10]))
    assert [part.label for part in parts] == [0, 5] and parts[1].share == pytest.approx(10 / 109.5)
    assert left_out == {1: "under 1% of the area", 2: "no area", 3: "no faces", 4: "no faces"}


# --- methods --------------------------------------------------------------------------------------


def test_a_face_beside_a_crease_is_clicked_off_the_crease(two_boxes):
    on_faces = OnFaces(two_boxes, lambda clicks: np.zeros(two_boxes.num_vertices))
    agreement = np.einsum("fkd,fd->fk", two_boxes.vertex_normals[two_boxes.faces], two_boxes.face_normals)
    vertices = [
        int(on_faces.clicks(np.array([face]), np.array([True])).vertices[0]) for face in range(two_boxes.num_faces)
    ]
    chosen = [agreement[face, two_boxes.faces[face] == vertex][0] for face, vertex in enumerate(vertices)]
    np.testing.assert_allclose(chosen, agreement.max(axis=1), atol=0.051)
    assert (agreement.max(1) - agreement.min(1) > 0.3).any()  # the choice mattered


def test_face_clicks_never_contradict_each_other_on_a_vertex(icosphere, generator):
    on_faces = OnFaces(icosphere, lambda clicks: np.zeros(icosphere.num_vertices))
    for _ in range(50):
        faces = torch.randint(0, 12, (8,), generator=generator).numpy()  # neighbours: many share corners
        clicks = on_faces.clicks(faces, np.array([True] + [bool(b) for b in torch.rand(7, generator=generator) > 0.5]))
        clicks.validate(icosphere.num_vertices)
        assert set(clicks.vertices.tolist()) <= set(icosphere.faces[faces].ravel().tolist())


def test_probability_of_a_face_is_the_mean_of_its_corners(two_boxes):
    values = np.arange(two_boxes.num_vertices, dtype=float)
    on_faces = OnFaces(two_boxes, lambda clicks: values)
    np.testing.assert_allclose(
        on_faces.probabilities(np.array([3]), np.array([True])), [values[f].mean() for f in two_boxes.faces]
    )


def test_sam_baseline_averages_the_masks_of_the_views_that_see_a_click(two_boxes, fake_teacher):
    """Against a loop over views and pixels; clicks added one by one must answer as clicks given at once."""
    graph = FaceGraph(two_boxes)
    prepared = SamBaseline(fake_teacher, n_views=7).prepare(two_boxes, graph)
    faces, signs = np.array([200, 20, 201, 333]), np.array([True, False, True, False])
    for count in range(1, len(faces) + 1):
        stepwise = prepared.probabilities(faces[:count], signs[:count])
    pixels, seen = prepared._seen(faces)
    total, views = np.zeros(two_boxes.num_faces), np.zeros(two_boxes.num_faces)
    for view in range(7):
        used = [k for k in range(4) if seen[view, k]]
        if not any(signs[k] for k in used):
            continue
        mask = (
            fake_teacher.segment(
                prepared.embeddings[view].float(),
                pixels[view, used][None],
                torch.tensor(signs[used])[None].long(),
                (224, 224),
            )
            .masks(0)[0]
            .numpy()
        )
        for face in range(two_boxes.num_faces):
            shown = (prepared.face_ids[view] == face).numpy()
            if shown.any():
                total[face] += mask[shown].mean()
                views[face] += 1
    assert 0 < seen.sum() < seen.numel() and (views > 1).any()
    np.testing.assert_allclose(stepwise, np.where(views > 0, total / np.maximum(views, 1), 0), atol=1e-12)


def test_prompting_several_views_at_once_equals_one_by_one(generator):
    torch.manual_seed(0)
    teacher = SamTeacher(build_vit_t(), "random", fast=False)
    embeddings = torch.randn(3, *teacher.embedding_shape, generator=generator)
    points, labels = 224 * torch.rand(3, 2, 2, generator=generator), torch.tensor([[1, 0], [1, 1], [1, -1]])
    together = teacher.segment_each(embeddings, points, labels, (224, 224))
    for row in range(3):
        alone = teacher.segment(embeddings[row], points[row : row + 1], labels[row : row + 1], (224, 224))
        torch.testing.assert_close(together.logits[row], alone.logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.scores[row], alone.scores[0], atol=1e-4, rtol=1e-4)


def test_stability_is_one_where_neighbours_agree_and_less_where_not(icosphere):
    graph, areas = FaceGraph(icosphere), icosphere.face_areas

    class Whole(Obedient):
        def probabilities(self, faces, positive):
            return np.ones(self.num_faces)

    assert stability(Whole(320), graph, areas, 5, np.random.default_rng(0)) == [1.0] * 5
    assert stability(Obedient(320), graph, areas, 5, np.random.default_rng(0)) == [0.0] * 5


def test_times_of_an_interrupted_stage_are_unknown_and_finished_ones_are_kept(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    calls = []
    clock = evaluate.StageClock(tmp_path / "seconds.json")
    clock.run("first", lambda: calls.append(1))
    known = clock.total("seconds")
    with pytest.raises(KeyboardInterrupt):
        clock.run("second", interrupted)
    again = evaluate.StageClock(tmp_path / "seconds.json")
    again.run("first", lambda: calls.append(1))
    assert calls == [1, 1] and again.stages["first"]["seconds"] == known
    again.run("second", lambda: None)
    assert again.total("seconds") is None and again.stages["second"]["done"]


# --- the whole benchmark --------------------------------------------------------------------------


KEYS = {
    "parts",
    "iou_at",
    "noc",
    "failed",
    "interval",
    "curve",
    "by_category",
    "seconds_per_mesh",
    "cpu_seconds_per_mesh",
    "ms_per_click",
    "cpu_ms_per_click",
    "stability",
}


def measures(path):
    """The results without what depends on the clock."""
    held = json.loads(path.read_text())
    return (
        {
            name: {key: value for key, value in entry.items() if "seconds" not in key and "ms_per" not in key}
            for name, entry in held["methods"].items()
        },
        held["parts"],
        held["human"],
    )


def test_benchmark_names_what_it_skips_and_repeats_itself(benchmark_folder, tmp_path, capsys):
    main = evaluate.main
    arguments = [
        "--psb_dir",
        str(benchmark_folder),
        "--methods",
        "geodesic",
        "geodesic_concave",
        "--stability_clicks",
        "5",
    ]
    main([*arguments, "--out", str(tmp_path / "a.json")])
    first = json.loads((tmp_path / "a.json").read_text())
    assert set(first["skipped"]) == {"2", "3"} and "skipped 2 of 3 shapes" in capsys.readouterr().out
    entry = first["methods"]["geodesic_concave"]
    assert set(entry) == KEYS
    assert set(entry["iou_at"]) == {"1", "2", "3", "5", "10"} and set(entry["noc"]) == set(entry["failed"]) == {
        "80",
        "85",
        "90",
    }
    assert 0 < entry["stability"] <= 1 and first["human"] == pytest.approx(1, abs=0.05)
    before = (tmp_path / "a.json").read_bytes()
    main([*arguments, "--out", str(tmp_path / "a.json")])  # all is kept
    assert (tmp_path / "a.json").read_bytes() == before
    main([*arguments, "--out", str(tmp_path / "b.json")])  # anew
    assert measures(tmp_path / "a.json") == measures(tmp_path / "b.json")


def test_jittered_clicks_differ_and_repeat_themselves(benchmark_folder, tmp_path):
    arguments = ["--psb_dir", str(benchmark_folder), "--ids", "1", "--methods", "geodesic"]
    for name, extra in (("a", ["--jitter"]), ("b", ["--jitter", "1"]), ("c", [])):
        evaluate.main([*arguments, *extra, "--out", str(tmp_path / f"{name}.json")])
    assert measures(tmp_path / "a.json") == measures(tmp_path / "b.json") != measures(tmp_path / "c.json")


@pytest.mark.slow
def test_several_processes_measure_the_same(benchmark_folder, tmp_path):
    arguments = ["--psb_dir", str(benchmark_folder), "--ids", "1", "--methods", "geodesic", "geodesic_concave"]
    for name, jobs in (("a", "1"), ("b", "2")):
        evaluate.main([*arguments, "--jobs", jobs, "--out", str(tmp_path / f"{name}.json")])
    assert measures(tmp_path / "a.json") == measures(tmp_path / "b.json")


def test_an_empty_part_is_named_and_counted(benchmark_folder, tmp_path, capsys):
    file = benchmark_folder / "seg/Benchmark/1/1_0.seg"
    file.write_text("\n".join("3" if line == "1" else line for line in file.read_text().split()))
    evaluate.main(
        [
            "--psb_dir",
            str(benchmark_folder),
            "--ids",
            "1",
            "--annotator",
            "0",
            "--methods",
            "geodesic",
            "--out",
            str(tmp_path / "a.json"),
        ]
    )
    printed = capsys.readouterr()
    assert "skipped part 1 of 1: no faces" in printed.err and "skipped 2 parts: no faces" in printed.out
    held = json.loads((tmp_path / "a.json").read_text())
    assert [part["label"] for part in held["left_out_parts"]] == [1, 2] and [
        part["label"] for part in held["parts"]
    ] == [0, 3]


def test_a_method_with_candidates_gets_an_oracle(benchmark_folder, tmp_path, monkeypatch, capsys):
    class Offers:
        name = identity = "offers"

        def prepare(self, mesh, graph):
            offered = np.zeros((3, mesh.num_faces))
            offered[0, : len(offered[0]) // 2] = offered[1, len(offered[0]) // 2 :] = 1  # the two boxes: the two parts
            prepared = Obedient(mesh.num_faces)
            prepared.candidates = lambda faces, positive: offered
            return prepared

    monkeypatch.setitem(evaluate.METHODS, "offers", lambda options: Offers())
    evaluate.main(
        ["--psb_dir", str(benchmark_folder), "--ids", "1", "--methods", "offers", "--out", str(tmp_path / "a.json")]
    )
    entry = json.loads((tmp_path / "a.json").read_text())["methods"]["offers"]
    assert entry["oracle_at_1"] == 1 and entry["candidates_at_1"] == [0.5, 0.5, 0]
    assert "the best of its 3 candidates (an oracle) 1.000" in capsys.readouterr().out


def test_the_pipeline_is_measured_and_its_work_used_again(benchmark_folder, tmp_path, monkeypatch):
    for table, values in (
        ("_VIEWS", ["--view_sampling", "sphere", "--n_views", "6"]),
        ("_FIELD", ["--steps", "3"]),
        ("_CLICKS", ["--percentage", "0.03", "--n_views", "4", "--max_pairs", "2", "--refinements", "1"]),
        ("_DECODER", ["--architecture", "geometric", "--loss", "lifted", "--steps", "3"]),
    ):
        monkeypatch.setitem(getattr(presets, table), "fast", values)
    fake = FakeTeacher()
    for stage in (encoder, data_generation, evaluate):
        monkeypatch.setattr(stage, "load_teacher", lambda *_, **__: fake)
    arguments = [
        "--psb_dir",
        str(benchmark_folder),
        "--ids",
        "1",
        "--methods",
        "iseg",
        "--device",
        "cpu",
        "--work_dir",
        str(tmp_path / "work"),
    ]
    evaluate.main([*arguments, "--out", str(tmp_path / "a.json")])
    embedded = fake.embed_calls
    evaluate.main([*arguments, "--out", str(tmp_path / "b.json")])
    assert fake.embed_calls == embedded > 0
    first, second = (json.loads((tmp_path / f"{name}.json").read_text())["methods"]["iseg"] for name in "ab")
    assert first["seconds_per_mesh"] == second["seconds_per_mesh"] > 0
    assert measures(tmp_path / "a.json") == measures(tmp_path / "b.json")


def test_plots_show_every_method(benchmark_folder, tmp_path):
    evaluate.main(
        [
            "--psb_dir",
            str(benchmark_folder),
            "--ids",
            "1",
            "--methods",
            "geodesic",
            "geodesic_concave",
            "--plot",
            "--out",
            str(tmp_path / "a.json"),
        ]
    )
    for name, colors in (
        ("a_clicks.png", ((11, 110, 153), (217, 115, 13))),
        ("a_categories.png", ((48, 132, 168), (223, 136, 52))),
    ):
        image = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        for color in colors:
            assert (np.abs(image - color).max(axis=2) < 12).sum() > 30, (name, color)


def test_benchmark_refuses_a_folder_that_is_none(tmp_path):
    with pytest.raises(UserError, match="no folder 'off'"):
        evaluate.main(["--psb_dir", str(tmp_path), "--out", str(tmp_path / "a.json"), "--methods", "geodesic"])
