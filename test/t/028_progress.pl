# Messages of progress: all up to a position has been told, and a snapshot says which transactions are in that. They come for
# sessions that ask for them, notified or polled, and tell of one's own write also where it has changed nothing.
use strict;
use warnings FATAL => 'all';
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('progress');
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, n int);
    CREATE TABLE other (id int);
    ALTER TABLE t REPLICA IDENTITY FULL;
    SQL
my $writer = connect_client($node);
my $json = JSON::PP->new->utf8;

# Whether a message's snapshot sees a transaction.
sub sees {
    my ($message, $xid) = @_;
    return $writer->value("SELECT pg_visible_in_snapshot('$xid', '$message->{snapshot}')") eq 't';
}

# Writes, and returns the transaction's number.
sub write_it {
    my ($sql) = @_;
    return $writer->value("WITH w AS ($sql RETURNING 1) SELECT pg_current_xact_id() FROM w LIMIT 1");
}

# Takes messages by $next until one of progress sees $xid; returns them all.
sub until_seen {
    my ($next, $xid) = @_;
    my @messages;
    for (;;) {
        my $message = $next->() // die 'no message of progress';
        push @messages, $message;
        return @messages if $message->{type} eq 'progress' && sees($message, $xid);
    }
}

sub check {
    my ($how, $client, $next) = @_;
    my $xid = write_it('INSERT INTO t VALUES (1, 5)');
    my @messages = until_seen($next, $xid);
    is(scalar(grep { $_->{type} eq 'changes' } @messages), 1, "$how: what was written is told before");
    $xid = write_it('INSERT INTO other VALUES (1)');
    @messages = until_seen($next, $xid);
    is_deeply([grep { $_->{type} ne 'progress' } @messages], [], "$how: what is not watched is in it, too");
    is_deeply([sort keys %{ $messages[-1] }], [qw(seq snapshot type)], "$how: what is in it");

    # While a transaction is open, what came after it is in the snapshot, and it is not.
    my $open = connect_client($node);
    $open->rows('BEGIN; INSERT INTO t VALUES (2, 5)');
    my $running = $open->value('SELECT pg_current_xact_id()');
    $xid = write_it('INSERT INTO t VALUES (3, 5)');
    @messages = until_seen($next, $xid);
    ok(!sees($messages[-1], $running), "$how: one that is running is not in it");
    my $seq = $messages[-1]{seq};
    $open->rows('COMMIT');
    @messages = until_seen($next, $running);
    is(scalar(grep { $_->{type} eq 'changes' && $_->{seq} gt $seq } @messages), 1, "$how: until it has been told");
    my @seqs = map { $_->{seq} } @messages;
    is_deeply(\@seqs, [sort @seqs], "$how: seq does not decrease");
    my @snapshots = map { $_->{snapshot} // () } @messages;
    is(scalar(@snapshots), scalar(keys %{ { map { $_ => 1 } @snapshots } }), "$how: none twice");
    $writer->rows('DELETE FROM t');
    return;
}

my $notified = connect_client($node);
$notified->subscribe('t', 'SELECT id, n FROM t WHERE n = 5');
$notified->read_snapshot('t');
$notified->rows("SET live_queries.progress_interval = '1ms'");
check('notified', $notified, sub { my $taken = $notified->next_message(60); return $taken && $taken->{message} });

# Nothing but the subscription itself, or an error, comes before.
my $idle = connect_client($node);
$idle->rows("SET live_queries.progress_interval = '1ms'");
$idle->subscribe('t', 'SELECT id FROM t WHERE n = 6');
my $take_idle = sub { my $taken = $idle->next_message(60); return $taken && $taken->{message} };
ok(until_seen($take_idle, write_it('INSERT INTO other VALUES (3)')), 'an idle session is told');
is($idle->error('SELECT 1 / 0')->{C}, '22012', 'an error stops all timers');
ok(until_seen($take_idle, write_it('INSERT INTO other VALUES (4)')), 'after it, it is told as well');

my $polling = connect_client($node);
$polling->rows(q(SELECT * FROM live.subscribe('t', 'SELECT id, n FROM t WHERE n = 5', delivery => 'poll', "snapshot" => false)));
$polling->rows("SET live_queries.progress_interval = '1ms'");
check('polled', $polling, sub {
    my $rows = $polling->rows("SELECT seq, subscription_id, message FROM live.poll(1, '60 s')");
    my $message = @$rows ? $json->decode($rows->[0][2]) : return;
    die 'progress of a subscription' if $message->{type} eq 'progress' && defined $rows->[0][1];
    return $message;
});

$notified->rows('RESET live_queries.progress_interval');
$notified->synced;
write_it('INSERT INTO other VALUES (2)');
$notified->synced;
is_deeply([grep { $_->{message}{type} eq 'progress' } $notified->taken], [], 'not asked for any more');
done_testing();
