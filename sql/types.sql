-- Parameters, conditions and columns of many types.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE t (
  id int PRIMARY KEY, small smallint, big bigint, num numeric(10,2), real8 float8, flag boolean,
  txt text, vc varchar(10), ch char(5), day date, ts timestamp, tz timestamptz, span interval,
  uid uuid, raw bytea, doc jsonb, plain json, ints int[], words text[], net inet, bits bit(4),
  feeling mood, dom positive, comp pair, comps pair[], r int4range);
ALTER TABLE t REPLICA IDENTITY FULL;

-- What the parameter is compared with gives it its type.
SELECT bool_and(strategy = 'stream') FROM (VALUES
  ('small', 'small = $1', '1'), ('big', 'big = $1', '9000000000'), ('num', 'num > $1', '1.5'),
  ('real8', 'real8 < $1', '1e3'), ('flag', 'flag = $1', 'yes'), ('bare flag', 'flag AND $1', 'true'),
  ('text', 'txt = $1', 'O''Brien "x" \ ünï'), ('varchar', 'vc = $1', 'abc'), ('char', 'ch = $1', 'ab'),
  ('date', 'day >= $1', '2026-02-28'), ('timestamp', 'ts = $1', '2026-02-28 01:02:03'),
  ('timestamptz', 'tz = $1', '2026-02-28 01:02:03+00'), ('interval', 'span > $1', '1 hour'),
  ('uuid', 'uid = $1', '00000000-0000-0000-0000-00000000000a'), ('bytea', 'raw = $1', '\x00ff'),
  ('jsonb', 'doc @> $1', '{"a": {"b": [1]}}'), ('jsonb path', 'doc->''a''->>''c'' = $1', 'd'),
  ('array', 'ints && $1', '{3,4}'), ('any', 'id = ANY ($1)', '{1,7}'), ('element', '$1 = ANY (words)', 'two'),
  ('inet', 'net << $1', '10.0.0.0/8'), ('enum', 'feeling = $1', 'happy'),
  ('enum order', 'feeling > $1', 'sad'), ('domain', 'dom = $1', '5'), ('composite', '(comp).b = $1', 'b'),
  ('record', 'comp = $1::pair', '(1,b)'), ('range', 'r @> $1::int', '5'), ('cast', 'id::text = $1', '1'),
  ('in', 'id IN (1, $1)', '5'), ('not in', 'id NOT IN (2, $1)', '5'), ('like', 'txt LIKE $1', 'O%'),
  ('ilike', 'txt ILIKE $1', '%X%'), ('regex', 'txt ~ $1', '^O.B'), ('similar', 'vc SIMILAR TO $1', '(a|b)%'),
  ('between', 'num BETWEEN 1 AND $1', '99'), ('case', 'CASE WHEN small = 1 THEN big ELSE 0 END > $1', '1'),
  ('coalesce', 'coalesce(small, $1) = 1', '1'), ('greatest', 'greatest(id, $1) = 1', '0'),
  ('extract', 'extract(year FROM ts) = $1', '2026'), ('collate', 'txt COLLATE "C" < $1', 'P'),
  ('distinct', 'small IS DISTINCT FROM $1', '2'), ('concat', 'txt || vc LIKE ''%'' || $1', 'abc'),
  ('bits', 'bits = $1', '1010'), ('null test', 'words IS NULL = $1', 'false'),
  ('row', '(small, vc) = (1, $1)', 'abc'), ('at time zone', 'date(tz AT TIME ZONE ''UTC'') = $1', '2026-02-28')
) AS q (id, condition, param),
LATERAL live.subscribe(id, 'SELECT id FROM t WHERE ' || condition, ARRAY[param], false, 'poll');
INSERT INTO t VALUES (1, 1, 9000000000, 12.5, 0.1, true, 'O''Brien "x" \ ünï', 'abc', 'ab',
  '2026-02-28', '2026-02-28 01:02:03', '2026-02-28 01:02:03+00', '1 day 2 hours',
  '00000000-0000-0000-0000-00000000000a', '\x00ff', '{"a": {"b": [1, 2], "c": "d"}, "z": null}',
  '{"k" : [1,  2]}', '{1,NULL,3}', '{one,two}', '10.1.2.3', B'1010', 'happy', 5, '(1,b)',
  ARRAY['(1,x)', '(2,)']::pair[], '[1,10)');
