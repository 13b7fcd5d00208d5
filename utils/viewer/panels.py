"""The controls beside the mesh, one class a tab: each forwards to the session, and says what it says."""

from __future__ import annotations

import html
from collections.abc import Callable

import numpy as np
from viser import Icon

from utils.errors import UserError
from utils.session.session import Session
from utils.session.state import Part
from utils.viewer.controls import Actions, Panel, assign, offer, paragraph, small
from utils.viewer.files_panel import FilesTab

ADD, REMOVE = "Include", "Exclude"
NO_CLICKS, NO_PARTS, NO_OTHER = "no clicks yet", "no parts yet", "no other part"
SEGMENTERS = {"prior": "Prior decoder", "trained": "Decoder of this mesh", "instant": "Instant (iSeg3D)"}
LEVELS = {"Finer": 0.0, "Default": 0.5, "Coarser": 1.0}
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
        self.name = gui.add_text("Name", "", hint="of the part to keep; empty: part 1, part 2, ...")
        self.keep = self.press("Keep selection as part (K)", Icon.PLUS, self._keep, color="blue")
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

    def _keys(self) -> None:
        self.key("Undo", "Z", "cmd/ctrl", lambda: self._step("Undo"))
        self.key("Redo", "Y", "cmd/ctrl", lambda: self._step("Redo"))
        self.key("Redo", "Z", "cmd/ctrl+shift", lambda: self._step("Redo"))
        self.key("Finer part", "1", None, lambda: self.select.set_level("Finer"))
        self.key("Default part", "2", None, lambda: self.select.set_level("Default"))
        self.key("Coarser part", "3", None, lambda: self.select.set_level("Coarser"))
        self.key("Include / exclude", "X", None, self.select.switch_mode)
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
        finally:
            self.refresh()  # the list says what answers, also where it could not be changed

    def _keep(self) -> None:
        name = self.name.value
        self.page.do(lambda s: s.keep_part(name))
        self.name.value = ""

    def mesh_changed(self) -> None:
        """After another mesh or session was opened."""
        offer(self.segmenter, [SEGMENTERS[kind] for kind in self.page.studio.kinds(self.page.loaded)], "")
        self.select.mesh_changed()
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
        assign(self.segmenter, "value", SEGMENTERS[segmenter.kind])
        self.select.refresh()
        self.parts.refresh()


def _hint(session: Session) -> str:
    """What to do next."""
    state, faces = session.state, session.selection.faces
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
        level = gui.add_button_group("Part size", list(LEVELS), hint="Keys 1, 2 and 3")
        self.on(level, self.set_level)
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
        self.on(radius, lambda value: setattr(view, "brush_radius", float(np.clip(value, 0.001, 0.5))), last_only=True)
        ring = gui.add_button_group("Border", ["Grow", "Shrink"])
        self.on(ring, lambda value: self._changing(Session.grow if value == "Grow" else Session.shrink))
        tidy = gui.add_button_group("Tidy", ["Fill holes", "Largest only"])
        self.on(tidy, lambda value: self._changing(Session.fill if value == "Fill holes" else Session.largest))

    def _changing(self, operation: Callable[[Session], bool]) -> None:
        """For what may find nothing to do: say so instead of seeming broken."""
        page = self.page
        if operation(page.session):
            page.refresh()
        elif page.session.selection.faces.any():
            page.say("Nothing to change here.", error=True, seconds=4)
        else:
            page.say("Nothing is selected: click on the model first.", error=True, seconds=4)

    def _set_mode(self, value: str) -> None:
        self.page.view.exclude = value == REMOVE
        self.refresh()

    def switch_mode(self) -> None:
        """Exclude with what included, and the other way round."""
        self._set_mode(ADD if self.page.view.exclude else REMOVE)

    def set_level(self, value: str) -> None:
        """One of `LEVELS`."""
        self.page.do(lambda s: s.set_granularity(LEVELS.get(value, 0.5)))

    def _set_otsu(self, on: bool) -> None:
        current = self.page.session.selection.threshold
        self.page.do(lambda s: s.set_threshold(None if on else round(current, 3) if current is not None else 0.5))

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
        if not answers.by_threshold:
            matches = zip(("finer", "default", "coarser"), selection.quality or ())
            text = ", ".join(f"{name} {100 * value:.0f} %" for name, value in matches)
            assign(self.level_note, "content", small(f"Expected match: {text}" if text else ""))
        automatic = state.threshold is None
        assign(self.otsu, "value", automatic)
        threshold = round(selection.threshold or 0.5, 3) if state.threshold is None else state.threshold
        assign(self.threshold, "value", threshold)
        self.threshold.disabled = automatic
        assign(self.soft, "value", view.soft)


