-- A change of rows that fulfil no condition of where a query reads their table lets nothing be evaluated, once there are several queries.
CREATE TABLE shop (id int PRIMARY KEY, town text NOT NULL, kind text NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, shop int NOT NULL, kind text NOT NULL, amount numeric NOT NULL, note text, twice int GENERATED ALWAYS AS (shop * 2) STORED);
INSERT INTO shop SELECT n, 'town ' || n % 2, 'small' FROM generate_series(1, 4) n;
INSERT INTO sale SELECT n, n % 4 + 1, 'paid', n FROM generate_series(1, 20) n;
CREATE FUNCTION matters(query text, OUT what text) RETURNS SETOF text LANGUAGE sql AS
  $$SELECT regexp_replace(value, '^.*: changed rows of ', '') FROM live.explain(query) WHERE property LIKE 'stale set %' AND value LIKE '%changed rows of%'$$;
CREATE FUNCTION told(OUT id text, OUT change json) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the evaluator is late';
  END IF;
  RETURN QUERY
    SELECT p.subscription_id,
           CASE WHEN p.message->>'type' = 'changes' THEN c.value ELSE json_build_object('type', p.message->>'type', 'reason', p.message->>'reason') END
    FROM live.poll() p LEFT JOIN LATERAL json_array_elements(p.message->'changes') c ON true
    ORDER BY p.subscription_id COLLATE "C", c.value->>'op', c.value::text COLLATE "C";
END $$;
CREATE TABLE seen (evaluations numeric);
INSERT INTO seen VALUES (0);
-- How many queries have been evaluated since it was asked last.
CREATE FUNCTION evaluated() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  before numeric;
  now numeric;
BEGIN
  PERFORM live.wait_for(timeout => '60s');
  SELECT sum(evaluations) INTO now FROM live.workers WHERE kind = 'evaluator' AND database = current_database();
  SELECT evaluations INTO before FROM seen;
  UPDATE seen SET evaluations = now;
  RETURN now - before;
END $$;

-- Of conditions, those on columns of the one table, which neither fail nor tell of rows that nobody may see; not those on the side of a join in whose place NULLs come.
SELECT * FROM matters($$SELECT s.id, town FROM sale s JOIN shop ON shop.id = s.shop WHERE s.kind = 'open' AND shop.kind IN ('small', 'large') AND amount > 5 AND s.id > shop.id$$);
SELECT * FROM matters($$SELECT shop.id, s.id AS sale FROM shop LEFT JOIN sale s ON s.shop = shop.id AND s.kind = 'open' AND shop.kind = 'small' WHERE s.amount IS NULL AND town = 'town 1'$$);
SELECT * FROM matters($$SELECT shop.id, s.id AS sale FROM sale s RIGHT JOIN shop ON s.shop = shop.id AND s.kind = 'open' AND shop.kind = 'small' WHERE s.amount IS NULL AND town = 'town 1'$$);
SELECT * FROM matters($$SELECT shop.id, s.id AS sale FROM shop FULL JOIN sale s ON s.shop = shop.id AND s.kind = 'open' WHERE s.amount > 3$$);
SELECT * FROM matters($$SELECT a.id, b.id AS other FROM sale a JOIN sale b ON b.shop = a.shop WHERE a.kind = 'open' AND b.kind <> 'open'$$);
SELECT * FROM matters($$SELECT id FROM shop WHERE NOT EXISTS (SELECT FROM sale s WHERE s.shop = shop.id AND s.kind = 'open' AND shop.kind = 'large')$$);
SELECT * FROM matters($$SELECT shop, sum(amount) AS sum FROM sale WHERE (note IS NULL OR note = 'x' COLLATE "C") AND twice IS DISTINCT FROM 4 GROUP BY shop HAVING shop > 1$$);
SELECT * FROM matters($$SELECT shop, count(*) FROM sale WHERE note LIKE 'x%' AND 10 / amount > 1 AND abs(amount) > 1 GROUP BY shop$$);
SELECT * FROM matters($$SELECT shop, count(*) FROM sale WHERE note ^@ 'x' AND 5 = ANY (ARRAY[ARRAY[shop], ARRAY[id]]) AND 5 = ANY (ARRAY[shop, id]) GROUP BY shop$$);
SELECT * FROM matters($$SELECT shop, count(*) FROM sale WHERE id > (SELECT max(id) FROM shop WHERE kind = 'large') GROUP BY shop$$);

