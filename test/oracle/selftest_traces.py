"""Traces that are right, and reports that have to show what is needed.

Owns: those of the self-test's cases that nothing may be said against.
"""

# pylint: disable=missing-function-docstring
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import report
from clocks import FINE
from reference import Timeline
from rows import row_from
from selftest_script import (ALL, CLOCK, DELETE, INSERT, LISTED, ONE, OTHER, QUERY, STEPS, TENANTS, TWO, UPDATE, WHOLE, WINDOW, WORLD, Script,
                             alarm_told, altered, assert_told)
from state import Violation

TOLD = row_from('{"total":1000}')
TOO_MANY = "too many messages were waiting for the client"
TOO_MANY_HELD = "too many changes while the subscription was paused or its snapshot unread"
GONE = "a large value that an update left in place is gone already"
TRUNCATED = "a part of the table was truncated"
LOCKED = "a table of the query was locked for too long"
EMPTIED = ["a table of the query was truncated", "all rows of a table of the query were rewritten"]
CHANGED = "the table, a view, a function or row security of the query has changed"
ROLLED_BACK = "a reset came in a transaction that was rolled back"
ALTERED = ["the table was altered since these rows were written",
           "the table had another key or replica identity when these rows were changed",
           "all rows of the table were rewritten"]
RESTARTED = "the decoder was restarted and may have missed changes"


def follows_three_transactions():
    script = Script(steps=STEPS)
    script.read(script.subscribe())
    for xid, change in ((101, INSERT), (102, UPDATE), (103, DELETE)):
        script.send(xid, change)
    script.trace.add("drained")
    assert script.walk().counters["boundary comparisons"] == 3


def snapshot_beside_a_transaction():
    """The snapshot sees the second transaction and not the first."""
    script = Script(steps=[(0, {"[1]": ONE}), (1, {"[2]": TWO}), (2, {"[1]": None})])
    script.read(script.subscribe(at=2500), ("[2]", '{"id":1,"v":2}'))
    script.send(101, INSERT)
    script.send(103, '{"op":"delete","key":[1],"row":{"id":1,"v":1.50}}')
    assert script.walk().counters["boundary comparisons"] == 2


def progress_between_transactions():
    script = Script(steps=STEPS)
    script.read(script.subscribe())
    script.progress(600, '"101:101:"')
    script.send(101, INSERT)
    script.send(102, UPDATE)
    script.progress(2500, '"101:104:103"')
    assert script.walk().counters["boundary comparisons"] == 4


def clear_and_insert(throttle=0):
    script = Script(count=1, base={"[1]": TWO, "[7]": TWO}, steps=[(0, {"[1]": ONE, "[7]": None})])
    script.read(script.subscribe(throttle=throttle), ("[1]", '{"id":1,"v":2}'), ("[7]", '{"id":1,"v":2}'))
    script.send(101, '{"op":"clear"}', INSERT)
    script.walk()


def clear_and_insert_after_a_while():
    clear_and_insert(throttle=1)


def clear_of_nothing():
    script = Script(count=1)
    script.read(script.subscribe())
    script.send(101, '{"op":"clear"}')
    script.walk()


def bag_counts_equal_rows():
    step = (0, {row_from('{"a":1}'): 1})
    script = Script(count=2, base=Counter({row_from('{"a":1}'): 1}), steps=[step, (1, {row_from('{"a":1}'): -2})],
                    keyed=False, select=Counter())
    script.read(script.subscribe(), ("[1]", '{"a":1}'))
    script.send(101, '{"op":"insert","key":[1],"row":{"a":1}}')
    script.send(102, *['{"op":"delete","key":[1],"row":{"a":1}}'] * 2)
    assert script.walk().counters["boundary comparisons"] == 2


def no_snapshot():
    script = Script(base={"[1]": ONE, "[9]": ONE}, steps=[(1, {"[1]": TWO}), (2, {"[1]": None})])
    script.subscribe(snapshot=False)
    script.send(102, UPDATE)
    script.send(103, DELETE)
    script.walk()


