"""Compares the results of any SELECT at message boundaries.

Owns: what a client had at each boundary that a query can have felt, kept until the walk over all connections is over, and
the comparison with what the whole query gives at that position (past.py): of some hundred at each quiet point, chosen at
random, and of each subscription's last. Where one differs, those before it are looked at until the first is found.
"""

from collections import Counter
from dataclasses import dataclass

import rows
from clocks import LONG_AGO
from state import Violation

SAMPLES = 250  # comparisons at each quiet point, beside the last ones


@dataclass
class Moment:
    """What a client had at a boundary."""

    check: object     # checks.ConnectionCheck
    watched: object   # checks.Watched
    subscription: object  # as it was then, as is
    comparison: object
    index: int        # of the last transaction
    felt: int         # of the last that the query can have felt; -1: none of this interval
    after: object     # what a report calls the boundary
    told: bool        # whether the point had a message for it
    bag: Counter
    order: list       # of a list: the rows; else None
    clocks: tuple = (None,)  # the times that it may show, if the query asks for it


class WholeComparison:
    """Of one subscription. It answers to what checks.Comparison does; nothing differs before the walk is over."""

    mismatched = ()

    def __init__(self):
        self.index = -1
        self.result = None    # the client's; None: nothing to compare with yet
        self.changed = True   # since the last moment
        self.felt = None      # by the last moment, and the times that it may show
        self.right = -1       # index of the last transaction after which it was right
        self.failed = None    # the Moment that was wrong
        self.expected_bag = None

    def begin(self):
        """A new interval begins."""
        self.felt, self.changed = None, True

    def fails_near(self, _):
        """As of a Comparison: not looked at."""
        return False

    def advance(self, index):
        """As of a Comparison."""
        self.index = max(index, self.index)

    def follow(self, result):
        """As of a Comparison."""
        self.result, self.changed = result, True

    def touched(self, _):
        """As of a Comparison."""
        self.changed = True

    def suspects(self):
        """As of a Comparison: with a difference, the transaction that it is after."""
        return [self.failed.felt] if self.failed and self.failed.felt >= 0 else []

    def describe(self):
        """Returns lines that tell the difference."""
        if not self.failed:
            return []
        got, expected = self.failed.bag, self.expected_bag
        lines = ["after transaction number %d; the last time that it was right: number %d" % (self.failed.index, self.right)]
        if None not in self.failed.clocks:
            lines.append("expected at %s%s" % (self.failed.clocks[0], ", and others at the times up to %s" % self.failed.clocks[-1]
                                               if len(self.failed.clocks) > 1 else ""))
        for what, some in (("alone expected", expected - got), ("alone got", got - expected), ("both", got & expected)):
            lines += ["%-15s %d × %s" % (what, count, rows.show_row(row)) for row, count in list(some.items())[:20]]
        if self.failed.order is not None:
            for what, some in (("in order", expected.order), ("got in order", self.failed.order)):
                lines.append("%-15s %s" % (what, " ".join(rows.show_row(row) for row in some)))
        return lines


class Examiner:
    """The moments of one interval."""

    def __init__(self, past, rng, counters):
        self.past = past
        self.rng = rng
        self.counters = counters
        self.moments = []
        self.samples = SAMPLES

    def take(self, check, watched, index, after, told):
        """Keeps what a client has at a boundary."""
        comparison = watched.comparison
        clocks = watched.clock.possible if watched.clock else (None,)
        if not clocks:
            self.counters["boundaries of which the time is not known"] += 1
            return
        if index < self.past.start:
            return  # of what was held back since before the last quiet point
        subscription = watched.state.subscription
        felt = self.past.felt(subscription.query, index)
        if not comparison.changed and (felt, clocks) == comparison.felt:
            return
        comparison.changed, comparison.felt = False, (felt, clocks)
        result = watched.state.result
        order = result.order() if subscription.query.ordered else None
        self.moments.append(Moment(check, watched, subscription, comparison, index, felt, after, told,
                                   result.as_bag(), order, clocks))

    def felt_since(self, query, index, seen):
        """Returns when the last transaction up to an index has committed that a query can have felt, if it came after another
        one (seen); else None."""
        felt = self.past.felt(query, index)
        if max(felt, self.past.start) <= seen:
            return None
        return (self.past.committed_at(felt) if felt > self.past.start else None) or LONG_AGO

    def examine(self):
        """Compares; returns the pairs of (ConnectionCheck, Violation), of each subscription the first."""
        moments, self.moments = self.moments, []
        last = {id(moment.comparison): moment for moment in moments}
        chosen = {id(moment) for moment in last.values()}
        chosen.update(id(moment) for moment in self.rng.sample(moments, min(self.samples, len(moments))))
        found = {}
        for moment in sorted((one for one in moments if id(one) in chosen), key=lambda one: one.index):
            if id(moment.comparison) not in found and not self._right(moment):
                found[id(moment.comparison)] = self._first(moment, moments)
        return [self._violation(moment) for moment in found.values()]

    def _right(self, moment):
        if None not in moment.clocks:
            self.counters["boundary comparisons at a time that is %s" % ("known" if len(moment.clocks) == 1 else "not known exactly")] += 1
        return any(self._right_at(moment, clock) for clock in moment.clocks)

    def _right_at(self, moment, clock):
        expected = self.past.result(moment.subscription.query, moment.index, clock)
        if expected is None:
            self.counters["boundaries whose query took too long"] += 1
            return True
        self.counters["boundary comparisons of any select"] += 1
        if expected != moment.bag or moment.order is not None and expected.order != moment.order:
            return False
        moment.comparison.right = moment.index
        return True

    def _first(self, moment, moments):
        """Returns the first moment of the same subscription that is wrong, since it was last seen to be right."""
        since = moment.comparison.right
        for one in moments:
            if one is moment:
                break
            if one.comparison is moment.comparison and one.index > since and not self._right(one):
                return one
        return moment

    def _violation(self, moment):
        comparison = moment.watched.comparison = moment.comparison
        moment.watched.state.subscription = moment.subscription
        comparison.failed = moment
        comparison.expected_bag = self.past.result(moment.subscription.query, moment.index, moment.clocks[0])
        moment.check.subject = moment.watched
        moment.check.xid = None
        return moment.check, Violation("after transaction %s the whole query gives another result%s" % (
            moment.after, "" if moment.told else ": it was told nothing of it, or of one before"))
