# A client that subscribes a thousand times, and as many clients: nothing of them stays, and nobody's memory grows.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('thousand');
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t VALUES (1, 'one'), (2, 'two');
    SQL
my $query = 'SELECT id, a FROM t';

my ($keeper, $client, $writer) = map { connect_client($node) } 1 .. 3;
$keeper->subscribe('keeper', $query);
my $loop = sub {
    my ($from, $to) = @_;
    for my $i ($from .. $to) {
        $client->rows("SELECT * FROM live.subscribe('s$i', 'SELECT id FROM t WHERE id = \$1 AND a <> ''$i''', ARRAY['$i']); SELECT * FROM live.snapshot('s$i')");
        $client->rows("UPDATE t SET a = 'loop $i' WHERE id = 2") if $i % 10 == 0;
        $client->rows("SELECT live.refresh('s$i')") if $i % 10 == 1;
        $client->rows("BEGIN; SELECT * FROM live.subscribe('r$i', 'SELECT id FROM t'); ROLLBACK") if $i % 10 == 2;
        $client->rows("SELECT live.unsubscribe('s$i')");
    }
};
my $decoder_memory = sub {
    $keeper->synced;
    sleep 0.1;
    $keeper->synced;
    return $keeper->value('SELECT memory_bytes FROM live.workers WHERE pid IS NOT NULL');
};
my $client_memory = sub { return $client->value('SELECT sum(used_bytes) FROM pg_backend_memory_contexts') };
$loop->(1, 300);
my ($decoder_before, $client_before) = ($decoder_memory->(), $client_memory->());
$loop->(301, 1300);
my ($decoder_after, $client_after) = ($decoder_memory->(), $client_memory->());
is($keeper->value(q(SELECT count(*) FROM live_queries WHERE status <> 'terminated')), 1, 'nothing is left of a thousand subscriptions');
is($keeper->value('SELECT subscriptions FROM live.workers WHERE pid IS NOT NULL'), 1, 'nor counted');
is($client->value(q(SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'live_queries subscription')), 0, 'nor in the backend');
is($client->value('SELECT count(*) FROM pg_cursors'), 0, 'no cursor');
note("decoder: $decoder_before, then $decoder_after; client: $client_before, then $client_after bytes");
cmp_ok($decoder_after, '<', $decoder_before + 300_000, 'the memory of the decoder does not grow');
cmp_ok($client_after, '<', $client_before + 300_000, 'nor that of the client');
$writer->rows(q(INSERT INTO t VALUES (9999, 'end')));
my @got = map { $_->{message} } $keeper->synced;
is($got[-1]{changes}[0]{key}[0], 9999, 'and the one that stayed is served');

# And as many connections.
for my $i (1 .. 200) {
    my $one = connect_client($node);
    $one->rows("SELECT * FROM live.subscribe('c', 'SELECT id FROM t WHERE id = $i')");
    $one->disconnect;
}
poll_ok($node, q(SELECT count(*) = 1 FROM live_queries WHERE status <> 'terminated'), 'nothing is left of 200 connections');
poll_ok($node, 'SELECT subscriptions = 1 FROM live.workers WHERE pid IS NOT NULL', 'nor counted');
cmp_ok($decoder_memory->(), '<', $decoder_before + 300_000, 'nor in the memory of the decoder');
$_->disconnect for $keeper, $client, $writer;

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
