-- A throttled live query: at least so long between two messages, which then are what came in between.
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE TABLE d (id int PRIMARY KEY, a int, b text);  -- the identity alone is logged
CREATE TABLE bag (v int);
ALTER TABLE bag REPLICA IDENTITY FULL;
-- What has arrived, in its order; waits for the first. Which batches the evaluator made of the transactions is open.
CREATE FUNCTION told(OUT id text, OUT changes text, OUT one_xid boolean, OUT xids int, OUT more text)
RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  RETURN QUERY
    SELECT p.subscription_id,
           coalesce((SELECT string_agg(c::text, E'\n' ORDER BY c->>'op', c::text) FROM json_array_elements(p.message->'changes') AS c),
                    p.message->>'type'),
           p.message->>'xid' IS NOT NULL, CASE WHEN p.subscription_id <> 'sum' THEN json_array_length(p.message->'xids') END,
           p.message->>'more'
    FROM live.poll(timeout => '60s') WITH ORDINALITY AS p(seq, subscription_id, message, number)
    ORDER BY p.number;
END $$;
CREATE FUNCTION waiting() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  -- Longer than the short throttles here: what they hold is due by then.
  RETURN (SELECT count(*) FROM live.poll(timeout => '0.1 s'));
END $$;
-- What a throttled live query is told of what happens while its time has not come. The pause makes it sure that
-- nothing goes before.
CREATE PROCEDURE hold(held boolean) LANGUAGE plpgsql AS $$
DECLARE one text;
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  FOR one IN SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid() AND status <> 'terminated' LOOP
    IF held THEN PERFORM live.pause(one); ELSE PERFORM live.resume(one); END IF;
  END LOOP;
END $$;

-- ----- time -----
SELECT strategy FROM live.subscribe('slow', 'SELECT * FROM t', delivery => 'poll', throttle => '1 hour', "snapshot" => false);
SELECT strategy FROM live.subscribe('too', 'SELECT id FROM t WHERE a > 1', delivery => 'poll', throttle => '60 minutes', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id FROM t', delivery => 'poll', "snapshot" => false);
-- The first ones come at once, together.
INSERT INTO t VALUES (1, 1, 'x');
SELECT * FROM told();
-- Those that have the same throttle are told together, so each has its time.
INSERT INTO t VALUES (2, 2, 'x');
SELECT id, changes FROM told();
UPDATE t SET a = 3;
SELECT waiting();
-- What is over is told at once.
SELECT live.kill(live_id) FROM live_queries WHERE subscription_id = 'too' AND status <> 'terminated';
SELECT id, changes FROM told();
SELECT live.unsubscribe_all();
TRUNCATE t;

-- ----- net -----
SELECT strategy FROM live.subscribe('t', 'SELECT id, a, b FROM t', delivery => 'poll', throttle => '1 ms', "snapshot" => false);
SET live_queries.evaluators = 0;  -- the stream, though old rows are not logged
SELECT strategy FROM live.subscribe('d', 'SELECT id, a FROM d', delivery => 'poll', throttle => '1 ms', "snapshot" => false);
RESET live_queries.evaluators;
SELECT strategy FROM live.subscribe('bag', 'SELECT v FROM bag', delivery => 'poll', throttle => '1 ms', "snapshot" => false);
SELECT strategy FROM live.subscribe('sum', 'SELECT t.b, count(*) AS n, sum(d.a) AS a FROM t LEFT JOIN d USING (id) GROUP BY t.b', delivery => 'poll', throttle => '1 ms', "snapshot" => false);
INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 6) i;
SELECT id FROM told() ORDER BY id;
INSERT INTO d SELECT i, i, 'y' FROM generate_series(1, 6) i;
SELECT id FROM told() ORDER BY id;
INSERT INTO bag VALUES (1), (1), (2), (NULL);
SELECT * FROM told();

