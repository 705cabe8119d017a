# pg_live --list: who watches what, once as text and on a terminal, and killing.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PgLive;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('list');
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE other LOGIN; INSERT INTO t VALUES (1)');

my $list = run_pg_live($node, '--list');
is($list->{status}, 0, 'as text');
like($list->{out}, qr/^live queries: 0, .*\(0 rows\)\n\z/s, 'of none');

my $busy = connect_client($node);
$busy->subscribe('busy', 'SELECT id FROM t');
my $quiet = connect_client($node);
my $live_id = $quiet->subscribe('quiet', 'SELECT id FROM t WHERE id < 0')->{live_id};
$list = run_pg_live($node, '--list');
like($list->{out}, qr/^live queries: 2, databases: 1, lag: .*?\n\n.*live_id .*\n.*\n.*-busy .*\n.*-quiet .*\(2 rows\)/s, 'of two');

my $terminal = PgLive::Terminal->new($node);
$terminal->start(120, 20, '--list');
$terminal->shows('on a terminal', qr/\Alive queries: 2,/, qr/-busy +\S+ +stream +active/, qr/-quiet +\S+ +stream +active .* SELECT id/);
$terminal->keys_sent('Down');
$node->safe_psql('postgres', "INSERT INTO t SELECT generate_series(100, 300)");
$terminal->shows('what is told', qr/-busy .* 201 +0 B/);
$terminal->keys_sent('k');
$terminal->shows('the key to kill asks', qr/kill \Q$live_id\E\?/);
$terminal->keys_sent('n');
$terminal->shows('no', qr/k: kill/);
is($quiet->value('SELECT count(*) FROM live_queries WHERE status = $$active$$'), 2, 'then nothing is killed');
$terminal->keys_sent('k', 'y');
$terminal->shows('yes', qr/\Q$live_id\E +\S+ +stream +terminated/, qr/\Alive queries: 1,/);
is($quiet->next_message->{message}{type}, 'terminated', 'its client is told');

$node->restart;
$terminal->shows('after a restart', qr/\Alive queries: 0,/, qr/k: kill/);
$terminal->keys_sent('q');
$terminal->ended(0, 'q ends it');

# Another role sees how many there are; one that may see more may still not kill.
$busy = connect_client($node);
$busy->subscribe('busy', 'SELECT id FROM t');
$terminal->start(120, 20, '--list', '-U', 'other');
$terminal->shows('another role', qr/\Alive queries: 1,/, [qr/-busy /]);
$node->safe_psql('postgres', 'GRANT pg_read_all_stats TO other');
$terminal->shows('one that may see more', qr/-busy /);
$terminal->keys_sent('k', 'y');
$terminal->shows('what the server refuses is said', qr/permission denied|must be/);
$terminal->keys_sent('C-c');
$terminal->ended(130, 'Ctrl-C ends it');

$node->stop;
done_testing();
