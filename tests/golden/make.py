"""Writes the golden files: `python -m tests.golden.make [--files]`; with --files also what old programs wrote."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
import trimesh
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

import encoder
from models.iseg.checkpoint import DecoderCheckpoint, save_decoder_checkpoint
from models.iseg.click_geometry import ClickGeometry, ClickGeometryTable
from models.iseg.decoders import GeometricConfig
from scripts import evaluate
from tests.fakes import FakeTeacher
from tests.test_golden import (
    FEWER_IOU,
    GOLDEN,
    MESHES,
    NAMES,
    Answers,
    Session,
    SupervisionSet,
    all_answers,
    benchmark_arguments,
    build_network,
    encoder_arguments,
    instant,
    instant_answers,
    load_mesh,
    mean_iou,
    mesh_of,
    open_view_pool,
    part_vertices,
    prior_answers,
    published_answers,
    same,
    seeded_features,
    session_summary,
    shaken_prior,
    stored,
    trained,
)
from utils.rendering.rasterize import Rasterizer
from utils.session.files import save_session, session_from_json
from utils.supervision.writer import ClickSettings, SecondClickSettings, write_supervision

SMALLEST = 60  # vertices of a part that is asked for
SHAKES = 4  # of the coordinates' last bits, after which an answer that turned is a tie
SIZES = (0.95, 0.5, 0.1)  # quantiles of the parts' sizes
STEPS, SETS, ROWS = 300, 16, 192  # of the small training


# --- clicks -----------------------------------------------------------------------------------------


def depth_inside(name: str, label: int) -> np.ndarray:
    """(V,) how far each vertex of a part lies from its border along the edges; 0 outside."""
    mesh, part = mesh_of(name), part_vertices(name, label)
    labels = np.loadtxt(MESHES / f"{name}.seg", dtype=np.int64)
    border = np.zeros(mesh.num_vertices, dtype=bool)
    border[mesh.faces[labels != label]] = True
    length = np.linalg.norm(np.diff(mesh.normalized[mesh.edges], axis=1)[:, 0], axis=1) + 1e-6
    graph = csr_matrix((length, tuple(mesh.edges.T)), shape=(mesh.num_vertices,) * 2)
    depth = np.where(part & ~border, dijkstra(graph, directed=False, indices=np.flatnonzero(border), min_only=True), 0)
    if np.isinf(depth).any():  # a piece of its own has no border: nearest to its middle counts
        alone = np.isinf(depth)
        away = np.linalg.norm(mesh.normalized - mesh.normalized[alone].mean(axis=0), axis=1)
        depth = np.where(alone, 10 - away, 0)
    return depth


def neighbour(name: str, label: int) -> int:
    """The label with most vertices in common with a part, or of the nearest vertex of another part."""
    part = part_vertices(name, label)
    others = [
        other for other in range(len(json.loads((MESHES / f"{name}.json").read_text())["parts"])) if other != label
    ]
    common = [int((part & part_vertices(name, other)).sum()) for other in others]
    if max(common):
        return others[int(np.argmax(common))]
    points = torch.from_numpy(mesh_of(name).normalized)
    near = [float(torch.cdist(points[part], points[part_vertices(name, other)]).min()) for other in others]
    return others[int(np.argmin(near))]


def choose_clicks(name: str) -> list[dict]:
    """Up to three parts of a mesh, large to small, with the clicks A, B and, for the first, C."""
    names = json.loads((MESHES / f"{name}.json").read_text())["parts"]
    sizes = {label: int(part_vertices(name, label).sum()) for label in range(len(names))}
    large = sorted((label for label, size in sizes.items() if size >= SMALLEST), key=lambda label: sizes[label])
    labels = list(dict.fromkeys(large[round(share * (len(large) - 1))] for share in SIZES))
    chosen = []
    for label in labels:
        depth = depth_inside(name, label)
        first, other = int(depth.argmax()), int(depth_inside(name, neighbour(name, label)).argmax())
        clicks = {"A": [[first], []], "B": [[first], [other]]}
        if not chosen:
            points = mesh_of(name).normalized
            away = np.linalg.norm(points - points[first], axis=1)
            second = int(np.where(depth > 0.3 * depth.max(), away, 0).argmax())
            clicks["C"] = [[first, second], []]
        chosen.append({"part": names[label], "label": label, "vertices": sizes[label], "clicks": clicks})
    return chosen


# --- files of old programs --------------------------------------------------------------------------


def write_decoder(name: str) -> None:
    """Train a small geometric decoder on the labelled parts of a mesh; half precision, without the optimiser."""
    generator = torch.Generator().manual_seed(0)
    mesh, features = mesh_of(name), seeded_features(mesh_of(name))
    config = GeometricConfig(width=128, depth=3)
    network = build_network("geometric", config.to_dict(), generator)
    network.decoder.standardize(features)
    labels = sorted(set(np.loadtxt(MESHES / f"{name}.seg", dtype=np.int64).tolist()))
    parts = torch.from_numpy(np.stack([part_vertices(name, label) for label in labels]))
    inner = [np.argsort(-depth_inside(name, label))[:200] for label in labels]
    clicked = torch.from_numpy(np.stack([np.random.default_rng(0).choice(ids, 8, replace=False) for ids in inner]))
    table = ClickGeometryTable(ClickGeometry(mesh), clicked.unique(), torch.arange(mesh.num_vertices))
    optimizer, losses = torch.optim.Adam(network.parameters(), 1e-3), []
    for _ in range(STEPS):
        part = torch.randint(len(parts), (SETS,), generator=generator)
        other = (part + 1 + torch.randint(len(parts) - 1, (SETS,), generator=generator)) % len(parts)
        pick = torch.randint(8, (2, SETS), generator=generator)
        vertices = torch.stack([clicked[part, pick[0]], clicked[other, pick[1]]], dim=1)
        positive = torch.tensor([[True, False]]).expand(SETS, 2)
        present = torch.stack([torch.ones(SETS, dtype=torch.bool), torch.rand(SETS, generator=generator) < 0.5], dim=1)
        weight = parts[part] / parts[part].sum(1, keepdim=True) + ~parts[part] / (~parts[part]).sum(1, keepdim=True)
        rows = torch.multinomial(weight.float(), ROWS, generator=generator)
        seen = table(vertices, positive, present, rows)
        logits = network(features[rows], features[vertices], positive, present, seen)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), parts[part].gather(1, rows).long().flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(round(float(loss.detach()), 4))
    print(f"small decoder: loss {np.mean(losses[:20]):.3f} -> {np.mean(losses[-20:]):.3f}")
    half = [
        {key: value.half() for key, value in module.state_dict().items()}
        for module in (network.attention, network.decoder)
    ]
    record = {"mesh_digest": mesh.digest, "teacher": "golden-0", "seed": 0, "run": {"steps": STEPS}}
    held = DecoderCheckpoint(*half, {}, 0, STEPS, None, losses, STEPS, "geometric", network.config(), **record)
    held.generator_state = generator.get_state()
    save_decoder_checkpoint(GOLDEN / f"{name}_decoder.pth", held)


def write_session() -> None:
    """A session with two parts, a correction, an edit and open clicks."""
    parts = stored()["meshes"]["camel"]
    session = Session(mesh_of("camel"), Answers(instant("camel")))
    for place, part in enumerate(parts[:2]):
        (first, *_), negative = part["clicks"]["B"]
        session.click(first)
        session.click(negative[0], positive=False)
        if place == 0:
            session.grow()
        session.keep_part(part["part"])
    session.set_locked(1, True)
    session.click(parts[-1]["clicks"]["A"][0][0])
    session.set_granularity(0.7)
    session.edit("extrude", 0.05)
    session.grow()
    save_session(GOLDEN / "session.json", session)


def write_ball() -> None:
    """Views, click supervision and a field of a ball, by a teacher without weights."""
    shape = trimesh.creation.icosphere(subdivisions=1).apply_translation((3.0, 0.5, -2.0))
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in shape.vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in shape.faces + 1]
    (GOLDEN / "ball.obj").write_text("\n".join(lines) + "\n")
    small = FakeTeacher(image_size=56, side=4)
    encoder.load_teacher = lambda *args, **kwargs: small
    for folder in ("encoder_data", "encoder", "decoder_data"):
        shutil.rmtree(GOLDEN / folder, ignore_errors=True)
    encoder.main(encoder_arguments(GOLDEN))
    mesh = load_mesh(GOLDEN / "ball.obj")
    clicks = ClickSettings(percentage=0.3, n_views=4, render_res=56)
    pool, second = open_view_pool(GOLDEN / "encoder_data", mesh), SecondClickSettings(max_pairs=2, refinements=1)
    write_supervision(GOLDEN / "decoder_data", Rasterizer(mesh, "embree"), pool, small, clicks, second)


def write_benchmark() -> None:
    """A benchmark of one ball in two halves, and what a baseline gets on it."""
    folder = GOLDEN / "benchmark"
    shutil.rmtree(folder, ignore_errors=True)
    ball = trimesh.creation.icosphere(subdivisions=1)
    upper = ball.triangles_center[:, 1] > 0.1
    for part in ("off", "seg/Benchmark/1"):
        (folder / "psb" / part).mkdir(parents=True)
    rows = [" ".join(f"{value:.6f}" for value in row) for row in ball.vertices] + [
        f"3 {a} {b} {c}" for a, b, c in ball.faces
    ]
    (folder / "psb" / "off" / "1.off").write_text(
        f"OFF\n{len(ball.vertices)} {len(ball.faces)} 0\n" + "\n".join(rows) + "\n"
    )
    for person in range(2):
        labels = "\n".join(str(int(value)) for value in upper) + "\n"
        (folder / "psb" / "seg/Benchmark/1" / f"1_{person}.seg").write_text(labels)
    (folder / "psb" / "split.json").write_text('{"Ball": [1]}\n')
    with tempfile.TemporaryDirectory() as work:  # so that no path of ours gets into the files
        shutil.copytree(folder / "psb", Path(work) / "psb")
        evaluate.main(benchmark_arguments(Path(work)))
        shutil.copytree(work, folder, dirs_exist_ok=True)


# --- what is compared with --------------------------------------------------------------------------


def ties(name: str) -> list[str]:
    """The prior's answers that a last bit turns."""
    before, turned = prior_answers(name), set()
    for seed in range(SHAKES):
        after = all_answers(shaken_prior(name, seed), name)
        turned |= {key for key, answer in after.items() if not same(before[key], answer)}
    return sorted(turned)


