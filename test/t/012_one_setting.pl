# From 19 on, shared_preload_libraries is all that has to be set: the server turns logical decoding on by itself for the first live
# query, and off again after the last. On 15 to 18 wal_level has to be set, which 002 and 042 show.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('one_setting');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);

# set_up(NODE, LINES): the configuration that initdb has made, with these lines and where the server listens.
sub set_up {
    my ($where, $lines) = @_;
    my $file = $where->data_dir . '/postgresql.conf';
    my ($made, $added) = split /^# Added by PostgreSQL::Test::Cluster\.pm\n/m, slurp_file($file);
    my $listens = join '', $added =~ /^((?:port|unix_socket_directories|listen_addresses) = .*\n)/mg;
    unlink $file or die "cannot remove $file: $!";
    append_to_file($file, "$made$listens$lines");
    return;
}

set_up($node, "shared_preload_libraries = 'live_queries'\n");
$node->start;
if ($node->safe_psql('postgres', 'SHOW server_version_num') < 190000) {
    my $level = $node->safe_psql('postgres', 'SHOW wal_level');
    $node->safe_psql('postgres', 'CREATE EXTENSION live_queries; CREATE TABLE t (id int PRIMARY KEY)');
    my $client = connect_client($node);
    my $error = $client->error(q(SELECT live.subscribe('t', 'SELECT id FROM t')));
    like("$level: $error->{M}. $error->{H}", qr/^replica: watching a query requires wal_level = logical\. Set wal_level = logical/,
        'before 19 it has to be set');
    $client->disconnect;
    $node->stop;
    done_testing();
    exit;
}

