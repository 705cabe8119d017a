# Live queries that ask the clock: rows leave on time, whatever the strategy and with nothing written; all of a connection tell one
# time for one point; such rows are found without evaluating the whole; another evaluator begins anew, and so does what could not be evaluated at a step; where the next row is known, nothing is
# evaluated before its moment; and nobody is woken where nobody asks.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('clock', 'live_queries.idle_timeout = 1h');
my $writer = connect_client($node);
$writer->rows(<<~SQL);
    CREATE TABLE jobs (id int PRIMARY KEY, kind text, due timestamptz);
    CREATE TABLE plain (id int PRIMARY KEY);
    ALTER TABLE plain REPLICA IDENTITY FULL;
    INSERT INTO jobs SELECT i, 'k' || i % 3, 'infinity' FROM generate_series(1, 20) i;
    SQL

my $client = connect_client($node);

# subscribed(CLIENT, ID, QUERY, REFRESH): with steps of its own.
sub subscribed {
    my ($by, $id, $query, $refresh) = @_;
    my $row = $by->rows("SELECT strategy FROM live.subscribe('$id', \$query\$$query\$query\$, refresh_every => '$refresh')")->[0];
    $by->read_snapshot($id);
    return $row->[0];
}

# left_at(CLIENT, WANTED): applies messages until each id of WANTED has left each of the live queries that it names, and
# returns {id => {live query => message}}.
sub left_at {
    my ($by, $wanted) = @_;
    my %left;
    my $missing = 0;
    $missing += @{ $wanted->{$_} } for keys %$wanted;
    while ($missing > 0) {
        my $message = ($by->next_message // last)->{message};
        die "$message->{type}: " . ($message->{reason} // '') if $message->{type} ne 'changes';
        apply_changes($by->{states}{ $message->{subscription_id} }, $message);
        for my $change (grep { $_->{op} eq 'delete' } @{ $message->{changes} }) {
            next unless grep { $_ eq $message->{subscription_id} } @{ $wanted->{ $change->{row}{id} } // [] };
            $left{ $change->{row}{id} }{ $message->{subscription_id} } = $message;
            --$missing;
        }
    }
    return \%left;
}

# caught_up(CLIENT): applies all that has been told of what has committed.
sub caught_up {
    my ($by) = @_;
    for my $message (map { $_->{message} } $by->synced) {
        die "$message->{type}: " . ($message->{reason} // '') if $message->{type} ne 'changes';
        apply_changes($by->{states}{ $message->{subscription_id} }, $message);
    }
    return 1;
}

# due_soon(CLIENT, ID...): makes these rows due one after another, in time for nothing but the clock to tell of it: what it was
# before that has been told already.
sub due_soon {
    my ($by, @ids) = @_;
    my $list = join ', ', @ids;
    for my $seconds (1, 2, 4, 8, 16, 32) {
        $writer->rows("UPDATE jobs SET due = clock_timestamp() + $seconds * interval '0.3 s' + id * interval '0.1 s' WHERE id IN ($list)");
        caught_up($by);
        return if $writer->value("SELECT min(due) > clock_timestamp() + interval '0.2 s' FROM jobs WHERE id IN ($list)") eq 't';
        $writer->rows("UPDATE jobs SET due = 'infinity' WHERE id IN ($list)");
        caught_up($by);
    }
    BAIL_OUT('this machine is too slow to be in time for anything');
}

my %queries = (
    row   => 'SELECT id FROM jobs WHERE due > now()',
    whole => 'WITH RECURSIVE r AS (SELECT id FROM jobs WHERE due > now() UNION SELECT -id FROM r WHERE id > 0) SELECT id FROM r',
    group => 'SELECT kind AS id FROM jobs GROUP BY kind HAVING max(due) > now()',
);
is(subscribed($client, 'row', $queries{row}, '100 ms'), 'delta', 'a row is kept by delta');
is(subscribed($client, 'whole', $queries{whole}, '100 ms'), 'refresh', 'what has no grain by refresh');
is(subscribed($client, 'group', $queries{group}, '100 ms'), 'delta', 'a group by delta');
is(subscribed($client, 'plain', 'SELECT id FROM plain', '100 ms'), 'stream', 'a stream beside them');

# ---- on time ----
due_soon($client, 3, 6);
my $left = left_at($client, { 3 => [ 'row', 'whole' ], 6 => [ 'row', 'whole' ] });
for my $id (3, 6) {
    my %told = %{ $left->{$id} };
    for my $name (sort keys %told) {
        is($told{$name}{xid}, undef, "$name: the clock has no transaction");
        ok(!exists $told{$name}{xids}, "$name: nor several");
        is($writer->value("SELECT '$told{$name}{committed_at}' >= due FROM jobs WHERE id = $id"), 't', "$name: row $id left when it was due");
        is($writer->value("SELECT extract(epoch FROM timestamptz '$told{$name}{committed_at}') * 10 % 1 = 0"), 't', "$name: at a step of the clock");
    }
    is($told{row}{committed_at}, $told{whole}{committed_at}, "row $id left both at one time");
    is($told{row}{seq}, $told{whole}{seq}, 'and position');
}
$writer->rows(q(INSERT INTO plain VALUES (1); UPDATE jobs SET due = now() + interval '0.4 s' WHERE kind = 'k1'));
$left = left_at($client, { k1 => ['group'] });
is($client->{states}{group}{'["k1"]'}, undef, 'a group leaves with its last row');
for my $name ('row', 'whole', 'group') {
    ok(wait_until(sub { caught_up($client); @{ $client->state_of($name) } == @{ $client->rows_now($queries{$name}) } }), "$name: as many rows as now");
}

# ---- a time that is set by others ----
# Nothing but the clock of their own steps moves them: a day has hardly begun with this one.
my $to_midnight = 86400 - time % 86400; # in UTC, as the steps are
sleep $to_midnight + 1 if $to_midnight < 120;
my $slow = connect_client($node);
my $times = 'SELECT count(*) AS n, now() AS clock FROM jobs';
subscribed($slow, 'slow', $times, '1 day');
my $day = $slow->value(q(SELECT date_trunc('day', now(), 'UTC')));
subscribed($slow, 'fast', $times, '100 ms');
my %told = (fast => 0, slow => 0);
while ($told{fast} < 3) { ++$told{ ($slow->next_message // last)->{message}{subscription_id} } }
is($told{fast}, 3, 'a query in short steps');
is($told{slow}, 0, 'does not move the same one in long steps');
$slow->rows(q(SELECT live.unsubscribe('fast')));
$slow->taken;
like($slow->state_of('slow')->[0], qr/"n":20/, 'one that goes in days');
$writer->rows(q(INSERT INTO jobs VALUES (30, 'k4', 'infinity')));
my ($message) = map { $_->{message} } $slow->synced;
is($message->{changes}[0]{row}{n}, 21, 'is told of a transaction at once');
is($slow->value("SELECT '$message->{committed_at}'::timestamptz = '$day'"), 't', 'and the time is that of its steps');
like($message->{xid}, qr/^\d+$/, 'so that it is a message of the transaction');
$slow->rows('SELECT live.unsubscribe_all()');

# ---- another evaluator ----
my $evaluator = $node->safe_psql('postgres', q(SELECT pid FROM live.workers WHERE kind = 'evaluator'));
$node->safe_psql('postgres', "SELECT pg_terminate_backend($evaluator)");
my %reset;
while (keys %reset < 3) {
    my $told = ($client->next_message // last)->{message};
    $reset{ $told->{subscription_id} } = 1 if $told->{type} eq 'reset';
}
is_deeply([ sort keys %reset ], [ 'group', 'row', 'whole' ], 'an evaluator that ends resets them');
$client->refresh($_) for sort keys %reset;
$writer->rows(q(UPDATE jobs SET due = now() + interval '0.5 s' WHERE id IN (9, 12)));
$left = left_at($client, { 9 => [ 'row', 'whole' ], 12 => [ 'row', 'whole' ] });
is(keys %$left, 2, 'and with the next one rows leave on time');

# ---- in a transaction of the client ----
$client->rows(q(BEGIN; SELECT 1));
$writer->rows(q(UPDATE jobs SET due = now() + interval '0.2 s' WHERE id = 15));
sleep 0.6;
is($client->taken, 0, 'within a transaction nothing is told');
$client->rows('COMMIT');
$left = left_at($client, { 15 => [ 'row', 'whole' ] });
is(keys %$left, 1, 'but after it');

# ---- a table that is locked at a step ----
$writer->rows('BEGIN; LOCK TABLE jobs');
%reset = ();
while (keys %reset < 3) {
    my $told = ($client->next_message // last)->{message};
    $reset{ $told->{subscription_id} } = $told->{reason} if $told->{type} eq 'reset';
}
is_deeply(\%reset, { map { $_ => 'a table of the query was locked for too long' } 'group', 'row', 'whole' }, 'what cannot be evaluated at a step is reset');
$writer->rows('COMMIT');
$client->refresh($_) for sort keys %reset;
$writer->rows(q(UPDATE jobs SET due = now() + interval '0.3 s' WHERE id = 18));
is(keys %{ left_at($client, { 18 => [ 'row', 'whole' ] }) }, 1, 'and goes on after that');

# ---- rows that are found by the column ----
$client->rows(q(SELECT live.unsubscribe('group'), live.unsubscribe('whole')));
$writer->rows(q(CREATE INDEX ON jobs (due); INSERT INTO jobs VALUES (40, 'k5', 'infinity'), (41, 'k5', 'infinity')));
caught_up($client); # what is told of the time before the refresh is not to be taken for later
$client->refresh('row');
is(subscribed($client, 'next', "SELECT id, due FROM jobs WHERE due > now() AND kind = 'k5' ORDER BY due, id LIMIT 1", '100 ms'), 'delta', 'a list that moves with the time');
is(subscribed($client, 'left', 'SELECT kind, count(*) AS n FROM jobs j WHERE NOT EXISTS (SELECT FROM jobs k WHERE k.kind = j.kind AND k.due > now()) GROUP BY kind', '100 ms'),
    'delta', 'and groups of what there is none of any more');
caught_up($client);
sub refreshes { return $node->safe_psql('postgres', q(SELECT refreshes FROM live.workers WHERE kind = 'evaluator')) }
my $refreshes = refreshes();
due_soon($client, 40, 41);
$left = left_at($client, { 40 => [ 'row', 'next' ], 41 => [ 'row' ] });
is($left->{40}{row}{committed_at}, $left->{40}{next}{committed_at}, 'a row leaves all of them at one time');
ok(wait_until(sub { caught_up($client); ($client->{states}{left}{'["k5"]'} // '') =~ /"n":2/ }), 'and makes a group that of which there is none');
is(refreshes(), $refreshes, 'none of them was evaluated as a whole');

# ---- by an alarm ----
sub evaluations { return $node->safe_psql('postgres', q(SELECT evaluations || ' in ' || batches FROM live.workers WHERE kind = 'evaluator')) }
# leaves_on_time(CLIENT, ID, LIVE QUERY, WHEN): row ID is made due, and leaves at that moment or some milliseconds later.
sub leaves_on_time {
    my ($by, $id, $name, $when) = @_;
    my $told = left_at($by, { $id => [$name] })->{$id}{$name};
    is($told->{xid}, undef, "$when: by the clock");
    my $late = $writer->value("SELECT extract(epoch FROM timestamptz '$told->{committed_at}' - due) FROM jobs WHERE id = $id");
    ok($late >= 0 && $late < 300, "$when: the row leaves at its moment ($late s later), and not an hour later");
}
$client->rows(q(SELECT live.unsubscribe('row'), live.unsubscribe('next'), live.unsubscribe('left')));
$writer->rows(q(UPDATE jobs SET due = 'infinity'));
subscribed($client, 'hour', 'SELECT id FROM jobs WHERE due > now()', '1 h');
subscribed($client, 'between', q(SELECT j.id FROM jobs j LEFT JOIN jobs k ON k.id = j.id + 1 AND k.due < now() + interval '1 min' WHERE j.due BETWEEN now() - interval '1 h' AND now()), '1 h');
subscribed($client, 'days', q(SELECT id FROM jobs WHERE due > now() - interval '7 days' AND due < (current_date + 10)::timestamptz), '1 h');
caught_up($client);
my $to_quarter = 900 - time % 900; # of an hour, at which days are looked at
sleep $to_quarter + 1 if $to_quarter < 10;
sleep 0.2;
my $idle = evaluations();
sleep 2;
is(evaluations(), $idle, 'nothing is evaluated where no row is to come or to leave');
due_soon($client, 3);
leaves_on_time($client, 3, 'hour', 'an update brings an alarm');
ok(wait_until(sub { caught_up($client); exists $client->{states}{between}{'[3]'} }), 'a row that leaves one window comes into another');
due_soon($client, 6);
$writer->rows(q(UPDATE jobs SET due = now() + interval '1 h' WHERE id = 6; INSERT INTO jobs VALUES (50, 'k6', now() + interval '3 s')));
leaves_on_time($client, 50, 'hour', 'one that is put off, and an earlier one');
$writer->rows(q(DELETE FROM jobs WHERE id = 6; UPDATE jobs SET due = now() - interval '7 days' + interval '3 s' WHERE id = 9));
my $week = left_at($client, { 9 => ['days'] })->{9}{days};
ok($writer->value("SELECT '$week->{committed_at}' BETWEEN due + interval '7 days' AND due + interval '7 days 300 s' FROM jobs WHERE id = 9") eq 't', 'a row of a week ago leaves on time');
caught_up($client);
# One that is in a transaction, and one for which nobody is there at its moment.
$client->rows('BEGIN; SELECT 1');
$writer->rows(q(UPDATE jobs SET due = now() + interval '2 s' WHERE id = 12));
sleep 2.5;
$client->rows('COMMIT');
leaves_on_time($client, 12, 'hour', 'within a transaction of the client');
$client->rows('SELECT live.unsubscribe_all()');
$writer->rows(q(UPDATE jobs SET due = now() + interval '0.3 s' WHERE id = 15));
sleep 0.5;
subscribed($client, 'hour', 'SELECT id FROM jobs WHERE due > now()', '1 h');
ok(!exists $client->{states}{hour}{'[15]'}, 'a first result is not as old as the last alarm');

# Many rows, one after the other: together, as often as steps are.
$writer->rows(q(INSERT INTO jobs SELECT n, 'many', clock_timestamp() + interval '0.5 s' + n * interval '1 ms' FROM generate_series(1001, 2000) n));
caught_up($client);
my ($before_many) = evaluations() =~ /^(\d+)/;
ok(wait_until(sub { caught_up($client); !grep { /"id":1\d\d\d\}/ || /"id":2000/ } @{ $client->state_of('hour') } }), 'a thousand rows leave');
my ($after_many) = evaluations() =~ /^(\d+)/;
cmp_ok($after_many - $before_many, '<=', 150, 'but are not evaluated one by one');

# Without the index there is no alarm.
$writer->rows('DROP INDEX jobs_due_idx');
$message = ($client->next_message // last)->{message} until $message->{type} eq 'reset';
is($message->{subscription_id}, 'hour', 'without its index there is no alarm any more');
$client->refresh('hour');
like($client->value(q(SELECT value FROM live.explain('SELECT id FROM jobs WHERE due > now()') WHERE property = 'clock')), qr/in steps .* no index/, 'but steps');
$client->rows('SELECT live.unsubscribe_all()');

# ---- nobody ----
sub batches { return $node->safe_psql('postgres', q(SELECT batches FROM live.workers WHERE kind = 'evaluator')) }
subscribed($client, 'count', 'SELECT count(*) AS n FROM jobs', '10 ms');
$client->synced;
my $before = batches();
sleep 2;
is(batches(), $before, 'where nobody asks the clock, nothing is evaluated');

$node->stop;
done_testing();
