"""Traces that are wrong, each in one way, and the rule that has to say so.

Owns: a case for every rule in state.py and checks.py, and the check that none is without.
"""

# pylint: disable=missing-function-docstring
import ast
import os
import re
from collections import Counter
from datetime import datetime, timedelta, timezone

import rows
from selftest_script import (ALL, CLOCK, DELETE, INSERT, LISTED, ONE, OTHER, STEPS, SUM, TENANTS, TIME, TWO, UPDATE, WHOLE, WINDOW, alarm_told, altered, flow,
                             refuted, wrong)
from selftest_traces import ALTERED, CHANGED, EMPTIED, GONE, LOCKED, RESTARTED, ROLLED_BACK, TOO_MANY, TOO_MANY_HELD, TRUNCATED

LATER = TIME.replace("45:01.5", "45:02.5")
OLD = ',"old":{"v":1.50}'
SAME = '{"op":"update","key":[1],"row":{"id":1,"v":1.50},"old":{}}'
AFTER_ONE = {"steps": STEPS[:1]}
BAG = {"keyed": False, "base": Counter({rows.row_from('{"a":1}'): 1})}
BAG_INSERT = '{"op":"insert","key":[1],"row":{"a":1}}'
BAG_DELETE = '{"op":"delete","key":[2],"row":{"a":2}}'


def paused(script):
    made = script.subscribe()
    script.read(made)
    script.call(made, "pausing", "paused", 500)
    script.send(101, INSERT)


def silent(script):
    """The second subscription is told of a later transaction, the first of none."""
    script.read(script.subscribe())
    script.read(script.subscribe("o", query=OTHER))
    script.send(102, INSERT, name="o")


def silent_whole(script):
    """A stream is told of a later transaction, and the query of several tables only of the first."""
    script.read(script.subscribe(query=WHOLE, strategy="delta"))
    script.read(script.subscribe("o", query=OTHER))
    script.send(101, INSERT)
    script.send(102, INSERT, name="o")


def unknown(*messages, strategy):
    """Returns a builder: a subscription without a first result, then messages."""
    def build(script):
        script.subscribe(snapshot=False, strategy=strategy)
        for message in messages:
            script.send(*message)
    return build


def reset_late(script):
    """What was wrong at a boundary is no more compared when the report is written."""
    script.read(script.subscribe(query=WHOLE, strategy="delta"))
    script.send(101, INSERT)
    script.reset("a table of the query was truncated")


def throttled_apart(script):
    """Of two with one throttle, one is told of a transaction that concerns the other as well."""
    script.read(script.subscribe(throttle=1))
    script.read(script.subscribe("t", throttle=1))
    script.send(101, INSERT)


def throttled_beside(script):
    """What is told of another one shows no point of those that are not throttled."""
    script.read(script.subscribe("o", query=OTHER))
    script.read(script.subscribe(throttle=1))
    script.send(101, INSERT)


def throttled_later(script):
    """Notifications of a point all have its position."""
    script.read(script.subscribe(throttle=1))
    script.send(101, INSERT, more="true")
    script.send(102, UPDATE)


def throttled_twice(script):
    script.read(script.subscribe(throttle=1))
    script.send(102, INSERT, UPDATE, xid="null", xids="[101,102]")


def asked_and_silent(script):
    """Other parameters, and no difference is told."""
    made = script.subscribe()
    script.read(made)
    script.ask(made)
    script.send(102, INSERT.replace("[1]", "[2]"))


def asked_and_told(*changes):
    """Returns a builder: other parameters, and what is told of them."""
    def build(script):
        made = script.subscribe()
        script.read(made)
        script.send(101, INSERT)
        script.ask(made)
        script.send("null", *changes)
    return build


def late(script):
    """The second subscription's message says that the first is up to date, and then comes an older one for it."""
    silent(script)
    script.send(101, INSERT)


def ahead(script):
    """A first result shows two transactions, and the first message for the other subscription says that it is all."""
    script.read(script.subscribe())
    script.read(script.subscribe("o", at=2500, query=OTHER), ("[1]", '{"id":1,"v":2}'))
    script.send(101, INSERT)


def id_twice(script):
    script.subscribe()
    script.subscribe()


