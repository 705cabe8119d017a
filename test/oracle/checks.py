"""Compares what clients were told with what is true.

Owns: the walk over a connection's trace (through the model in state.py), the comparison with the reference at
each message boundary, and the comparison with a plain SELECT at each quiet point. Runs in the conductor's
thread, while writers and clients are parked.
"""

import re
import time
from collections import Counter, deque
from datetime import datetime, timezone

import relations
import rows
import schema
import selects
import state as model
from clocks import Clock, times
from state import Violation, require
from story import story_of
from traces import START
from whole import Examiner, WholeComparison

SLACK = 5.0    # seconds that a call may take, which is recorded when it is done
STANDSTILL = 20.0  # seconds that the time of a query may stand still, of whatever steps it is
NEARBY = 5     # transactions before a snapshot that it may not see all the same
HISTORY = 300  # events kept for a report, of a connection and of each subscription


class Comparison:
    """The true result of one subscription, moved along the commit order, and where the client's differs.

    net: whether one message may tell several transactions, of which what comes and goes is not told.
    """

    def __init__(self, timeline, keyed, net=False):
        self.keyed = keyed
        self.net = net
        self.truth = dict(timeline.base) if keyed else Counter(timeline.base)
        self.index = -1          # the last transaction in truth
        self.pending = deque(timeline.steps)
        self.failing = list(timeline.failing)
        self.result = None       # the client's; None: nothing to compare with yet
        self.mismatched = set()
        self.changed = {}        # key -> indexes of the transactions that changed it since it was last right

    def extend(self, timeline):
        """A new interval begins."""
        self.pending.extend(timeline.steps)
        self.failing.extend(timeline.failing)

    def fails_near(self, index):
        """Tells whether the query fails after a transaction, or for what was committed just before."""
        return any(at > index - NEARBY for at in self.failing)

    def advance(self, index):
        """Moves the truth to the state after the transaction of an index."""
        self.index = max(index, self.index)
        before = {}
        while self.pending and self.pending[0][0] <= index:
            at, changes = self.pending.popleft()
            for key, change in changes.items():
                before.setdefault(key, self.expected(key))
                self.changed.setdefault(key, []).append(at)
                if self.keyed and change is None:
                    self.truth.pop(key, None)
                elif self.keyed:
                    self.truth[key] = change
                else:
                    self.truth[key] += change
                    if not self.truth[key]:
                        del self.truth[key]
        if self.result is not None:
            for key, value in before.items():
                self._compare(key, must_know=not self.net or self.expected(key) != value)

    def follow(self, result):
        """Compares with a client's result from now on; None: no longer."""
        self.result = result
        self.mismatched = set()
        if result is not None:
            for key in set(result.keys()) | (set(self.truth) if result.complete else set()):
                self._compare(key)

    def touched(self, keys):
        """Compares anew what a message touched."""
        if self.result is not None:
            for key in keys:
                self._compare(key)

    def expected(self, key):
        """Returns what the client should have for a key."""
        return self.truth.get(key) if self.keyed else self.truth.get(key, 0)

    def _compare(self, key, must_know=False):
        if not self.result.knows(key):
            if must_know:
                self.mismatched.add(key)
        elif self.result.value(key) == self.expected(key):
            self.mismatched.discard(key)
            self.changed.pop(key, None)
        else:
            self.mismatched.add(key)

    def suspects(self):
        """Returns the indexes of the transactions that changed what differs now; one of them may be lost."""
        return sorted({index for key in self.mismatched for index in self.changed.get(key, ())})

    def describe(self):
        """Returns lines that tell the difference."""
        lines = []
        for key in sorted(self.mismatched, key=str)[:10]:
            got, expected = self.result.value(key), self.expected(key)
            lines.append("  key %s" % rows.shorten(key, 300))
            for word, row in (("expected", expected), ("got     ", got)):
                lines.append("    %s %s" % (word, rows.show_row(row) if isinstance(row, tuple) else row))
        if len(self.mismatched) > 10:
            lines.append("  and %d more" % (len(self.mismatched) - 10))
        return lines


