"""Hostile input ends in an answer or in one line: the cases of `tests.fuzz`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.points.embedding import load_network
from models.prior.checkpoint import WEIGHTS, load_prior
from SAM_repo.teacher import load_teacher
from tests.fuzz import ANSWERED, CASES, FAULTS, REFUSED, Outcome, fuzz
from tests.kills import protocol
from tests.page_kills import kill_page
from utils.errors import UserError
from utils.shipped import ROOT, SHIPPED, check_shipped


def _require_no_faults(outcomes: list[Outcome]) -> None:
    faults = [each for each in outcomes if each.verdict in FAULTS]
    assert not faults, "\n".join(f"{each.kind}: {each.verdict}: {each.detail}" for each in faults[:5])


def test_two_hundred_hostile_cases_end_in_an_answer_or_in_one_line():
    outcomes = fuzz(200)
    _require_no_faults(outcomes)
    for kind in CASES.keys() - {"scripts"}:  # both ends are reached: not all are hopeless, nor all harmless
        assert {ANSWERED, REFUSED} <= {each.verdict for each in outcomes if each.kind == kind}


@pytest.mark.slow
def test_five_thousand_hostile_cases_end_in_an_answer_or_in_one_line():
    _require_no_faults(fuzz(5000, first=200))


def test_a_fault_would_be_seen(tmp_path, monkeypatch):
    from tests import fuzz as module

    def wrong(*_):
        raise module.Wrong("seen")

    def fault(*_):
        raise ZeroDivisionError

    for case, verdict in ((wrong, "wrong"), (fault, "traceback")):
        monkeypatch.setattr(module, "CASES", {"any": (1.0, case)})
        assert module.run_case(0, 0, tmp_path).verdict == verdict


# --- what comes from elsewhere ---------------------------------------------------------------------------


def test_the_weights_of_the_repository_are_as_they_were_shipped(tmp_path):
    shipped = [*(ROOT / "models" / "weights").glob("*.pt"), ROOT / "SAM_repo" / "model_checkpoints" / "vit_t.pth"]
    assert {path.relative_to(ROOT).as_posix() for path in shipped} == SHIPPED.keys()
    for path in shipped:
        check_shipped(path)
    (tmp_path / "models" / "weights").mkdir(parents=True)
    other = tmp_path / "models" / "weights" / WEIGHTS.name
    shutil.copy(ROOT / "models" / "weights" / "iseg3d.pt", other)
    check_shipped(other)  # elsewhere it is nobody's business
    with pytest.raises(UserError, match="git checkout -- models/weights/prior_vit_t.pt"):
        check_shipped(other, tmp_path)


def test_every_reader_of_shipped_weights_compares_them(monkeypatch):
    for name in SHIPPED:
        monkeypatch.setitem(SHIPPED, name, "0" * 64)
    readers = (
        lambda: load_prior(),
        lambda: load_network(ROOT / "models" / "weights" / "iseg3d.pt", "embedding"),
        lambda: load_network(ROOT / "models" / "weights" / "iseg3d_heatmap.pt", "heatmap"),
        lambda: load_network(ROOT / "models" / "weights" / "iseg3d_cubes.pt", "cubes"),
        lambda: load_teacher("vit_t"),
    )
    for read in readers:
        with pytest.raises(UserError, match="not as it was shipped"):
            read()


def _pins(path: Path) -> dict[str, str]:
    """Each pinned package with its marker, and the lines that follow."""
    found = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)
    return {block.splitlines()[0].rstrip(" \\"): block for block in found if "==" in block.splitlines()[0]}


@pytest.mark.parametrize(
    ("name", "least"), (("requirements", 50), ("requirements-collection", 10), ("requirements-kaolin", 20))
)
def test_every_pinned_requirement_has_its_hashes(name, least):
    pinned, hashed = _pins(ROOT / f"{name}.txt"), _pins(ROOT / f"{name}-hashed.txt")
    without = {name for name in pinned if name.startswith("kaolin==")}  # its page publishes none
    assert pinned.keys() - without <= hashed.keys() and len(pinned) > least
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in hashed.values())


# --- kills -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_but_the_step_in_flight_is_gone_from_the_page_in_30_kills(tmp_path):
    counts = kill_page(30, tmp_path, np.random.default_rng(0))
    assert counts.kills == 30 and not counts.faults, counts


@pytest.mark.slow
def test_every_stage_killed_at_random_moments_ends_as_one_that_was_left_alone():
    for name, counts in protocol(32):
        assert counts.kills == 4 and not counts.faults, f"{name}: {counts}"
