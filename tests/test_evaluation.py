import json

import numpy as np
import pytest
import trimesh
from scipy.sparse.csgraph import dijkstra

from utils.baselines import Geodesic
from utils.errors import UserError
from utils.evaluation import bootstrap_interval, clicks_to_reach, next_click, run_part
from utils.face_graph import FaceGraph
from utils.mesh import Mesh
from utils.psb import UnusableShape, area_iou, best_match, benchmark_ids, load_shape, parts_of


def test_face_graph_agrees_with_trimesh(two_boxes):
    reference = trimesh.Trimesh(two_boxes.vertices, two_boxes.faces, process=False)
    graph = FaceGraph(two_boxes)
    assert sorted(map(tuple, graph.pairs)) == sorted(map(tuple, np.sort(reference.face_adjacency, axis=1)))
    angles = {tuple(sorted(pair)): angle for pair, angle in zip(reference.face_adjacency.tolist(), reference.face_adjacency_angles)}
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
    assert best_match(np.array([5, 5, 6, 6]), np.array([0, 0, 0, 1]), areas) == {5: pytest.approx(3 / 6), 6: pytest.approx(4 / 7)}
    assert [p.tolist() for p in parts_of(np.array([9, 0, 0, 0]), np.array([0.001, 1, 1, 1]))] == [[False, True, True, True]]


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


def test_benchmark_names_what_it_skips_and_repeats_itself(benchmark_folder, tmp_path, capsys):
    from scripts.evaluate import main

    arguments = ["--psb_dir", str(benchmark_folder), "--methods", "geodesic", "geodesic_concave", "--stability_clicks", "5"]
    main([*arguments, "--out", str(tmp_path / "a.json")])
    first = json.loads((tmp_path / "a.json").read_text())
    assert set(first["skipped"]) == {"2", "3"} and "skipped 2 of 3 shapes" in capsys.readouterr().out
    entry = first["methods"]["geodesic_concave"]
    assert set(entry["iou_at"]) == {"1", "2", "3", "5", "10"} and set(entry["noc"]) == set(entry["failed"]) == {"80", "85", "90"}
    assert 0 < entry["stability"] <= 1 and first["human"] == pytest.approx(1, abs=0.05)
    main([*arguments, "--out", str(tmp_path / "b.json")])
    second = json.loads((tmp_path / "b.json").read_text())
    for name in ("geodesic", "geodesic_concave"):
        assert second["methods"][name]["iou_at"] == first["methods"][name]["iou_at"]
        assert second["methods"][name]["noc"] == first["methods"][name]["noc"]


def test_benchmark_refuses_a_folder_that_is_none(tmp_path):
    from scripts.evaluate import main

    with pytest.raises(UserError, match="no folder 'off'"):
        main(["--psb_dir", str(tmp_path), "--out", str(tmp_path / "a.json"), "--methods", "geodesic"])
