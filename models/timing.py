"""What the stages and the queries of a mesh cost on this machine, beside the rate at which it multiplies matrices."""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.iseg.checkpoint import load_features
from models.iseg.decoders import build_network
from models.iseg.encoder_stage import distill
from models.iseg.segmenter import PRECISIONS, DecoderSegmenter
from models.pipeline import PRESETS, Pipeline, PipelineSettings
from SAM_repo.teacher import load_teacher
from utils.clicks import Clicks
from utils.device import choose_device
from utils.errors import UserError
from utils.evaluation.report import markdown
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.sampling import farthest_point_sampling
from utils.memory import peak_memory_gib
from utils.options import SEED, TEACHERS, Checked, option, positive_int
from utils.progress import Bars

MESHES = (Path("meshes/camel.obj"), Path("meshes/hammer.obj"))
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
STAGES = ("views", "feature field", "click supervision", "decoder")
CLICK_COUNTS = (1, 2, 5)
WARM_UP = 3  # queries
AGREEMENT_QUERIES = 20  # for each number of clicks
TABLE_HEAD = ("mesh", "vertices", "stage", "seconds", "peak memory")
QUERY_HEAD = ("mesh", "vertices", "decoder", "clicks", "number format", "ms", "GFLOP", "ms at the rate", "x limit")


