"""The tables that the oracle writes to and watches.

Owns: their definitions, what a random row of each looks like, who may see what. Each table is there for one
kind of trouble, named in its comment. Everything random comes from the caller's random.Random.
"""

import base64
import json
from dataclasses import dataclass

STATUSES = ["new", "open", "paid", "void"]
REGIONS = ["north", "south", "east", "west"]
TENANTS = [1, 2, 3]
SECRET = "secret-of-"  # and the tenant: what is no number, and nobody else may see
RENAMED = "-renamed"   # at the end of a role's name, for a while
FAR = 1000  # keys of bulk rows start here, so that they can be deleted together


@dataclass(frozen=True)
class User:
    """Someone who subscribes: a role, and what its connections set."""

    name: str
    tenant: int
    superuser: bool
    timezone: str = "UTC"  # another one for each, as it changes how a row's JSON looks
    login: str = ""        # the role that connects, and becomes this one only to subscribe, as gateways do
    renamed: bool = False  # from time to time


@dataclass(frozen=True)
class Table:
    """One table: how it is spelled, its columns with their types, and random values for them."""

    name: str          # the name in the catalog
    columns: dict      # column -> type, in the table's order, without generated ones
    key: tuple         # primary key columns; empty: a bag
    values: dict       # column -> function(rng) -> text or None
    full: bool = True  # replica identity FULL
    generated: tuple = ()
    leaves: tuple = ()
    weight: int = 4    # how often a writer picks it
    journal: bool = False  # its rows are told by triggers, not by pgoutput: see journal.py
    parted: bool = False   # has leaves that come and go
    together: tuple = ()   # columns that are only set together
    rights: bool = False   # who may see which rows changes all the time: see rights.py
    small: bool = False    # is to stay so: see relations.py
    cascades: tuple = ()   # tables that a foreign key's cascade reaches from here

    @property
    def sql(self):
        """The name as SQL spells it."""
        return identifier(self.name)

    def random_row(self, rng, far=False):
        """Returns a row: column -> text or None; far puts it among the bulk rows."""
        row = {column: make(rng) for column, make in self.values.items()}
        if far and self.key and self.columns[self.key[0]] in ("int", "bigint"):
            row[self.key[0]] = str(FAR + rng.randint(0, 2000))
        if row.get("txt") == SECRET:
            row["txt"] += row["tenant"]
        return row


def identifier(name):
    """Returns a name quoted for SQL."""
    return '"%s"' % name.replace('"', '""')


def literal(text):
    """Returns a text or None as an SQL literal of no type yet."""
    return "NULL" if text is None else "'%s'" % text.replace("'", "''")


def _number(low, high):
    return lambda rng: str(rng.randint(low, high))


def _choice(values, nulls=0.0):
    return lambda rng: None if rng.random() < nulls else str(rng.choice(values))


def _decimal(rng):
    if rng.random() < 0.1:
        return rng.choice([None, "NaN", "0", "0.00", "-0.5"])
    return "%d.%0*d" % (rng.randint(0, 99), rng.randint(1, 3), rng.randint(0, 9))


def _document(rng):
    if rng.random() < 0.1:
        return rng.choice([None, "null", "[]", '"text"'])
    return json.dumps({"color": rng.choice(["red", "green", "blue"]), "size": rng.randint(1, 5),
                       "nested": {"a": [rng.randint(0, 3), None]}})


def _array(rng):
    if rng.random() < 0.15:
        return rng.choice([None, "{}"])
    return "{%s}" % ",".join(str(rng.randint(1, 6)) for _ in range(rng.randint(1, 3)))


def _note(rng):
    return rng.choice([None, "", "alpha", "Alphabet", "beta", "it's", 'a "quoted" \\ word', "tab\tline\nend",
                       "näher ☃ 𝄞", "x%_y", "\x01\x7f"])


def _short(rng):
    return rng.choice([None, "", "x", "it's", "☃"])


def _time(rng):
    if rng.random() < 0.2:
        return rng.choice([None, "infinity"])
    return "2026-01-%02d %02d:00:00.%d+00" % (rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 999999))


