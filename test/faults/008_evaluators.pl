# Evaluators that fail, end, lack memory or are killed wherever they can: their live queries are reset and are exact again, those of
# the stream beside them go on without a reset, and nothing is left. After a kill the server starts all over.
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
    live_queries.idle_timeout = 1s
    restart_after_crash = on
    CONF
my ($writer, $client, $log_start);
my %queries = (
    stream => query_text(),
    groups => 'SELECT n % 5 AS g, count(*) AS count, sum(n) AS sum FROM t GROUP BY n % 5',
    own    => 'SELECT id, count(*) AS count, sum(n) AS sum FROM t GROUP BY id',
    pairs  => 'SELECT a.id, b.note FROM t a JOIN t b ON b.id = a.n',
);
my @ids = sort keys %queries;

sub start_clients {
    ($writer, $client) = map { connect_client($node) } 1 .. 2;
    $client->subscribe($_, $queries{$_}) for @ids;
    return;
}

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

# It stops where nobody watches for a while.
sub watch_nothing { return $client->rows('SELECT live.unsubscribe_all()') }
$by{'evaluator-stop'} = \&watch_nothing;

# What is told in what kind of order is of no interest; that it comes to the point is.
sub happens {
    my ($seen, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(wait_until(sub { slurp_file($node->logfile, $log_start) =~ $seen }), "$name: it happens");
}

# brought(POINT, ACTION, ARGUMENT, NAME): the evaluator comes to the point. Where it is killed, connections break on the way.
sub brought {
    my ($point, $action, $argument, $name) = @_;
    $log_start = -s $node->logfile;
    set_fault($node, $point, $action, $argument);
    eval {
        $by{$point}->() if $by{$point};
        change_rows($writer);
        1;
    } or $action eq 'kill' or die $@;
    return happens($action eq 'kill' ? qr/was terminated by signal 9/ : $argument ? qr/$point: no shared memory/ : qr/$point: reached/, $name);
}

# Who watched nothing begins anew; the others are told what is lost, and only of their own.
sub recovers {
    my ($point, $name) = @_;
    if ($point eq 'evaluator-stop') {
        set_fault($node, $point, 'none');
        $client->subscribe($_, $queries{$_}) for @ids;
    } else {
        evaluator_runs();
        my $told = told();
        # Where it fails for one template alone, that one alone is over.
        my $one = qr/(?:reset|terminated) (?:groups|own|pairs)/;
        my $of_stream = $point eq 'evaluator-gap' ? qr/(?:, reset stream)/ : qr//;
        like($told, qr/^(?:$one(?:, $one){0,2}$of_stream)?$/, "$name: only its own begin anew");
        set_fault($node, $point, 'none');
        evaluator_runs();
        told();
    }
    all_exact($name);
    return;
}

sub end_clients {
    my ($name) = @_;
    $_->disconnect for $client, $writer;
    nothing_left($node, $name);
    return;
}

# After a kill nothing is left of what was live before.
sub starts_over {
    my ($name) = @_;
    comes_back($node, $name);
    my $prepared = $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
    $node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") for split /\n/, $prepared;
    end_clients($name);
    start_clients();
    all_exact($name);
    return;
}

start_clients();
all_exact('at first');
my $root = dirname(dirname(dirname(__FILE__)));
my @points = grep { /^evaluator-/ } fault_points($root);
@points = split /,/, $ENV{FAULT_POINTS} if $ENV{FAULT_POINTS}; # for a look at some of them
# Which allocations of shared memory after it fail, where there is one for certain (see set_fault); 0: an error at the point itself.
my %alloc = ('evaluator-publish' => [ 0, 1, -1 ]);
for my $point (@points) {
    for my $case (map { [ 'error', 0 ], [ 'exit', 0 ], (map { [ 'alloc', $_ ] } @{ $alloc{$_} // [0] }), [ 'kill', 0 ] } $point) {
        my ($action, $argument) = @$case;
        my $name = $action eq 'alloc' ? "$point, alloc $argument" : "$point, $action";
        brought($point, $action, $argument, $name);
        $action eq 'kill' ? starts_over($name) : recovers($point, $name);
    }
}

# With the last evaluator goes what they have in shared memory.
end_clients('at the end');
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)|terminated by signal (?!9\b)/, 'no other crash, no leak');
done_testing();
