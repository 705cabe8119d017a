# Dump and restore, live.kill, prepared transactions, and a client that subscribes a thousand times.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = new_node('more', <<~CONF);
    live_queries.idle_timeout = 100ms
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t VALUES (1, 'one'), (2, 'two');
    GRANT SELECT ON t TO PUBLIC;
    CREATE ROLE alice LOGIN;
    CREATE ROLE bob LOGIN;
    CREATE ROLE operator LOGIN IN ROLE pg_signal_backend;
    CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
    CREATE ROLE alices_group ROLE bob;
    CREATE ROLE carol LOGIN IN ROLE alices_group;
    SQL
my $query = 'SELECT id, a FROM t';
my $no_decoder = q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'live_queries decoder');

# ----- pg_dump and restore -----
{
    $node->safe_psql('postgres', 'CREATE DATABASE source');
    $node->safe_psql('source', <<~SQL);
        CREATE SCHEMA tools;
        CREATE EXTENSION live_queries SCHEMA tools;
        CREATE TABLE t (id int PRIMARY KEY, a text);
        INSERT INTO t VALUES (1, 'dumped');
        CREATE VIEW watched AS SELECT subscription_id FROM tools.live_queries;
        SQL
    my $watcher = connect_client($node, dbname => 'source');
    $watcher->subscribe('q', $query);
    my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
    $node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', $dump, 'source' ], 'pg_dump of a database that is watched');
    my ($text) = run_command([ 'pg_restore', '-f', '-', $dump ]);
    unlike($text, qr/CREATE (FUNCTION|SCHEMA) live\b/, 'what belongs to the extension is not dumped');
    $node->safe_psql('postgres', 'CREATE DATABASE target');
    $node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'target', $dump ], 'pg_restore');
    my $one = connect_client($node, dbname => 'target');
    $one->subscribe('q', $query);
    $node->safe_psql('target', q(INSERT INTO t VALUES (2, 'new')));
    ok($one->follow('q'), 'the restored database can be watched');
    is_deeply($one->state_of('q'), $one->rows_now($query), 'exactly');
    is_deeply($one->rows(q(SELECT subscription_id, database FROM tools.live_queries ORDER BY database)),
        [ [ 'q', 'source' ], [ 'q', 'target' ] ], 'the view is in its schema');
    is($one->value('SELECT count(*) FROM watched'), 2, 'and what depends on it works');
    is_deeply([ $watcher->synced ], [], 'the source has got nothing of it');
    $_->disconnect for $one, $watcher;
    $node->safe_psql('postgres', 'DROP DATABASE source; DROP DATABASE target');
}

