# live.set_params among writers: the call is held at each of its steps while transactions commit that began before it, are
# prepared, or begin in the middle of it. What the client has and what it is told must give what the query gives with the new
# parameters, or, rolled back, with the old ones; of a list in the order, too.
use strict;
use warnings FATAL => 'all';
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Faults;
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_fault_node('held', <<~CONF);
    live_queries.mailbox_size = 64kB
    live_queries.idle_timeout = 2s
    CONF
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE g (id int PRIMARY KEY, name text);
    INSERT INTO g SELECT i, 'group ' || i FROM generate_series(0, 3) i;
    CREATE TABLE d (id int PRIMARY KEY, n int);
    INSERT INTO d SELECT i, i % 4 FROM generate_series(1, 20) i;
    INSERT INTO d VALUES (-7, 1); -- of one writer alone
    CREATE TABLE b (n int, note text);
    INSERT INTO b SELECT i % 4, 'note ' || i % 2 FROM generate_series(1, 20) i;
    ALTER TABLE b REPLICA IDENTITY FULL;
    SQL

# What each watches, and its parameters before and after.
my %queries = (
    stream => [ 'SELECT id, n, note FROM t WHERE n % 3 <> $1', ['0'], ['1'] ],
    bag    => [ 'SELECT note FROM b WHERE n = $1', ['1'], ['2'] ],
    join   => [ 'SELECT t.id, t.n, g.name FROM t JOIN g ON g.id = abs(t.n) % 4 WHERE t.n % 3 <> $1', ['0'], ['1'] ],
    routed => [ 'SELECT d.id, g.name FROM d JOIN g ON g.id = d.n WHERE d.n = $1', ['1'], ['2'] ],
    page   => [ 'SELECT id, note FROM t ORDER BY n DESC, id LIMIT $1 OFFSET $2', [ '8', '0' ], [ '8', '5' ] ],
    order  => [ 'SELECT note FROM b ORDER BY n = $1, n, note LIMIT 12', ['1'], ['2'] ],
    # From one worker to another, and back.
    to_delta  => [ 'SELECT id FROM d WHERE $1::int IS NULL OR n = $1', ['NULL'], ['2'] ],
    to_stream => [ 'SELECT id FROM d WHERE $1::int IS NULL OR n = $1', ['2'],    ['NULL'] ]);
my @steps = qw(subscribe-analysed subscribe-registered subscribe-attached params-row params-evaluated params-taken
  subscribe-snapshot-taken subscribe-published);

my $json = JSON::PP->new->canonical->utf8->allow_nonref;
my $text = JSON::PP->new->canonical->allow_nonref;
my ($writer, $early, $late) = map { connect_client($node) } 1 .. 3;

sub params_of { my ($params) = @_; return "'{" . join(',', @$params) . "}'" }

# A client that has [key, row] of each row, in their order where the result is a list.
sub start {
    my ($query) = @_;
    my ($sql, $params) = @{ $queries{$query} };
    my $client = connect_client($node);
    $client->rows("SELECT live.subscribe('q', \$query\$$sql\$query\$, " . params_of($params) . ')');
    $client->{list} = [ map { [ map { $text->encode($json->decode($_)) } @$_ ] } @{ $client->rows(q{SELECT key, "row" FROM live.snapshot('q')}) } ];
    $client->{differences} = {};
    $client->{is_bag} = $sql =~ /FROM b/;
    return $client;
}

