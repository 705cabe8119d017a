-- Keys: who may see them, and that different ones never look alike.
SET live_queries.evaluators = 0;  -- the stream, also where old rows are not logged
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_key_owner, regress_key_reader, regress_key_other;
RESET client_min_messages;
CREATE ROLE regress_key_owner;
CREATE ROLE regress_key_reader;
CREATE ROLE regress_key_other;
GRANT CREATE ON SCHEMA public TO regress_key_owner, regress_key_reader;
-- The digests of a server's secret are new in each run.
CREATE FUNCTION masked(text) RETURNS text LANGUAGE sql AS
  $$ SELECT regexp_replace($1, '\["[0-9a-f]{32}"\]', 'OPAQUE', 'g') $$;
CREATE FUNCTION key_of(query text) RETURNS text LANGUAGE sql AS
  $$ SELECT value FROM live.explain(query) WHERE property = 'key' $$;

-- A view's rows are its owner's: row security keeps the reader itself from most of them.
SET ROLE regress_key_owner;
CREATE TABLE ppl (ssn text PRIMARY KEY, owner text, name text);
INSERT INTO ppl VALUES ('111', 'regress_key_reader', 'mine'), ('222', 'x', 'theirs');
ALTER TABLE ppl ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON ppl USING (owner = current_user);
CREATE VIEW names AS SELECT name FROM ppl;
GRANT SELECT ON ppl, names TO regress_key_reader;
SET ROLE regress_key_reader;
SELECT key_of('SELECT name FROM names');
SELECT count(*) FROM live.subscribe('v', 'SELECT name FROM names ORDER BY name', delivery => 'poll');
SELECT masked(key::text), "row" FROM live.snapshot('v');
RESET ROLE;
INSERT INTO ppl VALUES ('333', 'x', 'new');
UPDATE ppl SET name = 'renamed' WHERE ssn = '333';
UPDATE ppl SET ssn = '334' WHERE ssn = '333';
DELETE FROM ppl WHERE ssn = '334';
SELECT masked(change), masked(change) ~ '333|334' AS leaks FROM feed();
-- It is one key all the time: in the first result, in messages, after a refresh, and after the
-- decoder has begun anew.
CREATE TEMP TABLE seen (what text, key text);
SELECT live.refresh('v');
SELECT key AS k FROM live.snapshot('v') WHERE "row"->>'name' = 'theirs' \gset
INSERT INTO seen VALUES ('refresh', :'k');
UPDATE ppl SET name = 'theirs!' WHERE ssn = '222';
SELECT live.wait_for(timeout => '60s');
INSERT INTO seen SELECT c->>'op', c->>'key' FROM live.poll(), json_array_elements(message->'changes') c;
SELECT pid AS decoder FROM live.workers WHERE kind = 'decoder' AND database = current_database() \gset
SELECT pg_terminate_backend(:decoder, 60000);
SELECT live.refresh('v');
SELECT key AS k FROM live.snapshot('v') WHERE "row"->>'name' = 'theirs!' \gset
INSERT INTO seen VALUES ('another decoder', :'k');
DELETE FROM ppl WHERE ssn = '222';
SELECT live.wait_for(timeout => '60s');
INSERT INTO seen SELECT c->>'op', c->>'key' FROM live.poll(), json_array_elements(message->'changes') c;
SELECT count(*), count(DISTINCT key) AS keys FROM seen;
-- A column that is added to the view is not in it until a refresh, and changes nothing.
SET ROLE regress_key_reader;
CALL watch('all', 'SELECT * FROM names');
RESET ROLE;
INSERT INTO ppl VALUES ('555', 'x', 'five');
SELECT live.wait_for(timeout => '60s');
SELECT message->'changes'->0->>'key' AS k FROM live.poll() WHERE subscription_id = 'all' \gset
CREATE OR REPLACE VIEW names AS SELECT name, owner FROM ppl;
DELETE FROM ppl WHERE ssn = '555';
SELECT live.wait_for(timeout => '60s');
SELECT message->>'type' AS type, message->'changes'->0->>'key' = :'k' AS same FROM live.poll() WHERE subscription_id = 'all';
SELECT live.unsubscribe('all');
INSERT INTO ppl VALUES ('222', 'x', 'theirs');
SELECT live.unsubscribe_all();
TRUNCATE seen;
-- (From here on with complete old rows: row security counts as a condition on them.)
ALTER TABLE ppl REPLICA IDENTITY FULL;
-- Another query or another role has another key for the row, another session the same.
GRANT SELECT ON names TO regress_key_other;
GRANT SELECT ON ppl TO regress_key_other;
SET ROLE regress_key_other;
CALL watch('other role', 'SELECT name FROM names');
SET ROLE regress_key_reader;
CALL watch('a', 'SELECT name FROM names');
CALL watch('b', 'SELECT name FROM names');
CALL watch('upper', 'SELECT upper(name) AS name FROM names');
CALL watch('condition', 'SELECT name FROM names WHERE name LIKE ''%''');
RESET ROLE;
SET ROLE regress_key_owner;
CREATE VIEW names_too AS SELECT name FROM ppl;
GRANT SELECT ON names_too TO regress_key_reader;
SET ROLE regress_key_reader;
CALL watch('another view', 'SELECT name FROM names_too');
RESET ROLE;
INSERT INTO ppl VALUES ('444', 'x', 'four');
SELECT live.wait_for(timeout => '60s');
INSERT INTO seen SELECT subscription_id, c->>'key' FROM live.poll(), json_array_elements(message->'changes') c;
SELECT array_agg(what ORDER BY what) AS same FROM seen GROUP BY key ORDER BY 1;
-- Nor does it help to know the value: this is no plain digest.
SELECT bool_or(key LIKE '%' || left(encode(sha256(guess::bytea), 'hex'), 32) || '%') AS guessed
FROM seen, (VALUES ('444'), ('"444"'), ('["444"]')) AS g(guess);
SELECT live.unsubscribe_all();
DELETE FROM ppl WHERE ssn = '444';

