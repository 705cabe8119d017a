-- Routing by values of many types: each is the constant of live queries, and in rows. What messages say is in a result
-- has to be what the query gives.
CREATE TABLE conditions (id int GENERATED ALWAYS AS IDENTITY, condition text, params text[]);
CREATE TABLE shown (query int, id int, PRIMARY KEY (query, id));
CREATE TABLE outcome (type text, list text, "between" text, queries int, differences int DEFAULT 0, example text);

CREATE PROCEDURE make_conditions(type text, samples text[]) LANGUAGE sql AS $$
  TRUNCATE conditions, shown RESTART IDENTITY;
  INSERT INTO conditions (condition, params)
    SELECT format('v %s $1', operator), ARRAY[a] FROM unnest(samples) a, unnest('{=,<,<=,>,>=}'::text[]) operator
    UNION ALL
    SELECT format('$1::%s %s v', type, operator), ARRAY[a] FROM unnest(samples) a, unnest('{=,<,>=}'::text[]) operator
    UNION ALL
    SELECT condition, ARRAY[a, b] FROM unnest(samples) a, unnest(samples) b,
      (VALUES ('v BETWEEN $1 AND $2'), ('v > $1 AND $2 > v'), (format('v IN ($1, $2, %L)', samples[1])), ('v = $1 OR $2 = v'),
        (format('(v = $1 OR v IN ($2, %L)) AND v <> $2', samples[1]))) AS of_two (condition)
    UNION ALL
    SELECT condition, ARRAY[ARRAY[a, NULL, b, a]::text, b, a] FROM unnest(samples) a, unnest(samples) b,
      (VALUES ('v = ANY($1)'), ('v = ANY($1) AND v >= $2 AND v <> $3'), ('v = ANY($1) OR v = $2')) AS of_list (condition)
    WHERE type NOT LIKE '%[]'
    UNION ALL
    SELECT 'v LIKE $1', ARRAY[pattern]
    FROM unnest(samples) a, regexp_replace(a, '([%_\\])', '\\\1', 'g') AS same,
      unnest(ARRAY[same, same || '%', same || '_', same || '%' || same, left(a, 1) || '%', '%' || same]) AS pattern
    WHERE type ~ '^(text|varchar|char|name)' AND type NOT LIKE '%any_case'
    UNION ALL
    SELECT 'v ^@ $1', ARRAY[a] FROM unnest(samples) a WHERE type ~ '^(text|varchar|char|name)' AND type NOT LIKE '%any_case';
  -- Of what is compared as any row, the type has to be said.
  UPDATE conditions SET condition = regexp_replace(replace(condition, 'ANY($1)', 'ANY($1::pair[])'), '\$(\d)(?!:)', '$\1::pair', 'g')
  WHERE type = 'pair';
  UPDATE conditions SET params = params[:(SELECT max(place) FROM regexp_matches(condition, '\$(\d)', 'g') AS found, CAST(found[1] AS int) AS place)];
