"""Networks and queries: the published equations, the published files, and what a person may click."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.attention import InteractiveAttention
from models.iseg.checkpoint import DecoderCheckpoint, load_decoder_checkpoint, save_decoder_checkpoint
from models.iseg.click_geometry import ClickGeometry, ClickGeometryTable
from models.iseg.decoders import build_network
from models.iseg.segmenter import DecoderSegmenter
from tests.published import probability, random_release
from tests.sessions import ProposingSegmenter
from utils.clicks import Clicks
from utils.device import fast_dtype
from utils.errors import UserError
from utils.files import digest, save_json, save_torch
from utils.geometry.mesh import Mesh
from utils.output.query import QuerySettings
from utils.segmenter import Candidates

QUERIES = [([5], []), ([5, 61], []), ([5], [100]), ([0], [7]), ([7], [0]), ([1, 2, 3, 4], [5, 6, 7])]


def ask(segmenter, clicks):
    """The answer as a tensor, to compare it with the equations."""
    return torch.from_numpy(segmenter.probability(clicks))


@pytest.fixture
def geometric(two_boxes, generator):
    """A random geometric network and features for it."""
    features = torch.tanh(torch.randn(two_boxes.num_vertices, 256, generator=generator))
    network = build_network("geometric", generator=generator)
    network.decoder.standardize(features)
    return network, features


def _save(network, directory, mesh, features, **changes):
    """A checkpoint of ours and its features; returns both paths."""
    save_torch(directory / "pred_f.pth", features)
    held = DecoderCheckpoint(
        network.attention.state_dict(),
        network.decoder.state_dict(),
        architecture=network.architecture,
        config=network.config(),
        mesh_digest=mesh.digest,
        features_digest=digest(features),
    )
    for name, value in changes.items():
        setattr(held, name, value)
    save_decoder_checkpoint(directory / "ours.pth", held)
    return directory / "ours.pth", directory / "pred_f.pth"


# --- the published network ----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module."])
def test_released_files_give_the_published_equations_to_1e5(icosphere, tmp_path, prefix):
    features, checkpoint, weights, field = random_release(tmp_path, icosphere.num_vertices, prefix=prefix)
    segmenter = DecoderSegmenter.load(checkpoint, features, icosphere)
    for positives, negatives in QUERIES[:3] if prefix else QUERIES:
        expected = probability(weights, field, positives, negatives)
        assert expected.std() > 0.05
        found = ask(segmenter, Clicks.from_lists(positives, negatives))
        assert found.dtype == torch.float32 and found.shape == (icosphere.num_vertices,)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_the_trained_network_is_the_one_that_answers(icosphere, tmp_path):
    """What training evaluates in float32 is what the query evaluates with everything cached and folded."""
    features, checkpoint, _, _ = random_release(tmp_path, icosphere.num_vertices)
    held, field = load_decoder_checkpoint(checkpoint), torch.load(features, weights_only=True)
    network = build_network("published")
    network.attention.load_state_dict(held.attention_state_dict)
    network.decoder.load_state_dict(held.model_state_dict)
    clicks = Clicks.from_lists([5, 61], [100])
    with torch.no_grad():
        logits = network(field, field[clicks.vertices], clicks.positive)
        whole = network.decoder(
            torch.cat([field, network.attention(field, field[clicks.vertices], clicks.positive)], dim=1)
        )
    torch.testing.assert_close(whole, logits.softmax(-1), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        ask(DecoderSegmenter(icosphere, network, field, "float32"), clicks), whole[:, 1], rtol=0, atol=5e-5
    )


def test_published_decoder_has_the_published_size_and_names():
    network = build_network("published")
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_586_946
    shapes = {name: tuple(value.shape) for name, value in network.decoder.state_dict().items()}
    assert len(shapes) == 62 and shapes["mlp.0.weight"] == (512, 512) and shapes["mlp.2.weight"] == (512,)
    assert (
        shapes["mlp.3.weight"] == (256, 512)
        and shapes["mlp.42.weight"] == (256, 256)
        and shapes["mlp.45.weight"] == (2, 256)
    )
    assert {name.split(".")[0] for name in network.attention.state_dict()} == {"W_Q", "W_Kp", "W_Kn", "W_Vp", "W_Vn"}


def test_attention_ignores_absent_clicks_and_their_order(generator):
    attention = InteractiveAttention()
    features, clicks = torch.randn(2, 20, 256, generator=generator), torch.randn(2, 3, 256, generator=generator)
    positive = torch.tensor([[True, False, True], [True, True, True]])
    present = torch.tensor([[True, True, False], [True, True, True]])
    found = attention(features, clicks, positive, present)
    torch.testing.assert_close(found[0], attention(features[0], clicks[0, :2], positive[0, :2]))
    order = [2, 0, 1]
    torch.testing.assert_close(
        found[1], attention(features[1], clicks[1, order], positive[1, order]), rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(attention(features[1], clicks[1], ~positive[1]), found[1])


# --- any clicks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["published", "geometric"])
def test_order_and_repetition_of_clicks_do_not_matter(architecture, two_boxes, geometric, generator):
    network, features = geometric
    if architecture == "published":
        network = build_network("published", generator=generator)
    segmenter = DecoderSegmenter(two_boxes, network, features)
    answer = ask(segmenter, Clicks.from_lists([3, 150, 90], [40, 7]))
    assert torch.equal(answer, ask(segmenter, Clicks.from_signed(["-7", "90", "3", "-40", "150"])))
    # The release gives a single click as two equal ones.
    assert torch.equal(ask(segmenter, Clicks.from_lists([3])), ask(segmenter, Clicks.from_lists([3, 3])))


@pytest.mark.parametrize("architecture", ["published", "geometric"])
def test_vertex_zero_can_be_included_and_excluded(architecture, two_boxes, geometric, generator):
    network, features = geometric
    if architecture == "published":
        network = build_network("published", generator=generator)
    segmenter = DecoderSegmenter(two_boxes, network, features)
    both = ask(segmenter, Clicks.from_lists([100, 0])), ask(segmenter, Clicks.from_lists([100], [0]))
    assert (both[0] - both[1]).abs().max() > 1e-3


@pytest.mark.parametrize("positives, negatives", [([3], []), ([3, 150], []), ([3, 120, 60], [0, 9])])
def test_query_sees_the_geometry_that_training_saw(two_boxes, geometric, positives, negatives):
    network, features = geometric
    geometry, clicks = ClickGeometry(two_boxes), Clicks.from_lists(positives, negatives)
    rows = torch.arange(two_boxes.num_vertices)
    table = ClickGeometryTable(geometry, clicks.vertices.unique(), rows)
    seen = table(
        clicks.vertices[None], clicks.positive[None], torch.ones(1, len(clicks), dtype=torch.bool), rows[None]
    )[0]
    with torch.no_grad():
        expected = network(features, features[clicks.vertices], clicks.positive, None, seen).softmax(-1)[:, 1]
    torch.testing.assert_close(ask(DecoderSegmenter(two_boxes, network, features), clicks), expected, rtol=0, atol=1e-5)


def test_bfloat16_answers_nearly_the_same(two_boxes, geometric):
    network, features = geometric
    clicks = Clicks.from_lists([3], [150])
    exact = ask(DecoderSegmenter(two_boxes, network, features), clicks)
    rounded = ask(DecoderSegmenter(two_boxes, network, features, "bfloat16"), clicks)
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.05


def test_auto_precision_takes_what_the_processor_is_fast_in(two_boxes, geometric):
    assert DecoderSegmenter(two_boxes, *geometric, "auto").dtype == fast_dtype("cpu")
    with pytest.raises(UserError, match="precision"):
        DecoderSegmenter(two_boxes, *geometric, "float8")


def test_a_query_of_many_rows_is_the_same_in_chunks(monkeypatch, two_boxes, geometric):
    segmenter = DecoderSegmenter(two_boxes, *geometric)
    whole = ask(segmenter, Clicks.from_lists([3]))
    monkeypatch.setattr("models.iseg.segmenter.CHUNK_ROWS", {"cpu": 17})
    torch.testing.assert_close(ask(segmenter, Clicks.from_lists([3])), whole, rtol=0, atol=1e-6)


# --- files that do not fit ----------------------------------------------------------------------


def test_our_checkpoint_reloads_the_same_answer(two_boxes, geometric, tmp_path):
    network, features = geometric
    checkpoint, field = _save(network, tmp_path, two_boxes, features)
    clicks = Clicks.from_lists([3], [150])
    expected = ask(DecoderSegmenter(two_boxes, network, features), clicks)
    assert torch.equal(ask(DecoderSegmenter.load(checkpoint, field, two_boxes), clicks), expected)


@pytest.mark.parametrize(
    "positives, negatives, message",
    [
        ([], [3], "no positive click"),
        ([3], [3], "both as a positive and as a negative"),
        ([196], [], "from 0 to 195"),
        ([-1], [], "from 0 to 195"),
    ],
)
def test_impossible_clicks_are_refused(two_boxes, geometric, positives, negatives, message):
    with pytest.raises(UserError, match=message):
        ask(DecoderSegmenter(two_boxes, *geometric), Clicks.from_lists(positives, negatives))


def test_checkpoint_of_another_mesh_or_field_is_refused(two_boxes, geometric, tmp_path):
    network, features = geometric
    other = Mesh(two_boxes.vertices * 1.001, two_boxes.faces)
    with pytest.raises(UserError, match="another mesh"):
        DecoderSegmenter.load(*_save(network, tmp_path, other, features), two_boxes)
    with pytest.raises(UserError, match="another feature field"):
        DecoderSegmenter.load(*_save(network, tmp_path, two_boxes, features, features_digest="0" * 16), two_boxes)


def test_features_of_another_mesh_are_refused(two_boxes, icosphere, geometric, tmp_path):
    network, features = geometric
    checkpoint, field = _save(network, tmp_path, two_boxes, features)
    with pytest.raises(UserError, match="196 vertices .* has 162"):
        DecoderSegmenter.load(checkpoint, field, icosphere)
    save_json(tmp_path / "pred_f.json", {"mesh_digest": icosphere.digest})
    with pytest.raises(UserError, match="features of another mesh"):
        DecoderSegmenter.load(checkpoint, field, two_boxes)
    save_json(tmp_path / "pred_f.json", {"mesh_digest": two_boxes.digest, "features_digest": "0" * 16})
    with pytest.raises(UserError, match="not the file"):
        DecoderSegmenter.load(checkpoint, field, two_boxes)


@pytest.mark.parametrize(
    "value, message",
    [
        ({"anything": 1}, "not a feature field"),
        (torch.zeros(196, 64), "64 channels"),
        (torch.full((196, 256), float("nan")), "NaN"),
        (torch.zeros(196, 256, dtype=torch.int64), "not a feature field"),
    ],
)
def test_files_that_are_no_features_are_refused(two_boxes, geometric, tmp_path, value, message):
    checkpoint, field = _save(*geometric[:1], tmp_path, two_boxes, geometric[1])
    torch.save(value, field)
    with pytest.raises(UserError, match=message):
        DecoderSegmenter.load(checkpoint, field, two_boxes)


def test_unknown_architecture_or_configuration_is_refused(two_boxes, geometric, tmp_path):
    for changes, message in (
        ({"architecture": "transformer"}, "unknown decoder architecture 'transformer'"),
        ({"config": {"heads": 3}}, "configuration"),
        ({"config": {"depth": "many"}}, "configuration"),
        ({"config": {"depth": 2}}, "does not fit"),
        ({"architecture": "published"}, "does not fit"),
    ):
        with pytest.raises(UserError, match=message):
            DecoderSegmenter.load(*_save(geometric[0], tmp_path, two_boxes, geometric[1], **changes), two_boxes)


def test_truncated_or_foreign_checkpoint_is_refused(two_boxes, geometric, tmp_path):
    checkpoint, field = _save(*geometric[:1], tmp_path, two_boxes, geometric[1])
    content = checkpoint.read_bytes()
    for damaged in (content[: len(content) // 2], content[:10], b"", b"not a checkpoint at all"):
        checkpoint.write_bytes(damaged)
        with pytest.raises(UserError, match="ours.pth"):
            DecoderSegmenter.load(checkpoint, field, two_boxes)
    with pytest.raises(UserError, match="is not a decoder checkpoint"):
        DecoderSegmenter.load(field, field, two_boxes)
    with pytest.raises(UserError, match="no decoder checkpoint at"):
        DecoderSegmenter.load(tmp_path / "absent.pth", field, two_boxes)


def test_a_rung_is_a_step_of_the_ladder_as_far_as_there_are_such(icosphere):
    segmenter = ProposingSegmenter(icosphere)
    rows = segmenter.ladder(Clicks.from_signed([3])).probability
    for rung, row in ((-9, 0), (-1, 0), (0, 1), (1, 2), (3, 4), (9, 4)):
        assert (segmenter.segment([3], rung=rung).probability == rows[row]).all()
    with pytest.raises(UserError, match="give one of them"):
        QuerySettings(rung=1, granularity=0.3)


def test_answers_that_select_the_same_are_shown_once():
    rows = np.array(
        [[0.1, 0.2, 0.6, 0.6], [0.2, 0.3, 0.7, 0.9], [0.2, 0.6, 0.7, 0.9], [0.4, 0.8, 0.9, 1.0], [1, 1, 1, 1]]
    )
    quality = np.array([0.1, 0.2, 0.3, 0.4, 0.5], dtype=np.float32)
    for default, kept in ((1, [1, 2, 4]), (0, [0, 2, 4]), (3, [0, 3, 4]), (4, [0, 2, 4])):
        distinct = Candidates(rows, quality, default).distinct()
        assert np.array_equal(distinct.probability, rows[kept]) and np.array_equal(distinct.quality, quality[kept])
        assert kept[distinct.middle] == default
    assert Candidates(rows[:1]).distinct().quality is None
