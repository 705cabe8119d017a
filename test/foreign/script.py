"""Reads a script of psql's: the files of PostgreSQL's regression suite.

Owns: where a statement ends, and the few commands of psql's that change what is run. Pure: no server.
"""

import re

WORD = re.compile(r"[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*")
DOLLAR = re.compile(r"\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$")
VARIABLE = re.compile(r""":(['"]?)([A-Za-z_]\w*)\1""")


class Statement:
    """A statement without its end. into: the prefix of variables that its row sets (\\gset), None for none."""

    def __init__(self, text, line, into=None):
        self.text = text
        self.line = line
        self.into = into
        self.data = None  # what a COPY from standard input is given


class Command:
    """A command of psql's, as a list of words."""

    def __init__(self, words, line):
        self.words = words
        self.line = line


def _skip_string(text, at, escapes):
    at += 1
    while at < len(text):
        if escapes and text[at] == "\\":
            at += 2
        elif text[at] == "'":
            if text[at + 1:at + 2] != "'":
                return at + 1
            at += 2
        else:
            at += 1
    return at


def _skip_comment(text, at):
    depth = 0
    while at < len(text):
        if text.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif text.startswith("*/", at):
            depth, at = depth - 1, at + 2
            if not depth:
                return at
        else:
            at += 1
    return at


class Reader:
    """Goes over a script once."""

    def __init__(self, text):
        self.text = text
        self.at = 0
        self.start = 0
        self.pieces = []  # of the statement so far, without comments
        self.depth = 0    # of parentheses
        self.bodies = 0   # of BEGIN ATOMIC and CASE in a function's body
        self.words = []   # the first of the statement

    def _line(self):
        return self.text.count("\n", 0, self.start) + 1

    def _take(self, end):
        self.pieces.append(self.text[self.at:end])
        self.at = end

    def _take_word(self):
        word = WORD.match(self.text, self.at).group().lower()
        if len(self.words) < 4:
            self.words.append(word)
        if self.words[0] == "create" and not self.depth and {"function", "procedure"} & set(self.words):
            if word == "begin" or (word == "case" and self.bodies):
                self.bodies += 1
            elif word == "end" and self.bodies:
                self.bodies -= 1
        self._take(self.at + len(word))

    def _end(self, into=None):
        text = "".join(self.pieces).strip()
        statement = Statement(text, self._line(), into) if text else None
        self.pieces, self.words, self.depth, self.bodies, self.start = [], [], 0, 0, self.at
        return statement

    def _rest_of_line(self):
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at:end]
        self.at = end
        return line

    def _data(self):
        end = re.compile(r"^\\\.$", re.MULTILINE).search(self.text, self.at)
        begin = self.text.find("\n", self.at) + 1
        if not end:
            return ""
        self.at = end.end()
        return self.text[begin:end.start()]

    def items(self):
        """Yields statements and commands."""
        while self.at < len(self.text):
            text, at = self.text, self.at
            here = text[at]
            if here == "'":
                before = "".join(self.pieces[-1:])[-1:]
                self._take(_skip_string(text, at, before in ("e", "E")))
            elif here == '"':
                self._take(text.find('"', at + 1) + 1 or len(text))
            elif text.startswith("--", at):
                self._rest_of_line()
            elif text.startswith("/*", at):
                self.at = _skip_comment(text, at)
            elif here == "$" and DOLLAR.match(text, at):
                mark = DOLLAR.match(text, at).group()
                end = text.find(mark, at + len(mark))
                self._take(end + len(mark) if end >= 0 else len(text))
            elif WORD.match(text, at):
                self._take_word()
            elif here == ";" and not self.depth and not self.bodies:
                self.at += 1
                statement = self._end()
                if statement and re.match(r"copy\b.*\bfrom\s+stdin\b", statement.text, re.IGNORECASE | re.DOTALL):
                    statement.data = self._data()
                if statement:
                    yield statement
            elif here == "\\":
                line = self._line()
                words = self._rest_of_line()[1:].split()
                if words and words[0].startswith("g"):  # it ends a statement: \g, \gset, \gexec
                    statement = self._end((words[1:] or [""])[0] if words[0] == "gset" else None)
                    if statement:
                        yield statement
                    elif words[0] == "getenv":
                        yield Command(words, line)
                elif words:
                    self.pieces = [] if words[0] == "crosstabview" else self.pieces
                    yield Command(words, line)
            else:
                self.depth += {"(": 1, ")": -1}.get(here, 0)
                self._take(at + 1)


def read(text):
    """Returns an iterator over the statements and commands of a script."""
    return Reader(text).items()


def substitute(text, variables):
    """Returns the text with psql's variables in it."""
    def value(match):
        found = variables.get(match.group(2))
        if found is None or text[max(match.start() - 1, 0)] == ":":
            return match.group()
        return {"'": "'%s'" % found.replace("'", "''"), '"': '"%s"' % found, "": found}[match.group(1)]
    return VARIABLE.sub(value, text) if ":" in text and variables else text