-- Who may find out the key of a row for himself sees it.
SET ROLE regress_key_owner;
CREATE VIEW barrier WITH (security_barrier) AS SELECT name FROM ppl WHERE owner <> '';
CREATE VIEW invoker WITH (security_invoker) AS SELECT name FROM ppl;
CREATE VIEW renamed AS SELECT ssn AS number, name FROM ppl;
CREATE VIEW expression AS SELECT upper(ssn) AS number, name FROM ppl;
GRANT SELECT ON barrier, invoker, renamed, expression TO regress_key_reader, regress_key_other;
SELECT key_of('SELECT name FROM names') AS owner;
ALTER TABLE ppl FORCE ROW LEVEL SECURITY;
SELECT key_of('SELECT name FROM names') AS "forced, through his own view";
ALTER TABLE ppl NO FORCE ROW LEVEL SECURITY;
SET ROLE regress_key_reader;
SELECT key_of('SELECT name FROM invoker') AS invoker, key_of('SELECT name FROM barrier') AS barrier,
       key_of('SELECT number FROM renamed') AS renamed, key_of('SELECT name FROM renamed') AS not_selected,
       key_of('SELECT * FROM expression') AS expression \gx
-- A view of the reader's own on the owner's, and one on the table.
CREATE VIEW mine_on_names AS SELECT name FROM names;
CREATE VIEW mine AS SELECT name FROM ppl;
SELECT key_of('SELECT name FROM ppl') AS of_table, key_of('SELECT name FROM mine_on_names') AS on_names, key_of('SELECT name FROM mine') AS on_table \gx
GRANT SELECT ON mine TO regress_key_owner, regress_key_other;
SET ROLE regress_key_owner;
SELECT key_of('SELECT name FROM mine') AS owner_by_readers_view;
SET ROLE regress_key_other;
SELECT key_of('SELECT name FROM mine') AS other_by_readers_view;
SET row_security = off;
SELECT key_of('SELECT name FROM names') AS row_security_off;
RESET row_security;
RESET ROLE;
SELECT key_of('SELECT name FROM names') AS superuser;
ALTER ROLE regress_key_reader BYPASSRLS;
SET ROLE regress_key_reader;
SELECT key_of('SELECT name FROM names') AS bypass;
RESET ROLE;
ALTER ROLE regress_key_reader NOBYPASSRLS;

