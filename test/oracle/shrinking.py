"""Makes a failing case small: a query and statements, of which everything is left out that it fails without.

Knows of SQL its parentheses and the words that begin its parts, and nothing else: what is left is no SQL mostly, and
whoever asks says so. Pure: no server."""
import re
import time
SECONDS = 60  # for one case
TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_]\w*(?:\.\w+|\.\*)*|\d+(?:\.\d+)?|::|<>|<=|>=|[^\s\w]")
PART = ("WITH", "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH", "UNION", "INTERSECT", "EXCEPT")
JOIN = ("JOIN", "LEFT", "RIGHT", "FULL", "CROSS", "INNER")
BETWEEN = (",", "AND", "OR")
def tree_of(text):
    """Tokens; what stands in parentheses is a list of its own."""
    levels = [[]]
    for token in TOKEN.findall(text):
        if token == "(": levels.append([])
        elif token == ")": inner = levels.pop(); levels[-1].append(inner)
        else: levels[-1].append(token)
    assert len(levels) == 1, text
    return levels[0]
def text_of(tree):
    """The text of a tree: a call has its parenthesis at its name."""
    out = ""
    for node in tree:
        piece = "(%s)" % text_of(node) if isinstance(node, list) else node
        tight = piece in (",", "::", ".", "*)") or out.endswith(("::", "(")) or isinstance(node, list) and re.search(r"\b(count|sum|min|max|avg|[a-z]+_[a-z_]+|rank|lag|lead|ntile|coalesce|every|mode|to_json)$", out)
        out += piece if not out or tight else " " + piece
    return out
def spans(level):
    """What of a level might be left out as one: its parts, joins, and what commas and ANDs separate; then halves, quarters and so on."""
    starts = [i for i, t in enumerate(level) if t in PART and not (t in ("SELECT", "WITH") and i == 0)] + [len(level)]
    for a, b in zip(starts, starts[1:]): yield a, b
    starts = [i for i, t in enumerate(level) if t in PART or t in JOIN and (i == 0 or level[i - 1] not in JOIN)] + [len(level)]
    for a, b in zip(starts, starts[1:]):
        if level[a] in JOIN: yield a, b
    cuts = [i for i, t in enumerate(level) if isinstance(t, str) and (t in BETWEEN or t in PART or t in JOIN or t == "ON")] + [len(level)]
    for a, b in zip([-1] + cuts, cuts):
        if b > a + 1:
            if a >= 0 and level[a] in BETWEEN: yield a, b
            elif b < len(level) and level[b] in BETWEEN: yield a + 1, b + 1
    size = len(level)
    while size > 1:
        size = (size + 1) // 2
        for a in range(0, len(level), size): yield a, min(a + size, len(level))
        if size == 1: return
def without_first(level):
    """Of what is joined, without the first, and the condition of the join with it."""
    for f in (i for i, t in enumerate(level) if t == "FROM"):
        j = next((i for i in range(f + 1, len(level)) if level[i] == "JOIN" or level[i] in PART), None)
        if j is None or level[j] != "JOIN": continue
        end = next((i for i in range(j + 1, len(level)) if level[i] in PART or level[i] in JOIN), len(level))
        on = next((i for i in range(j + 1, end) if level[i] == "ON"), end)
        yield level[:f + 1] + level[j + 1:on] + level[end:]
def smaller(tree):
    """Trees with less in them, those with much less first."""
    def within(level, put):
        for node in level:
            if isinstance(node, list) and node[:1] in (["SELECT"], ["WITH"]): yield node if put is same else put(node)
        for a, b in spans(level): yield put(level[:a] + level[b:])
        for less in without_first(level): yield put(less)
        for i, t in enumerate(level):
            if t in ("WHERE", "ON", "AND", "HAVING"):  # a condition as one
                end = next((j for j in range(i + 1, len(level)) if level[j] in PART or level[j] in JOIN or level[j] in ("AND", "ON")), len(level))
                if level[i + 1:end] != ["true"]: yield put(level[:i + 1] + ["true"] + level[end:])
        for i, node in enumerate(level):
            if isinstance(node, list): yield from within(node, lambda new, i=i: put(level[:i] + [new] + level[i + 1:]))
    def same(level): return level
    yield from within(tree, same)
def size_of(tree): return sum(size_of(node) + 2 if isinstance(node, list) else 1 + (node != "true") for node in tree)
def shrink_query(text, fails, most=3000):
    """The smallest found of what is left of a query that `fails`."""
    tree, tried, asked = tree_of(text), set(), 0
    again = True
    while again:
        again = False
        for one in smaller(tree):
            candidate = text_of(one)
            if candidate in tried or size_of(one) >= size_of(tree): continue
            tried.add(candidate); asked += 1
            if asked > most: return text_of(tree)
            if fails(candidate):
                tree, again = one, True
                break
    return text_of(tree)
def shrink_list(items, fails):
    """The least of `items`, in their order, with which it `fails`: none of those left can be left out alone."""
    size = len(items)
    while size:
        a = 0
        while a < len(items):
            less = items[:a] + items[a + size:]
            if fails(less): items = less
            else: a += size
        size //= 2
    return items
def shrink_case(case, fails, seconds=SECONDS, simpler=()):
    """What is left of a case that `fails`, as far as one comes in that time. A case is a namedtuple: `sql`, the query; `setup`,
    the statements before it; `batches`, those after it, each a namedtuple with `statements`. simpler: functions that make a case
    simpler in other ways."""
    until = time.monotonic() + seconds
    def still(one): return time.monotonic() < until and fails(one)
    before = None
    while case != before:
        before = case
        case = case._replace(batches=shrink_list(case.batches, lambda batches: still(case._replace(batches=batches))))
        for i, batch in enumerate(case.batches):
            put = lambda statements: case._replace(batches=case.batches[:i] + [batch._replace(statements=statements)] + case.batches[i + 1:])
            case = put(shrink_list(batch.statements, lambda statements: still(put(statements))))
        case = case._replace(setup=shrink_list(case.setup, lambda setup: still(case._replace(setup=setup))))
        for make in simpler:
            one = make(case)
            if one != case and still(one): case = one
        case = case._replace(sql=shrink_query(case.sql, lambda sql: still(case._replace(sql=sql))))
    return case
def count_statements(case): return len(case.setup) + sum(len(batch.statements) for batch in case.batches)
