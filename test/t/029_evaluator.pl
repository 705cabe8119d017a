# What an evaluator is told of beside rows, and what may befall it: errors of a query, DDL, rights, other files of a table, locks,
# another decoder, another evaluator. Whoever can be kept up to date is; the others are told, and only they.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('evaluator', 'live_queries.idle_timeout = 1h');
my $writer = connect_client($node);
$writer->rows(<<~SQL);
    CREATE ROLE reader LOGIN;
    CREATE TABLE people (id int PRIMARY KEY, name text, n int NOT NULL);
    CREATE TABLE orders (id int PRIMARY KEY, person int, total int NOT NULL);
    CREATE TABLE alone (id int PRIMARY KEY, n int);
    ALTER TABLE alone REPLICA IDENTITY FULL;
    CREATE INDEX ON orders (person);
    INSERT INTO people SELECT i, 'p' || i, i FROM generate_series(1, 50) i;
    INSERT INTO orders SELECT i, i % 50 + 1, i FROM generate_series(1, 500) i;
    INSERT INTO alone VALUES (1, 1);
    GRANT SELECT ON people, orders TO reader;
    SQL

my %queries = (
    stream => 'SELECT id, n FROM alone',
    joined => 'SELECT o.id, o.total, p.name FROM orders o JOIN people p ON p.id = o.person WHERE p.id <= 20',
    groups => 'SELECT person, count(*) AS count, sum(total) AS sum FROM orders GROUP BY person',
);
my $client = connect_client($node);

