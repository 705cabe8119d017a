# live.kill: who may end whose live query, what its client is told, and that no other one notices.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('kill');
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t VALUES (1, 'one'), (2, 'two');
    GRANT SELECT ON t TO PUBLIC;
    CREATE ROLE alice LOGIN;
    CREATE ROLE bob LOGIN;
    CREATE ROLE operator LOGIN IN ROLE pg_signal_backend;
    CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
    CREATE ROLE alices_group ROLE bob;
    CREATE ROLE carol LOGIN IN ROLE alices_group;
    SQL
my $query = 'SELECT id, a FROM t';

my %client = map { $_ => connect_client($node, user => $_) } qw(alice bob operator monitor carol);
my $root = connect_client($node);
my %live_id;
my $new = sub {
    my ($who) = @_;
    my $one = $who eq 'root' ? $root : $client{$who};
    return $one->subscribe('q-1', $query)->{live_id};
};
$live_id{$_} = $new->($_) for qw(alice root);
my $kill = sub { my ($who, $whose) = @_; return $client{$who}->error("SELECT live.kill('$live_id{$whose}')") };

like($live_id{alice}, qr/^alice-\d+-q-1$/, 'a live_id is made for people');
is($kill->('bob', 'alice')->{C}, '42501', 'a stranger may not end a live query');
is($kill->('monitor', 'alice')->{C}, '42501', 'nor who may see it');
is($kill->('operator', 'root')->{C}, '42501', 'nor pg_signal_backend that of a superuser');
is($client{bob}->value(q(SELECT live.kill('nobody-1-x'))), 'f', 'one that does not exist: false');
is($root->value(q(SELECT count(*) FROM live_queries WHERE status = 'active')), 2, 'all are still there');
is($client{monitor}->value(q(SELECT count(*) FROM live_queries WHERE query IS NOT NULL)), 2, 'pg_read_all_stats sees all');
is($client{bob}->value(q(SELECT count(*) FROM live_queries WHERE query IS NOT NULL)), 0, 'a stranger none');

for my $case ([ 'alice', 'the role itself' ], [ 'operator', 'pg_signal_backend' ], [ 'root', 'a superuser' ]) {
    my ($who, $name) = @$case;
    $live_id{alice} = $new->('alice') if $who ne 'alice';
    my $killer = $who eq 'root' ? $root : $client{$who};
    is($killer->value("SELECT live.kill('$live_id{alice}')"), 't', "$name may end it");
    my $message = $client{alice}->next_message->{message};
    is_deeply([ sort keys %$message ], [qw(code reason seq subscription_id type)], "$name: the client is told");
    is_deeply([ @$message{qw(type subscription_id code)} ], [ 'terminated', 'q-1', '57014' ], "$name: what and why");
    my $killer_name = $who eq 'root' ? $root->value('SELECT current_user') : $who;
    like($message->{reason}, qr/live\.kill of role $killer_name/, "$name: and by whom");
    is($client{alice}->error(q(SELECT live.pause('q-1')))->{C}, '42704', "$name: it is over");
    my $row = $root->rows("SELECT status, error, pending_messages, channel FROM live_queries WHERE live_id = '$live_id{alice}'")->[0];
    is($row->[0], 'terminated', "$name: the view still shows it");
    like($row->[1], qr/^57014: ended by live\.kill/, "$name: with the reason");
    is($killer->value("SELECT live.kill('$live_id{alice}')"), 'f', "$name: a second time: false");
}
# Its client is in a transaction, has taken the news (by a poll) or not, and would take it up again, with the same or other
# parameters.
for my $paused (0, 1) {
    for my $case ([ "live.refresh('p')", 'before', 0 ], [ "live.refresh('p')", 'before', 1 ], [ "live.set_params('p', '{2}')", 'before', 0 ],
        [ "live.set_params('p', '{2}')", 'before', 1 ], map { [ $_, 'after', 0 ], [ $_, 'rollback', 0 ] } "live.refresh('p')", "live.set_params('p', '{2}')") {
        my ($call, $when, $polls) = @$case;
        my $name = ($paused ? 'paused, ' : '') . "killed $when $call" . ($polls ? ', the news taken' : '');
        my $one = connect_client($node, user => 'alice');
        my $id = $one->subscribe('p', 'SELECT id, a FROM t WHERE id < $1', '9')->{live_id};
        $one->rows(q(SELECT live.pause('p'))) if $paused;
        $one->rows('BEGIN');
        $one->rows("SELECT $call") if $when ne 'before';
        is($root->value("SELECT count(*) FROM live_queries WHERE live_id = '$id' AND status <> 'terminated'"), 1, "$name: one row in the view");
        is($root->value("SELECT live.kill('$id')"), 't', "$name: it may be ended");
        $one->rows($_) for $polls ? (q(SELECT live.subscribe('other', 'SELECT id FROM t', "snapshot" => false)), 'SELECT live.poll()') : ();
        my $error = $when eq 'before' ? $one->error("SELECT $call") : { C => '55000' };
        is($error->{C}, '55000', "$name: it is over");
        $one->rows($when eq 'after' ? 'COMMIT' : 'ROLLBACK');
        my @told = map { $_->{message} } $one->synced;
        shift @told while @told && $told[0]{type} eq 'changes'; # the difference, or what came before
        is_deeply([ map { "$_->{type} $_->{code}" } @told ], ['terminated 57014'], "$name: its client is told");
        is($root->value("SELECT count(*) FROM live_queries WHERE live_id = '$id' AND status <> 'terminated'"), 0, "$name: it has ended");
        is($one->error(q(SELECT live.refresh('p')))->{C}, '42704', "$name: and is unknown");
        $one->disconnect;
    }
}
# One that was ended is not taken up again, and its place is free.
poll_ok($node, q(SELECT subscriptions = (SELECT count(*) FROM live_queries WHERE status <> 'terminated') FROM live.workers),
    'no place is lost by that');
my @others = (connect_client($node, user => 'alice'));
$others[0]->subscribe('q-1', $query);
$live_id{alice} = $new->('alice');
$root->rows("SELECT live.kill('$live_id{alice}')");
$node->safe_psql('postgres', q(INSERT INTO t VALUES (10, 'ten')));
is($others[0]->next_message->{message}{type}, 'changes', 'another one of the same query goes on');
is($client{alice}->next_message->{message}{type}, 'terminated', 'this one has ended');
is_deeply([ $client{alice}->synced ], [], 'and gets nothing any more');

# One in a transaction, and paused, is told afterwards; what waited is thrown away.
$client{alice}->subscribe('q-2', $query);
$client{alice}->rows('BEGIN');
$node->safe_psql('postgres', q(INSERT INTO t VALUES (11, 'eleven')));
$root->rows(q(SELECT live.kill(live_id) FROM live_queries WHERE subscription_id = 'q-2' AND status = 'active'));
$client{alice}->rows('COMMIT');
my @got = map { $_->{message}{type} } $client{alice}->synced;
is($got[-1], 'terminated', 'killed within a transaction, the client is told after it');
$_->disconnect for values %client, $root, @others;

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
