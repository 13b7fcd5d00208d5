"""Cameras, rasterisation, visibility and shading against slow references."""

import math

import numpy as np
import pytest
import torch
import trimesh

from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.rendering.cameras import (
    Cameras,
    orbit_cameras,
    sample_front_angles,
    sample_sphere_angles,
    sample_uniform_angles,
)
from utils.rendering.rasterize import Rasterizer, choose_backend, visible_vertices
from utils.rendering.shading import BACKGROUND, MESH_COLOR, interpolate, shade, to_uint8


def some_cameras(count=3, size=(24, 20), seed=0):
    return orbit_cameras(*sample_uniform_angles(count, torch.Generator().manual_seed(seed)), size=size)


def two_balls():
    """A small ball in front (+x) of a large one."""
    near = trimesh.creation.icosphere(subdivisions=2, radius=0.2)
    near.apply_translation([0.95, 0, 0])
    return trimesh.util.concatenate([trimesh.creation.icosphere(subdivisions=3, radius=0.5), near])


def as_mesh(shape):
    return Mesh(np.asarray(shape.vertices, float), np.asarray(shape.faces, np.int64))


def test_camera_looks_at_the_origin_with_y_up():
    cameras = orbit_cameras(torch.tensor([0.0, 0.4, -1.2]), torch.tensor([0.0, 2.0, 4.0]), radius=2.0)
    pixels, depth = cameras.project(torch.tensor([[0.0, 0, 0], [0, 0.3, 0]]))
    torch.testing.assert_close(pixels[:, 0], torch.full((3, 2), 112.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(depth[:, 0], torch.full((3,), 2.0))
    assert (pixels[:, 1, 1] < 112).all()  # +y is towards row 0
    expected = [2 * math.cos(0.4) * math.cos(2), 2 * math.sin(0.4), 2 * math.cos(0.4) * math.sin(2)]
    torch.testing.assert_close(cameras.positions[1], torch.tensor(expected), atol=1e-5, rtol=0)


def test_cameras_are_right_handed_and_defined_at_the_poles():
    cameras = orbit_cameras(torch.tensor([math.pi / 2, -math.pi / 2, 2.0, 0.3]), torch.tensor([0.0, 1.0, 0.5, 5.0]))
    rotation = cameras.world_to_camera[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(4, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(4))
    assert (rotation[2:, 1, 1] < 0).all()  # world +y points against the image's downward axis, also beyond a pole


def test_rays_project_back_onto_their_pixel_centres():
    cameras = some_cameras()
    origins, directions = cameras.rays()
    points = origins[1] + 1.3 * directions[1].reshape(-1, 3)
    row, column = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(20) + 0.5, indexing="ij")
    torch.testing.assert_close(
        cameras[1].project(points)[0][0], torch.stack([column, row], -1).reshape(-1, 2), atol=1e-3, rtol=0
    )


def test_samplings_are_repeatable_and_sphere_is_even():
    for sample in (
        lambda g: sample_front_angles(50, 4.0, g),
        lambda g: sample_uniform_angles(50, g),
        lambda g: sample_sphere_angles(50, g),
    ):
        first, second = (torch.stack(sample(torch.Generator().manual_seed(3))) for _ in range(2))
        assert torch.equal(first, second)
    positions = orbit_cameras(*sample_sphere_angles(200, torch.Generator().manual_seed(0)), radius=1.0).positions
    assert positions.mean(0).norm() < 0.02
    nearest = (torch.cdist(positions, positions) + 9 * torch.eye(200)).min(1).values
    assert nearest.min() > 0.6 * nearest.mean()


def test_cameras_survive_saving():
    cameras = some_cameras()
    again = Cameras.from_dict(cameras.to_dict())
    assert torch.equal(again.world_to_camera, cameras.world_to_camera) and again.size == cameras.size


def slow_first_hit(mesh, origin, direction):
    """Nearest face along a ray, its barycentric weights and distance, by a loop over all triangles."""
    best = (-1, None, math.inf)
    for index, (a, b, c) in enumerate(mesh.normalized.astype(float)[mesh.faces]):
        matrix = np.stack([b - a, c - a, -direction], axis=1)
        if abs(np.linalg.det(matrix)) < 1e-14:
            continue
        u, v, t = np.linalg.solve(matrix, origin - a)
        if u >= 0 and v >= 0 and u + v <= 1 and 0 < t < best[2]:
            best = (index, np.array([1 - u - v, u, v]), t)
    return best


def test_embree_sees_what_a_loop_over_all_triangles_sees():
    mesh = as_mesh(trimesh.creation.torus(0.6, 0.25, major_sections=10, minor_sections=6))
    cameras = some_cameras(2, (14, 14))
    raster = Rasterizer(mesh)(cameras)
    origins, directions = cameras.rays()
    disagreements = 0
    for view in range(2):
        forward = cameras.world_to_camera[view, 2, :3].double().numpy()
        for row in range(14):
            for column in range(14):
                direction = directions[view, row, column].double().numpy()
                face, weights, distance = slow_first_hit(mesh, origins[view].double().numpy(), direction)
                if face != int(raster.face_ids[view, row, column]):
                    disagreements += 1  # a ray through an edge may belong to either side
                elif face >= 0:
                    np.testing.assert_allclose(raster.barycentric[view, row, column], weights, atol=1e-4)
                    assert float(raster.depth[view, row, column]) == pytest.approx(
                        distance * (direction @ forward), abs=1e-4
                    )
    assert raster.covered.sum() > 60 and disagreements <= 2


def test_background_is_marked_as_background():
    raster = Rasterizer(as_mesh(two_balls()))(some_cameras())
    empty = ~raster.covered
    assert empty.any() and raster.covered.any()
    assert (raster.barycentric[empty] == 0).all() and torch.isinf(raster.depth[empty]).all()


def test_interpolated_positions_project_onto_their_pixels():
    mesh, cameras = as_mesh(two_balls()), some_cameras(1, (40, 40))
    raster = Rasterizer(mesh)(cameras)
    points = interpolate(mesh, raster, torch.from_numpy(mesh.normalized))[0][raster.covered[0]]
    row, column = torch.nonzero(raster.covered[0], as_tuple=True)
    torch.testing.assert_close(cameras.project(points)[0][0], torch.stack([column, row], -1) + 0.5, atol=0.02, rtol=0)


def test_occluded_vertex_is_never_visible():
    shape = two_balls()
    mesh, cameras = as_mesh(shape), some_cameras(12, (224, 224))
    visible = visible_vertices(mesh, cameras, Rasterizer(mesh)(cameras))
    exact = trimesh.Trimesh(mesh.normalized, mesh.faces, process=False)
    for view in range(12):
        seen = torch.nonzero(visible[view])[:, 0].numpy()
        assert len(seen) > 100
        towards = cameras.positions[view].numpy() - mesh.normalized[seen]
        start = mesh.normalized[seen] + 0.02 * mesh.vertex_normals[seen] + 0.02 * towards
        blocked = exact.ray.intersects_any(start, towards)
        # A vertex within a pixel of the silhouette may count either way; nothing else.
        slope = (towards * mesh.vertex_normals[seen]).sum(1) / np.linalg.norm(towards, axis=1)
        assert not blocked[slope > 0.15].any()


def test_some_vertices_are_seen_where_all_are():
    mesh, cameras = as_mesh(two_balls()), some_cameras(5, (96, 96))
    raster, asked = Rasterizer(mesh)(cameras), torch.tensor([7, 0, 30, 7, 11])
    every = visible_vertices(mesh, cameras, raster)
    assert torch.equal(visible_vertices(mesh, cameras, raster, asked), every[:, asked])
    assert every.any() and not every.all()
    assert visible_vertices(mesh, cameras, raster, asked[:0]).shape == (5, 0)
    assert visible_vertices(mesh, cameras[:0], raster[:0], asked).shape == (0, 5)


def test_vertices_that_face_an_open_view_are_visible():
    mesh = as_mesh(trimesh.creation.icosphere(subdivisions=3))
    cameras = some_cameras(6, (224, 224))
    visible = visible_vertices(mesh, cameras, Rasterizer(mesh)(cameras))
    towards = torch.nn.functional.normalize(cameras.positions[:, None] - torch.from_numpy(mesh.normalized), dim=-1)
    facing = (towards * torch.from_numpy(mesh.vertex_normals)).sum(-1)
    assert visible[facing > 0.2].float().mean() > 0.995 and not visible[facing < -0.2].any()


def test_inside_out_mesh_looks_and_clicks_the_same():
    mesh = as_mesh(two_balls())
    flipped = Mesh(mesh.vertices, mesh.faces[:, ::-1])
    cameras = some_cameras(2, (96, 96))
    first, second = Rasterizer(mesh)(cameras), Rasterizer(flipped)(cameras)
    assert (shade(mesh, cameras, first) - shade(flipped, cameras, second)).abs().mean() < 1e-3
    agree = visible_vertices(mesh, cameras, first) == visible_vertices(flipped, cameras, second)
    assert agree.float().mean() > 0.995


def test_shading_follows_the_published_light():
    mesh, cameras = as_mesh(trimesh.creation.box([1, 1.2, 0.8])), some_cameras(1, (16, 16), seed=5)
    raster = Rasterizer(mesh)(cameras)
    image = shade(mesh, cameras, raster)[0]
    for row, column in torch.nonzero(raster.covered[0])[::7].tolist():
        normal = mesh.face_normals[int(raster.face_ids[0, row, column])]
        x, down, forward = cameras.world_to_camera[0, :3, :3].numpy() @ normal
        light = 0.28209479177 + 0.4886025119 * (x - down - forward)
        np.testing.assert_allclose(image[row, column], np.clip(light * MESH_COLOR[0], 0, 1), atol=1e-5)
    assert (image[~raster.covered[0]] == torch.tensor(BACKGROUND)).all()


def test_uint8_rounds_to_the_nearest_level():
    assert to_uint8(torch.tensor([0.0, 0.5, 1.0, 0.0019])).tolist() == [0, 128, 255, 0]


def test_kaolin_is_refused_with_advice_where_it_cannot_run():
    if torch.cuda.is_available():
        pytest.skip("a CUDA GPU is here")
    assert choose_backend("auto", "cpu") == "embree"
    with pytest.raises(UserError, match="--renderer embree"):
        choose_backend("kaolin", "cpu")


@pytest.mark.gpu
def test_kaolin_and_embree_see_the_same():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    pytest.importorskip("kaolin.render.mesh", reason="Kaolin is not installed")
    mesh, cameras = as_mesh(two_balls()), some_cameras(4, (128, 128))
    embree = Rasterizer(mesh, "embree", "cpu")(cameras)
    kaolin = Rasterizer(mesh, "kaolin", "cuda")(cameras)
    faces = kaolin.face_ids.cpu()
    interior = torch.nn.functional.max_pool2d((embree.face_ids < 0).float(), 3, 1, 1) == 0
    inside_face = embree.barycentric.amin(-1) > 0.02
    assert (faces == embree.face_ids)[interior & inside_face].float().mean() > 0.999
    same = (faces == embree.face_ids) & (faces >= 0)
    torch.testing.assert_close(kaolin.barycentric.cpu()[same], embree.barycentric[same], atol=1e-3, rtol=0)
    torch.testing.assert_close(kaolin.depth.cpu()[same], embree.depth[same], atol=1e-3, rtol=0)


def test_rays_are_cast_where_the_mesh_may_be_and_find_all_of_it(two_boxes):
    angles = torch.linspace(-1.5, 1.5, 7), torch.linspace(0.0, 6.0, 7)
    for radius, fov in ((2.0, 1.0), (1.2, 0.3), (1.01, 2.5), (9.0, 1.0)):
        cameras = orbit_cameras(*angles, radius=radius, fov_y=fov, size=(48, 64))
        rasterizer = Rasterizer(two_boxes)
        rows, columns = rasterizer._window(cameras)
        found = rasterizer(cameras)
        rasterizer._box = None
        assert rasterizer._window(cameras) == (slice(0, 48), slice(0, 64))
        everywhere = rasterizer(cameras)
        assert torch.equal(found.face_ids, everywhere.face_ids)
        torch.testing.assert_close(found.barycentric, everywhere.barycentric)
        if radius == 9.0:
            assert rows.stop - rows.start < 24 and columns.stop - columns.start < 32
