"""bench_delta.py: any SELECT: what keeping joins, groups, windows and the like live costs.

The tables are orders of customers of regions, a hundred orders a customer. The measures are
the same live query on a small table (is the cost that of the change, or that of the table?),
the query run once, a client that polls, one subscription beside many, and an aggregate that a
trigger keeps in the writers' own transactions.
"""

import collections
import contextlib
import functools
import json
import select
import time

from bench_clients import NOTE, SlotConsumer
from bench_delivery import SECONDS
from bench_load import WRITERS
from bench_polling import Poller
from bench_report import in_turns, percentile

SMALL = 10_000
BIG = 1_000_000
HUGE = 10_000_000
HUGE_SCALE = 5
PER_CUSTOMER = 100
PER_BLOCK = 100_000
CHANGES = 200
CHANGES_OF_QUICK = 40
WARM_UP = 10
POLL_SECONDS = 2  # for how long one polls, and once at least
CONNECTIONS = 10
MEMBERS = 10  # who look after a customer
PAUSE = 0.005  # seconds between changes: none waits for the turn, or the flush, of the one before
PATIENCE = 30  # seconds for one message
FLAT = 1.5

SCHEMA = """
CREATE TABLE regions (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE customers (id integer PRIMARY KEY, region integer NOT NULL, name text NOT NULL);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer integer NOT NULL,
    block integer NOT NULL,
    amount numeric(12, 2) NOT NULL,
    status text NOT NULL,
    label text NOT NULL
);
CREATE TABLE members (customer integer, who integer, PRIMARY KEY (customer, who));
CREATE INDEX ON members (who);
CREATE INDEX ON customers (region);
CREATE INDEX ON orders (customer);
CREATE INDEX ON orders (block);
CREATE INDEX ON orders (amount, id);
CREATE INDEX ON orders (label);
INSERT INTO regions SELECT i, 'region ' || i FROM generate_series(0, 9) i;

CREATE TABLE sales (LIKE items INCLUDING ALL);
CREATE SEQUENCE sales_id_seq OWNED BY sales.id;
ALTER TABLE sales ALTER id SET DEFAULT nextval('sales_id_seq');
CREATE INDEX ON sales (owner);
ALTER PUBLICATION p ADD TABLE sales;
CREATE TABLE sales_kept (LIKE sales INCLUDING ALL);
CREATE SEQUENCE sales_kept_id_seq OWNED BY sales_kept.id;
ALTER TABLE sales_kept ALTER id SET DEFAULT nextval('sales_kept_id_seq');
CREATE TABLE totals (owner integer PRIMARY KEY, n bigint NOT NULL, amount numeric NOT NULL);
CREATE FUNCTION keep_total() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals VALUES (NEW.owner, 1, NEW.amount)
        ON CONFLICT (owner) DO UPDATE SET n = totals.n + 1, amount = totals.amount + EXCLUDED.amount;
    RETURN NULL;
END $$;
CREATE TRIGGER keep AFTER INSERT ON sales_kept FOR EACH ROW EXECUTE FUNCTION keep_total();
"""

FILL = f"""
TRUNCATE orders, customers, members;
INSERT INTO customers SELECT i, i %% 10, 'customer ' || i FROM generate_series(0, %(customers)s) i;
INSERT INTO orders
    SELECT i, i / {PER_CUSTOMER}, i / {PER_BLOCK}, i %% 1000, 'paid', 'label ' || i / {PER_CUSTOMER}
    FROM generate_series(0, %(rows)s - 1) i;
INSERT INTO members
    SELECT c, (c + n * 997) %% (%(customers)s + 1) FROM generate_series(0, %(customers)s) c, generate_series(0, {MEMBERS} - 1) n;
VACUUM ANALYZE customers;
VACUUM ANALYZE members;
VACUUM ANALYZE orders;
"""

# `change` makes one message each time: %(i)s counts up, %(id)s is each customer's first order in turn.
# `param` is what $1 stands for.
Form = collections.namedtuple("Form", "name query change flat param", defaults=(None,))

AMOUNT = "UPDATE orders SET amount = amount + 1 WHERE id = %(id)s"
TOGGLE = ("UPDATE orders SET status = CASE status WHEN 'paid' THEN 'open' ELSE 'paid' END "
          "WHERE id = %(id)s")
TOP_OF_CUSTOMER = "orders WHERE customer = $1 ORDER BY amount DESC, id DESC LIMIT 10"

