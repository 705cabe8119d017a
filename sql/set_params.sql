-- live.set_params: the difference between the results of two parameters, in one message.
CREATE TABLE items (id int PRIMARY KEY, kind int, txt text);
ALTER TABLE items REPLICA IDENTITY FULL;
CREATE TABLE kinds (kind int PRIMARY KEY, name text);
CREATE TABLE log (kind int, txt text);
ALTER TABLE log REPLICA IDENTITY FULL;
INSERT INTO items SELECT n, n % 4, 'item ' || n FROM generate_series(1, 12) AS n;
INSERT INTO kinds SELECT n, 'kind ' || n FROM generate_series(0, 3) AS n;
INSERT INTO log VALUES (1, 'a'), (1, 'a'), (2, 'a'), (2, 'b');

CREATE FUNCTION told(OUT id text, OUT xid text, OUT more text, OUT change json)
RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  RETURN QUERY
    SELECT p.subscription_id, CASE WHEN p.message->>'xid' IS NULL AND p.message->'xids' IS NULL THEN 'null' ELSE 'some' END,
           p.message->>'more', c.value
    FROM live.poll() WITH ORDINALITY AS p(seq, subscription_id, message, number)
    LEFT JOIN json_array_elements(p.message->'changes') WITH ORDINALITY AS c(value, place) ON true
    ORDER BY p.number, p.message->'changes'->0->>'op', c.value->>'op', c.value::text COLLATE "C";
END $$;
-- As they come.
CREATE FUNCTION listed(which text, OUT id text, OUT xid text, OUT more text, OUT change json)
RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  RETURN QUERY
    SELECT p.subscription_id, CASE WHEN p.message->>'xid' IS NULL AND p.message->'xids' IS NULL THEN 'null' ELSE 'some' END,
           p.message->>'more', c.value
    FROM live.poll() WITH ORDINALITY AS p(seq, subscription_id, message, number),
      json_array_elements(p.message->'changes') WITH ORDINALITY AS c(value, place)
    WHERE p.subscription_id = which ORDER BY p.number, c.place;
END $$;
CREATE FUNCTION start(id text, query text, params text[], OUT strategy text, OUT rows bigint) LANGUAGE plpgsql AS $$
BEGIN
  SELECT s.strategy INTO strategy FROM live.subscribe(id, query, params, delivery => 'poll') AS s;
  SELECT count(*) INTO rows FROM live.snapshot(id);
END $$;

-- Each strategy: deletes, updates and inserts; then changes of the new result come.
SELECT * FROM start('stream', 'SELECT id, txt FROM items WHERE kind = $1', '{1}');
SELECT * FROM start('bag', 'SELECT txt FROM log WHERE kind = $1', '{1}');
SELECT * FROM start('delta', 'SELECT i.id, k.name FROM items i JOIN kinds k USING (kind) WHERE i.kind = $1 AND i.id < $2', '{1,9}');
SELECT * FROM start('grouped', 'SELECT kind, count(*) AS n FROM items WHERE id <= $1 GROUP BY kind', '{10}');
SELECT * FROM start('refresh', 'WITH RECURSIVE r(n) AS (SELECT kind FROM kinds WHERE kind = $1 UNION SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r', '{0}');
SELECT live.set_params('stream', '{2}');
SELECT * FROM told();
SELECT live.set_params('bag', '{2}');
SELECT * FROM told();
SELECT live.set_params('delta', '{1,6}');
SELECT * FROM told();
SELECT live.set_params('grouped', '{7}');
SELECT * FROM told();
SELECT live.set_params('refresh', '{2}');
SELECT * FROM told();
INSERT INTO items VALUES (2000, 2, 'two'), (1000, 1, 'one');
UPDATE kinds SET name = 'one' WHERE kind = 1;
DELETE FROM log WHERE txt = 'a';
SELECT DISTINCT id, xid, change::text FROM told() ORDER BY 1, 3;
SELECT subscription_id, strategy, params, status FROM live_queries WHERE status <> 'terminated' ORDER BY 1;

-- Lists, of which rows move: a page turns, its size and its order change; also without a key.
SELECT * FROM start('page', 'SELECT id, txt FROM items WHERE id < 100 ORDER BY kind DESC, id LIMIT $1 OFFSET $2', '{4,0}');
SELECT live.set_params('page', '{4,2}');
SELECT id, xid, more, change::text FROM listed('page');
SELECT live.set_params('page', '{6,2}');
SELECT id, xid, more, change::text FROM listed('page');
UPDATE items SET kind = 7 WHERE id = 8;
SELECT live.set_params('page', '{3,0}');
SELECT id, xid, more, change::text FROM listed('page');
UPDATE items SET kind = 0 WHERE id = 8;
SELECT id, xid, more, change::text FROM listed('page');
SELECT * FROM start('order', 'SELECT id FROM items WHERE id < 5 ORDER BY CASE WHEN $1 THEN id ELSE -id END LIMIT 4', '{t}');
SELECT live.set_params('order', '{f}');
SELECT id, xid, more, change::text FROM listed('order');
SELECT * FROM start('equals', 'SELECT txt FROM (SELECT txt FROM log UNION ALL VALUES (''a''), (''c''), (''a'')) l ORDER BY txt = $1, txt LIMIT 4', '{b}');
SELECT live.set_params('equals', '{a}');
SELECT id, xid, more, change::text FROM listed('equals');
SELECT live.set_params('equals', '{c}');
SELECT live.set_params('equals', '{d}');
SELECT id, xid, more, change::text FROM listed('equals');
SELECT live.unsubscribe(id) FROM unnest(ARRAY['page', 'order', 'equals']) AS id;

