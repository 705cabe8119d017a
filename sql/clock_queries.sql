-- Queries that ask the clock: at each of its steps, and after each transaction in between, the result is what the query says at the
-- time that the messages and the rows tell. What it means is written with @t in the place of the time.
CREATE SCHEMA clock_test;
SET search_path = clock_test, public;
SET TimeZone = 'Asia/Tokyo';  -- of this session, and not of the server
CREATE ROLE regress_clock_reader;
CREATE TABLE event (id int PRIMARY KEY, kind text, at timestamptz);
CREATE TABLE owned (id int PRIMARY KEY, owner name, at timestamptz);
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY fresh ON owned USING (owner = current_user AND at > now());
-- Of these, one comes or leaves at each step, however long this takes.
CREATE TABLE tick (id int PRIMARY KEY, kind text, at timestamptz, local_at timestamp);
CREATE INDEX tick_at ON tick (at);
INSERT INTO tick SELECT n, (ARRAY['a', 'b', NULL])[n % 3 + 1], t, t FROM generate_series(-20, 3000) n, LATERAL (SELECT now() + n * interval '0.25 s' AS t) l;
INSERT INTO tick VALUES (10000, 'a', 'infinity', 'infinity'), (10001, 'b', '-infinity', '-infinity'), (10002, NULL, NULL, NULL);
CREATE VIEW lately_ticked WITH (security_barrier) AS SELECT id, kind FROM tick WHERE at BETWEEN now() - interval '2 s' AND now();
CREATE TABLE own_tick (id int PRIMARY KEY, owner name, at timestamptz);
ALTER TABLE own_tick ENABLE ROW LEVEL SECURITY;
CREATE POLICY fresh ON own_tick USING (owner = current_user AND at > now() AND at < now() + interval '2 s');
INSERT INTO own_tick SELECT id, 'regress_clock_reader', at FROM tick;
CREATE VIEW coming AS SELECT id, now() AS clock FROM event WHERE at > now();
CREATE FUNCTION lately() RETURNS timestamptz STABLE LANGUAGE sql AS $$ SELECT now() $$;
CREATE FUNCTION is_over(timestamptz) RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT $1 <= current_timestamp $$;
INSERT INTO event SELECT n, (ARRAY['a', 'b', NULL])[n % 3 + 1], now() + n * interval '0.2 s' FROM generate_series(1, 20) n;
INSERT INTO event VALUES (100, 'a', 'infinity'), (101, 'b', '-infinity'), (102, 'a', NULL), (103, NULL, now() - interval '1 day'),
  (104, 'b', now() + interval '1 day');  -- so that no form becomes empty, however long this takes
INSERT INTO owned SELECT id, 'regress_clock_reader', at FROM event;

CREATE TABLE form (id text PRIMARY KEY, query text, meaning text, params text[] DEFAULT '{}');
INSERT INTO form (id, query) VALUES
  ('window', 'SELECT id, now() AS clock FROM event WHERE at > now() - interval ''1 s'''),
  ('sides', 'SELECT id, now() AS clock FROM event WHERE now() BETWEEN at AND at + interval ''1 s'' OR at IS NULL'),
  ('aggregate', 'SELECT count(*) AS n, min(at) AS next, now() AS clock FROM event WHERE at > now()'),
  ('groups', 'SELECT kind, count(*) FILTER (WHERE at > now()) AS n, now() AS clock FROM event GROUP BY kind'),
  ('by time', 'SELECT kind, now() AS clock, count(*) AS n FROM event WHERE at > now() GROUP BY kind, now()'),
  ('having', 'SELECT kind, now() AS clock FROM event GROUP BY kind HAVING max(at) FILTER (WHERE at < ''infinity'') > now()'),
  ('join', 'SELECT a.id, b.id AS other, now() AS clock FROM event a JOIN event b ON b.id = a.id + 1 AND b.at > now()'),
  ('left join', 'SELECT a.id, b.id AS other, now() AS clock FROM event a LEFT JOIN event b ON b.id = a.id + 1 AND b.at > now()'),
  ('not exists', 'SELECT id, now() AS clock FROM event e WHERE NOT EXISTS (SELECT FROM event f WHERE f.kind = e.kind AND f.at > now() AND f.id < e.id)'),
  ('scalar', 'SELECT id, (SELECT max(f.id) FROM event f WHERE f.kind = e.kind AND f.at <= now()) AS latest, now() AS clock FROM event e'),
  ('top', 'SELECT id, now() AS clock FROM event WHERE at > now() ORDER BY at, id LIMIT 3'),
  ('union', 'SELECT id, now() AS clock FROM event WHERE at > now() UNION ALL SELECT -id, now() FROM event WHERE at <= now()'),
  ('distinct', 'SELECT DISTINCT kind, now() AS clock FROM event WHERE at > now()'),
  ('numbers', 'SELECT id, row_number() OVER (PARTITION BY kind ORDER BY at, id) AS nth, now() AS clock FROM event WHERE at > now()'),
  ('recursive', 'WITH RECURSIVE r AS (SELECT 1 AS id UNION SELECT e.id FROM event e JOIN r ON e.id = r.id + 1 AND e.at <= now()) SELECT id, now() AS clock FROM r'),
  ('text', 'SELECT id, to_char(now(), ''YYYY-MM-DD HH24:MI:SS.US TZH'') AS text, now()::text AS other, now() AS clock FROM event WHERE id < 3');
