# Real notifications on real connections: who gets them, when, and what is in them.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::BackgroundPsql;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('notifications', <<~CONF);
    wal_writer_delay = 10s
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE ROLE watcher LOGIN;
    CREATE ROLE stranger LOGIN;
    CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric(8,2), note text);
    ALTER TABLE orders REPLICA IDENTITY FULL;
    ALTER TABLE orders ALTER note SET STORAGE EXTERNAL;
    GRANT SELECT ON orders TO watcher;
    SQL

my $writer = connect_client($node);

# The message of a change, to a client that does nothing but wait.
{
    my $client = connect_client($node, user => 'watcher');
    my $live = $client->subscribe('open "orders"', 'SELECT id, total, note FROM orders WHERE customer = $1', 42);
    like($live->{channel}, qr/^live_queries_[0-9a-f]{16,}$/, 'the channel looks as documented');
    is($live->{strategy}, 'stream', 'the strategy is told');
    like($live->{seq}, qr/^[0-9A-F]{16}$/, 'a position is told');

    my $xid = $writer->value('BEGIN; INSERT INTO orders VALUES (17, 42, 12.5, NULL), (18, 7, 1, NULL); '
          . 'SELECT pg_current_xact_id(); COMMIT');
    my $got = $client->next_message;
    is($got->{channel}, $live->{channel}, 'a notification comes on the channel');
    is($got->{pid}, $client->pid, 'as from the own backend');
    my $message = $got->{message};
    is_deeply(
        [ sort keys %$message ],
        [qw(changes committed_at more seq subscription_id type xid)],
        'the fields of a message');
    is($message->{type}, 'changes', 'type');
    is($message->{subscription_id}, 'open "orders"', 'subscription_id');
    like($message->{seq}, qr/^[0-9A-F]{16}$/, 'seq');
    ok($message->{seq} gt $live->{seq}, 'seq is past the one of subscribe');
    is($message->{xid}, $xid, 'xid');
    like($message->{committed_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/, 'committed_at');
    ok(!$message->{more}, 'more is false');
    is_deeply(
        $message->{changes},
        [ { op => 'insert', key => [17], row => { id => 17, total => 12.5, note => undef } } ],
        'an insert');
    my $row = $node->safe_psql('postgres', 'SELECT row_to_json(q) FROM (SELECT id, total, note FROM orders WHERE id = 17) q');
    like($got->{payload}, qr/"row":\Q$row\E\}/, 'the row is what row_to_json gives');

    $writer->rows(q(UPDATE orders SET total = 13, note = 'x' WHERE id = 17));
    my $update = $client->next_message->{message};
    is_deeply(
        $update->{changes},
        [ { op => 'update', key => [17], row => { id => 17, total => 13, note => 'x' }, old => { total => 12.5, note => undef } } ],
        'an update');
    ok($update->{seq} gt $message->{seq}, 'seq grows');
    $writer->rows('UPDATE orders SET customer = customer WHERE id = 17');
    $writer->rows('UPDATE orders SET customer = 8 WHERE id = 17');
    is_deeply(
        $client->next_message->{message}{changes},
        [ { op => 'delete', key => [17], row => { id => 17, total => 13, note => 'x' } } ],
        'a row that stops to match is deleted; an update of nothing selected sends nothing');
    $writer->rows('UPDATE orders SET customer = 42, id = 19 WHERE id = 18');
    $writer->rows('BEGIN; UPDATE orders SET id = 20 WHERE id = 19; INSERT INTO orders VALUES (21, 42); ROLLBACK');
    $writer->rows('TRUNCATE orders');
    is($client->next_message->{message}{changes}[0]{op}, 'insert', 'a row that starts to match is inserted');
    is_deeply($client->next_message->{message}{changes}, [ { op => 'clear' } ], 'TRUNCATE clears; a rollback sends nothing');
    is_deeply([ $client->synced ], [], 'and that was all');
    $client->disconnect;
}

