"""bench_servers.py: the throwaway servers that are measured.

A Server is a cluster of its own in a temporary directory: reached by a unix
socket only, durable as a real one (fsync on), and with everything that would
add noise at a time of its own choosing (checkpoints, autovacuum) put off. All
servers run with the same settings; they differ in shared_preload_libraries.
"""

import glob
import os
import pathlib
import pwd
import shutil
import subprocess

import psycopg2

DATABASE = "bench"

SETTINGS = {
    "listen_addresses": "",
    "wal_level": "logical",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "600",
    "max_wal_senders": "4",
    "max_replication_slots": "8",
    "shared_buffers": "512MB",
    "max_wal_size": "32GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}

# Of single servers.
MORE_SETTINGS = {"many": {"live_queries.max_subscriptions": "200000", "live_queries.memory_limit": "1GB"}}

# `items` is what live_queries and pgoutput watch. The other two are the same
# table with the trigger that people write today: all rows on one channel, or
# each row on its owner's.
SCHEMA = """
CREATE TABLE items (
    id bigserial PRIMARY KEY,
    owner integer NOT NULL,
    amount numeric(12, 2) NOT NULL,
    note text NOT NULL
);
ALTER TABLE items REPLICA IDENTITY FULL;
CREATE TABLE items_all (LIKE items INCLUDING ALL);
ALTER TABLE items_all REPLICA IDENTITY FULL;
CREATE TABLE items_owner (LIKE items INCLUDING ALL);
ALTER TABLE items_owner REPLICA IDENTITY FULL;

CREATE SEQUENCE items_all_id_seq OWNED BY items_all.id;
ALTER TABLE items_all ALTER id SET DEFAULT nextval('items_all_id_seq');
CREATE SEQUENCE items_owner_id_seq OWNED BY items_owner.id;
ALTER TABLE items_owner ALTER id SET DEFAULT nextval('items_owner_id_seq');

CREATE FUNCTION notify_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('items', row_to_json(NEW)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER notify AFTER INSERT OR UPDATE ON items_all
    FOR EACH ROW EXECUTE FUNCTION notify_all();

CREATE FUNCTION notify_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('items_' || NEW.owner, row_to_json(NEW)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER notify AFTER INSERT OR UPDATE ON items_owner
    FOR EACH ROW EXECUTE FUNCTION notify_owner();

-- The same, logged with the old key alone where a row changes.
CREATE TABLE items_by_key (LIKE items INCLUDING ALL);

-- A backlog: `transactions` commits of `each` rows.
CREATE PROCEDURE load(transactions integer, each integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. transactions LOOP
        INSERT INTO items (owner, amount, note)
            SELECT i % 100 + 1, 12.50, 'a line of text of ordinary length'
            FROM generate_series(1, each);
        COMMIT;
    END LOOP;
END $$;

CREATE PUBLICATION p FOR TABLE items;
"""


def pg_config(what):
    """One answer of pg_config; PG_CONFIG names another one."""
    program = os.environ.get("PG_CONFIG", "pg_config")
    return subprocess.run([program, what], check=True, capture_output=True, text=True).stdout.strip()


def bin_path(program):
    return os.path.join(pg_config("--bindir"), program)


def extension_installed():
    return os.path.exists(os.path.join(pg_config("--sharedir"), "extension", "live_queries.control"))


def extra_settings():
    """BENCH_SETTINGS="name=value name=value": further settings of every live_queries server."""
    return dict(pair.split("=", 1) for pair in os.environ.get("BENCH_SETTINGS", "").split())


def give_to_postgres(path):
    """Makes the server's user the owner of a directory, when run as root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)


def as_postgres(command):
    """Runs a server program, as the user postgres when started as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(prefix + command, capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


class Server:
    """One running cluster with the benchmark's schema in it."""

    def __init__(self, root, name, live_queries):
        self.name = name
        self.live_queries = live_queries
        self.directory = pathlib.Path(root) / name
        self.data = self.directory / "data"
        self.log = self.directory / "log"

    def start(self):
        self.directory.mkdir(mode=0o700)  # whoever reaches the socket is superuser
        give_to_postgres(self.directory)
        as_postgres([bin_path("initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust",
                     "-E", "UTF8", "--locale=C", "--no-sync"])
        settings = dict(SETTINGS, unix_socket_directories=str(self.directory))
        if self.live_queries:
            settings.update(extra_settings(), shared_preload_libraries="live_queries", **MORE_SETTINGS.get(self.name, {}))
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")
        as_postgres([bin_path("pg_ctl"), "-D", str(self.data), "-l", str(self.log), "-w", "start"])
        with self.connect("postgres") as connection:
            connection.cursor().execute(f"CREATE DATABASE {DATABASE}")
        self.execute(SCHEMA)
        if self.live_queries:
            self.execute("CREATE EXTENSION live_queries")
        self.execute("CHECKPOINT")

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            as_postgres([bin_path("pg_ctl"), "-D", str(self.data), "-m", "immediate", "-w", "stop"])
        shutil.rmtree(self.directory, ignore_errors=True)

    def restart(self):
        """Ends all connections, and starts anew."""
        as_postgres([bin_path("pg_ctl"), "-D", str(self.data), "-l", str(self.log), "-m", "fast", "-w", "restart"])

    def conninfo(self, synchronous_commit="on", database=DATABASE):
        return (f"host={self.directory} dbname={database} user=postgres "
                f"options='-c synchronous_commit={synchronous_commit}'")

    def environment(self, synchronous_commit="on"):
        """The same for programs that take their connection from the environment."""
        return dict(os.environ, PGHOST=str(self.directory), PGDATABASE=DATABASE, PGUSER="postgres",
                    PGOPTIONS=f"-c synchronous_commit={synchronous_commit}")

    def connect(self, database=DATABASE, synchronous_commit="on"):
        connection = psycopg2.connect(self.conninfo(synchronous_commit, database))
        connection.autocommit = True
        return Connection(connection)

    def execute(self, sql, *params):
        """Runs SQL on a connection of its own; the rows, if there are any."""
        with self.connect() as connection:
            return connection.execute(sql, *params)

    def value(self, sql, *params):
        return self.execute(sql, *params)[0][0]

    def empty(self, table):
        """Empties a table and starts its ids from 1 again."""
        self.execute(f"TRUNCATE {table} RESTART IDENTITY")

    def processor_seconds(self):
        """What the processors have done for its processes, those that have ended too."""
        postmaster = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        ticks = 0
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                # pid (name) state ppid ...: utime, stime, cutime, cstime are the 14th to 17th of them (proc(5)).
                fields = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
            except OSError:
                continue
            if path == f"/proc/{postmaster}/stat":
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == str(postmaster):
                ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def log_tail(self, lines=15):
        try:
            return "".join(open(self.log, encoding="utf-8", errors="replace").readlines()[-lines:])
        except OSError:
            return ""


class Connection:
    """A connection in autocommit mode that closes at the end of its `with`."""

    def __init__(self, connection):
        self.raw = connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def cursor(self):
        return self.raw.cursor()

    def execute(self, sql, *params):
        with self.raw.cursor() as cursor:
            cursor.execute(sql, params or None)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql, *params):
        return self.execute(sql, *params)[0][0]


class Servers:
    """Starts servers when they are first asked for, and stops them all at the end.

    live:  live_queries preloaded, with subscriptions
    idle:  live_queries preloaded, never a subscription
    many:  live_queries preloaded, with room for very many subscriptions
    plain: the same server without live_queries
    """

    def __init__(self, root):
        self.root = root
        self.running = {}

    def get(self, name):
        if name not in self.running:
            server = Server(self.root, name, live_queries=name != "plain")
            self.running[name] = server
            server.start()
        return self.running[name]

    def stop(self):
        for server in self.running.values():
            server.stop()
        self.running = {}