UPDATE form SET meaning = replace(query, 'now()', '@t');
INSERT INTO form VALUES
  ('one time', 'SELECT id, now() AS clock, current_timestamp = now() AND statement_timestamp() = transaction_timestamp() AND current_timestamp = statement_timestamp() AS same FROM event WHERE id < 3',
   'SELECT id, @t AS clock, true AS same FROM event WHERE id < 3', '{}'),
  ('types', 'SELECT id, now() AS clock, current_date AS d, localtimestamp AS l, localtimestamp(0) AS l0, current_time AS c, current_time(1) AS c1, localtime AS h, localtime(2) AS h2, current_timestamp(0) AS s FROM event WHERE id < 3',
   'SELECT id, @t AS clock, @t::date AS d, @t::timestamp AS l, @t::timestamp(0) AS l0, @t::timetz AS c, @t::timetz(1) AS c1, @t::time AS h, @t::time(2) AS h2, @t::timestamptz(0) AS s FROM event WHERE id < 3', '{}'),
  ('zone', 'SELECT id, now() AS clock, current_date AS d, localtime AS h FROM event WHERE id < 3',
   'SELECT id, @t AS clock, (@t AT TIME ZONE ''Asia/Tokyo'')::date AS d, (@t AT TIME ZONE ''Asia/Tokyo'')::time AS h FROM event WHERE id < 3', '{}'),
  ('age', 'SELECT id, age(at) AS age, now() AS clock FROM event WHERE id < 3', 'SELECT id, age((@t::date)::timestamptz, at) AS age, @t AS clock FROM event WHERE id < 3', '{}'),
  ('view', 'SELECT id, clock FROM coming', 'SELECT id, @t AS clock FROM event WHERE at > @t', '{}'),
  ('functions', 'SELECT id, lately() AS clock FROM event WHERE NOT is_over(at)', 'SELECT id, @t AS clock FROM event WHERE at > @t', '{}'),
  ('parameters', 'SELECT id, now() AS clock FROM event WHERE at > now() - $1::interval AND kind = $2', 'SELECT id, @t AS clock FROM event WHERE at > @t - interval ''0.5 s'' AND kind = ''a''', '{0.5 s,a}'),
  ('other parameters', 'SELECT id, now() AS clock FROM event WHERE at > now() - $1::interval AND kind = $2', 'SELECT id, @t AS clock FROM event WHERE at > @t - interval ''0.5 s'' AND kind = ''b''', '{0.5 s,b}'),
  ('row security', 'SELECT id, now() AS clock FROM owned', 'SELECT id, @t AS clock FROM owned WHERE at > @t', '{}');
-- Where nothing else is done with the time, it is told by messages alone.
INSERT INTO form (id, query) VALUES
  ('windowed: rows', 'SELECT id FROM tick WHERE at > now() - interval ''2 s'' AND now() + interval ''1 s'' >= at'),
  ('windowed: by side', 'SELECT id, at <= now() AS over FROM tick WHERE id BETWEEN 0 AND 3000 AND (local_at > localtimestamp - interval ''1 s'') IS NOT FALSE'),
  ('windowed: count', 'SELECT count(*) AS n, max(id) AS last FROM tick WHERE at <= now()'),
  ('windowed: groups', 'SELECT kind, count(*) FILTER (WHERE at > now()) AS n FROM tick GROUP BY kind'),
  ('windowed: left join', 'SELECT e.id, t.id AS next FROM event e LEFT JOIN tick t ON t.id > e.id * 3 AND t.at > now() AND t.at < now() + interval ''1 s'' WHERE e.id < 5'),
  ('windowed: exists', 'SELECT id FROM tick t WHERE at > now() AND NOT EXISTS (SELECT FROM tick u WHERE u.kind = t.kind AND u.at > now() AND u.id < t.id)'),
  ('windowed: top', 'SELECT id, kind FROM tick WHERE at > now() ORDER BY at, id LIMIT 3'),
  ('windowed: numbers', 'SELECT id, row_number() OVER (PARTITION BY kind ORDER BY id) AS nth FROM tick WHERE at < now() AND id BETWEEN 0 AND 3000'),
  ('windowed: union', 'SELECT id FROM tick WHERE at > now() AND id < 3000 UNION ALL SELECT -id FROM tick WHERE at <= now() AND id > -20');
