# What the sessions of other roles and databases see of a live query: no channel, and never a string that their encoding
# does not have.
use strict;
use warnings FATAL => 'all';
use Encode ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('roles_and_encodings');
my %encoding = (postgres => 'UTF8', latin => 'LATIN1', ascii => 'SQL_ASCII', japanese => 'EUC_JP');
for my $database (qw(latin ascii japanese)) {
    $node->safe_psql('postgres',
        "CREATE DATABASE $database ENCODING '$encoding{$database}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    $node->safe_psql($database, 'CREATE EXTENSION live_queries');
}

# What an application knows as characters, here as the bytes of UTF-8.
my ($e_acute, $nihon, $euro) = map { Encode::encode('UTF-8', $_) } "\x{e9}", "\x{65e5}\x{672c}", "\x{20ac}";
my $latin_bytes = "\xe9";

subtest 'a channel is shown to its own session alone' => sub {
    $node->safe_psql('postgres', <<~SQL);
        CREATE ROLE subscriber LOGIN;
        CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
        CREATE ROLE gateway LOGIN NOINHERIT;
        GRANT subscriber TO gateway;
        CREATE TABLE t (id int PRIMARY KEY);
        GRANT SELECT ON t TO subscriber;
        SQL
    my $own = connect_client($node, user => 'subscriber');
    my $channel = $own->subscribe('own', 'SELECT id FROM t')->{channel};
    my $gateway = connect_client($node, user => 'gateway');
    $gateway->rows('BEGIN; SET LOCAL ROLE subscriber');
    my $other_channel = $gateway->value(q(SELECT channel FROM live.subscribe('gateway', 'SELECT id FROM t')));
    $gateway->rows('COMMIT');
    my $seen = 'SELECT subscription_id, channel FROM live_queries ORDER BY 1';
    is_deeply($own->rows($seen), [ [ 'gateway', undef ], [ 'own', $channel ] ],
        'another session of the same role has its own alone');
    is_deeply($gateway->rows($seen), [ [ 'gateway', $other_channel ], [ undef, undef ] ],
        'a gateway after COMMIT sees what it may handle');
    for my $user (undef, 'monitor') {
        my $one = connect_client($node, defined $user ? (user => $user) : ());
        is_deeply($one->rows($seen), [ [ 'gateway', undef ], [ 'own', undef ] ],
            ($user // 'a superuser') . ' of another session has none');
        $one->disconnect;
    }
    is($gateway->read_snapshot('gateway'), 0, 'the gateway reads the first result as itself');
    $node->safe_psql('postgres', 'INSERT INTO t VALUES (1)');
    is($gateway->next_message->{channel}, $other_channel, 'and gets its changes');
    # A function of another role that runs in the session cannot make it deaf.
    $node->safe_psql('postgres', <<~SQL);
        CREATE ROLE other;
        CREATE FUNCTION silence() RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN UNLISTEN *; END';
        ALTER FUNCTION silence OWNER TO other;
        SQL
    $own->synced;
    $own->rows('SELECT silence()');
    $node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
    is_deeply($own->next_message->{message}{changes}[0]{key}, [2], 'UNLISTEN in a function of another role ends nothing');
    $own->rows('UNLISTEN *');
    is_deeply($own->rows(q(SELECT subscription_id FROM live_queries WHERE pid = pg_backend_pid())), [], 'that of the session does');
    $_->disconnect for $own, $gateway;
    ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM live_queries'), 'all are gone');
};

subtest 'the view is valid in the encoding of its reader' => sub {
    my %client = (
        postgres => connect_client($node),
        latin    => connect_client($node, dbname => 'latin'),
        ascii    => connect_client($node, dbname => 'ascii', options => { client_encoding => 'SQL_ASCII' }),
        japanese => connect_client($node, dbname => 'japanese'));
    my %text = (postgres => "$e_acute$nihon$euro", latin => $e_acute, ascii => $latin_bytes, japanese => $nihon);
    for my $database (sort keys %client) {
        my $word = $text{$database};
        $client{$database}->rows(qq(CREATE TABLE "t$word" (id int PRIMARY KEY, a text); ALTER TABLE "t$word" REPLICA IDENTITY FULL));
        $client{$database}->subscribe("id $word", qq(SELECT id FROM "t$word" WHERE a = \$1), "x $word");
    }
    my $seen = sub {
        my ($reader) = @_;
        my %shown = map { $_->[0] => $_ }
          @{ $reader->rows('SELECT database, subscription_id, query, params[1], tables[1], live_id FROM live_queries') };
        return \%shown;
    };
    # shows(READER, DATABASE, WORD, NAME): all texts of the database's row have the word in place of its own.
    my $shows = sub {
        my ($reader, $database, $word, $name) = @_;
        my $row = $seen->($reader)->{$database};
        is_deeply(
            [ @$row[ 1 .. 4 ] ],
            [ "id $word", qq(SELECT id FROM "t$word" WHERE a = \$1), "x $word", qq(public."t$word") ], $name);
        like($row->[5], qr/-id \Q$word\E$/, "$name: the live id");
    };
    my $ascii_in_utf8 = connect_client($node, dbname => 'ascii');
    $shows->($client{postgres}, 'postgres', $text{postgres}, 'UTF8 of UTF8');
    $shows->($client{postgres}, 'latin', $e_acute, 'UTF8 of LATIN1');
    $shows->($client{postgres}, 'ascii', '?', 'UTF8 of SQL_ASCII');
    $shows->($client{postgres}, 'japanese', $nihon, 'UTF8 of EUC_JP');
    $shows->($client{latin}, 'postgres', "$e_acute???", 'LATIN1 of UTF8');
    $shows->($client{latin}, 'ascii', $e_acute, 'LATIN1 of SQL_ASCII: any byte is a character');
    $shows->($client{latin}, 'japanese', '??', 'LATIN1 of EUC_JP');
    $shows->($client{japanese}, 'postgres', "$e_acute$nihon?", 'EUC_JP of UTF8');
    $shows->($client{japanese}, 'latin', $e_acute, 'EUC_JP of LATIN1');
    $shows->($client{ascii}, 'ascii', $latin_bytes, 'SQL_ASCII of itself');
    $shows->($client{ascii}, 'latin', '?', 'SQL_ASCII of LATIN1');
    $shows->($client{ascii}, 'postgres', '????', 'SQL_ASCII of UTF8');
    $shows->($ascii_in_utf8, 'ascii', '?', 'SQL_ASCII, with a client in UTF8, of itself');
    $shows->($ascii_in_utf8, 'latin', $e_acute, 'SQL_ASCII, with a client in UTF8, of LATIN1');
    $shows->($ascii_in_utf8, 'postgres', $text{postgres}, 'SQL_ASCII, with a client in UTF8, of UTF8');
    my $ascii_in_sjis = connect_client($node, dbname => 'ascii', options => { client_encoding => 'SJIS' });
    $shows->($ascii_in_sjis, 'japanese', '??', 'SQL_ASCII, with a client in SJIS, of EUC_JP');

    # Errors, and what finds them.
    $client{latin}->rows(qq(DROP TABLE "t$e_acute"));
    my $message = $client{latin}->next_message->{message};
    is($message->{type}, 'terminated', 'a table is dropped');
    my $error = $client{postgres}->value(q(SELECT error FROM live_queries WHERE database = 'latin' AND status = 'terminated'));
    is(Encode::decode('UTF-8', $error, Encode::FB_CROAK), "$message->{code}: $message->{reason}", 'its error is converted');
    my $shown = $seen->($client{postgres});
    for my $database (qw(japanese ascii postgres)) {
        is($client{postgres}->value("SELECT live.kill('$shown->{$database}[5]')"), 't', "live.kill finds what is shown of $database");
        is($client{postgres}->value("SELECT count(*) FROM live_queries WHERE database = '$database' AND status = 'active'"),
            0, 'and it is over');
    }
    $_->disconnect for $ascii_in_utf8, $ascii_in_sjis, values %client;
};

subtest 'names of roles have no encoding' => sub {
    my $latin = connect_client($node, dbname => 'latin', options => { client_encoding => 'LATIN1' });
    $latin->rows(qq(CREATE ROLE "r$latin_bytes" SUPERUSER));
    $latin->rows('CREATE TABLE t (id int PRIMARY KEY)');
    my $own = connect_client($node);
    $own->subscribe('mine', 'SELECT id FROM t');
    $latin->rows(qq(SET ROLE "r$latin_bytes"));
    $latin->subscribe('theirs', 'SELECT id FROM t');
    my ($username, $live_id) =
      @{ $own->rows(q(SELECT username, live_id FROM live_queries WHERE subscription_id = 'theirs'))->[0] };
    is($username, 'r?', 'that of a role made in LATIN1 is shown in UTF8');
    like($live_id, qr/^r$e_acute-\d+-theirs$/, 'and the live id of its subscription');
    my ($mine) = @{ $latin->rows(q(SELECT live_id FROM live_queries WHERE subscription_id = 'mine'))->[0] };
    is($latin->value("SELECT live.kill('$mine')"), 't', 'it ends one of a database in UTF8');
    is($own->next_message->{message}{reason}, 'ended by live.kill of role r?', 'whose client can read the reason');
    is($own->value(q(SELECT error FROM live_queries WHERE subscription_id = 'mine')),
        '57014: ended by live.kill of role r?', 'as in the view');
    is($own->value("SELECT live.kill('$live_id')"), 't', 'and the other way round');
    $_->disconnect for $own, $latin;
};

subtest 'a long reason is cut between characters' => sub {
    $node->safe_psql('postgres', <<~SQL);
        CREATE FUNCTION complain(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
            \$\$ BEGIN RAISE EXCEPTION '%', 'x' || repeat(U&'\\65E5', 200); END \$\$;
        SQL
    my $own = connect_client($node);
    $own->subscribe('complains', 'SELECT id, complain(id) FROM t WHERE id > 5');
    $node->safe_psql('postgres', 'INSERT INTO t VALUES (6)');
    my $reason = $own->next_message->{message}{reason};
    is($reason, 'x' . "\x{65e5}" x 84, 'in the message');
    my $latin = connect_client($node, dbname => 'latin');
    is($latin->value(q(SELECT error FROM live_queries WHERE subscription_id = 'complains')),
        'P0001: x' . '?' x 84, 'and in another encoding');
    $_->disconnect for $own, $latin;
};

# An error quotes a row, which may be one that other sessions of the role may not see.
subtest 'the text of an error is for its own session' => sub {
    $node->safe_psql('postgres', <<~SQL);
        CREATE TABLE acct (id int PRIMARY KEY, tenant text, txt text);
        ALTER TABLE acct REPLICA IDENTITY FULL;
        CREATE ROLE tenants LOGIN;
        CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats;
        GRANT SELECT ON acct TO tenants;
        SQL
    my ($one, $other) = map { connect_client($node, user => 'tenants') } 1 .. 2;
    $one->subscribe('numbers', 'SELECT id, txt::int AS n FROM acct WHERE tenant = $1', 'one');
    $node->safe_psql('postgres', q(INSERT INTO acct VALUES (1, 'one', 'secret')));
    my $message = $one->next_message->{message};
    is($message->{type}, 'terminated', 'a row that cannot be shown');
    my $error = q(SELECT error FROM live_queries WHERE subscription_id = 'numbers');
    my $text = '22P02: invalid input syntax for type integer: "secret"';
    is($one->value($error), $text, 'its session is told all');
    is($other->value($error), '22P02', 'another session of the role the code');
    my $watcher = connect_client($node, user => 'watcher');
    is($watcher->value($error), '22P02', 'and so a member of pg_read_all_stats');
    is(connect_client($node)->value($error), $text, 'a superuser all');
    $_->disconnect for $one, $other, $watcher;
};

done_testing();
