"""The database that is fuzzed.

Owns: its tables, roles and functions, what a concurrent DDL may do to them, and connections to it. Everything is undone
at the end.
"""

import os
import time

import psycopg2
from psycopg2 import extensions

import values

# The driver would stumble over values under odd settings.
AS_TEXT = extensions.new_type((25, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 3802), "AS_TEXT",
                              lambda value, _: value)
FUNCTIONS = """
CREATE FUNCTION fz.calm(text) RETURNS text IMMUTABLE LANGUAGE sql RETURN upper($1);
CREATE FUNCTION fz.naughty(call text, n int DEFAULT 0) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    IF n % 3 = 2 THEN RAISE; END IF;
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION fz.caught(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN '';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION fz.undone(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE call;
    EXCEPTION WHEN OTHERS THEN
        RETURN SQLSTATE || ' ' || SQLERRM;
    END;
    RAISE EXCEPTION 'taken back';
EXCEPTION WHEN raise_exception THEN
    RETURN '';
END $$;
CREATE FUNCTION fz.nested(call text, depth int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF depth = 0 THEN EXECUTE call; RETURN ''; END IF;
    RETURN fz.nested(call, depth - 1);
EXCEPTION WHEN OTHERS THEN
    RAISE;
END $$;
CREATE PROCEDURE fz.commits(call text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    COMMIT;
    PERFORM 1;
    COMMIT;
END $$;
CREATE PROCEDURE fz.rolls_back(call text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    ROLLBACK;
    PERFORM 1;
END $$;
CREATE FUNCTION fz.run_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE TG_ARGV[0] || coalesce(NEW.call, '');
    RETURN NEW;
END $$;
CREATE FUNCTION fz.as_other(call text) RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN EXECUTE call; END';
CREATE TABLE fz.calls_before (call text);
CREATE TRIGGER run BEFORE INSERT ON fz.calls_before FOR EACH ROW EXECUTE FUNCTION fz.run_call('');
CREATE TABLE fz.calls_after (call text);
CREATE TRIGGER run AFTER INSERT ON fz.calls_after FOR EACH ROW EXECUTE FUNCTION fz.run_call('');
CREATE TABLE fz.calls_late (call text);
CREATE CONSTRAINT TRIGGER run AFTER INSERT ON fz.calls_late DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fz.run_call('');
-- Whatever session_replication_role says: an INSERT that succeeds has made its call.
ALTER TABLE fz.calls_before ENABLE ALWAYS TRIGGER run;
ALTER TABLE fz.calls_after ENABLE ALWAYS TRIGGER run;
ALTER TABLE fz.calls_late ENABLE ALWAYS TRIGGER run;
"""
TABLES = {  # in the order in which they can be made
    "types": """CREATE TYPE fz.mood AS ENUM ('sad', 'glad'); CREATE TYPE fz.pair AS (a int, b text);
        CREATE DOMAIN fz.small AS int CHECK (VALUE < 1000); CREATE SEQUENCE fz.s""",
    "items": """CREATE TABLE fz.items (id int PRIMARY KEY, gone int, n int, txt text, flag bool, doc jsonb, tags int[],
            mood fz.mood, big numeric, at timestamptz, pair fz.pair, small fz.small);
        ALTER TABLE fz.items DROP COLUMN gone; ALTER TABLE fz.items REPLICA IDENTITY FULL;
        CREATE VIEW fz.shown AS SELECT id, n, txt FROM fz.items WHERE n < 6""",
    "plain": "CREATE TABLE fz.plain (id int PRIMARY KEY, n int, txt text)",
    "bag": "CREATE TABLE fz.bag (n int, txt text); ALTER TABLE fz.bag REPLICA IDENTITY FULL",
    "parted": """CREATE TABLE fz.parted (id int, region text, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
        CREATE TABLE fz.parted_x PARTITION OF fz.parted FOR VALUES IN ('x') PARTITION BY RANGE (id);
        CREATE TABLE fz.parted_x1 PARTITION OF fz.parted_x FOR VALUES FROM (0) TO (5);
        CREATE TABLE fz.parted_rest PARTITION OF fz.parted DEFAULT;
        ALTER TABLE fz.parted REPLICA IDENTITY FULL; ALTER TABLE fz.parted_x REPLICA IDENTITY FULL;
        ALTER TABLE fz.parted_x1 REPLICA IDENTITY FULL; ALTER TABLE fz.parted_rest REPLICA IDENTITY FULL""",
    "odd": """CREATE TABLE fz."odd ☃ ""t""\" ("it's" int PRIMARY KEY, "select" text);
        ALTER TABLE fz."odd ☃ ""t""\" REPLICA IDENTITY FULL""",
    "secret": """CREATE TABLE fz.secret (id int PRIMARY KEY, tenant text, txt text);
        ALTER TABLE fz.secret REPLICA IDENTITY FULL;
        ALTER TABLE fz.secret ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON fz.secret USING (tenant = current_setting('app.tenant', true) OR tenant = current_user)""",
}
STEADY = "CREATE TABLE fz.steady (id int PRIMARY KEY, txt text); ALTER TABLE fz.steady REPLICA IDENTITY FULL"
GRANTS = """GRANT USAGE, CREATE ON SCHEMA fz TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA fz TO PUBLIC;
    GRANT ALL ON SCHEMA public TO PUBLIC"""