# ----- live.kill -----
{
    my %client = map { $_ => connect_client($node, user => $_) } qw(alice bob operator monitor carol);
    my $root = connect_client($node);
    my %live_id;
    my $new = sub {
        my ($who) = @_;
        my $one = $who eq 'root' ? $root : $client{$who};
        return $one->subscribe('q-1', $query)->{live_id};
    };
    $live_id{$_} = $new->($_) for qw(alice root);
    my $kill = sub { my ($who, $whose) = @_; return $client{$who}->error("SELECT live.kill('$live_id{$whose}')") };

    like($live_id{alice}, qr/^alice-\d+-q-1$/, 'a live_id is made for people');
    is($kill->('bob', 'alice')->{C}, '42501', 'a stranger may not end a live query');
    is($kill->('monitor', 'alice')->{C}, '42501', 'nor who may see it');
    is($kill->('operator', 'root')->{C}, '42501', 'nor pg_signal_backend that of a superuser');
    is($client{bob}->value(q(SELECT live.kill('nobody-1-x'))), 'f', 'one that does not exist: false');
    is($root->value(q(SELECT count(*) FROM live_queries WHERE status = 'active')), 2, 'all are still there');
    is($client{monitor}->value(q(SELECT count(*) FROM live_queries WHERE query IS NOT NULL)), 2, 'pg_read_all_stats sees all');
    is($client{bob}->value(q(SELECT count(*) FROM live_queries WHERE query IS NOT NULL)), 0, 'a stranger none');

    for my $case ([ 'alice', 'the role itself' ], [ 'operator', 'pg_signal_backend' ], [ 'root', 'a superuser' ]) {
        my ($who, $name) = @$case;
        $live_id{alice} = $new->('alice') if $who ne 'alice';
        my $killer = $who eq 'root' ? $root : $client{$who};
        is($killer->value("SELECT live.kill('$live_id{alice}')"), 't', "$name may end it");
        my $message = $client{alice}->next_message->{message};
        is_deeply([ sort keys %$message ], [qw(code reason seq subscription_id type)], "$name: the client is told");
        is_deeply([ @$message{qw(type subscription_id code)} ], [ 'terminated', 'q-1', '57014' ], "$name: what and why");
        my $killer_name = $who eq 'root' ? $root->value('SELECT current_user') : $who;
        like($message->{reason}, qr/live\.kill of role $killer_name/, "$name: and by whom");
        is($client{alice}->error(q(SELECT live.pause('q-1')))->{C}, '42704', "$name: it is over");
        my $row = $root->rows("SELECT status, error, pending_messages, channel FROM live_queries WHERE live_id = '$live_id{alice}'")->[0];
        is($row->[0], 'terminated', "$name: the view still shows it");
        like($row->[1], qr/^57014: ended by live\.kill/, "$name: with the reason");
        is($killer->value("SELECT live.kill('$live_id{alice}')"), 'f', "$name: a second time: false");
    }
    my @others = (connect_client($node, user => 'alice'));
    $others[0]->subscribe('q-1', $query);
    $live_id{alice} = $new->('alice');
    $root->rows("SELECT live.kill('$live_id{alice}')");
    $node->safe_psql('postgres', q(INSERT INTO t VALUES (10, 'ten')));
    is($others[0]->next_message->{message}{type}, 'changes', 'another one of the same query goes on');
    is($client{alice}->next_message->{message}{type}, 'terminated', 'this one has ended');
    is_deeply([ $client{alice}->synced ], [], 'and gets nothing any more');

    # One in a transaction, and paused, is told afterwards; what waited is thrown away.
    $client{alice}->subscribe('q-2', $query);
    $client{alice}->rows('BEGIN');
    $node->safe_psql('postgres', q(INSERT INTO t VALUES (11, 'eleven')));
    $root->rows(q(SELECT live.kill(live_id) FROM live_queries WHERE subscription_id = 'q-2' AND status = 'active'));
    $client{alice}->rows('COMMIT');
    my @got = map { $_->{message}{type} } $client{alice}->synced;
    is($got[-1], 'terminated', 'killed within a transaction, the client is told after it');
    $_->disconnect for values %client, $root, @others;
    poll_ok($node, $no_decoder, 'all leave, and the decoder stops');
}

# ----- prepared transactions -----
{
    my ($one, $two, $writer) = map { connect_client($node) } 1 .. 3;
    $writer->rows(q(BEGIN; INSERT INTO t VALUES (101, 'before'); UPDATE t SET a = 'TWO' WHERE id = 2; PREPARE TRANSACTION 'before'));
    $one->send_query("SELECT * FROM live.subscribe('q', '$query')");
    my $notice = $one->wait_notice;
    like($notice->{D}, qr/prepared transaction \d+/, 'a prepared transaction holds up the start, which is said');
    $writer->rows(q(COMMIT PREPARED 'before'));
    is($one->finish->{error}, undef, 'its commit lets it go on');
    $one->read_snapshot('q');
    ok($one->follow('q'), 'no reset');
    is_deeply($one->state_of('q'), $one->rows_now($query), 'each change is there once');

    # Prepared while it runs: before the subscription, after it, committed and rolled back.
    $writer->rows(q(BEGIN; INSERT INTO t VALUES (102, 'across'); PREPARE TRANSACTION 'across'));
    $writer->rows(q(BEGIN; INSERT INTO t VALUES (103, 'never'); PREPARE TRANSACTION 'never'));
    $two->subscribe('q', $query);
    $writer->rows(q(BEGIN; DELETE FROM t WHERE id = 1; PREPARE TRANSACTION 'after'));
    is_deeply([ $one->synced, $two->synced ], [], 'prepared is not committed');
    is(scalar @{ $two->state_of('q') }, scalar @{ $two->rows_now($query) }, 'nor in a snapshot');
    my $restarted = connect_client($node);
    $restarted->rows(q(COMMIT PREPARED 'across'));
    is($_->next_message->{message}{changes}[0]{key}[0], 102, 'COMMIT PREPARED, by another session, delivers') for $one, $two;
    $restarted->rows(q(ROLLBACK PREPARED 'never'));
    $restarted->rows(q(COMMIT PREPARED 'after'));
    my $deletes = 0;
    for ($one, $two) {
        my $message = $_->next_message->{message};
        ++$deletes if "$message->{changes}[0]{op} $message->{changes}[0]{key}[0]" eq 'delete 1';
    }
    is($deletes, 2, 'in the order of commits; a rollback sends nothing');

    # Open while the decoder is replaced.
    $writer->rows(q(BEGIN; INSERT INTO t VALUES (104, 'open'); PREPARE TRANSACTION 'open'));
    my $pid = decoder_pid($node);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
    poll_ok($node, "SELECT pid <> $pid AND state = 'finding start' FROM live.workers", 'a new decoder waits for a prepared transaction');
    $restarted->rows(q(COMMIT PREPARED 'open'));
    is($_->next_message->{message}{type}, 'reset', 'then its clients are reset') for $one, $two;
    for ($one, $two) {
        $_->refresh('q');
        $writer->rows(q(UPDATE t SET a = a || '+'));
        ok($_->follow('q'), 'refreshed, they go on');
        is_deeply($_->state_of('q'), $_->rows_now($query), 'exactly');
    }

    is($one->error(q(BEGIN; SELECT live.unsubscribe('q'); PREPARE TRANSACTION 'x'))->{C}, '0A000',
        'a transaction that changes live queries cannot be prepared');
    is($one->value(q(SELECT count(*) FROM live_queries WHERE status = 'active')), 2, 'it was rolled back');
    $_->disconnect for $one, $two, $writer, $restarted;
    poll_ok($node, $no_decoder, 'the decoder stops');
}

