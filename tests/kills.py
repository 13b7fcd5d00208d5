"""The kill protocol: every stage killed at random moments, run again, and compared with one that was left alone.

`python -m tests.kills --kills 100` prints the table of docs/reliability.md. Each run is a fork of this process, so that
a moment is one of the stage and not of its imports. Damaged: a file could not be read after the kill; failed: the
second run did not end; different: it ended otherwise than the undisturbed one (page: or found less than all but the
step in flight); left behind: temporary files after it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
import trimesh

from models.iseg.click_stage import SupervisionSettings, make_supervision
from models.iseg.decoder_stage import TrainingSettings, train_decoder
from models.iseg.encoder_stage import EncoderSettings, distill
from models.iseg3d import training as iseg3d
from models.iseg3d.dataset import GenerateSettings, write_clouds
from models.prior import training as prior
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.nodes import cut
from models.prior.points import embed_nodes
from models.prior.refinement import refine
from models.prior.views import render_views
from tests.fakes import FakeTeacher
from tests.mesh_files import write_obj
from utils.files import TEMPORARY, load_json, load_npz, load_torch, open_npy, save_npz, save_torch
from utils.geometry.mesh import load_mesh

TOLERANCE = 1e-3  # of trained numbers: sums in another order differ in the last digits on some processors


def _mesh(folder: Path) -> Path:
    path = folder.parent / "mallet.obj"
    if not path.exists():
        handle = trimesh.creation.box((0.3, 1.6, 0.3)).subdivide().subdivide()
        head = trimesh.creation.box((1.4, 0.5, 0.5)).subdivide().subdivide().apply_translation([0, 0.95, 0])
        shape = trimesh.util.concatenate([handle, head])
        write_obj(path, np.asarray(shape.vertices), np.asarray(shape.faces))
    return path


def field(folder: Path) -> None:
    """Views in three shards, and the field."""
    distill(
        EncoderSettings(
            obj_path=_mesh(folder), encoder_data_dir=folder / "views", encoder_model_dir=folder / "field", n_views=70,
            render_res=56, steps=60, width=32, depth=1, save_interval=0.0, device="cpu",
        ),
        teacher=FakeTeacher(56, 7),
    )  # fmt: skip


def clicks(folder: Path) -> None:
    """Single and second clicks in several shards."""
    make_supervision(
        SupervisionSettings(
            obj_path=_mesh(folder), decoder_data_dir=folder / "clicks", n_views=4, pool_views=12, render_res=56,
            percentage=0.1, second_positive=True, second_negative=True, device="cpu",
        ),
        teacher=FakeTeacher(56, 7),
    )  # fmt: skip


def _clicked(folder: Path, **more) -> TrainingSettings:
    if not (folder.parent / "inputs" / "clicks").is_dir():
        field(folder.parent / "inputs")
        clicks(folder.parent / "inputs")
    inputs = folder.parent / "inputs"
    return TrainingSettings(
        obj_path=_mesh(folder), encoder_f_path=inputs / "field" / "pred_f.pth", decoder_data_dir=inputs / "clicks",
        save_dir=folder / "decoder", save_interval=1, device="cpu", **more,
    )  # fmt: skip


def decoder(folder: Path) -> None:
    """The paper's training."""
    train_decoder(_clicked(folder, steps=12, batch_size=4))


def refinement(folder: Path) -> None:
    """The prior, refined on the mesh."""
    weights = folder.parent / "prior.pt"
    if not weights.exists():
        torch.manual_seed(3)
        network = PriorNetwork(PriorConfig(width=16, click_layers=2))
        about = {"teacher": FakeTeacher.name, "format": 3, "field_mean": torch.zeros(256)}
        about |= {"field_components": torch.eye(256)[:, :64], "config": asdict(network.config)}
        save_torch(weights, {**about, "weights": network.state_dict()})
    refine(_clicked(folder, steps=12, batch_size=4), teacher=FakeTeacher(), weights=weights)


def clouds(folder: Path) -> None:
    """Training clouds of iSeg3D, in four shards."""
    write_clouds(GenerateSettings(data_dir=folder / "clouds", shapes=16, points=160, shard=4))


def iseg3d_training(folder: Path) -> None:
    """iSeg3D's network."""
    from tests.test_iseg3d import CONFIG

    data = folder.parent / "inputs3d"
    if not (data / "clouds").is_dir():
        clouds(data)
    iseg3d.SAVE_SECONDS = 0.0
    settings = iseg3d.TrainSettings(
        data_dir=data / "clouds", shapes=16, steps=12, batch_size=2, save_dir=folder / "net", device="cpu"
    )
    iseg3d.train(settings, config=CONFIG)