CALL hold(true);
UPDATE t SET a = 10 WHERE id = 1;               -- twice updated: one update, with the first old values
UPDATE t SET b = 'z' WHERE id = 1;
UPDATE t SET a = 20 WHERE id = 2;               -- and back: nothing
UPDATE t SET a = 2 WHERE id = 2;
UPDATE t SET a = 30 WHERE id = 3;               -- then deleted: the row as it was
DELETE FROM t WHERE id = 3;
DELETE FROM t WHERE id = 4;                     -- there again
INSERT INTO t VALUES (4, 4, 'again');
DELETE FROM t WHERE id = 5;                     -- the same again: nothing
INSERT INTO t VALUES (5, 5, 'x');
INSERT INTO t VALUES (7, 7, 'x');               -- then updated: a new one
UPDATE t SET a = 77 WHERE id = 7;
INSERT INTO t VALUES (8, 8, 'x');               -- never there
UPDATE t SET id = 9 WHERE id = 8;
DELETE FROM t WHERE id = 9;
CALL hold(false);
SELECT * FROM told() ORDER BY id DESC;

-- Where old rows are not logged, an update has no old values, and is always told.
CALL hold(true);
UPDATE d SET a = 10 WHERE id = 1;
UPDATE d SET a = 1 WHERE id = 1;
UPDATE d SET a = 30 WHERE id = 3;
DELETE FROM d WHERE id = 3;
DELETE FROM d WHERE id = 4;
INSERT INTO d VALUES (4, 4, 'again');
INSERT INTO d VALUES (7, 7, 'x');
DELETE FROM d WHERE id = 7;
SELECT live.unsubscribe('sum');
CALL hold(false);
SELECT * FROM told() ORDER BY id DESC;

-- Equal rows.
CALL hold(true);
INSERT INTO bag VALUES (1), (3), (3), (4);
DELETE FROM bag WHERE v IN (1, 4);
INSERT INTO bag VALUES (2), (NULL);
DELETE FROM bag WHERE v = 2 OR v IS NULL;
INSERT INTO bag VALUES (NULL);
CALL hold(false);
SELECT * FROM told();

-- All rows left at once.
CALL hold(true);
UPDATE t SET a = 0;
TRUNCATE t;
INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'x');
DELETE FROM t WHERE id = 2;
CALL hold(false);
SELECT * FROM told();

-- Nothing comes of it: no message.
CALL hold(true);
INSERT INTO t VALUES (10, 1, 'x');
DELETE FROM t WHERE id = 10;
CALL hold(false);
SELECT waiting();

