#!/usr/bin/python3
"""Watches three live queries and draws their results: a client of live_queries in one file.

It is started by demo/run, and can be read as an example: `LiveQuery` is all that a client has to do. Connects as
libpq's environment says (PGHOST, PGDATABASE...). On a terminal it draws until Ctrl-C or for --seconds; elsewhere it
prints lines.
"""

import argparse
import collections
import datetime
import json
import select
import shutil
import statistics
import sys
import time

import psycopg2

QUERIES = [
    ("tellers-of-branch-1", "SELECT tid, tbalance FROM pgbench_tellers WHERE bid = $1", ["1"]),
    ("overdrawn-accounts", "SELECT aid, bid, abalance FROM pgbench_accounts WHERE abalance < $1", ["-3000"]),
    ("large-payments", "SELECT aid, tid, delta, mtime FROM pgbench_history WHERE abs(delta) > $1", ["4000"]),
]
TABLES = "pgbench_tellers, pgbench_accounts, pgbench_history"
HIGHLIGHT_SECONDS = 1.5


class LiveQuery:
    """One live query and its result, which it keeps up to date from snapshot and messages."""

    def __init__(self, connection, subscription_id, query, params):
        self.connection = connection
        self.subscription_id = subscription_id
        self.query = query
        self.params = params
        self.rows = {}  # key as JSON text: the rows of that key (several only where the table has no key)
        self.recent = {}  # key as JSON text: (when, what happened, the columns that changed)
        self.gone = []  # (when, row): deleted a moment ago
        self.ended = None
        with connection.cursor() as cursor:
            cursor.execute("SELECT channel FROM live.subscribe(%s, %s, %s)", (subscription_id, query, params))
            self.channel = cursor.fetchone()[0]
        self.read_snapshot()

    def read_snapshot(self):
        """The first result, in batches: one that is not full is the last."""
        self.rows.clear()
        batch_size = 1000
        with self.connection.cursor() as cursor:
            while True:
                cursor.execute('SELECT key, "row" FROM live.snapshot(%s, %s)', (self.subscription_id, batch_size))
                batch = cursor.fetchall()
                for key, row in batch:
                    self.rows.setdefault(json.dumps(key), []).append(row)
                if len(batch) < batch_size:
                    return

    def apply(self, message):
        """Takes over what one message says."""
        if message["type"] == "changes":
            for change in message["changes"]:
                self.apply_change(change)
        elif message["type"] == "reset":  # changes were lost: begin again
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT live.refresh(%s)", (self.subscription_id,))
            self.read_snapshot()
        elif message["type"] == "terminated":
            self.ended = message["reason"]

    def apply_change(self, change):
        now = time.monotonic()
        if change["op"] == "clear":
            self.rows.clear()
            return
        key = json.dumps(change["key"])
        if change["op"] == "insert":
            self.rows.setdefault(key, []).append(change["row"])
            self.recent[key] = (now, "insert", set(change["row"]))
        elif change["op"] == "update":
            self.rows[key] = [change["row"]]
            self.recent[key] = (now, "update", set(change.get("old", {})))
        elif change["op"] == "delete":
            row = self.rows[key].pop()
            if not self.rows[key]:
                del self.rows[key]
            self.gone.append((now, row))

    def all_rows(self):
        return [row for rows in self.rows.values() for row in rows]


class Watch:
    """The connection, its live queries, and what they have received."""

    def __init__(self):
        self.connection = psycopg2.connect("")
        self.connection.autocommit = True
        self.live_queries = {}
        for subscription_id, query, params in QUERIES:
            self.live_queries[subscription_id] = LiveQuery(self.connection, subscription_id, query, params)
        self.started = time.monotonic()
        self.messages = 0
        self.changes = 0
        self.latencies = collections.deque(maxlen=1000)  # milliseconds from commit to here

    def receive(self, timeout):
        """Waits for notifications; yields each as (payload, message), applied already."""
        if not self.connection.notifies:
            select.select([self.connection], [], [], timeout)
        self.connection.poll()
        while self.connection.notifies:
            payload = self.connection.notifies.pop(0).payload
            message = json.loads(payload)
            if "committed_at" in message:
                committed = datetime.datetime.fromisoformat(message["committed_at"])
                now = datetime.datetime.now(datetime.timezone.utc)
                self.latencies.append((now - committed).total_seconds() * 1000)
            self.messages += 1
            self.changes += len(message.get("changes", []))
            self.live_queries[message["subscription_id"]].apply(message)
            yield payload, message

    def check(self):
        """Compares each result, as the messages made it, with what its query returns now."""
        other = psycopg2.connect("")
        different = []
        with other.cursor() as cursor, self.connection.cursor() as own:
            cursor.execute(f"LOCK TABLE {TABLES} IN SHARE MODE")  # writers wait for this moment
            own.execute("SELECT live.wait_for()")
            if not own.fetchone()[0]:
                different.append("live.wait_for() timed out")
            for _ in self.receive(0.1):
                pass
            for live_query in self.live_queries.values():
                literal = cursor.mogrify("%s", live_query.params).decode()
                cursor.execute(f"SELECT row_to_json(q) FROM ({live_query.query.replace('$1', literal)}) q")
                expected = sorted(json.dumps(row) for (row,) in cursor)
                if sorted(json.dumps(row) for row in live_query.all_rows()) != expected:
                    different.append(live_query.subscription_id)
        other.close()
        return different

    def summary(self):
        seconds = time.monotonic() - self.started
        text = f"{self.messages} messages with {self.changes} changes in {seconds:.0f} s"
        if self.latencies:
            text += f"; from commit to client {statistics.median(self.latencies):.1f} ms at the median"
        return text