FORMS = (
    Form("join of two", "SELECT o.id, o.amount, c.name FROM orders o JOIN customers c ON c.id = o.customer",
         AMOUNT, True),
    Form("join of three",
         "SELECT o.id, o.amount, c.name, r.name AS region FROM orders o JOIN customers c ON c.id = o.customer "
         "JOIN regions r ON r.id = c.region", AMOUNT, True),
    Form("sum of groups of 100", "SELECT customer, sum(amount) AS total FROM orders GROUP BY customer",
         AMOUNT, True),
    Form("sum of groups of 100,000", "SELECT block, sum(amount) AS total FROM orders GROUP BY block",
         AMOUNT, False),
    Form("left join",
         "SELECT c.id, c.name, o.id AS ord FROM customers c LEFT JOIN orders o ON o.customer = c.id "
         "AND o.status = 'open'", TOGGLE, True),
    Form("EXISTS",
         "SELECT id, name FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.id "
         "AND o.status = 'open')", TOGGLE, True),
    Form("top 10", "SELECT id, amount FROM orders ORDER BY amount DESC, id DESC LIMIT 10",
         "UPDATE orders SET amount = 1000000 + %(i)s WHERE id = %(id)s", True),
    Form("top 10 of a customer", f"SELECT id, amount FROM {TOP_OF_CUSTOMER}",
         f"UPDATE orders SET amount = 1000000 + %(i)s WHERE id = 7 * {PER_CUSTOMER} + %(i)s %% {PER_CUSTOMER}", True,
         param="7"),
    Form("DISTINCT", "SELECT DISTINCT label FROM orders",
         "UPDATE orders SET label = 'own ' || %(i)s WHERE id = %(id)s", True),
    Form("window of 100",
         "SELECT id, sum(amount) OVER (PARTITION BY customer ORDER BY id) AS running FROM orders",
         AMOUNT, True),
)

TWO_TABLES = ("SELECT i.id, i.amount, c.name FROM items i JOIN customers c ON c.id = i.owner")


class Watcher:
    """One connection that listens to its live queries, whose messages are waited for."""

    def __init__(self, server):
        self.connection = server.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.raw.close()

    def subscribe(self, name, query, params="{}"):
        self.connection.execute("SELECT live.subscribe(%s, %s, %s)", name, query, params)
        self.connection.execute("SELECT count(*) FROM live.snapshot(%s)", name)

    def next(self):
        """Waits for the last message of a point; when it arrived, in nanoseconds."""
        raw = self.connection.raw
        end = time.monotonic() + PATIENCE
        while True:
            while raw.notifies:
                message = json.loads(raw.notifies.pop(0).payload)
                if message["type"] != "changes":
                    raise RuntimeError(f"{message['type']}: {message.get('reason')}")
                if not message["more"]:
                    return time.monotonic_ns()
            if time.monotonic() > end:
                raise RuntimeError("no message came")
            select.select([raw], [], [], 1)
            raw.poll()


def server_with_tables(bench, name):
    """A server with this part's tables in it."""
    server = bench.servers.get(name)
    if not server.value("SELECT to_regclass('orders') IS NOT NULL"):
        server.execute(SCHEMA)
    return server


def live_alone(measure):
    """A part that has no other side: nobody else keeps such queries from the log."""
    @functools.wraps(measure)
    def part(bench):
        if not bench.baseline_only:
            measure(bench, server_with_tables(bench, "live"))
    return part