def _float(rng):
    return rng.choice([None, "0.1", "-0", "1e300", "NaN", str(rng.random() * 10)])


def big_text(rng):
    """Returns a text that is stored outside its row: long, and with nothing to compress."""
    return base64.b64encode(rng.randbytes(rng.randint(7000, 12000))).decode()


def _body(rng):
    return big_text(rng) if rng.random() < 0.25 else _note(rng)


def tables(users):
    """Returns all tables by a short name; users give the owners of rows under row security."""
    owners = [user.name for user in users] + ["nobody"]
    return {
        # all types, a dropped column, a column added after rows existed, a generated one, TOASTed values
        "items": Table(
            "items",
            {"id": "int", "customer_id": "int", "status": "text", "total": "numeric", "attrs": "jsonb",
             "tags": "int[]", "open": "bool", "due": "timestamptz", "note": "text", "body": "text",
             "score": "float8", "grade": "int"},
            ("id",),
            {"id": _number(1, 120), "customer_id": _choice(range(1, 9), 0.1), "status": _choice(STATUSES),
             "total": _decimal, "attrs": _document, "tags": _array, "open": _choice(["t", "f"], 0.1),
             "due": _time, "note": _note, "body": _body, "score": _float, "grade": _choice(range(5, 9), 0.1)},
            generated=("label",), weight=10),
        # rows move between leaves; one leaf has another column order; one is partitioned again
        "orders": Table(
            "orders", {"id": "int", "region": "text", "amount": "int", "memo": "text"}, ("id", "region"),
            {"id": _number(1, 60), "region": _choice(REGIONS), "amount": _choice(range(0, 50), 0.1),
             "memo": _note},
            leaves=("orders_north", "orders_south", "orders_rest_low", "orders_rest_high"), weight=7),
        # no key: a bag with equal rows
        "events": Table(
            "events", {"kind": "text", "level": "int", "payload": "text"}, (),
            {"kind": _choice(["a", "b", "c"]), "level": _choice(range(0, 4), 0.1),
             "payload": _choice(["x", "y"], 0.3)}, weight=5),
        # default replica identity: the log holds no old row
        "customers": Table(
            "customers", {"id": "int", "name": "text", "city": "text", "balance": "numeric", "profile": "text"},
            ("id",),
            {"id": _number(1, 40), "name": _note, "city": _choice(["Ulm", "Bonn"], 0.2), "balance": _decimal,
             "profile": _body}, full=False, weight=5),
        # names that need quotes, a text key
        "bestellung": Table(
            "Bestellung ☃", {"Nr.": "text", "Größe": "numeric", "order": "text", 'it\'s "quoted"': "text"},
            ("Nr.",),
            {"Nr.": lambda rng: "№ %d '\"\\" % rng.randint(1, 30), "Größe": _decimal,
             "order": _choice(["asc", "desc", "ö"], 0.1), 'it\'s "quoted"': _note}),
        # row security by a setting
        "accounts": Table(
            "accounts", {"id": "int", "tenant": "int", "amount": "int"}, ("id",),
            {"id": _number(1, 40), "tenant": _choice(TENANTS, 0.1), "amount": _choice(range(0, 20), 0.1)}),
        # row security by role
        "letters": Table(
            "letters", {"id": "int", "owner_name": "text", "public": "bool", "body": "text"}, ("id",),
            {"id": _number(1, 40), "owner_name": _choice(owners, 0.1), "public": _choice(["t", "f"], 0.1),
             "body": _body}),
        # row security by role alone, so that each role's templates differ in it; the log has old rows, or their key
        "drafts": Table(
            "drafts", {"id": "int", "owner_name": "text", "folder": "int", "body": "text"}, ("id",),
            {"id": _number(1, 40), "owner_name": _choice(owners, 0.1), "folder": _choice(range(0, 4), 0.1), "body": _body}),
        "memos": Table(
            "memos", {"owner_name": "text", "no": "int", "content": "text"}, ("owner_name", "no"),
            {"owner_name": _choice(owners), "no": _number(1, 12), "content": _short}, full=False, weight=3),
        # a key of two columns
        "lines": Table(
            "lines", {"order_id": "bigint", "line_no": "int", "product": "text", "quantity": "int"},
            ("order_id", "line_no"),
            {"order_id": _number(1, 12), "line_no": _number(1, 5), "product": _choice(["nut", "bolt"], 0.1),
             "quantity": _choice(range(0, 9), 0.1)}),
        # an expression that fails for some rows; row security by a setting
        "wallets": Table(
            "wallets", {"id": "int", "tenant": "text", "txt": "text"}, ("id",),
            {"id": _number(1, 30), "tenant": _choice(TENANTS),
             "txt": lambda rng: SECRET if rng.random() < 0.03 else str(rng.randint(0, 99))},
            weight=3, together=("tenant", "txt")),
        # its key, replica identity and storage change within transactions: see migrations.py
        "moves": Table(
            "moves", {"id": "int", "alt": "int", "owner": "int", "txt": "text"}, ("id",),
            {"id": _number(1, 40), "alt": _number(1, 4000), "owner": _choice(range(0, 5), 0.1), "txt": _short},
            journal=True, weight=2),
        # the same, with the default identity
        "tokens": Table(
            "tokens", {"id": "int", "n": "int", "txt": "text"}, ("id",),
            {"id": _number(1, 40), "n": _choice(range(0, 5), 0.1), "txt": _short}, full=False, journal=True, weight=2),
        # row security by rights that come and go
        "files": Table(
            "files", {"id": "int", "owner_name": "text", "level": "int", "txt": "text"}, ("id",),
            {"id": _number(1, 40), "owner_name": _choice(owners, 0.1), "level": _choice(range(0, 5), 0.1), "txt": _short},
            rights=True, weight=3),
        # partitions below partitions come and go, with their rows
        "regions": Table(
            "regions", {"id": "int", "region": "text", "n": "int", "txt": "text"}, ("id", "region"),
            {"id": _number(1, 60), "region": _choice(["north", "south"]), "n": _choice(range(0, 5), 0.1), "txt": _short},
            journal=True, parted=True, weight=2),
    }