# is_level(LEVEL, NAME): what the log is written for, now or soon.
sub is_level {
    my ($level, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return poll_ok($node, "SELECT current_setting('effective_wal_level') = '$level'", $name);
}

is($node->safe_psql('postgres', 'SHOW wal_level'), 'replica', 'wal_level is as it is made');
is_level('replica', 'and nothing is logged for decoding');
$node->safe_psql('postgres', <<~SQL);
    CREATE EXTENSION live_queries;
    CREATE TABLE t (id int PRIMARY KEY, n int, note text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    CREATE TABLE k (id int PRIMARY KEY, n int);
    INSERT INTO t SELECT i, i, repeat('x', 3000) FROM generate_series(1, 20) i;
    INSERT INTO k SELECT i, i FROM generate_series(1, 20) i;
    SQL
my %queries = (
    stream => 'SELECT id, n, length(note) AS long FROM t',
    delta  => 'SELECT k.id, k.n, t.n AS m FROM k JOIN t ON t.id = k.n',
);
my $client = connect_client($node);
my $writer = connect_client($node);

sub subscribe_all {
    $client->subscribe($_, $queries{$_}) for sort keys %queries;
    return;
}

sub is_exact {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $told = $client->told;
    is_deeply([ grep { /reset|terminated/ } @$told ], [], "$name: nothing but changes");
    is_deeply($client->state_of($_), $client->rows_now($queries{$_}), "$name: $_") for sort keys %queries;
    return;
}

# Old rows and old keys are what is not logged otherwise.
sub change_rows {
    my ($by) = @_;
    $by->rows($_) for 'UPDATE t SET n = n + 1 WHERE id % 3 = 0', 'UPDATE t SET id = id + 100 WHERE id = (SELECT min(id) FROM t)',
      'UPDATE k SET id = id + 100 WHERE id = (SELECT min(id) FROM k)', 'DELETE FROM k WHERE id = (SELECT max(id) FROM k)',
      'DELETE FROM t WHERE id = (SELECT max(id) FROM t)', q(UPDATE t SET note = note || 'y' WHERE id % 5 = 0);
    return;
}

# A transaction that has read, and one that has written before.
my $reader = connect_client($node);
$reader->rows('BEGIN; SELECT count(*) FROM t');
my $older = connect_client($node);
$older->rows('BEGIN; UPDATE t SET n = -1 WHERE id = 20');
$client->send_query(qq(SELECT live.subscribe('stream', '$queries{stream}')));
like($client->wait_notice->{D}, qr/process ${\$older->pid} since/, 'a transaction that has written is waited for');
$older->rows('UPDATE t SET n = -2 WHERE id = 20; COMMIT');
is($client->finish->{error}, undef, 'then it begins');
$client->read_snapshot('stream');
$client->subscribe('delta', $queries{delta});
is_level('logical', 'now the log has what decoding takes');
is($node->safe_psql('postgres', 'SHOW wal_level'), 'replica', 'without another setting');
$writer->rows('INSERT INTO t VALUES (30, 30, NULL)');
is_deeply($client->told, ['stream'], 'a change is told');
is_exact('at first');
change_rows($writer);
is_exact('changed');
change_rows($reader);
$reader->rows('COMMIT');
is_exact('changed by a transaction that had read before');
$_->disconnect for $reader, $older;

# The last one has gone, and another one comes: also just when it is turned off.
$node->append_conf('postgresql.conf', 'live_queries.idle_timeout = 1s');
$node->reload;
$client->value('SELECT live.unsubscribe_all()');
is_level('replica', 'without a live query it is off again');
change_rows($writer);
subscribe_all();
is_level('logical', 'with another one it is on');
change_rows($writer);
is_exact('once more');
$node->append_conf('postgresql.conf', 'live_queries.idle_timeout = 1ms');
$node->reload;
for my $i (1 .. 10) {
    $client->value('SELECT live.unsubscribe_all()');
    $client->rows("SELECT pg_sleep($i / 200.0)");
    subscribe_all();
    change_rows($writer) if $i % 3 == 0;
    $writer->rows("INSERT INTO t VALUES (1000 + $i, $i, 'z'); UPDATE t SET n = n + 1 WHERE id > 1000");
    my @wrong = grep { /reset|terminated/ } @{ $client->told };
    push @wrong, grep { "@{$client->state_of($_)}" ne "@{$client->rows_now($queries{$_})}" } sort keys %queries;
    is_deeply(\@wrong, [], "off and on, $i");
}
is_exact('after off and on');

# After a crash, and where a copy takes over.
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlive_queries.idle_timeout = 1h");
$node->reload;
kill 'KILL', decoder_pid($node);
wait_until(sub { return $client->error('SELECT 1')->{C} ne '00000' }) or die 'no crash';
comes_back($node, 'after a crash');
$client = connect_client($node);
$writer = connect_client($node);
subscribe_all();
change_rows($writer);
is_exact('after a crash');
$_->disconnect for $client, $writer;

$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('one_setting_standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $refused = connect_client($standby);
like($refused->error(qq(SELECT live.subscribe('stream', '$queries{stream}')))->{M}, qr/in recovery/, 'a standby refuses');
$refused->disconnect;
$node->stop;
$standby->promote;
$node = $standby;
$node->append_conf('postgresql.conf', 'live_queries.idle_timeout = 1s');
$node->reload;
is_level('replica', 'what has taken over does not log it');
($client, $writer) = map { connect_client($node) } 1 .. 2;
subscribe_all();
is_level('logical', 'until it has live queries');
change_rows($writer);
is_exact('on what was a standby');
$_->disconnect for $client, $writer;
$node->stop;

# Less than that does not do.
$node->append_conf('postgresql.conf', "wal_level = minimal\nmax_wal_senders = 0");
$node->start;
$client = connect_client($node);
my $error = $client->error(qq(SELECT live.subscribe('stream', '$queries{stream}')));
is("$error->{C}: $error->{M}. $error->{H}",
    '55000: watching a query requires wal_level = replica. Set wal_level = replica and restart the server.', 'minimal is refused');
$client->disconnect;
$node->stop;
done_testing();