WRITES = [
    "INSERT INTO fz.items (id, n, txt, doc, tags, mood) SELECT i, i % 9, 'row ' || i, '{\"a\":1}', '{1,2}', 'sad'"
    " FROM generate_series({0}, {0} + 3) i ON CONFLICT DO NOTHING",
    "UPDATE fz.items SET n = n + 1, txt = {1} WHERE id % 5 = {0} % 5", "DELETE FROM fz.items WHERE id = {0}",
    "UPDATE fz.items SET id = id + 100 WHERE id = {0}",
    "UPDATE fz.items SET pair = ROW({0}, {1}), at = now(), big = 'NaN'",
    "INSERT INTO fz.plain VALUES ({0}, {0}, {1}) ON CONFLICT (id) DO UPDATE SET n = plain.n + 1",
    "DELETE FROM fz.plain WHERE id > {0}",
    "INSERT INTO fz.bag VALUES ({0}, {1}), ({0}, {1})", "DELETE FROM fz.bag WHERE n = {0}",
    "UPDATE fz.bag SET n = {0} WHERE txt = {1}",
    "INSERT INTO fz.parted VALUES ({0}, 'x', 1), ({0}, 'y', 2) ON CONFLICT DO NOTHING",
    "UPDATE fz.parted SET region = 'x' WHERE id = {0}",
    "INSERT INTO fz.\"odd ☃ \"\"t\"\"\" VALUES ({0}, {1}) ON CONFLICT DO NOTHING",
    "UPDATE fz.\"odd ☃ \"\"t\"\"\" SET \"select\" = {1}",
    "INSERT INTO fz.secret VALUES ({0}, 'x', {1}) ON CONFLICT DO NOTHING",
    "UPDATE fz.secret SET tenant = {1} WHERE id = {0}",
    "INSERT INTO fz.steady VALUES ({0}, {1}) ON CONFLICT DO NOTHING", "UPDATE fz.steady SET txt = {1} WHERE id = {0}",
    "DELETE FROM fz.steady WHERE id = {0}", "TRUNCATE fz.bag", "TRUNCATE fz.parted_x1",
]
DDL = [
    "ALTER TABLE fz.items ADD COLUMN late int DEFAULT 5", "ALTER TABLE fz.items DROP COLUMN IF EXISTS late",
    "ALTER TABLE fz.items ALTER n TYPE bigint",
    "ALTER TABLE fz.items ALTER n TYPE int", "ALTER TABLE fz.items RENAME txt TO text_",
    "ALTER TABLE fz.items RENAME text_ TO txt",
    "ALTER TABLE fz.items REPLICA IDENTITY DEFAULT", "ALTER TABLE fz.items REPLICA IDENTITY FULL",
    "ALTER TABLE fz.plain REPLICA IDENTITY NOTHING",
    "ALTER TABLE fz.plain REPLICA IDENTITY DEFAULT", "ALTER TABLE fz.plain REPLICA IDENTITY FULL",
    "ALTER TABLE fz.plain DROP CONSTRAINT plain_pkey",
    "ALTER TABLE fz.plain ADD PRIMARY KEY (id)", "ALTER TABLE fz.bag SET UNLOGGED", "ALTER TABLE fz.bag SET LOGGED",
    "VACUUM FULL fz.items",
    "CLUSTER fz.plain USING plain_pkey", "REINDEX TABLE fz.items", "ANALYZE fz.items",
    "ALTER TABLE fz.bag RENAME TO bag2", "ALTER TABLE fz.bag2 RENAME TO bag",
    "ALTER SCHEMA fz RENAME TO fz2", "ALTER SCHEMA fz2 RENAME TO fz", "DROP TABLE fz.plain",
    "DROP TABLE fz.items CASCADE", "DROP TABLE fz.bag",
    "DROP TABLE fz.parted", "DROP TABLE fz.secret", "DROP VIEW fz.shown", "DROP TYPE fz.mood CASCADE",
    "ALTER TYPE fz.mood ADD VALUE IF NOT EXISTS 'mad'",
    "CREATE OR REPLACE FUNCTION fz.calm(text) RETURNS text IMMUTABLE LANGUAGE sql RETURN lower($1)",
    "CREATE OR REPLACE FUNCTION fz.calm(text) RETURNS text IMMUTABLE LANGUAGE sql RETURN upper($1)",
    "ALTER FUNCTION fz.calm(text) VOLATILE",
    "ALTER TABLE fz.parted DETACH PARTITION fz.parted_x",
    "ALTER TABLE fz.parted ATTACH PARTITION fz.parted_x FOR VALUES IN ('x')",
    "CREATE TABLE fz.parted_x2 PARTITION OF fz.parted_x FOR VALUES FROM (5) TO (9)", "DROP TABLE fz.parted_x2",
    "DROP TABLE fz.parted_x1",
    "ALTER TABLE fz.secret DISABLE ROW LEVEL SECURITY", "ALTER TABLE fz.secret ENABLE ROW LEVEL SECURITY",
    "DROP POLICY p ON fz.secret",
    "CREATE POLICY p ON fz.secret USING (length(txt) < 9)", "CREATE POLICY p ON fz.secret USING (fz.calm(txt) = tenant)",
    "GRANT SELECT ON ALL TABLES IN SCHEMA fz TO PUBLIC", "REVOKE SELECT ON fz.items FROM PUBLIC",
    "REVOKE EXECUTE ON FUNCTION fz.calm FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION fz.calm TO PUBLIC", "REVOKE USAGE ON SCHEMA fz FROM PUBLIC",
    "GRANT USAGE ON SCHEMA fz TO PUBLIC",
    "GRANT {a} TO {b}", "REVOKE {a} FROM {b}", "ALTER ROLE {b} RENAME TO {c}", "ALTER ROLE {c} RENAME TO {b}",
    "DROP OWNED BY {b}",
    "CREATE ROLE {c}", "GRANT {c} TO {a}, {b}", "DROP ROLE {c}", "ALTER ROLE {b} NOLOGIN", "ALTER ROLE {b} LOGIN",
    "ALTER ROLE {b} SET work_mem = '1MB'",
    "CREATE STATISTICS fz.st ON n, txt FROM fz.items", "COMMENT ON TABLE fz.items IS 'x'",
    "ALTER SYSTEM SET live_queries.mailbox_size = '64kB'",
    "ALTER SYSTEM RESET live_queries.mailbox_size", "SELECT pg_reload_conf()", "CHECKPOINT",
]
EXTENSION = ["DROP EXTENSION live_queries CASCADE", "DROP EXTENSION live_queries; CREATE EXTENSION live_queries",
             "BEGIN; DROP EXTENSION live_queries; ROLLBACK",
             "BEGIN; DROP EXTENSION live_queries; CREATE EXTENSION live_queries; COMMIT"]