class Watched:
    """A subscription in the walk: its state, its comparison, and from where on it is strict."""

    def __init__(self, state, snapshot_lsn):
        self.state = state
        self.comparison = None            # None: compared at quiet points alone
        self.next_comparison = None       # with the other parameters that it was asked for, from the interval of that on
        self.snapshot_lsn = snapshot_lsn  # where its first result stands, or before that
        self.joined = False               # it shows the point of the others' messages too
        self.before_asking = False, False  # whether it did, and SubscriptionState.in_vain, before the last "asking"
        self.parted = False               # the present point has a part of it that was told before that
        self.last_index = -1              # of the last transaction of a point that is complete
        self.begun = -1                   # and of the last one that it was told a part of
        self.xids = None                  # of the message of several transactions that may have more parts
        self.compared = -1                # the last transaction that it was shown to show
        self.since = 0.0                  # when its snapshot was taken
        self.history = deque(maxlen=HISTORY)
        self.whole = state.subscription.query.whole
        query = state.subscription.query
        self.clock = Clock(query, state.subscription.alarm) if self.whole and query.refresh_every else None

    def refollow(self):
        """Lets the comparison use the present result."""
        if self.comparison:
            self.comparison.follow(None if self.state.unread or self.state.broken else self.state.result)


def is_end(event):
    """Tells whether a message says that a subscription is over."""
    return event.kind == "message" and event.data.get("type") == "terminated" and "subscription_id" in event.data


