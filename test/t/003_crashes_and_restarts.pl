# Processes that die and servers that restart: nothing is lost silently, nothing stays behind.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = new_node('crash', <<~CONF);
    restart_after_crash = on
    live_queries.mailbox_size = 64kB
    min_wal_size = 32MB
    max_wal_size = 32MB
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 50) i;
    SQL

my $query = 'SELECT id, a FROM t WHERE id > 10';
my $next = 1000;

# Some changes of every kind, in several transactions; the last is left to the caller's own.
sub change_rows {
    my ($writer) = @_;
    my ($one, $two) = ($next, $next + 1);
    $next += 2;
    $writer->rows($_) for "INSERT INTO t VALUES ($one, 'a'), ($two, 'b')", "UPDATE t SET a = a || '!' WHERE id % 7 = 0 AND length(a) < 1000",
      "DELETE FROM t WHERE id = $two", "UPDATE t SET id = id - 1 WHERE id = $two";
    return;
}

# follows(CLIENT, WRITER, NAME): after some changes, the state of the client is exact.
sub follows {
    my ($client, $writer, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    change_rows($writer);
    ok($client->follow('q'), "$name: changes come");
    is_deeply($client->state_of('q'), $client->rows_now($query), "$name: the state is exact");
    return;
}

# The next message must be a reset; then a refresh makes it exact again.
sub recovers {
    my ($client, $writer, $name, $reason) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $message;
    do { $message = $client->next_message->{message} } while $message->{type} eq 'changes';
    is($message->{type}, 'reset', "$name: a reset comes");
    is($message->{subscription_id}, 'q', "$name: for the subscription");
    like($message->{seq}, qr/^[0-9A-F]{16}$/, "$name: with a seq");
    like($message->{reason}, $reason, "$name: and a reason");
    change_rows($writer);
    is_deeply([ grep { $_->{message}{type} ne 'reset' } $client->synced ], [], "$name: no changes until the refresh");
    $client->refresh('q');
    is_deeply($client->state_of('q'), $client->rows_now($query), "$name: the refresh is exact");
    follows($client, $writer, "$name, after the refresh");
    return;
}

# A client's backend ends in the middle of it all.
{
    my ($client, $other, $writer) = map { connect_client($node) } 1 .. 3;
    $_->subscribe('q', $query) for $client, $other;
    $client->rows('BEGIN');
    $writer->rows(q(INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(2001, 2500) i));
    poll_ok($node, 'SELECT count(*) = 2 FROM live_queries WHERE messages > 0 OR pending_messages > 0', 'messages wait for a client');
    poll_ok($node, q(SELECT count(*) > 0 FROM pg_ls_dir('base/pgsql_tmp', true, false)), 'in a file as well');
    $node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $client->pid . ')');
    poll_ok($node, 'SELECT count(*) = 1 FROM live_queries', 'terminated, its subscriptions are gone');
    poll_ok($node, 'SELECT subscriptions = 1 FROM live.workers', 'and not counted');
    poll_ok($node, 'SELECT count(*) <= 1 FROM pg_ls_dir(\'base/pgsql_tmp\', true, false)', 'its file is gone');
    follows($other, $writer, 'the other client');
    $_->disconnect for $other, $writer;
    poll_ok($node, 'SELECT count(*) = 0 FROM live_queries', 'a disconnect ends subscriptions');
    ok(wait_until(sub { !temp_files($node) }), 'no file is left');
}

# The decoder ends.
{
    my ($client, $writer) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('q', $query);
    my $pid = decoder_pid($node);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
    recovers($client, $writer, 'decoder terminated', qr/restarted/);
    ok(wait_until(sub { decoder_pid($node) ne $pid }), 'there is a new decoder');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 1, 'with one slot');
    is($node->safe_psql('postgres', 'SELECT resets FROM live_queries'), 1, 'the view counts the reset');

    # While it does not run, changes are made, and a transaction goes on.
    my $long = connect_client($node);
    $long->rows(q(BEGIN; INSERT INTO t VALUES (90001, 'long')));
    $pid = decoder_pid($node);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
    change_rows($writer);
    $long->rows(q(INSERT INTO t VALUES (90002, 'long'); COMMIT));
    recovers($client, $writer, 'decoder terminated within a transaction', qr/restarted/);

    # A cancel request is nothing to it.
    $pid = decoder_pid($node);
    $node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
    follows($client, $writer, 'after a cancel of the decoder');
    is(decoder_pid($node), $pid, 'a cancel does not end it');
    $_->disconnect for $client, $writer, $long;
}

# The launcher ends.
{
    my ($client, $writer) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('q', $query);
    my $launcher = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'live_queries launcher');
    my $pid = $node->safe_psql('postgres', $launcher);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
    poll_ok($node, "SELECT ($launcher) <> $pid", 'a terminated launcher comes back');
    follows($client, $writer, 'launcher terminated');
    $node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . decoder_pid($node) . ')');
    recovers($client, $writer, 'the new launcher starts decoders', qr/restarted/);

    # SIGHUP reaches everybody.
    $node->append_conf('postgresql.conf', 'live_queries.mailbox_size = 65kB');
    $node->reload;
    follows($client, $writer, 'after SIGHUP');
    $_->disconnect for $client, $writer;
}

