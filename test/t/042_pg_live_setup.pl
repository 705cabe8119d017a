# What pg_live says of a server that is not set up for live queries: one line, with the cure.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PgLive;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('setup');
$node->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
my $query = 'SELECT id FROM t';

# refused(PATTERN, NAME): in one line that matches.
sub refused {
    my ($where, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return refuses($pattern, $name, run_pg_live($where, '--json', $query));
}

sub refuses {
    my ($pattern, $name, $client) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($client->{status}, 3, "$name: the status");
    like($client->{err}, qr/\Apg_live: [^\n]*$pattern[^\n]*\n\z/, "$name: what is said");
    is($client->{out}, '', "$name: nothing else");
    return;
}

# A server whose files are not there, as its catalog has it.
$node->safe_psql('postgres', q{CREATE SCHEMA bare; CREATE VIEW bare.pg_available_extensions AS SELECT * FROM pg_catalog.pg_available_extensions WHERE name <> 'live_queries'});
$node->safe_psql('postgres', 'ALTER DATABASE postgres SET search_path = bare, pg_catalog, public');
my $not_installed = qr/live_queries is not installed on this server\. .*database "postgres": CREATE EXTENSION live_queries/;
refused($node, $not_installed, 'not installed');
refuses($not_installed, 'not installed, --list', run_pg_live($node, '--list'));
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET search_path; DROP SCHEMA bare CASCADE');

my $no_extension = qr/database "postgres" has no live queries yet.*CREATE EXTENSION live_queries/;
refused($node, $no_extension, 'no extension');
refuses($no_extension, 'no extension, --list', run_pg_live($node, '--list'));
$node->safe_psql('postgres', 'CREATE EXTENSION live_queries');
refused($node, qr/shared_preload_libraries.*restart the server/, 'not preloaded');
my ($too_low, $needed) = wal_levels($node);
restart_with($node, "shared_preload_libraries = 'live_queries'\nwal_level = $too_low\nmax_wal_senders = 0");
refused($node, qr/wal_level = $needed.*restart the server/, 'wal_level');
restart_with($node, "wal_level = logical\nmax_wal_senders = 10\nmax_replication_slots = 0");
refused($node, qr/max_replication_slots.*restart the server/, 'no slots');
restart_with($node, 'max_replication_slots = 10');

# A transaction that runs has to end first; that is said, and then it goes on.
my $old = connect_client($node);
$old->rows('BEGIN; CREATE TABLE other (id int)');
my $client = start_pg_live($node, '--json', $query);
$client->wait_for('err', qr/\Apg_live: live_queries waits for older transactions[^\n]*process ${\$old->pid}\b[^\n]*live_queries\.databases[^\n]*\n\z/,
    'waiting: for whom, and the cure');
$client->signal('INT');
is($client->finish->{status}, 130, 'waiting: can be ended');
poll_ok($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pg_live'}, 'waiting: the server does not wait on');
$client = start_pg_live($node, '--json', '--count', 1, $query);
$client->wait_for('err', qr/waits/, 'waiting: again');
$old->rows('COMMIT');
$client->wait_for('out', qr/snapshot/, 'waiting: goes on');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
is($client->finish->{status}, 0, 'waiting: and is well');

# A standby, where a query cannot be watched.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
refused($standby, qr/in recovery.*on the primary/, 'a standby');

$standby->stop;
$node->stop;
done_testing();
