# The decoder comes and goes; what it holds; what it says when it cannot start; limits.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = new_node('lifecycle', <<~CONF);
    live_queries.idle_timeout = 500ms
    live_queries.max_databases = 2
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    CREATE TABLE other (id serial PRIMARY KEY, a text);
    SQL

my $query = 'SELECT id, a FROM t';
my $no_decoder = q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'live_queries decoder');
my $no_slot = q(SELECT count(*) = 0 FROM pg_replication_slots);

# A decoder from the first subscription on.
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'live_queries launcher')),
    1, 'the launcher is visible');
is($node->safe_psql('postgres', $no_decoder), 't', 'no decoder without a subscription');
is($node->safe_psql('postgres', $no_slot), 't', 'and no slot');
is($node->safe_psql('postgres', 'SELECT count(*) FROM live.workers'), 0, 'live.workers is empty');

my $client = connect_client($node);
$client->subscribe('one', $query);
is_deeply(
    $client->rows(q(SELECT datname, application_name, state FROM pg_stat_activity WHERE backend_type = 'live_queries decoder')),
    [ [ 'postgres', 'live_queries decoder', 'active' ] ],
    'a decoder is visible');
is_deeply(
    $client->rows(q(SELECT plugin, slot_type, s.database, temporary, active, active_pid = w.pid, w.state, w.problem
        FROM pg_replication_slots s JOIN live.workers w ON w.slot_name = s.slot_name)),
    [ [ 'live_queries', 'logical', 'postgres', 't', 't', 't', 'running', undef ] ],
    'its slot is a temporary one, and live.workers names it');
is($client->value('SELECT subscriptions FROM live.workers'), 1, 'live.workers counts subscriptions');

# Its position moves although nothing matches.
{
    my $before = $client->rows('SELECT restart_lsn, confirmed_flush_lsn FROM pg_replication_slots')->[0];
    $node->safe_psql('postgres', q(INSERT INTO other (a) SELECT repeat('x', 500) FROM generate_series(1, 5000))) for 1 .. 2;
    my $after = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
    poll_ok($node, "SELECT confirmed_flush_lsn >= '$after' FROM pg_replication_slots", 'its position is confirmed though nothing matches');
    $node->safe_psql('postgres', 'CHECKPOINT');
    # What it has to read again moves with the next record of running transactions and the next confirmation.
    ok( wait_until(sub {
            $node->safe_psql('postgres', q(INSERT INTO other (a) VALUES ('x')));
            $node->safe_psql('postgres', 'CHECKPOINT');
            $node->safe_psql('postgres', "SELECT restart_lsn >= '$after' FROM pg_replication_slots") eq 't';
        }),
        'and it lets go of WAL');
    cmp_ok($client->value('SELECT retained_wal_bytes FROM live.workers'), '<', 1_000_000, 'as live.workers shows');
    is($client->value('SELECT changes_ignored >= 10000 AND changes_matched = 0 FROM live.workers'), 't', 'and counts');
}

# Its last subscription gone, it stops, and nothing stays.
$client->value(q(SELECT live.unsubscribe('one')));
poll_ok($node, $no_decoder, 'the idle decoder stops');
poll_ok($node, $no_slot, 'and its slot is gone');
poll_ok($node, q(SELECT state = 'stopped' AND pid IS NULL FROM live.workers), 'live.workers says so');

# It starts again, and does not stop while somebody comes and goes quickly.
$client->subscribe('one', $query);
# (Where the machine is slow, that may not have been quickly.)
my $stays;
for (1 .. 5) {
    my $first_pid = decoder_pid($node);
    for (1 .. 5) {
        $client->value(q(SELECT live.unsubscribe('one')));
        $client->subscribe('one', $query);
    }
    last if $stays = decoder_pid($node) == $first_pid;
}
ok($stays, 'a decoder stays for who comes back');
$client->disconnect;
poll_ok($node, $no_decoder, 'it stops after the last client has disconnected');