UPDATE form SET meaning = replace(replace(query, 'now()', '@t'), 'localtimestamp', '@t::timestamp') WHERE id ~ '^windowed';
INSERT INTO form VALUES
  ('windowed: parameter', 'SELECT id FROM tick WHERE at > now() AND kind = $1 ORDER BY at, id LIMIT 2', 'SELECT id FROM tick WHERE at > @t AND kind = ''a'' ORDER BY at, id LIMIT 2', '{a}'),
  ('windowed: other parameter', 'SELECT id FROM tick WHERE at > now() AND kind = $1 ORDER BY at, id LIMIT 2', 'SELECT id FROM tick WHERE at > @t AND kind = ''b'' ORDER BY at, id LIMIT 2', '{b}'),
  ('windowed: view', 'SELECT kind, count(*) AS n, max(id) AS last FROM lately_ticked GROUP BY kind', 'SELECT kind, count(*) AS n, max(id) AS last FROM tick WHERE at BETWEEN @t - interval ''2 s'' AND @t GROUP BY kind', '{}'),
  ('row security, windowed', 'SELECT id FROM own_tick', 'SELECT id FROM own_tick WHERE at > @t AND at < @t + interval ''2 s''', '{}');

CREATE TABLE shown (id text, key text, "row" text);
CREATE TABLE noted (id text, what text);
CREATE TABLE steps (id text PRIMARY KEY, n int DEFAULT 0);  -- how often the clock alone has told of something
INSERT INTO steps SELECT id FROM form;
GRANT USAGE ON SCHEMA clock_test TO regress_clock_reader;
GRANT ALL ON ALL TABLES IN SCHEMA clock_test TO regress_clock_reader;

-- What a client does with a change. A result without a key may have equal rows.
CREATE PROCEDURE apply(of text, change json, is_bag boolean) LANGUAGE plpgsql AS $$
DECLARE
  place tid := (SELECT ctid FROM shown WHERE id = of AND key = change->>'key' LIMIT 1);
BEGIN
  IF change->>'op' = 'insert' THEN
    IF place IS NOT NULL AND NOT is_bag THEN RAISE 'insert of % into %', change, of; END IF;
    INSERT INTO shown VALUES (of, change->>'key', change->>'row');
    RETURN;
  END IF;
  IF place IS NULL THEN RAISE '% of what is not in %', change, of; END IF;
  IF change->>'op' = 'update' THEN
    UPDATE shown SET "row" = change->>'row' WHERE ctid = place;
  ELSE
    DELETE FROM shown WHERE ctid = place;
  END IF;
END $$;
CREATE PROCEDURE watch_them(matching text) LANGUAGE plpgsql AS $$
DECLARE
  one record;
  keys text[];
  rows text[];
BEGIN
  FOR one IN SELECT * FROM form WHERE id ~ matching ORDER BY id LOOP
    PERFORM live.subscribe(one.id, one.query, one.params, delivery => 'poll', refresh_every => '0.5 s');
    SELECT array_agg(key::text), array_agg("row"::text) INTO keys, rows FROM live.snapshot(one.id);
    COMMIT;
    INSERT INTO shown SELECT one.id, * FROM unnest(keys, rows);
    COMMIT;
  END LOOP;
END $$;
CREATE PROCEDURE begin_anew(of text) LANGUAGE plpgsql AS $$
DECLARE
  keys text[];
  rows text[];
BEGIN
  PERFORM live.refresh(of);
  SELECT array_agg(key::text), array_agg("row"::text) INTO keys, rows FROM live.snapshot(of);
  COMMIT;
  DELETE FROM shown WHERE id = of;
  INSERT INTO shown SELECT of, * FROM unnest(keys, rows);
