-- Generated columns: virtual ones, where the server has them, are in no logged row.
SELECT CASE WHEN current_setting('server_version_num')::int < 180000 THEN 'STORED' ELSE 'VIRTUAL' END AS kind \gset
CREATE ROLE regress_live_gina;
CREATE TABLE g (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) :kind,
                c int GENERATED ALWAYS AS (a * 3) STORED);
ALTER TABLE g REPLICA IDENTITY FULL;
GRANT SELECT ON g TO regress_live_gina;
CREATE VIEW v AS SELECT id, b FROM g WHERE b > 1;
CALL watch('selected', 'SELECT id, b, c FROM g');
CALL watch('asked', 'SELECT id FROM g WHERE b = $1', '10');
CALL watch('whole', 'SELECT g FROM g');
CALL watch('view', 'SELECT b FROM v');
-- In a policy.
ALTER TABLE g ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON g USING (b IS NULL OR b < 0);
SET ROLE regress_live_gina;
CALL watch('policy', 'SELECT id, a FROM g');
RESET ROLE;
INSERT INTO g VALUES (1, 5);
UPDATE g SET a = -5;
SELECT id, change FROM feed() WHERE change NOT LIKE 'reset%';
SELECT live.refresh('whole');
SELECT * FROM live.snapshot('whole');
-- Another expression is another query.
CALL watch('expression', 'SELECT b FROM g');
DROP POLICY p ON g;
DO $$ BEGIN
  EXECUTE CASE WHEN current_setting('server_version_num')::int < 170000 THEN 'CLUSTER g USING g_pkey'
               ELSE 'ALTER TABLE g ALTER COLUMN b SET EXPRESSION AS (a * 4)' END;
END $$;
SELECT id, split_part(change, ':', 1) AS change FROM feed() WHERE id = 'expression';
SELECT live.unsubscribe_all();
-- A further one is none of a query that selects all of the others.
SELECT CASE WHEN current_setting('server_version_num')::int < 180000 THEN '' ELSE 'GENERATED ALWAYS AS (a + 1) VIRTUAL' END AS further \gset
CREATE TABLE h (id int PRIMARY KEY, a int);
ALTER TABLE h REPLICA IDENTITY FULL;
CALL watch('all', 'SELECT * FROM h');
ALTER TABLE h ADD COLUMN d int :further;
INSERT INTO h VALUES (1, 5);
SELECT id, change FROM feed();
SELECT live.unsubscribe_all();
DROP TABLE h;
DROP TABLE g CASCADE;
DROP ROLE regress_live_gina;
