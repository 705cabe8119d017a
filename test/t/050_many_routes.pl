# Very many live queries of one table that differ in a constant: each is told of its rows and of no others, while others
# come and go.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use Test::More;

my $node = new_node('many_routes');
my $writer = connect_client($node);
$writer->rows('CREATE TABLE t (id bigserial PRIMARY KEY, owner int)');
my $client = connect_client($node);

# By two shapes: their owners are found in one table.
my %watched;
my $query = q(SELECT id, owner%s FROM t WHERE owner = $1);
sub watch {
    my (@owners) = @_;
    for my $owner (@owners) {
        my $text = sprintf $query, $owner % 2 ? '' : ', -owner AS minus';
        $client->rows(qq{SELECT live.subscribe('s$owner', '$text', ARRAY['$owner'], "snapshot" => false, delivery => 'poll')});
        $watched{$owner} = 1;
    }
    return;
}

sub forget {
    my (@owners) = @_;
    $client->rows("SELECT live.unsubscribe('s$_')") for @owners;
    delete @watched{@owners};
    return;
}

sub told_ok {
    my ($what) = @_;
    $writer->rows('INSERT INTO t (owner) SELECT generate_series(1, 1500)');
    my $end = $writer->value('SELECT pg_current_wal_insert_lsn()');
    is($client->value("SELECT live.wait_for('$end', '30s')"), 't', "$what: decoded");
    my %told;
    while (my @messages = @{ $client->rows('SELECT message FROM live.poll(1000)') }) {
        $told{$_}++ for map { $_->[0] =~ /"subscription_id": ?"s(\d+)"/ ? $1 : () } @messages;
    }
    is_deeply([ sort { $a <=> $b } keys %told ], [ sort { $a <=> $b } keys %watched ], "$what: all who watch are told, and nobody else");
    is_deeply([ grep { $_ != 1 } values %told ], [], "$what: once");
    return;
}

watch(1 .. 5);
told_ok('a few');
watch(6 .. 400);
told_ok('many');
for my $round (1 .. 3) {
    my @gone = grep { $_ % 4 != $round } keys %watched;
    forget(@gone);
    told_ok("round $round, some gone");
    watch(grep { !$watched{$_} } map { 400 * $round + $_ - 200 } 1 .. 300);
    told_ok("round $round, others in their place");
}
forget(keys %watched);
told_ok('all gone');
watch(7, 8);
told_ok('two again');

$node->stop;
done_testing();
