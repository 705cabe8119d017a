-- What happens to a subscription when its table, view or function changes: it goes on, or is reset,
-- or is terminated; it never gets wrong rows.
SET live_queries.evaluators = 0;  -- the stream, also where old rows are not logged
CREATE TABLE t (id int PRIMARY KEY, val int, note text, extra int);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 1, 'old', 1);

-- What does not matter to the result.
CALL watch('star', 'SELECT * FROM t');
CALL watch('val', 'SELECT id, val FROM t WHERE val > 0');
CREATE INDEX ON t (val);
COMMENT ON TABLE t IS 'watched';
ANALYZE t;
ALTER TABLE t ALTER note SET DEFAULT 'x';
ALTER TABLE t ADD CHECK (val > -100);
CREATE TABLE other (id int);
ALTER TABLE other ADD COLUMN x int;
DROP TABLE other;
VACUUM t;
ALTER TABLE t SET (fillfactor = 50);
GRANT SELECT ON t TO pg_monitor;
UPDATE t SET val = 2;
SELECT * FROM feed();

-- ADD COLUMN: SELECT * goes on with the columns it had; a refresh knows the new one.
ALTER TABLE t ADD COLUMN added int DEFAULT 7;
INSERT INTO t VALUES (2, 1, 'new', 1, 8);
UPDATE t SET note = 'newer' WHERE id = 1;
SELECT * FROM feed();
UPDATE t SET added = 9;
SELECT * FROM feed();
-- The default stands in for what old rows do not have.
CALL watch('added', 'SELECT id, added FROM t');
INSERT INTO t (id) VALUES (3);
DELETE FROM t WHERE id = 3;
SELECT * FROM feed() WHERE id = 'added';
ALTER TABLE t ADD COLUMN constant text DEFAULT 'constant';
CALL watch('constant', 'SELECT id, constant FROM t');
UPDATE t SET constant = 'changed' WHERE id = 1;
SELECT * FROM feed();
SELECT live.refresh('star');
SELECT * FROM live.snapshot('star') ORDER BY key::text;
-- Within the transaction that changes rows.
BEGIN;
UPDATE t SET val = 3 WHERE id = 1;
ALTER TABLE t ADD COLUMN later int;
UPDATE t SET val = 4 WHERE id = 1;
COMMIT;
SELECT * FROM feed() WHERE id = 'val';
BEGIN;
UPDATE t SET val = 5 WHERE id = 1;
ALTER TABLE t DROP COLUMN later;
UPDATE t SET val = 6 WHERE id = 1;
COMMIT;
SELECT * FROM feed() WHERE id = 'val';
-- Rolled back, nothing happened.
BEGIN;
ALTER TABLE t DROP COLUMN val;
ALTER TABLE t RENAME TO u;
DROP TABLE u;
ROLLBACK;
UPDATE t SET val = 7 WHERE id = 1;
SELECT * FROM feed() WHERE id = 'val';
SELECT live.unsubscribe_all();

-- DROP COLUMN: of no matter where it is not used.
CALL watch('extra', 'SELECT id, extra FROM t');
CALL watch('star', 'SELECT * FROM t');
CALL watch('val', 'SELECT id, val FROM t');
CALL watch('where', 'SELECT id FROM t WHERE extra > 0');
ALTER TABLE t DROP COLUMN extra;
UPDATE t SET val = 8 WHERE id = 1;
SELECT * FROM feed();
SELECT live.refresh('star');
SELECT * FROM live.snapshot('star') ORDER BY key::text;
UPDATE t SET val = 9 WHERE id = 1;
SELECT * FROM feed();
SELECT subscription_id, status, error FROM live_queries
WHERE pid = pg_backend_pid() AND subscription_id IN ('extra', 'where') ORDER BY 1;
SELECT live.unsubscribe_all();

-- RENAME COLUMN.
CALL watch('star', 'SELECT * FROM t');
CALL watch('val', 'SELECT id, val FROM t');
CALL watch('note', 'SELECT id, note FROM t');
ALTER TABLE t RENAME COLUMN val TO value;
UPDATE t SET value = 10, note = 'renamed' WHERE id = 1;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
ALTER TABLE t RENAME COLUMN value TO val;

-- A type that changes, with the table rewritten or not.
CALL watch('note', 'SELECT id, note FROM t');
CALL watch('val', 'SELECT id, val FROM t');
ALTER TABLE t ALTER val TYPE bigint;
UPDATE t SET note = 'typed' WHERE id = 1;
SELECT * FROM feed();
SELECT live.refresh('val');
SELECT * FROM live.snapshot('val') ORDER BY key::text;
UPDATE t SET val = 11 WHERE id = 1;
SELECT * FROM feed();
ALTER TABLE t ALTER note TYPE varchar(100);
BEGIN;
UPDATE t SET val = 12 WHERE id = 1;
ALTER TABLE t ALTER val TYPE int;
UPDATE t SET val = 13 WHERE id = 1;
COMMIT;
SELECT id, regexp_replace(change, 'reset.*', 'reset') AS change FROM feed();
SELECT live.unsubscribe_all();