class PartsTab(Panel):
    """The parts that were kept."""

    def __init__(self, page: Actions) -> None:
        super().__init__(page)
        gui, do = self.gui, page.do
        self.legend = gui.add_html("")
        self.part = gui.add_dropdown("Part", [NO_PARTS])
        self.on(self.part, lambda _: self.refresh())
        self.part_name = gui.add_text("Rename to", "")
        self.press("Rename", Icon.PENCIL, self._rename)
        look = gui.add_button_group("Show", ["Hide / show", "Lock / unlock"], hint="A locked part keeps its faces")
        self.on(look, self._toggle)
        edit = gui.add_button_group("Faces", ["Select them", "Add selection"])
        self.on(edit, self._edit_part)
        self.other = gui.add_dropdown("Merge with", [NO_OTHER])
        self.press("Merge", Icon.ARROWS_JOIN, self._merge)
        self.press("Delete part", Icon.TRASH, self._delete, hint="Its faces stay on the model")
        with gui.add_folder("All parts"):
            hint = "The clicks of kept parts count as excluded"
            self.exclusive = gui.add_checkbox("Exclusive", True, hint=hint)
            self.on(self.exclusive, lambda value: do(lambda s: s.set_exclusive(bool(value))))
            self.only_free = gui.add_checkbox("Show only the rest", False, hint="Hide everything that is in a part")
            self.on(self.only_free, lambda value: do(lambda s: s.show_only_free(bool(value))))

    def _named(self, name: str) -> Part:
        for part in self.page.session.state.parts:
            if part.name == name:
                return part
        raise UserError("choose a part first (keep a selection to make one)")

    def _part(self) -> Part:
        return self._named(self.part.value)

    def _rename(self) -> None:
        part, name = self._part(), self.part_name.value
        if not name.strip():
            raise UserError("write the new name first")
        self.page.do(lambda s: s.rename_part(part.id, name))
        self.part_name.value = ""
        self.part.value = self.page.session.state.part(part.id).name
        self.refresh()

    def _toggle(self, value: str) -> None:
        part = self._part()
        if value.startswith("Hide"):
            self.page.do(lambda s: s.set_visible(part.id, not part.visible))
        else:
            self.page.do(lambda s: s.set_locked(part.id, not part.locked))

    def _edit_part(self, value: str) -> None:
        part = self._part()
        self.page.do(lambda s: s.select_part(part.id) if value.startswith("Select") else s.add_to_part(part.id))

    def _merge(self) -> None:
        part, other = self._part(), self._named(self.other.value)
        self.page.do(lambda s: s.merge_parts(part.id, other.id))

    def _delete(self) -> None:
        part = self._part()
        self.page.do(lambda s: s.delete_part(part.id))

    def refresh(self) -> None:
        """Make the controls say what the session says."""
        session = self.page.session
        state = session.state
        names, before = [part.name for part in state.parts], self.part.options
        offer(self.part, names, NO_PARTS)
        if names and len(names) > len(before):
            self.part.value = names[-1]
        offer(self.other, [name for name in names if name != self.part.value], NO_OTHER)
        rows = "".join(_row(part, int(session.part_faces(part.id).sum())) for part in state.parts)
        assign(self.legend, "content", paragraph(rows or "Parts that you keep appear here."))
        assign(self.exclusive, "value", state.exclusive)
        assign(self.only_free, "value", state.only_free)


def _row(part: Part, count: int) -> str:
    """A line of the legend."""
    color = ",".join(str(round(255 * channel)) for channel in part.color)
    marks = ("" if part.visible else " · hidden") + (" · locked" if part.locked else "")
    return (
        "<div style='padding:1px 0'><span style='display:inline-block;width:.9em;height:.9em;border-radius:3px;"
        f"vertical-align:-.1em;margin-right:.5em;background:rgb({color})'></span>{html.escape(part.name)}"
        f"<span style='opacity:.6'> · {count:,} faces{marks}</span></div>"
    )


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