END $$;
-- The query that counts the rows that differ from what a form means at a time.
CREATE FUNCTION differ_at(of text, meaning text, "time" timestamptz) RETURNS text LANGUAGE sql AS $f$
  SELECT format($q$
      WITH meant AS (SELECT row_to_json(q)::text AS "row" FROM (%s) q),
           had AS (SELECT "row" FROM shown WHERE id = %L)
      SELECT count(*) FROM ((TABLE meant EXCEPT ALL TABLE had) UNION ALL (TABLE had EXCEPT ALL TABLE meant)) d $q$,
    replace(meaning, '@t', format('%L::timestamptz', "time")), of)
$f$;
-- Reads what has come, and compares each result with what its query says at the time that it tells.
CREATE PROCEDURE check_all(step text) LANGUAGE plpgsql AS $$
DECLARE
  one record;
  change json;
  differ bigint;
  times timestamptz[];
  told jsonb := '{}';
  latest timestamptz := '-infinity';
  bags text[] := ARRAY(SELECT f.id FROM form f, live.explain(f.query, f.params) e WHERE property = 'key' AND value LIKE 'none: the whole row');
BEGIN
  IF NOT live.wait_for(timeout => '1min') THEN
    INSERT INTO noted VALUES ('all', step || ': what was committed has not come');
  END IF;
  FOR one IN SELECT * FROM live.poll(timeout => '10 s') LOOP
    IF one.message->>'type' <> 'changes' THEN
      INSERT INTO noted VALUES (one.subscription_id, one.message->>'type' || ': ' || (one.message->>'reason'));
      CONTINUE;
    END IF;
    told := told || jsonb_build_object(one.subscription_id, one.message->'committed_at');
    latest := greatest(latest, (one.message->>'committed_at')::timestamptz);
    IF one.message->'xids' IS NULL AND one.message->>'xid' IS NULL THEN
      UPDATE steps SET n = n + 1 WHERE id = one.subscription_id;
    END IF;
    FOR change IN SELECT * FROM json_array_elements(one.message->'changes') LOOP
      CALL apply(one.subscription_id, change, one.subscription_id = ANY (bags));
    END LOOP;
  END LOOP;
  FOR one IN SELECT * FROM form ORDER BY id LOOP
    times := ARRAY(SELECT DISTINCT ("row"::json->>'clock')::timestamptz FROM shown WHERE id = one.id AND "row"::json->>'clock' IS NOT NULL);
    IF times = '{}' AND NOT told ? one.id THEN CONTINUE; END IF;
    IF told ? one.id THEN times := ARRAY(SELECT DISTINCT unnest(times || (told->>one.id)::timestamptz)); END IF;
    IF cardinality(times) <> 1 THEN INSERT INTO noted VALUES (one.id, format('%s: several times', step)); END IF;
    EXECUTE differ_at(one.id, one.meaning, times[1]) INTO differ;
    -- Who had nothing to be told of may be at the time that others were told since.
    IF differ > 0 AND one.id ~ 'windowed' THEN EXECUTE differ_at(one.id, one.meaning, latest) INTO differ; END IF;
    IF differ > 0 THEN INSERT INTO noted VALUES (one.id, format('%s: %s rows differ', step, differ)); END IF;
  END LOOP;
END $$;
-- Until each has been told by the clock alone so often again. What is told in a transaction of this is what the clock does: by a slow
-- machine, what is committed between two looks belongs to each step.
CREATE PROCEDURE check_steps(step text, often int) LANGUAGE plpgsql AS $$
DECLARE
  give_up timestamptz := clock_timestamp() + interval '300 s';
BEGIN
  UPDATE steps SET n = 0;
  COMMIT;
  WHILE EXISTS (SELECT FROM steps WHERE n < often) LOOP
    CALL check_all(step);
    CALL check_all(step);
    COMMIT;
    IF clock_timestamp() > give_up THEN
      INSERT INTO noted SELECT id, format('%s: told %s times', step, n) FROM steps WHERE n < often;
      EXIT;
    END IF;
  END LOOP;
END $$;

