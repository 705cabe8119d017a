# The dirty log, read by a backend in the place of an evaluator: what it says of each kind of change, and that a reader learns
# it when something is missing.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('dirty', "live_queries.databases = 'postgres'");
$node->safe_psql('postgres', <<~SQL);
    CREATE FUNCTION delta_begin(text) RETURNS void AS 'live_queries', 'live_queries_delta_begin' LANGUAGE C STRICT;
    CREATE FUNCTION delta_watch() RETURNS void AS 'live_queries', 'live_queries_delta_watch' LANGUAGE C STRICT;
    CREATE FUNCTION delta_read_log() RETURNS text AS 'live_queries', 'live_queries_delta_read_log' LANGUAGE C STRICT;
    CREATE FUNCTION delta_woken(integer) RETURNS boolean AS 'live_queries', 'live_queries_delta_woken' LANGUAGE C STRICT;
    CREATE TABLE plain (id int PRIMARY KEY, n int);
    CREATE TABLE whole (id int PRIMARY KEY, n int);
    ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE nothing (id int PRIMARY KEY, n int);
    ALTER TABLE nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE long (id text PRIMARY KEY, n int);
    ALTER TABLE long ALTER id SET STORAGE EXTERNAL;
    CREATE TABLE pair (n int, b text, a int, PRIMARY KEY (a, b));
    CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE low (n int, id int NOT NULL);
    ALTER TABLE parted ATTACH PARTITION low FOR VALUES FROM (0) TO (10);
    CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (100);
    CREATE TABLE other (id int PRIMARY KEY);
    SQL
decoder_pid($node);
my ($reader, $writer) = map { connect_client($node) } 1 .. 2;

sub watch_tables {
    my ($query) = @_;
    # Without the locks of the analysis, which would be in the writers' way.
    $reader->rows($_) for 'BEGIN', "SELECT delta_begin('$query')", 'SELECT delta_watch()', 'ROLLBACK';
    return;
}

