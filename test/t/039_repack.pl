# What repacks a table gives it another file, whose rows older snapshots do not see: pg_repack, pg_squeeze, REPACK, REPACK
# (CONCURRENTLY). Whoever watches the table is exact or reset, and sees no wrong row in between, also while others write to it and
# whenever he subscribes; and a first subscription that waits for such a command says so.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use LiveQueries;
use List::Util qw(sum0);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('repack');
$node->init(allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', <<~CONF);
    shared_preload_libraries = 'live_queries'
    max_connections = 100
    max_worker_processes = 20
    autovacuum = off
    live_queries.evaluation_timeout = 20s
    live_queries.idle_timeout = 1h
    CONF
$node->start;

# ---- the ways, of which each version has some ----

# ways(): name => command for a table. Debian 12 has no pg_squeeze; for 19 there is neither of the extensions yet.
sub ways {
    my $version = $node->safe_psql('postgres', 'SHOW server_version_num') / 10000;
    my $psql = sub {
        my ($sql) = @_;
        return [ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $sql ];
    };
    my %ways = ('VACUUM FULL' => sub { $psql->("VACUUM FULL $_[0]") });
    if ($version >= 19) {
        $ways{REPACK} = sub { $psql->("REPACK $_[0] USING INDEX $_[0]_pkey") };
        $ways{'REPACK (CONCURRENTLY)'} = sub { $psql->("REPACK (CONCURRENTLY) $_[0]") };
        return %ways;
    }
    $ways{pg_repack} = sub {
        return [ $node->config_data('--bindir') . '/pg_repack', '-d', 'postgres', '-h', $node->host, '-p', $node->port, '-t', $_[0] ];
    };
    $ways{pg_squeeze} = sub { $psql->("SELECT squeeze.squeeze_table('public', '$_[0]')") } if $version >= 17;
    return %ways;
}

my %ways = ways();

for my $extension (grep { exists $ways{$_} } qw(pg_repack pg_squeeze)) {
  SKIP: {
        my $available = "SELECT count(*) FROM pg_available_extensions WHERE name = '$extension'";
        last SKIP if $node->safe_psql('postgres', $available) ne '0';
        delete $ways{$extension};
        skip "$extension is not installed", 1;
    }
}
if ($ways{pg_squeeze}) {
    my $asks = $node->safe_psql('postgres', q(SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'));
    restart_with($node, "shared_preload_libraries = 'live_queries, pg_squeeze'\n" . ($asks ? "output_plugin_libraries = 'pg_squeeze'\n" : ''));
}
$node->safe_psql('postgres', "CREATE EXTENSION $_") for 'live_queries', grep { /^pg_/ } sort keys %ways;

# ---- a first subscription ----

$node->safe_psql('postgres', <<~SQL);
    CREATE FUNCTION held(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN \$1; END';
    CREATE TABLE slow (id int PRIMARY KEY);
    INSERT INTO slow VALUES (1);
    CREATE INDEX ON slow (held(id));
    SQL

for my $way (grep { !/^pg_/ } sort keys %ways) {
    my ($holder, $repacker, $client) = map { connect_client($node) } 1 .. 3;
    $holder->rows('SELECT pg_advisory_lock(1)');
    $repacker->send_query($ways{$way}->('slow')->[-1]);
    my $waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $repacker->pid;
    $node->poll_query_until('postgres', $waits) or die "$way does not wait";
    $client->send_query(q(SELECT * FROM live.subscribe('slow', 'SELECT id FROM slow')));
    my $notice = $client->wait_notice;
    my ($command) = $way =~ /^(\w+(?: FULL)?)/;
    like($notice->{M}, qr/waits for older transactions/, "$way: a first subscription waits, and says so");
    like($notice->{D}, qr/process ${\$repacker->pid} since [^;]* \($command of slow\)/, '... and for what');
    $holder->rows('SELECT pg_advisory_unlock(1)');
    for my $one ($repacker, $client) {
        is($one->finish->{error}, undef, '... and then goes on');
    }
    $client->read_snapshot('slow');
    is_deeply($client->state_of('slow'), ['{"id":1}'], '... with what is there');
    $_->disconnect for $holder, $repacker, $client;
    $node->restart;
}

# ---- everyone else ----

# Each transaction keeps the sums, and how many rows are below 300.
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, filler text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    CREATE TABLE k (id int PRIMARY KEY, t int NOT NULL, g int NOT NULL, n int NOT NULL, filler text);
    CREATE TABLE control (stop bool);
    INSERT INTO t SELECT i, i, repeat('x', 200) FROM generate_series(1, 5000) i;
    INSERT INTO k SELECT i, i, i % 10, i, repeat('y', 200) FROM generate_series(1, 5000) i WHERE i NOT BETWEEN 201 AND 300;
    INSERT INTO control VALUES (false);
    CREATE PROCEDURE work(i int) LANGUAGE plpgsql AS \$\$
    DECLARE
        free int := (SELECT min(x) FROM generate_series(1 + i % 200, 300) x WHERE NOT EXISTS (SELECT FROM k WHERE id = x));
    BEGIN
        UPDATE t SET n = n + 1 WHERE id = i % 200 + 1;
        UPDATE t SET n = n - 1 WHERE id = (i * 7 + 1) % 200 + 1;
        UPDATE k SET n = n + 5 WHERE id = (SELECT max(id) FROM k WHERE id <= 300);
        UPDATE k SET n = n - 5 WHERE id = (SELECT min(id) FROM k WHERE id >= i % 100);
        UPDATE k SET id = free WHERE id = (SELECT min(id) FROM k WHERE id > i % 100) AND free IS NOT NULL;
        UPDATE k SET filler = i::text WHERE id > 300 AND id % 97 = i % 97;
    END \$\$;
    CREATE PROCEDURE work_on() LANGUAGE plpgsql AS \$\$
    DECLARE
        i int := 0;
    BEGIN
        WHILE NOT (SELECT stop FROM control) LOOP
            i := i + 1;
            CALL work(i);
            COMMIT;
            PERFORM pg_sleep(0.002);
        END LOOP;
    END \$\$;
    SQL

my %queries = (
    full   => 'SELECT id, n FROM t WHERE id <= 200',
    keys   => 'SELECT id FROM k WHERE id <= 300',
    joined => 'SELECT k.id, k.n, t.id AS other, t.n AS m FROM k JOIN t ON t.id = k.t WHERE k.id <= 300',
    groups => 'SELECT g, sum(n) AS n FROM k GROUP BY g',
    top    => 'SELECT id, n FROM k ORDER BY n DESC, id LIMIT 10',
    whole  => 'SELECT g, sum(n) AS n FROM k GROUP BY ROLLUP (g)',
);
my %strategies = (full => 'stream', keys => 'stream', joined => 'delta', groups => 'delta', top => 'delta', whole => 'refresh');
my $writer = connect_client($node);
my @wrong;

# What does not change: how many rows there are, and the sum of their n.
sub measures_of {
    my ($rows) = @_;
    my @n = map { /"n":(-?\d+)/ ? $1 : () } @$rows;
    return scalar(@$rows) . ' rows, ' . sum0(@n);
}

my %measures = map { $_ => measures_of($writer->rows_now($queries{$_})) } keys %queries;

# Whether the state of a live query is one that there can have been.
sub check_state {
    my ($client, $id, $when) = @_;
    my $found = measures_of($client->state_of($id));
    my $expected = $measures{$id};
    s/, .*// for $id eq 'top' ? ($found, $expected) : (); # its sum is that of the greatest
    push @wrong, "$id $when: $found instead of $expected" if $found ne $expected;
    return;
}

# catch_up(CLIENT): applies what has come, and refreshes what was reset: which ones.
sub catch_up {
    my ($client) = @_;
    my @reset;
    for my $message (map { $_->{message} } $client->synced) {
        my $id = $message->{subscription_id};
        if ($message->{type} eq 'changes') {
            eval { apply_changes($client->{states}{$id}, $message); 1 } or push @wrong, "$id: $@";
            check_state($client, $id, 'after a message') unless $message->{more};
        } elsif ($message->{type} eq 'reset') {
            push @reset, $id;
            push @wrong, "$id: $message->{reason}" if $message->{reason} !~ /rewritten|locked for too long|has changed/;
        } else {
            push @wrong, "$id: $message->{type} $message->{reason}";
        }
    }
    for my $id (@reset) {
        # A table that is being locked may be in the way for a while.
        my $done = wait_until(sub { return $client->error("SELECT live.refresh('$id')")->{C} eq '00000' });
        die "$id cannot be refreshed" unless $done;
        $client->read_snapshot($id);
        check_state($client, $id, 'after a refresh');
    }
    return [ sort @reset ];
}

# subscribe_all(CLIENT): and whether the first results are what there can have been.
sub subscribe_all {
    my ($client) = @_;
    for my $id (sort keys %queries) {
        my $sql = "SELECT strategy FROM live.subscribe('$id', \$query\$$queries{$id}\$query\$)";
        my $done = wait_until(
            sub {
                $client->send_query($sql);
                my $result = $client->finish;
                die "$id: $result->{error}{M}" if $result->{error} && $result->{error}{C} ne '55P03'; # the table is locked
                return 0 if $result->{error};
                push @wrong, "$id: $result->{rows}[0][0]" if $result->{rows}[0][0] ne $strategies{$id};
                return 1;
            });
        die "$id cannot be subscribed" unless $done;
        $client->read_snapshot($id);
        check_state($client, $id, 'first');
    }
    return $client;
}

sub is_exact {
    my ($client, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $then = join ' ', @{ catch_up($client) };
    for my $id (sort keys %queries) {
        push @wrong, "$id is not exact" if "@{$client->state_of($id)}" ne "@{$writer->rows_now($queries{$id})}";
    }
    is_deeply(\@wrong, [], $name) or diag("reset at last: $then");
    @wrong = ();
    return;
}

# These take no table that logs whole rows.
my %tables = ('REPACK (CONCURRENTLY)' => ['k'], pg_squeeze => ['k']);
my $watcher = subscribe_all(connect_client($node));
$writer->rows('CALL work(1)');
is_exact($watcher, 'before all');

for my $way (sort keys %ways) {
    my @tables = @{ $tables{$way} // [ 't', 'k' ] };

    # Nobody else does anything.
    for my $table (@tables) {
        run_command_ok($ways{$way}->($table), "$way of $table");
        $writer->rows('CALL work(2)');
        my @told = @{ catch_up($watcher) };
        my $concerned = $table eq 't' ? qr/^(?:full|joined)$/ : qr/^(?!full$)/;
        is_deeply([ grep { !/$concerned/ } @told ], [], '... resets none that does not read it');
        is_exact($watcher, '... and the others are exact or reset');
    }

    # Others write, subscribe, are reset and begin again, where that is possible meanwhile.
    next if $way !~ /^pg_|CONCURRENTLY/;
    my $worker = connect_client($node);
    $writer->rows('UPDATE control SET stop = false');
    $worker->send_query('CALL work_on()');
    my ($subscribed, $reset) = (0, 0);
    for my $table ('k', @tables) {
        my ($out, $err) = ('', '');
        my $run = IPC::Run::start($ways{$way}->($table), '<', \undef, '>', \$out, '2>', \$err);
        do {
            my $another = subscribe_all(connect_client($node));
            $reset += @{ catch_up($_) } for $watcher, $another;
            $another->disconnect;
            ++$subscribed;
            $run->pump_nb;
        } while ($run->pumpable);
        ok($run->finish, "$way of $table beside writers") or diag($out . $err);
    }
    my $another = subscribe_all(connect_client($node));
    $writer->rows('UPDATE control SET stop = true');
    is($worker->finish->{error}, undef, '... who have not failed');
    $worker->disconnect;
    note("subscribed $subscribed times, reset $reset times");
    is_exact($watcher, '... who watches is exact or reset');
    is_exact($another, '... and so is who has come meanwhile');
    $another->disconnect;
}

# run_command_ok(COMMAND, NAME)
sub run_command_ok {
    my ($command, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($out, $err) = ('', '');
    my $done = IPC::Run::run($command, '<', \undef, '>', \$out, '2>', \$err);
    return ok($done, $name) || diag($out . $err);
}

$watcher->disconnect;
$writer->disconnect;
$node->stop;
done_testing();