-- Column privileges: on some of the key's columns, and on what the view shows beside it.
CREATE SCHEMA regress_key_schema;
CREATE TABLE regress_key_schema.two (a int, b int, c int, d int, PRIMARY KEY (a, b));
ALTER TABLE regress_key_schema.two REPLICA IDENTITY FULL;
CREATE VIEW c_and_d AS SELECT c, d FROM regress_key_schema.two;
CREATE VIEW b_and_c AS SELECT b, c FROM regress_key_schema.two;
GRANT SELECT ON c_and_d, b_and_c TO regress_key_reader;
GRANT SELECT (a, c) ON regress_key_schema.two TO regress_key_reader;
GRANT USAGE ON SCHEMA regress_key_schema TO regress_key_reader;
SET ROLE regress_key_reader;
SELECT key_of('SELECT c FROM regress_key_schema.two') AS b_is_missing,
       key_of('SELECT b, c FROM b_and_c') AS one_selected;
RESET ROLE;
GRANT SELECT (b) ON regress_key_schema.two TO regress_key_reader;
SET ROLE regress_key_reader;
SELECT key_of('SELECT c FROM regress_key_schema.two') AS by_table, key_of('SELECT c FROM c_and_d') AS by_view,
       key_of('SELECT c, d FROM c_and_d') AS d_belongs_to_it \gx
CALL watch('schema', 'SELECT c FROM c_and_d');
RESET ROLE;
REVOKE USAGE ON SCHEMA regress_key_schema FROM regress_key_reader;
INSERT INTO regress_key_schema.two VALUES (0, 0, 0, 0);
DELETE FROM regress_key_schema.two;
SELECT masked(change) FROM feed();
SET ROLE regress_key_reader;
SELECT key_of('SELECT c FROM c_and_d') AS without_schema;
CALL watch('two', 'SELECT c FROM c_and_d');
RESET ROLE;
INSERT INTO regress_key_schema.two VALUES (1, 2, 3, 4);
UPDATE regress_key_schema.two SET c = 5;
UPDATE regress_key_schema.two SET d = 6;
DELETE FROM regress_key_schema.two;
SELECT masked(change) FROM feed();
SELECT live.unsubscribe_all();
DROP SCHEMA regress_key_schema CASCADE;

-- Partitions, and the identity's index as the key: their columns are not shown either.
CREATE TABLE parts (id int, region text, val int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
ALTER TABLE parts_a REPLICA IDENTITY FULL;
CREATE VIEW vals AS SELECT val FROM parts;
CREATE TABLE indexed (id int PRIMARY KEY, code int NOT NULL UNIQUE, val int);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_code_key;
CREATE VIEW indexed_vals AS SELECT val FROM indexed;
ALTER TABLE indexed ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON vals, indexed, indexed_vals TO regress_key_reader;
SET ROLE regress_key_reader;
CALL watch('vals', 'SELECT val FROM vals');
CALL watch('indexed', 'SELECT val FROM indexed_vals');
RESET ROLE;
INSERT INTO parts VALUES (1, 'a', 10);
UPDATE parts SET val = 11;
DELETE FROM parts;
INSERT INTO indexed VALUES (2, 3, 20);
UPDATE indexed SET val = 21;
UPDATE indexed SET id = 4;
UPDATE indexed SET code = 5;
DELETE FROM indexed;
SELECT id, masked(change) FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE parts, indexed CASCADE;

-- Rights that change later: what was shown no longer is.
CREATE TABLE t (id int PRIMARY KEY, val int, note int);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 10);
CREATE VIEW t_vals AS SELECT val FROM t;
GRANT SELECT ON t_vals TO regress_key_reader;
GRANT SELECT (id, val) ON t TO regress_key_reader;
SET ROLE regress_key_reader;
CALL watch('by view', 'SELECT val FROM t_vals');
CALL watch('by table', 'SELECT val FROM t');
RESET ROLE;
UPDATE t SET val = 11;
SELECT id, masked(change) FROM feed();
REVOKE SELECT (id) ON t FROM regress_key_reader;
UPDATE t SET val = 12;
SELECT id, masked(change) FROM feed();
SELECT live.refresh(s) FROM unnest('{by view,by table}'::text[]) s;
SELECT s, masked(key::text) FROM unnest('{by view,by table}'::text[]) s, live.snapshot(s);
UPDATE t SET val = 13;
SELECT id, masked(change) FROM feed();
GRANT SELECT (id) ON t TO regress_key_reader;
UPDATE t SET val = 14;
SELECT id, masked(change) FROM feed();
SELECT live.refresh('by view');
SELECT masked(key::text) FROM live.snapshot('by view');
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
UPDATE t SET val = 15;
SELECT id, masked(change) FROM feed() WHERE id = 'by view';
ALTER ROLE regress_key_reader BYPASSRLS;
SELECT live.refresh('by view');
SELECT masked(key::text) FROM live.snapshot('by view');
ALTER ROLE regress_key_reader NOBYPASSRLS;
UPDATE t SET val = 16;
SELECT id, masked(change) FROM feed() WHERE id = 'by view';
SELECT live.refresh('by view');
SELECT masked(key::text) FROM live.snapshot('by view');
ALTER TABLE t ADD COLUMN more int;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
SELECT id, masked(change) FROM feed() WHERE id = 'by view';
SELECT live.unsubscribe_all();

