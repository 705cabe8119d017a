# Live queries of one connection that belong to different consumers: here to two decoders, each with a slot and a lane of its own.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('consumers', <<~CONF);
    live_queries.mailbox_size = 64kB
    CONF
my $writer = connect_client($node);
my $json = JSON::PP->new->utf8;
my %queries = (
    first  => query_text(),
    second => 'SELECT id, note FROM t WHERE n % 2 = 0',
    third  => 'SELECT id, n FROM t WHERE n % 5 = 1',
);

# watch_by(CLIENT, CONSUMER, ID): subscribes to the query of that name.
sub watch_by {
    my ($client, $consumer, $id) = @_;
    $client->rows("SET live_queries.test_consumer = $consumer");
    return $client->subscribe($id, $queries{$id});
}

# told(CLIENT): what it was told but for changes, which it applies; all that has committed is there then.
sub told {
    my ($client) = @_;
    my @others;
    for my $message (map { $_->{message} } $client->synced) {
        if ($message->{type} eq 'changes') {
            LiveQueries::apply_changes($client->{states}{ $message->{subscription_id} }, $message);
        } else {
            push @others, "$message->{type} $message->{subscription_id}";
        }
    }
    return join ', ', sort @others;
}

# all_exact(CLIENT, NAME, IDS...): it knows what its queries give, and was told nothing but changes.
sub all_exact {
    my ($client, $name, @ids) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(told($client), '', "$name: nothing but changes");
    is_deeply($client->state_of($_), $client->rows_now($queries{$_}), "$name: $_ is exact") for @ids;
    return;
}

# The process of the consumer with so many live queries.
sub consumer_of {
    my ($subscriptions) = @_;
    my $pid;
    wait_until(sub { $pid = asked($node, "SELECT pid FROM live.workers WHERE state = 'running' AND subscriptions = $subscriptions") })
      or die 'no consumer';
    return $pid;
}

# ends(PID): ends that consumer, and waits until there is another one.
sub ends {
    my ($pid) = @_;
    $writer->rows("SELECT pg_terminate_backend($pid)");
    wait_until(sub { asked($node, "SELECT count(*) = 2 AND bool_and(pid <> $pid AND state = 'running') FROM live.workers") eq 't' })
      or die 'no other consumer';
    return;
}

my $client = connect_client($node);
watch_by($client, 0, $_) for qw(first third);
is(asked($node, 'SELECT count(*) FROM live.workers'), 1, 'one consumer');
watch_by($client, 1, 'second');
is(asked($node, q(SELECT string_agg(subscriptions::text, ' ' ORDER BY subscriptions) FROM live.workers WHERE state = 'running')),
    '1 2', 'two consumers, each with its live queries');
is(asked($node, 'SELECT count(*) FROM pg_replication_slots s JOIN live.workers w USING (slot_name) WHERE s.active_pid = w.pid'),
    2, 'each with a slot');
is(asked($node, 'SELECT databases FROM live.stats()'), 1, 'of one database');
change_rows($writer);
all_exact($client, 'both', qw(first second third));

# A connection waits for those consumers alone that work for it.
{
    my $other = connect_client($node);
    watch_by($other, 0, 'first');
    hold($node, 'second-consumer');
    change_rows($writer);
    wait_held($node, 'second-consumer');
    is($client->value(q(SELECT live.wait_for(timeout => '300ms'))), 'f', 'live.wait_for waits for both');
    is($other->arrived, 't', 'but not for one that has nothing to do with the connection');
    release($node, 'second-consumer');
    all_exact($client, 'one was held', qw(first second third));
    all_exact($other, 'one was held, another client', 'first');
    $other->disconnect;
    until_ok($node, 'SELECT sum(subscriptions) FROM live.workers', 3, 'it has gone');
}

# write_for_all(): a transaction of which each query is told; returns its number.
my $row_of_all = 900_000;

sub write_for_all {
    ++$row_of_all;
    return $writer->value("WITH w AS (INSERT INTO t VALUES ($row_of_all, 16, 'for all') RETURNING 1) SELECT pg_current_xact_id() FROM w");
}

