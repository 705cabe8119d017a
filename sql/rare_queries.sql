-- Queries that are rarely written, and whose trees are unlike those of others.
CREATE TYPE pair AS (a int, b int);
CREATE TABLE t (id int PRIMARY KEY, k int, p pair, note text);
CREATE TABLE a (k int PRIMARY KEY, note text);
CREATE TABLE b (k int PRIMARY KEY, note text);
CREATE TABLE c (k bigint PRIMARY KEY, note text);
CREATE VIEW barrier WITH (security_barrier) AS SELECT t.id, a.note FROM t JOIN a ON a.k = t.k;
CREATE FUNCTION shown(barrier) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1.note) $$;
INSERT INTO t VALUES (1, 1, (1, 2), 'one'), (2, 2, (2, 3), 'two');
INSERT INTO a VALUES (1, 'a'), (2, 'b');
-- Rows of no columns.
CALL watch('no columns', 'SELECT FROM t UNION ALL SELECT FROM a');
CALL watch('count of them', 'SELECT count(*) FROM (SELECT FROM t UNION ALL SELECT FROM a) x');
-- Rows of no named type, as constants: the one of another process has fields of other types under the same number.
CALL watch('a row', 'SELECT id, ROW(100000000, 200000000) AS r FROM t');
CALL watch('a row in a join', 'SELECT t.id, ROW(a.note, ROW(1, NULL)) AS r, ROW(''x''::text, current_user = ''nobody'') AS s FROM t JOIN a USING (k)');
CALL watch('is a row', 'SELECT id FROM t WHERE p = ROW(1, 2)');
CALL watch('texts', 'SELECT id, ROW(note, note) AS r FROM t');
CALL refused('SELECT id, ARRAY[ROW(1, 2)] AS r FROM t');
-- Columns of joins themselves.
CALL watch('using', 'SELECT id FROM t WHERE k IN (SELECT k FROM a FULL JOIN b USING (k) FULL JOIN c USING (k))');
CALL watch('using in a branch', 'SELECT k FROM a NATURAL FULL JOIN b FULL JOIN c USING (k) UNION SELECT id FROM t');
CALL watch('using in lateral', 'SELECT t.id, x.k FROM t LEFT JOIN LATERAL (SELECT k FROM a LEFT JOIN b USING (k) LEFT JOIN c USING (k) WHERE a.note = t.note) x ON true');
-- Whole rows of what stays a level of its own.
CALL watch('whole row', 'SELECT barrier.id, row_to_json(barrier) AS r, shown(barrier) FROM barrier');
-- A window that nothing uses.
SELECT property, value FROM live.explain('SELECT s.id FROM (SELECT id, k FROM t WHERE EXISTS (SELECT FROM a WHERE a.k = t.k) WINDOW w AS (PARTITION BY k)) s')
WHERE property = 'strategy';
-- Each query of WITH twice in the next.
SELECT property, value FROM live.explain((
  SELECT 'WITH q0 AS (SELECT id FROM t), ' || string_agg(format('q%s AS (SELECT * FROM q%s UNION ALL SELECT * FROM q%s)', n, n - 1, n - 1), ', ' ORDER BY n)
    || ' SELECT count(*) FROM q30' FROM generate_series(1, 30) n))
WHERE property IN ('strategy', 'why');
-- Many branches: their rows are told apart by what they show.
CALL watch('many branches', 'SELECT note FROM a' || repeat(' UNION ALL SELECT note FROM t WHERE k = 0', 32));
SELECT property, value FROM live.explain('SELECT note FROM a' || repeat(' UNION ALL SELECT note FROM t WHERE k = 0', 300))
WHERE property IN ('strategy', 'why', 'key');
-- Keys of more columns than a function takes.
DO $$
BEGIN
  EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg(format('c%s int', n), ', ' ORDER BY n) || ', PRIMARY KEY (c1))' FROM generate_series(1, 120) n);
END $$;
INSERT INTO wide (c1, c120) VALUES (1, 120);
SELECT strategy FROM live.subscribe('wide', 'SELECT DISTINCT * FROM wide', delivery => 'poll');
SELECT json_array_length(key), key->0 AS first, key->1 AS next, key->119 AS last FROM live.snapshot('wide');
UPDATE wide SET c2 = 2;
SELECT live.wait_for(timeout => '60s');
SELECT change->>'op' AS op, json_array_length(change->'key') AS columns, change->'key'->1 AS next
FROM live.poll(), json_array_elements(message->'changes') change ORDER BY 1;
INSERT INTO t VALUES (3, 1, (1, 2), 'a');
SELECT * FROM feed();
INSERT INTO b VALUES (2, 'b'), (3, 'c');
SELECT * FROM feed();
INSERT INTO c VALUES (3, 'c'), (4, 'd');
SELECT * FROM feed();
UPDATE a SET note = 'z', k = 4 WHERE k = 2;
SELECT * FROM feed();
DELETE FROM t WHERE id = 1;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP FUNCTION shown;
DROP VIEW barrier;
DROP TABLE t, a, b, c, wide;
DROP TYPE pair;
