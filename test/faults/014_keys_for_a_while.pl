# An evaluator plans by the catalogs of now, and compares the tables as they were at positions of the log. A key that was gone in
# between, and is there again, kept no rows apart at these: whoever tells rows by it is reset.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('keys', "live_queries.idle_timeout = 1h\nlive_queries.test_half_way = on");
$node->safe_psql('postgres', 'CREATE TABLE m (id int PRIMARY KEY, val int, note text); CREATE TABLE filler (t text)');
my ($client, $writer) = map { connect_client($node) } 1 .. 2;

# What is told of rows that come, with a batch that ends between them and what takes them away again; it ends half the way, and
# more is logged before than after. Returns the type and the reason of each message.
sub told_of {
    my ($query, $rows) = @_;
    $writer->rows("DELETE FROM m; INSERT INTO m VALUES (1, 1, 'one'), (2, 2, 'two')");
    $client->rows("SELECT live.subscribe('q', '$query', delivery => 'poll')");
    $client->rows("SELECT * FROM live.snapshot('q')");
    $client->rows(q{SELECT live.wait_for(timeout => '60s')});
    $client->rows('SELECT * FROM live.poll()');
    hold($node, 'evaluator-turn');
    $writer->rows("INSERT INTO filler VALUES ('x')");
    wait_held($node, 'evaluator-turn');
    $writer->rows('ALTER TABLE m DROP CONSTRAINT m_pkey');
    $writer->rows("INSERT INTO m VALUES $rows");
    $writer->rows(q{INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 3000)});
    $writer->rows(q{DELETE FROM m WHERE note = 'again'});
    $writer->rows('ALTER TABLE m ADD CONSTRAINT m_pkey PRIMARY KEY (id)');
    $writer->rows(q{INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 300)});
    release($node, 'evaluator-turn');
    $client->rows(q{SELECT live.wait_for(timeout => '60s')});
    my @told = map { my $message = decode_json($_->[0]); join ': ', $message->{type}, $message->{reason} // '' }
      @{ $client->rows('SELECT message FROM live.poll()') };
    $client->rows(q{SELECT live.unsubscribe('q')});
    return join ', ', @told;
}

my $reset = 'reset: two rows of the result had the same key for a while';
my %queries = (
    'a table'                => 'SELECT id, val FROM m',
    'a join'                 => 'SELECT a.id, b.val FROM m a JOIN m b ON a.id = b.id',
    'with a sub-select'      => 'SELECT id, (SELECT count(*) FROM m) AS n FROM m',
    'the first in an order'  => 'SELECT id, val FROM m ORDER BY id, val LIMIT 4');
for my $name (sort keys %queries) {
    is(told_of($queries{$name}, q{(7, 7, 'seven'), (7, 8, 'again')}), $reset, "$name: a key that comes twice");
    is(told_of($queries{$name}, q{(1, 10, 'again')}), $reset, "$name: a key that is there already");
}
like(told_of('SELECT val FROM m GROUP BY val', q{(1, 10, 'again')}), qr/^changes: , changes: $/, 'groups are told apart all the time');

done_testing();
