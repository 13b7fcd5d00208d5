"""Errors a person can cause, and how a command-line script ends on them."""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Callable
from typing import NoReturn

OF_THE_SYSTEM = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EINVAL),
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
)  # what a path or a disk that a person chose may be

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")  # as torch says it


class UserError(Exception):
    """Something the person at the keyboard can put right; the message is one line that says how."""


def run_cli(main: Callable[[], int | None]) -> NoReturn:
    """Run an entry script's `main` and exit: 0, 2 on a `UserError`, a path that will not do or too little memory,
    130 on Ctrl-C."""
    gc.freeze()  # what was imported stays
    gc.enable()
    try:
        sys.exit(main() or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: finished work is kept; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except (MemoryError, RuntimeError) as error:  # torch reports a lack of memory as a RuntimeError
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        print(
            "error: not enough memory; give fewer or smaller views, a smaller batch or a smaller mesh", file=sys.stderr
        )
        sys.exit(2)
    except OSError as error:
        if error.errno not in OF_THE_SYSTEM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "free space or choose another folder" if full else "choose another file or folder, or its permissions"
        print(f"error: {error.strerror}{where}; {todo}, then run the same command again", file=sys.stderr)
        sys.exit(2)