$$;
-- By which index a condition that begins so finds its live queries.
CREATE FUNCTION index_for(beginning text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(max(value), 'none')
  FROM (SELECT * FROM conditions WHERE starts_with(condition, beginning) ORDER BY id LIMIT 1) c,
    live.explain('SELECT id FROM typed WHERE ' || condition, params) WHERE property = 'routing index'
$$;
-- Takes what has arrived, and compares.
CREATE PROCEDURE compare(what text) LANGUAGE plpgsql AS $$
DECLARE item record; expected int[]; got int[];
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN RAISE EXCEPTION 'the decoder is late'; END IF;
  FOR item IN
    SELECT subscription_id::int AS query, change->>'op' AS op, (change->'key'->>0)::int AS row, message
    FROM live.poll() LEFT JOIN LATERAL json_array_elements(message->'changes') change ON true
  LOOP
    IF item.op = 'insert' THEN INSERT INTO shown VALUES (item.query, item.row);
    ELSIF item.op = 'delete' THEN DELETE FROM shown WHERE query = item.query AND id = item.row;
    ELSE RAISE EXCEPTION 'unexpected for query %: %', item.query, item.message;
    END IF;
  END LOOP;
  FOR item IN
    SELECT id, condition, params,
      replace(replace(replace(condition, '$1', quote_literal(params[1])), '$2', quote_nullable(params[2])), '$3', quote_nullable(params[3])) AS text
    FROM conditions
  LOOP
    EXECUTE format('SELECT array_agg(id ORDER BY id) FROM typed WHERE %s', item.text) INTO expected;
    SELECT array_agg(id ORDER BY id) INTO got FROM shown WHERE query = item.id;
    CONTINUE WHEN got IS NOT DISTINCT FROM expected;
    UPDATE outcome SET differences = differences + 1, example = format('%s: %s gives %s, not %s', what, item.text, got, expected);
  END LOOP;
END $$;
CREATE PROCEDURE try_type(type text, VARIADIC samples text[]) LANGUAGE plpgsql AS $$
DECLARE count int := cardinality(samples);
BEGIN
  EXECUTE format('CREATE TABLE typed (id int PRIMARY KEY, v %s)', type);
  ALTER TABLE typed REPLICA IDENTITY FULL;
  CALL make_conditions(type, samples);
  DELETE FROM outcome;
  INSERT INTO outcome VALUES (type, index_for('v = ANY'), index_for('v BETWEEN'), (SELECT count(*) FROM conditions));
  COMMIT;
  PERFORM live.subscribe(c.id::text, 'SELECT id FROM typed WHERE ' || condition, params, "snapshot" => false, delivery => 'poll') FROM conditions c;
  COMMIT;
  EXECUTE format('INSERT INTO typed SELECT n, $1[n]::%s FROM generate_series(1, $2) n', type) USING samples, count + 1;
  COMMIT;
  CALL compare('insert');
  EXECUTE format('UPDATE typed SET v = $1[id %% $2 + 1]::%s WHERE id %% 3 > 0', type) USING samples, count;
  COMMIT;
  CALL compare('update');
  UPDATE typed SET v = NULL WHERE id % 2 = 0;
  DELETE FROM typed WHERE id = 1;
  COMMIT;
  CALL compare('NULL');
  PERFORM live.unsubscribe_all();
  DROP TABLE typed;
END $$;
CREATE VIEW how_it_went AS
  SELECT type, list, "between", differences || coalesce(', such as ' || example, '') AS differences FROM outcome WHERE queries > 0;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE mood ADD VALUE 'glad' BEFORE 'happy';
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TYPE pair AS (a int, b text);
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SET client_min_messages = warning;
-- A text that compares as if it were lower case, by functions in SQL and PL/pgSQL.
CREATE TYPE lower;
CREATE FUNCTION lower_in(cstring) RETURNS lower IMMUTABLE STRICT LANGUAGE internal AS 'textin';
CREATE FUNCTION lower_out(lower) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
CREATE TYPE lower (INPUT = lower_in, OUTPUT = lower_out, LIKE = text);
CREATE CAST (lower AS text) WITHOUT FUNCTION;
CREATE FUNCTION lower_compare(lower, lower) RETURNS int IMMUTABLE STRICT LANGUAGE plpgsql AS
  'BEGIN RETURN bttextcmp(lower($1::text) COLLATE "C", lower($2::text)); END';
CREATE FUNCTION lower_hash(lower) RETURNS int IMMUTABLE STRICT LANGUAGE sql AS 'SELECT hashtext(lower($1::text) COLLATE "C")';
CREATE FUNCTION lower_eq(lower, lower) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT lower_compare($1, $2) = 0';
CREATE FUNCTION lower_ne(lower, lower) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT lower_compare($1, $2) <> 0';
CREATE FUNCTION lower_lt(lower, lower) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS 'BEGIN RETURN lower_compare($1, $2) < 0; END';
CREATE FUNCTION lower_le(lower, lower) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS 'BEGIN RETURN lower_compare($1, $2) <= 0; END';
CREATE FUNCTION lower_ge(lower, lower) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS 'BEGIN RETURN lower_compare($1, $2) >= 0; END';
CREATE FUNCTION lower_gt(lower, lower) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS 'BEGIN RETURN lower_compare($1, $2) > 0; END';
CREATE OPERATOR = (LEFTARG = lower, RIGHTARG = lower, FUNCTION = lower_eq, COMMUTATOR = =, HASHES, MERGES);
CREATE OPERATOR <> (LEFTARG = lower, RIGHTARG = lower, FUNCTION = lower_ne, COMMUTATOR = <>, NEGATOR = =);
CREATE OPERATOR < (LEFTARG = lower, RIGHTARG = lower, FUNCTION = lower_lt, COMMUTATOR = >);
CREATE OPERATOR <= (LEFTARG = lower, RIGHTARG = lower, FUNCTION = lower_le, COMMUTATOR = >=);
CREATE OPERATOR >= (LEFTARG = lower, RIGHTARG = lower, FUNCTION = lower_ge, COMMUTATOR = <=);
CREATE OPERATOR > (LEFTARG = lower, RIGHTARG = lower, FUNCTION = lower_gt, COMMUTATOR = <);
CREATE OPERATOR CLASS lower_btree DEFAULT FOR TYPE lower USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 lower_compare(lower, lower);
CREATE OPERATOR CLASS lower_hash DEFAULT FOR TYPE lower USING hash AS OPERATOR 1 =, FUNCTION 1 lower_hash(lower);

\set ECHO none
\t on
\pset format unaligned
CALL try_type('int', '1', '2', '3', '-7'); TABLE how_it_went;
CALL try_type('smallint', '1', '2', '-3'); TABLE how_it_went;
CALL try_type('bigint', '1', '2', '3000000000', '-3000000000'); TABLE how_it_went;
CALL try_type('float8', '0', '-0', 'NaN', 'Infinity', '-Infinity', '1.5', '-1.5', '-1e300'); TABLE how_it_went;
CALL try_type('real', '0', '-0', 'NaN', 'Infinity', '0.1', '-0.1'); TABLE how_it_went;
CALL try_type('numeric', '1', '1.00', 'NaN', 'Infinity', '-Infinity', '0', '-0.5', '1e30', '-1e30'); TABLE how_it_went;
CALL try_type('money', '1', '-1', '2.50'); TABLE how_it_went;
CALL try_type('oid', '1', '4000000000'); TABLE how_it_went;
CALL try_type('boolean', 'true', 'false'); TABLE how_it_went;
CALL try_type('text', '', 'a', 'B', 'b ', 'NULL', 'ä', 'äa', 'a%b_\'); TABLE how_it_went;
CALL try_type('text COLLATE "C"', 'a', 'B', 'b ', '', 'ä', '12345678', '123456789', '12345678a'); TABLE how_it_went;
CALL try_type('text COLLATE any_case', 'a', 'A', 'b', 'B'); TABLE how_it_went;
CALL try_type('varchar(3)', '', 'a', 'B', 'b '); TABLE how_it_went;
CALL try_type('char(3)', '', 'a', 'a  ', 'ab'); TABLE how_it_went;
CALL try_type('"char"', 'a', 'b', ''); TABLE how_it_went;
CALL try_type('name', 'a', 'b', ''); TABLE how_it_went;
CALL try_type('bytea', '\x', '\x00', '\x01ff', '\x0000000000000000', '\x000000000000000001', '\xff'); TABLE how_it_went;
CALL try_type('uuid', '00000000-0000-0000-0000-000000000000', '80000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'); TABLE how_it_went;
CALL try_type('date', '2026-01-01', '1999-12-31', 'infinity', '-infinity'); TABLE how_it_went;
CALL try_type('timestamptz', '2026-01-01 00:00+00', '2026-01-01 01:00+01', 'infinity', '-infinity'); TABLE how_it_went;
CALL try_type('timetz', '00:00+00', '01:00+01', '12:00+00'); TABLE how_it_went;
CALL try_type('interval', '1 month', '30 days', '1 day', '24:00'); TABLE how_it_went;
CALL try_type('inet', '10.0.0.1', '10.0.0.0/8', '::1'); TABLE how_it_went;
CALL try_type('bit varying', '', '0', '01', '1'); TABLE how_it_went;
CALL try_type('jsonb', '1', '1.0', '{"a": [1, null]}', 'null'); TABLE how_it_went;
CALL try_type('xid8', '1', '2'); TABLE how_it_went;
CALL try_type('int[]', '{}', '{1,2}', '{1,NULL}', '{{1,2},{3,4}}'); TABLE how_it_went;
CALL try_type('int4range', 'empty', '[1,3)', '[1,2]', '[2,)'); TABLE how_it_went;
CALL try_type('mood', 'sad', 'glad', 'happy'); TABLE how_it_went;
CALL try_type('mood[]', '{}', '{sad,glad}', '{happy}'); TABLE how_it_went;
CALL try_type('small', '1', '2', '99'); TABLE how_it_went;
CALL try_type('pair', '(1,a)', '(1,)', '(,a)', '(2,a)'); TABLE how_it_went;
CALL try_type('lower', 'a', 'A', 'b', ''); TABLE how_it_went;
-- Of an operator that is asked about NULLs as well, nothing is known.
CREATE OR REPLACE FUNCTION lower_eq(lower, lower) RETURNS boolean IMMUTABLE LANGUAGE sql AS
  'SELECT coalesce(lower_compare($1, $2), lower_compare(coalesce($1, $2), '''')) = 0';
CALL try_type('lower', 'a', 'A', 'b', ''); TABLE how_it_went;
\t off
\pset format aligned
\set ECHO all

DROP VIEW how_it_went;
DROP TABLE conditions, shown, outcome;
DROP PROCEDURE make_conditions, compare, try_type;
DROP FUNCTION index_for;
DROP COLLATION any_case;
DROP TYPE mood, pair;
DROP DOMAIN small;
DROP OPERATOR FAMILY lower_btree USING btree;
DROP OPERATOR FAMILY lower_hash USING hash;
DROP TYPE lower CASCADE;
