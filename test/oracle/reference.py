"""What the tables really held after each transaction.

Owns: reading PostgreSQL's own pgoutput from a slot of the oracle's, replaying it into row versions, and
evaluating a query on all row versions at once, which gives the query's true result after every transaction.

Why not a journal that the writers keep: the log holds the exact row images and the exact commit order, whatever
the statement was (COPY, MERGE, TRUNCATE, moved rows, prepared transactions), and the writers stay ordinary.
That the reference is right is itself checked: at each quiet point it has to equal the tables.
"""

import bisect
import io
import json
from collections import Counter
from dataclasses import dataclass, field

import journal
import pgoutput
import rights as rights_of
import rows
import schema


KEPT_IN_DOUBT = 100  # changes of a table for which the reference itself is wrong
KEPT = 1000  # transactions whose changes are kept for a report


class ReferenceWrong(Exception):
    """The oracle's own bookkeeping does not agree with the tables: the fault is here, not in what is tested."""


@dataclass
class Transaction:
    """One committed transaction. index counts them in commit order."""

    index: int
    xid: int
    lsn: int
    time: object
    end_lsn: int = 0
    changes: list = field(default_factory=list)  # (op, leaf name, old row, new row), for the report
    deltas: dict = field(default_factory=dict)   # table -> Counter of version ids that came (+1) or went (-1)


@dataclass
class Timeline:
    """The true results of a query within one interval."""

    base: object   # keyed: dict of key -> row; bag: Counter of rows; as the interval began
    steps: list    # [(index, changes)]; keyed: {key: row or None}; bag: {row: count that came or went}
    failing: list = field(default_factory=list)  # indexes of transactions on rows for which the query fails


class Leaf:
    """The rows of one stored table: keyed {key: (row, version)}, bag {row: [version, count]}."""

    def __init__(self, table):
        self.table = table
        self.rows = {}
        self.hidden = []  # (row, version) of the open transaction: another row has the same key, which is none just now

    def key_of(self, row):
        """Returns the key of a row, or the row itself in a bag."""
        if not self.table.key:
            return tuple(row[column] for column in self.table.columns)
        return tuple(row[column] for column in self.table.key)


class Replay:
    """Row versions out of decoded changes. Pure: what read() of the Reference feeds and the self-test too."""

    def __init__(self, tables, rights=None):
        self.rights = [(-1, rights)]  # of this interval: (index of a transaction, the rights from then on)
        self.leaves = {}
        for table in tables.values():
            for name in table.leaves or (table.name,):
                self.leaves[name] = Leaf(table)
        self.versions = {}       # version -> (table, row) of those that came in this interval
        self.last_version = 0
        self.transactions = []   # of this interval
        self.by_xid = {}         # xid -> Transaction, of the whole run
        self.lsns = []           # where commits begin, of the whole run
        self.ends = []           # and where they end
        self.current = None

    def feed(self, decoded):
        """Takes one message of pgoutput."""
        kind = decoded[0]
        if kind == "begin":
            self.current = Transaction(len(self.lsns), decoded[1], decoded[2], decoded[3])
        elif kind == "commit":
            self._commit(decoded[1])
        elif kind == "truncate":
            for name in decoded[1]:
                self._truncate(name)
        elif kind == "message":
            if decoded[1] == journal.PREFIX:
                self._change(*json.loads(decoded[2]))
            elif decoded[1] == rights_of.PREFIX:
                self.rights.append((self.current.index, json.loads(decoded[2])))
        else:
            self._change(*decoded)

    def index_before(self, lsn):
        """Returns the index of the last transaction whose commit ends at the position or before, -1 for none."""
        return bisect.bisect_right(self.ends, lsn) - 1

    def _commit(self, end_lsn):
        done = self.current
        for name, leaf in self.leaves.items():
            if leaf.hidden:
                raise ReferenceWrong("%s has keys twice: %s" % (name, leaf.hidden))
        done.end_lsn = end_lsn
        done.deltas = {name: Counter({v: n for v, n in delta.items() if n}) for name, delta in done.deltas.items()}
        self.transactions.append(done)
        self.by_xid[done.xid] = done
        self.lsns.append(done.lsn)
        self.ends.append(end_lsn)
        self.current = None

    def _truncate(self, name):
        leaf = self.leaves.get(name)
        if leaf is None:
            return  # the root of partitions holds nothing itself
        for entry in leaf.rows.values():
            self._count(leaf, entry[1] if leaf.table.key else entry[0], -1 if leaf.table.key else -entry[1])
        for _, version in leaf.hidden:
            self._count(leaf, version, -1)
        leaf.rows, leaf.hidden = {}, []
        self.current.changes.append(("truncate", name, None, None))

    def _change(self, op, name, *images):
        leaf = self.leaves[name]
        images = [image and {c: v for c, v in image.items() if c in leaf.table.columns} for image in images]
        old = new = None
        if op == "insert":
            (new,) = images
        elif op == "delete":
            (old,) = images
        else:
            old, new = images
        before = self._take(leaf, name, old or new) if op != "insert" else None
        if new is not None:
            new = {column: before[column] if value is pgoutput.UNCHANGED else value for column, value in new.items()}
            self._put(leaf, name, new)
        self.current.changes.append((op, name, before, new))

    def _take(self, leaf, name, image):
        key = leaf.key_of(image)
        if leaf.hidden and leaf.rows.get(key, (None,))[0] != image:
            hidden = next((one for one in leaf.hidden if one[0] == image), None)
            if hidden:
                leaf.hidden.remove(hidden)
                self._count(leaf, hidden[1], -1)
                return hidden[0]
        if key not in leaf.rows:
            raise ReferenceWrong("%s has no row %s to change" % (name, rows.shorten(key, 200)))
        if leaf.table.key:
            row, version = leaf.rows.pop(key)
            again = next((one for one in leaf.hidden if leaf.key_of(one[0]) == key), None)
            if again:
                leaf.hidden.remove(again)
                leaf.rows[key] = again
        else:
            entry = leaf.rows[key]
            version, row = entry[0], dict(zip(leaf.table.columns, key))
            entry[1] -= 1
            if entry[1] == 0:
                del leaf.rows[key]
        self._count(leaf, version, -1)
        return row

    def _put(self, leaf, name, row):
        key = leaf.key_of(row)
        if not leaf.table.key and key in leaf.rows:
            leaf.rows[key][1] += 1
            self._count(leaf, leaf.rows[key][0], 1)
            return
        if key in leaf.rows and not leaf.table.journal:
            raise ReferenceWrong("%s has the key %s twice" % (name, key))
        if key in leaf.rows:
            leaf.hidden.append(leaf.rows[key])
        self.last_version += 1
        version = self.last_version
        self.versions[version] = (leaf.table, row)
        leaf.rows[key] = (row, version) if leaf.table.key else [version, 1]
        self._count(leaf, version, 1)

    def _count(self, leaf, version, by):
        self.current.deltas.setdefault(leaf.table.name, Counter())[version] += by

    def live(self):
        """Returns the versions that live now: table name -> Counter."""
        result = {}
        for leaf in self.leaves.values():
            counts = result.setdefault(leaf.table.name, Counter())
            for entry in leaf.rows.values():
                counts[entry[1] if leaf.table.key else entry[0]] += 1 if leaf.table.key else entry[1]
        return result


