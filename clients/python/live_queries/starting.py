"""Which live queries a core begins, or asks something of, next. Pure."""

from __future__ import annotations

from typing import Sequence

from .calls import LiveQueryState, Phase
from .commands import Command


def start_something(queries: Sequence[LiveQueryState], many: int) -> Command | None:
    """What is to be sent next for one of these that waits for it, and notes that it is on its way. `many` begin at once, at most."""
    for query in queries:
        if query.phase is Phase.LIVE and query.param_calls:
            query.sent_calls, query.param_calls = query.param_calls, []
            query.sent_params = query.params
            return Command("set_params", query, query.params)
    beginning = _next_to_begin(queries, many)
    for query in beginning:
        query.phase = Phase.SUBSCRIBING
        query.accepted_params = query.params
    if len(beginning) > 1:
        for query in beginning:
            query.alone = True  # until it has been answered: what fails is not done again
        return Command("subscribe_many", queries=beginning)
    if beginning:
        return Command("subscribe", beginning[0], beginning[0].params)
    for query in queries:
        if query.phase is Phase.TO_REFRESH:
            query.phase = Phase.REFRESHING
            return Command("refresh", query)
    return None


def _next_to_begin(queries: Sequence[LiveQueryState], many: int) -> tuple[LiveQueryState, ...]:
    """The first that waits, with others unless it is to begin alone."""
    waiting = [query for query in queries if query.phase is Phase.NEW]
    if waiting and waiting[0].alone:
        return (waiting[0],)
    return tuple([query for query in waiting if not query.alone][:many])
