"""Rows and what is pure beside them, without server or clock."""

import datetime
import random
import unittest
from decimal import Decimal

from live_queries.json_text import Floats, key_text, parse, same, text_of
from live_queries.message import parse_message, sees
from live_queries.order import sort_key
from live_queries.parameters import interval, text_of_param, texts_of_params
from live_queries.rows import DoesNotFit, RowChange, Rows
from live_queries.transport import array_literal


class Model:
    """The same as a plain list, as slowly and as plainly as can be."""

    def __init__(self, before=None):
        self.before = before  # whether one row has to stand before another; None: no order
        self.rows = []  # [key, row]

    def first(self, key):
        return next(at for at, (other, _) in enumerate(self.rows) if other == key)

    def insert(self, key, row):
        at = len(self.rows)
        while self.before is not None and at > 0 and self.before(row, self.rows[at - 1][1]):
            at -= 1
        self.rows.insert(at, [key, row])

    def apply(self, message):
        if any(change.position is not None for change in message):
            coming = []
            for change in message:
                if change.op != "insert":
                    del self.rows[self.first(change.key)]
                if change.op != "delete":
                    coming.append(change)
            for change in sorted(coming, key=lambda change: change.position):
                self.rows.insert(change.position, [change.key, change.row])
            return
        for change in message:
            if change.op == "clear":
                self.rows = []
            elif change.op == "insert":
                self.insert(change.key, change.row)
            elif change.op == "delete":
                del self.rows[self.first(change.key)]
            else:
                at = self.first(change.key)
                old = self.rows[at][1]
                if self.before is not None and (self.before(old, change.row) or self.before(change.row, old)):
                    del self.rows[at]
                    self.insert(change.key, change.row)
                else:
                    self.rows[at][1] = change.row


def by_v(left, right):
    return left["v"] > right["v"]  # descending


class Random(unittest.TestCase):
    """Random messages, against the plain list; and the difference, against both lists."""

    def message(self, dice, model, placed, is_bag):
        keys = [key for key, _ in model.rows]
        message = []
        size = len(keys)
        gone = set()
        for _ in range(dice.randrange(4)):
            free = [key for key in keys if key not in gone]
            op = dice.choice(["insert", "update", "delete"]) if free else "insert"
            if op == "insert":
                key = f"[{dice.randrange(4 if is_bag else 1000)}]"
                if not is_bag and (key in keys or key in gone):
                    continue
                message.append(RowChange(op, key, {"v": key if is_bag else dice.randrange(4)}))
                if not placed:
                    keys.append(key)
                continue
            key = dice.choice(free)
            if op == "update" and is_bag:
                continue
            message.append(RowChange(op, key, {"v": dice.randrange(4)}))
            if op == "delete" or placed:
                keys.remove(key)
                size -= 1
                if key not in keys:
                    gone.add(key)
        if placed:
            coming = [change for change in message if change.op != "delete"]
            places = sorted(dice.sample(range(size + len(coming)), len(coming)))
            dice.shuffle(coming)
            for change, place in zip(coming, places):
                change.position = place
        elif dice.random() < 0.05:
            message.insert(0, RowChange("clear"))
            message = [message[0]] + [change for change in message[1:] if change.op == "insert"]
        return message

    def run_kind(self, seed, placed, ordered, is_bag):
        dice = random.Random(seed)
        rows = Rows()
        model = Model(by_v if ordered else None)
        if ordered:
            rows.sort_key = sort_key([{"name": "v", "order": 0, "descending": True}])
        for _ in range(100):
            before = [list(pair) for pair in model.rows]
            messages = []
            for _ in range(dice.choice([1, 1, 1, 2])):
                message = self.message(dice, model, placed, is_bag)
                model.apply(message)
                messages.append(message)
            difference = rows.apply(messages)
            self.assertEqual(list(zip(rows.keys(), rows.rows())), [tuple(pair) for pair in model.rows])
            self.assertEqual(bool(difference), before != model.rows)
            for key in {key for key, _ in before + model.rows}:
                old = [row for other, row in before if other == key]
                new = [row for other, row in model.rows if other == key]
                self.assertEqual(difference.entered.count(key), max(0, len(new) - len(old)))
                self.assertEqual(difference.left.count(key), max(0, len(old) - len(new)))
                if not is_bag and old and new:
                    self.assertEqual(key in difference.changed, old != new)

    def test_all_kinds(self):
        for seed in range(40):
            for placed, ordered, is_bag in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1)):
                with self.subTest(seed=seed, placed=placed, ordered=ordered, is_bag=is_bag):
                    self.run_kind(seed, placed, ordered, is_bag)


