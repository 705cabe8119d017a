# Evaluators that fail or end wherever they can: their live queries are reset and are exact again, those of the stream beside them
# go on without a reset, and nothing is left.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('evaluators', <<~CONF);
    live_queries.databases = 'postgres'
    live_queries.idle_timeout = 2s
    CONF
my $writer = connect_client($node);
my %queries = (
    stream => query_text(),
    groups => 'SELECT n % 5 AS g, count(*) AS count, sum(n) AS sum FROM t GROUP BY n % 5',
    own    => 'SELECT id, count(*) AS count, sum(n) AS sum FROM t GROUP BY id',
    pairs  => 'SELECT a.id, b.note FROM t a JOIN t b ON b.id = a.n',
);
my @ids = sort keys %queries;
my $client = connect_client($node);
$client->subscribe($_, $queries{$_}) for @ids;

# told(): applies what has come, and returns which live queries were reset or ended; those begin anew.
sub told {
    my %told;
    for my $message (map { $_->{message} } $client->synced) {
        my $id = $message->{subscription_id};
        if ($message->{type} eq 'changes') {
            LiveQueries::apply_changes($client->{states}{$id}, $message);
        } else {
            $told{$id} = $message->{type};
        }
    }
    for my $id (sort keys %told) {
        $told{$id} eq 'reset' ? $client->refresh($id) : $client->subscribe($id, $queries{$id});
    }
    return join ', ', map { "$told{$_} $_" } sort keys %told;
}

sub all_exact {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    change_rows($writer);
    is(told(), '', "$name: nothing but changes");
    is_deeply($client->state_of($_), $client->rows_now($queries{$_}), "$name: $_ is exact") for @ids;
    return;
}

sub evaluator { return asked($node, q(SELECT pid FROM live.workers WHERE kind = 'evaluator')) }

sub evaluator_runs {
    wait_until(sub { asked($node, q(SELECT count(*) FROM live.workers WHERE kind = 'evaluator' AND state = 'running')) eq '1' })
      or die 'no evaluator';
    return;
}

# What brings an evaluator to a point, if it is not in the way of each batch.
sub ends { return $writer->rows('SELECT pg_terminate_backend(' . evaluator() . ', 10000)') }
sub another_template {
    my $other = connect_client($node);
    $other->error(q(SELECT live.subscribe('other', 'SELECT count(*) AS n FROM t WHERE n > 3')));
    return $other->disconnect;
}
my %by = (
    'evaluator-between' => sub { sleep 2 },                                                           # where its transaction is changed
    'evaluator-gap' => sub { $writer->rows('SELECT pg_terminate_backend(' . decoder_pid($node) . ', 10000)') },
    (map { ("evaluator-$_" => \&ends) } qw(start placed open opened)),
    (map { ("evaluator-$_" => \&another_template) } qw(prepare watched)),
);

all_exact('at first');
my $root = dirname(dirname(dirname(__FILE__)));
# It stops only without live queries.
for my $point (grep { /^evaluator-/ && $_ ne 'evaluator-stop' } fault_points($root)) {
    for my $action ('error', 'exit') {
        my $name = "$point, $action";
        set_fault($node, $point, $action);
        $by{$point}->() if $by{$point};
        change_rows($writer);
        evaluator_runs();
        my $told = told();
        # Where it fails for one template alone, that one alone is over.
        my $one = qr/(?:reset|terminated) (?:groups|own|pairs)/;
        my $of_stream = $point eq 'evaluator-gap' ? qr/(?:, reset stream)/ : qr//;
        like($told, qr/^(?:$one(?:, $one){0,2}$of_stream)?$/, "$name: only its own begin anew");
        set_fault($node, $point, 'none');
        evaluator_runs();
        told();
        all_exact($name);
    }
}

# With the last evaluator goes what they have in shared memory.
$client->disconnect;
$writer->disconnect;
nothing_left($node, 'at the end');
done_testing();
