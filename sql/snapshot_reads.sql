-- What a rolled-back statement, savepoint or transaction has read of the first result is read again: whoever repeats a call
-- has every row once, and the messages that follow.
CREATE TABLE m (id int PRIMARY KEY, note text);
INSERT INTO m SELECT i FROM generate_series(1, 30) i;
ALTER TABLE m REPLICA IDENTITY FULL;
CREATE PROCEDURE subscribe(name text, query text DEFAULT 'SELECT id FROM m WHERE id <> 0 ORDER BY id') LANGUAGE plpgsql AS
  $$ BEGIN PERFORM live.subscribe(name, query, delivery => 'poll'); END $$;
-- The ids of the next rows, as ranges: a row that is missing, or comes twice, shows.
CREATE FUNCTION next_rows(name text, most int DEFAULT NULL) RETURNS text BEGIN ATOMIC
  SELECT string_agg(CASE WHEN first = last THEN first::text ELSE first || '-' || last END, ' ' ORDER BY place)
  FROM (SELECT min(id) AS first, max(id) AS last, min(n) AS place
        FROM (SELECT (s."row" ->> 'id')::int AS id, s.n FROM live.snapshot(name, most) WITH ORDINALITY AS s (key, "row", n)) AS ids
        GROUP BY id - n) AS ranges;
END;
CREATE FUNCTION fails_at(name text, at int, most int DEFAULT NULL) RETURNS bigint BEGIN ATOMIC
  SELECT count(1 / ((s."row" ->> 'id')::int - at)) FROM live.snapshot(name, most) AS s;
END;
\set VERBOSITY terse

-- A statement that fails, whole or in batches, the last one, which ends the first result, too.
CALL subscribe('s');
SELECT fails_at('s', 15);
SELECT next_rows('s', 10);
SELECT fails_at('s', 15, 10);
SELECT next_rows('s', 10);
SELECT fails_at('s', 25, 10);
SELECT next_rows('s', 10);
INSERT INTO m VALUES (31);
SELECT * FROM feed();
DO $$ BEGIN PERFORM live.snapshot('s'); RAISE EXCEPTION 'too late'; END $$;
SELECT next_rows('s');
DELETE FROM m WHERE id = 31;
SELECT * FROM feed();
SELECT next_rows('s');

-- A transaction, and savepoints in it: nested, released, rolled back with what they were released into.
CALL subscribe('t');
BEGIN;
SELECT next_rows('t', 10);
SAVEPOINT a;
SELECT next_rows('t', 5);
SAVEPOINT b;
SELECT next_rows('t', 5);
RELEASE b;
SELECT next_rows('t', 5);
ROLLBACK TO a;
SELECT next_rows('t', 5);
SAVEPOINT c;
SELECT next_rows('t', 3);
RELEASE c;
SELECT next_rows('t', 2);
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT next_rows('t', 7);
ROLLBACK TO a;
SELECT next_rows('t', 8);
RELEASE a;
SAVEPOINT b;
SELECT next_rows('t');
ROLLBACK TO b;
COMMIT;
SELECT next_rows('t');
SELECT next_rows('t');

