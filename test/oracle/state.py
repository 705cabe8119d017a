"""The model of a client: what its messages mean and which messages may come when.

Owns: the protocol of live_queries as its users read it. This file is the specification that the oracle holds
the extension to; every rule stands here as one `raise Violation`. What a message says about the *truth* (does
the state equal the query's result?) is for checks.py. Pure: no server, no thread.
"""

import re
from collections import Counter

import rows

SEQ = re.compile(r"[0-9A-F]{16}\Z", re.IGNORECASE)

FAILING = "22P02"  # what a query raises for a row that it cannot show: a text that is no number
FORBIDDEN = "42501"

MESSAGE_FIELDS = {
    "changes": {"type", "subscription_id", "seq", "xid", "committed_at", "changes", "more"},  # and "xids", of several
    "reset": {"type", "subscription_id", "seq", "reason"},
    "terminated": {"type", "subscription_id", "seq", "code", "reason"},
}
PROGRESS_FIELDS = {"type", "seq", "snapshot"}  # of a message that is about all subscriptions
SNAPSHOT = re.compile(r"(\d+):(\d+):([\d,]*)\Z")
CHANGE_FIELDS = {
    "insert": {"op", "key", "row"},
    "update": {"op", "key", "row", "old"},
    "delete": {"op", "key", "row"},
    "clear": {"op"},
}


def was_out_of_reach(connection, state):
    """Tells whether a table of the query may have been locked for long, by a writer or a migration."""
    return not state.subscription.tables.isdisjoint(connection.locked) or state.altered


# Why a subscription may be reset. What is not here (a decoder that was restarted, rows that were rewritten, messages
# that were damaged) does not come up: servers stay up in a run, and definitions stay as they are.
RESETS = {
    "too many messages were waiting for the client":
        lambda connection, _: connection.overflows,
    "too many changes while the subscription was paused or its snapshot unread":
        lambda connection, _: connection.overflows,
    "too many changes came between two messages of a throttled subscription":
        lambda connection, state: connection.overflows and state.subscription.throttle,
    # Where the log does not hold the old row, it is read from where a vacuum may have been.
    "a large value that an update left in place is gone already":
        lambda _, state: not state.subscription.full,
    "a part of the table was truncated":
        lambda _, state: state.subscription.parted,
    "a table of the query was truncated":
        lambda connection, state: connection.emptied(state),
    # So is also called what could not be checked: the decoder does not wait for long for a table that is locked.
    "the table, a view, a function or row security of the query has changed":
        was_out_of_reach,
    # By one migration after the other as well: the evaluator does not queue up for it.
    "a table of the query was locked for too long":
        was_out_of_reach,
    "the table was altered since these rows were written":
        lambda _, state: state.altered,
    "the table had another key or replica identity when these rows were changed":
        lambda _, state: state.altered,
    "all rows of the table were rewritten":
        lambda _, state: state.altered,
    # Or truncated by a transaction whose changes are still to come.
    "all rows of a table of the query were rewritten":
        lambda connection, state: connection.emptied(state) or state.altered,
    # On a machine that is slow enough, at any time.
    "others would wait too long for the query to be evaluated":
        lambda _, state: True,
    "a reset came in a transaction that was rolled back":
        lambda _, state: state.in_vain,
}


class Violation(Exception):
    """A rule that was broken."""


def require(condition, text, *values):
    """Raises a Violation with the text unless the condition holds."""
    if not condition:
        raise Violation(text % tuple(rows.shorten(value, 400) for value in values))