def timeline(table, base, transactions, evaluations):
    """Returns the Timeline of a query.

    base: Counter of the versions of the interval's start; evaluations: [(index, {version: (key, row)})], those that match
    from the transaction of that index on. There are several where rights have changed.
    """
    evaluated, later = evaluations[0][1], dict(evaluations[1:])
    if not table.key:
        result = Counter()
        for version, count in base.items():
            if version in evaluated:
                result[evaluated[version][1]] += count
        steps = []
        for done in transactions:
            change = Counter()
            for version, count in done.deltas.get(table.name, {}).items():
                if version in evaluated:
                    change[evaluated[version][1]] += count
            change = {row: count for row, count in change.items() if count}
            if change:
                steps.append((done.index, change))
        return Timeline(result, steps)
    result = dict(evaluated[version] for version in base if version in evaluated)
    now, live = dict(result), Counter(base)
    steps = []
    for done in transactions:
        live.update(done.deltas.get(table.name, {}))
        if done.index in later:
            evaluated = later[done.index]
            after = dict(evaluated[v] for v, n in live.items() if n > 0 and v in evaluated)
            change = {key: after.get(key) for key in {**now, **after} if now.get(key) != after.get(key)}
            steps.append((done.index, change))
            now = after
            continue
        delta = {v: n for v, n in done.deltas.get(table.name, {}).items() if v in evaluated}
        after = {evaluated[v][0]: None for v, n in delta.items() if n < 0}
        after.update(evaluated[v] for v, n in delta.items() if n > 0)
        change = {key: row for key, row in after.items() if now.get(key) != row}
        if change:
            now.update(change)
            steps.append((done.index, change))
    return Timeline(result, steps)


