# A walk over every fault point: an error there, one for want of memory, the end of the process (FATAL), and its death (SIGKILL,
# after which the server starts all over). After each the server stands and nothing is left over, and every client that is still
# there is exact, if need be after the refresh that a reset asks for.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_fault_node('walk', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.spill_size = 2MB
    live_queries.transaction_memory = 64kB
    live_queries.idle_timeout = 1h
    live_queries.memory_limit = 4MB
    restart_after_crash = on
    CONF

my ($client, $victim, $writer);
my $last_error; # of the victim's statement
my $log_start;  # where the server's log of this step begins
my $kills = 0;
my %segments; # the files of dynamic shared memory that the server had before each of them

# Where an error, the end of the process or a lack of memory would not be a fault of the kind that the walk looks for.
my $exiting = 'the process ends anyway, and here it only takes what is its own out of shared memory: it neither allocates nor'
  . ' waits, and an error would make the server go on with the rest of its exit, without the rest of this';
my $committed = 'the transaction has committed: the server cannot undo it any more, and takes an error for the end of itself.'
  . ' So what follows neither allocates nor waits, nor opens a file';
my $aborting = 'an error within the abort of a transaction leads to another abort, and in the end to the end of the server. So'
  . ' what follows neither allocates nor waits, nor opens a file';

