"""Seconds and peak memory of each stage, and milliseconds a query, beside the rate at which this machine multiplies matrices.

Every stage runs in a process of its own, as for a person; start-up and imports are left out of the seconds and are in
the memory. "x limit" is the time of a query over the time its matrix products need at the measured rate.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import torch
from models.presets import PRESETS, Run
from torch.utils.flop_counter import FlopCounterMode

from models.iseg.checkpoint import load_features
from models.iseg.decoders import build_network
from models.iseg.segmenter import DecoderSegmenter
from utils.clicks import Clicks
from utils.device import choose_device, peak_memory_gib
from utils.errors import UserError, run_cli
from utils.files import save_json
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.sampling import farthest_point_sampling
from utils.options import TEACHERS, flag, positive_int

MESHES = (Path("meshes/camel.obj"), Path("meshes/hammer.obj"))
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
CLICK_COUNTS = (1, 2, 5)
WARM_UP = 3  # queries
TABLE_HEAD = ("mesh", "vertices", "stage", "seconds", "peak memory")
QUERY_HEAD = ("mesh", "vertices", "decoder", "clicks", "number format", "ms", "GFLOP", "ms at the rate", "x limit")


@dataclass(frozen=True)
class StageCost:
    """What a stage took: seconds, and the peak resident memory of its process, GiB; GPU memory, GiB, 0 without one."""

    stage: str
    seconds: float
    memory_gib: float
    gpu_memory_gib: float = 0.0


@dataclass(frozen=True)
class QueryCost:
    """What a query took: median milliseconds, and the floating-point operations of its matrix products."""

    architecture: str
    clicks: int
    precision: str
    milliseconds: float
    flops: int


@dataclass(frozen=True)
class Agreement:
    """Share of the vertices that bfloat16 and float32 decide alike, over queries: on average, and in the worst query."""

    queries: int
    mean: float
    worst: float


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--meshes", type=Path, nargs="+", default=list(MESHES), metavar="FILE")
    parser.add_argument("--preset", choices=PRESETS, default="fast")
    parser.add_argument("--SAM", choices=TEACHERS, default="auto", help="teacher")
    parser.add_argument(
        "--random_weights",
        type=flag,
        default=False,
        metavar="0|1",
        help="give --SAM random weights, for timing without its checkpoint",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--work_dir", type=Path, help="where the stages write, starting over; default: a temporary folder"
    )
    parser.add_argument("--repeats", type=positive_int, default=21, help="of each query")
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write the numbers here")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    device = choose_device(args.device)
    if args.random_weights and args.SAM == "auto":
        raise UserError("--random_weights 1 needs a named model, such as --SAM vit_h")
    meshes = [(path, load_mesh(path)) for path in args.meshes]
    results = {"machine": machine(device), "preset": args.preset, "meshes": []}
    rates = matrix_rates(device)
    with ExitStack() as stack:
        root = args.work_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iseg-benchmark-")))
        for path, mesh in meshes:
            run = Run(
                path, root / path.stem, path.stem, args.preset, args.SAM, str(device), seed=args.seed, overwrite=True
            )
            stages = [run_stage(*stage, args.random_weights) for stage in stages_of(run)]
            queries = query_costs(run, mesh, device, args.repeats)
            agreement = format_agreement(run, mesh, device)
            results["meshes"].append(
                {
                    "mesh": path.stem,
                    "vertices": mesh.num_vertices,
                    "stages": [asdict(stage) for stage in stages],
                    "queries": [asdict(q) for q in queries],
                    "agreement": asdict(agreement),
                }
            )
    # The machine may be busier or cooler after the work: the mean of both is what it offered.
    results["matrix_rates_tflops"] = {name: [rates[name], after] for name, after in matrix_rates(device).items()}
    print(report(results))
    if args.out:
        save_json(args.out, results)
        print(f"written: {args.out}")
    return 0


# --- the machine --------------------------------------------------------------------------------


def machine(device: torch.device) -> dict:
    """What the numbers were measured on."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def matrix_rates(device: torch.device, side: int | None = None, seconds: float = 1.0) -> dict[str, float]:
    """TFLOP/s of square matrix products in float32 and bfloat16: the best of repeated products for `seconds` each."""
    side = side or MATRIX_SIDE[device.type]
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        times, until = [], time.perf_counter() + seconds
        while len(times) < 4 or time.perf_counter() < until:
            times.append(_timed(device, lambda: left @ right))
        rates[str(dtype).removeprefix("torch.")] = 2 * side**3 / min(times[1:]) / 1e12  # the first one warms up
    return rates


