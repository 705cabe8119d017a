"""bench_row_security.py: many subscribers under row security, beside the same without it.

Each subscriber sees what a policy shows him: those that applications have, equality with a setting or with
the current user, a list, and membership by another table. The other side has the policy's condition in
the query, on a table without row security. The subscribers of both are there at one time, and rows are
written for them in turns.
"""

import collections
import contextlib
import time

from bench_clients import NOTE
from bench_delivery import each
from bench_report import in_turns, percentile

COUNTS = (1, 1_000, 10_000)
READERS = 10
CONNECTIONS = READERS  # so that whatever has that many readers comes to each connection once
ROWS = 1_000  # of a transaction
RATE = 100  # commits of one row a second
WARM_UP = 20

# Who sees a row: subscriber number `owner`, and the next ones where it is for several `readers`. `become` makes
# the session that of subscriber i, who sees by `using` what the condition shows to `param`.
Policy = collections.namedtuple("Policy", "name using become condition param readers type prefix", defaults=("integer", ""))

LIST = f"(SELECT string_agg(n::text, ',') FROM generate_series(i - {READERS - 1}, i) n)"
ANY_READER = "set_config('role', 'bench_reader', false)"


def setting(name, value):
    """What makes a session that of a subscriber whom a setting tells apart."""
    return f"{ANY_READER}, set_config('bench.{name}', {value}, false)"


def membership(name, condition):
    """A policy of who is a member; the condition has {} where it asks who."""
    return Policy(name, condition.format("current_setting('bench.who')"), setting("who", "i::text"),
                  condition.format("$1"), "i::text", READERS)


POLICIES = (
    Policy("owner = current_setting()", "owner = current_setting('bench.tenant')::int", setting("tenant", "i::text"),
           "owner = $1", "i::text", 1),
    Policy("owner = current_user", "owner = current_user", "set_config('role', 'bench_' || i, false)",
           "owner = $1", "'bench_' || i", 1, "name", "bench_"),
    Policy("owner = ANY (string_to_array())", "owner = ANY (string_to_array(current_setting('bench.tenants'), ',')::int[])",
           setting("tenants", LIST), "owner = ANY ($1)", f"'{{' || {LIST} || '}}'", READERS),
    membership("EXISTS (members)", "EXISTS (SELECT FROM bench_members m WHERE m.team = owner AND m.who = {})"),
    membership("IN (members)", "owner IN (SELECT team FROM bench_members WHERE who = {})"),
)

SCHEMA = f"""
CREATE ROLE bench_reader;
DO $$ BEGIN
    FOR i IN 0 .. {max(COUNTS) - 1} LOOP
        EXECUTE format('CREATE ROLE bench_%s', i);
    END LOOP;
END $$;
CREATE TABLE bench_members (team integer, who text, PRIMARY KEY (team, who));
CREATE INDEX ON bench_members (who);
INSERT INTO bench_members
    SELECT team, team + n FROM generate_series(0, {max(COUNTS) - 1}) team, generate_series(0, {READERS} - 1) n;
ANALYZE bench_members;
GRANT SELECT ON bench_members TO PUBLIC;
"""

TABLE = """
DROP TABLE IF EXISTS {table};
CREATE TABLE {table} (id bigint PRIMARY KEY, owner {type} NOT NULL, amount numeric(12, 2) NOT NULL, note text NOT NULL);
CREATE INDEX ON {table} (owner);
ALTER TABLE {table} REPLICA IDENTITY FULL;
GRANT SELECT ON {table} TO PUBLIC;
"""

SUBSCRIBE = """
DO $do$ BEGIN
    FOR i IN %c - 1 .. {last} BY {step} LOOP
        PERFORM {become};
        PERFORM FROM live.subscribe('s' || i, $query$SELECT id, owner, amount, note FROM {table} {condition}$query$, {params});
        PERFORM FROM live.snapshot('s' || i);
    END LOOP;
END $do$
"""