-- Without old rows, an update of a column that the role may not read would be told as an update.
ALTER TABLE t REPLICA IDENTITY DEFAULT;
SET ROLE regress_key_reader;
CALL refused('SELECT id, val FROM t');
CALL refused('SELECT val FROM t_vals');
CALL watch('key', 'SELECT id, id + 1 AS next FROM t');
-- Nothing is hidden where the query shows all of the row.
RESET ROLE;
CREATE VIEW t_all AS SELECT val + 1 AS next, t AS whole FROM t;
CREATE VIEW t_columns AS SELECT * FROM t;
GRANT SELECT ON t_all, t_columns TO regress_key_reader;
SET ROLE regress_key_reader;
CALL watch('whole', 'SELECT * FROM t_all');
CALL watch('columns', 'SELECT * FROM t_columns');
CALL refused('SELECT id, val, note FROM t_columns');
SELECT key_of('SELECT * FROM t_all') AS whole;
SELECT live.unsubscribe('whole'), live.unsubscribe('columns');
RESET ROLE;
GRANT SELECT (note, more) ON t TO regress_key_reader;
SET ROLE regress_key_reader;
CALL watch('all', 'SELECT id, val FROM t');
RESET ROLE;
UPDATE t SET val = 20, note = 1;
SELECT * FROM feed();
REVOKE SELECT (note) ON t FROM regress_key_reader;
UPDATE t SET note = 2;
SELECT * FROM feed();
-- So for a column that only the replica identity has.
CREATE UNIQUE INDEX t_both ON t (id, note);
ALTER TABLE t ALTER note SET NOT NULL;
ALTER TABLE t REPLICA IDENTITY USING INDEX t_both;
SET ROLE regress_key_reader;
CALL refused('SELECT id, val FROM t');
RESET ROLE;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
SET ROLE regress_key_reader;
CALL watch('key', 'SELECT id FROM t');
RESET ROLE;
UPDATE t SET note = 3;
UPDATE t SET id = 2;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE t CASCADE;

-- Values that are not equal have keys that are not, and a change has the key of the first result.
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE FUNCTION forgetful(mood) RETURNS json IMMUTABLE LANGUAGE sql AS 'SELECT ''"?"''::json';
CREATE CAST (mood AS json) WITH FUNCTION forgetful(mood);
CREATE TYPE listed AS (list int[], label text);
CREATE DOMAIN lists AS int[];
CREATE TYPE spans AS RANGE (subtype = float8);
CREATE PROCEDURE compare_keys(type text, VARIADIC items text[]) LANGUAGE plpgsql AS $$
DECLARE
  unequal int; shown int; told int; same int; example text;
