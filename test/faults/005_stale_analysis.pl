# A query that was analysed before something changed, and attached after the others of its shape were looked at because of
# that: it goes by what is.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('stale');
$node->safe_psql('postgres', <<~SQL);
    CREATE ROLE reader LOGIN;
    CREATE ROLE auditor;
    CREATE TABLE owned (id int PRIMARY KEY, owner text);
    ALTER TABLE owned REPLICA IDENTITY FULL;
    GRANT SELECT ON owned TO reader;
    CREATE FUNCTION audits() RETURNS boolean STABLE LANGUAGE plpgsql AS
        \$\$ BEGIN RETURN pg_has_role('auditor', 'member'); END \$\$;
    SQL
my $writer = connect_client($node);
my $number = 0;

# Of the rows with these owners, the late subscriber is told those of `$told` alone.
sub goes_by_what_is {
    my ($condition, $change, $owners, $told) = @_;
    my ($early, $late) = map { connect_client($node, user => 'reader') } 1 .. 2;
    my $query = "SELECT id, owner FROM owned WHERE $condition";
    $early->subscribe('q', $query);
    hold($node, 'subscribe-analysed');
    $late->send_query("SELECT live.subscribe('q', \$\$$query\$\$)");
    wait_held($node, 'subscribe-analysed');
    $writer->rows($change);
    is($early->next_message->{message}{type}, 'reset', "$change: the early one is reset");
    release($node, 'subscribe-analysed');
    my $result = $late->finish;
    ok(!$result->{error}, "$change: the late one subscribes") or diag($result->{error}{M});
    $late->read_snapshot('q');
    $writer->rows('INSERT INTO owned VALUES ' . join(', ', map { ++$number; "($number, '$_')" } @$owners));
    my @messages = map { $_->{message} } $late->synced;
    is_deeply([ map { $_->{row}{owner} } map { @{ $_->{changes} } } @messages ], $told, "$change: and is told by what is");
    $_->disconnect for $early, $late;
    return;
}

goes_by_what_is('owner = current_user', 'ALTER ROLE reader RENAME TO renamed', [qw(reader renamed)], ['renamed']);
$writer->rows('ALTER ROLE renamed RENAME TO reader');
goes_by_what_is(q(pg_has_role('auditor', 'member')), 'GRANT auditor TO reader', ['a'], ['a']);
goes_by_what_is(q(pg_has_role('auditor', 'member')), 'REVOKE auditor FROM reader', ['b'], []);
goes_by_what_is('NOT audits()', 'GRANT auditor TO reader', ['c'], []);

# One that is killed before it is analysed again has ended.
my ($early, $late) = map { connect_client($node, user => 'reader') } 1 .. 2;
$early->subscribe('q', 'SELECT id, owner FROM owned WHERE owner = current_user');
hold($node, 'subscribe-analysed');
$late->send_query(q{SELECT live.subscribe('late', 'SELECT id, owner FROM owned WHERE owner = current_user')});
wait_held($node, 'subscribe-analysed');
$writer->rows('ALTER ROLE reader RENAME TO renamed');
is($early->next_message->{message}{type}, 'reset', 'the early one is reset');
hold($node, 'registry-remove');
release($node, 'subscribe-analysed');
wait_held($node, 'registry-remove');
is($writer->value(q{SELECT live.kill(live_id) FROM live_queries WHERE subscription_id = 'late'}), 't', 'the late one is killed');
release($node, 'registry-remove');
is($late->finish->{error}{C}, '57014', 'and its client is told');
is($writer->value(q{SELECT count(*) FROM live_queries WHERE subscription_id = 'late' AND status <> 'terminated'}), 0, 'nothing is left of it');
$_->disconnect for $early, $late;

done_testing();
