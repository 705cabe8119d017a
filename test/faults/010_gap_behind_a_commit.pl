# The dirty log is lost to an evaluator while a commit waits for a synchronous standby: what comes after it cannot be told before it
# is visible, but the evaluator does not stand still meanwhile.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

# The smallest dirty log.
my $node = new_fault_node('gap_behind_a_commit', <<~CONF);
    live_queries.idle_timeout = 2s
    live_queries.memory_limit = 4MB
    CONF
my $query = 'SELECT n % 5 AS g, count(*) AS count, sum(n) AS sum FROM t GROUP BY n % 5';
my ($client, $waits, $writer) = map { connect_client($node) } 1 .. 3;
$writer->rows('SET synchronous_commit = local');
$client->subscribe('sums', $query);

my $lapses = asked($node, q(SELECT lapses FROM live.workers WHERE kind = 'evaluator'));
$writer->rows(q(ALTER SYSTEM SET synchronous_standby_names = 'nobody'));
$writer->rows('SELECT pg_reload_conf()');
wait_until(sub { $_->value('SHOW synchronous_standby_names') eq 'nobody' }) for $waits, $writer;
commits_wait($node);
hold($node, 'evaluator-turn');
wait_held($node, 'evaluator-turn');
$waits->send_query('UPDATE t SET n = n + 1 WHERE id = 1');
until_ok($node, q(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'), 1, 'a commit waits for a standby');
for my $round (1 .. 300) {
    my ($from, $to) = (1000 * $round, 1000 * $round + 60);
    $writer->rows("INSERT INTO t SELECT i, i, 'x' FROM generate_series($from, $to) i");
}
release($node, 'evaluator-turn');
until_ok($node, qq(SELECT lapses > $lapses FROM live.workers WHERE kind = 'evaluator'), 't', 'the dirty log was lost');
is(scalar($client->taken), 0, 'nothing is told before it');
my $moment = asked($node, 'SELECT clock_timestamp()');
until_ok($node, qq(SELECT coalesce(max(xact_start) > '$moment', false) FROM pg_stat_activity WHERE backend_type = 'live_queries evaluator'), 't',
    'the evaluator does not stay in one transaction');
is(asked($node, q(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep')), 1, 'the commit waits still');
$writer->rows('ALTER SYSTEM RESET synchronous_standby_names');
$writer->rows('SELECT pg_reload_conf()');
$waits->finish;
ok($client->follow('sums'), 'all is told then');
is_deeply($client->state_of('sums'), $client->rows_now($query), 'and is exact');
$writer->rows('UPDATE t SET n = n + 2 WHERE id < 1010');
ok($client->follow('sums'), 'it goes on');
is_deeply($client->state_of('sums'), $client->rows_now($query), 'exactly');
$_->disconnect for $client, $waits, $writer;
nothing_left($node, 'at the end');
done_testing();
