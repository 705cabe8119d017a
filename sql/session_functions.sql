-- What only the client's session knows keeps its value, whatever changes in the catalogs.
CREATE TABLE seat (id int PRIMARY KEY, pid int, depth int, port int, at timestamptz, day date, note text);
ALTER TABLE seat REPLICA IDENTITY FULL;
INSERT INTO seat VALUES (1, pg_backend_pid(), 0);
CREATE TABLE elsewhere (id int);
CALL watch('pid', 'SELECT id FROM seat WHERE pid = pg_backend_pid()');
CALL watch('depth', 'SELECT id FROM seat WHERE depth = pg_trigger_depth()');
CALL watch('port', 'SELECT id FROM seat WHERE port IS NOT DISTINCT FROM inet_client_port()');
CALL watch('temporary', 'SELECT id FROM seat WHERE id > 0 AND pg_my_temp_schema() IS NOT NULL');
ALTER TABLE seat ALTER id SET STATISTICS 10;
GRANT SELECT ON seat TO PUBLIC;
CREATE INDEX ON elsewhere (id);
INSERT INTO seat VALUES (2, pg_backend_pid(), 0, inet_client_port());
SELECT * FROM feed();
SELECT live.unsubscribe_all();

-- EXECUTE on them is asked for as on others.
CREATE ROLE regress_live_guest;
GRANT SELECT ON seat TO regress_live_guest;
SET ROLE regress_live_guest;
CALL watch('pid', 'SELECT id FROM seat WHERE pid = pg_backend_pid()');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pg_backend_pid() FROM PUBLIC;
INSERT INTO seat VALUES (3, pg_backend_pid());
SELECT * FROM feed();
SET ROLE regress_live_guest;
CALL refused('SELECT id FROM seat WHERE pid = pg_backend_pid()');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_backend_pid() TO PUBLIC;
SELECT live.unsubscribe_all();

-- What is not kept, and could not be asked again, is refused from the start.
CALL refused($$SELECT id FROM seat WHERE id > pg_stat_get_numscans('seat'::regclass)$$);
CALL refused($$SELECT id FROM seat WHERE note = pg_get_viewdef('pg_user'::regclass)$$);

-- Input functions that are called as such read the clock as casts do.
CALL refused($$SELECT id FROM seat WHERE at > timestamptz_in('now', 0, -1)$$);
CALL refused($$SELECT id FROM seat WHERE day > date_in('today')$$);
CALL refused($$SELECT id FROM seat WHERE at > timestamptz_in(note::cstring, 0, -1)$$);
CALL refused($$SELECT id FROM seat WHERE note > range_in('[now,)', 'tstzrange'::regtype, -1)::text$$);
CALL watch('fixed', $$SELECT id FROM seat WHERE at > timestamptz_in('2026-01-01 00:00:00+00', 0, -1)$$);
CALL watch('words', $$SELECT id FROM seat WHERE note > array_in('{now}', 'text'::regtype, -1)::text$$);
SELECT live.unsubscribe_all();

DROP TABLE seat, elsewhere;
DROP ROLE regress_live_guest;
