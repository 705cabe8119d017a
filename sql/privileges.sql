-- A query sees what its role may see, always.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_live_alice, regress_live_bob, regress_live_group, regress_live_owner;
RESET client_min_messages;
CREATE ROLE regress_live_alice;
CREATE ROLE regress_live_bob;
CREATE ROLE regress_live_group;
CREATE ROLE regress_live_owner;
CREATE TABLE t (id int PRIMARY KEY, owner text, tenant int, secret text, val int);
ALTER TABLE t REPLICA IDENTITY FULL;

-- Privileges on the table, its columns, its schema, and functions.
SET ROLE regress_live_alice;
CALL refused('SELECT id FROM t');
RESET ROLE;
GRANT SELECT (id, val) ON t TO regress_live_alice;
SET ROLE regress_live_alice;
CALL watch('columns', 'SELECT id, val FROM t WHERE val > 0');
CALL refused('SELECT * FROM t');
CALL refused('SELECT id, secret FROM t');
CALL refused('SELECT id FROM t WHERE secret = ''x''');
CALL refused('SELECT id FROM t ORDER BY secret');
CALL refused('SELECT t FROM t');
SELECT live.explain('SELECT secret FROM t');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
INSERT INTO t VALUES (1, 'x', 1, 'secret', 10);
SELECT * FROM feed();
-- The key is in every message, selected or not, so it must be readable; else it is opaque.
SET ROLE regress_live_alice;
CALL watch('val', 'SELECT val FROM t');
RESET ROLE;
INSERT INTO t VALUES (100, 'x', 1, 'secret', 11);
SELECT * FROM feed() WHERE id = 'val';
REVOKE SELECT (id) ON t FROM regress_live_alice;
SELECT * FROM feed();
SELECT live.refresh('val');
SELECT regexp_replace(key::text, '[0-9a-f]{32}', '(opaque)') AS key, "row" FROM live.snapshot('val');
UPDATE t SET val = 12 WHERE id = 100;
SELECT id, regexp_replace(change, '[0-9a-f]{32}', '(opaque)') AS change FROM feed();
SELECT live.unsubscribe_all();
ALTER TABLE t REPLICA IDENTITY DEFAULT;
SET live_queries.evaluators = 0;  -- by the stream
SET ROLE regress_live_alice;
CALL refused('SELECT val FROM t');
RESET ROLE;
RESET live_queries.evaluators;
ALTER TABLE t REPLICA IDENTITY FULL;
GRANT SELECT ON t TO regress_live_alice;
CREATE FUNCTION private(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
REVOKE EXECUTE ON FUNCTION private FROM PUBLIC;
CREATE SCHEMA regress_live_closed;
CREATE TABLE regress_live_closed.u (id int PRIMARY KEY);
GRANT SELECT ON regress_live_closed.u TO regress_live_alice;
SET ROLE regress_live_alice;
CALL refused('SELECT private(id) AS p FROM t');
CALL refused('SELECT id FROM t WHERE private(val) = 1');
CALL refused('SELECT id FROM regress_live_closed.u');
RESET ROLE;
DROP SCHEMA regress_live_closed CASCADE;

-- REVOKE ends a subscription, before the next change of the table.
SET ROLE regress_live_alice;
CALL watch('table', 'SELECT id FROM t');
CALL watch('val', 'SELECT id, val FROM t');
RESET ROLE;
CALL watch('superuser''s', 'SELECT id FROM t');
BEGIN;
REVOKE SELECT ON t FROM regress_live_alice;
GRANT SELECT (id) ON t TO regress_live_alice;
COMMIT;
INSERT INTO t VALUES (2, 'x', 1, 'secret', 20);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
REVOKE SELECT (id) ON t FROM regress_live_alice;
-- Function privileges as well.
GRANT SELECT ON t TO regress_live_alice;
GRANT EXECUTE ON FUNCTION private TO regress_live_alice;
SET ROLE regress_live_alice;
CALL watch('function', 'SELECT private(id) AS p FROM t');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION private FROM regress_live_alice;
INSERT INTO t VALUES (3, 'x', 1, 'secret', 20);
SELECT * FROM feed();
REVOKE SELECT ON t FROM regress_live_alice;
-- What a role has as a member ends with the membership.
GRANT SELECT ON t TO regress_live_group;
GRANT regress_live_group TO regress_live_alice;
SET ROLE regress_live_alice;
CALL watch('member''s', 'SELECT id FROM t');
RESET ROLE;
INSERT INTO t VALUES (4, 'x', 1, 'secret', 20);
SELECT * FROM feed();
REVOKE regress_live_group FROM regress_live_alice;
INSERT INTO t VALUES (5, 'x', 1, 'secret', 20);
SELECT * FROM feed();

-- A view is read with its owner's privileges, one with security_invoker with the reader's.
CREATE VIEW v AS SELECT id, val FROM t WHERE tenant = 1;
CREATE VIEW invoker WITH (security_invoker) AS SELECT id, val FROM t WHERE tenant = 1;
ALTER TABLE t OWNER TO regress_live_owner;
ALTER VIEW v OWNER TO regress_live_owner;
GRANT SELECT ON v, invoker TO regress_live_alice;
SET ROLE regress_live_alice;
CALL refused('SELECT id FROM t');
CALL refused('SELECT id FROM invoker');
CALL watch('view', 'SELECT id FROM v');
RESET ROLE;
SET ROLE regress_live_alice;
CALL watch('view without key', 'SELECT val FROM v');
RESET ROLE;
INSERT INTO t VALUES (6, 'x', 1, 'secret', 20), (7, 'x', 2, 'secret', 20);
SELECT id, regexp_replace(change, '[0-9a-f]{32}', '(opaque)') AS change FROM feed();
REVOKE SELECT ON t FROM regress_live_owner;
INSERT INTO t VALUES (8, 'x', 1, 'secret', 20);
SELECT * FROM feed();
GRANT SELECT ON t TO regress_live_owner;
DROP VIEW v, invoker;

-- Row-level security counts as a condition: current_user, settings, sub-selects without a table.
GRANT SELECT ON t TO regress_live_alice, regress_live_bob;
DELETE FROM t;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE regress_live_alice;
CALL watch('no policy', 'SELECT id FROM t');
RESET ROLE;
INSERT INTO t VALUES (1, 'regress_live_alice', 1, 's', 1);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
CREATE POLICY own ON t USING (owner = current_user);
SET ROLE regress_live_alice;
CALL watch('alice', 'SELECT id, val FROM t');
SET ROLE regress_live_bob;
CALL watch('bob', 'SELECT id, val FROM t WHERE val > 0');
SELECT * FROM live.explain('SELECT id, val FROM t WHERE val > 0');
RESET ROLE;
CALL watch('superuser', 'SELECT id FROM t');
SET ROLE regress_live_owner;
CALL watch('owner', 'SELECT id FROM t');
RESET ROLE;
INSERT INTO t VALUES (2, 'regress_live_alice', 1, 's', 1), (3, 'regress_live_bob', 2, 's', 1), (4, 'nobody', 2, 's', 1);
SELECT * FROM feed();
UPDATE t SET owner = 'regress_live_bob' WHERE id = 2;
DELETE FROM t WHERE id = 3;
SELECT * FROM feed();
-- The snapshot obeys as well.
SET ROLE regress_live_alice;
SELECT count(*) FROM live.subscribe('alice, too', 'SELECT id FROM t', delivery => 'poll');
RESET ROLE;
SELECT * FROM live.snapshot('alice, too');
-- The owner is subject to policies when it is forced to be.
ALTER TABLE t FORCE ROW LEVEL SECURITY;
SELECT * FROM feed();
INSERT INTO t VALUES (5, 'nobody', 2, 's', 1);
SELECT * FROM feed();
ALTER TABLE t NO FORCE ROW LEVEL SECURITY;
SELECT live.unsubscribe_all();

-- A setting is that of the time of the subscription.
DROP POLICY own ON t;
CREATE POLICY tenant ON t USING (tenant = (SELECT current_setting('regress.tenant')::int));
SET ROLE regress_live_alice;
SET regress.tenant = '1';
CALL watch('tenant 1', 'SELECT id FROM t');
SELECT * FROM live.explain('SELECT id FROM t WHERE val = 1');
SET regress.tenant = '2';
CALL watch('tenant 2', 'SELECT id FROM t');
RESET regress.tenant;
RESET ROLE;
INSERT INTO t VALUES (11, 'x', 1, 's', 1), (12, 'x', 2, 's', 1), (13, 'x', 3, 's', 1);
SELECT * FROM feed();
UPDATE t SET tenant = 3 - tenant WHERE id IN (11, 12);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP POLICY tenant ON t;
CREATE POLICY own ON t USING (owner = (SELECT current_user));
SET ROLE regress_live_bob;
CALL watch('bob', 'SELECT id FROM t WHERE val = 7');
RESET ROLE;
INSERT INTO t VALUES (14, 'regress_live_alice', 1, 's', 7), (15, 'regress_live_bob', 1, 's', 7);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A policy that changes: another row may be visible now.
SET ROLE regress_live_alice;
CALL watch('alice', 'SELECT id FROM t');
RESET ROLE;
CREATE POLICY more ON t USING (tenant = 1);
INSERT INTO t VALUES (16, 'x', 1, 's', 1);
SELECT * FROM feed();
SELECT live.refresh('alice');
SELECT count(*) > 0 AS rows FROM live.snapshot('alice');
INSERT INTO t VALUES (17, 'x', 1, 's', 1), (18, 'x', 2, 's', 1);
SELECT * FROM feed();
ALTER POLICY more ON t USING (tenant = 2);
INSERT INTO t VALUES (19, 'x', 1, 's', 1);
SELECT * FROM feed();
-- One that is for another role or command changes nothing.
SELECT live.refresh('alice');
SELECT count(*) > 0 AS rows FROM live.snapshot('alice');
CREATE POLICY others ON t FOR SELECT TO regress_live_bob USING (true);
CREATE POLICY inserts ON t FOR INSERT WITH CHECK (true);
INSERT INTO t VALUES (20, 'x', 2, 's', 1);
SELECT * FROM feed();
-- One that needs what only the client has ends it.
ALTER POLICY more ON t USING (owner = current_setting('regress.tenant'));
SELECT * FROM feed();
-- One that looks into a table cannot be watched.
DROP POLICY more ON t;
CREATE POLICY looks ON t AS RESTRICTIVE USING (EXISTS (SELECT FROM pg_class WHERE relname = owner));
SET ROLE regress_live_alice;
CALL refused('SELECT id FROM t');
RESET ROLE;
DROP POLICY looks ON t;
SET ROLE regress_live_alice;
SET row_security = off;
CALL refused('SELECT id FROM t');
RESET row_security;
RESET ROLE;

-- A function of the subscriber's own does not see rows that it may not: no error from them, no leak.
CREATE FUNCTION leaks(text) RETURNS boolean IMMUTABLE COST 0.0001 LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'the secret is %', $1; END $$;
SET ROLE regress_live_alice;
CALL watch('hidden', 'SELECT id FROM t WHERE leaks(secret)');
CALL watch('selected', 'SELECT leaks(secret) AS l FROM t WHERE id > 0');
RESET ROLE;
INSERT INTO t VALUES (30, 'nobody', 7, 'hidden', 1);
UPDATE t SET val = 2 WHERE id = 30;
DELETE FROM t WHERE id = 30;
SELECT * FROM feed();
INSERT INTO t VALUES (31, 'regress_live_alice', 7, 'my own', 1);
SELECT * FROM feed();
-- So for a security barrier.
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, secret FROM t WHERE owner = 'shown';
GRANT SELECT ON barrier TO regress_live_alice;
SET ROLE regress_live_alice;
CALL watch('barrier', 'SELECT id FROM barrier WHERE leaks(secret)');
RESET ROLE;
INSERT INTO t VALUES (32, 'hidden', 7, 'hidden', 1);
SELECT * FROM feed();
INSERT INTO t VALUES (33, 'shown', 7, 'shown', 1);
SELECT * FROM feed();
DROP VIEW barrier;

-- Expressions run as the subscriber, not as the server.
CREATE FUNCTION who(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN current_user; END $$;
CREATE FUNCTION becomes(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('role', 'none', false); RETURN current_user; END $$;
CREATE FUNCTION writes(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN CREATE TEMP TABLE regress_live_temp (); RETURN $1; END $$;
SET ROLE regress_live_alice;
CALL watch('becomes', 'SELECT becomes(id) AS who FROM t');
CALL watch('who', 'SELECT who(id) AS who, current_user AS me, session_user <> current_user AS other FROM t');
CALL watch('writes', 'SELECT writes(id) AS x FROM t');
RESET ROLE;
INSERT INTO t VALUES (34, 'regress_live_alice', 7, 'x', 1);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- live.kill needs the role, or pg_signal_backend; superusers are for superusers.
SET ROLE regress_live_alice;
CALL watch('alice', 'SELECT id FROM t WHERE secret = $1', 'x');
RESET ROLE;
CALL watch('superuser', 'SELECT id FROM t');
SELECT max(live_id) FILTER (WHERE subscription_id = 'alice') AS alice,
       max(live_id) FILTER (WHERE subscription_id = 'superuser') AS super
FROM live_queries WHERE pid = pg_backend_pid() AND status = 'active' \gset
SET ROLE regress_live_bob;
SELECT live.kill(:'alice');
\echo :LAST_ERROR_SQLSTATE
SELECT live.kill(:'super');
-- The view shows to others that there is something, not what.
SELECT live_id, subscription_id, query, params, tables, channel, error,
       username = session_user AS of_superuser, strategy, status, delivery
FROM live_queries WHERE pid = pg_backend_pid() AND status = 'active' ORDER BY of_superuser;
RESET ROLE;
GRANT pg_signal_backend TO regress_live_bob;
SET ROLE regress_live_bob;
SELECT live.kill(:'super');
SELECT live.kill(:'alice') IS TRUE AS ended;
RESET ROLE;
SELECT * FROM feed();
SET ROLE regress_live_bob;
SELECT count(error) FROM live_queries WHERE pid = pg_backend_pid();
RESET ROLE;
GRANT pg_read_all_stats TO regress_live_bob;
SET ROLE regress_live_bob;
SELECT subscription_id, query, params, status, username, error FROM live_queries
WHERE pid = pg_backend_pid() AND subscription_id = 'alice' AND query LIKE '%secret%' AND error LIKE '57014%';
SELECT subscription_id, query FROM live_queries WHERE pid = pg_backend_pid() AND status = 'active';
RESET ROLE;
SET ROLE regress_live_alice;
CALL watch('own', 'SELECT id FROM t');
SELECT subscription_id, query FROM live_queries
WHERE pid = pg_backend_pid() AND status = 'active' ORDER BY 1;
SELECT live.kill(live_id) FROM live_queries
WHERE pid = pg_backend_pid() AND subscription_id = 'own' AND status = 'active';
RESET ROLE;
-- A subscription stays its role's, whoever reads its snapshot or refreshes it.
SET ROLE regress_live_alice;
SELECT count(*) FROM live.subscribe('hers', 'SELECT id FROM t WHERE id > 30', delivery => 'poll');
RESET ROLE;
SELECT key FROM live.snapshot('hers');
SELECT live.refresh('hers');
SELECT key FROM live.snapshot('hers');
SELECT username FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'hers';
SELECT live.unsubscribe_all();
-- Nor do its functions run as anybody else where the commit stores what has not been read.
CREATE FUNCTION runs_as(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN current_user; END';
SET ROLE regress_live_alice;
BEGIN;
SELECT count(*) FROM live.subscribe('hers', 'SELECT id, runs_as(id) AS role FROM t WHERE id > 30', delivery => 'poll');
RESET ROLE;
COMMIT;
SELECT DISTINCT "row" ->> 'role' AS role FROM live.snapshot('hers');
SELECT live.refresh('hers');
SELECT DISTINCT "row" ->> 'role' AS role FROM live.snapshot('hers');
SELECT live.unsubscribe_all();
DROP FUNCTION runs_as;

-- Only superusers create the extension's functions anew; nobody else gets at the internals.
SELECT proname FROM pg_proc WHERE pronamespace = 'live'::regnamespace
  AND NOT has_function_privilege('regress_live_alice', oid, 'EXECUTE');
SELECT has_schema_privilege('regress_live_alice', 'live', 'CREATE') AS may_create;

DROP TABLE t;
DROP FUNCTION private, leaks, who, becomes, writes;
DROP ROLE regress_live_alice, regress_live_bob, regress_live_group, regress_live_owner;
