"""The state behind the interactive tool: clicks, undo, corrections, parts, edits, and the log that repeats them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sessions import (
    BallSegmenter,
    CandidateSegmenter,
    LearningSegmenter,
    ProposingSegmenter,
    learn_and_change,
    peak,
    work_a_bit,
)
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.session.answers import Answers, shifted_threshold
from utils.session.edits import EditedShape, apply_edits
from utils.session.files import replay, result_digest
from utils.session.history import History
from utils.session.picking import Picker, first_ball
from utils.session.session import Session
from utils.session.state import FaceSet, ShapeEdit, clean_name
from utils.session.surface import Surface


@pytest.fixture
def session(icosphere) -> Session:
    return Session(icosphere, Answers(BallSegmenter(icosphere)))


# --- history --------------------------------------------------------------------------------------


def test_undo_and_redo_never_fail_and_have_no_limit():
    history = History(0)
    assert not history.undo() and not history.redo() and history.current == 0
    for value in range(1, 3001):
        history.push(value)
    for value in reversed(range(3000)):
        assert history.undo() and history.current == value
    assert not history.undo() and history.current == 0
    for value in range(1, 3001):
        assert history.redo() and history.current == value
    assert not history.redo() and history.current == 3000


def test_a_new_step_forgets_what_was_undone():
    history = History("a")
    history.push("b")
    history.undo()
    history.push("c")
    assert not history.redo() and history.current == "c"


def test_steps_of_one_merge_are_undone_together_until_something_else_happens():
    history = History(0)
    history.push(1, "slider")
    history.push(2, "slider")
    history.push(3)
    history.push(4, "slider")
    history.push(5, "slider")
    assert [history.undo() and history.current for _ in range(3)] == [3, 2, 0]


def test_random_operations_match_a_list_of_states(session, generator):
    """Against a plain reference: all states ever reached, and where we are among them."""
    import torch

    states, place = [session.state], 0
    for _ in range(300):
        draw = int(torch.randint(6, (1,), generator=generator))
        if draw < 3:
            if session.click(int(torch.randint(162, (1,), generator=generator)), bool(draw)):
                states, place = [*states[: place + 1], session.state], place + 1
        elif draw == 3:
            assert session.undo() == (place > 0)
            place = max(0, place - 1)
        elif draw == 4:
            assert session.redo() == (place < len(states) - 1)
            place = min(len(states) - 1, place + 1)
        elif session.reset():
            states, place = [*states[: place + 1], session.state], place + 1
        assert session.state is states[place]


# --- clicks ---------------------------------------------------------------------------------------


def test_clicks_select_and_negative_clicks_take_away(session, icosphere):
    session.set_threshold(0.5)
    session.click(peak(icosphere))
    alone = session.selection.faces
    session.click(peak(icosphere, axis=0), positive=False)
    both = session.selection.faces
    assert alone.any() and both.any() and not (both & ~alone).any() and both.sum() < alone.sum()
    session.undo()
    assert (session.selection.faces == alone).all()


def test_without_a_positive_click_nothing_is_selected(session):
    session.click(3, positive=False)
    assert not session.selection.faces.any() and session.selection.probability is None


def test_vertex_zero_can_be_excluded(session):
    session.click(1)
    session.click(0, positive=False)
    assert session.state.query().key == ((1, True), (0, False))


def test_single_click_mode_starts_over(session):
    session.click(1)
    session.click(2, positive=False)
    session.click(5, alone=True)
    assert session.state.clicks == ((5, True),)
    assert not session.click(5, alone=True)


def test_removing_a_click_leaves_the_others(session):
    for vertex in (1, 2, 3):
        session.click(vertex, vertex != 2)
    assert session.remove_click(2) and session.state.clicks == ((1, True), (3, True))
    assert not session.remove_click(2)


@pytest.mark.parametrize("vertex", [-1, 162, 1.5, True, "3", None])
def test_a_click_off_the_mesh_is_refused_and_changes_nothing(session, vertex):
    with pytest.raises(UserError, match="not on this mesh"):
        session.click(vertex)
    assert session.state.clicks == () and session.log == []


# --- granularity and threshold --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BallSegmenter, CandidateSegmenter])
def test_coarser_selections_contain_finer_ones(icosphere, kind):
    session = Session(icosphere, Answers(kind(icosphere)))
    session.click(peak(icosphere))
    before = None
    for granularity in (0.0, 0.2, 0.5, 0.7, 1.0):
        session.set_granularity(granularity)
        faces = session.selection.faces
        assert before is None or not (before & ~faces).any()
        before = faces
    session.set_granularity(0.0)
    assert session.selection.faces.sum() < before.sum()


def test_all_answers_are_asked_once_and_tell_their_quality(icosphere):
    segmenter = ProposingSegmenter(icosphere)
    session = Session(icosphere, Answers(segmenter))
    session.click(peak(icosphere))
    assert session.selection.answer.rung == 0
    calls, sizes, found = segmenter.calls, [], []
    for rung in (-1, 0, 1, 2, 3):
        session.set_rung(rung)
        answer = session.selection.answer
        assert (answer.rung, list(answer.rungs)) == (rung, [-1, 0, 1, 2, 3])
        found.append(answer.quality)
        sizes.append(session.selection.faces.sum())
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] and segmenter.calls == calls
    assert found == pytest.approx([0.3, 0.8, 0.6, 0.5, 0.4])


def test_a_chosen_answer_lasts_for_a_selection_and_undo_takes_it_back(icosphere):
    session = Session(icosphere, Answers(ProposingSegmenter(icosphere)))
    session.click(peak(icosphere))
    default = session.selection.faces
    session.set_rung(3)
    session.click(peak(icosphere, 0), positive=False)
    assert session.selection.answer.rung == 1 and list(session.selection.answer.rungs) == [-1, 0, 1]
    session.undo()
    session.undo()
    assert (session.selection.faces == default).all()
    session.redo()
    session.keep_part()
    session.click(peak(icosphere, sign=-1.0))
    assert session.state.rung == session.selection.answer.rung == 0


def test_a_rung_and_a_granularity_replace_each_other(icosphere):
    session = Session(icosphere, Answers(CandidateSegmenter(icosphere)))
    session.click(peak(icosphere))
    session.set_granularity(0.7)
    assert not session.selection.answer.rungs
    session.set_rung(-1)
    assert (session.state.rung, session.state.granularity) == (-1, 0.5)
    finest = session.selection.probability
    session.set_granularity(0.0)
    assert (session.selection.probability == finest).all() and session.state.rung == 0
    for bad in (99, 0.5, True, "x"):
        with pytest.raises(UserError, match="not a whole number"):
            session.set_rung(bad)


def test_one_answer_has_three_rungs_by_threshold(icosphere):
    session = Session(icosphere, Answers(BallSegmenter(icosphere)))
    session.click(peak(icosphere))
    sizes = []
    for rung in (-1, 0, 1):
        session.set_rung(rung)
        sizes.append(session.selection.faces.sum())
    assert sizes[0] < sizes[1] < sizes[2] and list(session.selection.answer.rungs) == [-1, 0, 1]


def test_calibrated_candidates_start_at_one_half_others_at_otsu(icosphere):
    assert Session(icosphere, Answers(CandidateSegmenter(icosphere))).state.threshold == 0.5
    assert Session(icosphere, Answers(BallSegmenter(icosphere))).state.threshold is None


def test_a_higher_threshold_selects_less_and_dragging_is_one_step(session, icosphere):
    session.click(peak(icosphere))
    sizes = []
    for threshold in (0.2, 0.4, 0.6, 0.8):
        session.set_threshold(threshold)
        sizes.append(int(session.selection.faces.sum()))
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]
    session.undo()
    assert session.state.threshold is None and session.state.clicks


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), True, "x"])
def test_sliders_refuse_what_is_no_share(session, value):
    for change in (session.set_granularity, session.set_threshold):
        with pytest.raises(UserError, match="not a number from 0 to 1"):
            change(value)
    assert not session.undo()


def test_shifted_threshold_is_monotonic_and_stays_a_probability():
    values = [shifted_threshold(0.4, granularity) for granularity in np.linspace(0, 1, 11)]
    assert values == sorted(values, reverse=True) and 0 < values[-1] < 0.4 < values[0] < 1
    assert shifted_threshold(0.4, 0.5) == 0.4


# --- corrections by hand --------------------------------------------------------------------------


def _neighbours(mesh: Mesh, faces: np.ndarray) -> np.ndarray:
    """Triangles that share a corner with `faces`, by explicit loops."""
    inside = {int(v) for face in np.flatnonzero(faces) for v in mesh.faces[face]}
    return np.array([bool(inside & set(face.tolist())) for face in mesh.faces])


def test_grow_and_shrink_match_explicit_loops(icosphere, generator):
    import torch

    surface = Surface(icosphere)
    for _ in range(5):
        faces = (torch.rand(320, generator=generator) < 0.3).numpy()
        assert (surface.grow(faces) == (faces | _neighbours(icosphere, faces))).all()
        assert (surface.shrink(faces) == (faces & ~_neighbours(icosphere, ~faces))).all()


def test_growing_crosses_texture_seams():
    """Two triangles that share an edge by place, not by vertex id."""
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    surface = Surface(Mesh(vertices, np.array([[0, 1, 2], [3, 5, 4]])))
    assert surface.grow(np.array([True, False])).all()


def test_holes_are_filled_but_the_rest_of_the_shape_is_not(icosphere):
    surface = Surface(icosphere)
    height = icosphere.vertices[icosphere.faces].mean(axis=1)[:, 1]
    cap = height > -0.3
    hole = int(height.argmax())
    pierced = cap.copy()
    pierced[hole] = False
    assert (surface.fill(pierced) == cap).all()
    band = np.abs(height) < 0.5  # a ring: both poles are left, neither is a hole
    assert (surface.fill(band) == band).all()


def test_an_unselected_component_is_no_hole(two_boxes, two_boxes_head):
    surface = Surface(two_boxes)
    head = two_boxes_head[two_boxes.faces].all(axis=1)
    assert (surface.fill(head) == head).all()


def test_keeping_the_largest_component_drops_the_others(icosphere):
    surface = Surface(icosphere)
    height = icosphere.vertices[icosphere.faces].mean(axis=1)[:, 1]
    both = (height > 0.6) | (height < -0.8)
    assert (surface.largest(both) == (height > 0.6)).all()
    assert not surface.largest(np.zeros(320, dtype=bool)).any()


def test_the_brush_paints_a_disc_on_this_side_only(icosphere):
    surface = Surface(icosphere)
    face = int(icosphere.face_normals[:, 1].argmax())
    point = icosphere.normalized[icosphere.faces[face]].mean(axis=0)
    disc = surface.brush(face, point, 0.4)
    centroids = icosphere.normalized[icosphere.faces].mean(axis=1)
    near = np.linalg.norm(centroids - point, axis=1) <= 0.4
    assert disc[face] and disc.sum() > 1 and not (disc & ~near).any()
    everything = surface.brush(face, point, 10.0)
    assert (icosphere.face_normals[everything] @ icosphere.face_normals[face] > 0).all() and everything.sum() < 320


def test_corrections_follow_a_new_click(session, icosphere):
    session.click(peak(icosphere))
    session.grow()
    session.click(peak(icosphere, axis=0), positive=False)
    grown = session.selection.faces
    session.undo()
    session.undo()
    session.click(peak(icosphere, axis=0), positive=False)
    assert (grown == session.surface.grow(session.selection.faces)).all()


def test_a_brush_stroke_is_one_step(session, icosphere):
    session.click(peak(icosphere))
    before = session.selection.faces
    bottom = np.flatnonzero(~before)[:6]
    for face in bottom:
        session.paint(np.arange(320) == face, add=True, stroke=7)
    assert session.selection.faces[bottom].all() and len(session.state.touches) == 1
    session.undo()
    assert (session.selection.faces == before).all()
    session.redo()
    session.paint(np.arange(320) == bottom[0], add=False, stroke=8)
    assert not session.selection.faces[bottom[0]] and session.selection.faces[bottom[1:]].all()


def test_painting_what_is_painted_leaves_no_step(session, icosphere):
    session.click(peak(icosphere))
    selected, steps = session.selection.faces, len(session.log)
    assert not session.paint(selected, add=True) and not session.paint(~selected, add=False)
    assert len(session.log) == steps


def test_quads_are_never_divided(generator):

    grid = np.array([[x, y, 0.02 * (x * y) % 0.1] for y in range(6) for x in range(6)], dtype=float)
    quads = [(6 * y + x, 6 * y + x + 1, 6 * y + x + 7, 6 * y + x + 6) for y in range(5) for x in range(5)]
    faces = np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))])
    mesh = Mesh(grid, faces, None, np.repeat(np.arange(25), 2))
    session = Session(mesh, Answers(BallSegmenter(mesh)))
    session.click(14)
    session.paint(session.surface.brush(3, mesh.normalized[mesh.faces[3]].mean(axis=0), 0.2))
    for step in (session.grow, session.shrink, session.fill, session.largest):
        step()
        pairs = session.selection.faces.reshape(25, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all()


# --- parts ----------------------------------------------------------------------------------------


def _two_parts(session: Session, mesh: Mesh) -> tuple[int, int]:
    session.set_threshold(0.5)
    session.click(peak(mesh))
    session.keep_part("top")
    session.click(peak(mesh, sign=-1.0))
    session.keep_part("bottom")
    return session.state.parts[0].id, session.state.parts[1].id


def test_parts_keep_their_faces_and_start_the_next_selection(session, icosphere):
    session.click(peak(icosphere))
    faces = session.selection.faces
    session.keep_part("lid")
    part = session.state.parts[0]
    assert part.name == "lid" and (session.part_faces(part.id) == faces).all()
    assert session.state.clicks == () and not session.selection.faces.any()
    session.undo()
    assert session.state.parts == () and (session.selection.faces == faces).all()


def test_keeping_nothing_is_refused(session):
    with pytest.raises(UserError, match="nothing is selected"):
        session.keep_part()
    assert not session.undo()


def test_another_parts_clicks_exclude_only_with_exclusive(session, icosphere):
    top, side = peak(icosphere), peak(icosphere, axis=0)
    session.set_threshold(0.5)
    session.set_taking(True)
    session.click(top)
    session.keep_part()
    session.click(side)
    assert session.state.query().key == ((side, True), (top, False))
    exclusive = session.selection.faces
    session.set_exclusive(False)
    assert session.state.query().key == ((side, True),)
    assert (exclusive & ~session.selection.faces).sum() == 0 and exclusive.sum() < session.selection.faces.sum()


def test_clicking_another_parts_own_vertex_includes_it(session, icosphere):
    session.click(peak(icosphere))
    session.keep_part()
    session.click(peak(icosphere))
    assert session.state.query().key == ((peak(icosphere), True),)


def test_a_face_is_in_one_part_only_and_locked_parts_keep_theirs(session, icosphere):
    top, bottom = _two_parts(session, icosphere)
    session.set_exclusive(False)
    session.click(peak(icosphere))
    session.set_threshold(0.45)
    session.set_taking(True)
    wanted, kept = session.selection.faces, session.part_faces(top)
    session.set_locked(top, True)
    assert not (session.selection.faces & kept).any() and (session.selection.faces == wanted & ~kept).all()
    session.set_locked(top, False)
    session.keep_part("all")
    assert not session.part_faces(top).any() and (session.part_faces(3) == wanted).all()
    assert session.part_faces(bottom).any()


def test_kept_parts_keep_their_faces_and_taking_from_them_says_what_it_takes(session, icosphere):
    top, _ = _two_parts(session, icosphere)
    session.set_exclusive(False)
    session.set_threshold(0.3)
    kept = session.part_faces(top)
    session.click(peak(icosphere, axis=0))
    beside, meant = session.selection.faces, dict(session.selection.overlap)
    assert not (beside & kept).any() and beside.any() and meant[top] > 0
    session.set_taking(True)
    assert session.selection.overlap == meant and (session.selection.faces & kept).sum() == meant[top]
    session.keep_part("taker")
    assert session.part_faces(top).sum() == kept.sum() - meant[top]
    session.undo()
    session.undo()
    session.keep_part("polite")
    polite = session.state.parts[-1].id
    assert (session.part_faces(top) == kept).all() and (session.part_faces(polite) == beside).all()


def test_a_selection_within_a_kept_part_says_whose_it_is(session, icosphere):
    session.click(peak(icosphere))
    session.keep_part("lid")
    session.click(peak(icosphere))
    with pytest.raises(UserError, match="kept parts"):
        session.keep_part()
    session.select_part(1)
    assert (session.selection.faces == session.part_faces(1)).all()  # selecting it again is such a choice
    session.reset()
    session.click(peak(icosphere))
    assert not session.selection.faces.any()


def test_locked_faces_cannot_be_painted(session, icosphere):
    top, _ = _two_parts(session, icosphere)
    session.set_locked(top, True)
    assert not session.paint(session.part_faces(top))
    with pytest.raises(UserError, match="locked"):
        session.select_part(top)


def test_hidden_parts_and_everything_kept_can_be_left_out_of_sight(session, icosphere):
    top, bottom = _two_parts(session, icosphere)
    session.set_visible(top, False)
    assert (session.shown == ~session.part_faces(top)).all()
    session.show_only_free(True)
    assert (session.shown == (session.state.labels == 0)).all() and not session.shown[session.part_faces(bottom)].any()
    session.undo()
    session.undo()
    assert session.shown.all()


def test_rename_merge_delete_select_and_add(session, icosphere):
    top, bottom = _two_parts(session, icosphere)
    session.rename_part(bottom, "top")
    assert [part.name for part in session.state.parts] == ["top", "top 2"]
    union = session.part_faces(top) | session.part_faces(bottom)
    clicks = session.state.parts[0].clicks + session.state.parts[1].clicks
    session.merge_parts(top, bottom)
    assert (session.part_faces(top) == union).all() and session.state.parts[0].clicks == clicks
    session.select_part(top)
    assert (session.selection.faces == union).all()
    session.shrink()
    smaller = session.selection.faces
    session.add_to_part(top)  # what it has it keeps
    assert (session.part_faces(top) == union).all() and smaller.sum() < union.sum()
    session.delete_part(top)
    assert session.state.parts == () and not session.state.labels.any()
    for refused in (
        lambda: session.delete_part(top),
        lambda: session.merge_parts(top, top),
        lambda: session.rename_part(9, "x"),
    ):
        with pytest.raises(UserError, match="no part"):
            refused()


@pytest.mark.parametrize(
    "text, name",
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\nb\x00c", "a_b_c"),
        ("  .. ", "part"),
        ("<b>bold</b>", "b_bold_b"),
        ("Griff größe 3", "Griff größe 3"),
        ("x" * 200, "x" * 60),
        (None, "None"),
        ("a/b\\c:d", "a_b_c_d"),
    ],
)
def test_names_are_safe_in_files_and_pages(text, name):
    cleaned = clean_name(text)
    assert (
        cleaned.strip("_") == name.strip("_")
        and not set(cleaned) & set('/\\<>:"|?*\n\0')
        and cleaned not in ("", ".", "..")
    )


# --- learning, and several segmenters ---------------------------------------------------------------


@pytest.fixture
def learning(icosphere) -> Session:
    """A session with a click of each sign, whose segmenter learns."""
    session = Session(icosphere, Answers(LearningSegmenter(icosphere, identity="learner")))
    session.click(peak(icosphere))
    session.click(peak(icosphere, axis=0, sign=-1.0), positive=False)
    return session


def test_a_segmenter_that_does_not_judge_its_candidates_is_accepted(learning):
    assert learning.selection.answer.quality is None and learning.selection.faces.any()
    learning.set_granularity(0.3)
    assert learning.selection.answer.quality is None


def test_learning_changes_what_clicks_select_and_undo_takes_it_back(learning):
    """Also where the answer was given before: what is remembered belongs to what had been learnt then."""
    answers = [learning.selection.probability.tobytes()]
    for _ in range(2):
        assert learning.learn()
        answers.append(learning.selection.probability.tobytes())
    assert len(set(answers)) == 3
    segmenter = learning.answers.segmenter
    for step, expected in (("undo", 1), ("undo", 0), ("redo", 1), ("redo", 2), ("undo", 1)):
        assert getattr(learning, step)() and learning.selection.probability.tobytes() == answers[expected]
    learning.set_granularity(0.61)  # a fresh question, which needs the segmenter as it is after one lesson
    assert learning.selection.probability.tobytes() != answers[1] and segmenter.radius == pytest.approx(0.65)
    while learning.undo():
        pass
    learning.redo()
    assert learning.selection.faces.any() and learning.state.lessons == ()


def test_what_is_learnt_is_what_is_asked_and_what_other_parts_asked(learning, icosphere):
    segmenter, top, side = learning.answers.segmenter, peak(icosphere), peak(icosphere, axis=2)
    learning.keep_part()
    learning.set_taking(True)
    learning.paint(np.arange(320) < 3)
    learning.keep_part("painted")  # of no click: nothing that it would answer
    learning.click(side)
    learning.learn()
    clicks, others = segmenter.lessons[-1]
    assert clicks.key == ((side, True), (top, False)) and [other.key for other in others] == [
        ((top, True), (peak(icosphere, 0, -1.0), False))
    ]


def test_sessions_that_share_a_segmenter_do_not_learn_from_each_other(learning, icosphere):
    other = Session(icosphere, learning.answers)
    other.click(peak(icosphere))
    other.click(peak(icosphere, axis=0, sign=-1.0), positive=False)
    plain = other.selection.probability.tobytes()
    learning.learn()
    learnt = learning.selection.probability.tobytes()
    for granularity in (0.2, 0.31, 0.5):
        for session in (learning, other):
            session.set_granularity(granularity)
        assert learning.selection.probability.tobytes() != other.selection.probability.tobytes()
    assert other.selection.probability.tobytes() == plain and learning.selection.probability.tobytes() == learnt


def test_what_cannot_be_learnt_is_refused_and_changes_nothing(learning, icosphere):
    top = peak(icosphere)
    for clicks in ((), ((top, True),), ((top, False),)):
        session = Session(icosphere, learning.answers)
        for vertex, positive in clicks:
            session.click(vertex, positive)
        state = session.state
        with pytest.raises(UserError, match="one that excludes"):
            session.learn()
        assert session.state is state and session.log == [
            {"op": "click", "vertex": v, "positive": p} for v, p in clicks
        ]
    deaf = Session(icosphere, Answers(CandidateSegmenter(icosphere)))
    with pytest.raises(UserError, match="does not learn"):
        deaf.learn()
    learning.answers.segmenter.radius = 0.1
    state, before = learning.state, learning.selection.probability.tobytes()
    with pytest.raises(UserError, match="nothing to learn"):
        learning.learn()
    assert learning.state is state and learning.selection.probability.tobytes() == before


def test_another_segmenter_answers_the_same_clicks_and_parts_stay(learning, icosphere):
    other = Answers(BallSegmenter(icosphere, radius=0.3, identity="other"))
    part = learning.keep_part() and learning.part_faces(1)
    learning.click(peak(icosphere, axis=2))
    learning.learn()
    before = learning.selection.probability.tobytes()
    state = learning.state
    learning.use(other)
    assert (
        learning.state is state
        and learning.selection.probability.tobytes() != before
        and (learning.part_faces(1) == part).all()
    )
    with pytest.raises(UserError, match="does not learn"):
        learning.learn()
    learning.use(replacement := Answers(LearningSegmenter(icosphere, identity="learner")))
    assert (
        learning.selection.probability.tobytes() == before and len(replacement.segmenter.lessons) == 1
    )  # it has caught up


def test_a_log_with_learning_and_several_segmenters_replays_bit_for_bit(learning, icosphere):
    learn_and_change(learning, icosphere, Answers(BallSegmenter(icosphere, identity="ball")))
    own, other = (
        Answers(LearningSegmenter(icosphere, identity="learner")),
        Answers(BallSegmenter(icosphere, identity="ball")),
    )
    for first, others in ((own, [other]), (other, [own])):
        again = replay(icosphere, first, learning.log, others)
        assert (
            result_digest(again) == result_digest(learning)
            and again.log == learning.log
            and again.state.lessons == learning.state.lessons
        )
    while learning.undo():
        assert again.undo() and result_digest(again) == result_digest(learning)
    for present in (own, other):
        with pytest.raises(UserError, match="another segmenter") as error:
            replay(icosphere, present, learning.log)
        assert "\n" not in str(error.value)


# --- shape edits ----------------------------------------------------------------------------------


def _cap(mesh: Mesh, height: float = 0.4) -> np.ndarray:
    return mesh.vertices[mesh.faces].mean(axis=1)[:, 1] > height


def test_delete_and_keep_only_take_faces_away_and_undo_brings_them_back(session, icosphere):
    session.click(peak(icosphere))
    faces = session.selection.faces
    session.edit("delete")
    assert (session.shape.alive == ~faces).all() and (session.shown == ~faces).all() and session.state.clicks == ()
    session.undo()
    session.edit("keep")
    assert (session.shape.alive == faces).all()
    session.undo()
    assert session.shape.alive.all() and (session.selection.faces == faces).all()


def test_deleted_faces_are_never_selected_again(session, icosphere):
    session.click(peak(icosphere))
    gone = session.selection.faces
    session.edit("delete")
    session.click(peak(icosphere, axis=0))
    session.set_threshold(0.2)
    session.grow()
    assert not (session.selection.faces & gone).any() and session.selection.faces.any()


def test_deleting_everything_is_refused(session, icosphere):
    session.paint(np.ones(320, dtype=bool))
    with pytest.raises(UserError, match="whole mesh"):
        session.edit("delete")


def test_shrinking_pulls_towards_where_the_part_is_attached(icosphere):
    cap = _cap(icosphere)
    shape = apply_edits(icosphere, (ShapeEdit("shrink", FaceSet(cap), 0.5),))
    rest = np.unique(icosphere.faces[~cap])
    assert (shape.vertices[rest] == icosphere.vertices[rest]).all() and shape.alive.all()
    border = np.intersect1d(np.unique(icosphere.faces[cap]), rest)
    anchor, tip = icosphere.vertices[border].mean(axis=0), peak(icosphere)
    assert shape.vertices[tip] == pytest.approx(anchor + 0.5 * (icosphere.vertices[tip] - anchor))


def test_extruding_moves_along_the_outward_normals_only(icosphere):
    cap, distance = _cap(icosphere), 0.3
    inside_out = Mesh(icosphere.vertices, icosphere.faces[:, ::-1])
    for mesh in (icosphere, inside_out):
        shape = apply_edits(mesh, (ShapeEdit("extrude", FaceSet(cap), distance),))
        rest = np.unique(mesh.faces[~cap])
        assert (shape.vertices[rest] == mesh.vertices[rest]).all()
        tip = peak(mesh)
        expected = mesh.vertices[tip] * (1 + distance * mesh.scale)  # a sphere's normals are its radii
        assert shape.vertices[tip] == pytest.approx(expected, abs=0.02)


def test_an_edited_shape_stays_in_the_frame_of_the_original(tetrahedron):
    moved = EditedShape(tetrahedron.vertices + np.eye(4, 3), np.ones(4, dtype=bool))
    assert tetrahedron.denormalize(moved.places(tetrahedron)) == pytest.approx(moved.vertices, abs=1e-6)


def test_a_whole_component_shrinks_around_its_middle(two_boxes, two_boxes_head):
    head = two_boxes_head[two_boxes.faces].all(axis=1)
    shape = apply_edits(two_boxes, (ShapeEdit("shrink", FaceSet(head), 0.5),))
    before, after = two_boxes.vertices[two_boxes_head], shape.vertices[two_boxes_head]
    assert np.ptp(after, axis=0) == pytest.approx(0.5 * np.ptp(before, axis=0))
    assert (shape.vertices[~two_boxes_head] == two_boxes.vertices[~two_boxes_head]).all()


def test_edits_do_not_tear_texture_seams(icosphere):
    """A sphere cut into single triangles moves as the welded one does."""
    soup = Mesh(icosphere.vertices[icosphere.faces].reshape(-1, 3), np.arange(960).reshape(-1, 3))
    for edit in (
        ShapeEdit("extrude", FaceSet(_cap(icosphere)), 0.2),
        ShapeEdit("shrink", FaceSet(_cap(icosphere)), 0.6),
    ):
        welded = apply_edits(icosphere, (edit,)).vertices[icosphere.faces].reshape(-1, 3)
        assert apply_edits(soup, (edit,)).vertices == pytest.approx(welded, abs=1e-9)


@pytest.mark.parametrize(
    "kind, amount",
    [("shrink", 0.0), ("shrink", 1.5), ("extrude", 0.0), ("extrude", 5.0), ("extrude", float("nan")), ("melt", 0.5)],
)
def test_impossible_edits_are_refused(session, icosphere, kind, amount):
    session.click(peak(icosphere))
    before = session.state
    with pytest.raises(UserError):
        session.edit(kind, amount)
    assert session.state is before


# --- picking --------------------------------------------------------------------------------------


def _slow_pick(mesh: Mesh, origin: np.ndarray, direction: np.ndarray) -> tuple[int, float]:
    """Nearest triangle that a ray hits, one after another (Moeller-Trumbore); -1 for none."""
    best, nearest = -1, np.inf
    for face, (a, b, c) in enumerate(mesh.normalized[mesh.faces].astype(float)):
        matrix = np.stack([-direction, b - a, c - a], axis=1)
        if abs(np.linalg.det(matrix)) < 1e-12:
            continue
        t, u, v = np.linalg.solve(matrix, origin - a)
        if t > 0 and u >= 0 and v >= 0 and u + v <= 1 and t < nearest:
            best, nearest = face, t
    return best, nearest


def test_picking_matches_a_slow_reference(two_boxes, generator):
    import torch

    picker, hits = Picker(two_boxes.normalized, two_boxes.faces), 0
    for _ in range(40):
        origin = torch.nn.functional.normalize(torch.randn(3, generator=generator), dim=0).numpy() * 3
        direction = torch.randn(3, generator=generator).numpy() * 0.35 - origin
        face, distance = _slow_pick(two_boxes, origin, direction / np.linalg.norm(direction))
        hit = picker(origin, direction)
        assert (hit is None) == (face < 0)
        if hit is not None:
            hits += 1
            assert hit.face == face and hit.distance == pytest.approx(distance, abs=1e-5)
            corners = two_boxes.normalized[two_boxes.faces[face]]
            assert hit.vertex == two_boxes.faces[face][np.linalg.norm(corners - hit.point, axis=1).argmin()]
    assert 5 < hits < 40


def test_rays_pass_through_what_is_hidden(icosphere):
    origin, direction = np.array([0.0, 3.0, 0.02]), np.array([0.0, -1.0, 0.0])
    front = Picker(icosphere.normalized, icosphere.faces)(origin, direction)
    centroids = icosphere.vertices[icosphere.faces].mean(axis=1)
    behind = Picker(icosphere.normalized, icosphere.faces, centroids[:, 1] < 0)(origin, direction)
    assert front.point[1] > 0.9 and behind.point[1] < -0.9
    assert Picker(icosphere.normalized, icosphere.faces, np.zeros(320, dtype=bool))(origin, direction) is None


@pytest.mark.parametrize(
    "origin, direction",
    [
        ((0, 3, 0), (0, 1, 0)),
        ((0, 3, 0), (0, 0, 0)),
        ((np.nan, 0, 0), (0, 1, 0)),
        ((0, 3, 0), (0, np.inf, 0)),
        ((0, 3), (0, 1)),
    ],
)
def test_no_hit_and_no_ray_pick_nothing(icosphere, origin, direction):
    assert Picker(icosphere.normalized, icosphere.faces)(np.array(origin), np.array(direction)) is None


def test_the_nearest_ball_on_the_ray_is_found():
    centers = np.array([[0.0, 0, 0], [0, 1, 0], [0.5, 0, 0], [0, 5, 0]])
    assert first_ball(np.array([0.0, 3, 0]), np.array([0.0, -2, 0]), centers, 0.1) == (1, pytest.approx(1.9))
    assert first_ball(np.array([0.3, 3, 0]), np.array([0.0, -1, 0]), centers, 0.1) is None
    assert first_ball(np.array([0.0, 3, 0]), np.array([0.0, -1, 0]), np.zeros((0, 3)), 0.1) is None


# --- log ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BallSegmenter, CandidateSegmenter])
def test_a_replayed_log_ends_in_the_same_result_bit_for_bit(icosphere, kind):
    session = Session(icosphere, Answers(kind(icosphere)))
    work_a_bit(session, icosphere)
    again = replay(icosphere, Answers(kind(icosphere)), session.log)
    assert result_digest(again) == result_digest(session)
    assert again.selection.probability.tobytes() == session.selection.probability.tobytes()
    assert again.shape.vertices.tobytes() == session.shape.vertices.tobytes() and again.log == session.log
    while session.undo():
        assert again.undo() and result_digest(again) == result_digest(session)
    assert not again.undo()


@pytest.mark.parametrize(
    "entry",
    [
        {"op": "explode"},
        {"vertex": 3},
        "click",
        None,
        {"op": "click"},
        {"op": "click", "vertex": 3, "x": 1},
        {"op": "click", "vertex": 10**9},
        {"op": "paint", "kind": "paint", "faces": "!!"},
        {"op": "paint", "kind": "burn", "faces": ""},
        {"op": "perform", "entry": {}},
        {"op": "set_threshold", "value": "high"},
        {"op": "edit", "kind": ["delete"]},
        {"op": "undo", "n": 3},
        {"op": "merge_parts", "part_id": {}, "other_id": 2},
        {"op": "use"},
        {"op": "learn", "x": 1},
        {"op": "use", "before": "", "after": "unknown"},
        {"op": "use", "before": 3, "after": []},
    ],
)
def test_a_damaged_log_is_refused_in_one_line(session, entry):
    with pytest.raises(UserError) as error:
        session.perform(entry)
    assert "\n" not in str(error.value) and not session.undo()


def test_face_sets_survive_the_trip_to_text(generator):
    import torch

    for size in (1, 8, 13, 320):
        mask = (torch.rand(size, generator=generator) < 0.5).numpy()
        assert (FaceSet.from_text(FaceSet(mask).to_text(), size).mask == mask).all()
    for text in ("", "AAAA", FaceSet(np.ones(100, dtype=bool)).to_text(), "é"):
        with pytest.raises(ValueError):
            FaceSet.from_text(text, 320)
