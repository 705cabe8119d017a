-- What an op is: about the result, not about the statement.
CREATE TABLE t (id int PRIMARY KEY, grp text, val int, note text);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'a', 10, 'one'), (2, 'b', 20, 'two');
CALL watch('all', 'SELECT * FROM t');
CALL watch('grp a', 'SELECT id, val FROM t WHERE grp = $1', 'a');
CALL watch('no key', 'SELECT val * 2 AS twice, upper(grp) AS grp FROM t WHERE val >= 10');
CALL watch('nothing', 'SELECT id FROM t WHERE false');
CALL watch('constant', 'SELECT 1 AS one FROM t WHERE val > $1::int', '15');
CALL watch('no columns', 'SELECT FROM t WHERE id < 5');

INSERT INTO t VALUES (3, 'a', 30, NULL);
SELECT * FROM feed();
-- Several rows of one transaction are one message.
BEGIN;
INSERT INTO t VALUES (4, 'a', 5, 'x'), (5, 'b', 7, 'y');
UPDATE t SET val = val + 1 WHERE id IN (4, 5);
DELETE FROM t WHERE id = 5;
COMMIT;
SELECT * FROM feed();
-- A row that starts to match is an insert, one that stops a delete.
UPDATE t SET grp = 'a' WHERE id = 2;
UPDATE t SET grp = 'b' WHERE id = 1;
SELECT * FROM feed() WHERE id <> 'all';
-- NULL does not match.
UPDATE t SET grp = NULL WHERE id = 3;
SELECT * FROM feed() WHERE id <> 'all';
-- An update of a column that is not selected sends nothing.
UPDATE t SET note = 'changed' WHERE id = 2;
SELECT * FROM feed();
-- Nor does one that changes nothing.
UPDATE t SET note = note, val = val;
SELECT * FROM feed();
-- old holds the changed columns only, NULL too.
UPDATE t SET val = 31, note = 'was null' WHERE id = 3;
SELECT * FROM feed() WHERE id = 'all';
-- A key that changes is a delete and an insert, selected or not.
UPDATE t SET id = 20 WHERE id = 2;
SELECT * FROM feed();
-- Keys that change places.
BEGIN;
UPDATE t SET id = -1 WHERE id = 1;
UPDATE t SET id = 1 WHERE id = 3;
UPDATE t SET id = 3 WHERE id = -1;
COMMIT;
SELECT * FROM feed() WHERE id = 'all';
DELETE FROM t WHERE id = 20;
SELECT * FROM feed();
-- A row that comes and goes within one transaction: changes stand in the order made.
BEGIN;
INSERT INTO t VALUES (6, 'a', 1, NULL);
DELETE FROM t WHERE id = 6;
COMMIT;
SELECT * FROM feed() WHERE id = 'grp a';
-- All rows at once; so it is told whether there were any or not.
TRUNCATE t;
SELECT * FROM feed();
TRUNCATE t;
SELECT * FROM feed() WHERE id = 'all';
BEGIN;
INSERT INTO t VALUES (7, 'a', 100, NULL);
TRUNCATE t;
INSERT INTO t VALUES (8, 'a', 200, NULL);
COMMIT;
SELECT * FROM feed() WHERE id IN ('grp a', 'no key');
-- A rolled-back transaction is never seen.
BEGIN;
INSERT INTO t VALUES (9, 'a', 100, NULL);
TRUNCATE t;
ROLLBACK;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE t;

-- Statements of many rows.
CREATE TABLE target (id int PRIMARY KEY, val int);
ALTER TABLE target REPLICA IDENTITY FULL;
CALL watch('q', 'SELECT id, val FROM target WHERE val > 0');
COPY target FROM STDIN;
1	10
2	-1
3	30
\.
SELECT * FROM feed();
INSERT INTO target VALUES (1, 11), (2, 12), (4, 14) ON CONFLICT (id) DO UPDATE SET val = excluded.val;
INSERT INTO target VALUES (1, 99), (5, 15) ON CONFLICT DO NOTHING;
SELECT * FROM feed();
MERGE INTO target USING (VALUES (1, -5), (2, NULL), (6, 16)) AS s (id, val) ON target.id = s.id
WHEN MATCHED AND s.val IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET val = s.val
WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.val);
SELECT * FROM feed();
WITH gone AS (DELETE FROM target WHERE id = 3 RETURNING *)
INSERT INTO target SELECT id + 100, val FROM gone;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A message is split at about 256 kB; more says that the transaction goes on.
CALL watch('q', 'SELECT id, repeat($1, 1000) AS long FROM target', 'x');
INSERT INTO target SELECT i, i FROM generate_series(1001, 2000) i;
SELECT live.wait_for(timeout => '1min');
SELECT count(*) > 3 AS several, count(DISTINCT message->>'xid') AS transactions,
       count(*) - count(*) FILTER (WHERE message->>'more' = 'true') AS last_ones,
       sum(json_array_length(message->'changes')) AS changes,
       max(length(message::text)) < 300000 AS short
FROM live.poll();
SELECT live.unsubscribe_all();
DROP TABLE target;

-- Triggers, foreign keys and generated values write rows as well.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, stamp text);
ALTER TABLE child REPLICA IDENTITY FULL;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN new.stamp := 'by trigger'; RETURN new; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION stamp();
CALL watch('q', 'SELECT * FROM child');
INSERT INTO parent VALUES (1), (2);
INSERT INTO child (parent) VALUES (1), (2);
UPDATE parent SET id = 10 WHERE id = 1;
DELETE FROM parent WHERE id = 2;
TRUNCATE parent CASCADE;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE child, parent;
DROP FUNCTION stamp;
