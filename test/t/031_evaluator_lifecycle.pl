# What becomes of evaluators, and of what they keep live, where a worker is killed, there is no room for one, their number is
# changed, the extension or the database goes; and first results in transactions of every kind.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $sums = 'SELECT grp, count(*) AS count, sum(n) AS sum FROM t GROUP BY grp';
my $joined = 'SELECT t.id, t.n, u.name FROM t JOIN u ON u.id = t.grp';
my $tables = <<~SQL;
    CREATE TABLE t (id int PRIMARY KEY, grp int, n int NOT NULL);
    CREATE TABLE u (id int PRIMARY KEY, name text);
    INSERT INTO t SELECT i, i % 5, i FROM generate_series(1, 50) i;
    INSERT INTO u SELECT i, 'u' || i FROM generate_series(0, 4) i;
    SQL
my $change = q(UPDATE t SET n = n + 1 WHERE id % 7 = 3; UPDATE u SET name = name || 'x' WHERE id = 2; DELETE FROM t WHERE id = 4;
    INSERT INTO t VALUES (4, 1, 1));

# ---- no room ----
{
    my $node = new_node('no_evaluator', <<~CONF);
        live_queries.subscribe_timeout = 30s
        live_queries.idle_timeout = 1s
        max_replication_slots = 1
        CONF
    $node->safe_psql('postgres', $tables);
    my $subscribe = "SELECT live.subscribe('q', '$sums')";
    my $stream = connect_client($node);
    $stream->rows(q(SELECT live.subscribe('s', 'SELECT id FROM t', delivery => 'poll')));

    # refused(SETTING, NAME): at once, with the setting in the hint, and nothing is left of it.
    my $refused = sub {
        my ($setting, $name) = @_;
        my ($client) = refused_at_once($node, $subscribe, 15, $setting, $name);
        like($client->value(q(SELECT problem FROM live.workers WHERE kind = 'evaluator')) // '', qr/^53400/, "$name: live.workers shows it");
        is($client->value('SELECT count(*) FROM live_queries'), 1, "$name: nothing is half made");
        $client->disconnect;
        return;
    };
    $refused->('max_replication_slots', 'no slot for the evaluator');
    is($stream->arrived, 't', 'the stream goes on');
    $stream->disconnect;

    # Places become free.
    restart_with($node, "max_replication_slots = 3");
    my $holder = connect_client($node);
    $holder->rows("SELECT pg_create_physical_replication_slot('taken$_')") for 1 .. 2;
    $stream = connect_client($node);
    $stream->rows(q(SELECT live.subscribe('s', 'SELECT id FROM t', delivery => 'poll')));
    $refused->('max_replication_slots', 'slots are taken');
    $holder->rows("SELECT pg_drop_replication_slot('taken1')");
    is($stream->error($subscribe)->{C}, '00000', 'a slot is free again');
    $stream->disconnect;
    $holder->rows("SELECT pg_drop_replication_slot('taken2')");

    # The server's own launcher, ours and the decoder.
    restart_with($node, "max_worker_processes = 3");
    $stream = connect_client($node);
    $stream->rows(q(SELECT live.subscribe('s', 'SELECT id FROM t', delivery => 'poll')));
    $refused->('max_worker_processes', 'no worker for the evaluator');
    is($stream->arrived, 't', 'the stream goes on');
    $stream->disconnect;
    $node->stop;
}

my $node = new_node('lifecycle', <<~CONF);
    live_queries.idle_timeout = 2s
    restart_after_crash = on
    CONF
$node->safe_psql('postgres', $tables);
my $writer = connect_client($node);

sub pid_of {
    my ($kind) = @_;
    my $pid = '';
    wait_until(sub { $pid = $node->safe_psql('postgres', "SELECT pid FROM live.workers WHERE kind = '$kind' AND state = 'running' LIMIT 1"); $pid ne '' })
      or die "no $kind";
    return $pid;
}

# told(CLIENT): applies what has come, and returns what else was told.
sub told {
    my ($client) = @_;
    my @told;
    for my $message (map { $_->{message} } $client->synced) {
        if ($message->{type} eq 'changes') {
            apply_changes($client->{states}{ $message->{subscription_id} }, $message);
        } else {
            push @told, "$message->{type} $message->{subscription_id}";
        }
    }
    return join ', ', sort @told;
}

# is_exact(CLIENT, NAME, {ID => QUERY})
sub is_exact {
    my ($client, $name, $queries) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $writer->rows($change);
    is(told($client), '', "$name: nothing but changes");
    is_deeply($client->state_of($_), $client->rows_now($queries->{$_}), "$name: $_ is exact") for sort keys %$queries;
    return;
}

# ---- first results in transactions of every kind ----
{
    my $client = connect_client($node);
    for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE') {
        $client->rows("BEGIN ISOLATION LEVEL $level");
        is($client->value('SELECT count(*) FROM t'), 50, "$level: it has a snapshot");
        $writer->rows('INSERT INTO t VALUES (51, 1, 51)');
        $client->subscribe('q', $sums);
        $client->rows('COMMIT');
        is_exact($client, $level, { q => $sums });
        $writer->rows('DELETE FROM t WHERE id = 51');
        $client->rows('BEGIN; SAVEPOINT a');
        $client->rows(q(SELECT live.refresh('q')));
        $client->rows(q(SELECT * FROM live.snapshot('q', 1)));
        $client->rows('ROLLBACK TO a');
        $client->rows('COMMIT');
        is_exact($client, "$level: a refresh that was rolled back", { q => $sums });
        $client->rows("BEGIN ISOLATION LEVEL $level; SAVEPOINT a");
        $client->rows(qq(SELECT live.subscribe('r', '$joined')));
        $client->rows(q(SELECT count(*) FROM live.snapshot('r', 3)));
        $client->rows('ROLLBACK TO a; SAVEPOINT b');
        $client->subscribe('r', $joined);
        $client->rows('RELEASE b; COMMIT');
        is_exact($client, "$level: a subscription that was rolled back", { q => $sums, r => $joined });
        $client->rows('SELECT live.unsubscribe_all()');
    }

    # What the transaction writes later is not in the first result, but in the feed.
    $client->rows('BEGIN');
    $client->rows(qq(SELECT live.subscribe('q', '$joined')));
    $client->rows('INSERT INTO t VALUES (60, 1, 60); DELETE FROM t WHERE id = 5');
    is($client->read_snapshot('q'), 50, 'what was written after subscribing is not in the first result');
    $client->rows('COMMIT');
    is_exact($client, 'who has written after subscribing', { q => $joined });
    $client->rows('DELETE FROM t WHERE id = 60; INSERT INTO t VALUES (5, 0, 5)');
    is_exact($client, 'and then', { q => $joined });
    $client->rows('BEGIN; UPDATE t SET n = n + 1 WHERE id = 1');
    is($client->error(qq(SELECT live.subscribe('w', '$joined')))->{C}, '25001', 'who has written may not subscribe');
    $client->rows('ROLLBACK; BEGIN; UPDATE t SET n = n + 1 WHERE id = 1');
    is($client->error(q(SELECT live.refresh('q')))->{C}, '25001', 'nor refresh');
    $client->rows('ROLLBACK');
    is_exact($client, 'after the refusals', { q => $joined });

    # By cursors, prepared statements and functions.
    $client->rows('SELECT live.unsubscribe_all()');
    $client->rows(qq(BEGIN; SELECT live.subscribe('q', '$joined'); DECLARE c CURSOR WITH HOLD FOR SELECT key::text, "row"::text FROM live.snapshot('q')));
    $client->rows('COMMIT');
    $client->{states}{q} = { map { $_->[0] => $_->[1] } @{ $client->rows('FETCH ALL FROM c') } };
    is(scalar(keys %{ $client->{states}{q} }), 50, 'a cursor WITH HOLD reads the first result');
    $client->refresh('q');
    is_exact($client, 'a cursor WITH HOLD', { q => $joined });
    $client->rows('CLOSE c; PREPARE again AS SELECT live.refresh($1); PREPARE read AS SELECT count(*) FROM live.snapshot($1)');
    for (1 .. 7) {
        $client->rows(q(EXECUTE again('q')));
        is($client->rows(q(EXECUTE read('q')))->[0][0], 50, "a prepared statement reads the first result, $_");
    }
    $client->rows(<<~SQL);
        CREATE FUNCTION watched(text) RETURNS bigint LANGUAGE plpgsql AS \$\$
        DECLARE n bigint; BEGIN
          BEGIN PERFORM live.subscribe('f', \$1); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END;
          PERFORM live.subscribe('f', \$1);
          SELECT count(*) INTO n FROM live.snapshot('f'); RETURN n;
        END \$\$
        SQL
    is($client->value(qq(SELECT watched('$sums'))), 5, 'a function subscribes, after it has failed to');
    $client->refresh('q');
    $client->refresh('f');
    is_exact($client, 'a function', { q => $joined, f => $sums });
    $client->disconnect;
}

