# A throttle: at least so long between two messages, which come by themselves when their time has come, also after an error of the
# session; each is what all in between comes to, however much that was.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('throttle', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.spill_size = 16MB
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, n int, note text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    CREATE TABLE other (id int PRIMARY KEY, n int);
    INSERT INTO t VALUES (1, 0, 'x');
    SQL
my $writer = connect_client($node);
my $client = connect_client($node);

# subscribe(ID, QUERY, THROTTLE)
sub throttled {
    my ($id, $query, $throttle) = @_;
    $client->rows("SELECT live.subscribe('$id', \$\$$query\$\$, throttle => '$throttle')");
    $client->read_snapshot($id);
    return;
}

sub write_times {
    my ($times, $sql) = @_;
    $writer->rows("DO \$\$ BEGIN FOR i IN 1..$times LOOP $sql; COMMIT; END LOOP; END \$\$");
    return;
}

# The next message, which has to be of changes.
sub next_changes {
    my $message = $client->next_message // die 'no message';
    return apply($message);
}

sub apply {
    my ($message) = map { $_->{message} } @_;
    die "a message $message->{type}" if $message->{type} ne 'changes';
    my $id = $message->{subscription_id};
    if ($id eq 'list') {
        apply_to_list($message);
    } else {
        LiveQueries::apply_changes($client->{states}{$id}, $message);
    }
    return $message;
}

# Takes out what leaves or moves, then puts in what comes by its position.
my @list;

sub apply_to_list {
    my ($message) = @_;
    my %is_in = map { $_->{id} => 1 } @list;
    for my $change (@{ $message->{changes} }) {
        my $id = $change->{key}[0];
        die "$change->{op} of $id" unless ($is_in{$id} xor $change->{op} eq 'insert');
        @list = grep { $_->{id} != $id } @list;
    }
    for my $change (sort { $a->{position} <=> $b->{position} } grep { $_->{op} ne 'delete' } @{ $message->{changes} }) {
        die "position $change->{position} in a list of " . @list if $change->{position} > @list;
        splice @list, $change->{position}, 0, $change->{row};
    }
    return;
}

# Receives, without a statement of the client, until its state of all the queries is that of now. Returns the messages.
sub exact_in_time {
    my ($queries, @messages) = @_;
    apply($_) for @messages;
    for my $id (sort keys %$queries) {
        my $rows = $writer->rows_now($queries->{$id});
        while (join(',', @{ $client->state_of($id) }) ne join(',', @$rows)) {
            push @messages, $client->next_message // die "$id is not told in time";
            apply($messages[-1]);
        }
    }
    # The rest of the point.
    while ($messages[-1]{message}{more}) {
        push @messages, $client->next_message // die 'no end of a point';
        apply($messages[-1]);
    }
    pass('told in time: ' . join ' ', sort keys %$queries);
    return map { $_->{message} } @messages;
}

# ---- time ------------------------------------------------------------------------------------------------------

my %query = (
    t   => 'SELECT id, n FROM t',
    sum => 'SELECT count(*) AS count, sum(t.n) AS n FROM t JOIN other o ON o.id = t.id');
$writer->rows('INSERT INTO other VALUES (1, 1)');
throttled($_, $query{$_}, '2 s') for sort keys %query;
my $start = time;
write_times(1, 'UPDATE t SET n = n + 1');
next_changes() for 1, 2;
write_times(20, 'UPDATE t SET n = n + 1');
my @messages = exact_in_time(\%query);
cmp_ok(time - $start, '>=', 2, 'the last message comes after the time');
is(scalar(grep { $_->{subscription_id} eq $messages[0]{subscription_id} } @messages), @messages / 2, 'both are told, and that each time');
for my $i (0 .. @messages / 2 - 1) {
    my ($first, $second) = @messages[ 2 * $i, 2 * $i + 1 ];
    is_deeply([ $first->{more} ? 1 : 0, $second->{more} ? 1 : 0, $first->{seq} ], [ 1, 0, $second->{seq} ], 'together, as one point');
}
is_deeply([ grep { @{ $_->{changes} } != 1 } @messages ], [], 'with one change each');
my $transactions = 0;
$transactions += defined $_->{xid} ? 1 : @{ $_->{xids} } for grep { $_->{subscription_id} eq 't' } @messages;
is($transactions, 20, 'which is that of all transactions');
ok(scalar(grep { !defined $_->{xid} } @messages), 'of several in a message');

# ---- the session is busy, or fails -----------------------------------------------------------------------------

write_times(3, 'UPDATE t SET n = n + 1');
@messages = $client->synced;
$client->error('SELECT 1 / 0');
exact_in_time(\%query, @messages, $client->taken);
write_times(3, 'UPDATE t SET n = n + 1');
@messages = $client->synced;
$client->rows('BEGIN; SELECT pg_sleep(2.5); COMMIT');
exact_in_time(\%query, @messages, $client->taken);
$client->rows('SELECT live.unsubscribe_all()');

