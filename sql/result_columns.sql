-- What live.subscribe tells of a result's columns, and of the log that its position is of.
CREATE TABLE booked (day date, room varchar(10), price numeric(8, 2), "it's" int[], PRIMARY KEY (day, room));
ALTER TABLE booked REPLICA IDENTITY FULL;
CREATE TABLE nothing (a int);
ALTER TABLE nothing REPLICA IDENTITY FULL;
CREATE FUNCTION columns_of(query text) RETURNS SETOF json LANGUAGE sql AS $$
  SELECT json_array_elements(columns) FROM live.subscribe('columns', query, delivery => 'poll') $$;
CREATE FUNCTION described(query text) RETURNS SETOF json LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT * FROM columns_of(query);
  PERFORM live.unsubscribe('columns');
END $$;

-- The key in its own order, what is ordered in that of the query.
SELECT described('SELECT * FROM booked');
SELECT described('SELECT price, room AS name, day FROM booked ORDER BY price DESC, room NULLS FIRST');
-- A part of the key, and of the order, that is not shown; expressions are no key.
SELECT described('SELECT room, day + 0 AS day FROM booked ORDER BY price, room USING >');
SELECT described('SELECT price AS "ü "" ☃" FROM booked');
-- A bag.
SELECT described('SELECT a FROM nothing ORDER BY a');

-- A key that is opaque has no columns.
CREATE ROLE regress_columns_reader;
GRANT SELECT (price) ON booked TO regress_columns_reader;
SET ROLE regress_columns_reader;
SELECT described('SELECT price FROM booked');
RESET ROLE;
DROP OWNED BY regress_columns_reader;
DROP ROLE regress_columns_reader;

SELECT history = (SELECT system_identifier FROM pg_control_system()) || '-'
         || (SELECT timeline_id FROM pg_control_checkpoint()) AS names_the_log
FROM live.subscribe('history', 'SELECT a FROM nothing', delivery => 'poll');
SELECT live.unsubscribe('history');
DROP FUNCTION described(text), columns_of(text);
DROP TABLE booked, nothing;
