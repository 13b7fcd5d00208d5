"""Work is kept after every step: what a killed process leaves goes on where it was, undo included."""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np
import pytest

from tests.sessions import CandidateSegmenter, LearningSegmenter, learn_and_change, peak, work_a_bit, write_obj
from utils.errors import UserError
from utils.session.answers import Answers
from utils.session.files import result_digest
from utils.session.journal import Journal, go_on, read_note
from utils.session.session import Session

ROUNDS = 30


@pytest.fixture
def mesh(icosphere, tmp_path):
    return write_obj(icosphere, tmp_path / "ball.obj")


def _session(mesh) -> Session:
    return Session(mesh, Answers(CandidateSegmenter(mesh, identity="1")))


def _again(path, mesh) -> Session:
    return go_on(path, mesh, None, lambda kind, identity: Answers(CandidateSegmenter(mesh, identity="1")))


def _digests(session: Session) -> list[str]:
    """What undo leads to, step by step, and back again."""
    found = [result_digest(session)]
    for move in (session.undo, session.redo):
        while move():
            found.append(result_digest(session))
    return found


def test_work_goes_on_with_all_that_can_be_undone_and_redone(mesh, tmp_path):
    session, path = _session(mesh), tmp_path / "a.work.jsonl"
    journal = Journal(path, session, "me")
    assert not journal.save() and not path.exists()  # nothing was done yet
    work_a_bit(session, mesh)
    assert journal.save() and not journal.save()
    again = _again(path, mesh)
    assert again.log == [*session.log, {"op": "reopened"}] and again.next_part == session.next_part
    assert _digests(again) == _digests(session)
    note = read_note(path)
    assert note is not None and (note.owner, note.digest, note.mesh) == ("me", mesh.digest, str(mesh.path))
    assert note.summary == "2 parts, 1 click"


def test_saving_step_by_step_leaves_the_same_as_saving_once(mesh, tmp_path):
    session, path = _session(mesh), tmp_path / "a.work.jsonl"
    work_a_bit(session, mesh)
    log, session, sizes = session.log, _session(mesh), []
    journal = Journal(path, session, "me")
    for entry in log:
        session.perform(entry)
        journal.save()
        sizes.append(path.stat().st_size)
    again = _again(path, mesh)
    assert _digests(again) == _digests(session)
    assert np.diff(sizes).max() < 1000  # a step is small
    labels = {id(state.labels) for state in again.steps[0]}
    assert len(labels) <= len(again.state.parts) + 1  # states share what did not change


def test_what_a_segmenter_learnt_goes_on_too(mesh, tmp_path):
    session = Session(mesh, Answers(LearningSegmenter(mesh, identity="learner")))
    session.click(peak(mesh))
    session.click(peak(mesh, sign=-1.0), positive=False)
    learn_and_change(session, mesh, Answers(CandidateSegmenter(mesh, identity="other")))
    Journal(tmp_path / "a.work.jsonl", session, "me").save()
    asked = []

    def answers_of(kind, identity):
        asked.append((kind, identity))
        return Answers(LearningSegmenter(mesh, identity="learner"))

    again = go_on(tmp_path / "a.work.jsonl", mesh, None, answers_of)
    assert asked == [("instant", "learner")] and result_digest(again) == result_digest(session)


def test_a_file_goes_on_growing_after_it_was_read_vanished_or_was_cut(mesh, tmp_path):
    session, path = _session(mesh), tmp_path / "a.work.jsonl"
    journal = Journal(path, session, "me")
    session.click(3)
    journal.save()
    path.unlink()
    session.click(4)
    journal.save()
    path.write_bytes(path.read_bytes() + b'{"torn')
    session.click(5)
    journal.save()
    again = _again(path, mesh)
    assert [click.vertex for click in again.state.clicks] == [3, 4, 5]
    more = Journal(path, again, "other")
    more.write()
    again.undo()
    more.save()
    third = _again(path, mesh)
    assert _digests(third) == _digests(again) and read_note(path).owner == "other"


@pytest.mark.parametrize("cut", range(1, 200, 23))
def test_a_torn_last_line_costs_the_last_step_only(mesh, tmp_path, cut):
    session, path = _session(mesh), tmp_path / "a.work.jsonl"
    journal = Journal(path, session, "me")
    for vertex in (3, 4, 5):
        session.click(vertex)
        journal.save()
    path.write_bytes(path.read_bytes()[:-cut])
    assert [click.vertex for click in _again(path, mesh).state.clicks] == [3, 4]


@pytest.mark.parametrize(
    "old, new",
    [
        (b'"labels":', b'"labels":9'),
        (b'"past":[0,[', b'"past":[0,[77,'),
        (b"[3,true]", b"[99999,true]"),
        (b"[3,true]", b"[3,7]"),
        (b'"new":', b'"old":'),
        (b'"iseg work"', b'"iseg play"'),
        (b'"granularity":0.5', b'"granularity":"x"'),
        (b"\n", b"\n[]\n"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(mesh, tmp_path, old, new):
    session, path = _session(mesh), tmp_path / "a.work.jsonl"
    session.click(3)
    Journal(path, session, "me").save()
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(UserError) as error:
        _again(path, mesh)
    assert "\n" not in str(error.value)


def test_a_file_without_a_step_is_refused_in_one_line(mesh, tmp_path):
    session, path = _session(mesh), tmp_path / "a.work.jsonl"
    session.click(3)
    Journal(path, session, "me").save()
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert read_note(path) is None
    with pytest.raises(UserError, match="no step"):
        _again(path, mesh)


def test_a_full_disk_loses_nothing_that_was_written(mesh, tmp_path, monkeypatch):
    session, path = _session(mesh), tmp_path / "a.work.jsonl"
    journal = Journal(path, session, "me")
    session.click(3)
    journal.save()
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, content: real(handle, content[:9]))
        session.click(4)
        with pytest.raises(OSError):
            journal.save()
    assert [click.vertex for click in _again(path, mesh).state.clicks] == [3]
    journal.save()
    assert [click.vertex for click in _again(path, mesh).state.clicks] == [3, 4]


def _work_until_killed(mesh, path, done: int, seed: int) -> None:
    """In a process of its own: steps without end; tells the number of each that is kept."""
    rng, session = np.random.default_rng(seed), _session(mesh)
    journal = Journal(path, session, "me")
    for number in range(1, 10**6):
        kind = int(rng.integers(6))
        if kind < 3 or not session.selection.faces.any():
            session.click(int(rng.integers(mesh.num_vertices)), bool(rng.integers(2)) or not session.state.clicks)
        elif kind == 3:
            session.paint(rng.random(mesh.num_faces) < 0.1, stroke=number)
        elif kind == 4 and len(session.state.parts) < 50:
            session.keep_part()
        else:
            session.undo()
        journal.save()
        os.write(done, f"{number} {len(session.log)} {len(session.steps[0])}\n".encode())


def test_nothing_but_the_step_in_flight_is_lost_in_30_kills(mesh, tmp_path):
    moments = random.Random(0)
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.work.jsonl"
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reader)
                _work_until_killed(mesh, path, writer, number)
            finally:
                os._exit(1)
        os.close(writer)
        told = os.read(reader, 1)  # the first step is kept
        time.sleep(moments.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while piece := os.read(reader, 1 << 16):
            told += piece
        os.close(reader)
        _, logged, undoable = (int(word) for word in told.decode().splitlines()[-1].split())
        again = _again(path, mesh)
        assert 0 <= len(again.log) - 1 - logged <= 1, f"round {number}: {len(again.log) - 1} of {logged} steps"
        assert abs(len(again.steps[0]) - undoable) <= 1