# ---- errors on rows of others, and what else they are not to blame for ----
{
    my $parts = 'SELECT t.id, 100 / t.n AS part, u.name FROM t JOIN u ON u.id = t.grp WHERE t.grp = $1';
    my ($mine, $theirs) = map { connect_client($node) } 1 .. 2;
    $mine->subscribe('q', $parts, 1);
    $theirs->subscribe('q', $parts, 2);
    $writer->rows('UPDATE t SET n = 0 WHERE id = 13');
    is(told($_), '', 'a row of nobody is not evaluated') for $mine, $theirs;
    $writer->rows('UPDATE t SET n = 3 WHERE id = 11; UPDATE t SET n = 4 WHERE id = 12');
    is(told($_), '', 'they go on') for $mine, $theirs;
    is_deeply($mine->state_of('q'), $mine->rows_now($parts =~ s/\$1/1/r), 'and are exact');
    $writer->rows('UPDATE t SET n = 0 WHERE id = 12');
    is(told($_), 'reset q', 'a row of one of them resets both') for $mine, $theirs;
    $mine->refresh('q');
    is_deeply($mine->state_of('q'), $mine->rows_now($parts =~ s/\$1/1/r), 'the other one goes on');
    is($theirs->error(q(SELECT live.refresh('q')))->{C}, '22012', 'who asks for the row gets the error');
    $writer->rows('UPDATE t SET n = id WHERE n = 0');
    told($mine);
    $theirs->disconnect;

    # A function that takes an xid, whatever it is declared to do. Whoever comes after it has none.
    $writer->rows(<<~'SQL');
        CREATE FUNCTION takes_xid(int) RETURNS xid8 AS 'pg_current_xact_id' LANGUAGE internal IMMUTABLE PARALLEL SAFE;
        CREATE FUNCTION same(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
        SQL
    my @own = map { "SELECT t.id, same(t.n + $_) AS n FROM t JOIN u ON u.id = t.grp" } 1 .. 3;
    $mine->subscribe("own$_", $own[$_]) for 0 .. 2;
    my $writes = connect_client($node);
    $writes->subscribe('writes', 'SELECT t.id, takes_xid(t.n) IS NULL AS n FROM t JOIN u ON u.id = t.grp');
    $writer->rows('UPDATE t SET n = n + 1 WHERE id < 9');
    is(told($writes), 'terminated writes', 'who takes an xid is over');
    is(told($mine), '', 'and nobody else');
    is_exact($mine, 'beside it', { map { +"own$_" => $own[$_] } 0 .. 2 });
    is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'live_queries evaluator' AND backend_xid IS NOT NULL)), 0,
        'no xid is kept');
    $_->disconnect for $mine, $writes;
}

