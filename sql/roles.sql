-- Whoever may become a subscription's role may act on it, by every function, and nobody else.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_live_login, regress_live_user, regress_live_other, regress_live_heir, regress_live_caller;
RESET client_min_messages;
CREATE ROLE regress_live_login NOINHERIT;
CREATE ROLE regress_live_heir;
CREATE ROLE regress_live_user;
CREATE ROLE regress_live_other;
GRANT regress_live_user, regress_live_other TO regress_live_login;
GRANT regress_live_user TO regress_live_heir;
CREATE TABLE t (id int PRIMARY KEY, val int);
ALTER TABLE t REPLICA IDENTITY FULL;
GRANT SELECT ON t TO regress_live_user, regress_live_other;
INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
-- What waits for the current role, without what differs from run to run.
CREATE FUNCTION polled(max_messages int DEFAULT NULL)
RETURNS TABLE (id text, type text, ids text, more boolean) LANGUAGE sql AS $$
    SELECT p.subscription_id, p.message->>'type',
           (SELECT string_agg(c->'row'->>'id', ' ') FROM json_array_elements(p.message->'changes') c),
           (p.message->>'more')::boolean
    FROM live.wait_for(timeout => '60s'), live.poll(max_messages) p
$$;
-- Everything that acts on a live query, and its SQLSTATE.
CREATE PROCEDURE act(id text) LANGUAGE plpgsql AS $$
DECLARE
    command text;
    result text;
BEGIN
    FOREACH command IN ARRAY ARRAY['snapshot(%L, 1)', 'pause(%L)', 'resume(%L)', 'refresh(%L)', 'unsubscribe(%L)'] LOOP
        BEGIN
            EXECUTE format('SELECT count(*) FROM live.' || command, id) INTO result;
            RAISE EXCEPTION 'fine' USING ERRCODE = 'LQ000';
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE '% %: %', current_user, format(command, id), SQLSTATE;
        END;
    END LOOP;
END
$$;

-- A gateway: the login role inherits nothing, and becomes a user for a transaction.
SET SESSION AUTHORIZATION regress_live_login;
SELECT live.subscribe('refused', 'SELECT id FROM t');
BEGIN;
SET LOCAL ROLE regress_live_user;
SELECT count(*) FROM live.subscribe('user''s', 'SELECT id, val FROM t', delivery => 'poll');
COMMIT;
SELECT current_user;
SELECT * FROM live.snapshot('user''s', 2);
BEGIN;
SET LOCAL ROLE regress_live_user;
SELECT * FROM live.snapshot('user''s', 2);
CALL act('user''s');
COMMIT;
CALL act('user''s');
RESET SESSION AUTHORIZATION;
INSERT INTO t VALUES (4, 4);
SET SESSION AUTHORIZATION regress_live_login;
SELECT * FROM polled();
-- The view shows the login role what it may handle.
SELECT username, subscription_id, query, channel IS NOT NULL AS channel FROM live_queries WHERE pid = pg_backend_pid();
SELECT live.pause('user''s');
RESET SESSION AUTHORIZATION;
INSERT INTO t VALUES (5, 5);
SET SESSION AUTHORIZATION regress_live_login;
SELECT * FROM polled();
SELECT live.resume('user''s');
SELECT * FROM polled();
-- A new snapshot is the user's.
SELECT live.refresh('user''s');
SELECT username FROM live_queries WHERE pid = pg_backend_pid();
SELECT count(*) FROM live.snapshot('user''s');

-- Another role of the same gateway has no part in it.
SET ROLE regress_live_other;
CALL act('user''s');
SELECT live.pause('user''s');
\echo :LAST_ERROR_SQLSTATE
SELECT live.unsubscribe_all();
SELECT username, subscription_id, query, channel FROM live_queries WHERE pid = pg_backend_pid();
RESET ROLE;
RESET SESSION AUTHORIZATION;
UPDATE t SET val = val + 1 WHERE id = 1;
SET ROLE regress_live_other;
SELECT * FROM polled();
-- What it has not polled is there for who may: the user, its heirs, the login role, a superuser.
SET ROLE regress_live_user;
CALL act('user''s');
BEGIN;
SELECT * FROM polled();
ROLLBACK;
SET ROLE regress_live_heir;
CALL act('user''s');
BEGIN;
SELECT * FROM polled();
ROLLBACK;
RESET ROLE;
CALL act('user''s');
SELECT * FROM polled();
SELECT * FROM polled();

-- Several roles on one connection: each polls its own, in order, and `more` speaks of that alone.
SET ROLE regress_live_other;
SELECT count(*) FROM live.subscribe('other''s', 'SELECT id, val FROM t', "snapshot" => false, delivery => 'poll');
SELECT count(*) FROM live.subscribe('other''s second', 'SELECT id FROM t', "snapshot" => false, delivery => 'poll');
RESET ROLE;
INSERT INTO t VALUES (6, 6);
INSERT INTO t VALUES (7, 7);
BEGIN;
SELECT ids, count(*), count(DISTINCT id) AS watching, count(*) FILTER (WHERE more) AS more FROM polled() GROUP BY ids ORDER BY ids;
ROLLBACK;
SET ROLE regress_live_user;
SELECT * FROM polled();
SELECT * FROM polled();
INSERT INTO t VALUES (8, 8);
RESET ROLE;
INSERT INTO t VALUES (8, 8);
SET ROLE regress_live_other;
SELECT ids, more FROM polled(3);
BEGIN;
SELECT ids, more FROM polled();
SAVEPOINT a;
RESET ROLE;
SELECT * FROM polled();
ROLLBACK TO a;
SELECT * FROM polled();
ROLLBACK;
SET ROLE regress_live_user;
SELECT * FROM polled();
SET ROLE regress_live_other;
SELECT ids, more FROM polled();
RESET ROLE;
SELECT * FROM polled();

