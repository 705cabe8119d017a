-- Functions in FROM that are a query in SQL: that query is watched. All others are as they were.
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE sale (id int PRIMARY KEY, customer int, total numeric);
ALTER TABLE sale REPLICA IDENTITY FULL;
INSERT INTO customer VALUES (1, 'one'), (2, 'two');
INSERT INTO sale VALUES (1, 1, 5), (2, 1, 7), (3, 2, 8);
CREATE FUNCTION sales_of(who int) RETURNS SETOF sale LANGUAGE sql STABLE AS 'SELECT * FROM sale WHERE customer = who';
CREATE FUNCTION large(atleast numeric DEFAULT 6, part text DEFAULT '') RETURNS TABLE (sale int, name text) LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT s.id, c.name || part FROM sale s JOIN customer c ON c.id = s.customer WHERE s.total > atleast;
END;
CREATE FUNCTION large_of(who int) RETURNS SETOF int LANGUAGE sql STABLE
AS 'SELECT l.sale FROM large(part => ''x'') l JOIN sales_of(who) s ON s.id = l.sale';
CREATE FUNCTION first_of(anyelement) RETURNS TABLE (it anyelement, sale int) LANGUAGE sql STABLE AS 'SELECT $1, id FROM sale ORDER BY id LIMIT 1';
CREATE VIEW sums WITH (security_barrier) AS SELECT c.id, s.total FROM customer c LEFT JOIN LATERAL (SELECT sum(total) AS total FROM sales_of(c.id)) s ON true;

CREATE FUNCTION explained(query text, VARIADIC params text[] DEFAULT '{}') RETURNS TABLE (property text, value text) LANGUAGE sql
AS $$ SELECT property, value FROM live.explain(query, params) WHERE property IN ('strategy', 'routing', 'key') $$;
SELECT * FROM explained('SELECT id, total FROM sales_of($1)', '1');
SELECT * FROM explained('SELECT sale, name FROM large(part => ''!'') WHERE name < $1', 'z');
SELECT * FROM explained('SELECT c.name, s.id FROM customer c, sales_of(c.id) s');

CALL watch('alone', 'SELECT id, total FROM sales_of($1)', '1');
CALL watch('another', 'SELECT id, total FROM sales_of($1)', '2');
CALL watch('arguments', 'SELECT sale, name FROM large(part => $1)', '!');
CALL watch('lateral', 'SELECT c.id AS c, s.id, s.total FROM customer c, sales_of(c.id) s');
CALL watch('left', 'SELECT c.id, s.id AS s FROM customer c LEFT JOIN sales_of(c.id) s ON s.total > 7');
CALL watch('nested', 'SELECT count(*) FROM large_of(1)');
CALL watch('below', 'SELECT id FROM customer WHERE id IN (SELECT customer FROM sales_of(2))');
CALL watch('any type', 'SELECT * FROM first_of(''x''::text)');
CALL watch('view', 'SELECT * FROM sums');
INSERT INTO sale VALUES (4, 2, 9);
SELECT * FROM feed();
UPDATE sale SET customer = 2, total = 10 WHERE id = 2;
SELECT * FROM feed();
DELETE FROM sale WHERE id = 1;
SELECT * FROM feed();
UPDATE customer SET name = 'ONE' WHERE id = 1;
INSERT INTO customer VALUES (3, 'three');
SELECT * FROM feed();

-- One that reads no table is a function as any other.
CREATE FUNCTION numbers(most int) RETURNS SETOF int LANGUAGE sql IMMUTABLE AS 'SELECT generate_series(1, most)';
SELECT * FROM explained('SELECT c.id, n FROM customer c, numbers(2) n');

-- Another body is another query.
CREATE OR REPLACE FUNCTION sales_of(who int) RETURNS SETOF sale LANGUAGE sql STABLE AS 'SELECT * FROM sale WHERE customer = who AND total > 9';
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Who may not call it, or read what it reads, may not watch it.
CREATE ROLE caller;
GRANT SELECT ON customer TO caller;
SET ROLE caller;
CALL refused('SELECT id FROM sales_of(1)');
RESET ROLE;
GRANT SELECT ON sale TO caller;
ALTER TABLE sale ENABLE ROW LEVEL SECURITY;
CREATE POLICY two ON sale TO caller USING (customer = 2);
SET ROLE caller;
CALL watch('own', 'SELECT c.id AS c, s.id FROM customer c, sales_of(c.id) s');
RESET ROLE;
INSERT INTO sale VALUES (5, 1, 20), (6, 2, 20);
SELECT * FROM feed();
REVOKE EXECUTE ON FUNCTION sales_of FROM PUBLIC;
SELECT * FROM feed();
SET ROLE caller;
CALL refused('SELECT id FROM sales_of(1)');
RESET ROLE;
DROP OWNED BY caller;
DROP ROLE caller;

