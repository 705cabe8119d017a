-- A result column that is a whole row, of a table that has lost columns, before or while it is watched.
CREATE TABLE t (id int PRIMARY KEY, gone int, note text);
ALTER TABLE t REPLICA IDENTITY FULL;
ALTER TABLE t DROP COLUMN gone;
INSERT INTO t VALUES (1, 'one');
SELECT strategy FROM live.subscribe('rows', 'SELECT t FROM t', delivery => 'poll');
SELECT * FROM live.snapshot('rows');
CALL watch('condition', 'SELECT id FROM t WHERE t IS NOT NULL');
INSERT INTO t VALUES (2, 'two'), (3, NULL);
UPDATE t SET note = 'uno' WHERE id = 1;
DELETE FROM t WHERE id = 2;
SELECT * FROM feed();
-- Another one is added and goes: the row looks different.
ALTER TABLE t ADD COLUMN extra int;
INSERT INTO t VALUES (4, 'four', 4);
SELECT * FROM feed();
SELECT live.refresh('rows');
SELECT * FROM live.snapshot('rows');
ALTER TABLE t DROP COLUMN extra;
INSERT INTO t VALUES (5, 'five');
SELECT * FROM feed();
SELECT live.refresh('rows');
SELECT * FROM live.snapshot('rows');
UPDATE t SET note = 'cinque' WHERE id = 5;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE t;

-- Of partitions whose columns lie otherwise.
CREATE TABLE p (id int PRIMARY KEY, gone int, note text) PARTITION BY RANGE (id);
ALTER TABLE p DROP COLUMN gone;
CREATE TABLE p1 (other int, note text, id int NOT NULL);
ALTER TABLE p1 DROP COLUMN other;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (100);
ALTER TABLE p REPLICA IDENTITY FULL;
ALTER TABLE p1 REPLICA IDENTITY FULL;
CALL watch('parts', 'SELECT p FROM p');
INSERT INTO p VALUES (1, 'one');
UPDATE p SET note = 'uno';
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE p;
