-- Where more is false, all live queries of the connection show one point in time.
CREATE TABLE t (id int PRIMARY KEY);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF parted FOR VALUES IN (2);
-- What has arrived, in its order. seq counts the positions, and tells which one is that of the argument.
CREATE FUNCTION told(which text DEFAULT NULL, most int DEFAULT NULL,
                     OUT id text, OUT change text, OUT more text, OUT seq text)
RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  RETURN QUERY
    SELECT p.subscription_id,
           coalesce((SELECT string_agg(concat_ws(' ', c->>'op', c->'key'), ', ')
                     FROM json_array_elements(p.message->'changes') AS c), p.message->>'type'),
           p.message->>'more',
           CASE WHEN p.seq = $1 THEN 'that one' ELSE (dense_rank() OVER (ORDER BY p.seq))::text END
    FROM live.poll($2) WITH ORDINALITY AS p(seq, subscription_id, message, number)
    ORDER BY p.number;
END $$;

-- A first result that shows what the others were not told yet.
SELECT count(*) FROM live.subscribe('a', 'SELECT id FROM t', delivery => 'poll');
SELECT * FROM live.snapshot('a');
INSERT INTO t VALUES (1);
INSERT INTO t VALUES (2);
INSERT INTO t VALUES (3);
SELECT seq AS b_seq FROM live.subscribe('b', 'SELECT id FROM t', delivery => 'poll') \gset
SELECT * FROM live.snapshot('b');
SELECT * FROM told(:'b_seq');
INSERT INTO t VALUES (4);
SELECT * FROM told(:'b_seq');
SELECT live.unsubscribe('b');
-- One that is read after the others were told.
SELECT count(*) FROM live.subscribe('b', 'SELECT id FROM t', delivery => 'poll');
INSERT INTO t VALUES (5);
SELECT * FROM told();
SELECT * FROM live.snapshot('b');
SELECT * FROM told();
SELECT live.unsubscribe('b');
-- One that is read before.
SELECT count(*) FROM live.subscribe('b', 'SELECT id FROM t', delivery => 'poll');
INSERT INTO t VALUES (6);
SELECT * FROM live.snapshot('b');
SELECT * FROM told();

-- What was paused, alone and together.
SELECT live.pause('a');
INSERT INTO t VALUES (7);
INSERT INTO t VALUES (8);
SELECT * FROM told();
SELECT live.resume('a');
SELECT * FROM told();
SELECT live.pause('a');
SELECT live.pause('b');
INSERT INTO t VALUES (9);
INSERT INTO t VALUES (10);
SELECT * FROM told();
SELECT live.resume('b');
SELECT live.resume('a');
SELECT * FROM told();
-- Rolled back, a resume is not.
SELECT live.pause('a');
INSERT INTO t VALUES (11);
BEGIN;
SELECT live.resume('a');
ROLLBACK;
SELECT * FROM told();
SELECT live.resume('a');
SELECT * FROM told();

-- A refresh brings another first result, and with it another point.
INSERT INTO t VALUES (12);
INSERT INTO t VALUES (13);
SELECT live.refresh('b');
SELECT count(*) FROM live.snapshot('b');
SELECT * FROM told();
-- A part of a point says so.
INSERT INTO t VALUES (14);
SELECT * FROM told(most => 1);
SELECT * FROM told();
SELECT live.unsubscribe_all();

-- Who is not at the point is told so before the others are; and with that news a point may end.
CALL watch('p', 'SELECT id FROM parted');
CALL watch('t', 'SELECT id FROM t WHERE id > 20');
BEGIN;
INSERT INTO parted VALUES (1);
TRUNCATE part1;
INSERT INTO t VALUES (21);
COMMIT;
SELECT * FROM told();
SELECT live.refresh('p');
SELECT * FROM live.snapshot('p');
INSERT INTO parted VALUES (2);
TRUNCATE part1;
SELECT seq AS b_seq FROM live.subscribe('b', 'SELECT id FROM t', delivery => 'poll') \gset
SELECT count(*) FROM live.snapshot('b');
SELECT * FROM told(:'b_seq');
SELECT live.unsubscribe_all();
DROP FUNCTION told;
DROP TABLE t, parted;
