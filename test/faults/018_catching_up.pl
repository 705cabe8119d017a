# An evaluator that has lost changes evaluates whole results, which may take longer than a live query has: that is nobody's fault, so
# it is reset. Where as long is taken by what is known to have changed, it is ended.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('catching_up', <<~CONF);
    live_queries.test_dirty_log_size = 16kB
    live_queries.evaluation_timeout = 2s
    live_queries.idle_timeout = 2s
    CONF
my ($client, $other, $writer) = map { connect_client($node) } 1 .. 3;
$writer->rows(<<~SQL);
    CREATE TABLE item (id int PRIMARY KEY, kind int, n int);
    CREATE TABLE kind (id int PRIMARY KEY, name text);
    INSERT INTO item SELECT i, i % 3, i FROM generate_series(1, 1000) i;
    INSERT INTO kind SELECT i, 'kind ' || i FROM generate_series(0, 2) i;
    CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
      \$\$ BEGIN IF n >= 10000 THEN PERFORM pg_sleep(0.2); END IF; RETURN n; END \$\$;
    SQL
my $slow = 'SELECT i.id, slow(i.n) AS n, k.name FROM item i JOIN kind k ON k.id = i.kind WHERE i.id <= 40';
my $quick = 'SELECT i.kind, count(*) AS count, sum(i.n) AS sum FROM item i GROUP BY i.kind';
$client->subscribe('slow', $slow);
$other->subscribe('quick', $quick);

sub lapses { return asked($node, q(SELECT lapses FROM live.workers WHERE kind = 'evaluator')) }

# What the live query is told by what takes 8 s: [type, code or reason].
sub ends_by {
    my ($changes) = @_;
    $changes->();
    return [ map { [ $_->{type}, $_->{code} // $_->{reason} ] } map { $_->{message} } $client->synced ];
}

# These are more than the dirty log has room for.
sub many_changes { $writer->rows("UPDATE item SET n = n + 1 WHERE id BETWEEN 901 AND 960") for 1 .. 40; return }

my $lapses = lapses();
my $told = ends_by(sub {
    hold($node, 'evaluator-turn');
    wait_held($node, 'evaluator-turn');
    $writer->rows('UPDATE item SET n = n + 10000 WHERE id <= 40');
    many_changes();
    release($node, 'evaluator-turn');
});
cmp_ok(lapses(), '>', $lapses, 'changes were lost to the evaluator');
is_deeply($told, [ [ 'reset', 'evaluating the query took longer than live_queries.evaluation_timeout' ] ], 'a live query that has too much to do is reset');
ok($other->follow('quick'), 'another one of its role is told of changes only');
is_deeply($other->state_of('quick'), $other->rows_now($quick), 'and is exact');

$writer->rows('UPDATE item SET n = n - 10000 WHERE id <= 40');
is_deeply([ $client->synced ], [], 'nothing is told after a reset');
$client->refresh('slow');
$writer->rows('UPDATE item SET n = n + 1 WHERE id = 7');
ok($client->follow('slow'), 'it goes on with its new first result');
is_deeply($client->state_of('slow'), $client->rows_now($slow), 'and is exact');

# Changes that are lost are no harm where there is time enough.
$lapses = lapses();
hold($node, 'evaluator-turn');
wait_held($node, 'evaluator-turn');
$writer->rows('UPDATE item SET n = n + 1 WHERE id <= 40');
many_changes();
release($node, 'evaluator-turn');
ok($client->follow('slow'), 'a result that is evaluated in time: changes only');
is_deeply($client->state_of('slow'), $client->rows_now($slow), 'exactly');
cmp_ok(lapses(), '>', $lapses, 'though changes were lost');

is_deeply(ends_by(sub { $writer->rows('UPDATE item SET n = n + 10000 WHERE id <= 40') }), [ [ 'terminated', '57014' ] ],
    'where it is known what has changed, the same ends it');
ok($other->follow('quick'), 'and the other goes on');
is_deeply($other->state_of('quick'), $other->rows_now($quick), 'exactly');

$_->disconnect for $client, $other, $writer;
nothing_left($node, 'at the end');
done_testing();
