# Where so much has changed at once that the whole result costs less, that is evaluated; where little has, only that is.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('bulk_loads', 'autovacuum = off');
my $writer = connect_client($node);
$writer->rows(<<~SQL);
    CREATE TABLE sales (id int PRIMARY KEY, shop int NOT NULL, seller int, n int NOT NULL);
    CREATE TABLE shops (id int PRIMARY KEY, name text);
    CREATE INDEX ON sales (shop);
    INSERT INTO sales SELECT i, i % 200, i % 7, i FROM generate_series(1, 20000) i;
    INSERT INTO shops SELECT i, 'shop ' || i FROM generate_series(0, 199) i;
    ANALYZE;
    SQL

# Groups that are not kept, an outer join, lists, and rows of one seller of several who are watched.
my %queries = (
    groups => 'SELECT shop, count(DISTINCT seller) AS sellers, sum(n) AS sum FROM sales GROUP BY shop',
    joined => 'SELECT shops.id, name, count(sales.id) AS sales FROM shops LEFT JOIN sales ON sales.shop = shops.id AND sales.n % 2 = 0 GROUP BY shops.id, name',
    latest => 'SELECT id, n FROM sales ORDER BY n DESC, id LIMIT 5',
    ranked => 'SELECT id, shop, rank() OVER (PARTITION BY shop ORDER BY n) AS rank FROM sales WHERE shop < 10',
);
my $client = connect_client($node);
is($client->subscribe($_, $queries{$_})->{strategy}, 'delta', "$_ is evaluated where it has changed") for sort keys %queries;
my $of_seller = 'SELECT sales.id, name FROM sales JOIN shops ON shops.id = shop WHERE seller = $1 AND sales.n % 10 = 0';
my @sellers = map { my $of = connect_client($node); $of->subscribe('seller', $of_seller, $_); [ $_, $of ] } 1, 2;

sub whole { return $writer->value('SELECT sum(refreshes) FROM live.workers') }

# A machine that is slow enough may have one evaluated apart.
sub catch_up {
    my ($of) = @_;
    $of->refresh($_) for map { /^reset (.*)/ ? $1 : () } @{ $of->told };
    return;
}

# change(WHAT, WHOLE, SQL): all are exact after it, and whether any was evaluated as a whole.
sub change {
    my ($what, $expected, $sql) = @_;
    my $before = whole();
    $writer->rows($sql);
    catch_up($client);
    is_deeply($client->state_of($_), $writer->rows_now($queries{$_}), "$what: $_ is exact") for sort keys %queries;
    for my $seller (@sellers) {
        my ($number, $of) = @$seller;
        catch_up($of);
        is_deeply($of->state_of('seller'), $writer->rows_now($of_seller =~ s/\$1/$number/r), "$what: that of seller $number, too");
    }
    is(whole() > $before ? 1 : 0, $expected, $what . ($expected ? ': something as a whole' : ': nothing as a whole'));
    return;
}

change('one row', 0, 'UPDATE sales SET n = n + 3 WHERE id = 17');
change('a few rows', 0, 'UPDATE sales SET n = n + 1, seller = 3 WHERE id < 50');
change('all rows', 1, 'UPDATE sales SET n = n + 1, seller = (seller + 1) % 7');
change('one row afterwards', 0, 'UPDATE sales SET n = 50000 WHERE id = 18');
change('most rows go', 1, 'DELETE FROM sales WHERE id % 10 <> 0');
change('and come back', 1, 'INSERT INTO sales SELECT i, i % 200, i % 5, i FROM generate_series(1, 20000) i ON CONFLICT DO NOTHING');
change('the other side of the join', 0, q(UPDATE shops SET name = 'renamed' WHERE id = 3));

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)/, 'no crash, no leak');
done_testing();
