"""The parts that were kept: what a person does with them."""

from __future__ import annotations

import html

import numpy as np
from viser import Icon

from utils.errors import UserError
from utils.session.state import Part
from utils.viewer.controls import Actions, Panel, assign, offer, paragraph

EYE, EYE_OFF, LOCK, LOCK_OPEN = (
    f"<svg width='15' height='15' viewBox='0 0 24 24' fill='none' stroke='currentColor' stroke-width='2'>{path}</svg>"
    for path in (
        "<path d='M2 12q10-14 20 0q-10 14-20 0'/><circle cx='12' cy='12' r='3'/>",
        "<path d='M2 12q10-14 20 0q-10 14-20 0M4 20L20 4'/>",
        "<rect x='4' y='11' width='16' height='10' rx='2'/><path d='M8 11V7a4 4 0 0 1 8 0v4'/>",
        "<g opacity='.45'><rect x='4' y='11' width='16' height='10' rx='2'/><path d='M8 11V6a4 4 0 0 1 8-1'/></g>",
    )
)
NO_PARTS, NO_OTHER = "no parts yet", "no other part"


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
        self.press("Give the rest to the nearest part", Icon.ARROWS_MAXIMIZE, lambda: do(lambda s: s.assign_rest()))
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

    def choose(self, part_id: int) -> None:
        """Choose a part in the list; an id of none changes nothing."""
        for part in self.page.session.state.parts:
            if part.id == part_id:
                assign(self.part, "value", part.name)
                self.refresh()

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
        count = np.bincount(state.labels[session.shape.alive], minlength=1 + session.next_part)
        rows = "".join(_row(part, int(count[part.id]), part.name == self.part.value) for part in state.parts)
        assign(self.legend, "content", paragraph(rows or "Parts that you keep appear here."))
        assign(self.exclusive, "value", state.exclusive)
        assign(self.only_free, "value", state.only_free)


def _row(part: Part, count: int, chosen: bool) -> str:
    """A line of the list; page.js tells what its signs are pressed for."""
    color = ",".join(str(round(255 * channel)) for channel in part.color)

    def sign(does: str, text: str, title: str) -> str:
        style = "cursor:pointer;border:0;background:none;padding:0 .2em;font-size:1.05em"
        return (
            f"<button style='{style}' title='{title}' data-iseg-do='{does}' data-iseg-part='{part.id}'>{text}</button>"
        )

    name = html.escape(part.name, quote=True)
    return (
        f"<div style='display:flex;align-items:center;gap:.3em;padding:1px .2em;border-radius:4px;"
        f"background:{'rgba(41,102,219,.14)' if chosen else 'none'}'>"
        f"<span data-iseg-do='choose' data-iseg-part='{part.id}' "
        "style='flex:none;cursor:pointer;width:.9em;height:.9em;"
        f"border-radius:3px;background:rgb({color})'></span>"
        f"<input value='{name}' title='{name}' data-iseg-do='name' data-iseg-part='{part.id}' "
        "style='flex:1;min-width:0;border:0;background:none;color:inherit;font:inherit'>"
        f"<span style='opacity:.6;white-space:nowrap'>{count:,}</span>"
        + sign("eye", EYE if part.visible else EYE_OFF, "hide it" if part.visible else "show it")
        + sign("lock", LOCK if part.locked else LOCK_OPEN, "let it lose faces" if part.locked else "lock its faces")
        + "</div>"
    )