class Reference:
    """The replay, tied to a server. One connection of a superuser, used by the conductor's thread only."""

    SLOT = "oracle_reference_%s"

    def __init__(self, connection, tables, name, rights):
        self.connection = connection
        self.tables = tables
        self.slot = self.SLOT % name
        self.decoder = pgoutput.Decoder()
        self.replay = Replay(tables, rights)
        self.base = {}
        self.cache = {}
        # From 18 on, REPLICA IDENTITY FULL asks for generated columns to be published.
        options = " WITH (publish_generated_columns = stored)" if connection.server_version >= 180000 else ""
        self._execute("CREATE PUBLICATION %s FOR TABLE %s%s" % (
            self.slot, ", ".join(table.sql for table in tables.values() if not table.journal), options))
        self._execute(journal.DEFINITIONS)
        for table in tables.values():
            if table.journal:
                self._execute(journal.watch(table.name))
        self._execute("CREATE SCHEMA shadow")
        for table in tables.values():
            self._execute("CREATE UNLOGGED TABLE shadow.{0} (LIKE public.{0} INCLUDING GENERATED)".format(table.sql))
            self._execute("ALTER TABLE shadow.%s ADD COLUMN version_id bigint" % table.sql)
        self._execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput', true)" % schema.literal(self.slot))

    def adopt(self):
        """Takes over the rows that the tables hold; to be called before anybody writes."""
        self.replay.current = Transaction(-1, 0, 0, None)
        for name, leaf in self.replay.leaves.items():
            for row in self._stored(leaf.table, name):
                self.replay._put(leaf, name, row)
        self.replay.current = None
        self._load()
        self.base = self.replay.live()

    def read(self):
        """Reads everything committed since the last call and makes it evaluable."""
        # a slot gives what is flushed; this commit flushes the asynchronous ones before it
        self._execute("SELECT pg_logical_emit_message(true, 'oracle', '')")
        decoded = self._execute(
            "SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1',"
            " 'publication_names', %s, 'messages', 'true')" % (schema.literal(self.slot), schema.literal(self.slot)))
        for (data,) in decoded:
            message = self.decoder.decode(data)
            if message is not None:
                self.replay.feed(message)
        self._load()

    def verify(self):
        """Compares the replay with the tables; to be called while nobody writes."""
        for name, leaf in self.replay.leaves.items():
            stored = Counter(tuple(row.values()) for row in self._stored(leaf.table, name))
            if leaf.table.key:
                replayed = Counter(tuple(row[c] for c in leaf.table.columns) for row, _ in leaf.rows.values())
            else:
                replayed = Counter({key: count for key, (_, count) in leaf.rows.items()})
            if stored != replayed:
                raise ReferenceWrong("the replay of %s differs: table alone %s, replay alone %s; what it was told of last: %s"
                                     % (name, rows.shorten(list((stored - replayed).items()), 1000),
                                        rows.shorten(list((replayed - stored).items()), 1000), self._told_last(name)))

    def _told_last(self, name):
        """Returns the last changes of a stored table, with their transactions."""
        changes = [(done.xid,) + change for done in self.replay.transactions for change in done.changes if change[1] == name]
        return rows.shorten("".join("\n  %s" % (change,) for change in changes[-KEPT_IN_DOUBT:]), 20000)

    def timeline(self, query):
        """Returns the true results of a query within the interval since the last forget()."""
        if query not in self.cache:
            table = query.source_table(self.tables)
            self._execute("SET timezone = '%s'" % query.user.timezone)
            evaluations = [(index, {version: (key and rows.key_from(key), rows.row_from(row)) for version, key, row
                                    in self._execute(query.version_sql(self.tables, rights))})
                           for index, rights in (self.replay.rights if table.rights else self.replay.rights[:1])]
            self._execute("SET timezone = 'UTC'")  # the log's texts are in this one
            made = timeline(table, self.base.get(table.name, {}), self.replay.transactions, evaluations)
            if query.shape.guarded:
                ((_, evaluated),) = evaluations
                failing = {version for version, (_, row) in evaluated.items() if "null" in dict(row).values()}
                made.failing = [done.index for done in self.replay.transactions
                                if not failing.isdisjoint(done.deltas.get(table.name, {}))]
            self.cache[query] = made
        return self.cache[query]

    def forget(self):
        """Ends the interval: drops what no later result can need. The next one begins here."""
        self.base = self.replay.live()
        for table in self.tables.values():
            self._execute("DELETE FROM shadow.%s WHERE NOT version_id = ANY(ARRAY[%s]::bigint[])" % (
                table.sql, ",".join(map(str, self.base[table.name]))))
        for done in self.recent(KEPT + len(self.replay.transactions))[:-KEPT]:
            done.changes, done.deltas = [], {}
        self.replay.transactions = []
        self.replay.rights = self.replay.rights[-1:]
        self.cache = {}

    def recent(self, count):
        """Returns the last transactions of the run, oldest first."""
        return sorted(self.replay.by_xid.values(), key=lambda done: done.index)[-count:]

    def _load(self):
        by_table = {}
        for version, (table, row) in self.replay.versions.items():
            by_table.setdefault(table.name, (table, []))[1].append((version, row))
        self.replay.versions = {}
        with self.connection.cursor() as cursor:
            for table, loaded in by_table.values():
                text = "".join(copy_line([str(version)] + [row[c] for c in table.columns]) for version, row in loaded)
                cursor.copy_expert("COPY shadow.%s (version_id, %s) FROM STDIN" % (
                    table.sql, ", ".join(map(schema.identifier, table.columns))), io.StringIO(text))

    def _stored(self, table, name):
        # as the log has it, which uses the output functions: a cast of bool to text gives another text
        columns = ", ".join(("left(%s::text, 1)" if kind == "bool" else "%s::text") % schema.identifier(column)
                            for column, kind in table.columns.items())
        return [dict(zip(table.columns, row)) for row in self._execute(
            "SELECT %s FROM %s" % (columns, schema.identifier(name)))]

    def _execute(self, text):
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else []


def copy_line(values):
    """Returns one line of COPY's text format."""
    def escape(value):
        if value is None:
            return "\\N"
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return "\t".join(map(escape, values)) + "\n"
