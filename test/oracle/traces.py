"""What a client did and what it received, in order.

Owns: the record that subscribers.py writes and checks.py reads. A trace belongs to one connection; its thread
appends to it, and the conductor takes it while that thread is parked. Nothing is judged here.
"""

import time
from dataclasses import dataclass, field

START = time.monotonic()


@dataclass(eq=False)
class Subscription:
    """One subscription, as its client made it. The flags are the client's own, to know what it may do next."""

    id: str
    query: object          # shapes.Query
    keyed: bool
    full: bool             # replica identity FULL
    snapshot: bool
    tables: frozenset      # the names of the tables below the query
    parted: bool           # one of them has several leaves, of which one may be truncated
    live_id: str = ""
    strategy: str = ""
    unread: bool = True
    paused: bool = False
    broken: bool = False
    over: bool = False
    killed: bool = False
    throttle: float = 0       # seconds between two of its messages, at least
    endangered: bool = False  # it may end without a call of the oracle's
    alarm: bool = False       # it asks the clock, and its rows leave by an alarm


@dataclass
class Event:
    """One thing that happened on a connection.

    kind                 data
    subscribed           WAL position    of its first result
    committed, forgotten -               the subscribing transaction's end
    rows, read           [(key, row)], - a batch of the snapshot; its end
    joined               -               from here on it shows the point that messages of the others tell
    pausing, paused      -               before and after the call; so are all below
    resuming, resumed    -
    refreshing, refreshed -, WAL position before the snapshot
    asking               Subscription    before its parameters change, in its place from then on
    asked, refused       -               from here on the change is true; it failed
    leaving, left        -
    stayed               -               after "leaving", or another call, that was rolled back
    killing              -
    message              the parsed message
    drained              -               everything committed has been delivered
    closed               -
    note                 a text for the reader of a report
    """

    at: float
    kind: str
    subscription: Subscription
    data: object
    raw: str = ""


@dataclass(eq=False)
class Trace:
    """The events of one connection since they were last taken."""

    name: str
    user: object
    delivery: str
    events: list = field(default_factory=list)
    running: str = ""  # the last statement

    def add(self, kind, subscription=None, data=None, raw=""):
        """Appends an event."""
        self.events.append(Event(time.monotonic() - START, kind, subscription, data, raw))

    def take(self):
        """Returns the events and starts anew; the trace's thread has to be parked or gone."""
        taken, self.events = self.events, []
        return taken
