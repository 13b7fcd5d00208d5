"""The answers to the clicks from small to large, as a row of signs, one of which holds."""

from __future__ import annotations

from utils.viewer.controls import Actions, Panel, assign

BUTTON = "cursor:pointer;border:1px solid #2966db;border-radius:3px;padding:0;flex:none;"


class LadderPanel(Panel):
    """Shows which of how many answers is selected, and chooses another."""

    def __init__(self, page: Actions) -> None:
        super().__init__(page)
        self.row = self.gui.add_html("")

    def choose(self, rung: int) -> None:
        """Select the answer so many steps above the default one; says so where there is none."""
        page, before = self.page, self.page.session.selection
        if not any(click.positive for click in page.session.state.clicks):
            page.say("There is no click yet whose part could be smaller or larger: click first.", seconds=4)
        elif before.answer.rungs and rung not in before.answer.rungs:
            page.say(f"This is the {'largest' if rung > 0 else 'smallest'} answer to these clicks.", seconds=4)
        elif page.session.set_rung(rung):
            page.refresh()
            if (before.faces == page.session.selection.faces).all():
                page.say("The same faces as before. What answers sees nothing between here.", seconds=4)

    def refresh(self) -> None:
        """Show the row."""
        answer = self.page.session.selection.answer
        assign(self.row, "content", _row(answer.rung, answer.rungs, answer.quality))


def _row(rung: int, rungs: range, quality: float | None) -> str:
    signs, text = [], "Smaller [ &nbsp; ] larger: after a click"
    for place, each in enumerate(rungs):
        size = 0.55 + 0.65 * place / max(len(rungs) - 1, 1)
        fill = "#2966db" if each == rung else "transparent"
        what = "default" if each == 0 else "smaller" if each < 0 else "larger"
        signs.append(
            f"<button data-iseg-do='rung' data-iseg-part='{each}' title='{what}' "
            f"style='{BUTTON}width:{size:.2f}em;height:{size:.2f}em;background:{fill}'></button>"
        )
    if rungs:
        text = f"{rung - rungs.start + 1} of {len(rungs)}" + (" (default)" if rung == 0 else "")
        text += "" if quality is None else f" · match {100 * quality:.0f} %"
        signs = [_step("[", -1, rung), *signs, _step("]", 1, rung)]
    note = f"<span style='opacity:.75;white-space:nowrap' title='expected match with what is meant'>{text}</span>"
    style = "display:flex;align-items:center;gap:.35em;padding:.1em .9em;min-height:1.6em;font-size:.82em"
    return f"<div style='{style}'>{''.join(signs)}{note}</div>"


def _step(sign: str, by: int, rung: int) -> str:
    """The sign that goes to the next smaller or larger one."""
    title = "smaller (key [)" if by < 0 else "larger (key ])"
    style = "cursor:pointer;border:0;background:none;color:inherit;font:inherit;font-weight:700;padding:0 .2em"
    return f"<button data-iseg-do='rung' data-iseg-part='{rung + by}' title='{title}' style='{style}'>{sign}</button>"
