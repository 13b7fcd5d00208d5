"""Files that are either whole or absent: atomic writes, checked reads, content digests; a cache of recent things."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import tempfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from utils.errors import UserError

Value = TypeVar("Value")
NOT_WHOLE = "the file could not be written whole (disk full?)"


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` of the same suffix; rename it over `path` on success, else remove it.

    The folder is created where missing. A reader never sees a half-written file, also after `kill -9`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:  # numpy tells how much it wrote of an array, not why it stopped
            raise OSError(errno.ENOSPC, NOT_WHOLE, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _existing(path: str | os.PathLike, what: str) -> Path:
    if not Path(path).is_file():
        raise UserError(f"no {what} at {path}; create it first or correct the path")
    return Path(path)


def save_torch(path: str | os.PathLike, value: Any) -> None:
    """Save tensors and plain types so that `load_torch` (weights only) reads them back."""
    with atomic_path(path) as temporary:
        try:
            torch.save(value, temporary)
        except RuntimeError as error:  # torch reports a full disk as a RuntimeError of its zip writer
            raise OSError(errno.ENOSPC, NOT_WHOLE, str(path)) from error


def load_torch(path: str | os.PathLike, map_location: str | torch.device = "cpu", what: str = "checkpoint") -> Any:
    """Load a file of tensors and plain types; nothing is unpickled.

    Raises UserError naming `path` and `what` if it is missing, truncated or not such a file.
    """
    path = _existing(path, what)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path} is not a readable {what} (truncated, or another kind of file): {reason}; create it again"
        ) from error


def save_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as indented JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def load_json(path: str | os.PathLike, what: str = "file") -> Any:
    """Read JSON; UserError naming `path` and `what` if it is missing or damaged."""
    path = _existing(path, what)
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable {what}: {error}; create it again") from error


def save_npy(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write one array as `.npy`."""
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def save_npz(path: str | os.PathLike, compressed: Any = True, **arrays: np.ndarray) -> None:
    """Write named arrays as `.npz`, `compressed` or not."""
    with atomic_path(path) as temporary:
        (np.savez_compressed if compressed else np.savez)(temporary, **arrays)  # type: ignore[arg-type]


def load_npz(
    path: str | os.PathLike,
    what: str = "file",
    names: Sequence[str] | None = None,
    remedy: str = "delete it and run the same command again",
) -> dict[str, np.ndarray]:
    """Read the named arrays (default: all; others are not decompressed).

    UserError naming `path`, `what` and `remedy` if it is missing, damaged or lacks an array.
    """
    path = _existing(path, what)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (file.files if names is None else names)}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a readable {what}: {error}; {remedy}") from error


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

    stale   patterns of the files that go with a manifest; they are removed when a new one is written
    what    that the folder holds, for the UserError about another manifest; `overwrite` replaces that instead
    """
    if manifest.is_file() and not overwrite:
        names = differing(load_json(manifest, what), wanted)
        if names:
            other = ", ".join(names)
            raise UserError(
                f"{manifest.parent} holds {what} of another {other}; choose another folder or add --overwrite 1"
            )
        return
    manifest.unlink(missing_ok=True)
    remove_files(manifest.parent, stale)
    save_json(manifest, wanted)


def remove_files(directory: Path, patterns: Sequence[str]) -> None:
    """Delete the files of a folder that match any of the glob patterns."""
    for pattern in patterns:
        for path in directory.glob(pattern):
            path.unlink()


def digest(*parts: np.ndarray | torch.Tensor | str | bytes | int | float) -> str:
    """SHA-256 of the parts with their types and shapes, as 16 hex digits."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().numpy()
        if isinstance(part, np.ndarray):
            sha.update(f"array {part.dtype.str} {part.shape};".encode())
            sha.update(np.ascontiguousarray(part).tobytes())
        elif isinstance(part, bytes):
            sha.update(b"bytes %d;" % len(part) + part)
        else:
            text = repr(part).encode()
            sha.update(f"{type(part).__name__} {len(text)};".encode() + text)
    return sha.hexdigest()[:16]


class Recent(Generic[Value]):
    """The `capacity` values that were used last, by key; several threads may ask at once.

    Each is made once: while one thread makes a value, others wait.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self._held = capacity, OrderedDict[Hashable, Value]()
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value under `key`, made if it is not held."""
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
            self._held.move_to_end(key)
            while len(self._held) > self.capacity:
                self._held.popitem(last=False)
            return self._held[key]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
