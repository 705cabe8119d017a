-- Which subscriptions a changed row finds by the keys that an array or a jsonb is asked for, and what live.explain says of it.
CREATE FUNCTION routing_line(condition text, params text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(value, ', ') FROM routing_of('SELECT id FROM facts WHERE ' || condition, params)
  WHERE property IN ('routing index', 'residual filter')
$$;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE facts (id int PRIMARY KEY, shop int, kind text, tags int[], words varchar[], moods mood[], fact jsonb);
ALTER TABLE facts REPLICA IDENTITY FULL;

-- Behind equalities and lists, before the others. The condition itself is checked.
SELECT * FROM routing_of('SELECT id FROM facts WHERE tags @> $1', '{"{1,2}"}');
SELECT * FROM routing_of('SELECT id FROM facts WHERE tags && $1 AND shop > 1', '{"{1,2}"}');
SELECT * FROM routing_of('SELECT id FROM facts WHERE $1 = ANY(tags) AND kind LIKE $2', '{1,a%}');
SELECT * FROM routing_of('SELECT id FROM facts WHERE shop = 1 AND tags @> $1', '{"{1,2}"}');
SELECT condition, routing_line(condition) FROM unnest(ARRAY[$$fact @> '{"a": 1}'$$, $$fact ? 'a'$$, $$fact ?| '{a,b}'$$, $$fact ?& '{a,b}'$$,
  $$words @> '{a}'$$, $$'a' = ANY(words)$$, $$moods && '{sad}'$$]) AS condition;
-- Not where that is none, or it is asked the other way round.
SELECT condition, routing_line(condition) FROM unnest(ARRAY[$$fact @> '{}'$$, $$fact ?& '{}'$$, $$fact @> '[[]]'$$, $$tags @> '{}'$$, $$tags && '{NULL}'$$,
  'tags @> NULL', $$tags <@ '{1}'$$, '1 = ALL(tags)', '1 <> ANY(tags)', '1::bigint = ANY(tags)', 'id = ANY(tags)', 'tags @> ARRAY[id]',
  $$fact @@ '$.a == 1'$$]) AS condition;
SELECT most, routing_line('tags && $1', ARRAY[(SELECT array_agg(n)::text FROM generate_series(1, most) n)]) LIKE 'hash%' AS routes FROM unnest('{1000,1001}'::int[]) most;
-- Nor behind a barrier: these operators may tell of a row.
CREATE ROLE regress_live_facts;
GRANT SELECT ON facts TO regress_live_facts;
ALTER TABLE facts ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_shop ON facts USING (shop = 1 AND tags @> '{1}');
SET ROLE regress_live_facts;
SELECT * FROM routing_of('SELECT id FROM facts WHERE tags @> $1', '{"{2}"}');
RESET ROLE;
DROP POLICY of_shop ON facts;
ALTER TABLE facts DISABLE ROW LEVEL SECURITY;

-- Arrays: all, any, one; what comes twice, NULLs, dimensions; several routes for one key, and several keys of one route in a row.
CALL watch('all 1', 'SELECT id FROM facts WHERE tags @> $1', '{1}');
CALL watch('all 1 2', 'SELECT id FROM facts WHERE tags @> $1', '{1,2}');
CALL watch('all 2 1', 'SELECT id FROM facts WHERE tags @> $1', '{2,1,1}');
CALL watch('all 3', 'SELECT id FROM facts WHERE tags @> $1', '{{3},{3}}');
CALL watch('all 1 NULL', 'SELECT id FROM facts WHERE tags @> $1', '{1,NULL}');
CALL watch('any 1 2', 'SELECT id FROM facts WHERE tags && $1', '{1,2,NULL,2}');
CALL watch('any 3', 'SELECT id FROM facts WHERE tags && $1', '{3}');
CALL watch('any 4 5', 'SELECT id FROM facts WHERE tags && $1', '{4,5}');
CALL watch('one 1', 'SELECT id FROM facts WHERE $1 = ANY(tags)', '1');
CALL watch('one 2', 'SELECT id FROM facts WHERE $1 = ANY(tags)', '2');
CALL watch('one 3', 'SELECT id FROM facts WHERE $1 = ANY(tags)', '3');
CALL watch('word a', 'SELECT id FROM facts WHERE $1 = ANY(words)', 'a');
CALL watch('word b', 'SELECT id FROM facts WHERE $1 = ANY(words)', 'b');
CALL watch('word c', 'SELECT id FROM facts WHERE words @> $1', '{c}');
CALL watch('word ☃', 'SELECT id FROM facts WHERE words @> $1', '{☃}');
CALL watch('sad', 'SELECT id FROM facts WHERE moods && $1', '{sad}');
CALL watch('glad', 'SELECT id FROM facts WHERE moods && $1', '{glad}');
CALL watch('both', 'SELECT id FROM facts WHERE moods && $1', '{glad,sad}');
INSERT INTO facts (id, tags, words, moods) VALUES (1, '{1}', '{a}', '{sad}'), (2, '{2,1,2}', '{b,c}', '{glad,sad}'), (3, '{NULL,3}', '{☃}', '{}'),
  (4, '{{1,2},{3,4}}', NULL, '{NULL}'), (5, '{}', '{a,a}', NULL), (6, NULL, '{NULL}', '{glad}'), (7, '{5,4}', '{}', NULL);
SELECT * FROM feed();
UPDATE facts SET tags = array_remove(tags, 1), words = array_replace(words, 'a', 'b') WHERE id IN (1, 2, 5);
UPDATE facts SET tags = tags || 1 WHERE id IN (6, 7);
SELECT * FROM feed();
SELECT live.unsubscribe('all 1 2');
SELECT live.unsubscribe('any 1 2');
DELETE FROM facts;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- jsonb: fields, values, elements, numbers that are equal, long texts, nothing at all.
CALL watch('a = 1', 'SELECT id FROM facts WHERE fact @> $1', '{"a": 1}');
CALL watch('a = 1.0', 'SELECT id FROM facts WHERE fact @> $1', '{"a": 1.0}');
CALL watch('a = "1"', 'SELECT id FROM facts WHERE fact @> $1', '{"a": "1"}');
CALL watch('a = null', 'SELECT id FROM facts WHERE fact @> $1', '{"a": null}');
CALL watch('a has 1', 'SELECT id FROM facts WHERE fact @> $1', '{"a": [1]}');
CALL watch('a is', 'SELECT id FROM facts WHERE fact @> $1', '{"a": {}}');
CALL watch('element', 'SELECT id FROM facts WHERE fact @> $1', '["x"]');
CALL watch('scalar', 'SELECT id FROM facts WHERE fact @> $1', '"x"');
CALL watch('true', 'SELECT id FROM facts WHERE fact @> $1', 'true');
CALL watch('long', 'SELECT id FROM facts WHERE fact @> $1', format('{"a": "%s"}', repeat('x', 200)));
CALL watch('has a', 'SELECT id FROM facts WHERE fact ? $1', 'a');
CALL watch('has b', 'SELECT id FROM facts WHERE fact ? $1', 'b');
CALL watch('has x', 'SELECT id FROM facts WHERE fact ? $1', 'x');
CALL watch('has nothing', 'SELECT id FROM facts WHERE fact ? $1', '');
CALL watch('a or b', 'SELECT id FROM facts WHERE fact ?| $1', '{a,b,NULL}');
CALL watch('b or x', 'SELECT id FROM facts WHERE fact ?| $1', '{b,x}');
CALL watch('c or d', 'SELECT id FROM facts WHERE fact ?| $1', '{c,d}');
CALL watch('a and b', 'SELECT id FROM facts WHERE fact ?& $1', '{a,b}');
CALL watch('b and c', 'SELECT id FROM facts WHERE fact ?& $1', '{b,c}');
CALL watch('x and NULL', 'SELECT id FROM facts WHERE fact ?& $1', '{x,NULL}');
INSERT INTO facts (id, fact) SELECT n, given::jsonb FROM unnest(ARRAY['{"a": 1.00}', '{"a": [2, 1], "b": null}', '{"a": {"b": 1}}', '["x", true]', '"x"', 'true', '{}',
  '[]', NULL, '{"": "x"}', '{"a": null, "c": {"a": 1}}', format('{"a": "%s"}', repeat('x', 200)), '{"a": "1"}', '[{"a": 1}]']) WITH ORDINALITY AS given (given, n);
SELECT substring(change FROM '\[(\d+)\]')::int AS fact, split_part(change, ' ', 1) AS op, string_agg(id, ', ' ORDER BY id) AS told FROM feed() GROUP BY 1, 2 ORDER BY 1, 2;
-- What each is told is what it finds.
SELECT count(*) FILTER (WHERE fact ? 'a') AS "has a", count(*) FILTER (WHERE fact ?| '{a,b}') AS "a or b", count(*) FILTER (WHERE fact @> '{"a": 1}') AS "a = 1" FROM facts;
UPDATE facts SET fact = fact - 'a' WHERE jsonb_typeof(fact) = 'object';
SELECT substring(change FROM '\[(\d+)\]')::int AS fact, split_part(change, ' ', 1) AS op, string_agg(id, ', ' ORDER BY id) AS told FROM feed() GROUP BY 1, 2 ORDER BY 1, 2;
SELECT live.unsubscribe_all();
TRUNCATE facts;

-- A row that has a key very often is compared with each route once: otherwise that would take minutes, and end the live queries.
CALL watch('1 2', 'SELECT id FROM facts WHERE tags @> $1', '{1,2}');
CALL watch('1 3', 'SELECT id FROM facts WHERE tags @> $1', '{1,3}');
CALL watch('1 4', 'SELECT id FROM facts WHERE tags @> $1', '{1,4}');
INSERT INTO facts (id, tags) VALUES (1, array_fill(1, ARRAY[60000])), (2, '{1,3}');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE facts;
DROP TYPE mood;
DROP FUNCTION routing_line;
DROP ROLE regress_live_facts;
