# What must neither hold up the decoder, nor end it, nor make it grow.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('limits', <<~CONF);
    live_queries.idle_timeout = 1h
    live_queries.transaction_memory = 64kB
    live_queries.mailbox_size = 64kB
    logical_decoding_work_mem = 64kB
    shared_buffers = 32MB
    deadlock_timeout = 10ms
    log_lock_waits = on
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, grp int, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    ALTER TABLE t ALTER a SET STORAGE EXTERNAL;
    CREATE TABLE other (id int PRIMARY KEY);
    CREATE ROLE reader;
    SQL
my $query = 'SELECT id FROM t WHERE grp = 0';
my ($writer, $watcher) = map { connect_client($node) } 1 .. 2;
$watcher->subscribe('q', $query);
my $decoder = decoder_pid($node);

sub is_exact {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $watcher->follow('q');
    return is_deeply($watcher->state_of('q'), $watcher->rows_now($query), "$name: exact");
}

# What the decoder's memory contexts have taken. It adds that up once a second, where something happens: so for two seconds
# something does.
sub memory {
    my ($name) = @_;
    my $end = time + 2.1;
    wait_until(sub { $writer->rows('INSERT INTO other VALUES (1); DELETE FROM other'); time > $end });
    my $bytes = $writer->value('SELECT memory_bytes FROM live.workers');
    note("$name: $bytes bytes");
    return $bytes;
}

# How many tables the decoder has waited for: the server logs a wait that is longer than deadlock_timeout, and again whenever
# the waiting process is woken.
sub waited_for {
    my ($log_start) = @_;
    my %tables = map { $_ => 1 }
      slurp_file($node->logfile, $log_start) =~ /process $decoder still waiting for \w+ on relation (\d+)/g;
    return scalar keys %tables;
}

# kilobytes(NAME): of the decoder's memory, shared memory that it has used included, by the kernel.
sub kilobytes {
    my ($name) = @_;
    return slurp_file("/proc/$decoder/status") =~ /^$name:\s+(\d+)/m ? $1 : die "no $name";
}

# ----- a transaction that has something for very many connections, with several live queries each, of which one is the same -----
SKIP: {
    skip 'no /proc', 2 unless -r "/proc/$decoder/status";
    my @clients = map { connect_client($node) } 1 .. 80;
    my $subscribe = sub {
        my ($client, $id, $grp) = @_;
        return $client->rows(<<~SQL);
            SELECT * FROM live.subscribe('$id', 'SELECT id, repeat(''x'', 1000) AS x FROM t WHERE grp = \$1', ARRAY['$grp'], false, 'poll')
            SQL
    };
    $subscribe->($clients[ $_ % 80 ], "s$_", 1000 + $_) for 0 .. 399;
    $subscribe->($_, 'common', 999) for @clients;
    $writer->arrived;
    my $before = kilobytes('VmRSS');
    # More than 200 kB for each: less than what is sent at once, and 85 MB for all of them.
    $writer->rows('INSERT INTO t SELECT i, CASE WHEN i < 100000 THEN 999 ELSE 1000 + i % 400 END, NULL FROM generate_series(99900, 179999) i');
    my @counts = map { $_->synced; $_->value(q(SELECT sum(json_array_length(message->'changes')) FROM live.poll())) } @clients;
    is_deeply([ grep { $_ ne 1100 } @counts ], [], 'a transaction for eighty connections: each gets all of its changes');
    my $grown = kilobytes('VmHWM') - $before;
    note("$grown kB");
    cmp_ok($grown, '<', 75_000, 'the decoder never has all of them in memory');
    $_->disconnect for @clients;
    $writer->rows('DELETE FROM t');
}

# What the server logs of waits depends on the time: each of these two is tried once more, if need be.
# ----- a table that somebody has locked, when privileges change -----
my $waited;
for my $change ('GRANT pg_monitor TO reader', 'REVOKE pg_monitor FROM reader') {
    my $client = connect_client($node);
    $client->rows("SELECT * FROM live.subscribe('s$_', 'SELECT id, $_ AS n FROM t')") for 1 .. 20;
    $watcher->subscribe('other', 'SELECT id FROM other');
    my $log_start = -s $node->logfile;
    $writer->rows('BEGIN; LOCK TABLE t');
    $watcher->rows($change);
    $watcher->rows('INSERT INTO other VALUES (7)');
    my $message;
    $message = $watcher->next_message->{message} until $message && $message->{subscription_id} eq 'other';
    is($message->{type}, 'changes', 'a locked table does not keep the others waiting');
    $writer->rows('COMMIT');
    $waited = waited_for($log_start);
    $client->disconnect;
    $watcher->rows(q(SELECT live.unsubscribe('other')));
    $watcher->refresh('q');
    is_exact('a locked table');
    $writer->rows('DELETE FROM other');
    last if $waited == 1;
}
is($waited, 1, 'twenty-one live queries on it are waited for once');

