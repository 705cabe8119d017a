# Live queries of one shape share their evaluation: only values that have changed and that somebody watches are evaluated, each for
# whoever watches it, by his own rights; also where such a value cannot be shared, is NULL, or a table loses its key.
use strict;
use warnings FATAL => 'all';
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('sharing', 'live_queries.idle_timeout = 1h');
my $writer = connect_client($node);
# Each row that is evaluated is noted in the log of the server.
$writer->rows(<<~SQL);
    CREATE TYPE place AS (x int, y int);
    CREATE TABLE message (id int PRIMARY KEY, room int, kind text NOT NULL, price numeric, at place, area box, owner text);
    CREATE INDEX ON message (room, id);
    INSERT INTO message SELECT i, i % 1000 + 1, 'k' || i % 3, i % 5, (i % 7, 1)::place, '(1,1),(0,0)', 'ann' FROM generate_series(1, 4000) i;
    CREATE FUNCTION noted(room int, value int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RAISE LOG ''evaluated in room %.'', room; RETURN value; END';
    CREATE ROLE ann LOGIN;
    CREATE ROLE bob LOGIN;
    GRANT SELECT ON message TO ann, bob;
    SQL

# noted(SQL, CLIENT): the rooms that were evaluated for what SQL does, and what was told of that.
sub noted {
    my ($sql, $client) = @_;
    my $start = -s $node->logfile;
    $writer->rows($sql);
    my $told = $client->told;
    my %rooms = map { $_ => 1 } slurp_file($node->logfile, $start) =~ /evaluated in room (\d+)\./g;
    return { rooms => [ sort { $a <=> $b } keys %rooms ], told => $told };
}

sub evaluations { return $writer->value(q(SELECT sum(evaluations) FROM live.workers WHERE kind = 'evaluator')) }

sub routing {
    my ($query, $value) = @_;
    return $writer->value("SELECT value FROM live.explain(\$query\$$query\$query\$, ARRAY['$value']) WHERE property = 'routing'");
}

my %forms = (
    newest   => 'SELECT id, noted(room, 1) AS one FROM message WHERE room = $1 ORDER BY id DESC LIMIT 2',
    totals   => 'SELECT count(*) AS count, sum(noted(room, id)) AS sum FROM message WHERE room = $1',
    kinds    => 'SELECT DISTINCT kind FROM message WHERE room = $1',
    numbered => 'SELECT id, row_number() OVER (ORDER BY id) AS n FROM message WHERE room = $1',
    firsts   => 'SELECT DISTINCT ON (kind) kind, id FROM message WHERE room = $1 ORDER BY kind, id DESC',
);
sub form { return $forms{ $_[0] } =~ s/\$1/$_[1]/r }

sub is_exact {
    my ($client, $name, %queries) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %got = map { ($_ => $client->state_of($_)) } keys %queries;
    is_deeply(\%got, { map { ($_ => $client->rows_now($queries{$_})) } keys %queries }, "$name: exact");
    return;
}

# ---- a thousand values ----
my $client = connect_client($node);
$client->subscribe("newest $_", $forms{newest}, $_) for 1 .. 1000;
is(routing($forms{newest}, 1), 'room', 'what they differ in is routed by');
$client->told;
my $before = evaluations();
is_deeply(noted('INSERT INTO message (id, room, kind) VALUES (5001, 7, $$k$$)', $client), { rooms => [7], told => ['newest 7'] },
    'of a thousand values only the one that has changed is evaluated');
is(evaluations(), $before + 1, 'and that at once for all who watch');
is_deeply(noted('UPDATE message SET room = 9 WHERE id = 5001', $client), { rooms => [ 7, 9 ], told => [ 'newest 7', 'newest 9' ] },
    'a row that changes its value: both are');
is_exact($client, 'a thousand', map { ("newest $_" => form('newest', $_)) } 7, 8, 9);

# ---- values that nobody watches ----
is_deeply(noted('INSERT INTO message (id, room, kind) VALUES (5002, 2000, $$k$$)', $client), { rooms => [], told => [] },
    'a value that nobody has asked for is not evaluated');
$client->rows("SELECT live.unsubscribe('newest 5')");
is_deeply(noted('INSERT INTO message (id, room, kind) VALUES (5003, 5, $$k$$), (5004, 6, $$k$$)', $client),
    { rooms => [6], told => ['newest 6'] }, 'nor one that nobody asks for any more');
$client->rows("SELECT live.pause('newest 4')");
is_deeply(noted('INSERT INTO message (id, room, kind) VALUES (5005, 4, $$k$$)', $client)->{told}, [], 'a paused one is told nothing');
$client->rows("SELECT live.resume('newest 4')");
$client->told;
$client->refresh('newest 4');
$writer->rows('INSERT INTO message (id, room, kind) VALUES (5006, 4, $$k$$)');
is_deeply($client->told, ['newest 4'], 'until it is resumed');
is_exact($client, 'resumed', 'newest 4' => form('newest', 4));
$client->rows('SELECT live.unsubscribe_all()');

# ---- every form ----
for my $form (sort keys %forms) {
    is(routing($forms{$form}, 1), 'room', "$form: routed");
    $client->subscribe("$form $_", $forms{$form}, $_) for 1, 2, 3, 2000000;
}
my %all = map { my $form = $_; map { ("$form $_" => form($form, $_)) } 1, 2, 3, 2000000 } keys %forms;
$client->told;
for my $sql ('INSERT INTO message (id, room, kind) VALUES (6001, 1, $$new$$), (6002, 2, $$k1$$), (6003, 2000000, $$k$$)',
    'UPDATE message SET kind = $$other$$ WHERE id IN (6001, 2)', 'UPDATE message SET room = 3 WHERE room = 1',
    'DELETE FROM message WHERE room = 2', 'UPDATE message SET room = NULL WHERE room = 2000000', 'UPDATE message SET room = room % 4 WHERE id < 400') {
    $writer->rows($sql);
    is_deeply([ grep { / / && !/^(?:newest|totals|kinds|numbered|firsts) / } @{ $client->told } ], [], "nothing but changes comes of $sql");
    is_exact($client, $sql, %all);
}

# ---- in the order of the query ----
my $columns = $writer->value(qq(SELECT columns FROM live.subscribe('ordered', \$query\$$forms{firsts}\$query\$, '{1}')));
is_deeply([ map { [ $_->{name}, $_->{order} ] } @{ JSON::PP::decode_json($columns) } ], [ [ 'kind', 0 ], [ 'id', 1 ] ],
    'columns have their places in the order that was asked for');
$writer->rows("SELECT live.unsubscribe('ordered')");

# ---- NULL ----
$client->rows("SELECT live.subscribe('null $_', \$query\$$forms{$_}\$query\$, ARRAY[NULL])") for sort keys %forms;
$client->read_snapshot("null $_") for sort keys %forms;
my %null = map { ("null $_" => form($_, 'NULL')) } keys %forms;
$writer->rows('INSERT INTO message (id, room, kind) VALUES (7001, NULL, $$k$$), (7002, 1, $$k$$)');
is_deeply([ grep { /null/ } @{ $client->told } ], [], 'no row is equal to NULL');
is_exact($client, 'NULL', %null, %all);

# ---- values that are equal and not the same; values that cannot be told apart ----
my $price = 'SELECT id, price FROM message WHERE price = $1 ORDER BY id DESC LIMIT 3';
$client->subscribe("price $_", $price, $_) for '1', '1.0', '1.00', '2';
is(routing($price, '1.0'), 'price', 'numerics: routed');
$writer->rows('INSERT INTO message (id, kind, price) VALUES (8001, $$k$$, 1.000), (8002, $$k$$, 2.0)');
is_deeply($client->told, [ 'price 1', 'price 1.0', 'price 1.00', 'price 2' ], 'who watches an equal value is told as well');
is_exact($client, 'numerics', map { ("price $_" => $price =~ s/\$1/$_/r) } '1', '1.0', '1.00', '2');

my %alone = (
    composite => 'SELECT id, at FROM message WHERE at = $1::place ORDER BY id DESC LIMIT 3',
    rows      => 'SELECT count(*) AS count FROM message WHERE at = $1::place',
    box       => 'SELECT id FROM message WHERE area = $1::box ORDER BY id DESC LIMIT 3',
    boxes     => 'SELECT count(*) AS count FROM message WHERE area = $1::box',
);
my %value = (composite => '(3,1)', rows => '(3,1)', box => '(1,1),(0,0)', boxes => '(1,1),(0,0)');
is(routing($alone{$_}, $value{$_}), undef, "$_: no value to be routed by") for sort keys %alone;
for my $what ('at = $1::place', 'area = $1::box') {
    $alone{"kinds of $what"}    = "SELECT DISTINCT kind FROM message WHERE $what";
    $alone{"numbered of $what"} = "SELECT id, row_number() OVER (ORDER BY id) AS n FROM message WHERE $what";
    $alone{"groups of $what"}   = "SELECT kind, count(*) AS count FROM message WHERE $what GROUP BY kind";
    $value{"$_ of $what"}       = $what =~ /place/ ? '(3,1)' : '(1,1),(0,0)' for 'kinds', 'numbered', 'groups';
}
$client->subscribe($_, $alone{$_}, $value{$_}) for sort keys %alone;
my %alone_now = map { ($_ => $alone{$_} =~ s/\$1/'$value{$_}'/r) } keys %alone;
$writer->rows(q(INSERT INTO message (id, kind, at, area) VALUES (8003, 'p', (3, 1), '(1,1),(0,0)'), (8004, 'k', (NULL, 1), NULL)));
is_deeply($client->told, [ sort keys %alone ], 'they are told nevertheless');
is_exact($client, 'not shared', %alone_now);

# ---- by the clock ----
$writer->rows('CREATE TABLE meeting (id int PRIMARY KEY, room int, at timestamptz)');
my %coming = (
    count => 'SELECT count(*) AS n FROM meeting WHERE room = $1 AND at > now()',
    next  => 'SELECT id FROM meeting WHERE room = $1 AND at > now() ORDER BY at, id LIMIT 1',
);
for my $form (sort keys %coming) {
    is(routing($coming{$form}, 1), 'room', "$form by the clock: routed");
    $client->subscribe("$form $_", $coming{$form}, $_) for 1, 2;
}
$writer->rows(q(INSERT INTO meeting VALUES (1, 1, now() + '2 s'), (2, 1, now() + '1 day'), (3, 2, now() + '1 day')));
ok(wait_until(sub { $client->told; return "@{ $client->state_of('count 1') } @{ $client->state_of('next 1') }" eq '{"n":1} {"id":2}' }),
    'what is over has gone');
is_exact($client, 'another value', 'count 2' => $coming{count} =~ s/\$1/2/r, 'next 2' => $coming{next} =~ s/\$1/2/r);

# ---- the same value, others' rights ----
$writer->rows('ALTER TABLE message ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON message FOR SELECT TO ann, bob USING (owner = current_user)');
$client->told;
my %as = map { ($_ => connect_client($node, user => $_)) } 'ann', 'bob';
my @shared = grep { $_ !~ /^(?:newest|totals)$/ } sort keys %forms;
my %mine = (
    (map { ($_ => $forms{$_}) } @shared),
    newest => 'SELECT id FROM message WHERE room = $1 ORDER BY id DESC LIMIT 2',
    totals => 'SELECT count(*) AS count, max(id) AS last FROM message WHERE room = $1',
);
for my $by (values %as) {
    $by->subscribe($_, $mine{$_}, 11) for sort keys %mine;
}
my %mine_now = map { ($_ => $mine{$_} =~ s/\$1/11/r) } keys %mine;
$writer->rows('INSERT INTO message (id, room, kind, owner) VALUES (9001, 11, $$for ann$$, $$ann$$)');
is_deeply([ map { $as{$_}->told } 'ann', 'bob' ], [ [ sort keys %mine ], [] ], 'only who may see a row is told');
$writer->rows('UPDATE message SET owner = $$bob$$ WHERE id = 9001');
is_deeply([ map { $as{$_}->told } 'ann', 'bob' ], [ ([ sort keys %mine ]) x 2 ], 'a row that changes hands is told to both');
is_exact($as{$_}, $_, %mine_now) for 'ann', 'bob';
$_->disconnect for values %as;
$writer->rows('ALTER TABLE message DISABLE ROW LEVEL SECURITY');

# ---- a table that loses its key, and has one again ----
$client->rows('SELECT live.unsubscribe_all()');
$client->told;
for my $form (sort keys %forms) {
    $client->subscribe("$form $_", $forms{$form}, $_) for 1, 2, 3, 2000000;
}
$writer->rows('ALTER TABLE message DROP CONSTRAINT message_pkey');
$writer->rows('INSERT INTO message (id, room, kind) VALUES (9101, 2, $$k$$)');
is_deeply($client->told, [ map { "reset $_" } sort keys %all ], 'without a key all are reset');
$writer->rows('ALTER TABLE message REPLICA IDENTITY FULL');

sub begin_again {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $client->rows('SELECT live.unsubscribe_all()');
    $client->told;
    for my $form (sort keys %forms) {
        $client->subscribe("$form $_", $forms{$form}, $_) for 1, 2, 3, 2000000;
    }
    $writer->rows('UPDATE message SET kind = $$k$$ || id % 4 WHERE room IN (1, 2)');
    $writer->rows('UPDATE message SET room = 1 WHERE room = 2 AND id % 2 = 0');
    is_deeply([ grep { /^(?:reset|terminated) / } @{ $client->told } ], [], "$name: nothing but changes");
    is_exact($client, $name, %all);
    return;
}
begin_again('old rows are logged whole');
$writer->rows('ALTER TABLE message ADD PRIMARY KEY (id); ALTER TABLE message REPLICA IDENTITY DEFAULT');
begin_again('another key');
is(routing($forms{$_}, 1), 'room', "$_: routed again") for sort keys %forms;

$_->disconnect for $client, $writer;
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)|terminated by signal/, 'no crash, no leak');
done_testing();