# What the log says of the transactions in which something watched has changed: the words of each, a line each.
sub read_log { return $reader->value('SELECT delta_read_log()') =~ s/subtransactions 0: //gr }

sub tells {
    my ($sql, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $writer->rows($_) for ref $sql ? @$sql : $sql;
    return is(read_log(), "$expected\n", $name // $sql);
}

# A value of a type passed by value takes 12 bytes.
my $of_all = 'SELECT plain.n, whole.n, long.n, pair.n, parted.n FROM plain, whole, long, pair, parted' =~ s/(\w+)\.n/$1.n AS $1/gr;
watch_tables($of_all);
tells('INSERT INTO plain VALUES (1, 1)', 'new(12)');
tells('UPDATE plain SET n = 2', 'row(12)');
tells('UPDATE plain SET id = 2', 'row(12) row(12)');
tells('DELETE FROM plain', 'row(12)');
tells("INSERT INTO plain VALUES (1, 1), (2, 2); UPDATE plain SET n = 3", 'new(12) new(12) row(12) row(12)');
tells('BEGIN; UPDATE plain SET n = 4 WHERE id = 1; UPDATE plain SET n = 5 WHERE id = 1; COMMIT', 'row(12)', 'one row again and again');
tells('BEGIN; INSERT INTO plain VALUES (9, 1); UPDATE plain SET n = 5 WHERE id = 9; DELETE FROM plain WHERE id = 9; COMMIT', 'new(12)', 'one that was not there before');
tells('BEGIN; DELETE FROM plain WHERE id = 1; INSERT INTO plain VALUES (1, 1); COMMIT', 'row(12)', 'one that was');
tells('BEGIN; INSERT INTO plain VALUES (3, 1); SAVEPOINT a; INSERT INTO plain VALUES (4, 1); COMMIT', 'subtransactions 1: new(12) new(12)', 'a subtransaction');
tells('BEGIN; INSERT INTO plain VALUES (5, 1); SAVEPOINT a; INSERT INTO plain VALUES (6, 1); ROLLBACK TO a; COMMIT', 'new(12)', 'one that is rolled back');
tells("INSERT INTO whole VALUES (1, 1)", 'new(12)');
tells('UPDATE whole SET n = 2', 'row(12)');
tells('UPDATE whole SET id = 2', 'row(12) row(12)');
watch_tables('SELECT n FROM nothing');
tells('INSERT INTO nothing VALUES (1, 1), (2, 1)', 'rows(nothing)');
tells('UPDATE nothing SET n = 2', 'rows(nothing)');
watch_tables($of_all);
tells(q{INSERT INTO long SELECT string_agg(md5(i::text), ''), 1 FROM generate_series(1, 66) i}, 'new(2120)', 'a key that is kept in a TOAST table');
tells('UPDATE long SET n = 2', 'row(2120)', 'such a key that stays');
tells(q{UPDATE long SET id = id || 'x'}, 'row(2120) row(2121)', 'such a key that changes');
tells(q{INSERT INTO pair VALUES (1, 'b', 2)}, 'new(18)', 'a key of two columns');
tells('INSERT INTO parted VALUES (1, 1), (11, 1)', 'new(12) new(12)', 'partitions');
tells('UPDATE parted SET id = 12 WHERE id = 1', 'row(12) new(12)', 'a row that moves to another partition');
tells('TRUNCATE plain, whole', 'truncate(plain) truncate(whole)');
tells('TRUNCATE parted', 'truncate(low) truncate(high)');
tells('INSERT INTO plain SELECT i, 1 FROM generate_series(1, 50000) i', 'rows(plain)', 'very many rows');
tells('DELETE FROM plain', 'rows(plain)', 'very many rows that leave');
tells("DO \$\$BEGIN FOR i IN 1 .. 600 LOOP BEGIN INSERT INTO plain VALUES (i, 1); EXCEPTION WHEN division_by_zero THEN END; END LOOP; END\$\$",
    'subtransactions 0 too many:' . ' new(12)' x 600, 'very many subtransactions');
tells('BEGIN; ALTER TABLE plain ALTER n TYPE bigint; INSERT INTO plain VALUES (-1, 1); COMMIT', 'new(12) rewrite(plain)', 'a table that is rewritten');
$writer->rows("BEGIN; INSERT INTO plain VALUES (-2, 1); PREPARE TRANSACTION 'later'");
is(read_log(), '', 'a transaction that is prepared');
tells("COMMIT PREPARED 'later'", 'new(12)');
tells('BEGIN; SET LOCAL synchronous_commit = off; INSERT INTO plain VALUES (-3, 1); COMMIT', 'new(12)', 'an asynchronous commit');
$writer->rows('INSERT INTO other VALUES (1)');
is(read_log(), '', 'a table that is not watched');
tells('ALTER TABLE plain REPLICA IDENTITY NOTHING; UPDATE plain SET n = 2 WHERE id = 1', 'rows(plain)', 'an identity that is not logged any more');
tells('ALTER TABLE plain REPLICA IDENTITY DEFAULT; UPDATE plain SET n = 3 WHERE id = 1', 'row(12)', 'and is again');

# What is watched, and no more.
watch_tables('SELECT n FROM whole');
$writer->rows('INSERT INTO plain VALUES (-4, 1)');
is(read_log(), '', 'a table that is not watched any more');
tells('INSERT INTO whole VALUES (1, 1)', 'new(12)');

# Nobody is woken for what does not concern him.
sub is_woken {
    my ($sql, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $reader->send_query('SELECT delta_woken(' . ($expected eq 't' ? 60000 : 1000) . ')');
    wait_until(sub { asked($node, q(SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT delta_woken%' AND wait_event_type = 'Extension')) });
    $writer->rows($sql);
    return is($reader->finish->{rows}[0][0], $expected, $name);
}
is_woken('INSERT INTO plain VALUES (-5, 1)', 'f', 'a change of a table that it does not watch any more wakes nobody');
is_woken('INSERT INTO whole VALUES (-5, 1)', 't', 'one of a table that it watches does');
read_log();

# What is missing.
$writer->rows("INSERT INTO whole SELECT i, 1 FROM generate_series($_ * 10000, $_ * 10000 + 9999) i") for 1 .. 20;
tells('INSERT INTO whole VALUES (2, 1)', 'lapped', 'a reader that was lapped');
tells('INSERT INTO whole VALUES (3, 1)', 'new(12)', 'it goes on after that');
my $pid = decoder_pid($node);
$writer->rows("SELECT pg_terminate_backend($pid)");
wait_until(sub { decoder_pid($node) ne $pid });
$writer->rows('INSERT INTO whole VALUES (4, 1)');
like(read_log(), qr/^lapped\n/, 'another decoder: something may be missing');
tells('INSERT INTO whole VALUES (5, 1)', 'new(12)', 'it is heard from then on');

$_->disconnect for $reader, $writer;
nothing_left($node, 'when the last reader has left');
done_testing();
