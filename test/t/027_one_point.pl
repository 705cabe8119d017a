# Where `more` is false all live queries of a connection show one point in time: also those that begin to be told, or are
# told again, by a transaction during which others commit. Each transaction of the writer changes all tables alike, so
# that of what is live nothing may lag behind a message that says it is the last one of its transaction.
use strict;
use warnings FATAL => 'all';
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('one_point');
my @tables = qw(a b c);
$node->safe_psql('postgres', join '', map { <<~SQL } @tables);
    CREATE TABLE $_ (id int PRIMARY KEY, n int);
    ALTER TABLE $_ REPLICA IDENTITY FULL;
    INSERT INTO $_ VALUES (1, 0);
    SQL
my $writer = connect_client($node);
my $json = JSON::PP->new->utf8;
my $written = 0;

sub write_all {
    ++$written;
    $writer->rows('BEGIN;' . join('', map { "UPDATE $_ SET n = $written;" } @tables) . 'COMMIT');
    return;
}

# What a client does, in steps: 'write' is the writer's; what starts with 'poll' is what came until then; else it is SQL, in
# which read(x) and the like stand for the functions of live queries. Returns what was told, and dies where it must not.
sub play {
    my ($delivery, $live, @steps) = @_;
    my $client = connect_client($node);
    my (%shows, @told);
    my %live = map { $_ => 1 } @$live;
    my $take = sub {
        my @messages =
          $delivery eq 'poll'
          ? map { $json->decode($_->[0]) } @{ $client->rows('SELECT message FROM live.poll()') }
          : map { $_->{message} } $client->taken;
        for my $message (@messages) {
            my ($id, $change) = ($message->{subscription_id}, $message->{changes}[-1]);
            die "$id is told, and waits" unless $live{$id};
            my $n = $change->{row}{n};
            die "$id is told $n after $shows{$id}" if $n != $shows{$id} + 1;
            $shows{$id} = $n;
            push @told, "$id$n" . ($message->{more} ? '+' : '');
            next if $message->{more};
            for (grep { $live{$_} && $shows{$_} != $n } sort keys %shows) {
                die "$_ shows $shows{$_} where $n is complete: @told";
            }
        }
        return;
    };
    for my $step (@steps) {
        if ($step eq 'write') {
            write_all();
            $client->arrived;
        } elsif ($step eq 'take') {
            $take->();
        } elsif ($step =~ /^live: (.*)/) {
            %live = map { $_ => 1 } split / /, $1;
        } elsif ($step =~ /^subscribe (\w)/) {
            $client->rows("SELECT live.subscribe('$1', 'SELECT id, n FROM $1', delivery => '$delivery')");
        } elsif ($step =~ /^read (\w)/) {
            ($shows{$1}) = map { $json->decode($_->[0])->{n} } @{ $client->rows("SELECT \"row\" FROM live.snapshot('$1')") };
        } elsif ($step =~ /^(pause|resume|refresh|unsubscribe) (\w)/) {
            $client->rows("SELECT live.$1('$2')");
        } else {
            $client->rows($step);
        }
    }
    $take->();
    $client->arrived;
    $take->();
    for (sort keys %live) {
        die "$_ shows $shows{$_} at the end, and $written were written" if $shows{$_} != $written;
    }
    $client->disconnect;
    return join ' ', map { s/(\d+)/$1 - $written/er } @told;
}

