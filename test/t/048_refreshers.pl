# Whole queries are evaluated beside the others: whoever has none of them does not wait for one that takes long, and a
# connection that has both shows one point in time.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('refreshers', 'live_queries.idle_timeout = 1h');
my $writer = connect_client($node);
$writer->rows(<<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, grp int, n int NOT NULL);
    CREATE TABLE u (id int PRIMARY KEY, name text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t SELECT i, i % 5, i FROM generate_series(1, 50) i;
    INSERT INTO u SELECT i, 'u' || i FROM generate_series(0, 4) i;
    CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
      \$\$ BEGIN IF n >= 1000 THEN PERFORM pg_sleep(3); END IF; RETURN n; END \$\$;
    SQL

my %queries = (
    joined => 'SELECT t.id, t.n, u.name FROM t JOIN u ON u.id = t.grp',
    rows   => 'SELECT id, n FROM t WHERE id > 10',
    whole  => 'SELECT grp, sum(slow(n)) AS sum FROM t GROUP BY GROUPING SETS ((grp), ())',
    small  => 'SELECT grp, sum(n) AS sum FROM t GROUP BY ROLLUP (grp)',
);
my %clients = (apart => ['joined'], costly => ['whole'], both => [qw(joined rows whole)], rolled => [qw(joined small)]);
my %client = map { $_ => connect_client($node) } keys %clients;
my %strategy;
for my $name (keys %clients) {
    $strategy{$_} = $client{$name}->subscribe($_, $queries{$_})->{strategy} for @{ $clients{$name} };
}
is_deeply(\%strategy, { joined => 'delta', rows => 'stream', whole => 'refresh', small => 'refresh' }, 'each by its strategy');

sub pid_of {
    my ($kind) = @_;
    return $writer->value("SELECT pid FROM live.workers WHERE kind = '$kind' AND state = 'running'");
}

sub change { $writer->rows('UPDATE t SET n = n + 1 WHERE id IN (20, 21)'); return }

sub exact_ok {
    my ($name, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply($client{$name}->state_of($_), $writer->rows_now($queries{$_}), "$what: $_ of $name is exact") for @{ $clients{$name} };
    return;
}

sub all_go_on {
    my ($what) = @_;
    change();
    for my $name (sort keys %clients) {
        is_deeply($client{$name}->told, $clients{$name}, "$what: $name is told of changes only");
        exact_ok($name, $what);
    }
    return;
}

is_deeply($writer->rows('SELECT kind FROM live.workers WHERE pid IS NOT NULL ORDER BY kind'), [ ['decoder'], ['evaluator'], ['refresher'] ],
    'three workers');
all_go_on('at first');

# ---- one that takes long ----
{
    $writer->rows('UPDATE t SET n = 1000 WHERE id = 20');
    is_deeply($client{apart}->told, ['joined'], 'whoever has no whole query does not wait');
    exact_ok('apart', 'beside one that takes long');
    ok(wait_until(sub { $writer->value(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'live_queries refresher' AND wait_event = 'PgSleep')) }),
        'the refresher is still at it');
    $writer->rows('UPDATE t SET n = n + 1 WHERE id = 21');
    is_deeply($client{apart}->told, ['joined'], 'and again');
    is($client{both}->value('SELECT 1'), 1, 'one that has both');
    is_deeply([ $client{both}->taken ], [], 'waits for both');
    # What both read of one moment is the same wherever a message says that all is told of it.
    my ($points, $differ) = (0, 0);
    for my $message (map { $_->{message} } $client{both}->synced) {
        LiveQueries::apply_changes($client{both}{states}{ $message->{subscription_id} }, $message);
        next if $message->{more};
        my ($total) = map { /"grp":null,"sum":(\d+)/ ? $1 : () } @{ $client{both}->state_of('whole') };
        my $sum = 0;
        $sum += /"n":(\d+)/ ? $1 : 0 for @{ $client{both}->state_of('joined') };
        ++$points;
        ++$differ if $sum != $total;
    }
    cmp_ok($points, '>', 0, 'then it is told');
    is($differ, 0, 'of one moment each time');
    exact_ok('both', 'then');
    is_deeply($client{$_}->told, $clients{$_}, "$_ is told") for qw(costly rolled);
    exact_ok($_, 'then') for qw(costly rolled);
    $writer->rows('UPDATE t SET n = 20 WHERE id = 20');
    $client{$_}->told for keys %client;
}
all_go_on('after it');

# ---- either of them ends ----
{
    my $old = pid_of('refresher');
    kill 'TERM', $old;
    ok(wait_until(sub { my $pid = pid_of('refresher'); defined $pid && $pid != $old }), 'another refresher');
    change();
    is_deeply($client{apart}->told, ['joined'], 'without its refresher the evaluator goes on');
    is_deeply($client{costly}->told, ['reset whole'], 'the refresher tells a reset');
    is_deeply($client{both}->told, [ 'joined', 'reset whole', 'rows' ], 'of its own alone');
    is_deeply($client{rolled}->told, [ 'joined', 'reset small' ], 'and of all of them');
    $client{$_}->refresh('whole') for qw(costly both);
    $client{rolled}->refresh('small');
    all_go_on('with another refresher');
}
{
    my $old = pid_of('evaluator');
    kill 'TERM', $old;
    ok(wait_until(sub { my $pid = pid_of('evaluator'); defined $pid && $pid != $old }), 'another evaluator');
    change();
    is_deeply($client{costly}->told, ['whole'], 'the refresher goes on with the next one');
    exact_ok('costly', 'with another evaluator');
    is_deeply($client{both}->told, [ 'reset joined', 'rows', 'whole' ], 'the evaluator tells a reset of its own alone');
    is_deeply($client{apart}->told, ['reset joined'], 'to all');
    is_deeply($client{rolled}->told, [ 'reset joined', 'small' ], 'of them');
    $client{$_}->refresh('joined') for qw(apart both rolled);
    all_go_on('with another evaluator');
}

# ---- the evaluator runs for the refresher alone ----
{
    $client{$_}->rows(q(SELECT live.unsubscribe('joined'))) for qw(apart both rolled);
    @{ $clients{$_} } = grep { $_ ne 'joined' } @{ $clients{$_} } for keys %clients;
    delete $clients{apart};
    all_go_on('without others');
    # The definitions of a refresher's queries are looked at again as well.
    $writer->rows('ALTER TABLE t ADD COLUMN m int');
    change();
    $client{costly}->refresh('whole') if grep { /^reset/ } @{ $client{costly}->told };
    exact_ok('costly', 'after DDL');
}

# ---- a query that asks the clock, with one of a refresher, where nothing has happened for a while ----
{
    my $timed = 'SELECT id FROM timed WHERE until > now()';
    $writer->rows('CREATE TABLE timed (id int PRIMARY KEY, until timestamptz); CREATE INDEX ON timed (until)');
    $writer->rows(q(INSERT INTO timed VALUES (1, now() + interval '1 second'), (2, now() + interval '1 hour')));
    $client{rolled}->told;
    $writer->rows('SELECT pg_sleep(2)');
    my $client = connect_client($node);
    $client->rows(qq(SELECT live.subscribe_many('[{"subscription_id": "small", "query": "$queries{small}"}, {"subscription_id": "timed", "query": "$timed"}]')));
    $client->read_snapshot($_) for qw(small timed);
    is_deeply($client->state_of('timed'), ['{"id":2}'], 'what has gone by is not in its first result');
    is($writer->value(q(SELECT count(DISTINCT consumer) FROM (SELECT kind FROM live.workers WHERE subscriptions > 0) w(consumer))), 3, 'all three have some');
}

# ---- a query of the other strategy that takes long each time ----
{
    $writer->rows(<<~SQL);
        CREATE FUNCTION late(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
          \$\$ BEGIN IF n >= 5000 THEN PERFORM pg_sleep(CASE WHEN n >= 6000 THEN 3 ELSE 0.2 END); END IF; RETURN n; END \$\$;
        SQL
    my %query = (quick => $queries{joined}, long => 'SELECT t.id, late(t.n) AS n, u.name FROM t JOIN u ON u.id = t.grp');
    my %of = map { $_ => connect_client($node) } keys %query;
    is($of{$_}->subscribe($_, $query{$_})->{strategy}, 'delta', "$_ is evaluated where it has changed") for sort keys %query;
    my $watchers = sub { $writer->value("SELECT subscriptions FROM live.workers WHERE kind = 'refresher'") };
    ok(wait_until(sub { $watchers->() == 3 }), 'nobody else has the refresher');
    my ($rounds, @reasons) = (0);
    while (!@reasons && $rounds < 30) {
        $writer->rows('UPDATE t SET n = 5000 + ? WHERE id = 30' =~ s/\?/$rounds/r);
        is_deeply($of{quick}->told, ['quick'], 'all are told') if $rounds == 0;
        for my $message (map { $_->{message} } $of{long}->synced) {
            push @reasons, $message->{reason} if $message->{type} eq 'reset';
            LiveQueries::apply_changes($of{long}{states}{long}, $message) if $message->{type} eq 'changes';
        }
        is_deeply($of{long}->state_of('long'), $writer->rows_now($query{long}), 'and it is exact') if !@reasons && $rounds == 0;
        ++$rounds;
    }
    cmp_ok($rounds, '>', 3, 'not the first time');
    is_deeply(\@reasons, ['others would wait too long for the query to be evaluated'], 'but after a while it is reset');
    $of{long}->refresh('long');
    is($watchers->(), 4, 'and has the refresher');
    my $next = connect_client($node);
    $next->subscribe('long', $query{long});
    is($watchers->(), 5, 'as who subscribes to the same has');
    $writer->rows('UPDATE t SET n = 6000 WHERE id = 31');
    is_deeply($of{quick}->told, ['quick'], 'whoever has another one');
    ok(wait_until(sub { $writer->value(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'live_queries refresher' AND wait_event = 'PgSleep')) }),
        'does not wait for it');
    is_deeply($of{long}->told, ['long'], 'it is told');
    is_deeply($of{long}->state_of('long'), $writer->rows_now($query{long}), 'and exact');
    is_deeply($of{quick}->state_of('quick'), $writer->rows_now($query{quick}), 'as the other is');
}

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)/, 'no crash, no leak');
done_testing();