def fill(server, rows):
    with server.connect(synchronous_commit="off") as connection:
        for statement in FILL.strip().split(";\n"):
            if statement:
                connection.execute(statement % {"rows": rows, "customers": rows // PER_CUSTOMER})
        connection.execute("CHECKPOINT")


def counters(connection):
    """What the evaluators have counted so far: refreshes, and the milliseconds of evaluation."""
    return connection.execute("SELECT sum(refreshes)::int, sum(probe_ms + query_ms + difference_ms) "
                              "FROM live.workers WHERE kind <> 'decoder'")[0]


def changes_one_by_one(bench, server, watcher, change, rows):
    """Single-row transactions, each waited for; medians, in milliseconds.

    From COMMIT sent to the message, and of the evaluation alone. Medians of single ones, for
    whoever else uses the machine is in some of them.
    """
    messages, evaluations = [], []
    with server.connect(synchronous_commit="off") as writer, server.connect() as reader:
        refreshes, before = counters(reader)
        for i in range((CHANGES_OF_QUICK if bench.quick else CHANGES) + WARM_UP):
            time.sleep(PAUSE)
            start = commit(writer, change, i, rows)
            messages.append((watcher.next() - start) / 1e6)
            refreshed, now = counters(reader)
            evaluations.append(now - before)
            before = now
    return {"message": percentile(messages[WARM_UP:], 0.5), "evaluation": percentile(evaluations[WARM_UP:], 0.5),
            "refreshes": refreshed - refreshes}


def commit(writer, change, i, rows):
    """Makes the i-th change; when COMMIT was sent, in nanoseconds."""
    customers = rows // PER_CUSTOMER
    stride = max(1, customers // (CHANGES + WARM_UP))
    writer.execute("BEGIN")
    writer.execute(change % {"i": i, "id": i * stride % customers * PER_CUSTOMER})
    start = time.monotonic_ns()
    writer.execute("COMMIT")
    return start


def polled(bench, server, query, change, rows):
    """From COMMIT sent until a client that polls without a pause knows of it; the median, in milliseconds."""
    times = []
    with Poller(server, query) as poller, server.connect(synchronous_commit="off") as writer:
        end = time.monotonic() + POLL_SECONDS * min(1, bench.scale)
        while len(times) < CHANGES and (not times or time.monotonic() < end):
            i = CHANGES + WARM_UP + len(times)
            times.append(poller.notice(lambda: commit(writer, change, i, rows)))
    return percentile(times, 0.5)


def run_once(server, query):
    """The least that polling pays each time: the query, without sending its rows; milliseconds, the best of some."""
    with server.connect() as connection:
        plans = [connection.value(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}")[0]
                 for _ in range(3)]
    return min(plan["Planning Time"] + plan["Execution Time"] for plan in plans)


@live_alone
def any_select(bench, server):
    """One row changes: each form of query on a small table, and on large ones."""
    sizes = [SMALL, round(BIG * min(1, bench.scale))]
    if bench.scale >= HUGE_SCALE:
        sizes.append(HUGE)
    results = collections.defaultdict(dict)
    for rows in sizes:
        bench.progress(f"any_select: {rows:,} rows")
        fill(server, rows)
        for form in FORMS:
            with Watcher(server) as watcher:
                watcher.subscribe("one", form.query, "{%s}" % form.param if form.param else "{}")
                result = changes_one_by_one(bench, server, watcher, form.change, rows)
            query = form.query.replace("$1", form.param or "")
            result["once"] = run_once(server, query)
            if rows != SMALL:
                result["polled"] = polled(bench, server, query, form.change, rows)
            results[form.name][rows] = result
            if result["refreshes"]:
                bench.note(f"any_select: {form.name}, {rows:,} rows: {result['refreshes']} refreshes")
    for form in FORMS:
        small = results[form.name][SMALL]
        for rows in sizes[1:]:
            large = results[form.name][rows]
            case = f"{form.name}, {rows:,} rows"
            target = FLAT if form.flat else None
            bench.report.add("any_select", f"{case}: evaluation", "ms", [large["evaluation"]],
                             [small["evaluation"]], f"{SMALL:,} rows", at_most=target)
            bench.report.add("any_select", "  COMMIT to message, p50", "ms", [large["message"]],
                             [small["message"]], f"{SMALL:,} rows", at_most=target)
            bench.report.add("any_select", "  COMMIT to message, p50", "ms", [large["message"]],
                             [large["once"]], "the query once")
            bench.report.add("any_select", "  COMMIT to message, p50", "ms", [large["message"]],
                             [large["polled"]], "polling without a pause")


@live_alone
def any_sharing(bench, server):
    """One change beside 1, 1,000 and 10,000 subscriptions that differ in a parameter."""
    rows = round(BIG * min(1, bench.scale))
    fill(server, rows)
    sharing_of(bench, server, rows, "a join",
               "SELECT o.id, o.amount, c.name FROM orders o JOIN customers c ON c.id = o.customer WHERE o.customer = $1")
    sharing_of(bench, server, rows, "a membership",
               "SELECT id, amount FROM orders WHERE customer IN (SELECT customer FROM members WHERE who = $1)")
    sharing_of(bench, server, rows, "a top 10", f"SELECT id, amount FROM {TOP_OF_CUSTOMER}")


def sharing_of(bench, server, rows, name, query):
    """The same of one query; its parameter is 0 for the row that changes, whose amount is the highest from then on."""
    customers = rows // PER_CUSTOMER
    first = None
    made = 0
    with contextlib.ExitStack() as stack:
        watchers = [stack.enter_context(Watcher(server)) for _ in range(CONNECTIONS)]
        for wanted in bench.counts(max(1, round(wanted * min(1, bench.scale))) for wanted in (1, 1_000, 10_000)):
            bench.progress(f"any_sharing: {wanted} subscriptions of {name}")
            start = time.monotonic()
            before = made
            while made < wanted:
                watchers[made % CONNECTIONS].subscribe(f"s{made}", query, "{%d}" % (made % customers))
                made += 1
            each_ms = (time.monotonic() - start) * 1e3 / max(1, made - before)
            result = changes_one_by_one(bench, server, watchers[0],
                                        "UPDATE orders SET amount = amount + 1000 WHERE id = 1", rows)
            first = first or result
            case = f"{wanted:,} subscriptions of {name}"
            bench.report.add("any_sharing", f"{case}: evaluation", "ms", [result["evaluation"]],
                             [first["evaluation"]], "one subscription", at_most=FLAT)
            bench.report.add("any_sharing", "  COMMIT to message, p50", "ms", [result["message"]],
                             [first["message"]], "one subscription", at_most=FLAT)
            bench.report.add("any_sharing", "  time to subscribe, each", "ms", [each_ms], [], "-")


@live_alone
def any_latency(bench, server):
    """From COMMIT sent to the message of a join of two tables, 100 commits a second."""
    fill(server, SMALL)
    for commit in ("on", "off"):
        bench.progress(f"any_latency: latency, synchronous_commit {commit}")
        medians = []
        for _ in range(bench.repetitions):
            server.empty("items")
            count = max(100, round(200 * bench.scale))
            with bench.clients.listener(server, setup_of(TWO_TABLES), record=True) as listener:
                commits, _ = bench.clients.write_at_rate(server, "items", 100, count, commit)
                listener.finish(count)
                arrivals = listener.arrivals()
            medians.append(percentile([(arrivals[i] - commits[i][0]) / 1e6 for i in commits if i > 20], 0.5))
        bench.report.add("any_latency", f"join of two, 100/s, synchronous_commit {commit}: p50", "ms",
                         medians, [], "-", below=2)


def setup_of(query):
    return (f"SELECT channel FROM live.subscribe('bench', '{query}')",
            "SELECT count(*) FROM live.snapshot('bench')")


@live_alone
def any_batches(bench, server):
    """Rows a second through a join of two tables, from the first INSERT to the last change."""
    fill(server, SMALL)
    for transactions, rows in ((1, 100_000), (100, 1_000)):
        rows, transactions = ((max(1000, round(rows * bench.scale)), 1) if transactions == 1
                              else (rows, max(2, round(transactions * bench.scale))))
        bench.progress(f"any_batches: {transactions} x {rows} rows")
        rates = []
        for _ in range(bench.repetitions):
            server.empty("items")
            with bench.clients.listener(server, setup_of(TWO_TABLES)) as listener:
                with server.connect() as connection:
                    start = time.monotonic_ns()
                    for _ in range(transactions):
                        connection.execute("INSERT INTO items (owner, amount, note) SELECT i % 100, 12.50, "
                                           f"'{NOTE}' FROM generate_series(1, {rows}) i")
                totals = listener.finish(transactions * rows)
            rates.append(totals.changes / (totals.last - start) * 1e9)
        bench.report.add("any_batches", f"join of two, {transactions} transactions of {rows:,} rows",
                         "changes/s", rates, [20_000] * len(rates), "20,000", at_least=1)


@live_alone
def any_writers(bench, server):
    """Writers beside a live aggregate, beside none, beside pg_recvlogical, and with a trigger that keeps it."""
    plain = server_with_tables(bench, "plain")
    query = "SELECT owner, count(*) AS n, sum(amount) AS amount FROM sales GROUP BY owner"

    def tps(on, table, commit):
        on.empty(table)
        return bench.clients.pgbench(on, table, SECONDS * bench.scale, WRITERS, synchronous_commit=commit).tps

    def live(commit):
        server.empty("sales")
        with Watcher(server) as watcher:
            watcher.subscribe("one", query)
            return bench.clients.pgbench(server, "sales", SECONDS * bench.scale, WRITERS, synchronous_commit=commit).tps

    def decoded(commit):
        with SlotConsumer(plain) as consumer:
            consumer.start()
            return tps(plain, "sales", commit)

    for commit in ("on", "off"):
        bench.progress(f"any_writers: writers, synchronous_commit {commit}")
        ours, alone, slot, kept = in_turns(
            bench.repetitions, lambda: live(commit), lambda: tps(plain, "sales", commit), lambda: decoded(commit),
            lambda: tps(plain, "sales_kept", commit))
        case = f"writers beside a live aggregate, synchronous_commit {commit}"
        bench.report.add("any_writers", case, "tps", ours, alone, "plain server", at_least=0.95)
        bench.report.add("any_writers", case, "tps", ours, slot, "pg_recvlogical")
        bench.report.add("any_writers", case, "tps", ours, kept, "kept by a trigger")
