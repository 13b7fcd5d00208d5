"""The controls beside the mesh, one class a tab: each forwards to the session, and says what it says."""

from __future__ import annotations

import html
import time
from collections.abc import Callable

import numpy as np
from viser import Icon

from utils.errors import UserError
from utils.session.session import Session
from utils.viewer.controls import Actions, Panel, assign, offer, paragraph, small
from utils.viewer.files_panel import FilesTab
from utils.viewer.ladder import LadderPanel
from utils.viewer.opening import Opening
from utils.viewer.parts_panel import PartsTab
from utils.viewer.proposals_panel import KEEPS, SELECTS, ProposalsPanel
from utils.viewer.scene import VIEWS

ADD, REMOVE = "Include", "Exclude"
NO_CLICKS = "no clicks yet"
SEGMENTERS = {"prior": "Prior decoder", "trained": "Decoder of this mesh", "instant": "Instant (iSeg3D)"}
UPS = {"Y up": 1, "Z up": 2}
PAGES = {"Light": False, "Dark": True}
BRUSHES = {"No brush": "", "Add": "add", "Erase": "erase"}
HINT = (
    "<b>Click a part of the model</b> to select it. Ctrl-click (or Shift-click) what should not be in it. "
    "Click a ball to remove it."
)


class Panels(Panel):
    """All controls of one page: what is needed at any time, and the tabs."""

    def __init__(self, page: Actions) -> None:
        super().__init__(page)
        gui = self.gui
        gui.main_panel.dock_right()
        gui.set_panel_label("iSeg")
        self.header = gui.add_html(paragraph("Opening the mesh ..."))
        steps = gui.add_button_group(
            "History", ["Undo", "Redo", "Reset"], hint="Ctrl+Z, Ctrl+Y; Reset takes all clicks away"
        )
        self.on(steps, self._step)
        self.segmenter = gui.add_dropdown(
            "Answered by", list(SEGMENTERS.values()), hint="Change it at any time: parts stay, clicks are asked again"
        )
        self.on(self.segmenter, self._choose)
        self.ladder = LadderPanel(page)
        self.proposals = ProposalsPanel(page)
        self.bar = gui.add_progress_bar(0.0, visible=False)
        self.stage = gui.add_html("")
        self.go_on = self.press("Go on where you were", Icon.HISTORY, self._go_on, color="green", visible=False)
        self.name = gui.add_text("Name", "", hint="of the part to keep; empty: part 1, part 2, ...")
        self.keep = self.press("Keep selection as part (K)", Icon.PLUS, self._keep, color="blue")
        hint = "Let the selection take faces from parts that you kept; locked parts keep theirs"
        self.taking = gui.add_checkbox("Take from kept parts", False, hint=hint)
        self.on(self.taking, lambda value: page.do(lambda s: s.set_taking(bool(value))))
        self.overlap = gui.add_html("")
        with gui.add_folder("View", expand_by_default=False):
            self._view_folder()
        tabs = gui.add_tab_group()
        with tabs.add_tab("Select"):
            self.select = SelectTab(page)
        with tabs.add_tab("Parts"):
            self.parts = PartsTab(page)
        with tabs.add_tab("Shape"):
            ShapeTab(page)
        with tabs.add_tab("Files"):
            self.files = FilesTab(page)
        self._keys()

    def _view_folder(self) -> None:
        gui, page = self.gui, self.page
        views = gui.add_button_group("View", ["Fit", *VIEWS], hint="F shows all of it, from where you look")
        self.on(views, lambda value: page.look(value if value in VIEWS else "Fit"))
        self.on(gui.add_button_group("Up", list(UPS), hint="The axis of the file that points up"), self._set_up)
        self.on(gui.add_button_group("Page", list(PAGES), hint="Begins as your system has it"), self._set_page)
        hint = "Vertex colours, or materials and their images; parts and the selection tint them"
        self.colored = gui.add_checkbox("Colours of the file", True, hint=hint, visible=False)
        self.on(self.colored, self._set_colored)

    def _keys(self) -> None:
        self.key("Undo", "Z", "cmd/ctrl", lambda: self._step("Undo"))
        self.key("Redo", "Y", "cmd/ctrl", lambda: self._step("Redo"))
        self.key("Redo", "Z", "cmd/ctrl+shift", lambda: self._step("Redo"))
        self.key("Propose parts", "P", None, self.proposals.propose)
        self.key("Finer part", "1", None, lambda: self.ladder.choose(-1))
        self.key("Default part", "2", None, lambda: self.ladder.choose(0))
        self.key("Coarser part", "3", None, lambda: self.ladder.choose(1))
        self.key("Include / exclude", "X", None, self.select.switch_mode)
        self.key("Show all of it", "F", None, lambda: self.page.look("Fit"))
        self.key("Brush on / off", "B", None, lambda: self.page.set_brush("" if self.page.view.brush else "add"))
        self.key("Keep selection as part", "K", None, self._keep)

    def _step(self, value: str) -> None:
        self.page.do(lambda s: {"Undo": s.undo, "Redo": s.redo, "Reset": s.reset}.get(value, bool)())

    def _choose(self, value: str) -> None:
        kind = next((kind for kind in self.page.studio.kinds(self.page.loaded) if SEGMENTERS[kind] == value), None)
        try:
            if kind is None:
                raise UserError("choose one of the list")
            self.page.answer_with(self.page.made_ready(kind))
            self.page.session.choice = kind
        finally:
            self.refresh()  # the list says what answers, also where it could not be changed

    def _keep(self) -> None:
        name = self.name.value
        self.page.do(lambda s: s.keep_part(name))
        self.name.value = ""

    def _set_up(self, value: str) -> None:
        self.page.view.up = UPS.get(value, 1)
        self.page.look("Slant")
        self.refresh()

    def _set_colored(self, on: bool) -> None:
        self.page.view.colored = bool(on)
        self.page.show_file_colors()

    def _set_page(self, value: str) -> None:
        self.page.set_dark(PAGES.get(value, False))
        self.refresh()

    def _go_on(self) -> None:
        kept = self.page.studio.kept_work(self.page.loaded)
        if kept:
            self.page.go_on(kept[0])

    def show_opening(self, opening: Opening | None) -> None:
        """How far the mesh is; None: it is ready. From any thread."""
        assign(self.bar, "visible", opening is not None)
        text = ""
        if opening is not None:
            assign(self.bar, "value", round(100 * opening.share, 1))
            text = f"{html.escape(opening.stage)} · about {max(1, round(opening.seconds_left))} s left"
        assign(self.stage, "content", small(text))

    def answers_changed(self) -> None:
        """After something was made ready to answer."""
        offer(self.segmenter, [SEGMENTERS[kind] for kind in self.page.studio.kinds(self.page.loaded)], "")
        self.select.mesh_changed()

    def mesh_changed(self) -> None:
        """After another mesh or session was opened."""
        kept = self.page.studio.kept_work(self.page.loaded)
        self.go_on.visible = bool(kept) and not self.page.session.log
        if kept:
            self.go_on.label = f"Go on where you were ({kept[0].summary}, {ago(kept[0].changed)})"
        self.answers_changed()
        self.files.mesh_changed()

    def refresh(self) -> None:
        """Make every control say what the session says."""
        page, session = self.page, self.page.session
        segmenter, hit = session.answers.segmenter, page.view.last_hit
        last = f" · vertex {hit}" if hit is not None else ""
        head = (
            f"<b>{html.escape(page.loaded.name)}</b> "
            f"<span style='opacity:.6'>{html.escape(segmenter.label)}{last}</span>"
        )
        text = f"<div style='min-height:5.8em'>{head}<br>{_hint(session)}</div>"
        assign(self.header, "content", paragraph(text))
        self.keep.disabled = not session.selection.faces.any()
        if session.answers.ready:
            assign(self.segmenter, "value", SEGMENTERS[segmenter.kind])
        if session.log:
            assign(self.go_on, "visible", False)
        assign(self.colored, "visible", page.loaded.colors is not None)
        assign(self.taking, "value", session.state.taking)
        assign(self.overlap, "content", small(_overlap(session)))
        for panel in (self.ladder, self.proposals, self.select, self.parts):
            panel.refresh()
        brush = next(name for name, value in BRUSHES.items() if value == page.view.brush)
        up = next(name for name, axis in UPS.items() if axis == page.view.up)
        shade = next(name for name, dark in PAGES.items() if dark == page.view.dark)
        click = SELECTS if page.view.selecting else KEEPS
        page.mark([REMOVE if page.view.exclude else ADD, brush, up, shade, click])


