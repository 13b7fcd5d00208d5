"""Write the sample meshes of `meshes/` with their part labels (a minute or two each; the same files every time).

python scripts/make_meshes.py                       # all of them
python scripts/make_meshes.py --names hammer goat
"""

from dataclasses import dataclass
from pathlib import Path

from utils.errors import run_cli
from utils.options import Checked, option, parse_settings
from utils.progress import Bars
from utils.shapes.samples import SAMPLES, make_samples


@dataclass(frozen=True, kw_only=True)
class Settings(Checked):
    output_dir: Path = option(Path(__file__).resolve().parents[1] / "meshes", "folder of the meshes")
    names: tuple[str, ...] = option(tuple(SAMPLES), "objects to make", nargs="*")


def main(argv: list[str] | None = None) -> None:
    settings = parse_settings(Settings, __doc__, argv)
    make_samples(settings.output_dir, settings.names, Bars())


if __name__ == "__main__":
    run_cli(main)