sub shows_one_point {
    my ($name, @steps) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $delivery (qw(notify poll)) {
        my $told = eval { play($delivery, ['b'], 'subscribe b', 'read b', @steps) };
        ok(defined $told, "$delivery: $name") or diag($@);
        note($told // '');
    }
    return;
}

my @both = 'live: a b';

# ---- a first result that is read to its end ----------------------------------------------------------------------

shows_one_point('read in a transaction', 'subscribe a', 'write', 'take', 'BEGIN', 'read a', 'write', 'write', 'COMMIT', @both);
shows_one_point('read by a savepoint', 'subscribe a', 'write', 'take', 'BEGIN', 'SAVEPOINT s', 'read a', 'write', 'RELEASE s', 'write',
    'COMMIT', @both);
shows_one_point('read again after a rollback to a savepoint',
    'subscribe a', 'write', 'take', 'BEGIN', 'SAVEPOINT s', 'read a', 'write', 'ROLLBACK TO s', 'read a', 'write', 'COMMIT', @both);
shows_one_point('read in vain, by a savepoint', 'subscribe a', 'write', 'take', 'BEGIN', 'SAVEPOINT s', 'read a', 'write', 'ROLLBACK TO s',
    'write', 'COMMIT', 'take', 'read a', @both);
shows_one_point('read in vain', 'subscribe a', 'write', 'take', 'BEGIN', 'read a', 'write', 'ROLLBACK', 'take', 'read a', @both);
shows_one_point('subscribed and read in a transaction', 'BEGIN', 'subscribe a', 'write', 'read a', 'write', 'COMMIT', @both);
shows_one_point('subscribed and read by a savepoint', 'BEGIN', 'SAVEPOINT s', 'subscribe a', 'write', 'RELEASE s', 'read a', 'write',
    'COMMIT', @both);
shows_one_point('refreshed and read in a transaction', 'subscribe a', 'read a', @both, 'write', 'take', 'live: b', 'BEGIN',
    'refresh a', 'write', 'read a', 'write', 'COMMIT', @both);
shows_one_point('refreshed in vain', 'subscribe a', 'read a', @both, 'write', 'take', 'BEGIN', 'refresh a', 'write',
    "SELECT count(*) FROM live.snapshot('a')", 'write', 'ROLLBACK');
shows_one_point('two are read', 'subscribe a', 'subscribe c', 'write', 'take', 'BEGIN', 'read c', 'write', 'read a', 'write', 'COMMIT',
    'live: a b c');

# What a first result shows already, the others are told before anything says that it is complete.
shows_one_point('read when it is ahead', 'BEGIN', 'write', 'write', 'write', 'subscribe a', 'read a', 'COMMIT', @both);
shows_one_point('read when it is ahead, and more has come', 'BEGIN', 'write', 'write', 'subscribe a', 'write', 'read a', 'write', 'COMMIT', @both);
shows_one_point('read in another order', 'BEGIN', 'write', 'subscribe a', 'write', 'subscribe c', 'write', 'read c', 'read a', 'COMMIT',
    'live: a b c');
shows_one_point('read one after the other', 'subscribe a', 'BEGIN', 'write', 'subscribe c', 'write', 'read c', 'COMMIT', 'live: b c', 'take',
    'write', 'take', 'BEGIN', 'read a', 'write', 'COMMIT', 'live: a b c');
shows_one_point('refreshed when it is ahead', 'subscribe a', 'read a', @both, 'write', 'take', 'live: b', 'BEGIN', 'write', 'write', 'refresh a',
    'read a', 'write', 'COMMIT', @both);
{
    my $told = eval { play('poll', ['b'], 'subscribe b', 'read b', 'write', 'write', 'write', 'subscribe a', 'read a', @both) };
    is($told // $@, 'b-2+ b-1+ b0', 'poll: what was committed before a first result is told as one point');
}

# ---- what was paused ---------------------------------------------------------------------------------------------

my @paused = ('subscribe a', 'pause a', 'write', 'take', 'BEGIN');
shows_one_point('read, then resumed', @paused, 'read a', 'resume a', 'write', 'write', 'COMMIT', @both);
shows_one_point('resumed, then read', @paused, 'resume a', 'write', 'read a', 'write', 'COMMIT', @both);
shows_one_point('read and resumed by a savepoint', @paused, 'SAVEPOINT s', 'read a', 'resume a', 'write', 'RELEASE s', 'write', 'COMMIT', @both);
shows_one_point('read and resumed again after a rollback to a savepoint',
    @paused, 'SAVEPOINT s', 'resume a', 'read a', 'write', 'ROLLBACK TO s', 'read a', 'write', 'resume a', 'COMMIT', @both);
shows_one_point('read, and resumed in vain',
    @paused, 'read a', 'SAVEPOINT s', 'resume a', 'write', 'ROLLBACK TO s', 'write', 'COMMIT', 'take', 'resume a', @both);
shows_one_point('resumed, and read in vain',
    @paused, 'resume a', 'SAVEPOINT s', 'read a', 'write', 'ROLLBACK TO s', 'write', 'COMMIT', 'take', 'read a', @both);
shows_one_point('read and resumed in vain', @paused, 'read a', 'resume a', 'write', 'ROLLBACK', 'take', 'read a', 'resume a', @both);
shows_one_point('read, resumed and paused again', @paused, 'read a', 'resume a', 'pause a', 'write', 'COMMIT', 'take', 'resume a', @both);
shows_one_point('an unsubscribe in vain first', 'subscribe a', 'write', 'BEGIN', 'unsubscribe a', 'write', 'ROLLBACK', 'pause a', 'take', 'BEGIN',
    'read a', 'resume a', 'write', 'COMMIT', @both);
shows_one_point('an unsubscribe in vain between', @paused, 'read a', 'SAVEPOINT s', 'unsubscribe a', 'write', 'ROLLBACK TO s', 'resume a',
    'write', 'COMMIT', @both);

# Also where live.poll comes within the transaction, what was read and resumed there is polled with the others.
for my $order ([ 'read a', 'resume a' ], [ 'resume a', 'read a' ]) {
    for my $end ('COMMIT', 'ROLLBACK') {
        my @after = $end eq 'COMMIT' ? () : ('live: b', 'take', @$order, @both);
        my $told = eval {
            play('poll', ['b'], 'subscribe b', 'read b', @paused, 'SAVEPOINT s', @$order, 'write', 'ROLLBACK TO s', @$order, @both,
                'write', "SELECT count(*) FROM live.wait_for(timeout => '60s')", ($end eq 'COMMIT' ? 'take' : 'SELECT count(*) FROM live.poll()'), 'write', $end, @after);
        };
        ok(defined $told, "poll: polled after @$order, $end") or diag($@);
    }
}

# ---- what was held comes in the order of the log -----------------------------------------------------------------

for my $delivery (qw(notify poll)) {
    like(eval { play($delivery, [ 'a', 'c' ], 'subscribe a', 'read a', 'subscribe c', 'read c', 'pause a', 'pause c', 'write', 'write', 'BEGIN',
            'resume c', 'write', 'resume a', 'write', 'COMMIT') } // $@,
        qr/^(?:(?:a(-?\d)\+ c\g{-1}|c(-?\d)\+ a\g{-1}) ?){4}$/, "$delivery: two that are resumed together are told each transaction together");
}

# ---- notifications and live.poll on one connection ---------------------------------------------------------------

# What live.poll takes from the mailbox for notifications waits for the transaction's end if that decides on them.
{
    my $client = connect_client($node);
    $client->rows("SELECT live.subscribe('$_', 'SELECT id, n FROM $_', delivery => '" . ($_ eq 'c' ? 'poll' : 'notify') . "')") for @tables;
    $client->rows("SELECT count(*) FROM live.snapshot('$_')") for @tables;
    my $polled = sub { scalar @{ $client->rows('SELECT * FROM live.poll()') } };
    my $told = sub { join ' ', map { "$_->{message}{subscription_id}" . ($_->{message}{more} ? '+' : '') } $client->taken };
    for my $end ('ROLLBACK', 'COMMIT') {
        $client->rows(q(SELECT live.pause('a')));
        write_all();
        $client->arrived;
        is($polled->(), $end eq 'ROLLBACK' ? 1 : 2, 'polled: one message, and what was polled in vain');
        is($told->(), 'b', 'one is told, and one is paused');
        $client->rows(q(BEGIN; SELECT live.resume('a')));
        write_all();
        $client->arrived;
        is($polled->(), 1, 'one is polled in the transaction that resumes');
        is($told->(), '', 'nothing is told in it');
        $client->rows($end);
        is($told->(), $end eq 'ROLLBACK' ? 'b' : 'a+ a+ a a+ b', "after $end");
    }
    $client->disconnect;
}

done_testing();
