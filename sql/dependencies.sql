-- What a live query depends on besides its table: values that it took from catalogs, and all that
-- its execution would call.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_live_dora, regress_live_dorothy, regress_live_auditor;
RESET client_min_messages;
CREATE ROLE regress_live_dora;
CREATE ROLE regress_live_auditor;
CREATE TABLE doc (id int PRIMARY KEY, owner text, tenant text, val int);
ALTER TABLE doc REPLICA IDENTITY FULL;
GRANT SELECT ON doc TO regress_live_dora;
CREATE TABLE other (id int);
CREATE SCHEMA regress_live_far;
CREATE FUNCTION lent() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
-- What a change of the catalogs does to a query of dora's: the statements, for \gexec.
CREATE FUNCTION steps(name text, query text, change text, back text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT unnest(ARRAY[
    'SET ROLE regress_live_dora',
    format('CALL watch(%L, %L)', name, query),
    'RESET ROLE',
    change,
    'INSERT INTO doc VALUES ((SELECT count(*) FROM doc))',
    'SELECT * FROM feed()',
    back,
    'SELECT live.unsubscribe_all()'])
$$;

-- Rights that a policy or a query asks for are asked for again.
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY members ON doc USING (pg_has_role(current_user, 'regress_live_auditor', 'member'));
GRANT regress_live_auditor TO regress_live_dora;
SET ROLE regress_live_dora;
CALL watch('member', 'SELECT id FROM doc');
RESET ROLE;
INSERT INTO doc VALUES (0);
SELECT * FROM feed();
REVOKE regress_live_auditor FROM regress_live_dora;
INSERT INTO doc VALUES (1);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP POLICY members ON doc;
ALTER TABLE doc DISABLE ROW LEVEL SECURITY;

-- Of all that has privileges.
CREATE FOREIGN DATA WRAPPER regress_live_wrapper;
CREATE SERVER regress_live_server FOREIGN DATA WRAPPER regress_live_wrapper;
CREATE TYPE regress_live_far.thing AS ENUM ('a');
CREATE SEQUENCE regress_live_far.counter;
REVOKE USAGE ON TYPE regress_live_far.thing FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION lent FROM PUBLIC;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
SELECT current_database() AS this \gset
REVOKE TEMPORARY ON DATABASE :this FROM PUBLIC;
GRANT USAGE ON SCHEMA regress_live_far TO regress_live_dora;
CREATE TABLE asked (number int, name text, asks text, privilege text);
INSERT INTO asked VALUES
  (1, 'table', $$has_table_privilege('other', 'select')$$, 'SELECT ON other'),
  (2, 'role''s', $$has_table_privilege(current_user, 'other', 'insert')$$, 'INSERT ON other'),
  (3, 'column', $$has_column_privilege('other', 'id', 'update')$$, 'UPDATE (id) ON other'),
  (4, 'any column', $$has_any_column_privilege('other', 'references')$$, 'REFERENCES (id) ON other'),
  (5, 'sequence', $$has_sequence_privilege('regress_live_far.counter', 'usage')$$,
      'USAGE ON SEQUENCE regress_live_far.counter'),
  (6, 'schema', $$has_schema_privilege('regress_live_far', 'create')$$, 'CREATE ON SCHEMA regress_live_far'),
  (7, 'function', $$has_function_privilege('lent()', 'execute')$$, 'EXECUTE ON FUNCTION lent()'),
  (8, 'type', $$has_type_privilege('regress_live_far.thing', 'usage')$$, 'USAGE ON TYPE regress_live_far.thing'),
  (9, 'language', $$has_language_privilege('plpgsql', 'usage')$$, 'USAGE ON LANGUAGE plpgsql'),
  (10, 'wrapper', $$has_foreign_data_wrapper_privilege('regress_live_wrapper', 'usage')$$,
       'USAGE ON FOREIGN DATA WRAPPER regress_live_wrapper'),
  (11, 'server', $$has_server_privilege('regress_live_server', 'usage')$$, 'USAGE ON FOREIGN SERVER regress_live_server'),
  (12, 'database', format('has_database_privilege(%L, ''temporary'')', :'this'), format('TEMPORARY ON DATABASE %I', :'this')),
  (13, 'tablespace', $$has_tablespace_privilege('pg_default', 'create')$$, 'CREATE ON TABLESPACE pg_default'),
  (14, 'setting', $$has_parameter_privilege('log_min_messages', 'set')$$, 'SET ON PARAMETER log_min_messages');
\t on
SELECT s.statement
FROM asked, steps(name, 'SELECT id FROM doc WHERE NOT ' || asks, 'GRANT ' || privilege || ' TO regress_live_dora',
                  'REVOKE ' || privilege || ' FROM regress_live_dora') WITH ORDINALITY AS s(statement, step)
ORDER BY number, step
\gexec
\t off

-- What else a function of the server reads in the catalogs.
SET ROLE regress_live_dora;
CALL watch('comment', $$SELECT id FROM doc WHERE obj_description('other'::regclass, 'pg_class') IS NULL$$);
CALL watch('name', $$SELECT id FROM doc WHERE to_regclass('newcomer') IS NULL$$);
CALL watch('index', $$SELECT id FROM doc WHERE pg_get_indexdef('doc_pkey'::regclass) LIKE '%(id)'$$);
RESET ROLE;
COMMENT ON TABLE other IS 'commented';
CREATE TABLE newcomer (id int);
INSERT INTO doc VALUES (100);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
COMMENT ON TABLE other IS NULL;
DROP TABLE newcomer;

-- A change that gives the same values, or that nobody asked about, is no reason for a message.
SET ROLE regress_live_dora;
CALL watch('asks', $$SELECT id FROM doc WHERE NOT has_table_privilege('other', 'select') AND NOT pg_has_role('regress_live_auditor', 'member')$$);
RESET ROLE;
CREATE TABLE unrelated (id int);
GRANT SELECT ON unrelated TO regress_live_dora;
GRANT INSERT ON other TO regress_live_dora;
CREATE TEMPORARY TABLE passing (id int);
ANALYZE doc;
COMMENT ON TABLE unrelated IS 'nothing';
CREATE FUNCTION unrelated() RETURNS int LANGUAGE sql AS 'SELECT 1';
DROP FUNCTION unrelated;
DROP TABLE unrelated, passing;
REVOKE INSERT ON other FROM regress_live_dora;
INSERT INTO doc VALUES (101);
SELECT * FROM feed();
-- The next refresh asks anew.
GRANT SELECT ON other TO regress_live_dora;
SELECT * FROM feed();
SELECT live.refresh('asks');
SELECT * FROM live.snapshot('asks');
REVOKE SELECT ON other FROM regress_live_dora;
SELECT * FROM feed();
SELECT live.refresh('asks');
SELECT count(*) > 0 AS rows FROM live.snapshot('asks');
INSERT INTO doc VALUES (102);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A user's function that is STABLE may read anything: evaluated again with the session's own
-- settings, whatever they are. What it asks the catalogs counts, the rest keeps its value.
CREATE FUNCTION tenant() RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
  RETURN current_setting('regress.tenant', true)
         || CASE WHEN has_table_privilege('other', 'select') THEN ' and more' ELSE '' END;
END $$;
SET regress.tenant = E'o''ne\n "\\ {two} é';
SET ROLE regress_live_dora;
CALL watch('tenant', 'SELECT id, val FROM doc WHERE tenant = tenant()');
RESET ROLE;
SET regress.tenant = 'other';
SET ROLE regress_live_dora;
CALL watch('other', 'SELECT id, val FROM doc WHERE tenant = tenant()');
RESET ROLE;
RESET regress.tenant;
CREATE TABLE unrelated (id int);
INSERT INTO doc VALUES (110, NULL, E'o''ne\n "\\ {two} é', 1), (111, NULL, 'other', 1);
SELECT * FROM feed();
GRANT SELECT ON other TO regress_live_dora;
INSERT INTO doc VALUES (112, NULL, 'other', 1);
SELECT * FROM feed();
REVOKE SELECT ON other FROM regress_live_dora;
SELECT live.unsubscribe_all();
-- One that can be inlined and reads only the session keeps its value; replaced, it is another.
CREATE FUNCTION tenant_of_session() RETURNS text STABLE LANGUAGE sql AS
  $$ SELECT coalesce(nullif(current_setting('regress.tenant', true), ''), 'nobody') $$;
SET regress.tenant = 'one';
SET ROLE regress_live_dora;
CALL watch('session', 'SELECT id FROM doc WHERE tenant = tenant_of_session()');
RESET ROLE;
SET regress.tenant = 'two';
DROP TABLE unrelated;
ALTER ROLE regress_live_auditor NOLOGIN;
INSERT INTO doc VALUES (113, NULL, 'one', 1), (114, NULL, 'two', 1);
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION tenant_of_session() RETURNS text STABLE LANGUAGE sql AS
  $$ SELECT current_setting('regress.tenant') $$;
INSERT INTO doc VALUES (115, NULL, 'one', 1);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
RESET regress.tenant;

-- What only the session has is another value, or an error, in the decoder from the start: that is no
-- change. Whether anything else in it changes, such as a right, cannot be told there.
CREATE TEMPORARY TABLE mine AS SELECT 7 AS val;
GRANT SELECT ON mine TO regress_live_dora;
CREATE FUNCTION of_session() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT val FROM mine); END';
CREATE FUNCTION of_process() RETURNS boolean STABLE LANGUAGE plpgsql AS $$
  BEGIN RETURN current_setting('application_name') LIKE 'pg_regress%' OR has_table_privilege('other', 'select'); END $$;
