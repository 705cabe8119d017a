# Clients that are slow or do not read at all, mailboxes that are too small, transactions that are too large: exact or
# reset, and nobody else waits.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = new_node('slow_clients', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.spill_size = 1MB
    live_queries.transaction_memory = 64kB
    logical_decoding_work_mem = 64kB
    max_wal_size = 1GB
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    CREATE TABLE big (id int PRIMARY KEY, a text);
    ALTER TABLE big REPLICA IDENTITY FULL;
    SQL
my $query = 'SELECT id, a FROM t';
my $writer = connect_client($node);

sub set {
    my (@settings) = @_;
    $node->append_conf('postgresql.conf', $_) for @settings;
    $node->reload;
    for (@settings) {
        my ($name, $value) = split / = /;
        $node->poll_query_until('postgres', "SELECT current_setting('$name') = '$value'") or die "$name is not $value";
    }
    return;
}

sub is_exact {
    my ($client, $id, $query_now, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($got, $expected) = ($client->state_of($id), $client->rows_now($query_now));
    is(scalar @$got, scalar @$expected, "$name: as many rows");
    ok("@$got" eq "@$expected", "$name: the state is exact");
    return;
}

# A client that does not read: its socket fills, then its mailbox, then its file; then it is reset.
{
    my ($stuck, $other, $dead) = map { connect_client($node) } 1 .. 3;
    $_->subscribe('q', $query) for $stuck, $other, $dead;
    my @seconds;
    for my $i (1 .. 40) {
        my $first = $i * 1000;
        push @seconds, seconds_of(sub {
            $writer->rows("INSERT INTO t SELECT i, repeat('x', 5000) FROM generate_series($first, $first + 19) i");
            my $got = 0;
            $got += @{ $other->next_message->{message}{changes} } while $got < 20;
        });
    }
    # Whom they hold up they hold up each time, once their sockets are full. One may be slow because
    # the machine is.
    @seconds = sort { $a <=> $b } @seconds;
    cmp_ok($seconds[20], '<', 5, 'clients that do not read hold nobody up');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM live_queries WHERE changes = 800'), 1, 'the others have got all');
    poll_ok($node, q(SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'ClientWrite'), 'two do not read');
    cmp_ok(temp_bytes($node), '<=', 2 * 1024 * 1024, 'what waits for them is bounded on disk');
    ok(wait_until(sub { 2 == grep { $_ > 0 } temp_sizes($node) }), 'in a file each');

    $node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $dead->pid . ')');
    poll_ok($node, 'SELECT count(*) = 2 FROM live_queries', 'one that does not read can be terminated');
    ok(wait_until(sub { 1 == grep { $_ > 0 } temp_sizes($node) }), 'then its file is gone');
    $dead->disconnect;

    # It begins to read: what it missed is told.
    my ($message, $rows) = (undef, 0);
    for (;;) {
        $message = $stuck->next_message->{message};
        last if $message->{type} ne 'changes';
        LiveQueries::apply_changes($stuck->{states}{q}, $message);
    }
    is($message->{type}, 'reset', 'once it reads, it gets what was kept, then a reset');
    cmp_ok(scalar keys %{ $stuck->{states}{q} }, '<', 800, 'having missed some');
    like($message->{reason}, qr/too many messages/, 'with a reason');
    $writer->rows(q(INSERT INTO t VALUES (1, 'after the reset')));
    is_deeply([ $stuck->synced ], [], 'nothing until the refresh');
    $stuck->refresh('q');
    is_exact($stuck, 'q', $query, 'the refresh');
    $writer->rows(q(UPDATE t SET a = 'new' WHERE id BETWEEN 1 AND 2050));
    ok($stuck->follow('q'), 'it goes on from there');
    is_exact($stuck, 'q', $query, 'after the refresh');
    ok(wait_until(sub { temp_bytes($node) == 0 }), 'nothing occupies the disk');
    is($node->safe_psql('postgres', 'SELECT sum(pending_messages) FROM live_queries'), 0, 'and nothing is pending');
    $_->disconnect for $stuck, $other;
    poll_ok($node, 'SELECT count(*) = 0 FROM live_queries', 'both leave');
    ok(wait_until(sub { !temp_files($node) }), 'no file is left');
}

# What waits in a file is read piece by piece.
set('live_queries.spill_size = 100MB');
SKIP: {
    my $client = connect_client($node);
    my $status = '/proc/' . $client->pid . '/status';
    skip 'no /proc', 3 unless -r $status;
    my $kilobytes = sub { return slurp_file($status) =~ /^$_[0]:\s+(\d+)/m ? $1 : die "no $_[0]" };
    $client->subscribe('q', 'SELECT id, a FROM big');
    $client->rows('BEGIN');
    $writer->rows("INSERT INTO big VALUES ($_, repeat('z', 400000))") for 1 .. 120;
    $writer->arrived;
    cmp_ok(temp_bytes($node), '>', 40_000_000, 'much waits in a file');
    my $before = $kilobytes->('VmRSS');
    $client->rows('COMMIT');
    $client->arrived;
    is(scalar @{ $client->{notifications} }, 120, 'all of it comes');
    my $grown = $kilobytes->('VmHWM') - $before;
    note("$grown kB");
    cmp_ok($grown, '<', 20_000, 'the backend never has all of it in memory');
    $client->disconnect;
    $writer->rows('DELETE FROM big');
}