# ---- a list ----------------------------------------------------------------------------------------------------

$writer->rows('INSERT INTO t SELECT i, i * 10, i FROM generate_series(2, 12) i');
my $list = 'SELECT id, n FROM t ORDER BY n DESC, id LIMIT 5';
throttled('list', $list, '1 s');
my $json = JSON::PP->new->canonical;
my $rows_of = sub { [ map { $json->decode($_->[0]) } @{ $writer->rows("SELECT row_to_json(q) FROM ($list) q") } ] };
@list = @{ $rows_of->() };
for my $round (1 .. 3) {
    write_times(20, "UPDATE t SET n = n + (37 * i * id) % 100 - 50 WHERE id % 3 = i % 3");
    write_times(5, "DELETE FROM t WHERE id = (SELECT id FROM t ORDER BY n DESC LIMIT 1)") if $round == 2;
    write_times(5, "INSERT INTO t SELECT max(id) + 1, max(n) - i * 10 FROM t") if $round == 2;
    my $rows = $rows_of->();
    my $more = 1;
    until (!$more && $json->encode(\@list) eq $json->encode($rows)) {
        $more = next_changes()->{more};
    }
    pass("the list is right, in round $round");
}
$client->rows('SELECT live.unsubscribe_all()');
$writer->rows('DELETE FROM t WHERE id > 1');
$writer->rows('INSERT INTO t VALUES (1, 0) ON CONFLICT DO NOTHING');

# ---- a reset ---------------------------------------------------------------------------------------------------

# Both wait for the end of a transaction that subscribes: a reset, and what another one of the same throttle has gathered before it.
$writer->rows('CREATE TABLE emptied (id int PRIMARY KEY)');
throttled('emptied', 'SELECT DISTINCT id FROM emptied', '2 h');
throttled('kept', 'SELECT DISTINCT id FROM other', '2 h');
$client->rows(q{BEGIN; SELECT live.subscribe('new', 'SELECT DISTINCT n FROM t', "snapshot" => false)});
$writer->rows('WITH e AS (INSERT INTO emptied VALUES (1)) INSERT INTO other VALUES (2, 2)');
$client->arrived;
$writer->rows('TRUNCATE emptied');
$client->arrived;
$client->rows('SELECT live.poll(); COMMIT');
@messages = map { $_->{message} } $client->synced;
is(join(', ', map { "$_->{subscription_id} $_->{type}" } @messages),
    'emptied reset, kept changes', 'a reset is told before what others are told of the time that was gathered');
ok(!$messages[-1]{more}, 'which is a point of its own');
$client->rows('SELECT live.unsubscribe_all()');
$writer->rows('DELETE FROM other WHERE id = 2');

# ---- much ------------------------------------------------------------------------------------------------------

# Writes it so often, a few at a time, lest more waits for the client than there is room for. Returns what the client is told.
sub write_much {
    my ($times, $sql) = @_;
    my @told;
    for (my $left = $times; $left > 0; $left -= 40) {
        write_times(40, $sql);
        push @told, map { $_->{message}{reason} // $_->{message}{type} } $client->synced;
    }
    return join ', ', @told;
}

# A row that changes all the time, by more in all than there is room for.
my $change_one = q{UPDATE t SET n = n + 1, note = repeat('abc', 20000 + n) WHERE id = 1};
my $add_more = q{INSERT INTO t SELECT 1000 + (SELECT max(id) FROM t) + j, j, repeat(md5(j::text), 300) FROM generate_series(1, 10) j};
throttled('all', 'SELECT * FROM t', '1 h');
write_times(1, 'UPDATE t SET n = n + 1');
next_changes();
is(write_much(40, 'UPDATE t SET n = n + 1'), '', 'the next one waits for its time');
$client->rows(q{SELECT live.pause('all')});
is(write_much(400, $change_one), '', 'what is merged has room');
$client->rows(q{SELECT live.resume('all')});
is(write_much(40, 'UPDATE t SET n = n + 1'), '', 'also where it was paused');
# Nothing of it is left.
$client->rows(q{SELECT live.unsubscribe('all')});
ok(wait_until(sub { !temp_bytes($node) }), 'nothing is left in files');

# The same beside rows that fill more than half of the room.
throttled('all', 'SELECT * FROM t', '1 h');
write_times(1, 'UPDATE t SET n = n + 1');
next_changes();
is(write_much(80, $add_more) . write_much(200, $change_one), '', 'what is merged has room beside others');

# More rows than there is room for.
my $reset = '';
for (1 .. 10) {
    $reset ||= write_much(40, $add_more);
}
like($reset, qr/^too many changes came between two messages of a throttled/, 'too much is reset at once');
$client->refresh('all');
is($client->value(q{SELECT count(*) FROM live_queries WHERE status = 'active'}), 1, 'and goes on after a refresh');
$client->disconnect;
ok(wait_until(sub { !temp_bytes($node) }), 'nothing is left in files when the client goes');

done_testing();
