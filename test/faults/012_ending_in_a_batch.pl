# The last live query that a connection has of one consumer ends while an evaluator is in the midst of a batch: its last messages
# wait for the end of that batch, for where `more` is false all live queries of the connection show one point.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('ending_in_a_batch', 'live_queries.idle_timeout = 2s');
my $writer = connect_client($node);
$writer->rows('CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE u REPLICA IDENTITY FULL');

my $client = connect_client($node);
$client->subscribe('sum', 'SELECT sum(n) AS total FROM t');
my ($live_id) = @{ $client->rows(q(SELECT live_id FROM live.subscribe('stream', 'SELECT id FROM u')))->[0] };
$client->rows(q(SELECT * FROM live.snapshot('stream')));
my %strategies = map { $_->[0] => $_->[1] } @{ $client->rows('SELECT subscription_id, strategy FROM live_queries') };
is_deeply(\%strategies, { sum => 'delta', stream => 'stream' }, 'one of each strategy');
is_deeply([ $client->synced ], [], 'nothing has been told yet');

hold($node, 'evaluator-turn');
$writer->rows('INSERT INTO u VALUES (1)');
wait_held($node, 'evaluator-turn');
$writer->rows('BEGIN; INSERT INTO u VALUES (2); UPDATE t SET n = n + 5 WHERE id = 1; COMMIT');
my $end = asked($node, 'SELECT pg_current_wal_insert_lsn()');
until_ok($node, "SELECT handled_lsn >= '$end' FROM live.workers WHERE kind = 'decoder'", 't', 'both transactions are decoded');
is($writer->value("SELECT live.kill('$live_id')"), 't', 'the stream is ended');
until_ok($node, q(SELECT count(*) FROM live_queries WHERE status <> 'terminated'), 1, 'and counts no more');
# Whatever may be told is told around a command.
$client->rows('SELECT 1') for 1 .. 3;
is_deeply([ grep { !$_->{message}{more} } $client->taken ], [], 'nothing is said to be a point while the batch goes on');
release($node, 'evaluator-turn');

my @messages;
do {
    push @messages, ($client->next_message // die 'the sum is not told')->{message};
} until $messages[-1]{subscription_id} eq 'sum';
is(scalar(grep { $_->{subscription_id} eq 'stream' && $_->{type} eq 'terminated' } @messages), 1, 'the end of the stream is told');
is_deeply(
    [ grep { $_->{type} eq 'changes' && !$_->{more} && $_->{subscription_id} ne 'sum' } @messages ],
    [], 'and no point before the sum is there');
ok(!$messages[-1]{more}, 'with which it is one');
is($messages[-1]{changes}[0]{row}{total} - $messages[-1]{changes}[0]{old}{total}, 5, 'the sum is right');

# An evaluator that is held up ends after the decoder, and leaves as little.
hold($node, 'evaluator-turn');
$writer->rows('UPDATE t SET n = n + 5 WHERE id = 1');
wait_held($node, 'evaluator-turn');
$_->disconnect for $client, $writer;
until_ok($node, q(SELECT count(*) FROM live.workers WHERE kind = 'decoder' AND pid IS NOT NULL), 0, 'the decoder has ended');
like(asked($node, 'SELECT fault_leftovers()'), qr/^pieces [1-9]/, 'what it wrote is there still');
release($node, 'evaluator-turn');
nothing_left($node, 'at the end');
done_testing();