class Side:
    """A table and its subscribers, under row security or without it."""

    def __init__(self, bench, server, policy, count, secured):
        self.clients, self.server, self.policy, self.count = bench.clients, server, policy, count
        self.table = "bench_secured" if secured else "bench_open"
        server.execute(TABLE.format(table=self.table, type=policy.type))
        if secured:
            server.execute(f"ALTER TABLE {self.table} ENABLE ROW LEVEL SECURITY; "
                           f"CREATE POLICY readers ON {self.table} USING ({policy.using})")
        shapes = self.shapes_that_stay()
        start = time.monotonic()
        self.listener = bench.clients.listener(server, (SUBSCRIBE.format(
            last=count - 1, step=CONNECTIONS, table=self.table,
            become=policy.become if secured else ANY_READER,
            condition="" if secured else f"WHERE {policy.condition}",
            params="'{}'" if secured else f"ARRAY[{policy.param}]"),), CONNECTIONS, threads=2, record=True)
        self.subscribing = (time.monotonic() - start) * 1e3 / count
        self.shapes = self.counter("templates") - shapes
        self.last_id = 0
        self.commits = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.__exit__()

    def shapes_that_stay(self):
        """Those of who is there: of those that have left, the worker forgets them a moment later."""
        before, now = None, self.counter("templates")
        while before != now:
            time.sleep(0.3)
            before, now = now, self.counter("templates")
        return now

    def counter(self, name):
        return self.server.value(f"SELECT coalesce(sum({name}), 0)::int FROM live.workers")

    def told(self, owners):
        """How many changes each connection is told of, of one row for each of the owners."""
        changes = [0] * CONNECTIONS
        for owner in owners:
            for subscriber in range(owner, min(owner + self.policy.readers, self.count)):
                changes[subscriber % CONNECTIONS] += 1
        return changes

    def write(self, transactions, singles):
        """Rows of all owners in large transactions: their rate, and what it took. Then single ones of the first owner."""
        batches, evaluations = self.counter("batches"), self.counter("evaluations")
        with self.server.connect() as writer:
            start = time.monotonic_ns()
            for _ in range(transactions):
                writer.execute(f"INSERT INTO {self.table} SELECT {self.last_id} + i, ('{self.policy.prefix}' || i %% %s)"
                               f"::{self.policy.type}, 12.50, '{NOTE}' FROM generate_series(1, {ROWS}) i", self.count)
                self.last_id += ROWS
        totals = self.listener.totals(*self.told(i % self.count for i in range(1, ROWS + 1) for _ in range(transactions)))
        batches, evaluations = self.counter("batches") - batches, self.counter("evaluations") - evaluations

        commits, _ = self.clients.write_at_rate(self.server, self.table, RATE, singles, "on",
                                                owner=f"{self.policy.prefix}0", after=self.last_id)
        self.listener.totals(*self.told([0] * singles))
        self.commits.append({number: times for number, times in commits.items() if number > self.last_id + WARM_UP})
        self.last_id += singles
        return {"rate": transactions * ROWS / (totals.last - start) * 1e9,
                "evaluations": evaluations / batches if batches else 0.0}

    def latencies(self):
        """From COMMIT sent to the message, p50 of each repetition; at the end."""
        self.listener.end()
        arrivals = self.listener.arrivals()
        return [percentile([(arrivals[number] - start) / 1e6 for number, (start, _) in commits.items()], 0.5)
                for commits in self.commits]


def row_security(bench):
    """Changes/s, evaluations and latency of each policy, with 1, 1,000 and 10,000 subscribers."""
    if bench.baseline_only:
        return
    server = bench.servers.get("many")
    if not server.value("SELECT to_regclass('bench_members') IS NOT NULL"):
        server.execute(SCHEMA)
    transactions = max(2, round(6 * bench.scale))
    singles = WARM_UP + max(30, round(50 * bench.scale))
    for policy in POLICIES:
        for count in bench.counts(max(1, round(count * min(1, bench.scale))) for count in COUNTS):
            bench.progress(f"row_security: {count:,} subscribers, {policy.name}")
            with contextlib.ExitStack() as stack:
                on, off = (stack.enter_context(Side(bench, server, policy, count, secured)) for secured in (True, False))
                ours, other = in_turns(bench.repetitions, lambda: on.write(transactions, singles),
                                       lambda: off.write(transactions, singles))
                add = lambda what, unit, ours, other: bench.report.add("row_security", what, unit, ours, other,
                                                                       "no row security")
                add(f"{policy.name}, {count:,} subscribers", "rows/s", each(ours, "rate"), each(other, "rate"))
                add("  COMMIT to message, p50", "ms", on.latencies(), off.latencies())
                if any(each(ours + other, "evaluations")):  # the stream needs none
                    add("  evaluations", "a batch", each(ours, "evaluations"), each(other, "evaluations"))
                add("  shapes of live queries", "", [on.shapes], [off.shapes])
                add("  time to subscribe, each", "ms", [on.subscribing], [off.subscribing])
