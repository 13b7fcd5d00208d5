"""How well the parts that match a chosen one are found, on generated shapes whose repeats are known (docs/parts.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.open import open_segmenter
from models.prior.repeats import Score, measure_repeats
from utils.errors import run_cli
from utils.options import Checked, option, parse_settings


@dataclass(frozen=True, kw_only=True)
class RepeatSettings(Checked):
    seed: int = option(0, "of the first shape; the settings were chosen on those of 5000", group="shapes")
    cache_dir: Path | None = option(None, "where the prior keeps what it makes of a shape", metavar="DIR")


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(RepeatSettings, __doc__, argv)
    scores = measure_repeats(
        lambda mesh: open_segmenter(mesh, "prior", cache_dir=settings.cache_dir).part_tree, settings.seed
    )
    total = sum(scores.values(), Score())
    print(f"recall {total.recall:.3f}, precision {total.precision:.3f} on {len(scores)} shapes: {total}")
    return 0


if __name__ == "__main__":
    run_cli(main)
