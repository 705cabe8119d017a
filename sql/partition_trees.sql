-- Partitions and children below the first level: one that comes or goes anywhere between the table
-- that a query names and its rows is noticed as at the first level.
SET live_queries.evaluators = 0;  -- the stream, also where old rows are not logged
CREATE TABLE pt (id int, val int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (1000) PARTITION BY RANGE (id);
CREATE TABLE pt11 PARTITION OF pt1 FOR VALUES FROM (0) TO (500) PARTITION BY RANGE (id);
CREATE TABLE leaf1 PARTITION OF pt11 FOR VALUES FROM (0) TO (100);
CREATE VIEW pv AS SELECT id, val FROM pt WHERE id > 0;
CALL watch('pt', 'SELECT id, val FROM pt');
CALL watch('pt1', 'SELECT id, val FROM pt1');
CALL watch('pt11', 'SELECT id, val FROM pt11');
CALL watch('leaf', 'SELECT id, val FROM leaf1');
CALL watch('view', 'SELECT id, val FROM pv');

-- A leaf that is created, at the second level and at the third.
CREATE TABLE leaf2 PARTITION OF pt1 FOR VALUES FROM (500) TO (600);
INSERT INTO pt VALUES (1, 1), (501, 1);
SELECT * FROM feed();
CREATE PROCEDURE refresh_all() LANGUAGE plpgsql AS $$
BEGIN
  PERFORM live.refresh(subscription_id) FROM live_queries
    WHERE pid = pg_backend_pid() AND status = 'active';
  PERFORM live.snapshot(subscription_id) FROM live_queries
    WHERE pid = pg_backend_pid() AND status = 'active';
END $$;
CALL refresh_all();
INSERT INTO pt VALUES (502, 2);
SELECT * FROM feed();
CREATE TABLE leaf3 PARTITION OF pt11 FOR VALUES FROM (100) TO (200);
INSERT INTO pt VALUES (101, 1);
SELECT * FROM feed();
CALL refresh_all();
INSERT INTO pt VALUES (102, 2);
SELECT * FROM feed();

-- Attached and detached, with rows.
CREATE TABLE leaf4 (id int PRIMARY KEY, val int);
INSERT INTO leaf4 VALUES (201, 1);
ALTER TABLE pt11 ATTACH PARTITION leaf4 FOR VALUES FROM (200) TO (300);
SELECT * FROM feed();
CALL refresh_all();
DELETE FROM leaf4;
SELECT * FROM feed();
ALTER TABLE pt11 DETACH PARTITION leaf4;
INSERT INTO leaf4 VALUES (202, 2);
SELECT * FROM feed();
CALL refresh_all();
INSERT INTO leaf4 VALUES (203, 3);
SELECT * FROM feed();
ALTER TABLE pt1 DETACH PARTITION leaf2 CONCURRENTLY;
INSERT INTO leaf2 VALUES (503, 3);
SELECT * FROM feed();
CALL refresh_all();

-- A branch that is detached has its leaf go with it; and it comes back with another.
ALTER TABLE pt1 DETACH PARTITION pt11;
INSERT INTO leaf1 VALUES (2, 2);
SELECT * FROM feed();
CALL refresh_all();
ALTER TABLE pt11 ATTACH PARTITION leaf4 FOR VALUES FROM (200) TO (300);
SELECT * FROM feed();
CALL refresh_all();
ALTER TABLE pt1 ATTACH PARTITION pt11 FOR VALUES FROM (0) TO (500);
SELECT * FROM feed();
CALL refresh_all();
INSERT INTO pt VALUES (204, 4);
SELECT * FROM feed();

-- Created and filled in one transaction; a branch that has no leaf yet.
BEGIN;
CREATE TABLE leaf5 PARTITION OF pt11 FOR VALUES FROM (300) TO (400);
INSERT INTO pt VALUES (301, 1);
COMMIT;
SELECT * FROM feed();
CALL refresh_all();
CREATE TABLE pt12 PARTITION OF pt1 FOR VALUES FROM (600) TO (700) PARTITION BY RANGE (id);
CREATE TABLE leaf6 PARTITION OF pt12 FOR VALUES FROM (600) TO (650);
INSERT INTO pt VALUES (601, 1);
SELECT id, message, left(change, 5) AS change FROM feed();
CALL refresh_all();

-- A partition that becomes a partitioned table.
BEGIN;
ALTER TABLE pt12 DETACH PARTITION leaf6;
CREATE TABLE pt121 PARTITION OF pt12 FOR VALUES FROM (600) TO (650) PARTITION BY RANGE (id);
ALTER TABLE pt121 ATTACH PARTITION leaf6 FOR VALUES FROM (600) TO (625);
COMMIT;
SELECT * FROM feed();
CALL refresh_all();
CREATE TABLE leaf7 PARTITION OF pt121 FOR VALUES FROM (625) TO (650);
INSERT INTO pt VALUES (626, 1), (602, 2);
SELECT * FROM feed();
CALL refresh_all();
-- One that goes.
DROP TABLE leaf7;
SELECT * FROM feed();
CALL refresh_all();
-- Rolled back, nothing has happened.
BEGIN;
CREATE TABLE leaf7 PARTITION OF pt121 FOR VALUES FROM (625) TO (650);
INSERT INTO pt VALUES (626, 1);
ROLLBACK;
INSERT INTO pt VALUES (603, 1);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP VIEW pv;
DROP TABLE pt, leaf2;

-- Children of children of plain inheritance.
CREATE TABLE base (id int, val int);
CREATE TABLE child () INHERITS (base);
CREATE TABLE grandchild () INHERITS (child);
ALTER TABLE base REPLICA IDENTITY FULL;
ALTER TABLE child REPLICA IDENTITY FULL;
ALTER TABLE grandchild REPLICA IDENTITY FULL;
CALL watch('base', 'SELECT id, val FROM base');
CALL watch('child', 'SELECT id, val FROM child');
CALL watch('only', 'SELECT id, val FROM ONLY child');
BEGIN;
CREATE TABLE last () INHERITS (grandchild);
ALTER TABLE last REPLICA IDENTITY FULL;
COMMIT;
INSERT INTO last VALUES (1, 1);
SELECT DISTINCT id, change FROM feed();
CALL refresh_all();
INSERT INTO last VALUES (2, 2);
SELECT * FROM feed();
ALTER TABLE last NO INHERIT grandchild;
INSERT INTO last VALUES (3, 3);
SELECT * FROM feed();
CALL refresh_all();
ALTER TABLE last INHERIT child;
SELECT * FROM feed();
CALL refresh_all();
INSERT INTO last VALUES (4, 4);
SELECT * FROM feed();
-- Two ways to one child.
ALTER TABLE last INHERIT grandchild;
CALL refresh_all();
INSERT INTO last VALUES (5, 5);
SELECT id, change FROM feed() WHERE change NOT LIKE 'reset%';
SELECT live.unsubscribe_all();
DROP TABLE base CASCADE;
DROP PROCEDURE refresh_all;