# Two subscribers of one shape, and a stranger.
{
    my ($one, $two) = map { connect_client($node, user => 'watcher') } 1 .. 2;
    my $live = $one->subscribe('mine', 'SELECT id FROM orders WHERE customer = $1', 1);
    my $other = $two->subscribe('mine', 'SELECT id FROM orders WHERE customer = $1', 2);
    isnt($live->{channel}, $other->{channel}, 'each connection has a channel of its own');
    my $stranger = connect_client($node, user => 'stranger');
    my $superuser = connect_client($node);
    $_->rows(qq(LISTEN "$live->{channel}")) for $stranger, $superuser, $two;
    is_deeply(
        $stranger->rows('SELECT live_id, subscription_id, query, params, tables, channel, error FROM live_queries'),
        [ [ (undef) x 7 ], [ (undef) x 7 ] ],
        'a stranger does not see queries or channels');

    $writer->rows('INSERT INTO orders VALUES (101, 1), (102, 2), (103, 3)');
    my ($got_one, $got_two) = map { $_->next_message->{message}{changes} } $one, $two;
    is_deeply($got_one, [ { op => 'insert', key => [101], row => { id => 101 } } ], 'the first gets its row');
    is_deeply($got_two, [ { op => 'insert', key => [102], row => { id => 102 } } ], 'the second gets its row');
    is_deeply([ map { $_->synced } $one, $two, $superuser ], [], 'and nobody gets more, whoever listens');
    is($stranger->next_message(0.2), undef, 'a stranger who listens gets nothing');
    is($stranger->error(q(SELECT live.kill(live_id) FROM (SELECT live_id FROM live_queries) q WHERE live_id IS NOT NULL))->{C},
        '00000', 'a stranger has no live_id to kill');
    $_->disconnect for $one, $two, $stranger, $superuser;
}

# Many connections on the same query.
{
    my @clients = map { connect_client($node, user => 'watcher') } 1 .. 30;
    $_->subscribe('same', 'SELECT id, total FROM orders WHERE total > 100') for @clients;
    $writer->rows(q(INSERT INTO orders VALUES (201, 1, 50), (202, 1, 150)));
    my @got = map { $_->next_message } @clients;
    is_deeply(
        [ map { $_->{message}{changes} } @got ],
        [ ([ { op => 'insert', key => [202], row => { id => 202, total => 150 } } ]) x 30 ],
        'each of 30 connections gets the row');
    my %channels = map { $_->{channel} => 1 } @got;
    is(scalar keys %channels, 30, 'each on its own channel');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM live_queries WHERE messages = 1 AND changes = 1'), 30,
        'the view counts them');
    $_->disconnect for @clients;
    poll_ok($node, q(SELECT count(*) = 0 FROM live_queries WHERE status <> 'terminated'), 'nothing is left of them');
}

# Several subscriptions on one connection show one point in time when `more` is false.
{
    my $client = connect_client($node);
    $client->subscribe('cheap', 'SELECT id FROM orders WHERE total < 10');
    $client->subscribe('all', 'SELECT id FROM orders');
    $client->subscribe('none', 'SELECT id FROM orders WHERE total < 0');
    $writer->rows('INSERT INTO orders VALUES (301, 1, 5)');
    $writer->rows('INSERT INTO orders VALUES (302, 1, 50)');
    my @got = map { $_->{message} } $client->synced;
    is(scalar @got, 3, 'three messages for two transactions');
    is($got[0]{xid}, $got[1]{xid}, 'two of one transaction');
    is($got[0]{seq}, $got[1]{seq}, 'with one seq');
    is(join(' ', sort map { $_->{subscription_id} } @got[ 0, 1 ]), 'all cheap', 'for the two that it changed');
    ok($got[0]{more}, 'more is true in the first');
    ok(!$got[1]{more} && !$got[2]{more}, 'and false in the last of each transaction');
    $client->disconnect;
}

# A transaction of more than 256 kB comes in parts.
{
    my $client = connect_client($node);
    $client->subscribe('parts', 'SELECT id, note FROM orders WHERE customer = 400');
    $writer->rows(q(INSERT INTO orders SELECT i, 400, 0, repeat('x', 1000) FROM generate_series(1001, 1800) i));
    my @got = $client->synced;
    my $longest = 0;
    for (@got) { $longest = length $_->{payload} if length $_->{payload} > $longest }
    cmp_ok(scalar @got, '>=', 3, 'a large transaction comes in parts');
    cmp_ok($longest, '<', 270_000, 'of about 256 kB at most');
    is(scalar(grep { $_->{message}{more} } @got), @got - 1, 'more is true in all but one');
    ok(!$got[-1]{message}{more}, 'the last');
    my %seqs = map { $_->{message}{seq} => 1 } @got;
    is(scalar keys %seqs, 1, 'all have one seq');
    is_deeply([ map { map { $_->{key}[0] } @{ $_->{message}{changes} } } @got ], [ 1001 .. 1800 ], 'every row once, in order');
    $client->disconnect;
    $writer->rows('DELETE FROM orders WHERE customer = 400');
}