def _overlap(session: Session) -> str:
    """What keeping takes from kept parts, or leaves to them."""
    state, overlap = session.state, session.selection.overlap
    if not overlap:
        return ""
    faces = ", ".join(
        f"{count:,} faces from <b>{html.escape(state.part(key).name)}</b>" for key, count in overlap.items()
    )
    return f"Keeping takes {faces}." if state.taking else f"Kept parts keep their faces. Taking would take {faces}."


def ago(moment: float) -> str:
    """How long ago a moment was, seconds since the epoch."""
    minutes = max(0, round((time.time() - moment) / 60))
    if minutes < 100:
        return f"{minutes} min ago"
    return f"{round(minutes / 60)} h ago" if minutes < 3000 else f"{round(minutes / 1440)} days ago"


def _hint(session: Session) -> str:
    """What to do next."""
    state, faces = session.state, session.selection.faces
    if state.proposals is not None and not state.clicks and not state.touches:
        return "<b>Parts are proposed in pale colours.</b> Keep those that fit; what is left can be clicked as ever."
    if not state.clicks and not state.touches and not state.parts:
        return HINT
    if faces.any():
        return (
            f"<b>{int(faces.sum()):,} of {len(faces):,} faces selected.</b> "
            "Keep them as a part, or correct them with more clicks."
        )
    if state.clicks:
        return "<b>Nothing selected.</b> Add a positive click, or choose a coarser part."
    return "<b>Click the next part.</b> Kept parts are in the Parts tab, export is in Files."


