-- The functions of schema live, one after the other.
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total numeric, status text);
ALTER TABLE orders REPLICA IDENTITY FULL;
INSERT INTO orders
SELECT i, i % 3, i * 1.5, CASE WHEN i % 2 = 0 THEN 'open' ELSE 'closed' END
FROM generate_series(1, 9) i;

-- Positional arguments and defaults: no parameters, a snapshot, notifications.
SELECT live_id = concat_ws('-', current_user, connection_id, 'all') AS live_id,
       s.channel = v.channel AS channel, s.channel ~ '^live_queries_[0-9a-f]{32}$' AS shape,
       s.strategy, s.seq ~ '^[0-9A-F]{16}$' AS seq
FROM live.subscribe('all', 'SELECT * FROM orders') s JOIN live_queries v USING (live_id);
SELECT live_id = concat_ws('-', current_user, connection_id, 'all') AS live_id, query, params, tables,
       strategy, status, delivery, database = current_database() AS database,
       username = current_user AS username
FROM live_queries WHERE pid = pg_backend_pid();
-- This connection listens to its channel.
SELECT count(*) FROM pg_listening_channels() c JOIN live_queries ON channel = c
WHERE pid = pg_backend_pid();

-- Named arguments in any order; the second subscription has the channel of the first.
SELECT strategy, channel = (SELECT channel FROM live_queries
    WHERE pid = pg_backend_pid() AND subscription_id = 'all') AS same_channel
FROM live.subscribe(delivery => 'poll', "snapshot" => true, params => ARRAY['1', 'open'],
  query => 'SELECT id, total FROM orders WHERE customer_id = $1 AND status = $2 ORDER BY id',
  subscription_id => 'some');
SELECT subscription_id, query, params, delivery FROM live_queries
WHERE pid = pg_backend_pid() ORDER BY 1;

-- The snapshot: at once, and in batches. What is read to its end stays empty.
SELECT * FROM live.snapshot('some');
SELECT * FROM live.snapshot('some');
SELECT count(*) FROM live.subscribe('batches', 'SELECT id FROM orders ORDER BY id DESC', delivery => 'poll');
SELECT * FROM live.snapshot('batches', 4);
-- Changes wait until the snapshot has been read.
INSERT INTO orders VALUES (10, 0, 1, 'new');
SELECT * FROM feed();
SELECT * FROM live.snapshot('batches', max_rows => 4);
SELECT * FROM feed();
SELECT * FROM live.snapshot(subscription_id => 'batches', max_rows => 4);
SELECT * FROM feed();
SELECT * FROM live.snapshot('batches', 4);
-- Fewer rows than asked for is the end; as many as there are is not yet.
SELECT count(*) FROM live.subscribe('exact', 'SELECT id FROM orders WHERE id <= 2 ORDER BY id', delivery => 'poll');
SELECT * FROM live.snapshot('exact', 2);
DELETE FROM orders WHERE id = 2;
SELECT * FROM feed() WHERE id = 'exact';
SELECT * FROM live.snapshot('exact', 2);
SELECT * FROM feed() WHERE id = 'exact';
-- Without a snapshot, changes flow from the first.
SELECT count(*) FROM live.subscribe('none', 'SELECT id FROM orders', "snapshot" => false, delivery => 'poll');
SELECT * FROM live.snapshot('none');
INSERT INTO orders VALUES (2, 2, 3, 'open');
SELECT * FROM feed() WHERE id = 'none';

-- live.unsubscribe is idempotent.
SELECT live.unsubscribe('none');
SELECT live.unsubscribe('none');
SELECT live.unsubscribe('never was');
SELECT live.unsubscribe(subscription_id => 'exact');
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
-- The name is free again.
CALL watch('exact', 'SELECT id FROM orders WHERE id <= 2');
SELECT live.unsubscribe_all();
SELECT live.unsubscribe_all();
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid();
INSERT INTO orders VALUES (11, 0, 1, 'new');
SELECT * FROM feed();

-- Ids: any text of 1 to 128 bytes.
CALL watch('an id with "quotes", - dashes and ünïcödé', 'SELECT id FROM orders');
CALL watch(repeat('x', 128), 'SELECT id FROM orders WHERE false');
INSERT INTO orders VALUES (12, 0, 1, 'new');
SELECT * FROM feed();
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid()
ORDER BY subscription_id COLLATE "C";
SELECT live.unsubscribe_all();

-- live.poll: at most max_messages, oldest first; seq never decreases.
CALL watch('a', 'SELECT id FROM orders');
INSERT INTO orders VALUES (13, 0, 1, 'new');
INSERT INTO orders VALUES (14, 0, 1, 'new');
INSERT INTO orders VALUES (15, 0, 1, 'new');
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, message->'changes' AS changes FROM live.poll(0);
SELECT subscription_id, message->'changes' AS changes FROM live.poll(2);
SELECT subscription_id, message->'changes' AS changes FROM live.poll(max_messages => 2, timeout => '1min');
SELECT subscription_id, message->'changes' AS changes FROM live.poll(timeout => '1ms');
-- The fields of a message.
INSERT INTO orders VALUES (16, 0, 1, 'new') RETURNING pg_current_xact_id()::text AS xid \gset
SELECT live.wait_for(timeout => '1min');
SELECT p.seq = message->>'seq' AS seq, message->>'xid' = :'xid' AS xid,
       (message->>'committed_at')::timestamptz BETWEEN now() - interval '1 day' AND clock_timestamp()
         AS committed_at,
       message->>'committed_at' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$' AS in_utc,
       message->>'more' AS more, message->>'type' AS type,
       (SELECT string_agg(key, ' ') FROM json_object_keys(message) key) AS keys
