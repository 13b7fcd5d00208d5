"""Files that are either whole or absent: atomic writes, checked reads, content digests; a cache of recent things."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import pickle
import struct
import sys
import tempfile
import threading
import tokenize
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np

from utils.errors import UserError

try:
    import fcntl
except ImportError:  # no such locks on this system: nothing is swept
    fcntl = None

Value = TypeVar("Value")
NOT_WHOLE = "the file could not be written whole (disk full?)"
NOT_FINITE = (
    "was not written, since it would hold NaN or infinite numbers; an earlier one is kept. If this was a training, "
    "lower its learning rate and run it again"
)


TEMPORARY = ".part-"  # how the names of files begin that are being written
SEAL = b"crc32:"  # at the end of a sealed `.npy`, before eight hex digits; whoever reads the array stops before
SEALED = "seal"  # the key of a digest in a JSON file
SEAL_LENGTH = len(SEAL) + 8
DAMAGE = (
    *(RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError),
    *(OSError, MemoryError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)  # what readers raise on damaged files


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` of the same suffix; rename it over `path` on success, else remove it.

    The folder is created where missing. A reader never sees a half-written file, also after `kill -9`; what a killed
    writer left in the folder is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    handle, temporary = _locked(path)
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
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove the temporary files of writers that are no more: a living one holds a lock on its own."""
    if fcntl is None:
        return
    for left in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError), open(left, "rb") as file:
            _lock(file.fileno())
            left.unlink()


def _locked(path: Path) -> tuple[int, Path]:
    """A new temporary file for `path`, open and locked."""
    while True:
        start = f"{TEMPORARY}{path.stem[:100]}-"
        handle, name = tempfile.mkstemp(prefix=start, suffix=path.suffix, dir=path.parent)
        with suppress(OSError):  # a file system without locks
            _lock(handle)
        if os.path.exists(name):  # else swept between these two lines
            return handle, Path(name)
        os.close(handle)


def _lock(handle: int) -> None:
    """OSError where another process holds the lock."""
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _existing(path: str | os.PathLike, what: str) -> Path:
    if not Path(path).is_file():
        raise UserError(f"no {what} at {path}; create it first or correct the path")
    return Path(path)