def describe_files() -> dict:
    """What the files of old programs hold, for clicks.json."""
    mesh = load_mesh(GOLDEN / "ball.obj")
    pool, samples = open_view_pool(GOLDEN / "encoder_data", mesh), SupervisionSet.open(GOLDEN / "decoder_data", mesh)
    session = session_from_json(
        json.loads((GOLDEN / "session.json").read_text()), mesh_of("camel"), Answers(instant("camel"))
    )
    sums = [float(pool.embedding(view).double().abs().sum()) for view in range(len(pool))]
    return {
        "session": session_summary(session),
        "views": {"views": len(pool), "teacher": pool.teacher_name, "sums": sums},
        "supervision": {
            "kinds": samples.kind.bincount(minlength=3).tolist(),
            "pixels": samples.masks(range(len(samples))).flatten(1).sum(1).tolist(),
            "clicks": [samples.clicks(sample).label() for sample in range(len(samples))],
        },
    }


def write_clicks(held: dict) -> None:
    """One part a line."""
    text = json.dumps(held)
    for mark in (
        '"meshes": ',
        '"floors": ',
        '"files": ',
        '"ties": ',
        '{"part": ',
        '"prior": ',
        '"instant": ',
        '"session": ',
        '"views": {',
    ):
        text = text.replace(mark, "\n" + mark)
    (GOLDEN / "clicks.json").write_text(text.replace('"supervision": ', '\n"supervision": ') + "\n")
    stored.cache_clear()


