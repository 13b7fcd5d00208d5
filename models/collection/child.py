"""The process of one worker: `python -m models.collection.child PIPE`; see `models.collection.guard`."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from multiprocessing.connection import Connection

from models.collection.guard import FAILED, FOUND, READY, Job, answered
from models.collection.manifest import Entry
from utils.errors import UserError


def main(handle: int) -> None:
    """Answer for one mesh after another until nobody asks any longer."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    pipe = Connection(handle)
    maker, options = json.loads(pipe.recv_bytes())
    try:
        work = Job(maker, options).make()
    except UserError as error:
        pipe.send_bytes(FAILED + str(error).encode())
        return
    pipe.send_bytes(READY)
    while True:
        try:
            entry = Entry(*json.loads(pipe.recv_bytes()))
        except EOFError:
            return
        found, packed = answered(work, entry)
        pipe.send_bytes((FOUND if found else FAILED) + packed)


def _end_with(parent: int) -> None:
    """Die with the process that started this one, also in the middle of a mesh."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
