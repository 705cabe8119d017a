-- The functions that stand behind types: those that make JSON of values, the checks of domains,
-- input and output.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE FUNCTION mood_json(mood) RETURNS json VOLATILE LANGUAGE plpgsql AS
  $$ BEGIN RETURN to_json('am ' || $1::text); END $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
CREATE TYPE state AS (mood mood, since int);
CREATE DOMAIN present AS mood;
CREATE TABLE person (id int PRIMARY KEY, mood mood, moods mood[], state state, present present, val int, note text);
ALTER TABLE person REPLICA IDENTITY FULL;
CREATE TABLE keyed (mood mood PRIMARY KEY, val int);
CREATE TABLE unkeyed (mood mood, val int);
ALTER TABLE unkeyed REPLICA IDENTITY FULL;

-- A cast to JSON that may give anything is refused, wherever it would be used.
CALL refused('SELECT id, mood FROM person');
CALL refused('SELECT id, moods FROM person');
CALL refused('SELECT id, state FROM person');
CALL refused('SELECT id, present FROM person');
CALL refused('SELECT id, ARRAY[ROW(mood, 1)] AS nested FROM person');
CALL refused('SELECT person FROM person');
CALL refused('SELECT id, to_json(mood) AS j FROM person');
CALL refused('SELECT id, jsonb_build_object(''a'', state)::text AS j FROM person');
CALL refused('SELECT id FROM person WHERE to_jsonb(mood) = ''"am sad"''');
CALL refused('SELECT id FROM person WHERE jsonb_build_array(to_json($1::mood))::text = note', 'sad');
CALL watch('no key', 'SELECT val FROM unkeyed');
CALL watch('as text', 'SELECT id, mood::text AS m FROM person WHERE mood > ''sad''');
ALTER FUNCTION mood_json STABLE;
CALL refused('SELECT id, moods FROM person');
ALTER FUNCTION mood_json IMMUTABLE;
CALL watch('mood', 'SELECT id, mood FROM person');
CALL watch('state', 'SELECT id, state FROM person');
CALL watch('key', 'SELECT val FROM keyed');
INSERT INTO person VALUES (1, 'sad', '{sad,happy}', ROW('happy', 1), 'sad', 1);
INSERT INTO keyed VALUES ('sad', 1);
SELECT * FROM feed();

