# What several live queries of a session get alike is one notification, if it asks for that: while nothing else is to be said of
# one of them, and also after an error in between.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('shared_messages', 'live_queries.idle_timeout = 2s');
my $writer = connect_client($node);
my $client;
my $n = 100;

# Three that get the same, one that gets half of it, and one to poll.
sub begin_anew {
    $client->disconnect if $client;
    $client = connect_client($node);
    $client->rows('SET live_queries.share_messages = on');
    $client->subscribe($_, 'SELECT id, n FROM t') for qw(a b c);
    $client->subscribe('even', 'SELECT id, n FROM t WHERE n % 2 = 0');
    $client->rows(q(SELECT live.subscribe('polled', 'SELECT id, n FROM t', "snapshot" => false, delivery => 'poll')));
    return;
}

sub insert { ++$n; $writer->rows("INSERT INTO t VALUES ($n, $n)"); return $n }

# What was told: for whom, of which ids, `+` if more follows.
sub told {
    return join ' ', map {
        my $message = $_->{message};
        my $for = join ',', sort $message->{subscription_id} // (), @{ $message->{subscription_ids} // [] };
        my $what = $message->{changes} ? join ',', map { $_->{row}{id} } @{ $message->{changes} } : $message->{type};
        "$for:$what" . ($message->{more} ? '+' : '')
    } @_;
}

begin_anew();
insert();
like(told($client->synced), qr/^(a,b,c,even|a,b,c):101$/, 'an odd row: those that get it share a message');
insert();
is(join(',', sort map { @{ $_->{message}{subscription_ids} } } $client->synced), 'a,b,c,even', 'an even row: so do all four');
$writer->rows('UPDATE t SET n = 7 WHERE id = 102');
my @update = $client->synced;
is_deeply([ map { told($_) =~ s/\+$//r } sort { told($a) cmp told($b) } @update ], [ 'a,b,c:102', 'even:102' ], 'an update for three is a delete for one');
is(join(',', map { $_->{message}{more} ? 1 : 0 } @update), '1,0', 'both are one point');

$client->rows('SET live_queries.share_messages = off');
insert();
is(scalar(grep { $_->{message}{subscription_id} } $client->synced), 3, 'each has its own where the session does not ask');
is($client->value(q(SELECT count(*) FROM live.poll())), 4, 'and always in live.poll');
is_deeply(
    $client->rows(q(SELECT subscription_id, messages, changes FROM live_queries WHERE pid = pg_backend_pid() ORDER BY 1)),
    [ [ 'a', 4, 4 ], [ 'b', 4, 4 ], [ 'c', 4, 4 ], [ 'even', 2, 2 ], [ 'polled', 4, 4 ] ],
    'each counts what it was told'
);

# One ends while what it shares waits to be told: its changes come to it alone, its end behind them, and then what the others get.
for my $ends (qw(a b c)) {
    begin_anew();
    $client->rows('BEGIN');
    my $id = insert() % 2 ? $n : insert();
    $id = $n;
    until_ok($node, "SELECT live.wait_for(timeout => '180s')", 't', 'it is there');
    $writer->rows("SELECT live.kill(live_id) FROM live_queries WHERE pid = " . $client->pid . " AND subscription_id = '$ends'");
    $client->rows('COMMIT');
    my @told = map { $_->{message} } $client->synced;
    my @of_it = grep { grep { $_ eq $ends } $_->{subscription_id} // (), @{ $_->{subscription_ids} // [] } } @told;
    is($of_it[-1]{type}, 'terminated', "$ends ends: its end is the last of it");
    is($of_it[-2]{changes}[0]{row}{id}, $id, "$ends ends: behind the changes");
    my %shown = map { $_ => 1 } map { $_->{subscription_id} // (), @{ $_->{subscription_ids} // [] } } grep { $_->{type} eq 'changes' && $_->{changes}[0]{row}{id} == $id } @told;
    is_deeply([ grep { !/even/ } sort keys %shown ], [qw(a b c)], "$ends ends: all have these");
    my @changes = grep { $_->{type} eq 'changes' } @told;
    ok(!$changes[-1]{more}, "$ends ends: the point is complete");
}

# An error while the message is sent, by live.poll in a savepoint; then one of them is paused or ends: it is told later, or not
# at all, and the others are.
for my $one (qw(a b c)) {
    for my $how (qw(pause unsubscribe)) {
        begin_anew();
        $client->rows('BEGIN; SAVEPOINT s');
        insert() if $n % 2;
        insert();
        until_ok($node, "SELECT live.wait_for(timeout => '180s')", 't', 'it is there');
        set_fault($node, 'client-deliver', 'error');
        is($client->error('SELECT live.poll()')->{C}, 'XX000', "$how $one: an error");
        $client->rows("ROLLBACK TO s; SELECT live.$how('$one'); COMMIT");
        my %told = map { $_ => 1 } map { $_->{message}{subscription_id} // (), @{ $_->{message}{subscription_ids} // [] } } $client->synced;
        is_deeply([ grep { !/even|polled/ } sort keys %told ], [ grep { $_ ne $one } qw(a b c) ], "$how $one: the others are told");
        next if $how ne 'pause';
        $client->rows("SELECT live.resume('$one')");
        like(told($client->synced), qr/^(?:$one:\d+\+ )?$one:\d+$/, "$how $one: it is told when it resumes");
    }
}
$client->disconnect;
$writer->disconnect;
nothing_left($node, 'at the end');
done_testing();
