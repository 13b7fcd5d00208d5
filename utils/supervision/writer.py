"""Making click supervision: sample vertices, prompt the teacher in many views, keep what the rules keep (Sec. 3.3).

The work goes view by view, since the prompts of a view share its embedding, in two passes: first every single click,
then the second clicks, which start from the finished single masks. Each pass writes shards of some thousand samples; a
killed run goes on at its first missing shard. What is drawn comes from generators seeded by the run's seed and the view
or table they are for, so an interruption changes nothing.

Departures from the release: views come from one pool shared by all vertices instead of being drawn for each; visibility
is read from the rasterisation; every clicked pixel is forced, not only that of a single; a second mask of equal area is
dropped too; and, only if asked for (`share_pairs`), the second clicks of a vertex are drawn once, not in every view.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from utils.errors import UserError
from utils.folders import claim_folder, differing, require_none
from utils.progress import Progress, silent
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewPool
from utils.supervision.click_views import ClickSettings, choose_views, held_clicks
from utils.supervision.pairs import SECOND_KINDS, SecondClickSettings, write_pairs
from utils.supervision.singles import SingleMasks, write_singles
from utils.supervision.store import FORMAT, KINDS, SHARD_SAMPLES, SupervisionSet, read_manifest
from utils.teacher import Teacher


def write_supervision(
    directory: str | Path,
    rasterizer: Rasterizer,
    pool: ViewPool,
    teacher: Teacher,
    clicks: ClickSettings,
    second: SecondClickSettings,
    kinds: tuple[str, ...] = KINDS,
    overwrite: bool = False,
    shard_samples: int = SHARD_SAMPLES,
    on_progress: Progress = silent,
) -> SupervisionSet:
    """Fill `directory` with the named kinds of samples, or finish what an interrupted call began.

    The teacher must be the one that embedded `pool`. Second clicks need the singles, made now or before. A shard
    answers at most `shard_samples` prompts, unless one view has more.
    Raises UserError if the folder holds supervision of another mesh, teacher or settings (unless `overwrite`), if the
    singles are missing, or if no sampled vertex is seen in any view.
    """
    directory, mesh = Path(directory), rasterizer.mesh
    if teacher.name != pool.teacher_name:
        raise UserError(
            f"the views at {pool.directory} were embedded by {pool.teacher_name}, not by {teacher.name}; "
            "name that teacher with --SAM or make the views again"
        )
    if "single" not in kinds and "single" not in read_manifest(directory, mesh)["shards"]:
        raise UserError("second clicks start from the masks of single clicks: add --single_click 1")
    size = (clicks.render_res, clicks.render_res)
    settings = {"clicks": asdict(clicks), "views": pool.settings.to_dict(), "second_clicks": asdict(second)}
    identity = {"mesh_digest": mesh.digest, "teacher": teacher.name, "settings": settings}
    _claim(directory, identity, kinds, overwrite)
    views = held_clicks(directory / "clicks.npz", rasterizer, pool.cameras.resized(size), clicks, on_progress)
    if "single" in kinds:
        prompted = choose_views(views.visible, clicks.n_views, clicks.seed)
        write_singles(directory, pool, teacher, views, prompted, size, shard_samples, on_progress)
    wanted = tuple(kind for kind in SECOND_KINDS if kind in kinds)
    if wanted:
        samples = SupervisionSet.open(directory, mesh, kinds=("single",))
        singles = SingleMasks(views, samples, second.min_score)
        write_pairs(directory, pool, teacher, singles, second, wanted, clicks.seed, shard_samples, on_progress)
    return SupervisionSet.open(directory, mesh)


def _claim(directory: Path, identity: dict, kinds: tuple[str, ...], overwrite: bool) -> None:
    """Write the manifest of a new set, or check that the one there asks for the same.

    The settings of second clicks count only once a set has them; with `overwrite` singles, everything goes, else the
    second clicks.
    """
    path, settings = directory / "supervision.json", identity["settings"]
    patterns = [*(f"{kind}_*.npz" for kind in KINDS), "clicks.npz"]
    if not path.is_file() or (overwrite and "single" in kinds):
        if not overwrite:
            require_none(path, patterns, "click supervision")
        claim_folder(path, {"format": FORMAT, **identity, "shards": {}}, patterns, "click supervision", overwrite=True)
        return
    held = read_manifest(directory)
    afresh = overwrite or not any(kind in held["shards"] for kind in SECOND_KINDS)
    if afresh or not any(kind in kinds for kind in SECOND_KINDS):
        settings = {part: values for part, values in settings.items() if part != "second_clicks"}
    names = differing(held, {**identity, "settings": settings})
    if names:
        raise UserError(
            f"{directory} holds click supervision with another {', '.join(names)}; "
            "choose another --decoder_data_dir or add --overwrite 1 (with --single_click 1 to replace the singles too)"
        )
    if afresh:
        kept = {kind: count for kind, count in held["shards"].items() if kind == "single"}
        second = identity["settings"]["second_clicks"]
        held = {**held, "shards": kept, "settings": {**held["settings"], "second_clicks": second}}
        stale = [f"{kind}_*.npz" for kind in SECOND_KINDS]
        if not overwrite:
            require_none(path, stale, "second clicks")
        claim_folder(path, held, stale, "click supervision", overwrite=True)