# max_slot_wal_keep_size cuts off a decoder that stands still. The checkpoint terminates it, which takes effect once
# it moves again.
{
    $node->append_conf('postgresql.conf', 'max_slot_wal_keep_size = 1MB');
    $node->reload;
    my ($client, $writer, $checkpointer) = map { connect_client($node) } 1 .. 3;
    $client->subscribe('q', $query);
    my $pid = decoder_pid($node);
    kill 'STOP', $pid;
    $writer->rows(q(INSERT INTO t VALUES (80001, 'while it stands')));
    $writer->rows('SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS filler (a text); INSERT INTO filler VALUES (1)') for 1 .. 6;
    $checkpointer->send_query('CHECKPOINT');
    ok(wait_until(sub { slurp_file($node->logfile) =~ /terminating process $pid to release replication slot/ }),
        'a slot that is too far behind is taken away');
    kill 'CONT', $pid;
    $checkpointer->finish;
    recovers($client, $writer, 'slot invalidated', qr/restarted/);
    $_->disconnect for $client, $writer, $checkpointer;
    $node->append_conf('postgresql.conf', 'max_slot_wal_keep_size = -1');
    $node->reload;
}

# Where nothing can be spilled, what does not fit the mailbox is reset.
{
    $node->append_conf('postgresql.conf', 'live_queries.spill_size = 0');
    $node->reload;
    my ($client, $writer) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('q', $query);
    $client->rows('BEGIN');
    $writer->rows(q(INSERT INTO t SELECT i * 7 + 1, repeat('x', 1000) FROM generate_series(1001, 1500) i));
    $writer->arrived;
    $client->rows('COMMIT');
    recovers($client, $writer, 'no space to spill', qr/too many/);
    $_->disconnect for $client, $writer;

    # The same because the directory cannot be written to.
    $node->append_conf('postgresql.conf', 'live_queries.spill_size = 100MB');
    $node->reload;
    poll_ok($node, q(SELECT count(*) = 0 FROM live_queries), 'gone');
    my $directory = $node->data_dir . '/base/pgsql_tmp';
    rmdir $directory;
    open my $file, '>', $directory or die "$directory: $!";
    close $file;
    ($client, $writer) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('q', $query);
    my $decoder = decoder_pid($node);
    $client->rows('BEGIN');
    $writer->rows(q(UPDATE t SET a = repeat('y', 1000) WHERE length(a) = 1000));
    $client->rows('COMMIT');
    recovers($client, $writer, 'an error of the file system', qr/too many/);
    is(decoder_pid($node), $decoder, 'the decoder survives it');
    unlink $directory;
    $_->disconnect for $client, $writer;
}

# The server restarts.
for my $mode (qw(fast immediate)) {
    my $client = connect_client($node);
    $client->subscribe('q', $query);
    my $seconds = seconds_of(sub { $node->stop($mode) });
    cmp_ok($seconds, '<', 30, "$mode shutdown does not wait for the decoder");
    $node->start;
    is($node->safe_psql('postgres', 'SELECT count(*) FROM live_queries'), 0, "$mode: nothing is left");
    is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, "$mode: no slot either");
    my $writer = connect_client($node);
    $client = connect_client($node);
    $client->subscribe('q', $query);
    follows($client, $writer, "after $mode shutdown");
    $_->disconnect for $client, $writer;
}

# A crash of a client's backend: the server starts all over.
for my $victim (qw(client decoder)) {
    my ($client, $writer) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('q', $query);
    $client->rows('BEGIN');
    $writer->rows(q(UPDATE t SET a = repeat('z', 1000)));
    $writer->arrived;
    my $log_start = -s $node->logfile;
    kill 'KILL', $victim eq 'client' ? $client->pid : decoder_pid($node);
    ok(wait_until(sub { $client->error('SELECT 1')->{C} =~ /^(57P02|08006)$/ }), "$victim killed: connections end");
    ok(wait_until(sub { slurp_file($node->logfile, $log_start) =~ /reinitializing/ }), "$victim killed: the server starts over");
    comes_back($node, "$victim killed");
    is($node->safe_psql('postgres', 'SELECT count(*) FROM live_queries'), 0, "$victim killed: nothing is left");
    ok(wait_until(sub { !temp_files($node) }), "$victim killed: no file either");
    ($client, $writer) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('q', $query);
    follows($client, $writer, "$victim killed");
    $_->disconnect for $client, $writer;
}

$node->stop;
my $log = slurp_file($node->logfile);
unlike($log, qr/\b(PANIC|TRAP)/, 'no panic');
my $crashes = () = $log =~ /LOG:  .* \(PID \d+\) was terminated by signal/g;
is($crashes, 2, 'no other crash than the two made here');
done_testing();
