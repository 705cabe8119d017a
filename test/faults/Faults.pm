# What the tests with fault points share: processes that are held, failed or ended where a test wants it, a table with
# writers of every kind, and subscribers that check each message strictly.
#
# The SQL functions of the fault points are no part of the extension; new_fault_node makes them.
package Faults;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IO::Select;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(new_fault_node set_fault hold release wait_held fault_points allocating_files asked until_ok nothing_left no_locks
  is_clean shared_segments commits_wait told_is
  query_text change_rows change_much change_hugely begin_early commit_early prepare_changes watch rewatch collect settled
  agrees is_exact);

my $json = JSON::PP->new->canonical->allow_nonref;
my $next_id = 1000;
my $controls = {};

# new_fault_node(NAME, LINES): a server with the fault points' functions and the table t.
sub new_fault_node {
    my ($name, $lines) = @_;
    my $node = new_node($name, $lines);
    $node->safe_psql('postgres', <<~SQL);
        CREATE FUNCTION fault_set(text, text, integer, integer, integer) RETURNS void AS 'live_queries', 'live_queries_fault_set'
          LANGUAGE C STRICT;
        CREATE FUNCTION fault_waiting(text) RETURNS integer AS 'live_queries', 'live_queries_fault_waiting' LANGUAGE C STRICT;
        CREATE FUNCTION fault_leftovers() RETURNS text AS 'live_queries', 'live_queries_fault_leftovers' LANGUAGE C STRICT;
        CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, note text);
        ALTER TABLE t REPLICA IDENTITY FULL;
        INSERT INTO t SELECT i, i, 'row ' || i FROM generate_series(-9, 30) i;
        SQL
    return $node;
}

# The connection that commands the fault points; a new one after a crash.
sub _control {
    my ($node) = @_;
    my $control = $controls->{ $node->name };
    undef $control if $control && $control->error('SELECT 1')->{C} ne '00000';
    return $controls->{ $node->name } = $control // connect_client($node);
}

# set_fault(NODE, POINT, ACTION, ARGUMENT, COUNT, SKIP): at COUNT (1) passes of POINT, after SKIP (0) others. The ARGUMENT of
# `sleep` are milliseconds; that of `alloc` says which allocation of shared memory from there on finds none (negative: raises
# the server's error; 0: an error `out of memory` at the point itself, and no more than that).
sub set_fault {
    my ($node, $point, $action, $argument, $count, $skip) = @_;
    my $numbers = join ', ', $argument // 0, $count // 1, $skip // 0;
    _control($node)->rows("SELECT fault_set('$point', '$action', $numbers)");
    return;
}

# asked(NODE, SQL): the first value of a query of an observer, which is there already.
sub asked {
    my ($node, $sql) = @_;
    return _control($node)->value($sql);
}

