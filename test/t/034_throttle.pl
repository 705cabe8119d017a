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
    die "a message $message->{message}{type}" if $message->{message}{type} ne 'changes';
    LiveQueries::apply_changes($client->{states}{ $message->{message}{subscription_id} }, $message->{message});
    return $message->{message};
}

# Two messages of changes, of which some may have come with what the client has done.
sub two_come {
    my (@messages) = map { $_->{message} } @_;
    push @messages, $client->next_message->{message} while @messages < 2;
    return is(join(' ', map { $_->{type} } @messages), 'changes changes', 'two messages of changes');
}

# ---- time ------------------------------------------------------------------------------------------------------

my @queries = (
    t   => 'SELECT id, n FROM t',
    sum => 'SELECT count(*) AS count, sum(t.n) AS n FROM t JOIN other o ON o.id = t.id');
my %query = @queries;
$writer->rows('INSERT INTO other VALUES (1, 1)');
throttled($_, $query{$_}, '2 s') for sort keys %query;
write_times(1, 'UPDATE t SET n = n + 1');
next_changes() for 1, 2;
my $start = time;
write_times(20, 'UPDATE t SET n = n + 1');
my @messages = map { next_changes() } 1, 2;
# It may have waited for this program to read the first.
cmp_ok(time - $start, '>', 1, 'the second message comes later');
is_deeply([ map { $_->{more} ? 1 : 0 } @messages ], [ 1, 0 ], 'and both live queries are told together');
is($messages[0]{seq}, $messages[1]{seq}, 'at one point');
is_deeply([ map { scalar @{ $_->{changes} } } @messages ], [ 1, 1 ], 'with one change each');
is_deeply([ map { $_->{xid} } @messages ], [ undef, undef ], 'of several transactions');
is_deeply($client->state_of($_), $client->rows_now($query{$_}), "$_ is exact") for sort keys %query;

# ---- the session is busy, or fails -----------------------------------------------------------------------------

write_times(3, 'UPDATE t SET n = n + 1');
@messages = $client->synced;
$client->error('SELECT 1 / 0');
two_come(@messages, $client->taken);
write_times(3, 'UPDATE t SET n = n + 1');
@messages = $client->synced;
$client->rows('BEGIN; SELECT pg_sleep(2.5); COMMIT');
two_come(@messages, $client->taken);
$client->rows('SELECT live.unsubscribe_all()');

# ---- much ------------------------------------------------------------------------------------------------------

# A row that changes all the time, by more in all than there is room for.
throttled('all', 'SELECT * FROM t', '1 h');
write_times(1, 'UPDATE t SET n = n + 1');
next_changes();
$client->rows(q{SELECT live.pause('all')});
for (1 .. 2) {
    write_times(200, q{UPDATE t SET n = n + 1, note = repeat('abc', 20000 + n)});
    $client->synced;
}
$client->rows(q{SELECT live.resume('all')});
write_times(1, 'UPDATE t SET n = -1');
$client->synced;
is($client->rows(q{SELECT status, resets FROM live_queries WHERE subscription_id = 'all'})->[0][1], 0,
    'what is merged has room');
# Nothing of it is left.
$client->rows(q{SELECT live.unsubscribe('all')});
ok(wait_until(sub { !temp_bytes($node) }), 'nothing is left in files');

# More rows than there is room for.
throttled('all', 'SELECT * FROM t', '1 h');
write_times(1, 'UPDATE t SET n = n + 1');
next_changes();
write_times(40, q{INSERT INTO t SELECT 1000 + (SELECT max(id) FROM t) + j, j, repeat(md5(j::text), 2000) FROM generate_series(1, 10) j});
my ($reset) = map { $_->{message} } $client->synced;
is($reset->{type}, 'reset', 'too much is reset at once');
like($reset->{reason}, qr/throttled/, 'with the reason');
$client->refresh('all');
$writer->rows('DELETE FROM t WHERE id > 1000');
$client->disconnect;
ok(wait_until(sub { !temp_bytes($node) }), 'nothing is left in files when the client goes');

done_testing();
