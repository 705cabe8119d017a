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

# The values: what waits for a client that is in a transaction, how far the worker is behind that watches, and memory. A
# decoder that is held reads no further, while the evaluator does.
my $joined = connect_client($node);
$joined->subscribe('joined', 'SELECT count(*) FROM t');
sub listed {
    my ($column) = @_;
    my @lines = split /\n/, run_pg_live($node, '--list')->{out};
    my ($head) = grep { /live_id/ } @lines;
    my @names = split /\s*\|\s*/, $head =~ s/^\s+|\s+$//gr;
    my ($at) = grep { $names[$_] eq $column } 0 .. $#names;
    return map { my @cells = split /\s*\|\s*/, s/^\s+//r; $cells[0] =~ /-(\w+)$/ ? ($1 => $cells[$at]) : () } grep { /-\w+ +\|/ } @lines;
}
# (The server itself writes to the log now and then.)
my %lag;
wait_until(sub { %lag = listed('lag'); return join(' ', values %lag) eq '0 B 0 B 0 B' });
is_deeply(\%lag, { busy => '0 B', quiet => '0 B', joined => '0 B' }, 'lag: none');
my $decoder = decoder_pid($node);
kill 'STOP', $decoder;
$node->safe_psql('postgres', q{SELECT pg_logical_emit_message(false, 'test', repeat('x', 3000000))});
# It is behind what is on disk, which that comes to in its time.
wait_until(sub { %lag = listed('lag'); return $lag{busy} =~ /MB/ });
like($lag{busy}, qr/^[23]\.\d MB$/, 'lag: of a stream, while its decoder is held');
kill 'CONT', $decoder;
my $sums;
wait_until(sub { $sums = run_pg_live($node, '--list')->{out}; return $sums =~ /lag: 0 B/ });
like($sums, qr/^live queries: 3, databases: 1, lag: 0 B, memory: [1-9][\d.]* [kM]B, WAL kept: \d[\d.]* \w+, resets: 0\n/, 'the sums');
my %memory = listed('memory');
like($memory{$_}, qr/^([1-9]\d\d B|[1-9]\d?\.?\d? kB)$/, "memory: of $_") for qw(busy quiet joined);
$busy->rows('BEGIN');
$node->safe_psql('postgres', q{INSERT INTO t SELECT generate_series(1001, 1400)});
my %pending;
ok(wait_until(sub { %pending = listed('pending'); return $pending{busy} =~ /^[1-9]\d* kB$/ }), 'pending: for a client in a transaction')
  || diag(join ', ', %pending);
is($pending{quiet}, '0 B', 'pending: of the other live query nothing');
$busy->rows('COMMIT');
ok(wait_until(sub { %pending = listed('pending'); return $pending{busy} eq '0 B' }), 'pending: told after it');
$joined->disconnect;
$node->safe_psql('postgres', 'DELETE FROM t WHERE id > 1');

my $terminal = PgLive::Terminal->new($node);
$terminal->start(120, 20, '--list');
$terminal->shows('on a terminal', qr/\Alive queries: 2,/, qr/-busy +\S+ +stream +active/, qr/-quiet +\S+ +stream +active .* SELECT id/);
$terminal->keys_sent('Down');
$node->safe_psql('postgres', "INSERT INTO t SELECT generate_series(100, 300)");
$terminal->shows('what is told', qr/-busy .* 1001 +0 B/);
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

# Where nothing can be drawn it is as where there is no terminal.
$terminal->{environment} = ['TERM=dumb'];
$terminal->start(120, 20, '--list');
$terminal->shows('TERM=dumb', qr/^live queries: 0,/m, qr/^\(0 rows\)$/m);
$terminal->ended(0, 'TERM=dumb: and ends');
$terminal->{environment} = [];

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
