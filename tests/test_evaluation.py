"""Methods are clicked, measured and reported as docs/benchmark.md says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.sparse.csgraph import dijkstra

from models.methods import MethodSettings, build_method, iseg
from models.pipeline import Preset
from SAM_repo.teacher import SamTeacher
from SAM_repo.vit_t import build_vit_t
from scripts import evaluate as script
from tests.labelled import save_shape
from utils.errors import UserError
from utils.evaluation.annotator import bootstrap_interval, clicks_to_reach, next_click, run_part, stability
from utils.evaluation.baselines import SamBaseline, component, geodesic
from utils.evaluation.method import FaceSegmenter, Method, StageClock
from utils.evaluation.psb import (
    LabelledShape,
    UnusableShape,
    benchmark_ids,
    best_match,
    load_shape,
    parts_of,
    wanted_parts,
)
from utils.evaluation.report import save_results, table
from utils.evaluation.runs import EvaluationSettings, evaluate
from utils.geometry.face_graph import FaceGraph
from utils.segmenter import Candidates

ONE = np.array([True])


class Answering(FaceSegmenter):
    """Answers with a function of the positively clicked faces (P,); counts how often it is asked."""

    def __init__(self, answer: Callable[[np.ndarray], np.ndarray]) -> None:
        self.answer, self.calls = answer, 0

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        self.calls += 1
        return self.answer(faces[positive])


def obedient(num_faces: int) -> Answering:
    """Selects exactly the clicked faces."""
    return Answering(lambda clicked: np.isin(np.arange(num_faces), clicked).astype(float))


# --- the annotator and the measures ---------------------------------------------------------------


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


def test_run_records_the_iou_after_every_click(icosphere):
    areas, part = icosphere.face_areas, np.zeros(icosphere.num_faces, bool)
    part[[3, 50, 51]] = True
    run = run_part(obedient(icosphere.num_faces), FaceGraph(icosphere), areas, part)
    expected = [areas[run.faces[:k]].sum() / areas[part].sum() for k in (1, 2, 3)]
    np.testing.assert_allclose(run.iou[:3], expected)
    assert len(run.iou) == 20 and run.iou[-1] == 1 and sorted(run.faces) == [3, 50, 51]


def test_a_part_below_the_target_gets_further_clicks_up_to_the_cap(icosphere):
    areas, part = icosphere.face_areas, np.arange(icosphere.num_faces) < 100
    grower = obedient(icosphere.num_faces)
    run = run_part(grower, FaceGraph(icosphere), areas, part, clicks=4, cap=12)
    assert len(run.faces) == grower.calls == 12 and run.iou == sorted(set(run.iou))
    reached = run_part(grower, FaceGraph(icosphere), areas, part, clicks=4, cap=12, target=run.iou[5])
    assert len(reached.faces) == 6 and reached.iou == run.iou[:6] + [run.iou[5]] * 6


def test_a_method_that_ignores_clicks_fails_and_ends(icosphere):
    deaf = Answering(lambda _: np.zeros(icosphere.num_faces))
    run = run_part(deaf, FaceGraph(icosphere), icosphere.face_areas, np.arange(icosphere.num_faces) < 100)
    assert run.iou == [0.0] * 20 and deaf.calls == 1 and clicks_to_reach(run.iou, 0.8) == 20


def test_noc_counts_clicks_up_to_the_target():
    assert clicks_to_reach([0.2, 0.79, 0.8, 0.7], 0.8) == 3
    assert clicks_to_reach([0.2] * 20, 0.8) == 20


def test_bootstrap_interval_holds_the_mean():
    groups = [[0.2, 0.4], [0.9], [0.5, 0.6, 0.7]]
    low, high = bootstrap_interval(groups, np.random.default_rng(0))
    assert low < np.mean([v for g in groups for v in g]) < high


def test_stability_is_one_where_neighbours_agree_and_less_where_not(icosphere):
    scene = FaceGraph(icosphere), icosphere.face_areas, 5
    whole = Answering(lambda _: np.ones(icosphere.num_faces))
    assert stability(whole, *scene, np.random.default_rng(0)) == [1.0] * 5
    assert stability(obedient(icosphere.num_faces), *scene, np.random.default_rng(0)) == [0.0] * 5


# --- labelled meshes ------------------------------------------------------------------------------


@pytest.fixture
def labels(two_boxes, two_boxes_head) -> np.ndarray:
    """(F,) of the mallet: handle 0, head 1."""
    return two_boxes_head[two_boxes.faces[:, 0]].astype(int)


@pytest.fixture
def benchmark_folder(tmp_path, two_boxes, labels) -> Path:
    """Three shapes in the benchmark's layout: one usable, one without labels, one with too few."""
    other = labels.copy()
    other[:3] = 1 - other[:3]
    save_shape(tmp_path, 1, two_boxes, labels, labels, other)
    save_shape(tmp_path, 2, two_boxes)
    save_shape(tmp_path, 3, two_boxes, np.array([0, 1]))
    (tmp_path / "split.json").write_text(json.dumps({"Mallet": [1, 2], "Other": [3]}))
    return tmp_path