def progress(seq, snapshot='"101:102:"', before="false", **fields):
    def build(script):
        script.read(script.subscribe())
        script.send(101, INSERT, more=before)
        script.progress(seq, snapshot, **fields)
    return build


def killed(script):
    script.trace.add("killing", script.subscribe())
    script.trace.add("drained")


def terminated(script):
    script.subscribe()
    script.terminate()


def failing(code, reason):
    """Returns a builder: a query of tenant 1 is terminated."""
    def build(script):
        script.subscribe(query=TENANTS)
        script.terminate(code, reason)
    return build


def terminated_without_a_code(script):
    script.trace.add("killing", script.subscribe())
    script.terminate(code='"?"')


def over(script):
    made = script.subscribe()
    script.read(made)
    script.trace.add("killing", made)
    script.terminate()
    script.send(101, INSERT)


def reset(*reasons, read=True, taken_back=False, **subscribed):
    """Returns a builder: a subscription, then resets."""
    def build(script):
        made = script.subscribe(**subscribed)
        if read:
            script.read(made)
        if taken_back:
            script.call(made, "leaving", "stayed", 500)
        for reason in reasons:
            script.reset(reason)
    return build


def whole(*messages, snapshot=(), query=WHOLE, other=None):
    """Returns a builder: a query of several tables, and messages as (xid, change, ..., {field: JSON}). other: the rows of
    a second live query of accounts, and which."""
    def build(script):
        script.read(script.subscribe(query=query, strategy="delta"), *snapshot)
        if other:
            script.read(script.subscribe("o", query=other[0], strategy="delta"), *other[1:])
        for message in messages:
            script.send(*message[:-1], **message[-1])
        script.trace.add("drained")
    return build


def listed(*order):
    """Returns the result of a list."""
    result = Counter(order)
    result.order = list(order)
    return result


def clocks(*given, snapshot=(), **options):
    """Returns a builder: a query that asks the clock, and messages that insert a row, as (committed_at, what it shows)."""
    def insert(number, clock):
        return '{"op":"insert","key":[%d],"row":{"id":%d,"clock":"%s"}}' % (number, number, clock)
    return whole(*[(101 + n, insert(n + 1, clock), {"committed_at": '"%s"' % told}) for n, (told, clock) in enumerate(given)],
                 query=CLOCK, snapshot=[("[%d]" % (9 - n), '{"id":%d,"clock":"%s"}' % (9 - n, clock)) for n, clock in enumerate(snapshot)],
                 **options)


def clock_told(script):
    script.read(script.subscribe(query=CLOCK, strategy="delta"))
    script.send(101, '{"op":"insert","key":[1],"row":{"id":1,"clock":"%s"}}' % TIME)


def clock_emptied(script):
    """A row has gone that is there at any time."""
    told = datetime.now(timezone.utc)
    row = '{"id":1,"clock":"%s"}' % told.isoformat()
    script.examiner.past.results = {(CLOCK, 0, told + n * timedelta(seconds=1)): Counter([rows.row_from(row)]) for n in range(100)}
    script.read(script.subscribe(query=CLOCK, strategy="delta"), ("[1]", row))
    script.send(101, '{"op":"delete","key":[1],"row":%s}' % row, committed_at='"%s"' % told.isoformat())


def clocks_back(script):
    """What was shown first has left."""
    script.read(script.subscribe(query=CLOCK, strategy="delta"))
    script.send(101, '{"op":"insert","key":[1],"row":{"id":1,"clock":"%s"}}' % LATER, committed_at='"%s"' % LATER)
    script.send(102, '{"op":"update","key":[1],"row":{"id":1,"clock":"%s"},"old":{"clock":"%s"}}' % (TIME, LATER))


def window_beside_clock(script, alarm=False):
    """A row is to leave with the time, which another query tells."""
    first, second = (datetime.now(timezone.utc) + timedelta(seconds=ago) for ago in (-2, -1))
    row = '{"id":1,"clock":"%s"}'
    script.read(script.subscribe("c", query=CLOCK, strategy="delta"), ("[1]", row % first.isoformat()))
    script.read(script.subscribe(query=WINDOW, strategy="delta", alarm=alarm), ("[1]", '{"id":1}'))
    script.examiner.past.results = {(CLOCK, n, at): Counter([rows.row_from(row % at.isoformat())]) for n in range(3) for at in (first, second)}
    script.examiner.past.results.update({(WINDOW, n, first): Counter([rows.row_from('{"id":1}')]) for n in range(3)})
    script.send(101, '{"op":"update","key":[1],"row":%s,"old":{"clock":"%s"}}' % (row % second.isoformat(), first.isoformat()), name="c",
                committed_at='"%s"' % second.isoformat())


