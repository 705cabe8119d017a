"""bench_subscribing.py: how fast live queries begin, alone and many at once, and what the view costs then.

All are of one shape, `WHERE owner = $1`, and their first results are empty: what is measured is subscribing.
Nobody else has such queries, so there is no other side.
"""

import contextlib
import json
import threading
import time

QUERY = "SELECT id, amount FROM items WHERE owner = $1"
SUBSCRIBE = "SELECT FROM live.subscribe(%s, %s, ARRAY[%s], delivery => 'poll') s, LATERAL live.snapshot(%s)"
AT_ONCE = "SELECT count(*) FROM live.subscribe_many(%s) s LEFT JOIN LATERAL live.snapshot(s.subscription_id) ON true"
CONNECTIONS = 4
CLIENTS = 500          # that come back after a restart
OF_A_CLIENT = 20       # live queries that each has


def array_of(first, count):
    """The argument of live.subscribe_many for so many live queries, the ids counted from `first`."""
    return json.dumps([{"subscription_id": f"q{number}", "query": QUERY, "params": [str(number)], "delivery": "poll"}
                       for number in range(first, first + count)])


def subscribing(bench):
    """The part."""
    if bench.baseline_only:
        return
    server = bench.servers.get("many")
    server.empty("items")
    count = max(100, round(2_000 * bench.scale))
    add = lambda what, unit, values, **target: bench.report.add("subscribing", what, unit, values, [], "-", **target)
    add("one connection, live.subscribe", "/s", [one_by_one(server, 1, count)])
    add(f"{CONNECTIONS} connections, live.subscribe", "/s", [one_by_one(server, CONNECTIONS, count)])
    add("one connection, live.subscribe_many of all", "/s", [at_once(server, 1, count, count)])
    add("one connection, live.subscribe_many of 20", "/s", [at_once(server, 1, count, 20)])
    add(f"{CONNECTIONS} connections, live.subscribe_many of 20", "/s", [at_once(server, CONNECTIONS, count, 20)])
    come_back(bench, server, add)
    view(bench, server, add)


def rate_of(server, connections, count, subscribe):
    """Live queries a second, where each of the connections runs subscribe(client, count)."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(connections)]
        for client in clients:  # the worker runs, and catalogs are known
            client.execute(AT_ONCE, array_of(-1, 1))
        threads = [threading.Thread(target=subscribe, args=(client, count)) for client in clients]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - start
        made = sum(client.value("SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid()") - 1 for client in clients)
        if made != connections * count:
            raise RuntimeError(f"{made} live queries, not {connections * count}")
    return made / seconds


def one_by_one(server, connections, count):
    def subscribe(client, count):
        for number in range(count):
            client.execute(SUBSCRIBE, f"q{number}", QUERY, str(number), f"q{number}")

    return rate_of(server, connections, count, subscribe)


def at_once(server, connections, count, of_a_call):
    def subscribe(client, count):
        for first in range(0, count, of_a_call):
            client.execute(AT_ONCE, array_of(first, min(of_a_call, count - first)))

    return rate_of(server, connections, count, subscribe)


def come_back(bench, server, add):
    """After a restart all clients connect again, and subscribe to all that they had: at one time."""
    clients = max(20, round(CLIENTS * min(1, bench.scale)))
    bench.progress(f"subscribing: {clients} clients come back")
    server.restart()
    longest = []
    ready = threading.Event()
    held = []

    def return_to(server):
        ready.wait()
        start = time.monotonic()
        client = server.connect()
        client.execute(AT_ONCE, array_of(0, OF_A_CLIENT))
        longest.append(time.monotonic() - start)
        held.append(client)

    threads = [threading.Thread(target=return_to, args=(server,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    ready.set()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - start
    for client in held:
        client.raw.close()
    if len(longest) != clients:
        raise RuntimeError(f"{clients - len(longest)} of {clients} clients did not come back")
    add(f"{clients} clients with {OF_A_CLIENT} each after a restart, until the last is there", "s", [seconds])


def view(bench, server, add):
    """The view over very many, and one row of it."""
    count = max(1_000, round(100_000 * min(1, bench.scale)))
    connections = 10
    bench.progress(f"subscribing: the view over {count:,}")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(connections)]
        for client in clients:
            for first in range(0, count // connections, 500):
                client.execute(AT_ONCE, array_of(first, min(500, count // connections - first)))
        pid = clients[0].raw.get_backend_pid()
        with server.connect() as other:
            for what, sql in ((f"the view over {count:,}: SELECT *", "SELECT count(v) FROM (SELECT * FROM live_queries OFFSET 0) v"),
                              (f"the view over {count:,}: SELECT count(*)", "SELECT count(*) FROM live_queries"),
                              ("one row by pid and subscription_id", f"SELECT query FROM live_queries WHERE pid = {pid} AND subscription_id = 'q7'"),
                              ("the rows of a connection, counted", f"SELECT count(*) FROM live_queries WHERE pid = {pid}")):
                times = []
                for _ in range(3):
                    start = time.monotonic()
                    other.execute(sql)
                    times.append((time.monotonic() - start) * 1e3)
                add(what, "ms", times)