-- Code of another role that runs in this session acts for its own role.
GRANT CREATE ON SCHEMA public TO regress_live_other;
SET ROLE regress_live_other;
CREATE TABLE loot (what text, how_many bigint);
CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO loot SELECT 'polled ' || subscription_id, count(*) FROM live.poll() GROUP BY subscription_id;
    INSERT INTO loot SELECT 'channels', count(channel) FROM live_queries WHERE username = 'regress_live_user';
    INSERT INTO loot SELECT 'ended', live.unsubscribe_all();
    CALL act('user''s');
    UNLISTEN *;
    RETURN NULL;
END
$$;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM regress_live_other;
CREATE TABLE u (id int);
GRANT ALL ON u TO regress_live_user;
CREATE TRIGGER steal AFTER INSERT ON u EXECUTE FUNCTION steal();
INSERT INTO t VALUES (9, 9);
SET ROLE regress_live_user;
SELECT live.wait_for(timeout => '60s');
INSERT INTO u VALUES (1);
SELECT * FROM polled();
RESET ROLE;
SELECT * FROM loot ORDER BY what;
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid();

-- A wrapper with SECURITY DEFINER subscribes for its owner. Its callers go through such wrappers from then on.
GRANT CREATE ON SCHEMA public TO regress_live_user;
SET ROLE regress_live_user;
CREATE FUNCTION watch_t(id text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS
    $$SELECT count(*) FROM live.subscribe(id, 'SELECT id FROM t WHERE id > 9', delivery => 'poll')$$;
CREATE FUNCTION first_of_t(id text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$SELECT count(*) FROM live.snapshot(id)$$;
CREATE FUNCTION next_of_t() RETURNS SETOF json LANGUAGE sql SECURITY DEFINER AS $$SELECT message->'changes' FROM live.poll()$$;
CREATE FUNCTION leave_t(id text) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$SELECT live.unsubscribe(id)$$;
SELECT live.unsubscribe('user''s');
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM regress_live_user;
CREATE ROLE regress_live_caller;
SET SESSION AUTHORIZATION regress_live_caller;
SELECT watch_t('wrapped');
SELECT first_of_t('wrapped');
CALL act('wrapped');
RESET SESSION AUTHORIZATION;
INSERT INTO t VALUES (10, 10);
SET SESSION AUTHORIZATION regress_live_caller;
SELECT * FROM polled();
SELECT * FROM next_of_t();
SELECT live.unsubscribe_all();
SELECT leave_t('wrapped');
SELECT leave_t('wrapped');
RESET SESSION AUTHORIZATION;

-- A termination that waits for live.poll is its role's as well.
SET ROLE regress_live_user;
SELECT count(*) FROM live.subscribe('ended', 'SELECT id FROM t', "snapshot" => false, delivery => 'poll');
RESET ROLE;
SELECT live.kill(live_id) FROM live_queries WHERE subscription_id = 'ended' AND status = 'active';
SELECT live.wait_for(timeout => '60s');
SET ROLE regress_live_other;
SELECT live.unsubscribe('ended'), live.unsubscribe_all();
SELECT * FROM polled();
-- Until it has been told, nobody else may use the id.
SELECT live.subscribe('ended', 'SELECT id FROM t', delivery => 'poll');
SET ROLE regress_live_user;
BEGIN;
SELECT * FROM polled();
SELECT * FROM polled();
ROLLBACK;
SELECT * FROM polled();
SET ROLE regress_live_other;
SELECT count(*) FROM live.subscribe('ended', 'SELECT id FROM t', delivery => 'poll');
SELECT live.unsubscribe('ended');
RESET ROLE;

-- That it is over because the session has lost its role is told to the session, but to no function of another role.
SET SESSION AUTHORIZATION regress_live_login;
SET ROLE regress_live_user;
SELECT count(*) FROM live.subscribe('lost', 'SELECT id FROM t', "snapshot" => false, delivery => 'poll');
RESET SESSION AUTHORIZATION;
REVOKE regress_live_user FROM regress_live_login;
INSERT INTO t VALUES (12, 12);
SET SESSION AUTHORIZATION regress_live_login;
SELECT live.wait_for(timeout => '60s');
SELECT count(*) FROM next_of_t();
SELECT * FROM polled();
RESET SESSION AUTHORIZATION;

-- PREPARE TRANSACTION does not speak of the cursor of a snapshot.
BEGIN;
SELECT count(*) FROM live.subscribe('prepared', 'SELECT id FROM t', delivery => 'poll');
PREPARE TRANSACTION 'regress_live_roles';
SELECT live.unsubscribe('prepared');
SELECT count(*) FROM live.subscribe('prepared', 'SELECT id FROM t', "snapshot" => false, delivery => 'poll');
BEGIN;
SAVEPOINT a;
SELECT live.refresh('prepared');
PREPARE TRANSACTION 'regress_live_roles';
BEGIN;
SELECT live.unsubscribe('prepared');
PREPARE TRANSACTION 'regress_live_roles';
SELECT live.unsubscribe('prepared');
-- Rolled back to before it, there is nothing to refuse.
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM live.subscribe('prepared', 'SELECT id FROM t', delivery => 'poll');
ROLLBACK TO a;
INSERT INTO t VALUES (11, 11);
PREPARE TRANSACTION 'regress_live_roles';
ROLLBACK PREPARED 'regress_live_roles';

DROP FUNCTION watch_t, first_of_t, next_of_t, leave_t, polled;
DROP PROCEDURE act;
DROP TABLE t, u, loot;
DROP FUNCTION steal;
DROP ROLE regress_live_login, regress_live_user, regress_live_other, regress_live_heir, regress_live_caller;