def _timed(device: torch.device, work) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


# --- stages -------------------------------------------------------------------------------------


def stages_of(run: Run) -> list[tuple[str, str, list[str]]]:
    """Title, script and arguments of each stage."""
    return [
        ("views", "encoder", run.encoder_arguments(training=False)),
        ("feature field", "encoder", run.encoder_arguments(views=False)),
        ("click supervision", "data_generation", run.click_arguments()),
        ("decoder", "decoder", run.decoder_arguments()),
    ]


def run_stage(title: str, script: str, arguments: list[str], random_weights: bool = False) -> StageCost:
    """Run an entry script's main in a fresh process; UserError if it fails."""
    print(f"\n== {title}: {script}.py", flush=True)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_stage_process, args=(sender, script, arguments, random_weights))
    process.start()
    sender.close()
    try:
        seconds, memory, gpu_memory = receiver.recv()
    except EOFError:
        seconds = None
    process.join()
    if seconds is None or process.exitcode:
        raise UserError(f"{script}.py ended with exit code {process.exitcode}; see above")
    return StageCost(title, seconds, memory, gpu_memory)


def _stage_process(sender, script: str, arguments: list[str], random_weights: bool) -> None:
    module = importlib.import_module(script)
    with ExitStack() as stack:
        if random_weights and hasattr(module, "load_teacher"):
            untrained = functools.partial(module.load_teacher, random_weights=True)
            stack.enter_context(mock.patch.object(module, "load_teacher", untrained))
        started = time.perf_counter()
        try:
            failed = module.main(arguments)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        seconds = time.perf_counter() - started
    if failed:
        sys.exit(failed)
    gpu_memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    sender.send((seconds, peak_memory_gib(), gpu_memory))


# --- queries ------------------------------------------------------------------------------------


def query_costs(run: Run, mesh: Mesh, device: torch.device, repeats: int) -> list[QueryCost]:
    """Queries of several numbers of clicks, alternately positive and negative, in float32 and in the fastest format.

    As in use, the last click is a new one in every query and the earlier ones stay. Of the decoder that was trained and, if
    that is another, of the published one with random weights: the time does not depend on them.
    """
    vertices = farthest_point_sampling(mesh.normalized, max(CLICK_COUNTS) + WARM_UP + repeats).tolist()
    costs = []
    for precision in ("float32", "auto"):
        trained = DecoderSegmenter.load(run.decoder / run.checkpoint_name, run.features, mesh, device, precision)
        segmenters = [trained]
        if trained.network.architecture != "published":
            network = build_network("published", generator=torch.Generator().manual_seed(run.seed))
            features, _ = load_features(run.features, mesh)
            segmenters.append(DecoderSegmenter(mesh, network.to(device), features, precision))
        for segmenter in segmenters:
            for count in CLICK_COUNTS:
                earlier = vertices[: count - 1]
                queries = [[*earlier, new] for new in vertices[max(CLICK_COUNTS) :]]
                if segmenter.geometry is not None:
                    segmenter.geometry.distances.forget()
                costs.append(
                    query_cost(segmenter, [Clicks.from_lists(ids[0::2], ids[1::2]) for ids in queries], device)
                )
    return costs