-- What is no query of its caller.
CREATE FUNCTION in_plpgsql() RETURNS SETOF sale LANGUAGE plpgsql STABLE AS 'BEGIN RETURN QUERY SELECT * FROM sale; END';
CREATE FUNCTION strictly(who int) RETURNS SETOF sale LANGUAGE sql STABLE STRICT AS 'SELECT * FROM sale WHERE customer = who';
CREATE FUNCTION as_owner() RETURNS SETOF sale LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT * FROM sale';
CREATE FUNCTION volatile() RETURNS SETOF sale LANGUAGE sql AS 'SELECT * FROM sale';
CREATE FUNCTION of_catalogs() RETURNS SETOF name LANGUAGE sql STABLE AS 'SELECT relname FROM pg_class';
CREATE FUNCTION at_random() RETURNS SETOF float8 LANGUAGE sql STABLE AS 'SELECT random() FROM sale';
CALL refused('SELECT id FROM in_plpgsql()');
CALL refused('SELECT s.id FROM customer c, in_plpgsql() s WHERE s.customer = c.id');
CALL refused('SELECT s.id FROM customer c, strictly(c.id) s');
CALL refused('SELECT s.id FROM customer c, as_owner() s');
CALL refused('SELECT s.id FROM customer c, volatile() s');
CALL refused('SELECT id, ordinality FROM customer, sales_of(1) WITH ORDINALITY AS s(i, c, t, ordinality)');
CALL refused('SELECT s.id FROM ROWS FROM (sales_of(1), generate_series(1, 2)) AS s(id, c, t, n), customer');
CALL refused('SELECT * FROM of_catalogs()');
CALL refused('SELECT * FROM at_random()');
-- Nor what writes or locks, whatever is around it, nor what has a support function, which 19 would ask for a query.
CREATE FUNCTION writes() RETURNS SETOF sale LANGUAGE sql STABLE AS 'WITH w AS (INSERT INTO sale VALUES (9, 1, 1) RETURNING *) SELECT * FROM w';
CREATE FUNCTION writes_below() RETURNS SETOF bigint LANGUAGE sql STABLE
AS 'WITH w AS (DELETE FROM sale RETURNING id) SELECT id FROM w UNION ALL SELECT id FROM w';
CREATE FUNCTION locks() RETURNS SETOF sale LANGUAGE sql STABLE AS 'SELECT * FROM sale FOR UPDATE';
CREATE FUNCTION supported(lowest int, most int) RETURNS SETOF sale LANGUAGE sql STABLE SUPPORT generate_series_int4_support
AS 'SELECT * FROM sale WHERE id BETWEEN lowest AND most';
CALL refused('SELECT id FROM writes()');
CALL refused('SELECT s FROM customer, writes_below() s');
CALL refused('SELECT id FROM locks()');
CALL refused('SELECT s.id FROM customer c, supported(c.id, 5) s');

-- A sub-select that is an expression is one as an argument, too; others leave the function what it is.
SET functions_in_from.who = '2';
SELECT * FROM explained($$SELECT id, total FROM sales_of((SELECT current_setting('functions_in_from.who')::int))$$);
SELECT * FROM explained('SELECT c.name, s.id FROM customer c, sales_of((SELECT c.id)) s');
CALL refused('SELECT s.id FROM customer c, sales_of((SELECT max(id) + c.id FROM sale)) s');

-- A view is no table: one without tables makes no query of a function.
CREATE VIEW one AS SELECT 1 AS n;
CREATE FUNCTION ones() RETURNS SETOF int LANGUAGE sql IMMUTABLE AS 'SELECT n FROM one';
SELECT * FROM explained('SELECT c.id, n FROM customer c, ones() n');

