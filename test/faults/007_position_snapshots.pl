# What an evaluator's snapshots show: clients read queries under them, while writers of every kind commit and VACUUM freezes and
# prunes, and each result must be what the decoded log says of that position. Then it is seen that deliberate bugs show.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use IPC::Run qw(start);
use List::Util qw(sum0);
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $rows = 600;
my $clients = 6; # each of pgbench writes rows of its own, so that none waits for another
my $node = new_fault_node('positions', <<~CONF);
    live_queries.idle_timeout = 1h
    max_prepared_transactions = 20
    max_worker_processes = 12
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE FUNCTION fault_await_evaluator() RETURNS void AS 'live_queries', 'live_queries_fault_await_evaluator' LANGUAGE C;
    CREATE FUNCTION fault_open_at_position(text, text) RETURNS pg_lsn AS 'live_queries', 'live_queries_fault_open_at_position'
      LANGUAGE C STRICT;
    SQL

# A slot of the test's own. Where the server asks for it, its output plugin is allowed first.
my $allow = $node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'")
  ? "SET output_plugin_libraries = 'test_decoding'; "
  : '';
$node->safe_psql('postgres', "${allow}SELECT pg_create_logical_replication_slot('history', 'test_decoding')");
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE a (id int PRIMARY KEY, g int NOT NULL, v int NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE b (id int PRIMARY KEY, g int NOT NULL, v int NOT NULL);
    CREATE INDEX ON a (g);
    CREATE INDEX ON b (id, g);
    INSERT INTO a SELECT i, i % 10, i FROM generate_series(0, $rows - 1) i;
    INSERT INTO b SELECT i, i % 7, i FROM generate_series(0, $rows - 1) i;
    SQL

# What pgbench runs. :own is a row of that client.
my $row = "\\set own random(0, ($rows - 1) / $clients) * $clients + :client_id\n\\set n random(0, 99)\n";
my @scripts = map { $row . $_ } (
    # A sum over both tables that no transaction changes.
    "BEGIN; UPDATE a SET v = v + :n WHERE id = :own; UPDATE b SET v = v - :n WHERE id = :own; COMMIT;\n",
    "BEGIN; UPDATE a SET v = v + :n WHERE id = :own; SAVEPOINT s; UPDATE b SET v = v - :n WHERE id = :own; SAVEPOINT t;"
      . " DELETE FROM a WHERE id = :own; ROLLBACK TO t; UPDATE a SET g = :n % 10 WHERE id = :own; RELEASE s; COMMIT;\n",
    "BEGIN; SET LOCAL synchronous_commit = off; UPDATE b SET v = v - :n WHERE id = :own; UPDATE a SET v = v + :n WHERE id = :own; COMMIT;\n",
    "BEGIN; UPDATE a SET v = v + :n WHERE id = :own; SAVEPOINT s; UPDATE b SET v = v - :n WHERE id = :own;"
      . " PREPARE TRANSACTION 'p:client_id';\nCOMMIT PREPARED 'p:client_id';\n",
    "BEGIN; DELETE FROM b WHERE id = :own; SAVEPOINT s; INSERT INTO b SELECT id, :n % 7, -v FROM a WHERE id = :own; SAVEPOINT t;"
      . " UPDATE b SET v = (SELECT 2 * id - v FROM a WHERE id = :own) WHERE id = :own; COMMIT;\n",
    "BEGIN; UPDATE a SET v = v + :n WHERE id = :own; UPDATE a SET v = v - :n WHERE id = :own; ROLLBACK;\n");
# More savepoints than a process shows to others.
push @scripts, $row . 'BEGIN; ' . join('', map { "SAVEPOINT s$_; UPDATE a SET g = $_ % 10 WHERE id = :own; " } 1 .. 80) . "COMMIT;\n";

sub start_writers {
    my ($seconds) = @_;
    my @files;
    for my $i (0 .. $#scripts) {
        my $file = $node->basedir . "/script$i.sql";
        append_to_file($file, $scripts[$i]) unless -e $file;
        push @files, '-f', $file . '@' . ($i == $#scripts ? 1 : 10);
    }
    my $out = '';
    my $run = start [
        'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', $clients, '-j', 2, '-T', $seconds, @files, 'postgres'
      ],
      '<', \undef, '>', \$out, '2>', \$out;
    return { run => $run, out => \$out };
}

sub number_of_values { return $_[0] * 1000003 + $_[1] * 7919 + $_[2] * 31 }
my $number = '(%1$s.id::int8 * 1000003 + %1$s.g::int8 * 7919 + %1$s.v::int8 * 31)';
my $number_a = sprintf $number, 'a';
my $number_b = sprintf $number, 'b';

# The queries, and the same from the rows that the history gives ({id => [g, v]} of each table). The plans are many.
my %queries = (
    all    => "SELECT count(*), coalesce(sum($number_a), 0)::int8 FROM a",
    b      => "SELECT count(*), coalesce(sum($number_b), 0)::int8 FROM b WHERE id >= 0",
    groups => "SELECT g, count(*), sum(v)::int8 FROM a WHERE g >= 0 GROUP BY g ORDER BY g",
    only   => 'SELECT count(*), sum(id * 31 + g)::int8 FROM b WHERE id >= 0',
    joined => "SELECT count(*), sum($number_a * 3 + $number_b)::int8 FROM a JOIN b ON a.id = b.id WHERE a.g < 8",
    rest   => 'SELECT a.id FROM a LEFT JOIN b ON a.id = b.id AND a.g = b.g WHERE b.id IS NULL ORDER BY 1');

sub answer {
    my ($query, $x, $y) = @_;
    my %answers = (
        all    => sub { scalar(keys %$x) . ' ' . sum0(map { number_of_values($_, @{ $x->{$_} }) } keys %$x) },
        b      => sub { scalar(keys %$y) . ' ' . sum0(map { number_of_values($_, @{ $y->{$_} }) } keys %$y) },
        only   => sub { scalar(keys %$y) . ' ' . sum0(map { $_ * 31 + $y->{$_}[0] } keys %$y) },
        groups => sub {
            my (%count, %total);
            for my $values (values %$x) { ++$count{ $values->[0] }; $total{ $values->[0] } += $values->[1] }
            return join ', ', map { "$_ $count{$_} $total{$_}" } sort { $a <=> $b } keys %count;
        },
        joined => sub {
            my @ids = grep { $x->{$_}[0] < 8 && $y->{$_} } keys %$x;
            return @ids . ' ' . sum0(map { number_of_values($_, @{ $x->{$_} }) * 3 + number_of_values($_, @{ $y->{$_} }) } @ids);
        },
        rest => sub {
            return join ', ', sort { $a <=> $b } grep { !$y->{$_} || $y->{$_}[0] != $x->{$_}[0] } keys %$x;
        });
    return $answers{$query}->();
}

sub position_number { return sprintf '%08X%08X', map { hex } split m{/}, $_[0] }

# What was read: {position, query, rows, how}.
my @reads;

# One transaction of a reader: cursors, one after the other and each at a position of its own; what happens meanwhile; and then
# their rows.
sub read_some {
    my ($reader, $how, $meanwhile) = @_;
    $reader->rows("BEGIN ISOLATION LEVEL $how->{level}; " . join('', map { "SET LOCAL enable_$_ = off; " } @{ $how->{without} }));
    # A snapshot of its own, older than what it is given.
    $reader->rows('DECLARE own CURSOR FOR SELECT count(*) FROM a') if $how->{older};
    my @opened;
    for my $query (sort keys %queries) {
        my $position = $reader->value("SELECT fault_open_at_position('at_$query', \$\$$queries{$query}\$\$)");
        push @opened, { query => $query, position => position_number($position), how => "$how->{level} @{$how->{without}}" };
    }
    $meanwhile->();
    $_->{rows} = join ', ', map { join ' ', @$_ } @{ $reader->rows("FETCH ALL FROM at_$_->{query}") } for @opened;
    $reader->rows('COMMIT');
    push @reads, @opened;
    return;
}

my @hows = (
    { level => 'READ COMMITTED',  without => [] },
    { level => 'READ COMMITTED',  without => [ 'indexscan', 'bitmapscan' ], older => 1 },
    { level => 'REPEATABLE READ', without => ['seqscan'] },
    { level => 'READ COMMITTED',  without => [ 'seqscan', 'indexscan', 'indexonlyscan' ] },
    { level => 'REPEATABLE READ', without => [ 'hashjoin', 'mergejoin' ], older => 1 });

# Reads for so long, with everything that goes on beside.
sub read_for {
    my ($seconds) = @_;
    my $writers = start_writers($seconds);
    my $end = time + $seconds;
    my @readers = map { connect_client($node) } 1 .. 3;
    my $keeper = connect_client($node);
    my @meanwhile = (
        sub { },
        sub { $keeper->rows('VACUUM (FREEZE) a'); $keeper->rows('VACUUM b') },
        sub { $keeper->rows('SELECT count(*) FROM a, b') },
        sub { sleep 0.02 });
    for (my $i = 0; time < $end; ++$i) {
        read_some($readers[ $i % @readers ], $hows[ $i % @hows ], $meanwhile[ $i % @meanwhile ]);
    }
    $writers->{run}->finish or die "pgbench: ${ $writers->{out} }";
    $_->disconnect for @readers, $keeper;
    return;
}

my (%a, %b);

# Replays the history up to now, and compares all that was read. Returns the differences.
sub differences {
    my @differences;
    my @waiting = sort { $a->{position} cmp $b->{position} } @reads;
    my $compare = sub {
        my ($before) = @_;
        while (@waiting && (!defined $before || $waiting[0]{position} lt $before)) {
            my $read = shift @waiting;
            my $expected = answer($read->{query}, \%a, \%b);
            push @differences, "$read->{query} at $read->{position} ($read->{how}): $read->{rows}\n  expected: $expected"
              if $read->{rows} ne $expected;
        }
        return;
    };
    my $decoded = connect_client($node);
    $decoded->rows($allow) if $allow;
    my @changes;
    for (@{ $decoded->rows(q{SELECT lsn, data FROM pg_logical_slot_get_changes('history', NULL, NULL, 'include-xids', '0')}) }) {
        my ($lsn, $data) = @$_;
        if ($data eq 'COMMIT') {
            $compare->(position_number($lsn));
            for (@changes) {
                my ($table, $id, @values) = @$_;
                @values ? ($table->{$id} = \@values) : delete $table->{$id};
            }
            @changes = ();
        } elsif (my ($table, $operation, $rest) = $data =~ /^table public\.([ab]): (\w+): (.*)/) {
            my @numbers = $rest =~ /\]:(-?\d+)/g;
            push @changes, [ $table eq 'a' ? \%a : \%b, $operation eq 'DELETE' ? $numbers[0] : @numbers ];
        }
    }
    $compare->();
    $decoded->disconnect;
    @reads = ();
    return @differences;
}

sub set_for_evaluator {
    my ($name, $value) = @_;
    $node->safe_psql('postgres', "ALTER SYSTEM SET live_queries.$name = '$value'");
    $node->reload;
    sleep 0.3;
    return;
}

$node->safe_psql('postgres', 'SELECT fault_await_evaluator()');
ok(1, 'an evaluator serves');
# Each change concerns somebody, so that there is a snapshot for nearly each commit; and brings nobody a message.
my $watcher = connect_client($node);
$watcher->rows(q(SELECT live.subscribe('none', 'SELECT (SELECT count(*) FROM a WHERE v IS NULL) + (SELECT count(*) FROM b WHERE v IS NULL) AS n',
    delivery => 'poll')));

my $seconds = $ENV{POSITIONS_SECONDS} // 8;
for my $half_way ('off', 'on') {
    set_for_evaluator('test_half_way', $half_way);
    # Where others use the machine, the evaluator comes to few positions in that time.
    my $positions = 0;
    for (my $try = 0; $try < 15 && $positions <= 20; ++$try) {
        read_for($seconds);
        $positions = keys %{ { map { $_->{position} => 1 } @reads } };
    }
    my $count = @reads;
    my @differences = differences();
    is(scalar @differences, 0, "half the way $half_way: $count results at $positions positions are those of the log")
      or diag(join "\n", @differences[0 .. ($#differences > 9 ? 9 : $#differences)]);
    cmp_ok($positions, '>', 20, 'at many positions');
}

# However much waits, an evaluator that goes half the way hides no more than a snapshot can, and comes to the end.
set_for_evaluator('test_half_way', 'on');
$node->safe_psql('postgres', 'CREATE TABLE e (n int)');
hold($node, 'evaluator-turn');
wait_held($node, 'evaluator-turn');
$node->safe_psql('postgres', "INSERT INTO e VALUES (1);\n" x 1000);
release($node, 'evaluator-turn');
my $counter = connect_client($node);
ok( wait_until(
        sub {
            $counter->rows('BEGIN');
            $counter->value(q{SELECT fault_open_at_position('counted', 'SELECT count(*) FROM e')});
            my $count = $counter->value('FETCH ALL FROM counted');
            $counter->rows('COMMIT');
            return $count == 1000;
        }),
    'a thousand commits that waited are passed');
$counter->disconnect;

for my $mutation ('hide_nothing', 'forget_subtransactions') {
    set_for_evaluator('debug_mutation', $mutation);
    my ($count, @differences) = (0);
    for (my $try = 0; $try < 15 && !@differences; ++$try) {
        read_for($seconds / 2);
        $count += @reads;
        @differences = differences();
    }
    cmp_ok(scalar @differences, '>', 0, "$mutation shows: " . @differences . " of $count results are wrong");
}
set_for_evaluator('debug_mutation', '');
set_for_evaluator('test_half_way', 'off');

# A commit that waits for its standby stops the evaluator before it, and what commits later is hidden. An index that is built
# CONCURRENTLY then waits for the evaluator's transaction, which ends, while its snapshot lives on: rows that only that sees are
# not in the index.
sub count_at_position { # of the rows of d with that v, as the evaluator's snapshot shows them
    my ($reader, $v) = @_;
    $reader->rows('BEGIN; SET LOCAL enable_seqscan = off');
    $reader->value("SELECT fault_open_at_position('counted', 'SELECT count(*) FROM d WHERE v = $v')");
    my $count = $reader->value('FETCH ALL FROM counted');
    $reader->rows('COMMIT');
    return $count;
}

$node->safe_psql('postgres', 'CREATE TABLE c (n int); CREATE TABLE d (id int, v int);'
      . ' INSERT INTO d SELECT i, i % 100 FROM generate_series(1, 1000) i');
my ($stuck, $reader, $ddl) = map { connect_client($node) } 1 .. 3;
$node->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$node->reload;
$ddl->rows('SET synchronous_commit = local');
ok(wait_until(sub { $ddl->value('SHOW synchronous_standby_names') eq 'nobody' }), 'commits wait for a standby');
commits_wait($node);
ok(wait_until(sub { count_at_position($reader, 5) == 10 }), 'the rows are there');
$stuck->send_query('INSERT INTO c VALUES (1)');
ok(wait_until(sub { $ddl->value(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}) == 1 }), 'one waits');
$ddl->rows('DELETE FROM d WHERE v = 5');
is(count_at_position($reader, 5), 10, 'rows deleted later are there');
my $took = seconds_of(sub { $ddl->rows('CREATE INDEX CONCURRENTLY d_v ON d (v)') });
cmp_ok($took, '<', 60, 'an index is built CONCURRENTLY');
sleep 1.5;
is(count_at_position($reader, 5), 10, 'and the rows that it lacks are there');
set_for_evaluator('debug_mutation', 'use_young_indexes');
ok(wait_until(sub { count_at_position($reader, 5) == 0 }), 'and would not be, if it were used');
set_for_evaluator('debug_mutation', '');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
is($stuck->finish->{error}, undef, 'the commit is done');
ok(wait_until(sub { count_at_position($reader, 5) == 0 }), 'then the rows are gone');

# Where the evaluator has no transaction, nothing that its snapshot shows is removed either.
sub count_after_change { # of the rows with that v, deleted and vacuumed meanwhile
    my ($v) = @_;
    hold($node, 'evaluator-between');
    wait_held($node, 'evaluator-between');
    like($reader->error("SET statement_timeout = 500; SELECT fault_open_at_position('none', 'SELECT 1')")->{M}, qr/timeout/,
        'meanwhile there is no snapshot');
    $reader->rows('RESET statement_timeout');
    $ddl->rows("DELETE FROM d WHERE v = $v");
    $ddl->rows('VACUUM (INDEX_CLEANUP on) d');
    hold($node, 'evaluator-turn');
    release($node, 'evaluator-between');
    wait_held($node, 'evaluator-turn');
    my $count = count_at_position($reader, $v);
    release($node, 'evaluator-turn');
    return $count;
}

is(count_after_change(6), 10, 'rows that were deleted between two transactions of the evaluator');
ok(wait_until(sub { count_at_position($reader, 6) == 0 }), 'are gone with the next batch');
set_for_evaluator('debug_mutation', 'keep_nothing');
# It may not know of the setting at once.
my $kept;
for my $v (7, 10 .. 30) {
    $kept = count_after_change($v);
    last if $kept == 0;
}
is($kept, 0, 'without the slot they would be gone at once');
set_for_evaluator('debug_mutation', '');
ok(wait_until(sub { count_at_position($reader, 8) == 10 }), 'the evaluator goes on');

# Another one takes its place.
my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'live_queries evaluator'});
$ddl->rows("SELECT pg_cancel_backend($pid)");
$ddl->rows('DELETE FROM d WHERE v = 8');
ok(wait_until(sub { count_at_position($reader, 8) == 0 }), 'an evaluator is not cancelled');
$ddl->rows('DELETE FROM d WHERE v = 9');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
$reader->rows('SELECT fault_await_evaluator()');
ok(wait_until(sub { count_at_position($reader, 9) == 0 }), 'another evaluator takes the place of one that has ended');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'live_queries%' AND slot_type = 'physical'}), 1,
    'with a slot in the place of its slot');

# Databases are dropped under evaluators as under decoders.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{CREATE FUNCTION await() RETURNS void AS 'live_queries', 'live_queries_fault_await_evaluator' LANGUAGE C;
    SELECT await()});
$node->safe_psql('postgres', 'DROP DATABASE other');
ok(1, 'a database with an evaluator is dropped');

if ($node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'old_snapshot_threshold'")) {
    $_->disconnect for $stuck, $reader, $ddl;
    restart_with($node, 'old_snapshot_threshold = 60');
    like(connect_client($node)->error('SELECT fault_await_evaluator()')->{M}, qr/old_snapshot_threshold/,
        'an evaluator needs old rows to stay');
}

done_testing();
