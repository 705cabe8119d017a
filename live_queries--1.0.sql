/* live_queries 1.0 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION live_queries" to load this file. \quit

CREATE SCHEMA live;
COMMENT ON SCHEMA live IS 'live queries: subscribe to the result of a query';
GRANT USAGE ON SCHEMA live TO PUBLIC;

CREATE FUNCTION live.subscribe(
    subscription_id text,
    query text,
    params text[] DEFAULT '{}',
    "snapshot" boolean DEFAULT true,
    delivery text DEFAULT 'notify',
    throttle interval DEFAULT '0',
    refresh_every interval DEFAULT '1s')
RETURNS TABLE (live_id text, channel text, strategy text, seq text, history text, columns json)
AS 'MODULE_PATHNAME', 'live_queries_subscribe' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.subscribe(text, text, text[], boolean, text, interval, interval) IS
'Registers a live query for this connection. params are $1..$n as text. Read live.snapshot to its end, then changes arrive as notifications on channel (delivery ''notify''), or from live.poll (''poll''). throttle: at least so long between two messages, each of which is then what all that was committed in between comes to. Takes effect at commit. seq is a position of the log that history names (system identifier and timeline): two of them compare within one history only. columns: name and type of each result column, and its places from 0 in the key and in the order of the query. refresh_every: the steps in which the clock goes, for a query that asks it (now()). Errors: 22004, 22023, 42710, 0A000, 42501, 55000, 25001, 53400, 53200, 57014, and those of the query.';

CREATE FUNCTION live.subscribe_many(subscriptions jsonb)
RETURNS TABLE (subscription_id text, live_id text, channel text, strategy text, seq text, history text, columns json)
AS 'MODULE_PATHNAME', 'live_queries_subscribe_many' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.subscribe_many(jsonb) IS
'Registers several live queries for this connection, all or none, with first results of one position. subscriptions is an array of objects whose members are the arguments of live.subscribe: subscription_id, query, params (an array), snapshot, delivery, throttle, refresh_every. One row for each, in that order. Errors: those of live.subscribe; their context names the live query.';

CREATE FUNCTION live.snapshot(subscription_id text, max_rows integer DEFAULT NULL)
RETURNS TABLE (key json, "row" json)
AS 'MODULE_PATHNAME', 'live_queries_snapshot' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.snapshot(text, integer) IS
'The next max_rows rows (all, if NULL) of the first result. Fewer than max_rows rows: it is complete, and changes are delivered. A rollback gives back what was read; a LIMIT around the call does not. Errors: 42704, 42501, 22023, 34000, 55006.';

CREATE FUNCTION live.unsubscribe(subscription_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'live_queries_unsubscribe' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.unsubscribe(text) IS
'Ends a live query of this connection at commit. False if there was none. Errors: 42501.';

CREATE FUNCTION live.unsubscribe_all() RETURNS integer
AS 'MODULE_PATHNAME', 'live_queries_unsubscribe_all' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.unsubscribe_all() IS
'Ends at commit all live queries of this connection that the current role may act on. Returns how many.';

CREATE FUNCTION live.pause(subscription_id text) RETURNS void
AS 'MODULE_PATHNAME', 'live_queries_pause' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.pause(text) IS
'Holds the messages of a live query back until live.resume. Errors: 42704, 42501.';

CREATE FUNCTION live.resume(subscription_id text) RETURNS void
AS 'MODULE_PATHNAME', 'live_queries_resume' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.resume(text) IS
'Delivers what was held back by live.pause, or one reset where it was too much. Errors: 42704, 42501.';

CREATE FUNCTION live.refresh(subscription_id text) RETURNS void
AS 'MODULE_PATHNAME', 'live_queries_refresh' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.refresh(text) IS
'Takes a new snapshot, which live.snapshot reads; the feed goes on from it. The answer to a reset. Errors: 42704, 42501, 55000 (it has ended), and those of live.subscribe.';

CREATE FUNCTION live.set_params(subscription_id text, params text[]) RETURNS void
AS 'MODULE_PATHNAME', 'live_queries_set_params' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.set_params(text, text[]) IS
'Gives a live query other parameters at commit. The difference between the two results comes as one message of changes, whose xid is null, behind those that the old parameters still have to tell; none if there is no difference. Errors: 42704, 42501, 55000 (its snapshot is unread, or it was reset, or has ended), 0A000 (the result would have another key, the query asks the clock, or it is throttled), 54000, and those of live.subscribe.';

CREATE FUNCTION live.poll(max_messages integer DEFAULT NULL, timeout interval DEFAULT '0')
RETURNS TABLE (seq text, subscription_id text, message json)
AS 'MODULE_PATHNAME', 'live_queries_poll' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.poll(integer, interval) IS
'The waiting messages of live queries with delivery ''poll'' that the current role may act on, at most max_messages; waits up to timeout for the first. A rollback gives them back. With live_queries.progress_interval, and nothing that is notified, the last one may be of progress, without a subscription_id. Errors: 22023.';

CREATE FUNCTION live.wait_for(lsn pg_lsn DEFAULT NULL, timeout interval DEFAULT '10s')
RETURNS boolean
AS 'MODULE_PATHNAME', 'live_queries_wait_for' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.wait_for(pg_lsn, interval) IS
'Returns true once everything committed up to lsn (NULL: now) is in this connection''s mailbox, false after timeout.';

CREATE FUNCTION live.kill(live_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'live_queries_kill' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.kill(text) IS
'Ends the live query of that live_id, whoever''s it is; its client is told. Needs the role of the live query or pg_signal_backend. False if there is none. Errors: 42501.';

CREATE FUNCTION live.explain(query text, params text[] DEFAULT '{}')
RETURNS TABLE (property text, value text)
AS 'MODULE_PATHNAME', 'live_queries_explain' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION live.explain(text, text[]) IS
'How live.subscribe would watch the query: strategy, tables, key, routing and filter; or the error that it would raise.';

CREATE FUNCTION live.subscriptions(
    of_live_id text DEFAULT NULL, of_connection_id bigint DEFAULT NULL,
    of_subscription_id text DEFAULT NULL, of_pid integer DEFAULT NULL,
    OUT live_id text, OUT connection_id bigint, OUT subscription_id text, OUT pid integer,
    OUT database text, OUT username text, OUT node text, OUT query text, OUT params text,
    OUT tables text, OUT strategy text, OUT status text, OUT delivery text, OUT channel text,
    OUT created_at timestamptz, OUT seq text, OUT pending_messages bigint,
    OUT pending_bytes bigint, OUT messages bigint, OUT changes bigint, OUT resets bigint,
    OUT last_delivered_at timestamptz, OUT error text, OUT memory_bytes bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'live_queries_subscriptions' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION live.subscriptions(text, bigint, text, integer) IS
'The rows of the view live_queries; those of others than are asked for may be left out. The planner sets the arguments by the conditions on the view.';

CREATE FUNCTION live.worker_states(
    OUT database text, OUT kind text, OUT pid integer, OUT state text, OUT started_at timestamptz,
    OUT slot_name text, OUT handled_lsn pg_lsn, OUT lag_bytes bigint, OUT retained_wal_bytes bigint,
    OUT memory_bytes bigint, OUT subscriptions integer, OUT templates bigint,
    OUT transactions bigint, OUT changes_decoded bigint, OUT changes_ignored bigint,
    OUT changes_matched bigint, OUT messages bigint, OUT resets bigint, OUT errors bigint, OUT problem text,
    OUT batches bigint, OUT evaluations bigint, OUT refreshes bigint, OUT probe_ms float8,
    OUT query_ms float8, OUT difference_ms float8, OUT lapses bigint, OUT snapshot_age interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'live_queries_workers' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION live.worker_states() IS 'The rows of the view live.workers.';

CREATE VIEW @extschema@.live_queries AS
    SELECT live_id, connection_id, subscription_id, pid, database, username, node, query,
           params::text[] AS params, tables::text[] AS tables, strategy, status, delivery, channel,
           created_at, seq, pending_messages, pending_bytes, messages, changes, resets,
           last_delivered_at, error, memory_bytes
    FROM live.subscriptions();
COMMENT ON VIEW @extschema@.live_queries IS
'Every live query of the server, and those terminated lately. Of other roles'' only counts are shown, unless to members of pg_read_all_stats.';
GRANT SELECT ON @extschema@.live_queries TO PUBLIC;

CREATE VIEW live.workers AS SELECT * FROM live.worker_states();
COMMENT ON VIEW live.workers IS
'One row for each worker of a database with live queries, its decoder first: how far it is and what it did, for how many subscriptions of how many shapes (templates), and how often one of these was shown changes (evaluations). Of evaluators and refreshers: batches, how many evaluations were of the whole query (refreshes), the time that they took (ms: finding what may be stale, evaluating that, comparing), how often changes were lost before they were read (lapses: all was evaluated then), and how old the state is that their live queries show (snapshot_age).';
GRANT SELECT ON live.workers TO PUBLIC;

CREATE FUNCTION live.stats(
    OUT databases bigint, OUT subscriptions bigint, OUT lag_bytes bigint,
    OUT retained_wal_bytes bigint, OUT memory_bytes bigint, OUT transactions bigint,
    OUT changes_decoded bigint, OUT changes_ignored bigint, OUT changes_matched bigint,
    OUT messages bigint, OUT resets bigint, OUT errors bigint, OUT batches bigint,
    OUT evaluations bigint, OUT refreshes bigint, OUT probe_ms float8, OUT query_ms float8,
    OUT difference_ms float8, OUT lapses bigint, OUT snapshot_age interval)
RETURNS record
BEGIN ATOMIC
    SELECT count(DISTINCT database), sum(subscriptions), max(lag_bytes), max(retained_wal_bytes),
           sum(memory_bytes)::bigint, sum(transactions)::bigint, sum(changes_decoded)::bigint,
           sum(changes_ignored)::bigint, sum(changes_matched)::bigint, sum(messages)::bigint,
           sum(resets)::bigint, sum(errors)::bigint, sum(batches)::bigint,
           sum(evaluations)::bigint, sum(refreshes)::bigint, sum(probe_ms), sum(query_ms),
           sum(difference_ms), sum(lapses)::bigint, max(snapshot_age)
    FROM live.worker_states();
END;
COMMENT ON FUNCTION live.stats() IS 'The totals of live.workers over all databases.';