def _reason(error: BaseException) -> str:
    """Why a file cannot be read, in one line."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than tensors and plain values, or is damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


# --- writing: whole, and only numbers -------------------------------------------------------------


def save_torch(path: str | os.PathLike, value: Any) -> None:
    """Save tensors and plain types so that `load_torch` (weights only) reads them back. UserError for a NaN in it."""
    import torch  # here, since it takes seconds

    require_finite(path, value)
    with atomic_path(path) as temporary:
        try:
            torch.save(value, temporary)
        except RuntimeError as error:  # torch reports a full disk as a RuntimeError of its zip writer
            raise OSError(errno.ENOSPC, NOT_WHOLE, str(path)) from error


def save_json(path: str | os.PathLike, value: Any, seal: bool = False, strict: bool = False) -> None:
    """Write `value` as indented JSON, which has no NaN and no infinite numbers: they become null, as not measured.

    seal: a dict with a digest of itself, which `load_json` checks and takes off; it, or strict: UserError for a NaN
    """
    if not seal and not strict:
        value = _plain(json.dumps(value))
    text = json_text(path, value, seal)
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def json_text(path: str | os.PathLike, value: Any, seal: bool) -> str:
    """The text of a JSON file; UserError, naming it, for NaN and infinite numbers."""
    try:
        held = {**value, SEALED: _json_digest(value)} if seal else value
        return json.dumps(held, indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise UserError(f"{path} {NOT_FINITE}") from error


def json_line(value: Any) -> str:
    """One line of JSON, null for NaN and infinite numbers."""
    return json.dumps(_plain(json.dumps(value)), allow_nan=False)


def _plain(text: str) -> Any:
    """What JSON says, None for NaN and infinite numbers."""
    return json.loads(text, parse_constant=lambda _: None)


def _json_digest(value: Any) -> str:
    return digest(json.dumps(value, sort_keys=True))


def save_npy(path: str | os.PathLike, array: np.ndarray, seal: bool = False) -> None:
    """Write one array as `.npy`; seal: with a checksum behind it for `open_npy`. UserError for a NaN in it."""
    require_finite(path, array)
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
        if seal:
            with open(temporary, "r+b") as file:
                file.write(b"%s%08x" % (SEAL, _crc32(file)))


def save_npz(path: str | os.PathLike, compressed: Any = True, **arrays: np.ndarray) -> None:
    """Write named arrays as `.npz`, `compressed` or not. UserError for a NaN in them."""
    require_finite(path, arrays)
    with atomic_path(path) as temporary:
        (np.savez_compressed if compressed else np.savez)(temporary, **arrays)  # type: ignore[arg-type]


def require_finite(path: str | os.PathLike, value: Any) -> None:
    """UserError, naming the file that is not written, if `value` is not `finite`."""
    if not finite(value):
        raise UserError(f"{path} {NOT_FINITE}")


def finite(value: Any) -> bool:
    """Whether all tensors and arrays in `value`, which may be nested, hold finite numbers."""
    if isinstance(value, Mapping):
        return all(map(finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(finite, value))
    if _is_tensor(value):
        if not value.is_floating_point() or value.numel() == 0:
            return True
        return all(map(math.isfinite, map(float, value.detach().aminmax())))  # as large as it is: no copy is made
    return not isinstance(value, np.ndarray) or value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _is_tensor(value: Any) -> Any:
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)  # importing it takes seconds


# --- reading: checked -------------------------------------------------------------------------------


def load_torch(
    path: str | os.PathLike, map_location: Any = "cpu", what: str = "checkpoint", kind: type | None = None
) -> Any:
    """Load a file of tensors and plain types, the checksum of each part checked; nothing is unpickled.

    Raises UserError naming `path` and `what` if it is missing, truncated, damaged, not finite, or of another `kind`.
    """
    import torch

    path = _existing(path, what)
    try:
        if zipfile.is_zipfile(path):  # else of the format before torch 1.6, which has no checksums
            check_zip(path)
        held = torch.load(path, map_location=map_location, weights_only=True)
        if kind is not None and not isinstance(held, kind):
            raise ValueError(f"it holds a {type(held).__name__}")
        if not finite(held):
            raise ValueError("it holds NaN or infinite numbers")
        return held
    except DAMAGE as error:
        raise UserError(
            f"{path} is not a readable {what} (damaged, or another kind of file): {_reason(error)}; create it again"
        ) from error


def check_zip(path: Path) -> None:
    """Compare every part of a `.npz` or `.pth` with its checksum; BadZipFile, or another of `DAMAGE`, if it differs."""
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise zipfile.BadZipFile(f"the checksum of '{bad}' does not fit")


def load_json(path: str | os.PathLike, what: str = "file", kind: type | None = None) -> Any:
    """Read JSON; UserError naming `path` and `what` if it is missing, damaged, or of another `kind`."""
    path = _existing(path, what)
    try:
        held = _plain(path.read_text())
        if kind is not None and not isinstance(held, kind):
            raise ValueError(f"it holds a {type(held).__name__}")
        if isinstance(held, dict) and SEALED in held and held.pop(SEALED) != _json_digest(held):
            raise ValueError("its digest does not fit, it was damaged or edited")
        return held
    except DAMAGE as error:
        raise UserError(f"{path} is not a readable {what}: {_reason(error)}; create it again") from error


def open_npy(path: str | os.PathLike, what: str = "array", remedy: str = "run the same command again") -> np.ndarray:
    """The array of a `.npy`, memory-mapped, its checksum checked where it has one.

    UserError naming `path`, `what` and `remedy` if it is missing or damaged.
    """
    path = _existing(path, what)
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - SEAL_LENGTH))
            seal = file.read()
            if seal.startswith(SEAL) and seal != b"%s%08x" % (SEAL, _crc32(file, end - SEAL_LENGTH)):
                raise ValueError("its checksum does not fit")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds no array")
        return array
    except DAMAGE as error:
        raise UserError(f"{path} is not a readable {what}: {_reason(error)}; {remedy}") from error


def _crc32(file: BinaryIO, length: int | None = None) -> int:
    """Of the first `length` bytes of a file, default: all; the file then stands behind them."""
    left, sum_ = float("inf") if length is None else length, 0
    file.seek(0)
    while block := file.read(int(min(left, 1 << 22))):
        left, sum_ = left - len(block), zlib.crc32(block, sum_)
    return sum_


def load_npz(
    path: str | os.PathLike,
    what: str = "file",
    names: Sequence[str] | None = None,
    remedy: str = "delete it and run the same command again",
) -> dict[str, np.ndarray]:
    """Read the named arrays, checksums checked (default: all; others are not decompressed).

    UserError naming `path`, `what` and `remedy` if it is missing, damaged or lacks an array.
    """
    path = _existing(path, what)
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in (file.files if names is None else names)}
        if not finite(held):
            raise ValueError("it holds NaN or infinite numbers")
        return held
    except DAMAGE as error:
        raise UserError(f"{path} is not a readable {what}: {_reason(error)}; {remedy}") from error


def whole(read: Callable[[], Any]) -> bool:
    """Whether reading works; a piece of work that can be made again is made again where it does not."""
    try:
        read()
    except UserError:
        return False
    return True


def digest(*parts: Any) -> str:
    """SHA-256 of arrays, tensors, text, bytes and numbers with their types and shapes, as 16 hex digits."""
    sha = hashlib.sha256()
    for part in parts:
        if _is_tensor(part):
            part = part.detach().cpu().numpy()
        if isinstance(part, np.ndarray):
            sha.update(f"array {part.dtype.str} {part.shape};".encode())
            if part.size:
                sha.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)  # a view: no copy is made
        elif isinstance(part, bytes):
            sha.update(b"bytes %d;" % len(part))
            sha.update(part)
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