-- The same parameters, or others that give the same: no message.
SELECT live.set_params('stream', '{2}');
SELECT live.set_params('delta', '{1,5}');
SELECT live.set_params('delta', '{1,6}');
SELECT live.set_params('grouped', '{7}');
SELECT * FROM told();

-- Another strategy: without a condition, the new row says it all.
SELECT * FROM start('either', 'SELECT kind FROM kinds WHERE $1::text IS NULL OR name = $1', '{NULL}');
SELECT live.set_params('either', '{kind 2}');
SELECT * FROM told();
SELECT strategy, params FROM live_queries WHERE subscription_id = 'either' AND status = 'active';
UPDATE kinds SET name = 'two' WHERE kind = 2;
SELECT live.set_params('either', '{NULL}');
SELECT * FROM told();
UPDATE kinds SET kind = 4 WHERE kind = 2;
SELECT * FROM told();
UPDATE kinds SET kind = 2, name = 'kind 2' WHERE kind = 4;
SELECT * FROM told();
SELECT strategy, params FROM live_queries WHERE subscription_id = 'either' AND status = 'active';

-- Behind what the old parameters have still to tell.
UPDATE items SET txt = 'changed' WHERE kind = 2 AND id < 5;
SELECT live.set_params('stream', '{3}');
UPDATE items SET txt = 'changed' WHERE kind = 3 AND id < 5;
SELECT * FROM told();
-- While it is paused, too.
SELECT live.pause('stream');
UPDATE items SET txt = 'again' WHERE kind = 3 AND id < 5;
SELECT live.set_params('stream', '{2}');
UPDATE items SET txt = 'again' WHERE kind = 2 AND id < 5;
SELECT live.set_params('stream', '{1}');
SELECT * FROM told();
SELECT status, params FROM live_queries WHERE subscription_id = 'stream';
SELECT live.resume('stream');
SELECT * FROM told();

-- A rollback: the old parameters go on.
BEGIN;
SELECT live.set_params('stream', '{2}');
SELECT live.set_params('delta', '{2,20}');
SELECT * FROM live.poll();
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT live.set_params('stream', '{2}');
ROLLBACK TO a;
SELECT live.set_params('delta', '{2,20}');
SAVEPOINT b;
SELECT live.set_params('delta', '{3,20}');
ROLLBACK TO b;
COMMIT;
UPDATE items SET txt = 'last' WHERE id IN (1, 2, 3);
SELECT id, xid, change::text FROM told();
SELECT params FROM live_queries WHERE subscription_id IN ('stream', 'delta') ORDER BY subscription_id;
-- Twice in one transaction, and with what it subscribed to itself.
BEGIN;
SELECT * FROM start('new', 'SELECT id FROM items WHERE kind = $1', '{0}');
SELECT live.set_params('new', '{1}');
SELECT live.set_params('new', '{3}');
SELECT params FROM live_queries WHERE subscription_id = 'new' AND status <> 'terminated';
COMMIT;
SELECT * FROM told();

-- A large difference comes in parts.
CREATE TABLE large (id int PRIMARY KEY, half int, txt text);
ALTER TABLE large REPLICA IDENTITY FULL;
INSERT INTO large SELECT n, n % 2, repeat(md5(n::text), 40) FROM generate_series(1, 2000) AS n;
SELECT * FROM start('large', 'SELECT id, txt FROM large WHERE half = $1', '{0}');
SET work_mem = '64kB';
SELECT live.set_params('large', '{1}');
RESET work_mem;
SELECT count(*) > 5 AS parts, bool_and(octet_length(message::text) < 300000) AS small, count(DISTINCT seq) AS points,
       count(*) FILTER (WHERE NOT (message->>'more')::boolean) AS last, sum(json_array_length(message->'changes')) AS changes
FROM live.poll();
SELECT messages > 5 AS parts, changes FROM live_queries WHERE subscription_id = 'large';