# Databases whose decoder always runs.
$node->safe_psql('postgres', 'ALTER SYSTEM SET live_queries.databases = postgres');
$node->reload;
my $always = decoder_pid($node);
sleep 1.5;    # three times the idle timeout
is(decoder_pid($node), $always, 'a database that the setting names keeps its decoder');
$node->restart;
isnt(decoder_pid($node), $always, 'and has one after a restart');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET live_queries.databases');
$node->reload;
poll_ok($node, $no_decoder, 'no longer named, it stops');
# In no database, it has less of the catalogs than others, least of all right after the start of the server.
unlike(slurp_file($node->logfile), qr/without having selected a database/, 'the launcher copes with it');

# A transaction that was running before holds up the start.
{
    my $holder = connect_client($node);
    $holder->rows('BEGIN; SELECT pg_current_xact_id()');
    $client = connect_client($node);
    my $subscribe = "SELECT * FROM live.subscribe('held', '$query')";

    $client->send_query($subscribe);
    my $notice = $client->wait_notice;
    is($notice->{S}, 'NOTICE', 'who subscribes is told why it takes long');
    like($notice->{D}, qr/\b@{[$holder->pid]}\b.*since \d{4}-/, 'with the process to blame, and since when');
    is($node->safe_psql('postgres', 'SELECT state FROM live.workers'), 'finding start', 'live.workers shows it');
    $node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $client->pid . ')');
    is($client->finish->{error}{C}, '57014', 'it can be cancelled');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM live_queries'), 0, 'and leaves no subscription');

    $client->rows(q(SET live_queries.subscribe_timeout = '1s'));
    my $error;
    my $seconds = seconds_of(sub { $error = $client->error($subscribe) });
    is($error->{C}, '57014', 'it times out');
    like($error->{H}, qr/live\.workers/, 'with a hint');
    cmp_ok($seconds, '<', 30, 'in time');

    $client->rows(q(SET live_queries.subscribe_timeout = '0'));
    $client->send_query($subscribe);
    $client->wait_notice;
    $holder->rows(q(INSERT INTO t VALUES (1, 'held'); COMMIT));
    is($client->finish->{error}, undef, 'it goes on once that transaction has ended');
    $client->read_snapshot('held');
    is_deeply($client->state_of('held'), $client->rows_now($query), 'and its snapshot is right');
    $holder->rows(q(INSERT INTO t VALUES (2, 'b')));
    ok($client->follow('held'), 'and its feed');
    is_deeply($client->state_of('held'), $client->rows_now($query), 'with all that followed');

    # Later ones hold up nobody: the decoder runs.
    $holder->rows('BEGIN; SELECT pg_current_xact_id()');
    cmp_ok(seconds_of(sub { $client->subscribe('quick', $query) }), '<', 30, 'a transaction does not hold up a decoder that runs');
    $_->disconnect for $client, $holder;
}

# Catalogs that change meanwhile, here by a TRUNCATE: PostgreSQL's decoding does not know of the new file where it starts, nor
# do transactions that run then, which hold it up too.
for my $truncates (1, 0) {
    poll_ok($node, $no_decoder, 'the decoder stops');
    my ($old, $young, $across, $writer) = map { connect_client($node) } 1 .. 4;
    $client = connect_client($node);
    my $xid_of = sub { return $_[0]->value('SELECT pg_current_xact_id()') };
    my $waits_for = sub {
        poll_ok($node, "SELECT count(*) = 1 FROM pg_locks JOIN live.workers USING (pid) WHERE NOT granted AND transactionid = '$_[0]'", $_[1]);
    };
    $_->rows('BEGIN') for $old, $young, $across;
    my $old_xid = $xid_of->($old);
    $client->send_query("SELECT * FROM live.subscribe('held', '$query')");
    $waits_for->($old_xid, 'a decoder waits for a transaction');
    my $young_xid = $xid_of->($young);
    $writer->rows('BEGIN; ' . ($truncates ? 'TRUNCATE t' : 'DELETE FROM t') . q(; INSERT INTO t VALUES (1, 'first'); COMMIT));
    $old->rows('COMMIT');
    $waits_for->($young_xid, 'and for one that began meanwhile');
    $across->rows(q(INSERT INTO t VALUES (2, 'across')));
    $young->rows('COMMIT');
    $across->rows('COMMIT') if $truncates;
    is($client->finish->{error}, undef, 'then it runs');
    my $decoder = decoder_pid($node);
    $client->read_snapshot('held');
    $writer->rows(q(UPDATE t SET a = 'new'));
    $across->rows('COMMIT') if !$truncates;
    ok($client->follow('held'), $truncates ? 'what follows a TRUNCATE is told' : 'no other transaction held it up, and what it did is told');
    is_deeply($client->state_of('held'), $client->rows_now($query), 'exactly');
    is(decoder_pid($node), $decoder, 'by the same decoder');
    $_->disconnect for $client, $old, $young, $across, $writer;
}

