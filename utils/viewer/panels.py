"""The controls beside the mesh. Each forwards to the session; `refresh` makes them say what the session says."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import viser

from utils.errors import UserError
from utils.session.state import Part
from utils.viewer.files_panel import FilesPanel

if TYPE_CHECKING:
    from utils.viewer.page import Page
    from utils.viewer.studio import Opened

ADD, REMOVE = "Include", "Exclude"
NO_CLICKS, NO_PARTS, NO_OTHER = "no clicks yet", "no parts yet", "no other part"
FINER, DEFAULT, COARSER = "Finer", "Default", "Coarser"
SEGMENTERS = {"prior": "Prior decoder", "trained": "Decoder of this mesh", "instant": "Instant (iSeg3D)"}
LEVELS = {FINER: 0.0, DEFAULT: 0.5, COARSER: 1.0}
BRUSHES = {"No brush": "", "Add": "add", "Erase": "erase"}
HINT = (
    "<b>Click a part of the model</b> to select it. Ctrl-click (or Shift-click) what should not be in it. "
    "Click a ball to remove it."
)


class Panels:
    """All controls of one page."""

    def __init__(self, page: Page) -> None:
        self.page, gui = page, page.client.gui
        gui.main_panel.dock_right()
        gui.set_panel_label("iSeg")
        self.header = gui.add_html(_paragraph("Opening the mesh ..."))
        self.steps = gui.add_button_group(
            "History", ["Undo", "Redo", "Reset"], hint="Ctrl+Z, Ctrl+Y; Reset takes all clicks away"
        )
        self.on(
            self.steps,
            lambda value: page.do(lambda s: {"Undo": s.undo, "Redo": s.redo, "Reset": s.reset}.get(value, bool)()),
        )
        self.segmenter = gui.add_dropdown(
            "Answered by", list(SEGMENTERS.values()), hint="Change it at any time: parts stay, clicks are asked again"
        )
        self.on(self.segmenter, self._choose)
        self.name = gui.add_text("Name", "", hint="of the part to keep; empty: part 1, part 2, ...")
        self.keep = gui.add_button("Keep selection as part (K)", icon=viser.Icon.PLUS, color="blue")
        self.press(self.keep, self._keep)
        tabs = gui.add_tab_group()
        with tabs.add_tab("Select"):
            self._select_tab(gui)
        with tabs.add_tab("Parts"):
            self._parts_tab(gui)
        with tabs.add_tab("Shape"):
            self._shape_tab(gui)
        with tabs.add_tab("Files"):
            self.files = FilesPanel(self)
        self._keys(gui)

    # --- what answers ----------------------------------------------------------------------------

    def made_ready(self, kind: str) -> Opened:
        """The segmenter of a kind; says that it takes a moment where it does."""
        page = self.page
        if kind in page.loaded.choices:
            return page.loaded.choices[kind]
        waiting = page.client.add_notification(
            "Making ready", f"{SEGMENTERS[kind]} ...", loading=True, with_close_button=False
        )
        try:
            return page.studio.choose(page.loaded, kind)
        finally:
            waiting.remove()

    def _choose(self, value: str) -> None:
        if self.page.workspace is None:
            return
        kind = next((kind for kind in self.page.studio.kinds(self.page.loaded) if SEGMENTERS[kind] == value), None)
        try:
            if kind is None:
                raise UserError("choose one of the list")
            self.page.answer_with(self.made_ready(kind))
        finally:
            self.refresh()  # the list says what answers, also where it could not be changed

    def _learn(self) -> None:
        page = self.page
        if page.workspace is None:
            return
        before = page.session.selection.faces
        waiting = page.client.add_notification(
            "Learning", "from your clicks ...", loading=True, with_close_button=False
        )
        try:
            page.do(lambda s: s.learn())
        finally:
            waiting.remove()
        after = page.session.selection.faces
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        effect = (
            f"{gained:,} faces joined the selection, {lost:,} left it"
            if gained or lost
            else "what is selected stays the same for now"
        )
        page.say(f"Learnt: {effect}. Undo takes it back.")

    # --- forwarding ------------------------------------------------------------------------------

    def on(self, handle: Any, then: Callable[[Any], None], last_only: bool = False) -> None:
        """Call `then` with the control's new value when the person changes it, not when we do."""
        key = handle._impl.uuid if last_only else ""

        async def forward(event: viser.GuiEvent) -> None:
            value = event.target.value
            if event.client is not None:
                self.page.post(lambda: then(value), key)

        kinds = {viser.GuiButtonGroupHandle: "on_click", viser.GuiUploadButtonHandle: "on_upload"}
        getattr(handle, kinds.get(type(handle), "on_update"))(forward)

    def press(self, button: Any, then: Callable[[], None]) -> None:
        """Call `then` when the person presses a button."""

        async def forward(event: viser.GuiEvent) -> None:
            if event.client is not None:
                self.page.post(then)

        button.on_click(forward)

    def _keys(self, gui: viser.GuiApi) -> None:
        do = self.page.do
        for label, hotkey, modifier, then in (
            ("Undo", "Z", "cmd/ctrl", lambda: do(lambda s: s.undo())),
            ("Redo", "Y", "cmd/ctrl", lambda: do(lambda s: s.redo())),
            ("Redo", "Z", "cmd/ctrl+shift", lambda: do(lambda s: s.redo())),
            ("Finer part", "1", None, lambda: self._level(FINER)),
            ("Default part", "2", None, lambda: self._level(DEFAULT)),
            ("Coarser part", "3", None, lambda: self._level(COARSER)),
            ("Include / exclude", "X", None, self._switch_mode),
            ("Brush on / off", "B", None, lambda: self.page.set_brush("" if self.page.brush else "add")),
            ("Keep selection as part", "K", None, self._keep),
        ):
            self._key(gui.add_command(label, hotkey=hotkey, modifier=modifier), then)

    def _key(self, command: Any, then: Callable[[], None]) -> None:
        async def forward(event: Any) -> None:
            self.page.post(lambda: then() if self.page.workspace is not None else None)

        command.on_trigger(forward)

    # --- Select ----------------------------------------------------------------------------------

    def _select_tab(self, gui: viser.GuiApi) -> None:
        page = self.page
        with gui.add_folder("Clicks"):
            self.mode = gui.add_button_group(
                "A click will", [ADD, REMOVE], hint="X switches; Ctrl or Shift does the other one"
            )
            self.on(self.mode, self._set_mode)
            self.mode_note = gui.add_html("")
            self.single = gui.add_checkbox("Single click", page.single, hint="Every click starts a new selection")
            self.on(self.single, lambda value: setattr(page, "single", value))
            self.clicks = gui.add_dropdown("Clicks", [NO_CLICKS])
            self.remove = gui.add_button("Remove this click", icon=viser.Icon.TRASH, color="gray")
            self.press(self.remove, self._remove_click)
            self.learn = gui.add_button(
                "Learn from my negative clicks",
                icon=viser.Icon.SCHOOL,
                color="gray",
                visible=False,
                hint="Tells apart better what you included and excluded. Parts you kept stay; Undo takes it back",
            )
            self.press(self.learn, self._learn)
            self.learnt_note = gui.add_html("")
        with gui.add_folder("How much"):
            self.level = gui.add_button_group("Part size", list(LEVELS), hint="Keys 1, 2 and 3")
            self.on(self.level, self._level)
            self.granularity = gui.add_slider("Granularity", 0.0, 1.0, 0.01, 0.5, hint="0 finest, 1 coarsest")
            self.on(self.granularity, lambda value: page.do(lambda s: s.set_granularity(float(value))), last_only=True)
            self.level_note = gui.add_html("")
            self.otsu = gui.add_checkbox(
                "Otsu threshold", True, hint="Find the threshold from the probabilities themselves"
            )
            self.on(self.otsu, self._set_otsu)
            self.threshold = gui.add_slider("Threshold", 0.0, 1.0, 0.005, 0.5)
            self.on(self.threshold, lambda value: page.do(lambda s: s.set_threshold(float(value))), last_only=True)
            self.soft = gui.add_checkbox(
                "Show probabilities", False, hint="Colour by probability instead of what is selected"
            )
            self.on(self.soft, self._set_soft)
        with gui.add_folder("Touch up"):
            self.brush = gui.add_button_group(
                "Brush", list(BRUSHES), hint="B; with a brush, dragging on the model paints"
            )
            self.on(self.brush, lambda value: page.set_brush(BRUSHES.get(value, "")))
            self.radius = gui.add_slider(
                "Brush size", 0.01, 0.4, 0.005, page.brush_radius, hint="The object has radius 1"
            )
            self.on(
                self.radius,
                lambda value: setattr(page, "brush_radius", min(max(float(value), 0.001), 0.5)),
                last_only=True,
            )
            ring = gui.add_button_group("Border", ["Grow", "Shrink"])
            self.on(ring, lambda value: self._changing(lambda s: s.grow() if value == "Grow" else s.shrink()))
            tidy = gui.add_button_group("Tidy", ["Fill holes", "Largest only"])
            self.on(tidy, lambda value: self._changing(lambda s: s.fill() if value == "Fill holes" else s.largest()))

    def _changing(self, operation: Callable) -> None:
        """For what may find nothing to do: say so instead of seeming broken."""
        page = self.page
        if operation(page.session):
            page.refresh()
        else:
            page.say(
                "Nothing to change here."
                if page.session.selection.faces.any()
                else "Nothing is selected: click on the model first.",
                error=True,
                seconds=4,
            )

    def _set_mode(self, value: str) -> None:
        self.page.exclude = value == REMOVE
        self.refresh()

    def _switch_mode(self) -> None:
        self._set_mode(ADD if self.page.exclude else REMOVE)

    def _level(self, value: str) -> None:
        self.page.do(lambda s: s.set_granularity(LEVELS.get(value, 0.5)))

    def _set_otsu(self, on: bool) -> None:
        current = self.page.session.selection.threshold
        self.page.do(lambda s: s.set_threshold(None if on else round(current, 3) if current is not None else 0.5))

    def _set_soft(self, on: bool) -> None:
        self.page.soft = bool(on)
        self.page.refresh()

    def _remove_click(self) -> None:
        labels = self._click_labels()
        if self.clicks.value in labels:
            vertex = self.page.session.state.clicks[labels.index(self.clicks.value)].vertex
            self.page.do(lambda s: s.remove_click(vertex))

    def _click_labels(self) -> list[str]:
        return [f"{'+' if click.positive else '−'} vertex {click.vertex}" for click in self.page.session.state.clicks]

    def _keep(self) -> None:
        name = self.name.value
        self.page.do(lambda s: s.keep_part(name))
        self.name.value = ""

    # --- Parts -----------------------------------------------------------------------------------

    def _parts_tab(self, gui: viser.GuiApi) -> None:
        do = self.page.do
        self.legend = gui.add_html("")
        self.part = gui.add_dropdown("Part", [NO_PARTS])
        self.on(self.part, lambda _: self.refresh())
        self.part_name = gui.add_text("Rename to", "")
        self.press(gui.add_button("Rename", icon=viser.Icon.PENCIL, color="gray"), self._rename)
        look = gui.add_button_group("Show", ["Hide / show", "Lock / unlock"], hint="A locked part keeps its faces")
        self.on(look, self._toggle)
        edit = gui.add_button_group("Faces", ["Select them", "Add selection"])
        self.on(edit, self._edit_part)
        self.other = gui.add_dropdown("Merge with", [NO_OTHER])
        self.press(gui.add_button("Merge", icon=viser.Icon.ARROWS_JOIN, color="gray"), self._merge)
        self.press(
            gui.add_button("Delete part", icon=viser.Icon.TRASH, color="gray", hint="Its faces stay on the model"),
            lambda: do(lambda s: s.delete_part(self._part().id)),
        )
        with gui.add_folder("All parts"):
            self.exclusive = gui.add_checkbox("Exclusive", True, hint="The clicks of kept parts count as excluded")
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

    # --- Shape -----------------------------------------------------------------------------------

    def _shape_tab(self, gui: viser.GuiApi) -> None:
        do = self.page.do
        gui.add_html(
            _paragraph("Change the selected part of the shape. Undo brings everything back; Files exports it.")
        )
        self.press(
            gui.add_button("Delete selection", icon=viser.Icon.ERASER, color="gray"),
            lambda: do(lambda s: s.edit("delete")),
        )
        self.press(
            gui.add_button("Keep only selection", icon=viser.Icon.CROP, color="gray"),
            lambda: do(lambda s: s.edit("keep")),
        )
        self.size = gui.add_slider("Size left", 0.1, 0.95, 0.05, 0.7)
        self.press(
            gui.add_button("Shrink selection", icon=viser.Icon.ARROWS_MINIMIZE),
            lambda: do(lambda s: s.edit("shrink", self.size.value)),
        )
        self.distance = gui.add_slider(
            "Distance", -0.2, 0.2, 0.01, 0.05, hint="Along the normals; the object has radius 1"
        )
        self.press(
            gui.add_button("Extrude selection", icon=viser.Icon.ARROWS_MAXIMIZE),
            lambda: do(lambda s: s.edit("extrude", self.distance.value)),
        )

    # --- saying what is ----------------------------------------------------------------------------

    def mesh_changed(self) -> None:
        """After another mesh or session was opened."""
        page = self.page
        by_threshold = page.opened.answers.by_threshold
        _options(self.segmenter, [SEGMENTERS[kind] for kind in page.studio.kinds(page.loaded)], "")
        self.learn.visible = page.opened.answers.learns
        self.level_note.content = _note(
            "Finer and coarser are higher and lower thresholds: this decoder gives one answer." if by_threshold else ""
        )
        self.files.mesh_changed()

    def refresh(self) -> None:
        """Make every control say what the session says."""
        page = self.page
        if page.workspace is None:
            return
        session, state, selection = page.session, page.session.state, page.session.selection
        count, total = int(selection.faces.sum()), page.loaded.mesh.num_faces
        if not state.clicks and not state.touches and not state.parts:
            hint = HINT
        elif count:
            hint = (
                f"<b>{count:,} of {total:,} faces selected.</b> Keep them as a part, or correct them with more clicks."
            )
        elif state.clicks:
            hint = "<b>Nothing selected.</b> Add a positive click, or choose a coarser part."
        else:
            hint = "<b>Click the next part.</b> Kept parts are in the Parts tab, export is in Files."
        last = f" · vertex {page._last_hit}" if page._last_hit is not None else ""
        head = f"<b>{html.escape(page.loaded.name)}</b> <span style='opacity:.6'>{html.escape(page.opened.label)}{last}</span>"
        _set(self.header, "content", _paragraph(f"<div style='min-height:5.8em'>{head}<br>{hint}</div>"))
        self.keep.disabled = count == 0
        _set(
            self.mode_note,
            "content",
            _note(
                f"Now: <b style='color:{'#d22' if page.exclude else '#292'}'>"
                f"{'a click excludes' if page.exclude else 'a click includes'}</b>"
                + (f" · <b>brush: {page.brush}</b>" if page.brush else "")
            ),
        )
        _options(self.clicks, self._click_labels(), NO_CLICKS)
        self.remove.disabled = not state.clicks
        _set(self.granularity, "value", state.granularity)
        _set(self.segmenter, "value", SEGMENTERS[page.opened.note.kind])
        learnt = len(state.lessons) if page.opened.answers.learns else 0
        _set(self.learnt_note, "content", _note(f"Learnt {learnt} time{'s' * (learnt != 1)}." if learnt else ""))
        if not page.opened.answers.by_threshold:
            quality = selection.quality
            _set(
                self.level_note,
                "content",
                _note(
                    ""
                    if quality is None
                    else "Expected match: "
                    + ", ".join(
                        f"{name} {100 * value:.0f} %" for name, value in zip(("finer", "default", "coarser"), quality)
                    )
                ),
            )
        _set(self.otsu, "value", state.threshold is None)
        _set(
            self.threshold,
            "value",
            state.threshold if state.threshold is not None else round(selection.threshold or 0.5, 3),
        )
        self.threshold.disabled = state.threshold is None
        _set(self.soft, "value", page.soft)
        self._refresh_parts(state.parts, session)
        _set(self.exclusive, "value", state.exclusive)
        _set(self.only_free, "value", state.only_free)

    def _refresh_parts(self, parts: Iterable[Part], session: Any) -> None:
        names = [part.name for part in parts]
        before = self.part.options
        _options(self.part, names, NO_PARTS)
        if names and len(names) > len(before):
            self.part.value = names[-1]
        _options(self.other, [name for name in names if name != self.part.value], NO_OTHER)
        rows = []
        for part in parts:
            color = ",".join(str(round(255 * channel)) for channel in part.color)
            marks = ("" if part.visible else " · hidden") + (" · locked" if part.locked else "")
            rows.append(
                f"<div style='padding:1px 0'><span style='display:inline-block;width:.9em;height:.9em;border-radius:3px;"
                f"vertical-align:-.1em;margin-right:.5em;background:rgb({color})'></span>{html.escape(part.name)}"
                f"<span style='opacity:.6'> · {int(session.part_faces(part.id).sum()):,} faces{marks}</span></div>"
            )
        _set(self.legend, "content", _paragraph("".join(rows) or "Parts that you keep appear here."))


def _paragraph(text: str) -> str:
    return f"<div style='padding:.4em .9em .2em;font-size:.85em;line-height:1.45'>{text}</div>"


def _note(text: str) -> str:
    return f"<div style='padding:0 .9em;font-size:.78em;line-height:1.4;opacity:.85'>{text}</div>" if text else ""


def _set(handle: Any, prop: str, value: Any) -> None:
    """Assign what is new only: nothing is sent otherwise."""
    if getattr(handle, prop) != value:
        setattr(handle, prop, value)


def _options(dropdown: Any, options: list[str], none: str) -> None:
    wanted = tuple(options) or (none,)
    if dropdown.options != wanted:
        dropdown.options = wanted
