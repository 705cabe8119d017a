-- Functions of which nothing is left in a query, since PostgreSQL has put their bodies in their place, or
-- their values: what they call is a dependency all the same.
CREATE TABLE t (id int PRIMARY KEY);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE ROLE regress_live_body;
GRANT SELECT ON t TO regress_live_body;
CREATE FUNCTION inner_one() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
CREATE FUNCTION inlined() RETURNS int STABLE LANGUAGE sql AS 'SELECT inner_one()';
CREATE FUNCTION folded() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT inner_one()';
CREATE FUNCTION parsed() RETURNS int STABLE LANGUAGE sql BEGIN ATOMIC SELECT inner_one(); END;
CREATE FUNCTION twice() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT folded() + 0';
CREATE FUNCTION with_argument(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > folded()';
-- Their types are not known without a call, nor what they call then; and one whose body is broken, but never runs.
CREATE FUNCTION any_of(anyelement) RETURNS anyelement IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION above(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > folded()';
CREATE FUNCTION above(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT length($1) > 0';
CREATE FUNCTION any_above(anyelement) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT above(any_of($1))';
SET check_function_bodies = off;
CREATE FUNCTION broken() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT no_such_function()';
RESET check_function_bodies;

CREATE PROCEDURE watch_all() LANGUAGE plpgsql AS $$
BEGIN
  CALL watch('inlined', 'SELECT id FROM t WHERE id > inlined()');
  CALL watch('folded', 'SELECT id FROM t WHERE id > folded()');
  CALL watch('parsed', 'SELECT id FROM t WHERE id > parsed()');
  CALL watch('twice', 'SELECT id FROM t WHERE id > twice()');
  CALL watch('with argument', 'SELECT id FROM t WHERE with_argument(id)');
  CALL watch('polymorphic', 'SELECT id FROM t WHERE any_above(id)');
  CALL watch('other type', 'SELECT id FROM t WHERE any_above(id::text)');
  CALL watch('without', 'SELECT id FROM t WHERE any_of(id) > 0 AND (true OR id > broken())');
END $$;
SET ROLE regress_live_body;
CALL watch_all();
RESET ROLE;
INSERT INTO t VALUES (1);
SELECT * FROM feed();
REVOKE EXECUTE ON FUNCTION inner_one FROM PUBLIC;
INSERT INTO t VALUES (2);
SELECT * FROM feed();
GRANT EXECUTE ON FUNCTION inner_one TO PUBLIC;
SELECT live.unsubscribe_all();
SET ROLE regress_live_body;
CALL watch_all();
RESET ROLE;
CREATE OR REPLACE FUNCTION inner_one() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 2; END';
INSERT INTO t VALUES (3);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP PROCEDURE watch_all;
DROP FUNCTION broken, any_above, above(int), above(text), any_of, with_argument, twice, parsed, folded, inlined, inner_one;
DROP TABLE t;
DROP ROLE regress_live_body;
