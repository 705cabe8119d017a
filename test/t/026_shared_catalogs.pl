# What a live query took from catalogs that all databases share, changed by a session of another database: nothing of
# such a transaction is decoded.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('shared_catalogs');
$node->safe_psql('postgres', <<~SQL);
    CREATE DATABASE elsewhere;
    CREATE ROLE reader LOGIN;
    CREATE ROLE auditor;
    CREATE TABLE t (id int PRIMARY KEY, owner text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    GRANT SELECT ON t TO reader;
    REVOKE CONNECT ON DATABASE elsewhere FROM PUBLIC;
    SQL
my $number = 0;

# Whether the change, made elsewhere, resets a query with this condition before the next row is told.
sub resets {
    my ($condition, $change, $back) = @_;
    my $client = connect_client($node, user => 'reader');
    $client->subscribe('q', "SELECT id FROM t WHERE $condition");
    my $id = ++$number;
    $node->safe_psql('postgres', "INSERT INTO t VALUES ($id, 'reader')");
    is($client->next_message->{message}{type}, 'changes', "$condition: goes on");
    $node->safe_psql('elsewhere', $change);
    $id = ++$number;
    $node->safe_psql('postgres', "INSERT INTO t VALUES ($id, 'reader')");
    is($client->next_message->{message}{type}, 'reset', "$change: is noticed");
    $client->disconnect;
    $node->safe_psql('elsewhere', $back) if defined $back;
    return;
}

resets(q(NOT pg_has_role('auditor', 'member')), 'GRANT auditor TO reader', 'REVOKE auditor FROM reader');
resets(q(NOT has_database_privilege('elsewhere', 'connect')),
    'GRANT CONNECT ON DATABASE elsewhere TO reader', 'REVOKE CONNECT ON DATABASE elsewhere FROM reader');
resets(q(NOT has_tablespace_privilege('pg_default', 'create')),
    'GRANT CREATE ON TABLESPACE pg_default TO reader', 'REVOKE CREATE ON TABLESPACE pg_default FROM reader');
resets(q(NOT has_parameter_privilege('log_min_messages', 'set')),
    'GRANT SET ON PARAMETER log_min_messages TO reader', 'REVOKE SET ON PARAMETER log_min_messages FROM reader');
resets('owner = current_user', 'ALTER ROLE reader RENAME TO renamed', 'ALTER ROLE renamed RENAME TO reader');
resets('owner = session_user', 'ALTER ROLE reader RENAME TO renamed', 'ALTER ROLE renamed RENAME TO reader');

# A policy may ask about the session user, who is not the role.
$node->safe_psql('postgres', <<~SQL);
    CREATE ROLE gateway LOGIN NOINHERIT;
    GRANT reader TO gateway;
    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
    CREATE POLICY asks ON t USING (pg_has_role(session_user, 'auditor', 'usage'));
    ALTER ROLE gateway INHERIT;
    GRANT auditor TO gateway;
    SQL
my $client = connect_client($node, user => 'gateway');
$client->rows('SET ROLE reader');
$client->subscribe('q', 'SELECT id FROM t');
$node->safe_psql('postgres', 'CREATE TABLE unrelated (); CREATE ROLE other; GRANT auditor TO other; INSERT INTO t VALUES (100)');
is($client->next_message->{message}{type}, 'changes', 'the session user is who it was');
$node->safe_psql('elsewhere', 'REVOKE auditor FROM gateway');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (101)');
is($client->next_message->{message}{type}, 'reset', 'what the session user has lost is noticed');
$client->disconnect;

done_testing();