# ----- a role that has locked all of many tables, when anything about roles changes -----
$node->safe_psql('postgres', "CREATE TABLE many_$_ (id int PRIMARY KEY); ALTER TABLE many_$_ REPLICA IDENTITY FULL")
  for 1 .. 30;
for my $try (1 .. 2) {
    my $client = connect_client($node);
    $client->rows("SELECT * FROM live.subscribe('m$_', 'SELECT id FROM many_$_', \"snapshot\" => false)") for 1 .. 30;
    $watcher->subscribe('other', 'SELECT id FROM other');
    my $log_start = -s $node->logfile;
    $writer->rows('BEGIN');
    $writer->rows("LOCK TABLE many_$_") for 1 .. 30;
    $watcher->rows("ALTER ROLE reader PASSWORD 'new $try'");
    $watcher->rows('INSERT INTO other VALUES (8)');
    my $message;
    $message = $watcher->next_message->{message} until $message && $message->{subscription_id} eq 'other';
    is($message->{type}, 'changes', 'many locked tables do not keep the others waiting');
    $waited = waited_for($log_start);
    $writer->rows('COMMIT');
    is(scalar(grep { $_->{message}{type} eq 'reset' } $client->synced), 30, 'what could not be checked is reset');
    $client->disconnect;
    $watcher->rows(q(SELECT live.unsubscribe('other')));
    $writer->rows('DELETE FROM other');
    last if $waited == 1;
}
is($waited, 1, 'all of them together are waited for as long as one');

# ----- large rows on many routes, and on many templates -----
{
    my $client = connect_client($node);
    $client->rows("SELECT * FROM live.subscribe('s$_', 'SELECT id, a FROM t WHERE grp = \$1', ARRAY['$_'], \"snapshot\" => false)") for 1 .. 20;
    $client->rows("SELECT * FROM live.subscribe('s$_', 'SELECT id, length(a || a) AS n$_ FROM t WHERE grp = $_', \"snapshot\" => false)") for 21 .. 40;
    my $before = memory('before large rows');
    $writer->rows("INSERT INTO t VALUES (100 + $_, $_, repeat('x', 500000))") for 1 .. 40;
    is(scalar(grep { $_->{message}{type} eq 'changes' } $client->synced), 40, 'a row of 500 kB for each');
    cmp_ok(memory('after them'), '<', $before + 5_000_000, 'whose memory is given back');
    $client->disconnect;
}

# ----- as many partitions as shapes of rows are kept -----
{
    $node->safe_psql('postgres', <<~SQL);
        CREATE TABLE parts (id int PRIMARY KEY, a text) PARTITION BY RANGE (id);
        ALTER TABLE parts REPLICA IDENTITY FULL;
        DO \$\$ BEGIN FOR i IN 0..299 LOOP
          EXECUTE format('CREATE TABLE part_%s PARTITION OF parts FOR VALUES FROM (%s) TO (%s)', i, i, i + 1);
          EXECUTE format('ALTER TABLE part_%s REPLICA IDENTITY FULL', i);
        END LOOP; END \$\$;
        INSERT INTO parts SELECT i, 'new' FROM generate_series(0, 299) i;
        SQL
    my $client = connect_client($node);
    $client->subscribe("p$_", "SELECT id, a, $_ AS n FROM parts") for 1 .. 4;
    my $touch = sub {
        for (1 .. $_[0]) {
            $writer->rows(q(UPDATE parts SET a = 'x'));
            $client->synced;
        }
    };
    $touch->(5);
    my $before = memory('300 partitions');
    $touch->(20);
    cmp_ok(memory('after 20 rounds'), '<', $before + 200_000, '300 partitions, changed over and over, take no more memory');
    $client->refresh('p1');
    # Columns come and go: those shapes are freed, and what is found by them is made anew.
    for my $round (1 .. 3) {
        $writer->rows("ALTER TABLE parts ADD COLUMN c$round int DEFAULT $round");
        $writer->rows(q(UPDATE parts SET a = a || '-'));
    }
    ok($client->follow('p1'), 'more columns do not reset');
    is_deeply($client->state_of('p1'), $client->rows_now('SELECT id, a, 1 AS n FROM parts'), 'with other columns: exact');
    $client->disconnect;
    $node->safe_psql('postgres', 'DROP TABLE parts');
}

