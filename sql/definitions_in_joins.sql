-- Functions, types, domains and generated columns that queries of the delta strategy use: whatever is made of them, each live query
-- shows what it gives then, at once or after a reset, or it ends.
SELECT CASE WHEN current_setting('server_version_num')::int < 180000 THEN 'STORED' ELSE 'VIRTUAL' END AS kind \gset
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE TYPE size AS (height int, width int);
CREATE DOMAIN price AS int CHECK (VALUE > 0);
CREATE DOMAIN low AS int;
CREATE TABLE person (id int PRIMARY KEY, name text, size size);
CREATE TABLE bill (id int PRIMARY KEY, person int, n int, state state, price price, kept int GENERATED ALWAYS AS (n * 2) STORED,
                   computed int GENERATED ALWAYS AS (n * 3) :kind);
CREATE FUNCTION scaled(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 10; END';
CREATE FUNCTION doubled(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION around(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT scaled($1) + 1';
CREATE FUNCTION passes(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 > 2; END';
CREATE FUNCTION bills_of(int) RETURNS SETOF bill STABLE LANGUAGE sql AS 'SELECT * FROM bill WHERE person = $1';
CREATE FUNCTION open_bills() RETURNS TABLE (bill int, person int) STABLE LANGUAGE sql AS 'SELECT id, person FROM bill WHERE state = ''open''';
CREATE FUNCTION inner_bills(int) RETURNS SETOF int STABLE LANGUAGE sql AS 'SELECT id FROM bill WHERE n > $1';
CREATE FUNCTION outer_bills(int) RETURNS SETOF int STABLE LANGUAGE sql AS 'SELECT * FROM inner_bills($1 + 1)';
CREATE VIEW scaled_bill AS SELECT id, person, scaled(n) AS s FROM bill;
INSERT INTO person VALUES (1, 'Ada', (1, 2)), (2, 'Bob', (3, 4)), (3, NULL, NULL);
INSERT INTO bill VALUES (10, 1, 1, 'open', 5), (11, 1, 3, 'paid', 6), (12, 2, 5, 'open', 7), (13, NULL, 7, NULL, NULL);

CREATE TABLE form (id text PRIMARY KEY, query text);
INSERT INTO form VALUES
  ('function', 'SELECT b.id, scaled(b.n) AS s, p.name FROM bill b JOIN person p ON p.id = b.person'),
  ('function in a group', 'SELECT p.id, sum(scaled(b.n)) AS s, count(*) AS c FROM bill b JOIN person p ON p.id = b.person GROUP BY p.id'),
  ('function in a key', 'SELECT scaled(b.n) / 20 AS s, count(*) AS c FROM bill b GROUP BY scaled(b.n) / 20'),
  ('function in a condition', 'SELECT p.id FROM person p WHERE EXISTS (SELECT FROM bill b WHERE b.person = p.id AND passes(b.n))'),
  ('function in an order', 'SELECT b.id FROM bill b ORDER BY scaled(b.n) % 40, b.id LIMIT 2'),
  ('function in a view', 'SELECT v.id, v.s FROM scaled_bill v JOIN person p ON p.id = v.person'),
  ('inlined', 'SELECT b.id, doubled(b.n) AS d FROM bill b JOIN person p ON p.id = b.person'),
  ('within an inlined one', 'SELECT b.id, around(b.n) AS d FROM bill b JOIN person p ON p.id = b.person'),
  ('enum', 'SELECT b.id, b.state, p.name FROM bill b LEFT JOIN person p ON p.id = b.person'),
  ('groups of an enum', 'SELECT b.state, count(*) AS c, max(b.state) AS m FROM bill b GROUP BY b.state'),
  ('row type', 'SELECT p.size, b.id FROM person p JOIN bill b ON b.person = p.id'),
  ('groups of a row type', 'SELECT p.size, count(*) AS c FROM person p GROUP BY p.size'),
  ('whole row', 'SELECT b.id, p AS person FROM bill b JOIN person p ON p.id = b.person'),
  ('domain', 'SELECT b.id, b.price, p.name FROM bill b JOIN person p ON p.id = b.person'),
  ('cast to a domain', 'SELECT b.id, b.n::low AS l FROM bill b JOIN person p ON p.id = b.person'),
  ('kept column', 'SELECT b.id, b.kept, p.name FROM bill b JOIN person p ON p.id = b.person WHERE b.kept < 100'),
  ('computed column', 'SELECT b.id, b.computed, p.name FROM bill b JOIN person p ON p.id = b.person WHERE b.computed < 200'),
  ('groups of computed columns', 'SELECT b.computed % 2 AS odd, sum(b.computed) AS s, sum(b.kept) AS k FROM bill b GROUP BY b.computed % 2'),
  ('join by a computed column', 'SELECT a.id, b.id AS other FROM bill a JOIN bill b ON a.computed = b.kept * 3'),
  ('top by a computed column', 'SELECT b.id, b.computed FROM bill b ORDER BY b.computed DESC NULLS LAST, b.id LIMIT 2'),
  ('rows of a function', 'SELECT p.id, x.id AS bill, x.n FROM person p, bills_of(p.id) x'),
  ('rows beside a function', 'SELECT p.id, x.id AS bill, x.n FROM person p LEFT JOIN LATERAL bills_of(p.id) x ON true'),
  ('function on the left', 'SELECT x.bill, p.name FROM open_bills() x LEFT JOIN person p ON p.id = x.person'),
  ('groups of a function', 'SELECT x.person, count(*) AS c FROM open_bills() x GROUP BY x.person'),
  ('function in a function', 'SELECT x.id, p.name FROM outer_bills(1) x (id) JOIN bill b ON b.id = x.id LEFT JOIN person p ON p.id = b.person'),
  ('function in IN', 'SELECT id FROM person WHERE id IN (SELECT person FROM open_bills())');

CREATE TABLE shown (id text, key text, "row" text);
CREATE TABLE noted (number serial, id text, what text);
CREATE PROCEDURE read_first(of text) LANGUAGE plpgsql AS $$
DECLARE
  keys text[];
  rows text[];
BEGIN
  SELECT array_agg(key::text), array_agg("row"::text) INTO keys, rows FROM live.snapshot(of);
  COMMIT;
  DELETE FROM shown WHERE id = of;
  INSERT INTO shown SELECT of, * FROM unnest(keys, rows);
  COMMIT;
END $$;
CREATE PROCEDURE watch_all() LANGUAGE plpgsql AS $$
DECLARE
  one record;
BEGIN
  FOR one IN SELECT * FROM form ORDER BY id LOOP
    PERFORM live.subscribe(one.id, one.query, delivery => 'poll');
    CALL read_first(one.id);
  END LOOP;
END $$;
CREATE PROCEDURE take_all() LANGUAGE plpgsql AS $$
DECLARE
  one record;
  change json;
  place tid;
BEGIN
  PERFORM live.wait_for(timeout => '60s');
  FOR one IN SELECT * FROM live.poll() LOOP
    IF one.message->>'type' <> 'changes' THEN
      INSERT INTO noted (id, what) VALUES (one.subscription_id, concat_ws(' ', one.message->>'type', one.message->>'code'));
      CONTINUE;
    END IF;
    FOR change IN SELECT * FROM json_array_elements(one.message->'changes') LOOP
      place := (SELECT ctid FROM shown WHERE id = one.subscription_id AND key = change->>'key' LIMIT 1);
      IF change->>'op' = 'insert' THEN
        INSERT INTO shown VALUES (one.subscription_id, change->>'key', change->>'row');
      ELSIF place IS NULL THEN
        INSERT INTO noted (id, what) VALUES (one.subscription_id, change->>'op' || ' of what is not there');
      ELSIF change->>'op' = 'update' THEN
        UPDATE shown SET "row" = change->>'row' WHERE ctid = place;
      ELSE
        DELETE FROM shown WHERE ctid = place;
      END IF;
    END LOOP;
  END LOOP;
END $$;
-- Whether each that is live shows what its query gives; what was reset begins anew before.
CREATE PROCEDURE check_all() LANGUAGE plpgsql AS $$
DECLARE
  one record;
  differ bigint;
BEGIN
  CALL take_all();
  COMMIT;
  FOR one IN SELECT id FROM noted GROUP BY id HAVING bool_and(what LIKE 'reset%') ORDER BY id LOOP
    PERFORM live.refresh(one.id);
    CALL read_first(one.id);
  END LOOP;
  FOR one IN SELECT f.* FROM form f JOIN live_queries l ON l.subscription_id = f.id AND l.pid = pg_backend_pid() AND l.status <> 'terminated'
             WHERE NOT EXISTS (SELECT FROM noted n WHERE n.id = f.id AND n.what LIKE 'terminated%') ORDER BY f.id LOOP
    EXECUTE format($q$
      WITH now AS (SELECT row_to_json(q)::text AS "row" FROM (%s) q),
           had AS (SELECT "row" FROM shown WHERE id = %L)
      SELECT count(*) FROM ((TABLE now EXCEPT ALL TABLE had) UNION ALL (TABLE had EXCEPT ALL TABLE now)) d $q$, one.query, one.id) INTO differ;
    IF differ > 0 THEN INSERT INTO noted (id, what) VALUES (one.id, format('%s rows differ', differ)); END IF;
  END LOOP;
END $$;
-- Rows of all tables, after a change of definitions: in every query something is another.
CREATE PROCEDURE change_rows(step int) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bill (id, person, n, state) SELECT 100 + step, 1 + step % 3, step, state FROM bill WHERE id = 11;
  UPDATE bill SET n = n + 1, state = (SELECT state FROM bill WHERE id = 11) WHERE id IN (10, 12);
  UPDATE person SET name = name || step WHERE id < 3;
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'bill'::regclass AND attname = 'price') THEN UPDATE bill SET price = price + 1 WHERE id = 11; END IF;
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'person'::regclass AND attname = 'size') THEN UPDATE person SET size.height = step WHERE id = 1; END IF;
  DELETE FROM bill WHERE id = 100 + step - 10;
END $$;
-- step: what is told, and whether all is as it should be then.
CREATE PROCEDURE changed(step int, definition text) LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM noted;
  EXECUTE definition;
  COMMIT;
  CALL change_rows(step);
  COMMIT;
  CALL check_all();
  CALL change_rows(step + 1);
  COMMIT;
  CALL check_all();
END $$;

CALL watch_all();
SELECT strategy, count(*) FROM live_queries WHERE pid = pg_backend_pid() GROUP BY strategy ORDER BY 1;
SELECT id, count(*) FROM shown GROUP BY id ORDER BY id;
CREATE FUNCTION told(OUT what text, OUT ids text) RETURNS SETOF record LANGUAGE sql AS
  $$ SELECT what, string_agg(id, ', ' ORDER BY id) FROM (SELECT DISTINCT what, id FROM noted) n GROUP BY what ORDER BY what $$;
CALL changed(1, 'SELECT 1');
SELECT * FROM told();
-- Functions that become others.
CALL changed(11, 'CREATE OR REPLACE FUNCTION scaled(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS ''BEGIN RETURN $1 * 11; END''');
SELECT * FROM told();
CALL changed(21, 'CREATE OR REPLACE FUNCTION doubled(int) RETURNS int IMMUTABLE LANGUAGE sql AS ''SELECT $1 * 3''');
SELECT * FROM told();
CALL changed(31, 'CREATE OR REPLACE FUNCTION around(int) RETURNS int IMMUTABLE LANGUAGE sql AS ''SELECT scaled($1) + doubled($1)''');
SELECT * FROM told();
CALL changed(41, 'CREATE OR REPLACE FUNCTION passes(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS ''BEGIN RETURN $1 < 40; END''');
SELECT * FROM told();
-- And those whose rows are read, themselves or in another.
CALL changed(51, 'CREATE OR REPLACE FUNCTION bills_of(int) RETURNS SETOF bill STABLE LANGUAGE sql AS ''SELECT * FROM bill WHERE person = $1 AND n > 3''');
SELECT * FROM told();
CALL changed(61, 'CREATE OR REPLACE FUNCTION open_bills() RETURNS TABLE (bill int, person int) STABLE LANGUAGE sql AS ''SELECT id, person FROM bill WHERE n % 2 = 0''');
SELECT * FROM told();
CALL changed(71, 'CREATE OR REPLACE FUNCTION inner_bills(int) RETURNS SETOF int STABLE LANGUAGE sql AS ''SELECT id FROM bill WHERE n > $1 * 2''');
SELECT * FROM told();
-- Which is no other one.
CALL changed(81, 'ALTER FUNCTION scaled COST 7');
SELECT * FROM told();
CALL changed(91, 'ALTER FUNCTION doubled STRICT');
SELECT * FROM told();
-- Types.
CALL changed(111, 'ALTER TYPE state ADD VALUE ''lost'' BEFORE ''open''');
SELECT * FROM told();
CALL changed(121, 'ALTER TYPE state RENAME VALUE ''paid'' TO ''settled''');
SELECT * FROM told();
CALL changed(131, 'ALTER TYPE size RENAME ATTRIBUTE width TO breadth');
SELECT * FROM told();
CALL changed(141, 'ALTER TYPE size ADD ATTRIBUTE depth int');
SELECT * FROM told();
CALL changed(151, 'ALTER TYPE state RENAME TO status');
SELECT * FROM told();
-- Domains.
CALL changed(161, 'ALTER DOMAIN price DROP CONSTRAINT price_check');
SELECT * FROM told();
CALL changed(171, 'ALTER DOMAIN low ADD CONSTRAINT is_low CHECK (VALUE < 1000000)');
SELECT * FROM told();
CALL changed(181, 'ALTER DOMAIN low ADD CONSTRAINT is_lower CHECK (VALUE < 1000)');
SELECT * FROM told();
UPDATE bill SET n = 5000 WHERE id = 10;
CALL check_all();
SELECT * FROM told();
UPDATE bill SET n = 50 WHERE id = 10;
-- Generated columns: another expression, where the server can change it.
CREATE PROCEDURE other_expression(changes text, before_17 text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE CASE WHEN current_setting('server_version_num')::int < 170000 THEN before_17 ELSE changes END;
END $$;
CALL changed(191, $$CALL other_expression('ALTER TABLE bill ALTER kept SET EXPRESSION AS (n * 5)', 'ALTER TABLE bill ALTER kept TYPE bigint')$$);
SELECT * FROM told();
CALL changed(201, $$CALL other_expression('ALTER TABLE bill ALTER computed SET EXPRESSION AS (n * 7)', 'ALTER TABLE bill ALTER computed TYPE bigint')$$);
SELECT DISTINCT id, what FROM noted WHERE id LIKE '%computed%' OR what LIKE '%differ%' ORDER BY 1, 2;
CALL changed(211, 'ALTER TABLE bill ALTER kept DROP EXPRESSION');
SELECT * FROM told();
-- What is gone.
CALL changed(231, 'ALTER FUNCTION passes VOLATILE');
SELECT * FROM told();
CALL changed(221, 'DROP FUNCTION open_bills');
SELECT * FROM told();
CALL changed(225, 'ALTER FUNCTION inner_bills VOLATILE');
SELECT * FROM told();
CALL changed(241, 'DROP FUNCTION scaled CASCADE');
SELECT * FROM told();
CALL changed(251, 'DROP DOMAIN price CASCADE');
SELECT * FROM told();
CALL changed(261, 'DROP TYPE size CASCADE');
SELECT * FROM told();
SELECT live.unsubscribe_all();
DROP TABLE form, shown, noted, bill, person CASCADE;
DROP PROCEDURE read_first, watch_all, take_all, check_all, change_rows, changed, other_expression;
DROP FUNCTION told, doubled, around, passes, inner_bills, outer_bills;
DROP DOMAIN low;
DROP TYPE status;
