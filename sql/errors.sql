-- What is refused, with which SQLSTATE and which advice.
SET live_queries.evaluators = 0;  -- the stream alone: what it cannot watch, any_select.sql does
CREATE TABLE t (id int PRIMARY KEY, val int, note text, at timestamptz, doc jsonb);
ALTER TABLE t REPLICA IDENTITY FULL;

-- Syntax and names.
CALL refused('SELEC id FROM t');
CALL refused('SELECT id FROM t WHERE');
CALL refused('');
CALL refused('SELECT id FROM t; SELECT id FROM t');
CALL refused('SELECT id FROM nowhere');
CALL refused('SELECT nothing FROM t');
CALL refused('SELECT nothing(id) FROM t');
CALL refused('SELECT id FROM t WHERE note + 1');
CALL refused('SELECT id FROM t WHERE val');

-- Not a SELECT.
CALL refused('INSERT INTO t VALUES (1)');
CALL refused('UPDATE t SET val = 1 RETURNING id');
CALL refused('DELETE FROM t');
CALL refused('EXPLAIN SELECT id FROM t');
CALL refused('CREATE TABLE u AS SELECT id FROM t');
CALL refused('SELECT id INTO u FROM t');
CALL refused('DECLARE c CURSOR FOR SELECT id FROM t');
CALL refused('COPY t TO STDOUT');
CALL refused('VALUES (1)');
CALL refused('SELECT 1');

-- Not one table.
CALL refused('SELECT a.id FROM t a JOIN t b USING (id)');
CALL refused('SELECT a.id FROM t a LEFT JOIN t b USING (id)');
CALL refused('SELECT a.id FROM t a, t b');
CALL refused('SELECT a.id FROM t a, LATERAL (SELECT 1 AS one) b');
CALL refused('SELECT id FROM t UNION SELECT id FROM t');
CALL refused('SELECT id FROM t UNION ALL SELECT id FROM t');
CALL refused('SELECT id FROM t EXCEPT SELECT id FROM t');
CALL refused('WITH w AS (SELECT id FROM t) SELECT id FROM w');
CALL refused('WITH w AS (DELETE FROM t RETURNING id) SELECT id FROM w');
CALL refused('WITH RECURSIVE w AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM w) SELECT id FROM w');
CALL refused('SELECT g FROM generate_series(1, 3) g');
CALL refused('SELECT * FROM ROWS FROM (generate_series(1, 3), generate_series(1, 3)) AS g (a, b)');
CALL refused('SELECT * FROM (VALUES (1)) v');
CALL refused($$SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b text)$$);
CALL refused('SELECT id FROM t TABLESAMPLE SYSTEM (10)');

-- Not row by row.
CALL refused('SELECT count(*) FROM t');
CALL refused('SELECT max(id) FROM t');
CALL refused('SELECT 1 AS one FROM t HAVING true');
CALL refused('SELECT val FROM t GROUP BY val');
CALL refused('SELECT val FROM t GROUP BY GROUPING SETS ((val), ())');
CALL refused('SELECT DISTINCT val FROM t');
CALL refused('SELECT DISTINCT ON (val) id FROM t');
CALL refused('SELECT id FROM t ORDER BY id LIMIT 3');
CALL refused('SELECT id FROM t OFFSET 3');
CALL refused('SELECT id FROM t ORDER BY id FETCH FIRST ROW WITH TIES');
CALL refused('SELECT id, row_number() OVER () AS n FROM t');
CALL refused('SELECT id, generate_series(1, 3) AS g FROM t');
CALL refused('SELECT jsonb_array_elements(doc) AS e FROM t');
CALL refused('SELECT id FROM t FOR UPDATE');
CALL refused('SELECT id FROM t FOR KEY SHARE SKIP LOCKED');

-- Sub-selects.
CALL refused('SELECT id FROM t WHERE id IN (SELECT 1)');
CALL refused('SELECT id FROM t WHERE EXISTS (SELECT FROM t u WHERE u.id = t.id)');
CALL refused('SELECT id, (SELECT max(id) FROM t) AS m FROM t');
CALL refused('SELECT id, ARRAY(SELECT 1) AS a FROM t');