# live_queries.max_databases, 2 here.
{
    my @clients;
    for my $database (qw(db1 db2 db3)) {
        $node->safe_psql('postgres', "CREATE DATABASE $database");
        $node->safe_psql($database, 'CREATE EXTENSION live_queries; CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t REPLICA IDENTITY FULL');
        push @clients, connect_client($node, dbname => $database);
    }
    $node->poll_query_until('postgres', 'SELECT count(pid) = 0 FROM live.workers');
    $_->subscribe('x', $query) for @clients[ 0, 1 ];
    my $error = $clients[2]->error("SELECT * FROM live.subscribe('x', '$query')");
    is($error->{C}, '53400', 'one database too many is refused');
    like($error->{H}, qr/live_queries\.max_databases/, 'with a hint');
    $clients[0]->disconnect;
    $node->poll_query_until('postgres', 'SELECT count(pid) = 1 FROM live.workers');
    $clients[2]->subscribe('x', $query);
    $node->safe_psql('db3', q(INSERT INTO t VALUES (3, 'c')));
    is($clients[2]->next_message->{message}{changes}[0]{key}[0], 3, 'it gets the place of one that is idle');
    $node->safe_psql('db2', q(INSERT INTO t VALUES (2, 'b')));
    is($clients[1]->next_message->{message}{changes}[0]{key}[0], 2, 'the other one goes on');
    $_->disconnect for @clients[ 1, 2 ];
}