-- Every condition holds on the first row.
SELECT subscription_id AS missing FROM live_queries WHERE pid = pg_backend_pid()
EXCEPT SELECT id FROM feed() WHERE change = 'insert [1] {"id":1}';
-- None on a row of NULLs, but those that say so, and NOT IN, CASE and others that look at id.
INSERT INTO t (id) VALUES (2), (3);
SELECT * FROM feed();
SELECT live.unsubscribe_all() > 40 AS all;

-- Everything selected: as row_to_json gives it.
CALL watch('q', 'SELECT * FROM t');
UPDATE t SET small = 2 WHERE id = 1;
SELECT live.wait_for(timeout => '60s');
SELECT (message->'changes'->0->'row')::text = row_to_json(t)::text AS same, message->'changes'->0->'row' AS row
FROM live.poll(), t WHERE id = 1;
SELECT live.unsubscribe_all();
-- The snapshot is the same, and its keys.
SELECT count(*) FROM live.subscribe('q', 'SELECT * FROM t', delivery => 'poll');
SELECT "row"::text = row_to_json(t)::text AS same, key FROM live.snapshot('q'), t
WHERE ("row"->>'id')::int = t.id ORDER BY t.id;
SELECT live.unsubscribe_all();

-- Whatever the values are, in rows and in keys.
CREATE DOMAIN label AS text;
CREATE DOMAIN short_label AS label;
CREATE DOMAIN document AS jsonb;
CREATE TABLE edges (
  word short_label, day date, at timestamptz, yes boolean, n numeric, small smallint, letter "char", called name,
  single float4, double float8, ts timestamp, doc document, plain json, tree xml, price money, o oid, v int2vector,
  padded char(4), raw bytea, since time, zoned timetz, span interval, address inet, spot point, ranges int4multirange,
  PRIMARY KEY (word, day, at, yes, n, small, letter, called));
ALTER TABLE edges REPLICA IDENTITY FULL;
SELECT count(*) FROM live.subscribe('q', 'SELECT * FROM edges', '{}', false, 'poll');
INSERT INTO edges VALUES
  (E'a "b" \\ \n\t\x01 ü', 'infinity', '-infinity', true, 'NaN', -1, 'x', 'it', 'NaN', 'Infinity', 'infinity',
   '{"a": "\u00e9", "b": 1.50}', '{"k" : [1,  null]}', '<a b="c"/>', 1.5, 4000000000, '1 2', 'ab', '\x00ff', '01:02:03.5',
   '01:02:03+05:30', '1 mon -1 day', '::1', '(1,-0)', '{[1,2),[5,9)}'),
  ('', '0044-03-15 BC', '0001-01-01 00:00:00+00 BC', false, 0.10, 32767, '', '', '-Infinity', 1e300, '-infinity',
   'null', '"x"', '', -0.01, 0, '', '', '', '24:00', '24:00-15:59', '00:00', '0.0.0.0/0', NULL, '{}');
SELECT live.wait_for(timeout => '60s');
SELECT count(*), bool_and(change->>'row' = row_to_json(e)::text) AS rows,
  bool_and(change->>'key' = json_build_array(word, day, at, yes, n, small, letter, called)::text) AS keys
FROM live.poll(), json_array_elements(message->'changes') AS change, edges AS e
WHERE change->'row'->>'word' = word;
SELECT live.unsubscribe_all();