class ConnectionCheck:
    """The walk over one connection's trace."""

    def __init__(self, trace, reference, counters, altered=None, examiner=None, **options):
        self.trace = trace
        self.examiner = examiner  # whole.Examiner
        self.reference = reference
        self.counters = counters
        self.altered = altered  # writers.Alterations
        self.state = model.ConnectionState(polled=trace.delivery == "poll", **options)
        self.watched = {}    # Subscription -> Watched
        self.successors = {}  # Subscription with other parameters, which is to take a place -> whose
        self.history = deque(maxlen=HISTORY)
        self.subject = None  # the Watched that a violation is about
        self.xid = None      # and the transaction, if a message tells one
        self.ending = Counter()  # ids of subscriptions whose end stands in the events that are still to come

    def extend(self):
        """Gives the open subscriptions the truth of the new interval."""
        for watched in self.watched.values():
            if watched.state.over:
                continue
            self._extend(watched.comparison, watched.state.subscription)
            self._extend(watched.next_comparison, watched.state.asked)
            if watched.comparison and not watched.whole:
                timeline = self.reference.timeline(watched.state.subscription.query)
                watched.state.failing = watched.state.failing or bool(timeline.failing)

    def _extend(self, comparison, subscription):
        if comparison and subscription.query.whole:
            comparison.begin()
        elif comparison:
            comparison.extend(self.reference.timeline(subscription.query))

    def walk(self, events):
        """Takes the events in order. Raises Violation."""
        self.ending = Counter(event.data["subscription_id"] for event in events if is_end(event))
        for event in events:
            if is_end(event):
                self.ending[event.data["subscription_id"]] -= 1
            self.history.append(event)
            self.subject = self._concerned(event)
            if event.subscription and not self.subject and event.kind != "subscribed":
                continue  # a call on what has just ended
            xid = event.data.get("xid") if event.kind == "message" else None
            self.xid = int(xid) if rows.is_whole(xid) else None
            if self.subject:
                self.subject.history.append(event)
            getattr(self, "_" + event.kind)(event, self.subject)

    def quiet(self, truth):
        """Compares with plain SELECTs; truth is a function(query, time) that returns a Counter of rows."""
        self.xid = None
        shown = {}
        for watched in self._in_order():
            if not watched.state.flowing():
                continue
            self.subject = watched
            if watched.state.asked:
                self._lead_over(watched, len(self.reference.replay.lsns) - 1)
            subscription = watched.state.subscription
            if watched.comparison:
                watched.comparison.advance(len(self.reference.replay.lsns) - 1)
                require(not watched.comparison.mismatched, "at the quiet point the result differs")
            if not watched.state.result.complete:
                continue
            if watched.clock:
                self._look_at_clock(watched, False, shown)
                if not watched.clock.possible or self.state.open_seq is not None:
                    continue
            got = watched.state.result.as_bag()
            found = []
            for at in watched.clock.possible if watched.clock else [None]:
                found.append(truth(subscription.query, at))
                if found[-1] in (None, got):
                    break
            if None in found:
                continue
            expected = found[0]
            if got not in found:
                raise Violation("at the quiet point the result is not what SELECT gives: client alone %s,"
                                " SELECT alone %s" % (_show(got - expected), _show(expected - got)))
            self.counters["quiet comparisons"] += 1

    def suspects(self):
        """After a violation: returns the indexes of the transactions that may be at fault, oldest first."""
        by_xid, found = self.reference.replay.by_xid, set()
        told = by_xid.get(self.xid)
        comparison = self.subject and self.subject.comparison
        if comparison and comparison.result is not None:
            comparison.advance(told.index if told else -1)
            found.update(comparison.suspects())
        # it announced more
        opened = by_xid.get(self.state.open_xid)
        return sorted(found | {done.index for done in (told, opened) if done})

    def _concerned(self, event):
        """Returns the Watched that an event is about, or None."""
        subscription = event.subscription
        if event.kind == "message":
            state = self.state.subscriptions.get(event.data.get("subscription_id"))
            subscription = state and state.subscription
        return self.watched.get(self.successors.get(subscription, subscription))

    def _subscribed(self, event, _):
        subscription = event.subscription
        state = self.state.add(subscription)
        index = self.reference.replay.index_before(event.data)
        watched = Watched(state, event.data)
        self._begin(watched, self._comparison(subscription), index)
        watched.since = event.at - SLACK
        watched.history.append(event)
        self.watched[subscription] = self.subject = watched
        if not subscription.snapshot:
            watched.joined = True
            watched.refollow()
            self.state.grow()

    def _comparison(self, subscription):
        """Returns one that stands where the interval begins, or None."""
        if subscription.query.whole:
            return WholeComparison()
        if subscription.query.shape.pointwise and subscription.strategy != "refresh":
            timeline = self.reference.timeline(subscription.query)
            return Comparison(timeline, subscription.keyed, subscription.strategy == "delta" or subscription.throttle > 0)
        return None

    def _begin(self, watched, comparison, index):
        """From here on it is compared with the truth after the transaction of an index."""
        watched.comparison, watched.next_comparison = comparison, None
        if comparison:
            comparison.advance(index)
            watched.state.failing = watched.state.failing or comparison.fails_near(index)

    def _lead_over(self, watched, index):
        """From here on it has the other parameters that it was asked for."""
        successor = watched.state.asked
        self.watched.pop(self.successors.pop(successor))
        self.watched[successor] = watched
        watched.state.become(successor)
        self._begin(watched, watched.next_comparison, index)
        watched.refollow()
        self.counters["other parameters"] += 1

    def _asking(self, event, watched):
        watched.before_asking = watched.joined, watched.state.in_vain
        watched.state.changing, watched.state.in_vain, watched.joined = True, True, False
        watched.state.asked = event.data
        watched.next_comparison = self._comparison(event.data)
        watched.parted = watched.state in self.state.open_states
        self.successors[event.data] = watched.state.subscription
        self.state.grow()

    def _asked(self, _, watched):
        watched.state.changing, watched.state.in_vain = False, watched.before_asking[1]
        watched.joined = not (watched.state.unread or watched.state.paused)
        self.state.grow()

    def _refused(self, _, watched):
        self.successors.pop(watched.state.asked, None)
        watched.state.changing, watched.state.asked, watched.next_comparison = False, None, None
        watched.joined = watched.before_asking[0]

    def _committed(self, _, watched):
        watched.state.committed = True
        self.state.grow()

    def _forgotten(self, _, watched):
        self._drop(watched)

    def _rows(self, event, watched):
        for key, row in event.data:
            watched.state.result.load(key and rows.key_from(key), rows.row_from(row))

    def _read(self, _, watched):
        watched.state.unread = False
        watched.refollow()
        self.state.grow()
        self.counters["snapshots"] += 1

    def _joined(self, _, watched):
        watched.joined = True

    def _pausing(self, _, watched):
        watched.state.changing = True
        watched.joined = False
        self.state.disturb(watched.state)

    def _paused(self, _, watched):
        self.state.disturb(watched.state)
        watched.state.changing, watched.state.paused = False, True

    def _resuming(self, _, watched):
        watched.state.paused = False
        self.state.grow()

    def _resumed(self, _, watched):
        watched.joined = not watched.state.unread

    def _refreshing(self, _, watched):
        watched.state.changing = True
        watched.joined = False
        self.state.disturb(watched.state)

    def _refreshed(self, event, watched):
        watched.state.changing = watched.state.broken = False
        watched.state.unread = True
        watched.state.forget()
        watched.snapshot_lsn = event.data
        if watched.clock:
            watched.clock.forget()
        watched.since = event.at - SLACK
        if watched.state.asked:
            self._lead_over(watched, self.reference.replay.index_before(event.data))
        if watched.comparison:
            watched.comparison.follow(None)
            watched.comparison.advance(self.reference.replay.index_before(event.data))

    def _leaving(self, _, watched):
        watched.state.changing = watched.state.in_vain = True
        watched.joined = False
        self.state.disturb(watched.state)

    def _stayed(self, _, watched):
        self.state.disturb(watched.state)
        watched.state.changing = False
        watched.joined = not (watched.state.unread or watched.state.paused)

    def _left(self, _, watched):
        self._drop(watched)

    def _killing(self, _, watched):
        watched.state.changing = watched.state.killed = True
        self.state.disturb(watched.state)

    def _drained(self, event, _):
        self.state.drained()
        now = _when(event)
        for watched in self.watched.values():
            if watched.clock and watched.clock.is_shown and watched.state.flowing() and watched.joined:
                self.subject = watched
                shown = max(times(watched.state.result.as_bag()), default=now)
                require((now - shown).total_seconds() < STANDSTILL, "the time stands still: it is %s, and the rows show %s", now, shown)

    def _closed(self, *_):
        self.state.closed = True
        for watched in list(self.watched.values()):
            self._drop(watched)

    def _note(self, *_):
        pass

    def _drop(self, watched):
        watched.state.over = True
        self.successors.pop(watched.state.asked, None)
        self.watched.pop(watched.state.subscription, None)
        self.state.subscriptions.pop(watched.state.subscription.id, None)

    def _message(self, event, watched):
        message = event.data
        self.counters["messages"] += 1
        if message.get("type") == "progress":
            self._progress(message)
            return
        if watched:
            self._look_around(event, watched)
        received = self.state.receive(message)
        if message["type"] == "reset":
            self.counters["resets"] += 1
            self.counters["reset: %s" % message["reason"]] += 1
            watched.refollow()
        if message["type"] == "terminated":
            self.successors.pop(received.state.asked, None)
            self.watched.pop(received.state.subscription)
        if message["type"] != "changes":
            return
        self.counters["changes"] += len(message["changes"])
        if watched.state.asked and watched.state.leads_over(message):
            self._lead_over(watched, self.reference.replay.index_before(int(message["seq"], 16)))
        if watched.comparison is not None:
            at = self._check_time(message)
            if watched.clock:
                watched.clock.told = at
            xids = message.get("xids", ())
            # Each part of what several transactions did lists all of them.
            if received.xid is not None or xids != watched.xids:
                for xid in [received.xid] if received.xid is not None else map(int, xids):
                    self._check_transaction(watched, message, xid)
            watched.xids = xids or None
            watched.comparison.touched(received.touched)
        if received.closed is not None:
            self._boundary(int(message["seq"], 16), received.xid, received.closed)

    def _progress(self, message):
        """All that is live shows the point of a message of progress, and no transaction is in its snapshot that came
        after that."""
        sees = self.state.progress(message)
        seq = int(message["seq"], 16)
        index = self.reference.replay.index_before(seq)
        for xid, done in self.reference.replay.by_xid.items():
            require(done.index <= index or not sees(xid), "progress up to %s has transaction %s in its snapshot, which"
                    " ended at %s", message["seq"], xid, "%016X" % done.end_lsn)
        self.counters["progress"] += 1
        self._boundary(seq, "number %d, as progress says," % index, ())

    def _look_around(self, event, watched):
        """What the model has to know of the world; and what no message may tell."""
        subscription = watched.state.subscription
        watched.state.altered = self.altered is not None and self.altered.between(
            subscription.tables, START + watched.since, START + event.at)
        tenant = subscription.query.tenant()
        if tenant is not None:
            told = set(re.findall(schema.SECRET + r"(\w+)", event.raw)) - {tenant}
            require(not told, "a message for tenant %s tells a secret of tenant %s", tenant, sorted(told))

    def _check_transaction(self, watched, message, xid):
        done = self.reference.replay.by_xid.get(xid)
        require(done is not None, "a message of transaction %s, which never committed", xid)
        require(done.index >= watched.begun, "transaction %s was told after a later one", xid)
        require(done.index > watched.last_index, "transaction %s was told twice", xid)
        require(done.index > watched.compared, "transaction %s was told late: its subscription had to show"
                " transaction number %s before", xid, watched.compared)
        require(done.end_lsn <= int(message["seq"], 16), "transaction %s is told with the seq %s, and ended at %s", xid,
                message["seq"], "%016X" % done.end_lsn)
        watched.begun = done.index
        at = self._check_time(message)
        require(done.time is None or "xids" in message or watched.clock or at == done.time, "committed_at is %s, but it was %s",
                message["committed_at"], done.time)

    @staticmethod
    def _check_time(message):
        told = message["committed_at"]
        try:
            return datetime.fromisoformat(told)
        except (TypeError, ValueError) as error:
            raise Violation("committed_at is no time: %s" % told) from error

    def _boundary(self, seq, xid, states):
        """A point is complete: what is live has to be exactly as it was there, however it came to be live."""
        index = self.reference.replay.index_before(seq)
        after = xid if xid is not None else "number %d" % index
        balances, shown = {}, {}
        throttles = {state.subscription.throttle for state in states}
        for watched in self._in_order():
            told = watched.state in states
            if told:
                watched.last_index, watched.xids = watched.begun, None
            # Where the two results are alike, no message leads from the one to the other.
            if watched.state.asked and (told or watched.joined) and watched.state.flowing():
                self._lead_over(watched, index)
            # Nor is it known which of them it has while the call is under way: whichever is right.
            unknown = watched.state.asked and watched.state.changing
            # What was still to be told of this point comes with the commit of the call, or after its rollback.
            parted, watched.parted = watched.parted, False
            if unknown and (watched.whole or parted):
                continue
            if unknown and told and watched.comparison:
                watched.comparison.advance(index)
                if watched.comparison.mismatched:
                    self._lead_over(watched, index)
            comparison = watched.comparison
            if comparison is None or comparison.result is None:
                continue
            if not told and not (watched.state.flowing() and watched.joined):
                continue
            # Between its messages, one that is throttled shows an earlier point; all of one throttle the same.
            if not told and watched.state.subscription.throttle and watched.state.subscription.throttle not in throttles:
                continue
            if not told and self.ending[watched.state.subscription.id]:
                continue  # it has ended, maybe before this point, and is told so below
            self.subject = watched
            seen = max(comparison.index, watched.begun)
            comparison.advance(index)
            if watched.clock:
                since = self.examiner.felt_since(watched.state.subscription.query, index, seen)
                self._look_at_clock(watched, told, shown, since)
            if watched.whole:
                self.examiner.take(self, watched, index, after, told)
                self._balance(watched, after, balances)
            require(not comparison.mismatched, "after transaction %s the result differs%s", xid,
                    "" if told else ": it was told nothing of it, or of one before")
            watched.compared = index
            self.counters["boundary comparisons"] += 1

    def _in_order(self):
        """Those that tell the time come before others that ask it."""
        return sorted(self.watched.values(), key=lambda watched: watched.clock is not None and not watched.clock.is_shown)

    def _look_at_clock(self, watched, told, shown, since=None):
        """shown: what those before it have told of the time, by the length of their steps and their throttle; since: as of
        Clock.look."""
        alike = watched.clock.step, watched.state.subscription.throttle
        found = watched.clock.look(watched.state.result.as_bag(), told, _when(self.history[-1]), shown.get(alike), since)
        if found:
            shown[alike] = found

    def _balance(self, watched, after, balances):
        """What the accounts hold together never changes: no two live queries of one connection may tell otherwise.
        balances: what those before it have told of each part."""
        query = watched.state.subscription.query
        if not query.balance:
            return
        part, told = query.balance[0], selects.held(query, watched.state.result.as_bag())
        require(balances.setdefault(part, told) == told, "after transaction %s the accounts of %s hold %s to one live query, and %s"
                " to another", after, part, balances[part], told)
        for parts in (("all",), ("checking", "saving")):
            if part in parts and all(one in balances for one in parts):
                total = sum(balances[one] for one in parts)
                require(total == relations.TOTAL, "after transaction %s the accounts hold %s, and not %s", after, total,
                        relations.TOTAL)
                self.counters["sums of accounts"] += 1


