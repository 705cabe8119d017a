"""bench_many.py: how soon a client has a change, beside very many subscriptions that it does not concern.

Ten connections share them, each for an owner's rows; what is written is of the first owner alone. The other side has
as many channels of LISTEN, on as many connections.
"""

import contextlib

from bench_delivery import AGAINST, COLUMNS, each
from bench_report import in_turns, percentile, subscriptions

COUNTS = (1, 100, 10_000, 100_000)
CONNECTIONS = 10
RATES = ((100, "on"), (1_000, "on"), (5_000, "off"))  # commits/s, synchronous_commit
SECONDS = 1

SUBSCRIBE = f"""
SELECT count(*) FROM generate_series(%c, {{count}}, {CONNECTIONS}) i,
    live.subscribe('s' || i, 'SELECT {COLUMNS} FROM items WHERE owner = $1', ARRAY[i::text], "snapshot" => false)
"""
LISTEN = f"""
DO $$ BEGIN
    FOR i IN %c .. {{count}} BY {CONNECTIONS} LOOP
        EXECUTE 'LISTEN items_' || i;
    END LOOP;
END $$
"""


class Watchers:
    """The first of ten connections is told of what is written; all together have so many subscriptions."""

    def __init__(self, bench, server, table, setup, count):
        self.bench, self.server, self.table = bench, server, table
        self.connections = min(count, CONNECTIONS)
        server.empty(table)
        self.listener = bench.clients.listener(server, (setup.format(count=count),), self.connections, record=True)
        self.last_id = 0
        self.commits = {rate: [] for rate, _ in RATES}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.__exit__()

    def write(self, rate, synchronous_commit):
        """Single rows of the first owner, at a rate."""
        count = max(50, round(rate * SECONDS * self.bench.scale))
        warm_up = self.last_id + count // 10
        commits, achieved = self.bench.clients.write_at_rate(self.server, self.table, rate, count, synchronous_commit,
                                                             after=self.last_id)
        self.listener.totals(count, *[0] * (self.connections - 1))
        if achieved < 0.95 * rate:
            self.bench.note(f"many_latency: {self.server.name} reached only {achieved:,.0f} of {rate:,} commits/s")
        self.last_id += count
        self.commits[rate].append({number: times for number, times in commits.items() if number > warm_up})

    def latencies(self):
        """By rate: p50, p99 and the greatest of each repetition, in ms; at the end."""
        self.listener.end()
        arrivals = self.listener.arrivals()
        return {rate: [figures([(arrivals[number] - start) / 1e6 for number, (start, _) in commits.items()]) for commits in runs]
                for rate, runs in self.commits.items()}


def figures(values):
    return {"p50": percentile(values, 0.50), "p99": percentile(values, 0.99), "max": max(values)}


def many_latency(bench):
    """From COMMIT sent to the message of one connection, beside 1 to 100,000 subscriptions, at three rates."""
    plain = bench.servers.get("plain")
    live = None if bench.baseline_only else bench.servers.get("many")
    alone = {}
    for count in bench.counts(COUNTS):
        bench.progress(f"many_latency: {subscriptions(count)}")
        with contextlib.ExitStack() as stack:
            ours = stack.enter_context(Watchers(bench, live, "items", SUBSCRIBE, count)) if live else None
            other = stack.enter_context(Watchers(bench, plain, "items_owner", LISTEN, count))
            for rate, commit in RATES:
                in_turns(bench.repetitions, (lambda: ours.write(rate, commit)) if ours else None,
                         lambda: other.write(rate, commit))
            mine, theirs = ours.latencies() if ours else {}, other.latencies()
        for rate, commit in RATES:
            of_mine, case = mine.get(rate, []), f"{subscriptions(count)}, {rate:,}/s, synchronous_commit {commit}"
            for what, most in (("p50", 1), ("p99", 5), ("max", None)):
                bench.report.add("many_latency", f"{what}, {case}", "ms", each(of_mine, what), each(theirs[rate], what), AGAINST,
                                 below=most)
            alone.setdefault(rate, each(of_mine, "p50"))
            if count > 1:
                bench.report.add("many_latency", f"  p50 of {subscriptions(count)}", "ms", each(of_mine, "p50"), alone[rate],
                                 "one subscription", at_most=1.2)
