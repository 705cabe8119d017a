-- The type of a column is dropped with the column: what shows all columns is reset, since it shows others now; what names the
-- column ends; and nothing is evaluated any more that needs what is gone.
CREATE TYPE dropped_mood AS ENUM ('sad', 'glad');
CREATE TABLE dropped_columns (id int PRIMARY KEY, n int, mood dropped_mood);
ALTER TABLE dropped_columns REPLICA IDENTITY FULL;
INSERT INTO dropped_columns VALUES (1, 1, 'sad');
SELECT strategy FROM live.subscribe('all', 'SELECT * FROM dropped_columns', delivery => 'poll');
SELECT strategy FROM live.subscribe('row', 'SELECT d FROM dropped_columns d', delivery => 'poll');
SELECT strategy FROM live.subscribe('named', 'SELECT id, mood FROM dropped_columns', delivery => 'poll');
SELECT strategy FROM live.subscribe('other', 'SELECT id, n FROM dropped_columns', delivery => 'poll');
SELECT count(*) FROM live.snapshot('all') a, live.snapshot('row') b, live.snapshot('named') c, live.snapshot('other') d;
INSERT INTO dropped_columns VALUES (2, 2, 'glad');
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, message -> 'changes' AS changes FROM live.poll() ORDER BY subscription_id COLLATE "C";
SET client_min_messages = warning;
DROP TYPE dropped_mood CASCADE;
RESET client_min_messages;
INSERT INTO dropped_columns VALUES (3, 3);
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, message ->> 'type' AS type, coalesce(message ->> 'reason', message ->> 'changes') AS what
FROM live.poll() ORDER BY subscription_id COLLATE "C";
-- Without anybody who listens, nothing is evaluated; with the refresh it is again.
INSERT INTO dropped_columns VALUES (4, 4);
SELECT live.refresh('all');
SELECT row FROM live.snapshot('all');
INSERT INTO dropped_columns VALUES (5, 5);
SELECT live.wait_for(timeout => '60s');
SELECT subscription_id, message -> 'changes' AS changes FROM live.poll() ORDER BY subscription_id COLLATE "C", seq;
SELECT live.unsubscribe_all();
DROP TABLE dropped_columns;
