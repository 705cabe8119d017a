# DROP DATABASE and the like, beside a decoder: they work as without live queries, and who may not run them cannot stop it.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('database_commands', <<~CONF);
    allow_in_place_tablespaces = on
    live_queries.databases = 'kept'
    CONF
my $query = 'SELECT id, a FROM t';
my ($admin, $watcher) = map { connect_client($node) } 1 .. 2;

sub make_database {
    my ($name) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    $node->safe_psql($name, 'CREATE EXTENSION live_queries; CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t REPLICA IDENTITY FULL');
    return;
}

sub sessions {
    my ($database) = @_;
    return $admin->value("SELECT count(*) FROM pg_stat_activity WHERE datname = '$database' AND backend_type = 'client backend'");
}

# ----- right after the last subscriber's disconnect: nobody waits for anything -----

make_database('base');
my %failed;
for my $round (1 .. 15) {
    for my $command ('CREATE DATABASE copy TEMPLATE base', 'ALTER DATABASE base RENAME TO base2', 'DROP DATABASE base2') {
        my $database = $command =~ /base2$/ && $command =~ /^DROP/ ? 'base2' : 'base';
        my $client = connect_client($node, dbname => $database);
        $client->subscribe('q', $query);
        $client->disconnect;
        my $error = $admin->error($command);
        $failed{"$command: $error->{C} $error->{M}"}++ if $error->{C} ne '00000';
        $admin->error('ALTER DATABASE base RENAME TO base2') if $error->{C} ne '00000' && $command =~ /RENAME/;
    }
    $admin->error('DROP DATABASE base2 WITH (FORCE)');
    $admin->rows('ALTER DATABASE copy RENAME TO base');
}
is_deeply(\%failed, {}, 'every command succeeds right after the last subscriber has gone');
is($admin->value(q(SELECT count(*) FROM live.workers WHERE database IS NULL)), 0, 'no row without a database');

# ----- rights first -----

# The decoder of a database that somebody may not touch, with an old transaction that would hold up its next start.
$admin->rows('CREATE ROLE nobody LOGIN; CREATE ROLE creator LOGIN CREATEDB; CREATE ROLE owner LOGIN');
$admin->rows(q(CREATE TABLESPACE place LOCATION ''));
$admin->rows('GRANT CREATE ON TABLESPACE place TO PUBLIC');
make_database('kept');
$node->reload;
my $pid = decoder_pid($node, 'kept');
my $holder = connect_client($node);
$holder->rows('BEGIN; SELECT pg_current_xact_id()');

sub untouched {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($watcher->value(q(SELECT pid FROM live.workers WHERE database = 'kept' AND state = 'running')), $pid, "$name: the decoder goes on");
    return;
}