def no_snapshot_and_a_row_that_comes_and_goes():
    """Who is told of several transactions at a time and has no first result hears nothing of it."""
    script = Script(count=4, steps=[(0, {"[1]": ONE}), (1, {"[2]": ONE}), (2, {"[2]": None})])
    script.subscribe(snapshot=False, strategy="delta")
    script.send(103, INSERT, xid="null", xids="[101,102,103]")
    assert script.walk().counters["boundary comparisons"] == 1


def pause_and_resume():
    script = Script(steps=STEPS)
    made = script.subscribe()
    script.read(made)
    script.trace.add("pausing", made)
    script.send(101, INSERT)
    script.trace.add("paused", made, 1500)
    script.trace.add("resuming", made)
    script.send(102, UPDATE)
    script.trace.add("resumed", made, 2500)
    script.send(103, DELETE)
    script.walk()


def parts_of_one_transaction():
    script = Script(count=1, steps=[(0, {"[1]": TWO})], other=[(0, {"[1]": ONE})])
    script.read(script.subscribe())
    script.read(script.subscribe("o", query=OTHER))
    script.send(101, INSERT, more="true")
    script.send(101, INSERT, name="o", more="true")
    script.send(101, UPDATE)
    assert script.walk().counters["boundary comparisons"] == 2


def parts_of_several_transactions():
    """Each part lists all of them."""
    script = Script(steps=[(1, {"[1]": ONE}), (1, {"[2]": ONE})])
    script.read(script.subscribe(strategy="delta"))
    script.send(102, INSERT, xid="null", xids="[101,102]", more="true")
    script.send(102, INSERT.replace("[1]", "[2]"), xid="null", xids="[101,102]")
    script.trace.add("drained")
    assert script.walk().counters["boundary comparisons"] == 1


def backlog_behind_what_was_announced():
    """More of the second transaction was to come for a subscription that leaves; then comes the backlog of a third."""
    script = Script(steps=STEPS[:1], other=[(1, {"[1]": ONE})])
    script.read(script.subscribe("o", query=OTHER))
    leaving = script.subscribe("l", query=OTHER)
    backlog = script.subscribe()
    script.send(102, INSERT, name="o", more="true")
    script.call(leaving, "leaving", "left")
    script.read(backlog)
    script.send(101, INSERT)
    script.trace.add("drained")
    assert script.walk().counters["boundary comparisons"] == 2


def first_result_that_is_ahead():
    """Of what was committed before the position of a first result, all is told before anything says that it is complete."""
    script = Script(steps=STEPS, other=STEPS)
    script.read(script.subscribe())
    script.read(script.subscribe("o", at=2500, query=OTHER), ("[1]", '{"id":1,"v":2}'))
    script.send(101, INSERT, more="true")
    script.send(102, UPDATE)
    script.send(103, DELETE, name="o", more="true")
    script.send(103, DELETE)
    assert script.walk().counters["boundary comparisons"] == 4


def throttled():
    """Two of one throttle show an earlier point than the third, until they are told; what came in between is net."""
    script = Script(steps=STEPS[:2] + [(1, {"[2]": ONE})], other=STEPS[:1])
    script.read(script.subscribe("o", query=OTHER))
    script.read(script.subscribe(throttle=1))
    script.read(script.subscribe("t", throttle=1))
    script.send(101, INSERT, name="o")
    script.send(102, INSERT.replace("1.50", "2"), xid="null", xids="[101,102]", more="true")
    script.send(102, INSERT.replace("[1]", "[2]"), xid="null", xids="[101,102]", more="true")
    script.send(102, INSERT.replace("1.50", "2"), name="t", xid="null", xids="[101,102]", more="true")
    script.send(102, INSERT.replace("[1]", "[2]"), name="t", xid="null", xids="[101,102]")
    script.trace.add("drained")
    assert script.walk().counters["boundary comparisons"] == 4