def test_matching_weighs_by_area():
    found = best_match(np.array([5, 5, 6, 6]), np.array([0, 0, 0, 1]), np.array([1.0, 2, 3, 4]))
    assert found == {5: pytest.approx(3 / 6), 6: pytest.approx(4 / 7)}


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
    expected = {label: pytest.approx((matches[0][label] + matches[1][label]) / 2) for label in (0, 1)}
    assert shape.human_level(0) == expected


def test_other_people_answer_a_click_with_their_part_that_holds_it(icosphere):
    faces = icosphere.num_faces
    ends = [faces // 2, faces // 2, faces // 4, faces // 2 + 8]
    shape = LabelledShape(1, "", icosphere, np.stack([(np.arange(faces) >= end).astype(np.int64) for end in ends]))
    own, areas = np.arange(faces) < ends[0], icosphere.face_areas
    values = [areas[:end][own[:end]].sum() / areas[: max(end, ends[0])].sum() for end in ends[1:]]
    mean, medoid = shape.others_at(0, 3) or (0, 0)
    assert mean == pytest.approx(np.mean(values)) and medoid == pytest.approx(1.0)
    assert LabelledShape(1, "", icosphere, shape.segmentations[:1]).others_at(0, 3) is None


def test_small_and_empty_parts_are_left_out_by_name():
    parts, left_out = wanted_parts(np.array([0, 0, 1, 2, 5]), np.array([50.0, 49, 0.5, 0, 10]))
    assert [part.label for part in parts] == [0, 5] and parts[1].share == pytest.approx(10 / 109.5)
    assert left_out == {1: "under 1% of the area", 2: "no area", 3: "no faces", 4: "no faces"}
    masks = parts_of(np.array([9, 0, 0, 0]), np.array([0.001, 1, 1, 1]))
    assert [mask.tolist() for mask in masks] == [[False, True, True, True]]


def test_a_polygon_gives_its_label_to_all_its_triangles(tmp_path, two_boxes):
    save_shape(tmp_path, 4, two_boxes, np.array([7, 8, 9]))
    roof = "OFF\n6 3 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n0 0.5 1\n1 0.5 1\n4 0 1 2 3\n4 3 2 5 4\n3 0 3 4\n"
    (tmp_path / "off" / "4.off").write_text(roof)
    assert load_shape(tmp_path, 4, "").reference().tolist() == [7, 7, 8, 8, 9]


def test_our_own_meshes_are_read_with_the_labels_beside_them(tmp_path):
    shape = load_shape(Path("meshes"), "hammer", "all")
    assert set(benchmark_ids(Path("meshes"))) >= {"camel", "hammer", "teapot"}
    assert shape.segmentations.shape == (1, shape.mesh.num_faces) and len(np.unique(shape.reference())) > 1
    with pytest.raises(UserError, match="no folder 'off'"):
        benchmark_ids(tmp_path)


# --- methods --------------------------------------------------------------------------------------


def test_geodesic_selects_the_disc_of_its_radius_and_obeys_negatives(icosphere):
    graph = FaceGraph(icosphere)
    segmenter = geodesic("geodesic", 0.15).prepare(icosphere, graph).segmenter
    distance = dijkstra(graph.matrix(), indices=7)
    one = segmenter.face_probability(np.array([7]), ONE)
    assert np.array_equal(one > 0.5, distance < 0.15)
    near = int(np.argsort(distance)[3])
    two = segmenter.face_probability(np.array([7, near]), np.array([True, False]))
    assert two[near] < 0.5 < two[7] and ((two > 0.5) <= (one > 0.5)).all()
    assert np.array_equal(segmenter.face_candidates(np.array([7]), ONE).probability, one[None])


def test_select_connected_takes_components_and_shares_one_that_holds_both_signs(two_boxes):
    graph, handle = FaceGraph(two_boxes), np.arange(384) < 192  # the two boxes do not hang together
    segmenter = component().prepare(two_boxes, graph).segmenter
    assert np.array_equal(segmenter.face_probability(np.array([5]), ONE) > 0.5, handle)
    assert (segmenter.face_probability(np.array([5, 300]), np.ones(2, dtype=bool)) > 0.5).all()
    torn = segmenter.face_probability(np.array([5, 100]), np.array([True, False])) > 0.5
    to_first, to_second = (dijkstra(graph.matrix(), indices=face) for face in (5, 100))
    assert np.array_equal(torn, (to_first < to_second) & handle)


def test_sam_baseline_averages_the_masks_of_the_views_that_see_a_click(two_boxes, fake_teacher):
    """Against a loop over views and pixels; clicks added one by one must answer as clicks given at once."""
    baseline = SamBaseline(two_boxes, fake_teacher, 7, seed=0)
    faces, signs = np.array([200, 20, 201, 333]), np.array([True, False, True, False])
    for count in range(1, len(faces) + 1):
        stepwise = baseline.face_probability(faces[:count], signs[:count])
    pixels, seen = baseline.seen(faces)
    total, views = np.zeros(two_boxes.num_faces), np.zeros(two_boxes.num_faces)
    for view in range(7):
        used = [k for k in range(4) if seen[view, k]]
        if not any(signs[k] for k in used):
            continue
        prompt = pixels[view, used][None], torch.tensor(signs[used])[None].long()
        mask = fake_teacher.segment(baseline.embeddings[view].float(), *prompt, (224, 224)).masks(0)[0].numpy()
        for face in range(two_boxes.num_faces):
            shown = (baseline.face_ids[view] == face).numpy()
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


def test_times_of_an_interrupted_stage_are_unknown_and_finished_ones_are_kept(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    calls, path = [], tmp_path / "seconds.json"
    clock = StageClock(path)
    clock.run("first", lambda: calls.append(1))
    known = clock.total("seconds", ["first"])
    with pytest.raises(KeyboardInterrupt):
        clock.run("second", interrupted)
    again = StageClock(path)
    again.run("first", lambda: calls.append(1))
    assert calls == [1, 1] and again.total("seconds", ["first"]) == known is not None
    again.run("second", lambda: None)
    assert again.total("seconds", ["first", "second"]) is None and again.stages["second"]["done"]


# --- the whole benchmark --------------------------------------------------------------------------


TIMES = {"seconds_per_mesh", "cpu_seconds_per_mesh", "ms_per_click", "cpu_ms_per_click"}
KEYS = TIMES | {"parts", "iou_at", "noc", "failed", "interval", "curve", "by_category", "stability"}
GEODESICS = ("--methods", "geodesic", "geodesic_concave")


def measure(folder: Path, out: Path, *options: str) -> dict:
    """The results file of one command."""
    script.main(["--psb_dir", str(folder), "--out", str(out), *options])
    return json.loads(out.read_text())


def answers(held: dict) -> tuple:
    """The results without what depends on the clock."""
    methods = {
        name: {key: value for key, value in entry.items() if key not in TIMES}
        for name, entry in held["methods"].items()
    }
    return methods, held["parts"], held["human"]


def test_benchmark_names_what_it_skips_and_repeats_itself(benchmark_folder, tmp_path, capsys):
    command = (*GEODESICS, "--stability_clicks", "5")
    first = measure(benchmark_folder, tmp_path / "a.json", *command)
    assert set(first["skipped"]) == {"2", "3"} and "skipped 2 of 3 shapes" in capsys.readouterr().out
    entry = first["methods"]["geodesic_concave"]
    assert set(entry) == KEYS and set(entry["iou_at"]) == {"1", "2", "3", "5", "10"}
    assert set(entry["noc"]) == set(entry["failed"]) == {"80", "85", "90"}
    assert 0 < entry["stability"] <= 1 and first["human"] == pytest.approx(1, abs=0.05)
    assert measure(benchmark_folder, tmp_path / "a.json", *command) == first  # all is kept
    assert answers(measure(benchmark_folder, tmp_path / "b.json", *command)) == answers(first)  # anew


def test_jittered_clicks_differ_and_repeat_themselves(benchmark_folder, tmp_path):
    runs = [
        answers(measure(benchmark_folder, tmp_path / f"{k}.json", "--ids", "1", *GEODESICS[:2], *extra))
        for k, extra in enumerate((["--jitter"], ["--jitter", "1"], []))
    ]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.slow
def test_several_processes_measure_the_same(benchmark_folder, tmp_path):
    runs = [
        answers(measure(benchmark_folder, tmp_path / f"{jobs}.json", "--ids", "1", *GEODESICS, "--jobs", jobs))
        for jobs in ("1", "2")
    ]
    assert runs[0] == runs[1]


def test_an_empty_part_is_named_and_counted(benchmark_folder, tmp_path, capsys, two_boxes, labels):
    save_shape(benchmark_folder, 1, two_boxes, 3 * labels)
    command = ("--ids", "1", "--annotator", "0", *GEODESICS[:2])
    held, printed = measure(benchmark_folder, tmp_path / "a.json", *command), capsys.readouterr()
    assert "skipped part 1 of 1: no faces" in printed.err and "skipped 2 parts: no faces" in printed.out
    assert [part["label"] for part in held["left_out_parts"]] == [1, 2]
    assert [part["label"] for part in held["parts"]] == [0, 3]


def test_a_method_that_offers_a_choice_gets_an_oracle(benchmark_folder, tmp_path):
    class Offers(Answering):
        def face_candidates(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
            handle = np.arange(384) < 192  # the two boxes are the two parts
            return Candidates(np.stack([handle, ~handle, np.zeros(384)]).astype(np.float32))

    method = Method.opening("offers", "offers", lambda mesh, _: Offers(lambda _: np.ones(384)), choice=True)
    settings = EvaluationSettings(psb_dir=benchmark_folder, ids=(1,), out=tmp_path / "a.json")
    results = save_results(settings, evaluate(settings, ["offers"], lambda name: method))
    entry = results["methods"]["offers"]
    assert entry["oracle_at_1"] == 1 and entry["candidates_at_1"] == [0.5, 0.5, 0]
    assert "the best of its 3 candidates (an oracle) 1.000" in table(results)
    assert entry["ladder_at_1"] == 1 and entry["presses_at_1"] == 0.5


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


def test_the_pipeline_is_measured_and_its_work_used_again(benchmark_folder, tmp_path, fake_teacher):
    work_dir = tmp_path / "work"
    runs, embedded = [], []
    for name in "ab":
        settings = EvaluationSettings(psb_dir=benchmark_folder, ids=(1,), out=tmp_path / f"{name}.json")
        method = iseg(MethodSettings(device="cpu", work_dir=work_dir), SMALL, fake_teacher)
        runs.append(save_results(settings, evaluate(settings, ["iseg"], {"iseg": method}.__getitem__)))
        embedded.append(fake_teacher.embed_calls)
    assert embedded[0] == embedded[1] > 0 and answers(runs[0]) == answers(runs[1])
    first, second = (run["methods"]["iseg"]["seconds_per_mesh"] for run in runs)
    assert first == second > 0


@pytest.mark.parametrize("loss", ("rendered", pytest.param("lifted", marks=pytest.mark.slow)))
def test_a_decoder_trains_for_so_much_processor_time(benchmark_folder, tmp_path, fake_teacher, loss, capsys):
    shape = load_shape(benchmark_folder, 1, "")
    settings = MethodSettings(device="cpu", work_dir=tmp_path / "work", cpu_seconds=0.7, loss=loss)
    method = iseg(settings, SMALL, fake_teacher)
    assert method.identity != iseg(MethodSettings(device="cpu"), SMALL, fake_teacher).identity
    prepared = method.prepare(shape.mesh, FaceGraph(shape.mesh))
    assert prepared.segmenter.face_probability(np.array([5]), ONE).shape == (shape.mesh.num_faces,)
    steps = int(capsys.readouterr().out.split(f"geometric, {loss}: ")[1].split()[0])
    assert steps >= 1
    clock = json.loads(next((tmp_path / "work").rglob("seconds.json")).read_text())
    assert list(clock) == ["views and feature field", "click supervision"]
    assert prepared.cpu_seconds is not None
    assert 0.7 <= prepared.cpu_seconds - sum(stage["cpu_seconds"] for stage in clock.values()) < 5


def test_what_another_setting_of_a_preset_gave_is_not_taken_for_this_ones(fake_teacher):
    longer = Preset(SMALL.views, SMALL.field, SMALL.clicks, SMALL.decoder | {"steps": 4})
    one, again, other = (iseg(MethodSettings(), preset, fake_teacher) for preset in (SMALL, SMALL, longer))
    assert one.identity == again.identity != other.identity


def test_methods_are_identified_as_the_partial_results_of_before():
    assert build_method(MethodSettings(), "geodesic").identity == (
        "Geodesic(name='geodesic', radius=0.2, crease_factor=0.0)"
    )
    assert build_method(MethodSettings(), "fpfh").identity == "fpfh b9503639c4c0a4a6"
    assert build_method(MethodSettings(SAM="vit_t"), "sam_baseline").identity.split()[2:] == ["100", "0"]
    with pytest.raises(UserError, match="--preset refine"):
        MethodSettings(preset="refine", cpu_seconds=5.0)


def test_plots_show_every_method(benchmark_folder, tmp_path):
    measure(benchmark_folder, tmp_path / "a.json", "--ids", "1", *GEODESICS, "--plot")
    for name, colors in (
        ("a_clicks.png", ((11, 110, 153), (217, 115, 13))),
        ("a_categories.png", ((48, 132, 168), (223, 136, 52))),
    ):
        image = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        for color in colors:
            assert (np.abs(image - color).max(axis=2) < 12).sum() > 30, (name, color)


def test_what_cannot_be_measured_is_refused(benchmark_folder, tmp_path):
    with pytest.raises(UserError, match="no folder 'off'"):
        measure(tmp_path / "nothing", tmp_path / "a.json", *GEODESICS)
    with pytest.raises(UserError, match="no shape 9 in the benchmark folder; there are 1, 2, 3"):
        measure(benchmark_folder, tmp_path / "a.json", *GEODESICS, "--ids", "9")
    with pytest.raises(UserError, match="no usable shape among 1"):
        measure(benchmark_folder, tmp_path / "a.json", *GEODESICS, "--ids", "2")
    with pytest.raises(UserError, match="outside 10 to 20"):
        measure(benchmark_folder, tmp_path / "a.json", *GEODESICS, "--clicks", "5")
