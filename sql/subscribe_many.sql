-- live.subscribe_many: several live queries at once, all or none, at one position.
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total numeric, tags int[], doc jsonb);
ALTER TABLE orders REPLICA IDENTITY FULL;
INSERT INTO orders SELECT i, i % 3, i * 1.5, ARRAY[i, i + 1], jsonb_build_object('n', i) FROM generate_series(1, 9) i;
CREATE TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers VALUES (0, 'Ada'), (1, 'Bob'), (2, 'Cleo');

-- One row for each, in the order of the array, and one position for all, whatever the strategy.
SELECT subscription_id, live_id = concat_ws('-', current_user, connection_id, subscription_id) AS live_id,
       s.channel = v.channel AS channel, s.strategy, s.columns,
       s.seq = first_value(s.seq) OVER () AND s.history = first_value(s.history) OVER () AS same_position
FROM live.subscribe_many($$[
    {"subscription_id": "one", "query": "SELECT id, total FROM orders WHERE customer_id = $1 ORDER BY id", "params": [1], "delivery": "poll"},
    {"subscription_id": "names", "query": "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id < 4", "delivery": "poll"},
    {"subscription_id": "count", "query": "SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id", "delivery": "poll"},
    {"subscription_id": "all at once", "query": "SELECT id FROM orders", "snapshot": false, "delivery": "poll"}]$$) WITH ORDINALITY s
JOIN live_queries v USING (live_id, subscription_id) ORDER BY ordinality;
SELECT subscription_id, params, delivery, strategy, status FROM live_queries
WHERE pid = pg_backend_pid() ORDER BY 1;
INSERT INTO orders VALUES (10, 1, 1, NULL, NULL);
SELECT * FROM feed();
SELECT key, "row" FROM live.snapshot('one');
SELECT key, "row" FROM live.snapshot('names') ORDER BY key::text;
SELECT "row" FROM live.snapshot('count') ORDER BY "row"::text;
SELECT * FROM feed();
DELETE FROM orders WHERE id IN (3, 10);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Subscribing and reading are one statement, if the client wants that.
SELECT subscription_id, "row"
FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders WHERE id <= 2 ORDER BY id", "delivery": "poll"},
    {"subscription_id": "o''\"b\\", "query": "SELECT id FROM orders WHERE id < 0", "delivery": "poll"},
    {"subscription_id": "c", "query": "SELECT count(*) FROM orders", "delivery": "poll"}]')
LEFT JOIN LATERAL live.snapshot(subscription_id) ON true;
INSERT INTO orders VALUES (-1, 0, 0, NULL, NULL);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- None.
SELECT * FROM live.subscribe_many('[]');

-- Parameters: strings as they are, all else as JSON writes it.
SELECT subscription_id FROM live.subscribe_many($$[
    {"subscription_id": "number", "query": "SELECT id FROM orders WHERE total = $1", "params": [3.0], "delivery": "poll"},
    {"subscription_id": "text", "query": "SELECT id FROM orders WHERE tags = $1 AND true = $2", "params": ["{4,5}", true], "delivery": "poll"},
    {"subscription_id": "null", "query": "SELECT id FROM orders WHERE coalesce($1::int, 5) = id", "params": [null], "delivery": "poll"},
    {"subscription_id": "json", "query": "SELECT id FROM orders WHERE doc = $1 OR doc = $2", "params": [{"n": 6}, "[]"], "delivery": "poll"}]$$);
SELECT subscription_id, params FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
SELECT 'number', "row" FROM live.snapshot('number') UNION ALL SELECT 'text', "row" FROM live.snapshot('text')
UNION ALL SELECT 'null', "row" FROM live.snapshot('null') UNION ALL SELECT 'json', "row" FROM live.snapshot('json');
SELECT live.unsubscribe_all();

-- Options, and their defaults: what is null counts as missing.
SELECT subscription_id FROM live.subscribe_many('[
    {"subscription_id": "defaults", "query": "SELECT id FROM orders", "params": null, "snapshot": null, "delivery": null, "throttle": null, "refresh_every": null},
    {"subscription_id": "throttled", "query": "SELECT id FROM orders", "throttle": "1 hour", "delivery": "poll"},
    {"subscription_id": "steps", "query": "SELECT id FROM orders WHERE total < extract(epoch FROM now())", "refresh_every": "1 hour", "delivery": "poll"}]');
SELECT subscription_id, delivery, params FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1;
SELECT live.unsubscribe_all();