# ----- a thousand subscriptions one after the other -----
{
    my ($keeper, $client, $writer) = map { connect_client($node) } 1 .. 3;
    $keeper->subscribe('keeper', $query);
    my $loop = sub {
        my ($from, $to) = @_;
        for my $i ($from .. $to) {
            $client->rows("SELECT * FROM live.subscribe('s$i', 'SELECT id FROM t WHERE id = \$1 AND a <> ''$i''', ARRAY['$i']); SELECT * FROM live.snapshot('s$i')");
            $client->rows("UPDATE t SET a = 'loop $i' WHERE id = 2") if $i % 10 == 0;
            $client->rows("SELECT live.refresh('s$i')") if $i % 10 == 1;
            $client->rows("BEGIN; SELECT * FROM live.subscribe('r$i', 'SELECT id FROM t'); ROLLBACK") if $i % 10 == 2;
            $client->rows("SELECT live.unsubscribe('s$i')");
        }
    };
    my $decoder_memory = sub {
        $keeper->synced;
        sleep 0.1;
        $keeper->synced;
        return $keeper->value('SELECT memory_bytes FROM live.workers WHERE pid IS NOT NULL');
    };
    my $client_memory = sub { return $client->value('SELECT sum(used_bytes) FROM pg_backend_memory_contexts') };
    $loop->(1, 300);
    my ($decoder_before, $client_before) = ($decoder_memory->(), $client_memory->());
    $loop->(301, 1300);
    my ($decoder_after, $client_after) = ($decoder_memory->(), $client_memory->());
    is($keeper->value(q(SELECT count(*) FROM live_queries WHERE status <> 'terminated')), 1, 'nothing is left of a thousand subscriptions');
    is($keeper->value('SELECT subscriptions FROM live.workers WHERE pid IS NOT NULL'), 1, 'nor counted');
    is($client->value(q(SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'live_queries subscription')), 0, 'nor in the backend');
    is($client->value('SELECT count(*) FROM pg_cursors'), 0, 'no cursor');
    note("decoder: $decoder_before, then $decoder_after; client: $client_before, then $client_after bytes");
    cmp_ok($decoder_after, '<', $decoder_before + 300_000, 'the memory of the decoder does not grow');
    cmp_ok($client_after, '<', $client_before + 300_000, 'nor that of the client');
    $writer->rows(q(INSERT INTO t VALUES (9999, 'end')));
    my @got = map { $_->{message} } $keeper->synced;
    is($got[-1]{changes}[0]{key}[0], 9999, 'and the one that stayed is served');

    # And as many connections.
    for my $i (1 .. 200) {
        my $one = connect_client($node);
        $one->rows("SELECT * FROM live.subscribe('c', 'SELECT id FROM t WHERE id = $i')");
        $one->disconnect;
    }
    poll_ok($node, q(SELECT count(*) = 1 FROM live_queries WHERE status <> 'terminated'), 'nothing is left of 200 connections');
    poll_ok($node, 'SELECT subscriptions = 1 FROM live.workers WHERE pid IS NOT NULL', 'nor counted');
    cmp_ok($decoder_memory->(), '<', $decoder_before + 300_000, 'nor in the memory of the decoder');
    $_->disconnect for $keeper, $client, $writer;
}

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
