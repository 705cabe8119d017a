-- The views live_queries and live.workers, and live.stats().
CREATE TABLE t (id int PRIMARY KEY, val int);
ALTER TABLE t REPLICA IDENTITY FULL;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'live_queries'::regclass AND attnum > 0 ORDER BY attnum;
SELECT count(*) FROM live.subscribe('seen', 'SELECT * FROM t WHERE val > $1', ARRAY['0'], delivery => 'poll');
CALL watch('quiet', 'SELECT * FROM t WHERE val < $1', '0');
SELECT live_id = format('%s-%s-%s', username, connection_id, subscription_id) AS live_id,
       database = current_database() AS database, username = current_user AS username,
       query, params, tables, strategy, status, delivery, channel LIKE 'live_queries_%' AS channel,
       created_at <= clock_timestamp() AS created_at, seq, pending_messages, pending_bytes, messages,
       changes, resets, last_delivered_at, error
FROM live_queries WHERE pid = pg_backend_pid() ORDER BY subscription_id;
-- Two subscriptions of one connection share connection and channel.
SELECT count(DISTINCT connection_id), count(DISTINCT channel) FROM live_queries WHERE pid = pg_backend_pid();
-- What they take of shared memory: of what is there once for several, each shows its part.
CREATE PROCEDURE long_query() LANGUAGE plpgsql AS $$
BEGIN
  PERFORM live.subscribe('long', 'SELECT id FROM t WHERE val = $1' || repeat(' /* a comment */', 900), ARRAY['1'], "snapshot" => false, delivery => 'poll');
  COMMIT;
END $$;
SELECT sum(memory_bytes) AS before FROM live_queries WHERE pid = pg_backend_pid() \gset
CALL long_query();
SELECT memory_bytes AS alone FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'long' \gset
SELECT live.subscribe('long, too', query, ARRAY['2'], "snapshot" => false, delivery => 'poll') IS NOT NULL AS subscribed
FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'long';
SELECT :before BETWEEN 1000 AND 20000 AS small, :alone > 10000 AS large;
SELECT memory_bytes < 0.75 * :alone AS has_a_part FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id LIKE 'long%';
SELECT sum(memory_bytes) - :before BETWEEN :alone AND :alone + 1024 AS adds_up FROM live_queries WHERE pid = pg_backend_pid();
SELECT live.unsubscribe('long') AND live.unsubscribe('long, too') AS ended;
SELECT sum(memory_bytes) = :before AS given_back FROM live_queries WHERE pid = pg_backend_pid();
DROP PROCEDURE long_query;
CREATE ROLE regress_live_looks;
SET ROLE regress_live_looks;
SELECT count(*), count(memory_bytes) AS shown FROM live_queries WHERE pid = pg_backend_pid();
RESET ROLE;
DROP ROLE regress_live_looks;
-- Counters.
INSERT INTO t VALUES (1, 1), (2, 2);
INSERT INTO t VALUES (3, 3);
SELECT count(*) FROM live.snapshot('seen');
SELECT id, count(*) FROM feed() GROUP BY id;
SELECT subscription_id, messages, changes, resets, pending_messages, pending_bytes,
       seq ~ '^[0-9A-F]{16}$' AS seq, last_delivered_at BETWEEN created_at AND clock_timestamp() AS delivered
FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
-- Only where something has waited is there memory for what waits.
SELECT name, count(*) FROM pg_backend_memory_contexts
WHERE name IN ('live_queries subscription', 'live_queries record queue') GROUP BY name ORDER BY name COLLATE "C";
-- A paused subscription.
SELECT live.pause('seen');
SELECT status FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'seen';
SELECT live.resume('seen');
-- The worker.
SELECT pid IS NOT NULL AS pid, state, started_at <= clock_timestamp() AS started_at,
       slot_name LIKE 'live_queries_%' AS slot_name, handled_lsn > '0/0' AS handled_lsn, lag_bytes >= 0 AS lag,
       retained_wal_bytes >= 0 AS retained, memory_bytes > 0 AS memory, subscriptions, templates,
       transactions > 0 AS transactions, changes_decoded > 0 AS decoded, changes_matched > 0 AS matched,
       messages > 0 AS messages, problem
FROM live.workers WHERE kind = 'decoder' AND database = current_database();
SELECT backend_type, application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid = (SELECT pid FROM live.workers WHERE kind = 'decoder' AND database = current_database());
SELECT slot_type, temporary, active FROM pg_replication_slots
WHERE slot_name = (SELECT slot_name FROM live.workers WHERE kind = 'decoder' AND database = current_database());
SELECT databases >= 1 AS databases, subscriptions >= 2 AS subscriptions, lag_bytes >= 0 AS lag,
       memory_bytes > 0 AS memory, transactions > 0 AS transactions, messages > 0 AS messages,
       errors IS NOT NULL AS errors FROM live.stats();
-- Two of one shape share a template; what evaluations cost is known for each worker, and of all together.
CREATE TABLE u (id int PRIMARY KEY, val int);
CALL watch('one of a shape', 'SELECT a.id, b.val FROM u a JOIN u b USING (id) WHERE a.val = $1', '1');
CALL watch('another', 'SELECT a.id, b.val FROM u a JOIN u b USING (id) WHERE a.val = $1', '2');
INSERT INTO u VALUES (1, 1);
SELECT count(*) FROM feed();
SELECT subscriptions, templates, evaluations > 0 AS evaluations, refreshes, probe_ms >= 0 AS probe, query_ms > 0 AS query,
       difference_ms > 0 AS difference, lapses >= 0 AS lapses, snapshot_age BETWEEN '0' AND '1 minute' AS snapshot_age
FROM live.workers WHERE kind = 'evaluator' AND database = current_database();
SELECT (batches, evaluations, refreshes, lapses) = (SELECT sum(batches), sum(evaluations), sum(refreshes), sum(lapses) FROM live.workers) AS counted,
       probe_ms >= 0 AND query_ms > 0 AND difference_ms > 0 AS timed, snapshot_age < '1 minute' AS young FROM live.stats();
SELECT live.unsubscribe(id) FROM unnest('{one of a shape,another}'::text[]) id;
DROP TABLE u;
-- What is not watched is ignored.
CREATE TABLE unwatched (id int);
SELECT changes_ignored AS before FROM live.workers WHERE kind = 'decoder' AND database = current_database() \gset
INSERT INTO unwatched VALUES (1), (2);
SELECT live.wait_for(timeout => '60s');
SELECT changes_ignored - :before AS ignored FROM live.workers WHERE kind = 'decoder' AND database = current_database();
DROP TABLE unwatched;
-- The terminated stay for a while, with the reason.
DROP TABLE t;
SELECT id, change FROM feed();
SELECT subscription_id, status, delivery, channel, pending_messages, messages, changes, error, memory_bytes FROM live_queries
WHERE pid = pg_backend_pid() ORDER BY 1;
-- What has been unsubscribed does not.
CREATE TABLE t (id int PRIMARY KEY);
CALL watch('short', 'SELECT id FROM t');
SELECT live.unsubscribe('short');
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'short';
DROP TABLE t;
-- The extension goes with all that it has; what was subscribed is over.
CREATE TABLE t (id int PRIMARY KEY);
CALL watch('last', 'SELECT id FROM t');
BEGIN;
DROP EXTENSION live_queries;
ROLLBACK;
INSERT INTO t VALUES (1);
SELECT * FROM feed();
DROP TABLE t;
