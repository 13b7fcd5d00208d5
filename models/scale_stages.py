"""One stage of `models.scale` in a process of its own: `python -m models.scale_stages STAGE FILE OUT.json`.

Nothing is imported before the stage needs it, so that start and imports count as they do for a person.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CLICKS = 7  # the first waits for what later ones find ready
GOLDEN = 0.618034
FIELD_VIEWS, FIELD_STEPS = 12, 20
DECODER_CLICKS, DECODER_STEPS = 24, 12


def load(path: Path) -> dict:
    """Read the file."""
    from utils.geometry.mesh import load_mesh

    load_mesh(path)
    return _so_far()


def instant(path: Path) -> dict:
    """Read the file and make iSeg3D ready."""
    return _ready(path, "instant")


def prior(path: Path) -> dict:
    """Read the file and make the prior ready."""
    return _ready(path, "prior")


def _ready(path: Path, kind: str) -> dict:
    """Costs until a segmenter is ready; then those of clicks."""
    from models.open import open_segmenter
    from utils.geometry.mesh import load_mesh

    mesh = load_mesh(path)
    segmenter = open_segmenter(mesh, kind, device="cpu")
    found, costs = _so_far(), []
    used = mesh.faces[:, 0]
    for number in range(1, CLICKS + 1):
        vertex = int(used[int(len(used) * (number * GOLDEN % 1))])
        costs.append(_milliseconds(lambda vertex=vertex: segmenter.segment(positive=[vertex])))
    corrected = _milliseconds(lambda: segmenter.segment(positive=[vertex], negative=[int(used[0])]))
    return found | {
        "first_click_ms": costs[0],
        "click_ms": statistics.median(costs[1:]),
        "correction_ms": corrected,
        "memory_after_clicks_gib": _so_far()["memory_gib"],
    }


def field(path: Path) -> dict:
    """Twelve views, and some steps of the collapsed training of the feature field, as `encoder.py` does them."""
    import torch

    from models.iseg.distillation import FieldTraining, collapse_views, distill_collapsed, features_at, joined_vertices
    from models.iseg.field import FeatureField, FieldConfig
    from SAM_repo.teacher import load_teacher
    from utils.geometry.mesh import load_mesh
    from utils.rendering.rasterize import Rasterizer
    from utils.rendering.view_pool import ViewSettings, build_view_pool, open_view_pool

    mesh = load_mesh(path)
    rasterizer = Rasterizer(mesh)
    with tempfile.TemporaryDirectory(prefix="iseg-scale-") as folder:
        build_view_pool(Path(folder), rasterizer, load_teacher("vit_t"), ViewSettings("sphere", FIELD_VIEWS), 4)
        place, positions = joined_vertices(mesh)
        loss = collapse_views(open_view_pool(Path(folder), mesh), rasterizer, place=place)
    network = FeatureField(FieldConfig(), torch.Generator().manual_seed(0))
    training = FieldTraining(network, torch.optim.Adam(network.parameters()), positions)
    steps = _milliseconds(lambda: distill_collapsed(training, loss, FIELD_STEPS, 1e-3, lambda: None))
    features_at(network, torch.from_numpy(mesh.normalized))
    return _so_far() | {"per_100_steps": steps / 10 / FIELD_STEPS}


def decoder(path: Path) -> dict:
    """The masks of some clicks, then what a decoder's training takes before its first step and in a step, and clicks of
    what it has learnt by then. The features are random."""
    import torch

    from models.iseg.decoder_stage import TrainingSettings, new_training, run_training
    from models.iseg.segmenter import DecoderSegmenter
    from SAM_repo.teacher import load_teacher
    from utils.clicks import Clicks
    from utils.geometry.mesh import load_mesh
    from utils.rendering.rasterize import Rasterizer
    from utils.rendering.view_pool import ViewSettings, build_view_pool, open_view_pool
    from utils.supervision.training_samples import TrainingSamples
    from utils.supervision.writer import ClickSettings, SecondClickSettings, write_supervision

    mesh, teacher = load_mesh(path), load_teacher("vit_t")
    rasterizer = Rasterizer(mesh)
    settings = TrainingSettings(obj_path=path, steps=DECODER_STEPS)
    features = torch.randn(mesh.num_vertices, 256, generator=torch.Generator().manual_seed(0))
    training, steps = new_training(settings, features, torch.device("cpu")), []

    def note_time() -> None:
        steps.append(time.process_time())

    with tempfile.TemporaryDirectory(prefix="iseg-scale-") as folder:
        views, masks = Path(folder) / "views", Path(folder) / "masks"
        build_view_pool(views, rasterizer, teacher, ViewSettings("sphere", FIELD_VIEWS), 4)
        clicks, pool = ClickSettings(percentage=1.0, max_clicks=DECODER_CLICKS), open_view_pool(views, mesh)
        samples = write_supervision(masks, rasterizer, pool, teacher, clicks, SecondClickSettings(), ("single",))
        data, begun = TrainingSamples(samples, torch.arange(len(samples)), {}), time.process_time()
        run_training(training, features, mesh, data, rasterizer, settings.loop, after_step=note_time)
    segmenter = DecoderSegmenter(mesh, training.network, features, "float32")
    used = mesh.faces[:, 0]
    asked = [int(used[int(len(used) * (number * GOLDEN % 1))]) for number in range(CLICKS)]
    costs = [
        _milliseconds(lambda vertex=vertex: segmenter.probability(Clicks.from_lists([vertex]))) for vertex in asked
    ]
    step = (steps[-1] - steps[0]) / (len(steps) - 1)
    return _so_far() | {
        "before_steps": steps[0] - begun - step,
        "per_100_steps": 100 * step,
        "click_ms": statistics.median(costs[1:]),
    }


def export(path: Path) -> dict:
    """Write a selection of a mesh that was read, in every format; the seconds of writing alone."""
    import numpy as np

    from utils.clicks import Clicks
    from utils.geometry.mesh import load_mesh
    from utils.segmenter import Answer

    mesh = load_mesh(path)
    probability = 1 / (1 + np.exp(-8 * mesh.normalized[:, 0]))
    answer = Answer(mesh, Clicks.from_lists([0]), probability.astype(np.float32), 0.5)
    with tempfile.TemporaryDirectory(prefix="iseg-scale-") as folder:
        milliseconds = _milliseconds(lambda: answer.save(folder, formats=("npy", "ply", "glb", "obj", "seg")))
    return {"seconds": milliseconds / 1000, "memory_gib": _so_far()["memory_gib"]}


def query(path: Path) -> dict:
    """One click on the command line, from nothing to the files."""
    with tempfile.TemporaryDirectory(prefix="iseg-scale-") as folder:
        command = [sys.executable, "decoder.py", "--mode", "test", "--obj_path", str(path), "--save_dir", folder]
        options = ["--segmenter", "prior", "--device", "cpu", "--select_vertices", "100"]
        done = subprocess.run(command + options, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": used.ru_utime + used.ru_stime, "memory_gib": used.ru_maxrss / 2**20}


STAGES: dict[str, Callable[[Path], dict]] = {
    stage.__name__: stage for stage in (load, instant, prior, field, decoder, export, query)
}


def _milliseconds(work: Callable[[], object]) -> float:
    """Processor time."""
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


def _so_far() -> dict:
    """Processor seconds of this process from its start, and its peak memory."""
    seconds = time.process_time()
    from utils.memory import peak_memory_gib

    return {"seconds": seconds, "memory_gib": peak_memory_gib()}


if __name__ == "__main__":
    costs = STAGES[sys.argv[1]](Path(sys.argv[2]))
    from utils.files import save_json

    save_json(sys.argv[3], costs)