class Lines:
    """Output for a pipe or a log: a line for each change."""

    def __init__(self, watch):
        for live_query in watch.live_queries.values():
            print(f"\n{live_query.subscription_id}: {live_query.query}   [{', '.join(live_query.params)}]")
            print(f"  first result: {len(live_query.rows)} rows", *map(json.dumps, live_query.all_rows()[:3]), sep="\n    ")
        print("\nnow its changes:", flush=True)

    def show(self, payload, message):
        if message["type"] != "changes":
            print(payload, flush=True)
            return
        for change in message["changes"]:
            text = json.dumps(change.get("row", ""))
            if "old" in change:
                text += f"   was {json.dumps(change['old'])}"
            print(f"{message['committed_at'][11:23]}  {message['subscription_id']:<20} {change['op']:<6} {text}", flush=True)

    def draw(self, watch):
        pass

    def close(self):
        print("\na message as it came:")


class Screen:
    """Output for a terminal: the results with what just changed in colour, and the raw messages below."""

    COLOURS = {"insert": "\x1b[32m", "update": "\x1b[33m", "delete": "\x1b[31;9m"}

    def __init__(self, watch, connect_command):
        self.feed = collections.deque(maxlen=50)
        self.connect_command = connect_command
        self.drawn = 0.0
        sys.stdout.write("\x1b[?1049h\x1b[?25l")

    def show(self, payload, message):
        del message
        self.feed.appendleft(payload)

    def draw(self, watch):
        now = time.monotonic()
        if now - self.drawn < 0.05:
            return
        self.drawn = now
        width, height = shutil.get_terminal_size()
        rows_each = max(3, (height - 14) // (len(watch.live_queries) + 1))
        lines = [f"\x1b[1mlive_queries\x1b[0m  {watch.summary()}", ""]
        for live_query in watch.live_queries.values():
            lines.append(f"\x1b[1m{live_query.subscription_id}\x1b[0m  {len(live_query.all_rows())} rows")
            lines.append(f"\x1b[2m{(live_query.query + '   ' + str(live_query.params))[:width]}\x1b[0m")
            lines += self.table(live_query, rows_each, width, now)
            if live_query.ended:
                lines.append(f"  ended: {live_query.ended}")
            lines.append("")
        lines.append("\x1b[1mnotifications as they come\x1b[0m  newest first")
        footer = ["", f"Another terminal: {self.connect_command}"[:width], "Ctrl-C ends this."]
        lines += [payload[: width - 1] for payload in self.feed][: max(0, height - len(lines) - len(footer))]
        lines = lines[: height - len(footer)] + footer
        sys.stdout.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[J")
        sys.stdout.flush()

    def table(self, live_query, limit, width, now):
        """The rows, what changed last first, where there are too many to show."""
        live_query.gone = [(when, row) for when, row in live_query.gone if now - when < HIGHLIGHT_SECONDS]
        shown = []
        for key, rows in live_query.rows.items():
            when, what, columns = live_query.recent.get(key, (0.0, None, set()))
            fresh = now - when < HIGHLIGHT_SECONDS
            shown += [(when, row, what if fresh else None, columns) for row in rows]
        shown += [(when, row, "delete", set(row)) for when, row in live_query.gone]
        if len(shown) > limit:
            shown = sorted(shown, key=lambda entry: -entry[0])[:limit]
        else:
            shown.sort(key=lambda entry: json.dumps(list(entry[1].values())[:1]).rjust(20))
        lines = []
        for _, row, what, columns in shown:
            cells, used = [], 0
            for column, value in row.items():
                text = f"{column} {value}".ljust(20)[: max(0, width - 3 - used)]
                used += len(text) + 1
                cells.append(f"{self.COLOURS[what]}{text}\x1b[0m" if what and column in columns else text)
            lines.append("  " + " ".join(cells))
        return lines + [""] * (min(limit, 10) - len(lines))

    def close(self):
        sys.stdout.write("\x1b[?25h\x1b[?1049l")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=None, help="end after this time")
    arguments.add_argument("--connect", default="psql", help="the command that connects to this server, to be shown")
    arguments = arguments.parse_args()

    try:
        watch = Watch()
    except psycopg2.Error as error:
        sys.exit(str(error).strip())
    output = Screen(watch, arguments.connect) if sys.stdout.isatty() else Lines(watch)
    end = watch.started + arguments.seconds if arguments.seconds else float("inf")
    last_payload = None
    failure = None
    try:
        while time.monotonic() < end:
            for payload, message in watch.receive(min(0.25, max(0.0, end - time.monotonic()))):
                last_payload = payload
                output.show(payload, message)
            output.draw(watch)
    except KeyboardInterrupt:
        pass
    except psycopg2.Error as error:
        failure = str(error).strip()
    output.close()
    if failure:
        sys.exit(failure)
    if last_payload:
        print(last_payload)
    different = watch.check()
    print(f"\n{watch.summary()}")
    if different:
        sys.exit(f"NOT equal to what the queries return now: {', '.join(different)}")
    print("Checked: each result, built from snapshot and messages alone, equals what its query returns now.")


if __name__ == "__main__":
    main()