-- RENAME TABLE, DROP TABLE, and one that takes its name.
CALL watch('star', 'SELECT * FROM t');
ALTER TABLE t RENAME TO u;
SELECT * FROM feed();
CALL watch('star', 'SELECT id FROM u');
DROP TABLE u;
SELECT * FROM feed();
CREATE TABLE t (id int PRIMARY KEY, val int);
ALTER TABLE t REPLICA IDENTITY FULL;
CALL watch('q', 'SELECT id FROM t');
BEGIN;
INSERT INTO t VALUES (1, 1);
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, val int);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (2, 2);
COMMIT;
INSERT INTO t VALUES (3, 3);
SELECT * FROM feed();
SELECT live.refresh('q');
SELECT * FROM live.snapshot('q');
INSERT INTO t VALUES (4, 4);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Replica identity.
CALL watch('all', 'SELECT * FROM t');
CALL watch('val', 'SELECT id FROM t WHERE val > 0');
ALTER TABLE t REPLICA IDENTITY DEFAULT;
SELECT * FROM feed();
SELECT live.refresh('all');
SELECT count(*) FROM live.snapshot('all');
UPDATE t SET val = 5 WHERE id = 4;
SELECT * FROM feed();
ALTER TABLE t DROP CONSTRAINT t_pkey;
SELECT * FROM feed();
ALTER TABLE t REPLICA IDENTITY FULL;
-- Without its primary key the result has another key.
SELECT live.unsubscribe_all();
ALTER TABLE t ADD PRIMARY KEY (id);
CALL watch('all', 'SELECT * FROM t');
ALTER TABLE t DROP CONSTRAINT t_pkey;
DELETE FROM t WHERE id = 4;
SELECT * FROM feed();
SELECT live.refresh('all');
SELECT * FROM live.snapshot('all') ORDER BY key::text;
DELETE FROM t;
SELECT * FROM feed();
ALTER TABLE t ADD PRIMARY KEY (id);
SELECT live.unsubscribe_all();
-- A table that is not logged any more.
CALL watch('all', 'SELECT * FROM t');
ALTER TABLE t SET UNLOGGED;
SELECT * FROM feed();
ALTER TABLE t SET LOGGED;

-- Views and functions.
CREATE VIEW v AS SELECT id, val FROM t WHERE val > 10;
CREATE FUNCTION positive(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 > 0; END';
CREATE FUNCTION inlined(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';
CALL watch('inlined', 'SELECT id FROM t WHERE inlined(val)');
CALL watch('function', 'SELECT id FROM t WHERE positive(val)');
CALL watch('table', 'SELECT id FROM t');
CALL watch('view', 'SELECT id FROM v');
INSERT INTO t VALUES (1, 20), (2, 5);
SELECT * FROM feed();
CREATE OR REPLACE VIEW v AS SELECT id, val FROM t WHERE val > 0;
INSERT INTO t VALUES (3, 5);
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION positive(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 < 0; END';
INSERT INTO t VALUES (4, 5);
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION inlined(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 < 0';
INSERT INTO t VALUES (5, 5);
SELECT * FROM feed();
-- A view with the same meaning, and a function of which only the privileges changed, go on.
SELECT live.refresh('view');
SELECT count(*) FROM live.snapshot('view');
SELECT live.refresh('function');
SELECT count(*) FROM live.snapshot('function');
CREATE OR REPLACE VIEW v AS SELECT id, val FROM t WHERE val > 0;
GRANT EXECUTE ON FUNCTION positive TO pg_monitor;
INSERT INTO t VALUES (6, 5), (7, -5);
SELECT * FROM feed() WHERE id <> 'table';
-- A function that becomes volatile cannot be watched, nor one that is gone.
ALTER FUNCTION positive VOLATILE;
SELECT * FROM feed() WHERE id <> 'table';
DROP FUNCTION inlined;
DROP VIEW v;
SELECT * FROM feed() WHERE id <> 'table';
SELECT live.unsubscribe_all();
-- A type of the user's.
CREATE TYPE pair AS (a int, b int);
CREATE TABLE pairs (id int PRIMARY KEY, p pair);
ALTER TABLE pairs REPLICA IDENTITY FULL;
CALL watch('pairs', 'SELECT * FROM pairs');
INSERT INTO pairs VALUES (1, '(1,2)');
SELECT * FROM feed();
-- What its values look like changes without a change of a row.
ALTER TYPE pair ADD ATTRIBUTE c int;
SELECT * FROM feed();
SELECT live.refresh('pairs');
SELECT * FROM live.snapshot('pairs');
INSERT INTO pairs VALUES (2, '(1,2,3)');
SELECT * FROM feed();
DROP TYPE pair CASCADE;
SELECT * FROM feed();
CREATE TYPE light AS ENUM ('red', 'green');
CREATE TABLE lights (id int PRIMARY KEY, shown light[]);
ALTER TABLE lights REPLICA IDENTITY FULL;
CALL watch('lights', 'SELECT * FROM lights');
ALTER TYPE light ADD VALUE 'yellow' BEFORE 'green';
INSERT INTO lights VALUES (1, '{red,yellow}');
SELECT * FROM feed();
ALTER TYPE light RENAME VALUE 'red' TO 'stop';
SELECT * FROM feed();
SELECT live.refresh('lights');
SELECT * FROM live.snapshot('lights');
DROP TYPE light CASCADE;
SELECT * FROM feed();
DROP TABLE lights;
DROP TABLE pairs;
DROP FUNCTION positive;
DROP TABLE t;
