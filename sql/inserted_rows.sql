-- Rows that were not there before are not looked for in the state before: unless others, which were, may be taken for them.
CREATE TABLE team (id int PRIMARY KEY, name text);
CREATE TABLE seat (row int, place text, team int, PRIMARY KEY (row, place));
CREATE TABLE parted (id int PRIMARY KEY, team int) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (100);
INSERT INTO team VALUES (1, 'one'), (2, 'two');
INSERT INTO seat VALUES (1, 'b', 1);
INSERT INTO parted VALUES (1, 1);
CALL watch('join', 'SELECT row, place, name FROM seat JOIN team ON team = id');
CALL watch('parted', 'SELECT p.id, name FROM parted p JOIN team t ON t.id = p.team');
CALL watch('max', 'SELECT team, max(row) AS max, count(*) AS n FROM seat GROUP BY team');
CALL watch('sum', 'SELECT name, sum(row) AS sum FROM seat JOIN team ON team = id GROUP BY name');
CALL watch('without', 'SELECT id, name FROM team WHERE NOT EXISTS (SELECT FROM seat WHERE team = id)');

-- Each in one transaction: new rows alone; those of one table and changes of another; rows that were there.
INSERT INTO seat VALUES (3, 'c', 2);
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
INSERT INTO seat VALUES (1, 'a', 1), (2, 'b', 1);
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
WITH a AS (INSERT INTO team VALUES (3, 'three')) INSERT INTO seat VALUES (4, 'a', 3), (4, 'b', 4);
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
WITH a AS (UPDATE team SET name = 'third' WHERE id = 3) INSERT INTO seat VALUES (4, 'c', 3);
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
BEGIN;
DELETE FROM seat WHERE row = 1 AND place = 'b';
INSERT INTO seat VALUES (1, 'b', 2);
COMMIT;
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
BEGIN;
INSERT INTO seat VALUES (5, 'a', 1);
UPDATE seat SET team = 2 WHERE row = 5;
INSERT INTO seat VALUES (6, 'a', 1);
DELETE FROM seat WHERE row = 6;
INSERT INTO seat VALUES (7, 'a', 1);
UPDATE seat SET row = 8 WHERE row = 7;
COMMIT;
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
BEGIN;
UPDATE seat SET place = 'z' WHERE row = 5;
INSERT INTO seat VALUES (5, 'a', 1);
COMMIT;
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
INSERT INTO seat VALUES (5, 'a', 2), (9, 'a', 2) ON CONFLICT (row, place) DO UPDATE SET team = excluded.team;
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
-- A row that moves to another partition is inserted there, and another one takes its place.
BEGIN;
INSERT INTO parted VALUES (2, 2), (12, 2);
UPDATE parted SET id = 11 WHERE id = 1;
INSERT INTO parted VALUES (1, 2);
COMMIT;
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
SELECT live.unsubscribe_all();
DROP TABLE parted, seat;

-- A key tells rows apart that are equal for queries.
CREATE COLLATION ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE word (word text COLLATE ignoring_case NOT NULL, team int);
CREATE UNIQUE INDEX word_index ON word (word COLLATE "C");
ALTER TABLE word REPLICA IDENTITY USING INDEX word_index;
INSERT INTO word VALUES ('a', 1);
CALL watch('word', 'SELECT word, name FROM word JOIN team ON team = id');
INSERT INTO word VALUES ('A', 2);
SELECT * FROM feed() ORDER BY id COLLATE "C", change COLLATE "C";
SELECT live.unsubscribe_all();
DROP TABLE word, team;
DROP COLLATION ignoring_case;
