# A commit that has changed catalogs is visible before its session has told others what has changed, and it may take long until it is
# visible. Whoever is about to subscribe waits for both; what is told of it waits, too, and nobody else does.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('untold_changes', 'live_queries.idle_timeout = 1s');
my ($writer, $defines, $client, $watches) = map { connect_client($node) } 1 .. 4;

sub big { my ($n) = @_; return "CREATE OR REPLACE FUNCTION big() RETURNS SETOF t STABLE LANGUAGE sql AS 'SELECT * FROM t WHERE n > $n'" }
sub told { my ($one) = @_; return join ' ', map { join ' ', @{ $_->{message} }{qw(subscription_id type)} } $one->synced }
sub still_active { my ($one) = @_; return asked($node, 'SELECT state FROM pg_sleep(0.5), pg_stat_activity WHERE pid = ' . $one->pid) eq 'active' }

# commits_untold(SQL): it has committed, is visible, and has told nobody what it has changed, until `writer-committed` is released.
sub commits_untold {
    my ($sql) = @_;
    hold($node, 'writer-committed');
    $defines->send_query($sql);
    wait_held($node, 'writer-committed');
    return;
}

# ---- who subscribes --------------------------------------------------------------------------------------------

# Its session knows the function as it was.
$watches->subscribe('all the time', 'SELECT id, note FROM t WHERE id = 1');
$writer->rows($_) for big(20), 'CREATE TABLE unwatched (id int)';
for my $others (0, 1) {
    my $listener = connect_client($node);
    $listener->subscribe('q', 'SELECT id, n FROM big()') if $others;
    $client->rows('SELECT count(*) FROM big()');
    commits_untold(big(10 + $others));
    $client->send_query(q{SELECT live.subscribe('q', 'SELECT id, n FROM big()')});
    ok(still_active($client), "$others others: it waits until the change is told");
    release($node, 'writer-committed');
    ok(!$defines->finish->{error}, "$others others: the function is replaced");
    ok(!$client->finish->{error}, "$others others: it begins");
    $client->read_snapshot('q');
    is_deeply($client->state_of('q'), $client->rows_now('SELECT id, n FROM big()'), "$others others: its first result is that of the new function");
    is(told($client), '', "$others others: and it is not reset");
    is(told($listener), $others ? 'q reset' : '', "$others others: as those are who had subscribed before");
    $listener->disconnect;
    $client->rows(q(SELECT live.unsubscribe('q'))) if !$others;
}

# ---- what is handled -------------------------------------------------------------------------------------------

commits_untold(big(5));
my $end = asked($node, 'SELECT pg_current_wal_insert_lsn()');
is($client->value("SELECT live.wait_for('$end', '500ms')"), 'f', 'a change that is not told is not handled');
release($node, 'writer-committed');
ok(!$defines->finish->{error}, 'it is told');
is(told($client), 'q reset', 'and handled');
$client->rows(q(SELECT live.unsubscribe('q')));

# ---- what the same transaction has changed in tables -----------------------------------------------------------

$writer->rows('CREATE ROLE reader LOGIN; GRANT SELECT ON t TO reader');
my $reader = connect_client($node, user => 'reader');
$reader->subscribe('q', 'SELECT id, n FROM t WHERE n > 5');
commits_untold('BEGIN; REVOKE SELECT ON t FROM reader; UPDATE t SET n = n + 1 WHERE id = 25; COMMIT');
is($reader->next_message(1), undef, 'what it has changed is not told before');
release($node, 'writer-committed');
ok(!$defines->finish->{error}, 'the right is revoked');
is(told($reader), 'q terminated', 'and nothing was told of the rows');
$reader->disconnect;

# ---- a commit that waits for a standby -------------------------------------------------------------------------

