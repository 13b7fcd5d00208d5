"""Rows: what is found of one mesh, how it travels and waits (`pack`), and Parquet files of it (`Shards`)."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from models.collection.manifest import require_columns
from utils.errors import UserError
from utils.files import atomic_path, json_line

ARRAYS = ("labels", "ladder")  # uint16
GROUP = 64  # rows that are held in memory at once while a file is written
INSTALL = "install it with bash install_environment.sh --collection"
COLUMNS = {  # name -> type, as Arrow calls it
    "id": "string",
    "path": "string",
    "error": "string",  # why there is no answer; null: there is one
    "mesh": "string",  # digest of the vertices and faces
    "vertices": "int32",
    "faces": "int32",
    "parts": "int32",
    "labels": "uint16 list",
    "ladder": "uint16 list",
    "rung": "int32",
    "quality": "float list",
    "tree": "string",
    "seconds": "double",
    "cpu_seconds": "double",
    "memory_mib": "double",
}
MEASURED = ("seconds", "cpu_seconds", "memory_mib")  # what may differ between two runs


def pack(row: Mapping[str, Any]) -> bytes:
    """A row as bytes: JSON, its arrays compressed; ValueError for numbers that are none of 16 bits."""
    plain = {key: value for key, value in row.items() if key not in ARRAYS}
    for key in ARRAYS:
        if row.get(key) is not None:
            numbers = np.asarray(row[key])
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < 1 << 16:
                raise ValueError(f"{key} from {numbers.min()} to {numbers.max()} do not fit into 16 bits")
            plain[key] = base64.b64encode(zlib.compress(numbers.astype("<u2").tobytes(), 6)).decode()
    return json_line(plain).encode()


def unpack(packed: bytes) -> dict[str, Any]:
    """The row that `pack` made bytes of."""
    row = json.loads(packed)
    for key in ARRAYS:
        if row.get(key) is not None:
            row[key] = np.frombuffer(zlib.decompress(base64.b64decode(row[key])), dtype="<u2")
    return row


class Store(Protocol):
    """How a finished file of rows is written, and checked."""

    suffix: str

    def write(self, path: Path, packed: Iterable[bytes]) -> None:
        """Write rows into a file that is whole or not there."""
        ...

    def count(self, path: Path) -> int:
        """How many rows a file holds; -1 for one that is missing or damaged."""
        ...


class Shards:
    """Parquet, compressed by zstd."""

    suffix = ".parquet"

    def write(self, path: Path, packed: Iterable[bytes]) -> None:
        arrow, parquet = arrow_and_parquet()
        schema, rest = _schema(arrow), iter(packed)
        with atomic_path(path) as temporary, parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
            while group := [unpack(each) for each in islice(rest, GROUP)]:
                columns = [_column(arrow, [row.get(each.name) for row in group], each.type) for each in schema]
                writer.write_table(arrow.Table.from_arrays(columns, schema=schema))

    def count(self, path: Path) -> int:
        arrow, parquet = arrow_and_parquet()
        try:
            return parquet.ParquetFile(path).metadata.num_rows
        except (OSError, arrow.ArrowException):
            return -1

    def read(self, folder: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows of a folder in order, with these columns (default: all)."""
        _, parquet = arrow_and_parquet()
        for path in sorted(folder.glob(f"rows-*{self.suffix}")):
            for batch in parquet.ParquetFile(path).iter_batches(GROUP, columns=columns):
                yield from batch.to_pylist()


def _schema(arrow: Any) -> Any:
    plain = {"string": arrow.string(), "int32": arrow.int32(), "uint16": arrow.uint16()}
    plain |= {"float": arrow.float32(), "double": arrow.float64()}
    kinds = {name: kind.split() for name, kind in COLUMNS.items()}
    return arrow.schema([(n, arrow.list_(plain[k[0]]) if len(k) > 1 else plain[k[0]]) for n, k in kinds.items()])


def _column(arrow: Any, values: list[Any], kind: Any) -> Any:
    """An Arrow array of the values of some rows; lists are joined here, which is four times as fast as there."""
    if not arrow.types.is_list(kind):
        return arrow.array(values, type=kind)
    number = kind.value_type.to_pandas_dtype()
    held = [np.asarray(() if value is None else value, dtype=number) for value in values]
    ends = np.cumsum([0, *map(len, held)], dtype=np.int32)
    missing = arrow.array([value is None for value in values])
    return arrow.ListArray.from_arrays(ends, arrow.array(np.concatenate(held)), type=kind, mask=missing)


def read_columns(source: str, file: Any, wanted: Sequence[str], known: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of a Parquet manifest: the known columns, of which the wanted ones must be there."""
    arrow, parquet = arrow_and_parquet()
    try:
        table = parquet.ParquetFile(file)
        there = table.schema_arrow.names
        require_columns(source, there, wanted)
        return table.read(columns=[name for name in known if name in there]).to_pylist()
    except arrow.ArrowException as error:
        raise UserError(f"{source} is no readable Parquet file; write the manifest again") from error


def arrow_and_parquet() -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`; UserError where they are not installed."""
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"Parquet needs pyarrow: {INSTALL}") from error
    return pyarrow, pyarrow.parquet