def _when(event):
    """Returns when it was recorded, as a datetime."""
    return datetime.fromtimestamp(time.time() - time.monotonic() + START + event.at, timezone.utc)


def _show(counter):
    shown = ["%d × %s" % (count, rows.show_row(row)) for row, count in list(counter.items())[:5]]
    return "[%s%s]" % (", ".join(shown), ", …" if len(counter) > 5 else "")


class Checker:
    """All connections at one quiet point."""

    def __init__(self, reference, counters, truth, past=None, rng=None, **options):
        self.reference = reference
        self.past = past
        self.examiner = Examiner(past, rng, counters) if past else None
        self.counters = counters
        self.truth = truth
        self.options = options  # of a ConnectionCheck and its ConnectionState
        self.connections = {}   # Trace -> ConnectionCheck
        self.story = None       # of the first difference, if it is one of any SELECT

    def quiet_point(self, traces):
        """Checks everything since the last call; returns the pairs of (ConnectionCheck, Violation)."""
        self.reference.read()
        self.reference.verify()
        if self.past:
            self.past.begin()
        self.counters["transactions"] = len(self.reference.replay.lsns)
        cache = {}

        def truth(query, clock):
            if (query, clock) not in cache:
                cache[query, clock] = self.truth(query, clock)
            return cache[query, clock]

        found = []
        for trace in traces:
            check, violation = self._walk(trace, truth)
            if violation:
                found.append((check, violation))
            if check.state.closed:
                del self.connections[trace]
        if self.past:
            found += self.examiner.examine()
            self._keep_story(found)
            self.past.end()
        self.reference.forget()
        return found

    def look_back(self, trace):
        """Checks what was recorded until a client failed; returns its ConnectionCheck and the Violation, or None."""
        self.reference.read()
        if not self.past:
            return self._walk(trace)
        self.past.begin()
        check, violation = self._walk(trace)
        violation = violation or next((one for _, one in self.examiner.examine()), None)
        self._keep_story([(check, violation)] if violation else [])
        return check, violation

    def _keep_story(self, found):
        """Of the first whose whole query gives another result, else of the first that breaks a rule."""
        subjects = [check.subject for check, _ in found if check.subject and check.subject.whole]
        for watched in sorted(subjects, key=lambda one: getattr(one.comparison, "failed", None) is None):
            if self.story is None:
                failed = getattr(watched.comparison, "failed", None)
                index = failed.index if failed else len(self.reference.replay.lsns) - 1
                clock = (failed and failed.clocks[0]) or datetime.now(timezone.utc)
                self.story = story_of(self.past, watched.state.subscription.query, index, clock)

    def _walk(self, trace, truth=None):
        check = self.connections.get(trace)
        if check is None:
            check = self.connections[trace] = ConnectionCheck(
                trace, self.reference, self.counters, examiner=self.examiner, **self.options)
        try:
            check.extend()
            check.walk(trace.take())
            if truth and not check.state.closed:
                check.quiet(truth)
        except (Violation, rows.Malformed) as violation:
            return check, violation
        return check, None
