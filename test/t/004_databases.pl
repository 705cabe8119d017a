# Databases and extensions that come, go and change their names while a decoder runs.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = new_node('databases', <<~CONF);
    live_queries.max_databases = 4
    allow_in_place_tablespaces = on
    CONF
my $query = 'SELECT id, a FROM t';
my $admin = connect_client($node);

sub make_database {
    my ($name) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    $node->safe_psql($name, 'CREATE EXTENSION live_queries; CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t REPLICA IDENTITY FULL');
    return;
}

# A decoder that nobody needs any more and that has not stopped yet.
sub leave_idle_decoder {
    my ($database) = @_;
    my $one = connect_client($node, dbname => $database);
    $one->subscribe('q', $query);
    my $pid = decoder_pid($node, $database);
    $one->disconnect;
    $node->poll_query_until('postgres',
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$database' AND backend_type = 'client backend'");
    return $pid;
}

# A decoder that finds no start, because a transaction goes on.
sub leave_starting_decoder {
    my ($database) = @_;
    my $one = connect_client($node, dbname => $database);
    $one->rows(q(SET live_queries.subscribe_timeout = '500ms'));
    my $error = $one->error("SELECT * FROM live.subscribe('q', '$query')");
    $one->disconnect;
    return $error->{C};
}

# quickly(SQL, NAME, DATABASE, PREPARE): succeeds, and not by running into a timeout, which takes 5 s. Where the machine may
# be what is slow, the same is done once more, with databases of other names in the SQL: a copy of DATABASE is made, and what
# PREPARE (leave_idle_decoder) leaves in it.
my $tries = 0;
sub quickly {
    my ($sql, $name, $database, $prepare) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $error;
    my $once = sub {
        my ($statement) = @_;
        return seconds_of(sub { $error = $admin->error($statement) });
    };
    my $seconds = $once->($sql);
    is($error->{M}, 'no error', $name);
    if ($seconds >= 4) {
        note("$name: took $seconds s, and is tried again");
        my $prefix = 'again_' . ++$tries;
        my %renamed;
        $sql =~ s/\b(d\d)\b/$renamed{$1} = "${prefix}_$1"/ge;
        make_database($renamed{$database});
        ($prepare // \&leave_idle_decoder)->($renamed{$database});
        $seconds = $once->($sql);
        is($error->{M}, 'no error', "$name: again");
        $admin->rows("DROP DATABASE IF EXISTS $_ WITH (FORCE)") for sort values %renamed;
    }
    cmp_ok($seconds, '<', 4, "$name: quickly");
    return;
}

# serves(DATABASE, NAME): one can subscribe there, and gets changes.
my $last_id = 100;
sub serves {
    my ($database, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $one = connect_client($node, dbname => $database);
    my $seconds = seconds_of(sub { $one->subscribe('q', $query) });
    my $id = ++$last_id;
    $node->safe_psql($database, "INSERT INTO t VALUES ($id)");
    is($one->next_message->{message}{changes}[0]{key}[0], $id, $name);
    cmp_ok($seconds, '<', 30, "$name: soon");
    $one->disconnect;
    return;
}

# ----- an idle decoder is in nobody's way -----

make_database('d1');
leave_idle_decoder('d1');
quickly('DROP DATABASE d1', 'DROP DATABASE with an idle decoder', 'd1');
is($admin->value(q(SELECT count(*) FROM pg_replication_slots)), 0, 'its slot is gone');
is($admin->value(q(SELECT count(*) FROM live.workers)), 0, 'and its row of live.workers');

make_database('d2');
my $pid = leave_idle_decoder('d2');
quickly('CREATE DATABASE d3 TEMPLATE d2', 'CREATE DATABASE ... TEMPLATE of one with an idle decoder', 'd2');
serves('d2', 'the template can be watched afterwards');
serves('d3', 'and so can the copy');
leave_idle_decoder('d2');
quickly('ALTER DATABASE d2 RENAME TO d4', 'ALTER DATABASE ... RENAME with an idle decoder', 'd2');
serves('d4', 'the renamed one can be watched afterwards');
is($admin->value(q(SELECT count(*) FROM live.workers WHERE database = 'd4')), 1, 'live.workers shows the new name');
$admin->rows(q(CREATE TABLESPACE place LOCATION ''));
leave_idle_decoder('d4');
quickly('ALTER DATABASE d4 SET TABLESPACE place', 'ALTER DATABASE ... SET TABLESPACE with an idle decoder', 'd4');
serves('d4', 'the moved one can be watched afterwards');
$pid = leave_idle_decoder('d4');
quickly('ALTER DATABASE d4 CONNECTION LIMIT 50', 'another ALTER DATABASE', 'd4');
leave_idle_decoder('d3');
is($admin->error('BEGIN; DROP DATABASE d3')->{C}, '25001', 'a DROP DATABASE that fails');
$admin->rows('ROLLBACK');
serves('d3', 'leaves a database that can be watched');

# ----- one that waits for its start is not either -----
{
    my $holder = connect_client($node);
    $holder->rows('BEGIN; SELECT pg_current_xact_id()');
    make_database('d5');
    is(leave_starting_decoder('d5'), '57014', 'a start that is held up');
    quickly('DROP DATABASE d5', 'DROP DATABASE with a decoder that waits for its start', 'd5', \&leave_starting_decoder);
    $holder->rows('ROLLBACK');
    $holder->disconnect;
}

# ----- live subscribers are, unless by force -----
{
    my ($one, $two) = map { connect_client($node, dbname => 'd4') } 1 .. 2;
    $_->subscribe('q', $query) for $one, $two;
    my $slot = $admin->value(q(SELECT slot_name FROM live.workers WHERE database = 'd4'));
    # The server itself waits 5 s for connections to go.
    is($admin->error('DROP DATABASE d4')->{C}, '55006', 'DROP DATABASE is refused while somebody watches');
    is($admin->error('CREATE DATABASE d6 TEMPLATE d4')->{C}, '55006', 'and so is a copy');
    $node->safe_psql('d4', q(INSERT INTO t VALUES (1000, 'still')));
    is($_->next_message->{message}{changes}[0]{key}[0], 1000, 'they go on without a reset') for $one, $two;
    is($admin->value(q(SELECT slot_name FROM live.workers WHERE database = 'd4')), $slot, 'with the same decoder');
    my @others;
    quickly('DROP DATABASE d4 WITH (FORCE)', 'DROP DATABASE WITH (FORCE)', 'd4', sub {
        @others = map { connect_client($node, dbname => $_[0]) } 1 .. 2;
        $_->subscribe('q', $query) for @others;
    });
    like($_->error('SELECT 1')->{C}, qr/^(57P01|08006)$/, 'its clients are disconnected') for $one, $two;
    is($admin->value('SELECT count(*) FROM live_queries'), 0, 'no subscription is left');
    is($admin->value(q(SELECT count(*) FROM live.workers WHERE database IS NULL)), 0, 'no row without a database');
}
serves('d3', 'other databases are not touched');

# ----- the extension goes -----
{
    my ($one, $poller) = map { connect_client($node, dbname => 'd3') } 1 .. 2;
    $one->subscribe('q', $query);
    $one->subscribe('p', 'SELECT a FROM t WHERE id < 0');
    $poller->rows("SELECT * FROM live.subscribe('poll', '$query', delivery => 'poll', \"snapshot\" => false)");

    for my $sql ('BEGIN; DROP EXTENSION live_queries; ROLLBACK',
        'BEGIN; SAVEPOINT s; DROP EXTENSION live_queries; ROLLBACK TO s; COMMIT') {
        $node->safe_psql('d3', $sql);
        $node->safe_psql('d3', 'INSERT INTO t VALUES (' . ++$last_id . ')');
        is($one->next_message->{message}{changes}[0]{key}[0], $last_id, "no harm: $sql");
    }
    my $admin_d3 = connect_client($node, dbname => 'd3');
    is($admin_d3->error(q(BEGIN; DROP EXTENSION live_queries; PREPARE TRANSACTION 'dropped'))->{C}, '0A000',
        'a transaction that drops it cannot be prepared');
    $admin_d3->disconnect;
    is($one->value('SELECT count(*) FROM live_queries'), 3, 'all are there');
    $poller->arrived;
    $poller->rows('SELECT * FROM live.poll()');

    $node->safe_psql('d3', 'DROP EXTENSION live_queries');
    my @got = map { $one->next_message->{message} } 1 .. 2;
    is_deeply([ map { $_->{type} } @got ], [qw(terminated terminated)], 'DROP EXTENSION: subscribers are told');
    is(join(' ', sort map { $_->{subscription_id} } @got), 'p q', 'each');
    is($got[0]{code}, '55000', 'with a code');
    like($got[0]{reason}, qr/dropped/, 'and a reason');
    poll_ok($node, q(SELECT count(*) = 0 FROM live_queries WHERE status <> 'terminated'),
        'their subscriptions are over');
    $node->safe_psql('d3', 'INSERT INTO t VALUES (' . ++$last_id . ')');
    is($one->next_message(0.3), undef, 'nothing comes any more');

    # Created again, rolled back and again.
    is($one->error("BEGIN; CREATE EXTENSION live_queries; SELECT * FROM live.subscribe('q', '$query')")->{C},
        '25001', 'the transaction that creates the extension has written and cannot subscribe');
    $one->rows('ROLLBACK');
    is($one->error("SELECT * FROM live.subscribe('q', '$query')")->{C}, '3F000', 'CREATE EXTENSION rolled back');
    $node->safe_psql('d3', 'CREATE EXTENSION live_queries');
    $one->subscribe('q', $query);
    is_deeply($one->state_of('q'), $one->rows_now($query), 'the same connection can subscribe again');
    $node->safe_psql('d3', 'INSERT INTO t VALUES (' . ++$last_id . ')');
    is($one->next_message->{message}{changes}[0]{key}[0], $last_id, 'and is served');
    is_deeply([ map { $_->[0] } @{ $poller->rows('SELECT message->>\'type\' FROM live.poll()') } ],
        ['terminated'], 'one that polls was told as well');
    $_->disconnect for $one, $poller;
}

# ----- two databases at a time, with the same oids -----
{
    $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM live_queries WHERE status <> \'terminated\'');
    quickly('CREATE DATABASE d7 TEMPLATE d3', 'a copy of a database', 'd3');
    my %client = map { $_ => connect_client($node, dbname => $_) } qw(d3 d7);
    $client{$_}->subscribe('q', $query) for qw(d3 d7);
    is($admin->value('SELECT count(*) FROM live.workers WHERE pid IS NOT NULL'), 2, 'two decoders');
    for my $round (1 .. 5) {
        $node->safe_psql('d3', "INSERT INTO t VALUES (2000 + $round, 'three')");
        $node->safe_psql('d7', "INSERT INTO t VALUES (2000 + $round, 'seven')");
    }
    for my $database (qw(d3 d7)) {
        ok($client{$database}->follow('q'), "$database: changes come");
        is_deeply($client{$database}->state_of('q'), $client{$database}->rows_now($query), "$database: its own");
    }
    $node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . decoder_pid($node, 'd3') . ')');
    is($client{d3}->next_message->{message}{type}, 'reset', 'the end of one decoder resets its database');
    $node->safe_psql('d7', q(UPDATE t SET a = 'eight'));
    ok($client{d7}->follow('q'), 'the other one goes on');
    is_deeply($client{d7}->state_of('q'), $client{d7}->rows_now($query), 'exactly');

    # A new connection has the place of an old one, of which the decoder of another database has yet to hear.
    my $decoder = decoder_pid($node, 'd3');
    kill 'STOP', $decoder;
    $client{d3}->disconnect;
    wait_until(sub { $admin->value(q(SELECT count(*) FROM pg_stat_activity WHERE datname = 'd3' AND backend_type = 'client backend')) == 0 });
    my @new = map { connect_client($node, dbname => 'd7') } 1 .. 2;
    cmp_ok(seconds_of(sub { $_->subscribe('new', $query) for @new }), '<', 30, 'a decoder that stands still holds up no other database');
    kill 'CONT', $decoder;
    $node->safe_psql('d7', q(INSERT INTO t VALUES (3000, 'new')));
    is($_->next_message->{message}{changes}[0]{key}[0], 3000, 'which serves all its clients') for @new, $client{d7};
    $_->disconnect for @new, $client{d7};
}

$admin->disconnect;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
