"""Hostile input ends in an answer or in one line: the cases of `tests.fuzz`."""

from __future__ import annotations

import pytest

from tests.fuzz import ANSWERED, CASES, FAULTS, REFUSED, Outcome, fuzz


def _require_no_faults(outcomes: list[Outcome]) -> None:
    faults = [each for each in outcomes if each.verdict in FAULTS]
    assert not faults, "\n".join(f"{each.kind}: {each.verdict}: {each.detail}" for each in faults[:5])


def test_two_hundred_hostile_cases_end_in_an_answer_or_in_one_line():
    outcomes = fuzz(200)
    _require_no_faults(outcomes)
    for kind in CASES:  # both ends are reached: the cases are neither all hopeless nor all harmless
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