# until_ok(NODE, SQL, EXPECTED, NAME): a test that passes once the query gives that.
sub until_ok {
    my ($node, $sql, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $value;
    wait_until(sub { (($value = asked($node, $sql)) // '') eq $expected });
    return is($value, $expected, $name);
}

# nothing_left(NODE, NAME): no client is left, nor anything of one.
sub nothing_left {
    my ($node, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    until_ok($node, 'SELECT fault_leftovers()',
        'pieces 0, bytes 0, of roles 0, connections 0, subscriptions 0, of databases 0, of roles 0, locks 0', "$name: nothing is left in shared memory");
    ok(wait_until(sub { !temp_files($node) }), "$name: no file is left");
    no_locks($node, $name);
    return;
}

# no_locks(NODE, NAME): no process holds a lock, or waits for one.
sub no_locks {
    my ($node, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $locks = "SELECT coalesce(string_agg(concat_ws(' ', backend_type, locktype, relation::regclass, mode), ', '), '')"
      . ' FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE pid <> pg_backend_pid()';
    return until_ok($node, $locks, '', "$name: nobody holds a lock");
}

# is_clean(NODE, NAME, COUNT): one decoder with one slot, so many subscriptions, and no file but theirs.
sub is_clean {
    my ($node, $name, $count) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    until_ok($node, q(SELECT count(*) FROM live_queries WHERE status <> 'terminated'), $count, "$name: $count live queries");
    my $pid = decoder_pid($node);
    until_ok($node, 'SELECT subscriptions FROM live.workers', $count, "$name: counted as many");
    until_ok($node, "SELECT CASE WHEN left_over ~ 'bytes (\\d+), of roles \\1,.* of roles $count,' THEN 'nothing' ELSE left_over END"
          . ' FROM fault_leftovers() AS left_over', 'nothing', "$name: all that is allocated is somebody's");
    until_ok($node, "SELECT count(*) || ' ' || bool_and(active_pid = $pid) FROM pg_replication_slots", '1 true',
        "$name: one slot, the decoder's");
    no_locks($node, $name);
    cmp_ok(asked($node, 'SELECT memory_bytes FROM live.stats()'), '<', 32 * 1024 * 1024, "$name: the decoder's memory");
    my $files = () = temp_files($node);
    cmp_ok($files, '<=', $count, "$name: no file too many");
    return;
}

# The next process that comes to POINT stays there until release.
sub hold { my ($node, $point) = @_; return set_fault($node, $point, 'hold') }
sub release { my ($node, $point) = @_; return set_fault($node, $point, 'none') }

sub wait_held {
    my ($node, $point) = @_;
    my $control = _control($node);
    wait_until(sub { $control->value("SELECT fault_waiting('$point')") > 0 }) or die "nobody came to $point";
    return;
}

# The names of all fault points, from the sources.
sub fault_points {
    my ($root) = @_;
    my %names;
    for my $file (glob "$root/src/*.cpp $root/src/*/*.cpp") {
        open my $in, '<', $file or die "$file: $!";
        while (<$in>) { $names{$1} = 1 if /LIVE_QUERIES_FAULT\("([^"]+)"\)/ }
        close $in;
    }
    return sort keys %names;
}

# The source files that allocate or free shared memory themselves: what they do is not counted.
sub allocating_files {
    my ($root) = @_;
    my @files;
    for my $file (glob "$root/src/*.cpp $root/src/*/*.cpp") {
        open my $in, '<', $file or die "$file: $!";
        push @files, $file =~ s{.*/}{}r if grep { /\bdsa_(?:allocate|free)/ } <$in>;
        close $in;
    }
    return @files;
}

# shared_segments(NODE): the files of the server's dynamic shared memory, as far as one of its processes has them mapped. All
# servers have theirs in one directory, and a crash leaves nobody who could tell whose one is.
sub shared_segments {
    my ($node) = @_;
    my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
    my %segments;
    for my $pid ($postmaster, split /\n/, qx(pgrep -P $postmaster)) {
        open my $maps, '<', "/proc/$pid/maps" or next; # it has ended
        ++$segments{$_} for map { m{(/dev/shm/PostgreSQL\.\d+)$} } <$maps>;
        close $maps;
    }
    return sort keys %segments;
}

# commits_wait(NODE): waits until commits wait for the standby that synchronous_standby_names asks for. They do so once the
# checkpointer, too, has read that setting, which nothing shows: so one is tried that changes no table.
sub commits_wait {
    my ($node) = @_;
    my $one = connect_client($node);
    my $try = sub { $one->send_query(q(SELECT pg_logical_emit_message(true, 'commits_wait', ''))) };
    $try->();
    wait_until(sub {
        return 1 if asked($node, q(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = ) . $one->pid);
        return 0 if !IO::Select->new($one->{socket})->can_read(0);
        $one->finish; # it did not wait
        $try->();
        return 0;
    }) or die 'commits do not wait for a standby';
    asked($node, 'SELECT pg_cancel_backend(' . $one->pid . ')');
    $one->finish;
    $one->disconnect;
    return;
}

# Rows enter and leave this result with an UPDATE of n.
sub query_text { return 'SELECT id, n, note FROM t WHERE n % 3 <> 0' }

# change_rows(WRITER): a transaction of each kind, on the rows with a positive id.
sub change_rows {
    my ($writer) = @_;
    my ($one, $two, $three, $four) = map { $next_id + $_ } 0 .. 3;
    $next_id += 4;
    $writer->rows($_)
      for "INSERT INTO t VALUES ($one, $one, 'one'), ($two, $two, 'two')", 'UPDATE t SET n = n + 1 WHERE id % 4 = 1 AND id > 0',
      "BEGIN; INSERT INTO t VALUES ($three, 1, 'kept'); SAVEPOINT a; UPDATE t SET n = n + 1 WHERE id > 0; ROLLBACK TO a;"
      . " UPDATE t SET n = n + 1, note = 'changed' WHERE id = $three; COMMIT",
      "BEGIN; DELETE FROM t WHERE id > 0; ROLLBACK",
      'BEGIN; SET LOCAL synchronous_commit = off; UPDATE t SET n = n + 1 WHERE id % 4 = 2 AND id > 0; COMMIT',
      "BEGIN; UPDATE t SET n = n + 1 WHERE id % 4 = 3 AND id > 0; INSERT INTO t VALUES ($four, $four, 'prepared'); PREPARE TRANSACTION 'now'",
      "COMMIT PREPARED 'now'", "UPDATE t SET id = -id - 10000 WHERE id = $two", "UPDATE t SET id = -id - 10000 WHERE id = -$two - 10000",
      'DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id > 0 ORDER BY id LIMIT 4)';
    return;
}

# change_much(WRITER): more than a mailbox of 64 kB holds, in small transactions and in a large one.
sub change_much {
    my ($writer) = @_;
    my $first = $next_id;
    $next_id += 100;
    my $last = $next_id - 1;
    $writer->rows($_)
      for "DO \$\$BEGIN FOR i IN $first .. $first + 39 LOOP INSERT INTO t VALUES (i, 1, repeat('s', 2000)); COMMIT; END LOOP; END\$\$",
      "INSERT INTO t SELECT i, 1, repeat('l', 1000) FROM generate_series($first + 40, $last) i",
      "UPDATE t SET n = 2 WHERE id BETWEEN $first AND $last AND id % 2 = 0", "DELETE FROM t WHERE id BETWEEN $first AND $last - 1";
    return;
}

# change_hugely(WRITER, ROWS): ROWS (1300) kB in one transaction, in messages of several parts. The rows have negative ids: no
# other change is about them.
sub change_hugely {
    my ($writer, $rows) = @_;
    my $first = $next_id;
    $next_id += $rows // 1300;
    $writer->rows("INSERT INTO t SELECT -1000000 - i, 1, repeat('h', 1000) FROM generate_series($first, $next_id - 1) i");
    return;
}

# begin_early(WRITER, ROW): a transaction that goes on; ROW, from -9 to -1, is its own.
sub begin_early {
    my ($writer, $row) = @_;
    $writer->rows("BEGIN; UPDATE t SET n = n + 1 WHERE id = $row; INSERT INTO t VALUES (" . $next_id++ . ", 1, 'early')");
    return;
}

sub commit_early {
    my ($writer, $row) = @_;
    $writer->rows("UPDATE t SET n = n + 3 WHERE id = $row; COMMIT");
    return;
}

sub prepare_changes {
    my ($writer, $row, $name) = @_;
    $writer->rows("BEGIN; UPDATE t SET n = n + 1 WHERE id = $row; PREPARE TRANSACTION '$name'");
    return;
}

# watch(CLIENT): subscribes as q and reads the snapshot.
sub watch {
    my ($client) = @_;
    $client->subscribe('q', query_text());
    return $client;
}

# rewatch(CLIENT): refreshes, after a reset.
sub rewatch {
    my ($client) = @_;
    $client->refresh('q');
    return;
}

# Applies one message of q to the client's state. Dies where it does not fit: a change that is there twice or
# is missing contradicts the state or the former values, and a transaction comes once.
sub _apply {
    my ($client, $message) = @_;
    my $state = $client->{states}{ $message->{subscription_id} };
    die "seq went back: $message->{seq}" if $message->{seq} lt ($client->{last_seq} // '');
    $client->{last_seq} = $message->{seq};
    my $last = $client->{last_xid} // 0;
    die "transaction $message->{xid} comes again" if $message->{xid} != $last && $client->{xids}{ $message->{xid} }++;
    die "more of transaction $message->{xid}, which was complete" if $message->{xid} == $last && !$client->{more};
    $client->{last_xid} = $message->{xid};
    $client->{more} = $message->{more};
    for my $change (@{ $message->{changes} }) {
        my $row = $state->{ $json->encode($change->{key}) };
        my $known = defined $row ? $json->decode($row) : undef;
        if ($change->{op} eq 'update' && $known) {
            my %old = (%$known, %{ $change->{old} });
            die 'an update of other values: ' . $json->encode($change) . " of $row" if $json->encode(\%old) ne $row;
            die 'an update that changes nothing' if $json->encode($change->{row}) eq $row;
        } elsif ($change->{op} eq 'delete' && $known) {
            die 'a delete of other values: ' . $json->encode($change) . " of $row" if $json->encode($change->{row}) ne $row;
        }
        LiveQueries::apply_changes($state, { changes => [$change] });
    }
    return;
}

# collect(CLIENT): applies the messages that are here; returns those that are not changes.
sub collect {
    my ($client, @messages) = @_;
    my @others;
    for my $message (map { $_->{message} } @messages, $client->taken) {
        if ($message->{type} ne 'changes') {
            push @others, $message;
        } else {
            die 'changes between a reset and its refresh' if @others;
            _apply($client, $message);
        }
    }
    return @others;
}

# settled(CLIENT): the same, once all that has committed by now is here.
sub settled {
    my ($client) = @_;
    my @before = collect($client);
    return (@before, collect($client, $client->synced));
}

# told_is(CONNECTION, EXPECTED, NAME): what it was told apart from changes, in the order of the words. Of `more`, which it may
# be about to leave, only if that is expected.
sub told_is {
    my ($connection, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $wanted = () = $expected =~ /\w+ \w+/g;
    my @others = eval { settled($connection) };
    is($@, '', "$name: its messages fit");
    my $of_interest = sub {
        return grep { $expected =~ /more/ || !/more/ } map { "$_->{type} $_->{subscription_id}" } @others;
    };
    # A new decoder or launcher tells it, if it has not yet.
    while ($of_interest->() < $wanted) {
        my $message = $connection->next_message // last;
        push @others, collect($connection, $message);
    }
    is(join(', ', sort +$of_interest->()), $expected, "$name: it was told " . ($expected || 'of changes only'));
    return;
}

# agrees(CLIENT, WHY): whether what the client knows is what the query gives, and nothing but changes told it so. If not,
# WHY refers to the reason.
sub agrees {
    my ($client, $why) = @_;
    my @others = eval { settled($client) };
    my @reasons = $@ ? ($@) : map { "a message $_->{type}: $_->{reason}" } @others;
    unless (@reasons) {
        my (%got, %expected);
        ++$got{$_} for @{ $client->state_of('q') };
        ++$expected{$_} for @{ $client->rows_now(query_text()) };
        push @reasons, map { 'missing ' . substr $_, 0, 80 } grep { !$got{$_} } sort keys %expected;
        push @reasons, map { 'too much ' . substr $_, 0, 80 } grep { !$expected{$_} } sort keys %got;
    }
    $$why = join "\n", @reasons[0 .. ($#reasons > 9 ? 9 : $#reasons)] if $why;
    return !@reasons;
}

sub is_exact {
    my ($client, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $why;
    return ok(agrees($client, \$why), $name) || (diag($why), 0)[1];
}

1;
