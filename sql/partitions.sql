-- Partitioned tables are watched by their root; plain inheritance by the parent.
CREATE TABLE p (id int, region text, val int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('de', 'fr');
-- A partition with its columns in another order, and a dropped one.
CREATE TABLE p_us (gone int, val int, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region));
ALTER TABLE p_us DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p_us FOR VALUES IN ('us');
-- A partition of partitions.
CREATE TABLE p_rest PARTITION OF p DEFAULT PARTITION BY RANGE (id);
CREATE TABLE p_rest_low PARTITION OF p_rest FOR VALUES FROM (0) TO (100);
CREATE TABLE p_rest_high PARTITION OF p_rest FOR VALUES FROM (100) TO (200);

-- Each partition's replica identity counts.
SET live_queries.evaluators = 0;  -- by the stream
CALL refused('SELECT id FROM p WHERE val > 0');
RESET live_queries.evaluators;
CALL watch('key', 'SELECT id FROM p WHERE id < 50 AND region <> ''us''');
INSERT INTO p VALUES (1, 'de', 10), (2, 'us', 20), (3, 'jp', 30);
UPDATE p SET region = 'us' WHERE id = 3;
UPDATE p SET region = 'fr' WHERE id = 2;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
ALTER TABLE p_eu REPLICA IDENTITY FULL;
ALTER TABLE p_us REPLICA IDENTITY FULL;
ALTER TABLE p_rest_low REPLICA IDENTITY FULL;
SET live_queries.evaluators = 0;  -- by the stream
CALL refused('SELECT id FROM p WHERE val > 0');
RESET live_queries.evaluators;
ALTER TABLE p_rest_high REPLICA IDENTITY FULL;
TRUNCATE p;

CALL watch('all', 'SELECT * FROM p');
CALL watch('high', 'SELECT region, val FROM p WHERE val >= 20');
CALL watch('eu', 'SELECT id, val FROM p_eu');
CALL watch('rest', 'SELECT id, val FROM p_rest WHERE val > 0');
SELECT subscription_id, tables FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
INSERT INTO p VALUES (1, 'de', 10), (2, 'us', 20), (3, 'jp', 30), (100, 'jp', 40);
SELECT * FROM feed();
INSERT INTO p_us VALUES (15, 'us', 4);
UPDATE p SET val = val + 5 WHERE id IN (1, 4);
SELECT * FROM feed();
-- A row that moves: its key changes, so a delete and an insert.
UPDATE p SET region = 'us', val = 21 WHERE id = 1;
UPDATE p SET id = 150 WHERE id = 3;
SELECT * FROM feed();
-- A truncate of all partitions clears; of some it cannot be told which rows left.
TRUNCATE p;
SELECT * FROM feed();
INSERT INTO p VALUES (1, 'de', 10), (2, 'us', 20);
SELECT * FROM feed() WHERE id IN ('all', 'eu');
TRUNCATE p_eu;
SELECT * FROM feed();
-- After a reset nothing comes until live.refresh.
INSERT INTO p VALUES (3, 'de', 30);
SELECT * FROM feed();
SELECT live.refresh('all');
SELECT key FROM live.snapshot('all');
DELETE FROM p WHERE id = 3;
SELECT * FROM feed() WHERE id IN ('all', 'high');
SELECT subscription_id, status, resets FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
SELECT live.unsubscribe_all();

-- ATTACH and DETACH: rows come and go that no change tells of.
CALL watch('all', 'SELECT * FROM p');
CREATE TABLE p_new (LIKE p INCLUDING ALL);
ALTER TABLE p_new REPLICA IDENTITY FULL;
INSERT INTO p_new VALUES (7, 'at', 70);
ALTER TABLE p ATTACH PARTITION p_new FOR VALUES IN ('at');
INSERT INTO p VALUES (8, 'at', 80);
SELECT * FROM feed();
SELECT live.refresh('all');
SELECT key FROM live.snapshot('all') ORDER BY key::text;
UPDATE p SET val = 81 WHERE id = 8;
SELECT * FROM feed();
ALTER TABLE p DETACH PARTITION p_new;
INSERT INTO p_new VALUES (9, 'at', 90);
SELECT * FROM feed();
SELECT live.refresh('all');
SELECT key FROM live.snapshot('all');
INSERT INTO p_new VALUES (10, 'at', 100);
INSERT INTO p VALUES (11, 'at', 110);
SELECT * FROM feed();
-- A new, empty partition counts as well.
CREATE TABLE p_ch PARTITION OF p FOR VALUES IN ('ch');
ALTER TABLE p_ch REPLICA IDENTITY FULL;
SELECT DISTINCT change FROM feed();
SELECT live.unsubscribe_all();
-- One without the old rows that the condition needs ends the subscription.
CALL watch('val', 'SELECT id FROM p WHERE val > 0');
CREATE TABLE p_it PARTITION OF p FOR VALUES IN ('it');
SELECT * FROM feed();
DROP TABLE p_it;
SELECT live.unsubscribe_all();
CALL refused('SELECT * FROM ONLY p');
DROP TABLE p, p_new;

-- Inheritance: the children's rows too, without a common key; ONLY leaves them out.
CREATE TABLE base (id int PRIMARY KEY, val int);
CREATE TABLE child (extra text) INHERITS (base);
ALTER TABLE child ADD PRIMARY KEY (id);
SET live_queries.evaluators = 0;  -- by the stream
CALL refused('SELECT id, val FROM base');
RESET live_queries.evaluators;
ALTER TABLE base REPLICA IDENTITY FULL;
ALTER TABLE child REPLICA IDENTITY FULL;
CALL watch('all', 'SELECT * FROM base');
CALL watch('child', 'SELECT * FROM child');
CALL watch('only', 'SELECT * FROM ONLY base');
INSERT INTO base VALUES (1, 10);
INSERT INTO child VALUES (1, 10, 'x');
UPDATE base SET val = 11;
SELECT * FROM feed();
UPDATE child SET extra = 'y';
DELETE FROM ONLY base;
SELECT * FROM feed();
TRUNCATE ONLY base;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE base CASCADE;