CREATE FUNCTION of_both() RETURNS boolean STABLE LANGUAGE plpgsql AS $$
  BEGIN RETURN current_setting('application_name') LIKE 'pg_regress%' AND has_table_privilege('other', 'select'); END $$;
CREATE FUNCTION of_address() RETURNS boolean STABLE LANGUAGE plpgsql AS $$
  BEGIN RETURN coalesce(inet_client_port(), 1) > 0 AND has_table_privilege('other', 'select'); END $$;
CREATE FUNCTION optional() RETURNS boolean STABLE LANGUAGE plpgsql AS $$
  BEGIN RETURN coalesce(current_setting('regress.optional', true)::boolean, false); END $$;
GRANT SELECT ON other TO regress_live_dora;
SET ROLE regress_live_dora;
CALL watch('session', 'SELECT id FROM doc WHERE val = of_session()');
CALL watch('process', 'SELECT id FROM doc WHERE of_process()');
CALL watch('both', 'SELECT id FROM doc WHERE of_both()');
CALL watch('address', 'SELECT id FROM doc WHERE of_address()');
CALL watch('optional', 'SELECT id FROM doc WHERE NOT optional()');
SET regress.optional = 'on';
CALL watch('other', 'SELECT id FROM doc WHERE optional()');
RESET ROLE;
INSERT INTO doc VALUES (116, NULL, NULL, 7);
SELECT * FROM feed() WHERE id <> 'optional';
REVOKE SELECT ON other FROM regress_live_dora;
INSERT INTO doc VALUES (117, NULL, NULL, 7);
SELECT * FROM feed() WHERE id <> 'optional';
SET ROLE regress_live_dora;
SELECT live.refresh('both');
SELECT * FROM live.snapshot('both');
RESET ROLE;
INSERT INTO doc VALUES (118, NULL, NULL, 7);
SELECT * FROM feed() WHERE id = 'both';
SELECT status FROM live_queries WHERE subscription_id = 'optional' AND pid = pg_backend_pid();
SELECT live.unsubscribe_all();
DROP TABLE mine;
DROP FUNCTION of_session, of_process, of_both, of_address, optional;

