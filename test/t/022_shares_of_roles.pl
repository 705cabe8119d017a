# What one role or connection can take from the others: places, shared memory, and what stays of live queries that are over.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('shares', <<~CONF);
    live_queries.memory_limit = 16MB
    live_queries.max_subscriptions = 40
    live_queries.mailbox_size = 4MB
    CONF
my $admin = connect_client($node);
$admin->rows($_)
  for 'CREATE TABLE t (id int PRIMARY KEY, a text)', 'ALTER TABLE t REPLICA IDENTITY FULL', 'GRANT SELECT ON t TO PUBLIC',
  'CREATE ROLE greedy LOGIN', 'CREATE ROLE helper LOGIN', 'CREATE ROLE modest LOGIN', 'CREATE ROLE mask', 'GRANT mask TO greedy';

sub client { my ($user) = @_; return connect_client($node, user => $user) }

# subscribe_to(CLIENT, ID, KILOBYTES): with a comment of that size, which no other has; the error.
sub subscribe_to {
    my ($client, $id, $kilobytes) = @_;
    return $client->error("SELECT live.subscribe('$id', 'SELECT id, a FROM t --$id' || repeat('x', 1024 * "
          . ($kilobytes // 0) . q{), delivery => 'poll', "snapshot" => false)});
}

# fill(CLIENTS, KILOBYTES): they subscribe in turn until each is refused; how many they have, and the errors.
my $next = 0;
sub fill {
    my ($kilobytes, @clients) = @_;
    my ($count, @errors) = (0);
    for my $client (@clients) {
        for (;;) {
            my $error = subscribe_to($client, 'f' . ++$next, $kilobytes);
            if ($error->{C} ne '00000') {
                push @errors, $error;
                last;
            }
            ++$count;
        }
    }
    return ($count, @errors);
}

sub leave {
    my (@clients) = @_;
    $_->disconnect for @clients;
    my $pids = join ',', map { $_->pid } @clients;
    poll_ok($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid IN ($pids)", 'they have gone');
    return;
}

sub set_server {
    my ($name, $value) = @_;
    $node->safe_psql('postgres', "ALTER SYSTEM SET $name = $value");
    $node->reload;
    return poll_ok($node, "SELECT current_setting('$name') = '$value'", "$name is $value");
}

sub is_served {
    my ($client, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $id = 's' . ++$next;
    is(subscribe_to($client, $id)->{M}, 'no error', "$name: another role can subscribe");
    is($client->value("SELECT live.unsubscribe('$id')"), 't', 'and leave');
    return;
}

my $modest = client('modest');

# ----- places -----

for my $round (1 .. 3) {
    my ($one, $two) = map { client('greedy') } 1 .. 2;
    my ($count, $first) = fill(0, $one);
    is($count, 20, 'a connection can have half of all live queries');
    is("$first->{C} $first->{M}", '53400 too many live queries of this connection', 'and is refused another one');
    like($first->{D}, qr/\b20: live_queries\.connection_share is 50 %/, 'the detail tells the limit');
    like($first->{H}, qr/live_queries\.connection_share/, 'the hint names the setting');
    ($count, $first) = fill(0, $two);
    is($count, 10, 'a role can have three quarters');
    is("$first->{C} $first->{M}", '53400 too many live queries of this role', 'and is refused another one');
    like($first->{D}, qr/\b30: live_queries\.role_share is 75 %/, 'the detail tells the limit');
    is_served($modest, 'a role that has all that it may');

    # Whoever becomes another role is still the same.
    $two->rows('SET ROLE mask');
    is(subscribe_to($two, 'masked')->{C}, '53400', 'SET ROLE gives no more');
    $two->rows('RESET ROLE');

    # A refresh takes over the place, and gives it back.
    my $id = $one->value(q(SELECT min(subscription_id) FROM live_queries WHERE pid = pg_backend_pid()));
    is($one->error("SELECT live.refresh('$id')")->{M}, 'no error', 'a refresh needs no place');
    for my $end (qw(COMMIT ROLLBACK)) {
        $one->rows($_) for 'BEGIN', "SELECT live.refresh('$id')", 'SAVEPOINT a', "SELECT live.refresh('$id')", 'ROLLBACK TO a',
          "SELECT live.refresh('$id')", $end;
        is(subscribe_to($one, 'more')->{C}, '53400', "nor does it leave one, $end");
        is(subscribe_to($two, 'more')->{C}, '53400', "nor for the role, $end");
    }
    $one->rows($_) for 'BEGIN', "SELECT live.refresh('$id')", "SELECT live.unsubscribe('$id')", 'ROLLBACK';
    is(subscribe_to($one, 'more')->{C}, '53400', 'refreshed and left in vain');
    is($admin->value(q(SELECT subscriptions FROM live.workers WHERE database = 'postgres')), 30, 'as many are counted');

    # An error, a savepoint and an unsubscribe give them back.
    is($one->value("SELECT live.unsubscribe('$id')"), 't', 'one less');
    $two->rows($_) for 'BEGIN', 'SAVEPOINT a';
    is(subscribe_to($two, 'kept')->{C}, '00000', 'its place is free');
    is(subscribe_to($two, 'refused')->{C}, '53400', 'for one');
    $two->rows('ROLLBACK TO a');
    is(subscribe_to($two, 'kept')->{C}, '00000', 'and again after a rollback');
    $two->rows('ROLLBACK');

    # Killed ones make room at once, although their client does not fetch that.
    if ($round == 2) {
        $admin->rows(q(SELECT count(live.kill(live_id)) FROM live_queries WHERE username = 'greedy'));
        is($admin->value(q(SELECT subscriptions FROM live.workers WHERE database = 'postgres')), 0, 'those who were killed do not count');
        is((fill(0, $two))[0], 20, 'others take their places');
    }
    leave($one, $two);
}

# Of several that took one place in a transaction, the second ends alone: the first has it again.
{
    my $counted = q(SELECT subscriptions FROM live.workers WHERE database = 'postgres');
    my $client = client('modest');
    $client->rows(q(SELECT live.subscribe('q', 'SELECT id, 1 / (id - $1) AS n FROM t', '{1}', "snapshot" => false)));
    $client->rows($_) for 'BEGIN', q(SELECT live.set_params('q', '{2}')), q(SELECT live.set_params('q', '{3}'));
    $admin->rows('INSERT INTO t VALUES (2)');
    poll_ok($node, q(SELECT count(*) = 1 FROM live_queries WHERE params = '{2}' AND error ~ '^22012'), 'the second has ended');
    is($admin->value($counted), 1, 'one is counted');
    $client->rows('ROLLBACK');
    is($admin->value($counted), 1, 'and after the rollback');
    $admin->rows('INSERT INTO t VALUES (5)');
    is_deeply([ map { $_->{row}{id} } map { @{ $_->{message}{changes} } } $client->synced ], [ 2, 5 ], 'which is told of changes');
    $client->rows(q(SELECT live.unsubscribe('q')));
    is($admin->value($counted), 0, 'none is left');
    leave($client);
    $admin->rows('TRUNCATE t');
}

# ----- memory -----

for my $round (1 .. 3) {
    my ($one, $two) = map { client('greedy') } 1 .. 2;
    my ($count, $first) = fill(1024, $one);
    is($count, 7, 'a connection can have half of the memory');
    is("$first->{C} $first->{M}", '53200 too much shared memory for live queries of this connection', 'and is refused more');
    like($first->{D}, qr/\b8192 kB: live_queries\.connection_share is 50 %/, 'the detail tells the limit');
    ($count, $first) = fill(1024, $two);
    is($count, 4, 'a role can have three quarters');
    is("$first->{C} $first->{M}", '53200 too much shared memory for live queries of this role', 'and is refused more');
    is_served($modest, 'a role that has all the memory that it may');
    if ($round == 1) {
        $admin->rows(q(SELECT count(live.kill(live_id)) FROM live_queries WHERE username = 'greedy'));
        is((fill(1024, $one))[0] + (fill(1024, $two))[0], 11, 'what was killed has left its memory, told or not');
    }
    if ($round == 2) {
        $admin->rows(q(SELECT count(live.kill(live_id)) FROM live_queries WHERE username = 'greedy'));
        $_->rows('SELECT count(*) FROM live.poll()') for $one, $two;
    }
    leave($one, $two);
}
my ($lengths) = @{ $admin->rows(q(SELECT max(length(query)), count(*) FROM live_queries WHERE status = 'terminated')) };
cmp_ok($lengths->[0], '<=', 1024, 'of what is over, little is kept');
cmp_ok($lengths->[1], '<=', 64, 'of few');
cmp_ok($lengths->[1], '>', 30, 'but of some');
is($admin->value(q(SELECT count(*) FROM live_queries WHERE status = 'terminated' AND query LIKE 'SELECT id, a FROM t --%xxx...')), 22,
    'with a mark where it is cut');

# 64 large ones, killed and gone: what the server has is there for others.
{
    my $client = client('greedy');
    for my $turn (1 .. 64) {
        is(subscribe_to($client, "large $turn", 2000)->{C}, '00000', 'a large one') if $turn < 3 || $turn > 62;
        subscribe_to($client, "large $turn", 2000) if $turn >= 3 && $turn <= 62;
        $admin->rows("SELECT live.kill(live_id) FROM live_queries WHERE status = 'active' AND username = 'greedy'");
    }
    leave($client);
    my $other = client('helper');
    is((fill(1024, $other))[0], 7, 'all memory is there for others');
    leave($other);
}

# The settings are read again; 100 is no limit.
set_server('live_queries.role_share', 100);
set_server('live_queries.connection_share', 100);
{
    my $client = client('greedy');
    is((fill(0, $client))[0], 40, 'all places');
    is($modest->error(q(SELECT live.subscribe('q', 'SELECT id FROM t', delivery => 'poll')))->{M}, 'too many live queries on this server',
        'others are told what they have to know');
    leave($client);
}
set_server('live_queries.role_share', 10);
{
    my ($client, $superuser) = (client('greedy'), connect_client($node));
    is((fill(0, $client))[0], 4, 'a tenth');
    is((fill(0, $superuser))[0], 36, 'superusers are exempt');
    is($superuser->value('SELECT live.unsubscribe_all()'), 36, 'all of theirs');
    $superuser->rows('SET ROLE greedy');
    is((fill(0, $superuser))[0], 4, 'but not where they act as others');
    leave($client, $superuser);
}
$admin->rows("ALTER SYSTEM RESET live_queries.$_") for qw(role_share connection_share);
$node->reload;

# ----- messages that nobody reads -----

# share of the role => what waits in files of the 12 MB
for my $case ([ 75, 3_500_000 ], [ 25, 7_500_000 ]) {
    set_server('live_queries.role_share', $case->[0]);
    my @lazy = map { client('greedy') } 1 .. 6;
    # Each gets texts of its own: those that several get would be there once.
    $lazy[$_]->rows(qq(SELECT live.subscribe('q', 'SELECT id, $_ || a AS a FROM t', "snapshot" => false))) for 0 .. 5;
    $_->rows('BEGIN') for @lazy;
    $admin->rows("INSERT INTO t SELECT g, repeat('x', 10000) FROM generate_series($_ * 50, $_ * 50 + 49) g") for 1 .. 4;
    $admin->rows(q(SELECT live.subscribe('w', 'SELECT id FROM t WHERE id < 0', delivery => 'poll', "snapshot" => false)));
    $admin->arrived;
    $admin->rows(q(SELECT live.unsubscribe('w')));
    is(subscribe_to($modest, 'large', 3000)->{M}, 'no error', 'there is room for others beside what waits');
    cmp_ok(temp_bytes($node), '>', $case->[1], 'the rest waits in files');
    is($modest->value(q(SELECT live.unsubscribe('large'))), 't', 'left');
    for my $client (@lazy[0, 5]) {
        $client->rows('COMMIT');
        my $rows = 0;
        $rows += @{ $_->{message}{changes} } for $client->synced;
        is($rows, 200, 'nothing of it is lost');
    }
    leave(@lazy);
    $admin->rows('TRUNCATE t');
}
$admin->rows('ALTER SYSTEM RESET live_queries.role_share');

# ----- texts that are cut stay texts -----

$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
for my $database (qw(postgres latin)) {
    $node->safe_psql($database, 'CREATE EXTENSION IF NOT EXISTS live_queries');
    $node->safe_psql($database, 'CREATE TABLE u (id int PRIMARY KEY, a text); ALTER TABLE u REPLICA IDENTITY FULL');
    my $client = connect_client($node, dbname => $database);
    for my $start (0 .. 8) {
        for my $character ("\xc3\xa4", '\\"', ',', '}', '{', '\\') {
            my $text = ('a' x $start) . ($character x 1200);
            $client->rows("SELECT live.subscribe('cut', 'SELECT id FROM u WHERE a = \$1 AND a <> \$2 /* ' || repeat(E'\\u00e4', 1200) || ' */', "
                  . "ARRAY[\$\$$text\$\$, 'b'], delivery => 'poll')");
            $client->rows(q(SELECT live.kill(live_id) FROM live_queries WHERE pid = pg_backend_pid() AND status = 'active'));
            is($client->value(q(SELECT count(*) FROM live.poll())), 1, 'told');
        }
    }
    is($client->value(q(SELECT string_agg(DISTINCT right(query, 3) || ' ' || array_length(params, 1) || ' ' || right(params[1], 3), ',')
          FROM live_queries WHERE subscription_id = 'cut' AND database = current_database())), '... 1 ...', "$database: cut, and valid");
    is($client->value(q(SELECT count(*) FROM live_queries WHERE subscription_id = 'cut' AND params[1] ~ '^a{0,8}(\\\\"|.)\1*\\\\?\.\.\.$')), 54,
        "$database: between characters") if $database eq 'postgres';
    $client->disconnect;
}

$_->disconnect for $admin, $modest;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
