# A walk over every fault point: an error there, the end of the process (FATAL), and its death (SIGKILL, after which the server
# starts all over). After each the server stands and nothing is left over, and every client that is still there is
# exact, if need be after the refresh that a reset asks for.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_fault_node('walk', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.idle_timeout = 1h
    live_queries.memory_limit = 4MB
    restart_after_crash = on
    CONF

# Which process comes to each point, and what brings it there.
my %walk = (
    'decoder-open'      => [ decoder => \&restart_decoder ],
    'decoder-opened'    => [ decoder => \&restart_decoder ],
    'decoder-attaching' => [ decoder => \&subscribe_more ],
    'decoder-attached'  => [ decoder => \&subscribe_more ],
    'decode-commit'     => [ decoder => \&change ],
    'decoder-evaluate'  => [ decoder => \&change ],
    'decoder-evaluated' => [ decoder => \&change ],
    'decoder-publish'   => [ decoder => \&change ],
    'decoder-published' => [ decoder => \&change ],
    'decoder-confirm'   => [ decoder => \&change ],
    'mailbox-spill'     => [ decoder => \&change_a_lot ],
    'subscribe-analysed'       => [ client => \&subscribe_more ],
    'subscribe-registered'     => [ client => \&subscribe_more ],
    'subscribe-attached'       => [ client => \&subscribe_more ],
    'subscribe-snapshot-taken' => [ client => \&subscribe_more ],
    'client-take'       => [ client => \&take ],
    'client-taken'      => [ client => \&take ],
    'client-unspill'    => [ client => \&take_a_lot ],
    'client-exit'       => [ client => \&leave ],
);
# What an error means where a process ends anyway: nothing can be done there that could fail.
my %never = map { $_ => 1 } 'client-exit error', 'client-exit exit';

my ($client, $victim, $writer);
my $last_error; # of the victim's statement
my $log_start;  # where the server's log of this step begins

sub start_clients {
    ($client, $victim, $writer) = map { connect_client($node) } 1 .. 3;
    watch($_) for $client, $victim;
    return;
}

# The victim's statement; its error, if any. After a crash of the server, that.
sub victim_says {
    my ($sql) = @_;
    $last_error = $victim->error($sql);
    return;
}

sub change { change_rows($writer); return }
sub change_a_lot { $victim->rows('BEGIN'); change_much($writer); return }

# The point may end the connection before or after the answer.
sub subscribe_more {
    victim_says(q{SELECT live.subscribe('more', '} . query_text() . q{')});
    return;
}

sub restart_decoder {
    $writer->rows('SELECT pg_terminate_backend(' . decoder_pid($node) . ')');
    return;
}