-- Another function behind the cast, another cast, no cast.
CREATE OR REPLACE FUNCTION mood_json(mood) RETURNS json IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RETURN to_json('was ' || $1::text); END $$;
INSERT INTO person VALUES (2, 'sad', NULL, ROW('happy', 1), 'sad', 1);
INSERT INTO keyed VALUES ('happy', 1);
SELECT * FROM feed();
SELECT live.refresh('mood');
SELECT * FROM live.snapshot('mood');
-- Nobody needs EXECUTE for it.
REVOKE EXECUTE ON FUNCTION mood_json FROM PUBLIC;
INSERT INTO person VALUES (3, 'sad');
SELECT * FROM feed();
DROP CAST (mood AS json);
INSERT INTO person VALUES (4, 'sad');
SELECT * FROM feed();
SELECT live.refresh('mood');
SELECT * FROM live.snapshot('mood') WHERE key::text = '[1]';
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
INSERT INTO person VALUES (5, 'sad');
SELECT * FROM feed();
SELECT live.refresh('mood');
SELECT * FROM live.snapshot('mood') WHERE key::text = '[1]';
ALTER FUNCTION mood_json VOLATILE;
INSERT INTO person VALUES (6, 'sad');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- Whatever becomes a value of a domain is checked.
CREATE FUNCTION is_low(int) RETURNS boolean VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN $1 < 1000; END';
CREATE DOMAIN low AS int CHECK (is_low(VALUE));
CREATE DOMAIN lower AS low;
CREATE TYPE with_low AS (a low);
CALL refused('SELECT id, val::low AS v FROM person');
CALL refused('SELECT id, val::lower AS v FROM person');
CALL refused('SELECT id, ARRAY[val]::low[] AS v FROM person');
CALL refused('SELECT id, ROW(val)::with_low AS v FROM person');
CALL refused('SELECT id FROM person WHERE note::low = 1');
CALL refused('SELECT id FROM person WHERE val = $1::low', '1');
CALL refused('SELECT id, jsonb_populate_record(NULL::with_low, to_jsonb(note)) AS r FROM person');
ALTER FUNCTION is_low STABLE;
CALL refused('SELECT id, val::low AS v FROM person');
CREATE DOMAIN mine AS text CHECK (VALUE <> current_user);
CREATE DOMAIN past AS timestamptz CHECK (VALUE < now());
CALL refused('SELECT id, note::mine AS v FROM person');
CALL refused('SELECT id, to_timestamp(val)::past AS v FROM person');
ALTER FUNCTION is_low IMMUTABLE;
CALL watch('low', 'SELECT id, val::low AS v FROM person');
CALL watch('lower', 'SELECT id, val::lower AS v FROM person');
CALL watch('array', 'SELECT id, ARRAY[val]::low[] AS v FROM person');
CALL watch('field', 'SELECT id, ROW(val)::with_low AS v FROM person');
CALL watch('param', 'SELECT id FROM person WHERE val = $1::low', '7');
SET regress.low = '7';
CALL watch('set', $$SELECT id FROM person WHERE val = current_setting('regress.low')::int::low$$);
INSERT INTO person (id, val) VALUES (7, 7);
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION is_low(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
  'BEGIN RETURN $1 < 5000; END';
INSERT INTO person (id, val) VALUES (8, 7);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- ALTER DOMAIN is noticed where values become those of the domain; a column's are so already.
CREATE DOMAIN simple AS int;
CREATE DOMAIN simpler AS simple;
ALTER TABLE person ADD COLUMN plain simple;
CALL watch('column', 'SELECT id, plain FROM person WHERE id > 100');
CALL watch('cast', 'SELECT id, val::simple AS v FROM person WHERE id > 100');
CALL watch('below', 'SELECT id, val::simpler AS v FROM person WHERE id > 100');
INSERT INTO person (id, val, plain) VALUES (101, 1, 1);
SELECT * FROM feed();
ALTER TABLE unkeyed ADD CONSTRAINT unrelated CHECK (val > 0);
ALTER DOMAIN present SET DEFAULT 'sad';
INSERT INTO person (id, val, plain) VALUES (102, 1, 1);
SELECT * FROM feed();
ALTER DOMAIN simple ADD CONSTRAINT positive CHECK (VALUE > 0);
INSERT INTO person (id, val, plain) VALUES (103, 1, 1);
SELECT * FROM feed();
SELECT live.refresh('cast');
SELECT count(*) FROM live.snapshot('cast');
INSERT INTO person (id, val, plain) VALUES (104, 1, 1);
SELECT * FROM feed();
ALTER DOMAIN simple RENAME CONSTRAINT positive TO more_than_0;
INSERT INTO person (id, val, plain) VALUES (105, 1, 1);
SELECT * FROM feed();
ALTER DOMAIN simple DROP CONSTRAINT more_than_0;
INSERT INTO person (id, val, plain) VALUES (106, 1, 1);
SELECT * FROM feed();
SELECT live.refresh('cast');
SELECT count(*) FROM live.snapshot('cast');
UPDATE person SET plain = 1 WHERE id < 100;
ALTER DOMAIN simple SET NOT NULL;
INSERT INTO person (id, val, plain) VALUES (107, 1, 1);
SELECT * FROM feed();
SELECT live.refresh('cast');
SELECT count(*) FROM live.snapshot('cast');
ALTER DOMAIN simple RENAME TO renamed;
INSERT INTO person (id, val, plain) VALUES (108, 1, 1);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

ALTER TABLE person DROP COLUMN plain;

-- Input and output functions of a type.
SET client_min_messages = warning;
CREATE TYPE raw;
CREATE FUNCTION raw_in(cstring) RETURNS raw IMMUTABLE STRICT LANGUAGE internal AS 'textin';
CREATE FUNCTION raw_out(raw) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
CREATE TYPE raw (INPUT = raw_in, OUTPUT = raw_out, LIKE = text);
RESET client_min_messages;
CREATE TABLE raws (id int PRIMARY KEY, raw raw);
ALTER TABLE raws REPLICA IDENTITY FULL;
CALL watch('output', 'SELECT id, raw FROM raws');
CALL watch('input', 'SELECT id, note::raw AS r FROM person');
CALL watch('param', 'SELECT id FROM raws WHERE raw::text = $1::raw::text', 'a');
INSERT INTO raws VALUES (1, 'a');
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION raw_out(raw) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'byteaout';
INSERT INTO raws VALUES (2, 'a');
SELECT * FROM feed();
CREATE OR REPLACE FUNCTION raw_out(raw) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
REVOKE EXECUTE ON FUNCTION raw_in, raw_out FROM PUBLIC;
SELECT live.unsubscribe_all();
CALL watch('input', 'SELECT id, note::raw AS r FROM person');
CREATE OR REPLACE FUNCTION raw_in(cstring) RETURNS raw IMMUTABLE STRICT LANGUAGE internal AS 'byteain';
INSERT INTO person (id, note) VALUES (201, 'a');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
ALTER FUNCTION raw_out VOLATILE;
CALL refused('SELECT id, raw FROM raws');

-- Each subscription's parameters are its own, if their type's values are.
CALL watch('sad', 'SELECT id FROM person WHERE mood = $1', 'sad');
CALL watch('happy', 'SELECT id FROM person WHERE mood = $1', 'happy');
ALTER TYPE mood RENAME VALUE 'happy' TO 'glad';
INSERT INTO person (id, mood) VALUES (202, 'sad'), (203, 'glad');
SELECT * FROM feed();
SELECT live.unsubscribe_all();

RESET regress.low;
DROP TABLE person, keyed, unkeyed, raws;
DROP TYPE raw CASCADE;
DROP DOMAIN simpler, renamed, mine, past, present;
DROP TYPE with_low;
DROP DOMAIN lower, low;
DROP FUNCTION is_low;
DROP CAST (mood AS json);
DROP TYPE state;
DROP FUNCTION mood_json;
DROP TYPE mood;
