# Delivery where something is in its way: no room for the messages that a client leaves waiting, once or for good, and errors
# with a message between the mailbox and the client while subscriptions end and pause.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('no_room', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.spill_size = 100kB
    live_queries.idle_timeout = 1h
    max_prepared_transactions = 2
    CONF
my $writer = connect_client($node);
my $json = JSON::PP->new->utf8;

sub set_server {
    my ($name, $value) = @_;
    $node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
    $node->reload;
    return poll_ok($node, "SELECT current_setting('$name') = '$value'", "$name is '$value'");
}

# A row that makes a message of about so many bytes, in every mailbox when this returns.
sub add_row {
    my ($id, $bytes) = @_;
    $writer->rows("INSERT INTO t VALUES ($id, 1, repeat('x', $bytes))");
    $writer->arrived;
    return;
}

sub subscriber {
    my ($delivery, @ids) = @_;
    my $client = connect_client($node);
    subscribe_to_all($client, $delivery, $_) for @ids;
    return $client;
}

sub subscribe_to_all {
    my ($client, $delivery, $id, $condition) = @_;
    $condition = 'id >= 1000' unless defined $condition;
    $client->rows("SELECT live.subscribe('$id', 'SELECT id, note FROM t WHERE $condition', '{}', false, '$delivery')");
    return;
}

sub kill_all {
    my ($client) = @_;
    $writer->rows(q{SELECT live.kill(live_id) FROM live_queries WHERE status <> 'terminated' AND pid = } . $client->pid);
    return;
}

# What live.poll gives, in words: the id, and a key for a change.
sub polled {
    my ($client) = @_;
    return join ', ', map { in_words($json->decode($_->[0])) } @{ $client->rows('SELECT message FROM live.poll()') };
}

sub in_words {
    my ($message) = @_;
    my $what = $message->{type} eq 'changes' ? $message->{changes}[0]{key}[0] : $message->{type};
    return "$message->{subscription_id} $what";
}