def format_agreement(run: Run, mesh: Mesh, device: torch.device, per_count: int = 20) -> Agreement:
    """How the selections (probability above 0.5) of the trained decoder in bfloat16 agree with those in float32."""
    vertices = farthest_point_sampling(mesh.normalized, max(CLICK_COUNTS) + per_count).tolist()
    exact, fast = (
        DecoderSegmenter.load(run.decoder / run.checkpoint_name, run.features, mesh, device, precision)
        for precision in ("float32", "bfloat16")
    )
    shares = []
    for count in CLICK_COUNTS:
        for new in vertices[max(CLICK_COUNTS) :]:
            ids = [*vertices[: count - 1], new]
            clicks = Clicks.from_lists(ids[0::2], ids[1::2])
            shares.append(float(((exact.probability(clicks) > 0.5) == (fast.probability(clicks) > 0.5)).mean()))
    return Agreement(len(shares), statistics.mean(shares), min(shares))


def query_cost(segmenter: DecoderSegmenter, queries: list[Clicks], device: torch.device) -> QueryCost:
    """Median time of a query, from clicks to probabilities on the CPU; the first `WARM_UP` do not count."""
    times = [_timed(device, lambda: segmenter.probability(clicks)) for clicks in queries][WARM_UP:]
    name, clicks = str(segmenter.dtype).removeprefix("torch."), queries[0]
    return QueryCost(
        segmenter.network.architecture,
        len(clicks),
        name,
        1000 * statistics.median(times),
        matrix_flops(segmenter, clicks),
    )


def matrix_flops(segmenter: DecoderSegmenter, clicks: Clicks) -> int:
    """Floating-point operations of the matrix products of one query, counted as they are called."""
    fused = getattr(torch.ops.mkldnn, "_linear_pointwise", None)

    def flops_of_linear(inputs, weight, *_, out_shape=None, **__) -> int:
        rows = 1
        for size in inputs[:-1]:
            rows *= size
        return 2 * rows * weight[0] * weight[1]

    counter = FlopCounterMode(display=False, custom_mapping={fused: flops_of_linear} if fused else None)
    with counter:
        segmenter.probability(clicks)
    return counter.get_total_flops()


# --- report -------------------------------------------------------------------------------------


def report(results: dict) -> str:
    """The numbers as Markdown tables."""
    rates = results["matrix_rates_tflops"]
    mean = {name: statistics.mean(values) for name, values in rates.items()}
    where = results["machine"]
    lines = [
        "",
        f"{where['gpu'] or where['processor']}, {where['cores']} cores, torch {where['torch']}, preset {results['preset']}",
        "matrix products: "
        + "; ".join(f"{name} {values[0]:.2f} TFLOP/s before, {values[1]:.2f} after" for name, values in rates.items()),
        "",
    ]
    rows = []
    for entry in results["meshes"]:
        label = (entry["mesh"], f"{entry['vertices']:,}")
        for stage in entry["stages"]:
            memory = f"{stage['memory_gib']:.2f} GiB" + (
                f" + {stage['gpu_memory_gib']:.2f} GiB GPU" if stage["gpu_memory_gib"] else ""
            )
            rows.append((*label, stage["stage"], f"{stage['seconds']:.1f}", memory))
        peak = max(stage["memory_gib"] for stage in entry["stages"])
        rows.append(
            (*label, "**together**", f"**{sum(s['seconds'] for s in entry['stages']):.1f}**", f"**{peak:.2f} GiB**")
        )
    lines += _table(TABLE_HEAD, rows)
    rows = []
    for entry in results["meshes"]:
        for query in entry["queries"]:
            limit = 1000 * query["flops"] / (mean[query["precision"]] * 1e12)
            rows.append(
                (
                    entry["mesh"],
                    f"{entry['vertices']:,}",
                    query["architecture"],
                    str(query["clicks"]),
                    query["precision"],
                    f"{query['milliseconds']:.1f}",
                    f"{query['flops'] / 1e9:.2f}",
                    f"{limit:.1f}",
                    f"{query['milliseconds'] / limit:.2f}",
                )
            )
    agreements = [
        f"{entry['mesh']}: bfloat16 selects as float32 on {entry['agreement']['mean']:.2%} of the vertices "
        f"({entry['agreement']['queries']} queries, the worst {entry['agreement']['worst']:.2%})"
        for entry in results["meshes"]
    ]
    return "\n".join([*lines, "", *_table(QUERY_HEAD, rows), "", *agreements, ""])


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


if __name__ == "__main__":
    run_cli(main)