def alarm_beside_clock(script):
    """The same at an alarm."""
    window_beside_clock(script, alarm=True)


def alarm_is_ahead(script):
    """An alarm has told a later time than the other one's steps have come to."""
    clock_is_behind(script, alarm=True)


def clock_is_behind(script, alarm=False):
    """What shows the time shows an earlier one than a message has told."""
    row = '{"id":1,"clock":"%s"}'
    script.read(script.subscribe("c", query=CLOCK, strategy="delta"), ("[1]", row % TIME))
    script.read(script.subscribe(query=WINDOW, strategy="delta", alarm=alarm), ("[1]", '{"id":1}'))
    script.send(101, '{"op":"delete","key":[1],"row":{"id":1}}', committed_at='"%s"' % LATER)


def clocks_differ(script):
    """Two queries that show the time, of the same steps."""
    for name, at in (("s", TIME), ("t", LATER)):
        script.read(script.subscribe(name, query=CLOCK, strategy="delta"), ("[1]", '{"id":1,"clock":"%s"}' % at))
    script.progress(1500, '"101:102:"')


def total(amount):
    """Returns a row of a first result: the sum of accounts."""
    return "[]", '{"total":%d}' % amount


def changes(*fields):
    """Returns a builder: one message with an insert, of which some fields are other JSON, None for none."""
    return flow((101, INSERT, dict(fields)))


RESULTS = [
    wrong("after transaction 101 the result differs", flow((101, INSERT.replace("1.50", "1.5"))), steps=STEPS),
    wrong("after transaction 102 the result differs", flow((101, INSERT), (102, UPDATE)), **AFTER_ONE),
    wrong("told nothing of it", silent, steps=STEPS[:1], other=[(1, {"[1]": ONE})]),
    wrong("after transaction 102 the result differs", unknown((102, INSERT), strategy="delta"), steps=[(0, {"[2]": ONE}), (1, {"[1]": ONE})]),
    wrong("after transaction 103 the result differs", unknown((103, INSERT), strategy="stream"),
          steps=[(0, {"[2]": ONE}), (1, {"[2]": None}), (2, {"[1]": ONE})]),
    wrong("told twice", flow((101, INSERT), (101, UPDATE)), **AFTER_ONE),
    wrong("told after a later one", flow((102, INSERT), (101, UPDATE)), steps=[(1, {"[1]": ONE})]),
    wrong("told nothing of it", throttled_apart, steps=STEPS[:1]),
    wrong("told nothing of it", throttled_beside, steps=STEPS[:1], other=STEPS[:1]),
    wrong("was told late", late, other=[(1, {"[1]": ONE})]),
    wrong("after transaction 101 the result differs", ahead, steps=STEPS, other=STEPS),
    wrong("is told with the seq", flow((101, INSERT, {"seq": '"%016X"' % 1009})), steps=STEPS),
    wrong("which never committed", flow((999, INSERT)), steps=STEPS),
    wrong("committed_at is no time", changes(("committed_at", '"yesterday"')), steps=STEPS),
    wrong("committed_at is no time", changes(("committed_at", "null")), steps=STEPS),
    wrong("but it was 2026", changes(("committed_at", '"%s"' % TIME.replace("01.5", "01.6"))), steps=STEPS),
    wrong("at the quiet point the result differs", flow((101, INSERT)), steps=STEPS[:2], select=Counter([ONE])),
    wrong("not what SELECT gives", flow((101, INSERT)), steps=STEPS[:1], select=Counter([TWO])),
]