# ---- another number of evaluators ----
{
    my @clients = map { connect_client($node) } 1 .. 4;
    $clients[0]->subscribe('q', $sums);
    for my $count (3, 0, 2) {
        $writer->rows("ALTER SYSTEM SET live_queries.evaluators = $count");
        $writer->rows('SELECT pg_reload_conf()');
        wait_until(sub { $_->value('SHOW live_queries.evaluators') eq $count }) for @clients;
        my $name = "$count evaluators";
        is_exact($clients[0], "$name, of before", { q => $sums });
        for my $client (@clients[ 1 .. 3 ]) {
            if ($count > 0) {
                $client->subscribe($_, $sums) for 'q', "r$count";
                is_exact($client, $name, { q => $sums, "r$count" => $sums });
                $client->rows("SELECT live.unsubscribe_all()");
            } else {
                is($client->error(qq(SELECT live.subscribe('q', '$sums')))->{C}, '0A000', "$name: refused");
            }
        }
        if ($count > 0) {
            $clients[0]->refresh('q');
            is_exact($clients[0], "$name, refreshed", { q => $sums });
        } else {
            is($clients[0]->error(q(SELECT live.refresh('q')))->{C}, '0A000', "$name: no refresh");
            is_exact($clients[0], "$name, after that", { q => $sums });
        }
    }
    $writer->rows('ALTER SYSTEM RESET live_queries.evaluators');
    $writer->rows('SELECT pg_reload_conf()');
    $_->disconnect for @clients;
    ok(wait_until(sub { $node->safe_psql('postgres', q(SELECT count(*) FROM live.workers WHERE pid IS NOT NULL)) eq '0' }), 'they all end');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, 'with their slots');
}

