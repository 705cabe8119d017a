# What an error leaves behind where it comes in the middle of something: between two messages of one transaction, while
# messages that were held are released, while a queue is sorted, a thousand times. Nothing may be lost, come twice or stay.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_fault_node('errors', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.idle_timeout = 1h
    live_queries.memory_limit = 4MB
    CONF
my $writer = connect_client($node);

sub set_server {
    my ($name, $value) = @_;
    $node->safe_psql('postgres', $value eq '' ? "ALTER SYSTEM RESET $name" : "ALTER SYSTEM SET $name = '$value'");
    $node->reload;
    poll_ok($node, "SELECT current_setting('$name') = '$value'", "$name is '$value'") if $value ne '';
    return;
}

sub all_arrived { return $writer->arrived }

sub is_fault {
    my ($connection, $point, $sql, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($connection->error($sql)->{M}, "fault point $point", "$name: it fails");
}

sub huge_rows_go {
    $writer->rows('DELETE FROM t WHERE length(note) > 500');
    return;
}

# ---- an error at each message ----------------------------------------------------------------------------------

# A small transaction, a large one in three parts, a small one.
sub change_thrice {
    $writer->rows(q(INSERT INTO t VALUES (-3000001, 1, 'before')));
    change_hugely($writer, 600);
    $writer->rows('DELETE FROM t WHERE id = -3000001');
    all_arrived();
    return;
}

# What was taken out of the mailbox waits in the backend.
for my $skip (0 .. 4) {
    my $client = watch(connect_client($node));
    $client->rows('BEGIN');
    change_thrice();
    set_fault($node, 'client-deliver', 'error', 0, 1, $skip);
    is_fault($client, 'client-deliver', 'COMMIT', "message $skip");
    change_rows($writer);
    is_exact($client, "message $skip: exact");
    $client->disconnect;
    huge_rows_go();
}

# The same while messages that a pause has held are released: the pause goes on, as the command to end it has failed.
for my $skip (0 .. 4) {
    my $client = watch(connect_client($node));
    $client->rows(q{SELECT live.pause('q')});
    change_thrice();
    $client->rows('SELECT 1'); # takes them
    set_fault($node, 'client-deliver', 'error', 0, 1, $skip);
    is_fault($client, 'client-deliver', q{SELECT live.resume('q')}, "held message $skip");
    change_rows($writer);
    $client->rows(q{SELECT live.resume('q')});
    is_exact($client, "held message $skip: exact");
    $client->disconnect;
    huge_rows_go();
}

# Somebody who watches all the time and must not notice anything.
my $other = watch(connect_client($node));

# Where there is little room it has to read, and may be told to refresh.
sub other_keeps_up {
    my @told = settled($other);
    rewatch($other) if @told;
    return;
}

# What a client must be told is told after the error, and once: a reset by a new decoder, the end by live.kill. The error comes
# with the message before it, or with it.
for my $skip (0, 1) {
    my $client = watch(connect_client($node));
    my $one_message = sub {
        $client->rows('BEGIN');
        $writer->rows('UPDATE t SET n = n + 3 WHERE id = -1');
        all_arrived();
        return settled($other);
    };
    $one_message->();
    $writer->rows('SELECT pg_terminate_backend(' . decoder_pid($node) . ')');
    ok(wait_until(sub { grep { $_->{type} eq 'reset' } settled($other) }), "before a reset, $skip: the decoder is another one");
    decoder_pid($node); # has told everybody
    rewatch($other);
    set_fault($node, 'client-deliver', 'error', 0, 1, $skip);
    is_fault($client, 'client-deliver', 'COMMIT', "before a reset, $skip");
    is(join(',', map { $_->{type} } settled($client)), 'reset', "before a reset, $skip: the reset comes");
    rewatch($client);
    change_rows($writer);
    is_exact($client, "before a reset, $skip: exact");

    $one_message->();
    $writer->rows('SELECT live.kill(live_id) FROM live_queries WHERE pid = ' . $client->pid);
    set_fault($node, 'client-deliver', 'error', 0, 1, $skip);
    is_fault($client, 'client-deliver', 'COMMIT', "before the end, $skip");
    is(join(',', map { $_->{type} } settled($client)), 'terminated', "before the end, $skip: it is told");
    $client->disconnect;
    is_exact($other, "before the end, $skip: the other client");
}

# An error once it has been told all, before it has forgotten what is over: the id is free again.
{
    my $client = watch(connect_client($node));
    $client->rows('BEGIN');
    $writer->rows('SELECT live.kill(live_id) FROM live_queries WHERE pid = ' . $client->pid);
    set_fault($node, 'client-count', 'error');
    is_fault($client, 'client-count', 'COMMIT', 'after the end');
    is(join(',', map { $_->{type} } collect($client)), 'terminated', 'after the end: it has been told');
    watch($client);
    change_rows($writer);
    is_exact($client, 'after the end: it can subscribe again');
    $client->disconnect;
}

# ---- messages to be polled -------------------------------------------------------------------------------------

# A client with two subscriptions to poll; each has a state, and is broken after a reset until it refreshes.
package Poller;
use strict;
use warnings FATAL => 'all';
use Faults;
use LiveQueries;

my $json = JSON::PP->new->utf8;

sub new {
    my ($class, $node) = @_;
    my $self = bless { connection => connect_client($node), broken => {} }, $class;
    for my $id (qw(a b)) {
        $self->{connection}->rows("SELECT live.subscribe('$id', '" . query_text() . q{', delivery => 'poll')});
        $self->{connection}->read_snapshot($id);
    }
    return $self;
}

# What does not fit ends the test.
sub poll {
    my ($self, $most) = @_;
    my $rows = $self->{connection}->rows('SELECT message FROM live.poll(' . ($most // 'NULL') . ')');
    for my $message (map { $json->decode($_->[0]) } @$rows) {
        my $id = $message->{subscription_id};
        die "$id is told of a $message->{type} after a reset" if $self->{broken}{$id};
        ++$self->{count}{$id};
        if ($message->{type} eq 'changes') {
            LiveQueries::apply_changes($self->{connection}{states}{$id}, $message);
        } else {
            $self->{broken}{$id} = 1;
        }
    }
    return;
}

sub refresh_broken {
    my ($self) = @_;
    for my $id (sort keys %{ $self->{broken} }) {
        $self->{connection}->refresh($id);
    }
    $self->{broken} = {};
    return;
}

# Whether both states are right; if not, why.
sub wrong {
    my ($self) = @_;
    my $connection = $self->{connection};
    my $right = $connection->rows_now(query_text());
    my @wrong = grep { !$self->{broken}{$_} && "@{ $connection->state_of($_) }" ne "@$right" } qw(a b);
    return @wrong ? "@wrong: other rows than the query's" : '';
}

package main;

# A resume that is rolled back: what it has brought into the queue goes back, before what has come since.
{
    my $poller = Poller->new($node);
    my $connection = $poller->{connection};
    $connection->rows(q{SELECT live.pause('a')});
    change_rows($writer);
    all_arrived();
    $connection->rows($_) for 'BEGIN', q{SELECT live.resume('a')}, 'SELECT live.poll(1)', 'ROLLBACK';
    change_rows($writer);
    all_arrived();
    ok(eval { $poller->poll; 1 }, 'a resume is rolled back: what is polled fits') or diag $@;
    is($poller->{count}{a}, undef, 'the pause goes on');
    change_rows($writer);
    all_arrived();
    $connection->rows(q{SELECT live.pause('b')});
    $connection->rows(q{SELECT live.resume('a'), live.resume('b')});
    ok(eval { $poller->poll; 1 }, 'then all that is polled fits') or diag $@;
    is($poller->wrong, '', 'and nothing is missing');
    $connection->disconnect;
    is_exact($other, 'the other client');
}

# fill(TIMES): so many messages of over 10 kB. One by one, as several at once may be more than the spill file holds.
$writer->rows('CREATE SEQUENCE numbers');
sub fill {
    my ($times) = @_;
    for (1 .. $times) {
        $writer->rows(
            q(INSERT INTO t SELECT -2000000 - nextval('numbers'), 1, repeat('f', 1000) FROM generate_series(1, 10)));
        all_arrived();
    }
    return;
}

# The queue is full, and an error comes with one of the messages about then: the reset comes all the same.
set_server('live_queries.spill_size', '64kB');
for my $skip (2 .. 7) {
    my $poller = Poller->new($node);
    my $connection = $poller->{connection};
    $other->rows('BEGIN'); # it takes nothing meanwhile
    fill(5); # the mailbox and its file hold them, the queue does not
    set_fault($node, 'client-hold', 'error', 0, 1, $skip);
    is_fault($connection, 'client-hold', 'SELECT message FROM live.poll()', "full, message $skip");
    ok(eval { $poller->poll; 1 }, "full, message $skip: what comes fits") or diag $@;
    is($poller->wrong, '', "full, message $skip: nothing is lost without a reset");
    $connection->disconnect;
    huge_rows_go();
    $other->rows('COMMIT');
    other_keeps_up();
}

# What is paused takes of the same room; what does not fit any more is a reset, and nothing after it.
{
    set_server('live_queries.spill_size', '128kB');
    my $poller = Poller->new($node);
    my $connection = $poller->{connection};
    $connection->rows(q{SELECT live.pause('a')});
    fill(8);
    $connection->rows('SELECT 1');
    $connection->rows(q{SELECT live.pause('b')});
    $connection->rows(q{SELECT live.resume('a'), live.resume('b')});
    ok(eval { $poller->poll; 1 }, 'more than fits is queued, and its subscription paused: nothing comes after the reset') or diag $@;
    ok(scalar %{ $poller->{broken} }, 'there is one');
    $poller->refresh_broken;
    is($poller->wrong, '', 'then all is exact');
    $connection->disconnect;
    huge_rows_go();
    other_keeps_up();
}

# random_errors(SPILL_SIZE, TURNS, SEED): errors anywhere while a client takes, queues, sorts, holds and polls, in an order that
# looks random. Returns how many errors and resets there were, and what was wrong.
sub random_errors {
    my ($spill_size, $turns, $seed) = @_;
    my $poller = Poller->new($node);
    my $connection = $poller->{connection};
    my ($failed, $resets) = (0, 0);
    my $random = sub { $seed = ($seed * 1103515245 + 12345) % 2147483648; return int($seed / 65536) % $_[0] };
    my $try = sub { ++$failed if $connection->error($_[0])->{C} ne '00000' };
    my $works = sub { return $connection->error('SELECT 1')->{C} eq '00000' };
    my @points = qw(client-deliver client-deliver client-hold client-taken client-count client-unspill client-hold client-hold);
    my @steps = (
        (sub { change_rows($writer) }) x 2,
        sub { change_much($writer) },
        (map { my $sql = $_; sub { $try->($sql) } } map { ("SELECT live.pause('$_')", "SELECT live.resume('$_')") } qw(a b)),
        (map { my $sql = $_; sub { $try->("BEGIN; $sql; ROLLBACK"); $connection->error('ROLLBACK') } }
              q{SELECT live.unsubscribe('b')}, q{SELECT live.resume('a')}, 'SELECT live.poll(5)'),
        # A poll that fails has polled nothing.
        sub { $poller->poll(1 + $random->(4)) if $works->() },
        sub { $connection->arrived if $works->() });
    for my $turn (1 .. $turns) {
        my $point = $points[ $random->(scalar @points) ];
        $other->rows('BEGIN'); # it takes nothing meanwhile
        set_fault($node, $point, 'error', 0, 1 + $random->(2), $random->(12));
        my $done = eval {
            eval { $steps[ $random->(scalar @steps) ]->(); 1 } or ($@ =~ /fault point/ ? ++$failed : die $@) for 1 .. 8;
            release($node, $point);
            $connection->rows(q{SELECT live.resume('a'), live.resume('b')});
            $connection->arrived;
            $poller->poll;
            1;
        };
        my $wrong = $done ? $poller->wrong : $@;
        $other->rows('COMMIT');
        return ($failed, $resets, "turn $turn: $wrong") if $wrong;
        $resets += keys %{ $poller->{broken} };
        $poller->refresh_broken;
        huge_rows_go();
        other_keeps_up();
    }
    $connection->disconnect;
    return ($failed, $resets, '');
}

# With room enough nothing is reset; else it is now and then.
for my $spill_size (qw(64MB 512kB)) {
    set_server('live_queries.spill_size', $spill_size);
    my ($failed, $resets, $wrong) = random_errors($spill_size, $ENV{TURNS} // 25, $ENV{SEED} // 7);
    is($wrong, '', "random errors, $spill_size: nothing is lost, nothing comes twice ($failed errors, $resets resets)");
    cmp_ok($failed, '>', 3, 'there were errors');
    $spill_size eq '64MB' ? is($resets, 0, 'no resets') : cmp_ok($resets, '>', 0, 'and resets');
    is_exact($other, "random errors, $spill_size: the other client");
}
set_server('live_queries.spill_size', '');

# ---- memory ----------------------------------------------------------------------------------------------------

# The places of a connection's subscriptions grow with them, here the first and the fifth time. The first one of a query has
# two parts of its definition to make before, what is its own it has from the other client.
for my $sign (1, -1) {
    my $connection = connect_client($node);
    my $query = "SELECT id, $sign AS turn FROM t";
    for my $id (1, 5) {
        my $which = $sign * ($id == 1 ? 4 : 2);
        set_fault($node, 'registry-enter', 'alloc', $which);
        is($connection->error("SELECT live.subscribe('s$id', '$query')")->{C}, '53200', "no memory for place $id ($which)");
        my $last = $id + 3;
        $connection->subscribe("s$_", $query) for $id .. $last;
        is($connection->value('SELECT count(*) FROM live_queries WHERE pid = pg_backend_pid()'), $last, 'then there is');
    }
    $connection->disconnect;
}

# What failed statements leave in shared memory is seen there; what they leave in the decoder, which has to make a template for
# each, would be seen in its own.
sub decoder_memory {
    my $memory = 0;
    my $share = sub {
        change_rows($writer); # it adds up now and then, when there is something to do
        sleep 1;
        my $before = $memory;
        $memory = asked($node, 'SELECT memory_bytes FROM live.stats()');
        return $before == $memory;
    };
    wait_until($share);
    return $memory;
}
{
    my $connection = connect_client($node);
    my $memory_before = decoder_memory();
    for my $point (qw(subscribe-snapshot-taken registry-enter template-made)) {
        set_fault($node, $point, 'error', 0, 300);
        my %errors;
        my $subscribe = sub { return $connection->error("SELECT live.subscribe('more', 'SELECT id, n + $_[0] AS number FROM t')")->{M} };
        my $seconds = seconds_of(sub { ++$errors{ $subscribe->($_) } for 1 .. 300 });
        cmp_ok($seconds, '<', 300, "$point: at once");
        is_deeply(\%errors, { "fault point $point" => 300 }, "$point: a subscription fails many times");
        release($node, $point);
        # What is there is a subscription, the three parts of its definition, and the places of two connections.
        until_ok($node, q{SELECT fault_leftovers() ~ '^pieces 6,.* connections 2, subscriptions 1, of databases 1,'}, 't',
            "$point: nothing is left of it");
        is_exact($other, "$point: the other client");
    }
    cmp_ok(decoder_memory(), '<', $memory_before + 500_000, 'the decoder has forgotten them');
    $connection->disconnect;
}

# ---- an error while a client is idle ---------------------------------------------------------------------------

# It ends its connection: the server's own way with an error that no statement has asked for. So nothing is lost silently.
for my $point (qw(client-take client-taken client-deliver client-count)) {
    settled($other);
    $other->rows('BEGIN');
    my $client = watch(connect_client($node));
    set_fault($node, $point, 'error');
    change_rows($writer);
    my $told = '';
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (my ($type, $body) = $client->_read($deadline)) {
        last if $type eq '';
        $told .= $body if $type eq 'E';
    }
    like($told, qr/fault point $point/, "$point, idle: the client is told");
    release($node, $point);
    until_ok($node, q{SELECT count(*) FROM live_queries WHERE status <> 'terminated'}, 1, "$point, idle: its live query is over");
    $other->rows('COMMIT');
    is_exact($other, "$point, idle: the other client");
}

# ---- a decoder that cannot start -------------------------------------------------------------------------------

# An error of the server's own, once, is not for a client that waits for the decoder: it is started again. Twice it is.
for my $times (1, 2) {
    my $database = "fresh_$times";
    $writer->rows("CREATE DATABASE $database");
    my $client = connect_client($node, dbname => $database);
    $client->rows($_) for 'CREATE EXTENSION live_queries', 'CREATE TABLE t (id int PRIMARY KEY)';
    set_fault($node, 'decoder-opened', 'error', 0, $times);
    my $error = $client->error("SELECT live.subscribe('q', 'SELECT id FROM t')");
    is($error->{C}, $times == 1 ? '00000' : 'XX000', "the decoder fails to start, $times times");
    $client->disconnect;
    $writer->rows("DROP DATABASE $database WITH (FORCE)");
}
is_exact($other, 'a decoder that fails to start: the other client');

# ---- a slot that is lost ---------------------------------------------------------------------------------------

# No step of ours notices it: nobody can take a slot from its process, so a checkpoint that wants it ends the decoder, by a
# signal. The decoder heeds it at the point, or, if it stands still meanwhile, some way behind it.
is($writer->error('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots')->{C}, '55006', 'the slot cannot be dropped');
set_server('max_slot_wal_keep_size', '1MB');
my $in_transaction = watch(connect_client($node));
my $poller = Poller->new($node);

sub lose_slot {
    my ($decoder, $point, $stands, $name) = @_;
    my $checkpointer = connect_client($node);
    my $log_start = -s $node->logfile;
    hold($node, $point);
    change_rows($writer);
    wait_held($node, $point);
    kill 'STOP', $decoder if $stands;
    $writer->rows('SELECT pg_switch_wal() FROM pg_logical_emit_message(false, $$$$, $$$$)') for 1 .. 3;
    $checkpointer->send_query('CHECKPOINT');
    my $signal = qr/terminating process $decoder to release replication slot/;
    ok(wait_until(sub { slurp_file($node->logfile, $log_start) =~ $signal }), "$name: a checkpoint wants the slot");
    if ($stands) {
        release($node, $point);
        kill 'CONT', $decoder;
    }
    is($checkpointer->finish->{error}, undef, "$name: and goes on");
    until_ok($node, "SELECT count(*) FROM pg_replication_slots WHERE active_pid = $decoder", 0, "$name: the slot is gone");
    release($node, $point);
    $checkpointer->disconnect;
    return;
}

my @on_the_way = qw(decode-begin decode-change decode-commit decoder-evaluate decoder-evaluated decoder-publish decoder-published
  decoder-confirm);
for my $point (@on_the_way) {
    for my $stands (0, 1) {
        my $name = $point . ($stands ? ', behind it' : '');
        my $decoder = decoder_pid($node);
        my $leftovers = asked($node, 'SELECT fault_leftovers()');
        $in_transaction->rows('BEGIN');
        lose_slot($decoder, $point, $stands, $name);
        # The slot is given back before the process says that it has ended.
        ok(wait_until(sub { decoder_pid($node) ne $decoder }), "$name: another decoder works");
        $in_transaction->rows('COMMIT');
        told_is($_, 'reset q', "$name, a client") for $other, $in_transaction;
        ok(eval { $poller->poll; 1 }, "$name, live.poll: what comes fits") or diag $@;
        is(join(' ', sort keys %{ $poller->{broken} }), 'a b', "$name, live.poll: both are told to refresh");
        rewatch($_) for $other, $in_transaction;
        $poller->refresh_broken;
        change_rows($writer);
        is_exact($_, "$name: exact") for $other, $in_transaction;
        ok(eval { $poller->poll; 1 }, "$name, live.poll: then all fits") or diag $@;
        is($poller->wrong, '', "$name, live.poll: and is exact");
        is_clean($node, $name, 4);
        until_ok($node, 'SELECT fault_leftovers()', $leftovers, "$name: nothing is left in shared memory");
    }
}

$_->disconnect for $other, $in_transaction, $poller->{connection}, $writer;
nothing_left($node, 'at the end');
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:|was terminated by signal)|WARNING: .*(leak|still referenced)/, 'no crash, no leak');
done_testing();