class RowsTest(unittest.TestCase):
    def test_nothing_is_applied_of_what_does_not_fit(self):
        rows = Rows()
        rows.replace([("[1]", {"v": 1})])
        shown = rows.rows()
        misfits = (
            [[RowChange("delete", "[1]"), RowChange("delete", "[1]")]],
            [[RowChange("insert", "[2]", {"v": 2})], [RowChange("update", "[3]", {"v": 3})]],
            [[RowChange("insert", "[2]", {"v": 2}, 2)]],
            [[RowChange("insert", "[2]", {"v": 2}, -1)]],
            [[RowChange("clear"), RowChange("delete", "[1]")]],
            [[RowChange("insert", "[2]", {"v": 2}, 0), RowChange("insert", "[3]", {"v": 3})]],
        )
        for messages in misfits:
            with self.subTest(messages), self.assertRaises(DoesNotFit):
                rows.apply(messages)
        self.assertIs(rows.rows(), shown)

    def test_many_that_come_and_go(self):
        rows = Rows()
        rows.replace((f"[{i}]", {"i": i}) for i in range(5000))
        for i in range(5000):
            rows.apply([[RowChange("delete", f"[{i}]"), RowChange("insert", f"[{i + 5000}]", {"i": i + 5000})]])
        self.assertEqual([row["i"] for row in rows.rows()], list(range(5000, 10000)))

    def test_an_equal_row_stays_the_same_object(self):
        rows = Rows()
        rows.replace([("[1]", {"v": 1}), ("[2]", {"v": 2})])
        first = rows.rows()[0]
        self.assertFalse(rows.apply([[RowChange("update", "[1]", {"v": 1})]]))
        rows.replace([("[1]", {"v": 1}), ("[2]", {"v": 3})])
        self.assertIs(rows.rows()[0], first)


class Texts(unittest.TestCase):
    def test_json_keeps_every_digit(self):
        for text in ("[9007199254740993]", "[1.50]", '["é \\"x\\" 1.5"]', '[{"a":[1.10,null,true]}]', "[-0.0]"):
            self.assertEqual(key_text(text), text)
        self.assertEqual(key_text('[ 1 , "\\u00e9" ]'), '[1,"é"]')

    def test_same(self):
        self.assertTrue(same({"a": [1]}, {"a": [1]}))
        for left, right in ((1, True), (1, Decimal("1.0")), (Decimal("1.5"), Decimal("1.50")), (1, 2)):
            self.assertFalse(same([left], [right]))

    def test_floats(self):
        floats = Floats([{"name": "f", "type": "double precision[]"}, {"name": "j", "type": "jsonb"}, {"name": "n", "type": "numeric"}])
        row = floats.convert(parse('{"f": [1.5, null], "j": {"a": 2.5}, "n": 3.5}'))
        self.assertEqual(repr(row), repr({"f": [1.5, None], "j": {"a": 2.5}, "n": Decimal("3.5")}))

    def test_messages(self):
        for text in ("", "[]", "1", '{"type":"changes"}', '{"type":"changes","changes":[{"op":"jump","key":[1],"row":{}}]}', "[" * 100000):
            with self.subTest(text[:40]), self.assertRaises(ValueError):
                parse_message(text)
        self.assertEqual(parse_message('{"type":"new","more":1}').more, False)

    def test_snapshots(self):
        self.assertEqual([xid for xid in range(8, 14) if sees("10:13:11", xid)], [8, 9, 10, 12])
        self.assertTrue(sees("10:10:", 9))

    def test_order(self):
        columns = [{"name": "t", "order": 0, "nulls_first": True}, {"name": "n", "order": 1, "descending": True}, {"name": "x", "order": 3}]
        key = sort_key(columns)
        rows = [("b", 1), (None, 5), ("a", 2), ("a", 10), ("a", "NaN"), ("a", None), (None, Decimal("5.5"))]
        ordered = sorted(({"t": t, "n": n, "x": 0} for t, n in rows), key=key)
        expected = [(None, Decimal("5.5")), (None, 5), ("a", "NaN"), ("a", 10), ("a", 2), ("a", None), ("b", 1)]
        self.assertEqual([(row["t"], row["n"]) for row in ordered], expected)
        self.assertIsNone(sort_key([{"name": "x", "order": 1}]))

    def test_parameters(self):
        moment = datetime.datetime(2026, 11, 28, 4, 5, tzinfo=datetime.timezone.utc)
        cases = {
            42: "42",
            "x": "x",
            Decimal("1.50"): "1.50",
            moment: "2026-11-28T04:05:00+00:00",
            datetime.timedelta(days=1, seconds=2): "1 days 2 seconds 0 microseconds",
            b"\x01\xff": "\\x01ff",
        }
        for value, text in cases.items():
            self.assertEqual(text_of_param(value), text)
        self.assertEqual(texts_of_params([None, True, [1, None, 'a"b', [2]], {"a": 1}]), (None, "true", '{"1",NULL,"a\\"b",{"2"}}', '{"a": 1}'))
        for value in (object(), {1}):
            with self.assertRaises(TypeError):
                text_of_param(value)
        with self.assertRaises(TypeError):
            texts_of_params("42")
        self.assertEqual((interval(0.5), interval("1 s")), ("0.5 seconds", "1 s"))
        self.assertEqual(array_literal((None, 'a"b\\', "")), '{NULL,"a\\"b\\\\",""}')


if __name__ == "__main__":
    unittest.main()
