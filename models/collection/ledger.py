"""What of a run is finished: rows as they come in, then files of a fixed number of rows, in the order of the entries.

rows-00012.parquet        rows 12,000 to 12,999, whole or not there
unfinished/00012.rows     what there is of them until then: number, length, CRC-32 and bytes of each row
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from models.collection.rows import Store

RECORD = struct.Struct("<III")  # number, length, CRC-32
UNFINISHED = "unfinished"


class Ledger:
    """Opens what earlier runs left; `missing` rows are to be made, and `add`ed in any order.

    folder  of the run; total: rows; size: rows of a file; store: how such a file is written
    """

    def __init__(self, folder: Path, total: int, size: int, store: Store) -> None:
        self.folder, self.total, self.size, self.store = folder, total, size, store
        self._there: dict[int, set[int]] = {}  # rows of the files that are begun
        self._open: dict[int, BinaryIO] = {}
        self._finished: set[int] = set()
        (folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
        for chunk in range(-(-total // size)):
            if store.count(self.shard(chunk)) == len(self._rows(chunk)):
                self._finished.add(chunk)
                self._journal(chunk).unlink(missing_ok=True)
            elif self._journal(chunk).is_file():
                self._there[chunk] = _mend(self._journal(chunk), self._rows(chunk))
        for chunk in [chunk for chunk in self._there if self._is_full(chunk)]:
            self._finish(chunk)

    @property
    def done(self) -> int:
        """How many rows there are."""
        return sum(len(self._rows(chunk)) for chunk in self._finished) + sum(map(len, self._there.values()))

    def missing(self) -> Iterator[int]:
        """The rows that are still to be made, in order."""
        for chunk in range(-(-self.total // self.size)):
            if chunk not in self._finished:
                there = self._there.get(chunk, ())
                yield from (row for row in self._rows(chunk) if row not in there)

    def add(self, row: int, packed: bytes) -> None:
        """Keep a row; from now on a kill does not lose it. One that is there already stays."""
        chunk = row // self.size
        there = self._there.setdefault(chunk, set())
        if chunk in self._finished or row in there:
            return
        if chunk not in self._open:
            self._open[chunk] = open(self._journal(chunk), "ab", buffering=0)  # noqa: SIM115
        self._open[chunk].write(RECORD.pack(row, len(packed), zlib.crc32(packed)) + packed)
        there.add(row)
        if self._is_full(chunk):
            self._finish(chunk)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def shard(self, chunk: int) -> Path:
        """The file of finished rows."""
        return self.folder / f"rows-{chunk:05d}{self.store.suffix}"

    def _journal(self, chunk: int) -> Path:
        return self.folder / UNFINISHED / f"{chunk:05d}.rows"

    def _rows(self, chunk: int) -> range:
        return range(chunk * self.size, min((chunk + 1) * self.size, self.total))

    def _is_full(self, chunk: int) -> bool:
        return len(self._there[chunk]) == len(self._rows(chunk))

    def _finish(self, chunk: int) -> None:
        """Write the file of a chunk, and forget what it was made from."""
        file, journal = self._open.pop(chunk, None), self._journal(chunk)
        if file is not None:
            file.close()
        with open(journal, "rb") as held:
            places = dict(_records(held))

            def packed(row: int) -> bytes:
                start, length = places[row]
                held.seek(start)
                return held.read(length)

            self.store.write(self.shard(chunk), (packed(row) for row in self._rows(chunk)))
        journal.unlink()
        self._finished.add(chunk)
        del self._there[chunk]


def _records(held: BinaryIO) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number, place and length of the whole rows of a file, up to the first that is not."""
    place = 0
    while len(head := held.read(RECORD.size)) == RECORD.size:
        row, length, crc = RECORD.unpack(head)
        packed = held.read(length)
        if len(packed) < length or zlib.crc32(packed) != crc:
            return
        yield row, (place + RECORD.size, length)
        place += RECORD.size + length


def _mend(journal: Path, rows: range) -> set[int]:
    """The rows that a file holds; what a killed writer left behind the last whole one is cut off."""
    with open(journal, "r+b") as held:
        there, end = set(), 0
        for row, (start, length) in _records(held):
            if row not in rows:
                break
            there.add(row)
            end = start + length
        held.truncate(end)
    return there
