"""The verdict: what may grow by how much, the table, and the count of what passed.

A leak grows with every operation; an allocator, a cache or a hash table grows until it has what it needs. So each measure is
taken three times: before the stage, after its first half and after its second. The second half is held to a narrow
limit, the whole stage to a wider one. An allocator also grows by steps, each as large as what it had: a limit
that was passed is not yet a leak, one that is passed again after as much more is.
"""

# Of each measure by its last word: allowed growth in the second half, and over the whole stage.
LIMITS = {
    # Anonymous memory, resident or swapped. An allocator gives back what it likes; the contexts below say more exactly.
    "memory kB": (1024, 4096),
    "postmaster memory kB": (128, 512),
    "launcher memory kB": (128, 512),
    "contexts kB": (128, 2048),    # what its memory contexts have taken
    "files": (1, 3),               # open file descriptors, but for files of tables
    "mapped": (1, 2),              # segments of dynamic shared memory that it has mapped
    "segments": (1, 2),            # that exist
    "segments kB": (1024, 2048),
    "temporary files": (0, 2),     # a connection that ever spilled keeps an empty one
    "temporary kB": (0, 0),
    "slots": (0, 0),
    "files of slots": (0, 0),
    "decoding snapshots": (32, 32),  # pg_logical/snapshots; a checkpoint removes those that are not needed any more
    "processes": (0, 0),           # backends of clients, launcher, decoders
    "subscriptions": (0, 0),       # in the view, by status, and as the server counts them
    "terminated shown": (64, 64),  # the view keeps so many
    "databases": (0, 0),
    "WAL retained MB": (48, 48),   # by our slots, at rest
    "pg_wal MB": (128, 128),
}


def limits_of(measure, changed):
    """Returns the two limits of a measure, whose name may begin with its process ("decoder memory kB")."""
    best = max((name for name in LIMITS if measure == name or measure.endswith(" " + name)), key=len)
    return changed.get(best, LIMITS[best])


def grown(name, values, changed):
    """Tells whether the three measurements of a measure pass its limits. What one of them lacks has failed."""
    half, whole = limits_of(name, changed)
    # What was there before the stage is not growth: caches that were emptied fill again.
    return None in values or values[2] - max(values[:2]) > half or values[2] - values[0] > whole


def any_grown(start, middle, end, changed):
    """Tells the same of all measures of three measurements."""
    return any(grown(name, [one[name] for one in (start, middle, end)], changed) for name in start)


class Report:
    """All rows; prints a table after each stage."""

    def __init__(self):
        self.rows = []
        self.printed = 0
        self.passed = self.failed = 0

    def add_stage(self, stage, start, middle, end, limits):
        """Judges three measurements of one stage."""
        for name in start:
            values = [one[name] for one in (start, middle, end)]
            half, whole = limits_of(name, limits)
            good = not grown(name, values, limits)
            self._count(good)
            shown = ["gone" if value is None else "%d" % value for value in values]
            self.rows.append([stage, name] + shown + ["+%d" % half, "+%d" % whole, "" if good else "FAILED"])

    def add_check(self, stage, what, good):
        """Adds something that holds or does not."""
        self._count(good)
        self.rows.append([stage, what, "", "", "", "", "", "ok" if good else "FAILED"])

    def print_stage(self):
        """Prints what was added since the last call."""
        head = ["stage", "measure", "before", "halfway", "after", "half may", "all may", ""]
        rows = [head] + self.rows[self.printed:]
        self.printed = len(self.rows)
        widths = [max(len(row[column]) for row in rows if column != 1 or row[2]) for column in range(len(head))]
        print()
        for row in rows:
            line = "  ".join(text.ljust(width) if column < 2 else text.rjust(width)
                             for column, (text, width) in enumerate(zip(row, widths)))
            if not row[2]:
                line = "%s  %s: %s" % (row[0].ljust(widths[0]), row[1], row[7])
            print(line.rstrip(), flush=True)

    def close(self):
        """Prints the rest and the totals; returns the exit status."""
        if self.printed < len(self.rows):
            self.print_stage()
        if not self.passed:
            self.failed = max(self.failed, 1)
        print("\n%d passed, %d failed" % (self.passed, self.failed))
        return 1 if self.failed else 0

    def _count(self, good):
        self.passed += bool(good)
        self.failed += not good
