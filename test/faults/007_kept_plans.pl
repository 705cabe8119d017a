# Plans that are kept for the queries of the delta strategy: used again, and made anew when what they depend on has changed.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('plans', '');
$node->safe_psql('postgres', <<~SQL);
    CREATE FUNCTION delta_begin(text) RETURNS void AS 'live_queries', 'live_queries_delta_begin' LANGUAGE C STRICT;
    CREATE FUNCTION delta_move() RETURNS void AS 'live_queries', 'live_queries_delta_move' LANGUAGE C STRICT;
    CREATE FUNCTION delta_changes(oid[], text[]) RETURNS text AS 'live_queries', 'live_queries_delta_changes' LANGUAGE C STRICT;
    SQL
my ($reader, $writer) = map { connect_client($node) } 1 .. 2;
$writer->rows($_)
  for 'CREATE TABLE a (id int PRIMARY KEY, x int)', 'CREATE TABLE b (id int PRIMARY KEY, a_id int, y int)',
  'INSERT INTO a SELECT i, i FROM generate_series(1, 20000) i', 'INSERT INTO b SELECT i, i, i FROM generate_series(1, 20000) i',
  'CREATE INDEX b_a_id ON b (a_id)', 'ANALYZE a, b';

# How often b was scanned from its start to its end, or by the index on a_id, until now. A session reports what it has counted
# some time later, unless it is told to; an index that is made counts as a scan.
sub scans {
    my ($what) = @_;
    $_->rows('SELECT pg_stat_force_next_flush()') for $writer, $reader;
    $reader->rows('SELECT pg_stat_clear_snapshot()');
    return $reader->value($what eq 'index' ? "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes WHERE indexrelname = 'b_a_id'"
        : "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'b'");
}

# The changes of the result while rows 1 to COUNT of a change.
sub changes {
    my ($count) = @_;
    $reader->rows($_) for 'BEGIN', 'SELECT delta_move()';
    $writer->rows("UPDATE a SET x = x + 1 WHERE id <= $count");
    $reader->rows('SELECT delta_move()');
    my $told = JSON::PP::decode_json($reader->value(
        "SELECT delta_changes(array_agg('a'::regclass::oid), array_agg('{' || i || '}')) FROM generate_series(1, $count) i"));
    $reader->rows('ROLLBACK');
    return $told->{changes};
}

$reader->rows($_) for 'BEGIN', q{SELECT delta_begin('SELECT a.id, x, y FROM a JOIN b ON b.a_id = a.id')}, 'ROLLBACK';
my $sequential = scans('table');
is(scalar @{ changes(1) }, 1, 'a change by a plan that is made');
is(scalar @{ changes(3) }, 3, 'changes by that plan');
cmp_ok(scans('index'), '>=', 8, 'it uses the index, at both snapshots');
is(scans('table'), $sequential, 'and nothing as a whole');
is(scalar @{ changes(150) }, 150, 'many changes, by a plan of their own');

$sequential = scans('table');
$writer->rows('DROP INDEX b_a_id');
is(scalar @{ changes(2) }, 2, 'the index is gone: another plan');
cmp_ok(scans('table'), '>', $sequential, 'which reads the table');
$writer->rows('CREATE INDEX b_a_id ON b (a_id)');
$sequential = scans('table');
is(scalar @{ changes(2) }, 2, 'a new index');
is(scans('table'), $sequential, 'is used at once');
$writer->rows('ALTER TABLE b ADD z int DEFAULT 7');
is_deeply([ sort keys %{ changes(1)->[0]{row} } ], [qw(id x y)], 'a new column');

$_->disconnect for $reader, $writer;
done_testing();
