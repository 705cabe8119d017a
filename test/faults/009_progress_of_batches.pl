# An evaluator goes from the end of one batch to that of the next. A message of progress that is asked for in the midst of a batch
# says the end of it, also if the batch has told nothing: what a client shows then is not what was in between.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('progress_of_batches', 'live_queries.idle_timeout = 2s');
my $writer = connect_client($node);
my $json = JSON::PP->new->utf8;

sub sees {
    my ($message, $xid) = @_;
    return asked($node, "SELECT pg_visible_in_snapshot('$xid', '$message->{snapshot}')") eq 't';
}

# Adds to one row; returns the transaction's number.
sub add {
    my ($number) = @_;
    return $writer->value("UPDATE t SET n = n + $number WHERE id = 1 RETURNING pg_current_xact_id()");
}

# Messages of $next until one of progress sees $xid; that one is the last.
sub until_seen {
    my ($next, $xid) = @_;
    my @messages;
    do {
        push @messages, $next->() // die 'no message of progress';
    } until $messages[-1]{type} eq 'progress' && sees($messages[-1], $xid);
    return @messages;
}

# check(HOW, CLIENT, NEXT): NEXT gives the client's next message.
sub check {
    my ($how, $client, $next) = @_;
    until_seen($next, add(1));
    hold($node, 'evaluator-turn');
    wait_held($node, 'evaluator-turn');
    my $first = add(5);
    # It takes the snapshot that the next message of progress has.
    $client->();
    my $second = add(-5);
    my $end = asked($node, q(SELECT lpad(to_hex((pg_current_wal_insert_lsn() - '0/0')::bigint), 16, '0')));
    until_ok($node, qq(SELECT handled_lsn - '0/0' >= ('x$end')::bit(64)::bigint FROM live.workers WHERE kind = 'decoder'), 't', "$how: both are decoded");
    release($node, 'evaluator-turn');
    my @messages = until_seen($next, $first);
    ok(!sees($messages[-1], $second), "$how: the snapshot is of the moment between the two");
    cmp_ok(lc $messages[-1]{seq}, 'ge', $end, "$how: what is shown is the moment behind them");
    is(scalar(grep { $_->{type} eq 'changes' && $_->{subscription_id} eq 'sum' } @messages), 0, "$how: nothing else was told of them");
    return;
}

my $notified = connect_client($node);
$notified->rows("SET live_queries.progress_interval = '1ms'");
$notified->subscribe('sum', 'SELECT sum(n) AS total FROM t');
my $next_notified = sub { my $taken = $notified->next_message(60); return $taken && $taken->{message} };
my $look = sub { select undef, undef, undef, 0.02; $notified->rows('SELECT 1') };
check('notified', $look, $next_notified);
$notified->rows('CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE u REPLICA IDENTITY FULL');
$notified->subscribe('stream', 'SELECT id FROM u');
check('notified, beside a stream', $look, $next_notified);
$notified->disconnect;

my $polling = connect_client($node);
$polling->rows("SET live_queries.progress_interval = '1ms'");
$polling->rows(q(SELECT live.subscribe('sum', 'SELECT sum(n) AS total FROM t', delivery => 'poll')));
$polling->rows(q(SELECT live.snapshot('sum')));
my @polled;
my $poll = sub {
    my ($timeout) = @_;
    push @polled, map { $json->decode($_->[0]) } @{ $polling->rows("SELECT message FROM live.poll(timeout => '$timeout')") };
    return;
};
check('polled', sub { $poll->('20ms') }, sub { $poll->('60s') if !@polled; return shift @polled });
$polling->disconnect;
$writer->disconnect;
nothing_left($node, 'at the end');
done_testing();
