"""Write the sample meshes of `meshes/` with their part labels (a minute or two each; the same files every time).

python scripts/make_meshes.py                       # all of them
python scripts/make_meshes.py --names hammer goat
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from utils.errors import UserError, run_cli
from utils.shapes.samples import SAMPLES, make_sample, save_sample


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output_dir", type=Path, default=Path(__file__).resolve().parents[1] / "meshes", help="folder of the meshes"
    )
    parser.add_argument("--names", nargs="*", default=list(SAMPLES), help=f"objects to make: {', '.join(SAMPLES)}")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    unknown = [name for name in args.names if name not in SAMPLES]
    if unknown:
        raise UserError(f"no sample object named {', '.join(unknown)}; choose from {', '.join(SAMPLES)}")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name in tqdm(args.names, desc="sample meshes"):
        shape = make_sample(SAMPLES[name], name)
        save_sample(args.output_dir, name, shape)
        tqdm.write(
            f"{args.output_dir / name}.obj: {len(shape.vertices)} vertices, {len(shape.faces)} faces, "
            f"{len(shape.names['part'])} parts in {len(shape.names['group'])} groups"
        )


if __name__ == "__main__":
    run_cli(main)
