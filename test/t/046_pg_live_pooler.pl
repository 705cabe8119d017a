# pg_live through PgBouncer, in each of the modes that matter.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use IPC::Run ();
use LiveQueries;
use PgLive;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('pooler');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
my $query = 'SELECT id FROM t';
my $user = $node->safe_psql('postgres', 'SELECT current_user');

# start_pooler(MODE): one that runs; its input ends it. Returns it and what pg_live connects with.
sub start_pooler {
    my ($mode) = @_;
    local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($node->host, $node->port, $user, 'postgres');
    my ($in, $out) = ('', '');
    my $run = IPC::Run::start([ 'python3', dirname(__FILE__) . '/../../clients/recipes/pgbouncer.py', $mode ],
        '<', \$in, '>', \$out, IPC::Run::timeout(300));
    $run->pump until $out =~ /^(\S+)\n/;
    return ($run, '-d', "host=$1 port=6432 dbname=postgres user=$user");
}

my ($pooler, @connection) = start_pooler('session');
my $client = start_pg_live($node, '--json', '--count', 1, @connection, $query);
$client->wait_for('out', qr/snapshot/, 'session: the first result');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
is($client->finish->{status}, 0, 'session: and what changes');
like($client->{out}, qr/"op":"insert","key":\[2\]/, 'session: which is told');
$pooler->finish;

($pooler, @connection) = start_pooler('transaction');
$client = run_pg_live($node, '--json', @connection, $query);
is($client->{status}, 3, 'transaction: refused');
like($client->{err}, qr/\Apg_live: a pooler [^\n]*pool_mode = session[^\n]*\n\z/, 'transaction: with the cure, in one line');
is($client->{out}, '', 'transaction: nothing is shown as if it were live');
poll_ok($node, q{SELECT count(*) = 0 FROM live_queries WHERE status = 'active'}, 'transaction: nothing stays on the server');
$pooler->finish;

$node->stop;
done_testing();
