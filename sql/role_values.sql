-- What a condition asks of roles and schemas is asked again for each of those that ask.
CREATE ROLE regress_live_rosa;
CREATE ROLE regress_live_first;
CREATE ROLE regress_live_second;
GRANT regress_live_first, regress_live_second TO regress_live_rosa;
CREATE TABLE doc (id int PRIMARY KEY);
GRANT SELECT ON doc TO regress_live_rosa;

-- Live queries that differ in a parameter alone.
SET ROLE regress_live_rosa;
CALL watch('first', 'SELECT id FROM doc WHERE pg_has_role($1::text::name, ''member'')', 'regress_live_first');
CALL watch('second', 'SELECT id FROM doc WHERE pg_has_role($1::text::name, ''member'')', 'regress_live_second');
CALL watch('second by oid', 'SELECT id FROM doc WHERE pg_has_role($1::regrole, ''member'')', 'regress_live_second');
RESET ROLE;
INSERT INTO doc VALUES (1);
SELECT * FROM feed();
REVOKE regress_live_second FROM regress_live_rosa;
INSERT INTO doc VALUES (2);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- The name of a role as a parameter means whom it names.
CALL watch('one', 'SELECT id FROM doc WHERE $1::regrole <> 10', 'regress_live_first');
CALL watch('two', 'SELECT id FROM doc WHERE $1::regrole <> 10', 'regress_live_second');
ALTER ROLE regress_live_second RENAME TO regress_live_third;
INSERT INTO doc VALUES (3);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- The schemas that the role may use.
CREATE SCHEMA regress_live_closed;
GRANT USAGE ON SCHEMA regress_live_closed TO regress_live_rosa;
SET search_path = public, regress_live_closed;
SET ROLE regress_live_rosa;
CALL watch('schemas', 'SELECT id FROM doc WHERE ''regress_live_closed'' = ANY (current_schemas(false))');
RESET ROLE;
RESET search_path;
CREATE TEMPORARY TABLE unrelated ();
INSERT INTO doc VALUES (4);
SELECT * FROM feed();
REVOKE USAGE ON SCHEMA regress_live_closed FROM regress_live_rosa;
INSERT INTO doc VALUES (5);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE doc, unrelated;
DROP SCHEMA regress_live_closed;
DROP ROLE regress_live_rosa, regress_live_first, regress_live_third;
