"""Ways to subscribe and to end it, on one connection."""

import psycopg2
from psycopg2 import errors

# Each a script that leaves no subscription; %(id)s, %(subscribe)s and %(plain)s (without a snapshot) are filled in.
WAYS = [
    "%(subscribe)s; SELECT count(*) FROM live.snapshot('%(id)s'); SELECT live.unsubscribe('%(id)s')",
    "BEGIN; %(subscribe)s; COMMIT; SELECT count(*) FROM live.snapshot('%(id)s'); SELECT live.unsubscribe('%(id)s')",
    "BEGIN; %(plain)s; COMMIT; SELECT live.unsubscribe('%(id)s')",
    "BEGIN; %(plain)s; COMMIT; SELECT live.unsubscribe('%(id)s')",
    "BEGIN; %(subscribe)s; ROLLBACK",
    "BEGIN; %(subscribe)s; SELECT count(*) FROM live.snapshot('%(id)s', 3); ROLLBACK",
    "BEGIN; SAVEPOINT s; %(subscribe)s; ROLLBACK TO s; %(plain)s; SELECT live.unsubscribe('%(id)s'); COMMIT",
    # The rest of its rows is never read.
    "BEGIN; %(subscribe)s; COMMIT; SELECT count(*) FROM live.snapshot('%(id)s', 1); SELECT live.unsubscribe('%(id)s')",
    "BEGIN; %(subscribe)s; COMMIT; SELECT live.pause('%(id)s'); SELECT live.resume('%(id)s'); SELECT live.unsubscribe_all()",
    "BEGIN; %(subscribe)s; COMMIT; BEGIN; SELECT live.refresh('%(id)s'); COMMIT; SELECT live.unsubscribe('%(id)s')",
    "BEGIN; %(plain)s; COMMIT; SELECT live.kill(live_id) FROM live_queries WHERE pid = pg_backend_pid()",
    "BEGIN; %(plain)s; COMMIT; UNLISTEN *",
    "BEGIN; %(polled)s; COMMIT; SELECT count(*) FROM live.poll(); SELECT live.unsubscribe('%(id)s')",
    "BEGIN; %(polled)s; SELECT count(*) FROM live.poll(); ROLLBACK",
]
# Those that are refused, with the error.
REFUSED = [
    ("SELECT live.subscribe('%(id)s', 'SELECT random() FROM soak_rows')", errors.FeatureNotSupported),
    ("SELECT live.subscribe('%(id)s', 'SELECT * FROM soak_nothing')", errors.UndefinedTable),
    ("SELECT live.subscribe('%(id)s', 'SELECT FROM WHERE')", errors.SyntaxError),
    ("BEGIN; %(plain)s; %(plain)s; COMMIT", errors.DuplicateObject),
    ("BEGIN; %(plain)s; SELECT 1 / 0; COMMIT", errors.DivisionByZero),
    # Fails while its first result is read.
    ("BEGIN; SELECT live.subscribe('%(id)s', 'SELECT id, 1 / (id - 7) AS one FROM soak_rows'); COMMIT;"
     " SELECT count(*) FROM live.snapshot('%(id)s')", errors.DivisionByZero),
]
WAIT = "SELECT live.wait_for(timeout => '60s')"


def shape(number):
    """Returns the query of a cycle, quoted, and its parameters: some share a template, some have one of their own."""
    # As many column names and types as there are shapes: the server keeps each kind of row for good.
    shapes = [
        ("SELECT id, body FROM soak_rows WHERE owner = $1", [number]),
        ("SELECT id, body FROM soak_rows WHERE owner = $1", [number % 7]),
        ("SELECT * FROM soak_rows WHERE owner < 3", []),
        ("SELECT id, amount * %d AS scaled FROM soak_rows WHERE kind = 'k%d' AND amount > $1" % (number % 9973, number % 5),
         [number % 7]),
        ("SELECT id, upper(kind) AS kind, CASE WHEN amount > %d THEN 'x' END AS large FROM soak_rows"
         " WHERE owner = ANY (ARRAY[1, 2, %d])" % (number % 5, number), []),
        ("SELECT id FROM soak_bulk WHERE id = $1 AND id > 3", [number]),
        ("SELECT * FROM soak_parts WHERE owner = $1", [number % 5]),
        ("SELECT * FROM soak_view WHERE owner = $1 ORDER BY id", [number % 5]),
        ("SELECT id, soak_twice(amount) AS twice FROM soak_rows WHERE amount < %d" % (number % 9973), []),
        ("SELECT body FROM soak_parts", []),
    ]
    query, params = shapes[number % len(shapes)]
    return "'%s', ARRAY[%s]::text[]" % (query.replace("'", "''"), ", ".join("'%s'" % param for param in params))