# ---- workers that end at once, both, again and again ----
{
    my $client = connect_client($node);
    $client->subscribe('q', $sums);
    $client->subscribe('r', $joined);
    for my $round (1 .. 6) {
        my @pids = map { pid_of($_) } $round % 3 == 0 ? ('decoder', 'evaluator') : $round % 3 == 1 ? ('evaluator', 'decoder') : ('evaluator');
        $writer->rows("SELECT pg_terminate_backend($_)") for @pids;
        $writer->rows($change) for 1 .. 3;
        for my $pid (@pids) {
            wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM live.workers WHERE pid = $pid") eq '0' });
        }
        pid_of($_) for 'decoder', 'evaluator';
        is(told($client), 'reset q, reset r', "round $round: reset once");
        $client->refresh($_) for 'q', 'r';
        is_exact($client, "round $round", { q => $sums, r => $joined });
    }
    $client->disconnect;
}

# ---- DROP EXTENSION, and again; DROP DATABASE ----
{
    my $client = connect_client($node);
    $client->subscribe('q', $sums);
    $client->subscribe('r', $joined);
    is($writer->error('DROP EXTENSION live_queries')->{C}, '00000', 'the extension is dropped beside live queries');
    my @ended = map { $client->next_message->{message} } 1 .. 2;
    is(join(', ', sort map { "$_->{type} $_->{subscription_id}" } @ended), 'terminated q, terminated r', 'they are told');
    $writer->rows('CREATE EXTENSION live_queries');
    $client->subscribe('q', $sums);
    is_exact($client, 'after another CREATE EXTENSION', { q => $sums });
    $client->disconnect;

    $node->safe_psql('postgres', 'CREATE DATABASE other');
    $node->safe_psql('other', "CREATE EXTENSION live_queries; $tables");
    my $there = connect_client($node, dbname => 'other');
    $there->subscribe('q', $sums);
    is($writer->error('DROP DATABASE other')->{C}, '55006', 'a database that is watched is not dropped');
    $there->disconnect;
    is($writer->error('DROP DATABASE other')->{C}, '00000', 'once nobody watches it is, workers or not');
    is($node->safe_psql('postgres', q(SELECT count(*) FROM live.workers WHERE database IS DISTINCT FROM 'postgres')), 0, 'with its workers');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots WHERE slot_name ~ $$live_queries$$ AND active_pid IS NULL'), 0, 'and slots');
}

# ---- memory ----
{
    my $client = connect_client($node);
    $client->subscribe('kept', $sums);
    my %after;
    # Watches, plans, templates and places of shared memory come and go; each third shape is another one.
    for my $round (1 .. 4) {
        $client->rows(<<~SQL);
            DO \$\$ DECLARE i int; BEGIN FOR i IN 1 .. 500 LOOP
              PERFORM live.subscribe('m', 'SELECT t.id, u.name FROM t JOIN u ON u.id = t.grp WHERE t.n > ' || i % 100, "snapshot" => false);
              PERFORM live.unsubscribe('m');
              COMMIT;
            END LOOP; END \$\$
            SQL
        $writer->rows($change);
        sleep 2.5;
        $client->synced;
        my $row = $writer->rows(q(SELECT sum(memory_bytes) FILTER (WHERE kind = 'decoder'), sum(memory_bytes) FILTER (WHERE kind = 'evaluator') FROM live.workers))->[0];
        my $shared = $writer->value(q(SELECT coalesce(sum(size), 0) FROM pg_shmem_allocations WHERE name ~ 'live_queries'));
        note("round $round: decoder $row->[0], evaluator $row->[1], shared $shared");
        $after{$round} = $row;
    }
    cmp_ok($after{4}[$_], '<', 1.2 * $after{1}[$_] + 100_000, "memory of the " . ('decoder', 'evaluator')[$_] . ' does not grow') for 0, 1;
    is_exact($client, 'after many others', { kept => $sums });
    $client->disconnect;
}

# ---- kill -9 ----
{
    my $client = connect_client($node);
    $client->subscribe('q', $sums);
    my $pid = pid_of('evaluator');
    $writer->disconnect;
    kill 'KILL', $pid;
    ok(wait_until(sub { return !eval { connect_client($node)->disconnect; 1 } || !kill(0, $pid) }), 'an evaluator is killed');
    comes_back($node, 'after a killed evaluator');
    $writer = connect_client($node);
    $client = connect_client($node);
    wait_until(sub { return $client->error('SELECT 1')->{C} eq '00000' || do { $client = eval { connect_client($node) } // $client; 0 } });
    $client->subscribe('q', $sums);
    is_exact($client, 'after a killed evaluator', { q => $sums });
    $client->disconnect;
    $writer->disconnect;
    ok(wait_until(sub { $node->safe_psql('postgres', q(SELECT count(*) FROM live.workers WHERE pid IS NOT NULL)) eq '0' }), 'they end');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, 'with their slots');
}

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)/, 'no crash of its own, no leak');
done_testing();
