"""Clicks: what they say and what they refuse."""

import argparse

import pytest
import torch

from utils.clicks import Clicks
from utils.errors import UserError


def test_published_notation_is_read():
    clicks = Clicks.from_signed([5141, "-10795", "+61"])
    assert clicks.vertices.tolist() == [5141, 10795, 61] and clicks.vertices.dtype == torch.int64
    assert clicks.positive.tolist() == [True, False, True] and clicks.positive.dtype == torch.bool
    assert clicks.positives.tolist() == [5141, 61] and clicks.negatives.tolist() == [10795]


def test_excluding_vertex_zero_differs_from_including_it():
    assert Clicks.from_signed(["0"]).positive.tolist() == [True]
    assert Clicks.from_signed(["-0"]).positive.tolist() == [False]
    assert Clicks.from_signed(["-0"]).vertices.tolist() == [0]
    assert Clicks.from_signed(["-0"]).label() == "v-0" != Clicks.from_signed(["0"]).label()
    assert Clicks.from_lists([5], [0]).key == Clicks.from_signed(["5", "-0"]).key != Clicks.from_signed(["5", "0"]).key


def test_argparse_hands_minus_zero_on_as_text():
    parser = argparse.ArgumentParser()
    parser.add_argument("--select_vertices", nargs="+")
    args = parser.parse_args(["--select_vertices", "5", "-0", "-7"])
    assert Clicks.from_signed(args.select_vertices).negatives.tolist() == [0, 7]


@pytest.mark.parametrize("text", ["five", "1.5", "", "--3", "1e3", "- 4", "9" * 30])
def test_text_that_is_no_vertex_is_refused(text):
    with pytest.raises(UserError, match="whole numbers"):
        Clicks.from_signed([text])


def test_label_is_the_published_file_name():
    assert Clicks.from_signed([5141, -10795]).label() == "v5141_v-10795"


def test_order_and_repetition_do_not_change_the_key():
    assert Clicks.from_signed([3, -4, 9]).key == Clicks.from_signed([9, 3, 3, -4]).key
    assert Clicks.from_signed([9, -4, 3, 9]).canonical().vertices.tolist() == [3, 9, 4]
    assert Clicks.from_signed([3, 4]).key != Clicks.from_signed([3, -4]).key


def test_unaskable_clicks_are_refused_with_what_to_do():
    with pytest.raises(UserError, match="12.*0 to 9"):
        Clicks.from_lists([12]).validate(10)
    with pytest.raises(UserError, match="-1.*0 to 9"):
        Clicks.from_lists([-1]).validate(10)
    with pytest.raises(UserError, match="positive"):
        Clicks.from_lists([], [3]).validate(10)
    with pytest.raises(UserError, match="positive"):
        Clicks.from_lists().validate(10)
    with pytest.raises(UserError, match="vertex 3.*both"):
        Clicks.from_lists([3, 4], [3]).validate(10)
    clicks = Clicks.from_lists([9, 0], [1])
    assert clicks.validate(10) is clicks