-- What is not a function of the row.
CALL refused('SELECT id, random() AS r FROM t');
CALL refused('SELECT id FROM t WHERE val < random()');
CALL refused('SELECT id, clock_timestamp() AS c FROM t');
CALL refused('SELECT id, gen_random_uuid() AS u FROM t');
CALL refused('SELECT id FROM t WHERE pg_sleep(0) IS NULL');
CALL refused('SELECT id FROM t WHERE at < now()');
CALL refused('SELECT id FROM t WHERE at < CURRENT_TIMESTAMP');
CALL refused('SELECT id, CURRENT_DATE AS today FROM t');
CALL refused('SELECT id FROM t WHERE at::time < LOCALTIME');
CALL refused('SELECT id, statement_timestamp() AS s FROM t');
CALL refused('SELECT id, age(at) AS age FROM t');
CALL refused('SELECT id FROM t WHERE at > ''now''::text::timestamptz - interval ''1 day'' AND at < transaction_timestamp()');
CALL refused('SELECT id, txid_current() AS x FROM t');
CALL refused('SELECT id FROM t ORDER BY random()');
CREATE FUNCTION reads(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM t WHERE id = $1';
CREATE FUNCTION writes(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CALL refused('SELECT reads(id) AS n FROM t');
CALL refused('SELECT id FROM t WHERE reads(val) = 0');
CALL refused('SELECT writes(id) AS w FROM t');
CALL refused('SELECT id, pg_get_userbyid(val::oid) AS u FROM t');
CALL refused('SELECT id, has_table_privilege(note, ''SELECT'') AS u FROM t');
CALL refused('SELECT id, to_regclass(note) AS u FROM t');
CALL refused('SELECT id, table_to_xml(val::oid, true, true, '''') AS u FROM t');
CALL refused('SELECT id, current_setting(note) AS u FROM t');
CALL refused('SELECT id, format_type(val::oid, NULL) AS u FROM t');
CALL refused('SELECT id, val::regclass::text AS u FROM t');
CALL refused('SELECT id, mxid_age(val::text::xid) AS u FROM t');
DROP FUNCTION reads, writes;

-- System columns, and two columns of one name.
CALL refused('SELECT ctid FROM t');
CALL refused('SELECT id FROM t WHERE xmin::text = ''1''');
CALL refused('SELECT tableoid::regclass AS table, id FROM t');
CALL refused('SELECT id, id FROM t');
CALL refused('SELECT *, val AS note FROM t');
CALL refused('SELECT lower(note), lower(note || ''x'') FROM t');

-- Tables whose changes are not in the log as rows.
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
CREATE MATERIALIZED VIEW materialized AS SELECT id FROM t;
CREATE SEQUENCE counter;
CREATE FOREIGN DATA WRAPPER regress_live_wrapper;
CREATE SERVER regress_live_server FOREIGN DATA WRAPPER regress_live_wrapper;
CREATE FOREIGN TABLE remote (id int) SERVER regress_live_server;
CREATE TABLE base (id int);
CREATE FOREIGN TABLE remote_child () INHERITS (base) SERVER regress_live_server;
CREATE VIEW of_catalog AS SELECT relname FROM pg_class;
CALL refused('SELECT id FROM temporary');
CALL refused('SELECT id FROM unlogged');
CALL refused('SELECT id FROM materialized');
CALL refused('SELECT last_value FROM counter');
CALL refused('SELECT id FROM remote');
CALL refused('SELECT id FROM base');
CALL refused('SELECT relname FROM pg_class');
CALL refused('SELECT * FROM of_catalog');
CALL refused('SELECT * FROM pg_locks');
CALL refused('SELECT * FROM live_queries');
SET client_min_messages = warning;
DROP TABLE temporary, unlogged, base CASCADE;
DROP VIEW of_catalog;
DROP MATERIALIZED VIEW materialized;
DROP SEQUENCE counter;
DROP FOREIGN DATA WRAPPER regress_live_wrapper CASCADE;
RESET client_min_messages;
-- Old rows that are not logged.
CREATE TABLE weak (id int PRIMARY KEY, val int);
CREATE TABLE keyless (id int);
CALL refused('SELECT id FROM weak WHERE val = 1');
CALL refused('SELECT id FROM keyless');
ALTER TABLE weak REPLICA IDENTITY NOTHING;
CALL refused('SELECT id FROM weak');
DROP TABLE weak, keyless;

-- Params.
CALL refused('SELECT id FROM t WHERE val = $1');
CALL refused('SELECT id FROM t WHERE val = $1', '1', '2');
CALL refused('SELECT id FROM t', '1');
CALL refused('SELECT id FROM t WHERE val = $1', 'many');
CALL refused('SELECT id FROM t WHERE at > $1', 'yesterday or so');
CALL refused('SELECT id FROM t WHERE doc @> $1', '{');
CALL refused('SELECT id FROM t WHERE val = $1', '99999999999');
CALL refused('SELECT id FROM t WHERE $1 IS NULL', 'x');
CALL refused('SELECT id FROM t WHERE val = $2', '1', '2');
CALL refused('SELECT id FROM t WHERE val = $1 AND note = $1', '1');
SELECT live.subscribe('q', 'SELECT id FROM t WHERE val = $1', '{{1},{2}}');
\echo :LAST_ERROR_SQLSTATE

-- An error points into the live query.
SELECT live.subscribe('q', 'SELECT id FROM t WHERE nothing');
SELECT live.subscribe('q', 'SELECT id FROM t WHERE ''');

-- Arguments. Nothing is half accepted.
SELECT live.subscribe(NULL, 'SELECT id FROM t');
\echo :LAST_ERROR_SQLSTATE
SELECT live.subscribe('', 'SELECT id FROM t');
\echo :LAST_ERROR_SQLSTATE
SELECT live.subscribe(repeat('x', 129), 'SELECT id FROM t');
\echo :LAST_ERROR_SQLSTATE
SELECT live.subscribe(repeat('ü', 65), 'SELECT id FROM t');
\echo :LAST_ERROR_SQLSTATE
SELECT live.subscribe('q', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT live.subscribe('q', 'SELECT id FROM t', delivery => 'pigeon');
\echo :LAST_ERROR_SQLSTATE
SELECT live.subscribe('q', 'SELECT id FROM t', delivery => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT live.subscribe('q', 'SELECT id FROM t', '{}', true, 'Poll');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid();
CALL watch('q', 'SELECT id FROM t');
SELECT live.subscribe('q', 'SELECT id FROM t');
\echo :LAST_ERROR_SQLSTATE
SELECT live.snapshot('other');
\echo :LAST_ERROR_SQLSTATE
SELECT live.snapshot('q', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT live.snapshot('q', -1);
\echo :LAST_ERROR_SQLSTATE
SELECT live.snapshot(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT live.pause('other');
\echo :LAST_ERROR_SQLSTATE
SELECT live.pause('');
\echo :LAST_ERROR_SQLSTATE
SELECT live.resume('other');
\echo :LAST_ERROR_SQLSTATE
SELECT live.refresh('other');
\echo :LAST_ERROR_SQLSTATE
SELECT live.unsubscribe(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT live.unsubscribe('');
\echo :LAST_ERROR_SQLSTATE
SELECT live.poll(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT live.kill(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT live.explain(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT live.explain('SELECT id FROM nowhere');
\echo :LAST_ERROR_SQLSTATE
-- After all that, the one subscription works.
INSERT INTO t VALUES (1);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- The decoder's plugin serves nobody else.
DO $$ BEGIN
  PERFORM pg_create_logical_replication_slot('regress_live', 'live_queries', true);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported THEN
  RAISE NOTICE 'refused';  -- by the server, or before its output_plugin_libraries by us
END $$;
DROP TABLE t;
