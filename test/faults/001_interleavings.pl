# Exactly once, whatever happens between two steps: a subscriber, the decoder and a client that takes its messages are held
# at each of their steps while writers commit. After that the first result and the messages must give the query's
# result, each change once.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_fault_node('held', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.idle_timeout = 1h
    CONF

my @subscribing = qw(subscribe-analysed subscribe-registered subscribe-attached subscribe-snapshot-taken);
my @attaching = qw(decoder-attaching decoder-attached);
my @decoding = qw(decode-commit decoder-evaluate decoder-evaluated decoder-publish decoder-published);

my ($writer, $early, $late) = map { connect_client($node) } 1 .. 3;
# Somebody who watches already, so that every commit is decoded, evaluated and published.
my $other = watch(connect_client($node));

# Ways to begin: subscribe, alone and beside others whose first results nobody reads, of the same strategy and of both; and the
# refresh of a subscription.
sub many {
    my ($before, $after) = @_;
    my @queries = ([ before => $before ], [ q => query_text() ], [ after => $after ]);
    my $array = join ', ', map { sprintf '{"subscription_id": "%s", "query": "%s"}', @$_ } @queries;
    return "SELECT count(*) FROM live.subscribe_many('[$array]')";
}

my %ways = (
    subscribe => q{SELECT live.subscribe('q', '} . query_text() . q{')},
    several   => many('SELECT id FROM t', 'SELECT n FROM t WHERE id < 5'),
    mixed     => many('SELECT n, count(*) FROM t GROUP BY n', 'SELECT id FROM t'),
    refresh   => q{SELECT live.refresh('q')});

# begin_held(CLIENT, WAY): sends the command, after transactions have begun that end in the middle of it, and after it.
sub begin_held {
    my ($client, $way) = @_;
    begin_early($early, -1);
    begin_early($late, -2);
    prepare_changes($writer, -3, 'early');
    $client->send_query($ways{$way});
    return;
}

sub end_early {
    commit_early($early, -1);
    $writer->rows(q(COMMIT PREPARED 'early'));
    return;
}

# The command has to end now. What comes before the new snapshot belongs to the old feed.
sub finish_held {
    my ($client, $way) = @_;
    my $result = $client->finish;
    die "$way: $result->{error}{M}" if $result->{error};
    collect($client);
    $client->{xids} = {};
    $client->read_snapshot('q');
    return;
}

sub compare_held {
    my ($client, $name) = @_;
    commit_early($late, -2);
    change_rows($writer);
    is_exact($client, $name);
    is_exact($other, "$name: the other client");
    $client->disconnect;
    return;
}

sub new_client {
    my ($way) = @_;
    my $client = connect_client($node);
    return $way eq 'refresh' ? watch($client) : $client;
}

# The decoder stands at a step of handling a transaction.
sub while_decoding {
    my ($way, $step, $decoder_step, $first) = @_;
    my $client = new_client($way);
    hold($node, $step);
    begin_held($client, $way);
    wait_held($node, $step);
    change_rows($writer);
    hold($node, $decoder_step);
    change_rows($writer);
    wait_held($node, $decoder_step);
    change_rows($writer);
    end_early();
    if ($first eq 'decoder') {
        release($node, $decoder_step);
        settled($other);
        change_rows($writer);
        release($node, $step);
        finish_held($client, $way);
    } else { # whoever reads a first result to its end waits until the decoder is as far
        release($node, $step);
        change_rows($writer);
        release($node, $decoder_step);
        finish_held($client, $way);
    }
    compare_held($client, "$way at $step, $decoder_step, $first goes on first");
    return;
}

# The decoder stands at a step of attaching this very subscriber.
sub while_attaching {
    my ($way, $step, $decoder_step, $first) = @_;
    my $client = new_client($way);
    hold($node, $_) for $decoder_step, $step;
    begin_held($client, $way);
    if ($step eq 'subscribe-analysed') {
        wait_held($node, $step);
        change_rows($writer);
        release($node, $step);
        wait_held($node, $decoder_step);
        change_rows($writer);
        end_early();
        release($node, $decoder_step);
    } elsif ($step eq 'subscribe-registered') {
        wait_held($node, $_) for $step, $decoder_step;
        change_rows($writer);
        end_early();
        release($node, $first eq 'decoder' ? $decoder_step : $step);
        settled($other) if $first eq 'decoder';
        change_rows($writer);
        release($node, $first eq 'decoder' ? $step : $decoder_step);
    } else {
        wait_held($node, $decoder_step);
        change_rows($writer);
        release($node, $decoder_step);
        wait_held($node, $step);
        change_rows($writer);
        end_early();
        settled($other) if $first eq 'decoder';
        release($node, $step);
    }
    finish_held($client, $way);
    compare_held($client, "$way at $step, $decoder_step, $first goes on first");
    return;
}