# A client in a transaction: past its mailbox messages wait in a file, and nothing is missed.
{
    my $client = connect_client($node);
    $client->subscribe('q', $query);
    for my $round (1 .. 3) {
        $client->rows('BEGIN');
        $writer->rows("UPDATE t SET a = 'round $round ' || id WHERE id % 20 = $_") for 0 .. 19;
        $writer->rows(q(DELETE FROM t WHERE id % 13 = 0));
        $writer->rows("INSERT INTO t SELECT i * 13, repeat('y', 700) FROM generate_series(1, 1500) i");
        $writer->arrived;
        cmp_ok(temp_bytes($node), '>', 1_000_000, "round $round: messages wait in a file");
        my ($messages, $bytes) = split /\|/, $node->safe_psql('postgres', 'SELECT pending_messages, pending_bytes FROM live_queries');
        cmp_ok($messages, '>', 20, "round $round: the view counts them");
        cmp_ok($bytes, '>', 1_000_000, "round $round: and their bytes");
        is_deeply([ $client->taken ], [], "round $round: nothing comes within the transaction");
        $client->rows('COMMIT');
        ok($client->follow('q'), "round $round: all comes after it");
        is_exact($client, 'q', $query, "round $round");
        ok(wait_until(sub { temp_bytes($node) == 0 }), "round $round: the file is emptied");
    }

    # Paused, likewise.
    $client->rows(q(SELECT live.pause('q')));
    $writer->rows(qq(UPDATE t SET a = a || '!' WHERE id % 20 = $_)) for 0 .. 19;
    is_deeply([ $client->synced ], [], 'paused, it gets nothing');
    is($node->safe_psql('postgres', 'SELECT status FROM live_queries'), 'paused', 'the view says so');
    $client->rows(q(SELECT live.resume('q')));
    ok($client->follow('q'), 'resumed, it gets all');
    is_exact($client, 'q', $query, 'resumed');

    # More than may be held.
    set('live_queries.spill_size = 1MB');
    $client->rows(q(SELECT live.pause('q')));
    $writer->rows(q(UPDATE t SET a = a || '?' WHERE id % 10 = 0));
    $client->synced;
    $writer->rows(q(UPDATE t SET a = repeat('z', 1000)));
    my @got = map { $_->{message} } $client->synced;
    is_deeply(\@got, [], 'paused, not even a reset');
    $client->rows(q(SELECT live.resume('q')));
    @got = map { $_->{message} } $client->synced;
    is_deeply([ map { $_->{type} } @got ], ['reset'], 'resumed after too much, one reset');
    $client->refresh('q');
    is_exact($client, 'q', $query, 'after that');
    $client->disconnect;
    poll_ok($node, 'SELECT count(*) = 0 FROM live_queries', 'it leaves');
    ok(wait_until(sub { !temp_files($node) }), 'no file is left by it');
}
set('live_queries.spill_size = 100MB');

# Transactions larger than the memory of decoding and of the decoder.
{
    my ($client, $few) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('b', 'SELECT id, a FROM big');
    $few->subscribe('f', 'SELECT id, a FROM big WHERE id % 1000 = 7');
    $writer->rows(q(INSERT INTO big SELECT i, md5(i::text) FROM generate_series(1, 20000) i));
    ok($_->[0]->follow($_->[1]), "a large transaction: $_->[1]") for [ $client, 'b' ], [ $few, 'f' ];
    is_exact($client, 'b', 'SELECT id, a FROM big', 'all of it');
    is_exact($few, 'f', 'SELECT id, a FROM big WHERE id % 1000 = 7', 'a part of it');
    $writer->rows(<<~SQL);
        BEGIN;
        UPDATE big SET a = 'u' || a WHERE id % 4 = 0;
        SAVEPOINT one;
        DELETE FROM big WHERE id % 4 = 1;
        INSERT INTO big SELECT -i, 'kept' FROM generate_series(1, 3000) i;
        SAVEPOINT two;
        DELETE FROM big;
        ROLLBACK TO two;
        UPDATE big SET id = id + 100000 WHERE id % 4 = 2;
        RELEASE one;
        COMMIT
        SQL
    ok($_->[0]->follow($_->[1]), "with subtransactions: $_->[1]") for [ $client, 'b' ], [ $few, 'f' ];
    is_exact($client, 'b', 'SELECT id, a FROM big', 'all, with subtransactions');
    is_exact($few, 'f', 'SELECT id, a FROM big WHERE id % 1000 = 7', 'a part, with subtransactions');
    ok(wait_until(sub { temp_bytes($node) == 0 }), 'no file of the decoder is left');
    cmp_ok($node->safe_psql('postgres', 'SELECT memory_bytes FROM live.workers'), '<', 20_000_000, 'nor its memory');
    $_->disconnect for $client, $few;
}

# A transaction that is larger than the mailbox and its file, for a client that reads: that one alone is reset.
set('live_queries.spill_size = 1MB');
{
    my ($client, $few) = map { connect_client($node) } 1 .. 2;
    $client->subscribe('b', 'SELECT id, a FROM big');
    $few->subscribe('f', 'SELECT id, a FROM big WHERE id % 1000 = 7');
    $writer->rows(q(UPDATE big SET a = repeat(a, 10)));
    my @got = map { $_->{message}{type} } $client->synced;
    is_deeply(\@got, ['reset'], 'more in one transaction than a connection may keep is a reset');
    ok($few->follow('f'), 'which does not concern another client');
    is_exact($few, 'f', 'SELECT id, a FROM big WHERE id % 1000 = 7', 'the other client');
    $client->refresh('b');
    $writer->rows(q(UPDATE big SET a = 'short' WHERE id < 1000));
    ok($client->follow('b'), 'after the refresh it goes on');
    is_exact($client, 'b', 'SELECT id, a FROM big', 'after the refresh');
    $_->disconnect for $client, $few;
    poll_ok($node, 'SELECT count(*) = 0 FROM live_queries', 'they leave');
    ok(wait_until(sub { !temp_files($node) }), 'no file is left in the end');
}

$writer->disconnect;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
