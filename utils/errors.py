"""Errors a person can cause, and how a command-line script ends on them."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """Something the person at the keyboard can put right; the message is one line that says how."""


def run_cli(main: Callable[[], int | None]) -> NoReturn:
    """Run an entry script's `main` and exit: 0 when done, 2 on a `UserError` or a full disk, 130 on Ctrl-C."""
    try:
        sys.exit(main() or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: finished work is kept; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR):
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"error: cannot write: {error.strerror}{where}; free space or choose another folder, then run "
            "the same command again",
            file=sys.stderr,
        )
        sys.exit(2)
