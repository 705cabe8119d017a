-- Values that are shown by the names of what they refer to, and other names in the text of values.
CREATE DOMAIN some_table AS regclass;
CREATE TYPE mention AS (about regclass, words text);
CREATE TABLE mentioned (id int);
CREATE TABLE refers (id int PRIMARY KEY, c regclass, p regproc, f regprocedure, o regoper, x regoperator, t regtype, r regrole,
  n regnamespace, l regcollation, g regconfig, d regdictionary, a aclitem, cs regclass[], dom some_table, doms some_table[],
  "row" mention, "rows" mention[], m money, at timestamptz, note text);
ALTER TABLE refers REPLICA IDENTITY FULL;

-- A column of the result would keep a name that is not right any more.
SELECT format('CALL refused(''SELECT id, %I FROM refers'')', attname) FROM pg_attribute
WHERE attrelid = 'refers'::regclass AND attnum > 1 AND attname NOT IN ('m', 'at', 'note') ORDER BY attnum \gexec
CALL refused('SELECT * FROM refers');
CALL refused('SELECT refers FROM refers');
CALL refused('SELECT id, ROW(c, 1) AS v FROM refers');
CALL refused('SELECT id, ARRAY[ROW(note, cs)] AS v FROM refers');
CALL refused('SELECT id, ("row").about AS v FROM refers');
CALL refused('SELECT id, ''mentioned''::regclass AS v FROM refers');
CALL refused('SELECT id, $1::regclass AS v FROM refers', 'mentioned');
CREATE VIEW referring AS SELECT id, c, note FROM refers;
CALL refused('SELECT * FROM referring');

-- And so would texts, wherever they are made or read.
CALL refused('SELECT id, c::text AS v FROM refers');
CALL refused('SELECT id, cs::text AS v FROM refers');
CALL refused('SELECT id, doms::text AS v FROM refers');
CALL refused('SELECT id, "rows"::text AS v FROM refers');
CALL refused('SELECT id, to_json("row") AS v FROM refers');
CALL refused('SELECT id, jsonb_build_object(''a'', cs) AS v FROM refers');
CALL refused('SELECT id, row_to_json(ROW(c)) AS v FROM refers');
CALL refused('SELECT id, format(''%s'', c) AS v FROM refers');
CALL refused('SELECT id, concat(note, c) AS v FROM refers');
CALL refused('SELECT id, array_to_string(cs, '','') AS v FROM refers');
CALL refused('SELECT id, a::text AS v FROM refers');
CALL refused('SELECT id, xmlelement(name e, c) AS v FROM refers');
CALL refused('SELECT id FROM refers WHERE note::regclass[] = cs');
CALL refused('SELECT id FROM refers WHERE (note::mention).words = ''a''');
CALL refused('SELECT id FROM refers WHERE (jsonb_populate_record(NULL::mention, to_jsonb(note))).words = ''a''');
CALL refused('SELECT id FROM refers ORDER BY cs::text');

-- The numbers themselves do not change, and conditions are about these.
CALL watch('oids', 'SELECT id, c::oid AS c, cs::oid[] AS cs, dom::oid AS dom, ("row").about::oid AS about, t::oid::int8 AS t FROM refers');
CALL watch('condition', 'SELECT id FROM refers WHERE c = $1::regclass OR ''mentioned''::regclass = ANY (cs)', 'mentioned');
CALL watch('length', 'SELECT id, cardinality(cs) AS n, ("row").words FROM refers WHERE "row" IS NOT NULL');
-- One that names a table itself is over with the name.
CALL watch('text', 'SELECT id FROM refers WHERE note = ARRAY[''mentioned''::regclass]::text OR note = to_json(''mentioned''::regclass)::text');
INSERT INTO refers (id, c, cs, "row", note) VALUES (1, 'mentioned', '{mentioned}', ROW('mentioned', 'a'), '"mentioned"');
SELECT id, message, replace(change, 'mentioned'::regclass::oid::text, 'OID') AS change FROM feed();
ALTER TABLE mentioned RENAME TO renamed;
INSERT INTO refers (id, c, cs, note) VALUES (2, 'renamed', '{renamed}', '{renamed}');
SELECT id, message, replace(change, 'renamed'::regclass::oid::text, 'OID') AS change FROM feed();
SELECT live.unsubscribe_all();

-- Labels and attributes have names too: whoever shows them is reset.
CREATE TYPE shade AS ENUM ('dark', 'light');
CREATE TYPE lamp AS (shade shade, watts int);
CREATE DOMAIN shades AS shade[];
CREATE TABLE rooms (id int PRIMARY KEY, shade shade, shades shades, lamp lamp, lamps lamp[]);
ALTER TABLE rooms REPLICA IDENTITY FULL;
CALL watch('array', 'SELECT id, shades FROM rooms');
CALL watch('composite', 'SELECT id, lamp FROM rooms');
CALL watch('composites', 'SELECT id, lamps FROM rooms');
CALL watch('enum', 'SELECT id, shade FROM rooms');
CALL watch('none', 'SELECT id FROM rooms');
ALTER TYPE shade RENAME VALUE 'dark' TO 'dim';
INSERT INTO rooms VALUES (1, 'dim', '{dim}', ROW('dim', 1), ARRAY[ROW('dim', 1)::lamp]);
SELECT * FROM feed();
SELECT count(live.refresh(s)) FROM unnest(ARRAY['array', 'composite', 'composites', 'enum']) s;
SELECT count(*) FROM unnest(ARRAY['array', 'composite', 'composites', 'enum']) s, live.snapshot(s);
ALTER TYPE lamp RENAME ATTRIBUTE watts TO power;
INSERT INTO rooms VALUES (2, 'dim', '{dim}', ROW('dim', 1), ARRAY[ROW('dim', 1)::lamp]);
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- What settings decide keeps the settings of the time of subscribing.
SET lc_monetary = 'C';
SET timezone = 'UTC';
CALL watch('settings', 'SELECT id, m, at, ARRAY[at] AS ats FROM refers');
SET timezone = 'Asia/Tokyo';
INSERT INTO refers (id, m, at) VALUES (3, 1.5, '2026-01-01 00:00+00');
SELECT * FROM feed();
SELECT live.unsubscribe_all();
RESET timezone;
RESET lc_monetary;
DROP VIEW referring;
DROP TABLE refers, renamed, rooms;
DROP TYPE mention, lamp;
DROP DOMAIN some_table, shades;
DROP TYPE shade;