-- What is wrong is told with the live query that it is of, and none of the others begins.
\set SHOW_CONTEXT always
SELECT * FROM live.subscribe_many(NULL);
SELECT * FROM live.subscribe_many('{"subscription_id": "a", "query": "SELECT id FROM orders"}');
SELECT * FROM live.subscribe_many('7');
SELECT * FROM live.subscribe_many('[7]');
SELECT * FROM live.subscribe_many('[[]]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"query": "SELECT id FROM orders"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": null, "query": "SELECT id FROM orders"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "", "query": "SELECT id FROM orders"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": 7, "query": "SELECT id FROM orders"}]');
SELECT * FROM live.subscribe_many(jsonb_build_array(jsonb_build_object('subscription_id', repeat('x', 129))));
SELECT * FROM live.subscribe_many('[{"subscription_id": "a"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": ["SELECT"]}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "param": []}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "params": {"a": 1}}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "params": "1"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "snapshot": "yes"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "delivery": "post"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "throttle": 1}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "throttle": "soon"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "throttle": "-1 s"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "refresh_every": "1 ms"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"subscription_id": "b", "query": "SELECT nothing FROM orders"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"subscription_id": "b", "query": "SELECT random() FROM orders"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"subscription_id": "b", "query": "SELECT id FROM orders WHERE id = $1"}]');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"subscription_id": "b", "query": "SELECT id FROM orders WHERE id = $1", "params": ["x"]}]');
-- Ids are unique, also within one call.
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"subscription_id": "b", "query": "SELECT id FROM orders"}, {"subscription_id": "a", "query": "SELECT id FROM customers"}]');
CALL watch('b', 'SELECT id FROM orders');
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"subscription_id": "b", "query": "SELECT id FROM orders"}]');
SELECT live.unsubscribe_all();

CREATE ROLE few LOGIN;
GRANT SELECT ON orders TO few;
SET ROLE few;
-- What a role may not read.
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}, {"subscription_id": "b", "query": "SELECT id FROM customers"}]');
RESET ROLE;
\set SHOW_CONTEXT errors
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid() AND status <> 'terminated';
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'orders'::regclass;

-- It belongs to its transaction.
BEGIN;
SELECT count(*) FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "delivery": "poll"}, {"subscription_id": "b", "query": "SELECT count(*) FROM orders", "delivery": "poll"}]');
SELECT count(*) FROM live.snapshot('a');
ROLLBACK;
SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid() AND status <> 'terminated';
BEGIN;
SELECT count(*) FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "delivery": "poll", "snapshot": false}]');
SAVEPOINT s;
SELECT count(*) FROM live.subscribe_many('[{"subscription_id": "b", "query": "SELECT id FROM orders", "delivery": "poll", "snapshot": false}, {"subscription_id": "c", "query": "SELECT id FROM customers", "delivery": "poll"}]');
ROLLBACK TO s;
SELECT count(*) FROM live.subscribe_many('[{"subscription_id": "c", "query": "SELECT id FROM customers", "delivery": "poll", "snapshot": false}]');
SAVEPOINT t;
SELECT count(*) FROM live.subscribe_many('[{"subscription_id": "d", "query": "SELECT id FROM customers WHERE id > $1", "params": [1], "delivery": "poll", "snapshot": false}, {"subscription_id": "c", "query": "SELECT id FROM customers"}]');
ROLLBACK TO t;
COMMIT;
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid() AND status <> 'terminated' ORDER BY 1;
INSERT INTO orders VALUES (20, 0, 0, NULL, NULL);
INSERT INTO customers VALUES (20, 'Dan');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- Not where that has written.
BEGIN;
INSERT INTO orders VALUES (21, 0, 0, NULL, NULL);
SELECT * FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders"}]');
ROLLBACK;
-- An id that one had which leaves in the same transaction is free.
BEGIN;
SELECT count(*) FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM orders", "delivery": "poll"}]');
SELECT live.unsubscribe('a');
SELECT count(*) FROM live.subscribe_many('[{"subscription_id": "a", "query": "SELECT id FROM customers WHERE id = 20", "delivery": "poll"}]');
SELECT key FROM live.snapshot('a');
COMMIT;
SELECT query FROM live_queries WHERE pid = pg_backend_pid() AND status <> 'terminated';
SELECT live.unsubscribe_all();

-- A function of the query that polls meanwhile takes nothing from those that begin beside it.
CREATE FUNCTION polls() RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
  PERFORM live.wait_for(timeout => '60s');
  RETURN (SELECT count(*) FROM live.poll()) * 0;
END $$;
SELECT count(*) FROM live.subscribe_many('[
    {"subscription_id": "a", "query": "SELECT id FROM orders WHERE id = 20", "delivery": "poll"},
    {"subscription_id": "b", "query": "SELECT id FROM orders WHERE id = 20 + polls()", "delivery": "poll", "snapshot": false}]');
