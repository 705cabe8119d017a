-- Where rows stand in a result with ORDER BY and LIMIT.
CREATE TABLE pos (id int PRIMARY KEY, score int, name text);
INSERT INTO pos SELECT i, i * 10, 'n' || i FROM generate_series(1, 6) i;
CREATE FUNCTION positions(OUT id text, OUT op text, OUT key text, OUT "row" text, OUT old text, OUT "position" int)
RETURNS SETOF record LANGUAGE sql AS $$
  SELECT subscription_id, c->>'op', c->>'key', c->>'row', c->>'old', (c->>'position')::int
  FROM (SELECT live.wait_for(timeout => '60s')) w, live.poll(), json_array_elements(message->'changes') WITH ORDINALITY j(c, n) ORDER BY 1, n $$;
CALL watch('top', 'SELECT id, score FROM pos ORDER BY score DESC LIMIT 4');
-- What it is ordered by need not be shown.
CALL watch('hidden', 'SELECT id FROM pos ORDER BY score DESC LIMIT 4');
CALL watch('no key', 'SELECT name FROM (SELECT name, score FROM pos UNION ALL SELECT ''n'' || 6, 55) u ORDER BY score DESC LIMIT 4');
CALL watch('no limit', 'SELECT count(*) AS n, score / 100 AS s FROM pos GROUP BY 2 ORDER BY 2');
SELECT * FROM live.refresh('top');
SELECT * FROM live.snapshot('top');
-- One comes in in the middle, the last one leaves.
INSERT INTO pos VALUES (7, 45, 'n7');
SELECT * FROM positions();
-- One goes to the top: the others only follow.
UPDATE pos SET score = 100 WHERE id = 7;
SELECT * FROM positions();
-- Two change places, and one refills.
BEGIN;
UPDATE pos SET score = 70 WHERE id = 5;
DELETE FROM pos WHERE id = 7;
COMMIT;
SELECT * FROM positions();
UPDATE pos SET score = -score;
SELECT * FROM positions();
SELECT live.unsubscribe_all();
DROP FUNCTION positions;
DROP TABLE pos;