CALL watch_them('^[^r]|^recursive');
SET ROLE regress_clock_reader;
CALL watch_them('^row security');
RESET ROLE;
SELECT strategy, string_agg(subscription_id, ', ' ORDER BY subscription_id COLLATE "C") AS forms
FROM live_queries WHERE pid = pg_backend_pid() GROUP BY strategy ORDER BY 1;
CALL check_steps('1', 3);
INSERT INTO tick SELECT n, 'a', t, t FROM generate_series(4000, 4020) n, LATERAL (SELECT now() + (n - 4010) * interval '0.3 s' AS t) l;
INSERT INTO event SELECT n, 'b', now() + (n - 198) * interval '0.3 s' FROM generate_series(200, 212) n;
CALL check_all('2');
UPDATE event SET at = at + interval '1 s' WHERE id % 4 = 0;
UPDATE tick SET at = at + interval '1 s', local_at = local_at - interval '1 s' WHERE id % 4 = 0;
CALL check_all('3');
DELETE FROM event WHERE id % 7 = 0;
DELETE FROM tick WHERE id % 7 = 0;
CALL check_all('4');
UPDATE event SET kind = 'a' WHERE kind IS NULL;
UPDATE owned SET owner = 'nobody' WHERE id % 2 = 0;
UPDATE owned SET owner = 'regress_clock_reader' WHERE id % 4 = 0;
UPDATE form SET meaning = 'SELECT id, @t AS clock FROM owned WHERE at > @t AND owner = ''regress_clock_reader''' WHERE id = 'row security';
CALL check_all('5');
CALL check_steps('6', 3);
SELECT * FROM noted ORDER BY 1, 2;

-- A pause, and a first result once more.
SELECT live.pause('window');
CALL check_all('7');
SELECT live.resume('window');
CALL check_steps('8', 2);
CALL begin_anew('groups');
CALL check_steps('9', 2);
SELECT * FROM noted ORDER BY 1, 2;
SELECT live.unsubscribe_all();

-- What a column is compared with cannot be computed at some times: an error of the query if it looks at that for a row, and only then.
CREATE TABLE far (id int PRIMARY KEY, at timestamptz, is_near boolean);
INSERT INTO far VALUES (1, '2026-01-01', true);
CREATE FUNCTION at_odd(at timestamptz) RETURNS timestamptz IMMUTABLE LANGUAGE plpgsql AS
  'BEGIN RETURN at - interval ''1 s'' / ((extract(epoch FROM at) * 5)::bigint % 2); END';
CREATE PROCEDURE watch_far(id text, query text) LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    BEGIN
      PERFORM live.subscribe(id, query, delivery => 'poll', refresh_every => '0.02 s');
      EXIT;
    EXCEPTION WHEN division_by_zero THEN  -- by who plans it, at such a time
    END;
    COMMIT;
  END LOOP;
  PERFORM count(*) FROM live.snapshot(id);
END $$;
-- Until that has told so often, or is over.
CREATE PROCEDURE wait_for_far(which text, often int, OUT told text) LANGUAGE plpgsql AS $$
DECLARE
  give_up timestamptz := clock_timestamp() + interval '300 s';
  one record;
BEGIN
  told := '';
  WHILE often > 0 AND clock_timestamp() < give_up LOOP
    FOR one IN SELECT * FROM live.poll(timeout => '10 s') LOOP
      IF one.subscription_id = 'guarded' THEN
        told := concat_ws(' ', one.message->>'type', one.message->>'code');
        CONTINUE WHEN which = 'guarded' AND told = 'changes';
      END IF;
      often := often - (one.subscription_id = which)::int;
    END LOOP;
    COMMIT;
  END LOOP;
END $$;
CALL watch_far('stepping', 'SELECT id, (extract(epoch FROM now()) * 5)::bigint % 2 AS odd FROM far WHERE id = 1');
CALL watch_far('guarded', 'SELECT id FROM far WHERE CASE WHEN is_near THEN true ELSE at < at_odd(now()) END');
CALL wait_for_far('stepping', 4, NULL);
SELECT status, error FROM live_queries WHERE subscription_id = 'guarded';
INSERT INTO far VALUES (2, '-infinity', false);
CALL wait_for_far('guarded', 1, NULL);
SELECT live.unsubscribe_all();

