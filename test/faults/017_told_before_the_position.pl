# What a worker says it has handled, it has told: also where a transaction has changed catalogs alone, or was one of another
# database, where what it is told by was overwritten, and where its predecessor had ended. And whoever is about to subscribe is looked at before it counts as subscribed.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('told_before', <<~CONF);
    live_queries.idle_timeout = 2s
    live_queries.memory_limit = 4MB
    CONF
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

# ---- a session of another database ----------------------------------------------------------------------------

# Its commit is in the log, and nobody sees it yet.
sub commits_have_to_wait {
    my ($standby, @connections) = @_;
    $writer->rows($_) for "ALTER SYSTEM SET synchronous_standby_names = '$standby'", 'SELECT pg_reload_conf()';
    return wait_until(sub { !grep { $_->value('SHOW synchronous_standby_names') ne $standby } @connections });
}

$writer->rows($_) for 'CREATE DATABASE elsewhere', 'CREATE ROLE reader LOGIN', 'CREATE ROLE auditor', 'GRANT SELECT ON t TO reader';
my $elsewhere = connect_client($node, dbname => 'elsewhere');
for my $query ('SELECT id', 'SELECT count(*) AS count') {
    my $reader = connect_client($node, user => 'reader');
    my $asks = "pg_has_role('auditor', 'member')";
    $reader->subscribe('asks', "$query FROM t WHERE n > 100 AND NOT $asks");
    $writer->rows('SET synchronous_commit = local');
    ok(commits_have_to_wait('nobody', $writer, $elsewhere), "$query: commits are to wait for a standby");
    commits_wait($node);
    $elsewhere->send_query('GRANT auditor TO reader');
    until_ok($node, q(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'), 1, "$query: one made elsewhere does");
    $writer->rows('UPDATE t SET n = n + 1 WHERE id = 3');
    my $behind = asked($node, 'SELECT pg_current_wal_insert_lsn()');
    is($reader->value("SELECT live.wait_for('$behind', '500ms')"), 'f', "$query: what comes after it is not handled");
    ok(commits_have_to_wait('', $writer), "$query: they wait no longer");
    ok(!$elsewhere->finish->{error}, "$query: it ends");
    is($reader->value("SELECT live.wait_for('$behind')"), 't', "$query: then it is handled");
    is(join(' ', map { $_->{message}{type} } grep { $_->{message}{type} ne 'changes' } $reader->taken), 'reset', "$query: and was told before");
    $writer->rows('REVOKE auditor FROM reader');
    $reader->disconnect;
}
$elsewhere->disconnect;

# ---- catalogs that were changed while an evaluator lost the dirty log ------------------------------------------

# The commit is visible, and what it has changed has not been told to anybody yet.
my $defines = connect_client($node);
my $define = sub { return "CREATE OR REPLACE FUNCTION big() RETURNS SETOF t STABLE LANGUAGE sql AS 'SELECT * FROM t WHERE n > $_[0]'" };
$writer->rows($define->(20));
$client->subscribe('big', 'SELECT sum(n) AS total FROM big()');
my $lapses = asked($node, q(SELECT lapses FROM live.workers WHERE kind = 'evaluator'));
hold($node, 'evaluator-turn');
wait_held($node, 'evaluator-turn');
hold($node, 'writer-committed');
$defines->send_query($define->(10));
wait_held($node, 'writer-committed');
$writer->rows("INSERT INTO t SELECT i, 1, 'x' FROM generate_series(1000 * $_, 1000 * $_ + 60) i") for 1 .. 300;
my $overwritten = asked($node, 'SELECT pg_current_wal_insert_lsn()');
release($node, 'evaluator-turn');
until_ok($node, qq(SELECT lapses > $lapses FROM live.workers WHERE kind = 'evaluator'), 't', 'the dirty log was lost');
is($client->value("SELECT live.wait_for('$overwritten', '500ms')"), 'f', 'it is not handled before it is known what has changed');
release($node, 'writer-committed');
ok(!$defines->finish->{error}, 'the function is replaced');
is(join(' ', grep { /reset/ } map { $_->{message}{type} } $client->synced), 'reset', 'and who depends on it has been told');
$defines->disconnect;
$client->rows(q(SELECT live.unsubscribe('big')));

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
