"""bench_routing.py: what a changed row costs beside many live queries of one table.

They differ in constants alone: of an equality, of bounds, of a list, of a prefix, of what an array or a jsonb
contains. Each looks at numbers of its own, and the rows that are inserted have others: what is measured is that a
row finds nobody. The last form is one that no index finds.
"""

import collections
import contextlib
import time

from bench_clients import SlotConsumer, at_once
from bench_load import Stopped
from bench_report import subscriptions

CONNECTIONS = 10
COUNTS = (1, 100, 10_000, 100_000)
WITHOUT_INDEX = (1, 100, 1_000)  # each of them is looked at for each row
ROWS = 50_000
ENDS = (1, 100_000)  # of the other kinds of index: how it grows in between is shown with equalities
# Of twenty numbers each, a live query wants some of the first ten, and a row has one of the others.
WIDTH = 20
Form = collections.namedtuple("Form", "name condition params table counts share columns", defaults=("routed", COUNTS, 1, "id, amount"))
FORMS = (
    Form("equality", "owner = $1", "ARRAY[(i * 20)::text]"),
    Form("equality, of 100 shapes", "owner = $1", "ARRAY[(i * 20)::text]", counts=COUNTS[1:],
         columns="id, amount + ' || i %% 100 || ' AS amount"),
    Form("BETWEEN", "owner BETWEEN $1 AND $2", "ARRAY[(i * 20)::text, (i * 20 + 9)::text]", counts=ENDS),
    Form("IN, of 3", "owner IN ($1, $2, $3)", "ARRAY[(i * 20)::text, (i * 20 + 4)::text, (i * 20 + 9)::text]", counts=ENDS),
    Form("= ANY, of 10", "owner = ANY($1)", "ARRAY[array(SELECT generate_series(i * 20, i * 20 + 9))::text]", counts=ENDS),
    Form("LIKE 'x%'", "name LIKE $1", "ARRAY[i * 20 || '.%%']", "named", counts=ENDS),
    Form("array @>", "tags @> $1", "ARRAY[array[i * 20, i * 20 + 9]::text]", "tagged", counts=ENDS),
    Form("jsonb @>", "fact @> $1", "ARRAY[jsonb_build_object('owner', i * 20)::text]", "described", counts=ENDS),
    Form("none", "owner + $1::int < 0", "ARRAY[i::text]", counts=WITHOUT_INDEX, share=0.05),
)
# Name of a table, and what a row of it has beside `owner`.
TABLES = (("routed", "", ""), ("named", ", name text", ", owner || '.' || i"), ("tagged", ", tags int[]", ", ARRAY[owner, -owner, -1]"),
          ("described", ", fact jsonb", ", jsonb_build_object('owner', owner, 'size', 'large')"))
TABLE = """
CREATE TABLE {table} (id bigserial PRIMARY KEY, owner integer, amount numeric(12, 2), note text{column});
ALTER TABLE {table} REPLICA IDENTITY FULL;
"""

SUBSCRIBE = """
SELECT count(*) FROM generate_series(%s, %s - 1, %s) AS i,
    live.subscribe('s' || i, 'SELECT {columns} FROM {table} WHERE {condition}', {params}, "snapshot" => false, delivery => 'poll')
"""
INSERT = """
INSERT INTO {{table}} SELECT i, owner, 12.50, 'a line of text of ordinary length'{{value}}
    FROM generate_series(1, %s) AS i, LATERAL (SELECT (i::bigint * 7919 %% %s * {width} + {width} / 2 + i %% ({width} / 2))::int AS owner) AS numbers
""".format(width=WIDTH)


def routing(bench):
    """Changes/s beside 1, 100, 10,000 and 100,000 subscriptions, of which none matches."""
    if bench.baseline_only:
        return
    server = bench.servers.get("many")
    for table, column, _ in TABLES:
        server.execute(TABLE.format(table=table, column=column))
        server.execute(f"ALTER PUBLICATION p ADD TABLE {table}")
    values = {table: value for table, _, value in TABLES}
    for form in FORMS:
        alone = rates = None
        rows = max(1_000, round(ROWS * bench.scale * form.share))
        subscribe = SUBSCRIBE.format(columns=form.columns, table=form.table, condition=form.condition, params=form.params)
        insert = INSERT.format(table=form.table, value=values[form.table])
        for count in bench.counts(form.counts):
            bench.progress(f"routing: {count:,} of {form.name}")
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(server.connect()) for _ in range(CONNECTIONS)]
                at_once(clients[:count], lambda first, client, last=count: client.execute(subscribe, first, last, CONNECTIONS))
                rates = [rate(server, clients[0], form.table, insert, count, rows) for _ in range(bench.repetitions)]
            alone = alone or rates
            bench.report.add("routing", f"{form.name}, {subscriptions(count)}", "changes/s", rates, alone,
                             "one subscription" if form.counts[0] == 1 else f"{form.counts[0]} subscriptions",
                             at_least=0.8 if form is FORMS[0] and count == COUNTS[-1] else None)
        most = bench.counts(form.counts)[-1]
        drained = [drain(server, form.table, insert, most, rows) for _ in range(bench.repetitions)]
        bench.report.add("routing", f"{form.name}, {subscriptions(most)}", "changes/s", rates, drained,
                         "pg_recvlogical, pgoutput", at_least=None if form.share < 1 else 1)


def load(server, insert, count, rows):
    """One transaction; returns where it ends."""
    with server.connect(synchronous_commit="off") as writer:
        writer.execute(insert, rows, count)
        end = writer.value("SELECT pg_current_wal_insert_lsn()")
        # A commit past the end, so that whoever waits for it sees something go by.
        writer.execute("SELECT pg_logical_emit_message(true, 'bench', 'end')")
    return end


def drain(server, table, insert, count, rows):
    """Changes/s of the same transaction, by a consumer that takes all of it."""
    server.empty(table)
    with SlotConsumer(server) as consumer:
        return rows / consumer.drain(load(server, insert, count, rows))


def rate(server, client, table, insert, count, rows):
    """Changes/s of one transaction, from when it is decoded on."""
    server.empty(table)
    client.value("SELECT live.wait_for(timeout => '5 min')")
    with Stopped(server) as decoder:
        end = load(server, insert, count, rows)
        start = time.monotonic()
        decoder.go_on()
        if not client.value("SELECT live.wait_for(%s, '5 min')", end):
            raise RuntimeError("live.wait_for: not decoded in five minutes")
        return rows / (time.monotonic() - start)
