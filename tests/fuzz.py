"""Hostile input, drawn from one seed: mesh files, files of earlier runs and of sessions, command lines, whole scripts.

`python -m tests.fuzz --cases 5000` prints the table of docs/reliability.md. A case is answered, refused in one line, or
one of the `FAULTS`: a traceback, an answer that is wrong without saying so, or no end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import pickle
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from decoder import DecoderSettings
from interactive import InteractiveSettings
from models.iseg.checkpoint import load_decoder_checkpoint, load_features
from models.iseg.click_stage import SupervisionSettings, make_supervision
from models.iseg.encoder_stage import EncoderSettings, distill
from models.iseg3d.query import AnswerSettings
from models.pipeline import PipelineSettings
from tests.fakes import FakeTeacher
from tests.fuzz_scripts import script_case
from tests.mesh_files import WRITERS, Node, Plain, glb, random_mesh, write_obj
from tests.sessions import CandidateSegmenter, work_a_bit
from utils.clicks import Clicks
from utils.errors import run_cli
from utils.files import load_json, load_npz, load_torch, open_npy, save_json, save_npy, save_npz, save_torch
from utils.geometry.file_colors import corner_colors
from utils.geometry.materials import Materials
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import parse_settings
from utils.output.glb import GlbWriter
from utils.output.query import Look, save_answer
from utils.rendering.view_pool import open_view_pool
from utils.session.answers import Answers
from utils.session.files import save_session, session_from_json
from utils.session.journal import Journal, go_on
from utils.session.session import Session
from utils.supervision.store import SupervisionSet

GOLDEN = Path(__file__).parent / "golden"
ANSWERED, REFUSED, FAULTS = "answered", "refused", ("traceback", "wrong", "hang")
SECONDS = 60  # after which a case hangs
TOKENS = ("nan", "inf", "-1", "1e38", "1e300", "1e-310", "99999999999", "x", "", "0", "-0", "2147483648", "1e9", "é")


class Wrong(Exception):
    """An answer that does not say that it is wrong."""


@dataclass(frozen=True)
class Outcome:
    """Of one case: what was tried, how it ended, and what is known of a fault."""

    kind: str
    verdict: str
    detail: str = ""


def run_case(seed: int, number: int, folder: Path) -> Outcome:
    """One case in an empty `folder`; the same for the same numbers."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(CASES), p=[share for share, _ in CASES.values()]))
    said = io.StringIO()

    def main() -> None:
        CASES[kind][1](rng, folder)

    try:
        with _limit(SECONDS), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            run_cli(main)
    except SystemExit as ended:
        lines = [line for line in said.getvalue().splitlines() if line.startswith("error")]
        if ended.code == 0:
            return Outcome(kind, ANSWERED)
        one_line = ended.code == 2 and len(lines) == 1 and "Traceback" not in said.getvalue()
        return Outcome(kind, REFUSED) if one_line else Outcome(kind, "traceback", said.getvalue()[-400:])
    except Wrong as error:
        return Outcome(kind, "wrong", f"case {number}: {error}")
    except TimeoutError:
        return Outcome(kind, "hang", f"case {number}")
    except Exception:
        return Outcome(kind, "traceback", f"case {number}: {traceback.format_exc()[-1500:]}")
    return Outcome(kind, ANSWERED)


@contextlib.contextmanager
def _limit(seconds: int):
    def over(*_) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(cases: int, seed: int = 0, first: int = 0) -> list[Outcome]:
    """Run cases, each in a folder of its own."""
    _worked()  # an error in what the cases damage would pass for a refusal of each
    outcomes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(first, first + cases):
            with tempfile.TemporaryDirectory() as folder:
                outcomes.append(run_case(seed, number, Path(folder)))
    return outcomes


# --- bytes ------------------------------------------------------------------------------------------


