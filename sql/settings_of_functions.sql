-- Functions that run for each row are evaluated with the settings that the subscriber's application
-- has made, even where they are declared IMMUTABLE and read them.
CREATE ROLE regress_live_tess;
CREATE TABLE note (id int PRIMARY KEY, tenant text);
ALTER TABLE note REPLICA IDENTITY FULL;
GRANT SELECT ON note TO regress_live_tess;
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION visible(tenant text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
  BEGIN
    RETURN coalesce(current_setting('regress.mode', true), '') <> 'restricted'
      OR tenant = current_setting('regress.tenant', true);
  END $$;
CREATE POLICY p ON note USING (visible(tenant));
INSERT INTO note VALUES (1, 'a'), (2, 'b');
-- As a gateway does, for one transaction.
BEGIN;
SET LOCAL ROLE regress_live_tess;
SET LOCAL regress.mode = 'restricted';
SET LOCAL regress.tenant = 'a';
SELECT strategy FROM live.subscribe('of a', 'SELECT * FROM note', delivery => 'poll');
SET LOCAL regress.tenant = 'b';
SELECT strategy FROM live.subscribe('of b', 'SELECT * FROM note', delivery => 'poll');
COMMIT;
SELECT * FROM live.snapshot('of a');
SELECT * FROM live.snapshot('of b');
INSERT INTO note VALUES (3, 'a'), (4, 'b'), (5, 'c');
UPDATE note SET tenant = 'b' WHERE id = 1;
SELECT * FROM feed();
-- They stay what they were, whoever refreshes.
SET regress.mode = 'open';
SELECT live.refresh('of a');
SELECT * FROM live.snapshot('of a');
UPDATE note SET tenant = 'a' WHERE id = 2;
SELECT * FROM feed();
SELECT live.unsubscribe_all();
RESET regress.mode;
DROP TABLE note;
DROP FUNCTION visible;
DROP ROLE regress_live_tess;

-- A schema in the search path with a name that no line can hold.
CREATE TABLE t (id int PRIMARY KEY);
SELECT format('CREATE SCHEMA %I', E'two\nlines\\') AS command \gexec
SELECT set_config('search_path', format('%I, public', E'two\nlines\\'), false) IS NOT NULL;
CREATE FUNCTION odd() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 40';
CREATE FUNCTION public.uses_odd(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN odd() + $1; END';
CALL watch('odd', 'SELECT id, uses_odd(id) AS n FROM t');
INSERT INTO t VALUES (2);
SELECT * FROM feed();
SELECT live.unsubscribe_all();
DROP FUNCTION uses_odd, odd;
DROP TABLE t;
RESET search_path;
SELECT format('DROP SCHEMA %I', E'two\nlines\\') AS command \gexec
