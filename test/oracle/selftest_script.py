"""Traces written by hand, for the self-test.

Owns: the script that builds a trace and walks it with the model and the comparisons, a reference that says what the
test wants, and the tests that come of a wrong script.
"""

import random
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace

import report
import rows
import schema
import selects
import shapes
from checks import ConnectionCheck
from clocks import FINE, LONG_AGO
from reference import Replay, Timeline
from state import Violation
from traces import Subscription, Trace
from whole import Examiner
from writers import Alterations

USER = schema.User("someone", 1, False)
QUERY = shapes.Query(shapes.Shape("test", "SELECT * FROM {items} WHERE total > $1"), ("1.25",), USER)
OTHER = shapes.Query(shapes.Shape("other", "SELECT id FROM {items} WHERE note = $1"), ("it's",), USER)
TENANTS = shapes.Query(shapes.Shape("tenants", "SELECT id FROM {wallets} WHERE tenant = $1", guarded="SELECT 1",
                                    tenant=lambda query: query.params[0]), ("1",), USER)
WHOLE = selects.Select("SELECT * FROM team JOIN task", (), USER, frozenset(["team", "task"]))
SUM = selects.Select("SELECT sum(amount) AS total FROM saving", (), USER, frozenset(["saving"]), balance=("saving", "total"))
CLOCK = selects.Select("SELECT id, now() AS clock FROM team", (), USER, frozenset(["team"]), refresh_every="1 s")
WINDOW = selects.Select("SELECT id FROM team WHERE until > now()", (), USER, frozenset(["team"]), refresh_every="1 s", shows_clock=False)
ALL = selects.Select("SELECT sum(amount) AS total FROM a", (), USER, frozenset(["saving"]), balance=("all", "total"))
LISTED = selects.Select("SELECT id, v FROM task ORDER BY v, id LIMIT 2", (), USER, frozenset(["task"]))
TABLES = schema.tables([USER])
WORLD = SimpleNamespace(tables=TABLES, write_log={})
OPTIONS = SimpleNamespace(seed=1)
TIME = "2026-11-21T22:45:01.500000+00:00"

INSERT = '{"op":"insert","key":[1],"row":{"id":1,"v":1.50}}'
UPDATE = '{"op":"update","key":[1],"row":{"id":1,"v":2},"old":{"v":1.50}}'
DELETE = '{"op":"delete","key":[1],"row":{"id":1,"v":2}}'
ONE, TWO = rows.row_from('{"id":1,"v":1.50}'), rows.row_from('{"id":1,"v":2}')
STEPS = [(0, {"[1]": ONE}), (1, {"[1]": TWO}), (2, {"[1]": None})]

refuted = set()  # what was said of the wrong scripts


class FakeReference:
    """Transactions 101, 102, ... at positions 1000, 2000, ..., all of which wrote to items, and given results."""

    def __init__(self, count, timelines):
        self.replay = Replay({})
        for n in range(count):
            self.replay.feed(("begin", 101 + n, 1000 * (n + 1), datetime.fromisoformat(TIME)))
            self.replay.current.changes.append(("insert", "items", None, {"id": str(n)}))
            self.replay.feed(("commit", 1000 * (n + 1) + 10))
        self.timelines = timelines

    def timeline(self, query):
        """As of the Reference."""
        return self.timelines[query]

    def recent(self, count):
        """As of the Reference."""
        return list(self.replay.by_xid.values())[-count:]


class FakePast:
    """Every transaction wrote to every table; results: (query, index of a transaction) -> Counter of rows."""

    start = -1

    def __init__(self, results):
        self.results = results
        self.committed = datetime.fromisoformat(TIME)  # each of them

    def felt(self, _, index):
        """As of the Past."""
        return index

    def committed_at(self, _):
        """As of the Past."""
        return self.committed

    def result(self, query, index, clock=None):
        """As of the Past."""
        return self.results.get((query, index, clock) if clock else (query, index), Counter())


