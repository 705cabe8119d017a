# Definitions in shared memory: each part of them is there once for all who have the same, costs a further live query little,
# and is gone with the last one that has it, whoever made it and however that one ended.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use IPC::Run ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_fault_node('definitions', <<~CONF);
    live_queries.max_subscriptions = 20000
    live_queries.idle_timeout = 1h
    restart_after_crash = on
    CONF

my $query = 'SELECT id, n FROM t WHERE n = $1 AND note IS NOT NULL';
my $without = q{delivery => 'poll', "snapshot" => false};

# subscription(ID, PARAM): a call that subscribes to that.
sub subscription { my ($id, $param) = @_; return "live.subscribe('$id', '$query', '{$param}', $without)" }

# How many pieces and bytes live queries have in shared memory.
sub used {
    my ($pieces, $bytes) = asked($node, 'SELECT fault_leftovers()') =~ /^pieces (\d+), bytes (\d+), of roles \2,/
      or die 'what is allocated is not charged: ' . asked($node, 'SELECT fault_leftovers()');
    return ($pieces, $bytes);
}

# worker_memory(KIND): it is added up now and then, when there is something to do, and may have something for a moment.
sub worker_memory {
    my ($kind) = @_;
    my ($memory, $same) = (0, 0);
    my $steady = sub {
        asked($node, 'UPDATE t SET n = -n WHERE id = 1 RETURNING id');
        sleep 1.5;
        my $before = $memory;
        $memory = asked($node, "SELECT memory_bytes FROM live.workers WHERE kind = '$kind' AND database = 'postgres'");
        $same = $before == $memory ? $same + 1 : 0;
        return $same == 3;
    };
    wait_until($steady);
    return $memory;
}

my $used = q{SELECT split_part(fault_leftovers(), ', of', 1)};

# A worker takes its memory in blocks, each larger than the one before: the last one may have just been begun.
my $block = 4 * 1024 * 1024;

sub in_use { my ($pieces) = used(); return $pieces }

# ---- two sessions make the same at one time ----------------------------------------------------------------------

{
    my ($one, $two, $three) = map { connect_client($node) } 1 .. 3;
    set_fault($node, 'definition-made', 'hold', 0, 2);
    $_->send_query('SELECT ' . subscription('q', 5)) for $one, $two;
    until_ok($node, q{SELECT fault_waiting('definition-made')}, 2, 'both have made the query, and know of none');
    release($node, 'definition-made');
    is($_->finish->{error}, undef, 'both subscribe') for $one, $two;
    is(in_use(), 7, 'two live queries, two connections with places, and three parts of one definition');
    $three->rows('SELECT ' . subscription('q', 6));
    is(in_use(), 10, 'a third one has parameters of its own, and the places of its connection');

    # Whoever it was that made it.
    $one->disconnect;
    until_ok($node, q{SELECT split_part(fault_leftovers(), ',', 1)}, 'pieces 8', 'one leaves, and nothing that another one has goes');
    is_deeply($two->rows(q{SELECT query, params, tables FROM live_queries WHERE pid = pg_backend_pid()}), [ [ $query, '{5}', '{public.t}' ] ],
        'it is still what it was');
    $three->rows('INSERT INTO t VALUES (1000, 5, $$new$$)');
    $two->arrived;
    is(scalar @{ $two->rows('SELECT message FROM live.poll()') }, 1, 'and is told of changes');
    is($three->value(q{SELECT count(live.kill(live_id)) FROM live_queries WHERE params = '{5}' AND status <> 'terminated'}), 1, 'another session ends it');
    # The places of two, a live query and its three parts, and one that has ended, with the reason and the message that says so.
    until_ok($node, q{SELECT split_part(fault_leftovers(), ',', 1)}, 'pieces 9', 'its part goes, and what is left is the reason');
    is($two->value(q{SELECT count(*) FROM live_queries WHERE params = '{5}' AND error LIKE '57014: ended by live.kill%'}), 1, 'which is shown');
    $two->rows('SELECT message FROM live.poll()');
    until_ok($node, q{SELECT split_part(fault_leftovers(), ',', 1)}, 'pieces 6', 'until it has been told');
    $_->disconnect for $two, $three;
    nothing_left($node, 'two at one time');
}

