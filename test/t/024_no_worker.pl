# Servers that have no room for what live queries need: no background worker for the launcher or for a decoder, no
# replication slot. live.subscribe says so at once, with the setting's name, and so does live.workers.
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

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
