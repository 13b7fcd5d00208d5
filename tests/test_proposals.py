"""Parts that nobody clicked, in a session: proposed, changed, kept, and undone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sessions import CandidateSegmenter, ProposingSegmenter, Quarters, peak
from utils.errors import UserError
from utils.evaluation.proposal_person import clicks_from_proposals
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.session.answers import Answers
from utils.session.files import replay, result_digest, session_from_json, session_to_json
from utils.session.journal import Journal, go_on
from utils.session.session import Session
from utils.session.surface import Surface


@pytest.fixture
def session(icosphere) -> Session:
    session = Session(icosphere, Answers(ProposingSegmenter(icosphere, identity="1")))
    session.propose()
    return session


def _shares(session: Session) -> list[int]:
    """How many faces each proposal has, from the first."""
    return np.bincount(session.proposed)[1:].tolist()


def test_proposals_cover_every_face_once_and_follow_the_detail(session):
    for detail, count in ((0.0, 1), (0.5, 2), (0.8, 3), (1.0, 4)):
        session.set_detail(detail)
        assert len(_shares(session)) == count and (session.proposed > 0).all()
    session.undo()
    assert session.state.proposals.detail == 0.5 and len(_shares(session)) == 2
    session.undo()
    assert session.state.proposals is None and not session.proposed.any()


def test_a_proposal_keeps_its_colour_when_another_is_split(session):
    """A cut into k parts has the colours 0 to k - 1."""
    session.set_detail(0.8)
    assert sorted(session.state.proposals.colors) == [0, 1, 2]
    upper = session.state.proposals.parts.index((4,))
    color = session.state.proposals.colors[upper]
    session.set_detail(0.5)
    assert session.state.proposals.colors[session.state.proposals.parts.index((4,))] == color
    assert sorted(Quarters(session.mesh).numbers.tolist()) == [0, 0, 0, 1, 1, 2, 3]


def test_a_kept_proposal_is_a_part_with_its_faces_and_colour(session):
    faces = session.proposed == 1
    session.keep_proposal(0)
    part = session.state.parts[0]
    assert (session.part_faces(part.id) == faces).all() and part.name == "part 1"
    assert faces[(session.mesh.faces == part.clicks[0].vertex).any(axis=1)].all(), "its click lies inside"
    assert not session.proposed[faces].any() and session.proposed[~faces].all()
    session.undo()
    assert not session.state.parts and (session.proposed == 1).sum() == faces.sum()


def test_proposals_never_take_what_a_person_kept_or_selects(session):
    session.click(peak(session.mesh))
    session.keep_part("mine")
    mine = session.part_faces(1)
    session.click(peak(session.mesh, sign=-1.0))
    selected = session.selection.faces
    assert not session.proposed[mine | selected].any()
    session.set_detail(1.0)
    session.keep_proposals()
    assert (session.part_faces(1) == mine).all() and (session.state.labels[selected] == 0).all()
    assert (session.state.labels[~selected] > 0).all() and len({part.color for part in session.state.parts}) == 5


def test_keeping_all_proposals_leaves_none(session):
    session.keep_proposals()
    assert session.state.proposals is None and len(session.state.parts) == 2 and (session.state.labels > 0).all()
    session.undo()
    assert len(_shares(session)) == 2 and not session.state.parts


def test_proposals_are_merged_and_split_where_they_were_joined(session):
    session.set_detail(1.0)
    before = session.proposed
    session.merge_proposals(3, 0)
    assert len(_shares(session)) == 3 and ((session.proposed == 3) == np.isin(before, (1, 4))).all()
    session.split_proposal(2)
    assert sorted(_shares(session)) == sorted(np.bincount(before)[1:].tolist())
    assert len(set(session.state.proposals.colors)) == 4
    session.set_detail(0.0)
    session.split_proposal(0)
    assert len(_shares(session)) == 2
    with pytest.raises(UserError, match="two different"):
        session.merge_proposals(1, 1)


def test_a_split_goes_on_until_it_is_seen(session):
    """Of the lower half one quarter is kept: what is left of the whole is split below it."""
    session.set_detail(1.0)
    session.keep_proposal(0)
    session.keep_proposal(1)
    session.set_detail(0.0)
    assert len(_shares(session)) == 1
    session.split_proposal(0)
    assert len([share for share in _shares(session) if share]) == 2


def test_clicks_go_on_from_a_proposal(session):
    faces, middles = session.proposed == 2, session.mesh.normalized[session.mesh.faces].mean(axis=1)
    session.select_proposal(1)
    assert (session.selection.faces == faces).all() and session.state.clicks[0].positive
    corner = session.mesh.faces[faces][np.linalg.norm(middles[faces] - [1, 0, 0], axis=1).argmin(), 0]
    session.click(int(corner), positive=False)
    left = session.selection.faces
    assert 0 < (faces & ~left).sum() < faces.sum() / 2 and not left[(session.mesh.faces == corner).any(axis=1)].any()
    session.undo()
    session.keep_part()
    assert (session.part_faces(1) == faces).all()


def test_a_simulated_person_goes_on_from_the_proposal_that_fits_best(session):
    """A proposal as wanted takes the click that selects it, a piece of one corrections too; never more than allowed."""
    half = session.proposed == 2
    middles = session.mesh.normalized[session.mesh.faces].mean(axis=1)
    wanted = [half, half & (middles[:, 0] < 0.3), np.arange(len(half)) == 7]

    def begin() -> Session:
        fresh = Session(session.mesh, session.answers)
        fresh.propose()
        return fresh

    clicks = clicks_from_proposals(begin, FaceGraph(session.mesh), wanted, 0.85, 6)
    assert clicks[0] == 1 < clicks[1] < 6 and clicks[2] == 6


def test_parts_alike_join_the_selection(session):
    session.set_detail(1.0)
    session.select_proposal(2)
    session.select_alike()
    assert session.selection.faces.all()
    session.undo()
    assert session.selection.faces.sum() == session.mesh.num_faces // 4 == 80
    session.reset()
    with pytest.raises(UserError, match="nothing is selected"):
        session.select_alike()
    session.paint(np.arange(session.mesh.num_faces) < 3)
    with pytest.raises(UserError, match="no part that others could be like"):
        session.select_alike()


@pytest.mark.parametrize("place", [-1, 2, 1.5, True, "x"])
def test_what_is_no_proposal_is_refused_and_changes_nothing(session, place):
    before = session.state
    for change in (session.keep_proposal, session.split_proposal, session.select_proposal):
        with pytest.raises(UserError, match="not a whole number"):
            change(place)
    assert session.state is before
    session.drop_proposals()
    with pytest.raises(UserError, match="no parts are proposed"):
        session.keep_proposals()


def test_what_proposes_nothing_says_who_would(icosphere):
    session = Session(icosphere, Answers(CandidateSegmenter(icosphere)))
    with pytest.raises(UserError, match="proposes no parts: let the prior decoder answer"):
        session.propose()
    assert not session.undo()


def test_another_segmenter_keeps_proposals_but_does_not_split_them(session):
    session.use(Answers(CandidateSegmenter(session.mesh, identity="2")))
    with pytest.raises(UserError, match="another segmenter proposed"):
        session.split_proposal(0)
    assert session.keep_proposal(0)


def _work(session: Session) -> None:
    session.set_detail(1.0)
    session.merge_proposals(0, 3)
    session.keep_proposal(1)
    session.split_proposal(0)
    session.select_proposal(0)
    session.select_alike()
    session.set_rung(1)
    session.keep_part()
    session.undo()


def test_proposals_survive_files_journals_and_replays_bit_for_bit(session, tmp_path):
    _work(session)
    mesh, answers = session.mesh, session.answers
    again = session_from_json(session_to_json(session), mesh, answers)
    assert result_digest(again) == result_digest(session) and (again.proposed == session.proposed).all()
    assert again.state.rung == 1 and again.state.proposals.parts == session.state.proposals.parts
    repeated = replay(mesh, answers, session.log)
    assert result_digest(repeated) == result_digest(session) and (repeated.proposed == session.proposed).all()
    journal = Journal(tmp_path / "a.work.jsonl", session, "me")
    journal.save()
    kept = go_on(journal.path, mesh, Surface(mesh), lambda kind, identity: answers)
    assert (kept.proposed == session.proposed).all()
    while session.undo():
        assert kept.undo()
        assert kept.state.proposals is None or (kept.proposed == session.proposed).all()


@pytest.mark.parametrize("change", [{"labels": "x"}, {"parts": [[]]}, {"colors": [1]}, {"detail": 7}])
def test_damaged_proposals_are_refused_in_one_line(session, change):
    held = session_to_json(session)
    held["proposals"] |= change
    with pytest.raises(UserError, match="damaged session file"):
        session_from_json(held, session.mesh, session.answers)


def test_polygons_of_the_file_stay_whole_in_proposals():
    """A strip of quads whose triangles lie on both sides of the middle."""
    x = np.linspace(-1, 1, 4)
    vertices = np.array([[a, b, 0.0] for a in x for b in (0.1, 1.0)] + [[0.0, -1.0, 0.3]])
    quads = [[2 * k, 2 * k + 2, 2 * k + 3, 2 * k + 1] for k in range(3)]
    faces = np.array([[q[0], q[i], q[i + 1]] for q in quads for i in (1, 2)] + [[0, 8, 2]])
    mesh = Mesh(vertices, faces, None, np.array([0, 0, 1, 1, 2, 2, 3]))
    session = Session(mesh, Answers(ProposingSegmenter(mesh)))
    session.propose()
    session.set_detail(1.0)
    session.split_proposal(0) if len(_shares(session)) < 2 else None
    assert (session.proposed[0:6:2] == session.proposed[1:6:2]).all()


def test_the_innermost_vertex_is_far_from_the_border(icosphere):
    cap = icosphere.vertices[icosphere.faces].mean(axis=1)[:, 1] > 0.2
    vertex = Surface(icosphere).innermost(cap)
    assert icosphere.vertices[vertex, 1] > 0.75
    assert Surface(icosphere).innermost(np.ones(icosphere.num_faces, dtype=bool)) in icosphere.faces