KEYED = [
    wrong("a row of the snapshot has no key", flow(snapshot=[(None, '{"id":1}')])),
    wrong("a row of the snapshot has no key", flow(snapshot=[("null", '{"id":1}')])),
    wrong("the snapshot has the key [1] twice", flow(snapshot=[("[1]", '{"id":1}'), ("[1]", '{"id":2}')])),
    wrong("insert of the key", flow((101, INSERT), (102, INSERT)), **AFTER_ONE),
    wrong("insert of the key", flow((101, INSERT, INSERT)), steps=STEPS),
    wrong("update of the key", flow((101, UPDATE)), steps=STEPS),
    wrong("has other columns", flow((101, INSERT), (102, UPDATE.replace('"row":{"id"', '"row":{"Id"'))), **AFTER_ONE),
    wrong('without "old"', flow((101, INSERT), (102, UPDATE.replace('{"v":1.50}', "null"))), **AFTER_ONE),
    wrong("tells the old values", flow((101, INSERT), (102, UPDATE.replace('"v":1.50}', '"v":1.5}'))), steps=STEPS),
    wrong("changes nothing", flow((101, INSERT), (102, SAME)), steps=STEPS),
    wrong("delete of the key", flow((101, DELETE)), steps=STEPS),
    wrong("delete of [1] tells the row", flow((101, INSERT), (102, DELETE)), **AFTER_ONE),
    wrong("delete of [1] tells v = 2", flow((101, INSERT), (102, DELETE), full=False), **AFTER_ONE),
    wrong("is deleted and inserted in one message", flow((101, DELETE, INSERT), strategy="delta"), steps=STEPS),
    wrong("and told of once more", flow((101, INSERT, UPDATE), strategy="delta"), steps=STEPS),
    wrong("a key has to be an array", flow((101, INSERT.replace("[1]", "1"))), steps=STEPS),
    wrong("a key has to be an array", flow((101, INSERT.replace("[1]", "[]"))), steps=STEPS),
]

BAGS = [
    wrong("the key ['2'] is not the row", flow(snapshot=[("[2]", '{"a":1}')]), **BAG),
    wrong("is not the row", flow(snapshot=[('{"a":2}', '{"a":1}')]), **BAG),
    wrong("is not the row", flow(snapshot=[(None, '{"a":1}')]), **BAG),
    wrong("the key ['1'] is not the row", flow((101, BAG_DELETE.replace("[2]", "[1]"))), **BAG),
    wrong("delete of a row that is not there", flow((101, BAG_DELETE), snapshot=[("[1]", '{"a":1}')]), **BAG),
    wrong("delete of a row that is not there", flow((101, BAG_INSERT, *[BAG_INSERT.replace("insert", "delete")] * 2)),
          **BAG),
    wrong("an update in a result without a key", flow(
        (101, '{"op":"update","key":[1],"row":{"a":1},"old":{"a":2}}')), **BAG),
    wrong("after transaction 101 the result differs", flow((101, BAG_INSERT), snapshot=[("[1]", '{"a":1}')]), **BAG),
]

MESSAGES = [
    wrong("a message of type hello", changes(("type", '"hello"'))),
    wrong("a message of type None", changes(("type", None))),
    wrong("changes has the fields", changes(("committed_at", None))),
    wrong("changes has the fields", changes(("reason", '"none"'))),
    wrong("no subscription of this connection", changes(("name", "x"))),
    wrong("given twice", id_twice),
    wrong("which is over", over),
    wrong("before its snapshot was read", flow((101, INSERT), read=False), steps=STEPS),
    wrong("before its transaction committed", flow((101, INSERT), commit=False), steps=STEPS),
    wrong("while paused", paused, steps=STEPS),
    wrong("not 16 hexadecimal", changes(("seq", '"1"'))),
    wrong("not 16 hexadecimal", changes(("seq", "1"))),
    wrong("seq went back", flow((101, INSERT, {"seq": '"%016X"' % 1999}), (102, UPDATE, {"seq": '"%016X"' % 1998})),
          steps=STEPS),
    wrong("xid is not a number", changes(("xid", '"101"'))),
    wrong("xid is not a number", changes(("xid", "101.5"))),
    wrong("more is neither true nor false", changes(("more", "null"))),
    wrong("more is neither true nor false", changes(("more", "1"))),
    wrong("announced more, but ", flow((101, INSERT, {"more": "true"}), (102, UPDATE)), steps=STEPS),
    wrong("which never came", changes(("more", "true")), steps=STEPS),
    wrong("announced more, but ", throttled_later, steps=STEPS),
    wrong("changes a key twice", throttled_twice, steps=STEPS[:2]),
    wrong("no changes", flow((101,)), steps=STEPS),
    wrong("no operation", flow((101, '{"op":"upsert"}')), steps=STEPS),
    wrong("update has the fields", flow((101, INSERT), (102, UPDATE.replace(OLD, ""))), steps=STEPS),
    wrong("insert has the fields", flow((101, INSERT.replace("}}", '},"old":{}}'))), steps=STEPS),
    wrong("progress has the fields", progress(1500, more="false"), steps=STEPS),
    wrong("progress within the point", progress(1500, before="true"), steps=STEPS),
    wrong("no snapshot", progress(1500, '"101"'), steps=STEPS),
    wrong("has transaction 102 in its snapshot", progress(1500, '"101:103:"'), steps=STEPS),
    wrong("as progress says, the result differs", progress(2500, '"101:103:"'), steps=STEPS),
    wrong("client was not told", killed),
    wrong("not by the oracle", terminated),
    wrong("not by the oracle", failing('"22P02"', '"x is no number"')),
    wrong("not by the oracle", failing('"42501"', '"x is no number"'), failing=[2]),
    wrong("tells a secret", failing('"22P02"', '"secret-of-2 is no number"'), failing=[2]),
    wrong("no SQLSTATE", terminated_without_a_code),
]

