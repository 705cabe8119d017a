# Transactions that are prepared before, while and after a client subscribes, and while the decoder is replaced: each change comes
# once, when it is committed.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('prepared');
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t VALUES (1, 'one'), (2, 'two');
    SQL
my $query = 'SELECT id, a FROM t';

my ($one, $two, $writer) = map { connect_client($node) } 1 .. 3;
$writer->rows(q(BEGIN; INSERT INTO t VALUES (101, 'before'); UPDATE t SET a = 'TWO' WHERE id = 2; PREPARE TRANSACTION 'before'));
$one->send_query("SELECT * FROM live.subscribe('q', '$query')");
my $notice = $one->wait_notice;
like($notice->{D}, qr/prepared transaction \d+/, 'a prepared transaction holds up the start, which is said');
$writer->rows(q(COMMIT PREPARED 'before'));
is($one->finish->{error}, undef, 'its commit lets it go on');
$one->read_snapshot('q');
ok($one->follow('q'), 'no reset');
is_deeply($one->state_of('q'), $one->rows_now($query), 'each change is there once');

# Prepared while it runs: before the subscription, after it, committed and rolled back.
$writer->rows(q(BEGIN; INSERT INTO t VALUES (102, 'across'); PREPARE TRANSACTION 'across'));
$writer->rows(q(BEGIN; INSERT INTO t VALUES (103, 'never'); PREPARE TRANSACTION 'never'));
$two->subscribe('q', $query);
$writer->rows(q(BEGIN; DELETE FROM t WHERE id = 1; PREPARE TRANSACTION 'after'));
is_deeply([ $one->synced, $two->synced ], [], 'prepared is not committed');
is(scalar @{ $two->state_of('q') }, scalar @{ $two->rows_now($query) }, 'nor in a snapshot');
my $restarted = connect_client($node);
$restarted->rows(q(COMMIT PREPARED 'across'));
is($_->next_message->{message}{changes}[0]{key}[0], 102, 'COMMIT PREPARED, by another session, delivers') for $one, $two;
$restarted->rows(q(ROLLBACK PREPARED 'never'));
$restarted->rows(q(COMMIT PREPARED 'after'));
my $deletes = 0;
for ($one, $two) {
    my $message = $_->next_message->{message};
    ++$deletes if "$message->{changes}[0]{op} $message->{changes}[0]{key}[0]" eq 'delete 1';
}
is($deletes, 2, 'in the order of commits; a rollback sends nothing');

# Open while the decoder is replaced.
$writer->rows(q(BEGIN; INSERT INTO t VALUES (104, 'open'); PREPARE TRANSACTION 'open'));
my $pid = decoder_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
poll_ok($node, "SELECT pid <> $pid AND state = 'finding start' FROM live.workers", 'a new decoder waits for a prepared transaction');
$restarted->rows(q(COMMIT PREPARED 'open'));
is($_->next_message->{message}{type}, 'reset', 'then its clients are reset') for $one, $two;
for ($one, $two) {
    $_->refresh('q');
    $writer->rows(q(UPDATE t SET a = a || '+'));
    ok($_->follow('q'), 'refreshed, they go on');
    is_deeply($_->state_of('q'), $_->rows_now($query), 'exactly');
}

is($one->error(q(BEGIN; SELECT live.unsubscribe('q'); PREPARE TRANSACTION 'x'))->{C}, '0A000',
    'a transaction that changes live queries cannot be prepared');
is($one->value(q(SELECT count(*) FROM live_queries WHERE status = 'active')), 2, 'it was rolled back');
$_->disconnect for $one, $two, $writer, $restarted;

$node->stop;
unlike(slurp_file($node->logfile), qr/\b(PANIC|TRAP|server process .* was terminated)/, 'no crash');
done_testing();
