# Partitions and children that come and go, with their rows: told of where it was, also when a later transaction has undone it
# before any worker could look.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('children', 'live_queries.idle_timeout = 1h');
my ($client, $writer) = map { connect_client($node) } 1 .. 2;
$writer->rows(<<~SQL);
    CREATE TABLE parts (id int NOT NULL, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
    CREATE TABLE parts_low_a PARTITION OF parts_low FOR VALUES FROM (0) TO (50);
    CREATE TABLE parts_low_b (n int, id int NOT NULL PRIMARY KEY);
    CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (200);
    ALTER TABLE parts_low_a REPLICA IDENTITY FULL;
    ALTER TABLE parts_low_b REPLICA IDENTITY FULL;
    ALTER TABLE parts_high REPLICA IDENTITY FULL;
    INSERT INTO parts_low_b VALUES (2, 60), (3, 70);
    INSERT INTO parts VALUES (1, 1), (110, 3);
    CREATE TABLE heirs (id int PRIMARY KEY, n int);
    CREATE TABLE heirs_more (id int PRIMARY KEY, n int);
    ALTER TABLE heirs REPLICA IDENTITY FULL;
    ALTER TABLE heirs_more REPLICA IDENTITY FULL;
    INSERT INTO heirs VALUES (1, 1);
    INSERT INTO heirs_more VALUES (2, 2);
    CREATE TABLE heirs_last (id int PRIMARY KEY, n int);
    ALTER TABLE heirs_last REPLICA IDENTITY FULL;
    INSERT INTO heirs_last VALUES (3, 2);
    SQL

# `stream` and `delta`, of each table.
my %queries = (
    parts       => 'SELECT id, n FROM parts',
    parts_sum   => 'SELECT n, count(*) AS count FROM parts GROUP BY n',
    heirs       => 'SELECT id, n FROM heirs',
    only_heirs  => 'SELECT id, n FROM ONLY heirs',
    heirs_sum   => 'SELECT n, count(*) AS count FROM heirs GROUP BY n',
);
$client->subscribe($_, $queries{$_}) for sort keys %queries;
is_deeply([ map { @$_ } @{ $client->rows('SELECT DISTINCT strategy FROM live_queries ORDER BY 1') } ], [ 'delta', 'stream' ],
    'both strategies');

# While no worker looks. Returns the live queries that were reset, and of which nothing else is said.
sub reset_by {
    my @statements = @_;
    my $decoder = decoder_pid($node);
    kill 'STOP', $decoder;
    $writer->rows($_) for @statements;
    kill 'CONT', $decoder;
    return [ map { "$_->{message}{type} $_->{message}{subscription_id}" } $client->synced ];
}

sub are_reset {
    my ($name, $what, @statements) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([ sort @{ reset_by(@statements) } ], [ "reset $what", "reset ${what}_sum" ], "$name: reset");
    $client->refresh($_) for $what, "${what}_sum";
    is_deeply($client->state_of($_), $client->rows_now($queries{$_}), "$name: $_ is exact") for sort keys %queries;
    return;
}

my $attach = q(ALTER TABLE parts_low ATTACH PARTITION parts_low_b FOR VALUES FROM (50) TO (100));
my $detach = q(ALTER TABLE parts_low DETACH PARTITION parts_low_b);
are_reset('a partition of a partition comes and goes', 'parts', $attach, $detach);
are_reset('a partition comes', 'parts', $attach);
are_reset('a partition goes and comes', 'parts', $detach, $attach);
are_reset('one goes for good and comes anew', 'parts', 'ALTER TABLE parts DETACH PARTITION parts_high',
    q(UPDATE parts_high SET n = 7), 'ALTER TABLE parts ATTACH PARTITION parts_high FOR VALUES FROM (100) TO (200)');
are_reset('one is made, has rows, and is dropped', 'parts', 'CREATE TABLE parts_top PARTITION OF parts FOR VALUES FROM (200) TO (300)',
    'ALTER TABLE parts_top REPLICA IDENTITY FULL', 'INSERT INTO parts VALUES (210, 1)', 'DROP TABLE parts_top');
are_reset('the first child comes and goes', 'heirs', 'ALTER TABLE heirs_more INHERIT heirs', 'ALTER TABLE heirs_more NO INHERIT heirs');
are_reset('a child comes', 'heirs', 'ALTER TABLE heirs_more INHERIT heirs');
are_reset('another one comes and goes', 'heirs', 'ALTER TABLE heirs_last INHERIT heirs', 'ALTER TABLE heirs_last NO INHERIT heirs');
are_reset('it does so again', 'heirs', 'ALTER TABLE heirs_last INHERIT heirs', 'ALTER TABLE heirs_last NO INHERIT heirs');
are_reset('a child goes and comes', 'heirs', 'ALTER TABLE heirs_more NO INHERIT heirs', 'ALTER TABLE heirs_more INHERIT heirs');

# Within one transaction it is where it was, at both of its ends.
is_deeply(reset_by("BEGIN; $detach; $attach; COMMIT"), [], 'goes and comes in one transaction: nothing is said');
is_deeply(reset_by("BEGIN; SAVEPOINT s; $detach; ROLLBACK TO s; COMMIT"), [], 'likewise if that is rolled back');
is_deeply(reset_by('CREATE INDEX ON heirs (n)', 'CREATE INDEX ON parts (n)', 'ANALYZE heirs'), [], 'nor of an index');
$writer->rows('CREATE TABLE parts_none PARTITION OF parts FOR VALUES FROM (300) TO (400) PARTITION BY RANGE (id)');
$client->refresh($_) for qw(parts parts_sum);
$client->synced;
is_deeply(reset_by('TRUNCATE parts_none'), [], 'nor of a partitioned table without partitions that is truncated');
is_deeply(reset_by('CREATE TEMPORARY TABLE own () INHERITS (heirs)', 'INSERT INTO own VALUES (9, 9)', 'DROP TABLE own'), [],
    'nor of a temporary child, whose rows are those of its session');
$writer->rows('INSERT INTO parts VALUES (80, 1); INSERT INTO heirs VALUES (80, 1)');
is_deeply($client->told, [ sort keys %queries ], 'all go on');
is_deeply($client->state_of($_), $client->rows_now($queries{$_}), "$_ is exact") for sort keys %queries;

done_testing;