-- Functions that call others twice, and arguments that are given on twice, are refused before they are all there is.
DO $$
BEGIN
  CREATE FUNCTION doubled_0() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM sale';
  FOR i IN 1 .. 20 LOOP
    EXECUTE format('CREATE FUNCTION doubled_%s() RETURNS SETOF int LANGUAGE sql STABLE
      AS ''SELECT a FROM doubled_%s() a UNION ALL SELECT b FROM doubled_%s() b''', i, i - 1, i - 1);
  END LOOP;
END $$;
CREATE FUNCTION added(n int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id + n FROM sale UNION ALL SELECT a FROM added(n + n) a';
CREATE FUNCTION itself() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM sale UNION ALL SELECT i FROM itself() i';
SELECT value FROM explained('SELECT count(*) FROM doubled_5()') WHERE property = 'strategy';
CALL refused('SELECT count(*) FROM doubled_20()');
CALL refused('SELECT a FROM added(1) a');
CALL refused('SELECT a FROM customer c, added(c.id) a');
CALL refused('SELECT i FROM itself() i');

-- A row type that has lost columns, and gets others: in a view, the columns of the function are those of then.
CREATE TABLE item (id int PRIMARY KEY, gone int, customer int, lost text, note text);
ALTER TABLE item REPLICA IDENTITY FULL;
ALTER TABLE item DROP COLUMN gone, DROP COLUMN lost;
INSERT INTO item VALUES (1, 1, 'a');
CREATE FUNCTION items_of(who int) RETURNS SETOF item LANGUAGE sql STABLE AS 'SELECT * FROM item WHERE customer = who';
CREATE VIEW of_one AS SELECT c.id, i FROM customer c LEFT JOIN items_of(c.id) i ON true;
CREATE VIEW of_both AS
SELECT c.id, i AS item, s AS sale FROM customer c CROSS JOIN LATERAL items_of(c.id) i JOIN sales_of(1) s ON s.customer = c.id AND s IS NOT NULL;
CREATE FUNCTION atomically(who int) RETURNS TABLE (id int, row_of item) LANGUAGE sql STABLE BEGIN ATOMIC SELECT i.id, i FROM items_of(who) i; END;
CALL watch('dropped', 'SELECT * FROM items_of(1)');
CALL watch('dropped rows', 'SELECT c.name, i FROM customer c, items_of(c.id) i');
CALL watch('dropped, ordered', 'SELECT i FROM items_of(1) i ORDER BY note LIMIT 2');
INSERT INTO item VALUES (2, 1, 'b');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
ALTER TABLE item ADD COLUMN extra int DEFAULT 5, ADD COLUMN more text;
CALL watch('added', 'SELECT id, (i).extra FROM of_one');
CALL watch('added rows', 'SELECT id, i FROM of_one');
CALL watch('added, both', 'SELECT id, item, sale FROM of_both');
CALL watch('added, atomically', 'SELECT c.id AS c, a.id, a.row_of FROM customer c, atomically(c.id) a');
INSERT INTO item VALUES (3, 2, 'c', 6, 'm');
SELECT * FROM feed();
UPDATE item SET note = 'x' WHERE id = 1;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A literal of the clock is read whenever a body in text is; inlined, it would be that of one moment. In a parsed body, as in a
-- view, it is that of when it was made. A literal of the query that stands where the body has one is another one.
CREATE TABLE visit (id int PRIMARY KEY, day date, note text);
ALTER TABLE visit REPLICA IDENTITY FULL;
CREATE FUNCTION visits_today() RETURNS SETOF visit LANGUAGE sql STABLE AS 'SELECT * FROM visit WHERE day = ''today''';
CREATE FUNCTION visits_below() RETURNS SETOF visit LANGUAGE sql STABLE AS 'SELECT v.* FROM customer, visits_today() v';
CREATE FUNCTION visits_since(date) RETURNS SETOF visit LANGUAGE sql STABLE AS $$SELECT * FROM visit WHERE day >= $1 AND 'now' <> note$$;
CREATE FUNCTION visits_then() RETURNS SETOF visit LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM visit WHERE day <= 'today'; END;
CREATE FUNCTION is_today(date) RETURNS bool LANGUAGE sql STABLE AS 'SELECT $1 = ''today''::date';
CREATE FUNCTION this_day() RETURNS date LANGUAGE sql STABLE AS 'SELECT date ''tomorrow'' - 1';
CREATE FUNCTION is_then(date) RETURNS bool LANGUAGE sql STABLE RETURN $1 <= date 'today';
CREATE FUNCTION says_now(text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$SELECT $1 = 'now'$$;
-- What a literal of a polymorphic function is depends on the call.
CREATE FUNCTION is_the_day(anyelement) RETURNS bool LANGUAGE sql STABLE AS $$SELECT $1 = 'today'$$;
CREATE FUNCTION is_any_day(anyarray) RETURNS bool LANGUAGE sql STABLE AS $$SELECT 'today' = ANY ($1)$$;
CREATE FUNCTION since_then(note text, given anyelement, day date DEFAULT '2001-01-01') RETURNS bool LANGUAGE sql STABLE AS $$SELECT given >= 'yesterday'$$;
CREATE FUNCTION is_this_day(date) RETURNS bool LANGUAGE sql STABLE AS 'SELECT is_the_day($1)';
CREATE FUNCTION is_like(anyelement, anyelement) RETURNS bool LANGUAGE sql STABLE AS $$SELECT $1 = $2 AND $2 <> 'now'$$;
CREATE OPERATOR =~= (FUNCTION = is_like, LEFTARG = anyelement, RIGHTARG = anyelement);
CALL refused('SELECT id FROM visit WHERE is_the_day(day)');
CALL refused('SELECT id FROM visit WHERE is_any_day(ARRAY[day])');
CALL refused('SELECT id FROM visit WHERE since_then(given => day, note => note)');
CALL refused('SELECT id FROM visit WHERE is_this_day(day)');
CALL refused('SELECT id FROM visit WHERE is_the_day(note) OR is_the_day(day)');
CALL refused('SELECT id FROM visit WHERE day =~= day');
CALL refused('SELECT id FROM visits_today()');
CALL refused('SELECT id FROM visits_below()');
CALL refused('SELECT id FROM visit WHERE is_today(day)');
CALL refused('SELECT id FROM visit WHERE day = this_day()');
SELECT position($$'now'$$ IN prosrc) = position($$'2001-01-01'$$ IN $$SELECT id, note,  day FROM visits_since('2001-01-01')$$) AS one_place
FROM pg_proc WHERE proname = 'visits_since';
CALL watch('since', $$SELECT id, note,  day FROM visits_since('2001-01-01')$$);
CALL watch('then', 'SELECT id FROM visits_then()');
CALL watch('then, alone', 'SELECT id FROM visit WHERE is_then(day)');
CALL watch('words', 'SELECT id FROM visit WHERE says_now(note)');
CALL watch('polymorphic', $$SELECT id FROM visit WHERE NOT is_the_day(note) AND NOT is_any_day(ARRAY[note]) AND since_then(given => 'z' || note, note => '')
  AND note =~= note$$);
INSERT INTO visit VALUES (1, '2001-01-02', 'a'), (2, '2000-01-01', 'now');
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION says_now(text) RETURNS bool LANGUAGE sql STABLE AS $$SELECT $1 = 'now' AND 'now' > now() - interval '1 day'$$;
CREATE OR REPLACE FUNCTION is_any_day(anyarray) RETURNS bool LANGUAGE sql STABLE AS $$SELECT 'today' = ANY ($1) OR 'now' > now()$$;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- The row type of a function, and what a function without tables calls, are parts of the query as well.
CREATE TYPE price AS (id int, total numeric(10,2));
CREATE FUNCTION prices() RETURNS SETOF price LANGUAGE sql STABLE AS 'SELECT id, total::numeric FROM sale';
CREATE FUNCTION two() RETURNS SETOF int LANGUAGE sql IMMUTABLE AS 'SELECT generate_series(1, 2)';
CREATE FUNCTION through() RETURNS SETOF int LANGUAGE sql IMMUTABLE AS 'SELECT n FROM two() n';
CALL watch('prices', 'SELECT id, total FROM prices()');
CALL watch('through', 'SELECT c.id, n FROM customer c, through() n');
ALTER TYPE price ALTER ATTRIBUTE total TYPE numeric(10,0);
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION two() RETURNS SETOF int LANGUAGE sql IMMUTABLE AS 'SELECT generate_series(1, 3)';
SELECT * FROM feed();
SELECT live.unsubscribe_all();

SET client_min_messages = warning;
DROP VIEW sums, of_one, of_both, one;
DO $$ BEGIN FOR i IN REVERSE 20 .. 0 LOOP EXECUTE format('DROP FUNCTION doubled_%s', i); END LOOP; END $$;
DROP FUNCTION explained, large_of, first_of, sales_of, large, numbers, in_plpgsql, strictly, as_owner, volatile, of_catalogs, at_random,
  writes, writes_below, locks, supported, ones, added, itself, atomically, items_of, visits_today, visits_below, visits_since, visits_then,
  is_today, this_day, is_then, says_now, is_any_day, since_then, is_this_day, is_the_day, prices, through, two;
DROP FUNCTION is_like CASCADE;
DROP TYPE price;
DROP TABLE customer, sale, item, visit;
