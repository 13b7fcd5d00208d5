"""The paths that need a GPU, as far as a machine without one can tell: the Kaolin renderer, and where tensors lie."""

from __future__ import annotations

import timeit

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from models.iseg.click_geometry import GEOMETRY_CHANNELS
from models.iseg.decoders import ARCHITECTURES, build_network
from models.iseg.field import FeatureField, FieldConfig
from models.iseg.losses import lifted_loss
from tests import fake_kaolin
from tests.test_rendering import as_mesh, some_cameras, two_balls
from utils import device
from utils.geometry.mesh import Mesh
from utils.rendering.lifting import pixel_weights
from utils.rendering.rasterize import Rasterizer, visible_vertices
from utils.rendering.shading import interpolate, shade

GPU = "meta"  # the one other device that every machine has: operations that mix it with the CPU fail


@pytest.fixture
def fake_gpu():
    """Tensors without values whose device is checked in every operation, also where sizes depend on values."""
    with FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=False) as mode:
        yield mode


@pytest.mark.parametrize("size", [(24, 20), (33, 48)])
def test_the_kaolin_wrapper_sees_what_embree_sees(monkeypatch, size):
    fake_kaolin.install(monkeypatch)
    mesh, cameras = as_mesh(two_balls()), some_cameras(4, size)
    embree, kaolin = Rasterizer(mesh, "embree")(cameras), Rasterizer(mesh, "kaolin")(cameras)
    other = embree.face_ids != kaolin.face_ids
    assert float(other.float().mean()) < 0.005  # at silhouettes and where an edge runs through a pixel's centre
    assert float((embree.covered != kaolin.covered).float().mean()) < 0.003
    both = embree.covered & kaolin.covered & ~other
    torch.testing.assert_close(embree.depth[both], kaolin.depth[both], atol=1e-5, rtol=0)
    torch.testing.assert_close(embree.barycentric[both], kaolin.barycentric[both], atol=1e-4, rtol=0)


def test_the_stand_in_follows_the_rules_of_the_kernel():
    """One triangle over half of a 4 x 4 image, and a second one behind it, then before it."""
    corners = torch.tensor([[[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]])
    depth = torch.full((1, 3), -2.0)
    view = fake_kaolin.rasterize(4, 4, depth[None], corners[None], torch.zeros(1, 1, 3, 1))[1][0]
    below = torch.tensor([[0, -1, -1, -1], [0, 0, -1, -1], [0, 0, 0, -1], [0, 0, 0, 0]])  # row 0 is the top: y up
    assert view.tolist() == below.tolist()
    for behind, nearest in ((-3.0, 0), (-1.0, 1), (-2.0, 0)):
        pair = torch.cat([depth, torch.full((1, 3), behind)])[None]
        both = torch.cat([corners, corners])[None].contiguous()
        view = fake_kaolin.rasterize(4, 4, pair, both, torch.zeros(1, 2, 3, 1))[1][0]
        assert view.max() == nearest and (view == nearest).sum() == 10
    flat = torch.tensor([[[-1.0, 0.25], [1.0, 0.25], [0.0, 0.25]]])  # of no height: no pixel lies in its box
    assert (fake_kaolin.rasterize(4, 4, depth[None], flat[None], torch.zeros(1, 1, 3, 1))[1] == -1).all()


def test_everything_the_kaolin_renderer_is_given_lies_on_the_gpu(monkeypatch, fake_gpu, icosphere):
    fake_kaolin.install(monkeypatch)
    given = []

    def rasterize(height, width, *tensors, backend):
        given.extend(tensors)
        return None, torch.full((len(tensors[0]), height, width), -1, device=tensors[0].device)

    monkeypatch.setattr(fake_kaolin, "rasterize", rasterize)
    raster = Rasterizer(icosphere, "kaolin", GPU)(some_cameras(2))
    assert given and {str(tensor.device) for tensor in given} == {GPU}
    assert {str(tensor.device) for tensor in vars(raster).values()} == {GPU}


def _raster(mesh: Mesh, cameras) -> object:
    """What a renderer would give, on the fake GPU."""
    from utils.rendering.rasterize import Rasterization

    shape = (len(cameras), *cameras.size)
    where = {"device": GPU}
    return Rasterization(torch.zeros(shape, dtype=torch.int64, **where), torch.zeros((*shape, 3), **where),
                         torch.zeros(shape, **where))  # fmt: skip


def test_what_is_made_of_a_view_stays_on_the_gpu(fake_gpu, icosphere):
    cameras = some_cameras(2)
    raster = _raster(icosphere, cameras)
    values = torch.zeros((icosphere.num_vertices, 5), device=GPU)
    weights, covered = pixel_weights(icosphere, raster[0])
    results = [
        visible_vertices(icosphere, cameras, raster),
        shade(icosphere, cameras, raster),
        shade(
            icosphere, cameras, raster, vertex_colors=torch.zeros((icosphere.num_vertices, 3), device=GPU), smooth=True
        ),
        interpolate(icosphere, raster, values),
        weights.apply(values),
        covered,
    ]
    assert {str(result.device) for result in results} == {GPU}


def test_the_networks_of_the_paper_run_and_learn_on_the_gpu():
    field = FeatureField(FieldConfig()).to(GPU)
    features = field(torch.zeros((50, 3), device=GPU))
    features.sum().backward()
    assert {str(parameter.grad.device) for parameter in field.parameters()} == {GPU} == {str(features.device)}
    for architecture in ARCHITECTURES:
        network = build_network(architecture).to(GPU)
        signs = torch.ones((4, 2), dtype=torch.bool, device=GPU)
        rows, clicked = torch.zeros((4, 9, 256), device=GPU), torch.zeros((4, 2, 256), device=GPU)
        seen = torch.zeros((4, 9, GEOMETRY_CHANNELS), device=GPU) if network.uses_geometry else None
        logits = network(rows, clicked, signs, signs, seen)
        lifted_loss(logits, torch.zeros((4, 9), device=GPU), torch.ones((4, 9), device=GPU)).backward()
        assert {str(parameter.grad.device) for parameter in network.parameters() if parameter.grad is not None} == {GPU}


def test_a_tensor_left_on_the_wrong_device_would_be_noticed(fake_gpu):
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(3) + torch.zeros(3, device=GPU)
    with pytest.raises(AssertionError, match="several devices"):
        fake_kaolin.rasterize(2, 2, torch.zeros((1, 1, 3)), torch.zeros((1, 1, 3, 2), device=GPU), torch.zeros(1))


def test_the_fast_format_is_what_multiplies_faster(monkeypatch):
    def seconds(dtype: torch.dtype) -> float:
        matrix = torch.ones(1024, 1024, dtype=dtype)
        return min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=6))

    if device.has_bfloat16_kernels():
        ratio = seconds(torch.float32) / seconds(torch.bfloat16)
        if not 0.9 < ratio < 1.5:  # else either is right
            assert device.fast_dtype("cpu") == (torch.bfloat16 if ratio > 1 else torch.float32)
    monkeypatch.setattr(device, "has_bfloat16_kernels", lambda: False)
    assert device.fast_dtype("cpu") == torch.float32
