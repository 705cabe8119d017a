-- Groups whose aggregates can be run backwards are kept where they change.
CREATE TABLE sale (id int PRIMARY KEY, shop int, amount numeric, share float8, ok boolean);
CREATE TABLE shop (id int PRIMARY KEY, town text, size numeric);
INSERT INTO sale SELECT n, n % 3, n, n, n % 2 = 0 FROM generate_series(1, 30) n;
INSERT INTO shop VALUES (0, 'A', 1), (1, 'B', 1.0), (2, 'B', 1.00);
CREATE FUNCTION told(OUT id text, OUT change json) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the evaluator is late';
  END IF;
  RETURN QUERY
    SELECT p.subscription_id, c.value FROM live.poll() p, json_array_elements(p.message->'changes') c
    ORDER BY p.subscription_id COLLATE "C", c.value->>'op', c.value::text COLLATE "C";
END $$;
CREATE FUNCTION start(id text, query text, params text[] DEFAULT '{}', OUT strategy text, OUT kept bool) LANGUAGE plpgsql AS $$
BEGIN
  SELECT s.strategy INTO strategy FROM live.subscribe(id, query, params, delivery => 'poll') AS s;
  PERFORM FROM live.snapshot(id);
  SELECT count(*) > 0 INTO kept FROM live.explain(query, params) WHERE property = 'groups are kept';
END $$;

SELECT * FROM start('all', 'SELECT count(*) AS n, count(ok) AS known, sum(amount) AS sum, avg(amount) AS avg, bool_and(ok) AS ok FROM sale');
SELECT * FROM start('groups', 'SELECT shop, sum(amount) AS sum, round(avg(amount), 1) + 1 AS more FROM sale GROUP BY shop HAVING sum(amount) < 1000');
SELECT * FROM start('join', 'SELECT town, count(*) AS n, sum(amount) FILTER (WHERE ok) AS sum FROM sale s JOIN shop p ON p.id = s.shop GROUP BY town');
SELECT * FROM start('of a shop', 'SELECT shop, count(*) AS n FROM sale WHERE shop = $1 GROUP BY shop', '{1}');
-- One group of each value that somebody asks for, which is there without any row.
SELECT * FROM start('of 1', 'SELECT count(*) AS n, sum(amount) AS sum FROM sale WHERE shop = $1', '{1}');
SELECT * FROM start('of 2', 'SELECT count(*) AS n, sum(amount) AS sum FROM sale WHERE shop = $1', '{2}');
SELECT * FROM start('of 9', 'SELECT count(*) AS n, sum(amount) AS sum FROM sale WHERE shop = $1', '{9}');
SELECT * FROM start('of two columns', 'SELECT avg(s.amount) AS avg, ''all'' AS of FROM sale s JOIN shop p ON p.id = s.shop WHERE p.town = $1 AND ok = $2 HAVING count(*) > 3', '{B,true}');
SELECT * FROM start('of what can fail', 'SELECT sum(100 / amount) AS sum FROM sale WHERE shop = $1', '{1}');
SELECT * FROM start('extremes', 'SELECT shop, min(id) AS min, max(id) AS max, max(id::text) AS text FROM sale GROUP BY shop');
SELECT * FROM start('of a number', 'SELECT count(*) AS n FROM shop WHERE size = $1', '{1}');
-- Equal values with other bytes around them, or within.
CREATE TABLE tagged (id int PRIMARY KEY, bucket int, name text);
INSERT INTO tagged VALUES (1, hashtext('a'), 'a'), (2, NULL, 'a'), (3, hashtext('b'), 'b'), (4, NULL, 'b');
SELECT hashtext('a') < 0 OR hashtext('b') < 0 AS one_is_negative;
SELECT * FROM start('computed', 'SELECT coalesce(bucket, hashtext(name)) = hashtext(''a'') AS is_a, coalesce(bucket, hashtext(name)) AS hash, count(*) AS n FROM tagged GROUP BY 2');
CREATE TYPE listed AS (list int[]);
CREATE TABLE composed (id int PRIMARY KEY, made listed, v int);
INSERT INTO composed VALUES (1, ROW('{1,2}'::int[]), 10), (2, ROW((ARRAY[1, 2, NULL]::int[])[1:2]), 10);
SELECT * FROM start('composed', 'SELECT made, sum(v) AS sum FROM composed GROUP BY made');
-- What cannot run backwards, or is not exact, is evaluated.
SELECT * FROM start('float', 'SELECT shop, sum(share) AS sum FROM sale GROUP BY shop');
SELECT * FROM start('greatest of equal ones', 'SELECT count(*) AS n, max(amount) AS max FROM sale');
SELECT * FROM start('by an index', 'SELECT min(id) AS min, max(id) AS max FROM sale');
SELECT property FROM live.explain('SELECT bool_and(ok) AS ok FROM sale') WHERE property = 'groups are kept';
SELECT * FROM start('distinct', 'SELECT count(DISTINCT amount) AS n FROM sale');
SELECT * FROM start('equal, not the same', 'SELECT size, count(*) AS n FROM shop GROUP BY size');
SELECT property FROM live.explain('SELECT shop, sum(amount) FILTER (WHERE ok) AS sum FROM sale GROUP BY shop');