-- Blocks with a handler, and reads around them.
CREATE FUNCTION tries(name text, most int DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM next_rows(name, most);
    RAISE EXCEPTION 'in vain';
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
  BEGIN
    RETURN next_rows(name, most);
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
END $$;
CALL subscribe('h');
SELECT tries('h', 10), next_rows('h', 5), tries('h', 5);
BEGIN;
SELECT tries('h', 5);
SAVEPOINT a;
SELECT tries('h');
ROLLBACK TO a;
SELECT tries('h');
COMMIT;
SELECT next_rows('h');

-- In a procedure that rolls back and commits, and by a cursor of the client's, which reads when it is first fetched from, or at
-- commit.
CREATE PROCEDURE rolls_back(name text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM next_rows(name, 10);
  ROLLBACK;
  RAISE NOTICE '%', next_rows(name, 10);
  COMMIT;
  PERFORM next_rows(name, 10);
  ROLLBACK;
END $$;
CALL subscribe('i');
CALL rolls_back('i');
BEGIN;
DECLARE c CURSOR FOR SELECT next_rows('i', 10);
FETCH c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT next_rows('i', 10);
COMMIT;
SELECT next_rows('i');
FETCH c;
CLOSE c;

-- In the transaction that subscribes: while the cursor streams, rows read at its own level go with the subscription, those read
-- below it alone.
BEGIN;
CALL subscribe('u');
SAVEPOINT a;
SELECT next_rows('u');
ROLLBACK TO a;
SELECT next_rows('u', 10);
SAVEPOINT b;
SELECT next_rows('u', 10);
ROLLBACK TO b;
SELECT tries('u', 10);
COMMIT;
INSERT INTO m VALUES (31);
SELECT * FROM feed();
SELECT next_rows('u');
SELECT * FROM feed();
BEGIN;
CALL subscribe('v');
SELECT next_rows('v', 10);
SAVEPOINT a;
SELECT next_rows('v', 10);
SAVEPOINT b;
SELECT next_rows('v', 10);
RELEASE b;
ROLLBACK TO a;
SELECT next_rows('v', 10);
RELEASE a;
SELECT next_rows('v', 1);
COMMIT;
BEGIN;
SELECT next_rows('v');
ROLLBACK;
SELECT next_rows('v');
-- Subscribed in a savepoint: released, or rolled back after its rows were stored; the name is free then.
BEGIN;
SAVEPOINT a;
CALL subscribe('w');
SELECT next_rows('w', 10);
SAVEPOINT b;
SELECT next_rows('w', 10);
ROLLBACK TO b;
SELECT next_rows('w', 5);
ROLLBACK TO a;
SELECT next_rows('w');
ROLLBACK TO a;
CALL subscribe('w');
SELECT next_rows('w', 10);
SAVEPOINT b;
SELECT next_rows('w');
ROLLBACK TO b;
RELEASE a;
SELECT next_rows('w', 10);
SAVEPOINT c;
SELECT next_rows('w');
ROLLBACK TO c;
COMMIT;
SELECT next_rows('w');
-- A transaction that fails at its commit.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
BEGIN;
CALL subscribe('x');
SELECT next_rows('x', 10);
INSERT INTO child VALUES (1);
COMMIT;
CALL subscribe('x');
BEGIN;
SELECT next_rows('x');
INSERT INTO child VALUES (1);
COMMIT;
SELECT next_rows('x', 30);
SELECT next_rows('x');
DROP TABLE child, parent;
SELECT live.unsubscribe_all();
DELETE FROM m WHERE id > 30;

-- The messages that follow: if the read of the last batch is rolled back, they wait again, in order, polled or not.
CALL subscribe('p');
CALL watch('other', 'SELECT id FROM m');
SELECT next_rows('p', 20);
INSERT INTO m VALUES (31);
INSERT INTO m VALUES (32);
SELECT live.wait_for(timeout => '60s');
BEGIN;
SELECT next_rows('p', 20);
SELECT * FROM feed();
ROLLBACK;
SELECT * FROM feed();
INSERT INTO m VALUES (33);
SELECT live.wait_for(timeout => '60s');
BEGIN;
SAVEPOINT a;
SELECT next_rows('p');
SELECT subscription_id, message #>> '{changes,0,key,0}' AS key FROM live.poll(1);
ROLLBACK TO a;
SELECT * FROM feed();
SELECT fails_at('p', 25);
ROLLBACK;
INSERT INTO m VALUES (34);
SELECT * FROM feed();
SELECT next_rows('p');
SELECT * FROM feed();
-- A reset that came meanwhile is told after the rows.
SELECT live.unsubscribe_all();
ALTER TABLE m ADD COLUMN more int;
CALL subscribe('r', 'SELECT * FROM m ORDER BY id');
ALTER TABLE m DROP COLUMN more;
INSERT INTO m VALUES (35);
BEGIN;
SELECT next_rows('r');
SELECT id, message, left(change, 31) AS change FROM feed();
ROLLBACK;
SELECT * FROM feed();
SELECT next_rows('r');
SELECT id, message, left(change, 31) AS change FROM feed();
SELECT live.unsubscribe_all();
DELETE FROM m WHERE id > 30;

-- With pause, resume, refresh and unsubscribe, kept or rolled back.
CALL subscribe('c');
BEGIN;
SELECT next_rows('c', 10);
SELECT live.pause('c');
SELECT next_rows('c');
ROLLBACK;
SELECT status FROM live_queries WHERE pid = pg_backend_pid();
SELECT live.pause('c');
BEGIN;
SELECT live.resume('c');
SELECT next_rows('c');
ROLLBACK;
INSERT INTO m VALUES (31);
SELECT * FROM feed();
SELECT next_rows('c');
SELECT * FROM feed();
SELECT live.resume('c');
SELECT * FROM feed();
SELECT live.refresh('c');
SELECT fails_at('c', 15);
SELECT next_rows('c', 10);
BEGIN;
SELECT next_rows('c', 10);
SELECT live.refresh('c');
SELECT next_rows('c');
ROLLBACK;
BEGIN;
SELECT next_rows('c', 10);
SELECT live.unsubscribe('c');
SAVEPOINT a;
CALL subscribe('c');
SELECT next_rows('c');
ROLLBACK TO a;
ROLLBACK;
DELETE FROM m WHERE id = 31;
SELECT next_rows('c');
SELECT * FROM feed();
BEGIN;
SELECT live.refresh('c');
SELECT next_rows('c', 10);
SAVEPOINT a;
SELECT next_rows('c');
ROLLBACK TO a;
COMMIT;
SELECT next_rows('c');
-- Killed after it was read: it is over, whatever becomes of the read.
SELECT live.refresh('c');
BEGIN;
SELECT next_rows('c');
SELECT live.kill(live_id) FROM live_queries WHERE pid = pg_backend_pid() AND status = 'active';
SELECT * FROM feed();
ROLLBACK;
SELECT next_rows('c');
SELECT * FROM feed();

-- An error in the query's own expressions below the transaction that subscribes: another attempt begins anew, as long as
-- nothing was read; else the rest is gone, and that is said.
CREATE FUNCTION shaky(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
  IF $1 = 20 AND current_setting('application_name') = 'shaky' THEN RAISE EXCEPTION 'shaky'; END IF;
  RETURN $1; END $$;
BEGIN;
CALL subscribe('e', 'SELECT shaky(id) AS id FROM m');
SAVEPOINT a;
SET LOCAL application_name = 'shaky';
SELECT next_rows('e');
ROLLBACK TO a;
SELECT next_rows('e', 10);
COMMIT;
SELECT next_rows('e');
BEGIN;
CALL subscribe('f', 'SELECT shaky(id) AS id FROM m');
SELECT next_rows('f', 10);
SAVEPOINT a;
SET LOCAL application_name = 'shaky';
SELECT next_rows('f');
ROLLBACK TO a;
\set VERBOSITY default
SELECT next_rows('f');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- So where a cursor was closed, also if that was after the last row and is not undone.
CALL subscribe('f');
BEGIN;
SELECT next_rows('f');
CLOSE ALL;
ROLLBACK;
SELECT next_rows('f');
SELECT live.refresh('f');
SELECT next_rows('f');

-- Neither the view of cursors nor that of memory shows the name of the cursor.
CALL subscribe('n');
SELECT name FROM pg_cursors WHERE statement ~ 'FROM m';
SELECT count(*) FROM pg_backend_memory_contexts WHERE ident ~ '^live_queries.*[0-9]';
-- LIMIT does not leave what was produced.
SELECT count(*) FROM (SELECT FROM live.snapshot('n', 20) LIMIT 10) AS ten;
SELECT next_rows('n');
-- Nothing of the cursors stays when the subscriptions end, partly read.
CALL subscribe('d');
SELECT next_rows('d', 10);
DISCARD ALL;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name IN ('PortalContext', 'PortalHoldContext') AND ident IS DISTINCT FROM '<unnamed>';
-- Opaque keys are the same when they are read again.
CREATE ROLE regress_reader;
CREATE VIEW notes AS SELECT note FROM m;
GRANT SELECT ON notes TO regress_reader;
SET ROLE regress_reader;
BEGIN;
SELECT count(*) FROM live.subscribe('o', 'SELECT * FROM notes', delivery => 'poll');
SAVEPOINT a;
SELECT string_agg(key::text, ' ' ORDER BY key::text) AS keys FROM live.snapshot('o') \gset
ROLLBACK TO a;
SELECT string_agg(key::text, ' ' ORDER BY key::text) = :'keys' AS same, count(DISTINCT key::text) FROM live.snapshot('o');
COMMIT;
SELECT live.unsubscribe('o');
RESET ROLE;
DROP VIEW notes;
DROP ROLE regress_reader;
-- A read cannot be prepared.
CALL subscribe('d');
BEGIN;
SELECT next_rows('d', 10);
PREPARE TRANSACTION 'regress_read';
SELECT next_rows('d');
SELECT live.unsubscribe_all();
DROP FUNCTION tries, fails_at, next_rows, shaky;
DROP PROCEDURE subscribe, rolls_back;
DROP TABLE m;
