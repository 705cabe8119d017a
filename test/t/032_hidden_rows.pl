# What a role may not see is not shown to its functions either: a live query whose conditions, groups, joins, aggregates and
# operators are functions that raise an error on hidden rows is never ended by one, whatever changes beside what it may see.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('hidden_rows', <<~CONF);
    live_queries.idle_timeout = 1h
    live_queries.role_share = 100
    live_queries.connection_share = 100
    CONF
my $writer = connect_client($node);
$writer->rows(<<~'SQL');
    CREATE ROLE reader LOGIN;
    CREATE TABLE members (team int, who name, PRIMARY KEY (team, who));
    CREATE TABLE teams (id int PRIMARY KEY, name text);
    CREATE TABLE documents (id int PRIMARY KEY, team int, body text);
    CREATE INDEX ON documents (team);
    CREATE POLICY own ON documents USING (team IN (SELECT team FROM members WHERE who = current_user));
    ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
    CREATE TABLE private (id int PRIMARY KEY, team int, body text);
    CREATE VIEW barrier WITH (security_barrier) AS
      SELECT id, team, body FROM private WHERE team IN (SELECT team FROM members WHERE who = current_user);
    CREATE VIEW joined WITH (security_barrier) AS
      SELECT p.id, p.team, p.body FROM private p JOIN members m ON m.team = p.team AND m.who = current_user;
    CREATE TABLE plain (id int PRIMARY KEY, team int, body text);
    CREATE VIEW conditions WITH (security_barrier) AS SELECT id, team, body FROM plain WHERE team < 3 AND body NOT LIKE 'secret%';
    CREATE VIEW invoker WITH (security_invoker) AS SELECT id, team, body FROM documents;
    INSERT INTO members VALUES (1, 'reader'), (2, 'reader'), (4, 'other');
    INSERT INTO teams SELECT i, 'team ' || i FROM generate_series(1, 6) i;
    INSERT INTO documents SELECT i, i % 5, CASE WHEN i % 5 IN (1, 2) THEN 'body ' ELSE 'secret ' END || i FROM generate_series(1, 20) i;
    INSERT INTO private TABLE documents;
    INSERT INTO plain TABLE documents;
    ANALYZE members, teams, documents, private, plain;
    GRANT SELECT ON members, teams, documents, barrier, joined, conditions, invoker TO reader;
    GRANT CREATE ON SCHEMA public TO reader;
    SQL
