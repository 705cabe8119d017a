# What a query names is changed after its client has analysed it and before a worker has it, which meets such a query for the
# first time: the first result is that of the new definition. And every start comes to an end.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('changed_while_attaching', 'live_queries.idle_timeout = 1s');
my $writer = connect_client($node);
my $greatest = 20;

sub big { my ($n) = @_; return "CREATE OR REPLACE FUNCTION big() RETURNS SETOF t STABLE LANGUAGE sql AS 'SELECT * FROM t WHERE n > $n'" }
sub told { my ($client) = @_; return join ' ', map { join ' ', @{ $_->{message} }{qw(subscription_id type)} } $client->synced }

$writer->rows(big($greatest));

# `$query` is subscribed to; `$point` is passed after it was analysed, and before a worker has it.
sub is_of_what_is {
    my ($query, $point, $name) = @_;
    my $client = connect_client($node);
    hold($node, $point);
    $client->send_query("SELECT live.subscribe('q', \$\$$query\$\$)");
    wait_held($node, $point);
    $writer->rows(big(--$greatest));
    release($node, $point);
    my $result = $client->finish;
    ok(!$result->{error}, "$name: it begins") or diag($result->{error}{M});
    $client->read_snapshot('q');
    is_deeply($client->state_of('q'), $client->rows_now($query), "$name: its first result is that of the new function");
    is(told($client), '', "$name: and it is not reset");
    $writer->rows("UPDATE t SET n = n + 1 WHERE id = 25");
    ok($client->follow('q'), "$name: it goes on");
    is_deeply($client->state_of('q'), $client->rows_now($query), "$name: exactly");
    $client->disconnect;
    return;
}

is_of_what_is('SELECT sum(n) AS total FROM big()', 'evaluator-start', 'an evaluator starts');
is_of_what_is('SELECT max(n) AS most FROM big()', 'subscribe-analysed', 'an evaluator has none of it');
is_of_what_is('SELECT id, n FROM big()', 'subscribe-analysed', 'the decoder has none of it');

# ---- a right that is lost --------------------------------------------------------------------------------------

$writer->rows('CREATE ROLE reader LOGIN; GRANT SELECT ON t TO reader');
for my $query ('SELECT id, n FROM t WHERE n > 5', 'SELECT min(n) AS least FROM t') {
    my $reader = connect_client($node, user => 'reader');
    hold($node, 'subscribe-analysed');
    $reader->send_query("SELECT live.subscribe('q', \$\$$query\$\$)");
    wait_held($node, 'subscribe-analysed');
    $writer->rows('REVOKE SELECT ON t FROM reader');
    release($node, 'subscribe-analysed');
    is($reader->finish->{error}{C}, '42501', "$query: who has lost the right to read it gets an error, not a first result");
    $writer->rows('GRANT SELECT ON t TO reader');
    $reader->disconnect;
}

# ---- it comes to an end ----------------------------------------------------------------------------------------

# The function is replaced after each analysis.
for my $query ('SELECT id, note FROM big()', 'SELECT count(n) AS count FROM big()') {
    my $client = connect_client($node);
    my $result;
    my $analyses = 0;
    hold($node, 'subscribe-analysed');
    $client->send_query("SELECT live.subscribe('q', \$\$$query\$\$)");
    while ($analyses < 20) {
        my $held = q(SELECT fault_waiting('subscribe-analysed') > 0);
        wait_until(sub { asked($node, "$held OR (state = 'idle' AND query LIKE 'SELECT live.subscribe%') FROM pg_stat_activity WHERE pid = " . $client->pid) eq 't' });
        last if asked($node, $held) eq 'f';
        ++$analyses;
        $writer->rows(big(--$greatest % 20));
        hold($node, 'subscribe-registered');
        release($node, 'subscribe-analysed');
        wait_held($node, 'subscribe-registered');
        hold($node, 'subscribe-analysed');
        release($node, 'subscribe-registered');
    }
    release($node, 'subscribe-analysed');
    ok(!$client->finish->{error}, "$query, of a function that is replaced again and again: it begins");
    is($analyses, 11, "$query: after the tenth time");
    $client->read_snapshot('q');
    is(told($client), 'q reset', "$query: and is reset");
    $client->disconnect;
}

# A session waits to lock the table exclusively, for the subscriber's client.
my ($client, $locker) = map { connect_client($node) } 1 .. 2;
hold($node, 'subscribe-analysed');
$client->send_query(q{SELECT live.subscribe('q', 'SELECT id, n, note FROM t WHERE n > 7')});
wait_held($node, 'subscribe-analysed');
$locker->send_query('ALTER TABLE t ADD COLUMN more int');
until_ok($node, q(SELECT count(*) FROM pg_locks WHERE NOT granted), 1, 'a session waits for the lock');
release($node, 'subscribe-analysed');
ok(!$client->finish->{error}, 'who holds others up begins nevertheless');
ok(!$locker->finish->{error}, 'and they go on');
$client->read_snapshot('q');
my @others = grep { $_->{message}{type} ne 'changes' } $client->synced;
$client->refresh('q') if @others;
$writer->rows("UPDATE t SET n = n + 1 WHERE id = 25");
ok($client->follow('q'), 'it follows');
is_deeply($client->state_of('q'), $client->rows_now('SELECT id, n, note FROM t WHERE n > 7'), 'exactly');

$_->disconnect for $client, $locker, $writer;
nothing_left($node, 'at the end');
done_testing();