# What else can be missing.
sub refused {
    my ($lines, $sqlstate, $message, $hint) = @_;
    restart_with($node, $lines);
    my $one = connect_client($node);
    my $error;
    my $seconds = seconds_of(sub { $error = $one->error("SELECT * FROM live.subscribe('x', '$query')") });
    is($error->{C}, $sqlstate, "$message: SQLSTATE");
    like($error->{M}, qr/$message/, "$message: message");
    like($error->{H} // '', qr/$hint/, "$message: hint");
    cmp_ok($seconds, '<', 30, "$message: at once");
    is($one->value(q(SELECT count(*) FROM live_queries)), 0, "$message: nothing is half accepted");
    $one->disconnect;
    return;
}

refused(<<~CONF, '53400', 'no background worker is free', 'max_worker_processes');
    max_logical_replication_workers = 0
    max_worker_processes = 1
    CONF
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');

restart_with($node, 'max_replication_slots = 1');
$node->safe_psql('postgres', q(SELECT pg_create_physical_replication_slot('taken')));
refused('', '53400', 'all replication slots are in use', 'max_replication_slots');
$node->safe_psql('postgres', q(SELECT pg_drop_replication_slot('taken')));
{
    my $one = connect_client($node);
    $one->subscribe('x', $query);
    pass('with a free slot it works at once');
    $one->disconnect;
}
$node->append_conf('postgresql.conf', 'max_replication_slots = 10');

my ($too_low, $needed) = wal_levels($node);
refused("wal_level = $too_low\nmax_wal_senders = 0", '55000', 'wal_level', "wal_level = $needed");
$node->append_conf('postgresql.conf', "wal_level = logical\nmax_wal_senders = 10");

# Limits on subscriptions and memory.
restart_with($node, <<~CONF);
    live_queries.max_subscriptions = 3
    live_queries.memory_limit = 4MB
    CONF
{
    my ($one, $two) = map { connect_client($node) } 1 .. 2;
    $one->subscribe("s$_", $query) for 1, 2;
    $two->subscribe('s3', $query);
    my $error = $two->error("SELECT * FROM live.subscribe('s4', '$query')");
    is($error->{C}, '53400', 'one subscription too many is refused');
    like($error->{H}, qr/live_queries\.max_subscriptions/, 'with a hint');
    $one->value(q(SELECT live.unsubscribe('s1')));
    my $several = join ', ', map { qq({"subscription_id": "m$_", "query": "$query"}) } 1, 2;
    $error = $two->error("SELECT * FROM live.subscribe_many('[$several]')");
    is($error->{C}, '53400', 'where one ends, two at once are refused');
    like($error->{W}, qr/^live query "m2"/, 'with the name of the second');
    is($one->value('SELECT count(*) FROM live_queries'), 2, 'and none of them is there');
    $two->subscribe('s4', $query);
    pass('one is not');
    $_->disconnect for $one, $two;
}
restart_with($node, 'live_queries.max_subscriptions = 100000');
{
    my ($one, $two) = map { connect_client($node) } 1 .. 2;
    $two->subscribe('small', $query);
    my $long = 'x' x 200_000;
    my ($count, $error) = (0);
    for (; $count < 100; ++$count) {
        $error = $one->error("SELECT * FROM live.subscribe('long $count', 'SELECT id FROM t WHERE a <> ''$long$count''')");
        last if $error->{C} ne '00000';
    }
    is($error->{C}, '53200', 'shared memory is limited');
    like($error->{H}, qr/live_queries\.memory_limit/, 'with a hint');
    cmp_ok($count, '>', 1, 'some subscriptions fit');
    is($node->safe_psql('postgres', 'SELECT count(*) FROM live_queries'), $count + 1, 'and are there');
    $node->safe_psql('postgres', q(INSERT INTO t VALUES (100, 'c')));
    is(scalar(grep { $_->{message}{type} eq 'changes' || $_->{message}{type} eq 'reset' } $two->synced), 1, 'the others are still served');
    is($one->value('SELECT live.unsubscribe_all()'), $count, 'once they end');
    $one->taken;
    $one->subscribe('long', "SELECT id FROM t WHERE a <> '$long'");
    pass('there is room again');
    $_->disconnect for $one, $two;
}

# A server that has not preloaded the library.
restart_with($node, q(shared_preload_libraries = ''));
{
    my $one = connect_client($node);
    for my $sql ("SELECT * FROM live.subscribe('x', '$query')", 'SELECT * FROM live_queries', 'SELECT * FROM live.workers',
        q(SELECT live.unsubscribe('x')), 'SELECT live.unsubscribe_all()', q(SELECT live.pause('x')), 'SELECT * FROM live.poll()',
        q(SELECT live.kill('x')), 'SELECT live.wait_for()', q(SELECT * FROM live.snapshot('x'))) {
        my $error = $one->error($sql);
        is($error->{C}, '55000', "not preloaded: $sql");
        like($error->{H} // '', qr/shared_preload_libraries/, 'with a hint');
    }
    $one->disconnect;
}
restart_with($node, q(shared_preload_libraries = 'live_queries'));

# On a standby it is refused; after its promotion it works.
{
    $node->backup('base');
    my $standby = PostgreSQL::Test::Cluster->new('standby');
    $standby->init_from_backup($node, 'base', has_streaming => 1);
    $standby->start;
    my $one = connect_client($standby);
    my $error = $one->error("SELECT * FROM live.subscribe('x', '$query')");
    is($error->{C}, '55000', 'a standby refuses');
    like($error->{M}, qr/recovery/, 'because it is in recovery');
    is($one->value('SELECT count(*) FROM live_queries'), 0, 'its view is empty');
    is($one->value('SELECT count(*) FROM live.workers'), 0, 'and the other one');
    $standby->promote;
    $one->subscribe('x', $query);
    is_deeply($one->state_of('x'), $one->rows_now($query), 'promoted, it serves');
    $standby->safe_psql('postgres', q(INSERT INTO t VALUES (1000, 'promoted')));
    is($one->next_message->{message}{changes}[0]{key}[0], 1000, 'and delivers');
    $one->disconnect;
    $standby->stop;
}

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
