-- Where a full list ends is kept: a change behind its last row lets nothing be evaluated.
CREATE TABLE score (id int PRIMARY KEY, game int, points int, name text COLLATE "C", at numeric(6,1));
INSERT INTO score SELECT n, n % 2, n * 10, 'n' || n, n FROM generate_series(1, 20) n;
-- Whoever evaluates a row of a list asks this; it fails while that is not to be.
CREATE TABLE quiet (is_quiet bool);
INSERT INTO quiet VALUES (false);
CREATE FUNCTION shown(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF (SELECT is_quiet FROM quiet) THEN
    RAISE EXCEPTION 'a list is evaluated';
  END IF;
  RETURN name;
END $$;
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
CREATE FUNCTION start(id text, query text, params text[] DEFAULT '{}', OUT strategy text, OUT kept bool) LANGUAGE plpgsql AS $$
BEGIN
  SELECT s.strategy INTO strategy FROM live.subscribe(id, query, params, delivery => 'poll') AS s;
  PERFORM FROM live.snapshot(id);
  SELECT count(*) > 0 INTO kept FROM live.explain(query, params) WHERE property = 'boundary is kept';
END $$;

SELECT * FROM start('first', 'SELECT id, points, shown(name) AS name FROM score ORDER BY points DESC LIMIT 3');
SELECT * FROM start('of 1', 'SELECT id, points, shown(name) AS name FROM score WHERE game = $1 ORDER BY points, id LIMIT 2', '{1}');
SELECT * FROM start('of 2', 'SELECT id, points, shown(name) AS name FROM score WHERE game = $1 ORDER BY points, id LIMIT 2', '{2}');
SELECT * FROM start('page', 'SELECT id, shown(name) AS name FROM score ORDER BY at, id LIMIT 2 OFFSET 2');
SELECT * FROM live.explain('SELECT id FROM score WHERE game = $1 ORDER BY points DESC NULLS LAST LIMIT 2', '{1}');
-- They are evaluated once, and are known then.
UPDATE score SET points = points + 1, at = at + 0.5 WHERE id IN (1, 20);
SELECT * FROM told();
-- Rows that come, change and go behind the last row, and NULLs, which are last or first.
UPDATE quiet SET is_quiet = true;
INSERT INTO score VALUES (30, 1, 100, 'new', 100), (31, 0, 100, 'new', 100);
UPDATE score SET points = 101, at = 5.5 WHERE id IN (30, 31);
UPDATE score SET game = 3, name = 'other' WHERE id IN (9, 30);
SELECT * FROM told();
UPDATE score SET at = NULL WHERE id = 30;
DELETE FROM score WHERE id IN (9, 30, 31);
SELECT * FROM told();
UPDATE quiet SET is_quiet = false;
SELECT * FROM told();
-- A list with room for more has no end.
INSERT INTO score VALUES (32, 2, 100, 'new', 100);
SELECT * FROM told();
INSERT INTO score VALUES (33, 2, 110, 'new', 100);
SELECT * FROM told();
UPDATE quiet SET is_quiet = true;
INSERT INTO score VALUES (34, 2, 111, 'new', 100);
SELECT * FROM told();
-- One of equal points, decided by the key, is behind; the last row itself is not.
INSERT INTO score VALUES (35, 2, 110, 'new', 100);
SELECT * FROM told();
UPDATE quiet SET is_quiet = false;
SELECT * FROM told();
UPDATE score SET name = 'changed' WHERE id = 33;
SELECT * FROM told();
DELETE FROM score WHERE id = 33;
SELECT * FROM told();
-- On the page, or before it, and behind it.
UPDATE score SET at = 2.5 WHERE id = 4;
SELECT * FROM told();
DELETE FROM score WHERE id = 2;
SELECT * FROM told();
UPDATE quiet SET is_quiet = true;
DELETE FROM score WHERE id = 6;
SELECT * FROM told();
UPDATE quiet SET is_quiet = false;
SELECT * FROM told();
-- The list of another value; nobody watches the one that a change is in, and then somebody does again.
SELECT live.set_params('of 2', '{1}');
UPDATE score SET points = 300 WHERE id = 32;
SELECT * FROM told();
SELECT live.set_params('of 2', '{2}');
SELECT * FROM told();
UPDATE score SET name = 'changed' WHERE id = 34;
SELECT * FROM told();
-- Of a list that is lost, nothing is known.
TRUNCATE score;
INSERT INTO score SELECT n, n % 2, n * 10, 'n' || n, n FROM generate_series(1, 20) n;
SELECT * FROM told();
SELECT "row" FROM live.refresh('first'), live.snapshot('first');
INSERT INTO score VALUES (40, 1, 1000, 'new', 100);
SELECT * FROM told();
DELETE FROM score WHERE id IN (19, 20);
SELECT * FROM told();
SELECT live.unsubscribe_all();
-- What rows are ordered by has to be what tables store: what is computed may fail, of a row that is in no list.
SELECT * FROM start('computed', 'SELECT id FROM score ORDER BY 10 / points LIMIT 3');
SELECT * FROM start('by a number', 'SELECT id FROM score ORDER BY at DESC LIMIT 3');
SELECT * FROM start('by text', 'SELECT id FROM score ORDER BY name DESC NULLS FIRST, game LIMIT 3 OFFSET 1');
SELECT * FROM start('by nothing', 'SELECT id FROM score LIMIT 3');
SELECT * FROM start('join', 'SELECT s.name FROM score s LEFT JOIN score o ON o.id = s.points ORDER BY o.name, s.id LIMIT 3');
SELECT * FROM start('none', 'SELECT id FROM score ORDER BY id LIMIT 0');
SELECT * FROM start('ties', 'SELECT id FROM score ORDER BY points FETCH FIRST 3 ROWS WITH TIES');
SELECT * FROM start('groups', 'SELECT game, sum(points) AS sum FROM score GROUP BY game ORDER BY sum LIMIT 1');
-- A value that is watched may have other bytes than that of the rows.
SELECT * FROM start('other', 'SELECT id, points FROM score WHERE at = $1 ORDER BY points LIMIT 2', '{2}');
SELECT * FROM start('value of a number', 'SELECT id, points FROM score WHERE at = $1 ORDER BY points LIMIT 2', '{7}');
INSERT INTO score SELECT n, 0, n, 'of 7', 7 FROM generate_series(110, 130, 10) n;
SELECT * FROM told() WHERE id LIKE 'value%';
SELECT live.set_params('value of a number', '{2}');
DELETE FROM score WHERE id IN (7, 110);
SELECT live.set_params('value of a number', '{7}');
SELECT count(*) FROM told();
INSERT INTO score VALUES (125, 0, 125, 'of 7', 7);
SELECT * FROM told();
SELECT live.unsubscribe_all();
DROP TABLE score, quiet;
DROP FUNCTION told, start, shown;
