"""Odd surroundings for a call.

Owns: each way in which a call may come: in transactions of every kind and state, from functions, triggers, cursors,
COPY and so on. A context is a function (session, call); what it leaves open is rolled back by its caller.
"""

import io

import values

CONTEXTS = []


def context(weight):
    """Registers a context with how often it is to come."""
    def register(function):
        CONTEXTS.append((function, weight))
        return function
    return register


def random_context(rng):
    """Returns one of the contexts."""
    return rng.choices([function for function, _ in CONTEXTS], [weight for _, weight in CONTEXTS])[0]


def _quoted(call):
    return values.literal(call.text)


def _direct(session, call, text):
    """A statement of which the call is a part: its result is not to be seen, but whether it was successful."""
    session.effect(call, session.outcome(session.sql(text)))


@context(14)
def alone(session, call):
    """Nothing around it."""
    session.perform(call)


@context(6)
def transaction(session, call):
    """Several calls in a transaction."""
    rng = session.rng
    session.sql("BEGIN %s" % rng.choice(["", "", "READ ONLY", "ISOLATION LEVEL SERIALIZABLE",
                                         "ISOLATION LEVEL REPEATABLE READ",
                                         "ISOLATION LEVEL SERIALIZABLE READ ONLY"]))
    session.perform(call)
    for _ in range(rng.randint(0, 2)):
        session.perform(session.calls.random(rng))
    session.end(rng.choice(["COMMIT", "COMMIT", "ROLLBACK"]))


@context(2)
def failed(session, call):
    """In a transaction that has failed."""
    session.sql("BEGIN")
    session.sql("SELECT 1/0")
    open_then = session.in_transaction()
    if session.perform(call) and open_then:
        raise AssertionError("a call in a failed transaction has succeeded")
    session.end()


@context(6)
def savepoints(session, call):
    """Between savepoints that are released or rolled back. Each has its name: any statement can be cancelled, and what
    would be rolled back to then is that one or none."""
    rng = session.rng
    session.sql("BEGIN")
    for turn in range(rng.randint(1, 3)):
        name = "s%d" % turn
        session.sql("SAVEPOINT %s" % name)
        innermost = len(session.pending)
        session.perform(call)
        if rng.random() < 0.4 and session.sql("SAVEPOINT inner_%s" % name) is not None:
            name, innermost = "inner_%s" % name, len(session.pending)
            session.perform(session.calls.random(rng))
        if rng.random() < 0.5 or session.sql("RELEASE %s" % name) is None:
            if session.sql("ROLLBACK TO %s" % name) is not None:
                del session.pending[innermost:]
        call = session.calls.random(rng)
    session.end(rng.choice(["COMMIT", "COMMIT", "ROLLBACK"]))


@context(4)
def caught(session, call):
    """In a function that catches what it raises."""
    rows = session.sql("SELECT fz.caught(%s)" % _quoted(call))
    if rows and rows[0][0]:
        session.check_error(rows[0][0][:5], rows[0][0][6:])
    session.effect(call, None if rows and rows[0][0] else session.outcome(rows))


@context(3)
def undone(session, call):
    """In a function that fails after it, and catches that."""
    rows = session.sql("SELECT fz.undone(%s)" % _quoted(call))
    if rows and rows[0][0]:
        session.check_error(rows[0][0][:5], rows[0][0][6:])


@context(2)
def nested(session, call):
    """Below a few functions."""
    _direct(session, call, "SELECT fz.nested(%s, %d)" % (_quoted(call), session.rng.choice([0, 1, 30])))


@context(2)
def block(session, call):
    """In a DO block; sometimes in one that catches or fails."""
    end = session.rng.choice(["", "", "RAISE EXCEPTION 'x';"])
    _direct(session, call, "DO %s" % values.literal("BEGIN EXECUTE %s; %s END" % (_quoted(call), end)))


@context(3)
def trigger(session, call):
    """In a trigger of the kinds that there are, also by COPY."""
    table = session.rng.choice(["before", "after", "late"])
    if session.rng.random() < 0.3:
        line = call.text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
        data = io.BytesIO((line + "\n").encode("utf-8", "surrogateescape"))
        session.effect(call, session.outcome(session.sql("COPY fz.calls_%s FROM STDIN" % table, data)))
    else:
        _direct(session, call, "INSERT INTO fz.calls_%s VALUES (%s)" % (table, _quoted(call)))


@context(4)
def cursor(session, call):
    """By a cursor, which may be held, closed or left open; its statement may run once, in parts, or not at all."""
    rng = session.rng
    session.sql("BEGIN")
    hold = rng.choice(["", "", " WITH HOLD"])
    done = session.outcome(session.sql("DECLARE c %s CURSOR%s FOR %s" % (rng.choice(["", "SCROLL", "NO SCROLL"]), hold,
                                                                         call.text)))
    for _ in range(rng.randint(0, 2)):
        session.sql(rng.choice(["FETCH 1 FROM c", "FETCH ALL FROM c", "FETCH BACKWARD 1 FROM c", "MOVE 2 IN c",
                                "CLOSE c", "CLOSE ALL"]))
    session.effect(call, None if done is None else "?")
    session.end(rng.choice(["COMMIT", "ROLLBACK"]))
    session.sql("CLOSE ALL")