SELECT count(*) FROM live.snapshot('a');
UPDATE orders SET total = 5, id = 30 WHERE id = 20;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Many, which are found by their ids.
SELECT count(DISTINCT seq), count(*) FROM live.subscribe_many((SELECT jsonb_agg(jsonb_build_object('subscription_id', 'q' || i,
    'query', 'SELECT id, total FROM orders WHERE id = $1', 'params', jsonb_build_array(i), 'delivery', 'poll', 'snapshot', false)) FROM generate_series(1, 300) i));
SELECT live.unsubscribe('q17');
SELECT live.unsubscribe('q17');
UPDATE orders SET total = 1 WHERE id IN (1, 9);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Where the view is asked for some alone, they are all that is looked at.
CALL watch('a', 'SELECT id FROM orders');
CALL watch('ä', 'SELECT id FROM customers');
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'a';
SELECT subscription_id FROM live_queries WHERE 'ä' = subscription_id AND pid = pg_backend_pid();
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'b';
SELECT subscription_id FROM live_queries WHERE pid = 0;
SELECT connection_id AS mine, live_id AS of_a FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'a' \gset
SELECT subscription_id FROM live_queries WHERE connection_id = :mine AND status = 'active' ORDER BY subscription_id COLLATE "C";
SELECT subscription_id FROM live_queries WHERE connection_id = :mine::bigint AND subscription_id > 'a' AND status = 'active';
SELECT subscription_id FROM live_queries WHERE :mine = connection_id AND :mine + 1 = connection_id;
SELECT subscription_id FROM live_queries WHERE live_id = :'of_a';
SELECT subscription_id FROM live_queries WHERE live_id = 'x' || :'of_a';
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid()::bigint AND subscription_id = 'a';
PREPARE one(int, text) AS SELECT subscription_id FROM live_queries WHERE pid = $1 AND subscription_id = $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE one(pg_backend_pid(), 'a');
EXECUTE one(pg_backend_pid(), NULL);
EXECUTE one(0, 'a');
RESET plan_cache_mode;
-- Of several values each is looked up, and a condition on another row's value is none on this one's.
SELECT w.id, v.subscription_id FROM (VALUES ('a'), ('ä'), ('b')) w(id) LEFT JOIN live_queries v ON v.subscription_id = w.id AND v.pid = pg_backend_pid() ORDER BY w.id COLLATE "C";
SELECT subscription_id FROM live_queries WHERE pid = (SELECT pg_backend_pid()) AND subscription_id = 'a';
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = lower(subscription_id) ORDER BY subscription_id COLLATE "C";
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'A' COLLATE caseless;
SELECT subscription_id FROM live_queries WHERE pid = 0 OR pid = pg_backend_pid() AND subscription_id = 'a';
CREATE VIEW mine AS SELECT subscription_id AS id, query FROM live_queries WHERE pid = pg_backend_pid();
SELECT query FROM mine WHERE id = 'a';
SELECT a.id, b.id FROM mine a FULL JOIN mine b ON a.id = b.id AND b.id = 'a' ORDER BY a.id COLLATE "C";
SELECT w.id, v.id FROM (VALUES ('a'), ('b')) w(id) LEFT JOIN mine v ON v.id = w.id WHERE v.id IS NULL;
CREATE DOMAIN in_c AS text COLLATE "C";
CREATE DOMAIN in_posix AS text COLLATE "POSIX";
SELECT query FROM mine WHERE id = 'a'::in_c || 'b'::in_posix;
-- Of what somebody may not see, asking for it tells nothing.
SELECT pg_backend_pid() AS me \gset
SET ROLE few;
SELECT count(*) FROM live_queries WHERE pid = :me AND status = 'active';
SELECT count(*) FROM live.subscriptions(of_subscription_id => 'a', of_pid => :me);
SELECT count(*) FROM live.subscriptions(of_live_id => :'of_a');
RESET ROLE;
EXPLAIN (VERBOSE, COSTS OFF) SELECT query FROM live_queries WHERE pid = 4711 AND subscription_id = 'a';
EXPLAIN (VERBOSE, COSTS OFF) SELECT query FROM live_queries WHERE connection_id = 12 AND subscription_id = 'a' COLLATE caseless;
SELECT live.unsubscribe_all();

DROP VIEW mine;
DROP DOMAIN in_c, in_posix;
DROP FUNCTION polls();
DROP COLLATION caseless;
DROP TABLE orders, customers;
DROP ROLE few;