# A large row.
{
    my $client = connect_client($node);
    $client->subscribe('large', 'SELECT id, note FROM orders WHERE customer = 500');
    $writer->rows(q(INSERT INTO orders SELECT 501, 500, 0, string_agg(md5(i::text), '') FROM generate_series(1, 1638400) i));
    my $got = $client->next_message;
    cmp_ok(length $got->{payload}, '>', 50 * 1024 * 1024, 'a row with a text of 50 MB is one notification');
    my ($note) = $got->{payload} =~ /"note":"([0-9a-f]+)"\}\}\],"more":false\}$/;
    require Digest::MD5;
    is(Digest::MD5::md5_hex($note // ''), $node->safe_psql('postgres', 'SELECT md5(note) FROM orders WHERE id = 501'), 'and whole');
    $writer->rows('INSERT INTO orders VALUES (502, 500, 0, NULL)');
    is($client->next_message->{message}{changes}[0]{key}[0], 502, 'after it comes what follows');
    ok(wait_until(sub { temp_bytes($node) == 0 }), 'and its place on disk is free again');
    $client->disconnect;
    $writer->rows('DELETE FROM orders WHERE customer = 500');
}

# Characters that the client's encoding does not have.
{
    my $client = connect_client($node, options => { client_encoding => 'LATIN1' });
    $client->subscribe("caf\xe9", 'SELECT id, note FROM orders WHERE customer = 600');
    $writer->rows(qq(INSERT INTO orders VALUES (601, 600, 0, 'caf\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x98\x80 "q" \\ end')));
    my $got = $client->next_message;
    unlike($got->{payload}, qr/[^\x20-\x7e]/, 'the message to a LATIN1 client is ASCII');
    my $message = JSON::PP->new->decode($got->{payload});
    is($message->{changes}[0]{row}{note}, "caf\xe9 \x{2192} \x{1f600} \"q\" \\ end", 'and means the same');
    is($message->{subscription_id}, "caf\xe9", 'the id too');
    my $utf8 = connect_client($node);
    $utf8->subscribe('u', 'SELECT id, note FROM orders WHERE customer = 600');
    $writer->rows(qq(UPDATE orders SET note = '\xe2\x86\x92' WHERE id = 601));
    like($utf8->next_message->{payload}, qr/"note":"\xe2\x86\x92"/, 'a UTF8 client gets UTF8');
    $_->disconnect for $client, $utf8;
}

# Asynchronous commits do not wait for the WAL writer, which sleeps 10 s here.
{
    my $client = connect_client($node);
    $client->subscribe('async', 'SELECT id FROM orders WHERE customer = 700');
    my $asynchronous = connect_client($node, options => { synchronous_commit => 'off' });
    my @seconds;
    for my $id (701 .. 710) {
        push @seconds, seconds_of(sub {
            $asynchronous->rows("INSERT INTO orders VALUES ($id, 700)");
            $client->next_message;
        });
    }
    # If they waited for it, nearly each would wait for about as long as it sleeps. One may be slow
    # because the machine is.
    @seconds = sort { $a <=> $b } @seconds;
    cmp_ok($seconds[4], '<', 4, 'asynchronous commits are delivered quickly');
    note("the slowest took $seconds[-1] s");
    $asynchronous->rows('INSERT INTO orders VALUES (711, 700)');
    is(scalar(map { $_->{message} } $client->synced), 1, 'live.wait_for waits for one');
    $_->disconnect for $client, $asynchronous;
}

# A client in a transaction gets its messages after it.
for my $case (
    [ 'COMMIT',                            'BEGIN',                                       'COMMIT' ],
    [ 'ROLLBACK',                          'BEGIN',                                       'ROLLBACK' ],
    [ 'COMMIT of one that wrote',          'BEGIN; INSERT INTO orders VALUES (899, 0)',   'COMMIT' ],
    [ 'ROLLBACK of one that wrote',        'BEGIN; INSERT INTO orders VALUES (898, 0)',   'ROLLBACK' ],
    [ 'COMMIT of a repeatable read',       'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1', 'COMMIT' ],
    [ 'an error',                          'BEGIN; SELECT 1/0',                           'ROLLBACK' ],
    [ 'COMMIT that is a rollback',         'BEGIN; SELECT 1/0',                           'COMMIT' ]) {
    my ($name, $begin, $end) = @$case;
    my $client = connect_client($node);
    $client->subscribe('patient', 'SELECT id FROM orders WHERE customer = 800');
    $client->error($begin);
    $writer->rows('INSERT INTO orders VALUES (801, 800)');
    poll_ok($node, 'SELECT pending_messages = 1 AND pending_bytes > 0 FROM live_queries', "$name: a message waits");
    $client->error('SELECT 1');
    is_deeply([ $client->taken ], [], "$name: not within the transaction");
    $client->rows($end);
    my $got = $client->next_message;
    is($got->{message}{changes}[0]{key}[0], 801, "$name: delivered after it");
    is($node->safe_psql('postgres', 'SELECT pending_messages FROM live_queries'), 0, "$name: none waits any more");
    $client->disconnect;
    $writer->rows('DELETE FROM orders WHERE customer IN (800, 0)');
    $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM live_queries');
}

# What ends the channel ends the subscriptions.
for my $command ('UNLISTEN channel', 'UNLISTEN *', 'DISCARD ALL') {
    my $client = connect_client($node);
    my $live = $client->subscribe('one', 'SELECT id FROM orders WHERE customer = 900');
    $client->subscribe('two', 'SELECT id FROM orders WHERE customer = 900');
    $client->rows('LISTEN other');
    (my $sql = $command) =~ s/channel/"$live->{channel}"/;
    if ($command ne 'DISCARD ALL') {
        $client->rows("BEGIN; $sql; ROLLBACK");
        $writer->rows('INSERT INTO orders VALUES (901, 900)');
        is(scalar $client->synced, 2, "$command rolled back ends nothing");
    }
    $client->rows($sql);
    is($node->safe_psql('postgres', 'SELECT count(*) FROM live_queries'), 0, "$command ends the subscriptions");
    $writer->rows('INSERT INTO orders VALUES (902, 900)');
    is_deeply([ $client->synced ], [], "$command: no message any more");
    is($client->error(q(SELECT live.refresh('one')))->{C}, '42704', "$command: they are unknown");
    my $again = $client->subscribe('one', 'SELECT id FROM orders WHERE customer = 900');
    $writer->rows('INSERT INTO orders VALUES (903, 900)');
    is($client->next_message->{message}{changes}[0]{key}[0], 903, "$command: one can subscribe again");
    $client->disconnect;
    $writer->rows('DELETE FROM orders WHERE customer = 900');
    $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM live_queries');
}

# LISTEN and NOTIFY of the user's own go on beside.
{
    my $client = connect_client($node);
    $client->rows('LISTEN news');
    $client->subscribe('beside', 'SELECT id FROM orders WHERE customer = 1000');
    $client->rows('LISTEN more_news');
    $writer->rows(q(BEGIN; NOTIFY news, 'first'; INSERT INTO orders VALUES (1001, 1000); NOTIFY more_news, 'second'; COMMIT));
    my %payloads = map { $_->{channel} => $_->{payload} } map { $client->next_message } 1 .. 3;
    is($payloads{news}, 'first', 'a notification of the user');
    is($payloads{more_news}, 'second', 'and on a channel added later');
    is(scalar(grep { /1001/ } values %payloads), 1, 'and a change');
    $client->rows('UNLISTEN news');
    $writer->rows(q(NOTIFY news; NOTIFY more_news, 'third'; INSERT INTO orders VALUES (1002, 1000)));
    my @got = map { $client->next_message->{payload} } 1 .. 2;
    is(scalar(grep { $_ eq 'third' } @got), 1, 'UNLISTEN of another channel leaves the others');
    is(scalar(grep { /1002/ } @got), 1, 'and the subscription');
    $client->rows(q(BEGIN; NOTIFY more_news, 'own'; COMMIT));
    is($client->next_message->{payload}, 'own', 'a connection can notify itself');
    $client->disconnect;
}

# The same in psql.
{
    my $psql = $node->background_psql('postgres');
    $psql->query_safe(q(SELECT * FROM live.subscribe('p', 'SELECT id FROM orders WHERE customer = 1100')));
    $psql->query_safe(q(SELECT * FROM live.snapshot('p')));
    $writer->rows('INSERT INTO orders VALUES (1101, 1100)');
    like(
        scalar $psql->query_safe(q(SELECT live.wait_for(timeout => '60s'))),
        qr/Asynchronous notification "live_queries_[0-9a-f]+" with payload "\{"type":"changes","subscription_id":"p",.*\[1101\].*"more":false\}" received from server process with PID \d+\./,
        'psql shows a change');
    $psql->quit;
}

$writer->disconnect;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
