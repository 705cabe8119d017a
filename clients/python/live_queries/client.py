"""What live queries and connections have in common, whichever shell does their input and output."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Mapping, Sequence

from .calls import Change, LiveQueryState
from .commands import Times
from .core import Core
from .errors import LiveQueryError
from .initial import plain_data
from .parameters import interval, texts_of_params
from .rows import Row
from .transport import Transport, check_lent

logger = logging.getLogger("live_queries")

Listener = Callable[[Change], None]


class BaseLiveQuery:
    """What is shown of a live query."""

    def __init__(self, state: LiveQueryState) -> None:
        self._state = state
        self._listeners: list[Listener] = []
        self._version = 0  # counts visible changes of the rows

    @property
    def rows(self) -> tuple[Row, ...]:
        """The result. The same object until it changes; its rows are not to be changed."""
        return self._state.rows.rows()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the rows, as JSON texts, in their order."""
        return self._state.rows.keys()

    @property
    def state(self) -> str:
        """connecting, live, stale, error or closed."""
        return self._state.state

    @property
    def error(self) -> LiveQueryError | None:
        """Why it is not live."""
        return self._state.error

    @property
    def seq(self) -> str | None:
        """The position that the rows show."""
        return self._state.seq

    @property
    def history(self) -> str | None:
        """The log that `seq` is a position of."""
        return self._state.history

    @property
    def columns(self) -> Sequence[Mapping[str, Any]]:
        return self._state.columns

    @property
    def strategy(self) -> str | None:
        return self._state.strategy

    @property
    def params(self) -> tuple[str | None, ...]:
        return self._state.params

    def data(self) -> dict[str, Any]:
        """The result as plain data, which json.dumps takes, and with which another client may begin (`initial`)."""
        return plain_data(self.rows, self.keys, self.seq, self.history)

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Calls that with each visible change from now on. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self, change: Change) -> None:
        if change.difference or (change.state == "live" and self._version == 0):
            self._version += 1
        for listener in list(self._listeners):
            try:
                listener(change)
            except Exception:  # the others are still to be told
                logger.exception("a listener of a live query has failed")


class BaseConnection:
    """The live queries of a core, by their states, and the core's way to the server."""

    def __init__(self, conninfo: Any, times: Times, batch: int, parameters: Mapping[str, Any]) -> None:
        text = conninfo if isinstance(conninfo, str) else ""
        pgconn = check_lent(conninfo) if not isinstance(conninfo, str) else None
        self._core = Core(times, now=time.monotonic(), batch=batch, lent=pgconn is not None)
        self._transport = Transport(self._core, text, dict(parameters), pgconn, time.monotonic)
        self._closing_time = min(times.answer, 2.0)
        self._queries: dict[LiveQueryState, Any] = {}  # those that are not over

    def _register(self, query: BaseLiveQuery, now: float) -> None:
        query._state.owner = query
        self._queries[query._state] = query
        self._core.tick(now)
        self._core.add(query._state)

    def _close_all(self) -> None:
        for state in list(self._queries):
            self._core.close(state)

    def _make(self, sql: str, params: Sequence[Any], throttle: Any, refresh_every: Any, initial: Mapping[str, Any] | None) -> Any:
        options = {"throttle": throttle, "refresh_every": refresh_every}
        texts = {name: interval(value) for name, value in options.items() if value is not None}
        state = LiveQueryState(sql, texts_of_params(params), texts)
        if initial is not None:
            state.begin_with(initial)
        return state

    def _tell_changes(self) -> list[Any]:
        """Tells the listeners, after all of a point has been applied. Returns the live queries that have changed."""
        changed: dict[Any, None] = {}
        for state, change in self._core.take_changes():
            query = state.owner
            changed[query] = None
            query._tell(change)
        return list(changed)

    def _forget_ended(self) -> None:
        self._queries = {state: query for state, query in self._queries.items() if not state.is_over}


def check_includes(state: LiveQueryState) -> None:
    if "throttle" in state.options:
        raise ValueError("a live query with a throttle does not tell which transactions are in it")


__all__ = ["BaseConnection", "BaseLiveQuery", "Listener", "Times", "check_includes"]
