# pg_live through a network that fails: the scenarios of clients/conformance/faults, as far as its output tells; that a server
# which does not answer is noticed in time; and that of a point all is told at once.
use strict;
use warnings FATAL => 'all';
use IPC::Run ();
use JSON::PP ();
use LiveQueries;
use PgLive;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('faults');
my $json = JSON::PP->new->utf8;
my $canonical = JSON::PP->new->canonical->allow_nonref;

sub psql { return $node->safe_psql('postgres', $_[0]) }

# ---- the scenarios ----

# What a query returns now, as the rows of state_of_messages, sorted.
sub result_now {
    my ($query) = @_;
    my $sql = $query->{sql};
    my $number = 0;
    for my $param (@{ $query->{params} }) {
        $number++;
        $sql =~ s/\$$number\b/'$param'/g;
    }
    return [ sort map { $canonical->encode($json->decode($_)) } split /\n/, psql("SELECT row_to_json(q) FROM ($sql) q") ];
}

# A scenario's run: what is known of one client.
package Scenario {
    use LiveQueries;
    use Test::More;

    sub pump { eval { $_[0]{client}{run}->pump_nb }; return }

    sub count { my ($self, $stream, $pattern) = @_; return scalar(() = $self->{client}{$stream} =~ /$pattern/g) }

    sub is_live {
        my ($self) = @_;
        return $self->count('out', qr/"type":"snapshot"/) == @{ $self->{names} }
          && $self->count('err', qr/connection lost/) == $self->count('err', qr/connected again/);
    }

    # Whether it has been stale since the last fault.
    sub was_stale {
        my ($self) = @_;
        return $self->count('err', qr/connection lost/) > $self->{lost_before} || $self->count('out', qr/"type":"reset"/) > $self->{resets_before};
    }

    sub is_equal {
        my ($self) = @_;
        for my $at (0 .. $#{ $self->{names} }) {
            my $shown = $self->{client}->state_of_messages('pg_live-' . ($at + 1));
            my $now = main::result_now($self->{queries}{ $self->{names}[$at] });
            return 0 if join("\n", sort values %$shown) ne join("\n", @$now);
        }
        return 1;
    }
}

