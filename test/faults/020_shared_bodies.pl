# What many are told alike stands in shared memory once: it is there as long as somebody has not read it, counts for who keeps
# it there, and is gone with the last one, however that one leaves and wherever the worker ends while it is published.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('bodies', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.spill_size = 1MB
    live_queries.idle_timeout = 1h
    CONF
my $writer = connect_client($node);
my $json = JSON::PP->new->utf8;
my $next_id = 1000;
my $query = 'SELECT id, n, note FROM t WHERE id >= 1000';

# What a block and a record in it take, at most, without the text.
my $block_bytes = 200;

# How many pieces and bytes there are; all of them are charged, each once.
sub used {
    my $left_over = asked($node, 'SELECT fault_leftovers()');
    my ($pieces, $bytes) = $left_over =~ /^pieces (\d+), bytes (\d+), of roles \2,/ or die "what is allocated is not charged once: $left_over";
    return ($pieces, $bytes);
}

sub used_becomes {
    my ($pieces, $bytes, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return until_ok($node, q{SELECT split_part(fault_leftovers(), ', connections', 1)},
        "pieces $pieces, bytes $bytes, of roles $bytes", $name);
}

# waiting(COUNT, SQL, DELIVERY): clients with one live query each, of which none takes anything before its COMMIT.
sub waiting {
    my ($count, $text, $delivery) = @_;
    my @clients = map { connect_client($node) } 1 .. $count;
    for my $client (@clients) {
        subscribe_to($client, 'q', $text, $delivery);
        $client->rows('BEGIN');
    }
    return @clients;
}

sub subscribe_to {
    my ($client, $id, $text, $delivery, @params) = @_;
    my $array = '{' . join(',', @params) . '}';
    $delivery //= 'notify';
    $client->rows(qq{SELECT live.subscribe('$id', '} . ($text // $query) . qq{', '$array', false, '$delivery')});
    return;
}

# A row whose message has about so many bytes, in every mailbox when this returns; or when the worker that tells it is gone.
sub add_row {
    my ($bytes, $lost) = @_;
    my $id = $next_id++;
    $writer->rows("INSERT INTO t VALUES ($id, 1, repeat('x', $bytes))");
    $writer->arrived unless $lost;
    return $id;
}

# What has come, in words: a key for changes, with the length of the note if that is wanted.
sub in_words {
    my ($message) = @_;
    return $message->{type} if $message->{type} ne 'changes';
    return join ' ', map { "$_->{op} $_->{key}[0] " . length($_->{row}{note} // '') } @{ $message->{changes} };
}

sub told {
    my ($client) = @_;
    return join ', ', map { in_words($_->{message}) } $client->synced;
}

sub polled {
    my ($client) = @_;
    return join ', ', map { in_words($json->decode($_->[0])) } @{ $client->rows('SELECT message FROM live.poll()') };
}

sub done {
    my ($name, @clients) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $_->disconnect for @clients;
    nothing_left($node, $name);
    $writer->rows('DELETE FROM t WHERE id >= 1000');
    return;
}

# ---- once, for all ----------------------------------------------------------------------------------------------

for my $delivery (qw(notify poll)) {
    my @clients = waiting(10, $query, $delivery);
    my @before = used();
    my $id = add_row(5000);
    my @after = used();
    is($after[0] - $before[0], 11, "$delivery: a block for each of ten, and one text");
    cmp_ok($after[1] - $before[1], '<', 5300 + 10 * $block_bytes, "$delivery: which stands there once");
    $_->rows('COMMIT') for @clients[ 0 .. 4 ];
    my @half = used();
    is($half[0] - $before[0], 6, "$delivery: half of them have read it, and let go of their blocks");
    cmp_ok($half[1] - $before[1], '>', 5000, "$delivery: the text is there for the others");
    $_->rows('COMMIT') for @clients[ 5 .. 9 ];
    used_becomes(@before, "$delivery: all have read it, and it is gone");
    is($delivery eq 'poll' ? polled($_) : told($_), "insert $id 5000", "$delivery: each has it whole") for @clients;
    done("once, $delivery", @clients);
}

# Several texts in one block, of one transaction and of several, among others of their own.
{
    my @clients = waiting(6);
    subscribe_to($clients[0], 'own', 'SELECT id, note FROM t WHERE n = 7 AND id >= 1000');
    $clients[0]->rows('COMMIT');
    $clients[0]->rows('BEGIN');
    my @before = used();
    hold($node, 'decoder-evaluate');
    $writer->rows("INSERT INTO t SELECT i, 7, repeat('y', i) FROM generate_series(1000, 1002) i");
    $writer->rows("INSERT INTO t VALUES (1003, 7, repeat('z', 500))");
    wait_held($node, 'decoder-evaluate');
    $writer->rows("UPDATE t SET n = 8, note = 'short' WHERE id = 1000");
    release($node, 'decoder-evaluate');
    $writer->arrived;
    my ($blocks) = map { $_ - $before[0] } (used())[0];
    cmp_ok($blocks, '<=', 18, 'blocks and texts of three transactions');
    $_->rows('COMMIT') for @clients;
    my $expected = 'insert 1000 1000 insert 1001 1001 insert 1002 1002, insert 1003 500, update 1000 5';
    my $own = $expected =~ s/update/delete/r =~ s/5$/1000/r;
    my %told;
    for my $message (map { $_->{message} } $clients[0]->synced) {
        my $id = $message->{subscription_id};
        $told{$id} = join ', ', $told{$id} // (), in_words($message);
    }
    is_deeply(\%told, { q => $expected, own => $own }, 'each live query of one connection has its own, whole and in order');
    is(told($_), $expected, 'as have the others') for @clients[ 1 .. 5 ];
    used_becomes(@before, 'and nothing is left of them');
    $next_id = 1004;
    done('several texts', @clients);
}

# Ten on one connection: the block has it once.
{
    my $client = connect_client($node);
    subscribe_to($client, "q$_") for 1 .. 10;
    $client->rows('BEGIN');
    my @before = used();
    my $id = add_row(20_000);
    my @after = used();
    is($after[0] - $before[0], 2, 'ten on one connection: a block and a text');
    cmp_ok($after[1] - $before[1], '<', 21_500, 'ten on one connection: they take little more than one');
    is(scalar(temp_files($node)), 0, 'and fit into a mailbox that would not hold ten copies');
    $client->rows('COMMIT');
    is(told($client), join(', ', ("insert $id 20000") x 10), 'each has it');
    used_becomes(@before, 'ten on one connection: it is gone');
    done('one connection', $client);
}

# What is not worth it, or is another text.
{
    my @clients = waiting(3);
    my @before = used();
    add_row(5000);
    is((used())[0] - $before[0], 3, 'three take copies');
    done('three', @clients);
    @clients = waiting(5, 'SELECT id FROM t WHERE id >= 1000');
    @before = used();
    add_row(5000);
    is((used())[0] - $before[0], 5, 'a short text is copied for any number');
    done('short', @clients);
}

# Other parameters, each with a route of its own, but the same row.
{
    my @clients = map { connect_client($node) } 1 .. 6;
    subscribe_to($clients[$_], 'q', 'SELECT id, n, note FROM t WHERE id >= $1', 'notify', 500 + $_) for 0 .. 5;
    $_->rows('BEGIN') for @clients;
    my @before = used();
    my $id = add_row(5000);
    is((used())[0] - $before[0], 7, 'six routes of one template have written the same: it is there once');
    $_->rows('COMMIT') for @clients;
    is(told($_), "insert $id 5000", 'and told to each') for @clients;
    done('other parameters', @clients);
}

# ---- whose it is ------------------------------------------------------------------------------------------------

# One who has become that role after the connection was made, which counts for the role that has logged in.
{
    asked($node, 'CREATE ROLE one LOGIN; GRANT SELECT ON t TO one; SELECT 1');
    my @clients = map { connect_client($node, user => 'one') } 1 .. 3;
    push @clients, map { connect_client($node) } 1 .. 3;
    for my $other (@clients[ 3 .. 5 ]) {
        subscribe_to($other, 'first', 'SELECT id FROM t WHERE n = -1');
        $other->rows('SET SESSION AUTHORIZATION one');
    }
    subscribe_to($_, 'q') for @clients;
    $_->rows('BEGIN') for @clients;
    my @before = used();
    my $id = add_row(5000);
    my @after = used();
    is($after[0] - $before[0], 7, 'of two session roles, one shares a text');
    cmp_ok($after[1] - $before[1], '>', 4 * 5000, 'and those of the other have copies');
    $_->rows('COMMIT') for @clients;
    is(told($_), "insert $id 5000", 'all are told it') for @clients;
    done('two roles', @clients);
}

# Its role is charged as long as anyone of it has it, and who reads is not kept from anything by who does not.
{
    my @clients = waiting(5);
    my @before = used();
    add_row(10_000) for 1 .. 5;
    my @full = used();
    is($full[0] - $before[0], 30, 'five rows for five');
    cmp_ok($full[1] - $before[1], '<', 51_500 + 25 * $block_bytes, 'stand there once');
    add_row(10_000) for 1 .. 2;
    is((used())[0] - $full[0], 6, 'each counts in full for each mailbox: the seventh does not fit into 64 kB');
    is(scalar(temp_files($node)), 5, 'and goes to the files of all');
    $_->rows('COMMIT') for @clients[ 1 .. 4 ];
    is((used())[0] - $before[0], 12, 'who does not read keeps what it has');
    my $id = add_row(10_000);
    is(scalar(my @told = $_->synced), 8, 'the others go on') for @clients[ 1 .. 4 ];
    is((used())[0] - $before[0], 12, 'who spills has no share in what the others have');
    $clients[0]->rows('COMMIT');
    is(told($clients[0]), join(', ', map { "insert $_ 10000" } $id - 7 .. $id), 'and has all of it in the end, in order');
    used_becomes(@before, 'of which nothing is left');
    done('a full mailbox', @clients);
}

# Too long for a mailbox: a file has the text itself.
{
    my @clients = waiting(5);
    my @before = used();
    my $id = add_row(70_000);
    used_becomes(@before, 'what goes to files takes no shared memory');
    $_->rows('COMMIT') for @clients;
    is(told($_), "insert $id 70000", 'and is told whole') for @clients;
    done('files', @clients);
}

# More than a batch keeps in memory, in several parts.
{
    my @clients = waiting(4);
    my @before = used();
    $writer->rows("INSERT INTO t SELECT i, 1, repeat('h', 1000) FROM generate_series(2000, 2699) i");
    $writer->arrived;
    used_becomes(@before, 'a large transaction goes to files');
    for my $client (@clients) {
        $client->rows('COMMIT');
        my @rows = map { @{ $_->{message}{changes} } } $client->synced;
        is(join(' ', map { $_->{key}[0] } @rows), join(' ', 2000 .. 2699), 'all of it is told');
    }
    done('a large transaction', @clients);
}

# ---- no memory --------------------------------------------------------------------------------------------------

# The first allocation for the first mailbox is that of the text, the second that of the block.
for my $which (1, 2) {
    my @clients = waiting(6);
    my @before = used();
    set_fault($node, 'mailbox-put', 'alloc', $which);
    my $id = add_row(5000);
    is((used())[0] - $before[0], 6, "no memory for piece $which: five share a text");
    is(scalar(temp_files($node)), 1, "no memory for piece $which: one has it in its file");
    $_->rows('COMMIT') for @clients;
    is(told($_), "insert $id 5000", "no memory for piece $which: all are told it") for @clients;
    used_becomes(@before, "no memory for piece $which: nothing is left");
    done("no memory for piece $which", @clients);
}

# ---- the worker ends while it publishes -------------------------------------------------------------------------

# lost(NAME, HAVE, SET): it ends when so many have their block; they and the others are reset, and go on.
sub lost {
    my ($name, $have, @fault) = @_;
    my @clients = waiting(6);
    my @before = used();
    my $pid = decoder_pid($node);
    my $log_start = -s $node->logfile;
    set_fault($node, @fault);
    add_row(5000, 1);
    ok(wait_until(sub { decoder_pid($node) != $pid }), "$name: another worker comes");
    release($node, $fault[0]);
    poll_ok($node, q{SELECT state = 'running' FROM live.workers}, "$name: and runs");
    # For each a block with its reset, beside what had come before.
    my $pieces = $before[0] + 6 + $have + ($have > 0 ? 1 : 0);
    until_ok($node, q{SELECT split_part(fault_leftovers(), ',', 1)}, "pieces $pieces", "$name: what they have stays, and no more");
    for my $client (@clients) {
        $client->rows('COMMIT');
        like(told($client), qr/^(?:insert \d+ 5000, )?reset$/, "$name: told at most once, and reset");
    }
    used_becomes(@before, "$name: nothing is left");
    $_->refresh('q') for @clients;
    $_->rows('BEGIN') for @clients;
    my $id = add_row(5000);
    is((used())[0] - $before[0], 7, "$name: the next one shares again");
    $_->rows('COMMIT') for @clients;
    is(told($_), "insert $id 5000", "$name: and all are told it") for @clients;
    done($name, @clients);
    return;
}
for my $action (qw(error exit)) {
    lost("$action before the first", 0, 'mailbox-put', $action);
    lost("$action before the fourth", 3, 'mailbox-put', $action, 0, 1, 3);
    lost("$action behind the first", 1, 'decoder-wake', $action);
    lost("$action behind the last", 6, 'decoder-wake', $action, 0, 1, 5);
    lost("$action when all is published", 6, 'decoder-published', $action);
}
lost("error for want of memory for $$_[0]", $$_[2], 'mailbox-put', 'alloc', $$_[1], 1, $$_[3])
  for [ 'the text', -1, 0, 0 ], [ 'the first block', -2, 0, 0 ], [ 'the fourth block', -1, 3, 3 ];

# ---- whoever has it leaves --------------------------------------------------------------------------------------

# By the ways in which a session ends, with the text in its mailbox.
for my $way (qw(disconnect terminate unsubscribe discard)) {
    my @clients = waiting(5);
    my @before = used();
    add_row(5000);
    my $victim = shift @clients;
    if ($way eq 'terminate') {
        asked($node, 'SELECT pg_terminate_backend(' . $victim->pid . ')');
    } elsif ($way eq 'disconnect') {
        $victim->disconnect;
    } else {
        $victim->rows($_) for $way eq 'discard' ? ('COMMIT', 'DISCARD ALL') : (q{SELECT live.unsubscribe('q')}, 'COMMIT');
    }
    until_ok($node, q{SELECT count(*) FROM live_queries WHERE status <> 'terminated'}, 4, "$way: it leaves");
    cmp_ok((used())[1] - $before[1], '>', 5000 - 2000, "$way: the text is there for the others");
    my $last = pop @clients;
    $_->rows('COMMIT') for @clients;
    like(told($_), qr/^insert \d+ 5000$/, "$way: who has it") for @clients;
    asked($node, 'SELECT pg_terminate_backend(' . $last->pid . ')');
    done($way, @clients, $victim);
}

# At each step between the mailbox and the client, by an error, which is followed by another attempt, and by an end.
my %steps = (
    notify => [qw(client-take client-taken client-deliver client-count)],
    poll   => [qw(client-take client-taken client-hold client-count)],
);
for my $delivery (sort keys %steps) {
    for my $point (@{ $steps{$delivery} }) {
        for my $action (qw(error exit)) {
            my $name = "$point $action, $delivery";
            my @clients = waiting(5, $query, $delivery);
            my @before = used();
            my $id = add_row(5000);
            set_fault($node, $point, $action);
            my ($victim, @others) = @clients;
            # An error in the commit undoes it, and what is delivered is so at the next.
            isnt($victim->error($delivery eq 'poll' ? 'SELECT count(*) FROM live.poll()' : 'COMMIT')->{C}, '00000', "$name: it happens");
            release($node, $point);
            my $tell = sub { return $delivery eq 'poll' ? polled($_[0]) : told($_[0]) };
            if ($action eq 'error') {
                $victim->error('ROLLBACK');
                is($tell->($victim), "insert $id 5000", "$name: told once");
            }
            cmp_ok((used())[1], '>', 5000, "$name: the text is there for the others");
            $_->rows('COMMIT') for @others;
            is($tell->($_), "insert $id 5000", "$name: the others have it") for @others;
            used_becomes(@before, "$name: nothing is left") if $action eq 'error';
            done($name, @clients);
        }
    }
}

# What cannot be delivered at all is thrown away, and its share with it.
{
    my @clients = waiting(5);
    my $victim = $clients[0];
    $victim->rows($_) for 'COMMIT', q{SELECT live.pause('q')}, 'BEGIN';
    my @before = used();
    my $id = add_row(5000);
    set_fault($node, 'client-hold', 'error', 0, 3);
    isnt($victim->error('COMMIT')->{C}, '00000', 'nothing can be held');
    ok(wait_until(sub { $victim->error('SELECT 1')->{C} eq '00000' }), 'after some attempts it is given up');
    release($node, 'client-hold');
    is((used())[0] - $before[0], 5, 'its block is gone, and the text is there for the others');
    $victim->rows(q{SELECT live.resume('q')});
    is(told($victim), 'reset', 'it is told a reset');
    $_->rows('COMMIT') for @clients[ 1 .. 4 ];
    is(told($_), "insert $id 5000", 'the others have it') for @clients[ 1 .. 4 ];
    used_becomes(@before, 'given up: nothing is left');
    done('given up', @clients);
}

# ---- all at one time --------------------------------------------------------------------------------------------

# Everyone comes, reads, leaves, or is ended while others are told the same.
for my $share_all (qw(off on)) {
    $node->safe_psql('postgres', "ALTER SYSTEM SET live_queries.test_share_all = $share_all");
    $node->reload;
    my $seed = $ENV{BODIES_SEED} // int(rand(1 << 30));
    note("BODIES_SEED=$seed");
    srand($seed);
    my @clients;
    for my $turn (1 .. 150) {
        while (@clients < 7) {
            my $client = connect_client($node);
            subscribe_to($client, "q$_", $query, rand() < 0.5 ? 'poll' : 'notify') for 1 .. 1 + int rand 4;
            $client->{in} = 0;
            push @clients, $client;
        }
        my $i = int rand @clients;
        my $client = $clients[$i];
        my $what = rand;
        if ($what < 0.3) {
            $client->rows($client->{in} ? rand() < 0.5 ? 'COMMIT' : 'ROLLBACK' : 'BEGIN');
            $client->{in} = !$client->{in};
        } elsif ($what < 0.7) {
            add_row(int rand(rand() < 0.2 ? 30_000 : 500), rand() < 0.7);
        } elsif ($what < 0.8) {
            $client->rows('SELECT count(*) FROM live.poll(3)');
        } elsif ($what < 0.85) {
            $client->rows(q{SELECT live.unsubscribe('q1')});
        } elsif ($what < 0.93) {
            asked($node, 'SELECT pg_terminate_backend(' . $client->pid . ')');
            splice @clients, $i, 1;
        } elsif ($what < 0.98) {
            $client->disconnect;
            splice @clients, $i, 1;
        } else {
            $writer->rows('SELECT pg_terminate_backend(' . decoder_pid($node) . ')');
        }
    }
    done("all at one time, all shared: $share_all", @clients);
}

$writer->disconnect;
nothing_left($node, 'at the end');
$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC:|TRAP:|was terminated by signal|AbortTransaction while|damaged messages)|WARNING: .*(leak|still referenced)/,
    'no crash, no leak, nothing damaged');
done_testing();
