-- Subscriptions and messages follow their transaction.
CREATE TABLE t (id int PRIMARY KEY, val int);
ALTER TABLE t REPLICA IDENTITY FULL;

-- Rolled back, a subscription never was; nor one since a savepoint.
BEGIN;
CALL watch('gone', 'SELECT * FROM t');
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid();
ROLLBACK;
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid();
BEGIN;
CALL watch('stays', 'SELECT * FROM t');
SAVEPOINT s;
CALL watch('gone', 'SELECT * FROM t');
SAVEPOINT t;
CALL watch('gone, too', 'SELECT * FROM t');
RELEASE t;
ROLLBACK TO s;
CALL watch('after', 'SELECT * FROM t');
SAVEPOINT u;
CALL watch('released', 'SELECT * FROM t');
RELEASE u;
COMMIT;
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
INSERT INTO t VALUES (1, 10);
SELECT * FROM feed();
-- So for unsubscribe, pause, resume and refresh.
BEGIN;
SELECT live.unsubscribe('stays');
SAVEPOINT s;
SELECT live.pause('after');
SELECT live.unsubscribe('released');
SELECT live.unsubscribe('released');
SELECT live.pause('released');
ROLLBACK TO s;
SELECT live.pause('after');
ROLLBACK;
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
BEGIN;
SELECT live.refresh('stays');
ROLLBACK;
INSERT INTO t VALUES (2, 20);
SELECT * FROM feed();
BEGIN;
SELECT live.refresh('stays');
SELECT * FROM live.snapshot('stays');
ROLLBACK;
SELECT * FROM live.snapshot('stays');
INSERT INTO t VALUES (3, 30);
SELECT * FROM feed() WHERE id = 'stays';
BEGIN;
SELECT live.pause('after');
COMMIT;
BEGIN;
SELECT live.resume('after');
ROLLBACK;
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
SELECT live.unsubscribe_all();
-- Dropped and subscribed anew in one transaction.
CALL watch('again', 'SELECT id FROM t');
BEGIN;
SELECT live.unsubscribe('again');
CALL watch('again', 'SELECT val FROM t');
ROLLBACK;
SELECT query FROM live_queries WHERE pid = pg_backend_pid();
BEGIN;
SELECT live.unsubscribe('again');
CALL watch('again', 'SELECT val FROM t');
COMMIT;
SELECT query FROM live_queries WHERE pid = pg_backend_pid();
INSERT INTO t VALUES (4, 40);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Subscribe, read and write in one transaction: its own changes are not in the snapshot, and come.
BEGIN;
SELECT count(*) FROM live.subscribe('q', 'SELECT * FROM t WHERE id > 3', delivery => 'poll');
INSERT INTO t VALUES (5, 50);
SELECT * FROM live.snapshot('q');
COMMIT;
SELECT * FROM feed();
-- Having written, a transaction can no longer subscribe or refresh, but the rest.
BEGIN;
INSERT INTO t VALUES (6, 60);
CALL refused('SELECT * FROM t');
SELECT live.pause('q');
SELECT live.resume('q');
SAVEPOINT s;
SELECT live.refresh('q');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
SELECT live.unsubscribe('q');
COMMIT;
SELECT * FROM feed();
-- A transaction of a higher isolation level starts from what is there now, not from its snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t;
SELECT count(*) FROM live.subscribe('q', 'SELECT id FROM t WHERE id > 5', delivery => 'poll');
SELECT * FROM live.snapshot('q');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
CALL watch('read only', 'SELECT id FROM t');
COMMIT;
INSERT INTO t VALUES (7, 70);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- The snapshot outlives its transaction.
BEGIN;
SELECT count(*) FROM live.subscribe('q', 'SELECT id FROM t ORDER BY id', delivery => 'poll');
SELECT * FROM live.snapshot('q', 2);
COMMIT;
DELETE FROM t WHERE id > 5;
SELECT * FROM live.snapshot('q', 3);
-- A batch that was read in a rolled-back transaction is read again.
BEGIN;
SELECT * FROM live.snapshot('q', 1);
ROLLBACK;
SELECT * FROM live.snapshot('q');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Messages that were polled in a transaction that rolls back are given back.
CALL watch('q', 'SELECT id FROM t');
INSERT INTO t VALUES (11, 1);
INSERT INTO t VALUES (12, 2);
BEGIN;
SELECT * FROM feed();
ROLLBACK;
SELECT * FROM feed();
INSERT INTO t VALUES (13, 3);
INSERT INTO t VALUES (14, 4);
SELECT live.wait_for(timeout => '60s');
BEGIN;
SELECT message->'changes'->0->>'key' AS key FROM live.poll(1);
SAVEPOINT s;
SELECT message->'changes'->0->>'key' AS key FROM live.poll(1);
ROLLBACK TO s;
COMMIT;
SELECT message->'changes'->0->>'key' AS key FROM live.poll();
SELECT live.unsubscribe_all();

