"""The teachers of the evaluation that answer with people's parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fakes import FakeTeacher
from utils.errors import UserError
from utils.evaluation.label_teacher import LabelTeacher
from utils.evaluation.psb import LabelledShape
from utils.rendering.cameras import orbit_cameras


@pytest.fixture
def halves(icosphere) -> LabelledShape:
    """A ball cut by three people: in upper and lower half, in left and right, in four quarters."""
    middle = icosphere.normalized[icosphere.faces].mean(axis=1)
    upper, right = (middle[:, 1] > 0).astype(np.int64), (middle[:, 2] > 0).astype(np.int64)
    return LabelledShape(1, "Ball", icosphere, np.stack([upper, right, 2 * upper + right]))


def view():
    return orbit_cameras(torch.zeros(1), torch.zeros(1), size=(64, 64))


def ask(teacher: LabelTeacher, points: list[list[float]], signs: list[int]) -> np.ndarray:
    """(64, 64) bool, the mask of one set of clicks in the one view."""
    asked = teacher.in_view(view())
    answer = asked.segment(torch.zeros(1), torch.tensor([points]), torch.tensor([signs]), (64, 64))
    return answer.masks(0)[0].numpy()


def test_the_perfect_teacher_answers_with_the_wanted_part_alone(halves):
    teacher = LabelTeacher("perfect", halves, FakeTeacher(), annotator=0)
    faces = teacher.rasterizer(view()).face_ids[0].numpy()
    expected = (faces >= 0) & (halves.segmentations[0][faces] == 1)
    assert expected.sum() > 100
    assert np.array_equal(ask(teacher, [[32.5, 20.5]], [1]), expected)
    assert np.array_equal(ask(teacher, [[32.5, 20.5], [32.5, 45.5]], [1, 1]), faces >= 0)
    assert np.array_equal(ask(teacher, [[32.5, 20.5], [32.5, 45.5]], [1, 0]), expected)


def test_a_click_beside_the_silhouette_means_the_nearest_pixel_of_the_mesh(halves):
    teacher = LabelTeacher("perfect", halves, FakeTeacher(), annotator=0)
    assert np.array_equal(ask(teacher, [[32.5, 0.5]], [1]), ask(teacher, [[32.5, 20.5]], [1]))


def test_clicks_of_both_signs_in_one_part_are_separated_as_another_person_did_else_halfway(halves):
    teacher = LabelTeacher("perfect", halves, FakeTeacher(), annotator=0)
    faces = teacher.rasterizer(view()).face_ids[0].numpy()
    left, right = [[24.5, 20.5]], [[40.5, 20.5]]
    side = halves.segmentations[1][faces[20, 24]]
    quarter = (faces >= 0) & (halves.segmentations[0][faces] == 1) & (halves.segmentations[1][faces] == side)
    assert np.array_equal(ask(teacher, left + right, [1, 0]), quarter)
    alone = LabelTeacher("perfect", LabelledShape(1, "Ball", halves.mesh, halves.segmentations[:1]), FakeTeacher())
    cut = ask(alone, left + right, [1, 0])
    assert cut[20, 24] and not cut[20, 40] and not cut[45].any()
    assert abs(int(cut.sum()) - int(quarter.sum())) < 0.1 * quarter.sum()


def test_people_answer_with_somebody_elses_part_the_same_each_time(halves):
    teacher = LabelTeacher("people", halves, FakeTeacher(), annotator=0)
    assert 0 not in teacher.others
    first = teacher.in_view(view())
    assert first.annotator == teacher.in_view(view()).annotator != 0
    turned = [orbit_cameras(torch.zeros(1), torch.tensor([a]), size=(64, 64)) for a in np.linspace(0, 6, 12)]
    assert {teacher.in_view(camera).annotator for camera in turned} == {1, 2}
    with pytest.raises(UserError, match="only one"):
        LabelTeacher("people", LabelledShape(1, "Ball", halves.mesh, halves.segmentations[:1]), FakeTeacher())