sub commits_have_to_wait {
    my ($standby, @connections) = @_;
    $writer->rows($_) for "ALTER SYSTEM SET synchronous_standby_names = '$standby'", 'SELECT pg_reload_conf()';
    return wait_until(sub { !grep { $_->value('SHOW synchronous_standby_names') ne $standby } @connections });
}

$writer->rows($_) for 'CREATE DATABASE elsewhere', 'SET synchronous_commit = local';
my %databases = map { $_ => connect_client($node, dbname => $_) } qw(elsewhere postgres);
$client->subscribe('goes on', 'SELECT id, n FROM t WHERE id = 3');
for my $case ([ 'elsewhere', 'CREATE ROLE another' ], [ 'postgres', 'INSERT INTO unwatched VALUES (1)' ], [ 'postgres', 'CREATE TABLE more (id int)' ]) {
    my ($database, $sql) = @$case;
    my $waits = $databases{$database};
    my $attaches = connect_client($node);
    ok(commits_have_to_wait('nobody', $writer, $waits), "$sql: commits are to wait for a standby");
    commits_wait($node);
    $waits->send_query($sql);
    until_ok($node, q(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'), 1, "$sql: it does");
    $attaches->send_query(q{SELECT live.subscribe('q', 'SELECT id, n, note FROM t WHERE n > 2')});
    ok(still_active($attaches), "$sql: who subscribes waits for it");
    $writer->rows('UPDATE t SET n = n + 1 WHERE id = 3');
    my $message = $client->next_message(10);
    is($message && $message->{message}{type}, 'changes', "$sql: others are told what comes after it");
    ok(still_active($attaches), "$sql: who subscribes waits still");
    ok(commits_have_to_wait('', $writer), "$sql: commits wait no longer");
    ok(!$_->finish->{error}, "$sql: it ends") for $waits, $attaches;
    $attaches->read_snapshot('q');
    $writer->rows('UPDATE t SET n = n + 1 WHERE id = 3');
    ok($attaches->follow('q'), "$sql: it goes on");
    is_deeply($attaches->state_of('q'), $attaches->rows_now('SELECT id, n, note FROM t WHERE n > 2'), "$sql: exactly");
    is(join(' ', map { $_->{message}{type} } $client->synced), 'changes', "$sql: as for the others");
    $attaches->disconnect;
}

# ---- a role that has used up its time while somebody attaches ---------------------------------------------------

# It has used up the turn's, in which its changes are looked at until somebody is to blame: whoever waits makes no new turn of it.
$writer->rows($_) for q(ALTER SYSTEM SET live_queries.evaluation_timeout = '1s'), 'SELECT pg_reload_conf()',
  q(CREATE FUNCTION slow(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.45); RETURN true; END');
my ($slow, $attaches) = map { connect_client($node) } 1 .. 2;
$slow->subscribe("slow $_", "SELECT id, $_ FROM t WHERE id = 3 AND slow(n)") for 'n', 'note', 'n + 1 AS more';
ok(commits_have_to_wait('nobody', $writer, $databases{postgres}), 'commits are to wait for a standby');
commits_wait($node);
$databases{postgres}->send_query('INSERT INTO unwatched VALUES (2)');
until_ok($node, q(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'), 1, 'one does');
$attaches->send_query(q{SELECT live.subscribe('q', 'SELECT id FROM t WHERE n > 3')});
ok(still_active($attaches), 'who subscribes waits for it');
$writer->rows('UPDATE t SET n = n + 1 WHERE id = 3');
my $reset = $slow->next_message(30);
like($reset && $reset->{message}{reason}, qr/^evaluating the role's queries together took too long/, 'the role is reset meanwhile');
ok(still_active($attaches), 'who subscribes waits still');
ok(commits_have_to_wait('', $writer), 'commits wait no longer');
ok(!$_->finish->{error}, 'it ends') for $databases{postgres}, $attaches;

$_->disconnect for $slow, $attaches, $writer, $defines, $client, $watches, values %databases;
nothing_left($node, 'at the end');
done_testing();
