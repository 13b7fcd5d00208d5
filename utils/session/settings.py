"""What a person sets about the selection and the parts, one undoable step each."""

from __future__ import annotations

from dataclasses import replace

from utils.session.log import Logged, operation
from utils.session.state import DEFAULT_GRANULARITY, MAX_RUNG, State, share, whole


class Settable(Logged):
    """The part of a session that sets things."""

    @operation(merge="granularity")
    def set_granularity(self, value: float) -> State | None:
        """0 the finest part under the clicks, 0.5 default, 1 the coarsest; instead of a rung."""
        value = share(value, "granularity")
        changed = value != self.state.granularity or self.state.rung
        return replace(self.state, granularity=value, rung=0) if changed else None

    @operation()
    def set_rung(self, rung: int) -> State | None:
        """So many steps from the default answer to a larger one, below 0 to a smaller one; instead of a granularity."""
        rung = whole(rung, -MAX_RUNG, MAX_RUNG, "a step")
        changed = rung != self.state.rung or self.state.granularity != DEFAULT_GRANULARITY
        return replace(self.state, rung=rung, granularity=DEFAULT_GRANULARITY) if changed else None

    @operation(merge="threshold")
    def set_threshold(self, value: float | None) -> State | None:
        """The probability to select from; None for Otsu's threshold."""
        value = None if value is None else share(value, "threshold")
        return replace(self.state, threshold=value) if value != self.state.threshold else None

    @operation()
    def set_exclusive(self, exclusive: bool) -> State | None:
        """Shall the clicks of other parts count as negative ones?"""
        return replace(self.state, exclusive=bool(exclusive)) if exclusive != self.state.exclusive else None

    @operation()
    def set_taking(self, taking: bool) -> State | None:
        """May what is selected take faces from kept parts? Locked parts keep theirs in any case."""
        return replace(self.state, taking=bool(taking)) if taking != self.state.taking else None

    @operation()
    def show_only_free(self, only_free: bool) -> State | None:
        """Show only what is in no part."""
        return replace(self.state, only_free=bool(only_free)) if only_free != self.state.only_free else None