DEFINITIONS = """
CREATE TABLE items (dropped text, id int PRIMARY KEY, customer_id int, status text, total numeric, attrs jsonb,
    tags int[], open bool, due timestamptz, note text, body text,
    label text GENERATED ALWAYS AS (status || ':' || coalesce(customer_id, 0)::text) STORED, score float8);
ALTER TABLE items DROP COLUMN dropped;
ALTER TABLE items ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE items REPLICA IDENTITY FULL;
INSERT INTO items (id, customer_id, status, total, open)
    SELECT n, n % 8 + 1, 'new', n, n % 2 = 0 FROM generate_series(1, 50) n;
ALTER TABLE items ADD COLUMN grade int DEFAULT 7;

CREATE TABLE orders (id int, region text, amount int, memo text, PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE orders_north PARTITION OF orders FOR VALUES IN ('north');
CREATE TABLE orders_south (memo text, dropped int, amount int, region text NOT NULL, id int NOT NULL);
ALTER TABLE orders_south DROP COLUMN dropped;
ALTER TABLE orders ATTACH PARTITION orders_south FOR VALUES IN ('south');
CREATE TABLE orders_rest PARTITION OF orders DEFAULT PARTITION BY RANGE (id);
CREATE TABLE orders_rest_low PARTITION OF orders_rest FOR VALUES FROM (MINVALUE) TO (30);
CREATE TABLE orders_rest_high PARTITION OF orders_rest FOR VALUES FROM (30) TO (MAXVALUE);
ALTER TABLE orders_north REPLICA IDENTITY FULL;
ALTER TABLE orders_south REPLICA IDENTITY FULL;
ALTER TABLE orders_rest_low REPLICA IDENTITY FULL;
ALTER TABLE orders_rest_high REPLICA IDENTITY FULL;
ALTER TABLE orders_rest REPLICA IDENTITY FULL;
ALTER TABLE orders REPLICA IDENTITY FULL;

CREATE TABLE events (kind text, level int, payload text);
ALTER TABLE events REPLICA IDENTITY FULL;

CREATE TABLE customers (id int PRIMARY KEY, name text, city text, balance numeric, profile text);
ALTER TABLE customers ALTER COLUMN profile SET STORAGE EXTERNAL;

CREATE TABLE "Bestellung ☃" ("Nr." text PRIMARY KEY, "Größe" numeric, "order" text, "it's ""quoted\""" text);
ALTER TABLE "Bestellung ☃" REPLICA IDENTITY FULL;

CREATE TABLE accounts (id int PRIMARY KEY, tenant int, amount int);
ALTER TABLE accounts REPLICA IDENTITY FULL;
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON accounts USING (tenant = current_setting('app.tenant')::int);

CREATE TABLE letters (id int PRIMARY KEY, owner_name text, public bool, body text);
ALTER TABLE letters ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE letters REPLICA IDENTITY FULL;
ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_owner ON letters USING (owner_name = current_user);
CREATE POLICY to_all ON letters FOR SELECT USING (public);

CREATE TABLE drafts (id int PRIMARY KEY, owner_name text, folder int, body text);
ALTER TABLE drafts ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE drafts REPLICA IDENTITY FULL;
ALTER TABLE drafts ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_owner ON drafts USING (owner_name = current_user);
CREATE TABLE memos (owner_name text, no int, content text, PRIMARY KEY (owner_name, no));
ALTER TABLE memos ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_owner ON memos USING (owner_name = current_user);

CREATE TABLE lines (order_id bigint, line_no int, product text, quantity int, PRIMARY KEY (order_id, line_no));
ALTER TABLE lines REPLICA IDENTITY FULL;

CREATE TABLE wallets (id int PRIMARY KEY, tenant text, txt text);
ALTER TABLE wallets REPLICA IDENTITY FULL;
ALTER TABLE wallets ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON wallets USING (tenant = current_setting('app.tenant'));

CREATE TABLE files (id int PRIMARY KEY, owner_name text, level int, txt text);
ALTER TABLE files REPLICA IDENTITY FULL;

CREATE TABLE moves (id int PRIMARY KEY, alt int NOT NULL, owner int, txt text);
CREATE UNIQUE INDEX moves_alt ON moves (alt);
ALTER TABLE moves REPLICA IDENTITY FULL;
CREATE TABLE tokens (id int PRIMARY KEY, n int, txt text);
CREATE TABLE regions (id int, region text, n int, txt text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE regions_north PARTITION OF regions FOR VALUES IN ('north');
CREATE TABLE regions_south PARTITION OF regions FOR VALUES IN ('south') PARTITION BY RANGE (id);
CREATE TABLE regions_south_low PARTITION OF regions_south FOR VALUES FROM (MINVALUE) TO (20);
ALTER TABLE regions REPLICA IDENTITY FULL;
ALTER TABLE regions_north REPLICA IDENTITY FULL;
ALTER TABLE regions_south REPLICA IDENTITY FULL;
ALTER TABLE regions_south_low REPLICA IDENTITY FULL;

CREATE VIEW open_items AS SELECT id, customer_id, status, total FROM items WHERE open;
CREATE VIEW open_totals AS SELECT customer_id AS customer, total * 2 AS twice FROM open_items WHERE status <> 'void';

CREATE TABLE scratch (n int);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""


def policy(name, user):
    """Returns the condition that row security adds for a user, over the row "s", or None."""
    if user.superuser:
        return None
    if name == "accounts":
        return "s.tenant = %d" % user.tenant
    if name == "wallets":
        return "s.tenant = '%d'" % user.tenant
    if name == "letters":
        return "(s.owner_name = %s OR s.public)" % literal(user.name)
    if name in ("drafts", "memos"):
        return "s.owner_name = %s" % literal(user.name)
    return None