class KeyedResult:
    """Rows by key. complete is False where the first result was not asked for: then it holds what is known."""

    moves = False  # a row may be told because it stands elsewhere

    alike = re.compile("null$")  # what different values may both look like as JSON: SQL's NULL and a json null

    def __init__(self, complete=True, full=True):
        self.rows = {}          # key -> row
        self.absent = set()     # keys known to have no row, where the result is not complete
        self.complete = complete
        self.full = full        # replica identity FULL: former values are known

    def as_bag(self):
        """Returns how often each row is there."""
        return Counter(self.rows.values())

    def value(self, key):
        """Returns the row of a key, None for none."""
        return self.rows.get(key)

    def knows(self, key):
        """Tells whether the result says anything about a key."""
        return self.complete or key in self.rows or key in self.absent

    def keys(self):
        """Returns all keys that have a row."""
        return list(self.rows)

    def load(self, key, row):
        """Takes a row of the first result."""
        require(key is not None and key != "null", "a row of the snapshot has no key: %s", row)
        require(key not in self.rows, "the snapshot has the key %s twice", key)
        self.rows[key] = row

    def apply(self, change):
        """Applies one change; returns the keys that it touched."""
        op = change["op"]
        if op == "clear":
            touched = self.keys() + list(self.absent)
            self.rows, self.absent, self.complete = {}, set(), True
            return touched
        key = rows.text_of(change["key"])
        self._check_key(change["key"])
        row = rows.row_of(change["row"])
        before = self.rows.get(key)
        if op == "insert":
            require(before is None, "insert of the key %s, which is there: %s", key, before)
            self.rows[key] = row
        elif op == "update":
            require(before is not None or not self.knows(key), "update of the key %s, which is not there", key)
            if before is not None:
                self._check_update(key, before, row, change.get("old"))
            self.rows[key] = row
        else:
            require(before is not None or not self.knows(key), "delete of the key %s, which is not there", key)
            if before is not None:
                self._check_delete(key, before, row)
                del self.rows[key]
        if not self.complete:
            (self.absent.add if op == "delete" else self.absent.discard)(key)
        return [key]

    @staticmethod
    def _check_key(key):
        require(isinstance(key, list) and key, "a key has to be an array: %s", rows.text_of(key))

    def _check_update(self, key, before, row, old):
        require([c for c, _ in before] == [c for c, _ in row], "update of %s has other columns: %s", key, row)
        changed = {column: text for (column, text), (_, new) in zip(before, row) if text != new}
        if old is None:
            require(not self.full, "update of %s without \"old\"", key)
            return
        told = dict(rows.row_of(old))
        alike = {column for (column, text), (_, new) in zip(before, row) if text == new == told.get(column) and self.alike.match(text)}
        seen = {column: text for column, text in told.items() if column not in alike}
        require(seen == changed, "update of %s tells the old values %s, but they were %s", key, told, changed)
        require(told or self.moves or not self.full, "update of %s changes nothing", key)

    def _check_delete(self, key, before, row):
        if self.full:
            require(row == before, "delete of %s tells the row %s, but it was %s", key, row, before)
            return
        known = dict(before)
        for column, text in row:
            require(text in ("null", known.get(column)), "delete of %s tells %s = %s, but it was %s",
                    key, column, text, known.get(column))


class WholeResult(KeyedResult):
    """Rows of any query. A key that is the whole row may be there several times."""

    def __init__(self, full):
        super().__init__(full=full)
        self.copies = Counter()  # key -> how often it is there beside the first time

    def as_bag(self):
        bag = super().as_bag()
        for key, count in (+self.copies).items():
            bag[self.rows[key]] += count
        return bag

    def load(self, key, row):
        if key in self.rows and is_whole_row(rows.parse(key), row):
            self.copies[key] += 1
        else:
            super().load(key, row)

    def apply(self, change):
        if change["op"] == "clear":
            self.copies = Counter()
            return super().apply(change)
        key, row = rows.text_of(change["key"]), rows.row_of(change["row"])
        if change["op"] == "insert" and key in self.rows and is_whole_row(change["key"], row):
            self.copies[key] += 1
            return [key]
        if self.copies[key]:
            require(change["op"] == "delete" and row == self.rows[key], "of the key %s are several, and %s is not to delete one",
                    key, change["op"])
            self.copies[key] -= 1
            return [key]
        return super().apply(change)

    @staticmethod
    def _check_key(key):
        require(isinstance(key, (list, dict)), "a key has to be an array or a row: %s", rows.text_of(key))


class ListResult(WholeResult):
    """Rows of a query with ORDER BY and LIMIT, in their order."""

    moves = True

    def __init__(self, full):
        super().__init__(full)
        self.list = []  # (key, row)

    def load(self, key, row):
        super().load(key, row)
        self.list.append((key, row))

    def place(self, changes):
        """Does what a message says of the list, as the README tells clients to: takes out what is deleted or updated, of
        equal rows the first, and puts in the rest by position."""
        for change in changes:
            if change["op"] in ("delete", "update"):
                key = rows.text_of(change["key"])
                del self.list[[one for one, _ in self.list].index(key)]
        come = [change for change in changes if change["op"] in ("insert", "update")]
        for change in sorted(come, key=lambda one: int(one["position"])):
            at = int(change["position"])
            require(0 <= at <= len(self.list), "position %s in a list of %s", at, len(self.list))
            self.list.insert(at, (rows.text_of(change["key"]), rows.row_of(change["row"])))

    def order(self):
        """Returns the rows in their order."""
        return [row for _, row in self.list]


