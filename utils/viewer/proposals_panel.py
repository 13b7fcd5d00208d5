"""Parts that nobody clicked: the controls that propose them, and what clicks on them do."""

from __future__ import annotations

from viser import Icon

from utils.viewer.controls import Actions, Panel, assign, small

KEEPS, SELECTS = "Keeps it", "Selects it"
KEEP_ALL, HIDE = "Keep all", "Put away"
NOTE = (
    "<b>Click a proposal</b> to keep it. Ctrl-click two to merge them, Shift-click one to split it. "
    "Drag 'Detail' for fewer or more; what you kept stays."
)
MERGING = "<b>Ctrl-click the proposal</b> to merge with the dark one, or the dark one again to leave it."
SELECTING = "<b>Clicks correct the selection now.</b> Keep it (K) or take it away (Esc) to go on with the proposals."


class ProposalsPanel(Panel):
    """Proposes parts, and lets a person keep, merge and split them."""

    def __init__(self, page: Actions) -> None:
        super().__init__(page)
        gui = self.gui
        hint = "Divide the whole model before any click; kept parts stay as they are"
        self.start = self.press("Propose parts (P)", Icon.SPARKLES, self.propose, color="teal", hint=hint)
        self.detail = gui.add_slider("Detail", 0.0, 1.0, 0.01, 0.5, hint="0 few parts, 1 many", visible=False)
        self.on(self.detail, lambda value: page.do(lambda s: s.set_detail(float(value))), last_only=True)
        self.mode = gui.add_button_group("A click on one", [KEEPS, SELECTS], visible=False)
        self.on(self.mode, self._set_mode)
        self.all = gui.add_button_group("Proposals", [KEEP_ALL, HIDE], visible=False)
        self.on(
            self.all, lambda value: page.do(lambda s: s.keep_proposals() if value == KEEP_ALL else s.drop_proposals())
        )
        self.note = gui.add_html("")

    def propose(self) -> None:
        """Propose parts, as soon as there is what does it."""
        page = self.page
        with page.waiting("One moment", "the model is being divided into parts ..."):
            page.await_answers(final=True)
            page.do(lambda s: s.propose())

    def _all(self, value: str) -> None:
        self.page.do(lambda s: s.keep_proposals() if value == KEEP_ALL else s.drop_proposals())

    def _set_mode(self, value: str) -> None:
        self.page.view.selecting = value == SELECTS
        self.page.refresh_panels()

    def clicked(self, face: int, key: str | None) -> bool:
        """A click on a face with a key held; whether it was one on a proposal, which is dealt with then."""
        page, session = self.page, self.page.session
        place = session.proposed_at(face)
        if place is None:
            return False
        if key == "shift":
            page.do(lambda s: s.split_proposal(place))
        elif key is not None:
            self._merge(place)
        elif page.view.selecting:
            page.do(lambda s: s.select_proposal(place))
        else:
            page.do(lambda s: s.keep_proposal(place))
        return True

    def _merge(self, place: int) -> None:
        """Mark a proposal, or merge it with the one that is marked."""
        page = self.page
        marked = page.view.marked_of(page.session.state.proposals)
        page.view.marked = None
        if marked is None and page.session.state.proposals is not None:
            page.view.marked = (page.session.state.proposals, place)
            page.refresh()
        elif marked is None or marked == place:
            page.refresh()
        else:
            page.do(lambda s: s.merge_proposals(marked, place))

    def refresh(self) -> None:
        """Make the controls say what the session says."""
        state, view = self.page.session.state, self.page.view
        there = state.proposals is not None
        assign(self.start, "label", "Propose parts anew (P)" if there else "Propose parts (P)")
        for control in (self.detail, self.mode, self.all):
            assign(control, "visible", there)
        if state.proposals is None:
            assign(self.note, "content", "")
            return
        assign(self.detail, "value", state.proposals.detail)
        busy, merging = state.clicks or state.touches, view.marked_of(state.proposals) is not None
        assign(self.note, "content", small(SELECTING if busy else MERGING if merging else NOTE))