sub fails {
    my ($client, $sql, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return isnt($client->error($sql)->{C}, '00000', "$name: it fails");
}

sub done {
    my (@clients) = @_;
    $_->disconnect for @clients;
    $writer->rows('DELETE FROM t WHERE id >= 1000');
    return;
}

# ---- no room for temporary files -------------------------------------------------------------------------------

# What is held in a file is closed where no error may be raised: after the commit, and in an abort.
for my $end (qw(COMMIT ROLLBACK)) {
    my $client = connect_client($node);
    $client->rows('BEGIN') if $end eq 'ROLLBACK';
    subscribe_to_all($client, 'poll', 's');
    $client->rows(q{SELECT live.pause('s')});
    add_row(1000, 65_000);
    add_row(1001, 3000);
    $client->rows('SELECT * FROM live.poll()'); # both are held
    set_server('temp_file_limit', '0');
    $client->rows('SELECT 1');
    $client->rows('BEGIN; CREATE TABLE written (id int); DROP TABLE written') if $end eq 'COMMIT';
    $client->rows(q{SELECT live.unsubscribe('s')});
    $client->rows($end);
    is($client->value('SELECT count(*) FROM live_queries'), 0, "$end of what is held in a file");
    set_server('temp_file_limit', '-1');
    done($client);
}

# A transaction that has polled much, from a file, is undone where there is no room.
{
    my $client = subscriber('poll', 's');
    add_row(1000 + $_, 9000) for 0 .. 9;
    $client->rows('SELECT 1');
    set_server('temp_file_limit', '0');
    $client->rows('BEGIN');
    $client->rows('SELECT * FROM live.poll(1)') for 1 .. 8;
    add_row(1010, 9000);
    fails($client, 'SELECT * FROM live.poll()', 'polling without room');
    $client->rows('ROLLBACK');
    set_server('temp_file_limit', '-1');
    my $polled = polled($client);
    ok($polled eq join(', ', map { 's ' . (1000 + $_) } 0 .. 10) || $polled =~ /\A(s \d+, )*s reset\z/, 'all is given back, or reset')
      or diag $polled;
    done($client);
}

# An error that will not go away: after a few attempts the subscription is reset, and the connection goes on.
for my $delivery (qw(notify poll)) {
    my $client = subscriber($delivery, 's');
    $client->rows(q{SELECT live.pause('s')});
    set_server('temp_file_limit', '0');
    my $log_start = -s $node->logfile;
    $client->rows('BEGIN');
    add_row(1000, 65_000);
    add_row(1001, 30_000);
    fails($client, 'COMMIT', "no room for good, $delivery");
    ok(wait_until(sub { $client->error('SELECT 1')->{C} eq '00000' }), "$delivery: commands work again");
    my $errors = () = slurp_file($node->logfile, $log_start) =~ /exceeds temp_file_limit/g;
    cmp_ok($errors, '<', 7, "$delivery: it did not try for ever");
    $client->rows(q{SELECT live.resume('s')});
    my $message =
      $delivery eq 'poll' ? $json->decode($client->value('SELECT message FROM live.poll()')) : $client->next_message->{message};
    is("$message->{type}, $message->{reason}", 'reset, messages could not be delivered', "$delivery: a reset");
    is($client->error('DISCARD ALL')->{C}, '00000', "$delivery: the connection can be discarded");
    set_server('temp_file_limit', '-1');
    done($client);
}

# What a subscription holds when it ends makes room for the next one.
{
    my $client = connect_client($node);
    for my $turn (1 .. 6) {
        subscribe_to_all($client, 'poll', 's');
        $client->rows(q{SELECT live.pause('s')});
        add_row(1000 + $turn, 40_000);
        $client->rows('SELECT 1');
        if ($turn < 6) {
            $client->rows(q{SELECT live.unsubscribe('s')});
        } else {
            $client->rows(q{SELECT live.resume('s')});
            is(polled($client), 's 1006', 'room that was given back is there');
        }
    }
    done($client);
}

# ---- errors with a message on its way --------------------------------------------------------------------------

# An end that came while its subscription was being left, which was rolled back: after an error it is told, unless it is left.
for my $again (0, 1) {
    my $client = subscriber('poll', 's');
    $client->rows('BEGIN');
    $client->rows(q{SELECT live.unsubscribe('s')});
    kill_all($client);
    is(polled($client), '', 'an end is not told while it is not wanted');
    $client->rows('ROLLBACK');
    set_fault($node, 'client-hold', 'error');
    fails($client, 'SELECT * FROM live.poll()', 'the end is on its way');
    if ($again) {
        $client->rows('BEGIN; CREATE TABLE written (id int); DROP TABLE written');
        $client->rows($_) for q{SELECT live.unsubscribe('s')}, 'COMMIT';
        subscribe_to_all($client, 'poll', 's');
    } else {
        $client->rows(q{SELECT live.unsubscribe('s')});
    }
    is(polled($client), '', 'and is not told once it is left' . ($again ? ', nor to another of that id' : ''));
    done($client);
}
{
    my $client = subscriber('notify', 's');
    $client->rows($_) for 'BEGIN', q{SELECT live.unsubscribe('s')};
    kill_all($client);
    set_fault($node, 'client-deliver', 'error');
    $client->error('ROLLBACK');
    is(in_words($client->next_message->{message}), 's terminated', 'an idle client is told after an error');
    done($client);
}

# What overflows while its subscription is being left is lost: it is told a reset, which stands before what the others are told.
{
    my $client = connect_client($node);
    subscribe_to_all($client, 'poll', @$_) for [ p => 'id BETWEEN 1000 AND 1099' ], [ s => 'id BETWEEN 1100 AND 1199' ], [ o => 'id >= 1200' ];
    $client->rows(q{SELECT live.pause('p')});
    add_row(1000, 60_000);
    $client->rows($_) for 'SELECT 1', 'BEGIN', 'SAVEPOINT a', q{SELECT live.unsubscribe('s')};
    add_row(@$_) for [ 1100, 50_000 ], [ 1200, 10 ], [ 1201, 10 ], [ 1101, 10 ];
    set_fault($node, 'client-hold', 'error');
    fails($client, 'SELECT * FROM live.poll()', 'after an overflow');
    $client->rows($_) for 'ROLLBACK TO a', 'COMMIT';
    is(polled($client), 's reset, o 1200, o 1201', 'after an overflow: a reset, and the others');
    done($client);
}

# A reset that is on its way when its subscription is paused waits for the resume.
{
    my $client = subscriber('poll', 's');
    $client->rows('BEGIN');
    $writer->rows('SELECT pg_terminate_backend(' . decoder_pid($node) . ')');
    # The new one has told when it serves others.
    poll_ok($node, q{SELECT state = 'running' FROM live.workers}, 'another decoder runs');
    add_row(1000, 10);
    set_fault($node, 'client-hold', 'error');
    $client->rows('SAVEPOINT a');
    fails($client, q{SELECT * FROM live.poll(NULL, '30 s')}, 'a reset is on its way');
    $client->rows($_) for 'ROLLBACK TO a', q{SELECT live.pause('s')}, 'COMMIT';
    is(polled($client), '', 'a paused subscription is not told of it');
    $client->rows(q{SELECT live.resume('s')});
    is(polled($client), 's reset', 'but is when it is resumed');
    done($client);
}

# `more` of what is queued counts what an error has kept from the queue.
{
    my $client = subscriber('poll', qw(a b c d));
    $client->rows('BEGIN');
    add_row(1000, 10);
    set_fault($node, 'client-hold', 'error', 0, 1, 1);
    $client->rows('SAVEPOINT a');
    fails($client, 'SELECT * FROM live.poll()', 'in the middle of a transaction');
    $client->rows('ROLLBACK TO a');
    $client->rows("SELECT live.$_('a')") for qw(pause resume);
    my $more = $client->value(q{SELECT string_agg(message ->> 'more', ' ') FROM live.poll()});
    is($more, 'true true true false', 'in the middle of a transaction: `more` is right');
    $client->rows('COMMIT');
    done($client);
}

# Nothing was left, so nothing has changed that could not be prepared.
$writer->rows($_) for 'BEGIN', q{SELECT live.unsubscribe('none')}, q(PREPARE TRANSACTION 'x'), q(ROLLBACK PREPARED 'x');

$writer->disconnect;
nothing_left($node, 'at the end');
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:|was terminated by signal|AbortTransaction while)|WARNING: .*(leak|still referenced)/,
    'no crash, no leak, no error where there may be none');
done_testing();