def throttled_and_polled():
    """What was released waits to be polled when more is: that is one point."""
    script = Script(steps=STEPS, delivery="poll")
    script.read(script.subscribe(throttle=1))
    script.send(101, INSERT, more="true")
    script.send(102, UPDATE)
    script.trace.add("drained")
    assert script.walk().counters["boundary comparisons"] == 1


def other_parameters():
    """The difference leads from the one result to the other, in two parts; so does none where they are alike."""
    parted = [{"[1]": TWO, "[2]": TWO}, {"[1]": TWO, "[2]": None}]
    script = Script(steps=STEPS[:1], other=[(0, parted[0]), (1, parted[1])], select=Counter([TWO]))
    made = script.subscribe()
    script.read(made)
    script.send(101, INSERT)
    made = script.ask(made, done=False)
    script.send("null", UPDATE, more="true")
    script.send("null", INSERT.replace("[1]", "[2]").replace("1.50", "2"))
    script.trace.add("asked", made)
    script.send(102, DELETE.replace("[1]", "[2]"))
    assert script.walk().counters["boundary comparisons"] == 3
    script = Script(steps=STEPS[:1], other=[(0, {"[1]": ONE}), (2, {"[1]": TWO})])
    made = script.subscribe()
    script.read(made)
    script.send(101, INSERT)
    script.ask(made)
    script.send(103, UPDATE)
    assert script.walk().counters["other parameters"] == 1
    # The second part is polled when the point is later.
    script = Script(steps=STEPS[:1], other=[(0, parted[0]), (1, parted[1])], delivery="poll")
    made = script.subscribe()
    script.read(made)
    script.read(script.subscribe("t", throttle=1))
    script.send(101, INSERT, more="true")
    script.ask(made)
    script.send("null", UPDATE, more="true")
    script.seq += 1
    script.send("null", INSERT.replace("[1]", "[2]").replace("1.50", "2"), more="true")
    script.walk()
    # A part of a point was polled before the call, and the rest is within its transaction: that comes with the commit.
    script = Script(steps=[(0, {"[1]": ONE}), (1, {"[2]": ONE})], delivery="poll")
    made = script.subscribe()
    script.read(made)
    script.read(script.subscribe("t"))
    script.seq = 2010
    script.send(101, INSERT, more="true")
    script.send(101, INSERT, name="t", more="true")
    script.ask(made, done=False)
    script.send(102, INSERT.replace("[1]", "[2]"), name="t")
    assert script.walk().counters["boundary comparisons"] == 1
    # It is paused over a quiet point, behind which all of it is told: so is what has come and gone before that.
    script = Script(steps=STEPS[:1], other=[(0, {"[1]": TWO}), (1, {"[2]": TWO}), (2, {"[2]": None})])
    made = script.subscribe()
    script.read(made)
    script.send(101, INSERT)
    script.call(made, "pausing", "paused")
    made = script.ask(made)
    script.walk()
    script.next_interval(other=Timeline({"[1]": TWO}, []))
    script.call(made, "resuming", "resumed")
    script.send("null", UPDATE)
    script.send(102, INSERT.replace("[1]", "[2]").replace("1.50", "2"))
    script.send(103, DELETE.replace("[1]", "[2]"))
    assert script.walk().counters["boundary comparisons"] == 4
    # What comes with the call may be of either.
    script = Script(steps=STEPS[:1], other=[(0, {"[1]": ONE}), (2, {"[1]": TWO})])
    made = script.subscribe()
    script.read(made)
    made = script.ask(made, done=False)
    script.send(101, INSERT)
    script.send(103, UPDATE)
    script.trace.add("asked", made)
    assert script.walk().counters["other parameters"] == 1