class Script:
    """Builds a trace; its walk raises Violation, or not. select: what SELECT gives at the end, if it is compared."""

    def __init__(self, count=3, base=None, steps=(), other=(), keyed=True, select=None, failing=(), past=(),
                 delivery="notify", **rules):
        empty = {} if keyed else Counter()
        self.reference = FakeReference(count, {
            QUERY: Timeline(base or empty, list(steps)), OTHER: Timeline(empty, list(other)),
            TENANTS: Timeline(empty, [], list(failing))})
        self.trace = Trace("script", USER, delivery)
        self.examiner = Examiner(FakePast(dict(past)), random.Random(1), Counter())
        self.check = ConnectionCheck(self.trace, self.reference, Counter(), examiner=self.examiner, **rules)
        self.keyed = keyed
        self.select = select
        self.seq = 0
        self.positions = {}

    def subscribe(self, name="s", at=500, query=QUERY, snapshot=True, full=True, parted=False, commit=True, strategy="stream",
                  throttle=0, alarm=False):
        """Subscribes."""
        made = Subscription(name, query, self.keyed, full, snapshot, frozenset(["items"]), parted, "", strategy,
                            throttle=throttle, alarm=alarm)
        self.trace.add("subscribed", made, at)
        self.positions[made] = at
        if commit:
            self.trace.add("committed", made)
        return made

    def read(self, subscription, *pairs):
        """Reads the whole snapshot: pairs of key and row."""
        self.trace.add("rows", subscription, pairs)
        self.trace.add("read", subscription)
        self.trace.add("joined", subscription)
        self.seq = max(self.seq, self.positions[subscription])

    def call(self, subscription, before, after, at=None):
        """Makes a call."""
        self.trace.add(before, subscription)
        self.trace.add(after, subscription, at)

    def ask(self, subscription, query=OTHER, done=True):
        """Asks for other parameters; returns what takes the place of the subscription."""
        successor = replace(subscription, query=query)
        self.trace.add("asking", subscription, successor)
        if done:
            self.trace.add("asked", successor)
        return successor

    def message(self, **fields):
        """Receives a message with these fields, given as JSON; None leaves a field out."""
        fields = {"type": '"changes"', "subscription_id": '"s"', "seq": '"%016X"' % self.seq, **fields}
        text = "{%s}" % ",".join('"%s":%s' % (name, value) for name, value in fields.items() if value is not None)
        self.trace.add("message", None, rows.parse(text), text)

    def send(self, xid, /, *changes, name="s", more="false", **fields):
        """Receives changes, with the position of their transaction or what was shown before."""
        if xid in range(101, 101 + len(self.reference.replay.lsns)):
            self.seq = max(self.seq, 1000 * (xid - 100) + 10)
        self.message(**{"subscription_id": '"%s"' % name, "xid": xid, "committed_at": '"%s"' % TIME,
                        "changes": "[%s]" % ",".join(changes), "more": more, **fields})

    def reset(self, reason):
        """Receives a reset."""
        self.message(type='"reset"', reason=rows.text_of(reason))

    def terminate(self, code='"57014"', reason='"r"'):
        """Receives a termination."""
        self.message(type='"terminated"', code=code, reason=reason)

    def progress(self, seq, snapshot='"101:104:"', **fields):
        """Receives a message of progress."""
        self.message(type='"progress"', subscription_id=None, seq='"%016X"' % seq, snapshot=snapshot, **fields)

    def walk(self):
        """Walks the trace; returns the ConnectionCheck."""
        try:
            self.check.walk(self.trace.take())
            for self.check, violation in self.examiner.examine():
                raise violation
            if self.select is not None:
                self.check.quiet(lambda *_: self.select)
        except Violation as violation:
            self.report(violation)
            raise
        return self.check

    def next_interval(self, other):
        """What was recorded has been walked, and another interval begins, of which the reference says this."""
        self.reference.timelines = {QUERY: Timeline({}, []), OTHER: other}
        self.check.extend()

    def report(self, violation):
        """Returns the report of a violation, in which everything has to be that its reader needs."""
        text = report.difference(OPTIONS, WORLD, self.reference, self.check, violation)
        assert "DIFFERENCE  seed 1\n  %s\n" % violation in text, text
        assert "\nTransactions, in commit order" in text, text
        assert "\nEvents of the connection, of all its subscriptions:\n" in text, text
        watched = self.check.subject
        if watched:
            assert_told(text, watched.state.subscription.query)
            events = text[text.index("\nEvents of the subscription:\n"):text.index("\nEvents of the connection")]
            for event in watched.history:
                assert " %s " % event.kind in events, (event, text)
            assert ", throttle %s\n" % watched.state.subscription.throttle in text, text
            if getattr(watched.comparison, "failed", None):
                assert "; the last time that it was right: number " in text, text
        if self.check.xid is not None:
            assert "the transaction of the last message: %s\n" % self.check.xid in text, text
        return text


def altered(name, ago=0):
    """Returns the Alterations in which a table was altered just now, or some seconds ago."""
    made = Alterations()
    made.add(name, time.monotonic() - ago, time.monotonic() - ago)
    return made


def assert_told(text, query):
    """Asserts that a report tells a query."""
    assert "\n  query    %s\n" % query.subscribed_sql(TABLES) in text, text
    assert "\n  params   %s\n" % (query.params,) in text, text


def wrong(text, build, **options):
    """Returns a test: the trace that build makes is refused, with the text in the violation."""
    def test():
        script = Script(**options)
        build(script)
        try:
            script.walk()
        except Violation as violation:
            refuted.add(str(violation))
            assert text in str(violation), violation
            return
        raise AssertionError("accepted")
    test.__name__ = "refuses: %s" % text
    return test


def alarm_told(right, xid="null"):
    """Returns a builder: a query with an alarm is told a time, without a transaction or with that one, in a point that goes on with the
    second transaction. What it is told is right `right` steps later; the second transaction has committed one step later."""
    def build(script):
        told = LONG_AGO + (datetime.now(timezone.utc) - LONG_AGO) // FINE * FINE - 9 * FINE
        script.examiner.past.results[WINDOW, 1, told + right * FINE] = Counter([ONE])
        script.examiner.past.committed = told + 1.5 * FINE
        script.read(script.subscribe("o", query=OTHER))
        script.read(script.subscribe(query=WINDOW, strategy="delta", alarm=True))
        script.seq = 2010
        script.send(xid, INSERT, more="true", committed_at='"%s"' % told.isoformat())
        script.send(102, INSERT, name="o")
    return build


def flow(*messages, read=True, commit=True, full=True, snapshot=(), strategy="stream"):
    """Returns a builder: a subscription, then messages as (xid, change, ..., {field: JSON})."""
    def build(script):
        made = script.subscribe(commit=commit, full=full, strategy=strategy)
        if read:
            script.read(made, *snapshot)
        for message in messages:
            fields = message[-1] if isinstance(message[-1], dict) else {}
            script.send(*[part for part in message if not isinstance(part, dict)], **fields)
        script.trace.add("drained")
    return build
