-- Any SELECT: each form is kept exactly what running it again would give, after each transaction.
CREATE TABLE customer (id int PRIMARY KEY, name text, region text, parent int);
CREATE TABLE ord (id int PRIMARY KEY, customer_id int, total numeric(10, 2), status text);
CREATE TABLE item (ord_id int, line int, product text, qty int, PRIMARY KEY (ord_id, line));
CREATE TABLE tag (product text, label text);  -- no key
CREATE TABLE part (id int, at int, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
CREATE VIEW open_order AS SELECT id, customer_id, total FROM ord WHERE status = 'open';
CREATE VIEW thing AS SELECT id, name AS label FROM customer UNION ALL SELECT id, status FROM ord;
CREATE VIEW idle AS SELECT id FROM customer EXCEPT SELECT customer_id FROM ord;
INSERT INTO customer VALUES (1, 'Ada', 'north', NULL), (2, 'Bob', 'south', 1), (3, 'Cyd', NULL, 1), (4, NULL, 'north', 2);
INSERT INTO ord VALUES (10, 1, 5.00, 'open'), (11, 1, 7.50, 'paid'), (12, 2, 1.25, 'open'), (13, NULL, 9.99, 'open'), (14, 3, 0, NULL);
INSERT INTO item VALUES (10, 1, 'nut', 3), (10, 2, 'bolt', 1), (11, 1, 'nut', 2), (12, 1, NULL, NULL), (13, 1, 'gear', 7);
INSERT INTO tag VALUES ('nut', 'small'), ('nut', 'small'), ('bolt', 'small'), (NULL, 'none'), ('gear', 'big');
INSERT INTO part VALUES (1, 1, 1), (1, 11, 2), (2, 12, 3);

CREATE TABLE form (id text PRIMARY KEY, query text, params text[] DEFAULT '{}');
INSERT INTO form (id, query) VALUES
  ('inner join', 'SELECT o.id, c.name, o.total FROM ord o JOIN customer c ON c.id = o.customer_id'),
  ('join of three', 'SELECT c.name, i.product, i.qty * o.total AS worth FROM customer c JOIN ord o ON o.customer_id = c.id JOIN item i ON i.ord_id = o.id WHERE i.qty > 0'),
  ('self-join', 'SELECT a.id, b.name AS parent FROM customer a, customer b WHERE b.id = a.parent'),
  ('left join', 'SELECT c.id, c.name, o.id AS ord FROM customer c LEFT JOIN ord o ON o.customer_id = c.id AND o.status = ''open'''),
  ('left joins in a chain', 'SELECT c.id, o.id AS ord, i.product FROM customer c LEFT JOIN ord o ON o.customer_id = c.id LEFT JOIN item i ON i.ord_id = o.id'),
  ('right join', 'SELECT o.id, c.name FROM customer c RIGHT JOIN ord o ON o.customer_id = c.id'),
  ('full join', 'SELECT c.id, o.id AS ord FROM customer c FULL JOIN ord o ON o.customer_id = c.id'),
  ('no key', 'SELECT i.ord_id, t.label FROM item i JOIN tag t ON t.product = i.product'),
  ('aggregate', 'SELECT count(*) AS n, sum(total) AS total, max(total) AS most FROM ord'),
  ('groups', 'SELECT customer_id, count(*) AS n, sum(total) AS total FROM ord GROUP BY customer_id'),
  ('having', 'SELECT c.region, count(*) AS n FROM customer c JOIN ord o ON o.customer_id = c.id GROUP BY c.region HAVING count(*) > 1'),
  ('groups of a left join', 'SELECT c.id, count(o.id) AS n FROM customer c LEFT JOIN ord o ON o.customer_id = c.id GROUP BY c.id'),
  ('distinct', 'SELECT DISTINCT region FROM customer'),
  ('distinct on', 'SELECT DISTINCT ON (customer_id) customer_id, id, total FROM ord ORDER BY customer_id, total DESC, id'),
  ('union', 'SELECT name AS label FROM customer UNION SELECT product FROM item'),
  ('union all', 'SELECT id FROM customer UNION ALL SELECT customer_id FROM ord'),
  ('union all, twice', 'SELECT 0 AS id FROM (SELECT DISTINCT customer_id, status, customer_id AS again FROM ord) d UNION ALL SELECT id FROM customer'),
  ('intersect', 'SELECT id FROM customer INTERSECT SELECT customer_id FROM ord'),
  ('except all', 'SELECT customer_id FROM ord EXCEPT ALL SELECT id FROM customer'),
  ('view of union all', 'SELECT id, label FROM thing WHERE id < 15'),
  ('view of except', 'SELECT c.id, c.name FROM idle JOIN customer c ON c.id = idle.id'),
  ('in a view of union all', 'SELECT id, status FROM ord WHERE status IN (SELECT label FROM thing WHERE id < 12)'),
  ('exists', 'SELECT id, name FROM customer c WHERE EXISTS (SELECT FROM ord o WHERE o.customer_id = c.id AND o.status = ''open'')'),
  ('not exists', 'SELECT id, name FROM customer c WHERE NOT EXISTS (SELECT FROM ord o WHERE o.customer_id = c.id)'),
  ('in', 'SELECT id, total FROM ord WHERE customer_id IN (SELECT id FROM customer WHERE region = ''north'')'),
  ('not in', 'SELECT id FROM customer WHERE id NOT IN (SELECT customer_id FROM ord WHERE status = ''open'')'),
  ('all', 'SELECT id FROM ord WHERE total >= ALL (SELECT total FROM ord WHERE status = ''open'')'),
  ('scalar', 'SELECT c.id, (SELECT sum(o.total) FROM ord o WHERE o.customer_id = c.id) AS total FROM customer c'),
  ('nested', 'SELECT id FROM customer c WHERE EXISTS (SELECT FROM ord o WHERE o.customer_id = c.id AND NOT EXISTS (SELECT FROM item i WHERE i.ord_id = o.id AND i.product = ''nut''))'),
  ('top', 'SELECT id, total FROM ord WHERE status = ''open'' ORDER BY total DESC, id LIMIT 2'),
  ('top with ties', 'SELECT id, status FROM ord ORDER BY status, id LIMIT 2 OFFSET 1'),
  ('window', 'SELECT id, row_number() OVER (PARTITION BY customer_id ORDER BY total, id) AS nth FROM ord'),
  ('window of all', 'SELECT id, sum(total) OVER (ORDER BY id) AS running FROM ord'),
  ('top of groups', 'SELECT * FROM (SELECT id, customer_id, row_number() OVER (PARTITION BY customer_id ORDER BY total DESC, id) AS nth FROM ord) ranked WHERE nth <= 1'),
  ('column from around', 'SELECT id FROM customer c WHERE id IN (SELECT c.parent + o.customer_id FROM ord o WHERE o.status = ''open'')'),
  ('top of an ordered one', 'SELECT * FROM (SELECT id, status FROM ord ORDER BY total DESC, id) o LIMIT 3'),
  ('top of levels', 'SELECT o.id FROM (SELECT * FROM (SELECT id, total FROM ord ORDER BY total DESC, id) o WHERE total > 1) o LIMIT 2'),
  ('groups of one form', 'SELECT q.year, q.mark, count(*) AS n FROM (SELECT extract(year FROM date ''2000-01-01'' + i.qty * 200) AS year, o.status::char(4) AS mark FROM ord o JOIN item i ON i.ord_id = o.id) q GROUP BY q.year, q.mark'),
  ('recursive', 'WITH RECURSIVE up (id, parent) AS (SELECT id, parent FROM customer UNION ALL SELECT c.id, c.parent FROM customer c JOIN up ON c.id = up.parent) SEARCH DEPTH FIRST BY id SET place CYCLE id SET again USING path SELECT id, parent, again FROM up ORDER BY place'),
  ('lateral', 'SELECT c.id, o.id AS ord FROM customer c, LATERAL (SELECT id FROM ord WHERE customer_id = c.id ORDER BY total DESC, id LIMIT 1) o'),
  ('groups of lateral', 'SELECT l.region, sum(l.n) AS n FROM customer c, LATERAL (SELECT c.region, o.n FROM (SELECT customer_id, count(*) AS n FROM ord GROUP BY customer_id) o WHERE o.customer_id = c.id) l GROUP BY l.region'),
  ('groups of nothing', 'SELECT l.parent, count(*) AS n FROM customer c CROSS JOIN LATERAL (SELECT (SELECT c.parent)) l (parent) GROUP BY l.parent'),
  ('view', 'SELECT c.name, v.total FROM open_order v JOIN customer c ON c.id = v.customer_id'),
  ('partitions', 'SELECT p.id, sum(p.v) AS v FROM part p GROUP BY p.id'),
  ('values', 'SELECT v.status, count(o.id) AS n FROM (VALUES (''open''), (''paid''), (''lost'')) v (status) LEFT JOIN ord o ON o.status = v.status GROUP BY v.status'),
  ('series', 'SELECT g.n, count(o.id) AS orders FROM generate_series(1, 5) g (n) LEFT JOIN ord o ON o.customer_id = g.n GROUP BY g.n'),
  ('words', 'SELECT c.id, w.word FROM customer c, unnest(string_to_array(c.name || '' '' || c.name, '' '')) w (word)'),
  ('groups of numbers', 'SELECT count(*) AS n FROM ord GROUP BY total * CASE WHEN id % 2 = 0 THEN 1.0 ELSE 1.000 END'),
  ('an array', 'SELECT c.id, ARRAY(SELECT o.id FROM (SELECT id FROM ord WHERE customer_id = c.id ORDER BY total DESC, id) o) AS ids FROM customer c'),
  ('listed', 'SELECT c.id, (SELECT json_agg(x) FROM (SELECT o.id, (SELECT json_agg(i.product ORDER BY i.line) FROM item i WHERE i.ord_id = o.id) AS items FROM ord o WHERE o.customer_id = c.id ORDER BY o.id DESC LIMIT 2) x) AS latest FROM customer c'),
  ('listed together', 'SELECT c.id, (SELECT string_agg(x.label, '','' ORDER BY x.label) FROM (SELECT o.status AS label FROM ord o WHERE o.customer_id = c.id UNION SELECT i.product FROM item i WHERE i.ord_id = c.id * 10) x) AS labels FROM customer c');
INSERT INTO form VALUES
  ('parameters of a join', 'SELECT o.id, c.name FROM ord o JOIN customer c ON c.id = o.customer_id WHERE c.region = $1 AND o.total > $2', '{north,1}'),
  ('other parameters', 'SELECT o.id, c.name FROM ord o JOIN customer c ON c.id = o.customer_id WHERE c.region = $1 AND o.total > $2', '{south,1}'),
  ('parameter of groups', 'SELECT status, count(*) AS n FROM ord WHERE customer_id = $1 GROUP BY status', '{1}'),
  ('parameter of an aggregate', 'SELECT count(*) AS n FROM ord WHERE customer_id = $1', '{2}'),
  ('parameter of no rows', 'SELECT count(*) AS n FROM ord WHERE customer_id = $1', '{6}'),
  ('parameter of a top', 'SELECT id, total FROM ord WHERE customer_id = $1 ORDER BY total DESC, id LIMIT 2', '{1}'),
  ('parameter of another top', 'SELECT id, total FROM ord WHERE customer_id = $1 ORDER BY total DESC, id LIMIT 2', '{5}'),
  ('parameter of top groups', 'SELECT status, count(*) AS n FROM ord WHERE customer_id = $1 GROUP BY status ORDER BY n DESC, status LIMIT 1', '{1}'),
  ('parameter of a window', 'SELECT id, row_number() OVER (ORDER BY total, id) AS nth FROM ord WHERE customer_id = $1', '{2}'),
  ('member', 'SELECT id, total FROM ord o WHERE EXISTS (SELECT FROM item i WHERE i.ord_id = o.id AND i.line = $1)', '{1}'),
  ('member of a top', 'SELECT id FROM ord WHERE id IN (SELECT ord_id FROM item WHERE line = $1) ORDER BY id DESC LIMIT 2', '{1}'),
  ('parameter of distinct', 'SELECT DISTINCT status FROM ord WHERE customer_id = $1', '{1}'),
  ('parameter of distinct on', 'SELECT DISTINCT ON (status) status, id FROM ord WHERE customer_id = $1 ORDER BY status, total DESC, id', '{5}'),
  ('parameters of an aggregate', 'SELECT max(o.total) AS most FROM ord o JOIN customer c ON c.id = o.customer_id WHERE c.region = $1 AND o.status = $2 HAVING count(*) > 0', '{north,open}');

CREATE TABLE shown (id text, key text, "row" text);
CREATE TABLE noted (id text, what text);
-- What a client does with a change: never an insert of a key that it has, nor anything else of one
-- that it has not. A result without a key may have equal rows.
CREATE PROCEDURE apply(of text, change json, is_bag boolean) LANGUAGE plpgsql AS $$
DECLARE
  place tid := (SELECT ctid FROM shown WHERE id = of AND key = change->>'key' LIMIT 1);
BEGIN
  IF change->>'op' = 'insert' THEN
    IF place IS NOT NULL AND NOT is_bag THEN RAISE 'insert of % into %', change, of; END IF;
    INSERT INTO shown VALUES (of, change->>'key', change->>'row');
    RETURN;
  END IF;
  IF place IS NULL THEN RAISE '% of what is not in %', change, of; END IF;
  IF change->>'op' = 'update' THEN
    UPDATE shown SET "row" = change->>'row' WHERE ctid = place;
  ELSE
    DELETE FROM shown WHERE ctid = place;
  END IF;
END $$;
CREATE PROCEDURE watch_all() LANGUAGE plpgsql AS $$
DECLARE
  one record;
  keys text[];
  rows text[];
BEGIN
  FOR one IN SELECT * FROM form ORDER BY id LOOP
    PERFORM live.subscribe(one.id, one.query, one.params, delivery => 'poll');
    SELECT array_agg(key::text), array_agg("row"::text) INTO keys, rows FROM live.snapshot(one.id);
    COMMIT;
    INSERT INTO shown SELECT one.id, * FROM unnest(keys, rows);
    COMMIT;
  END LOOP;
END $$;
-- Reads what has come, and compares each result with what its query says now.
CREATE PROCEDURE check_all(step text) LANGUAGE plpgsql AS $$
DECLARE
  one record;
  change json;
  differ bigint;
  bags text[] := ARRAY(SELECT f.id FROM form f, live.explain(f.query, f.params) e WHERE property = 'key' AND value LIKE 'none: the whole row');
BEGIN
  PERFORM live.wait_for(timeout => '60s');
  FOR one IN SELECT * FROM live.poll() LOOP
    IF one.message->>'type' <> 'changes' THEN
      INSERT INTO noted VALUES (one.subscription_id, one.message->>'type' || ': ' || (one.message->>'reason'));
      CONTINUE;
    END IF;
    FOR change IN SELECT * FROM json_array_elements(one.message->'changes') LOOP
      CALL apply(one.subscription_id, change, one.subscription_id = ANY (bags));
    END LOOP;
  END LOOP;
  FOR one IN SELECT * FROM form ORDER BY id LOOP
    EXECUTE format($q$
      WITH now AS (SELECT row_to_json(q)::text AS "row" FROM (%s) q),
           had AS (SELECT "row" FROM shown WHERE id = %L)
      SELECT count(*) FROM ((TABLE now EXCEPT ALL TABLE had) UNION ALL (TABLE had EXCEPT ALL TABLE now)) d $q$,
      regexp_replace(regexp_replace(one.query, '\$1', coalesce(quote_literal(one.params[1]), ''), 'g'),
                     '\$2', coalesce(quote_literal(one.params[2]), ''), 'g'), one.id) INTO differ;
    IF differ > 0 THEN INSERT INTO noted VALUES (one.id, format('%s: %s rows differ', step, differ)); END IF;
  END LOOP;
END $$;

CALL watch_all();
SELECT strategy, string_agg(subscription_id, ', ' ORDER BY subscription_id) AS forms
FROM live_queries WHERE pid = pg_backend_pid() GROUP BY strategy ORDER BY 1;
SELECT id, count(*) FROM shown GROUP BY id ORDER BY id;
-- What subscriptions of one shape share.
SELECT f.id, e.value AS routed_by FROM form f, live.explain(f.query, f.params) e
WHERE f.params <> '{}' AND e.property = 'routing' ORDER BY f.id;
-- How each is kept. Since 18, queries that group are shown with the names of tables before those of their columns.
\pset format unaligned
SELECT f.id, e.property,
       regexp_replace(CASE WHEN f.query ~ 'GROUP BY' THEN regexp_replace(e.value, '\m[a-z_]+\.(?=[a-z])', '', 'g') ELSE e.value END, '\s+', ' ', 'g') AS value
FROM form f, live.explain(f.query, f.params) WITH ORDINALITY e (property, value, place)
WHERE e.value IS NOT NULL ORDER BY f.id COLLATE "C", e.place;
\pset format aligned
INSERT INTO ord VALUES (15, 2, 3.00, 'open');
CALL check_all('1');
INSERT INTO customer VALUES (5, 'Eve', 'south', 3);
CALL check_all('2');
UPDATE customer SET region = 'south' WHERE id = 1;
CALL check_all('3');
UPDATE customer SET region = NULL WHERE id = 2;
CALL check_all('4');
UPDATE ord SET customer_id = 5 WHERE id = 10;
CALL check_all('5');
UPDATE ord SET total = 100 WHERE id = 14;
CALL check_all('6');
UPDATE ord SET id = 20, status = 'open' WHERE id = 11;
CALL check_all('7');
DELETE FROM ord WHERE id = 12;
CALL check_all('8');
DELETE FROM customer WHERE id = 3;
CALL check_all('9');
INSERT INTO item VALUES (20, 2, 'nut', 1), (15, 1, 'gear', 2), (15, 2, 'gear', 2);
CALL check_all('10');
UPDATE item SET product = NULL WHERE ord_id = 13;
CALL check_all('11');
UPDATE item SET ord_id = 15, line = 3 WHERE ord_id = 12;
CALL check_all('12');
INSERT INTO tag VALUES ('nut', 'small'), ('nut', 'tiny');
CALL check_all('13');
INSERT INTO ord SELECT n, n % 6, n, CASE n % 3 WHEN 0 THEN 'open' END FROM generate_series(100, 140) n;
CALL check_all('14');
UPDATE ord SET status = 'open' WHERE customer_id IS NULL;
CALL check_all('15');
UPDATE ord SET customer_id = NULL WHERE id = 20;
CALL check_all('16');
UPDATE ord SET total = total + 1 WHERE id > 110;
CALL check_all('17');
DELETE FROM ord WHERE id > 120;
CALL check_all('18');
UPDATE customer SET id = 7 WHERE id = 4;
CALL check_all('19');
UPDATE customer SET parent = 7 WHERE id = 5;
CALL check_all('20');
INSERT INTO part VALUES (3, 5, 1), (1, 12, 9);
CALL check_all('21');
UPDATE part SET at = at + 12 WHERE at < 8;
CALL check_all('22');
DELETE FROM item WHERE product = 'nut';
CALL check_all('23');
WITH gone AS (DELETE FROM ord WHERE id < 105 RETURNING customer_id) UPDATE customer SET name = name || '!' WHERE id IN (SELECT customer_id FROM gone);
CALL check_all('24');
DELETE FROM customer;
CALL check_all('25');
DELETE FROM ord;
CALL check_all('26');
BEGIN;
INSERT INTO customer VALUES (1, 'Ada', 'north', NULL);
INSERT INTO ord VALUES (10, 1, 5.00, 'open');
COMMIT;
CALL check_all('27');
-- Nothing differed, nothing was reset.
SELECT * FROM noted ORDER BY 1, 2;
SELECT live.unsubscribe_all() = (SELECT count(*) FROM form) AS all;
-- Of values that are equal but not the same, the least text stands for the group.
CREATE TABLE amount (id int PRIMARY KEY, v numeric, j jsonb);
INSERT INTO amount VALUES (1, 1.00, '1.0'), (2, 1.0, '1.00'), (3, 2, '{"a": 2.0}');
SELECT strategy FROM live.subscribe('numbers', 'SELECT v, v + 1 AS next, count(*) AS n FROM amount GROUP BY v HAVING v < 5', delivery => 'poll');
SELECT * FROM live.snapshot('numbers') ORDER BY key::text;
SELECT strategy FROM live.subscribe('documents', 'SELECT j, count(*) AS n FROM amount GROUP BY j', delivery => 'poll');
SELECT * FROM live.snapshot('documents') ORDER BY key::text;
DELETE FROM amount WHERE id = 2;
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, change->>'op' AS op, change->>'key' AS key, change->>'row' AS "row", change->>'old' AS old
FROM live.poll() p, json_array_elements(p.message->'changes') change;
UPDATE amount SET v = 2.000 WHERE id = 1;
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, change->>'op' AS op, change->>'key' AS key, change->>'row' AS "row", change->>'old' AS old
FROM live.poll() p, json_array_elements(p.message->'changes') change;
-- A value by which rows are routed becomes an equal one: for who watches that, the row has not left, and may look the same.
SELECT strategy FROM live.subscribe('shown', 'SELECT a.id, a.v FROM amount a JOIN amount b USING (id) WHERE a.v = $1', '{2}', "snapshot" => false, delivery => 'poll');
SELECT strategy FROM live.subscribe('not shown', 'SELECT a.id, b.id AS other FROM amount a JOIN amount b USING (id) WHERE a.v = $1', '{2}', "snapshot" => false, delivery => 'poll');
SELECT strategy FROM live.subscribe('listed', 'SELECT id FROM amount WHERE v = $1 ORDER BY id LIMIT 2', '{2}', "snapshot" => false, delivery => 'poll');
UPDATE amount SET v = 2.00 WHERE id = 3;
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, change->>'op' AS op, change->>'key' AS key, change->>'row' AS "row", change->>'old' AS old
FROM live.poll() p, json_array_elements(p.message->'changes') change WHERE subscription_id ~ 'shown|listed';
UPDATE amount SET v = 3 WHERE id = 3;
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, change->>'op' AS op, change->>'key' AS key, change->>'row' AS "row", change->>'old' AS old
FROM live.poll() p, json_array_elements(p.message->'changes') change WHERE subscription_id ~ 'shown|listed' ORDER BY subscription_id;
SELECT live.unsubscribe_all();
DROP TABLE amount;
DROP VIEW open_order, thing, idle;
DROP TABLE customer, ord, item, tag, part, form, shown, noted;
DROP PROCEDURE apply, watch_all, check_all;