-- What is wrong.
SELECT live.set_params('nothing', '{1}');
SELECT live.set_params(NULL, '{1}');
SELECT live.set_params('stream', '{}');
SELECT live.set_params('stream', NULL);
SELECT live.set_params('stream', '{1,2}');
SELECT live.set_params('stream', '{x}');
SELECT live.set_params('stream', '{{1},{2}}');
SELECT strategy FROM live.subscribe('unread', 'SELECT id FROM items WHERE kind = $1', '{1}', delivery => 'poll');
SELECT live.set_params('unread', '{2}');
SELECT count(*) FROM live.snapshot('unread', 1);
SELECT live.set_params('unread', '{2}');
SELECT count(*) FROM live.snapshot('unread');
SELECT live.set_params('unread', '{2}');
SELECT count(*) FROM told() WHERE id = 'unread';
BEGIN;
INSERT INTO kinds VALUES (9, 'nine');
SELECT live.set_params('stream', '{2}');
ROLLBACK;
-- One that was reset, until it is refreshed.
TRUNCATE kinds;
SELECT id, change FROM told() WHERE id = 'delta';
SELECT live.set_params('delta', '{1,30}');
SELECT live.refresh('delta');
SELECT count(*) FROM live.snapshot('delta');
SELECT live.set_params('delta', '{1,30}');
-- The key would be another one: one item names the row no more.
SELECT * FROM start('key', 'SELECT a.id, b.id AS other FROM items a JOIN items b ON CASE WHEN $1::int IS NULL THEN b.id = a.id ELSE b.kind = $1 END', '{NULL}');
SELECT live.set_params('key', '{1}');
-- With a row that the query fails for, the old result goes on.
SELECT * FROM start('fails', 'SELECT id, 1 / (id - $1) AS n FROM items WHERE id < 4', '{9}');
SELECT live.set_params('fails', '{3}');
SELECT live.set_params('fails', '{5}');
SELECT * FROM told() WHERE id = 'fails';
-- Columns that were added since.
SELECT * FROM start('star', 'SELECT * FROM items WHERE kind = $1', '{1}');
ALTER TABLE items ADD COLUMN note text;
SELECT live.wait_for(timeout => '60s');
SELECT live.set_params('star', '{2}');
SELECT live.refresh('star');
SELECT count(*) FROM live.snapshot('star');
SELECT live.set_params('star', '{2}');
SELECT change FROM told() WHERE id = 'star' LIMIT 1;
-- What is throttled.
SELECT strategy FROM live.subscribe('throttled', 'SELECT id FROM items WHERE kind = $1', '{1}', "snapshot" => false, delivery => 'poll', throttle => '1s');
SELECT live.set_params('throttled', '{2}');
-- The clock is asked, before or after.
SELECT * FROM start('clock', 'SELECT id FROM items WHERE $1::int IS NULL OR now() > to_timestamp($1)', '{1}');
SELECT live.set_params('clock', '{2}');
SELECT live.set_params('clock', '{NULL}');
SELECT * FROM start('no clock', 'SELECT id FROM items WHERE $1::int IS NULL OR now() > to_timestamp($1)', '{NULL}');
SELECT live.set_params('no clock', '{1}');
-- What it reads is another thing by now, whether its client has been told or not.
CREATE VIEW seen AS SELECT id, kind FROM items WHERE id < 100;
SELECT * FROM start('view', 'SELECT id FROM seen WHERE kind = $1', '{1}');
CREATE OR REPLACE VIEW seen AS SELECT id, kind FROM items WHERE id < 6;
DO $$
BEGIN
  PERFORM live.set_params('view', '{2}');
EXCEPTION WHEN object_not_in_prerequisite_state THEN
  RAISE NOTICE 'refused';
END $$;
SELECT id, change FROM told() WHERE id = 'view';
SELECT live.refresh('view');
SELECT count(*) FROM live.snapshot('view');
SELECT live.set_params('view', '{2}');
SELECT change FROM told() WHERE id = 'view';
SELECT live.unsubscribe_all();
DROP VIEW seen;

-- Whose it is; and what its role may read.
CREATE ROLE regress_live_reader;
CREATE ROLE regress_live_other;
GRANT SELECT ON items TO regress_live_reader;
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON items USING (txt <> current_setting('app.hidden'));
SET app.hidden = 'item 5';
SET ROLE regress_live_reader;
SELECT * FROM start('role', 'SELECT id FROM items WHERE kind = $1', '{0}');
SET ROLE regress_live_other;
SELECT live.set_params('role', '{1}');
-- By another role that may become it, and as the session was then.
RESET ROLE;
SET app.hidden = 'item 9';
SELECT live.set_params('role', '{1}');
SET ROLE regress_live_reader;
SELECT id, change FROM told() WHERE change->>'op' = 'insert';
SELECT username, params FROM live_queries WHERE subscription_id = 'role';
RESET ROLE;
SELECT live.unsubscribe_all();
DROP TABLE items, kinds, log, large;
DROP ROLE regress_live_reader, regress_live_other;
DROP FUNCTION told, listed, start;