def prior_training(folder: Path) -> None:
    """The prior decoder, on four shapes."""
    data = folder.parent / "shapes"
    if not (data / "projection.pt").exists():
        mesh = load_mesh(_mesh(folder))
        patches = cut(mesh, nodes=200)
        views = render_views(patches, FakeTeacher(), views=8)
        head = (mesh.faces[:, 0] >= mesh.num_vertices // 2)[patches.fine.parent]
        part = (np.bincount(patches.node, head) > 0).astype(np.int64)
        arrays = {each.name: getattr(patches.graph, each.name) for each in fields(patches.graph)}
        arrays |= {"family": np.array("mallet"), "part": part, "group": np.zeros_like(part)}
        arrays |= {"features": views.features()[:, :64], "seen": views.seen}
        arrays["embedding"] = embed_nodes(mesh, patches.graph)
        for number, count in ((2, 1), (3, 4)):  # 2 is held out
            shard = {f"{k}/{name}": value for k in range(count) for name, value in arrays.items()}
            save_npz(data / f"shapes_{number:05d}.npz", compressed=False, **shard)
        projection = {"mean": torch.zeros(256), "components": torch.eye(256)[:, :64], "teacher": FakeTeacher.name}
        save_torch(data / "projection.pt", projection)
    told = {"steps": 8, "width": 8, "device": "cpu", "save_seconds": 0.0, "bfloat16": False}
    prior.train(prior.TrainSettings(folder=folder / "prior", data=data, **told))


STAGES: dict[str, Callable[[Path], None]] = {
    "views and field": field,
    "clicks": clicks,
    "decoder training": decoder,
    "refinement of the prior": refinement,
    "clouds of iSeg3D": clouds,
    "iSeg3D training": iseg3d_training,
    "prior training": prior_training,
}


@dataclass
class Counts:
    """Of one stage: kills, those that hit it before it was done, and what went wrong."""

    kills: int = 0
    midway: int = 0
    damaged: int = 0
    failed: int = 0
    different: int = 0
    left_behind: int = 0

    @property
    def faults(self) -> int:
        return self.damaged + self.failed + self.different + self.left_behind


def _begin(stage: Callable[[Path], None], folder: Path) -> int:
    """The stage in a fork; returns its process."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            stage(folder)
        code = 0
    finally:
        os._exit(code)


def contents(folder: Path) -> dict[str, object]:
    """Every file of results; times and pictures left out. UserError for one that is damaged."""
    readers = {".npy": open_npy, ".npz": load_npz, ".json": load_json, ".pt": load_torch, ".pth": load_torch}
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in readers and not path.name.startswith(TEMPORARY):
            found[path.relative_to(folder).as_posix()] = readers[path.suffix](path)
    return found


def same(a: object, b: object, name: str = "") -> bool:
    """Whether two results agree; what is measured in seconds does not have to, nor how often a step is in a log."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], str(key)) for key in a)
    if name.endswith("log.json") or (name == "log" and isinstance(a, list) and "steps" in a[0]):
        a, b = (list({entry["steps"]: entry for entry in log}.values()) for log in (a, b))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if name in ("seconds", "minutes"):
        return True
    if isinstance(a, torch.Tensor | np.ndarray) and np.asarray(a).dtype.kind == "f":
        return np.allclose(np.asarray(a), np.asarray(b), rtol=TOLERANCE, atol=TOLERANCE)
    if isinstance(a, torch.Tensor | np.ndarray):
        return np.array_equal(np.asarray(a), np.asarray(b))
    return abs(a - b) <= TOLERANCE * max(1.0, abs(a)) if isinstance(a, float) and isinstance(b, float) else a == b


def kill_stage(stage: Callable[[Path], None], kills: int, folder: Path, rng: np.random.Generator) -> Counts:
    """Run a stage undisturbed, then again and again with a kill at a random moment of its time."""
    counts = Counts()
    with contextlib.redirect_stdout(io.StringIO()):
        stage(folder / "inputs of all")  # also makes what it reads
    started = time.monotonic()
    assert os.waitpid(_begin(stage, folder / "whole"), 0)[1] == 0
    seconds, whole = time.monotonic() - started, contents(folder / "whole")
    for number in range(kills):
        place = folder / f"killed {number}"
        place.mkdir()
        process = _begin(stage, place)
        time.sleep(float(rng.uniform(0, seconds)))
        counts.kills += 1
        os.kill(process, signal.SIGKILL)
        counts.midway += os.waitpid(process, 0)[1] == signal.SIGKILL
        try:
            contents(place)
        except Exception:
            counts.damaged += 1
        if os.waitpid(_begin(stage, place), 0)[1] != 0:
            counts.failed += 1
            continue
        counts.different += not same(contents(place), whole)
        counts.left_behind += any(place.rglob(f"{TEMPORARY}*"))
    return counts


def protocol(kills: int, seed: int = 0) -> Iterator[tuple[str, Counts]]:
    """`kills` shared out among the stages, and the page."""
    from tests.page_kills import kill_page

    rng = np.random.default_rng(seed)
    ways = {name: partial(kill_stage, stage) for name, stage in STAGES.items()} | {"page": kill_page}
    for number, (name, way) in enumerate(ways.items()):
        with tempfile.TemporaryDirectory() as folder:
            yield name, way(kills // len(ways) + (number < kills % len(ways)), Path(folder), rng)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    columns = [each.name for each in fields(Counts)]
    print("| stage | " + " | ".join(columns).replace("_", " ") + " |\n" + "|---" * (len(columns) + 1) + "|", flush=True)
    for stage_name, counted in protocol(args.kills, args.seed):
        print(f"| {stage_name} | " + " | ".join(str(getattr(counted, each)) for each in columns) + " |", flush=True)
