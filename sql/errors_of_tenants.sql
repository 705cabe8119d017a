-- Subscriptions of one query and one role that differ in a value, which says whose rows they may
-- see: an error on somebody else's row neither ends them nor is told to them.
CREATE TABLE acct (id int PRIMARY KEY, tenant text, txt text);
ALTER TABLE acct REPLICA IDENTITY FULL;
INSERT INTO acct VALUES (1, 'A', '1'), (2, 'A', '2'), (3, 'B', '3'), (4, 'B', '4'), (5, 'C', '5');
CALL watch('A', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'A');
CALL watch('B', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'B');
CALL watch('C', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'C');
-- The new row is one that B cannot compute.
UPDATE acct SET tenant = 'B', txt = 'secret of B' WHERE id = 1;
SELECT * FROM feed();
-- Nobody is left to compute it: no error.
UPDATE acct SET tenant = 'C', txt = '1' WHERE id = 1;
UPDATE acct SET txt = '22' WHERE id = 2;
SELECT * FROM feed();
-- The old row is, and the new one is as it should be.
CALL watch('B', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'B');
SELECT live.unsubscribe('A');
UPDATE acct SET txt = 'secret of A' WHERE id = 2;
CALL watch('A', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'A');
UPDATE acct SET tenant = 'B', txt = '2' WHERE id = 2;
SELECT * FROM feed();
-- Both are: each is told of its own.
CALL watch('A', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'A');
SELECT live.unsubscribe('B');
INSERT INTO acct VALUES (6, 'B', 'secret of B');
CALL watch('B', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'B');
UPDATE acct SET tenant = 'A', txt = 'secret of A' WHERE id = 6;
SELECT * FROM feed();
-- All that a transaction did before and after, and other transactions, reaches the others.
DELETE FROM acct;
CALL watch('A', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1 AND id < 100', 'A');
CALL watch('B', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1 AND id < 100', 'B');
INSERT INTO acct VALUES (7, 'C', '7');
BEGIN;
INSERT INTO acct VALUES (1, 'A', '1'), (2, 'B', '2');
UPDATE acct SET tenant = 'B', txt = 'secret of B' WHERE id = 1;
INSERT INTO acct VALUES (3, 'A', '3');
COMMIT;
UPDATE acct SET txt = '33' WHERE id = 3;
SELECT * FROM feed();
-- One route, and several subscriptions on it: the row is theirs all.
CALL watch('A too', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1 AND id < 100', 'A');
UPDATE acct SET txt = 'secret of A' WHERE id = 3;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
TRUNCATE acct;

-- The condition too is evaluated on each row for those alone who may have it.
CALL watch('A', 'SELECT id FROM acct WHERE tenant = $1 AND txt::int > 0', 'A');
CALL watch('B', 'SELECT id FROM acct WHERE tenant = $1 AND txt::int > 0', 'B');
INSERT INTO acct VALUES (1, 'A', '1');
UPDATE acct SET tenant = 'B', txt = 'secret of B' WHERE id = 1;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- So the key, and what makes the JSON of it.
CREATE FUNCTION number_json(numeric) RETURNS json IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1 < 0 THEN RAISE EXCEPTION 'secret %', $1; END IF; RETURN to_json($1); END $$;
CALL watch('A', 'SELECT id, number_json(txt::numeric) AS n FROM acct WHERE tenant = $1', 'A');
CALL watch('B', 'SELECT id, number_json(txt::numeric) AS n FROM acct WHERE tenant = $1', 'B');
INSERT INTO acct VALUES (2, 'A', '2');
UPDATE acct SET id = 3, tenant = 'B', txt = '-5' WHERE id = 2;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP FUNCTION number_json;
TRUNCATE acct;

-- Where the new row's time is over, the old row's subscriptions go on.
-- The limit is set some time before it is met, since the decoder may see it late.
ALTER SYSTEM SET live_queries.evaluation_timeout = '1s';
SELECT pg_reload_conf();
CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1 = 'slow' THEN PERFORM pg_sleep(300); END IF; RETURN $1; END $$;
CALL watch('A', 'SELECT id, slow(txt) AS s FROM acct WHERE tenant = $1', 'A');
CALL watch('B', 'SELECT id, slow(txt) AS s FROM acct WHERE tenant = $1', 'B');
INSERT INTO acct VALUES (1, 'A', 'fast');
UPDATE acct SET tenant = 'B', txt = 'slow' WHERE id = 1;
SELECT * FROM feed();
-- Whose rows took most of the time that all of a query have together is to blame, not who comes last.
CREATE OR REPLACE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1 ~ '^[0-9.]+$' THEN PERFORM pg_sleep($1::float); END IF; RETURN $1; END $$;
SELECT * FROM feed();
SELECT live.refresh('A');
SELECT * FROM live.snapshot('A');
CALL watch('B', 'SELECT id, slow(txt) AS s FROM acct WHERE tenant = $1 AND id > 0', 'B');
CALL watch('C', 'SELECT id, slow(txt) AS s FROM acct WHERE tenant = $1 AND id > 0', 'C');
INSERT INTO acct VALUES (11, 'B', '0.8'), (12, 'C', '0.4');
SELECT * FROM feed();
SELECT live.unsubscribe('C');
DELETE FROM acct WHERE id > 10;
-- So where that cannot be cancelled, and ends the decoder.
CREATE OR REPLACE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN LOOP BEGIN
    IF $1 <> 'slow' THEN RETURN $1; END IF;
    PERFORM pg_sleep(300);
  EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$;
SELECT * FROM feed();
SELECT live.refresh('A');
SELECT * FROM live.snapshot('A');
UPDATE acct SET txt = 'fast' WHERE id = 1;
CALL watch('B', 'SELECT id, slow(txt) AS s FROM acct WHERE tenant = $1', 'B');
UPDATE acct SET tenant = 'A' WHERE id = 1;
SELECT * FROM feed();
UPDATE acct SET tenant = 'B', txt = 'slow' WHERE id = 1;
SELECT * FROM feed();
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() AND status <> 'terminated';
ALTER SYSTEM RESET live_queries.evaluation_timeout;
SELECT pg_reload_conf();
SELECT live.unsubscribe_all();
DROP FUNCTION slow;
TRUNCATE acct;

-- A value of a row that nobody may have yet: the operators of a type of the user's look it up.
CREATE FUNCTION json_equal(json, json) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS
  'BEGIN RETURN $1::text = $2::text; END';
CREATE OPERATOR = (LEFTARG = json, RIGHTARG = json, FUNCTION = json_equal, HASHES);
CREATE FUNCTION json_hash(json) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1::text LIKE '%secret%' THEN RAISE EXCEPTION '%', $1; END IF; RETURN hashtext($1::text); END $$;
CREATE OPERATOR CLASS json_ops DEFAULT FOR TYPE json USING hash AS OPERATOR 1 =, FUNCTION 1 json_hash(json);
CREATE TABLE tagged (id int PRIMARY KEY, tenant json);
ALTER TABLE tagged REPLICA IDENTITY FULL;
CALL watch('A', 'SELECT id FROM tagged WHERE tenant = $1', '"A"');
INSERT INTO tagged VALUES (1, '"A"');
SELECT * FROM feed();
INSERT INTO tagged VALUES (2, '"secret"');
SELECT * FROM feed();
-- Such operators look up whoever subscribes as well, and have as much time for that.
ALTER SYSTEM SET live_queries.evaluation_timeout = '1s';
SELECT pg_reload_conf();
CREATE OR REPLACE FUNCTION json_hash(json) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN IF $1::text LIKE '%slow%' THEN PERFORM pg_sleep(300); END IF; RETURN hashtext($1::text); END $$;
CALL watch('A', 'SELECT id FROM tagged WHERE tenant = $1', '"A"');
CALL watch('B', 'SELECT id FROM tagged WHERE tenant = $1', '"slow"');
INSERT INTO tagged VALUES (3, '"A"');
SELECT * FROM feed();
ALTER SYSTEM RESET live_queries.evaluation_timeout;
SELECT pg_reload_conf();
SELECT live.unsubscribe_all();
DROP TABLE tagged;
DROP OPERATOR CLASS json_ops USING hash;
DROP OPERATOR = (json, json);
DROP FUNCTION json_equal, json_hash;

-- Row security: the tenant is a setting of the session, and the role is the same.
CREATE ROLE tenants;
CREATE POLICY own ON acct USING (tenant = current_setting('app.tenant'));
ALTER TABLE acct ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON acct TO tenants;
INSERT INTO acct VALUES (1, 'A', '1'), (2, 'A', '2'), (3, 'B', '3');
SET ROLE tenants;
SET app.tenant = 'A';
CALL watch('A', 'SELECT id, txt::int AS n FROM acct');
CALL watch('A, condition', 'SELECT id FROM acct WHERE txt::int > 0');
SET app.tenant = 'B';
CALL watch('B', 'SELECT id, txt::int AS n FROM acct');
CALL watch('B, condition', 'SELECT id FROM acct WHERE txt::int > 0');
RESET ROLE;
UPDATE acct SET tenant = 'B', txt = 'secret of B' WHERE id = 1;
UPDATE acct SET txt = '22' WHERE id = 2;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
UPDATE acct SET txt = '1';

-- A policy that is no equality: each tenant has a template, and none looks at rows it must not see.
DROP POLICY own ON acct;
CREATE POLICY own ON acct USING (tenant = ANY (string_to_array(current_setting('app.tenant'), ',')));
SET ROLE tenants;
SET app.tenant = 'A,C';
CALL watch('A', 'SELECT id, txt::int AS n FROM acct WHERE txt::int > 0');
SET app.tenant = 'B,C';
CALL watch('B', 'SELECT id, txt::int AS n FROM acct WHERE txt::int > 0');
RESET ROLE;
UPDATE acct SET tenant = 'B', txt = 'secret of B' WHERE id = 2;
INSERT INTO acct VALUES (8, 'A', '8'), (9, 'B', 'secret of B');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
RESET app.tenant;
DROP TABLE acct;
DROP ROLE tenants;