# One that has failed while another one went on with what it had found.
for my $action (qw(error exit)) {
    my ($one, $two) = map { connect_client($node) } 1 .. 2;
    set_fault($node, 'definition-made', 'hold', 0, 2);
    $_->send_query('SELECT ' . subscription('q', 5)) for $one, $two;
    until_ok($node, q{SELECT fault_waiting('definition-made')}, 2, "$action: both have made the query");
    set_fault($node, 'definition-used', $action);
    release($node, 'definition-made');
    my @failed = grep { $_->finish->{error} } $one, $two;
    is(@failed, 1, "$action: one fails");
    my ($other) = grep { $_ != $failed[0] } $one, $two;
    is($other->value('SELECT query FROM live_queries WHERE pid = pg_backend_pid()'), $query, "$action: the other one goes on");
    # The places of a connection are made with its first live query.
    until_ok($node, q{SELECT split_part(fault_leftovers(), ',', 1)}, 'pieces 5', "$action: nothing is there but what that has");
    $other->disconnect;
    $failed[0]->disconnect if $action eq 'error';
    nothing_left($node, "$action, one of two");
}

# ---- whose it is --------------------------------------------------------------------------------------------------

# Two roles, one of them as the other one too, and another database: each has its own, and is shown nothing else.
{
    my $admin = connect_client($node);
    $admin->rows($_) for 'CREATE ROLE one LOGIN', 'CREATE ROLE two LOGIN', 'GRANT one TO two', 'GRANT SELECT ON t TO one, two', 'CREATE DATABASE elsewhere';
    my $there = connect_client($node, dbname => 'elsewhere');
    $there->rows($_) for 'CREATE EXTENSION live_queries', 'CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, note text)',
      'ALTER TABLE t REPLICA IDENTITY FULL', 'GRANT SELECT ON t TO one';
    $_->disconnect for $admin, $there;
    my @clients = (connect_client($node, user => 'one'), connect_client($node, user => 'two'), connect_client($node, user => 'one', dbname => 'elsewhere'),
        connect_client($node, user => 'one'));
    my @pieces = (5, 10, 15, 17);
    for my $i (0 .. $#clients) {
        $clients[$i]->rows('SELECT ' . subscription('q', 5));
        is(in_use(), $pieces[$i], ('a live query', 'another role has its own', 'another database, too', 'the same role has nothing but its places')[$i]);
    }
    my $texts = q{SELECT username, count(query) FROM live_queries WHERE status <> 'terminated' GROUP BY username ORDER BY 1};
    is_deeply($clients[0]->rows($texts), [ [ 'one', 3 ], [ 'two', 0 ] ],
        'who may not act as the other role is not shown its text');
    my $other = qq{SELECT live.subscribe('other', 'SELECT id FROM t', $without)};
    $clients[0]->rows($other);
    $clients[1]->rows($_) for 'SET ROLE one', $other, 'RESET ROLE';
    is(in_use(), 25, 'who becomes that role has nothing of those who log in as it');
    $clients[0]->disconnect;
    until_ok($node, q{SELECT split_part(fault_leftovers(), ',', 1)}, 'pieces 19', 'the first one leaves: the others keep theirs');
    my $shown = q{SELECT query, params FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = 'q'};
    is_deeply($clients[$_]->rows($shown), [ [ $query, '{5}' ] ], "as they were: $_") for 1 .. 3;
    $_->disconnect for @clients[1 .. 3];
    nothing_left($node, 'roles and databases');
}

# ---- no memory, no room -------------------------------------------------------------------------------------------