def other_parameters_in_vain():
    script = Script(steps=STEPS)
    made = script.subscribe()
    script.read(made)
    script.trace.add("asking", made, replace(made, query=OTHER))
    script.trace.add("refused", made)
    for xid, change in ((101, INSERT), (102, UPDATE), (103, DELETE)):
        script.send(xid, change)
    assert script.walk().counters["other parameters"] == 0
    # Its place was to be taken when the reset came.
    script = Script(steps=STEPS)
    made = script.subscribe()
    script.read(made)
    script.trace.add("asking", made, replace(made, query=OTHER))
    script.trace.add("refused", made)
    script.reset(ROLLED_BACK)
    assert script.walk().counters["reset: %s" % ROLLED_BACK] == 1


def default_identity():
    script = Script(steps=STEPS)
    script.read(script.subscribe(full=False))
    script.send(101, INSERT)
    script.send(102, UPDATE.replace(',"old":{"v":1.50}', ""))
    script.send(103, '{"op":"delete","key":[1],"row":{"id":1}}')
    script.walk()


def null_that_became_a_json_null():
    """The row looks the same, but a column changed: it may be told, with its former value."""
    script = Script(base={"[1]": row_from('{"id":1,"v":null}')})
    script.read(script.subscribe(), ("[1]", '{"id":1,"v":null}'))
    script.send(101, '{"op":"update","key":[1],"row":{"id":1,"v":null},"old":{"v":null}}')
    script.walk()


def seq_of_each_subscription():
    script = Script(steps=STEPS[:1], other=STEPS[:1], per_subscription=True)
    script.read(script.subscribe("o", query=OTHER))
    script.send(101, INSERT, name="o", seq='"%016X"' % 2999)
    script.read(script.subscribe())
    script.send(101, INSERT)
    script.walk()


def resets_for_good_reasons():
    """After each: another snapshot, then changes again."""
    for reason, subscribed, rules in (
            (TOO_MANY, {}, {"overflows": True}), (TOO_MANY_HELD, {}, {"overflows": True}),
            (GONE, {"full": False}, {}), (TRUNCATED, {"parted": True}, {}), (CHANGED, {}, {"locked": {"items"}}),
            (LOCKED, {"strategy": "delta"}, {"locked": {"items"}}), (ROLLED_BACK, {}, {}), *[(reason, {}, {"altered": altered("items")}) for reason in [CHANGED] + ALTERED],
            *[(reason, {"strategy": "delta"}, {"altered": altered("items")}) for reason in (LOCKED, EMPTIED[1])]):
        script = Script(steps=STEPS, **rules)
        made = script.subscribe(**subscribed)
        script.read(made)
        if reason == ROLLED_BACK:
            script.call(made, "leaving", "stayed", 500)
        script.reset(reason)
        script.send(101, INSERT)  # is of no account
        script.call(made, "refreshing", "refreshed", 2500)
        script.read(made, ("[1]", '{"id":1,"v":2}'))
        script.send(103, DELETE)
        assert script.walk().counters["reset: %s" % reason] == 1


def killed_and_told():
    script = Script()
    made = script.subscribe()
    script.trace.add("killing", made)
    script.terminate()
    script.trace.add("drained")
    script.walk()


def throttled_before_a_termination():
    """It is told of a point that ends with a termination, and of the next one nothing."""
    script = Script(steps=STEPS, other=[(1, {"[1]": ONE})], delivery="poll")
    script.read(script.subscribe(throttle=1))
    made = script.subscribe("k", query=OTHER)
    script.read(made)
    script.send(101, INSERT, more="true")
    script.trace.add("killing", made)
    script.message(type='"terminated"', subscription_id='"k"', code='"57014"', reason='"r"')
    script.read(script.subscribe("o", at=1500, query=OTHER))
    script.send(102, INSERT, name="o")
    script.walk()