BEGIN
  EXECUTE format('CREATE TABLE keyed (k %s PRIMARY KEY)', type);
  SET LOCAL intervalstyle = 'postgres';
  EXECUTE format('INSERT INTO keyed SELECT i::%s FROM unnest($1) i ON CONFLICT DO NOTHING', type) USING items;
  COMMIT;
  PERFORM live.subscribe('first', 'SELECT FROM keyed', delivery => 'poll');
  CREATE TEMP TABLE first ON COMMIT PRESERVE ROWS AS SELECT key::text FROM live.snapshot('first');
  COMMIT;
  DELETE FROM keyed;
  COMMIT;
  PERFORM live.wait_for(timeout => '60s');
  SELECT count(DISTINCT c->>'key'), count(first.key) INTO told, same
  FROM live.poll(), json_array_elements(message->'changes') c LEFT JOIN first ON first.key = c->>'key';
  SELECT count(*), count(DISTINCT key), min(key COLLATE "C") INTO unequal, shown, example FROM first;
  PERFORM live.unsubscribe('first');
  COMMIT;
  RAISE NOTICE '%: % values, % keys, % told, % the same, such as %', type, unequal, shown, told, same, example;
  DROP TABLE keyed, first;
  COMMIT;
END $$;
-- One of each type that has an order, in the server and of users.
CALL compare_keys('bool', 't', 'f');
CALL compare_keys('"char"', 'a', 'b', '', ' ', '\');
CALL compare_keys('int2', '1', '-1');
CALL compare_keys('int4', '1', '-1', '10');
CALL compare_keys('int8', '9007199254740992', '9007199254740993');
CALL compare_keys('numeric', '1', '1.0000000000000000000001', '9007199254740992', '9007199254740993', 'NaN', 'Infinity', '-Infinity');
CALL compare_keys('float4', '1', '1.0000001', 'NaN', 'Infinity', '16777216', '16777218');
CALL compare_keys('float8', '0.1', '0.10000000000000002', '1e300', 'NaN');
CALL compare_keys('money', '1', '-1', '0.01', '100', '1000', '-1000');
CALL compare_keys('oid', '1', '4294967295');
CALL compare_keys('xid8', '1', '4294967297');
CALL compare_keys('pg_lsn', '1/10000000', 'A/12345678');
CALL compare_keys('tid', '(0,1)', '(1,0)');
CALL compare_keys('text', 'a', 'A', 'a ', '', ' ', '"', '\"', '\', '\\', 'null', '["a"]', E'\t', E'\n', E'\x01', 'é', U&'e\0301');
CALL compare_keys('varchar', 'a', 'a ');
CALL compare_keys('char(3)', 'a', 'b', '');
CALL compare_keys('name', 'a', 'a ', '');
CALL compare_keys('bytea', '\x00', '\x', '\x5c', '\x30', '\x5c303030');
CALL compare_keys('date', '2000-01-01', '2000-01-01 BC', '12000-01-01', 'infinity', '-infinity');
CALL compare_keys('time', '00:00', '24:00', '00:00:00.000001', '00:00:01');
CALL compare_keys('timetz', '00:00+00', '01:00+01', '00:00-00:00:01', '24:00+00');
CALL compare_keys('timestamp', '2000-01-01', '2000-01-01 00:00:00.000001', '2000-01-01 BC', 'infinity', '-infinity');
CALL compare_keys('timestamptz', '2014-10-25 21:30+00', '2014-10-25 22:30+00', '2014-10-25 22:30 BC', 'infinity');
CALL compare_keys('interval', '1 mon', '31 days', '1 day', '25 hours', '-1 day', '-24:00:01', '1 mon -1 day', '1 mon 1 day', '-1 mon 1 day', '-1 mon -1 day', '1 day -00:00:01', '-1 day 00:00:01', '-1 day -00:00:01');
CALL compare_keys('uuid', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000010');
CALL compare_keys('inet', '10.0.0.1', '10.0.0.1/8', '::a00:1', '10.0.0.1/31');
CALL compare_keys('cidr', '10.0.0.0/8', '10.0.0.0/9', '10.0.0.0/32');
CALL compare_keys('macaddr', '08:00:2b:01:02:03', '08:00:2b:01:02:04');
CALL compare_keys('macaddr8', '08:00:2b:01:02:03:04:05', '08:00:2b:ff:fe:01:02:03');
CALL compare_keys('bit varying', '1', '01', '10', '');
CALL compare_keys('bit(2)', '01', '10');
CALL compare_keys('jsonb', '1', '"1"', '[1]', '{"a":1}', '{"a":[1]}', 'null', '"null"', '[]', '{}', '""', 'true', '"true"', '[[1]]', '1.00000000000000000001');
CALL compare_keys('oidvector', '', '1', '1 2', '12');
CALL compare_keys('tsvector', 'a', 'a:1', 'a:1A', 'a b', '''a b''', 'a:1 b:2', 'a:1,2', '''a:1''');
CALL compare_keys('int[]', '{1,2}', '[0:1]={1,2}', '{{1,2}}', '[2:2][1:2]={{1,2}}', '{}', '{NULL}', '{1}', '{2,1}');
CALL compare_keys('text[]', '{1}', '[0:0]={1}', '{NULL}', '{"NULL"}', '{""}', '{" "}', '{"{}"}', '{"a,b"}', '{a,b}', '{}', '{"\""}', '{"\\"}');
CALL compare_keys('lists', '{1,2}', '[0:1]={1,2}');
CALL compare_keys('listed', '("{1,2}",)', '("[0:1]={1,2}",)', '("{1,2}","")', '(,)', '(,null)', '(,"null")', '("{}",)');
CALL compare_keys('listed[]', '{"(\"{1}\",)"}', '{"(\"[0:0]={1}\",)"}', '{NULL}', '{"(,)"}');
CALL compare_keys('int4range', '[1,3)', '(1,3)', '[1,1)', '(,1)', '(1,)', '(,)');
CALL compare_keys('numrange', '[1,3)', '[1,3]', '(1,3)', '(1,3]', '[1,)', '(1,)');
CALL compare_keys('int4multirange', '{}', '{[1,3)}', '{[1,3),[5,7)}', '{[1,7)}');
CALL compare_keys('spans', '[0.1,1)', '[0.10000000000000002,1)');
CALL compare_keys('mood', 'a', 'b');
CALL compare_keys('mood[]', '{a}', '{b}');
CALL compare_keys('text COLLATE "C"', 'a', 'A');
-- Names of what they refer to are not stable, and not unique.
CALL compare_keys('regproc', 'abs(int4)'::regprocedure::oid::text, 'abs(int8)'::regprocedure::oid::text);
CALL compare_keys('regclass', 'pg_class', 'pg_type');
-- Types that have come since, or that this list forgot.
SELECT DISTINCT opcintype::regtype FROM pg_opclass
WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree') AND opcintype < 16384 AND opcintype NOT IN (
  'bool'::regtype, '"char"'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype,
  'float4'::regtype, 'float8'::regtype, 'money'::regtype, 'oid'::regtype, 'xid8'::regtype, 'pg_lsn'::regtype,
  'tid'::regtype, 'text'::regtype, 'bpchar'::regtype, 'name'::regtype, 'bytea'::regtype, 'date'::regtype,
  'time'::regtype, 'timetz'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'interval'::regtype,
  'uuid'::regtype, 'inet'::regtype, 'macaddr'::regtype, 'macaddr8'::regtype, 'varbit'::regtype, 'bit'::regtype,
  'jsonb'::regtype, 'oidvector'::regtype, 'tsvector'::regtype, 'tsquery'::regtype, 'record'::regtype,
  'anyarray'::regtype, 'anyrange'::regtype, 'anymultirange'::regtype, 'anyenum'::regtype)
  AND opcintype::regtype::text <> 'oid8' ORDER BY 1; -- which 19 has, and which is like xid8
-- Styles of intervals are complete.
SET intervalstyle = 'sql_standard';
CALL compare_keys('interval', '1 mon', '31 days', '1 day', '-1 day', '1 mon -1 day', '-1 mon 1 day', '-1 mon -1 day', '1 day -00:00:01', '-1 day 00:00:01', '-1 day -00:00:01', '00:00:01', '-00:00:01', '1 year', '1 mon 1 day', '0');
SET intervalstyle = 'postgres_verbose';
CALL compare_keys('interval', '1 mon', '31 days', '1 day', '-1 day', '1 mon -1 day', '-1 mon 1 day', '-1 mon -1 day', '1 day -00:00:01', '-1 day 00:00:01', '-1 day -00:00:01', '00:00:01', '-00:00:01', '1 year', '1 mon 1 day', '0');
SET intervalstyle = 'iso_8601';
CALL compare_keys('interval', '1 mon', '31 days', '1 day', '-1 day', '1 mon -1 day', '-1 mon 1 day', '-1 mon -1 day', '1 day -00:00:01', '-1 day 00:00:01', '-1 day -00:00:01', '00:00:01', '-00:00:01', '1 year', '1 mon 1 day', '0');
RESET intervalstyle;
SET bytea_output = 'escape';
CALL compare_keys('bytea', '\x00', '\x', '\x5c', '\x30', '\x5c303030');
RESET bytea_output;
-- Simple types do not depend on the style of dates.
SET datestyle = 'SQL, DMY';
SET timezone = 'Europe/Moscow';
CALL compare_keys('timestamptz', '2014-10-25 21:30+00', '2014-10-25 22:30+00');
CALL compare_keys('daterange', '[2000-01-02,)', '[2000-02-01,)', '[2000-01-02 BC,)');
CALL compare_keys('tsrange', '["2000-01-02 00:00:00.000001",)', '["2000-01-02",)');

-- Where the text itself is ambiguous, the query is refused.
CREATE TABLE float_keys (k float8 PRIMARY KEY, id int);
CREATE TABLE in_array (k float4[] PRIMARY KEY);
CREATE TABLE in_range (k spans PRIMARY KEY);
CREATE TYPE when_and_where AS (at timestamptz[], place text);
CREATE TABLE in_row (k when_and_where PRIMARY KEY);
CREATE TABLE in_multirange (k tstzmultirange PRIMARY KEY);
CREATE TABLE queries (k tsquery PRIMARY KEY);
CREATE TABLE procs (k regproc[] PRIMARY KEY);
CALL refused('SELECT FROM in_row');
CALL refused('SELECT FROM in_multirange');
SET datestyle = 'ISO';
RESET timezone;
CALL watch('row', 'SELECT FROM in_row');
CALL watch('multirange', 'SELECT FROM in_multirange');
SET extra_float_digits = 0;
CALL refused('SELECT id FROM float_keys');
CALL refused('SELECT FROM in_array');
CALL refused('SELECT FROM in_range');
RESET extra_float_digits;
CALL watch('float', 'SELECT id FROM float_keys');
CALL refused('SELECT FROM queries');
CALL refused('SELECT FROM procs');
SELECT live.unsubscribe_all();
DROP TABLE float_keys, in_array, in_range, in_row, in_multirange, queries, procs;
DROP TYPE when_and_where;
RESET datestyle;

-- Equal values that look different: the old one goes, the new one comes.
CREATE COLLATION ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE alike (n numeric, c text COLLATE ignoring_case, val int, PRIMARY KEY (n, c));
INSERT INTO alike VALUES (1.0, 'a');
CALL watch('q', 'SELECT val FROM alike');
UPDATE alike SET n = 1.00;
UPDATE alike SET c = 'A';
UPDATE alike SET val = 1 WHERE n = 1 AND c = 'a';
DELETE FROM alike;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE alike;
DROP COLLATION ignoring_case;

DROP PROCEDURE compare_keys;
DROP TYPE mood CASCADE;
DROP TYPE listed, spans;
DROP DOMAIN lists;
DROP FUNCTION masked, key_of;
DROP TABLE seen;
DROP OWNED BY regress_key_owner, regress_key_reader, regress_key_other CASCADE;
DROP ROLE regress_key_owner, regress_key_reader, regress_key_other;