class Subscriber:
    """One connection that subscribes over and over."""

    def __init__(self, world, client):
        self.world = world
        self.client = client
        self.wrong = ""

    def cycle(self, number):
        """Subscribes and ends it, in one of the ways."""
        name = "s%d" % (number % 1000)
        text = {"id": name}
        for key, more in (("subscribe", ""), ("plain", ', "snapshot" => false'),
                          ("polled", ", delivery => 'poll'")):
            text[key] = "SELECT live.subscribe('%s', %s%s)" % (name, shape(number // 3), more)
        if number % 401 == 0:
            self._table_that_goes()
        elif number % 307 == 0:
            self._held_back(name, number)
        elif number % 211 == 0:
            self._in_another_role(text)
        elif number % 101 == 0:
            self._expression_that_fails(name)
        elif number % 53 == 0:
            self._ask(WAYS[2] % text)
            self._ask("DISCARD ALL")
        elif number % 17 == 0:
            self._refused(number, text)
        else:
            self._ask(WAYS[number % len(WAYS)] % text)
        self.client.connection.notifies.clear()

    def _ask(self, text):
        try:
            self.client.ask(text)
        except psycopg2.Error as error:
            self.wrong = "%s: %s" % (text, str(error).strip())
            raise

    def _refused(self, number, text):
        script, error = REFUSED[number // 17 % len(REFUSED)]
        try:
            self.client.ask(script % text)
            self.wrong = "not refused: " + script
        except error:
            pass
        self.client.ask("ROLLBACK; SELECT live.unsubscribe_all()")

    def _table_that_goes(self):
        """On a connection of its own, and under few names: of tables that are gone, a backend's caches keep something."""
        table = "soak_gone_by_%d" % self.client.pid
        connection = self.world.connect()
        with connection.cursor() as cursor:
            for text in ("CREATE TABLE %s (id int PRIMARY KEY, body text)", "SELECT live.subscribe('t', 'SELECT * FROM %s')",
                         "SELECT count(*) FROM live.snapshot('t')", "INSERT INTO %s VALUES (1, 'x')", WAIT,
                         "DROP TABLE %s", WAIT, "SELECT live.unsubscribe('t')"):
                cursor.execute(text % table if "%s" in text else text)
        connection.close()

    def _held_back(self, name, number):
        """More waits for the end of the first result, or of a pause, than fits into live_queries.mailbox_size."""
        self._ask("SELECT live.subscribe('%s', 'SELECT id, body FROM soak_rows WHERE owner = -2')" % name)
        if number % 2:
            self._ask("SELECT count(*) FROM live.snapshot('%s')" % name)
            self._ask("SELECT live.pause('%s')" % name)
        for _ in range(4):
            self._ask("INSERT INTO soak_rows VALUES (nextval('soak_ids'), -2, 'k', 1, repeat('x', 50000))")
        self._ask(WAIT)
        self._ask("SELECT live.resume('%s')" % name if number % 2 else "SELECT count(*) FROM live.snapshot('%s')" % name)
        self._ask("DELETE FROM soak_rows WHERE owner = -2")
        self._ask(WAIT)
        self._ask("SELECT live.unsubscribe('%s')" % name)

    def _in_another_role(self, text):
        self._ask("SET ROLE %s; SET app.tenant = '3'; SET timezone = 'Asia/Kolkata'" % self.world.role)
        self._ask("BEGIN; SELECT live.subscribe('%(id)s', 'SELECT * FROM soak_secrets'); COMMIT;"
                  " SELECT count(*) FROM live.snapshot('%(id)s')" % text)
        self._ask("SELECT live.unsubscribe('%(id)s')" % text)
        self._ask("RESET ROLE; RESET app.tenant; RESET timezone")

    def _expression_that_fails(self, name):
        """In the decoder, which ends the subscription. By a row of this connection's own: that of another one may come before COMMIT."""
        owner = -1000 - self.client.pid
        self._ask("BEGIN; SELECT live.subscribe('%s', 'SELECT id, 1 / amount AS part FROM soak_rows WHERE owner = $1', ARRAY['%d'],"
                  ' "snapshot" => false); COMMIT' % (name, owner))
        self._ask("INSERT INTO soak_rows VALUES (nextval('soak_ids'), %d, 'k', 0, '')" % owner)
        self._ask(WAIT)
        self._ask("SELECT live.unsubscribe('%s')" % name)