# told(CLIENT): applies what has come, and returns what else was told: [id, type, code or reason].
sub told {
    my ($by) = @_;
    my @told;
    for my $message (map { $_->{message} } $by->synced) {
        my $id = $message->{subscription_id};
        if ($message->{type} eq 'changes') {
            apply_changes($by->{states}{$id}, $message);
        } else {
            push @told, [ $id, $message->{type}, $message->{code} // $message->{reason} ];
        }
    }
    return [ sort { $a->[0] cmp $b->[0] } @told ];
}

my $order = 1000;

sub change_rows {
    ++$order;
    $writer->rows(<<~SQL);
        INSERT INTO orders VALUES ($order, $order % 25 + 1, $order);
        UPDATE people SET name = name || 'x' WHERE id = $order % 20 + 1;
        UPDATE orders SET total = total + 1 WHERE id = $order % 500 + 1;
        DELETE FROM orders WHERE id = $order - 1 AND id > 1001;
        UPDATE alone SET n = n + 1;
        SQL
    return;
}

# is_exact(NAME, IDS): nothing but changes comes, and the states are what the queries give.
sub is_exact {
    my ($name, @ids) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    change_rows();
    is_deeply(told($client), [], "$name: nothing but changes");
    is_deeply($client->state_of($_), $client->rows_now($queries{$_}), "$name: $_ is exact") for @ids;
    return;
}

sub evaluator { return $node->safe_psql('postgres', q(SELECT pid FROM live.workers WHERE kind = 'evaluator' AND state = 'running')) }

my @all = sort keys %queries;
$client->subscribe($_, $queries{$_}) for @all;
is_exact('at first', @all);

# ---- errors ----
$client->subscribe('fragile', 'SELECT o.id, 100 / p.n AS part FROM orders o JOIN people p ON p.id = o.person WHERE o.id <= 10');
$writer->rows('BEGIN; UPDATE people SET n = 0 WHERE id = 5; UPDATE orders SET total = -1 WHERE person = 5; COMMIT');
is_deeply(told($client), [ [ 'fragile', 'terminated', '22012' ] ], 'an error of one query ends that');
is_exact('beside it', @all);

# ---- files and definitions ----
sub is_reset { # what resets those who read the table, and only those
    my ($name, $sql, $ids, $reason) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    # For who has nothing to be told, it is noticed with the next change.
    $writer->rows($_) for ref $sql ? @$sql : $sql;
    change_rows();
    my $told = told($client);
    is_deeply([ map { "$_->[1] $_->[0]" } @$told ], [ map { "reset $_" } @$ids ], "$name: reset");
    like($_->[2], $reason, "$name: the reason that $_->[0] is told") for @$told;
    $client->refresh($_) for @$ids;
    is_exact("after $name", @all);
    return;
}

is_reset('TRUNCATE', 'TRUNCATE people; INSERT INTO people SELECT i, $$q$$ || i, i FROM generate_series(1, 50) i', ['joined'], qr/truncated|changed/);
is_reset('VACUUM FULL', 'VACUUM FULL people', ['joined'], qr/rewritten|changed/);
is_reset('a table that is filled anew', 'BEGIN; CREATE TEMPORARY TABLE kept AS TABLE orders; TRUNCATE orders; INSERT INTO orders TABLE kept; DROP TABLE kept; COMMIT',
    [ 'groups', 'joined' ], qr/truncated|changed/);
is_reset('a column that is rewritten', 'ALTER TABLE people ALTER name TYPE varchar(80) USING name || $$!$$', ['joined'], qr/rewritten|changed/);

is_reset('a new column', 'ALTER TABLE people ADD more int DEFAULT 3', ['joined'], qr/changed/);
$writer->rows('CREATE INDEX ON people (n); ANALYZE people, orders');
is_exact('after an index', @all);
my $took = seconds_of(sub { $writer->rows('CREATE INDEX CONCURRENTLY orders_total ON orders (total)') });
cmp_ok($took, '<', 60, 'an index is built CONCURRENTLY');
is_exact('after an index that was built CONCURRENTLY', @all);
$writer->rows('ALTER TABLE orders REPLICA IDENTITY NOTHING');
told($client);
$writer->rows('ALTER TABLE orders REPLICA IDENTITY DEFAULT');
told($client);
$client->refresh($_) for @all;
is_exact('with its identity again', @all);

$writer->rows('CREATE VIEW richer AS SELECT o.id, p.name FROM orders o JOIN people p ON p.id = o.person WHERE o.total > 480');
$client->subscribe('viewed', 'SELECT id, name FROM richer');
$writer->rows('CREATE OR REPLACE VIEW richer AS SELECT o.id, p.name FROM orders o JOIN people p ON p.id = o.person WHERE o.total > 490');
is_deeply([ map { "$_->[1] $_->[0]" } @{ told($client) } ], ['reset viewed'], 'a view that is another');
$client->refresh('viewed');
$queries{viewed} = 'SELECT id, name FROM richer';
is_exact('the view', @all, 'viewed');
$writer->rows('DROP VIEW richer');
is_deeply([ map { "$_->[1] $_->[0]" } @{ told($client) } ], ['terminated viewed'], 'a view that is dropped');
delete $queries{viewed};

# ---- locks ----
my $locker = connect_client($node);
$locker->rows('BEGIN; LOCK TABLE people');
$writer->rows('UPDATE orders SET total = total + 1 WHERE id = 7');
my $locked = told($client);
is_deeply([ map { "$_->[1] $_->[0]" } @$locked ], ['reset joined'], 'a table that is locked for long resets who reads it');
is_deeply($client->state_of('groups'), $client->rows_now($queries{groups}), 'and nobody else');
$locker->rows('COMMIT');
$client->refresh('joined');
is_exact('after the lock', @all);

# ---- rights ----
my $reader = connect_client($node, user => 'reader');
$reader->subscribe('mine', $queries{joined});
$writer->rows('UPDATE orders SET total = total + 1 WHERE id < 20');
is_deeply(told($reader), [], 'who may read gets changes');
is_deeply($reader->state_of('mine'), $client->rows_now($queries{joined}), 'all of them');
$writer->rows('REVOKE SELECT ON people FROM reader');
$writer->rows('UPDATE orders SET total = total + 1 WHERE id < 20');
is_deeply(told($reader), [ [ 'mine', 'terminated', '42501' ] ], 'and nothing any more once he may not');
$writer->rows('GRANT SELECT ON people TO reader');
$reader->subscribe('mine', $queries{joined});
$writer->rows('REVOKE SELECT ON orders FROM reader');
is_deeply(told($reader), [ [ 'mine', 'terminated', '42501' ] ], 'also where nothing changes');

# Row security by membership: who is in a team sees its documents.
$writer->rows(<<~SQL);
    CREATE TABLE members (team int, who name, PRIMARY KEY (team, who));
    CREATE TABLE documents (id int PRIMARY KEY, team int, body text);
    CREATE POLICY own ON documents USING (team IN (SELECT team FROM members WHERE who = current_user));
    ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
    GRANT SELECT ON members, documents TO reader;
    INSERT INTO members VALUES (1, 'reader'), (2, 'other');
    INSERT INTO documents SELECT i, i % 3, 'd' || i FROM generate_series(1, 12) i;
    SQL
my $documents = 'SELECT id, body FROM documents';
$reader->subscribe('documents', $documents);
my @steps = (
    q(INSERT INTO members VALUES (2, 'reader')),
    q(UPDATE documents SET team = 2 WHERE id = 3; UPDATE documents SET body = 'secret' WHERE team = 0),
    q(DELETE FROM members WHERE team = 1 AND who = 'reader'; INSERT INTO documents VALUES (20, 1, 'unseen'), (21, 2, 'seen')),
    q(UPDATE members SET who = 'reader' WHERE who = 'other' AND team = 0),
    q(UPDATE members SET team = 0 WHERE who = 'reader'));
for my $step (@steps) {
    $writer->rows("BEGIN; $step; COMMIT");
    is_deeply(told($reader), [], "row security, $step: nothing but changes");
    is_deeply($reader->state_of('documents'), $reader->rows_now($documents), 'and the rows that he may see');
}
$writer->rows('DROP POLICY own ON documents; CREATE POLICY own ON documents USING (team = 1)');
is_deeply([ map { "$_->[1] $_->[0]" } @{ told($reader) } ], ['reset documents'], 'another policy');
$reader->disconnect;

# ---- who waits for the client is waited for by its evaluator ----
my $truncating = connect_client($node);
$client->rows('BEGIN; SELECT count(*) FROM members');
$truncating->send_query('TRUNCATE members');
ok(wait_until(sub { $writer->value(q(SELECT count(*) FROM pg_locks WHERE relation = 'members'::regclass AND NOT granted)) }), 'one waits for the client');
my $error = $client->error(q(SELECT live.subscribe('locked', 'SELECT d.id FROM documents d JOIN members USING (team) WHERE d.id > 1')));
is($error->{C}, '55P03', 'subscribing gives up');
like($error->{M}, qr/another session waits to lock it/, 'and says why');
$client->rows('ROLLBACK');
is($truncating->finish->{error}, undef, 'who waited goes on');
$truncating->disconnect;
$client->subscribe('locked', 'SELECT d.id FROM documents d JOIN members USING (team) WHERE d.id > 1');
$client->rows(q(SELECT live.unsubscribe('locked')));

# ---- vacuum ----
$writer->rows('UPDATE orders SET total = total + 1') for 1 .. 5;
told($client);
ok(wait_until(sub {
            $writer->arrived;
            $writer->rows('VACUUM orders');
            $writer->rows('SELECT pg_stat_force_next_flush()');
            $writer->value(q(SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orders')) == 0;
        }), 'dead rows are removed beside live joins');

# ---- workers that end ----
my $decoder = decoder_pid($node);
$writer->rows("SELECT pg_terminate_backend($decoder, 10000)");
change_rows();
ok(wait_until(sub { decoder_pid($node) ne $decoder }), 'another decoder');
change_rows();
is_deeply([ map { "$_->[1] $_->[0]" } @{ told($client) } ], ['reset stream'], 'only the stream has missed something');
$client->refresh('stream');
is_exact('after another decoder', @all);

my $evaluator = evaluator();
$writer->rows("SELECT pg_terminate_backend($evaluator, 10000)");
change_rows();
ok(wait_until(sub { evaluator() !~ /^(?:|$evaluator)$/ }), 'another evaluator');
is_deeply([ map { "$_->[1] $_->[0]" } @{ told($client) } ], [ 'reset groups', 'reset joined' ], 'only its own are reset');
is_deeply($client->state_of('stream'), $client->rows_now($queries{stream}), 'the stream goes on');
$client->refresh($_) for 'groups', 'joined';
is_exact('after another evaluator', @all);

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)|terminated by signal/, 'no crash, no leak');
done_testing();