def ended_by_a_row_of_its_own():
    """A group of transactions is taken together: it is not told of the first, and ends because of the last."""
    script = Script(steps=STEPS, failing=[2])
    script.read(script.subscribe("o", query=TENANTS))
    script.read(script.subscribe())
    script.send(101, INSERT, more="true")
    script.message(type='"terminated"', subscription_id='"o"', code='"22P02"', reason='"secret-of-1 is no number"')
    script.send(102, UPDATE)
    script.trace.add("drained")
    script.walk()


def refused(script):
    try:
        script.walk()
    except Violation as violation:
        return script.report(violation)
    raise AssertionError("accepted")


def report_shows_what_was_lost_long_ago():
    """The insert is lost, and many others follow before anybody notices: by an update, or at a quiet point."""
    script = Script(count=60, steps=[(0, {"[7]": TWO}), (4, {"[1]": ONE}), (58, {"[1]": TWO})])
    script.read(script.subscribe(full=False))
    script.send(101, INSERT.replace("[1]", "[7]").replace("1.50", "2"))
    script.send(159, UPDATE.replace(',"old":{"v":1.50}', ""))
    text = refused(script)
    assert "-> number 4  xid 105 " in text and "-> number 58  xid 159 " in text and "-> number 5 " not in text, text

    script = Script(count=60, steps=[(0, {"[7]": TWO}), (40, {"[1]": ONE})], select=Counter())
    script.read(script.subscribe())
    script.send(101, INSERT.replace("[1]", "[7]").replace("1.50", "2"))
    text = refused(script)
    assert "-> number 40  xid 141 " in text and "   number 39  xid 140 " in text, text


def any_select():
    """One message for two transactions; equal rows by their whole; what accounts hold; a reset by a TRUNCATE."""
    row = row_from('{"a":1}')
    script = Script(past={(WHOLE, 1): Counter({row: 3}), (WHOLE, 2): Counter({row: 1}), (ALL, 1): Counter([TOLD]),
                          (ALL, 2): Counter([TOLD])}, truncated={"items"})
    made = script.subscribe(query=WHOLE, strategy="delta")
    script.read(made, ("[1]", '{"a":1}'))
    script.read(script.subscribe("o", query=ALL, strategy="delta"), ("[]", '{"total":1000}'))
    insert = '{"op":"insert","key":[1],"row":{"a":1}}'
    script.send(102, insert, insert, xid="null", xids="[101,102]")
    script.send(103, *[insert.replace("insert", "delete")] * 2)
    script.reset(EMPTIED[0])
    counters = script.walk().counters
    assert counters["boundary comparisons"] == 4 and counters["sums of accounts"] == 2
    assert script.examiner.counters["boundary comparisons of any select"] == 4


def lists():
    """One row comes, the others go round: one of them is told, and where it stands."""
    a, b, c = ('{"a":%d}' % n for n in range(3))
    script = Script(past={(LISTED, 0): in_order(c, a), (LISTED, 2): in_order(a, c)})
    made = script.subscribe(query=LISTED, strategy="delta")
    script.read(made, ("[0]", a), ("[1]", b))
    script.send(101, '{"op":"delete","key":[1],"row":%s}' % b, '{"op":"insert","key":[2],"row":%s,"position":0}' % c)
    script.send(103, '{"op":"update","key":[0],"row":%s,"old":{},"position":0}' % a)
    script.walk()


def a_page_turns():
    """One row stays, and is told only where it has moved."""
    a, b, c = ('{"a":%d}' % n for n in range(3))
    turned = replace(LISTED, text=LISTED.text + " OFFSET 1")
    script = Script(past={(LISTED, 0): in_order(a, b), (turned, 0): in_order(b, c), (turned, 1): in_order(c, b)})
    made = script.subscribe(query=LISTED, strategy="delta")
    script.read(made, ("[0]", a), ("[1]", b))
    script.send(101, '{"op":"update","key":[1],"row":%s,"old":{},"position":1}' % b)
    made = script.ask(made, query=turned)
    script.send("null", '{"op":"delete","key":[0],"row":%s}' % a, '{"op":"insert","key":[2],"row":%s,"position":1}' % c)
    script.send(102, '{"op":"update","key":[2],"row":%s,"old":{},"position":0}' % c)
    assert script.walk().counters["other parameters"] == 1