-- EXECUTE, wherever a function is: what the query itself would not be allowed, ends it.
CREATE FUNCTION one() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION frozen() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
CREATE FUNCTION folded() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
CREATE FUNCTION inner_one(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION outer_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT inner_one($1)';
CREATE FUNCTION behind(int, int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 > $2; END';
CREATE OPERATOR >>>> (LEFTARG = int, RIGHTARG = int, FUNCTION = behind);
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION as_pair(int) RETURNS pair IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ROW($1, $1)::pair; END';
CREATE CAST (int AS pair) WITH FUNCTION as_pair(int);
CREATE FUNCTION checks(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 >= 0; END';
CREATE DOMAIN checked AS int CHECK (checks(VALUE));
CREATE VIEW viewed AS SELECT id, val FROM doc WHERE id > folded();
GRANT SELECT ON viewed TO regress_live_dora;
CREATE TABLE calls (number int, name text, query text, called text);
INSERT INTO calls VALUES
  (1, 'frozen', 'SELECT id FROM doc WHERE id > frozen()', 'frozen()'),
  (2, 'folded', 'SELECT id FROM doc WHERE id > folded()', 'folded()'),
  (3, 'inlined', 'SELECT id FROM doc WHERE id > one()', 'one()'),
  (4, 'inlined with a column', 'SELECT outer_one(id) AS i FROM doc', 'outer_one(int)'),
  (5, 'within an inlined one', 'SELECT outer_one(id) AS i FROM doc', 'inner_one(int)'),
  (6, 'operator', 'SELECT id FROM doc WHERE id >>>> -1', 'behind(int, int)'),
  (7, 'any', 'SELECT id FROM doc WHERE id >>>> ANY (ARRAY[val, 0])', 'behind(int, int)'),
  (8, 'cast', 'SELECT id::pair AS p FROM doc', 'as_pair(int)'),
  (9, 'domain', 'SELECT id::checked AS c FROM doc', 'checks(int)'),
  (10, 'view', 'SELECT id FROM viewed', 'folded()'),
  (11, 'one of the server', 'SELECT abs(id) AS a FROM doc', 'abs(int)'),
  (12, 'frozen in a branch', 'SELECT id FROM doc WHERE CASE WHEN val IS NULL THEN true ELSE id > frozen() END', 'frozen()');
\t on
SELECT s.statement
FROM calls, steps(name, query, 'REVOKE EXECUTE ON FUNCTION ' || called || ' FROM PUBLIC',
                  'GRANT EXECUTE ON FUNCTION ' || called || ' TO PUBLIC') WITH ORDINALITY AS s(statement, step)
ORDER BY number, step
\gexec
\t off
-- In a policy as well; and it is refused from the start.
CREATE POLICY calls ON doc USING (id > frozen());
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
SET ROLE regress_live_dora;
CALL watch('policy', 'SELECT id FROM doc');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION frozen() FROM PUBLIC;
INSERT INTO doc VALUES (120);
SELECT * FROM feed();
SET ROLE regress_live_dora;
CALL refused('SELECT id FROM doc');
RESET ROLE;
DROP POLICY calls ON doc;
ALTER TABLE doc DISABLE ROW LEVEL SECURITY;
SET ROLE regress_live_dora;
CALL refused('SELECT id FROM doc WHERE id > frozen()');
RESET ROLE;
GRANT EXECUTE ON FUNCTION frozen() TO PUBLIC;
-- Replacing one of them may give other rows; dropping it ends what names it.
\t on
SELECT s.statement
FROM calls, steps(name, query, replace(replace(pg_get_functiondef(called::regprocedure), 'BEGIN', 'BEGIN PERFORM 1;'), 'SELECT', 'SELECT 1 *'),
                  pg_get_functiondef(called::regprocedure)) WITH ORDINALITY AS s(statement, step)
WHERE called <> 'abs(int)'
ORDER BY number, step
\gexec
\t off
SET ROLE regress_live_dora;
CALL watch('volatile', 'SELECT inner_one(id) AS i FROM doc');
CALL watch('strict', 'SELECT inner_one(val) AS i FROM doc');
CALL watch('dropped', 'SELECT id FROM doc WHERE id > one()');
CALL watch('operator', 'SELECT id FROM doc WHERE id >>>> -1');
CALL watch('cast', 'SELECT id::pair AS p FROM doc');
CALL watch('type', 'SELECT ROW(id, val)::pair AS p FROM doc');
RESET ROLE;
DROP FUNCTION one;
DROP OPERATOR >>>> (int, int);
DROP CAST (int AS pair);
ALTER FUNCTION inner_one COST 7;
INSERT INTO doc VALUES (121);
SELECT * FROM feed();
ALTER FUNCTION inner_one STRICT;
INSERT INTO doc VALUES (122);
SELECT * FROM feed();
SELECT live.refresh('volatile');
SELECT count(*) > 0 AS rows FROM live.snapshot('volatile');
ALTER FUNCTION inner_one VOLATILE;
ALTER TYPE pair RENAME TO couple;
INSERT INTO doc VALUES (123);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
-- USAGE on the schema of what the query names.
CREATE FUNCTION regress_live_far.f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
GRANT USAGE ON TYPE regress_live_far.thing TO PUBLIC;
SET ROLE regress_live_dora;
CALL watch('function', 'SELECT regress_live_far.f(id) AS f FROM doc');
CALL watch('type', 'SELECT owner::regress_live_far.thing AS t FROM doc');
RESET ROLE;
REVOKE USAGE ON SCHEMA regress_live_far FROM regress_live_dora;
INSERT INTO doc VALUES (124);
SELECT * FROM feed();
-- USAGE on a type is not asked for by a query.
GRANT USAGE ON SCHEMA regress_live_far TO regress_live_dora;
SET ROLE regress_live_dora;
CALL watch('type', 'SELECT owner::regress_live_far.thing AS t FROM doc');
RESET ROLE;
REVOKE USAGE ON TYPE regress_live_far.thing FROM PUBLIC;
INSERT INTO doc VALUES (125);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A role's name is part of the query's meaning.
CREATE POLICY own ON doc USING (owner = current_user);
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
INSERT INTO doc VALUES (130, 'regress_live_dora'), (131, 'regress_live_dorothy');
SET ROLE regress_live_dora;
CALL watch('own', 'SELECT id FROM doc');
RESET ROLE;
ALTER ROLE regress_live_auditor RENAME TO regress_live_inspector;
INSERT INTO doc VALUES (132, 'regress_live_dora');
SELECT * FROM feed();
ALTER ROLE regress_live_inspector RENAME TO regress_live_auditor;
ALTER ROLE regress_live_dora RENAME TO regress_live_dorothy;
INSERT INTO doc VALUES (133, 'regress_live_dora'), (134, 'regress_live_dorothy');
SELECT * FROM feed();
SELECT live.refresh('own');
SELECT * FROM live.snapshot('own');
INSERT INTO doc VALUES (135, 'regress_live_dora'), (136, 'regress_live_dorothy');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
ALTER ROLE regress_live_dorothy RENAME TO regress_live_dora;
DROP POLICY own ON doc;
ALTER TABLE doc DISABLE ROW LEVEL SECURITY;

DROP TABLE doc, other, asked, calls CASCADE;
DROP SCHEMA regress_live_far CASCADE;
DROP FUNCTION lent, steps, tenant, tenant_of_session, frozen, folded, inner_one, outer_one, behind, as_pair;
DROP DOMAIN checked;
DROP FUNCTION checks;
DROP TYPE couple;
DROP SERVER regress_live_server;
DROP FOREIGN DATA WRAPPER regress_live_wrapper;
GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC;
GRANT TEMPORARY ON DATABASE :this TO PUBLIC;
DROP ROLE regress_live_dora, regress_live_auditor;