-- Writers: savepoints, and what was rolled back to them.
CALL watch('q', 'SELECT * FROM t WHERE id > 20');
BEGIN;
INSERT INTO t VALUES (21, 1);
SAVEPOINT a;
INSERT INTO t VALUES (22, 1);
SAVEPOINT b;
UPDATE t SET val = 2 WHERE id > 20;
ROLLBACK TO a;
SAVEPOINT c;
INSERT INTO t VALUES (23, 1);
RELEASE c;
COMMIT;
SELECT * FROM feed();
DO $$
BEGIN
  INSERT INTO t VALUES (24, 1);
  BEGIN
    INSERT INTO t VALUES (25, 1), (24, 2);
  EXCEPTION WHEN unique_violation THEN
    INSERT INTO t VALUES (26, 1);
  END;
END $$;
SELECT * FROM feed();
-- A prepared transaction is seen when it is committed.
BEGIN;
INSERT INTO t VALUES (31, 1);
PREPARE TRANSACTION 'regress_one';
BEGIN;
INSERT INTO t VALUES (32, 1);
PREPARE TRANSACTION 'regress_two';
INSERT INTO t VALUES (33, 1);
SELECT * FROM feed();
COMMIT PREPARED 'regress_two';
SELECT * FROM feed();
ROLLBACK PREPARED 'regress_one';
SELECT * FROM feed();
-- One that subscribed, unsubscribed, paused or polled cannot be prepared.
BEGIN;
CALL watch('prepared', 'SELECT id FROM t');
PREPARE TRANSACTION 'regress_three';
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT live.pause('q');
PREPARE TRANSACTION 'regress_three';
BEGIN;
SELECT live.unsubscribe('q');
PREPARE TRANSACTION 'regress_three';
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid();
-- One of a connection that has subscriptions can.
BEGIN;
INSERT INTO t VALUES (34, 1);
PREPARE TRANSACTION 'regress_four';
COMMIT PREPARED 'regress_four';
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Procedures that commit.
CREATE PROCEDURE several() LANGUAGE plpgsql AS $$
BEGIN
  PERFORM live.subscribe('first', 'SELECT id FROM t WHERE id > 40', delivery => 'poll');
  COMMIT;
  INSERT INTO t VALUES (41, 1);
  COMMIT;
  PERFORM live.subscribe('second', 'SELECT id FROM t WHERE id > 40', delivery => 'poll');
  ROLLBACK;
  PERFORM live.subscribe('third', 'SELECT id FROM t WHERE id > 40', delivery => 'poll');
  COMMIT;
  INSERT INTO t VALUES (42, 1);
END $$;
CALL several();
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
SELECT 'first' AS of, * FROM live.snapshot('first') UNION ALL SELECT 'third', * FROM live.snapshot('third');
SELECT * FROM feed();
DROP PROCEDURE several;
SELECT live.unsubscribe_all();

-- An error after the subscription takes it back.
DO $$ BEGIN
  PERFORM live.subscribe('failed', 'SELECT * FROM t', delivery => 'poll');
  PERFORM 1 / 0;
END $$;
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid();

-- UNLISTEN and DISCARD ALL end what the connection has; a rollback of UNLISTEN does not.
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false');
BEGIN;
UNLISTEN *;
ROLLBACK;
UNLISTEN other;
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid();
UNLISTEN *;
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid();
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false');
SELECT count(*) FROM pg_listening_channels();
DISCARD ALL;
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid();
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false');
SELECT channel AS mine FROM live_queries WHERE pid = pg_backend_pid() \gset
UNLISTEN :mine;
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid();

-- A termination that waits for live.poll goes with what it is about, for the next user of the connection must not see it;
-- but not if that is rolled back.
CREATE FUNCTION killed(id text) RETURNS boolean BEGIN ATOMIC
  SELECT live.kill(live_id) FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = id AND status = 'active';
