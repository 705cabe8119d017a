# pg_live and lost connections: it connects again, reads the first result again, and tells by what that differs.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PgLive;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('reconnects');
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, n int);
    CREATE ROLE watcher LOGIN;
    GRANT SELECT ON t TO watcher;
    INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
    SQL
my $query = 'SELECT id, n FROM t';
my $hba = slurp_file($node->data_dir . '/pg_hba.conf');

sub set_hba {
    my ($text) = @_;
    open my $file, '>', $node->data_dir . '/pg_hba.conf' or die $!;
    print $file $text;
    close $file;
    return;
}

# What is in the table, as state_of_messages has it.
sub rows_now {
    my $rows = $node->safe_psql('postgres', q{SELECT '[' || id || ']', '{"id":' || id || ',"n":' || n || '}' FROM t});
    return { map { split /\|/ } split /\n/, $rows };
}

# Waits for the state that the table has.
sub comes_to_the_same {
    my ($client, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $expected = rows_now();
    wait_until(sub {
        eval { $client->{run}->pump_nb };
        my $state = $client->state_of_messages;
        return join('', map { "$_$state->{$_}" } sort keys %$state) eq join('', map { "$_$expected->{$_}" } sort keys %$expected);
    });
    return is_deeply($client->state_of_messages, $expected, $name) || diag("out: $client->{out}\nerr: $client->{err}");
}

my $client = start_pg_live($node, '-U', 'watcher', '--json', $query);
$client->wait_for('out', qr/snapshot/, 'the first result');

# It cannot come back before the table is another one.
set_hba("local all watcher reject\nhost all watcher all reject\n$hba");
$node->restart;
$client->wait_for('err', qr/connection lost: .*connecting again\n/, 'it is said that the connection is lost');
$node->safe_psql('postgres', 'DELETE FROM t WHERE id = 1; UPDATE t SET n = 20 WHERE id = 2; INSERT INTO t VALUES (4, 4)');
set_hba($hba);
$node->reload;
$client->wait_for('out', qr/"refreshed":true/, 'it comes back');
my @messages = $client->messages;
is(scalar(@messages), 2, 'with one message');
is_deeply([ map { "$_->{op} $_->{row}{id} $_->{row}{n}" } @{ $messages[1]{changes} } ],
    [ 'delete 1 1', 'update 2 20', 'insert 4 4' ], 'which has what differs, and no more');
is_deeply($messages[1]{changes}[1]{old}, { n => 2 }, 'and former values');
is(() = $client->{err} =~ /connection lost/g, 1, 'it was said once');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (5, 5)');
comes_to_the_same($client, 'it goes on');

# A crash, and a connection that ends while rows change: each change is told once, by the feed or as a difference.
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'UPDATE t SET n = n + 100');
comes_to_the_same($client, 'after a crash');
for my $i (1 .. 5) {
    $node->safe_psql('postgres', <<~SQL);
        INSERT INTO t VALUES (100 + $i, $i);
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_live';
        DELETE FROM t WHERE id = 99 + $i;
        SQL
    comes_to_the_same($client, "after its connection was ended, $i");
}

# Nothing has changed: nothing is told.
my $before = scalar $client->messages;
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_live'});
poll_ok($node, q{SELECT count(*) = 1 FROM live_queries WHERE status = 'active'}, 'once more');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1000, 1)');
comes_to_the_same($client, 'after nothing had changed');
is(scalar($client->messages), $before + 1, 'no message about nothing');

# What it watches goes away meanwhile: that is final.
set_hba("local all watcher reject\nhost all watcher all reject\n$hba");
$node->restart;
$node->safe_psql('postgres', 'DROP TABLE t');
set_hba($hba);
$node->reload;
$client->finish;
is($client->{status}, 3, 'a query that is refused afterwards ends it');
like($client->{err}, qr/relation "t" does not exist/, 'with the reason');

$node->stop;
done_testing();
