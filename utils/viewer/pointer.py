"""Clicks on the canvas of one page: on a ball, on a proposal, or on the mesh."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import viser

from utils.errors import UserError
from utils.session.picking import Hit, Picker, first_ball
from utils.viewer.controls import Actions
from utils.viewer.scene import Scene

NEGATIVE_KEYS = ("cmd/ctrl", "shift", "cmd/ctrl+shift")


class Pointer:
    """Does what the clicks of one page ask for.

    await_answers  until something answers
    on_proposal    takes a clicked face and the key that was held, if a proposal is clicked there; whether it did
    milliseconds   from a click to its colours on the way to the page, of the latest ones
    """

    def __init__(
        self,
        page: Actions,
        scene: Scene,
        await_answers: Callable[[], object],
        on_proposal: Callable[[int, str | None], bool],
    ) -> None:
        self.page, self.scene = page, scene
        self._await_answers, self._on_proposal = await_answers, on_proposal
        self.milliseconds: deque[float] = deque(maxlen=200)
        self._picker: tuple[np.ndarray, bytes, Picker] | None = None
        for modifier in (None, *NEGATIVE_KEYS):
            on_click = page.client.scene.on_click(modifier=modifier)
            on_click(self._forward)  # pyright: ignore[reportArgumentType]  # viser takes coroutines, too

    async def _forward(self, event: viser.SceneClickEvent) -> None:
        page, arrived = self.page, time.perf_counter()
        seen = page.loaded if page.ready else None

        def click() -> None:
            if page.ready and page.loaded is seen:  # not on a mesh that has come meanwhile
                self.click(event.ray_origin, event.ray_direction, event.modifier, arrived)

        page.post(click)

    def pick(self, origin: Any, direction: Any) -> Hit | None:
        """What a ray hits of the faces that are shown."""
        shown, places = self.page.session.shown, self.scene.places
        key = shown.tobytes()
        if self._picker is None or self._picker[0] is not places or self._picker[1] != key:
            self._picker = (places, key, Picker(places, self.page.loaded.mesh.faces, shown))
        return self._picker[2](np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64))

    def click(self, origin: Any, direction: Any, key: str | None, arrived: float) -> None:
        """On a ball: take that click away; on a proposal: what is done with those; on the mesh: add a click."""
        page = self.page
        self._await_answers()
        session = page.session  # waiting may have begun another
        hit, clicks = self.pick(origin, direction), session.state.clicks
        centers = self.scene.places[[click.vertex for click in clicks]] if clicks else np.zeros((0, 3))
        ball = first_ball(np.asarray(origin), np.asarray(direction), centers, 1.15 * self.scene.ball_radius)
        # The front half of a ball stands out of the surface that it marks.
        if ball is not None and (hit is None or ball[1] <= hit.distance):
            changed = session.remove_click(clicks[ball[0]].vertex)
        elif hit is None or self._on_proposal(hit.face, key):
            return
        else:
            page.view.last_hit = hit.vertex
            page.choose_part(int(session.state.labels[hit.face]))
            positive = page.view.exclude == (key in NEGATIVE_KEYS)
            changed = session.click(hit.vertex, positive, alone=page.view.single and positive)
        if changed:
            try:
                page.refresh()
            except UserError:
                session.undo()
                raise
        self.milliseconds.append(1000 * (time.perf_counter() - arrived))
