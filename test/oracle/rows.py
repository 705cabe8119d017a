"""JSON as the oracle compares it.

Owns: reading a JSON text so that nothing of it is lost (numbers stay the digits that were sent, the
order of the columns stays) and turning a row into a value that can be compared and hashed.
Pure: no server, no thread.
"""

import json


class Number(str):
    """A JSON number, as the text that was sent: 12.50 is not 12.5."""

    __slots__ = ()


class Malformed(Exception):
    """A text that is no JSON, or JSON that says one thing twice."""


def _object(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed("an object names a field twice: %s" % [name for name, _ in pairs])
    return fields


def _constant(text):
    raise Malformed("%s is no JSON" % text)


def parse(text):
    """Returns the parsed text; numbers are Number, objects keep the order of their fields."""
    try:
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_constant,
                          object_pairs_hook=_object)
    except ValueError as error:
        raise Malformed("%s in %.200r" % (error, text)) from error


def is_whole(value):
    """Tells whether a parsed value is a whole number."""
    return isinstance(value, Number) and value.isdecimal()


def text_of(value):
    """Returns the compact JSON text of a parsed value."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{%s}" % ",".join("%s:%s" % (json.dumps(name, ensure_ascii=False), text_of(member))
                                 for name, member in value.items())
    return "[%s]" % ",".join(text_of(member) for member in value)


def row_of(value):
    """Returns a parsed row as a tuple of (column, text of its value), in the row's order."""
    if not isinstance(value, dict):
        raise Malformed("a row has to be an object, not %.80s" % text_of(value))
    return tuple((column, text_of(member)) for column, member in value.items())


def row_from(text):
    """Returns the row in the text that row_to_json gave."""
    return row_of(parse(text))


def key_from(text):
    """Returns the key in a JSON text, in the form that keys are compared in."""
    return text_of(parse(text))


def show_row(row, width=60):
    """Returns a row for a reader, long values shortened."""
    return "{%s}" % ", ".join("%s: %s" % (column, shorten(text, width)) for column, text in row)


def shorten(text, width=60):
    """Returns a text with its middle left out where it is longer than width."""
    text = str(text)
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    return "%s…%s (%d characters)" % (text[:half], text[-half:], len(text))
