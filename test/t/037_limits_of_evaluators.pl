# What a live query may take of its evaluator: time, alone and with all others of its role, temporary files, memory of a
# difference, and a share of the processors. Who takes too much is told, and the others of the same evaluator go on.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('limits', "live_queries.idle_timeout = 1h\nmax_parallel_workers_per_gather = 0");
my $writer = connect_client($node);
$writer->rows(<<~SQL);
    CREATE ROLE greedy LOGIN;
    CREATE TABLE t (id int PRIMARY KEY, grp int, n int NOT NULL);
    CREATE TABLE u (id int PRIMARY KEY, name text);
    CREATE TABLE many (id int PRIMARY KEY, grp int, note text);
    INSERT INTO t SELECT i, i % 5, i FROM generate_series(1, 50) i;
    INSERT INTO u SELECT i, 'u' || i FROM generate_series(0, 4) i;
    INSERT INTO many SELECT i, i % 2, repeat('m', 200) || i FROM generate_series(1, 20000) i;
    CREATE FUNCTION slow(n int, milliseconds int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
      \$\$ BEGIN IF n >= 1000 THEN PERFORM pg_sleep(milliseconds / 1000.0); END IF; RETURN n; END \$\$;
    GRANT SELECT ON t, u, many TO greedy;
    ANALYZE;
    SQL

my %others = (
    joined => 'SELECT t.id, t.n, u.name FROM t JOIN u ON u.id = t.grp',
    groups => 'SELECT grp, count(*) AS count, sum(n) AS sum FROM t GROUP BY grp',
);
my $other = connect_client($node);
$other->subscribe($_, $others{$_}) for sort keys %others;

# others_go_on(NAME): the live queries beside it are told of changes only, and are exact.
sub others_go_on {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $writer->rows('UPDATE t SET n = n + 1 WHERE id = 50');
    is_deeply($other->told, [qw(groups joined)], "$name: the others are told of changes only");
    is_deeply($other->state_of($_), $other->rows_now($others{$_}), "$name: $_ is exact") for sort keys %others;
    return;
}

# ends_of(CLIENT): what it was told but for changes: [type, id, code or reason].
sub ends_of {
    my ($client) = @_;
    my @ends = grep { $_->{type} ne 'changes' } map { $_->{message} } $client->synced;
    return [ map { [ $_->{type}, $_->{subscription_id}, $_->{code} // $_->{reason} ] } @ends ];
}

sub set {
    my (%settings) = @_;
    $writer->rows("ALTER SYSTEM SET live_queries.$_ = '$settings{$_}'") for sort keys %settings;
    reloaded();
    return;
}

sub reset_all { $writer->rows('ALTER SYSTEM RESET ALL'); return reloaded() }

# Workers read their settings before the next batch.
sub reloaded {
    $node->reload;
    $writer->rows('UPDATE t SET n = n WHERE id = 1');
    $writer->arrived;
    return;
}

my $greedy = connect_client($node, user => 'greedy');
others_go_on('at first');

# ---- evaluation_timeout ----
set(evaluation_timeout => '3s');
$greedy->subscribe('slow', 'SELECT t.id, slow(t.n, 30000) AS s FROM t JOIN u ON u.id = t.grp WHERE t.id <= 10');
$writer->rows('UPDATE t SET n = 1000 WHERE id = 3');
is_deeply(ends_of($greedy), [ [ 'terminated', 'slow', '57014' ] ], 'a query that takes too long is ended');
others_go_on('beside a query that takes too long');
$writer->rows('UPDATE t SET n = 3 WHERE id = 3');
others_go_on('after it');

# ---- the time of all queries of a role ----
$greedy->subscribe("slow $_", "SELECT t.id, slow(t.n, 1200) + $_ AS s FROM t JOIN u ON u.id = t.grp WHERE t.id = 3") for 1 .. 9;
$greedy->subscribe('quick', 'SELECT t.id, u.name FROM t JOIN u ON u.id = t.grp');
$writer->rows('UPDATE t SET n = 1000 WHERE id = 3');
my $ends = ends_of($greedy);
my @reset = grep { $_->[0] eq 'reset' } @$ends;
cmp_ok(scalar @reset, '>', 0, 'queries of one role that take too long together: some are reset');
is_deeply([ grep { $_->[0] ne 'reset' } @$ends ], [], 'none is ended');
like($_->[2], qr/^evaluating the role's queries together took too long/, "the reason that $_->[1] is told") for @reset;
others_go_on('beside queries that take too long together');
$greedy->rows('SELECT live.unsubscribe_all()');
$writer->rows('UPDATE t SET n = 3 WHERE id = 3');
reset_all();

# ---- memory and temporary files ----
my $sorted = q(SELECT count(*) AS n FROM (SELECT DISTINCT note FROM many WHERE note <> $1) d);
my %room = (
    '64 kB and files' => [ 'evaluator_work_mem' => '64kB', 'evaluator_temp_file_limit' => '1GB' ],
    'memory and no files' => [ 'evaluator_work_mem' => '256MB', 'evaluator_temp_file_limit' => '0' ],
    '64 kB and no files' => [ 'evaluator_work_mem' => '64kB', 'evaluator_temp_file_limit' => '0' ],
);
for my $name (sort keys %room) {
    set(@{ $room{$name} });
    $greedy->subscribe('sorted', $sorted, $name);
    $writer->rows(q(INSERT INTO many SELECT max(id) + 1, 1, 'more' || max(id) FROM many));
    my $expected = $name eq '64 kB and no files' ? [ [ 'terminated', 'sorted', '53400' ] ] : [];
    is_deeply(ends_of($greedy), $expected, "$name: " . (@$expected ? 'what needs files is ended' : 'it goes on'));
    others_go_on($name);
    $greedy->rows('SELECT live.unsubscribe_all()');
}
reset_all();

# ---- a difference of more than 256 MB ----
my $wide = q(SELECT t.id, repeat('w', t.n) AS wide FROM t JOIN u ON u.id = t.grp);
$greedy->subscribe('wide', $wide);
$writer->rows('UPDATE t SET n = 10000000 WHERE id <= 30');
is_deeply(ends_of($greedy), [ [ 'reset', 'wide', 'too much of the result of a live query has changed at once' ] ],
    'a result that differs in more than 256 MB is reset');
others_go_on('beside it');
$writer->rows('UPDATE t SET n = id WHERE id <= 30');
$greedy->refresh('wide');
$writer->rows('UPDATE t SET n = n + 1 WHERE id = 7');
is_deeply($greedy->told, ['wide'], 'it goes on with its new first result');
is_deeply($greedy->state_of('wide'), $greedy->rows_now($wide), 'and is exact');

# ---- evaluator_share ----
# Batches that take some time, so that there is something to rest from.
$greedy->rows('SELECT live.unsubscribe_all()');
$greedy->subscribe('costly', 'SELECT t.id, slow(t.n + 1000, 4) AS s FROM t JOIN u ON u.id = t.grp WHERE t.id = 1');
my %batches;
for my $share (100, 1) {
    set(evaluator_share => $share);
    my $count = q(SELECT batches FROM live.workers WHERE kind = 'evaluator');
    $writer->arrived;
    my $before = $writer->value($count);
    $writer->rows('DO $$ BEGIN FOR i IN 1 .. 300 LOOP UPDATE t SET n = n + 1 WHERE id = 1; COMMIT; PERFORM pg_sleep(0.004); END LOOP; END $$');
    others_go_on("a share of $share");
    $batches{$share} = $writer->value($count) - $before;
}
cmp_ok($batches{1} * 2, '<', $batches{100}, "with a smaller share of the time there are fewer batches: $batches{1}, and $batches{100}");

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)|terminated by signal/, 'no crash, no leak');
done_testing();
