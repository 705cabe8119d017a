# pg_dump of a database that is watched, and its restoration as another one: both are watched, each with its own.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump');
my $query = 'SELECT id, a FROM t';

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

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