# What each point takes. A name with a comma is another way to the point in front of it.
#   by       brings a process there, once the point is set; `before` prepares that
#   skip     how often it passes the point before
#   at       which process comes to it; where it is the victim's own, its statement fails
#   alloc    which allocations of shared memory after it fail (see set_fault); 0, the default, is none of them, but only an error
#            "out of memory" at the point itself
#   only     why nothing but its death is possible
#   told     what the two clients are told, client and victim, by action (a regular expression); else both are reset if the
#            decoder was lost, and hear of nothing if it was not
#   fails    the actions with which the victim's statement fails, where not this process comes to it
#   says     the error of that statement, by action, where it is not that of the point
#   alone    the clients have left before
#   first    done before it is seen what they are told
#   after    what else is to be seen
my $reset = [ 'reset q', 'reset q' ];
my $none = [ '', '' ];
my %walk = (
    'launcher-started' => { at => 'launcher', by => \&restart_launcher },
    'launcher-launch'  => { at => 'launcher', by => \&restart_decoder, told => [ [ qr// => $reset ] ] },
    'launcher-exit'    => { at => 'launcher', by => \&restart_launcher, only => $exiting },
    'extension-dropped' => {
        at => 'launcher', by => \&drop_extension, alloc => [ 0, 1, 2, -1, -2 ], told => [ [ qr// => [ 'terminated q', 'terminated q' ] ] ] },

    'decoder-start'  => { at => 'decoder', by => \&restart_decoder },
    'decoder-placed' => { at => 'decoder', by => \&restart_decoder },
    'decoder-open'   => { at => 'decoder', by => \&restart_decoder },
    'slot-created'   => { at => 'decoder', by => \&restart_decoder },
    'decoder-opened' => { at => 'decoder', by => \&restart_decoder },
    'decoder-reset'  => { at => 'decoder', by => \&restart_decoder, alloc => [ 0, 1, -1 ] },
    'decoder-stop'   => { at => 'decoder', by => \&stop_idle_decoder, alone => 1 },
    'decoder-exit'   => { at => 'decoder', by => \&restart_decoder, only => $exiting },
    'slot-dropped'   => { at => 'decoder', by => \&restart_decoder, only => $exiting },

    'decoder-attach' => {
        at => 'decoder', by => \&subscribe_more, told => [ [ qr/^(error|alloc)/ => $none ] ], fails => qr/^(error|alloc)/,
        after => \&no_more },
    'template-made' => {
        at => 'decoder', by => \&subscribe_another, told => [ [ qr/^(error|alloc)/ => $none ] ], fails => qr/^(error|alloc)/,
        after => \&no_more },
    'decoder-attaching' => { at => 'decoder', by => \&subscribe_more, after => \&no_more },
    'decoder-attached'  => { at => 'decoder', by => \&subscribe_more, after => \&no_more },
    'decoder-detach'    => { at => 'decoder', before => \&have_more, by => \&unsubscribe_more },

    'writer-committed' => { at => 'writer', by => \&change, only => $committed },

    'decode-begin'   => { at => 'decoder', by => \&change },
    'decode-change'  => { at => 'decoder', by => \&change },
    'decode-change, the second of a transaction' => { at => 'decoder', by => \&change, skip => 1 },
    'decode-spill'   => { at => 'decoder', by => \&change_a_lot },
    'decode-unspill' => { at => 'decoder', by => \&change_a_lot },
    'decode-commit'  => { at => 'decoder', by => \&change },

    'decoder-evaluate' => { at => 'decoder', by => \&change },
    'definition-check' => {
        at => 'decoder', by => \&change_privileges, told => [ [ qr/^(error|alloc)/ => [ '', 'terminated q' ] ] ] },
    'matcher-evaluate' => {
        at => 'decoder', by => \&change, told => [ [ qr/^(error|alloc|exit)/ => [ 'terminated q', 'terminated q' ] ] ] },
    'decoder-terminate' => {
        at     => 'decoder',
        before => \&have_fragile,
        by     => \&break_fragile,
        # The first one is for the reason, as at subscription-terminate: without it all is told.
        alloc  => [ 0, 2, -1, -2 ],
        told   => [ [ qr/^alloc 2/ => [ '', 'reset q, terminated more' ] ] ] },
    'decoder-evaluated' => { at => 'decoder', by => \&change },

    'decoder-publish'     => { at => 'decoder', by => \&change },
    'mailbox-put'         => { at => 'decoder', by => \&change, alloc => [ 0, 1, -1 ], told => [ [ qr/^alloc 1/ => $none ] ] },
    'mailbox-spill-ahead' => { at => 'decoder', by => \&change_once_hugely, first => \&huge_rows_go },
    'mailbox-spill'       => { at => 'decoder', by => \&change_a_lot },
    'mailbox-full'        => { at => 'decoder', by => \&change_too_much, first => \&huge_rows_go },
    'decoder-wake'        => { at => 'decoder', by => \&change },
    'decoder-published'   => { at => 'decoder', by => \&change },
    'decoder-confirm'     => { at => 'decoder', by => \&change },

    'subscribe-analysed' => { at => 'client', by => \&subscribe_more, after => \&no_more },
    'registry-enter'     => {
        at    => 'client',
        by    => \&subscribe_another,
        alloc => [ 0, 1, 2, 3, -1, -2, -3 ],
        says  => [ [ qr/^alloc [123]/ => 'out of shared memory for live queries' ] ],
        after => \&no_more },
    map({ ($_ => {
            at => 'client', by => \&subscribe_another, alloc => [ 0, 1, -1 ],
            says => [ [ qr/^alloc 1/ => 'out of shared memory for live queries' ] ], after => \&no_more }) }
          qw(definition-made definition-used)),
    'subscribe-registered'     => { at => 'client', by => \&subscribe_more, after => \&no_more },
    'subscribe-attached'       => { at => 'client', by => \&subscribe_more, after => \&no_more },
    'subscribe-snapshot-taken' => { at => 'client', by => \&subscribe_more, after => \&no_more },
    'subscribe-published'      => { at => 'client', by => \&subscribe_more, after => \&no_more },
    'session-commit'           => { at => 'client', by => \&subscribe_more, after => \&no_more },
    'session-committed'        => { at => 'client', by => \&subscribe_more, only => $committed },
    'session-aborted'          => { at => 'client', by => \&subscribe_in_vain, only => $aborting },
    'subscription-pause'       => { at => 'client', by => \&pause },
    'subscription-drop'        => { at => 'client', before => \&have_more, by => \&unsubscribe_more, after => \&still_more },
    'subscription-terminate'   => {
        at    => 'client',
        by    => \&kill_other,
        alloc => [ 0, 1, 2, -1, -2 ],
        told  => [ [ qr/^alloc [12]/ => [ 'terminated q', '' ] ] ],
        says  => [ [ qr/^alloc [12]/ => 'no error' ] ] },
    'registry-remove' => { at => 'client', before => \&have_more, by => \&unsubscribe_more, only => $committed },

    'snapshot-stored'       => { at => 'client', by => \&read_below_subscribe, after => \&no_more },
    'snapshot-row'          => { at => 'client', before => \&have_unread, by => \&read_more, skip => 7, after => \&reads_all },
    'session-commit, read'    => { at => 'client', before => \&have_unread, by => \&read_more, after => \&reads_all },
    'session-committed, read' => { at => 'client', before => \&have_unread, by => \&read_more, only => $committed },
    'session-aborted, read'   => { at => 'client', before => \&have_unread, by => \&read_in_vain, only => $aborting },

    'client-take'       => { at => 'client', before => \&let_wait, by => \&commit },
    'client-taken'      => { at => 'client', before => \&let_wait, by => \&commit },
    'client-deliver'    => { at => 'client', before => \&let_wait, by => \&commit },
    'client-count'      => { at => 'client', before => \&let_wait, by => \&commit },
    'client-unspill'    => { at => 'client', before => \&let_much_wait, by => \&commit },
    'client-hold'       => { at => 'client', before => \&pause_and_let_wait, by => \&commit, first => \&resume },
    'client-hold, polled' => { at => 'client', before => \&have_polled, by => \&commit, after => \&polls_all },
    'client-gather'     => { at => 'client', before => \&have_throttled, by => \&commit, after => \&polls_all },
    'client-release'    => { at => 'client', before => \&have_throttled, by => \&poll, after => \&polls_all },
    map({ ($_ => { at => 'client', before => \&have_params, by => \&set_params, after => \&keeps_params }) }
          qw(params-row params-evaluated params-taken params-part)),

    'client-exit'       => { at => 'client', by => \&leave, only => $exiting },
);

# A refresh comes to points of subscribing and of leaving too. If it fails, the old subscription goes on, with what came for it
# meanwhile; if it is the decoder that is lost, the refresh goes on with the next one.
my @by_refresh = (at => 'client', before => \&let_wait, by => \&refresh);
my @at_decoder = (at => 'decoder', before => \&let_wait, by => \&refresh, first => \&read_anew);
my $others_reset = [ 'reset q', '' ];
%walk = (
    %walk,
    map({ ("$_, refresh" => {@by_refresh}) } qw(subscribe-analysed subscribe-registered subscribe-attached subscribe-snapshot-taken
          subscribe-published session-commit subscription-drop)),
    map({ ("$_, refresh" => { @by_refresh, only => $committed }) } qw(session-committed registry-remove)),
    # All of its definition is there already.
    'registry-enter, refresh'  => { %{ $walk{'registry-enter'} }, @by_refresh, alloc => [ 0, 1, -1 ], after => undef },
    'definition-used, refresh' => { %{ $walk{'definition-used'} }, @by_refresh, after => undef },
    'session-aborted, refresh' => { @by_refresh, by => \&refresh_in_vain, only => $aborting },
    'subscription-pause, refresh' => { @by_refresh, before => \&pause_and_let_wait, first => \&resume },
    'decoder-attach, refresh' => {
        @at_decoder, told => [ [ qr/^(error|alloc)/ => $none ], [ qr/^exit/ => $others_reset ] ], fails => qr/^(error|alloc)/ },
    'decoder-attaching, refresh' => { @at_decoder, told => [ [ qr// => $others_reset ] ] },
    'decoder-attached, refresh'  => {@at_decoder},
    'decoder-detach, refresh'    => {@at_decoder},
);

sub point_of { my ($way) = @_; return $way =~ s/,.*//r }

# by_action(CASES, ACTION, ELSE): the first of [PATTERN, VALUE] whose pattern fits.
sub by_action {
    my ($cases, $action, $else) = @_;
    my ($case) = grep { $action =~ $_->[0] } @{ $cases // [] };
    return $case ? $case->[1] : $else;
}

# ---- what brings a process to a point --------------------------------------------------------------------------

# The victim's statement; its error, if any. After a crash of the server, that.
sub victim_says {
    my ($sql) = @_;
    $last_error = $victim->error($sql);
    return;
}

sub change { change_rows($writer); return }
sub change_a_lot { $victim->rows('BEGIN'); change_much($writer); return }
# Nobody takes it meanwhile: a client of this program that does not read would stop in the middle.
sub change_once_hugely { $_->rows('BEGIN') for $client, $victim; change_hugely($writer); return }
sub change_too_much { change_once_hugely(); change_hugely($writer); return }

# The point may end the connection before or after the answer.
sub subscribe_more {
    victim_says(q{SELECT live.subscribe('more', '} . query_text() . q{')});
    return;
}

# With a template that nobody else has.
sub subscribe_another {
    victim_says(q{SELECT live.subscribe('more', 'SELECT id FROM t WHERE n > 5')});
    return;
}

sub subscribe_in_vain {
    $victim->rows('BEGIN');
    subscribe_more();
    victim_says('ROLLBACK');
    return;
}

sub have_more { $victim->subscribe('more', query_text()); return }
sub unsubscribe_more { victim_says(q{SELECT live.unsubscribe('more')}); return }
sub pause { victim_says(q{SELECT live.pause('q')}); return }
sub have_fragile {
    $writer->rows('UPDATE t SET n = 1 WHERE id = -9');
    $victim->subscribe('more', 'SELECT id, 10 / (n + 1000) AS part FROM t WHERE id < 0');
    return;
}

sub break_fragile { $writer->rows('UPDATE t SET n = -1000 WHERE id = -9'); return }

sub kill_other {
    victim_says('SELECT live.kill(live_id) FROM live_queries WHERE pid = ' . $client->pid);
    return;
}

sub have_throttled { have_polled(q{, throttle => '1 ms'}); return }

sub have_polled {
    my ($more) = @_;
    $victim->rows(q{SELECT live.subscribe('more', '} . query_text() . q{', delivery => 'poll'} . ($more // '') . ')');
    $victim->read_snapshot('more');
    let_wait();
    return;
}

# With changes that wait for the end of the snapshot, of which something was read in vain.
sub have_unread {
    $victim->rows(q{SELECT live.subscribe('more', '} . query_text() . q{')});
    $victim->rows(q{BEGIN; SELECT live.snapshot('more', 5); ROLLBACK});
    change_rows($writer);
    $writer->arrived;
    return;
}

sub query_with { my ($param) = @_; return "SELECT id, n, note FROM t WHERE n % 3 <> $param" }

# With changes that wait.
sub have_params {
    $victim->rows(q{SELECT live.subscribe('more', '} . query_with('$1') . q{', '{0}', delivery => 'poll')});
    $victim->read_snapshot('more');
    let_wait();
    return;
}

sub set_params { victim_says(q{SELECT live.set_params('more', '{1}'); COMMIT}); return }

sub read_more { victim_says(q{SELECT live.snapshot('more')}); return }
sub read_in_vain { victim_says(q{BEGIN; SELECT live.snapshot('more'); ROLLBACK}); return }

sub read_below_subscribe {
    victim_says(q{BEGIN; SELECT live.subscribe('more', '} . query_text() . q{'); SAVEPOINT a; SELECT live.snapshot('more'); COMMIT});
    return;
}

# Privileges of somebody else: the queries are analysed again, with the same result.
sub change_privileges {
    $writer->rows('GRANT SELECT ON t TO pg_monitor; REVOKE SELECT ON t FROM pg_monitor');
    change_rows($writer);
    return;
}

sub restart_decoder {
    $writer->rows('SELECT pg_terminate_backend(' . decoder_pid($node) . ')');
    return;
}

sub restart_launcher {
    $writer->rows(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'live_queries launcher'));
    return;
}

sub drop_extension {
    $writer->rows('DROP EXTENSION live_queries');
    $writer->rows('CREATE EXTENSION live_queries');
    return;
}

# Nobody watches, and a decoder does not wait for somebody who may come; see new_clients_watch.
sub stop_idle_decoder {
    $_->disconnect for $client, $victim;
    until_ok($node, 'SELECT subscriptions FROM live.workers', 0, 'nobody watches');
    $writer->rows($_) for q(ALTER SYSTEM SET live_queries.idle_timeout = 0), 'SELECT pg_reload_conf()';
    return;
}

sub let_wait {
    my ($changes) = @_;
    $victim->rows('BEGIN');
    ($changes // \&change_rows)->($writer);
    $writer->arrived;
    return;
}

sub let_much_wait { let_wait(\&change_much); return }
sub pause_and_let_wait { $victim->rows(q{SELECT live.pause('q')}); let_wait(); return }
sub refresh { victim_says(q{SELECT live.refresh('q'); COMMIT}); return }
sub refresh_in_vain { victim_says(q{SELECT live.refresh('q'); ROLLBACK}); return }
sub commit { victim_says('COMMIT'); return }
sub poll { victim_says('SELECT message FROM live.poll()'); return }
sub leave { $victim->disconnect; return }

# ---- what is to be seen after it -------------------------------------------------------------------------------

sub count_more { return asked($node, q{SELECT count(*) FROM live_queries WHERE subscription_id = 'more' AND status <> 'terminated'}) }
sub no_more { my ($name) = @_; is(count_more(), 0, "$name: no subscription remains"); return }

sub still_more {
    my ($name) = @_;
    is(count_more(), 1, "$name: the subscription goes on");
    $victim->rows(q{SELECT live.unsubscribe('more')});
    return;
}

sub huge_rows_go { asked($node, 'DELETE FROM t WHERE length(note) > 500'); return }
sub resume { $victim->rows(q{SELECT live.resume('q')}); return }

# The snapshot of a refresh that has gone on with the next decoder.
sub read_anew {
    my ($name, $failed) = @_;
    return if $failed;
    is($last_error->{M}, 'no error', "$name: the refresh goes on");
    is(collect($victim), 0, "$name: the old subscription was told of changes only");
    $victim->read_snapshot('q');
    return;
}

sub apply_polled {
    my ($rows) = @_;
    for my $message (map { JSON::PP->new->utf8->decode($_->[0]) } @$rows) {
        die "a message $message->{type}" if $message->{type} ne 'changes';
        LiveQueries::apply_changes($victim->{states}{more}, $message);
    }
    return;
}

# Once more, as the first attempt was undone.
sub reads_all {
    my ($name) = @_;
    $victim->read_snapshot('more');
    change_rows($writer);
    ok($victim->follow('more'), "$name: no reset");
    is_deeply($victim->state_of('more'), $victim->rows_now(query_text()), "$name: the rows and what follows are complete");
    $victim->rows(q{SELECT live.unsubscribe('more')});
    return;
}

# Nothing is lost and nothing comes twice.
sub polls_all {
    my ($name) = @_;
    $victim->rows(q{SELECT live.pause('more')});
    is($victim->value(q{SELECT count(*) FROM live.poll()}), 0, "$name: nothing while it is paused");
    change_rows($writer);
    $victim->arrived;
    $victim->rows(q{SELECT live.resume('more')});
    ok(eval { apply_polled($victim->rows('SELECT message FROM live.poll()')); 1 }, "$name: the polled messages fit") or diag $@;
    is_deeply($victim->state_of('more'), $victim->rows_now(query_text()), "$name: and are complete");
    $victim->rows(q{SELECT live.unsubscribe('more')});
    return;
}

# The change was undone, and can be made then.
sub keeps_params {
    my ($name) = @_;
    for my $param (0, 2) {
        $victim->rows(qq{SELECT live.set_params('more', '{$param}')});
        change_rows($writer);
        $victim->arrived;
        ok(eval { apply_polled($victim->rows('SELECT message FROM live.poll()')); 1 }, "$name: what is polled fits") or diag $@;
        is_deeply($victim->state_of('more'), $victim->rows_now(query_with($param)), "$name: and is complete with the parameter $param");
    }
    $victim->rows(q{SELECT live.unsubscribe('more')});
    return;
}

sub start_clients {
    ($client, $victim, $writer) = map { connect_client($node) } 1 .. 3;
    watch($_) for $client, $victim;
    return;
}

# brought(WAY, ACTION, ARGUMENT, NAME): something comes to the point. It is set once all is prepared, so that nobody else comes
# to it before.
sub brought {
    my ($way, $action, $argument, $name) = @_;
    my $point = point_of($way);
    my $step = $walk{$way};
    undef $last_error;
    $client->rows('BEGIN') if $step->{at} eq 'client'; # it takes nothing itself meanwhile
    $step->{before}->() if $step->{before};
    set_fault($node, $point, $action, $argument, 1, $step->{skip});
    # In a crash the connection of whoever is at it breaks.
    eval { $step->{by}->(); 1 } or $action eq 'kill' or die $@;
    my $seen = $action eq 'kill' ? qr/was terminated by signal 9/ : $argument ? qr/$point: no shared memory/ : qr/$point: reached/;
    ok(wait_until(sub { slurp_file($node->logfile, $log_start) =~ $seen }), "$name: it happens");
    release($node, $point) if $action ne 'kill'; # which has lost all of them
    return;
}

# A client of a decoder that was lost refreshes; others have missed nothing.
sub recovers {
    my ($connection, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    told_is($connection, $expected, $name);
    rewatch($connection) if $expected =~ /reset q/;
    watch($connection) if $expected =~ /terminated q/;
    change_rows($writer);
    is_exact($connection, "$name: exact");
    return;
}

sub end_clients {
    my ($name) = @_;
    $_->disconnect for grep { defined && $_->{socket}->opened } $client, $victim, $writer;
    undef $victim;
    nothing_left($node, $name);
    huge_rows_go();
    return;
}

sub new_clients_watch {
    my ($name) = @_;
    $node->safe_psql('postgres', 'ALTER SYSTEM RESET live_queries.idle_timeout');
    $node->reload;
    start_clients();
    change_rows($writer);
    is_exact($_, "$name: a new client") for $client, $victim;
    is_clean($node, $name, 2);
    end_clients($name);
    return;
}

# ---- the walk --------------------------------------------------------------------------------------------------

sub starts_over {
    my ($name) = @_;
    comes_back($node, $name);
    $node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS live_queries');
    # The writer may have been ended between PREPARE TRANSACTION and COMMIT PREPARED; nothing decodes before that is over.
    my $prepared = $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
    $node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") for split /\n/, $prepared;
    end_clients($name);
    is(asked($node, 'SELECT count(*) FROM pg_replication_slots'), 0, "$name: no slot is left");
    return new_clients_watch($name);
}

# After the error of its statement the victim is there; it is not if its process has ended.
sub statement_failed {
    my ($way, $case, $name) = @_;
    my $says = by_action($walk{$way}{says}, $case, 'fault point ' . point_of($way));
    is($last_error->{M}, $says, "$name: the victim's statement tells");
    undef $victim if $case eq 'exit' && $walk{$way}{at} eq 'client';
    return;
}

sub goes_on {
    my ($way, $case, $name) = @_;
    my $step = $walk{$way};
    my ($for_client, $for_victim) = @{ by_action($step->{told}, $case, $step->{at} eq 'decoder' ? $reset : $none) };
    my $failed = $step->{at} eq 'client' || ($step->{fails} && $case =~ $step->{fails});
    statement_failed($way, $case, $name) if $failed;
    if ($step->{at} eq 'client') {
        $client->rows('COMMIT');
        $victim->error('ROLLBACK') if $victim;
    } else {
        $_->error('ROLLBACK') for $client, $victim;
        # What it was about to get may have been there after all.
        $victim->error(q{SELECT live.unsubscribe('more')}) if $for_victim !~ /more/;
        decoder_pid($node);
    }
    $step->{first}->($name, $failed) if $step->{first} && $victim;
    recovers($client, $for_client, "$name, client");
    recovers($victim, $for_victim, "$name, victim") if $victim;
    $step->{after}->($name) if $step->{after} && $victim;
    is_clean($node, $name, $victim ? 2 : 1);
    end_clients($name);
    return;
}

# With more than fits into the shared memory that the server starts with.
sub note_segments {
    $client->rows(q{SELECT live.subscribe('large', 'SELECT id FROM t --' || repeat('x', 1200000), snapshot => false)});
    ++$kills;
    ++$segments{$_} for shared_segments($node);
    return;
}

sub walk_to {
    my ($way, $action, $argument) = @_;
    my $case = $action eq 'alloc' ? "alloc $argument" : $action;
    my $name = "$way $case";
    $log_start = -s $node->logfile;
    start_clients();
    note_segments() if $action eq 'kill';
    brought($way, $action, $argument, $name);
    return starts_over($name) if $action eq 'kill';
    return new_clients_watch($name) if $walk{$way}{alone};
    return goes_on($way, $case, $name);
}

my $root = dirname(__FILE__) . '/../..';
# Those of the second consumer are reached in 006, those of evaluators in 008.
my @points = grep { !/^(?:second-consumer|evaluator-.*)$/ } fault_points($root);
my %ways;
push @{ $ways{ point_of($_) } }, $_ for sort keys %walk;
is_deeply([ sort keys %ways ], \@points, 'the walk knows every fault point of the sources, and no other');
is_deeply([ allocating_files($root) ], ['shared_memory.cpp'], 'all that is allocated in shared memory is counted');

# For a look at some of them.
@points = split /,/, $ENV{FAULT_POINTS} if $ENV{FAULT_POINTS};
my @segments_first = shared_segments($node);
for my $action (qw(error exit alloc kill)) {
    for my $way (map { @{ $ways{$_} } } @points) {
        next if $walk{$way}{only} && $action ne 'kill';
        walk_to($way, $action, $_) for $action eq 'alloc' ? @{ $walk{$way}{alloc} // [0] } : 0;
    }
}

# A crash sets the counters of shared memory to zero; segments that it leaves show in their directory alone.
my @segments = shared_segments($node);
cmp_ok(scalar keys %segments, '>=', 2 * $kills, 'before each crash the server had made segments of dynamic shared memory');
delete @segments{@segments};
is_deeply([ grep { -e } sort keys %segments ], [], 'none of them is left over');
is(@segments, @segments_first, 'and there are as many as at the start');

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:)|WARNING: .*(leak|still referenced)|terminated by signal (?!9\b)/, 'no other crash, no leak');
done_testing();