sub refused {
    my ($client, $sql, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $error = $client->error($sql);
    is($error->{C}, $code, "$name: $sql is refused") or diag $error->{M};
    untouched("$name: $sql");
    $client->rows('ROLLBACK') if $sql =~ /BEGIN/;
    return $error;
}

# Nobody is connected to it but its decoder.
for my $role (qw(nobody creator)) {
    my $client = connect_client($node, user => $role);
    refused($client, $_, '42501', $role)
      for 'DROP DATABASE kept', 'DROP DATABASE kept WITH (FORCE)', 'ALTER DATABASE kept RENAME TO other',
      'ALTER DATABASE kept SET TABLESPACE place', 'CREATE DATABASE other TEMPLATE kept', 'ALTER DATABASE kept CONNECTION LIMIT 5';
    $client->disconnect;
}
$admin->rows('ALTER DATABASE kept OWNER TO owner');
{
    my $client = connect_client($node, user => 'owner');
    refused($client, 'ALTER DATABASE kept RENAME TO other', '42501', 'an owner without CREATEDB');
    refused($client, 'CREATE DATABASE other TEMPLATE kept', '42501', 'an owner without CREATEDB');
    $client->rows('ALTER DATABASE kept CONNECTION LIMIT 50');
    untouched('a command that does not need the database for itself');
    $client->disconnect;
}

# Nor for what is refused for another reason.
refused($admin, $_->[0], $_->[1], 'a superuser')
  for [ 'BEGIN; DROP DATABASE kept', '25001' ], [ 'ALTER DATABASE kept RENAME TO postgres', '42P04' ],
  [ 'CREATE DATABASE postgres TEMPLATE kept',                '42P04' ],
  [ 'CREATE DATABASE other TEMPLATE kept TABLESPACE nowhere', '42704' ],
  [ 'CREATE DATABASE other TEMPLATE kept OWNER nowhere',      '42704' ],
  [ 'ALTER DATABASE kept SET TABLESPACE nowhere',             '42704' ],
  [ 'BEGIN READ ONLY; ALTER DATABASE kept RENAME TO other', '25006' ];
$admin->rows('ALTER DATABASE kept SET TABLESPACE pg_default');
untouched('to where it is already');
$admin->rows('ALTER DATABASE kept IS_TEMPLATE true');
refused($admin, 'DROP DATABASE kept', '42809', 'a template');
$admin->rows('ALTER DATABASE kept IS_TEMPLATE false');

# A session that has nothing to do with live queries is in the way as ever: told after the server's five seconds.
{
    my $session = connect_client($node, dbname => 'kept');
    for my $sql ('DROP DATABASE kept', 'ALTER DATABASE kept RENAME TO other') {
        my $error = refused($admin, $sql, '55006', 'a session');
        like($error->{M}, qr/database "kept" is being accessed by other users/, 'with the error that the server has for that');
        is($error->{D}, 'There is 1 other session using the database.', 'and its detail, in which the decoder does not count');
    }
    # Whoever may not end that session may not force.
    my $client = connect_client($node, user => 'owner');
    refused($client, 'DROP DATABASE kept WITH (FORCE)', '42501', 'a session of a superuser');
    $_->disconnect for $client, $session;
}
{
    my $session = connect_client($node, dbname => 'kept');
    $session->rows(q(BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'kept'));
    $session->disconnect;
    refused($admin, 'DROP DATABASE kept WITH (FORCE)', '55006', 'a prepared transaction');
    $session = connect_client($node, dbname => 'kept');
    $session->rows(q(ROLLBACK PREPARED 'kept'));
    $session->disconnect;
}
$holder->rows('ROLLBACK');
$holder->disconnect;

# Live queries are, too; and their own session is when it copies its database.
{
    my $client = connect_client($node, dbname => 'kept');
    $client->subscribe('q', $query);
    my $error = refused($client, 'CREATE DATABASE other TEMPLATE kept', '55006', 'a copy by one who watches');
    like($error->{D}, qr/live queries/, 'says why');
    $client->rows(q(SELECT live.unsubscribe('q')));
    is($client->error('CREATE DATABASE other TEMPLATE kept')->{C}, '00000', 'a copy of the database that one is in');
    $client->disconnect;
}
$pid = decoder_pid($node, 'kept');

# ----- a command that fails although it was not to be foreseen leaves a decoder behind -----

is($admin->error(q(CREATE DATABASE third TEMPLATE kept ENCODING 'LATIN1' LOCALE 'C'))->{C}, '22023', 'a command that fails late');
$pid = decoder_pid($node, 'kept');
ok($pid, 'the decoder runs again');
$admin->rows($_) for 'BEGIN', 'ALTER DATABASE kept RENAME TO renamed', 'ROLLBACK';
ok(decoder_pid($node, 'kept'), 'and after a rename that is rolled back');

# ----- what was dropped is forgotten -----

sub nameless { return $admin->value(q(SELECT (SELECT count(*) FROM live.workers WHERE database IS NULL) + (SELECT count(*) FROM live_queries WHERE database IS NULL))) }

for my $how ('', ' WITH (FORCE)') {
    for my $idle ('60s', '0') {
        $admin->rows("ALTER SYSTEM SET live_queries.idle_timeout = '$idle'");
        $node->reload;
        make_database('short');
        my $client = connect_client($node, dbname => 'short');
        $client->subscribe('q', $query);
        $admin->rows(q(SELECT live.kill(live_id) FROM live_queries WHERE database = 'short'));
        is($client->next_message->{message}{type}, 'terminated', 'one that is over');
        $client->disconnect unless $how;
        my $oid = $admin->value(q(SELECT oid FROM pg_database WHERE datname = 'short'));
        poll_ok($node, q(SELECT pid IS NULL FROM live.workers WHERE database = 'short'), 'its decoder has stopped') if $idle eq '0';
        is($admin->error("DROP DATABASE short$how")->{C}, '00000', "DROP DATABASE$how");
        is($admin->value(q(SELECT count(*) FROM live.workers WHERE database = 'short')), 0, 'its row is gone');
        is(nameless(), 0, 'and no row has no name');
        # Another one in its place, even with its oid, starts at zero.
        $admin->rows("CREATE DATABASE short OID $oid");
        $node->safe_psql('short', 'CREATE EXTENSION live_queries; CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t REPLICA IDENTITY FULL');
        my $next = connect_client($node, dbname => 'short');
        $next->subscribe('q', $query);
        is($next->value(q(SELECT format('%s %s %s', resets, errors, messages) FROM live.workers WHERE database = 'short')), '0 0 0',
            'the counters of another one of that name are its own');
        $next->disconnect;
        $admin->rows('DROP DATABASE short');
    }
}
$admin->rows('ALTER SYSTEM RESET live_queries.idle_timeout');

$_->disconnect for $admin, $watcher;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