# Takes the first row of a key out, which has to be as it is told.
sub take_out {
    my ($client, $change) = @_;
    my $key = $text->encode($change->{key});
    my $list = $client->{list};
    my ($at) = grep { $list->[$_][0] eq $key } 0 .. $#$list;
    die "$change->{op} of $key, which is not there" unless defined $at;
    my $row = $text->decode((splice @$list, $at, 1)->[1]);
    my %told = (%{ $change->{row} }, %{ $change->{old} // {} });
    delete @$row{ grep { !exists $told{$_} } keys %$row };
    die "$change->{op} of other values: " . $text->encode(\%told) . ', it has ' . $text->encode($row)
      if $text->encode(\%told) ne $text->encode($row);
    return;
}

sub apply {
    my ($client, $message) = @_;
    die "a message $message->{type}: " . ($message->{reason} // '') if $message->{type} ne 'changes';
    die "seq went back: $message->{seq}" if $message->{seq} lt ($client->{last_seq} // '');
    $client->{last_seq} = $message->{seq};
    ++$client->{differences}{ $message->{seq} } if !defined $message->{xid} && !exists $message->{xids};
    my $list = $client->{list};
    my @changes = @{ $message->{changes} };
    if (grep { exists $_->{position} } @changes) {
        take_out($client, $_) for grep { $_->{op} ne 'insert' } @changes;
        for my $change (sort { $a->{position} <=> $b->{position} } grep { $_->{op} ne 'delete' } @changes) {
            die "position $change->{position} of " . @$list if $change->{position} > @$list;
            splice @$list, $change->{position}, 0, [ $text->encode($change->{key}), $text->encode($change->{row}) ];
        }
        return;
    }
    # One may follow from the one before.
    for my $change (@changes) {
        my $key = $text->encode($change->{key});
        take_out($client, $change) if $change->{op} ne 'insert';
        die "insert of $key, which is there" if $change->{op} eq 'insert' && !$client->{is_bag} && grep { $_->[0] eq $key } @$list;
        push @$list, [ $key, $text->encode($change->{row}) ] if $change->{op} ne 'delete';
    }
    return;
}

sub change {
    change_rows($writer);
    $writer->rows($_)
      for 'UPDATE d SET n = (n + 1) % 4 WHERE id % 3 = 0', q{UPDATE g SET name = name || '.' WHERE id IN (1, 2)},
      'BEGIN; DELETE FROM d WHERE id = (SELECT min(id) FROM d WHERE id > 0); INSERT INTO d SELECT max(id) + 1, 2 FROM d; UPDATE b SET n = (n + 1) % 4; COMMIT',
      q{INSERT INTO b VALUES (2, 'note 1'), (1, 'note 0')}, q{DELETE FROM b WHERE ctid = (SELECT min(ctid) FROM b WHERE n = 2)};
    return;
}

sub begin_all {
    begin_early($early, -1);
    begin_early($late, -2);
    $late->rows(q{UPDATE d SET n = n % 2 + 1 WHERE id = -7; INSERT INTO b VALUES (2, 'late')});
    prepare_changes($writer, -3, 'early');
    return;
}

sub end_early {
    commit_early($early, -1);
    $writer->rows(q(COMMIT PREPARED 'early'));
    return;
}

# is_right(CLIENT, QUERY, PARAMS, MOST, NAME): what it has is what the query gives, by so many differences at most.
sub is_right {
    my ($client, $query, $params, $most, $name) = @_;
    commit_early($late, -2);
    change();
    my @messages = $client->taken;
    push @messages, $client->synced;
    my $fits = eval { apply($client, $_->{message}) for @messages; 1 };
    diag $@ unless $fits;
    my $sql = $queries{$query}[0] =~ s/\$(\d+)/$params->[$1 - 1] eq 'NULL' ? 'NULL' : "'$params->[$1 - 1]'"/egr;
    my @expected = map { $text->encode($json->decode($_->[0])) } @{ $client->rows("SELECT row_to_json(q) FROM ($sql) q") };
    my @got = map { $_->[1] } @{ $client->{list} };
    if ($sql !~ /ORDER BY/) { @$_ = sort @$_ for \@expected, \@got }
    ok($fits && @got == @expected && "@got" eq "@expected", $name) or diag "expected @expected\ngot      @got";
    cmp_ok(keys %{ $client->{differences} }, '<=', $most, "$name: no difference too many");
    $client->disconnect;
    return;
}

sub succeeds {
    my ($client, $name) = @_;
    my $error = $client->finish->{error};
    is($error && $error->{M}, undef, "$name: the call succeeds");
    return;
}

for my $query (sort keys %queries) {
    my ($sql, $before, $after) = @{ $queries{$query} };
    my ($back, $call) = map { q{SELECT live.set_params('q', } . params_of($_) . ')' } $before, $after;
    for my $step (@steps) {
        my $client = start($query);
        begin_all();
        change();
        hold($node, $step);
        $client->send_query($call);
        wait_held($node, $step);
        change();
        end_early();
        change();
        release($node, $step);
        succeeds($client, "$query, $step");
        is_right($client, $query, $after, 1, "$query at $step");
    }
    # The messages of the time before are on their way meanwhile.
    my @workers = $query =~ /^to_/ ? qw(decoder evaluator) : $query =~ /^(?:stream|bag)$/ ? 'decoder' : 'evaluator';
    for my $worker_step (map { $_ eq 'decoder' ? 'decoder-publish' : 'evaluator-evaluate' } @workers) {
        my $client = start($query);
        begin_all();
        hold($node, 'params-evaluated');
        $client->send_query($call);
        wait_held($node, 'params-evaluated');
        hold($node, $worker_step);
        change();
        wait_held($node, $worker_step);
        release($node, 'params-evaluated');
        end_early();
        change();
        release($node, $worker_step);
        succeeds($client, "$query, $worker_step");
        is_right($client, $query, $after, 1, "$query at params-evaluated, $worker_step");
    }
    # In a transaction: committed, twice, and rolled back.
    for my $way ('COMMIT', 'COMMIT, thrice', 'ROLLBACK') {
        my $client = start($query);
        begin_all();
        $client->rows('BEGIN');
        hold($node, 'params-taken');
        $client->send_query($call);
        wait_held($node, 'params-taken');
        change();
        release($node, 'params-taken');
        succeeds($client, "$query, $way");
        end_early();
        $client->rows("$back; $call") if $way =~ /thrice/;
        $client->rows($way =~ s/,.*//r);
        is_right($client, $query, $way eq 'ROLLBACK' ? ($before, 0) : ($after, $way =~ /thrice/ ? 3 : 1), "$query, $way");
    }
}

# Killed at each step of it, or of a refresh: it is over, by whatever it was to be replaced.
for my $query (qw(stream join to_delta)) {
    my $set_params = q{SELECT live.set_params('q', } . params_of($queries{$query}[2]) . ')';
    for my $case ([ $set_params, @steps ], [ q{SELECT live.refresh('q')}, grep { !/^params/ } @steps ]) {
        my ($call, @its_steps) = @$case;
        for my $step (@its_steps) {
            my $name = "$query, killed at $step of $call";
            my $client = start($query);
            hold($node, $step);
            $client->send_query($call);
            wait_held($node, $step);
            my $mine = 'live_queries WHERE pid = ' . $client->{pid} . q( AND status <> 'terminated');
            is($writer->value("SELECT count(*) FROM $mine"), 1, "$name: one is shown");
            is($writer->value("SELECT live.kill(live_id) FROM $mine"), 't', "$name: and ended");
            release($node, $step);
            my $error = $client->finish->{error};
            like($error ? $error->{C} : 'none', qr/^(?:none|55000|57014)$/, "$name: it goes on, or says that it is over");
            my @told = map { $_->{message} } $client->taken, $client->synced;
            is(join(', ', map { "$_->{type} $_->{code}" } grep { $_->{type} ne 'changes' } @told), 'terminated 57014', "$name: its client is told");
            is($writer->value("SELECT count(*) FROM $mine"), 0, "$name: nothing is left");
            $client->disconnect;
        }
    }
}

# More than may wait for a client: the old parameters go on.
$node->append_conf('postgresql.conf', 'live_queries.spill_size = 16kB');
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('live_queries.spill_size') = '16kB'}) or die 'the setting is not there';
$queries{large} = [ 'SELECT id, repeat($1, 1500) AS long FROM d', ['x'], ['y'] ];
$queries{long_page} = [ 'SELECT id, repeat($1, 1500) AS long FROM d ORDER BY id LIMIT 15', ['x'], ['y'] ];
for my $query (qw(large long_page)) {
    my $client = start($query);
    begin_all();
    $client->send_query(q{SELECT live.set_params('q', } . params_of($queries{$query}[2]) . ')');
    my $error = $client->finish->{error};
    is($error && $error->{C}, '54000', "$query: refused");
    end_early();
    is_right($client, $query, $queries{$query}[1], 0, "$query, refused");
}

# Much waits for one that is paused, and it gets other parameters again and again in one transaction: others are not reset for that.
for my $table (qw(e e2)) {
    $writer->rows($_) for "CREATE TABLE $table (id int PRIMARY KEY, n int)", "ALTER TABLE $table REPLICA IDENTITY FULL",
      "INSERT INTO $table SELECT i, 0 FROM generate_series(1, 6) i";
}
for my $way (qw(COMMIT ROLLBACK savepoints)) {
    my $client = connect_client($node);
    $client->subscribe('much', q{SELECT id, n, repeat('z', 1000) AS long FROM e WHERE $1::int > 0}, 1);
    $client->subscribe('other', 'SELECT id, n FROM e2');
    $client->rows(q{SELECT live.pause('much')});
    $writer->rows($_) for 'UPDATE e SET n = n + 1', 'UPDATE e2 SET n = n + 1';
    my @told = map { $_->{message} } $client->synced;
    $client->rows('BEGIN');
    my @errors;
    for my $param (2 .. 8) {
        $writer->rows('UPDATE e2 SET n = n + 1 WHERE id = 1');
        $client->rows("SAVEPOINT s$param") if $way eq 'savepoints';
        push @errors, $client->error("SELECT live.set_params('much', '{$param}')")->{C};
        last if $errors[-1] ne '00000';
    }
    if ($way eq 'savepoints') {
        is($errors[-1], '54000', 'what may come back takes room, until the call is refused');
        $client->rows('ROLLBACK TO s' . (1 + @errors));
    } else {
        is("@errors", "@{[ ('00000') x 7 ]}", "$way: all are accepted");
    }
    $client->rows($way eq 'savepoints' ? 'COMMIT' : $way);
    $client->rows(q{SELECT live.resume('much')});
    push @told, map { $_->{message} } $client->synced;
    is(join(' ', grep { $_ ne 'changes' } map { $_->{type} } @told), '', "$way: nothing is reset");
    for my $case ([ 'much', 'e' ], [ 'other', 'e2' ]) {
        my ($id, $table) = @$case;
        my %n;
        for my $message (grep { $_->{subscription_id} eq $id } @told) { $n{ $_->{row}{id} } = $_->{row}{n} for @{ $message->{changes} } }
        is(join(' ', map { $n{$_} // 'none' } 1 .. 6), join(' ', map { $_->[0] } @{ $client->rows("SELECT n FROM $table ORDER BY id") }), "$way, $id: all is told");
    }
    $client->disconnect;
}

$_->disconnect for $writer, $early, $late;
nothing_left($node, 'in the end');
done_testing();
