"""The reference and its parts: what JSON says, what the log says, what a query's texts are.

Owns: those of the self-test's cases that need no trace.
"""

# pylint: disable=missing-function-docstring
import json
import random
import struct
from types import SimpleNamespace
from unittest import mock

import clocks
import journal
import pgoutput
import rows
import schema
import selects
import shapes
from reference import Replay, copy_line, timeline
from relations import Relations
from rows import row_from
from selftest_script import USER


def json_keeps_what_was_sent():
    assert row_from('{"b": 1.50, "a": [1e5, "x", null, true]}') == (("b", "1.50"), ("a", '[1e5,"x",null,true]'))
    assert rows.key_from('[1, "1"]') == '[1,"1"]'
    try:
        rows.parse('{"a":1,"a":1}')
    except rows.Malformed:
        return
    raise AssertionError("a name twice was accepted")


def _text(value):
    return value.encode() + b"\0"


def _tuple(*values):
    parts = [struct.pack("!H", len(values))]
    for value in values:
        parts.append(b"n" if value is None else b"u" if value is pgoutput.UNCHANGED else
                     b"t" + struct.pack("!I", len(value.encode())) + value.encode())
    return b"".join(parts)


def _relation(oid, name, identity, *columns):
    made = b"R" + struct.pack("!I", oid) + _text("public") + _text(name) + identity + struct.pack("!H", len(columns))
    for flag, column in columns:
        made += struct.pack("!B", flag) + _text(column) + struct.pack("!Ii", 25, -1)
    return made


def replays_the_log():
    """Insert, update of an unchanged long value, move between leaves, truncate; then the timeline of a query."""
    table = schema.Table("t", {"k": "int", "v": "text"}, ("k",), {}, leaves=("t1", "t2"))
    replay, decoder = Replay({"t": table}), pgoutput.Decoder()
    begin = lambda xid, lsn: b"B" + struct.pack("!QqI", lsn, 1000000, xid)  # noqa: E731
    commit = lambda end: b"C" + struct.pack("!BQQq", 0, 1, end, 3)  # noqa: E731
    one, two = struct.pack("!I", 1), struct.pack("!I", 2)
    for data in (begin(7, 100), _relation(1, "t1", b"d", (1, "k"), (0, "v")), b"I" + one + b"N" + _tuple("1", "long"),
                 commit(150), begin(9, 200), b"U" + one + b"N" + _tuple("1", pgoutput.UNCHANGED), commit(250),
                 begin(8, 300), b"D" + one + b"K" + _tuple("1", None),
                 _relation(2, "t2", b"f", (1, "v"), (1, "k")), b"I" + two + b"N" + _tuple("new", "1"), commit(350),
                 begin(10, 400), b"T" + struct.pack("!IB", 1, 0) + two, commit(450)):
        decoded = decoder.decode(data)
        if decoded:
            replay.feed(decoded)
    assert [done.xid for done in replay.transactions] == [7, 9, 8, 10]
    assert replay.by_xid[7].time.isoformat() == "2000-01-01T00:00:01+00:00"
    assert replay.index_before(149) == -1 and replay.index_before(250) == 1
    assert [r["v"] for _, r in replay.versions.values()] == ["long", "long", "new"]
    assert not replay.live()["t"]
    matching = {v: ("[1]", row_from('{"v":"%s"}' % r["v"])) for v, (_, r) in replay.versions.items()}
    assert timeline(table, {}, replay.transactions, [(-1, matching)]).steps == [
        (0, {"[1]": row_from('{"v":"long"}')}), (2, {"[1]": row_from('{"v":"new"}')}), (3, {"[1]": None})]


