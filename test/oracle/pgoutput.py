"""Reads what PostgreSQL's own output plugin says of a transaction.

Owns: the binary format of pgoutput, protocol version 1 (PostgreSQL manual, "Logical Replication Message
Formats"). A row comes back as a dict of column name to text, None or UNCHANGED. Pure: bytes in, tuples out.
"""

import struct
from datetime import datetime, timedelta, timezone

EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)


class Unchanged:
    """A TOASTed value that the update left alone and the log does not hold."""

    def __repr__(self):
        return "(unchanged)"


UNCHANGED = Unchanged()


class Reader:
    """A cursor over the bytes of one message."""

    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    def take(self, form):
        """Returns the next number; form as in the module struct, in network order."""
        (value,) = struct.unpack_from("!" + form, self.data, self.at)
        self.at += struct.calcsize("!" + form)
        return value

    def char(self):
        """Returns the next byte as a character."""
        self.at += 1
        return chr(self.data[self.at - 1])

    def string(self):
        """Returns the next zero-terminated text."""
        end = self.data.index(b"\0", self.at)
        text = self.data[self.at:end].decode()
        self.at = end + 1
        return text

    def bytes(self, length):
        """Returns the next bytes as text."""
        self.at += length
        return self.data[self.at - length:self.at].decode()


class Decoder:
    """Turns messages into tuples; remembers what the relations look like."""

    def __init__(self):
        self.relations = {}  # oid -> (name, [column, ...], {identity column, ...})

    def decode(self, data):
        """Returns one of

        ("begin", xid, commit lsn, commit time), ("commit", end lsn), ("insert", relation, new),
        ("update", relation, old or None, new), ("delete", relation, old), ("truncate", [relation, ...]),
        ("message", prefix, content), or None for what says nothing about rows. An old row of a default identity holds its key only.
        """
        reader = Reader(data)
        kind = reader.char()
        if kind == "B":
            lsn = reader.take("Q")
            micros = reader.take("q")
            return ("begin", reader.take("I"), lsn, EPOCH + timedelta(microseconds=micros))
        if kind == "C":
            reader.take("B")
            reader.take("Q")
            return ("commit", reader.take("Q"))
        if kind == "R":
            self._relation(reader)
            return None
        if kind == "I":
            relation = self.relations[reader.take("I")]
            reader.char()
            return ("insert", relation[0], self._tuple(reader, relation))
        if kind == "U":
            relation = self.relations[reader.take("I")]
            old = None
            part = reader.char()
            if part in "KO":
                old = self._tuple(reader, relation, key_only=part == "K")
                reader.char()
            return ("update", relation[0], old, self._tuple(reader, relation))
        if kind == "D":
            relation = self.relations[reader.take("I")]
            part = reader.char()
            return ("delete", relation[0], self._tuple(reader, relation, key_only=part == "K"))
        if kind == "T":
            count = reader.take("I")
            reader.take("B")
            return ("truncate", [self.relations[reader.take("I")][0] for _ in range(count)])
        if kind == "M":
            reader.take("B")
            reader.take("Q")
            prefix = reader.string()
            return ("message", prefix, reader.bytes(reader.take("I")))
        return None

    def _relation(self, reader):
        oid = reader.take("I")
        reader.string()
        name = reader.string()
        reader.take("B")
        columns, identity = [], set()
        for _ in range(reader.take("H")):
            in_identity = reader.take("B") & 1
            column = reader.string()
            reader.take("I")
            reader.take("i")
            columns.append(column)
            if in_identity:
                identity.add(column)
        self.relations[oid] = (name, columns, identity)

    @staticmethod
    def _tuple(reader, relation, key_only=False):
        row = {}
        count = reader.take("H")
        for column in relation[1][:count]:
            kind = reader.char()
            if kind == "n":
                value = None
            elif kind == "u":
                value = UNCHANGED
            else:
                value = reader.bytes(reader.take("I"))
            if not key_only or column in relation[2]:
                row[column] = value
        return row