my $reader = connect_client($node, user => 'reader');
$reader->rows(<<~'SQL');
    CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
      $$ BEGIN IF $1 LIKE '%secret%' THEN RAISE EXCEPTION 'leaked: %', $1; END IF; RETURN true; END $$;
    CREATE FUNCTION leak_both(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE COST 0.0001 AS $$ SELECT leak($1) AND leak($2) $$;
    CREATE OPERATOR =~> (LEFTARG = text, RIGHTARG = text, FUNCTION = leak_both, RESTRICT = eqsel, JOIN = eqjoinsel);
    CREATE FUNCTION leak_step(bigint, text) RETURNS bigint LANGUAGE sql IMMUTABLE COST 0.0001 AS $$ SELECT $1 + leak($2)::int $$;
    CREATE AGGREGATE leaks(text) (SFUNC = leak_step, STYPE = bigint, INITCOND = 0);
    SQL

# FROM stands for what is read.
my %shapes = (
    filter => 'SELECT id, body FROM FROM d WHERE leak(body)',
    operator => q(SELECT id, body FROM FROM d WHERE body =~> 'x'),
    division => q(SELECT id, 1 / (length(body) - length(replace(body, 'body', ''))) AS one FROM FROM d),
    cast => q(SELECT id, substr(body, 6)::int AS number FROM FROM d),
    counted => 'SELECT count(*) AS count FROM FROM d WHERE leak(body)',
    groups => 'SELECT leak(body) AS l, count(*) AS count FROM FROM d GROUP BY leak(body)',
    having => 'SELECT team, count(*) AS count FROM FROM d GROUP BY team HAVING bool_and(leak(body))',
    aggregate => 'SELECT team, leaks(body) AS leaks FROM FROM d GROUP BY team',
    distinct => 'SELECT DISTINCT leak(body) AS l, team FROM FROM d',
    window => 'SELECT id, count(*) OVER (PARTITION BY leak(body)) AS n FROM FROM d',
    top => 'SELECT id, body FROM FROM d WHERE leak(body) ORDER BY id LIMIT 3',
    outer => 'SELECT t.id, d.id AS d FROM teams t LEFT JOIN FROM d ON d.team = t.id AND leak(d.body)',
    full => 'SELECT t.id, d.id AS d FROM teams t FULL JOIN FROM d ON d.team = t.id WHERE leak(d.body) IS NOT FALSE',
    self => 'SELECT d.id, e.id AS e FROM FROM d JOIN FROM e ON e.team = d.team AND e.body =~> d.body',
    exists => 'SELECT t.id FROM teams t WHERE EXISTS (SELECT FROM FROM d WHERE d.team = t.id AND leak(d.body))',
    absent => 'SELECT t.id FROM teams t WHERE NOT EXISTS (SELECT FROM FROM d WHERE d.team = t.id AND leak(d.body))',
    in => 'SELECT t.id FROM teams t WHERE t.id IN (SELECT d.team FROM FROM d WHERE leak(d.body))',
    'not in' => 'SELECT t.id FROM teams t WHERE t.id NOT IN (SELECT d.team FROM FROM d WHERE leak(d.body))',
    scalar => 'SELECT t.id, (SELECT leaks(d.body) FROM FROM d WHERE d.team = t.id) AS n FROM teams t',
    lateral => 'SELECT t.id, x.n FROM teams t, LATERAL (SELECT count(*) AS n FROM FROM d WHERE d.team = t.id AND leak(d.body)) x',
    union => 'SELECT id FROM FROM d WHERE leak(body) UNION SELECT id FROM teams',
    all => 'SELECT id, leak(body) AS l FROM FROM d UNION ALL SELECT id, true FROM teams',
    except => 'SELECT id FROM teams EXCEPT SELECT id FROM FROM d WHERE leak(body)',
    with => 'WITH w AS (SELECT id, team FROM FROM d WHERE leak(body)) SELECT t.name, w.id FROM w JOIN teams t ON t.id = w.team',
);
my @sources = qw(documents barrier joined conditions invoker);
my %queries;
for my $source (@sources) {
    for my $shape (keys %shapes) {
        my $query = $shapes{$shape} =~ s/FROM (?=[de]\b)/$source /gr;
        $queries{"$source, $shape"} = $query;
    }
}
my %strategies;
my @ids;
for my $id (sort keys %queries) {
    # Where the server itself shows hidden rows to such a query, nothing can be said about it.
    my $error = $reader->error("SELECT count(*) FROM ($queries{$id}) q");
    if ($error->{C} ne '00000') {
        note("$id: plain $error->{C} $error->{M}");
        next;
    }
    $error = $reader->error("SELECT live.subscribe('$id', \$q\$$queries{$id}\$q\$)");
    if ($error->{C} ne '00000') {
        is($error->{C}, '0A000', "$id: if refused, then with the reason: $error->{M}");
        next;
    }
    $reader->read_snapshot($id);
    ++$strategies{ $reader->value("SELECT strategy FROM live_queries WHERE subscription_id = '$id'") };
    push @ids, $id;
}
note(join ', ', map { "$strategies{$_} $_" } sort keys %strategies);
cmp_ok(scalar @ids, '>', 90, 'nearly all are live');

# change(SQL): in each of the tables, T in it.
sub change {
    my ($sql) = @_;
    my $all = join '; ', map { $sql =~ s/\bT\b/$_/gr } qw(documents private plain);
    return "BEGIN; $all; COMMIT";
}

my @steps = (
    change(q(UPDATE T SET body = body || '!' WHERE team NOT IN (1, 2))),
    change(q(INSERT INTO T VALUES (31, 4, 'secret 31'), (32, 3, 'secret 32'), (33, 1, 'body 33'))),
    change(q(UPDATE T SET team = 2, body = 'body ' || id WHERE id = 3; UPDATE T SET team = 4, body = 'secret ' || id WHERE id = 6)),
    change(q(DELETE FROM T WHERE id IN (8, 31))),
    # Others come and go; and it comes to see what holds no secret any more, and not to see what holds one from then on.
    q(INSERT INTO members VALUES (4, 'somebody'); DELETE FROM members WHERE who = 'other'),
    'BEGIN; ' . join('; ', map { "UPDATE $_ SET body = 'body ' || id WHERE team = 4" } qw(documents private)) . q(; INSERT INTO members VALUES (4, 'reader'); COMMIT),
    q(BEGIN; DELETE FROM members WHERE who = 'reader' AND team = 1; )
      . join('; ', map { "UPDATE $_ SET body = 'secret ' || id WHERE team = 1" } qw(documents private plain)) . '; COMMIT',
    q(UPDATE teams SET name = name || '.'),
    q(BEGIN; UPDATE teams SET id = id + 10 WHERE id = 6; ) . join('; ', map { "UPDATE $_ SET body = body || '?' WHERE team IN (0, 3)" } qw(documents private plain)) . '; COMMIT',
);
for my $number (0 .. $#steps) {
    $writer->rows($steps[$number]);
    my @told;
    for my $message (map { $_->{message} } $reader->synced) {
        my $id = $message->{subscription_id};
        if ($message->{type} eq 'changes') {
            LiveQueries::apply_changes($reader->{states}{$id}, $message);
        } else {
            push @told, "$id: $message->{type}, " . ($message->{code} // '') . " $message->{reason}";
        }
    }
    is_deeply(\@told, [], "step $number: no function has seen what is hidden");
    my @differ;
    for my $id (@ids) {
        my $now = eval { $reader->rows_now($queries{$id}) };
        push @differ, "$id: " . ($now ? 'differs' : "plain: $@") if !$now || "@$now" ne join ' ', @{ $reader->state_of($id) };
    }
    is_deeply(\@differ, [], "step $number: all are exact");
}

# What an invoker may not read ends only what reads it.
$writer->rows('REVOKE SELECT ON documents FROM reader; GRANT SELECT (id, team) ON documents TO reader');
my %ended = map { $_->{message}{subscription_id} => $_->{message}{code} // $_->{message}{type} } $reader->synced;
my %expected = map { $_ => '42501' } grep { /^(?:documents|invoker),/ && $queries{$_} =~ /body/ } @ids;
is_deeply(\%ended, \%expected, 'without the right to one column, what reads it is over');

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|ERROR:  leaked|WARNING: .*(leak|still referenced)|terminated by signal/, 'no crash, nothing has leaked');
done_testing();
