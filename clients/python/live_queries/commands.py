"""What a core asks of the server, what it is answered, and the times that it goes by. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Sequence, Tuple, Union

from .calls import LiveQueryState

NEVER = float("inf")


@dataclass(frozen=True)
class Times:
    """In seconds; or in whatever the owner of a core counts in."""

    heartbeat: float = 15.0
    answer: float = 10.0
    long_answer: float = 120.0
    first_wait: float = 1.0
    longest_wait: float = 30.0
    calm: float = 10.0


@dataclass(frozen=True)
class Command:
    """What is on its way to the server. `disconnect` has no answer, but is answered when it is done."""

    kind: str
    query: LiveQueryState | None = None
    params: tuple[str | None, ...] = ()
    queries: tuple[LiveQueryState, ...] = ()  # of `subscribe_many`: each with its `accepted_params`


LONG = ("subscribe", "subscribe_many", "snapshot", "refresh", "set_params", "wait_for")


@dataclass
class Waits:
    """How long before something is tried again, so that many clients do not come at one moment."""

    times: Times
    random: Callable[[], float]
    tries: int = 0

    def next(self) -> float:
        most = min(self.times.longest_wait, self.times.first_wait * 2**self.tries)
        self.tries = min(self.tries + 1, 60)
        return float(self.random() * most)


@dataclass
class Subscribed:
    """The answer to `subscribe`."""

    strategy: str
    seq: str
    history: str
    columns: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass
class WaitedFor:
    """The answer to `wait_for`."""

    snapshot: str
    told: bool


SnapshotBatch = Sequence[Tuple[str, Any]]  # the key as JSON text, the row parsed
Answer = Union[Subscribed, Sequence[Subscribed], WaitedFor, SnapshotBatch, None]