END;
CREATE FUNCTION polled() RETURNS TABLE (id text, message text) BEGIN ATOMIC
  SELECT subscription_id, message ->> 'type' FROM live.poll();
END;
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false', delivery => 'poll');
SELECT count(*) FROM live.subscribe('b', 'SELECT id FROM t WHERE false', delivery => 'poll');
SELECT count(*) FROM live.subscribe('c', 'SELECT id FROM t WHERE false', delivery => 'poll');
SELECT killed('a'), killed('b');
BEGIN;
SELECT live.unsubscribe('a');
SAVEPOINT s;
SELECT live.unsubscribe('b');
SELECT * FROM polled();
ROLLBACK TO s;
SELECT * FROM polled();
ROLLBACK;
SELECT live.unsubscribe('b');
-- Another one of that id is told of its own end.
BEGIN;
SELECT live.unsubscribe('a');
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false', delivery => 'poll');
COMMIT;
SELECT killed('a');
SELECT * FROM polled();
-- And not of the former one's.
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false', delivery => 'poll');
SELECT killed('a');
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false', delivery => 'poll');
SELECT * FROM polled();
SELECT killed('c');
UNLISTEN *;
SELECT * FROM polled();
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t WHERE false', delivery => 'poll');
SELECT killed('a');
DISCARD ALL;
SELECT * FROM polled();
-- What is given back after its transaction has paused another subscription: `more` announces only what follows.
CREATE TABLE both_of (id int PRIMARY KEY);
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM both_of', delivery => 'poll');
SELECT count(*) FROM live.subscribe('b', 'SELECT id FROM both_of WHERE id > 0', delivery => 'poll');
SELECT count(*) FROM live.snapshot('a') UNION ALL SELECT count(*) FROM live.snapshot('b');
INSERT INTO both_of VALUES (1);
INSERT INTO both_of VALUES (2);
SELECT live.wait_for(timeout => '60s');
BEGIN;
SELECT message ->> 'more' AS more FROM live.poll(1);
SELECT id AS second FROM live.poll(1) AS p (seq, id, message) \gset
ROLLBACK;
BEGIN;
SELECT subscription_id = :'second' AS second, message ->> 'more' AS more FROM live.poll(1);
SELECT live.pause(:'second');
SELECT count(*) FROM live.poll();
ROLLBACK;
SELECT subscription_id = :'second' AS paused, message #>> '{changes,0,key,0}' AS key, message ->> 'more' AS more FROM live.poll();
SELECT live.unsubscribe_all();
DROP TABLE both_of;
-- Nor are the messages of a subscription that has ended in a transaction that wrote.
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t', delivery => 'poll');
SELECT count(*) > 0 AS rows FROM live.snapshot('a');
INSERT INTO t VALUES (1000);
SELECT live.wait_for(timeout => '60s');
BEGIN;
DELETE FROM t WHERE id = 1000;
SELECT live.unsubscribe('a');
COMMIT;
SELECT * FROM polled();
DROP FUNCTION killed, polled;

-- A closed cursor is a snapshot that is gone.
SELECT count(*) FROM live.subscribe('q', 'SELECT id FROM t', delivery => 'poll');
CLOSE ALL;
SELECT * FROM live.snapshot('q');
\echo :LAST_ERROR_SQLSTATE
SELECT live.refresh('q');
SELECT count(*) > 0 AS rows FROM live.snapshot('q');
SELECT live.unsubscribe_all();
DROP TABLE t;

-- A large first result streams within its transaction and waits on disk after it: never in memory.
CREATE TABLE many (id int PRIMARY KEY, filler text);
INSERT INTO many SELECT i, repeat('x', 100) FROM generate_series(1, 200000) i;
ALTER TABLE many REPLICA IDENTITY FULL;
BEGIN;
SELECT count(*) FROM live.subscribe('many', 'SELECT * FROM many', delivery => 'poll');
SELECT count(*) FROM live.snapshot('many', 10);
SELECT sum(total_bytes) < 20000000 AS small FROM pg_backend_memory_contexts;
COMMIT;
SELECT sum(total_bytes) < 20000000 AS small FROM pg_backend_memory_contexts;
SELECT count(*), max(length("row"::text)) > 100 AS whole FROM live.snapshot('many');
SELECT sum(total_bytes) < 20000000 AS small FROM pg_backend_memory_contexts;
SELECT count(*) FROM live.snapshot('many');
SELECT live.unsubscribe_all();
DROP TABLE many;
