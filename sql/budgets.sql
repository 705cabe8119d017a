-- What the queries of one role may take together while all others wait.
CREATE TABLE t (id int PRIMARY KEY, note text);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE ROLE slow_role;
GRANT SELECT ON t TO slow_role;
CREATE FUNCTION endless(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN LOOP CONTINUE WHEN $1 > 0; RETURN $1; END LOOP; END $$;
ALTER SYSTEM SET live_queries.evaluation_timeout = '1s';
SELECT pg_reload_conf();
CALL watch('other', 'SELECT id FROM t');
SET ROLE slow_role;
SELECT count(*) FROM generate_series(1, 6) AS n,
  LATERAL live.subscribe('slow ' || n, format('SELECT endless(id) + %s AS e FROM t', n), '{}', false, 'poll');
CALL watch('quick', 'SELECT id, note FROM t');
RESET ROLE;
-- Two are ended for their time, which is then used up: what the role still has is reset, and nobody waits for it.
INSERT INTO t VALUES (1, 'one');
SELECT substring(id, '\w+') AS id, change, count(*) FROM feed() GROUP BY 1, 2 ORDER BY 1, 2;
-- The next turn has its own time.
SET ROLE slow_role;
SELECT live.unsubscribe_all();
CALL watch('quick', 'SELECT id, note FROM t');
CALL watch('slow', 'SELECT endless(id) AS e FROM t');
RESET ROLE;
INSERT INTO t VALUES (2, 'two');
SELECT * FROM feed();
INSERT INTO t VALUES (0, 'zero');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Likewise where functions are evaluated again, since they may have changed.
CREATE FUNCTION fixed(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SET ROLE slow_role;
SELECT count(*) FROM generate_series(1, 6) AS n,
  LATERAL live.subscribe('check ' || n, format('SELECT id FROM t WHERE id > fixed(-%s)', n), '{}', false, 'poll');
RESET ROLE;
CALL watch('other', 'SELECT id FROM t');
CREATE OR REPLACE FUNCTION fixed(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN LOOP CONTINUE WHEN $1 < 0; RETURN $1; END LOOP; END $$;
INSERT INTO t VALUES (3, 'three');
SELECT substring(id, '\w+') AS id, change, count(*) FROM feed() GROUP BY 1, 2 ORDER BY 1, 2;
ALTER SYSTEM RESET live_queries.evaluation_timeout;
SELECT pg_reload_conf();
SELECT live.unsubscribe_all();
DROP TABLE t;
DROP FUNCTION endless, fixed;
DROP ROLE slow_role;