@dataclass(frozen=True, kw_only=True)
class TimingSettings(Checked):
    """What is timed."""

    meshes: tuple[Path, ...] = option(MESHES, nargs="+", metavar="FILE", group="what to time")
    preset: str = option("fast", choices=[name for name, preset in PRESETS.items() if preset.needs_field])
    SAM: str = option("auto", "teacher", choices=TEACHERS)
    random_weights: bool = option(False, "give --SAM random weights, for timing without its checkpoint")
    device: str = option("auto", "auto, cpu or cuda")
    work_dir: Path | None = option(None, "where the stages write, starting over; default: a temporary folder")
    repeats: int = option(21, "of each query", type=positive_int)
    out: Path | None = option(None, "also write the numbers here", metavar="JSON")
    seed: int = option(0, within=SEED)
    page: bool = option(False, "time interactive.py instead, from a click to its colours, on tori", group="the page")
    vertices: tuple[int, ...] = option(
        (1500, 5500, 11000, 25000, 100000), "of the tori; they have twice as many faces", type=positive_int
    )
    clicks: int = option(15, "on each", type=positive_int)
    precision: str = option("exact", "of the decoder", choices=PRECISIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.random_weights and self.SAM == "auto":
            raise UserError("--random_weights 1 needs a named model, such as --SAM vit_h")


def time_meshes(settings: TimingSettings) -> dict:
    """Every mesh through the stages and asked; plain values, as the results file holds them."""
    device = choose_device(settings.device)
    meshes = [(path, load_mesh(path)) for path in settings.meshes]
    results = {"machine": machine(device), "preset": settings.preset, "meshes": []}
    rates = matrix_rates(device)
    with ExitStack() as stack:
        root = settings.work_dir
        root = root or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iseg-benchmark-")))
        for path, mesh in meshes:
            run = PipelineSettings(
                obj_path=path,
                out_dir=root / path.stem,
                preset=settings.preset,
                SAM=settings.SAM,
                device=str(device),
                seed=settings.seed,
                overwrite=True,
            )
            results["meshes"].append(
                {
                    "mesh": path.stem,
                    "vertices": mesh.num_vertices,
                    "stages": [time_stage(run, stage, settings.random_weights) for stage in STAGES],
                    "queries": query_costs(run, mesh, device, settings.repeats),
                    "agreement": format_agreement(run, mesh, device),
                }
            )
    # The machine may be busier or cooler after the work: the mean of both is what it offered.
    results["matrix_rates_tflops"] = {name: [rates[name], after] for name, after in matrix_rates(device).items()}
    return results


def random_decoder(mesh: Mesh, precision: str = "exact", seed: int = 0) -> DecoderSegmenter:
    """The default decoder with random weights and features, which take the same time as trained ones."""
    generator = torch.Generator().manual_seed(seed)
    network = build_network("geometric", generator=generator)
    features = torch.tanh(torch.randn(mesh.num_vertices, 256, generator=generator))
    return DecoderSegmenter(mesh, network, features, precision)


# --- the machine --------------------------------------------------------------------------------


def machine(device: torch.device) -> dict:
    """What the numbers were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
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
            times.append(_timed(device, left.__matmul__, right))
        rates[str(dtype).removeprefix("torch.")] = 2 * side**3 / min(times[1:]) / 1e12  # the first one warms up
    return rates


def _timed(device: torch.device, work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


# --- stages -------------------------------------------------------------------------------------


def time_stage(settings: PipelineSettings, stage: str, random_weights: bool = False) -> dict:
    """Seconds and peak memory, GiB, of one of `STAGES` in a fresh process; its errors are raised here.

    Start-up and imports are left out of the seconds and are in the memory.
    """
    print(f"\n== {stage}", flush=True)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run_stage, settings, stage, random_weights).result()


def run_stage(settings: PipelineSettings, stage: str, random_weights: bool) -> dict:
    """What `time_stage` says, of this process; random_weights: of the teacher."""
    started, teacher = time.perf_counter(), None
    if random_weights and stage in ("views", "click supervision"):
        teacher = load_teacher(settings.SAM, device=choose_device(settings.device), random_weights=True)
    pipeline = Pipeline(settings, PRESETS[settings.preset], teacher)
    if stage in ("views", "feature field"):
        views = stage == "views"
        distill(pipeline.encoder(views=views, training=not views), Bars(), teacher)
    else:
        pipeline.stages["decoder training" if stage == "decoder" else stage](Bars())
    return {
        "stage": stage,
        "seconds": time.perf_counter() - started,
        "memory_gib": peak_memory_gib(),
        "gpu_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0,
    }


# --- queries ------------------------------------------------------------------------------------


def query_costs(run: PipelineSettings, mesh: Mesh, device: torch.device, repeats: int) -> list[dict]:
    """Queries of several numbers of clicks, in float32 and in the fastest format.

    Of the decoder that was trained and, if that is another, of the published one with random weights: the time does
    not depend on them.
    """
    queries, costs = spread_queries(mesh, WARM_UP + repeats), []
    for precision in ("float32", "auto"):
        trained = DecoderSegmenter.load(run.files.checkpoint, run.files.features, mesh, device, precision)
        segmenters = [trained]
        if trained.network.architecture != "published":
            network = build_network("published", generator=torch.Generator().manual_seed(run.seed))
            features, _ = load_features(run.files.features, mesh)
            segmenters.append(DecoderSegmenter(mesh, network.to(device), features, precision))
        for segmenter in segmenters:
            for asked in queries:
                if segmenter.geometry is not None:
                    segmenter.geometry.distances.forget()
                costs.append(query_cost(segmenter, asked, device))
    return costs


def spread_queries(mesh: Mesh, repeats: int) -> list[list[Clicks]]:
    """For each of `CLICK_COUNTS` so many queries at spread-out vertices, alternately positive and negative.

    As in use, the last click is a new one in every query and the earlier ones stay.
    """
    vertices = farthest_point_sampling(mesh.normalized, max(CLICK_COUNTS) + repeats).tolist()
    queries = []
    for count in CLICK_COUNTS:
        asked = [[*vertices[: count - 1], new] for new in vertices[max(CLICK_COUNTS) :]]
        queries.append([Clicks.from_lists(ids[0::2], ids[1::2]) for ids in asked])
    return queries


def format_agreement(run: PipelineSettings, mesh: Mesh, device: torch.device) -> dict:
    """Share of the vertices that the decoder decides alike in bfloat16 and float32: mean over queries, and worst."""
    exact, fast = (
        DecoderSegmenter.load(run.files.checkpoint, run.files.features, mesh, device, precision)
        for precision in ("float32", "bfloat16")
    )
    shares = [
        float(((exact.probability(clicks) > 0.5) == (fast.probability(clicks) > 0.5)).mean())
        for asked in spread_queries(mesh, AGREEMENT_QUERIES)
        for clicks in asked
    ]
    return {"queries": len(shares), "mean": statistics.mean(shares), "worst": min(shares)}


def query_cost(segmenter: DecoderSegmenter, queries: list[Clicks], device: torch.device) -> dict:
    """Median time of a query, from clicks to probabilities on the CPU; the first `WARM_UP` do not count."""
    times = [_timed(device, segmenter.probability, clicks) for clicks in queries][WARM_UP:]
    return {
        "architecture": segmenter.network.architecture,
        "clicks": len(queries[0]),
        "precision": str(segmenter.dtype).removeprefix("torch."),
        "milliseconds": 1000 * statistics.median(times),
        "flops": matrix_flops(segmenter, queries[0]),
    }


def matrix_flops(segmenter: DecoderSegmenter, clicks: Clicks) -> int:
    """Floating-point operations of the matrix products of one query, counted as they are called."""
    fused = getattr(torch.ops.mkldnn, "_linear_pointwise", None)

    def flops_of_linear(inputs, weight, *_, out_shape=None, **__) -> int:
        return 2 * math.prod(inputs[:-1]) * weight[0] * weight[1]

    counter = FlopCounterMode(display=False, custom_mapping={fused: flops_of_linear} if fused else None)
    with counter:
        segmenter.probability(clicks)
    return counter.get_total_flops()


# --- report -------------------------------------------------------------------------------------


def report(results: dict) -> str:
    """The numbers as Markdown tables."""
    rates, where = results["matrix_rates_tflops"], results["machine"]
    products = (f"{name} {values[0]:.2f} TFLOP/s before, {values[1]:.2f} after" for name, values in rates.items())
    stages, queries, agreements = [], [], []
    for entry in results["meshes"]:
        label = (entry["mesh"], f"{entry['vertices']:,}")
        for stage in entry["stages"]:
            gpu = f" + {stage['gpu_memory_gib']:.2f} GiB GPU" if stage["gpu_memory_gib"] else ""
            memory = f"{stage['memory_gib']:.2f} GiB{gpu}"
            stages.append((*label, stage["stage"], f"{stage['seconds']:.1f}", memory))
        seconds, peak = sum(s["seconds"] for s in entry["stages"]), max(s["memory_gib"] for s in entry["stages"])
        stages.append((*label, "**together**", f"**{seconds:.1f}**", f"**{peak:.2f} GiB**"))
        queries += [
            (*label, *_query_row(query, statistics.mean(rates[query["precision"]]))) for query in entry["queries"]
        ]
        agreement = entry["agreement"]
        agreements.append(
            f"{entry['mesh']}: bfloat16 selects as float32 on {agreement['mean']:.2%} of the vertices "
            f"({agreement['queries']} queries, the worst {agreement['worst']:.2%})"
        )
    return "\n".join(
        [
            f"\n{where['gpu'] or where['processor']}, {where['cores']} cores, torch {where['torch']}, "
            f"preset {results['preset']}",
            f"matrix products: {'; '.join(products)}\n",
            *markdown(TABLE_HEAD, stages),
            "",
            *markdown(QUERY_HEAD, queries),
            "",
            *agreements,
            "",
        ]
    )


def _query_row(query: dict, tflops: float) -> tuple[str, ...]:
    """limit: milliseconds that the matrix products alone take at the measured rate."""
    limit = query["flops"] / (tflops * 1e9)
    return (
        query["architecture"],
        str(query["clicks"]),
        query["precision"],
        f"{query['milliseconds']:.1f}",
        f"{query['flops'] / 1e9:.2f}",
        f"{limit:.1f}",
        f"{query['milliseconds'] / limit:.2f}",
    )