-- Several, each of its own kind.
CREATE FUNCTION start(id text, query text, OUT strategy text) LANGUAGE plpgsql AS $$
BEGIN
  SELECT s.strategy INTO strategy FROM live.subscribe(id, query, delivery => 'poll') AS s;
  PERFORM FROM live.snapshot(id);
END $$;
SELECT start('join', $$SELECT s.id, town FROM sale s JOIN shop ON shop.id = s.shop WHERE s.kind IN ('open', 'late')$$);
SELECT start('groups', $$SELECT shop, sum(amount) AS sum FROM sale WHERE kind IN ('open', 'late') GROUP BY shop$$);
SELECT start('extremes', $$SELECT town, max(s.amount) AS max FROM sale s JOIN shop ON shop.id = s.shop WHERE s.kind IN ('open', 'late') GROUP BY town$$);
SELECT start('left join', $$SELECT shop.id, s.id AS sale FROM shop LEFT JOIN sale s ON s.shop = shop.id AND s.kind IN ('open', 'late')$$);
SELECT start('without', $$SELECT id FROM shop WHERE NOT EXISTS (SELECT FROM sale s WHERE s.shop = shop.id AND s.kind IN ('open', 'late'))$$);
SELECT start('list', $$SELECT s.id, amount FROM sale s JOIN shop ON shop.id = s.shop WHERE s.kind IN ('open', 'late') ORDER BY amount LIMIT 2$$);
SELECT * FROM told();
SELECT evaluated() >= 0;

-- None of them is evaluated for rows that are paid before and after, were not there, or are there no more.
UPDATE sale SET amount = amount + 1 WHERE id < 5;
UPDATE sale SET shop = 4 WHERE id = 6;
INSERT INTO sale VALUES (30, 1, 'paid', 30);
DELETE FROM sale WHERE id IN (5, 30);
SELECT evaluated();
SELECT * FROM told();
-- They are for one that becomes open, changes, and is paid again.
UPDATE sale SET kind = 'open' WHERE id = 1;
SELECT evaluated() > 0;
SELECT * FROM told();
UPDATE sale SET kind = 'late', amount = 100 WHERE id = 1;
SELECT * FROM told();
UPDATE sale SET kind = 'paid' WHERE id = 1;
SELECT * FROM told();
INSERT INTO sale VALUES (31, 3, 'open', 31);
SELECT * FROM told();
SELECT evaluated() > 0;
-- One that comes and one that does not matter; a key that changes.
UPDATE sale SET kind = CASE id WHEN 2 THEN 'open' ELSE 'returned' END WHERE id IN (2, 3);
SELECT * FROM told();
UPDATE sale SET id = id + 100 WHERE id IN (2, 3);
SELECT * FROM told();
DELETE FROM sale WHERE kind = 'open';
SELECT * FROM told();
SELECT live.unsubscribe_all();

