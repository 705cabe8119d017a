"""Odd values.

Owns: how a random argument of each type looks, as SQL: NULLs, extremes, what no encoding allows. A text may hold
surrogates, which stand for bytes (surrogateescape): statements are sent as bytes.
"""

IDS = ["a", "b", "c", "d", "it's", 'ü ☃ "x"']  # what most calls are about, so that they meet
NAUGHTY_IDS = ["n0", "n1"]                      # those of functions that call live.* themselves
JSON = [None, True, False, 0, -1.5, "", "1 s", "-1 s", "yes", [], [None], ["1", "2"], [[1]], {}, {"a": [1]}]  # members of objects
MB = 1 << 20
SETTINGS = [
    "datestyle = 'German'", "intervalstyle = 'iso_8601'", "row_security = off",
    "standard_conforming_strings = off", "work_mem = '64kB'", "enable_seqscan = off", "jit = on",
    "timezone = 'Asia/Kathmandu'",
    "bytea_output = 'escape'", "extra_float_digits = -15", "backslash_quote = off", "search_path = ''",
    "search_path = 'pg_temp, fz'",
    "search_path = 'nowhere'", "max_stack_depth = '100kB'", "statement_timeout = '30ms'", "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "plan_cache_mode = force_generic_plan", "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "app.tenant = 'x'", "app.tenant = ''", "live_queries.subscribe_timeout = '1ms'",
    "live_queries.subscribe_timeout = '5s'",
    "check_function_bodies = off", "constraint_exclusion = on", "array_nulls = off", "transform_null_equals = on",
    "quote_all_identifiers = on",
    "xmloption = document", "cursor_tuple_fraction = 0.01", "geqo = off", "temp_buffers = 100",
    "log_statement_stats = on",
    "session_replication_role = replica", "temp_file_limit = 0", "default_tablespace = ''",
    "gin_fuzzy_search_limit = 1",
]


def literal(text):
    """Returns a text or None as an SQL literal, whatever standard_conforming_strings says."""
    if text is None:
        return "NULL"
    quoted = text.replace("'", "''")
    return "E'%s'" % quoted.replace("\\", "\\\\") if "\\" in quoted else "'%s'" % quoted


def odd_text(rng):
    """Returns a text that somebody may have forgotten, or None."""
    return rng.choice([
        None, "", " ", "x" * 128, "x" * 129, "ü" * 64, "ü" * 65, "'", "''", '"', "\\", "\\'", "$$", "$1", "%s %n %d",
        "\n", "\t\r",
        "\x01\x7f", "\U0010ffff", "\u202eabc", "ﷺ", "NULL", "null", "{", "}", "{}", "[1,", '{"a":', "{a,b", "0", "-1",
        "1e999",
        "NaN", "infinity", "-infinity", "now", "epoch", "--", "/*", ";", "live_queries", "*", "public.x", "a-1-b",
        "".join(chr(rng.randint(1, 0x10ffff)) for _ in range(9)).encode("utf-8", "ignore").decode(),
        rng.randbytes(rng.randint(1, 40)).replace(b"\0", b"\1").decode("utf-8", "surrogateescape"),
        "y" * rng.choice([1000, 8000, 70000, MB])])


def identifier_text(rng):
    """Returns a subscription's id: mostly one of a few."""
    return rng.choice(IDS) if rng.random() < 0.85 else odd_text(rng)


def integer(rng):
    """Returns an integer, as SQL."""
    return rng.choice(["NULL", "0", "-1", "1", "1", "2", "7", "100", "2147483647", "-2147483648", "2147483648", "'x'",
                       "1.5",
                       "NULL::integer", "(SELECT 3)", "(random() * 5)::int"])


def interval(rng):
    """Returns an interval, as SQL; seldom a long one, since somebody waits for it."""
    if rng.random() < 0.85:
        return rng.choice(["NULL", "'0'", "'1 ms'", "'20 ms'", "'-1 s'", "interval '-178000000 years'", "'0.0001 ms'"])
    return rng.choice(["'178000000 years'", "'infinity'", "'-infinity'", "''", "'1 mon -30 days'", "'2147483647 days'",
                       "'1 fortnight'",
                       "'9223372036854775807 us'"])


def boolean(rng):
    """Returns a boolean, as SQL."""
    return rng.choice(["true", "true", "true", "false", "NULL", "'maybe'"])


def lsn(rng):
    """Returns a WAL position, as SQL."""
    return rng.choice(["NULL", "NULL", "'0/0'", "'FFFFFFFF/FFFFFFFF'", "pg_current_wal_insert_lsn()",
                       "pg_current_wal_lsn()", "'0/1'",
                       "'x'"])


def text_array(rng):
    """Returns an array of texts, as SQL."""
    return rng.choice([
        "NULL", "'{}'", "'{1}'", "'{NULL}'", "'{{1,2},{3,4}}'", "'[5:6]={1,2}'", "'{{}}'", "'{\"'",
        "array_fill('1'::text, '{10000}')",
        "ARRAY[%s]::text[]" % ", ".join(literal(odd_text(rng)) for _ in range(rng.randint(0, 4))),
        "ARRAY[repeat('p', 1000000)]", "'{1,2,3,4,5,6,7,8,9,10}'", "ARRAY['1', 2]", "array_fill(NULL::text, '{3,0}')"])