def in_order(*texts):
    """Returns a result as PostgreSQL gives it."""
    result = Counter(map(row_from, texts))
    result.order = list(map(row_from, texts))
    return result


def any_select_at_a_time():
    """Rows come with the time alone; what is right is told by it."""
    first, second = (datetime.now(timezone.utc).replace(microsecond=at).isoformat() for at in (0, 1))
    row = '{"id":1,"clock":"%s"}'
    script = Script(past={(CLOCK, 0, datetime.fromisoformat(at)): Counter([row_from(row % at)]) for at in (first, second)})
    script.read(script.subscribe(query=CLOCK, strategy="delta"), ("[1]", row % first))
    script.seq = 1500
    script.send("null", '{"op":"update","key":[1],"row":%s,"old":{"clock":"%s"}}' % (row % second, first),
                committed_at='"%s"' % second)
    script.trace.add("drained")
    script.walk()
    assert script.examiner.counters["boundary comparisons of any select"] == 1


def any_select_that_was_emptied_and_went_on():
    """What was told last is not the time that it shows: without a row there was nothing to tell."""
    now = datetime.now(timezone.utc)
    first, second = now - timedelta(seconds=3), now - timedelta(seconds=1)
    row = '{"id":1,"clock":"%s"}' % first.isoformat()
    script = Script(past={(CLOCK, 0, at): Counter([ONE]) for at in (first, first + timedelta(seconds=1), now)})
    assert (CLOCK, 0, second) not in script.examiner.past.results
    script.read(script.subscribe(query=CLOCK, strategy="delta"), ("[1]", row))
    script.send(101, '{"op":"delete","key":[1],"row":%s}' % row, committed_at='"%s"' % first.isoformat())
    script.walk()


def window_of_time():
    """Its rows do not tell the time. Another query of the same steps does; without one it is any time since the last message."""
    now = datetime.now(timezone.utc)
    first, second = now - timedelta(seconds=2), now - timedelta(seconds=1)
    row = '{"id":1,"clock":"%s"}'
    results = {(CLOCK, n, at): Counter([row_from(row % at.isoformat())]) for n in range(3) for at in (first, second)}
    results.update({(WINDOW, 0, first): Counter([ONE]), (WINDOW, 1, second): Counter([TWO]), (WINDOW, 2, first): Counter([ONE]),
                    (WINDOW, 2, second): Counter([TWO])})
    script = Script(past=results)
    clock, window = script.subscribe("c", query=CLOCK, strategy="delta"), script.subscribe(query=WINDOW, strategy="delta")
    script.read(clock, ("[1]", row % first.isoformat()))
    script.read(window, ("[1]", '{"id":1,"v":1.50}'))
    script.progress(1500, '"101:102:"')
    script.send(102, UPDATE, more="true", committed_at='"%s"' % second.isoformat())
    script.send(102, '{"op":"update","key":[1],"row":%s,"old":{"clock":"%s"}}' % (row % second.isoformat(), first.isoformat()), name="c",
                committed_at='"%s"' % second.isoformat())
    script.call(clock, "leaving", "left")
    script.progress(3500)
    script.walk()
    assert script.examiner.counters["boundary comparisons at a time that is known"] == 4, script.examiner.counters
    assert script.examiner.counters["boundary comparisons at a time that is not known exactly"] == 1, script.examiner.counters