def main() -> None:
    """Clicks, files if asked for, answers, floors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", action="store_true", help="write the files of old programs anew, too")
    held = {"meshes": {name: choose_clicks(name) for name in NAMES}, "floors": {}, "files": {}}
    arguments = parser.parse_args()
    write_clicks(held)
    if arguments.files:
        write_decoder("camel")
        write_session()
        write_ball()
        write_benchmark()
    held |= {"files": describe_files(), "ties": {name: ties(name) for name in NAMES}}
    arrays = {}
    for kind, answers_of in (("prior", prior_answers), ("instant", instant_answers)):
        found = {name: answers_of(name) for name in NAMES}
        measured = {name: mean_iou(name, answers) for name, answers in found.items()}
        print(kind, {name: round(value, 3) for name, value in measured.items()})
        held["floors"][kind] = {name: round(value - FEWER_IOU, 3) for name, value in measured.items()}
        arrays |= {f"{kind}/{name}/{key}": np.packbits(row) for name in NAMES for key, row in found[name].items()}
    with tempfile.TemporaryDirectory() as folder:
        answers = all_answers(trained("camel", Path(folder)), "camel")
    print("trained camel", mean_iou("camel", answers))
    arrays |= {f"trained/camel/{key}": np.packbits(row) for key, row in answers.items()}
    for name in ("camel", "teapot"):
        arrays |= {f"published/{name}/{key}": row for key, row in published_answers(name).items()}
    np.savez_compressed(GOLDEN / "selections.npz", **arrays)
    write_clicks(held)


if __name__ == "__main__":
    main()
