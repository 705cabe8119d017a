# A backend that ends drops its temporary tables in a last transaction, after it has given back what it had taken from its mailbox:
# that commit delivers nothing, for nobody would give back what it takes.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('ending_with_temporary_tables', 'live_queries.idle_timeout = 2s');
my $writer = connect_client($node);
$writer->rows('CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE u REPLICA IDENTITY FULL');

# decoded(): all that was committed is in the mailboxes, as far as it is the decoder's.
sub decoded {
    my $end = asked($node, 'SELECT pg_current_wal_insert_lsn()');
    until_ok($node, "SELECT handled_lsn >= '$end' FROM live.workers WHERE kind = 'decoder'", 't', 'the change is decoded');
    return;
}

my $had_tables = 'SELECT pg_my_temp_schema() <> 0';
for my $held (0, 1) {
    my $name = $held ? 'with a message in hand' : 'with a message in the mailbox';
    my $client = connect_client($node);
    $client->rows("SELECT * FROM live.subscribe('$_->[0]', '$_->[1]', snapshot => false, delivery => 'poll')")
      for [ sum => 'SELECT sum(n) AS total FROM t' ], [ stream => 'SELECT id FROM u' ];
    $client->rows($_) for 'CREATE TEMPORARY TABLE made (n int)', 'DROP TABLE made';
    is($client->value($had_tables), 't', "$name: it has had temporary tables");
    # From its first delivery on it gives back, when it ends, what it has taken and not told.
    $writer->rows('DELETE FROM u; INSERT INTO u VALUES (1)');
    is($client->value(q(SELECT live.wait_for(NULL, '60 s'))), 't', "$name: all is told");
    isnt($client->value('SELECT count(*) FROM live.poll()'), 0, "$name: a message has come");

    hold($node, 'evaluator-turn');
    $writer->rows('INSERT INTO u VALUES (2)');
    wait_held($node, 'evaluator-turn');
    # The evaluator has not passed what the decoder puts now, so it is taken and not told.
    $writer->rows('INSERT INTO u VALUES (3)');
    decoded();
    is($client->value('SELECT count(*) FROM live.poll() WHERE message::text LIKE \'%[3]%\''), 0, "$name: it is not told yet") if $held;
    $client->rows('BEGIN');
    $writer->rows('INSERT INTO u VALUES (4)');
    decoded();
    my $pid = $client->pid;
    is(asked($node, "SELECT pg_terminate_backend($pid, 60000)"), 't', "$name: its backend has ended");
    release($node, 'evaluator-turn');
    until_ok($node, "SELECT left_over ~ 'connections 0' AND left_over ~ 'of roles 0, connections' FROM fault_leftovers() AS left_over",
        't', "$name: it has given everything back");
}

$writer->disconnect;
nothing_left($node, 'at the end');
done_testing();