class SelectTab(Panel):
    """Clicks, how much they select, and corrections by hand."""

    def __init__(self, page: Actions) -> None:
        super().__init__(page)
        self._before_otsu: float | None = None  # the threshold that was set by hand
        with self.gui.add_folder("Clicks"):
            self._clicks_folder()
        with self.gui.add_folder("How much"):
            self._amount_folder()
        with self.gui.add_folder("Touch up"):
            self._touch_folder()

    def _clicks_folder(self) -> None:
        gui, view = self.gui, self.page.view
        hint = "X switches; Ctrl or Shift does the other one"
        mode = gui.add_button_group("A click will", [ADD, REMOVE], hint=hint)
        self.on(mode, self._set_mode)
        self.mode_note = gui.add_html("")
        single = gui.add_checkbox("Single click", view.single, hint="Every click starts a new selection")
        self.on(single, lambda value: setattr(view, "single", value))
        self.clicks = gui.add_dropdown("Clicks", [NO_CLICKS])
        self.remove = self.press("Remove this click", Icon.TRASH, self._remove_click)
        hint = "Tells apart better what you included and excluded. Parts you kept stay; Undo takes it back"
        self.learn = self.press("Learn from my negative clicks", Icon.SCHOOL, self._learn, visible=False, hint=hint)
        self.learnt_note = gui.add_html("")

    def _amount_folder(self) -> None:
        gui, do = self.gui, self.page.do
        self.granularity = gui.add_slider("Granularity", 0.0, 1.0, 0.01, 0.5, hint="0 finest, 1 coarsest")
        self.on(self.granularity, lambda value: do(lambda s: s.set_granularity(float(value))), last_only=True)
        self.level_note = gui.add_html("")
        hint = "Find the threshold from the probabilities themselves"
        self.otsu = gui.add_checkbox("Otsu threshold", True, hint=hint)
        self.on(self.otsu, self._set_otsu)
        self.threshold = gui.add_slider("Threshold", 0.0, 1.0, 0.005, 0.5)
        self.on(self.threshold, lambda value: do(lambda s: s.set_threshold(float(value))), last_only=True)
        hint = "Colour by probability instead of what is selected"
        self.soft = gui.add_checkbox("Show probabilities", False, hint=hint)
        self.on(self.soft, self._set_soft)

    def _touch_folder(self) -> None:
        gui, view = self.gui, self.page.view
        brush = gui.add_button_group("Brush", list(BRUSHES), hint="B; with a brush, dragging on the model paints")
        self.on(brush, lambda value: self.page.set_brush(BRUSHES.get(value, "")))
        radius = gui.add_slider("Brush size", 0.01, 0.4, 0.005, view.brush_radius, hint="The object has radius 1")
        self.on(radius, self._set_radius, last_only=True)
        ring = gui.add_button_group("Border", ["Grow", "Shrink"])
        self.on(ring, lambda value: self._changing(Session.grow if value == "Grow" else Session.shrink))
        hint = "Adds every part that is like what is selected: legs, spokes, buttons, twins"
        self.press("Select alike", Icon.COPY, self._alike, hint=hint)
        tidy = gui.add_button_group("Tidy", ["Fill holes", "Largest only"])
        self.on(tidy, lambda value: self._changing(Session.fill if value == "Fill holes" else Session.largest))

    def _set_radius(self, value: float) -> None:
        self.page.view.brush_radius = float(np.clip(value, 0.001, 0.5))
        self.page.set_brush(self.page.view.brush)

    def _changing(self, operation: Callable[[Session], bool]) -> None:
        """For what may find nothing to do: say so instead of seeming broken."""
        page = self.page
        if operation(page.session):
            page.refresh()
        elif page.session.selection.faces.any():
            page.say("Nothing to change here.", error=True, seconds=4)
        else:
            page.say("Nothing is selected: click on the model first.", error=True, seconds=4)

    def _alike(self) -> None:
        self.page.do(lambda s: s.select_alike())

    def _set_mode(self, value: str) -> None:
        self.page.view.exclude = value == REMOVE
        self.page.refresh_panels()

    def switch_mode(self) -> None:
        """Exclude with what included, and the other way round."""
        self._set_mode(ADD if self.page.view.exclude else REMOVE)

    def _set_otsu(self, on: bool) -> None:
        session = self.page.session
        if on:
            self._before_otsu = session.state.threshold
            self.page.do(lambda s: s.set_threshold(None))
            return
        before, current = self._before_otsu, session.selection.threshold
        found = 0.5 if current is None else round(current, 3)
        self.page.do(lambda s: s.set_threshold(found if before is None else before))

    def _set_soft(self, on: bool) -> None:
        self.page.view.soft = bool(on)
        self.page.refresh()

    def _remove_click(self) -> None:
        labels = self._click_labels()
        if self.clicks.value in labels:
            vertex = self.page.session.state.clicks[labels.index(self.clicks.value)].vertex
            self.page.do(lambda s: s.remove_click(vertex))

    def _click_labels(self) -> list[str]:
        return [f"{'+' if click.positive else '−'} vertex {click.vertex}" for click in self.page.session.state.clicks]

    def _learn(self) -> None:
        page = self.page
        before = page.session.selection.faces
        with page.waiting("Learning", "from your clicks ..."):
            page.do(lambda s: s.learn())
        after = page.session.selection.faces
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        effect = "what is selected stays the same for now"
        if gained or lost:
            effect = f"{gained:,} faces joined the selection, {lost:,} left it"
        page.say(f"Learnt: {effect}. Undo takes it back.")

    def mesh_changed(self) -> None:
        """After another mesh, session or segmenter was chosen."""
        answers = self.page.session.answers
        self.learn.visible = answers.learns
        one = "Finer and coarser are higher and lower thresholds: this decoder gives one answer."
        self.level_note.content = small(one if answers.by_threshold else "")

    def refresh(self) -> None:
        """Make the controls say what the session says."""
        view, session = self.page.view, self.page.session
        state, selection, answers = session.state, session.selection, session.answers
        color, effect = ("#d22", "excludes") if view.exclude else ("#292", "includes")
        brush = f" · <b>brush: {view.brush}</b>" if view.brush else ""
        assign(self.mode_note, "content", small(f"Now: <b style='color:{color}'>a click {effect}</b>{brush}"))
        offer(self.clicks, self._click_labels(), NO_CLICKS)
        self.remove.disabled = not state.clicks
        assign(self.granularity, "value", state.granularity)
        learnt = len(state.lessons) if answers.learns else 0
        assign(self.learnt_note, "content", small(f"Learnt {learnt} time{'s' * (learnt != 1)}." if learnt else ""))
        automatic = state.threshold is None
        assign(self.otsu, "value", automatic)
        threshold = round(selection.threshold or 0.5, 3) if state.threshold is None else state.threshold
        assign(self.threshold, "value", threshold)
        self.threshold.disabled = automatic
        assign(self.soft, "value", view.soft)


class ShapeTab(Panel):
    """Edits of the shape (paper Fig. 11)."""

    def __init__(self, page: Actions) -> None:
        super().__init__(page)
        gui, do = self.gui, page.do
        text = "Change the selected part of the shape. Undo brings everything back; Files exports it."
        gui.add_html(paragraph(text))
        self.press("Delete selection", Icon.ERASER, lambda: do(lambda s: s.edit("delete")))
        self.press("Keep only selection", Icon.CROP, lambda: do(lambda s: s.edit("keep")))
        size = gui.add_slider("Size left", 0.1, 0.95, 0.05, 0.7)
        self.press(
            "Shrink selection", Icon.ARROWS_MINIMIZE, lambda: do(lambda s: s.edit("shrink", size.value)), color=None
        )
        hint = "Along the normals; the object has radius 1"
        distance = gui.add_slider("Distance", -0.2, 0.2, 0.01, 0.05, hint=hint)
        self.press(
            "Extrude selection",
            Icon.ARROWS_MAXIMIZE,
            lambda: do(lambda s: s.edit("extrude", distance.value)),
            color=None,
        )