class Payload:
    """What must never run."""

    def __reduce__(self):
        return (sys.exit, ("a pickle was run",))


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes after an accident."""
    if not data:
        return data
    place, other = sorted(rng.integers(0, len(data), 2).tolist())
    how = int(rng.integers(0, 9))
    if how <= 2:
        flipped = bytearray(data)
        for at in rng.integers(0, len(data), 1 + 3 * (how == 2)).tolist():
            flipped[at] ^= 1 << int(rng.integers(0, 8))
        return bytes(flipped)
    changed = {
        3: data[:place],
        4: data[:place] + data[other:],
        5: data[:other] + data[place:],
        6: data[:place] + rng.bytes(int(rng.integers(1, 40))) + data[place:],
        7: data[:place] + bytes(other - place) + data[other:],
        8: b"" if rng.random() < 0.3 else pickle.dumps(Payload()),
    }
    return changed[how]


def another_word(data: bytes, rng: np.random.Generator) -> bytes:
    """A text with one word replaced by another that means trouble."""
    words = data.split(b" ")
    words[int(rng.integers(0, len(words)))] = str(rng.choice(TOKENS)).encode()
    return b" ".join(words)


# --- mesh files -------------------------------------------------------------------------------------


def mesh_case(rng: np.random.Generator, folder: Path) -> None:
    """A mesh file, sound or not, is read, and an answer for it is written and read again."""
    plain, suffix = random_mesh(rng), str(rng.choice([*WRITERS, ".glb"]))
    how = str(rng.choice(["sound", "damaged", "another word", "far", "scaled"], p=[0.2, 0.35, 0.25, 0.1, 0.1]))
    if how == "far":
        plain.vertices[int(rng.integers(0, len(plain.vertices)))] *= 10.0 ** rng.integers(2, 300)
    if how == "scaled":
        plain.vertices *= 10.0 ** rng.integers(-310, 300)
    with np.errstate(all="ignore"):
        data = glb([plain], [Node("a", mesh=0)], [0]) if suffix == ".glb" else WRITERS[suffix](plain, rng)
    if suffix == ".glb" and how in ("sound", "damaged") and rng.random() < 0.5:
        data, how = _skinned(plain, rng), how.replace("sound", "as it is")
    data = damaged(data, rng) if how == "damaged" else another_word(data, rng) if how == "another word" else data
    path = folder / f"m{suffix}"
    path.write_bytes(data)
    mesh = load_mesh(path)
    if how in ("sound", "far", "scaled"):
        _require_same(mesh, plain, suffix)
    probability = rng.random(mesh.num_vertices).astype(np.float32)
    formats = ("npy", "ply", "obj", "seg", "glb")
    written = save_answer(folder, mesh, Clicks.from_lists([0]), probability, 0.5, formats, Look())
    corner_colors(mesh)
    parts = load_mesh(next(each for each in written if each.suffix == ".obj"))
    labels = next(each for each in written if each.suffix == ".seg").read_text().split()
    if not np.isfinite(mesh.normalized).all() or len(labels) != mesh.num_polygons:
        raise Wrong(f"{suffix} {how}: not finite, or a .seg of {len(labels)} lines for {mesh.num_polygons} polygons")
    if not np.array_equal(parts.vertices, mesh.vertices) or parts.num_faces != mesh.num_faces:
        raise Wrong(f"{suffix} {how}: the export has other vertices or faces")


def _skinned(plain: Plain, rng: np.random.Generator) -> bytes:
    """A GLB with an image and materials."""
    image = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)).save(image, str(rng.choice(["PNG", "JPEG"])))
    writer = GlbWriter(Materials({}, [{"source": 0, "sampler": 0}], [{"wrapS": 33071}], [image.getvalue()]))
    pbr = {"baseColorTexture": {"index": 0}, "baseColorFactor": [0.5, 1.0, 0.25, 1.0]}
    material = writer.material({"name": "skin", "pbrMetallicRoughness": pbr, "normalTexture": {"index": 0}})
    faces, uv = np.array(plain.fans()), rng.random((len(plain.vertices), 2))
    writer.node("a", [writer.primitive(np.array(plain.vertices), faces, uv, material)])
    with tempfile.TemporaryDirectory() as folder:
        writer.save(Path(folder) / "m.glb")
        return (Path(folder) / "m.glb").read_bytes()


def _require_same(mesh, plain: Plain, suffix: str) -> None:
    expected = plain.vertices if suffix not in (".stl", ".glb") else plain.vertices.astype(np.float32)
    same = np.array_equal(expected[np.array(plain.fans())], mesh.vertices[mesh.faces])
    if suffix != ".stl":
        same = same and mesh.faces.tolist() == plain.fans() and np.array_equal(mesh.vertices, expected)
    if not same:
        raise Wrong(f"{suffix}: other vertices or faces than were written")


# --- files of earlier runs --------------------------------------------------------------------------


def _ball():
    return load_mesh(GOLDEN / "ball.obj")


def _pool(folder: Path) -> list:
    pool = open_view_pool(folder / "encoder_data", _ball())
    embeddings = [pool.embedding(view) for view in range(len(pool))]
    return [pool.settings, pool.teacher_name, pool.cameras.to_dict(), embeddings]


def _field(folder: Path) -> list:
    return [load_features(folder / "encoder" / "pred_f.pth", _ball())]


def _clicks(folder: Path) -> list:
    held = SupervisionSet.open(folder / "decoder_data", _ball())
    everything = [held.vertices, held.positive, held.view, held.score, held.kind, held.masks(range(len(held)))]
    return [everything, held.teacher_name, held.settings, held.cameras.to_dict()]


def _decoder(folder: Path) -> list:
    return [vars(load_decoder_checkpoint(folder / "camel_decoder.pth"))]


ARTEFACTS: dict[str, Callable[[Path], list]] = {
    "encoder_data/pool.json": _pool,
    "encoder_data/cameras.pt": _pool,
    "encoder_data/embeddings_000.npy": _pool,
    "encoder/pred_f.pth": _field,
    "encoder/pred_f.json": _field,
    "decoder_data/supervision.json": _clicks,
    "decoder_data/clicks.npz": _clicks,
    "decoder_data/single_000.npz": _clicks,
    "decoder_data/positive_000.npz": _clicks,
    "camel_decoder.pth": _decoder,
}


def artefact_case(rng: np.random.Generator, folder: Path) -> None:
    """A file of an earlier run is damaged; it is refused, or what is read is what was written."""
    name = str(rng.choice(list(ARTEFACTS)))
    top = folder / name.split("/")[0]
    source = GOLDEN / top.name
    shutil.copytree(source, top) if source.is_dir() else shutil.copy(source, top)
    path, read = folder / name, ARTEFACTS[name]
    if path.suffix == ".npy":  # as it is written now; those of before have no checksum
        save_npy(path, np.array(open_npy(path)), seal=True)
    if path.suffix == ".json":
        save_json(path, load_json(path), seal=True)
    sound = _sound(name, folder)
    if rng.random() < 0.7:
        path.write_bytes(damaged(path.read_bytes(), rng))
        edited = False
    else:
        edited = _edit(path, rng)
    found = read(folder)
    if not edited and not _same(found, sound):
        raise Wrong(f"{name} was damaged and is read without a word")


@cache
def _held_sound(name: str) -> list:
    return ARTEFACTS[name](GOLDEN)


def _sound(name: str, folder: Path) -> list:
    return _held_sound(name)


def _edit(path: Path, rng: np.random.Generator) -> bool:
    """A file that is whole, but holds what no program writes; True if it may be read as something else by right."""
    if path.suffix == ".json":
        text = path.read_text()
        odd = [
            "[]",
            "{}",
            "[" * 100_000,
            "null",
            '{"format": 1}',
            text.replace("1", "-1"),
            another_word(text.encode(), rng).decode(),
        ]
        path.write_text(str(odd[int(rng.integers(0, len(odd)))]))
        return False
    if path.suffix == ".npy":
        odd = [np.zeros(3), np.zeros((1, 2, 3), np.int64), np.array(["text"])]
        save_npy(path, odd[int(rng.integers(0, len(odd)))], seal=True)
        return False
    held = load_npz(path) if path.suffix == ".npz" else load_torch(path)
    if not isinstance(held, dict):
        save_torch(path, [held[:5], {"a": held}, held.double()[:, :7]][int(rng.integers(0, 3))])
        return False
    key = str(rng.choice(list(held)))
    value = held.pop(key)
    if rng.random() < 0.6 and isinstance(value, np.ndarray | torch.Tensor) and value.ndim:
        numeric = value.dtype not in (bool, torch.bool)
        held[key] = [
            value[:1],
            value * 0 + (200 if value.dtype in (np.uint8, torch.uint8) else 10_000) if numeric else value[:0],
            value[None],
        ][int(rng.integers(0, 3))]
    save_npz(path, **held) if path.suffix == ".npz" else save_torch(path, held)
    return True


def _same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


# --- sessions ---------------------------------------------------------------------------------------


def _answers(mesh: Mesh) -> Answers:
    """With a radius that no two vertices of the ball are apart: at 1 the last bit would decide."""
    return Answers(CandidateSegmenter(mesh, radius=1.1))


@cache
def _worked() -> tuple[Mesh, bytes, bytes]:
    """A mesh, the session file of some work on it, and the file that the page keeps of it."""
    mesh = _ball()
    session = Session(mesh, _answers(mesh))
    with tempfile.TemporaryDirectory() as folder:
        kept = Journal(Path(folder) / "k.jsonl", session, "me")
        session.click(0)
        kept.save()
        work_a_bit(session, mesh)
        kept.save()
        save_session(Path(folder) / "s.json", session)
        return mesh, (Path(folder) / "s.json").read_bytes(), kept.path.read_bytes()


def session_case(rng: np.random.Generator, folder: Path) -> None:
    """A session file, or the file of kept work, is damaged: it is refused, or can be worked on and undone."""
    mesh, saved, kept = _worked()
    answers, of_page = _answers(mesh), rng.random() < 0.5
    data = kept if of_page else saved
    path = folder / ("k.jsonl" if of_page else "s.json")
    path.write_bytes(damaged(data, rng) if rng.random() < 0.6 else another_word(data.replace(b",", b" , "), rng))
    if of_page:
        session = go_on(path, mesh, None, lambda *_: answers)
    else:
        session = session_from_json(load_json(path, "session file"), mesh, answers)
    session.click(0)
    save_session(folder / "again.json", session)
    while session.undo():
        if len(session.selection.faces) != mesh.num_faces:
            raise Wrong("a selection of other faces")


# --- command lines ----------------------------------------------------------------------------------

DOORS = (EncoderSettings, SupervisionSettings, DecoderSettings, AnswerSettings, InteractiveSettings, PipelineSettings)


def _hostile(rng: np.random.Generator, names: list[str]) -> list[str]:
    argv = []
    for name in rng.choice(names, min(len(names), int(rng.choice([1, 1, 2, 3]))), replace=False).tolist():
        argv += [f"--{name}", *rng.choice(TOKENS, int(rng.choice([1, 1, 1, 3, 0]))).tolist()]
    return argv


def arguments_case(rng: np.random.Generator, folder: Path) -> None:
    """A command line with odd values is refused, or its settings hold only numbers that can be computed with."""
    door = DOORS[int(rng.integers(0, len(DOORS)))]
    names = [name for name, field in door.__dataclass_fields__.items() if "option" in field.metadata]
    settings = parse_settings(door, None, ["--obj_path", str(GOLDEN / "ball.obj"), *_hostile(rng, names)])
    numbers = [value for value in vars(settings).values() if isinstance(value, float)]
    if not np.isfinite(numbers).all():
        raise Wrong(f"{door.__name__} accepts a number that is not finite")


SMALL_VIEWS = ["--n_views", "3", "--render_res", "32", "--steps", "3", "--width", "8", "--device", "cpu"]
SMALL_CLICKS = ["--n_views", "2", "--pool_views", "4", "--render_res", "32", "--percentage", "0.05", "--device", "cpu"]
ODD_VIEWS = (
    "radius",
    "frontview_std",
    "sigma",
    "background",
    "mesh_color",
    "learning_rate",
    "seed",
    "batch_size",
    "depth",
)
ODD_CLICKS = ("radius", "background", "seed", "percentage", "min_facing", "max_clicks", "min_score", "pair_views")


def run_case_of_stages(rng: np.random.Generator, folder: Path) -> None:
    """The first two stages on a small mesh, odd in its shape or with odd values: what they write can be read."""
    shape = trimesh.creation.icosphere(subdivisions=1)
    vertices = np.array(shape.vertices)
    if rng.random() < 0.5:
        vertices = vertices * (10.0 ** rng.integers(-8, 1, 3)) * 10.0 ** rng.integers(-29, 29)
        odd: list[str] = []
    else:
        names = ODD_VIEWS if rng.random() < 0.5 else ODD_CLICKS
        odd = [f"--{rng.choice(names)}", *rng.choice([*TOKENS, "1", "0.5", "2", "1e-9", "1e5"], 1).tolist()]
        if odd[0] in ("--background", "--mesh_color"):
            odd += odd[1:] * 2
    path = folder / "m.obj"
    write_obj(path, vertices, shape.faces)
    common = ["--obj_path", str(path)]
    if odd and odd[0][2:] in ODD_CLICKS and odd[0][2:] not in ODD_VIEWS:
        argv = [*common, "--decoder_data_dir", str(folder / "clicks"), *SMALL_CLICKS, *odd]
        make_supervision(parse_settings(SupervisionSettings, None, argv), teacher=FakeTeacher(56, 7))
        SupervisionSet.open(folder / "clicks", load_mesh(path))
        return
    argv = ["--encoder_data_dir", str(folder / "views"), "--encoder_model_dir", str(folder / "field"), *SMALL_VIEWS]
    distill(parse_settings(EncoderSettings, None, [*common, *argv, *odd]), teacher=FakeTeacher(56, 7))
    load_features(folder / "field" / "pred_f.pth", load_mesh(path))


CASES: dict[str, tuple[float, Callable[[np.random.Generator, Path], None]]] = {
    "mesh files": (0.45, mesh_case),
    "files of earlier runs": (0.2, artefact_case),
    "sessions": (0.1, session_case),
    "command lines": (0.1, arguments_case),
    "scripts": (0.1, lambda rng, folder: script_case(rng, folder, _hostile)),
    "runs of two stages": (0.05, run_case_of_stages),
}


def table(outcomes: list[Outcome]) -> str:
    """Markdown: cases by kind and how they ended."""
    counts = Counter((each.kind, each.verdict) for each in outcomes)
    columns = (ANSWERED, REFUSED, *FAULTS)
    rows = ["| kind | tried | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for kind in CASES:
        row = [counts[kind, verdict] for verdict in columns]
        rows.append(f"| {kind} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    found = fuzz(args.cases, args.seed, args.first)
    print(table(found))
    for each in found:
        if each.verdict in FAULTS:
            print(json.dumps([each.kind, each.verdict, each.detail]))