@context(2)
def parallel(session, call):
    """Where the planner wants to be parallel."""
    name = "debug_parallel_query" if session.connection.server_version >= 160000 else "force_parallel_mode"
    session.sql("BEGIN; SET LOCAL %s = on; SET LOCAL parallel_setup_cost = 0" % name)
    session.perform(call)
    session.end()


@context(4)
def other_role(session, call):
    """As another role, for this transaction or by a function."""
    session.as_other = True
    role = session.world.roles[session.rng.choice("abc")]
    if session.rng.random() < 0.3:
        _direct(session, call, "SELECT fz.as_other(%s)" % _quoted(call))
        return
    session.sql("BEGIN")
    session.sql("SET LOCAL %s = %s" % (session.rng.choice(["role", "role", "session_authorization"]), role))
    session.perform(call)
    session.end()


@context(2)
def after_write(session, call):
    """After something was written."""
    session.sql("BEGIN")
    session.write()
    session.perform(call)
    session.end(session.rng.choice(["COMMIT", "ROLLBACK"]))


@context(2)
def copy_out(session, call):
    """As the query of a COPY."""
    session.effect(call, session.outcome(session.sql("COPY (%s) TO STDOUT" % call.text, io.BytesIO())))


@context(2)
def prepared(session, call):
    """As a prepared statement, executed twice."""
    if session.sql("DEALLOCATE ALL") is None or session.sql("PREPARE p AS %s" % call.text) is None:
        return  # there may be one of an earlier call
    for _ in range(2):
        _direct(session, call, "EXECUTE p")


@context(2)
def procedure(session, call):
    """In a procedure that commits or rolls back."""
    if session.rng.random() < 0.5:
        session.sql("CALL fz.rolls_back(%s)" % _quoted(call))
        return
    rows = session.sql("CALL fz.commits(%s)" % _quoted(call))
    session.effect(call, "?" if rows is None else True)


@context(2)
def prepared_transaction(session, call):
    """In a transaction that is prepared."""
    name = "%s %s" % (session.world.name, session.name)
    session.sql("BEGIN")
    session.perform(call)
    if session.rng.random() < 0.5:
        session.write()
    if session.end("PREPARE TRANSACTION %s" % values.literal(name)):
        session.finish_prepared(session.rng.choice(["COMMIT", "ROLLBACK"]), values.literal(name))


@context(3)
def odd_settings(session, call):
    """Under settings for this transaction."""
    session.sql("BEGIN")
    for _ in range(session.rng.randint(1, 3)):
        session.sql("SAVEPOINT s")
        if session.sql("SET LOCAL %s" % session.rng.choice(values.SETTINGS)) is None:
            session.sql("ROLLBACK TO s")
    session.perform(call)
    session.end()


@context(8)
def within(session, call):
    """As a part of a larger query."""
    other = session.calls.random(session.rng)
    text = session.rng.choice([
        "SELECT * FROM generate_series(1, 3), %s" if call.is_set else "SELECT %s FROM generate_series(1, 3)",
        "SELECT count(*) FROM (SELECT %s) q", "SELECT %s LIMIT 1", "SELECT (SELECT to_json(x) FROM %s x LIMIT 1)",
        "WITH w AS (SELECT * FROM %s) SELECT * FROM w, w x", "SELECT * FROM ROWS FROM (%s, generate_series(1, 2))",
        "SELECT CASE WHEN random() < 0.5 THEN 1 END, (SELECT count(*) FROM %s)",
        "SELECT 1 ORDER BY (SELECT count(*) FROM %s)",
        "EXPLAIN ANALYZE SELECT * FROM %s", "EXPLAIN SELECT * FROM %s",
        "CREATE TEMP TABLE IF NOT EXISTS made AS SELECT %s",
        "SELECT * FROM %s UNION ALL SELECT * FROM " + (other.body if other.is_set else "%s x" % other.body).replace("%",
                                                                                                                    "%%"),
        "SELECT * FROM %s WITH ORDINALITY", "SELECT 1 WHERE EXISTS (SELECT FROM %s)",
        "VALUES ((SELECT count(*) FROM %s))",
        "SELECT * FROM %s x FULL JOIN fz.bag ON true", "INSERT INTO fz.calls SELECT %s",
        "SELECT sum(1) FILTER (WHERE true) FROM %s",
        "CREATE TEMP VIEW v AS SELECT * FROM %s", "SELECT 1/0 FROM %s",
        "SELECT * FROM %s x, LATERAL (SELECT x) y OFFSET 1",
        "SELECT * FROM fz.items WHERE n = (SELECT count(*) FROM %s)", "LOCK fz.bag; SELECT * FROM %s",
        "SELECT 1; SELECT * FROM %s; SELECT 2",
    ]) % call.body
    done = "?" if session.outcome(session.sql(text)) else None
    session.effect(call, done)
    if "UNION" in text:
        session.effect(other, done)


@context(1)
def ended(session, call):
    """While another session ends it, or cancels what it does."""
    session.world.victims.append((session.pid, "terminate" if session.rng.random() < 0.3 else "cancel"))
    session.perform(call)
