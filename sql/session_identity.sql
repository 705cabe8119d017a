-- Where changes are evaluated, the session is the subscriber's in all that SQL can ask of it.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_session_user, regress_session_role, regress_session_other, regress_session_admin;
RESET client_min_messages;
CREATE ROLE regress_session_role;
CREATE ROLE regress_session_other;
CREATE ROLE regress_session_user NOINHERIT IN ROLE regress_session_role;
CREATE ROLE regress_session_admin SUPERUSER;
CREATE TABLE t (id int PRIMARY KEY, note text);
GRANT SELECT ON t TO PUBLIC;
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE FUNCTION session_of(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  RETURN concat_ws(' ', 'user', replace(session_user, 'regress_session_', ''),
    'authorization', replace(current_setting('session_authorization'), 'regress_session_', ''),
    'role', replace(current_setting('role'), 'regress_session_', ''),
    'superuser', current_setting('is_superuser'), 'current', replace(current_user, 'regress_session_', ''));
END $$;
CREATE FUNCTION subscribe_as_other(id text) RETURNS void SECURITY DEFINER LANGUAGE sql AS
  $$ SELECT live.subscribe(id, 'SELECT session_of(id) AS session FROM t', delivery => 'poll') $$;
ALTER FUNCTION subscribe_as_other OWNER TO regress_session_other;
CREATE FUNCTION snapshot_as_other(id text) RETURNS SETOF json SECURITY DEFINER LANGUAGE sql AS
  $$ SELECT "row" FROM live.snapshot(id) $$;
ALTER FUNCTION snapshot_as_other OWNER TO regress_session_other;
INSERT INTO t VALUES (1, 'first');
-- The first result and a change say the same.
SET SESSION AUTHORIZATION regress_session_admin;
SELECT count(*) FROM live.subscribe('superuser', 'SELECT session_of(id) AS session FROM t', delivery => 'poll');
SELECT "row" FROM live.snapshot('superuser');
SET ROLE regress_session_user;
SELECT count(*) FROM live.subscribe('superuser with a role', 'SELECT session_of(id) AS session FROM t', delivery => 'poll');
SELECT "row" FROM live.snapshot('superuser with a role');
SET SESSION AUTHORIZATION regress_session_user;
SELECT count(*) FROM live.subscribe('user', 'SELECT session_of(id) AS session FROM t', delivery => 'poll');
SELECT "row" FROM live.snapshot('user');
SELECT subscribe_as_other('definer');
SELECT snapshot_as_other('definer');
SET ROLE regress_session_role;
SELECT count(*) FROM live.subscribe('user with a role', 'SELECT session_of(id) AS session FROM t', delivery => 'poll');
SELECT "row" FROM live.snapshot('user with a role');
SELECT subscribe_as_other('definer, role');
SELECT snapshot_as_other('definer, role');
RESET SESSION AUTHORIZATION;
INSERT INTO t VALUES (2, 'second');
SELECT * FROM feed();
-- Whoever takes and reads the first result, but in a function of another role, where a session stays what it is.
INSERT INTO t VALUES (0, 'zero');
SELECT live.refresh('superuser with a role');
SELECT "row" FROM live.snapshot('superuser with a role', 1);
SELECT live.refresh('user with a role');
SET SESSION AUTHORIZATION regress_session_admin;
SELECT "row" FROM live.snapshot('user with a role', 1);
SELECT "row" FROM live.snapshot('superuser with a role', 1);
RESET SESSION AUTHORIZATION;
BEGIN;
SELECT live.refresh('user');
SAVEPOINT s;
SELECT "row" FROM live.snapshot('user', 1);
SELECT session_user = current_user AS same, current_setting('role') AS role, current_setting('is_superuser') AS superuser;
ROLLBACK TO s;
SELECT session_user = current_user AS same, current_setting('role') AS role, current_setting('is_superuser') AS superuser;
COMMIT;
SELECT DISTINCT "row"::text FROM live.snapshot('user');
SELECT session_user = current_user AS same, current_setting('role') AS role, current_setting('is_superuser') AS superuser;
-- What fails open for superusers opens to nobody else, and an error leaves the decoder itself.
CREATE FUNCTION fails(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1 / ($1 - 3); END';
CREATE FUNCTION for_superusers(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RETURN $1 = 'public' OR current_setting('is_superuser') = 'on' OR session_user = 'regress_session_admin'
       OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user); END $$;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (for_superusers(note));
SELECT live.unsubscribe_all();
SET SESSION AUTHORIZATION regress_session_user;
CALL watch('user', 'SELECT id FROM t');
CALL watch('fails', 'SELECT id, fails(id) AS f FROM t');
SET ROLE regress_session_role;
CALL watch('user with a role', 'SELECT id FROM t');
SET SESSION AUTHORIZATION regress_session_admin;
CALL watch('superuser', 'SELECT id FROM t WHERE for_superusers(note)');
SET ROLE regress_session_role;
CALL watch('superuser with a role', 'SELECT id FROM t');
RESET SESSION AUTHORIZATION;
INSERT INTO t VALUES (3, 'secret'), (4, 'public');
SELECT * FROM feed();
UPDATE t SET note = 'public' WHERE id = 3;
SELECT * FROM feed();
-- So does one where the first result is read.
BEGIN;
SET SESSION AUTHORIZATION regress_session_user;
SELECT count(*) FROM live.subscribe('fails', 'SELECT id, fails(id) AS f FROM t', delivery => 'poll');
RESET SESSION AUTHORIZATION;
SAVEPOINT s;
SELECT * FROM live.snapshot('fails');
ROLLBACK TO s;
SELECT session_user = current_user AS same, current_setting('role') AS role, current_setting('is_superuser') AS superuser;
ROLLBACK;
UPDATE t SET note = 'secret';
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP POLICY p ON t;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;

-- A subscription lasts while its session user may become its role.
GRANT regress_session_other TO regress_session_user;
SET SESSION AUTHORIZATION regress_session_user;
CALL watch('own', 'SELECT id FROM t');
SET ROLE regress_session_role;
CALL watch('lost', 'SELECT id FROM t');
SET ROLE regress_session_other;
CALL watch('kept', 'SELECT id FROM t');
RESET SESSION AUTHORIZATION;
SET ROLE regress_session_role;
CALL watch('of a superuser', 'SELECT id FROM t');
RESET ROLE;
-- Since 16 the membership itself says what is inherited, and whether it allows SET ROLE.
DO $$
BEGIN
  ALTER ROLE regress_session_user INHERIT;
  IF current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE 'GRANT regress_session_role TO regress_session_user WITH INHERIT TRUE';
  END IF;
END $$;
INSERT INTO t VALUES (5, 'x');
SELECT * FROM feed();
BEGIN;
REVOKE regress_session_role FROM regress_session_user;
SAVEPOINT refused;
SELECT live.refresh('lost');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO refused;
COMMIT;
INSERT INTO t VALUES (6, 'x');
SELECT * FROM feed();
-- A function of the role's owner made it, for a user who never could become the role.
DO $$
BEGIN
  IF current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE 'GRANT regress_session_other TO regress_session_user WITH SET FALSE';
  ELSE
    REVOKE regress_session_other FROM regress_session_user;
  END IF;
END $$;
SET SESSION AUTHORIZATION regress_session_user;
SELECT subscribe_as_other('definer');
SELECT count(*) FROM snapshot_as_other('definer');
RESET SESSION AUTHORIZATION;
GRANT regress_session_role TO regress_session_user;
REVOKE regress_session_role FROM regress_session_user;
INSERT INTO t VALUES (7, 'x');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- A superuser that is none any more.
SET SESSION AUTHORIZATION regress_session_admin;
SET ROLE regress_session_role;
CALL watch('of a superuser', 'SELECT id FROM t');
RESET SESSION AUTHORIZATION;
SET ROLE regress_session_role;
CALL watch('of another', 'SELECT id FROM t');
RESET ROLE;
ALTER ROLE regress_session_admin NOSUPERUSER;
INSERT INTO t VALUES (8, 'x');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- A role, or a session user, that is dropped.
GRANT regress_session_other TO regress_session_admin;
SET SESSION AUTHORIZATION regress_session_admin;
CALL watch('session user', 'SELECT id FROM t');
SET ROLE regress_session_other;
CALL watch('session user with a role', 'SELECT id FROM t');
RESET SESSION AUTHORIZATION;
SET ROLE regress_session_role;
CALL watch('role', 'SELECT id FROM t');
RESET ROLE;
SET ROLE regress_session_other;
CALL watch('kept', 'SELECT id FROM t');
RESET ROLE;
DROP ROLE regress_session_role, regress_session_admin;
INSERT INTO t VALUES (9, 'x');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

DROP FUNCTION subscribe_as_other, snapshot_as_other, session_of, for_superusers, fails;
DROP TABLE t;
DROP ROLE regress_session_user, regress_session_other;
