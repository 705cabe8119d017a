-- Views and sub-selects over one table are watched as the table.
CREATE TABLE t (id int PRIMARY KEY, tenant int, val int, note text);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE VIEW plain AS SELECT id, val * 2 AS twice, note FROM t WHERE tenant = 1;
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, val, note FROM t WHERE tenant = 1;
CREATE VIEW over AS SELECT id AS number, twice + 1 AS odd FROM plain WHERE twice > 10;
CREATE VIEW over_barrier WITH (security_barrier) AS SELECT id, val + 1 AS next FROM barrier WHERE val > 5;
CALL watch('barrier', 'SELECT * FROM barrier WHERE note = $1', 'x');
CALL watch('over', 'SELECT odd, number FROM over WHERE number < 100');
CALL watch('over_barrier', 'SELECT next FROM over_barrier WHERE next > 7');
CALL watch('plain', 'SELECT * FROM plain WHERE note = $1', 'x');
CALL watch('sub-select', 'SELECT s.a + 1 AS b FROM (SELECT val * 2 AS a FROM (SELECT * FROM t WHERE tenant = 1) i) s WHERE s.a > 10');
SELECT * FROM live.explain('SELECT odd FROM over WHERE number = 1');
SELECT * FROM live.explain('SELECT * FROM over_barrier WHERE next = 1');
INSERT INTO t VALUES (1, 1, 10, 'x'), (2, 2, 10, 'x'), (3, 1, 5, 'x');
SELECT * FROM feed();
UPDATE t SET val = 6 WHERE id = 3;
SELECT * FROM feed();
UPDATE t SET tenant = 3 - tenant WHERE id < 3;
SELECT * FROM feed();
-- The snapshot comes from the same expressions.
SELECT count(*) FROM live.subscribe('q', 'SELECT odd, number FROM over ORDER BY odd', delivery => 'poll');
SELECT * FROM live.snapshot('q');
SELECT tables FROM live_queries WHERE subscription_id = 'q' AND pid = pg_backend_pid();
SELECT live.unsubscribe_all();

-- What a view contains counts as if it stood in the query.
SET live_queries.evaluators = 0;  -- the stream alone: what it cannot watch, any_select.sql does
CREATE VIEW aggregate AS SELECT tenant, count(*) FROM t GROUP BY tenant;
CREATE VIEW joined AS SELECT a.id FROM t a JOIN t b USING (id);
CREATE VIEW timed AS SELECT id FROM t WHERE note < now()::text;
CREATE VIEW first AS SELECT id FROM t ORDER BY id LIMIT 1;
CREATE VIEW ordered AS SELECT id FROM t WHERE val > 0 ORDER BY note;
CALL refused('SELECT * FROM aggregate');
CALL refused('SELECT * FROM joined');
CALL refused('SELECT * FROM timed');
CALL refused('SELECT * FROM first');
CALL watch('q', 'SELECT * FROM ordered');
UPDATE t SET val = -1 WHERE id = 2;
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- A view's condition may need the old row.
ALTER TABLE t REPLICA IDENTITY DEFAULT;
CALL refused('SELECT id FROM plain');

DROP TABLE t CASCADE;