RESETS = [
    wrong("cannot have happened", reset("any other"), overflows=True, locked={"items"}),
    wrong("cannot have happened", reset(None), overflows=True),
    wrong("cannot have happened", reset(["a", "list"]), overflows=True),
    wrong("cannot have happened", reset(RESTARTED), overflows=True),
    wrong("cannot have happened", reset(TOO_MANY)),
    wrong("cannot have happened", reset(TOO_MANY_HELD)),
    wrong("cannot have happened", reset(GONE)),
    wrong("cannot have happened", reset(TRUNCATED)),
    wrong("cannot have happened", reset(CHANGED), locked={"lines"}),
    wrong("cannot have happened", reset(LOCKED), locked={"lines"}),
    wrong("cannot have happened", reset(CHANGED), altered=altered("lines")),
    *[wrong("cannot have happened", reset(reason), altered=altered("items", ago=60)) for reason in ALTERED],
    wrong("cannot have happened", reset(ROLLED_BACK)),
    wrong("cannot have happened", reset(TOO_MANY, taken_back=True)),
    *[wrong("cannot have happened", reset(reason, query=WHOLE, strategy="delta"), truncated={"lines"}) for reason in EMPTIED],
    *[wrong("cannot have happened", reset(reason), truncated={"items"}) for reason in EMPTIED],
    wrong("before its snapshot was read", reset(TOO_MANY, read=False), overflows=True),
    wrong("a second reset", reset(TRUNCATED, GONE, parted=True, full=False)),
]


ASKED = [
    wrong("after transaction 102 the result differs", asked_and_silent,
          other=[(0, {"[1]": ONE}), (1, {"[2]": ONE})]),
    wrong("the result differs", asked_and_told(UPDATE), steps=STEPS[:1], other=[(0, {"[1]": ONE})]),
    wrong("insert of the key [1], which is there", asked_and_told(INSERT), steps=STEPS[:1], other=[(0, {"[1]": ONE})]),
]