class BagResult:
    """Rows without a key: how often each is there."""

    complete = True
    full = True

    def __init__(self):
        self.rows = Counter()

    def as_bag(self):
        """Returns how often each row is there."""
        return self.rows

    def value(self, row):
        """Returns how often a row is there."""
        return self.rows[row] if row in self.rows else 0

    def knows(self, _):
        """Tells whether the result says anything about a row."""
        return True

    def keys(self):
        """Returns all distinct rows."""
        return list(self.rows)

    def load(self, key, row):
        """Takes a row of the first result."""
        check_bag_key(key and rows.parse(key), row)
        self.rows[row] += 1

    def apply(self, change):
        """Applies one change; returns the rows that it touched."""
        op = change["op"]
        if op == "clear":
            touched = self.keys()
            self.rows = Counter()
            return touched
        row = rows.row_of(change["row"])
        check_bag_key(change["key"], row)
        require(op != "update", "an update in a result without a key: %s", row)
        if op == "insert":
            self.rows[row] += 1
        else:
            require(self.value(row) > 0, "delete of a row that is not there: %s", row)
            self.rows[row] -= 1
            if not self.rows[row]:
                del self.rows[row]
        return [row]


def check_bag_key(key, row):
    """The key of a row in a bag is the whole row."""
    require(is_whole_row(key, row), "the key %s is not the row %s", key, row)


def is_whole_row(key, row):
    """Tells whether a key is a row: its values in an array, or the row itself."""
    if isinstance(key, list):
        return [rows.text_of(v) for v in key] == [text for _, text in row]
    return isinstance(key, dict) and rows.row_of(key) == row


def check_net(changes):
    """What is told of two moments, and not of each change in between: of each key only how it differs."""
    keys = {op: [rows.text_of(change["key"]) for change in changes if change.get("op") == op] for op in ("insert", "update", "delete")}
    # Equal rows of a list come anew where one of them has moved.
    placed = any("position" in change for change in changes)
    twice = set() if placed else set(keys["insert"]) & set(keys["delete"])
    require(not twice, "the key %s is deleted and inserted in one message", sorted(twice))
    again = [key for key in keys["update"] if key in keys["insert"] + keys["delete"] or keys["update"].count(key) > 1]
    require(not again, "the key %s is updated, and told of once more", again)


class SubscriptionState:
    """One subscription as its client sees it."""

    def __init__(self, subscription):
        self.subscription = subscription
        self.committed = False   # the subscribing transaction
        self.unread = subscription.snapshot
        self.paused = False
        self.changing = False    # a call that stops its messages is under way
        self.broken = False      # a reset came; to be refreshed
        self.killed = False      # by the oracle
        self.in_vain = False     # it was to leave, at least in a transaction that was rolled back
        self.over = False
        self.altered = False     # a table's definition was changed since the snapshot, as far as is known
        self.failing = False     # its query fails for a row of its own
        self.changes = 0
        self.asked = None        # the Subscription with other parameters that is to take the place of this one
        self.differs = False     # what leads from the one result to the other is being told, perhaps in parts
        self.result = None
        self.forget(complete=subscription.snapshot)

    def forget(self, complete=True):
        """Starts from an empty result."""
        if self.subscription.query.whole and self.subscription.query.ordered:
            self.result = ListResult(self.subscription.full)
        elif self.subscription.query.whole:
            self.result = WholeResult(self.subscription.full)
        elif self.subscription.keyed:
            self.result = KeyedResult(complete, self.subscription.full)
        else:
            self.result = BagResult()

    def flowing(self):
        """Tells whether the client's result is meant to be up to date."""
        return self.committed and not (self.unread or self.paused or self.changing or self.broken or self.over)

    def become(self, subscription):
        """Goes on with other parameters."""
        self.subscription, self.asked = subscription, None
        self.result.full = subscription.full

    def leads_over(self, message):
        """Tells whether a message of changes is, or may be, the difference between the results of two parameters."""
        return message["xid"] is None and "xids" not in message and (
            self.asked is not None or self.differs)

    def apply(self, message):
        """Applies a message of changes; returns the keys that it touched."""
        touched = []
        require(message["changes"], "a message of no changes")
        if self.subscription.strategy != "stream":
            check_net(message["changes"])
        for change in message["changes"]:
            op = change.get("op")
            require(op in CHANGE_FIELDS, "no operation: %s", op)
            fields = set(change)
            if isinstance(self.result, ListResult) and op in ("insert", "update"):
                require("position" in fields and rows.is_whole(change["position"]), "%s of a list without a position", op)
                fields.remove("position")
            require(fields == CHANGE_FIELDS[op] or (not self.result.full and fields == CHANGE_FIELDS[op] - {"old"}),
                    "%s has the fields %s", op, sorted(fields))
            touched.extend(self.result.apply(change))
            self.changes += 1
        if isinstance(self.result, ListResult):
            self.result.place(message["changes"])
        return touched