UPDATE sale SET amount = amount + 1 WHERE id = 3;
SELECT * FROM told();
DELETE FROM tagged WHERE id IN (2, 4);
SELECT id, change->>'op' AS op, change->'row'->>'is_a' AS is_a, change->'row'->>'n' AS n FROM told();
UPDATE composed SET v = 11 WHERE id = 2;
SELECT * FROM told();
-- Its scale goes with the only number that has it.
UPDATE sale SET amount = 4.50 WHERE id = 3;
SELECT * FROM told();
UPDATE sale SET amount = 4, ok = NULL WHERE id = 3;
SELECT * FROM told();
UPDATE sale SET amount = 'NaN' WHERE id = 3;
SELECT * FROM told();
UPDATE sale SET amount = NULL WHERE id = 3;
SELECT * FROM told();
-- The greatest one leaves, and comes.
UPDATE sale SET id = id - 100 WHERE id IN (28, 30);
SELECT * FROM told() WHERE id IN ('extremes', 'by an index');
UPDATE sale SET id = id + 100 WHERE id < 0;
SELECT * FROM told() WHERE id IN ('extremes', 'by an index');
-- From one value to another.
UPDATE sale SET shop = 9 WHERE id = 2;
SELECT * FROM told();
UPDATE sale SET shop = 2 WHERE id IN (1, 2);
SELECT * FROM told();
UPDATE sale SET shop = 1 WHERE id = 1;
SELECT * FROM told();
-- Past the edge of HAVING, and back.
UPDATE sale SET amount = 1000 WHERE id = 4;
SELECT * FROM told();
UPDATE sale SET amount = 1 WHERE id = 4;
SELECT * FROM told();
-- A group that ends and comes again; a shop that moves to another town, with its sales.
DELETE FROM sale WHERE shop = 1;
SELECT * FROM told();
INSERT INTO sale VALUES (40, 1, 1.0, 1, true), (41, NULL, 2.00, 1, true), (42, NULL, NULL, NULL, NULL);
SELECT * FROM told();
UPDATE shop SET town = 'A' WHERE id = 2;
SELECT * FROM told();
BEGIN;
UPDATE shop SET town = NULL WHERE id = 2;
UPDATE sale SET shop = 2, amount = -1 WHERE id IN (40, 41);
COMMIT;
SELECT * FROM told();
DELETE FROM sale;
SELECT * FROM told();
-- Nobody is told of what is kept after these.
INSERT INTO sale VALUES (1, 1, 1, 1, true);
SELECT id FROM told();
TRUNCATE sale;
INSERT INTO sale VALUES (1, 1, 5, 1, true);
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, message->>'type' AS type, message->>'reason' AS reason FROM live.poll() ORDER BY subscription_id COLLATE "C";
SELECT "row" FROM live.refresh('all'), live.snapshot('all');
UPDATE sale SET amount = 6;
SELECT * FROM told() WHERE id = 'all';
SELECT live.unsubscribe_all();
-- Rows leave by the time.
CREATE TABLE ticket (id int PRIMARY KEY, owner int, expires timestamptz);
CREATE INDEX ON ticket (expires);
INSERT INTO ticket SELECT n, n % 2, 'infinity' FROM generate_series(1, 10) n;
SELECT * FROM start('valid', 'SELECT owner, count(*) AS n, max(id) FILTER (WHERE expires < ''infinity'') AS last FROM ticket WHERE expires > now() GROUP BY owner');
SELECT * FROM start('expired', 'SELECT count(*) FILTER (WHERE expires <= now()) AS expired, count(*) AS n FROM ticket WHERE owner = $1', '{1}');
UPDATE ticket SET expires = clock_timestamp() + interval '1 s' * id WHERE id <= 4;
CREATE PROCEDURE wait_until(id text, condition text) LANGUAGE plpgsql AS $$
DECLARE change json; met bool; done bool := false;
BEGIN
  FOR i IN 1..600 LOOP
    FOR change IN SELECT c.value FROM live.poll(timeout => '0.2 s') p, json_array_elements(p.message->'changes') c WHERE p.subscription_id = id LOOP
      EXECUTE format('SELECT $1->>''op'' <> ''delete'' AND (%s)', condition) INTO met USING change;
      done := done OR coalesce(met, false);
    END LOOP;
    EXIT WHEN done;
    COMMIT;
  END LOOP;
  RAISE NOTICE '% %', id, CASE WHEN done THEN 'is told' ELSE 'is late' END;
