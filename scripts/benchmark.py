"""Seconds and peak memory of each stage, and milliseconds a query, beside the rate of matrix products.

Every stage runs in a process of its own, as for a person; start-up and imports are left out of the seconds and are in
the memory. "x limit" is the time of a query over the time its matrix products need at the measured rate.
"""

from __future__ import annotations

from models.timing import TimingSettings, report, time_meshes
from utils.errors import run_cli
from utils.files import save_json
from utils.options import parse_settings


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(TimingSettings, __doc__, argv)
    results = time_meshes(settings)
    print(report(results))
    if settings.out:
        save_json(settings.out, results)
        print(f"written: {settings.out}")
    return 0


if __name__ == "__main__":
    run_cli(main)