FROM live.poll() p;
-- Two subscriptions of one transaction: only the last message says that there is no more.
CALL watch('b', 'SELECT id FROM orders WHERE id > 0');
INSERT INTO orders VALUES (17, 0, 1, 'new');
SELECT live.wait_for(timeout => '60s');
SELECT row_number() OVER () AS number, message->>'more' AS more,
       seq = first_value(seq) OVER () AS same_seq
FROM live.poll();
-- live.wait_for knows a position that was not reached yet.
SELECT live.wait_for(pg_current_wal_insert_lsn() + 1000000000, '10ms');
SELECT live.wait_for(lsn => '0/1');
SELECT live.unsubscribe_all();
-- Nobody waits where nothing is watched.
SELECT live.wait_for('FFFFFFFF/0', '1min') FROM (SELECT) one
WHERE NOT EXISTS (SELECT FROM live_queries WHERE status <> 'terminated');

-- pause and resume: held back, not lost.
CALL watch('a', 'SELECT id, status FROM orders WHERE id > 100');
CALL watch('b', 'SELECT id FROM orders WHERE id > 100');
SELECT live.pause('a');
SELECT live.pause(subscription_id => 'a');
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
INSERT INTO orders VALUES (101, 0, 1, 'new');
UPDATE orders SET status = 'open' WHERE id = 101;
SELECT * FROM feed();
SELECT live.resume('a');
SELECT live.resume(subscription_id => 'a');
SELECT * FROM feed();
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
-- Paused, a subscription can be refreshed and stays paused.
SELECT live.pause('a');
INSERT INTO orders VALUES (102, 0, 1, 'new');
SELECT live.refresh('a');
SELECT subscription_id, status FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
SELECT * FROM live.snapshot('a');
INSERT INTO orders VALUES (103, 0, 1, 'new');
SELECT * FROM feed() WHERE id = 'a';
SELECT live.resume('a');
SELECT * FROM feed() WHERE id = 'a';

-- refresh: a new snapshot, and what is not in it.
SELECT live.refresh(subscription_id => 'a');
INSERT INTO orders VALUES (104, 0, 1, 'new');
SELECT * FROM feed() WHERE id = 'a';
SELECT key FROM live.snapshot('a');
SELECT * FROM feed() WHERE id = 'a';
-- What was waiting and is in the new snapshot is not sent.
INSERT INTO orders VALUES (105, 0, 1, 'new');
SELECT live.refresh('a');
SELECT key FROM live.snapshot('a');
SELECT * FROM feed() WHERE id = 'a';
-- Nor is what was waiting when it was unsubscribed.
INSERT INTO orders VALUES (106, 0, 1, 'new');
SELECT live.wait_for(timeout => '60s');
BEGIN;
SELECT live.unsubscribe('a');
SELECT * FROM feed() WHERE id = 'a';
ROLLBACK;
SELECT * FROM feed() WHERE id = 'a';
INSERT INTO orders VALUES (107, 0, 1, 'new');
SELECT live.wait_for(timeout => '60s');
SELECT count(*) FROM live.poll(0);
SELECT live.refresh('a');
SELECT count(*) FROM live.snapshot('a');
SELECT * FROM feed() WHERE id = 'a';
-- Counters go on over a refresh.
SELECT messages >= 5 AS messages, changes >= 5 AS changes, resets FROM live_queries
WHERE pid = pg_backend_pid() AND subscription_id = 'a';

-- live.kill: of a live_id as the view shows it; the client is told.
SELECT live.kill(live_id => live_id) FROM live_queries
WHERE pid = pg_backend_pid() AND subscription_id = 'b';
SELECT live.kill('nobody-1-nothing');
SELECT id, replace(change, current_user, '(me)') AS change FROM feed();
SELECT live.unsubscribe('b');
SELECT subscription_id, status, replace(error, current_user, '(me)') AS error FROM live_queries
WHERE pid = pg_backend_pid() AND subscription_id = 'b';
-- The id can be used again.
CALL watch('b', 'SELECT id FROM orders');
SELECT status, count(*) FROM live_queries
WHERE pid = pg_backend_pid() AND subscription_id = 'b' GROUP BY 1 ORDER BY 1;

-- live.explain.
SELECT * FROM live.explain('SELECT id, total FROM orders WHERE customer_id = $1 AND total > 5', ARRAY['42']);
SELECT * FROM live.explain(query => 'SELECT id FROM orders', params => '{}');
-- It refuses what subscribe refuses, and registers nothing.
SELECT * FROM live.explain('SELECT count(*) FROM orders');
SELECT count(*) FROM live_queries WHERE query LIKE '%customer_id = $1 AND total%';

DROP TABLE orders;
