"""Seconds and peak memory of each stage, and milliseconds a query, beside the rate of matrix products.

Every stage runs in a process of its own, as for a person; start-up and imports are left out of the seconds and are in
the memory. "x limit" is the time of a query over the time its matrix products need at the measured rate.

With --page 1: milliseconds of interactive.py from a click to its colours, by a client that speaks the page's messages
without a browser (tests/viser_client.py), with random weights.

With --scale 1: processor seconds and peak memory of reading a mesh, making iSeg3D and the prior ready, a click, the
export and a one-shot query, on one shape of more and more faces. What --out holds is not measured again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from models.scale import ScaleSettings, draw_scale, scale_report, time_scale
from models.timing import TimingSettings, random_decoder, report, time_meshes
from utils.errors import run_cli
from utils.files import save_json
from utils.options import parse_settings


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(TimingSettings, ScaleSettings):
    """All of it in one command line."""


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(BenchmarkSettings, __doc__, argv)
    if settings.scale:
        results = time_scale(settings, settings.out)
        print(scale_report(results))
        if settings.scale_plot:
            draw_scale(settings.scale_plot, results)
    elif settings.page:
        from tests.viser_client import Tab
        from utils.viewer.timing import page_report, time_page

        make = partial(random_decoder, precision=settings.precision, seed=settings.seed)
        results = time_page(make, Tab, settings.vertices, settings.clicks)
        print(page_report(results))
    else:
        results = time_meshes(settings)
        print(report(results))
    if settings.out:
        save_json(settings.out, results)
        print(f"written: {settings.out}")
    return 0


if __name__ == "__main__":
    run_cli(main)
