"""What became of all queries, and what is said of it at the end."""

import re
import sys
from collections import Counter

KINDS = ("stream", "delta", "refresh", "refused", "fails", "slow", "problem")


class Report:
    """Counts outcomes, and keeps problems."""

    def __init__(self, log=None):
        self.counts = {}      # suite -> Counter of kinds
        self.reasons = Counter()
        self.whole = Counter()
        self.notes = Counter()
        self.problems = 0
        self.log = open(log, "w", encoding="utf-8") if log else None

    def outcome(self, suite, line, text, outcome, seconds):
        """Takes one in."""
        self.counts.setdefault(suite, Counter())[outcome.kind] += 1
        if outcome.kind == "refused":
            self.reasons[outcome.text] += 1
        if outcome.kind == "refresh":
            self.whole[outcome.text] += 1
        self.notes.update(outcome.notes)
        if self.log:
            print("%s:%d\t%s\t%.2f s\t%s\t%s\t%s" % (suite, line, outcome.kind, seconds, outcome.text, ", ".join(outcome.notes), text),
                  file=self.log, flush=True)

    def problem(self, suite, line, text, problem, watch):
        """Shows one at once."""
        self.problems += 1
        self.counts.setdefault(suite, Counter())["problem"] += 1
        print("FAILED %s:%d: %s\n  query: %s" % (suite, line, problem, text))
        for name, value in watch.explained:
            print("  %s: %s" % (name, value))
        for statement in watch.changes.done:
            print("    %s" % re.sub(r"\s+", " ", statement)[:240])
        sys.stdout.flush()
        if self.log:
            print("%s:%d\tproblem\t\t%s\t\t%s" % (suite, line, str(problem).replace("\n", " "), " ".join(text.split())),
                  file=self.log, flush=True)

    def show(self):
        """Prints the tables."""
        total = sum(self.counts.values(), Counter())
        print("%-24s%s" % ("", "".join("%9s" % kind for kind in KINDS)))
        for suite, counts in list(self.counts.items()) + [("all", total)]:
            print("%-24s%s" % (suite, "".join("%9d" % counts[kind] for kind in KINDS)))
        print("\nnotes")
        for note, count in self.notes.most_common():
            print("%6d  %s" % (count, note))
        for title, reasons in (("why refresh", self.whole), ("why refused", self.reasons)):
            print("\n" + title)
            for reason, count in reasons.most_common():
                print("%6d  %s" % (count, reason))
