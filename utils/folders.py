"""Folders of pieces of work, and the manifests that say what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.errors import UserError
from utils.files import atomic_path, json_text, load_json


def differing(held: dict, wanted: dict) -> list[str]:
    """The names under which `held` lacks the values of `wanted`; of a dict within, the names in it."""
    names = []
    for name, value in wanted.items():
        other = held.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            names += differing(other, value)
        elif other != value:
            names.append(name)
    return names


def claim_folder(manifest: Path, wanted: dict, stale: Sequence[str], what: str, overwrite: bool = False) -> None:
    """Write `wanted` as the manifest of a new folder, or check that the one of an earlier run says the same.

    stale   patterns of the files that go with a manifest; `overwrite` removes them and writes a new one
    what    that the folder holds, for the UserError about another manifest, or about such files without one
    """
    if not overwrite:
        if manifest.is_file():
            names = differing(load_json(manifest, what, dict), wanted)
            if names:
                other = ", ".join(names)
                raise UserError(
                    f"{manifest.parent} holds {what} of another {other}; choose another folder or add --overwrite 1"
                )
            return
        require_none(manifest, stale, what)
    with atomic_path(manifest) as temporary:  # nothing is removed where the new one cannot be written
        temporary.write_text(json_text(manifest, wanted, seal=True))
        manifest.unlink(missing_ok=True)
        remove_files(manifest.parent, stale)


def require_none(manifest: Path, patterns: Sequence[str], what: str) -> None:
    """UserError if a folder holds files that its manifest, missing or another by now, does not describe."""
    if any(True for pattern in patterns for _ in manifest.parent.glob(pattern)):
        raise UserError(
            f"{manifest.parent} holds {what} that no {manifest.name} there describes; put that file back, choose "
            "another folder, or add --overwrite 1 to start over"
        )


def remove_files(directory: Path, patterns: Sequence[str]) -> None:
    """Delete the files of a folder that match any of the glob patterns."""
    for pattern in patterns:
        for path in directory.glob(pattern):
            path.unlink()
