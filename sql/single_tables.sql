-- Which strategy a query on one table gets, and what the delta strategy tells where old rows are
-- not logged.
CREATE FUNCTION strategy_of(query text, params text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS
$$SELECT value FROM live.explain(query, params) WHERE property = 'strategy'$$;
CREATE TABLE st (id int PRIMARY KEY, val int, note text);

-- By the key alone, all is logged that a query reads of old rows; else the stream could not tell it.
SELECT query, strategy_of(query) FROM unnest(ARRAY['SELECT * FROM st', 'SELECT id FROM st',
  'SELECT id + 1 AS next FROM st WHERE id > 5', 'SELECT 1 AS one FROM st', 'SELECT val FROM st WHERE id = 1',
  'SELECT id FROM st WHERE val = 1', 'SELECT * FROM st ORDER BY id']) query;
SELECT * FROM live.explain('SELECT id, val FROM st WHERE id = $1', '{1}');
ALTER TABLE st REPLICA IDENTITY FULL;
SELECT strategy_of('SELECT * FROM st'), strategy_of('SELECT id FROM st WHERE val = 1');
ALTER TABLE st REPLICA IDENTITY NOTHING;
SELECT strategy_of('SELECT * FROM st');
ALTER TABLE st REPLICA IDENTITY DEFAULT;
-- Children can hold one key each: nothing smaller than the whole query.
CREATE TABLE st_parent (id int PRIMARY KEY, val int);
CREATE TABLE st_child (PRIMARY KEY (id)) INHERITS (st_parent);
SELECT strategy_of('SELECT * FROM st_parent'), strategy_of('SELECT * FROM ONLY st_parent');
CREATE TABLE st_parted (id int PRIMARY KEY, val int) PARTITION BY RANGE (id);
CREATE TABLE st_parted_1 PARTITION OF st_parted FOR VALUES FROM (0) TO (10);
CREATE TABLE st_parted_2 PARTITION OF st_parted FOR VALUES FROM (10) TO (20);
SELECT strategy_of('SELECT * FROM st_parted'), strategy_of('SELECT id FROM st_parted');
-- Without evaluators, the stream tells what it can.
SET live_queries.evaluators = 0;
SELECT strategy_of('SELECT * FROM st');
CALL watch('stream', 'SELECT id, val FROM st');
RESET live_queries.evaluators;

CALL watch('shown', 'SELECT id, val FROM st');
CALL watch('one', 'SELECT val FROM st WHERE id = $1', '1');
CALL watch('parted', 'SELECT * FROM st_parted');
INSERT INTO st VALUES (1, 1, 'n'), (2, 2, 'n');
SELECT * FROM feed();
-- An update that changes nothing selected is not told, also if it writes the same values again.
UPDATE st SET note = 'other';
UPDATE st SET val = val;
INSERT INTO st VALUES (1, 1, 'again') ON CONFLICT (id) DO UPDATE SET val = excluded.val, note = excluded.note;
SELECT * FROM feed();
UPDATE st SET val = 10 WHERE id = 1;
SELECT * FROM feed();
UPDATE st SET id = 3 WHERE id = 1;
SELECT * FROM feed();
DELETE FROM st;
SELECT * FROM feed();
INSERT INTO st_parted VALUES (1, 1);
SELECT * FROM feed();
UPDATE st_parted SET val = 2;
SELECT * FROM feed();
UPDATE st_parted SET id = 11;
SELECT * FROM feed();
-- What is subscribed to stays what it is while the table does, whatever the session could choose.
ALTER TABLE st ALTER COLUMN note SET NOT NULL;
INSERT INTO st VALUES (5, 5, '');
SELECT * FROM feed();
-- With old rows in the log, the stream tells all; after a refresh it does.
ALTER TABLE st REPLICA IDENTITY FULL;
INSERT INTO st VALUES (6, 6, '');
SELECT * FROM feed();
SELECT live.refresh('shown');
SELECT * FROM live.snapshot('shown');
SELECT subscription_id, strategy FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
UPDATE st SET val = 7 WHERE id = 6;
SELECT * FROM feed();
ALTER TABLE st REPLICA IDENTITY DEFAULT;
UPDATE st SET val = 8 WHERE id = 6;
SELECT * FROM feed();
SELECT live.refresh('shown');
SELECT * FROM live.snapshot('shown');
UPDATE st SET val = 9 WHERE id = 6;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE st, st_child, st_parent, st_parted;
DROP FUNCTION strategy_of;
