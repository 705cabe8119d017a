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

-- An error in the snapshot is the reader's.
SELECT count(*) FROM live.subscribe('q', 'SELECT id, note::int AS number FROM t ORDER BY id', delivery => 'poll');
SELECT * FROM live.snapshot('q', 2);
SELECT * FROM live.snapshot('q', 10);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM live.snapshot('q', 10);
\echo :LAST_ERROR_SQLSTATE
SELECT status FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'q';
SELECT live.unsubscribe_all();

-- An expression that takes too long.
CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1 = 7 THEN PERFORM pg_sleep(300); END IF; RETURN $1; END $$;
CALL watch('slow', 'SELECT slow(id) AS s FROM t');
CALL watch('fast', 'SELECT id FROM t');
ALTER SYSTEM SET live_queries.evaluation_timeout = '100ms';
SELECT pg_reload_conf();
INSERT INTO t VALUES (7, 1, '7'), (8, 1, '8');
SELECT * FROM feed();
ALTER SYSTEM RESET live_queries.evaluation_timeout;
SELECT pg_reload_conf();
SELECT live.unsubscribe_all();

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
DROP FUNCTION slow, talks, catches;

DROP TABLE t;
