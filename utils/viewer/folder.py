"""The one folder that the page may write to."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from utils.errors import UserError
from utils.session.state import clean_name


class OutputFolder:
    """Gives out paths below one folder, whatever names a client sends."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().resolve()

    def path(self, *names: str, suffix: str = "") -> Path:
        """The path of a file below the folder; every name is cleaned, so none can be a path of its own.

        UserError if a link in the folder leads out of it.
        """
        path = self.root
        for name in names:
            path = path / clean_name(name, "file")
        path = path.with_name(path.name + suffix) if suffix else path
        if not self.holds(path):
            raise UserError(f"{path.name} would not be inside the output folder; remove the link there")
        return path

    def holds(self, path: Path) -> bool:
        """Does the path, with all links followed, lie below the folder?"""
        real = os.path.realpath(path)
        return os.path.commonpath([real, self.root]) == str(self.root) and real != str(self.root)

    def fresh(self, *names: str, suffix: str) -> Path:
        """Like `path`, with the time added where the file is there already, so that nothing is written over."""
        path = self.path(*names, suffix=suffix)
        if not path.exists():
            return path
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        base = f"{clean_name(names[-1], 'file')[:40]} {stamp}"
        path, number = self.path(*names[:-1], base, suffix=suffix), 2
        while path.exists():
            path, number = self.path(*names[:-1], f"{base} {number}", suffix=suffix), number + 1
        return path