-- A row whose kind nobody watches matters for none of those that are told apart by it.
SELECT start('join', $$SELECT s.id, town FROM sale s JOIN shop ON shop.id = s.shop WHERE s.kind = 'open'$$);
SELECT start('late', $$SELECT s.id, town FROM sale s JOIN shop ON shop.id = s.shop WHERE s.kind = 'late'$$);
SELECT start('left join', $$SELECT s.id, town FROM sale s LEFT JOIN shop ON shop.id = s.shop WHERE s.kind = 'open'$$);
SELECT start('distinct', $$SELECT DISTINCT s.shop, town FROM sale s JOIN shop ON shop.id = s.shop WHERE s.kind = 'open'$$);
SELECT start('in', $$SELECT id FROM sale WHERE kind = 'open' AND shop IN (SELECT id FROM shop)$$);
SELECT evaluated() >= 0;
UPDATE sale SET amount = amount + 1 WHERE kind = 'paid';
INSERT INTO sale VALUES (40, 1, 'returned', 40);
SELECT evaluated();
UPDATE sale SET kind = 'late' WHERE id = 40;
SELECT * FROM told();
UPDATE sale SET kind = 'open' WHERE id = 40;
SELECT * FROM told();
DELETE FROM sale WHERE id = 40;
SELECT * FROM told();
SELECT evaluated() > 0;
SELECT live.unsubscribe_all();

-- Of a key of two columns, values are looked for beside each other: where these are too many pairs, all is evaluated.
CREATE TABLE grid (a int, b int, kind text NOT NULL, v int, PRIMARY KEY (a, b));
INSERT INTO grid SELECT a, b, 'empty', 0 FROM generate_series(1, 40) a, generate_series(1, 40) b;
SELECT start(format('grid %s', n), format('SELECT a, max(v) + %s AS max FROM grid WHERE kind IN (''full'', ''half'') GROUP BY a', n)) FROM generate_series(1, 4) n;
SELECT evaluated() >= 0;
UPDATE grid SET v = 1 WHERE a = 1;
SELECT evaluated();
UPDATE grid SET v = 2 WHERE a = b;
SELECT evaluated();
SELECT live.unsubscribe_all();
DROP TABLE grid;

-- Row security, a partitioned table, and a key of two columns, of which both change places.
CREATE TABLE part (a int, b text, owner text NOT NULL, v int, PRIMARY KEY (a, b)) PARTITION BY RANGE (a);
CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_high (v int, gone int, owner text NOT NULL, b text NOT NULL, a int NOT NULL, PRIMARY KEY (a, b));
ALTER TABLE part_high DROP gone;
ALTER TABLE part ATTACH PARTITION part_high FOR VALUES FROM (10) TO (20);
INSERT INTO part SELECT n, 'p', 'other', n FROM generate_series(1, 19) n;
ALTER TABLE part ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON part USING (owner = 'me' OR owner = 'all');
CREATE ROLE live_queries_owner;
GRANT SELECT ON part, shop TO live_queries_owner;
SET ROLE live_queries_owner;
SELECT * FROM matters('SELECT count(*) FROM part WHERE v > 5');
SELECT start('count', 'SELECT count(*) AS n FROM part WHERE v > 5');
SELECT start('sum', 'SELECT b, sum(v) AS sum FROM part GROUP BY b');
SELECT start('max', 'SELECT b, max(v) AS max FROM part WHERE v IS NOT NULL GROUP BY b');
SELECT start('shops', 'SELECT shop.id, a, b FROM shop LEFT JOIN part ON part.a = shop.id');
SELECT * FROM told();
RESET ROLE;
SELECT evaluated() >= 0;
UPDATE part SET v = v + 1;
UPDATE part SET b = 'q' WHERE a IN (8, 18);
INSERT INTO part VALUES (8, 'p', 'other', 9);
SELECT evaluated();
SET ROLE live_queries_owner;
SELECT * FROM told();
RESET ROLE;
UPDATE part SET owner = 'me' WHERE a IN (3, 18);
SET ROLE live_queries_owner;
SELECT * FROM told();
RESET ROLE;
BEGIN;
UPDATE part SET b = 'q' WHERE a = 3;
UPDATE part SET a = 9, b = 'r', owner = 'all' WHERE a = 19;
DELETE FROM part WHERE a = 18;
COMMIT;
SET ROLE live_queries_owner;
SELECT * FROM told();
RESET ROLE;
SELECT evaluated() > 0;
SELECT live.unsubscribe_all();
DROP TABLE sale, shop, part, seen;
DROP FUNCTION matters, told, evaluated, start;
DROP ROLE live_queries_owner;
