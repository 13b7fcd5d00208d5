"""View pool, feature field and the encoder stage, with a teacher that needs no weights."""

import json
import math
import re

import pytest
import torch
import trimesh

from models.iseg.encoder_stage import EncoderSettings, distill
from models.iseg.field import FeatureField, FieldConfig, FourierFeatures
from utils.errors import UserError
from utils.files import load_torch
from utils.geometry.mesh import load_mesh
from utils.options import parse_settings
from utils.progress import silent
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewSettings, build_view_pool, open_view_pool, render_views


class ColourTeacher:
    """Embeds an image by a fixed random projection of its shrunken colours."""

    name, embedding_shape, image_size = "colour-0", (256, 14, 14), 224

    def __init__(self):
        self.embedded = 0
        self.projection = torch.randn(256, 3, generator=torch.Generator().manual_seed(0))

    def embed(self, images):
        self.embedded += len(images)
        small = torch.nn.functional.adaptive_avg_pool2d(images.permute(0, 3, 1, 2).float() / 255, 14)
        return torch.tanh(torch.einsum("dc,bchw->bdhw", self.projection, small - 0.5))


@pytest.fixture
def ball_file(tmp_path):
    path = tmp_path / "ball.obj"
    trimesh.creation.icosphere(subdivisions=2).export(path)
    return path


@pytest.fixture
def teacher():
    return ColourTeacher()


def run(teacher, argv, on_progress=silent):
    """The encoder stage with these options."""
    distill(parse_settings(EncoderSettings, None, argv), on_progress, teacher)


def command(ball_file, tmp_path, *extra):
    return [
        "--obj_path",
        str(ball_file),
        "--encoder_data_dir",
        str(tmp_path / "views"),
        "--encoder_model_dir",
        str(tmp_path / "field"),
        "--n_views",
        "14",
        "--view_sampling",
        "sphere",
        "--steps",
        "14",
        "--device",
        "cpu",
        *extra,
    ]


def test_fourier_features_follow_the_paper():
    encoding = FourierFeatures(256, 5.0, torch.Generator().manual_seed(0))
    x = torch.randn(7, 3)
    encoded = encoding(x)
    assert encoded.shape == (7, 515)
    norms = encoding.frequencies.norm(dim=0)
    assert (norms.diff() >= 0).all() and 4 < encoding.frequencies.std() < 6
    for column in (0, 100, 255):
        phase = 2 * math.pi * sum(float(x[3, k]) * float(encoding.frequencies[k, column]) for k in range(3))
        assert float(encoded[3, 3 + column]) == pytest.approx(math.sin(phase), abs=1e-3)
        assert float(encoded[3, 259 + column]) == pytest.approx(math.cos(phase), abs=1e-3)


def test_field_has_the_published_layers():
    field = FeatureField(FieldConfig())
    sizes = [tuple(layer.weight.shape) for layer in field.mlp if isinstance(layer, torch.nn.Linear)]
    assert sizes == [(256, 515)] + [(256, 256)] * 5


def test_stage_writes_the_published_files_and_the_field_reloads_exactly(ball_file, tmp_path, teacher):
    run(teacher, command(ball_file, tmp_path, "--steps", "40"))
    features = load_torch(tmp_path / "field" / "pred_f.pth")
    assert features.shape == (162, 256) and features.dtype == torch.float32
    saved = load_torch(tmp_path / "field" / "encoder_checkpoint.pth")
    assert {"encoder_state_dict", "optimizer_state_dict", "losses"} <= set(saved)
    field = FeatureField(FieldConfig(**saved["run"]["config"]))
    field.load_state_dict(saved["encoder_state_dict"])
    with torch.no_grad():
        assert torch.equal(field(torch.from_numpy(load_mesh(ball_file).normalized)), features)
    assert saved["losses"][-1] < 0.5 * saved["losses"][0]
    record = json.loads((tmp_path / "field" / "pred_f.json").read_text())
    assert record["mesh_digest"] == load_mesh(ball_file).digest and record["teacher"] == "colour-0"


@pytest.mark.parametrize("distillation", ["collapsed", "rendered"])
def test_interrupted_training_ends_as_an_uninterrupted_one(ball_file, tmp_path, teacher, distillation):
    options = ("--distillation", distillation, "--num_epochs", "1", "--save_interval", "0")
    run(teacher, command(ball_file, tmp_path, *options))
    whole = torch.tensor(load_torch(tmp_path / "field" / "encoder_checkpoint.pth")["losses"])
    (tmp_path / "field" / "pred_f.pth").unlink()
    (tmp_path / "field" / "encoder_checkpoint.pth").unlink()

    def die_in_step_8(step):
        if step.stage.startswith("distil field") and step.done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(teacher, command(ball_file, tmp_path, *options), die_in_step_8)
    assert len(load_torch(tmp_path / "field" / "encoder_checkpoint.pth")["losses"]) == 7
    run(teacher, command(ball_file, tmp_path, *options))
    # Sums in another order, which differ between runs on some processors, let trainings drift apart: the steps after
    # the interruption must be the same, the last ones nearly.
    resumed = torch.tensor(load_torch(tmp_path / "field" / "encoder_checkpoint.pth")["losses"])
    assert len(resumed) == len(whole) == 14
    torch.testing.assert_close(resumed[:12], whole[:12], rtol=3e-3, atol=0)
    torch.testing.assert_close(resumed, whole, rtol=0.1, atol=0)