# waits_for(CLIENT, COUNT): its next messages, as many; applies the changes. It sends nothing.
sub waits_for {
    my ($client, $count) = @_;
    my @told;
    for (1 .. $count) {
        my $message = ($client->next_message // last)->{message};
        push @told, $message;
        LiveQueries::apply_changes($client->{states}{ $message->{subscription_id} }, $message) if $message->{type} eq 'changes';
    }
    return @told;
}

# points(MESSAGES...): what was told of each point, as `a reset b; a; `: at each semicolon `more` was false.
sub points {
    my (@messages) = @_;
    my @points = ([]);
    my $seq = '';
    for my $message (@messages) {
        die 'out of order' if $message->{seq} lt $seq;
        $seq = $message->{seq};
        push @{ $points[-1] }, ($message->{type} eq 'changes' ? '' : "$message->{type} ") . $message->{subscription_id};
        push @points, [] if $message->{type} eq 'changes' && !$message->{more};
    }
    return join '; ', map { join ' ', sort @$_ } @points;
}

# all_handled(): every consumer has put what has committed.
sub all_handled {
    my $end = asked($node, 'SELECT pg_current_wal_insert_lsn()');
    until_ok($node, "SELECT bool_and(handled_lsn >= '$end') FROM live.workers WHERE state = 'running'", 't', 'all of it is handled');
    return;
}

# What comes for a lane that is unread, while another one is taken again at its end, is told without another reason to look. The
# first lane is left unread, since the second consumer is held; the second one is taken within the delivery that tells of both.
{
    hold($node, 'second-consumer');
    write_for_all();
    wait_held($node, 'second-consumer');
    my $end = asked($node, 'SELECT pg_current_wal_insert_lsn()');
    until_ok($node, "SELECT count(*) FROM live.workers WHERE handled_lsn >= '$end'", 1, 'the first consumer is as far');
    is($client->value('SELECT 1'), 1, 'the client looks, and is not told');
    $client->rows('BEGIN');
    release($node, 'second-consumer');
    all_handled();
    set_fault($node, 'client-take', 'hold', 0, 1, 1);
    $client->send_query('COMMIT');
    wait_held($node, 'client-take');
    $writer->rows("INSERT INTO t VALUES (899999, 12, 'for the second')");
    all_handled();
    release($node, 'client-take');
    $client->finish;
    is(points(waits_for($client, 4)), 'first second third; second; ', 'what came for an unread lane is told');
    all_exact($client, 'after that', qw(first second third));
}

# poll_all(CLIENT, TIMEOUT): what waits for live.poll, or comes within the time.
sub poll_all {
    my ($client, $timeout) = @_;
    my $arguments = $timeout ? "timeout => '$timeout'" : '';
    return map { $json->decode($_->[0]) } @{ $client->rows("SELECT message FROM live.poll($arguments)") };
}

# One that polls live queries of both consumers.
sub polling_client {
    my $poller = connect_client($node);
    for ([ 0, 'first' ], [ 1, 'second' ]) {
        my ($consumer, $id) = @$_;
        $poller->rows("SET live_queries.test_consumer = $consumer");
        $poller->rows("SELECT live.subscribe('$id', '$queries{$id}', delivery => 'poll')");
        $poller->rows("SELECT live.snapshot('$id')");
    }
    return $poller;
}

# What one consumer has put is told once the other is as far, in one order, and without being asked for.
{
    my $other = connect_client($node);
    watch_by($other, 0, 'first');
    my $poller = polling_client();
    my @expected = ('first second third; first second third; ', 'first second; first second; ');

    hold($node, 'second-consumer');
    write_for_all();
    wait_held($node, 'second-consumer');
    write_for_all();
    is(points(map { $_->{message} } $other->synced), 'first; first; ', 'whoever has nothing to do with the one that is held is told');
    is($client->value('SELECT 1'), 1, 'the other client looks');
    is_deeply([ $client->taken ], [], 'and is told nothing');
    is_deeply([ poll_all($poller) ], [], 'nor is who polls');
    is_deeply([ poll_all($poller, '100ms') ], [], 'nor who waits for it');
    $poller->send_query(q(SELECT message FROM live.poll(timeout => '1min')));
    release($node, 'second-consumer');
    is(points(waits_for($client, 6)), $expected[0], 'then it is told both transactions, each as one point');
    my @polled = map { $json->decode($_->[0]) } @{ $poller->finish->{rows} };
    is($poller->arrived, 't', 'who polls has waited until there was something');
    is(points(@polled, poll_all($poller)), $expected[1], 'and has polled the same');
    all_exact($client, 'held, then told', qw(first second third));

    # A client that does not need the one that is held any more waits no longer.
    hold($node, 'second-consumer');
    write_for_all();
    wait_held($node, 'second-consumer');
    is($other->arrived, 't', 'the first consumer is as far');
    is_deeply([ poll_all($poller) ], [], 'one waits for the other');
    $poller->rows(q(SELECT live.unsubscribe('second')));
    is(points(poll_all($poller)), 'first; ', 'without the other it does not');
    release($node, 'second-consumer');
    is(points(waits_for($client, 3)), 'first second third; ', 'the client goes on');

    # An error loses nothing of what was taken out of the mailbox and waited, nor repeats any of it; nor does an end leave it.
    for my $point (qw(client-taken client-deliver client-count)) {
        my $leaver = polling_client();
        hold($node, 'second-consumer');
        write_for_all();
        wait_held($node, 'second-consumer');
        is($other->arrived, 't', "$point: the first consumer is as far");
        is($client->value('SELECT 1'), 1, "$point: the client takes what is there");
        is_deeply([ $client->taken, poll_all($leaver) ], [], "$point: and is told nothing");
        $leaver->disconnect;
        $client->rows('BEGIN');
        release($node, 'second-consumer');
        is($client->arrived, 't', "$point: it could be told");
        set_fault($node, $point, 'error');
        like($client->error('COMMIT')->{M}, qr/fault point $point/, "$point: an error");
        is(points(waits_for($client, 3)), 'first second third; ', "$point: then it is");
        is_deeply([ $client->taken ], [], "$point: once");
    }
    $other->disconnect;
    $poller->disconnect;
    until_ok($node, 'SELECT sum(subscriptions) FROM live.workers', 3, 'they have gone');
}

# If that one ends, its live queries are reset at once, and the others told what they waited with, whenever the next one starts.
{
    my $poller = polling_client();
    my $second = consumer_of(2);
    my $asking = connect_client($node);
    $asking->rows(q(SET live_queries.progress_interval = '10ms'));
    watch_by($asking, 1, 'second');
    hold($node, 'second-consumer');
    my $lost = write_for_all();
    wait_held($node, 'second-consumer');
    hold($node, 'decoder-start');
    $writer->rows("SELECT pg_terminate_backend($second)");
    is(points(waits_for($client, 3)), 'first reset second third; ', 'one ends: its live query is reset, and the others go on');
    is(points(poll_all($poller, '1min')), 'first reset second; ', 'also for who polls');
    my @asked;
    do {
        push @asked, ($asking->next_message // die 'no message of progress')->{message};
    } until $asked[-1]{type} eq 'progress' && asked($node, "SELECT pg_visible_in_snapshot('$lost', '$asked[-1]{snapshot}')") eq 't';
    is(join(' ', grep { $_ ne 'progress' } map { $_->{type} } @asked), 'reset', 'progress past what is lost is told after the reset');
    $asking->disconnect;
    write_for_all();
    is(points(waits_for($client, 2)), 'first third; ', 'they go on without it');
    is(points(poll_all($poller, '1min')), 'first; ', 'also for who polls');
    release($node, 'second-consumer');
    release($node, 'decoder-start');
    wait_until(sub { asked($node, q(SELECT count(*) FROM live.workers WHERE state = 'running')) eq '2' }) or die 'no other consumer';
    is(told($client), '', 'the next one resets nothing once more');
    is_deeply([ poll_all($poller) ], [], 'nor for who polls');
    $client->rows('SET live_queries.test_consumer = 0');
    $client->refresh('second');
    change_rows($writer);
    all_exact($client, 'one has ended', qw(first second third));
    $poller->disconnect;
    until_ok($node, 'SELECT sum(subscriptions) FROM live.workers', 3, 'who polled has gone');
}

# One that ends takes nothing from the other, nor do its subscriptions leave it.
{
    my $first = consumer_of(2);
    ends(consumer_of(1));
    is(told($client), 'reset second', 'the second one ends: its live query is reset');
    is(consumer_of(2), $first, 'and the first one goes on');
    $client->rows('SET live_queries.test_consumer = 0');
    $client->refresh('second');
    change_rows($writer);
    all_exact($client, 'the second one has ended', qw(first second third));
    my $second = consumer_of(1);
    ends($first);
    is(told($client), 'reset first, reset third', 'the first one ends: so are its own');
    is(consumer_of(1), $second, 'and the second one goes on, which a refresh has not left');
    $client->refresh($_) for qw(first third);
    change_rows($writer);
    all_exact($client, 'the first one has ended', qw(first second third));
}

# The slots of a connection are reused within each lane.
for my $round (1 .. 3) {
    $client->rows("SELECT live.unsubscribe('$_')") for qw(first second);
    watch_by($client, 1, 'second');
    watch_by($client, 0, 'first');
    change_rows($writer);
    all_exact($client, "round $round of leaving and coming", qw(first second third));
}

# What a client does not take goes to a file for each lane.
{
    $client->rows('BEGIN');
    $client->rows('SELECT 1');
    change_much($writer);
    until_ok($node, q(SELECT count(*) FROM pg_ls_dir('base/pgsql_tmp', true, false) f WHERE f LIKE '%live_queries%'), 2, 'each lane has a file');
    $client->rows('COMMIT');
    all_exact($client, 'from files', qw(first second third));
}

# Both have to make way for what needs the database for itself.
{
    $node->safe_psql('postgres', 'CREATE DATABASE other');
    $node->safe_psql('other', 'CREATE EXTENSION live_queries; CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY FULL');
    my $other = connect_client($node, dbname => 'other');
    for my $consumer (0, 1) {
        $other->rows("SET live_queries.test_consumer = $consumer");
        $other->subscribe("by $consumer", 'SELECT id FROM t');
    }
    like($writer->error('DROP DATABASE other')->{M}, qr/is being accessed by other users/, 'with a client the database stays');
    is(asked($node, q(SELECT count(*) FROM live.workers WHERE database = 'other' AND state = 'running')), 2, 'and both consumers with it');
    $other->disconnect;
    is($writer->error('DROP DATABASE other')->{C}, '00000', 'without one it can be dropped');
    is(asked($node, q(SELECT count(*) FROM live.workers WHERE database = 'other' OR database IS NULL)), 0, 'and nothing is left of it');
}

# And so for DROP EXTENSION.
{
    $writer->rows('DROP EXTENSION live_queries');
    my @ended = map { $client->next_message->{message} } 1 .. 3;
    is(join(' ', sort map { "$_->{type} $_->{subscription_id}" } @ended), 'terminated first terminated second terminated third',
        'the extension is dropped: all three are over');
    $writer->rows('CREATE EXTENSION live_queries');
    watch_by($client, 0, 'third');
    watch_by($client, 1, 'second');
    change_rows($writer);
    all_exact($client, 'made again', qw(second third));
}

# Each stops when it has nobody to work for.
$writer->rows('ALTER SYSTEM SET live_queries.idle_timeout = 0');
$writer->rows('SELECT pg_reload_conf()');
$client->rows(q(SELECT live.unsubscribe('second')));
until_ok($node, 'SELECT count(pid) FROM live.workers', 1, 'the second one stops when it has no live query');
change_rows($writer);
all_exact($client, 'the second one has stopped', 'third');

$client->disconnect;
nothing_left($node, 'at the end');
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)/, 'no crash, no leak');
done_testing();