-- NULL is a value of a parameter, given as NULL or within the array.
CALL watch('equal', 'SELECT id FROM t WHERE txt = $1', NULL);
CALL watch('is not distinct', 'SELECT id FROM t WHERE txt IS NOT DISTINCT FROM $1', NULL);
CALL watch('is null', 'SELECT id FROM t WHERE $1::int IS NULL AND id = $2', NULL, '4');
INSERT INTO t (id) VALUES (4);
SELECT * FROM feed();
SELECT subscription_id, params, params[1] IS NULL AS first FROM live_queries
WHERE pid = pg_backend_pid() ORDER BY 1;
SELECT live.unsubscribe_all();

-- Params as given: with quotes, commas, braces, and empty.
CALL watch('q', 'SELECT id, $1 || $2 || $3 || $4 AS all FROM t', 'a"b', 'c,d', '{e\f}', '');
SELECT params FROM live_queries WHERE pid = pg_backend_pid();
UPDATE t SET id = 5 WHERE id = 4;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- The types of results: expressions, and settings of the subscriber.
SET datestyle = 'German';
SET timezone = 'Asia/Kolkata';
SET bytea_output = 'escape';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = -10;
CALL watch('q', $$SELECT id, day::text AS day, tz, span, raw::text AS raw, real8,
  (comp).a AS a, comp, ints[3] AS third, doc->'a' AS a_doc, doc IS NULL AS no_doc,
  CASE feeling WHEN 'happy' THEN ':)' ELSE ':(' END AS face, ROW(id, vc) AS r, ARRAY[id, small] AS arr,
  format('%s-%s', vc, to_char(num, 'FM990.000')) AS text FROM t WHERE day = '28.02.2026'$$);
RESET datestyle;
RESET timezone;
RESET bytea_output;
RESET intervalstyle;
RESET extra_float_digits;
UPDATE t SET real8 = 1.0 / 3 WHERE id = 1;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- They hold for the first result too, whenever it is read, and for a refresh.
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.t (id int PRIMARY KEY, tz text);
INSERT INTO elsewhere.t VALUES (1, 'another table');
BEGIN;
SET LOCAL timezone = 'Asia/Kolkata';
SELECT count(*) FROM live.subscribe('q', 'SELECT id, tz FROM t WHERE id = 1', delivery => 'poll');
SET LOCAL timezone = 'Asia/Tokyo';
COMMIT;
SET search_path = elsewhere, public;
SELECT "row" FROM live.snapshot('q');
SELECT live.refresh('q');
SELECT "row" FROM live.snapshot('q');
UPDATE public.t SET tz = tz + '1 second' WHERE id = 1;
SELECT * FROM feed();
SHOW timezone;
RESET search_path;
SELECT live.unsubscribe_all();
DROP SCHEMA elsewhere CASCADE;

-- Whole rows; the table as a column.
CALL watch('alias', 'SELECT d FROM (SELECT id, vc FROM t) d WHERE id < 10');
CALL watch('whole', 'SELECT x.id, (x.comp).b, (x).feeling FROM t x WHERE x IS NOT NULL OR x.id = 3');
CALL watch('null test', 'SELECT id FROM t WHERE t IS NULL');
UPDATE t SET vc = 'changed' WHERE id = 3;
UPDATE t SET feeling = 'ok' WHERE id = 3;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Values of user-defined types and functions.
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1 * 2; END $$;
CREATE FUNCTION inlined(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION nearly(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT abs($1 - $2) < 2';
CREATE OPERATOR ~~~ (FUNCTION = nearly, LEFTARG = int, RIGHTARG = int);
CALL watch('q', 'SELECT id, twice(id), inlined(id) AS more FROM t WHERE id ~~~ $1 AND twice(id) < 100', '7');
INSERT INTO t (id) VALUES (6), (7), (9);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A new label of an enum.
CALL watch('q', 'SELECT id, feeling FROM t WHERE feeling >= ''happy''');
ALTER TYPE mood ADD VALUE 'ecstatic';
UPDATE t SET feeling = 'ecstatic' WHERE id = 1;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

DROP OPERATOR ~~~ (int, int);
DROP FUNCTION twice, inlined, nearly;
DROP TABLE t;
DROP TYPE mood, pair;
DROP DOMAIN positive;