END $$;
CALL wait_until('valid', $$$1->'row'->>'owner' = '0' AND $1->'row'->>'n' = '3' AND $1->'row'->>'last' IS NULL$$);
SELECT live.refresh('expired');
SELECT "row" FROM live.snapshot('expired');
UPDATE ticket SET expires = '-infinity' WHERE id IN (5, 7);
CALL wait_until('expired', $$$1->'row'->>'expired' = '4' AND $1->'row'->>'n' = '5'$$);
SELECT live.unsubscribe_all();
-- Steps that pass while nobody listens, but for one that waits for a refresh.
TRUNCATE ticket;
SELECT * FROM start('waits', 'SELECT count(*) AS n FROM ticket WHERE owner = $1 AND expires > now()', '{1}');
SELECT * FROM start('goes', 'SELECT count(*) AS n FROM ticket WHERE owner = $1 AND expires > now()', '{1}');
TRUNCATE ticket;
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, message->>'type' AS type FROM live.poll() ORDER BY subscription_id;
SELECT "row" FROM live.refresh('goes'), live.snapshot('goes');
INSERT INTO ticket SELECT n, 1, clock_timestamp() + interval '10 s' FROM generate_series(1, 3) n;
SELECT count(*) > 0 AS is_told FROM told();
SELECT live.unsubscribe('goes');
SELECT * FROM start('beside', 'SELECT count(*) AS n, now() AS at FROM shop', '{}');
SELECT pg_sleep(12);
SELECT strategy FROM live.subscribe('comes', 'SELECT count(*) AS n FROM ticket WHERE owner = $1 AND expires > now()', '{1}', delivery => 'poll');
SELECT "row" FROM live.snapshot('comes');
INSERT INTO ticket VALUES (4, 1, 'infinity');
SELECT * FROM told() WHERE id = 'comes';
SELECT live.unsubscribe_all();
DROP TABLE ticket;
DROP PROCEDURE wait_until;
DROP TABLE sale, shop;
DROP FUNCTION told, start;
