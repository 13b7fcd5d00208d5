"""A browser tab without a browser: speaks viser's messages, so that the page can be tested in milliseconds."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time

import msgspec
import numpy as np
import viser
import zstandard
from websockets.sync.client import connect

CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": (1, 0, 0, 0),
    "position": (0.0, 0.0, 2.6),
    "fov": 0.8,
    "near": 0.01,
    "far": 1000.0,
    "image_height": 600,
    "image_width": 800,
    "look_at": (0.0, 0.0, 0.0),
    "up_direction": (0.0, 1.0, 0.0),
}


class Tab:
    """One tab of the page.

    script  does it answer as page.js does?
    tells   does it say that a mesh has arrived?
    token   of an earlier tab, as kept in the browser's storage
    host    what it believes to be connected to; key: of a shared page
    """

    def __init__(
        self,
        port: int,
        script: bool = True,
        token: str | None = None,
        origin: str | None = None,
        host: str = "",
        key: str = "",
        tells: bool = True,
    ) -> None:
        self._socket = connect(
            f"ws://{host or f'127.0.0.1:{port}'}",
            sock=socket.create_connection(("127.0.0.1", port)),
            subprotocols=[f"viser-v{viser.__version__}"],
            max_size=None,
            origin=origin,
        )
        self.script, self.token, self._key, self._tells = script, token, key, script and tells
        self.controls: dict[str, dict] = {}  # by uuid: type, label, props, value
        self.nodes: dict[str, dict] = {}
        self.calls: list[tuple[str, list]] = []  # of page.js
        self.notes: list[str] = []
        self.downloads: dict[str, bytes] = {}
        self._transfers: dict[str, str] = {}
        self.commands: dict[str, str] = {}
        self._sent, self._received, self._changed = 0, 0, threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        self.send(CAMERA)

    def close(self) -> None:
        self._socket.close()

    def send(self, message: dict) -> None:
        self._socket.send(msgspec.msgpack.encode(message))

    # --- what the server said --------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            for raw in self._socket:
                size = int.from_bytes(raw[8:16], "little")
                inner = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(raw[16 : 16 + size]))
                with self._changed:
                    for message in inner["messages"]:
                        self._take(message)
                    self._received += 1
                    self._changed.notify_all()
        except Exception as error:  # closed
            with self._changed:
                self.notes.append(f"closed: {error}")
                self._changed.notify_all()

    def _take(self, message: dict) -> None:
        kind = message["type"]
        if kind == "RunJavascriptMessage":
            found = re.fullmatch(r"window\.iseg\.(\w+)\((.*)\)", message["source"], flags=re.DOTALL)
            if found:
                self._call(found[1], json.loads(f"[{found[2]}]"))
        elif kind.startswith("Gui") and "props" in message:
            self.controls[message["uuid"]] = {"type": kind, "value": message.get("value"), **message["props"]}
        elif kind == "GuiUpdateMessage" and message["uuid"] in self.controls:
            self.controls[message["uuid"]].update(message["updates"])
        elif kind in ("NotificationShowMessage", "NotificationUpdateMessage"):
            self.notes.append(f"{message['props']['title']}: {message['props']['body']}")
        elif kind == "RemoveSceneNodeMessage":
            self.nodes.pop(message["name"], None)
        elif kind == "RegisterCommandMessage":
            self.commands[message["props"]["label"]] = message["uuid"]
        elif kind == "FileTransferStartDownload":
            self._transfers[message["transfer_uuid"]] = message["filename"]
        elif kind == "FileTransferPart":
            name = self._transfers[message["transfer_uuid"]]
            self.downloads[name] = self.downloads.get(name, b"") + bytes(message["content"])
        elif "name" in message and "props" in message:
            self.nodes[message["name"]] = message

    def _call(self, function: str, arguments: list) -> None:
        self.calls.append((function, arguments))
        if function == "keepToken":
            self.token = arguments[0]
        if function == "hello":
            self.field = arguments[0]
        if function == "hello" and self.script:
            self.tell({"type": "hello", "token": self.token or arguments[1], "key": self._key})
        if function == "setShape" and self._tells:
            self.tell({"type": "shape", "shape": arguments[0]})

    # --- what the person does --------------------------------------------------------------------

    def tell(self, value: dict | str) -> None:
        """What page.js sends."""
        self._sent += 1
        text = value if isinstance(value, str) else json.dumps({**value, "n": self._sent})
        self.send({"type": "GuiUpdateMessage", "uuid": self.field, "updates": {"value": text}})

    def click(self, origin, direction, modifier: str | None = None) -> None:
        self.send(
            {
                "type": "ScenePointerMessage",
                "event_type": "click",
                "ray_origin": tuple(map(float, origin)),
                "ray_direction": tuple(map(float, direction)),
                "screen_pos": ((0.5, 0.5),),
                "modifier": modifier,
            }
        )

    def control(self, label: str) -> str:
        """Id of the control with this label."""
        found = [
            uuid
            for uuid, held in self.controls.items()
            if held.get("label") == label and held["type"] != "GuiFolderMessage"
        ]
        assert len(found) == 1, f"{len(found)} controls are called {label!r}"
        return found[0]

    def value(self, label: str):
        return self.controls[self.control(label)]["value"]

    def options(self, label: str) -> list[str]:
        return list(self.controls[self.control(label)]["options"])

    def texts(self) -> str:
        """All that is written between the controls."""
        return "\n".join(held.get("content", "") for held in self.controls.values() if held["type"] == "GuiHtmlMessage")

    def set(self, label: str, value) -> None:
        """Change a control, or press one of a group of buttons."""
        self.send({"type": "GuiUpdateMessage", "uuid": self.control(label), "updates": {"value": value}})

    def press(self, label: str) -> None:
        self.set(label, True)

    def key(self, command: str) -> None:
        self.send({"type": "CommandTriggerMessage", "uuid": self.commands[command]})

    def upload(self, label: str, name: str, content: bytes) -> None:
        self._sent += 1
        uuid, transfer = self.control(label), f"transfer-{self._sent}"
        self.send(
            {
                "type": "FileTransferStartUpload",
                "source_component_uuid": uuid,
                "transfer_uuid": transfer,
                "filename": name,
                "mime_type": "",
                "part_count": 1,
                "size_bytes": len(content),
            }
        )
        time.sleep(0.03)  # viser handles messages in tasks of their own: the start has to be first
        self.send(
            {
                "type": "FileTransferPart",
                "source_component_uuid": uuid,
                "transfer_uuid": transfer,
                "part_index": 0,
                "content": content,
            }
        )

    # --- waiting ---------------------------------------------------------------------------------

    def wait(self, condition, seconds: float = 60.0):
        """Until `condition()` is true; its value."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (found := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"nothing happened; notes: {self.notes[-3:]}"
                self._changed.wait(min(left, 0.01))
            return found

    def settle(self, seconds: float = 0.05) -> None:
        """Until nothing came for a while: before, the page may set controls back to what it thought they were."""
        seen = -1
        while seen != self._received:
            seen = self._received
            time.sleep(seconds)

    @property
    def paints(self) -> int:
        return sum(function == "setColors" for function, _ in self.calls)

    def painted(self, count: int) -> dict:
        """The colours, when they have been sent at least `count` times: labels as an array."""
        self.wait(lambda: self.paints >= count)
        update = [arguments for function, arguments in self.calls if function == "setColors"][-1][0]
        return {**update, "labels": np.frombuffer(base64.b64decode(update["labels"]), dtype=np.uint8)}

    def after(self, action) -> dict:
        """Do something that changes the colours, and return them."""
        before = self.paints
        action()
        return self.painted(before + 1)

    def noted(self, text: str) -> str:
        """The first message that holds `text`, when it is there."""
        return self.wait(lambda: next((note for note in self.notes if text in note), None))
