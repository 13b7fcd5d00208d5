"""Puts a session's shape, colours and clicks into one client's scene."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import viser
from viser._messages import RunJavascriptMessage

from utils.geometry.soft_borders import NONE, Drawn
from utils.output.colors import Color, Palette
from utils.session.session import Session
from utils.session.state import Click, part_color

HIDDEN, REST, SELECTED, FIRST_PART = 255, 0, 1, 2  # palette indices, as in page.js
SCRIPT = Path(__file__).with_name("page.js")
VIEWS = {  # to the right of the object, above it, in front of it
    "Front": (0.0, 0.0, 1.0),
    "Back": (0.0, 0.0, -1.0),
    "Left": (-1.0, 0.0, 0.0),
    "Right": (1.0, 0.0, 0.0),
    "Top": (0.0, 1.0, 0.02),
    "Slant": (1.6, 0.85, 2.05),  # the first
}
THEME: dict[str, Any] = {
    "control_width": "medium",
    "show_share_button": False,
    "show_logo": False,
    "brand_color": (41, 102, 219),
}
MOST_PREVIEWED = 100_000  # faces of a mesh whose answers are shown before a click
FIELD_OF_VIEW = 0.8  # vertical, radians
PALER = 0.3  # how much nearer to white proposals are than parts


class Scene:
    """One client's view of a mesh.

    With `scripted`, geometry is sent once, then only a byte for each face: page.js does the drawing. Without, as in a
    client that runs no scripts of ours, the mesh is sent anew with vertex colours.
    """

    def __init__(self, client: viser.ClientHandle, palette: Palette, ball_radius: float) -> None:
        self.client, self.palette, self.ball_radius, self.scripted = client, palette, ball_radius, False
        self._name, self._count, self._updates = "", 0, 0
        self._node = None
        self._vertices, self._faces = np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
        self._balls: dict[Click, viser.SceneNodeHandle] = {}
        client.scene.set_up_direction("+y")
        client.scene.configure_default_lights(cast_shadow=False)
        client.scene.set_background_image(_backdrop(False), format="png")

    def set_dark(self, dark: bool) -> None:
        """The whole page in dark colours, or in light ones."""
        self.client.gui.configure_theme(**THEME, dark_mode=dark)
        self.client.scene.set_background_image(_backdrop(dark), format="png")

    def run(self, function: str, *values: object) -> None:
        """Call a function of window.iseg in the page."""
        self.client._websock_connection.queue_message(
            RunJavascriptMessage(f"window.iseg.{function}({','.join(json.dumps(value) for value in values)})")
        )

    def install(self, field: str, token: str) -> None:
        """Send our script; the page answers through the text field of that id with "hello"."""
        self.client._websock_connection.queue_message(RunJavascriptMessage(SCRIPT.read_text(encoding="utf-8")))
        self.run("hello", field, token)

    def look(self, view: str, stands: np.ndarray) -> None:
        """Put the camera where it shows the whole object, from one of `VIEWS`; stands: see `standing`."""
        direction = stands @ VIEWS[view]
        self.client.camera.fov = FIELD_OF_VIEW
        self.client.camera.up_direction = stands[:, 1]
        self._stand(np.zeros(3), direction / np.linalg.norm(direction), 1.0)

    def fit(self, places: np.ndarray) -> None:
        """Show all of some points (N, 3) from where the camera looks already."""
        camera = self.client.camera
        middle = (places.min(axis=0) + places.max(axis=0)) / 2
        away = np.asarray(camera.position, dtype=np.float64) - camera.look_at
        radius = float(np.linalg.norm(places - middle, axis=1).max())
        self._stand(middle, away / max(float(np.linalg.norm(away)), 1e-9), max(radius, 0.01))

    def _stand(self, middle: np.ndarray, direction: np.ndarray, radius: float) -> None:
        # In this order: a new position takes the point that is looked at along.
        self.client.camera.position = middle + direction * 1.1 * radius / np.sin(FIELD_OF_VIEW / 2)
        self.client.camera.look_at = middle

    def show_shape(self, places: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> None:
        """Show a mesh: places (V, 3) in the normalised frame, faces (F, 3), a unit normal for each corner (F, 3, 3)."""
        self._count += 1
        if self._node is not None:
            self._node.remove()
        self._name = f"/shape_{self._count}"
        self._vertices, self._faces, self._node = places, faces, None
        if self.scripted:
            self._node = self.client.scene.add_mesh_simple(
                self._name,
                places.astype(np.float32),
                faces.astype(np.uint32),
                color=(255, 255, 255),
                side="double",
                cast_shadow=False,
                receive_shadow=False,
            )
            scaled = 127 * normals
            quantized = np.rint(scaled, out=scaled).astype(np.int8)
            self.run("setShape", self._name, 3 * len(faces), _text(quantized))

    def show_colors(
        self, labels: np.ndarray, parts: list[tuple[str, Color]], soft: np.ndarray | None, borders: Drawn | None = None
    ) -> None:
        """Colour the faces.

        labels   (F,) uint8: `HIDDEN`, `REST`, `SELECTED`, or `FIRST_PART` + index into parts
        parts    name and colour
        soft     (V,) in [0, 1], share of the selection's colour on what is in no part; None: as the labels say
        borders  across the faces, where they are drawn smoothly
        """
        self._updates += 1
        palette = [self.palette.base, self.palette.selected, *(color for _, color in parts)]
        if not self.scripted:
            self._show_vertex_colors(labels, palette, soft)
            return
        hidden = labels == HIDDEN
        self.run(
            "setColors",
            {
                "name": self._name,
                "count": self._updates,
                "labels": _text(labels.astype(np.uint8)),
                "soft": None if soft is None else _text(np.clip(np.rint(255 * soft), 0, 255).astype(np.uint8)),
                "borders": None if borders is None or soft is not None else _border_texts(borders),
                "palette": [_rgb(color) for color in palette],
                "names": ["", "selected", *(name for name, _ in parts)],
                "previews": len(labels) <= MOST_PREVIEWED,
                "hidden": _text(np.packbits(hidden))[:2000] + str(hash(hidden.tobytes())) if hidden.any() else "",
            },
        )
        self.client.flush()

    def _show_vertex_colors(self, labels: np.ndarray, palette: list[Color], soft: np.ndarray | None) -> None:
        import trimesh

        colors = np.tile(np.asarray(palette[REST]), (len(self._vertices), 1))
        if soft is not None:
            colors += soft[:, None] * (np.asarray(palette[SELECTED]) - colors)
        for label in np.unique(labels):
            if label != HIDDEN and (soft is None or label > SELECTED):
                colors[self._faces[labels == label].ravel()] = palette[label]
        shown = self._faces[labels != HIDDEN]
        rgba = np.concatenate([np.rint(255 * colors), np.full((len(colors), 1), 255)], axis=1).astype(np.uint8)
        piece = trimesh.Trimesh(self._vertices, shown, vertex_colors=rgba, process=False)
        self._node = self.client.scene.add_mesh_trimesh(self._name, piece, cast_shadow=False, receive_shadow=False)

    def show_file_colors(self, colors: np.ndarray | None) -> None:
        """Colours (F, 3, 3) uint8 at the corners of the faces, which those of parts tint; None: plain."""
        self.run("setBase", self._name, "" if colors is None else _text(colors))
        self.client.flush()

    def show_preview(self, faces: np.ndarray | None) -> None:
        """Tint the faces (F,) bool that a click would select; None: no preview."""
        self.run("setPreview", self._name, "" if faces is None else _text(np.packbits(faces)))
        self.client.flush()

    def shows(self, name: object) -> bool:
        """Is it the shape of this name, which a message of the page is about?"""
        return name == self._name

    @property
    def places(self) -> np.ndarray:
        """(V, 3) the vertices as they are shown, normalised."""
        return self._vertices

    def show_clicks(self, clicks: Iterable[Click]) -> None:
        """A green or red ball on every clicked vertex."""
        wanted, places = set(clicks), self._vertices
        for click in set(self._balls) - wanted:
            self._balls.pop(click).remove()
        for click, ball in self._balls.items():
            ball.position = places[click.vertex]
        for click in wanted - set(self._balls):
            color = self.palette.positive if click.positive else self.palette.negative
            self._balls[click] = self.client.scene.add_icosphere(
                f"/click_{click.vertex}_{int(click.positive)}",
                self.ball_radius,
                _rgb(color),
                position=places[click.vertex],
                cast_shadow=False,
                receive_shadow=False,
            )


def labels_of(session: Session) -> np.ndarray:
    """(F,) uint8, what `Scene.show_colors` colours each face by; proposals follow the parts."""
    state, proposed = session.state, session.proposed
    labels = np.full(session.mesh.num_faces, REST, dtype=np.uint8)
    first = FIRST_PART + len(state.parts)
    labels[proposed > 0] = np.minimum(first + proposed[proposed > 0] - 1, HIDDEN - 1)
    for number, part in enumerate(state.parts):
        labels[state.labels == part.id] = FIRST_PART + number
    labels[session.selection.faces] = SELECTED
    labels[~session.shown] = HIDDEN
    return labels


def borders_of(session: Session, labels: np.ndarray) -> Drawn | None:
    """Where the borders between labels run; that of the selection where the probability crosses the threshold."""
    kept = (labels >= FIRST_PART) & (labels < FIRST_PART + len(session.state.parts))
    certain = session.selection.certain(SELECTED, labels, kept)
    return session.surface.borders(np.where(labels == HIDDEN, NONE, labels.astype(np.int64)), certain)


def palette_of(session: Session, marked: int | None) -> list[tuple[str, Color]]:
    """Name and colour of the parts, then of the proposals: paler than parts, the one that is marked darker."""
    state = session.state
    found = [(part.name, part.color) for part in state.parts]
    for place, number in enumerate(state.proposals.colors if state.proposals else ()):
        share, target = (0.45, 0.0) if place == marked else (PALER, 1.0)
        red, green, blue = (channel + share * (target - channel) for channel in part_color(number))
        found.append(("proposed", (red, green, blue)))
    return found


def _rgb(color: Color) -> tuple[int, int, int]:
    """In bytes."""
    red, green, blue = color
    return round(255 * red), round(255 * green), round(255 * blue)


def _border_texts(borders: Drawn) -> dict[str, str]:
    """As page.js reads them."""
    return {
        "faces": _text(borders.faces.astype(np.uint32)),
        "own": _text(borders.own.astype(np.uint8)),
        "other": _text(borders.other.astype(np.uint8)),
        "side": _text(np.clip(np.rint(127 * borders.side), -127, 127).astype(np.int8)),
    }


def _backdrop(dark: bool) -> np.ndarray:
    """(H, W, 3) uint8: a quiet gradient, on which grey, white and coloured shapes stand out alike."""
    height = np.linspace(0, 1, 256)[:, None, None]
    light, deep = ((246.0, 248.0, 251.0), (211.0, 218.0, 228.0)), ((46.0, 50.0, 58.0), (24.0, 26.0, 31.0))
    top, bottom = np.array(deep if dark else light)
    return np.rint(top + height * (bottom - top)).astype(np.uint8).repeat(2, axis=1)


def _text(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
