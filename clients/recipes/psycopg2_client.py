#!/usr/bin/python3
"""A live query by psycopg2, in one file: subscribe, read the first result, follow the messages.

    psycopg2_client.py CONNECTION QUERY [PARAMETER...]

Prints the result as one line of JSON, again whenever it has changed, until the live query or the connection ends.
"""

import json
import select
import sys

import psycopg2

BATCH = 1000


def identity(key):
    """What stands for a key in a dictionary: its JSON text."""
    return json.dumps(key)


class Result:
    """The rows by key; several of one key only where rows can be equal."""

    def __init__(self):
        self.rows = {}

    def add(self, key, row):
        self.rows.setdefault(identity(key), []).append(row)

    def remove(self, key):
        same = self.rows[identity(key)]
        same.pop(0)
        if not same:
            del self.rows[identity(key)]

    def apply(self, change):
        if change["op"] == "clear":
            self.rows.clear()
            return
        if change["op"] != "insert":
            self.remove(change["key"])
        if change["op"] != "delete":
            self.add(change["key"], change["row"])

    def show(self):
        print(json.dumps([row for same in self.rows.values() for row in same]), flush=True)


def read_snapshot(cursor, result):
    """In batches: one that is not full is the last. Changes are told only after that."""
    result.rows.clear()
    count = BATCH
    while count == BATCH:
        cursor.execute('SELECT key, "row" FROM live.snapshot(%s, %s)', ("q", BATCH))
        count = cursor.rowcount
        for key, row in cursor:
            result.add(key, row)


def payloads(connection):
    """What the server tells, for ever. Some of it may have come along with the answer to a command."""
    while True:
        while connection.notifies:
            yield connection.notifies.pop(0).payload
        select.select([connection], [], [])
        connection.poll()  # raises OperationalError when the connection is lost


def main():
    connection = psycopg2.connect(sys.argv[1])
    connection.autocommit = True  # inside a transaction nothing is told
    cursor = connection.cursor()
    cursor.execute("SELECT FROM live.subscribe(%s, %s, %s::text[])", ("q", sys.argv[2], sys.argv[3:]))
    result = Result()
    read_snapshot(cursor, result)
    result.show()
    for payload in payloads(connection):
        message = json.loads(payload)
        if message["type"] == "changes":
            for change in message["changes"]:
                result.apply(change)
            if not message["more"]:  # else the rest of this moment is still to come
                result.show()
        elif message["type"] == "reset":  # changes were lost: begin again; nothing is told meanwhile
            cursor.execute("SELECT live.refresh(%s)", ("q",))
            read_snapshot(cursor, result)
            result.show()
        elif message["type"] == "terminated":
            sys.exit(f"the live query has ended: {message['reason']}")


if __name__ == "__main__":
    try:
        main()
    except psycopg2.Error as error:
        sys.exit(str(error).strip())
