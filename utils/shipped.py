"""The weights that are part of the repository, each by its SHA-256: new ones are entered here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {
    "models/weights/alike.pt": "36dcea91a00c7c155519b0095ccfd7fff6e498ba70e6b4a32c9442785855cd6a",
    "models/weights/iseg3d.pt": "4cf6a57ae07fa48ecb2c7c5042a24f0e1a59730fea3ffc61ccb8130e92bfb43f",
    "models/weights/iseg3d_cubes.pt": "3557d7a30b086d1895919c4ef2611c56d3ce6c4e8d41bdcef8d168d7368033fa",
    "models/weights/iseg3d_heatmap.pt": "328980186c0dd2e9150daccb0e5fd0f80096e69e72ab6df1e2d08f58ee3f0e42",
    "models/weights/joins.pt": "9caedb49022432eef9002eb884cb1f1e00992aeea2f99fb9a695ac53bc4eff0a",
    "models/weights/judge.pt": "86457c5c8ab6a4417eb1982ce12f9c45546955ec965fa869083d0362c4dbc99f",
    "models/weights/prior_vit_t.pt": "52acb8ee8bb206ceb19bbe85cbbf95a844cc6eff8d0be40a8ed579e2be017e9d",
    "SAM_repo/model_checkpoints/vit_t.pth": "96f515b6e47b638a4e2dc792afda8f370c0dc8c47b5ce590f2e5184538cfabe5",
}


def check_shipped(path: str | Path, root: Path = ROOT) -> None:
    """UserError if `path` is one of the repository's weights and not as it was shipped. Other files pass."""
    path = Path(path).resolve()
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
    if name in SHIPPED and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != SHIPPED[name]:
        raise UserError(
            f"{path} is not as it was shipped: restore it with git checkout -- {name}, or, if it is meant to be "
            "another, enter its SHA-256 in utils/shipped.py"
        )