sub take {
    my ($changes) = @_;
    $victim->rows('BEGIN');
    ($changes // \&change_rows)->($writer);
    $writer->value('SELECT live.wait_for()');
    return;
}

sub take_a_lot { take(\&change_much); return }
sub leave { $victim->disconnect; return }

# The fault is set once all is prepared, so that nobody else comes to it before.
sub reach {
    my ($point, $action) = @_;
    my ($who, $how) = @{ $walk{$point} };
    my $takes = $how == \&take || $how == \&take_a_lot;
    undef $last_error;
    $client->rows('BEGIN') if $who eq 'client'; # it takes nothing itself meanwhile
    $how->() if $takes;
    set_fault($node, $point, $action);
    # In a crash the connection of whoever is at it breaks.
    eval { $takes ? victim_says('COMMIT') : $how->(); 1 } or $action eq 'kill' or die $@;
    my $seen = $action eq 'kill' ? qr/was terminated by signal 9/ : qr/(ERROR|FATAL):  fault point $point$/m;
    ok(wait_until(sub { slurp_file($node->logfile, $log_start) =~ $seen }), "$point $action: it happens");
    release($node, $point) if $action ne 'kill'; # which has lost all of them
    return $who;
}

# A client of a decoder that was lost has been told to refresh; others have missed nothing.
sub recovers {
    my ($who, $connection, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @others = eval { settled($connection) };
    is($@, '', "$name: its messages fit");
    if ($who eq 'decoder') {
        # The new decoder tells it, if it has not yet.
        unless (@others) {
            my $message = $connection->next_message;
            @others = collect($connection, $message) if $message;
        }
        is(join(',', map { $_->{type} } @others), 'reset', "$name: one reset");
        rewatch($connection);
    } else {
        is(scalar @others, 0, "$name: nothing but changes");
    }
    change_rows($writer);
    is_exact($connection, "$name: exact");
    return;
}

# is_clean(NAME, COUNT): one decoder with one slot, so many subscriptions, and no file but theirs.
sub is_clean {
    my ($name, $count) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    poll_ok($node, "SELECT count(*) = $count FROM live_queries WHERE status <> 'terminated'", "$name: $count live queries");
    my $pid = decoder_pid($node);
    is($node->safe_psql('postgres', 'SELECT subscriptions FROM live.workers'), $count, "$name: counted as many");
    is($node->safe_psql('postgres', 'SELECT count(*), bool_and(active_pid = ' . $pid . ') FROM pg_replication_slots'), '1|t',
        "$name: one slot, the decoder's");
    is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND pid = $pid"), 0,
        "$name: no table is locked");
    cmp_ok($node->safe_psql('postgres', 'SELECT memory_bytes FROM live.stats()'), '<', 32 * 1024 * 1024, "$name: the decoder's memory");
    my $files = () = temp_files($node);
    cmp_ok($files, '<=', $count, "$name: no file too many");
    return;
}

sub end_clients {
    my ($name) = @_;
    $_->disconnect for grep { defined && $_->{socket}->opened } $client, $victim, $writer;
    undef $victim;
    poll_ok($node, q(SELECT count(*) = 0 FROM live_queries), "$name: all are gone");
    ok(wait_until(sub { !temp_files($node) }), "$name: no file is left");
    return;
}

sub walk_to {
    my ($point, $action) = @_;
    my $name = "$point $action";
    $log_start = -s $node->logfile;
    start_clients();
    my $who = reach($point, $action);
    if ($action eq 'kill') {
        comes_back($node, $name);
        # The writer may have been ended between PREPARE TRANSACTION and COMMIT PREPARED; nothing decodes before that is over.
        my $prepared = $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
        $node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") for split /\n/, $prepared;
        end_clients($name);
        is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, "$name: no slot is left");
        start_clients();
        change_rows($writer);
        is_exact($_, "$name: a new client") for $client, $victim;
        is_clean($name, 2);
        end_clients($name);
        return;
    }
    my $there = 2;
    if ($who eq 'client') {
        if ($point eq 'client-exit') {
            undef $victim;
            $there = 1;
        } else {
            is($last_error->{M}, "fault point $point", "$name: the client's statement tells");
            $there = 1, $victim = undef if $action eq 'exit';
        }
        $client->rows('COMMIT');
    } else {
        $victim->error('ROLLBACK');
        # What it was about to get may have been there after all.
        $victim->error(q{SELECT live.unsubscribe('more')});
        decoder_pid($node);
    }
    recovers($who, $_, $name) for grep { defined } $client, $victim;
    if ($victim && $point =~ /^subscribe|attach/) {
        is($victim->value(q{SELECT count(*) FROM live_queries WHERE subscription_id = 'more'}), 0, "$name: no subscription remains");
    }
    is_clean($name, $there);
    end_clients($name);
    return;
}

my @points = fault_points(dirname(__FILE__) . '/../..');
is_deeply([ grep { !$walk{$_} } @points ], [], 'the walk knows every fault point of the sources');
is_deeply([ grep { my $name = $_; !grep { $_ eq $name } @points } sort keys %walk ], [], 'and no other');

for my $action (qw(error exit kill)) {
    for my $point (@points) {
        walk_to($point, $action) if $walk{$point} && !$never{"$point $action"};
    }
}

# What failed statements leave in shared memory would add up to more than there is.
{
    start_clients();
    set_fault($node, 'subscribe-snapshot-taken', 'error', 0, 1000);
    my $long = query_text() . ' /*' . 'x' x 8000 . '*/';
    my %errors;
    ++$errors{ $victim->error("SELECT live.subscribe('more', \$query\$$long\$query\$)")->{M} } for 1 .. 1000;
    is_deeply(\%errors, { 'fault point subscribe-snapshot-taken' => 1000 }, 'a subscription fails a thousand times');
    release($node, 'subscribe-snapshot-taken');
    is_exact($_, 'and then: exact') for $client, $victim;
    is_clean('and then', 2);
    end_clients('and then');
}

# An error while a client is idle ends its connection: the server's own way with an error that no statement has
# asked for. So nothing is lost silently.
for my $point (qw(client-take client-taken)) {
    start_clients();
    $client->rows('BEGIN');
    set_fault($node, $point, 'error');
    change_rows($writer);
    my $told = '';
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (my ($type, $body) = $victim->_read($deadline)) {
        last if $type eq '';
        $told .= $body if $type eq 'E';
    }
    like($told, qr/fault point $point/, "$point, idle: the client is told");
    release($node, $point);
    is_clean("$point, idle", 1);
    $client->rows('COMMIT');
    is_exact($client, "$point, idle: the other client");
    end_clients("$point, idle");
}

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)|terminated by signal (?!9\b)/, 'no other crash, no leak');
done_testing();