for my $first (qw(decoder subscriber)) {
    for my $step (@subscribing) {
        while_decoding('subscribe', $step, $_, $first) for @decoding;
        while_attaching('subscribe', $step, $_, $first) for @attaching;
        for my $way (qw(several mixed refresh)) {
            while_decoding($way, $step, $_, $first) for qw(decoder-evaluate decoder-published);
            while_attaching($way, $step, $_, $first) for @attaching;
        }
    }
}

# A subscriber that gives up, or goes, in the middle.
for my $step (@subscribing) {
    for my $case ([qw(cancel subscribe)], [qw(terminate subscribe)], [qw(cancel mixed)], [qw(terminate mixed)]) {
        my ($how, $way) = @$case;
        my $client = connect_client($node);
        hold($node, $step);
        begin_held($client, $way);
        wait_held($node, $step);
        change_rows($writer);
        $writer->rows("SELECT pg_${how}_backend(" . $client->pid . ')');
        like($client->finish->{error}{C}, qr/^57/, "$how at $step of $way: the statement fails");
        release($node, $step);
        end_early();
        poll_ok($node, 'SELECT count(*) = 1 FROM live_queries', "$how at $step of $way: the subscription never was");
        if ($how eq 'cancel') {
            watch($client);
            change_rows($writer);
            is_exact($client, "$how at $step of $way: it can subscribe again");
        }
        commit_early($late, -2);
        is_exact($other, "$how at $step of $way: the other client");
        $client->disconnect;
    }
}

# A client that takes its messages stands while more come.
for my $step (qw(client-take client-taken)) {
    for my $decoder_step ('', qw(decoder-publish decoder-published mailbox-spill)) {
        for my $first ($decoder_step eq '' ? 'client' : qw(client decoder)) {
            my $name = "$step, " . ($decoder_step || 'the decoder runs') . ", $first goes on first";
            # Alone, so that it is this client's mailbox that the decoder fills.
            $other->disconnect;
            my $client = watch(connect_client($node));
            hold($node, $step);
            change_rows($writer);
            wait_held($node, $step);
            change_much($writer);
            hold($node, $decoder_step) if $decoder_step;
            change_much($writer);
            wait_held($node, $decoder_step) if $decoder_step;
            change_rows($writer);
            release($node, $first eq 'client' ? $step : $decoder_step);
            change_rows($writer);
            if ($first eq 'client') {
                $client->rows('SELECT 1'); # takes all that has been published
                release($node, $decoder_step) if $decoder_step;
            } else {
                $writer->arrived;
                release($node, $step);
            }
            change_rows($writer);
            is_exact($client, $name);
            $client->disconnect;
            $other = watch(connect_client($node));
        }
    }
}

# And one that reads its spill file, while more is spilled.
for my $decoder_step ('', 'mailbox-spill', 'decoder-published') {
    for my $first ($decoder_step eq '' ? 'client' : qw(client decoder)) {
        $other->disconnect;
        my $client = watch(connect_client($node));
        $client->rows('BEGIN');
        change_much($writer);
        $writer->arrived;
        hold($node, 'client-unspill');
        $client->send_query('COMMIT');
        wait_held($node, 'client-unspill');
        change_much($writer);
        hold($node, $decoder_step) if $decoder_step;
        change_much($writer);
        wait_held($node, $decoder_step) if $decoder_step;
        release($node, $first eq 'client' ? 'client-unspill' : $decoder_step);
        if ($first eq 'client') {
            is($client->finish->{error}, undef, 'the client reads its file');
            change_rows($writer);
            release($node, $decoder_step) if $decoder_step;
        } else {
            $writer->arrived;
            release($node, 'client-unspill');
            is($client->finish->{error}, undef, 'the client reads its file');
        }
        change_rows($writer);
        is_exact($client, 'client-unspill, ' . ($decoder_step || 'the decoder runs') . ", $first goes on first");
        $client->disconnect;
        $other = watch(connect_client($node));
    }
}

