-- What the replica identity costs in exactness, and that live.explain tells it.
SET live_queries.evaluators = 0;  -- the stream, also where old rows are not logged
CREATE TABLE t (id int PRIMARY KEY, val int, note text);
SELECT value FROM live.explain('SELECT id, val FROM t') WHERE property = 'updates';
SELECT value FROM live.explain('SELECT id FROM t') WHERE property = 'updates';
CALL watch('shown', 'SELECT id, val FROM t');
CALL watch('key only', 'SELECT id, id + 1 AS next FROM t');
INSERT INTO t VALUES (1, 1, 'one');
-- Nothing selected changes.
UPDATE t SET note = 'uno';
INSERT INTO t VALUES (1, 1, 'one') ON CONFLICT (id) DO UPDATE SET val = EXCLUDED.val;
UPDATE t SET val = 2;
DELETE FROM t;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

ALTER TABLE t REPLICA IDENTITY FULL;
SELECT value FROM live.explain('SELECT id, val FROM t') WHERE property = 'updates';
CALL watch('shown', 'SELECT id, val FROM t');
INSERT INTO t VALUES (1, 1, 'one');
UPDATE t SET note = 'uno';
INSERT INTO t VALUES (1, 1, 'one') ON CONFLICT (id) DO UPDATE SET val = EXCLUDED.val;
UPDATE t SET val = 2;
DELETE FROM t;
SELECT * FROM feed();
-- What SELECT * means is settled, until a new first result is taken.
CALL watch('star', 'SELECT * FROM t');
ALTER TABLE t ADD COLUMN extra int DEFAULT 5;
INSERT INTO t VALUES (2, 2, 'two', 2);
SELECT * FROM feed();
SELECT live.refresh('star');
SELECT * FROM live.snapshot('star');
SELECT live.unsubscribe_all();
DROP TABLE t;