-- What live.explain says.
CREATE VIEW what_of_the_clock AS SELECT f.id, regexp_replace(e.value, '\s+', ' ', 'g') AS value FROM form f, live.explain(f.query, f.params) e WHERE property IN ('clock', 'rows by the clock');
SELECT id, value FROM what_of_the_clock WHERE id ~ '^windowed|types' ORDER BY id COLLATE "C", value COLLATE "C";
DROP VIEW what_of_the_clock;
SELECT property, value FROM live.explain('SELECT id FROM event WHERE at > now() - interval ''1 hour''') WHERE property IN ('strategy', 'why', 'not by the stream', 'clock');
SELECT property, value FROM live.explain('SELECT kind, count(*) AS n FROM event WHERE at::date = current_date GROUP BY kind') WHERE property IN ('strategy', 'why', 'not by the stream', 'clock');
SELECT property, value FROM live.explain('WITH RECURSIVE r AS (SELECT 1 AS id UNION SELECT e.id FROM event e JOIN r ON e.id = r.id + 1 AND e.at <= now()) SELECT id FROM r') WHERE property IN ('strategy', 'why', 'not by the stream', 'clock');

-- Which of them have an alarm: by what a column is compared with, and by the indexes that there are.
CREATE TABLE moment (id int PRIMARY KEY, at timestamptz, local_at timestamp, day date, plain_at timestamptz, part_at timestamptz);
CREATE INDEX ON moment (at);
CREATE INDEX ON moment (local_at, id);
CREATE INDEX ON moment (day DESC);
CREATE INDEX ON moment (part_at) WHERE id > 0;
CREATE TABLE parted (id int, at timestamptz, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 (at timestamptz, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (10) TO (20);
CREATE INDEX ON parted_1 (at);
CREATE FUNCTION follows(condition text, of text DEFAULT 'moment') RETURNS TABLE (condition text, follows text) LANGUAGE sql AS $$
  SELECT condition, regexp_replace(value, '^\$1: |, (at the next moment|the rows).*as if changed', '', 'g')
  FROM live.explain('SELECT id FROM ' || of || ' WHERE ' || condition) WHERE property = 'clock' $$;
SELECT f.* FROM unnest(ARRAY[
  'at > now()', 'now() - interval ''90 s'' <= at', 'at BETWEEN now() - interval ''1 hour'' AND now()', 'at > now() - interval ''1 month 2 days 00:00:01''',
  'at < now() + interval ''1 day'' - interval ''1 s''', 'at < now() + interval ''1 s'' - interval ''1 day''', 'at >= date_trunc(''day'', now())',
  'at < date_trunc(''hour'', now(), ''Asia/Tokyo'') + interval ''1 hour''', 'at >= date_trunc(''minute'', now())', 'at >= current_date::timestamptz', 'at <> current_timestamp(0)',
  'at > nullif(now(), ''2000-01-01'')', 'local_at > localtimestamp - interval ''1 year''', 'local_at = now() AT TIME ZONE ''Asia/Tokyo''',
  'local_at > current_date - interval ''1 week''', 'day = current_date', 'day > current_date - 7 AND day <= (now() + interval ''1 month'')::date', 'day < (now() - interval ''1 s'')::date',
  'plain_at > now()', 'part_at > now()', 'at > now() AND plain_at > now()', 'at > now() AND extract(hour FROM now()) < 12', 'at + interval ''1 s'' > now()']) c, follows(c) f;
SELECT * FROM follows('at > now()', 'parted');
CREATE INDEX ON parted_2 (at);
SELECT * FROM follows('at > now()', 'parted');

-- What has no such meaning.
CALL refused('SELECT id FROM event WHERE at > clock_timestamp()');
CALL refused('SELECT id, txid_current() AS x FROM event');
CALL refused('SELECT id FROM event, generate_series(now() - interval ''1 h'', now(), interval ''1 min'') g WHERE g > at');
CALL refused('SELECT now() AS clock');
CREATE FUNCTION reads_more(timestamptz) RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM clock_test.event WHERE at > $1); END';
CALL refused('SELECT id FROM event WHERE id < reads_more(now())');
SELECT live.subscribe('steps', 'SELECT id FROM event WHERE at > now()', refresh_every => '0');
SELECT live.subscribe('steps', 'SELECT id FROM event WHERE at > now()', refresh_every => '-1 s');
SELECT live.subscribe('steps', 'SELECT id FROM event WHERE at > now()', refresh_every => '2 days');
SELECT live.subscribe('steps', 'SELECT id FROM event WHERE at > now()', refresh_every => '1 month');
SET live_queries.evaluators = 0;
CALL refused('SELECT id FROM event WHERE at > now()');
RESET live_queries.evaluators;

RESET search_path;
RESET TimeZone;
SET client_min_messages = warning;
DROP SCHEMA clock_test CASCADE;
DROP ROLE regress_clock_reader;
RESET client_min_messages;