# While a subscriber is attached, its table's catalog entries are invalidated, and a TRUNCATE queues up behind its lock, so
# that nobody else can look whether its query is still the same.
{
    my $client = connect_client($node);
    hold($node, $_) for qw(decoder-evaluated subscribe-registered);
    change_rows($writer);
    wait_held($node, 'decoder-evaluated');
    $client->send_query($ways{subscribe});
    wait_held($node, 'subscribe-registered');
    change_rows($writer);
    hold($node, 'decode-commit');
    release($node, $_) for qw(subscribe-registered decoder-evaluated);
    wait_held($node, 'decode-commit'); # in the turn that attaches it
    $writer->rows('ANALYZE t');
    $late->send_query('TRUNCATE t');
    poll_ok($node, q(SELECT count(*) = 1 FROM pg_locks WHERE NOT granted), 'a TRUNCATE waits for the subscriber');
    release($node, 'decode-commit');
    finish_held($client, 'subscribe');
    is($late->finish->{error}, undef, 'then it goes on');
    change_rows($writer);
    is_exact($client, 'a table that others cannot lock while it is subscribed to');
    my @told = settled($other);
    is_deeply([ map { $_->{type} } @told ], ['reset'], 'who watched it before is told that rows may differ');
    rewatch($other);
    is_exact($other, 'and goes on');
    $client->disconnect;
}
$writer->rows(q(INSERT INTO t SELECT i, i, 'row ' || i FROM generate_series(-9, 30) i ON CONFLICT DO NOTHING));

sub set_server {
    my ($name, $value) = @_;
    $node->safe_psql('postgres', $value eq '' ? "ALTER SYSTEM RESET $name" : "ALTER SYSTEM SET $name = '$value'");
    $node->reload;
    poll_ok($node, "SELECT current_setting('$name') = '$value'", "$name is '$value'");
    return;
}

