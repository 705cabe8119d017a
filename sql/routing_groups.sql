-- What many templates want of the same columns is looked up once: a changed row is shown to those alone that it may be for.
-- Here each role is one of its own, as under `owner = current_user`.
CREATE FUNCTION decoder_evaluations() RETURNS bigint LANGUAGE sql AS
  $$SELECT evaluations FROM live.workers WHERE kind = 'decoder' AND database = current_database()$$;
CREATE TABLE evaluated_before (evaluations bigint);
INSERT INTO evaluated_before VALUES (0);
-- How often a template was shown changes since it was asked last.
CREATE FUNCTION evaluated() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE before bigint; now bigint;
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN RAISE EXCEPTION 'the decoder is late'; END IF;
  SELECT decoder_evaluations() INTO now;
  SELECT evaluations INTO before FROM evaluated_before;
  UPDATE evaluated_before SET evaluations = now;
  RETURN now - before;
END $$;
CREATE TABLE memo (id int PRIMARY KEY, owner text, body text);
ALTER TABLE memo REPLICA IDENTITY FULL;
ALTER TABLE memo ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON memo USING (owner = current_user);
-- Five roles; each watches the same query.
CREATE PROCEDURE make_roles() LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN 1..5 LOOP
    EXECUTE format('CREATE ROLE regress_live_r%s', n);
    EXECUTE format('GRANT regress_live_r%s TO current_user', n);
  END LOOP;
END $$;
CREATE PROCEDURE all_watch(query text) LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN 1..5 LOOP
    EXECUTE format('SET LOCAL ROLE regress_live_r%s', n);
    CALL watch('r' || n, query);
  END LOOP;
  RESET ROLE;
END $$;
CALL make_roles();
GRANT SELECT ON memo TO PUBLIC;
CALL all_watch('SELECT * FROM memo');
SELECT evaluated() >= 0;

-- A row is shown to the one role that it is for, or to both that an update moves it between; what is for nobody, to none.
INSERT INTO memo VALUES (1, 'regress_live_r3', 'one');
SELECT evaluated();
UPDATE memo SET body = 'uno';
SELECT evaluated();
UPDATE memo SET owner = 'regress_live_r4';
SELECT evaluated();
UPDATE memo SET owner = NULL;
SELECT evaluated();
UPDATE memo SET body = 'a secret';
INSERT INTO memo SELECT n, 'nobody', 'text ' || n FROM generate_series(10, 1000) n;
UPDATE memo SET body = 'another secret' WHERE owner = 'nobody';
SELECT evaluated();
UPDATE memo SET owner = 'regress_live_r1' WHERE id = 1;
DELETE FROM memo WHERE id = 1;
DELETE FROM memo;
SELECT evaluated();
SELECT * FROM feed();
-- Of one transaction, each sees its own.
INSERT INTO memo SELECT n, 'regress_live_r' || n, 'of ' || n FROM generate_series(1, 3) n;
SELECT evaluated();
-- TRUNCATE concerns all.
TRUNCATE memo;
SELECT evaluated();
SELECT * FROM feed();