def alarm_before_a_transaction():
    """An alarm is told, and the point goes on with a transaction, which makes no difference when it commits, but would have made one
    at the time that was told. Where the message tells it, or a point before has shown it, that time is known."""
    for right, xid, known in ((1, "null", 0), (2, "null", 0), (0, 102, 1)):
        script = Script(other=[(1, {"[1]": ONE})], delivery="poll")
        alarm_told(right, xid)(script)
        counters = script.walk().examiner.counters
        assert counters["boundary comparisons at a time that is known"] == known, counters
    script = Script(other=[(1, {"[1]": ONE})], delivery="poll")
    alarm_told(1)(script)
    script.seq += 1
    later = script.examiner.past.committed + FINE
    script.examiner.past.results[WINDOW, 1, later] = Counter([TWO])
    script.send("null", UPDATE, committed_at='"%s"' % later.isoformat())
    counters = script.walk().examiner.counters
    assert counters["boundary comparisons at a time that is known"] == 1, counters
    # Of the interval before, it is not known which transactions the query has felt.
    script = Script(other=[(1, {"[1]": ONE})], delivery="poll")
    script.examiner.past.start, script.examiner.past.felt = 1, lambda *_: -1
    alarm_told(2)(script)
    script.walk()


def report_shows_the_first_boundary_that_is_wrong():
    script = Script(count=60, past={(WHOLE, index): Counter([ONE if index < 5 else TWO]) for index in range(60)})
    script.read(script.subscribe(query=WHOLE, strategy="delta"), ("[1]", '{"id":1,"v":1.50}'))
    script.examiner.samples = 0
    for index in range(60):
        script.progress(1000 * (index + 1) + 500, '"101:%d:"' % (102 + index))
    text = refused(script)
    assert "after transaction number 5; the last time that it was right: number 4" in text, text
    assert "alone expected  1 × {id: 1, v: 2}" in text and "alone got       1 × {id: 1, v: 1.50}" in text, text


def report_shows_what_announced_more():
    script = Script(count=60)
    script.read(script.subscribe())
    script.send(102, INSERT, more="true")
    script.trace.add("drained")
    assert "-> number 1  xid 102 " in refused(script)


def report_of_a_failure_tells_the_queries():
    script = Script(count=60, steps=STEPS)
    script.read(script.subscribe())
    script.read(script.subscribe("o", query=OTHER))
    script.send(101, INSERT)
    script.walk()
    script.trace.running = "SELECT live.pause('s')"
    script.trace.add("pausing", None)
    text = report.failure(WORLD, script.reference, script.check, "client 1", Violation("so it is"), script.trace)
    assert "client 1 failed: Violation: so it is\n" in text
    assert_told(text, QUERY)
    assert_told(text, OTHER)
    assert '\nTransactions, in commit order, from PostgreSQL\'s own decoding (those that wrote to "items"):\n' in text
    assert "xid 160 " in text and " joined " in text and " pausing " in text and "live.pause('s')" in text, text
    assert "writer 1 failed" in report.failure(WORLD, script.reference, None, "writer 1", Violation("no"), None)


CASES = [follows_three_transactions, snapshot_beside_a_transaction, progress_between_transactions, clear_and_insert,
         clear_and_insert_after_a_while, clear_of_nothing, bag_counts_equal_rows, no_snapshot, no_snapshot_and_a_row_that_comes_and_goes,
         pause_and_resume, parts_of_one_transaction,
         parts_of_several_transactions, other_parameters, other_parameters_in_vain,
         backlog_behind_what_was_announced, first_result_that_is_ahead, throttled, throttled_and_polled,
         default_identity, null_that_became_a_json_null,
         seq_of_each_subscription, resets_for_good_reasons, killed_and_told, throttled_before_a_termination, ended_by_a_row_of_its_own,
         any_select, any_select_at_a_time, any_select_that_was_emptied_and_went_on, window_of_time, alarm_before_a_transaction, lists, a_page_turns, report_shows_the_first_boundary_that_is_wrong, report_shows_what_was_lost_long_ago, report_shows_what_announced_more, report_of_a_failure_tells_the_queries]
