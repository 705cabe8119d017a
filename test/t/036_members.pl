# Membership: what somebody may see by a row that another table holds of him, as a condition of the query or as row security. One
# evaluation serves all who are members; each is told of what is his.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('members', 'live_queries.idle_timeout = 1h');
my $writer = connect_client($node);
# Each document that is looked into is noted in the log of the server.
$writer->rows(<<~SQL);
    CREATE TABLE members (team int, who int, active boolean NOT NULL DEFAULT true, PRIMARY KEY (team, who));
    CREATE TABLE links (id serial PRIMARY KEY, team int, who int, CONSTRAINT one_link UNIQUE (who, team));
    CREATE TABLE document (id int PRIMARY KEY, team int, owner int, title text);
    CREATE INDEX ON document (team);
    INSERT INTO members SELECT i % 10, i FROM generate_series(1, 100) i;
    INSERT INTO links (team, who) SELECT i % 10, i FROM generate_series(1, 100) i;
    INSERT INTO document SELECT i, i % 10, i % 7, 'd' || i FROM generate_series(1, 200) i;
    CREATE FUNCTION noted(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RAISE LOG ''looked into document %.'', id; RETURN id; END';
    CREATE ROLE reader LOGIN;
    GRANT SELECT ON members, document TO reader;
    SQL

sub told_of {
    my ($client, $sql) = @_;
    $writer->rows($sql);
    return $client->told;
}

sub evaluations { return $writer->value(q(SELECT sum(evaluations) FROM live.workers WHERE kind = 'evaluator')) }

sub routing {
    my ($client, $query, @params) = @_;
    my $array = @params ? "ARRAY['$params[0]']" : q('{}');
    return $client->value("SELECT value FROM live.explain(\$query\$$query\$query\$, $array) WHERE property = 'routing'");
}

sub is_exact {
    my ($client, $name, %queries) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %got = map { ($_ => $client->state_of($_)) } keys %queries;
    is_deeply(\%got, { map { ($_ => $client->rows_now($queries{$_})) } keys %queries }, "$name: exact");
    return;
}

my %forms = (
    plain   => 'SELECT id, title FROM document WHERE team IN (SELECT team FROM members WHERE who = $1)',
    active  => 'SELECT id, title FROM document d WHERE EXISTS (SELECT FROM members m WHERE m.team = d.team AND m.who = $1 AND m.active)',
    linked  => 'SELECT id, title FROM document d WHERE EXISTS (SELECT FROM links l WHERE $1 = l.who AND l.team = d.team)',
    newest  => 'SELECT id, title FROM document d WHERE team IN (SELECT team FROM links WHERE who = $1) ORDER BY id DESC LIMIT 3',
    count   => 'SELECT count(*) AS count FROM document WHERE team IN (SELECT team FROM members WHERE who = $1)',
    owners  => 'SELECT owner, count(*) AS count FROM document WHERE team IN (SELECT team FROM members WHERE who = $1) GROUP BY owner',
    both    => 'SELECT d.id, o.id AS other FROM document d JOIN document o ON o.owner = d.id'
        . ' WHERE d.team IN (SELECT team FROM members WHERE who = $1) AND o.team IN (SELECT team FROM links WHERE who = $1)',
);
sub form { return $forms{ $_[0] } =~ s/\$1/$_[1]/gr }

# ---- one evaluation for all ----
my $client = connect_client($node);
is(routing($client, $forms{$_}, 7), 'who', "$_: who asks is what they are routed by") for sort keys %forms;
$client->subscribe("plain $_", $forms{plain}, $_) for 1 .. 100;
$client->told;
my $before = evaluations();
is_deeply(told_of($client, q(INSERT INTO document VALUES (1001, 3, 1, 'new'))), [ sort map { 'plain ' . (10 * $_ + 3) } 0 .. 9 ],
    'all ten members of a team are told');
is(evaluations(), $before + 1, 'by one evaluation');
is_deeply(told_of($client, 'INSERT INTO members VALUES (3, 8)'), ['plain 8'], 'who joins a team is told of its documents');
is_deeply(told_of($client, 'UPDATE document SET team = 8 WHERE id = 1001'),
    [ sort map { ('plain ' . (10 * $_ + 3), $_ == 0 ? () : 'plain ' . (10 * $_ + 8)) } 0 .. 9 ], 'a document that changes its team: who is of one of both');
is_deeply(told_of($client, 'DELETE FROM members WHERE team = 3 AND who = 8; INSERT INTO document VALUES (1002, 3, 1, $$unseen$$)'),
    [ sort 'plain 8', map { 'plain ' . (10 * $_ + 3) } 0 .. 9 ], 'who leaves loses them, and sees nothing new');
is_deeply(told_of($client, 'BEGIN; DELETE FROM members WHERE who = 8; INSERT INTO members VALUES (8, 8); COMMIT'), [],
    'who was away in between is told nothing');
is_deeply(told_of($client, 'UPDATE members SET team = 4, who = 2000 WHERE who = 5'), ['plain 5'], 'nor is anybody who does not ask');
is_exact($client, 'plain', map { ("plain $_" => form('plain', $_)) } 3, 5, 8, 13, 18);
$client->rows('SELECT live.unsubscribe_all()');

# ---- every form, with few who watch and with many ----
for my $count (3, 80) {
    $client->told;
    my %all = map { my $form = $_; map { ("$form $_" => form($form, $_)) } 1 .. ($form eq 'plain' ? $count : 3) } sort keys %forms;
    for my $id (sort keys %all) {
        my ($form, $who) = split / /, $id;
        $client->subscribe($id, $forms{$form}, $who);
    }
    for my $sql ('INSERT INTO document SELECT i, i % 3, 1, $$more$$ FROM generate_series(2001, 2005) i', 'DELETE FROM members WHERE who = 2',
        'INSERT INTO members VALUES (1, 2), (2, 2)', 'UPDATE members SET active = NOT active WHERE who < 3', 'UPDATE document SET team = team + 1 WHERE id < 50',
        'BEGIN; DELETE FROM links WHERE who = 3; INSERT INTO links (team, who) VALUES (3, 3), (1, 3); UPDATE document SET team = 3 WHERE team = 1; COMMIT',
        'BEGIN; DELETE FROM links WHERE team = 5; UPDATE links SET who = 1, team = 5 WHERE who = 3 AND team = 1; DELETE FROM document WHERE id > 2000; COMMIT') {
        $writer->rows($sql);
        is_deeply([ grep { /^(?:reset|terminated) / } @{ $client->told } ], [], "nothing but changes comes of $sql");
        is_exact($client, $sql, %all);
    }
    $client->rows('SELECT live.unsubscribe_all()');
}

# ---- a large team, of which more than a few watch: what is told is what it costs ----
$writer->rows('INSERT INTO members SELECT 50, i FROM generate_series(1, 3000) i; INSERT INTO document SELECT i, 50, i, $$large$$ FROM generate_series(6001, 6020) i; ANALYZE');
my $twice = 'SELECT d.id, o.title FROM document d JOIN document o ON o.id = d.owner'
    . ' WHERE d.team IN (SELECT team FROM members WHERE who = $1) AND o.team IN (SELECT team FROM members WHERE who = $1)';
$client->subscribe("twice $_", $twice, $_) for 1 .. 70;
$client->told;
# What others do on the machine can only make it look more: the least of a few tries counts.
my $spent = sub { return $writer->value(q(SELECT sum(query_ms) FROM live.workers WHERE kind = 'evaluator')) };
my $cost;
for my $try (1 .. 5) {
    my $before = $spent->();
    is_deeply(told_of($client, "UPDATE document SET title = 'changed $try' WHERE team = 50"), [ sort map { "twice $_" } 1 .. 70 ],
        "seventy of three thousand are told, $try");
    $cost = $spent->() - $before;
    last if $cost < 2500;
}
note("evaluating took $cost ms");
cmp_ok($cost, '<', 2500, 'and nobody else\'s rows are evaluated');
is_exact($client, 'a large team', map { ("twice $_" => $twice =~ s/\$1/$_/gr) } 1, 70);
$client->rows('SELECT live.unsubscribe_all()');
$writer->rows('DELETE FROM document WHERE team = 50; DELETE FROM members WHERE team = 50');

# ---- without the key there may be two rows of somebody ----
$client->told;
$client->subscribe('linked', $forms{linked}, 1);
$client->subscribe('newest', $forms{newest}, 1);
my %linked = map { ($_ => form($_, 1)) } 'linked', 'newest';
$writer->rows('ALTER TABLE links DROP CONSTRAINT one_link; INSERT INTO links (team, who) SELECT team, who FROM links');
is_deeply($client->told, [ 'reset linked', 'reset newest' ], 'the key has gone: all are reset');
is(routing($client, $forms{linked}, 1), undef, 'and each is evaluated for himself');
$client->refresh($_) for sort keys %linked;
$writer->rows('DELETE FROM links WHERE id IN (SELECT min(id) FROM links GROUP BY team, who); INSERT INTO document VALUES (3001, 1, 1, $$x$$)');
$client->told;
is_exact($client, 'a row twice', %linked);
$writer->rows('CREATE UNIQUE INDEX ON links (who, team) WHERE team > 0');
is(routing($client, $forms{linked}, 1), undef, 'an index on a part of the table is none');
$writer->rows('CREATE TABLE descended () INHERITS (members)');
is(routing($client, $forms{plain}, 1), undef, 'nor is the key of a table with children');
$writer->rows('DROP TABLE descended');
$client->rows('SELECT live.unsubscribe_all()');

# ---- row security that asks a setting ----
$writer->rows(<<~SQL);
    CREATE TABLE own (id int PRIMARY KEY, owner int, title text);
    INSERT INTO own SELECT i, i % 10, 'o' || i FROM generate_series(1, 50) i;
    GRANT SELECT ON own TO reader;
    ALTER TABLE document ENABLE ROW LEVEL SECURITY;
    ALTER TABLE own ENABLE ROW LEVEL SECURITY;
    CREATE POLICY of_team ON document USING (team IN (SELECT team FROM members WHERE who = current_setting('app.who')::int));
    CREATE POLICY of_owner ON own USING (owner = current_setting('app.who')::int);
    SQL
my @readers = map { connect_client($node, user => 'reader') } 1 .. 4;
my %secured = (
    documents => 'SELECT id, title FROM document',
    joined    => 'SELECT o.id, d.title FROM own o JOIN document d USING (id)',
    first     => 'SELECT id, title FROM document ORDER BY id LIMIT 2',
    outer     => 'SELECT o.id, d.title FROM own o LEFT JOIN document d USING (id)',
);
for my $who (1 .. 4) {
    $readers[ $who - 1 ]->rows("SET app.who = $who");
    $readers[ $who - 1 ]->subscribe($_, $secured{$_}) for sort keys %secured;
}
is(routing($readers[0], $secured{documents}), 'who', 'a policy of membership routes');
is(routing($readers[0], $secured{joined}), 'owner', 'and so does one of equality, with which another one agrees');
is(routing($readers[0], $secured{outer}), 'owner', 'but none of a table that may have no partner');
$_->told for @readers;
$before = evaluations();
$writer->rows('INSERT INTO document VALUES (4001, 2, 1, $$for two$$)');
is_deeply([ map { $_->told } @readers ], [ [], ['documents'], [], [] ], 'only who may see a document is told');
cmp_ok(evaluations() - $before, '<=', 3 + 4, 'by one evaluation of each shape, but for what has no partner at times');
for my $sql ('UPDATE members SET team = 3 WHERE who = 1', 'UPDATE own SET owner = 1 WHERE id < 30', 'UPDATE document SET team = 1 WHERE id IN (2, 3, 4)',
    'DELETE FROM members WHERE who = 4', 'BEGIN; INSERT INTO members VALUES (1, 4); UPDATE document SET title = $$t$$ WHERE team < 4; DELETE FROM own WHERE id = 3; COMMIT') {
    $writer->rows($sql);
    for my $who (1 .. 4) {
        is_deeply([ grep { /^(?:reset|terminated) / } @{ $readers[ $who - 1 ]->told } ], [], "nothing but changes comes to $who of $sql");
        is_exact($readers[ $who - 1 ], "$who, $sql", %secured);
    }
}

# What a query computes of rows could tell of those that it must not see.
my $leaky = 'SELECT id FROM document WHERE noted(id) > 0';
is(routing($readers[0], $leaky), undef, 'a function that sees rows is not evaluated for others');
$readers[0]->subscribe('leaky', $leaky);
$readers[0]->told;
my $start = -s $node->logfile;
$writer->rows('INSERT INTO document VALUES (5001, 3, 1, $$seen$$), (5002, 9, 1, $$unseen$$)');
is_deeply($readers[0]->told, [ 'documents', 'leaky' ], 'it is told of what is seen');
is_deeply([ sort grep { $_ > 5000 } slurp_file($node->logfile, $start) =~ /looked into document (\d+)\./g ], [5001],
    'and nobody has looked into the other one');

# Nor is what computes in FROM, or is a condition of a view that is a security barrier: that would come before the policy.
$writer->rows(<<~SQL);
    CREATE FUNCTION told(title text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS 'BEGIN RAISE NOTICE ''%'', title; RETURN true; END';
    CREATE TABLE public_or_not (id int PRIMARY KEY, kind text, title text);
    INSERT INTO public_or_not VALUES (1, 'public', 'shown'), (2, 'private', 'hidden');
    GRANT SELECT ON public_or_not TO reader;
    ALTER TABLE public_or_not ENABLE ROW LEVEL SECURITY;
    CREATE POLICY shown ON public_or_not USING (kind = 'public');
    CREATE VIEW barrier WITH (security_barrier, security_invoker) AS SELECT id, title FROM public_or_not WHERE told(title);
    CREATE VIEW barrier_of_members WITH (security_barrier, security_invoker) AS SELECT id, title FROM public_or_not p
        WHERE EXISTS (SELECT FROM members m WHERE m.team = p.id AND m.who = 1 AND told(p.title));
    CREATE TABLE own_policy (team int PRIMARY KEY);
    ALTER TABLE own_policy ENABLE ROW LEVEL SECURITY;
    CREATE POLICY tells ON own_policy USING (told(team::text));
    GRANT SELECT ON barrier, barrier_of_members, own_policy TO reader;
    SQL
my $barrier = 'SELECT id, title FROM barrier';
is(routing($readers[0], 'SELECT id, title FROM public_or_not'), 'kind', 'a policy routes');
is(routing($readers[0], $barrier), undef, 'but not before what a security barrier calls');
is(routing($readers[0], 'SELECT id, title FROM barrier_of_members'), 'who', 'nor before a membership there that calls it');
is(routing($readers[0], 'SELECT p.id FROM public_or_not p JOIN members m ON m.team = p.id'), 'kind', 'beside another table it does');
is(routing($readers[0], "SELECT p.id FROM public_or_not p JOIN $_ s ON s.team = p.id"), undef, "but not beside $_")
    for '(SELECT team FROM members WHERE told(team::text))', '(SELECT team, told(team::text) FROM members OFFSET 0)', 'own_policy';
is(routing($readers[0], "SELECT d.id, s.x FROM document d, LATERAL $_"), undef, "nor with $_ beside it")
    for 'noted(d.id) s(x)', '(SELECT d.title::int AS x OFFSET 0) s', '(SELECT count(*) AS x FROM members m WHERE m.team = noted(d.id)) s';
my @seen;
for my $sql (map { ("SELECT live.subscribe('$_', 'SELECT id, title FROM $_')", "SELECT live.snapshot('$_')") } qw(barrier barrier_of_members)) {
    $readers[0]->send_query($sql);
    push @seen, map { $_->{M} } @{ $readers[0]->finish->{notices} };
}
is_deeply([ grep { $_ ne 'shown' } @seen ], [], 'what is hidden is not told to it by the first result');
$readers[0]->rows("SELECT live.unsubscribe('$_')") for qw(barrier barrier_of_members);

# Who shares a role's evaluation is that role.
$writer->rows(q(CREATE POLICY by_role ON own TO reader USING (true); ALTER POLICY of_owner ON own USING (title = current_user)));
is(routing($readers[0], 'SELECT o.id, d.title FROM own o JOIN own d USING (id)'), undef, 'a policy that asks the role does not route');

$_->disconnect for $client, $writer, @readers;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)|terminated by signal/, 'no crash, no leak');
done_testing();
