# Reads of the first result that fail where only a real client can make them: by a timeout or a cancel, in a pipeline, because
# the client's encoding lacks a character; and what of it stays on disk. A driver that repeats the call has every row once.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('reads', 'work_mem = 64kB');
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE t (id int PRIMARY KEY, a text);
    ALTER TABLE t REPLICA IDENTITY FULL;
    INSERT INTO t SELECT i, repeat('x', 20) FROM generate_series(1, 30000) i;
    UPDATE t SET a = 'five €' WHERE id = 29990;
    SQL
my $query = 'SELECT id, a FROM t';
my $writer = connect_client($node);

sub subscribe_unread {
    my ($client, $id) = @_;
    $client->rows("SELECT live.subscribe('$id', '$query')");
    return;
}

# The rows are here once, and what follows is too.
sub reads_all {
    my ($client, $id, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($read, $expected) = ($client->read_snapshot($id), $client->value("SELECT count(*) FROM t"));
    is($read, $expected, "$name: each row is read once") if $expected == 30000;
    $writer->rows('INSERT INTO t VALUES (0, 0)');
    $writer->rows('DELETE FROM t WHERE id = 0');
    ok($client->follow($id), "$name: no reset");
    my ($state, $now) = ($client->state_of($id), $client->rows_now($query));
    ok("@$state" eq "@$now", "$name: the state is exact");
    return;
}

# Sends statements in one pipeline, without waiting for their results.
sub pipeline {
    my ($client, @statements) = @_;
    my $bytes = '';
    my $add = sub { my ($type, $body) = @_; $bytes .= $type . pack('N', 4 + length $body) . $body; return };
    for my $sql (@statements) {
        $add->('P', "\0$sql\0" . pack('n', 0));
        $add->('B', "\0\0" . pack('nnn', 0, 0, 0));
        $add->('E', "\0" . pack('N', 0));
    }
    $add->('S', '');
    $client->_write($bytes);
    return $client->finish;
}

# ---- what ends a statement ---------------------------------------------------------------------------------------

{
    my $client = connect_client($node);
    subscribe_unread($client, 's');
    for my $attempt (1 .. 3) {
        is($client->error(q{SET statement_timeout = '1ms'; SELECT * FROM live.snapshot('s')})->{C}, '57014', "timeout $attempt");
    }
    $client->rows('RESET statement_timeout');
    $client->send_query(q{SELECT count(pg_sleep(1000)) FROM live.snapshot('s')});
    poll_ok($node, 'SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = \'PgSleep\' AND pid = ' . $client->pid,
        'a cancel');
    is($client->finish->{error}{C}, '57014', 'is an error');
    my $result = pipeline($client, q{SELECT * FROM live.snapshot('s')}, 'SELECT 1 / 0');
    is($result->{error}{C}, '22012', 'an error later in a pipeline');
    is(scalar @{ $result->{rows} }, 30000, 'after the rows');
    is($client->error(q{SELECT * FROM live.snapshot('s', 100); SELECT 1 / 0})->{C}, '22012', 'an error later in an implicit transaction');
    $client->rows(q{SET client_encoding = 'LATIN1'});
    is($client->error(q{SELECT * FROM live.snapshot('s')})->{C}, '22P05', 'a character that the client lacks');
    $client->rows(q{SET client_encoding = 'UTF8'});
    reads_all($client, 's', 'after these');
    $client->disconnect;
}

# In a pipeline that succeeds, batch by batch, and in the transaction that subscribes.
{
    my $client = connect_client($node);
    my $result = pipeline($client, "SELECT live.subscribe('s', '$query')", q{SELECT * FROM live.snapshot('s', 100)}, 'SELECT 1 / 0');
    is($result->{error}{C}, '22012', 'a pipeline that subscribes fails');
    is($client->error(q{SELECT * FROM live.snapshot('s')})->{C}, '42704', 'and nothing was subscribed');
    pipeline($client, "SELECT live.subscribe('s', '$query')", q{SAVEPOINT a}, q{SELECT count(*) FROM live.snapshot('s')});
    $client->rows(q{SELECT live.unsubscribe_all()});
    $client->rows("BEGIN; SELECT live.subscribe('s', '$query'); SAVEPOINT a");
    is($client->error(q{SET LOCAL statement_timeout = '1ms'; SELECT * FROM live.snapshot('s')})->{C}, '57014', 'below the subscribing transaction');
    $client->rows(q{ROLLBACK TO a});
    is($client->error(q{SELECT count(1 / ((s."row" ->> 'id')::int - 20000)) FROM live.snapshot('s') AS s})->{C}, '22012', 'after that');
    $client->rows(q{ROLLBACK TO a; COMMIT});
    reads_all($client, 's', 'all that');
    $client->disconnect;
}

# ---- notifications -----------------------------------------------------------------------------------------------

# Nobody could take them back: they wait for the commit of the last batch's read.
{
    my $client = connect_client($node);
    subscribe_unread($client, 's');
    $writer->rows(q{UPDATE t SET a = 'first' WHERE id = 1});
    $writer->rows(q{UPDATE t SET a = 'second' WHERE id = 1});
    $client->rows(q{BEGIN; SELECT count(*) FROM live.snapshot('s')});
    is_deeply([ $client->synced ], [], 'no notification before the commit of the read');
    $client->rows(q{SELECT * FROM live.poll()});
    $client->rows(q{ROLLBACK});
    is_deeply([ $client->synced ], [], 'nor after its rollback');
    $client->rows(q{BEGIN; SAVEPOINT a; SELECT count(*) FROM live.snapshot('s'); ROLLBACK TO a; COMMIT});
    is_deeply([ $client->synced ], [], 'nor after that of a savepoint');
    reads_all($client, 's', 'notifications');
    subscribe_unread($client, 'r');
    $client->rows(q{BEGIN; SELECT live.refresh('s'); SELECT count(*) FROM live.snapshot('s'); ROLLBACK});
    $writer->rows(q{UPDATE t SET a = 'third' WHERE id = 1});
    ok($client->follow('s'), 'after a refresh that is rolled back');
    my ($state, $now) = ($client->state_of('s'), $client->rows_now($query));
    ok("@$state" eq "@$now", 'the old state goes on');
    $client->rows(q{SELECT count(*) FROM live.snapshot('r')});
    is($client->next_message->{message}{subscription_id}, 'r', 'what waited comes without another command');
    $client->disconnect;
}

# ---- what stays on disk and in memory ------------------------------------------------------------------------------

sub no_file_stays {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(wait_until(sub { !temp_files($node) }), "$name: no file stays");
}

{
    my $client = connect_client($node);
    my $partly = sub {
        subscribe_unread($client, 's');
        $client->rows(q{SELECT live.snapshot('s', 10)});
        cmp_ok(scalar temp_files($node), '>', 0, 'a large first result is on disk');
        return;
    };
    no_file_stays('before');
    $partly->();
    $client->rows(q{BEGIN; SELECT count(*) FROM live.snapshot('s')});
    cmp_ok(scalar temp_files($node), '>', 0, 'also when it is read, until that is committed');
    $client->rows('COMMIT');
    no_file_stays('read');
    $client->rows(q{SELECT live.unsubscribe('s')});
    $partly->();
    $client->rows(q{BEGIN; SELECT live.unsubscribe('s'); ROLLBACK; SELECT live.unsubscribe('s')});
    no_file_stays('unsubscribed');
    $partly->();
    $client->rows('UNLISTEN *');
    no_file_stays('UNLISTEN');
    $partly->();
    $client->rows('DISCARD ALL');
    no_file_stays('DISCARD ALL');
    $partly->();
    $client->rows(q{SELECT live.kill(live_id) FROM live_queries WHERE status = 'active'});
    $client->next_message;
    no_file_stays('killed');
    $client->rows("BEGIN; SELECT live.subscribe('s', '$query'); SAVEPOINT a; SELECT count(*) FROM live.snapshot('s', 10)");
    cmp_ok(scalar temp_files($node), '>', 0, 'read below the subscribing transaction, it is on disk');
    cmp_ok($client->value('SELECT sum(total_bytes) FROM pg_backend_memory_contexts'), '<', 8_000_000, 'and not in memory');
    $client->rows('ROLLBACK TO a; SELECT 1 FROM live.snapshot(\'s\', 10); ROLLBACK');
    no_file_stays('the subscription rolled back');
    $client->rows("BEGIN; SAVEPOINT a; SELECT live.subscribe('s', '$query'); SAVEPOINT b; SELECT count(*) FROM live.snapshot('s', 10)");
    $client->rows('ROLLBACK TO a');
    no_file_stays('its savepoint rolled back');
    $client->rows('COMMIT');
    $partly->();
    $client->rows('SELECT count(*) FROM t, live.snapshot(\'s\', 10)');
    $node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $client->pid . ')');
    no_file_stays('terminated');
    $client->disconnect;
}

# A limit on temporary files that is met while the rows are stored.
{
    my $client = connect_client($node);
    $client->rows(q{SET temp_file_limit = '1MB'});
    is($client->error("SELECT live.subscribe('s', '$query')")->{C}, '53400', 'too large to be stored at commit');
    no_file_stays('failed at commit');
    $client->rows('BEGIN');
    is($client->error("SELECT live.subscribe('s', '$query'); SAVEPOINT a; SELECT live.snapshot('s')")->{C}, '53400', 'too large below the subscribing transaction');
    $client->rows('ROLLBACK');
    no_file_stays('failed below');
    $client->rows("BEGIN; SELECT live.subscribe('s', '$query'); SAVEPOINT a");
    is($client->error(q{SELECT live.snapshot('s')})->{C}, '53400', 'too large');
    $client->rows('ROLLBACK TO a; RESET temp_file_limit');
    is($client->value(q{SELECT count(*) FROM live.snapshot('s')}), 30000, 'but not later');
    $client->rows('ROLLBACK; RESET temp_file_limit');
    subscribe_unread($client, 's');
    reads_all($client, 's', 'without the limit');
    $client->disconnect;
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|WARNING/, 'nothing was worse than an error');
done_testing();