# ----- a large transaction that is rolled back before it is decoded -----
{
    kill 'STOP', $decoder;
    $writer->rows('BEGIN; SAVEPOINT s; INSERT INTO t VALUES (-1, 0); RELEASE s');
    $writer->rows(q(INSERT INTO t SELECT -i, 0, repeat('x', 1000) FROM generate_series(2, 1000) i));
    $writer->rows('ROLLBACK');
    $writer->rows('INSERT INTO t VALUES (1000, 0)');
    kill 'CONT', $decoder;
    ok($watcher->follow('q'), 'a transaction that was rolled back ends nobody');
    is_exact('a transaction that was rolled back');
}

# ----- temp_file_limit is for queries -----
{
    $node->safe_psql('postgres', q(ALTER SYSTEM SET temp_file_limit = '100kB'));
    $node->reload;
    $writer->rows(q(UPDATE t SET a = repeat('y', 1000000), grp = 0 WHERE id BETWEEN 101 AND 105));
    ok($watcher->follow('q'), 'a transaction in a file beyond temp_file_limit');
    is_exact('temp_file_limit');
    # Functions of subscribers are queries.
    $node->safe_psql('postgres', <<~SQL);
        CREATE FUNCTION sorts(int) RETURNS bigint IMMUTABLE LANGUAGE plpgsql SET work_mem = '64kB' AS
          'BEGIN RETURN (SELECT count(*) FROM (SELECT i FROM generate_series(1, 200000) i ORDER BY -i) s); END'
        SQL
    my $client = connect_client($node);
    $client->rows(q(SELECT * FROM live.subscribe('s', 'SELECT sorts(id) AS s FROM other', "snapshot" => false)));
    $client->rows('INSERT INTO other VALUES (2)');
    is($client->next_message->{message}{code}, '53400', 'a function in a file beyond temp_file_limit');
    $client->disconnect;
    $node->safe_psql('postgres', 'ALTER SYSTEM RESET temp_file_limit');
    $node->reload;
}

is(decoder_pid($node), $decoder, 'all this by one decoder');

# ----- a function that ends its process, which it can from PostgreSQL 17 on -----
if ($node->pg_version >= 17) {
    $node->safe_psql('postgres', <<~SQL);
        ALTER SYSTEM SET transaction_timeout = '100ms';
        CREATE FUNCTION ends(int) RETURNS int IMMUTABLE LANGUAGE plpgsql SET transaction_timeout = '10ms' AS
          'BEGIN PERFORM pg_sleep(60); RETURN 1; END';
        CREATE FUNCTION takes(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN 1; END';
        SQL
    # The sessions here are not to be ended by it.
    $_->rows('SET transaction_timeout = 0') for $writer, $watcher;
    $node->reload;
    my $client = connect_client($node, options => { transaction_timeout => 0 });
    $client->rows(q(SELECT * FROM live.subscribe('s', 'SELECT takes(id) AS s FROM other', "snapshot" => false)));
    $client->rows('INSERT INTO other VALUES (3)');
    is($client->next_message->{message}{type}, 'changes', q(the server's transaction_timeout is not the decoder's));
    $client->rows(q(SELECT * FROM live.subscribe('e', 'SELECT ends(id) AS e FROM other', "snapshot" => false)));
    $client->rows('INSERT INTO other VALUES (4)');
    my %told = map { $_->{message}{subscription_id} => $_->{message} } $client->next_message, $client->next_message;
    is($told{e}{code}, '38000', 'whose function it is, is ended');
    is($told{s}{type}, 'reset', 'the others are reset');
    $watcher->refresh('q');
    is_exact('a function that ends its process');
    $client->disconnect;
}

$_->disconnect for $writer, $watcher;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