def replays_a_bag():
    table = schema.Table("b", {"v": "text"}, (), {})
    replay = Replay({"b": table})
    for decoded in (("begin", 1, 1, None), ("insert", "b", {"v": "x"}), ("insert", "b", {"v": "x"}), ("commit", 2),
                    ("begin", 2, 3, None), ("update", "b", {"v": "x"}, {"v": "y"}), ("commit", 4)):
        replay.feed(decoded)
    assert sorted(replay.live()["b"].values()) == [1, 1]
    matching = {v: (None, row_from('{"n":1}')) for v in replay.versions}
    assert timeline(table, {}, replay.transactions, [(-1, matching)]).steps == [(0, {row_from('{"n":1}'): 2})]


def replays_a_journal():
    """Of which the key is none for a while: it has a row twice."""
    table = schema.Table("j", {"k": "int", "v": "text"}, ("k",), {}, journal=True)
    replay, decoder = Replay({"j": table}), pgoutput.Decoder()
    told = [["insert", "j", {"k": "1", "v": "a"}], ["insert", "j", {"k": "1", "v": "b"}],
            ["delete", "j", {"k": "1", "v": "a"}], ["update", "j", {"k": "1", "v": "b"}, {"k": "1", "v": None}]]
    replay.feed(("begin", 1, 1, None))
    for one in told:
        content = json.dumps(one).encode()
        replay.feed(decoder.decode(b"M" + struct.pack("!BQ", 1, 5) + _text(journal.PREFIX)
                                   + struct.pack("!I", len(content)) + content))
    replay.feed(("commit", 2))
    assert [row for row, _ in replay.leaves["j"].rows.values()] == [{"k": "1", "v": None}]
    assert list(replay.live()["j"].values()) == [1]
    # Both go with the whole table.
    replay.feed(("begin", 2, 3, None))
    for value in "ab":
        replay.feed(("insert", "j", {"k": "2", "v": value}))
    replay.feed(("truncate", ["j"]))
    replay.feed(("commit", 4))
    assert not replay.leaves["j"].rows and not +replay.live()["j"]


def knows_who_truncates_nothing():
    """Clients are told of it. A journal tells it by a message that is about no row."""
    tables = {"t": schema.Table("t", {"k": "int"}, ("k",), {}), "j": schema.Table("j", {"k": "int"}, ("k",), {}, journal=True)}
    replay = Replay(tables)
    for decoded in (("begin", 1, 1, None), ("truncate", ["t"]), ("commit", 2),
                    ("begin", 2, 3, None), ("message", "oracle", b""), ("commit", 4)):
        replay.feed(decoded)
    assert [(done.xid, done.deltas) for done in replay.transactions] == [(1, {}), (2, {})]


def copies_any_text():
    assert copy_line(["a\\b\tc\nd", None, ""]) == "a\\\\b\\tc\\nd\t\\N\t\n"


def queries_have_two_texts():
    tables = schema.tables([USER])
    query = shapes.Query(shapes.Shape("t", "SELECT id FROM {accounts:a} WHERE a.amount > $1"), ("1'2",), USER)
    assert query.subscribed_sql(tables) == 'SELECT id FROM "accounts" AS a WHERE a.amount > $1'
    assert query.plain_sql(tables).endswith("a.amount > '1''2'")
    assert "s.tenant = 1) AS a WHERE" in query.version_sql(tables)
    for shape in shapes.STREAM + shapes.OTHER:
        assert shape.sources, shape.name


def who_has_steps_asks_the_time():
    """Also where its grammar has made a part that does, and left it out."""
    world, steps = SimpleNamespace(relations=Relations(1, [USER])), 0
    with mock.patch.multiple(selects, WINDOWS=1, ACCOUNTS=0, LISTS=0, SHARED=0, MEMBERSHIPS=0):
        for seed in range(2000):
            query = selects.random_select(random.Random(seed), USER, world)
            assert not query.refresh_every or clocks.NOW in query.text or query.asks_below, (seed, query.text)
            steps += bool(query.refresh_every)
    assert 0 < steps < 2000, steps


CASES = [json_keeps_what_was_sent, replays_the_log, replays_a_bag, replays_a_journal, knows_who_truncates_nothing,
         copies_any_text, queries_have_two_texts, who_has_steps_asks_the_time]