WHOLES = [
    wrong("after transaction 101 the whole query gives another result", whole((101, INSERT, {})), past={(WHOLE, 0): Counter([TWO])}),
    wrong("after transaction 101 the whole query gives another result", reset_late, past={(WHOLE, 0): Counter([TWO])}, truncated={"items"}),
    wrong("after transaction 102 the whole query gives another result: it was told nothing", silent_whole,
          other=[(1, {"[1]": ONE})], past={(WHOLE, 0): Counter([ONE]), (WHOLE, 1): Counter([TWO])}),
    wrong("after transaction number 1 the whole query gives", whole((102, INSERT, {"xid": "null", "xids": "[101,102]"})),
          past={(WHOLE, 1): Counter([ONE, ONE])}),
    wrong("a key has to be an array or a row", whole((101, INSERT.replace("[1]", "1"), {}))),
    wrong("insert of the key", whole((101, INSERT, INSERT, {}))),
    wrong("delete of the key [2], which is not there", whole((101, BAG_DELETE, {}))),
    wrong("of the key [1] are several", whole((101, '{"op":"update","key":[1],"row":{"a":1},"old":{"a":2}}', {}),
                                              snapshot=[("[1]", '{"a":1}')] * 2)),
    wrong("a message of several transactions for s, which is a stream", flow((101, INSERT, {"xid": "null"}))),
    wrong("a message of several transactions for s, which is a stream", flow((101, INSERT, {"xids": "[]"}))),
    wrong("xids are no numbers", whole((101, INSERT, {"xid": "null", "xids": '"101"'}))),
    wrong("xids are no numbers", whole((101, INSERT, {"xid": "null", "xids": '["101"]'}))),
    wrong("committed_at is no time", whole((101, INSERT, {"xid": "null", "committed_at": "null"}))),
    wrong("told twice", whole((101, INSERT, {}), (101, UPDATE, {})), past={(WHOLE, 0): Counter([ONE])}),
    wrong("insert of a list without a position", whole((101, INSERT, {}), query=LISTED)),
    wrong("position 5 in a list of 0", whole((101, INSERT.replace("}}", '},"position":5}'), {}), query=LISTED)),
    wrong("after transaction 101 the whole query gives another result", whole(
        (101, INSERT.replace("}}", '},"position":1}'), {}), query=LISTED, snapshot=[("[2]", '{"id":2,"v":2}')]),
          past={(LISTED, 0): listed(ONE, rows.row_from('{"id":2,"v":2}'))}),
    wrong("the accounts hold 100, and not 1000", whole((101, INSERT.replace("[1]", "[]").replace('"id":1,"v":1.50', '"total":100'), {}),
                                                      query=ALL)),
    wrong("hold 100 to one live query, and 90 to another", whole(
        (101, INSERT.replace("[1]", "[]").replace('"id":1,"v":1.50', '"total":100'), {}), query=SUM, other=(SUM, total(90)))),
]


CLOCKS = [
    wrong("the whole query gives another result", clock_told, past={(CLOCK, 0, datetime.fromisoformat(LATER)): Counter(
        [rows.row_from('{"id":1,"clock":"%s"}' % TIME)])}),
    wrong("the whole query gives another result", clock_emptied),
    wrong("the rows show several times", clocks((LATER, LATER), snapshot=[TIME])),
    wrong("committed_at is 2026-11-21 22:45:01.500000+00:00, and the rows show", clocks((TIME, LATER))),
    wrong("the time goes back", clocks_back),
    wrong("the whole query gives another result: it was told nothing of it", window_beside_clock),
    wrong("the rows show", clocks_differ),
    wrong("it shows 2026-11-21 22:45:01", clock_is_behind),
    wrong("the whole query gives another result: it was told nothing of it", alarm_beside_clock),
    wrong("when another live query shows 2026-11-21 22:45:01", alarm_is_ahead),
    wrong("after transaction 102 the whole query gives another result", alarm_told(0), other=[(1, {"[1]": ONE})], delivery="poll"),
    wrong("after transaction 102 the whole query gives another result", alarm_told(1, xid=102), other=[(1, {"[1]": ONE})], delivery="poll"),
    wrong("the time stands still", clocks(snapshot=["2020-01-01T00:00:00+00:00"])),
]


def rules():
    """Returns the texts of all rules, as patterns."""
    for name in ("state.py", "checks.py", "whole.py", "clocks.py"):
        with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), name), encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for call in ast.walk(tree):
            at = {"require": 1, "Violation": 0}.get(getattr(getattr(call, "func", None), "id", None))
            texts = [] if at is None else [node.value for node in ast.walk(call.args[at])
                                           if isinstance(node, ast.Constant) and isinstance(node.value, str)]
            if texts:
                yield re.sub("%[sd]", ".*", re.escape(max(texts, key=len)))


def every_rule_has_a_case():
    missing = [rule for rule in rules() if not any(re.match(rule, text, re.DOTALL) for text in refuted)]
    assert not missing, "nothing breaks the rule %s" % missing


CASES = RESULTS + KEYED + BAGS + MESSAGES + RESETS + ASKED + WHOLES + CLOCKS + [every_rule_has_a_case]