class World:
    """The server, reached as a superuser by the PG* variables, with a database and roles of its own."""

    def __init__(self):
        self.name = "fuzz_%d" % os.getpid()
        self.admin = connection_to()
        self.victims = []   # (pid, "cancel" or "terminate"): what a session wants to happen to it
        self.ended = set()  # pids that were terminated
        self.roles = {letter: "%s_%s" % (self.name, letter) for letter in "abc"}
        self.superuser = self.ask("SELECT current_user")
        self.ask("CREATE DATABASE %s" % self.name)
        for letter in "ab":
            self.ask("CREATE ROLE %s LOGIN" % self.roles[letter])
        self.ask("GRANT %(a)s TO %(b)s" % self.roles)
        self.ask("ALTER ROLE %(b)s NOINHERIT" % self.roles)
        with self.connect().cursor() as cursor:
            cursor.execute("CREATE EXTENSION live_queries; CREATE SCHEMA fz")
            for text in list(TABLES.values()) + [STEADY, FUNCTIONS, GRANTS,
                                                 "ALTER FUNCTION fz.as_other OWNER TO %(a)s" % self.roles]:
                cursor.execute(text)

    def ask(self, text):
        """Runs a statement in the maintenance database; returns its first value, if any."""
        with self.admin.cursor() as cursor:
            cursor.execute(text)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def connect(self, role=None, name="fuzz"):
        """Returns a connection to the database; as a role, or as the superuser."""
        return connection_to(dbname=self.name, application_name=name, **({"user": role} if role else {}))

    def rows(self, text):
        """Runs a query in the database, as the superuser; returns its rows."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall()
        finally:
            connection.close()

    def repair(self, cursor):
        """Makes what is missing, as far as it can be made, and ends what a session that is gone has prepared."""
        self.roll_back_prepared(cursor)
        for text in ["ALTER SCHEMA fz2 RENAME TO fz", "CREATE EXTENSION live_queries",
                     "ALTER TABLE fz.bag2 RENAME TO bag",
                     "ALTER ROLE %(c)s RENAME TO %(b)s" % self.roles, "ALTER ROLE %(b)s LOGIN" % self.roles,
                     "ALTER FUNCTION fz.calm(text) IMMUTABLE",
                     *TABLES.values(), GRANTS]:
            try:
                cursor.execute(text)
            except psycopg2.Error:
                cursor.execute("ROLLBACK")

    @staticmethod
    def roll_back_prepared(cursor):
        """Rolls back what is prepared, unless its session is about to end it."""
        cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
        for (gid,) in cursor.fetchall():
            try:
                cursor.execute("ROLLBACK PREPARED %s" % values.literal(gid))
            except psycopg2.Error:
                pass

    def close(self):
        """Drops everything; returns what could not be."""
        left = []
        connection = self.connect()
        with connection.cursor() as cursor:
            self.roll_back_prepared(cursor)
        connection.close()
        self.ask("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'fuzz'")
        self.ask("ALTER SYSTEM RESET live_queries.mailbox_size")
        self.ask("SELECT pg_reload_conf()")
        drops = ["DROP ROLE IF EXISTS %s" % role for role in self.roles.values()]
        for text in ["DROP DATABASE %s WITH (FORCE)" % self.name] + drops:
            try:
                self.ask(text)
            except psycopg2.Error as error:
                left.append("%s: %s" % (text, str(error).strip()))
        return left


def connection_to(**more):
    """Returns a connection in autocommit mode."""
    for attempt in range(5):
        try:
            connection = psycopg2.connect(extensions.make_dsn("", **more))
            connection.autocommit = True
            extensions.register_type(AS_TEXT, connection)
            return connection
        except psycopg2.OperationalError:
            if attempt == 4:
                raise
            time.sleep(0.2)
