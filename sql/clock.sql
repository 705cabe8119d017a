-- What a text takes from the clock is refused wherever it stands: it would be another query at each analysis.
CREATE TYPE span_of AS (label text, at timestamptz);
CREATE DOMAIN moment AS timestamptz;
CREATE TABLE t (id int PRIMARY KEY, at timestamptz, day date, clock time, local timetz, note text,
                during tstzrange, days date[], span span_of, at_domain moment, doc jsonb);
ALTER TABLE t REPLICA IDENTITY FULL;

-- Parameters.
CALL refused('SELECT id FROM t WHERE at > $1', 'now');
CALL refused('SELECT id FROM t WHERE at > $1', ' ToDay 04:05');
CALL refused('SELECT id FROM t WHERE at_domain > $1', 'yesterday');
CALL refused('SELECT id FROM t WHERE day = ANY ($1)', '{2026-01-01,tomorrow}');
CALL refused('SELECT id FROM t WHERE during && $1', '[now,)');
CALL refused('SELECT id FROM t WHERE span = $1::span_of', '(a,today)');
CALL refused('SELECT id FROM t WHERE clock < $1', 'now');
CALL refused('SELECT id FROM t WHERE local < $1', '10:00 Europe/Berlin');

-- Literals, with every syntax.
CALL refused($$SELECT id FROM t WHERE at > 'now'$$);
CALL refused($$SELECT id FROM t WHERE at > 'NOW'::timestamptz$$);
CALL refused($$SELECT id FROM t WHERE at > timestamptz 'today'$$);
CALL refused($$SELECT id FROM t WHERE day = CAST('yesterday' AS date)$$);
CALL refused($$SELECT id FROM t WHERE day IN ('2026-01-01', 'today')$$);
CALL refused($$SELECT id FROM t WHERE at BETWEEN '2026-01-01' AND 'tomorrow'$$);
CALL refused($$SELECT id FROM t WHERE days && ARRAY['today', '2026-01-01']::date[]$$);
CALL refused($$SELECT id FROM t WHERE days && '{today}'$$);
CALL refused($$SELECT id FROM t WHERE during @> 'now'::timestamptz$$);
CALL refused($$SELECT id FROM t WHERE during && '[today,tomorrow)'$$);
CALL refused($$SELECT id FROM t WHERE span = ROW('a', 'now')::span_of$$);
CALL refused($$SELECT id FROM t WHERE at > coalesce(at_domain, 'now')$$);
CALL refused($$SELECT id, CASE WHEN id > 1 THEN at ELSE 'now' END AS at FROM t$$);
CALL refused($$SELECT id FROM t WHERE local > '10:00'$$);
CALL refused($$SELECT id FROM (SELECT * FROM t WHERE at > 'now') AS s$$);

-- Casts, of constants and of columns.
CALL refused($$SELECT id FROM t WHERE at > 'now'::text::timestamptz$$);
CALL refused($$SELECT id FROM t WHERE at > ('to' || 'day')::timestamptz$$);
CALL refused($$SELECT id FROM t WHERE days && '{today}'::text::date[]$$);
SET app.since = 'yesterday';
CALL refused($$SELECT id FROM t WHERE at > current_setting('app.since')::timestamptz$$);
CALL refused($$SELECT id FROM t WHERE note::timestamptz > '2026-01-01'$$);
CALL refused($$SELECT id, (doc->>'at')::date AS day FROM t$$);
CALL refused($$SELECT id FROM t WHERE (jsonb_populate_record(NULL::span_of, doc)).at > '2026-01-01'$$);
CALL refused('SELECT id, clock::timetz AS local FROM t');
CALL refused($$SELECT id, local AT TIME ZONE 'Europe/Berlin' AS local FROM t$$);

-- In a function that nobody can look into: it gives another value each time that it is asked.
CREATE FUNCTION hidden() RETURNS timestamptz STABLE LANGUAGE plpgsql AS 'BEGIN RETURN now(); END';
CALL refused('SELECT id FROM t WHERE at > hidden()');

-- The same words elsewhere, and times that are fixed.
SET app.since = '2026-01-01 00:00:00+00';
CALL watch('words', $$SELECT id, note = 'now' AS is_now FROM t WHERE note IN ('today', $1) AND at > '2026-01-01'$$,
           'tomorrow');
CALL watch('fixed', $$SELECT id FROM t WHERE at < 'infinity' AND day > 'epoch' AND clock <> 'allballs'
                      AND local > '10:00+02' AND days = '{2026-01-01}'$$);
CALL watch('cast', $$SELECT id FROM t WHERE at > current_setting('app.since')::timestamptz$$);
CALL watch('format', $$SELECT id FROM t WHERE to_timestamp(note, 'YYYY-MM-DD') > '2026-01-01'$$);
CALL watch('shown', 'SELECT id, at::text AS at, at::date AS day FROM t');
SELECT subscription_id FROM live_queries WHERE status = 'active' ORDER BY subscription_id COLLATE "C";
SELECT live.unsubscribe_all();
DROP TABLE t;
DROP DOMAIN moment;
DROP TYPE span_of;
DROP FUNCTION hidden;