-- Those that end leave it; what is looked at again stays in it.
SELECT live.unsubscribe('r' || n) FROM generate_series(2, 3) n;
ALTER TABLE memo ADD COLUMN extra int;
ALTER TABLE memo RENAME COLUMN extra TO more;
INSERT INTO memo VALUES (2, 'regress_live_r2', 'two'), (3, 'regress_live_r3', 'three'), (4, 'regress_live_r4', 'four');
SELECT evaluated();
SELECT * FROM feed();
SET ROLE regress_live_r3;
CALL watch('r3', 'SELECT id, body FROM memo');
RESET ROLE;
UPDATE memo SET body = upper(body);
SELECT evaluated();
SELECT * FROM feed();
SELECT live.unsubscribe_all();
INSERT INTO memo VALUES (5, 'regress_live_r5', 'five');
SELECT evaluated();
CALL all_watch('SELECT id, body FROM memo');
-- Where the old row does not say whose it was, all are asked: they cannot know either.
BEGIN;
ALTER TABLE memo REPLICA IDENTITY DEFAULT;
UPDATE memo SET owner = 'regress_live_r1' WHERE id = 5;
ALTER TABLE memo REPLICA IDENTITY FULL;
COMMIT;
SELECT evaluated();
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- What one role's rows make fail ends its own.
CALL all_watch('SELECT id, 10 / length(body) AS n FROM memo');
INSERT INTO memo VALUES (11, 'regress_live_r1', 'a'), (12, 'regress_live_r2', ''), (13, 'regress_live_r3', 'abc');
SELECT * FROM feed();
-- What changes for all is looked at for each.
ALTER POLICY own ON memo USING (owner = current_user AND id > 12);
INSERT INTO memo VALUES (14, 'regress_live_r4', 'a');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A list and an equality of one column are in one hash, as are results of other columns and conditions of other values.
CREATE TABLE goods (id int PRIMARY KEY, price numeric, kind char(8), shop int);
ALTER TABLE goods REPLICA IDENTITY FULL;
CALL watch('equality', 'SELECT id FROM goods WHERE price = $1', '1.0');
CALL watch('list', 'SELECT id FROM goods WHERE price = ANY($1)', '{1.00,3,NULL}');
CALL watch('or', 'SELECT id FROM goods WHERE (price = 2 OR price = 3.000) AND shop > 5');
CALL watch('price', 'SELECT id, price FROM goods WHERE price = $1', '3');
CALL watch('price, shop', 'SELECT id FROM goods WHERE price = $1 AND shop = $2', '3', '7');
CALL watch('kind', 'SELECT id FROM goods WHERE kind = $1', 'a');
CALL watch('kind, price', 'SELECT id, price FROM goods WHERE kind = $1', 'a       ');
SELECT evaluated() >= 0;
INSERT INTO goods VALUES (1, 1.000, 'b', 7);
-- ('price, shop' is the only one of its columns, and asks itself.)
SELECT evaluated();
INSERT INTO goods VALUES (2, 3.0, 'a', 7);
SELECT evaluated();
UPDATE goods SET price = 1 WHERE id = 2;
SELECT evaluated();
UPDATE goods SET price = NULL, kind = 'c' WHERE id = 2;
SELECT evaluated();
SELECT * FROM feed();
SELECT live.unsubscribe('list');
DELETE FROM goods;
SELECT evaluated();
SELECT * FROM feed();
-- Of two of one shape and value that differ otherwise, one goes.
CALL watch('above 5', 'SELECT id FROM goods WHERE price = $1 AND shop > $2', '3', '5');
CALL watch('above 6', 'SELECT id FROM goods WHERE price = $1 AND shop > $2', '3', '6');
SELECT live.unsubscribe(id) FROM unnest('{above 5,price}'::text[]) id;
SELECT evaluated() >= 0;
INSERT INTO goods VALUES (3, 3.00, 'b', 6), (4, 3, 'b', 8);
-- (And 'or', and 'price, shop'.)
SELECT evaluated();
SELECT live.unsubscribe('above 6');
DELETE FROM goods;
SELECT evaluated();
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- By a collation of the users' own, each is asked itself; not by a domain of a type of the server's.
CREATE DOMAIN code AS text;
CREATE COLLATION regress_live_c (provider = libc, locale = 'C');
CREATE TABLE own_types (id int PRIMARY KEY, code code, collated text COLLATE regress_live_c);
ALTER TABLE own_types REPLICA IDENTITY FULL;
CALL watch('code', 'SELECT id FROM own_types WHERE code = $1', 'a');
CALL watch('code too', 'SELECT id, code FROM own_types WHERE code = $1', 'b');
CALL watch('collated', 'SELECT id FROM own_types WHERE collated = $1', 'a');
CALL watch('collated too', 'SELECT id, code FROM own_types WHERE collated = $1', 'a');
SELECT evaluated() >= 0;
INSERT INTO own_types VALUES (1, 'a', 'b');
SELECT evaluated();
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Partitions with columns in other places; rows move between them.
CREATE TABLE parted (id int, owner text, body text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high (body text, gone int, owner text, id int NOT NULL);
ALTER TABLE parted_high DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_high FOR VALUES FROM (100) TO (200);
ALTER TABLE parted REPLICA IDENTITY FULL;
ALTER TABLE parted_low REPLICA IDENTITY FULL;
ALTER TABLE parted_high REPLICA IDENTITY FULL;
ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON parted USING (owner = current_user);
GRANT SELECT ON parted TO PUBLIC;
CALL all_watch('SELECT * FROM parted');
SELECT evaluated() >= 0;
INSERT INTO parted VALUES (1, 'regress_live_r1', 'one'), (101, 'regress_live_r2', 'two'), (102, 'nobody', 'three');
SELECT evaluated();
UPDATE parted SET id = 150, owner = 'regress_live_r3' WHERE id = 1;
SELECT evaluated();
SELECT * FROM feed();
-- A partition that comes with rows concerns all.
CREATE TABLE parted_more (LIKE parted INCLUDING ALL);
ALTER TABLE parted_more REPLICA IDENTITY FULL;
INSERT INTO parted_more VALUES (201, 'regress_live_r5', 'five');
ALTER TABLE parted ATTACH PARTITION parted_more FOR VALUES FROM (200) TO (300);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- The key alone is logged of old rows.
SET live_queries.evaluators = 0;
CREATE TABLE keyed (owner name, id int, body text, PRIMARY KEY (owner, id));
ALTER TABLE keyed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON keyed USING (owner = current_user);
GRANT SELECT ON keyed TO PUBLIC;
CALL all_watch('SELECT * FROM keyed');
SELECT evaluated() >= 0;
INSERT INTO keyed VALUES ('regress_live_r1', 1, 'one'), ('regress_live_r2', 1, 'two');
UPDATE keyed SET body = 'uno' WHERE owner = 'regress_live_r1';
SELECT evaluated();
UPDATE keyed SET owner = 'regress_live_r3' WHERE owner = 'regress_live_r1';
DELETE FROM keyed WHERE owner = 'regress_live_r2';
SELECT evaluated();
SELECT * FROM feed();
SELECT live.unsubscribe_all();
RESET live_queries.evaluators;

DROP TABLE memo, goods, own_types, parted, keyed, evaluated_before;
DROP DOMAIN code;
DROP COLLATION regress_live_c;
DROP PROCEDURE make_roles, all_watch;
DROP FUNCTION evaluated, decoder_evaluations;
DROP ROLE regress_live_r1, regress_live_r2, regress_live_r3, regress_live_r4, regress_live_r5;
