# pg_live where no person looks on: what each of its outputs has, when it ends, with which status, and that nothing of it stays
# on the server.
use strict;
use warnings FATAL => 'all';
use IPC::Run ();
use LiveQueries;
use PgLive;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('pg_live');
$node->safe_psql('postgres', <<~'SQL');
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int, note text, total numeric(10,2));
    ALTER TABLE orders REPLICA IDENTITY FULL;
    CREATE TABLE items (id int PRIMARY KEY, order_id int, n int);
    SQL
my $orders = 'SELECT id, note, total FROM orders WHERE customer_id = $1 ORDER BY id';

sub psql { return $node->safe_psql('postgres', $_[0]) }

# Sets the rows that each test begins with.
sub begin_with {
    my ($values) = @_;
    psql("DELETE FROM orders; INSERT INTO orders VALUES $values");
    return;
}

# How a run has ended.
sub ended {
    my ($client, $status, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is("$client->{status}, $client->{signal}", "$status, 0", $name)
      || diag("out: $client->{out}\nerr: $client->{err}");
}

sub nothing_stays {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return poll_ok($node, q{SELECT count(*) = 0 FROM live_queries WHERE status = 'active'}, $name);
}

# ---- a table ----

begin_with(q{(1, 42, E'a\n\x1b[2J', 9), (17, 42, '你好', NULL), (3, 43, 'another', 1)});
my $client = run_pg_live($node, '--table-once', $orders, '42');
ended($client, 0, 'a table');
is($client->{out}, <<'TABLE', 'what it looks like, and that data does not drive the terminal');
 id | note       | total
----+------------+-------
  1 | a\n\x1b[2J |  9.00
 17 | 你好       |  NULL
(2 rows)
TABLE
is($client->{err}, '', 'and no word beside');

# Results with no column, and with many.
my $shown = run_pg_live($node, '--table-once', 'SELECT FROM orders');
is("$shown->{status} $shown->{out}$shown->{err}", "0 --\n(3 rows)\n", 'a table without columns');
my $columns = join ', ', map { "$_ AS c$_" } 1 .. 1000;
$shown = run_pg_live($node, '--table-once', "SELECT $columns FROM orders WHERE id = 1");
like($shown->{out}, qr/\A c1 \| .* \| c1000\n[-+]+\n  1 \| .* \|  1000\n\(1 row\)\n\z/, 'a table of a thousand columns');

# ---- messages ----

$client = start_pg_live($node, '--json', '--count', 2, $orders, '42');
$client->wait_for('out', qr/\n/, 'JSON: the first result');
psql(q{INSERT INTO orders VALUES (18, 42, 'new', 12.50), (19, 43, 'not ours', 1)});
$client->wait_for('out', qr/"insert"/, 'JSON: an insert');
psql(q{UPDATE orders SET total = 10 WHERE id = 1; DELETE FROM orders WHERE id = 19});
$client->finish;
ended($client, 0, 'JSON: after the second message');
my @messages = $client->messages;
is_deeply([ map { $_->{type} } @messages ], [qw(snapshot changes changes)], 'JSON: what it is');
like($client->{out}, qr/"key":\[1\],"row":\{"id":1,"note":"a\\n\\u001b\[2J","total":9.00\}/, 'JSON: rows as they are');
like($client->{out}, qr/"old":\{"total":9.00\}/, 'JSON: former values');
nothing_stays('JSON: nothing stays on the server');

# It is what there is without a terminal, too.
$client = start_pg_live($node, $orders, '42');
$client->wait_for('out', qr/^\{"type":"snapshot"/, 'JSON is what there is without a terminal');
$client->signal('INT');
ended($client->finish, 130, 'and it goes on until it is ended');
ended(run_pg_live($node, '--for', '200ms', $orders, '42'), 0, 'the time is over');

# Large ones come in parts.
for my $strategy (qw(stream delta)) {
    my $rows = 3000;
    psql('TRUNCATE items; TRUNCATE orders');
    my $query = $strategy eq 'stream' ? 'SELECT id, note FROM orders' : 'SELECT o.id, o.note, i.n FROM orders o JOIN items i ON i.order_id = o.id';
    $client = start_pg_live($node, '--json', $query);
    $client->wait_for('out', qr/"strategy":"$strategy"/, "$strategy: the first result");
    psql(qq{INSERT INTO orders SELECT g, 1, repeat('x', 400) || g FROM generate_series(1, $rows) g; INSERT INTO items SELECT g, g, g FROM generate_series(1, $rows) g});
    $client->wait_for('out', qr/"id":$rows,.*"more":false\}\n/, "$strategy: a large change");
    my $parts = grep { $_->{more} } $client->messages;
    cmp_ok($parts, '>=', 2, "$strategy: in parts");
    is(scalar(keys %{ $client->state_of_messages }), $rows, "$strategy: all rows");
    $client->signal('INT');
    $client->finish;
    ended($client, 130, "$strategy: SIGINT");
}
nothing_stays('SIGINT: nothing stays on the server');

# ---- changes ----

begin_with(q{(1, 42, 'a', 9), (2, 42, 'b', 9)});
$client = start_pg_live($node, '--changes', '--count', 4, $orders, '42');
$client->wait_for('out', qr/= .*\n= .*\n/, 'changes: the first result');
psql(q{UPDATE orders SET total = 10 WHERE id = 1});
psql(q{INSERT INTO orders VALUES (3, 42, 'c', 1)});
psql('DELETE FROM orders WHERE id < 3');
psql('INSERT INTO orders SELECT g, 42, NULL, NULL FROM generate_series(10, 20) g');
$client->finish;
ended($client, 0, 'changes: after four');
my @lines = split /\n/, $client->{out};
is_deeply([ @lines[0 .. 3] ], [
        '= {"id":1,"note":"a","total":9.00}',
        '= {"id":2,"note":"b","total":9.00}',
        '~ {"id":1,"note":"a","total":10.00} was {"total":9.00}',
        '+ {"id":3,"note":"c","total":1.00}',
    ], 'changes: lines');
is_deeply([ sort @lines[4 .. $#lines] ], [ '- {"id":1,"note":"a","total":10.00}', '- {"id":2,"note":"b","total":9.00}' ],
    'changes: no line more than asked for');

# Several queries, until all are empty.
begin_with(q{(1, 42, 'a', 9), (2, 42, 'b', 9)});
$client = start_pg_live($node, '--changes', '--until-empty', $orders, '42', '--',
    'SELECT count(*) FROM orders HAVING count(*) > 0');
$client->wait_for('out', qr/= 2 \{"count":2\}/, 'until empty: the first results');
psql('DELETE FROM orders');
$client->finish;
ended($client, 0, 'until empty');
like($client->{out}, qr/- 2 \{"count":2\}/, 'until empty: of each query its changes');
ended(run_pg_live($node, '--until-empty', $orders, '42'), 0, 'until empty: at once');

# ---- what ends it ----

begin_with(q{(1, 42, 'a', 9)});
ended(run_pg_live($node, '--for', '300ms', '--until-empty', $orders, '42'), 5, '--for is over before --until-empty');
ended(run_pg_live($node, '--for', '300ms', '--count', 1, $orders, '42'), 5, '--for is over before --count');
ended(run_pg_live($node), 1, 'no query');
ended(run_pg_live($node, '--json', '--changes', $orders), 1, 'two outputs');
$client = run_pg_live($node, 'SELECT nothing FROM orders');
ended($client, 3, 'a query with a mistake');
is($client->{err}, "pg_live: column \"nothing\" does not exist.\n", 'what is said of it');
$client = run_pg_live($node, 'SELECT random() FROM orders');
ended($client, 3, 'a query that cannot be watched');
$client = run_pg_live($node, '-d', 'host=/nowhere', $orders);
ended($client, 2, 'no server');
like($client->{err}, qr/^pg_live: [^\n]*nowhere[^\n]*\n\z/, 'no server: in one line');
ended(run_pg_live($node, '-d', $node->connstr('no_such_database'), $orders, '1'), 2, 'no database');

my $version = IPC::Run::run([ 'pg_live', '--version' ], '>', \my $said);
ok($version && $said =~ /^pg_live \(live_queries\) 1\./, '--version');
ok(IPC::Run::run([ 'pg_live', '--help' ], '>', \$said) && $said =~ /--until-empty/, '--help');

$client = start_pg_live($node, '--json', $orders, '42');
$client->wait_for('out', qr/snapshot/, 'SIGTERM: runs');
$client->signal('TERM');
ended($client->finish, 143, 'SIGTERM');
nothing_stays('SIGTERM: nothing stays on the server');

# Where to connect to, from libpq's environment alone.
{
    local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, 'postgres');
    ok(IPC::Run::run([ 'pg_live', '-w', '--table-once', 'SELECT id FROM orders WHERE id = $1', '1' ], '>', \$said), 'PG* of the environment');
    is($said, " id\n----\n  1\n(1 row)\n", 'PG* of the environment: what is there');
    local $ENV{PGDATABASE} = 'no_such_database';
    IPC::Run::run([ 'pg_live', '-w', '--table-once', 'SELECT 1' ], '>', \$said, '2>', \my $complaint);
    is($? >> 8, 2, 'PG* of the environment: each counts');
}

# A table that does not come in time.
my $locker = connect_client($node);
$locker->rows('BEGIN; LOCK orders IN ACCESS EXCLUSIVE MODE');
$client = run_pg_live($node, '--table-once', '--for', '500ms', $orders, '42');
ended($client, 5, '--for is over before --table-once has its table');
is($client->{out}, '', 'and nothing is shown');
$locker->rows('COMMIT');
$locker->disconnect;

# Output that cannot be written.
for my $output ('--table-once', '--json', '--changes') {
    my ($host, $port) = ($node->host, $node->port);
    IPC::Run::run([ 'bash', '-c', qq{pg_live -w -h $host -p $port -d postgres $output --for 120s 'SELECT id FROM orders' >/dev/full; echo "\$?"} ],
        '>', \$said, '2>', \my $complaint);
    is("$said$complaint", "1\npg_live: cannot write: No space left on device\n", "$output: a full disk");
}
nothing_stays('a full disk: nothing stays on the server');

for my $option ('--help', '--version') {
    IPC::Run::run([ 'bash', '-c', qq{pg_live $option >/dev/full; echo "\$?"} ], '>', \$said, '2>', \my $complaint);
    is("$said$complaint", "1\npg_live: cannot write: No space left on device\n", "$option: a full disk");
}

# Standard output that is closed: nothing is written into what else has its number, such as the connection.
{
    my ($host, $port) = ($node->host, $node->port);
    IPC::Run::run([ 'bash', '-c', qq{pg_live -w -h $host -p $port -d postgres --json --for 120s 'SELECT id FROM orders' <&- >&-; echo "\$?"} ],
        '>', \$said, '2>', \my $complaint);
    is("$said$complaint", "1\npg_live: cannot write: Bad file descriptor\n", 'standard output that is closed');
}
nothing_stays('standard output that is closed: nothing stays on the server');

# The reader of a pipe goes away, and nothing is written any more: the shell's status of the first of two.
my ($host, $port) = ($node->host, $node->port);
IPC::Run::run([ 'bash', '-c',
        qq{pg_live -w -h $host -p $port -d postgres --json 'SELECT id FROM orders' | read -r line; echo "\${PIPESTATUS[0]}"} ],
    '>', \$said);
is($said, "141\n", 'the reader has gone');
nothing_stays('the reader has gone: nothing stays on the server');

# ---- resets and terminations ----

begin_with(q{(1, 42, 'a', 9)});
my $joined = 'SELECT o.id, i.n FROM orders o JOIN items i ON i.order_id = o.id';
psql('TRUNCATE items; INSERT INTO items VALUES (1, 1, 5), (2, 1, 6)');
$client = start_pg_live($node, '--json', $joined);
$client->wait_for('out', qr/snapshot/, 'reset: the first result');
psql('TRUNCATE items');
$client->wait_for('out', qr/"type":"reset".*\n.*"refreshed":true/, 'reset: told, and what differs after it');
is_deeply($client->state_of_messages, {}, 'reset: the rows have left');
psql('INSERT INTO items VALUES (3, 1, 7)');
$client->wait_for('out', qr/"n":7\}/, 'reset: it goes on');
is(scalar(keys %{ $client->state_of_messages }), 1, 'reset: and is right');
psql(q{SELECT live.kill(live_id) FROM live_queries WHERE status = 'active'});
ended($client->finish, 4, 'killed');
like($client->{out}, qr/"type":"terminated"/, 'killed: the message');
like($client->{err}, qr/^pg_live: query 1 has ended: .*kill.* \(\w{5}\)\n\z/, 'killed: the reason');

psql('CREATE TABLE gone (id int PRIMARY KEY)');
$client = start_pg_live($node, '--json', 'SELECT id FROM gone', '--', $orders, '42');
$client->wait_for('out', qr/snapshot.*\n.*snapshot/, 'dropped: runs');
psql('DROP TABLE gone');
$client->wait_for('err', qr/query 1 has ended/, 'dropped: said');
psql(q{INSERT INTO orders VALUES (80, 42, 'on', 1)});
$client->wait_for('out', qr/"id":80/, 'dropped: the other query goes on');
psql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_live'});
$client->wait_for('err', qr/connection lost/, 'dropped: then the connection is lost');
psql(q{INSERT INTO orders VALUES (81, 42, 'on', 1)});
$client->wait_for('out', qr/"id":81/, 'dropped: the other query goes on after that');
$client->signal('INT');
ended($client->finish, 130, 'dropped: until it is ended');

$client = start_pg_live($node, '--json', 'SELECT id FROM orders', '--', $orders, '42');
$client->wait_for('out', qr/snapshot.*\n.*snapshot/, 'one killed: runs');
psql(q{SELECT live.kill(live_id) FROM live_queries WHERE status = 'active' AND live_id LIKE '%pg_live-1'});
$client->wait_for('err', qr/query 1 has ended/, 'one killed: said');
psql(q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'pg_live'});
$client->wait_for('err', qr/connection lost/, 'one killed: then the connection is lost');
psql(q{INSERT INTO orders VALUES (82, 42, 'on', 1)});
$client->wait_for('out', qr/"id":82/, 'one killed: the other query goes on after that');
is(psql(q{SELECT count(*) FROM live_queries WHERE status = 'active'}), 1, 'one killed: it does not come back');
$client->signal('INT');
ended($client->finish, 130, 'one killed: until it is ended');

# nohup(1) has it ignored.
{
    local $SIG{HUP} = 'IGNORE';
    $client = start_pg_live($node, '--json', $orders, '42');
}
$client->wait_for('out', qr/snapshot/, 'SIGHUP ignored: runs');
$client->signal('HUP');
psql(q{INSERT INTO orders VALUES (83, 42, 'on', 1)});
$client->wait_for('out', qr/"id":83/, 'SIGHUP ignored: goes on');
$client->signal('INT');
ended($client->finish, 130, 'SIGHUP ignored: until it is ended');

# ---- a command for each message ----

my $file = "$PostgreSQL::Test::Utils::tmp_check/of_exec";
begin_with(q{(1, 42, 'a', 9)});
$client = start_pg_live($node, '--exec', "cat >>$file", '--count', 1, $orders, '42');
ok(wait_until(sub { -s $file }), 'exec: the first result');
psql(q{INSERT INTO orders VALUES (18, 42, repeat('long', 100000), 1)});
ended($client->finish, 0, 'exec: after one message');
my $of_exec = slurp_file($file);
like($of_exec, qr/\A\{"type":"snapshot".*\}\n\{"type":"changes".*\}\n\z/, 'exec: what the commands were given');
cmp_ok(() = $of_exec =~ /long/g, '==', 100000, 'exec: all of it');
$client = run_pg_live($node, '--exec', 'exit 7', $orders, '42');
ended($client, 6, 'exec: a command that fails');
is($client->{err}, "pg_live: the command ended with status 7\n", 'exec: what is said of it');
ended(run_pg_live($node, '--exec', ':', '--for', '300ms', $orders, '42'), 0, 'exec: a command that reads nothing');
unlink $file;
$client = start_pg_live($node, '--exec', qq{trap 'echo ended >$file; exit' TERM; echo runs >$file; while :; do sleep 0.1; done}, $orders, '42');
ok(wait_until(sub { -s $file }), 'exec: a long command runs');
$client->signal('TERM');
ended($client->finish, 143, 'exec: SIGTERM');
is(slurp_file($file), "ended\n", 'exec: the command is told, and waited for');
unlink $file;
$client = start_pg_live($node, '--exec', qq{trap '' TERM; echo runs >$file; while :; do sleep 0.1; done}, $orders, '42');
ok(wait_until(sub { -s $file }), 'exec: a command that does not want to end runs');
$client->signal('TERM');
sleep 1;
$client->signal('TERM');
ended($client->finish, 143, 'exec: and is killed in the end');
nothing_stays('exec: nothing stays on the server');

$node->stop;
done_testing();