-- One transaction, which is told as that; more than are listed; and what is too long for one message.
CALL hold(true);
INSERT INTO t VALUES (11, 1, '"q",{[\');
CALL hold(false);
SELECT * FROM told();
CALL hold(true);
DO $$ BEGIN FOR i IN 1..150 LOOP UPDATE t SET a = i WHERE id = 11; COMMIT; END LOOP; END $$;
CALL hold(false);
SELECT * FROM told();
CALL hold(true);
INSERT INTO t SELECT 100 + i, i, repeat('x', 100000) FROM generate_series(1, 3) i;
INSERT INTO t SELECT 200 + i, i, repeat('x', 100000) FROM generate_series(1, 3) i;
CALL hold(false);
SELECT p.message->>'more' AS more, json_array_length(p.message->'changes') AS changes, json_array_length(p.message->'xids') AS xids,
       dense_rank() OVER (ORDER BY p.seq) AS point
FROM live.poll(timeout => '60s') AS p;
-- A rollback gives it back.
CALL hold(true);
DELETE FROM t WHERE id > 100;
UPDATE t SET a = -1;
CALL hold(false);
SELECT live.wait_for(timeout => '60s');
BEGIN;
SELECT json_array_length(message->'changes') AS changes FROM live.poll(timeout => '60s');
ROLLBACK;
INSERT INTO t VALUES (12, 1, 'x');
SELECT p.message->>'more' AS more, json_array_length(p.message->'changes') AS changes FROM live.poll(1) p;
SELECT id FROM told();

-- A refresh keeps the throttle, and what was gathered is in what it reads.
CALL hold(true);
UPDATE t SET a = -2;
SELECT live.wait_for(timeout => '60s');
SELECT live.refresh('t');
CALL hold(false);
SELECT key, "row"->>'a' AS a FROM live.snapshot('t');
UPDATE t SET a = -3 WHERE id = 12;
SELECT id, changes FROM told();
-- Nothing of what was gathered is lost by what is rolled back.
CALL hold(true);
UPDATE t SET a = -4 WHERE id = 12;
CALL hold(false);
BEGIN;
SELECT live.unsubscribe('t');
ROLLBACK;
BEGIN;
SELECT live.pause('t');
ROLLBACK;
SELECT id, changes FROM told();

SELECT live.unsubscribe_all();

-- ----- beside others -----
SELECT strategy FROM live.subscribe('slow', 'SELECT id FROM t WHERE a = -5', delivery => 'poll', throttle => '1 hour', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id, a FROM t', delivery => 'poll', "snapshot" => false);
UPDATE t SET a = -5;
SELECT id, xids, more FROM told();
UPDATE t SET a = -6 WHERE id = 1;
SELECT id, xids, more FROM told();
-- One begins to be told in the midst of a point that another one of its throttle was told of: all show that in the end.
SELECT live.unsubscribe_all();
SELECT strategy FROM live.subscribe('slow', 'SELECT id FROM t WHERE a = -7', delivery => 'poll', throttle => '1 hour', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id, a FROM t', delivery => 'poll', "snapshot" => false);
SELECT strategy FROM live.subscribe('late', 'SELECT id FROM t WHERE a <> -7', delivery => 'poll', throttle => '1 hour');
UPDATE t SET a = -7;
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id AS id, message->>'more' AS more FROM live.poll(1);
SELECT count(*) FROM live.snapshot('late');
SELECT id, xids, more FROM told();
-- Its time begins with that.
UPDATE t SET a = -6 WHERE id = 1;
SELECT id, xids, more FROM told();
-- Also if the rest was polled before, and that was rolled back.
SELECT live.unsubscribe('late');
UPDATE t SET a = 0;
SELECT id, more FROM told();
SELECT live.unsubscribe('slow');
SELECT strategy FROM live.subscribe('slow', 'SELECT id FROM t WHERE a = -7', delivery => 'poll', throttle => '2 hours', "snapshot" => false);
SELECT strategy FROM live.subscribe('late', 'SELECT id FROM t WHERE a <> -7', delivery => 'poll', throttle => '2 hours');
SELECT live.unsubscribe('fast');
SELECT strategy FROM live.subscribe('fast', 'SELECT id, a FROM t', delivery => 'poll', "snapshot" => false);
UPDATE t SET a = -7;
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id AS id, message->>'more' AS more FROM live.poll(1);
BEGIN;
SELECT subscription_id AS id, message->>'more' AS more FROM live.poll();
ROLLBACK;
SELECT count(*) FROM live.snapshot('late');
SELECT id, more FROM told() ORDER BY id;
-- A point that is polled a message at a time comes to its end, though more is gathered meanwhile.
SELECT live.unsubscribe_all();
SELECT strategy FROM live.subscribe('slow', 'SELECT id FROM t WHERE a > 100', delivery => 'poll', throttle => '1 hour', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id, a FROM t', delivery => 'poll', "snapshot" => false);
CREATE FUNCTION one_more(OUT id text, OUT more text) LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  SELECT p.subscription_id, p.message->>'more' INTO id, more FROM live.poll(1) p;
END $$;
UPDATE t SET a = 101;
SELECT * FROM one_more();
UPDATE t SET a = 102;
SELECT * FROM one_more();
UPDATE t SET a = 103;
SELECT * FROM one_more();
SELECT * FROM one_more();
-- What was paused is not told before what another one of its throttle has to tell.
SELECT live.unsubscribe_all();
SELECT strategy FROM live.subscribe('slow', 'SELECT id FROM t WHERE a > 200', delivery => 'poll', throttle => '3 hours', "snapshot" => false);
SELECT strategy FROM live.subscribe('late', 'SELECT id FROM t WHERE a > 200 AND id = 1', delivery => 'poll', throttle => '3 hours', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id, a FROM t', delivery => 'poll', "snapshot" => false);
SELECT live.pause('late');
UPDATE t SET a = 201 WHERE id = 1;
UPDATE t SET a = 202 WHERE id = (SELECT max(id) FROM t);
SELECT * FROM one_more();
SELECT live.resume('late');
SELECT id, more FROM told();
-- Where the rest of a point has gone, it goes on with the next one.
SELECT strategy FROM live.subscribe('faster', 'SELECT id FROM t WHERE a < 0', delivery => 'poll', "snapshot" => false);
SELECT live.unsubscribe('late');
SELECT live.unsubscribe('slow');
SELECT live.unsubscribe('fast');
SELECT strategy FROM live.subscribe('slow', 'SELECT id, a FROM t', delivery => 'poll', throttle => '4 hours', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id FROM t WHERE a = 300', delivery => 'poll', "snapshot" => false);
UPDATE t SET a = 300 WHERE id = 1;
SELECT * FROM one_more();
SELECT live.unsubscribe('fast');
UPDATE t SET a = -1 WHERE id = 1;
SELECT id, more FROM told() ORDER BY id;
SELECT live.unsubscribe_all();
SELECT strategy FROM live.subscribe('slow', 'SELECT id FROM t WHERE a = -5', delivery => 'poll', throttle => '1 hour', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id, a FROM t', delivery => 'poll', "snapshot" => false);
UPDATE t SET a = -5;
SELECT id, more FROM told();
UPDATE t SET a = -6 WHERE id = 1;
SELECT id, xids, more FROM told();
-- There is progress while something waits for its time.
SET live_queries.progress_interval = '1 ms';
SELECT message->>'type' AS type FROM live.poll(timeout => '60s');
RESET live_queries.progress_interval;
SELECT waiting();
SELECT live.unsubscribe_all();

-- ----- resets -----
-- What was gathered goes with a reset. So that is told before anything that others are told of the time in between: here a point of
-- which a part was polled, and which is that of another first result by now.
TRUNCATE t;
CREATE TABLE u (id int PRIMARY KEY, a int);
SELECT strategy FROM live.subscribe('fast', 'SELECT DISTINCT a FROM u', delivery => 'poll', "snapshot" => false);
SELECT strategy FROM live.subscribe('slow', 'SELECT DISTINCT a FROM t', delivery => 'poll', throttle => '1 hour', "snapshot" => false);
BEGIN;
INSERT INTO u VALUES (1, 1);
INSERT INTO t VALUES (1, 1);
COMMIT;
SELECT * FROM one_more();
DELETE FROM t;
SELECT live.wait_for(timeout => '60s');
SELECT strategy FROM live.subscribe('late', 'SELECT DISTINCT a FROM u', delivery => 'poll');
SELECT "row" FROM live.snapshot('late');
TRUNCATE t;
SELECT id, changes, more FROM told();
SELECT live.unsubscribe_all();
-- And where another one of the same throttle is told what it has gathered up to then.
TRUNCATE u;
SELECT strategy FROM live.subscribe('slow', 'SELECT DISTINCT a FROM t', delivery => 'poll', throttle => '5 hours', "snapshot" => false);
SELECT strategy FROM live.subscribe('too', 'SELECT DISTINCT a FROM u', delivery => 'poll', throttle => '5 hours', "snapshot" => false);
BEGIN;
INSERT INTO u VALUES (1, 1);
INSERT INTO t VALUES (1, 1);
COMMIT;
SELECT live.wait_for(timeout => '60s');
TRUNCATE t;
SELECT id, changes, more FROM told();
SELECT live.unsubscribe_all();
-- So is an end which comes between two parts of a point: what it throws away came after them.
TRUNCATE t, u;
SELECT strategy FROM live.subscribe('slow', 'SELECT id, a FROM t ORDER BY a, id LIMIT 2', delivery => 'poll', throttle => '1 hour', "snapshot" => false);
SELECT strategy FROM live.subscribe('fast', 'SELECT id, a FROM u', delivery => 'poll', "snapshot" => false);
INSERT INTO t VALUES (1, 1, 'x');
SELECT live.wait_for(timeout => '60s');
INSERT INTO t VALUES (2, 2, 'x');
INSERT INTO u VALUES (1, 1);
SELECT * FROM one_more();
INSERT INTO t VALUES (3, 0, 'x');
SELECT live.wait_for(timeout => '60s');
SELECT live.kill(live_id) FROM live_queries WHERE subscription_id = 'slow' AND status <> 'terminated';
SELECT id, changes, more FROM told();
SELECT live.unsubscribe_all();
DROP TABLE u;

-- ----- lists -----
-- A position is that of its own message, so they come one by one, as one point.
TRUNCATE t;
INSERT INTO t SELECT i, i * 10, 'x' FROM generate_series(1, 5) i;
SELECT strategy FROM live.subscribe('list', 'SELECT id, a FROM t ORDER BY a DESC LIMIT 3', delivery => 'poll', throttle => '1 ms', "snapshot" => false);
SELECT strategy FROM live.subscribe('t', 'SELECT count(*) AS n, max(a) AS a FROM t', delivery => 'poll', throttle => '1 ms', "snapshot" => false);
CALL hold(true);
INSERT INTO t VALUES (6, 45, 'x');
SELECT live.wait_for(timeout => '60s');
DELETE FROM t WHERE id = 5;
SELECT live.wait_for(timeout => '60s');
UPDATE t SET a = 99 WHERE id = 1;
CALL hold(false);
SELECT p.subscription_id AS id, c->>'op' AS op, c->>'key' AS key, c->'row'->>'a' AS a, c->>'position' AS position,
       dense_rank() OVER (ORDER BY p.seq) AS point, p.number AS message, p.message->>'more' AS more
FROM live.poll(timeout => '60s') WITH ORDINALITY AS p(seq, subscription_id, message, number),
     json_array_elements(p.message->'changes') WITH ORDINALITY AS j(c, place)
ORDER BY p.number, j.place;
-- Where all that has happened is that rows have left, there is no position.
CALL hold(true);
DELETE FROM t WHERE id NOT IN (1, 6, 4);
SELECT live.wait_for(timeout => '60s');
DELETE FROM t WHERE id = 6;
SELECT live.wait_for(timeout => '60s');
DELETE FROM t WHERE id = 4;
CALL hold(false);
SELECT id, changes, more FROM told();
SELECT live.unsubscribe_all();

-- ----- arguments -----
SELECT live.subscribe('x', 'SELECT * FROM t', throttle => '-1 s');
SELECT live.subscribe('x', 'SELECT * FROM t', throttle => '1 day -2 mons');
SELECT live.subscribe('x', 'SELECT * FROM t', throttle => '2 days');
SELECT live.subscribe('x', 'SELECT * FROM t', throttle => '1 month');
SELECT live.subscribe('x', 'SELECT * FROM t', throttle => '178000000 years');
SELECT strategy FROM live.subscribe('x', 'SELECT * FROM t', throttle => '1 day');
SELECT strategy FROM live.subscribe('y', 'SELECT * FROM t', throttle => NULL);
SELECT strategy FROM live.subscribe('z', 'SELECT * FROM t', throttle => '1 mon -30 days');
DISCARD ALL;
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid() AND status <> 'terminated';
DROP TABLE t, d, bag;
DROP FUNCTION told, waiting;
DROP PROCEDURE hold;
