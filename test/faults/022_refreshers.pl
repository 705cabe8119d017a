# A refresher that has lost changes, and one whose evaluator does not come back.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('refreshers', <<~CONF);
    live_queries.test_dirty_log_size = 16kB
    live_queries.idle_timeout = 2s
    CONF
my ($client, $writer) = map { connect_client($node) } 1 .. 2;
$writer->rows(<<~SQL);
    CREATE TABLE item (id int PRIMARY KEY, kind int, n int);
    CREATE TABLE kind (id int PRIMARY KEY, name text);
    INSERT INTO item SELECT i, i % 3, i FROM generate_series(1, 1000) i;
    INSERT INTO kind SELECT i, 'kind ' || i FROM generate_series(0, 2) i;
    SQL
my %queries = (
    joined => 'SELECT i.id, i.n, k.name FROM item i JOIN kind k ON k.id = i.kind',
    whole  => 'SELECT kind, sum(n) AS sum FROM item GROUP BY ROLLUP (kind)',
);
$client->subscribe($_, $queries{$_}) for sort keys %queries;

sub of_worker { my ($kind, $column) = @_; return asked($node, qq(SELECT $column FROM live.workers WHERE kind = '$kind')) }

sub exact_ok {
    my ($what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply($client->told, [ sort keys %queries ], "$what: told of changes only");
    is_deeply($client->state_of($_), $client->rows_now($queries{$_}), "$what: $_ is exact") for sort keys %queries;
    return;
}

# ---- changes that are overwritten in the dirty log, while one of the two works on others, or both ----
for my $point ('evaluator-turn', 'evaluator-batch', 'evaluator-evaluated') {
    my $lapses = of_worker('refresher', 'lapses');
    hold($node, $point);
    $writer->rows('UPDATE item SET n = n + 1 WHERE id = 1');
    wait_held($node, $point);
    $writer->rows("UPDATE item SET n = n + 1 WHERE id BETWEEN 901 AND 960") for 1 .. 400;
    release($node, $point);
    exact_ok("lost at $point");
    cmp_ok(of_worker('refresher', 'lapses'), '>', $lapses, "lost at $point") if $point eq 'evaluator-turn';
    $writer->rows('UPDATE item SET n = n + 1 WHERE id = 2');
    exact_ok("after $point");
}

# ---- no evaluator ----
hold($node, 'evaluator-placed');
$writer->rows('SELECT pg_terminate_backend(' . of_worker('evaluator', 'pid') . ', 10000)');
wait_held($node, 'evaluator-placed');
$writer->rows('UPDATE item SET n = n + 1 WHERE id = 3');
is($client->value('SELECT 1'), 1, 'the evaluator has ended');
ok(wait_until(sub { (of_worker('refresher', 'problem') // '') =~ /^55000.*does not run/ }), 'without it its refresher ends, after some time');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_replication_slots WHERE xmin IS NOT NULL)), 0, 'and keeps no row from VACUUM');
release($node, 'evaluator-placed');
ok(wait_until(sub { of_worker('refresher', 'state') eq 'running' && of_worker('evaluator', 'state') eq 'running' }), 'both come back');
is_deeply($client->told, [ 'reset joined', 'reset whole' ], 'and tell their resets');
$client->refresh($_) for sort keys %queries;
$writer->rows('UPDATE item SET n = n + 1 WHERE id = 3');
exact_ok('then');

$_->disconnect for $client, $writer;
nothing_left($node, 'at the end');
$node->stop;
done_testing();