# long(NUMBER): a text of several pieces, as nobody else has.
sub long { my ($number) = @_; return "SELECT id, n FROM t WHERE note <> '$number" . ('x' x 100_000) . q{'} }
sub subscribed_to {
    my ($client, $id, $text) = @_;
    return $client->error("SELECT live.subscribe('$id', \$q\$$text\$q\$, $without)");
}

{
    my ($keeper, $client) = map { connect_client($node) } 1 .. 2;
    $keeper->rows('SELECT ' . subscription('keeper', 1));
    $client->rows("SELECT $_") for subscription('q', 1), q{live.unsubscribe('q')};
    my @before = used();
    for my $sign (1, -1) {
        my $fitted = 0;
        for my $which (1 .. 100) {
            my $victim = connect_client($node);
            $victim->rows("SELECT $_") for subscription('q', 1), q{live.unsubscribe('q')};
            my @of_victim = used();
            set_fault($node, 'registry-enter', 'alloc', $sign * $which);
            my $error = subscribed_to($victim, 'long', long(0));
            if ($error->{C} eq '00000') {
                $fitted = $which;
            } else {
                is($error->{C}, '53200', "no memory for piece $which of a long one, $sign");
                is_deeply([ used() ], \@of_victim, 'nothing is left of it');
            }
            $victim->disconnect;
            until_ok($node, $used, "pieces $before[0], bytes $before[1]", 'nor of its session');
            last if $fitted;
        }
        cmp_ok($fitted, '>', 6, 'at last there is memory for all pieces');
    }

    # What a connection and a role may take: refused to who takes more, with the setting, and nothing of it is left.
    asked($node, 'CREATE ROLE greedy LOGIN; GRANT SELECT ON t TO greedy; SELECT 1');
    for my $share (qw(connection role)) {
        $node->safe_psql('postgres', "ALTER SYSTEM SET live_queries.${share}_share = 1");
        $node->reload;
        my ($one, $two) = map { connect_client($node, user => 'greedy') } 1 .. 2;
        ok(wait_until(sub { $one->value("SHOW live_queries.${share}_share") eq '1' }), "$share: a hundredth of 256 MB");
        my ($count, $error) = (0);
        for (1 .. 100) {
            my @full = used();
            $error = subscribed_to($one, "long $_", long($_));
            if ($error->{C} ne '00000') {
                is_deeply([ used() ], \@full, "$share: of what is refused nothing is left");
                last;
            }
            ++$count;
        }
        is("$error->{C} $error->{M}", "53200 too much shared memory for live queries of this $share", "$share: says whose is spent");
        like($error->{D}, qr/live_queries\.${share}_share is 1 %/, "$share: the detail tells the limit");
        like($error->{H}, qr/live_queries\.${share}_share/, "$share: the hint names the setting");
        cmp_ok($count, '>', 3, "$share: some fit");
        is(subscribed_to($two, 'known', long(1))->{M}, 'no error', "$share: there is room for another one of a text that is there");
        is(subscribed_to($two, 'new', long(1000))->{C}, $share eq 'role' ? '53200' : '00000', "$share: and for another text where it is not the role's");
        $one->rows('BEGIN');
        is($one->value('SELECT live.unsubscribe_all()'), $count, "$share: all of them end");
        $one->rows('ROLLBACK');
        is(subscribed_to($one, 'new', long(1001))->{C}, '53200', "$share: in vain");
        is($one->value('SELECT live.unsubscribe_all()'), $count, "$share: all of them end");
        is(subscribed_to($one, 'new', long(1001))->{M}, 'no error', "$share: then there is room");
        $_->disconnect for $one, $two;
        until_ok($node, $used, "pieces $before[0], bytes $before[1]", "$share: what is left is what was there before");
        $node->safe_psql('postgres', "ALTER SYSTEM RESET live_queries.${share}_share");
        $node->reload;
    }
    $_->disconnect for $keeper, $client;
    nothing_left($node, 'no memory, no room');
}

# ---- what a further live query takes -----------------------------------------------------------------------------

{
    my @clients = map { connect_client($node) } 1 .. 10;
    my $count = $ENV{SUBSCRIPTIONS} // 10_000;
    $clients[$_]->rows('SELECT ' . subscription('first', $_)) for 0 .. 9;
    my $memory = worker_memory('decoder');
    my (undef, $before) = used();
    for my $i (0 .. 9) {
        my ($from, $to) = ($i * $count / 10 + 1, ($i + 1) * $count / 10);
        $clients[$i]->rows(qq{SELECT count(*) FROM generate_series($from, $to) i, live.subscribe('q' || i, '$query', ARRAY[i::text], $without)});
    }
    my (undef, $after) = used();
    my $each = ($after - $before) / $count;
    note("a further live query of a known shape takes $each bytes of shared memory");
    cmp_ok($each, '<=', 1024, "$count live queries of one shape take at most 1 KiB of shared memory each");
    cmp_ok($each, '>', 400, 'and something, so that this can be told');
    my $in_worker = (worker_memory('decoder') - $memory) / $count;
    note("and $in_worker bytes of the decoder's memory");
    cmp_ok($in_worker, '<=', 512 + $block / $count, 'and at most half a KiB of the decoder');
    my $written = "SELECT id, n FROM t WHERE n = ";
    $clients[0]->rows(qq{SELECT count(*) FROM generate_series(1, 1000) i, live.subscribe('c' || i, '$written' || i, $without)});
    my (undef, $constants) = used();
    cmp_ok(($constants - $after) / 1000, '<=', 1024, 'nor do those whose constants are in their text take more');
    is(asked($node, q{SELECT count(*) FROM live_queries WHERE status <> 'terminated'}), $count + 1010, 'all are shown');
    $_->disconnect for @clients;
    nothing_left($node, 'thousands');
}

# ---- coming and going --------------------------------------------------------------------------------------------

# All at one time: they subscribe, leave, refresh, change parameters, are rolled back, ended by others and looked at.
# What was ended meanwhile fails by that, which is told.
sub tried {
    my ($call) = @_;
    return "DO \$do\$ BEGIN PERFORM $call; EXCEPTION WHEN OTHERS OR query_canceled THEN RAISE WARNING '% %', SQLSTATE, SQLERRM; END \$do\$;";
}
my $changing = q{'SELECT id, n FROM t WHERE n = $1 OR n = ' || :x, ARRAY[:x]::text[], } . $without;
my ($subscribe, $refresh, $change, $rolled_back, $to_savepoint) = map { tried($_) } "live.subscribe('q:id', $changing)",
  q{live.refresh('q:id')}, q{live.set_params('q:id', '{7}')}, "live.subscribe('r:id', $changing)", "live.subscribe('s:id', $changing)";
my $turn = <<~SQL;
    \\set x random(1, 3)
    \\set id random(1, 1000000000)
    $subscribe
    $change
    $refresh
    BEGIN;
    $rolled_back
    SAVEPOINT a;
    $to_savepoint
    ROLLBACK TO a;
    ROLLBACK;
    SELECT count(query || params || tables) FROM live_queries;
    SELECT count(*) FROM live.poll();
    SELECT live.unsubscribe('q:id');
    SQL
my $kill = "SELECT live.kill(live_id) FROM live_queries WHERE status <> 'terminated' AND subscription_id <> 'keeper' LIMIT 1;\nSELECT pg_sleep(0.01);\n";
my $dir = PostgreSQL::Test::Utils::tempdir();
for my $script ([ turn => $turn ], [ kill => $kill ]) {
    open my $out, '>', "$dir/$script->[0].sql" or die;
    print $out $script->[1];
    close $out;
}
sub pgbench {
    my ($out, $name, @options) = ('', @_);
    my @command = ('pgbench', '-n', '-h', $node->host, '-p', $node->port, @options, '-f', "$dir/$name.sql", 'dbname=postgres application_name=pgbench');
    return { out => \$out, run => IPC::Run::start(\@command, '<', \undef, '>', \$out, '2>&1') };
}
# With one bucket for all, whose hashes are all the same, it is the texts that decide.
for my $equal (qw(off on)) {
    $node->safe_psql('postgres', "ALTER SYSTEM SET live_queries.test_equal_hashes = $equal");
    $node->reload;
    my $keeper = connect_client($node);
    ok(wait_until(sub { $keeper->value('SHOW live_queries.test_equal_hashes') eq $equal }), "equal hashes: $equal");
    $keeper->rows('SELECT ' . subscription('keeper', 1));
    my ($pieces, $bytes) = used();
    my $seconds = $ENV{STRESS_SECONDS} // 5;
    my $turns = 0;
    my $many = sub {
        my @running = (pgbench('turn', '-c', 4, '-T', $seconds), pgbench('kill', '-c', 1, '-T', $seconds));
        $_->{run}->finish for @running;
        unlike(${ $_->{out} }, qr/ERROR:|WARNING: +(XX|53)|aborted/, 'they went on to the end, and nothing is wrong') for @running;
        $turns += (${ $running[0]{out} } =~ /actually processed: (\d+)/)[0] // 0;
        return $turns > 100;
    };
    ok(wait_until($many), "many have come and gone: $turns");
    until_ok($node, $used, "pieces $pieces, bytes $bytes", 'what is left is what was there before');

    # Whoever dies in the midst of it.
    for (1 .. 5) {
        my $late = pgbench('turn', '-c', 4, '-T', 600);
        ok(wait_until(sub { asked($node, q{SELECT count(DISTINCT pid) FROM live_queries WHERE status <> 'terminated'}) > 3 }), 'several are at it');
        asked($node, q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pgbench'});
        eval { $late->{run}->finish };
        until_ok($node, $used, "pieces $pieces, bytes $bytes", 'they were ended: likewise');
    }
    $keeper->disconnect;
    nothing_left($node, "coming and going, equal hashes: $equal");
}

# One after the other, of a known shape and of new ones.
{
    $node->safe_psql('postgres', 'ALTER SYSTEM RESET live_queries.test_equal_hashes');
    $node->reload;
    my ($keeper, $client) = map { connect_client($node) } 1 .. 2;
    $keeper->rows('SELECT ' . subscription('keeper', 1));
    $client->rows("SELECT $_") for subscription('q', 1), q{live.unsubscribe('q')};
    my ($pieces, $bytes) = used();
    my $turns = $ENV{CYCLES} // 20_000;
    for my $i (1 .. $turns) {
        my $text = $i % 10 == 0 ? $query . " AND n <> $i" : $query;
        $client->rows("SELECT live.subscribe('q', '$text', '{$i}', $without); SELECT live.unsubscribe('q')");
    }
    is_deeply([ used() ], [ $pieces, $bytes ], "$turns live queries have come and gone, and left no byte");
    $_->disconnect for $keeper, $client;
    nothing_left($node, 'one after the other');
}

# What an evaluator has of each. Its dirty log is nobody's.
{
    my $client = connect_client($node);
    my $join = 'SELECT a.id, b.n FROM t a JOIN t b USING (id) WHERE a.n = $1';
    my $charged = sub { return (asked($node, 'SELECT fault_leftovers()') =~ /of roles (\d+),/)[0] };
    $client->rows("SELECT live.subscribe('j', '$join', '{0}', $without)");
    my ($bytes, $memory) = ($charged->(), worker_memory('evaluator'));
    $client->rows("SELECT count(*) FROM generate_series(1001, 7000) i, live.subscribe('j' || i, '$join', ARRAY[i::text], $without)");
    $client->arrived;
    my $count = 6000;
    my ($each, $in_evaluator) = map { $_ / $count } $charged->() - $bytes, worker_memory('evaluator') - $memory;
    note("a further live query of a join takes $each bytes of shared memory and $in_evaluator of its evaluator");
    cmp_ok($each, '<=', 1024, 'a further live query of a join takes at most 1 KiB of shared memory');
    cmp_ok($in_evaluator, '<=', 512 + $block / $count, 'and half a KiB of its evaluator');
    cmp_ok($in_evaluator, '>', 50, 'and something');
    $client->disconnect;
    until_ok($node, q{SELECT fault_leftovers() ~ ', of roles 0, connections 0, subscriptions 0,'}, 't', 'nothing is charged to anybody any more');
}

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:|was terminated by signal)|WARNING: .*(leak|still referenced)/, 'no crash, no leak');
done_testing();