my %steps = (
    sql => sub {
        my ($run, $statements, $step) = @_;
        for (1 .. $step->{times} // 1) { psql($_) for @$statements }
        return 1;
    },
    fault => sub {
        my ($run, $fault) = @_;
        $run->pump;
        $run->{lost_before} = $run->count('err', qr/connection lost/);
        $run->{resets_before} = $run->count('out', qr/"type":"reset"/);
        $fault eq 'restart' ? $node->restart : $run->{proxy}->tell($fault);
        return 1;
    },
    until => sub {
        my ($run, $state) = @_;
        return wait_until(sub { $run->pump; return $state eq 'live' ? $run->is_live : $run->was_stale });
    },
    equal => sub { my ($run) = @_; return wait_until(sub { $run->pump; return $run->is_equal }) },
    sleep => sub { my ($run, $milliseconds) = @_; sleep($milliseconds / 1000); return 1 },
    # There is no such call here: what is written is there in the end.
    includes => sub {
        my ($run, $statement) = @_;
        psql($statement);
        return wait_until(sub { $run->pump; return $run->is_equal });
    },
);

my %option_of = (heartbeat => '--heartbeat', answer => '--answer', long_answer => '--long-answer', first_wait => '--first-wait', longest_wait => '--longest-wait');
my @scenarios = sort glob "$PgLive::Proxy::conformance/faults/*.json";
cmp_ok(scalar @scenarios, '>', 5, 'there are scenarios');
for my $file (@scenarios) {
    my ($name) = $file =~ /(\w+)\.json$/;
    my $scenario = $json->decode(slurp_file($file));
    my $proxy = PgLive::Proxy->new($node);
    psql($_) for @{ $scenario->{setup} };
    my @options = map { ($option_of{$_}, "$scenario->{options}{$_}ms") } sort keys %{ $scenario->{options} };
    my @names = sort keys %{ $scenario->{queries} };
    my @arguments = map { ('--', $_->{sql}, @{ $_->{params} }) } map { $scenario->{queries}{$_} } @names;
    shift @arguments;
    my @command = ('--json', @options, $proxy->connection_of, @arguments);

    # One that fails from the start ends a program of the command line (docs/client.md).
    if (exists $scenario->{steps}[0]{fault}) {
        $proxy->tell($scenario->{steps}[0]{fault});
        my $start = time;
        my $client = run_pg_live($node, @command);
        is($client->{status}, 2, "$name: ends, since it never was connected");
        cmp_ok(time - $start, '<', $scenario->{options}{answer} / 1000 * 30, "$name: in time");
        next;
    }
    my $run = bless { client => start_pg_live($node, @command), proxy => $proxy, queries => $scenario->{queries}, names => \@names,
        lost_before => 0, resets_before => 0 }, 'Scenario';
    my $number = 0;
    my $all_well = 1;
    for my $step (@{ $scenario->{steps} }) {
        $number++;
        my ($kind) = grep { exists $steps{$_} } keys %$step or die "$name: a step that is not known";
        next if $steps{$kind}->($run, $step->{$kind}, $step);
        $all_well = 0;
        diag("$name, step $number: " . $json->encode($step) . "\nout: " . substr($run->{client}{out}, -3000) . "\nerr: $run->{client}{err}");
        last;
    }
    ok($all_well, "$name: $scenario->{about}");
    $run->{client}->signal('TERM');
    is($run->{client}->finish->{status}, 143, "$name: and it runs until it is ended");
}

# ---- a server that does not answer ----

psql('CREATE TABLE t (id int PRIMARY KEY, n int, note text); INSERT INTO t VALUES (1, 1), (2, 2)');
my $query = 'SELECT id, n FROM t ORDER BY id';

# A network that swallows all: noticed by the ping that is not answered, and left behind.
my $proxy = PgLive::Proxy->new($node);
my $client = start_pg_live($node, '--json', '--heartbeat=1s', '--answer=10s', '--first-wait=100ms', $proxy->connection_of, $query);
$client->wait_for('out', qr/snapshot/, 'black hole: the first result');
sleep 2.5;
$client->wait_for('out', qr/snapshot/, 'black hole: silence alone');
is($client->{err}, '', 'black hole: is none, where the server answers');
my $start = time;
$proxy->tell('black_hole');
$client->wait_for('err', qr/connection lost: the server does not answer; connecting again/, 'black hole: it is noticed');
cmp_ok(time - $start, '<', 60, 'black hole: after the heartbeat and the time for an answer');
psql('INSERT INTO t VALUES (3, 3)');
$proxy->tell('heal');
$client->wait_for('err', qr/connected again/, 'black hole: it is back');
$client->wait_for('out', qr/"refreshed":true.*"id":3/, 'black hole: with what differs');
$client->signal('TERM');
$client->finish;

# A command that is not answered: a subscription that waits for a lock on its table, and the time for an answer is short.
my $locker = connect_client($node);
$locker->rows('BEGIN; LOCK t IN ACCESS EXCLUSIVE MODE');
$client = run_pg_live($node, '--json', '--long-answer=1s', $query);
is($client->{status}, 2, 'no answer to a subscription: it ends, since this was its first connection');
is($client->{err}, "pg_live: the server does not answer\n", 'no answer to a subscription: said');
$locker->rows('COMMIT');

# ---- one point ----

# Through a slow network a transaction comes in many pieces; of all its messages none is told before the last is there.
psql('TRUNCATE t');
$proxy = PgLive::Proxy->new($node);
$client = start_pg_live($node, '--json', $proxy->connection_of, 'SELECT id, note FROM t', '--', 'SELECT count(*) AS n FROM t');
$client->wait_for('out', qr/snapshot.*\n.*snapshot/, 'one point: the first results');
my $rate = 100_000;
$proxy->tell("slow $rate");
my ($written, $first) = (time);
psql(q{INSERT INTO t SELECT g, g, repeat('x', 2000) || g FROM generate_series(1, 300) g});
wait_until(sub {
    eval { $client->{run}->pump_nb };
    $first //= time if $client->{out} =~ /"type":"changes"/;
    return $client->{out} =~ /"more":false\}\n\z/;
});
my @lines = grep { /"type":"changes"/ } split /\n/, $client->{out};
my $bytes = 0;
$bytes += length for @lines;
cmp_ok(scalar(grep { /"more":true\}$/ } @lines), '>=', 1, 'one point: it comes in parts');
# That many bytes cannot be there earlier, but for those that the proxy was reading already; the first of several parts could.
cmp_ok($first - $written, '>', ($bytes - 100_000) / $rate, 'one point: none is told before the last of them is there');
is(scalar(keys %{ $client->state_of_messages('pg_live-1') }), 300, 'one point: all rows');
is((values %{ $client->state_of_messages('pg_live-2') })[0], '{"n":300}', 'one point: of both live queries');
$client->signal('TERM');
$client->finish;

$node->stop;
done_testing();
