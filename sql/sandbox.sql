-- What is evaluated for a live query leaves no trace, whatever its functions call; who tries is ended, and
-- nobody else.
CREATE TABLE t (id int PRIMARY KEY, command text);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE TABLE victim (id int PRIMARY KEY, note text);
INSERT INTO victim VALUES (1, 'x');
CREATE SEQUENCE numbers;
CREATE OPERATOR @! (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_notify);
CREATE PROCEDURE proceeds() LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION runs(command text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE command; END';
CREATE FUNCTION does(command text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM runs(command); RETURN 'done'; END $$;
CREATE PROCEDURE attempt(VARIADIC commands text[]) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. cardinality(commands) LOOP
    CALL watch(commands[i], 'SELECT does(command) AS d FROM t WHERE id = $1', i::text);
  END LOOP;
  COMMIT;
  INSERT INTO t SELECT id, command FROM unnest(commands) WITH ORDINALITY AS c(command, id);
END $$;
-- Transactions since the one that has inserted the commands.
CREATE FUNCTION spent() RETURNS bigint LANGUAGE sql AS
  $$ SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint - max(xmin::text::bigint) - 1 FROM t $$;
CALL watch('sane', 'SELECT id FROM t WHERE id < 0');
SELECT pid AS decoder FROM live.workers WHERE kind = 'decoder' AND database = current_database() \gset
-- Only this test spends transactions.
ALTER SYSTEM SET autovacuum = off;
SELECT pg_reload_conf();
SELECT relfilenode AS node, reltuples AS tuples FROM pg_class WHERE oid = 'victim'::regclass \gset
SELECT relfilenode AS index_node FROM pg_class WHERE oid = 'victim_pkey'::regclass \gset
LISTEN regress_sandbox;
-- Functions of the server's.
CALL attempt('SELECT lo_from_bytea(4711, ''x'')', 'SELECT lo_create(4712)', 'SELECT pg_notify(''regress_sandbox'', ''x'')',
  'SELECT ''regress_sandbox'' @! ''x''', 'SELECT pg_logical_emit_message(false, ''x'', ''y'')',
  'SELECT pg_current_xact_id()', 'SELECT txid_current()', 'SELECT nextval(''numbers'')', 'SELECT setval(''numbers'', 7)',
  'SELECT pg_create_physical_replication_slot(''regress_sandbox'')',
  'SELECT pg_create_logical_replication_slot(''regress_sandbox'', ''live_queries'')',
  'SELECT pg_copy_physical_replication_slot(''regress_sandbox'', ''regress_sandbox_2'')',
  'SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots',
  'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots',
  'SELECT pg_replication_origin_create(''regress_sandbox'')', 'SELECT pg_replication_origin_session_setup(''regress_sandbox'')',
  'SELECT pg_export_snapshot()', 'SELECT pg_advisory_lock(1)', 'SELECT pg_try_advisory_xact_lock(1)', 'SELECT set_config(''work_mem'', ''64kB'', false)',
  'SELECT set_config(''regress.sandbox'', ''x'', true)', 'SELECT setseed(0)', 'SELECT random()',
  'SELECT pg_stat_reset()', 'SELECT pg_stat_clear_snapshot()', 'SELECT pg_terminate_backend(0)', 'SELECT pg_cancel_backend(0)', 'SELECT pg_reload_conf()',
  'SELECT pg_rotate_logfile()', 'SELECT pg_create_restore_point(''x'')', 'SELECT pg_log_backend_memory_contexts(0)', 'SELECT pg_import_system_collations(''public'')',
  'SELECT pg_switch_wal()', 'SELECT pg_read_file(''PG_VERSION'')', 'SELECT query_to_xml(''SELECT 1'', true, true, '''')',
  'SELECT live.unsubscribe_all()', 'SELECT count(*) FROM live.poll()');
SELECT * FROM feed();
SELECT spent();
TRUNCATE t;
SELECT live.unsubscribe_all();
-- Those that tell of the session: it is not the subscriber's.
CALL watch('sane', 'SELECT id FROM t WHERE id < 0');
CALL attempt('SELECT inet_client_addr()', 'SELECT pg_backend_pid()', 'SELECT * FROM pg_stat_activity', 'SELECT * FROM pg_prepared_statements',
  'SELECT * FROM pg_cursors', 'SELECT pg_listening_channels()', 'SELECT pg_my_temp_schema()');
SELECT * FROM feed();
SELECT spent();
TRUNCATE t;
SELECT live.unsubscribe_all();
-- By whom the client was authenticated is known from 16 on, and to its backend alone.
CALL watch('system_user', 'SELECT does(command) AS d FROM t WHERE id = 1');
INSERT INTO t SELECT 1, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'SELECT inet_server_addr()' ELSE 'SELECT system_user' END;
SELECT id, replace(change, 'system_user', 'inet_server_addr') AS change FROM feed();
TRUNCATE t;
-- Commands.
CALL watch('sane', 'SELECT id FROM t WHERE id < 0');
CALL attempt('ANALYZE victim', 'VACUUM victim', 'REINDEX TABLE victim', 'CLUSTER victim USING victim_pkey', 'NOTIFY regress_sandbox',
  'LISTEN regress_sandbox', 'UNLISTEN *', 'DISCARD PLANS', 'SET work_mem = ''64kB''', 'SET LOCAL work_mem = ''64kB''', 'RESET ALL', 'PREPARE regress_sandbox AS SELECT 1',
  'DEALLOCATE ALL', 'DECLARE regress_sandbox CURSOR WITH HOLD FOR SELECT 1', 'CLOSE ALL', 'LOCK TABLE victim IN ACCESS SHARE MODE',
  'CREATE TABLE regress_sandbox ()', 'CREATE TEMP TABLE regress_sandbox ()', 'CREATE TABLE regress_sandbox AS SELECT 1',
  'EXPLAIN ANALYZE CREATE TABLE regress_sandbox AS SELECT 1', 'CREATE SCHEMA regress_sandbox', 'DROP TABLE victim', 'TRUNCATE victim',
  'COPY victim TO PROGRAM ''true''', 'COPY victim FROM PROGRAM ''true''', 'DO ''BEGIN END''', 'CALL proceeds()', 'CHECKPOINT', 'LOAD ''plpgsql''',
  'SET CONSTRAINTS ALL DEFERRED', 'COMMENT ON TABLE victim IS ''x''', 'COMMIT', 'SET TRANSACTION READ WRITE', 'ALTER SYSTEM SET work_mem = ''64kB''',
  'INSERT INTO victim VALUES (2)', 'UPDATE victim SET note = ''y''', 'WITH w AS (DELETE FROM victim RETURNING id) SELECT count(*) FROM w',
  'SELECT count(*) FROM (SELECT 1 FROM victim FOR UPDATE) v', 'SELECT count(*) FROM (SELECT 1 FROM victim FOR KEY SHARE) v',
  'SELECT set_config(''transaction_read_only'', ''off'', true)', 'SET SESSION AUTHORIZATION DEFAULT', 'SET ROLE none');
SELECT * FROM feed();
SELECT spent();
TRUNCATE t;
SELECT live.unsubscribe_all();
-- Nothing has come of it.
CALL watch('sane', 'SELECT id FROM t');
INSERT INTO t VALUES (0, 'SELECT 1');
SELECT * FROM feed();
SELECT pid = :decoder AS same_decoder FROM live.workers WHERE kind = 'decoder' AND database = current_database();
SELECT relfilenode = :node AS same_node, reltuples = :tuples AS same_statistics FROM pg_class WHERE oid = 'victim'::regclass;
SELECT relfilenode = :index_node AS same_node FROM pg_class WHERE oid = 'victim_pkey'::regclass;
SELECT id, note, xmax <> 0 AS locked FROM victim;
SELECT last_value, is_called FROM numbers;
SELECT count(*) FROM pg_largeobject_metadata WHERE oid IN (4711, 4712);
SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'regress%';
SELECT roname FROM pg_replication_origin;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' OR relation = 'victim'::regclass;
SELECT to_regclass('regress_sandbox'), to_regnamespace('regress_sandbox'), obj_description('victim'::regclass);
SELECT live.unsubscribe_all();
UNLISTEN regress_sandbox;
ALTER SYSTEM RESET autovacuum;
SELECT pg_reload_conf();

-- What leaves no trace works.
CREATE FUNCTION catches(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM runs('SELECT pg_notify(''x'', ''y'')'); RETURN 'missed'; EXCEPTION WHEN feature_not_supported THEN RETURN 'caught'; END $$;
CREATE FUNCTION sets() RETURNS text IMMUTABLE LANGUAGE plpgsql SET work_mem = '123kB' AS
  $$ BEGIN RETURN current_setting('work_mem'); END $$;
CREATE FUNCTION shows() RETURNS text LANGUAGE plpgsql AS
  $$ DECLARE shown text; BEGIN EXECUTE 'SHOW standard_conforming_strings' INTO shown; RETURN shown; END $$;
CREATE FUNCTION reads() RETURNS bigint LANGUAGE sql SET search_path = public AS 'SELECT count(*) FROM victim';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = 0);
CREATE FUNCTION all_of_it(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RETURN concat_ws(' ', catches($1), sets(), shows(), reads(), pg_sleep(0), clock_timestamp() < now(), gen_random_uuid() IS NULL,
    current_schema(), (SELECT total(i) FROM generate_series(1, 4) i)); END $$;
CALL watch('all of it', 'SELECT all_of_it(command) AS a FROM t');
-- A cursor that one has left open is not in the way of another's of that name.
CREATE FUNCTION opens(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ DECLARE c refcursor := 'regress_sandbox'; BEGIN OPEN c FOR SELECT $1; RETURN $1; END $$;
CALL watch('opens', 'SELECT opens(id) AS o FROM t');
CALL watch('opens, too', 'SELECT id, opens(id) AS o FROM t');
INSERT INTO t VALUES (10, 'x');
SELECT * FROM feed();
INSERT INTO t VALUES (11, 'x');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- What writes in a way that nothing else has found.
-- Who had the place of the decoder before may have left one.
DO $$
DECLARE
  schema text;
BEGIN
  FOR schema IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_' LOOP
    EXECUTE format('DROP SCHEMA %I', schema);
  END LOOP;
END $$;
CREATE FUNCTION makes_schema(int) RETURNS name IMMUTABLE LANGUAGE plpgsql SET search_path = pg_temp, public AS
  $$ BEGIN RETURN current_schema(); END $$;
CALL watch('sane', 'SELECT id FROM t');
CALL watch('makes a schema', 'SELECT makes_schema(id) AS m FROM t');
INSERT INTO t VALUES (13, 'x');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- A foreign table: a program behind a file.
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE ran (output text) SERVER files OPTIONS (program 'echo ran');
CREATE TABLE parent (output text);
ALTER FOREIGN TABLE ran INHERIT parent;
CALL watch('sane', 'SELECT id FROM t');
TRUNCATE t;
CALL attempt('SELECT * FROM ran', 'SELECT count(*) FROM (SELECT * FROM parent) p');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE parent CASCADE;
DROP EXTENSION file_fdw CASCADE;

-- What the planner would call for its estimates: this session would be terminated.
CREATE OPERATOR <<! (LEFTARG = int, RIGHTARG = bigint, FUNCTION = pg_terminate_backend, RESTRICT = scalarltsel);
CREATE TABLE pids AS SELECT pg_backend_pid() AS pid FROM generate_series(1, 100);
ANALYZE pids;
CREATE FUNCTION inlined(int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 <<! 0';
TRUNCATE t;
CALL watch('sane', 'SELECT id FROM t');
CALL attempt('SELECT count(*) FROM pids WHERE pid <<! 0', 'SELECT count(*) FROM pids WHERE inlined(pid)',
  'SELECT count(*) FROM (SELECT pid FROM pids OFFSET 0) p WHERE pid <<! 0');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP FUNCTION inlined;
DROP OPERATOR <<! (int, bigint);
DROP TABLE pids;
-- So where a function of constants is evaluated anew because it has changed.
CREATE FUNCTION in_check(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CALL watch('in check', 'SELECT in_check(1) AS s FROM t');
CALL watch('sane', 'SELECT id FROM t');
CREATE OR REPLACE FUNCTION in_check(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_notify('regress_sandbox', 'x'); RETURN $1; END $$;
INSERT INTO t VALUES (12, 'x');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

DROP AGGREGATE total(int);
DROP FUNCTION does, runs, catches, sets, shows, reads, all_of_it, opens, makes_schema, in_check, spent;
DROP PROCEDURE attempt, proceeds;
DROP OPERATOR @! (text, text);
DROP SEQUENCE numbers;
DROP TABLE t, victim;
