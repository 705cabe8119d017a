"""A result that is kept in step with its query: the first rows, and the changes applied to them.

Pure. docs/client.md, "Rows in step", says what is done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from .json_text import same
from .order import SortKey

Row = Mapping[str, Any]


@dataclass
class RowChange:
    """An element of a message's `changes`."""

    op: str
    key: str = ""
    row: dict[str, Any] | None = None
    position: int | None = None


@dataclass(frozen=True)
class Difference:
    """The keys, as JSON text, of the rows that entered, changed and left; and whether any stands elsewhere now."""

    entered: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    moved: bool = False

    def __bool__(self) -> bool:
        return bool(self.entered or self.changed or self.left or self.moved)


class DoesNotFit(Exception):
    """Changes of something that is not there: the result is out of step."""


class _Entry:
    """A row where it stands. One that is gone may stay in the list for a while."""

    __slots__ = ("gone", "key", "row", "sort")

    def __init__(self, key: str, row: Row, sort: Any) -> None:
        self.key = key
        self.row = row
        self.sort = sort
        self.gone = False


class Rows:
    """Rows by key, and in their order."""

    def __init__(self) -> None:
        self.sort_key: SortKey | None = None
        self._entries: list[_Entry] = []
        self._gone = 0
        self._by_key: dict[str, list[_Entry]] = {}
        self._shown: tuple[Row, ...] | None = ()

    # ---- what is shown

    def rows(self) -> tuple[Row, ...]:
        """The same object until something changes."""
        if self._shown is None:
            self._compact()
            self._shown = tuple([entry.row for entry in self._entries])
        return self._shown

    def keys(self) -> tuple[str, ...]:
        self._compact()
        return tuple([entry.key for entry in self._entries])

    # ---- another first result

    def replace(self, rows: Iterable[tuple[str, Row]]) -> Difference:
        """Rows that are as they were stay the same objects."""
        before = {key: [entry.row for entry in same_key] for key, same_key in self._by_key.items()}
        before_keys = self.keys()
        earlier = {key: list(of_key) for key, of_key in before.items()}
        self._entries = []
        self._by_key = {}
        self._gone = 0
        self._shown = None
        for key, row in rows:
            of_key = earlier.get(key)
            if of_key and same(of_key[0], row):
                row = of_key[0]
            if of_key:
                of_key.pop(0)
            self._insert_at(len(self._entries), key, row)
        return self._difference(before, dict.fromkeys([*before, *self._by_key]), before_keys)

    # ---- changes

    def apply(self, messages: Sequence[Sequence[RowChange]]) -> Difference:
        """The changes of the messages of one point, of which all or nothing is applied.

        Raises DoesNotFit.
        """
        self._check(messages)
        changes = [change for message in messages for change in message]
        clears = any(change.op == "clear" for change in changes)
        touched = dict.fromkeys(self._by_key if clears else ())
        touched.update(dict.fromkeys(change.key for change in changes if change.op != "clear"))
        before = {key: [entry.row for entry in self._by_key.get(key, ())] for key in touched}
        before_keys = self.keys() if self._may_move(changes) else None
        for message in messages:
            if any(change.position is not None for change in message):
                self._apply_placed(message)
            else:
                for change in message:
                    self._apply_one(change)
        difference = self._difference(before, touched, before_keys)
        if difference:
            self._shown = None
        return difference

    @staticmethod
    def _may_move(changes: Sequence[RowChange]) -> bool:
        """Whether a row may stand elsewhere afterwards though its content is the same."""
        if any(change.position is not None or change.op == "clear" for change in changes):
            return True
        inserted = {change.key for change in changes if change.op == "insert"}
        return any(change.op == "delete" and change.key in inserted for change in changes)

    def _check(self, messages: Sequence[Sequence[RowChange]]) -> None:
        """Whether there is what is deleted or updated, and whether positions are those of a list without gaps."""
        counts: dict[str, int] = {}
        cleared = False
        size = len(self._entries) - self._gone
        for message in messages:
            placed = any(change.position is not None for change in message)
            positions: list[int] = []
            came: list[str] = []
            for change in message:
                if change.op == "clear":
                    counts.clear()
                    cleared = True
                    size = 0
                    continue
                if change.key not in counts:
                    counts[change.key] = 0 if cleared else len(self._by_key.get(change.key, ()))
                if change.op != "insert":
                    if counts[change.key] == 0:
                        raise DoesNotFit(f"{change.op} of {change.key}, which is not there")
                    if change.op == "delete" or placed:
                        counts[change.key] -= 1
                        size -= 1
                if change.op == "delete":
                    continue
                if not placed:
                    counts[change.key] += change.op == "insert"
                    size += change.op == "insert"
                elif change.position is None:
                    raise DoesNotFit("a change without a position beside one with")
                else:
                    positions.append(change.position)
                    came.append(change.key)
            for position in sorted(positions):
                if not 0 <= position <= size:
                    raise DoesNotFit(f"position {position} of {size} rows")
                size += 1
            for key in came:
                counts[key] += 1

    def _apply_one(self, change: RowChange) -> None:
        if change.op == "clear":
            self._clear()
            return
        row: Row = change.row if change.row is not None else {}
        if change.op == "insert":
            self._insert(change.key, row)
        elif change.op == "delete":
            self._take_out(change.key)
        else:
            entry = self._first(change.key)
            if self.sort_key is not None and self.sort_key(row) != entry.sort:
                self._take_out(change.key)
                self._insert(change.key, row)
            elif not same(entry.row, row):
                entry.row = row

    def _apply_placed(self, message: Sequence[RowChange]) -> None:
        coming: list[tuple[int, str, Row]] = []
        for change in message:
            if change.op == "clear":
                self._clear()
                continue
            row: Row = change.row if change.row is not None else {}
            if change.op != "insert":
                entry = self._take_out(change.key)
                if same(entry.row, row):
                    row = entry.row
            if change.op != "delete" and change.position is not None:
                coming.append((change.position, change.key, row))
        self._compact()
        for position, key, row in sorted(coming, key=lambda placed: placed[0]):
            self._insert_at(position, key, row)

    # ---- the list

    def _insert(self, key: str, row: Row) -> None:
        """Where it belongs, searched from the end, where most rows belong that come later."""
        at = len(self._entries)
        if self.sort_key is not None:
            sort = self.sort_key(row)
            while at > 0 and (self._entries[at - 1].gone or sort < self._entries[at - 1].sort):
                at -= 1
        self._insert_at(at, key, row)

    def _insert_at(self, at: int, key: str, row: Row) -> None:
        entry = _Entry(key, row, self.sort_key(row) if self.sort_key is not None else None)
        if at == len(self._entries):
            self._entries.append(entry)
        else:
            self._entries.insert(at, entry)
        self._by_key.setdefault(key, []).append(entry)

    def _first(self, key: str) -> _Entry:
        """Of several the one that stands first: not always the one that came first."""
        same_key = self._by_key[key]
        if len(same_key) == 1:
            return same_key[0]
        return next(entry for entry in self._entries if entry.key == key and not entry.gone)

    def _take_out(self, key: str) -> _Entry:
        entry = self._first(key)
        entry.gone = True
        self._gone += 1
        same_key = self._by_key[key]
        same_key.remove(entry)
        if not same_key:
            del self._by_key[key]
        if self._gone > 1000 and self._gone * 2 > len(self._entries):
            self._compact()
        return entry

    def _clear(self) -> None:
        self._entries = []
        self._by_key = {}
        self._gone = 0

    def _compact(self) -> None:
        if self._gone:
            self._entries = [entry for entry in self._entries if not entry.gone]
            self._gone = 0

    # ---- what differs

    def _difference(
        self, before: Mapping[str, Sequence[Row]], touched: Iterable[str], before_keys: tuple[str, ...] | None
    ) -> Difference:
        """Of the touched keys; whether rows stand elsewhere if the keys in their order of before are given."""
        entered: list[str] = []
        changed: list[str] = []
        left: list[str] = []
        for key in touched:
            rows = before.get(key, ())
            now = self._by_key.get(key, ())
            entered += [key] * (len(now) - len(rows))
            left += [key] * (len(rows) - len(now))
            if any(not same(row, entry.row) for row, entry in zip(rows, now)):
                changed.append(key)
        moved = before_keys is not None and not entered and not left and self.keys() != before_keys
        return Difference(tuple(entered), tuple(changed), tuple(left), moved)