class Received:
    """What a message did: to which subscription, what it touched, and which subscriptions a point closed."""

    def __init__(self, state=None, touched=(), xid=None, closed=None):
        self.state = state
        self.touched = touched
        self.xid = xid
        self.closed = closed  # None: more of this point follows


class ConnectionState:
    """One connection: its subscriptions and the order of its messages.

    per_subscription: check the order of seq in each subscription alone, not over the connection.
    overflows: there may be too little room for the messages of a connection.
    locked: the names of the tables that a writer has kept locked for long.
    truncated: the names of the tables that a writer has truncated, or tried to.
    polled: its messages are polled, maybe some of a point at a time.
    """

    def __init__(self, per_subscription=False, overflows=False, locked=(), truncated=(), polled=False):
        self.subscriptions = {}  # id -> SubscriptionState
        self.per_subscription = per_subscription
        self.overflows = overflows
        self.polled = polled
        self.locked = locked
        self.truncated = truncated
        self.last_seq = {}       # subscription id or None -> seq
        self.open_seq = None     # of a point that announced more
        self.open_xid = None     # of the transaction that was told last in it
        self.open_states = []    # subscriptions that received a part of it
        self.loose = False       # a call may have taken away what was announced
        self.grown = False       # another subscription shows its first result, or was resumed: the point is later
        self.ended = False       # with a termination, the point may be over
        self.closed = False

    def add(self, subscription):
        """Takes a new subscription into account."""
        known = self.subscriptions.get(subscription.id)
        require(known is None or known.over, "the id %s was given twice", subscription.id)
        state = SubscriptionState(subscription)
        self.subscriptions[subscription.id] = state
        return state

    def disturb(self, state):
        """Notes that a call of the client takes the following messages of a subscription away."""
        self.loose = self.open_seq is not None
        if state in self.open_states:
            self.open_states.remove(state)

    def emptied(self, state):
        """Tells whether a table was truncated that a subscription does not follow row by row."""
        return state.subscription.strategy != "stream" and not state.subscription.tables.isdisjoint(self.truncated)

    def grow(self):
        """Notes that a subscription shows a point of its own from now on, which those of the others come to."""
        self.grown = True

    def gathers(self):
        """Tells whether the point may be later because of one with a throttle: of which some waits to be polled, and more came."""
        return self.polled and any(one.subscription.throttle and not (one.paused or one.unread or one.over or one.broken)
                                   for one in self.subscriptions.values())

    def receive(self, message):
        """Checks a message and applies it; returns a Received."""
        kind = message.get("type")
        require(kind in MESSAGE_FIELDS, "a message of type %s", kind)
        fields = set(message) - ({"xids"} if kind == "changes" else set())
        require(fields == MESSAGE_FIELDS[kind], "%s has the fields %s", kind, sorted(message))
        name = message["subscription_id"]
        require(name in self.subscriptions, "a message for %s, which is no subscription of this connection", name)
        state = self.subscriptions[name]
        require(not state.over, "a message for %s, which is over", name)
        self._check_seq(name, message["seq"])
        require(state.committed, "a message for %s before its transaction committed", name)
        if kind == "terminated":
            return self._terminated(state, message)
        require(not state.paused, "a message for %s while paused", name)
        if kind == "reset":
            return self._reset(state, message)
        require(not state.unread, "changes for %s before its snapshot was read", name)
        return self._changes(state, message)

    def progress(self, message):
        """Checks a message that all has been told up to its seq; returns a function that tells which transactions are
        in its snapshot."""
        require(set(message) == PROGRESS_FIELDS, "progress has the fields %s", sorted(message))
        self._check_seq("progress", message["seq"])
        require(self.open_seq is None or self.loose, "progress within the point %s, which announced more", self.open_seq)
        found = isinstance(message["snapshot"], str) and SNAPSHOT.match(message["snapshot"])
        require(found, "no snapshot: %s", message["snapshot"])
        lowest, next_one = int(found[1]), int(found[2])
        running = {int(xid) for xid in found[3].split(",") if xid}
        return lambda xid: xid < lowest or (xid < next_one and xid not in running)

    def drained(self):
        """The client waited until everything was delivered."""
        require(self.open_seq is None or self.loose, "the point %s announced more, which never came", self.open_seq)
        for name, state in self.subscriptions.items():
            require(state.over or not state.killed, "%s was killed, but its client was not told", name)

    def _check_seq(self, name, seq):
        require(isinstance(seq, str) and SEQ.match(seq), "seq is not 16 hexadecimal digits: %s", seq)
        scope = name if self.per_subscription else None
        last = self.last_seq.get(scope, "")
        require(seq >= last, "seq went back from %s to %s", last, seq)
        self.last_seq[scope] = seq

    def _reset(self, state, message):
        name, reason = state.subscription.id, message["reason"]
        require(not state.unread, "a reset of %s before its snapshot was read", name)
        require(not state.broken, "a second reset of %s, which was not refreshed after the first", name)
        possible = RESETS.get(reason) if isinstance(reason, str) else None
        require(possible and possible(self, state), "a reset of %s for what cannot have happened: %s", name, reason)
        state.broken = True
        self._close()
        return Received(state)

    def _terminated(self, state, message):
        require(isinstance(message["code"], str) and len(message["code"]) == 5, "no SQLSTATE: %s", message["code"])
        require(state.killed or (state.failing and message["code"] == FAILING)
                or (state.altered and state.subscription.endangered and message["code"] == FORBIDDEN),
                "%s was terminated, and not by the oracle: %s %s", state.subscription.id, message["code"],
                message["reason"])
        state.over = self.ended = True
        self.disturb(state)
        return Received(state)

    def _changes(self, state, message):
        xid, more = message["xid"], message["more"]
        difference = state.leads_over(message)
        if (xid is None or "xids" in message) and not difference:
            require(state.subscription.strategy != "stream" or state.subscription.throttle,
                    "a message of several transactions for %s, which is a stream", state.subscription.id)
            xids = message.get("xids", [])
            require(isinstance(xids, list) and all(map(rows.is_whole, xids)), "xids are no numbers: %s", xids)
        if xid is not None:
            require(rows.is_whole(xid), "xid is not a number: %s", xid)
            xid = int(xid)
        require(more in (True, False), "more is neither true nor false: %s", more)
        if self.open_seq is not None and self.open_seq != message["seq"]:
            later = self.grown or self.gathers()
            require(self.loose or later, "the point %s announced more, but %s came", self.open_seq, message["seq"])
            self.open_states = self.open_states if later and not self.ended else []
        self.grown = self.ended = False
        # A kill, or an error of its own, takes effect at any time until it is told: what was announced of its
        # subscription may still go.
        self.loose = any((one.killed or one.failing) and not one.over for one in self.subscriptions.values())
        self.open_seq, self.open_xid = message["seq"], xid
        if state not in self.open_states:
            self.open_states.append(state)
        touched = [] if state.broken else state.apply(message)
        told = [rows.text_of(change["key"]) for change in message["changes"] if change["op"] != "clear"]
        require(not state.subscription.throttle or not state.subscription.keyed or state.subscription.query.whole
                or len(set(told)) == len(told), "a message of %s, which is throttled, changes a key twice: %s",
                state.subscription.id, told)
        state.differs = difference
        if more:
            return Received(state, touched, xid)
        return Received(state, touched, xid, self._close())

    def _close(self):
        closed, self.open_seq, self.open_xid, self.open_states = self.open_states, None, None, []
        for state in closed:
            state.differs = False
        return closed
