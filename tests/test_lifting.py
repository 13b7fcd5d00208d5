import numpy as np
import torch
import trimesh

from utils.geometry.mesh import Mesh
from utils.geometry.sampling import close_together
from utils.rendering.cameras import orbit_cameras, sample_uniform_angles
from utils.rendering.lifting import DistillationQuadratic, pixel_weights
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import interpolate


def scene(views=5, size=(28, 28)):
    shape = trimesh.creation.torus(0.6, 0.25, major_sections=12, minor_sections=7)
    mesh = Mesh(np.asarray(shape.vertices, float), np.asarray(shape.faces, np.int64))
    cameras = orbit_cameras(*sample_uniform_angles(views, torch.Generator().manual_seed(1)), size=size)
    return mesh, Rasterizer(mesh)(cameras)


def test_transpose_is_the_adjoint_of_rendering():
    mesh, raster = scene()
    weights, _ = pixel_weights(mesh, raster[0])
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(mesh.num_vertices, 4, generator=generator, dtype=torch.float64)
    pixels = torch.randn(len(weights), 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close((weights.apply(values) * pixels).sum(), (values * weights.transpose(pixels)).sum())
    # The same with vertices standing for others.
    place = torch.randint(5, (mesh.num_vertices,), generator=generator)
    gathered = torch.zeros(5, 4, dtype=torch.float64).index_add_(0, place, weights.transpose(pixels))
    torch.testing.assert_close(weights.gather_matrix(place, 5).double() @ pixels, gathered, atol=1e-5, rtol=0)


def test_rows_of_r_render_as_interpolation_does():
    mesh, raster = scene()
    values = torch.randn(mesh.num_vertices, 3)
    weights, covered = pixel_weights(mesh, raster[2])
    torch.testing.assert_close(weights.apply(values), interpolate(mesh, raster[2], values)[0][covered])


def rendered_loss(field, mesh, rasters, targets):
    """The paper's Eq. 3 as written: render the field in every view and compare."""
    losses = []
    for view in range(len(rasters)):
        weights, covered = pixel_weights(mesh, rasters[view])
        losses.append((weights.apply(field) - targets[view][covered]).square().mean())
    return torch.stack(losses).mean()


def test_collapsed_loss_and_gradient_equal_the_rendered_ones():
    mesh, rasters = scene()
    targets = torch.randn(5, 28, 28, 6, generator=torch.Generator().manual_seed(2))
    quadratic = DistillationQuadratic(mesh, channels=6)
    for view in range(5):
        quadratic.add_view(rasters[view], targets[view])
    collapsed = quadratic.finish()
    field = torch.randn(mesh.num_vertices, 6, generator=torch.Generator().manual_seed(3), requires_grad=True)
    rendered = rendered_loss(field, mesh, rasters, targets)
    (rendered_gradient,) = torch.autograd.grad(rendered, field)
    value = collapsed(field)
    (gradient,) = torch.autograd.grad(value, field)
    torch.testing.assert_close(value, rendered, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, rendered_gradient, rtol=1e-4, atol=1e-7)


def test_gradient_of_the_collapsed_loss_is_right_under_a_chain():
    mesh, rasters = scene(2)
    quadratic = DistillationQuadratic(mesh, channels=2)
    for view in range(2):
        quadratic.add_view(rasters[view], torch.randn(28, 28, 2))
    collapsed = quadratic.finish()
    scale = torch.tensor(0.7, requires_grad=True)
    base = torch.randn(mesh.num_vertices, 2)
    (3 * collapsed(base * scale)).backward()
    with torch.no_grad():
        numeric = 3 * (collapsed(base * 0.701) - collapsed(base * 0.699)) / 0.002
    torch.testing.assert_close(scale.grad, numeric, rtol=1e-2, atol=1e-3)


def test_vertices_that_are_joined_have_the_loss_of_one_value():
    mesh, rasters = scene()
    targets = torch.randn(5, 28, 28, 6, generator=torch.Generator().manual_seed(2))
    place = torch.from_numpy(close_together(mesh.normalized, 60))
    joined, every = DistillationQuadratic(mesh, channels=6, place=place), DistillationQuadratic(mesh, channels=6)
    for view in range(5):
        joined.add_view(rasters[view], targets[view])
        every.add_view(rasters[view], targets[view])
    field = torch.randn(int(place.max()) + 1, 6, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(joined.finish()(field), every.finish()(field[place]), rtol=1e-5, atol=1e-6)


def test_points_are_joined_in_as_many_cells_as_there_may_be():
    points = np.random.default_rng(0).random((5000, 3)).astype(np.float32)
    place = close_together(points, 400)
    assert 300 < place.max() + 1 <= 400 and len(np.unique(place)) == place.max() + 1
    spread = [np.ptp(points[place == cell], axis=0).max() for cell in range(50)]
    assert max(spread) < 0.2
    assert np.array_equal(close_together(points[:30], 30), np.arange(30))
