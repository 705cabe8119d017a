# What a worker says it has handled, it has told: also where a transaction has changed catalogs alone, and where its
# predecessor had ended. And whoever is about to subscribe is looked at before it counts as subscribed.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('told_before', 'live_queries.idle_timeout = 2s');
my $writer = connect_client($node);
my $client = connect_client($node);

sub told { return join ' ', map { join ' ', map { $_ // () } @{ $_->{message} }{qw(subscription_id type code)} } $client->synced }

sub evaluator { return asked($node, q(SELECT pid FROM live.workers WHERE kind = 'evaluator' AND pid IS NOT NULL)) }

# ---- catalogs alone --------------------------------------------------------------------------------------------

$writer->rows('CREATE TABLE v (id int PRIMARY KEY, n int)');
$client->subscribe('renamed', 'SELECT sum(n) AS total FROM v');
is(told(), '', 'nothing has been told yet');
hold($node, 'definition-check');
$writer->rows('ALTER TABLE v RENAME COLUMN n TO m');
wait_held($node, 'definition-check');
is($client->value(q(SELECT live.wait_for(timeout => '300ms'))), 'f', 'it is not handled while it is looked whom it concerns');
release($node, 'definition-check');
is(told(), 'renamed terminated 42703', 'and once it is, they have been told');

# ---- an evaluator that begins where another one has ended ------------------------------------------------------

$client->subscribe('sum', 'SELECT sum(n) AS total FROM t');
my $former = evaluator();
hold($node, 'evaluator-start');
$writer->rows("SELECT pg_terminate_backend($former)");
wait_held($node, 'evaluator-start');
$writer->rows('UPDATE t SET n = n + 5 WHERE id = 1');
my $end = asked($node, 'SELECT pg_current_wal_insert_lsn()');
hold($node, 'evaluator-opened');
release($node, 'evaluator-start');
wait_held($node, 'evaluator-opened');
is($client->value("SELECT live.wait_for('$end', '300ms')"), 'f', 'what the former had not told is not handled');
release($node, 'evaluator-opened');
is(told(), 'sum reset', 'before they are told that it is lost');
$client->rows(q(SELECT live.refresh('sum')));
$client->read_snapshot('sum');

# ---- values that only the client's session can find ------------------------------------------------------------

# Nothing happens meanwhile, so an evaluator that has the table already could take it at once.
$client->rows(<<~'SQL');
    CREATE TEMP TABLE mine AS SELECT 3 AS n;
    CREATE FUNCTION wanted() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT n FROM mine); END';
    SQL
for my $n (1 .. 5) {
    $writer->arrived;
    $client->subscribe("of mine $n", "SELECT count(*) AS count FROM t WHERE n + $n > wanted()");
    is(told(), '', "$n: it goes on");
}

$_->disconnect for $client, $writer;
nothing_left($node, 'at the end');
done_testing();