@pytest.mark.parametrize("harm", [None, "field", "note"])
def test_a_finished_field_is_made_again_only_if_it_is_harmed(ball_file, tmp_path, teacher, capsys, harm):
    path = tmp_path / "field" / "pred_f.pth"
    run(teacher, command(ball_file, tmp_path))
    before, written = load_torch(path), path.stat().st_mtime_ns
    said = capsys.readouterr().out
    if harm == "field":
        path.write_bytes(path.read_bytes()[:-200])
    elif harm == "note":
        path.with_suffix(".json").unlink()
    run(teacher, command(ball_file, tmp_path))
    assert torch.equal(load_torch(path), before) and path.with_suffix(".json").is_file()
    assert (path.stat().st_mtime_ns == written) == (harm is None)
    error = re.compile(r"mean squared error (\S+), ")
    assert error.findall(capsys.readouterr().out) == error.findall(said), "the same is reported"


def test_finished_views_are_not_embedded_again(ball_file, tmp_path, teacher):
    views = command(ball_file, tmp_path, "--start_training", "0", "--n_views", "40")
    run(teacher, views)
    assert teacher.embedded == 40
    run(teacher, views)
    assert teacher.embedded == 40
    (tmp_path / "views" / "embeddings_001.npy").unlink()  # as if killed before the second shard was whole
    run(teacher, views)
    assert teacher.embedded == 48


def test_pool_returns_what_the_teacher_saw_and_said(ball_file, tmp_path, teacher):
    rasterizer = Rasterizer(load_mesh(ball_file), "embree")
    pool = build_view_pool(tmp_path / "views", rasterizer, teacher, ViewSettings("uniform", 35, seed=4))
    images = pool.render(rasterizer, [2, 34])
    for view, embedding in zip((2, 34), teacher.embed(images)):
        torch.testing.assert_close(pool.embedding(view), embedding, atol=1e-3, rtol=1e-3)


def test_views_of_another_mesh_or_setting_are_refused(ball_file, tmp_path, teacher):
    run(teacher, command(ball_file, tmp_path, "--start_training", "0"))
    with pytest.raises(UserError, match="another seed"):
        run(teacher, command(ball_file, tmp_path, "--start_training", "0", "--seed", "1"))
    other = tmp_path / "box.obj"
    trimesh.creation.box().export(other)
    with pytest.raises(UserError, match="another mesh"):
        run(teacher, command(other, tmp_path, "--start_training", "0"))
    with pytest.raises(UserError, match="another mesh"):
        open_view_pool(tmp_path / "views", load_mesh(other))
    run(teacher, command(ball_file, tmp_path, "--start_training", "0", "--seed", "1", "--overwrite", "1"))


def test_training_without_views_says_how_to_make_them(ball_file, tmp_path, teacher):
    with pytest.raises(UserError, match="--generate_random_views 1"):
        run(teacher, command(ball_file, tmp_path, "--generate_random_views", "0"))


@pytest.mark.slow
def test_automatic_masks_come_from_the_given_embedding(ball_file):
    """A field that repeats SAM's own features gives SAM's own masks, and another field gives others."""
    from SAM_repo.automatic_masks import automatic_masks
    from SAM_repo.teacher import load_teacher

    teacher = load_teacher("vit_t")
    rasterizer = Rasterizer(load_mesh(ball_file), "embree")
    cameras = ViewSettings("uniform", 2, seed=1).cameras()
    images = render_views(rasterizer, cameras, ViewSettings())
    first, second = teacher.embed(images)
    options = {"points_per_side": 6, "min_score": 0.0, "min_stability": 0.0}
    own = automatic_masks(teacher.sam, images[0].numpy(), first, **options)
    assert own.shape[1:] == (224, 224) and len(own) > 0
    assert (own == automatic_masks(teacher.sam, images[0].numpy(), first, **options)).all()
    other = automatic_masks(teacher.sam, images[0].numpy(), torch.zeros_like(second), **options)
    assert other.shape != own.shape or (other != own).any()


@pytest.mark.slow
def test_encoder_draws_its_masks_beside_those_of_the_field(ball_file, tmp_path):
    options = ["--SAM", "vit_t", "--test", "1", "--test_elev_deg", "10", "--test_azim_deg", "20"]
    run(None, command(ball_file, tmp_path, *options))
    assert (tmp_path / "field" / "automatic_masks.png").stat().st_size > 10_000
