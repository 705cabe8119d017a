# Servers that have no room for what live queries need: no background worker for the launcher or for a decoder, no
# replication slot. live.subscribe says so at once, with the setting's name, and so does live.workers. Where other databases
# have taken the room, their live queries go on.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('no_worker', <<~CONF);
    live_queries.subscribe_timeout = 30s
    CONF
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY)');
my $subscribe = q{SELECT * FROM live.subscribe('q', 'SELECT id FROM t', delivery => 'poll')};

# refuses(SETTING, NAME): at once, which is long before subscribe_timeout, with the setting in the hint.
sub refuses {
    my ($setting, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($client, $error) = refused_at_once($node, $subscribe, 15, $setting, $name);
    is($client->value(q{SELECT problem FROM live.workers WHERE database = 'postgres'}),
        "53400: $error->{M}", "$name: live.workers shows it");
    is($client->value(q{SELECT count(*) FROM live_queries}), 0, "$name: nothing is half made");
    # Asked again, it says so again.
    is($client->error($subscribe)->{C}, '53400', "$name: refused again");
    $client->disconnect;
    return;
}

# The server's own launcher for logical replication takes the one place.
restart_with($node, 'max_worker_processes = 1');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'live_queries launcher'}),
    0, 'no place for the launcher');
refuses('max_worker_processes', 'no launcher');
restart_with($node, 'max_worker_processes = 0');
refuses('max_worker_processes', 'no worker at all');

restart_with($node, 'max_worker_processes = 2');
refuses('max_worker_processes', 'no place for a decoder');

restart_with($node, "max_worker_processes = 8\nmax_replication_slots = 1");
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('taken')});
refuses('max_replication_slots', 'no slot');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('taken')});

# A launcher that has ended comes back: that is waited for.
restart_with($node, 'max_replication_slots = 4');
{
    my $client = connect_client($node);
    $client->rows(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'live_queries launcher'});
    is($client->error($subscribe)->{C}, '00000', 'the launcher is started again meanwhile');
    is($client->value(q{SELECT problem FROM live.workers WHERE database = 'postgres'}), undef, 'no problem remains');
    $client->disconnect;
}

# ----- several databases, and room for two decoders -----
my $query = 'SELECT id FROM t';
my @databases = qw(postgres one two);
$node->safe_psql('postgres', "CREATE DATABASE $_") for @databases[ 1, 2 ];
$node->safe_psql($_, 'CREATE EXTENSION live_queries; CREATE TABLE t (id int PRIMARY KEY)') for @databases[ 1, 2 ];
my %client; # that has a live query, by database
my $last_id = 0;

sub subscribe_in {
    my ($database) = @_;
    $client{$database} = connect_client($node, dbname => $database);
    $client{$database}->subscribe('q', $query);
    return;
}

# go_on(NAME): each of them is told of changes only, in the order of its database, and is exact.
sub go_on {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ++$last_id;
    $node->safe_psql($_, "INSERT INTO t VALUES ($last_id)") for sort keys %client;
    for my $database (sort keys %client) {
        ok($client{$database}->follow('q'), "$name: $database is told of changes only");
        is_deeply($client{$database}->state_of('q'), $client{$database}->rows_now($query), "$name: $database is exact");
    }
    return;
}

# refused_in(DATABASE, SETTING, NAME): at once, and live.workers tells it of that database alone.
sub refused_in {
    my ($database, $setting, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $other = connect_client($node, dbname => $database);
    my $error;
    cmp_ok(seconds_of(sub { $error = $other->error($subscribe) }), '<', 15, "$name: $database is refused at once");
    is($error->{C}, '53400', "$name: with the code of a limit");
    like($error->{H} // '', qr/\b$setting\b/, "$name: the hint names the setting");
    is_deeply($other->rows(q(SELECT database, problem FROM live.workers WHERE kind = 'decoder' AND problem IS NOT NULL)),
        [ [ $database, "53400: $error->{M}" ] ], "$name: live.workers shows it, and no problem of another database");
    is($other->value(q(SELECT count(*) FROM live_queries WHERE database = current_database())), 0, "$name: nothing is half made");
    $other->disconnect;
    return;
}

# Of the four workers the server's own launcher and ours have two.
my %room = (
    max_worker_processes => "max_worker_processes = 4\nmax_replication_slots = 10",
    max_replication_slots => "max_worker_processes = 10\nmax_replication_slots = 2");
for my $setting (sort keys %room) {
    restart_with($node, "$room{$setting}\nlive_queries.idle_timeout = 1h");
    subscribe_in($_) for qw(one two);
    refused_in('postgres', $setting, "$setting: a third database");
    go_on("$setting: beside it");
    my $joined = 'SELECT a.id, count(*) AS n FROM t a JOIN t b ON b.id <= a.id GROUP BY a.id';
    my $error = $client{one}->error("SELECT * FROM live.subscribe('joined', '$joined')");
    is($error->{C}, '53400', "$setting: no evaluator for a database that has a decoder");
    like($error->{H} // '', qr/\b$setting\b/, "$setting: and the hint names the setting");
    go_on("$setting: beside that");

    # One leaves, and its decoder: whoever asks next has the room.
    (delete $client{one})->disconnect;
    $node->safe_psql('postgres', q(ALTER SYSTEM SET live_queries.idle_timeout = '0'));
    $node->reload;
    poll_ok($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'live_queries decoder'), "$setting: a decoder has ended");
    $node->safe_psql('postgres', 'ALTER SYSTEM RESET live_queries.idle_timeout');
    $node->reload;
    subscribe_in('postgres');
    go_on("$setting: with another two");
    refused_in('one', $setting, "$setting: the first one again");
    go_on("$setting: beside the first one");
    $_->disconnect for values %client;
    %client = ();
}

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