# The transaction of a commit that is in the log, but that new snapshots do not see yet: whoever subscribes now must wait
# until they do, or the change is in neither the snapshot nor the stream. A standby that never answers holds it there.
$other->disconnect; # nobody may watch the table, or its changes would be kept until they are visible
$writer->rows('CREATE TABLE aside (id int PRIMARY KEY)');
my $aside = connect_client($node);
$aside->subscribe('aside', 'SELECT id FROM aside');
for my $mutation ('', 'attach_at_once') {
    set_server('live_queries.debug_mutation', $mutation) if $mutation;
    my $client = connect_client($node);
    my $stuck = connect_client($node);
    set_server('synchronous_standby_names', 'nobody');
    commits_wait($node);
    $writer->rows('SET synchronous_commit = local');
    $stuck->send_query('UPDATE t SET n = n + 1 WHERE id = -5');
    poll_ok($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'), 'a commit waits for a standby');
    change_rows($writer);
    $writer->arrived; # it is decoded
    $client->send_query($ways{subscribe});
    if ($mutation) {
        finish_held($client, 'subscribe');
        pass('with attach_at_once: subscribe does not wait');
    } else {
        poll_ok($node, 'SELECT count(*) = 1 FROM pg_stat_activity WHERE state = \'active\' AND pid = ' . $client->pid, 'subscribe waits for it');
        sleep 0.1;
        is($client->_read(0), undef, 'and goes on waiting');
    }
    set_server('synchronous_standby_names', '');
    is($stuck->finish->{error}, undef, 'the commit ends');
    finish_held($client, 'subscribe') unless $mutation;
    change_rows($writer);
    if ($mutation) {
        ok(!agrees($client), 'with attach_at_once: a change is lost, and seen to be');
        set_server('live_queries.debug_mutation', '');
    } else {
        is_exact($client, 'a commit in the log that is not visible');
    }
    $writer->rows('RESET synchronous_commit');
    $_->disconnect for $client, $stuck;
}

# More than the decoder keeps in memory for one client, in one transaction.
for my $mutation ('', 'lose_before_spill') {
    set_server('live_queries.debug_mutation', $mutation) if $mutation;
    my $client = watch(connect_client($node));
    $client->rows('BEGIN');
    $writer->rows(q(INSERT INTO t SELECT i, 1, repeat('x', 1000) FROM generate_series(1000001, 1003000) i));
    change_rows($writer);
    $writer->arrived;
    $client->rows('COMMIT');
    if ($mutation) {
        ok(!agrees($client), 'with lose_before_spill: changes are lost, and seen to be');
        set_server('live_queries.debug_mutation', '');
    } else {
        is_exact($client, 'a transaction that is spilled before it is published');
    }
    $writer->rows('DELETE FROM t WHERE id > 1000000');
    $client->disconnect;
}

# Writing what waits for the clients is no part of evaluating their expressions, however long it takes.
{
    set_server('live_queries.evaluation_timeout', '1s');
    my $client = watch(connect_client($node));
    $client->rows('BEGIN');
    hold($node, 'mailbox-spill-ahead');
    $writer->rows(q(INSERT INTO t SELECT i, 1, repeat('x', 1000) FROM generate_series(1000001, 1003000) i));
    wait_held($node, 'mailbox-spill-ahead');
    sleep 1.5;
    release($node, 'mailbox-spill-ahead');
    $writer->arrived;
    $client->rows('COMMIT');
    is_exact($client, 'a disk that takes its time');
    set_server('live_queries.evaluation_timeout', '20s');
    $writer->rows('DELETE FROM t WHERE id > 1000000');
    $client->disconnect;
}

# A table that changes while the log with its old rows has not been read: what the decoder has seen of the catalogs meanwhile
# is not what those rows look like.
{
    $writer->rows($_) for 'CREATE TABLE other (id int PRIMARY KEY)', 'CREATE TABLE shaped (id int PRIMARY KEY, a int, note text, b int)',
      'ALTER TABLE shaped REPLICA IDENTITY FULL', q(INSERT INTO shaped VALUES (1, 1, 'one', 1));
    my ($of_other, $of_shaped) = map { connect_client($node) } 1 .. 2;
    $of_other->subscribe('q', 'SELECT id FROM other');
    $of_shaped->subscribe('q', 'SELECT id, note FROM shaped');
    my $decoder = decoder_pid($node);
    kill 'STOP', $decoder;
    # More than it evaluates at one time.
    $writer->rows('DO $$ BEGIN FOR i IN 1 .. 1500 LOOP INSERT INTO other VALUES (i); COMMIT; END LOOP; END $$');
    $writer->rows($_) for 'UPDATE shaped SET b = b + 1', q(INSERT INTO shaped VALUES (9, 9, 'nine', 9)), 'ALTER TABLE shaped ALTER a TYPE bigint';
    kill 'CONT', $decoder;
    my @told = map { $_->{message} } $of_shaped->next_message, $of_shaped->next_message;
    is($told[0]{type} eq 'changes' ? $told[0]{changes}[0]{row}{note} : $told[0]{type}, 'nine', 'an old row is read as it was');
    is($told[1]{type}, 'reset', 'and then its table has changed');
    is(decoder_pid($node), $decoder, 'the decoder lives');
    $_->disconnect for $of_other, $of_shaped;
}

# Somebody who joins with a view as it is now does not speak for who has it as it was.
{
    my $query = 'SELECT id FROM things_seen WHERE v >= 0';
    my %call = (
        1 => "SELECT live.subscribe('q', '$query')",
        2 => qq{SELECT live.subscribe_many('[{"subscription_id": "q", "query": "$query"}, {"subscription_id": "r", "query": "$query"}]')});
    $writer->rows($_) for 'CREATE TABLE things (id int PRIMARY KEY, kind int, v int)', 'ALTER TABLE things REPLICA IDENTITY FULL',
      'CREATE VIEW things_seen AS SELECT id, v FROM things WHERE kind = 1';
    for my $count (1, 2) {
        my ($former, $new) = map { connect_client($node) } 1 .. 2;
        $former->subscribe('q', $query);
        my $decoder = decoder_pid($node);
        kill 'STOP', $decoder;
        $writer->rows('CREATE OR REPLACE VIEW things_seen AS SELECT id, v FROM things WHERE kind = 1 + ' . $count);
        $new->send_query($call{$count});
        poll_ok($node, "SELECT count(*) = $count FROM live_queries WHERE pid = " . $new->pid, "$count new: begun");
        kill 'CONT', $decoder;
        is($new->finish->{error}, undef, "$count new: watched");
        is($former->next_message->{message}{type}, 'reset', "$count new: who has the view as it was is told");
        $_->disconnect for $former, $new;
    }
}

# A decoder that always has something to evaluate lets go of the log all the same.
{
    my $client = watch(connect_client($node));
    hold($node, 'decoder-evaluate');
    change_rows($writer);
    wait_held($node, 'decoder-evaluate');
    my $position = $writer->value('SELECT pg_current_wal_lsn()');
    ok( wait_until(sub {
            change_rows($writer);
            for my $steps ([qw(decoder-publish decoder-evaluate)], [qw(decoder-evaluate decoder-publish)]) {
                hold($node, $steps->[0]);
                release($node, $steps->[1]);
                wait_held($node, $steps->[0]);
            }
            return asked($node, "SELECT confirmed_flush_lsn > '$position' FROM pg_replication_slots") eq 't';
        }),
        'a busy decoder confirms its position');
    release($node, 'decoder-evaluate');
    is_exact($client, 'a busy decoder');
    $client->disconnect;
}

$_->disconnect for $aside, $writer, $early, $late;
poll_ok($node, 'SELECT count(*) = 0 FROM live_queries', 'nobody is left');
is_deeply([ temp_files($node) ], [], 'no file either');
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:|was terminated by signal)|WARNING: .*(leak|still referenced)/, 'no crash, no leak');
done_testing();
