-- An error in an expression ends the subscriptions whose expression it is, and no other.
CREATE TABLE t (id int PRIMARY KEY, val int, note text);
ALTER TABLE t REPLICA IDENTITY FULL;
CALL watch('cast', 'SELECT id, note::int AS number FROM t');
CALL watch('divided', 'SELECT id, 100 / val AS divided FROM t');
CALL watch('filter', 'SELECT id FROM t WHERE 100 / val > 5 AND note <> $1', 'a');
CALL watch('filter, other value', 'SELECT id FROM t WHERE 100 / val > 5 AND note <> $1', 'b');
CALL watch('routed 1', 'SELECT id, 100 / val AS divided FROM t WHERE id = $1', '1');
CALL watch('routed 3', 'SELECT id, 100 / val AS divided FROM t WHERE id = $1', '3');
CALL watch('sane', 'SELECT id, val FROM t');
INSERT INTO t VALUES (1, 10, '1');
SELECT * FROM feed();
-- Several rows, several transactions: what was right before the error is not lost to the others.
BEGIN;
INSERT INTO t VALUES (2, 5, '2'), (3, 0, '3'), (4, 1, '4');
COMMIT;
INSERT INTO t VALUES (5, 10, '5');
SELECT * FROM feed();
INSERT INTO t VALUES (6, 10, 'x');
SELECT * FROM feed();
SELECT subscription_id, status, error FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
-- The ones that are over are gone; the ids are free.
SELECT live.snapshot('divided');
CALL watch('divided', 'SELECT id, 100 / nullif(val, 0) AS divided FROM t');
UPDATE t SET val = 20 WHERE id = 3;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- An error in the snapshot is the reader's, and that of the transaction that subscribes.
SELECT count(*) FROM live.subscribe('q', 'SELECT id, note::int AS number FROM t', delivery => 'poll');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT count(*) FROM live.subscribe('q', 'SELECT id, note::int AS number FROM t', delivery => 'poll');
SELECT * FROM live.snapshot('q', 100);
\echo :LAST_ERROR_SQLSTATE
COMMIT;
SELECT live.snapshot('q');
-- A refresh that fails leaves the subscription as it was.
CALL watch('all', 'SELECT id FROM t WHERE id > 10');
DELETE FROM t WHERE note = 'x';
SELECT live.wait_for(timeout => '1min');
SELECT count(*) FROM live.subscribe('q', 'SELECT id, note FROM t WHERE note::int < 3', delivery => 'poll');
SELECT * FROM live.snapshot('q') ORDER BY key::text;
BEGIN;
SELECT live.refresh('q');
SELECT 1 / 0;
ROLLBACK;
INSERT INTO t VALUES (10, 10, '0');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- An expression that takes too long.
-- The limit is set some time before it is met, since the decoder may see it late.
ALTER SYSTEM SET live_queries.evaluation_timeout = '300ms';
SELECT pg_reload_conf();
CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1 = 7 THEN PERFORM pg_sleep(300); END IF; RETURN $1; END $$;
CALL watch('slow', 'SELECT slow(id) AS s FROM t');
CALL watch('fast', 'SELECT id FROM t');
INSERT INTO t VALUES (7, 1, '7'), (8, 1, '8');
SELECT * FROM feed();
-- One that does not look whether it is cancelled: it is to blame all the same, and no other.
CALL watch('busy', 'SELECT id, md5(note || 1) AS a, md5(note || 2) AS b, md5(note || 3) AS c, md5(note || 4) AS d,
  md5(note || 5) AS e, md5(note || 6) AS f, md5(note || 7) AS g, md5(note || 8) AS h FROM t WHERE id = 21');
CALL watch('idle', 'SELECT id, md5(note || 1) AS a, md5(note || 2) AS b, md5(note || 3) AS c, md5(note || 4) AS d,
  md5(note || 5) AS e, md5(note || 6) AS f, md5(note || 7) AS g, md5(note || 8) AS h FROM t WHERE id = 22');
INSERT INTO t VALUES (21, 1, repeat('2', 30000000));
SELECT * FROM feed();
-- One that catches the cancel, once, and returns.
CREATE FUNCTION careless(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_sleep(300); RETURN 1; EXCEPTION WHEN query_canceled THEN RETURN 2; END $$;
CALL watch('careless', 'SELECT careless(id) AS s FROM t WHERE val = 2');
INSERT INTO t VALUES (22, 2, '22'), (25, 2, '25');
SELECT id, message, left(change, 30) AS change FROM feed();
-- One that catches the cancel and goes on: the decoder is started anew without it.
CREATE FUNCTION endless(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN LOOP BEGIN PERFORM pg_sleep(300); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$;
CALL watch('endless', 'SELECT endless(id) AS s FROM t WHERE val = 3');
INSERT INTO t VALUES (23, 3, '23');
SELECT * FROM feed();
SELECT live.refresh('fast');
SELECT count(*) > 0 FROM live.snapshot('fast');
INSERT INTO t VALUES (24, 3, '24');
SELECT * FROM feed();
ALTER SYSTEM RESET live_queries.evaluation_timeout;
SELECT pg_reload_conf();
SELECT live.unsubscribe_all();

-- No SQLSTATE of an expression does anything else to the decoder.
CREATE FUNCTION cancels(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'not a cancel' USING ERRCODE = 'query_canceled'; END $$;
CREATE FUNCTION shuts_down(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'not a shutdown' USING ERRCODE = 'admin_shutdown'; END $$;
CREATE FUNCTION in_check(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CALL watch('cancels', 'SELECT cancels(id) AS s FROM t');
CALL watch('in check', 'SELECT in_check(1) AS s FROM t');
CALL watch('sane', 'SELECT id FROM t');
CALL watch('shuts down', 'SELECT shuts_down(id) AS s FROM t');
INSERT INTO t VALUES (11, 1, '11');
SELECT * FROM feed();
-- So where a function of constants is evaluated anew because it has changed.
CREATE OR REPLACE FUNCTION in_check(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'not a cancel' USING ERRCODE = 'query_canceled'; END $$;
INSERT INTO t VALUES (12, 1, '12');
SELECT * FROM feed();
-- Nor is it taken for a lock on the table, on which others are then not checked.
CREATE OR REPLACE FUNCTION in_check(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CALL watch('in check', 'SELECT in_check(1) AS s FROM t');
CREATE OR REPLACE FUNCTION in_check(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1 = 1 THEN RAISE EXCEPTION 'not a lock' USING ERRCODE = 'lock_not_available'; END IF; RETURN $1; END $$;
GRANT SELECT ON t TO pg_monitor;
INSERT INTO t VALUES (16, 1, '16');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP FUNCTION cancels, shuts_down, in_check;

-- So where a setting of its subscriber's has no meaning any more.
CREATE TEXT SEARCH CONFIGURATION gone (COPY = simple);
SET default_text_search_config = 'public.gone';
CALL watch('gone', 'SELECT id, to_tsvector(note) AS words FROM t');
RESET default_text_search_config;
CALL watch('sane', 'SELECT id FROM t');
DROP TEXT SEARCH CONFIGURATION gone;
INSERT INTO t VALUES (13, 1, '13');
SELECT id, message, left(change, 40) AS change FROM feed();
SELECT live.unsubscribe_all();

-- A function cannot take a lock of the session.
CREATE FUNCTION locks(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_lock(4711); RETURN $1; END $$;
CREATE FUNCTION locks_and_fails(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_lock(4712); RETURN 1 / 0; END $$;
CALL watch('fails', 'SELECT locks_and_fails(id) AS l FROM t');
CALL watch('locks', 'SELECT locks(id) AS l FROM t');
INSERT INTO t VALUES (15, 1, '15');
SELECT * FROM feed();
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
SELECT live.unsubscribe_all();
DROP FUNCTION locks, locks_and_fails;

-- Messages and warnings of an expression go nowhere; it cannot write.
CREATE FUNCTION talks(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RAISE NOTICE 'row %', $1; RAISE WARNING 'row %', $1; RETURN $1; END $$;
CREATE FUNCTION catches(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RETURN 100 / $1; EXCEPTION WHEN division_by_zero THEN RETURN -1; END $$;
CALL watch('catches', 'SELECT id, catches(val) AS c FROM t');
CALL watch('talks', 'SELECT talks(id) AS i FROM t');
INSERT INTO t VALUES (9, 0, '9');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
CREATE TABLE written (id int);
CREATE FUNCTION writes(int) RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN INSERT INTO written VALUES ($1); RETURN $1; END';
CREATE FUNCTION calls_writes(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN writes($1); END';
CALL watch('writes', 'SELECT calls_writes(id) AS w FROM t WHERE id > 13');
CALL watch('sane', 'SELECT id FROM t');
INSERT INTO t VALUES (14, 1, '14');
SELECT * FROM feed();
SELECT count(*) FROM written;
SELECT live.unsubscribe_all();
DROP TABLE written;
DROP FUNCTION slow, careless, endless, talks, catches, writes, calls_writes;

DROP TABLE t;
