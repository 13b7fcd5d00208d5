"""The benchmark's own numbers are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.iseg.decoders import build_network
from models.iseg.segmenter import DecoderSegmenter
from models.pipeline import PipelineSettings
from models.timing import TimingSettings, matrix_flops, matrix_rates, report, time_stage
from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.mesh import Mesh

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("precision", ("float32", "bfloat16"))
def test_flops_of_a_query_are_those_of_its_layers(precision, generator):
    clicks = Clicks.from_lists([3, 9], [0])
    mesh = Mesh(np.random.default_rng(0).normal(size=(400, 3)), np.arange(399).reshape(-1, 3))
    vertices = mesh.num_vertices
    network = build_network("published", None, generator)
    segmenter = DecoderSegmenter(mesh, network, torch.randn(vertices, 256, generator=generator), precision)
    linears = [layer for layer in network.decoder.mlp if isinstance(layer, torch.nn.Linear)]
    # The share of the features in the first layer is computed once a mesh; that of the clicks is a product with 3 rows.
    per_vertex = sum(layer.weight.numel() for layer in linears[1:]) + 3 * 256 + 3 * 512
    per_click = 2 * 256 * 256 + 256 * 512
    assert matrix_flops(segmenter, clicks) == pytest.approx(2 * (vertices * per_vertex + 3 * per_click), rel=0.01)


def test_matrix_rate_is_flops_over_time():
    rates = matrix_rates(torch.device("cpu"), side=64, seconds=0.01)
    assert set(rates) == {"float32", "bfloat16"}
    assert all(1e-6 < rate < 1e3 for rate in rates.values())


def test_peak_memory_sees_an_allocation_of_its_process_and_nothing_of_its_parents():
    code = (
        "from utils.memory import peak_memory_gib as peak; before = peak(); "
        "block = bytearray(b'1') * (256 << 20); del block; print(before, peak())"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    before, after = map(float, output.split())
    assert before < 1 and 0.24 < after - before < 0.27


def test_report_divides_query_time_by_the_time_at_the_measured_rate():
    query = {"architecture": "published", "clicks": 2, "precision": "bfloat16"}
    query |= {"milliseconds": 30.0, "flops": 20_000_000_000}
    stage = {"stage": "views", "seconds": 12.0, "memory_gib": 1.5, "gpu_memory_gib": 0.0}
    mesh = {"mesh": "m", "vertices": 3000, "stages": [stage, stage], "queries": [query]}
    text = report(
        {
            "machine": {"processor": "P", "gpu": "", "cores": 2, "torch": "2"},
            "preset": "fast",
            "matrix_rates_tflops": {"float32": [0.1, 0.1], "bfloat16": [0.9, 1.1]},
            "meshes": [mesh | {"agreement": {"queries": 60, "mean": 0.9996, "worst": 0.9984}}],
        }
    )
    assert "m: bfloat16 selects as float32 on 99.96% of the vertices (60 queries, the worst 99.84%)" in text
    assert "| m | 3,000 | published | 2 | bfloat16 | 30.0 | 20.00 | 20.0 | 1.50 |" in text
    assert "| m | 3,000 | **together** | **24.0** | **1.50 GiB** |" in text


def test_random_weights_need_a_model_to_be_named():
    with pytest.raises(UserError, match="needs a named model"):
        TimingSettings(random_weights=True)


@pytest.mark.slow
def test_what_stops_a_stage_in_its_process_is_told(tmp_path):
    with pytest.raises(UserError, match="none"):
        time_stage(PipelineSettings(obj_path=tmp_path / "none.obj", out_dir=tmp_path), "decoder")
