# pg_live on a terminal: what is drawn, what keys do, resizing, and what happens when the server is gone. The terminal is tmux's.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PgLive;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('screen');
$node->safe_psql('postgres', <<~SQL);
    CREATE TABLE orders (id int PRIMARY KEY, note text, total numeric(10,2));
    ALTER TABLE orders REPLICA IDENTITY FULL;
    INSERT INTO orders SELECT g, 'note ' || g, g FROM generate_series(1, 50) g;
    SQL
my $terminal = PgLive::Terminal->new($node);

sub shows { local $Test::Builder::Level = $Test::Builder::Level + 1; return $terminal->shows(@_) }
sub ended { local $Test::Builder::Level = $Test::Builder::Level + 1; return $terminal->ended(@_) }
sub keys_sent { return $terminal->keys_sent(@_) }
sub tmux { return $terminal->tmux(@_) }
sub start { return $terminal->start(80, 24, @_) }
sub psql { return $node->safe_psql('postgres', $_[0]) }

# Whether the screen matches within some seconds, as tmux captures it with these options.
sub seen_soon {
    my ($pattern, @options) = @_;
    for (1 .. 30) {
        return 1 if tmux('capture-pane', '-p', @options, '-t', 'main') =~ $pattern;
        sleep 0.1;
    }
    return 0;
}

# ---- one query ----

start('SELECT id, note, total FROM orders ORDER BY id');
shows('the first result', qr/^1: 50 rows  stream  SELECT id/m, qr/^   1  note 1    1\.00$/m, qr/^ live  50 rows .* stream /m);
# Marks stay for a moment: it is done, undone and done again until it was seen.
my $marked = qr/^\+  0  new\\n\\x1b\[2J   NULL\n   1 .*\n~  2  note 2 +77\.00\n   3 .*\n-  4 .*\n   5 (?s:.*) lag \d+ ms/m;
ok(wait_until(sub {
    psql(<<~'SQL');
        BEGIN;
        UPDATE orders SET total = 77 WHERE id = 2;
        INSERT INTO orders VALUES (0, E'new\n\x1b[2J', NULL);
        DELETE FROM orders WHERE id = 4;
        COMMIT;
        SQL
    return 1 if seen_soon($marked);
    psql(q{BEGIN; UPDATE orders SET total = 2 WHERE id = 2; DELETE FROM orders WHERE id = 0; INSERT INTO orders VALUES (4, 'note 4', 4); COMMIT});
    return 0;
}), 'changes are drawn in their places, and marked') || diag(tmux('capture-pane', '-p', '-t', 'main'));
shows('for a moment', qr/^   0  .*\n   1 .*\n   2 .*\n   3 .*\n   5 /m);
my $colours = tmux('capture-pane', '-p', '-e', '-t', 'main');
unlike($colours, qr/\x1b\[[0-9;]*3[23]m/, 'and then in no colour');
ok(wait_until(sub {
    my $total = psql('UPDATE orders SET total = total + 1 WHERE id = 2 RETURNING total');
    return seen_soon(qr/\x1b\[(?:\d+;)*33m.*\Q$total\E/, '-e');
}), 'what has changed has a colour');

# That of one that enters, and of one that leaves, whose row is shown for a moment.
for my $case ([ 'INSERT INTO orders VALUES (%d, $$coming$$, 1)', 32, 'coming', 'enters: green' ], [ 'DELETE FROM orders WHERE id = %d', 31, 'coming', 'leaves: red' ]) {
    my ($sql, $colour, $text, $name) = @$case;
    my $undo = $sql =~ /^INSERT/ ? 'DELETE FROM orders WHERE id = %d' : 'INSERT INTO orders VALUES (%d, $$coming$$, 1)';
    ok(wait_until(sub {
        psql(sprintf $sql, -1);
        return 1 if seen_soon(qr/\x1b\[(?:\d+;)*${colour}m[^\n]*$text/, '-e');
        psql(sprintf $undo, -1);
        return 0;
    }), "what $name") || diag(tmux('capture-pane', '-p', '-e', '-t', 'main'));
}
# Changes per second, and the bars of the seconds before, as bytes of UTF-8.
ok(wait_until(sub {
    psql('UPDATE orders SET total = total + 1 WHERE id BETWEEN 5 AND 9');
    return seen_soon(qr/^ live  \d+ rows  (?!0\.0)\d[\d.]*\/s [^\n]*\xe2\x96[\x81-\x88]/m);
}), 'changes per second, with bars');
ok(wait_until(sub { tmux('capture-pane', '-p', '-t', 'main') =~ /^ live  \d+ rows  0\.0\/s /m }), 'and none, when nothing changes');

keys_sent('End');
shows('End', qr/^  50  note 50/m, [qr/^   1  note/m]);
keys_sent('Up');
shows('Up', qr/^  49  note 49.*\n live/m);
keys_sent('PPage');
shows('a page up', qr/^  29  note 29.*\n live/m);
keys_sent('Home');
shows('Home', qr/\A.*\n.*\n   0 /);
keys_sent('NPage');
shows('a page down', qr/\A.*\n.*\n  21 /);
keys_sent('Home');
keys_sent('Right');
shows('to the right', qr/\A.*\n  note /);
keys_sent('Left');

keys_sent('/');
keys_sent('-l', 'OTE 3');
shows('a filter while it is typed', qr/^1: 50 rows, 11 shown/m, qr{^/OTE 3_}m, [qr/^   5  note 5/m]);
keys_sent('BSpace');
shows('backspace', qr{^/OTE _}m, qr/^1: 50 rows, 49 shown/m);
keys_sent('4', 'Enter');
shows('a filter that is kept', qr{^ live .*  /OTE 4  }m, qr/^1: 50 rows, 10 shown/m);
keys_sent('Escape');
shows('no filter', qr/^1: 50 rows  stream/m);

keys_sent('Space');
shows('held', qr/^ HELD, 0 changes/m);
psql('DELETE FROM orders WHERE id < 10');
shows('held: changes are counted', qr/^ HELD, 9 changes/m, qr/^   1  note 1/m);
keys_sent('Space');
shows('held no more', qr/^ live  41 rows/m, [qr/^   1  note 1/m]);

keys_sent('?');
shows('the page of help', qr/hold still/, qr/strategy +stream/, qr/tables +public\.orders/);
keys_sent('x');
shows('and back', qr/^1: 41 rows/m);

tmux('resize-window', '-t', 'main', '-x', 60, '-y', 10);
shows('smaller', qr/\A1: 41 rows.*\n.*\n(?:  1\d  .*\n){7} live/);
tmux('resize-window', '-t', 'main', '-x', 30, '-y', 2);
shows('too small for rows', qr/\A1: 41 rows.*\n live/);
tmux('resize-window', '-t', 'main', '-x', 100, '-y', 30);
shows('larger', qr/^  36  note 36.*\n live/m);

# ---- the server goes, and comes back ----

$node->stop('immediate');
shows('no server: it is said, and the rows stay', qr/^ STALE  /m, qr/^  10  note 10/m);
$node->start;
shows('it connects again', qr/^ live  41 rows/m);
psql(q{INSERT INTO orders VALUES (11111, 'after', 1)});
shows('and is told', qr/^ live  42 rows/m);
keys_sent('End');
shows('and goes on', qr/^\W +11111  after/m);
psql(q{SELECT live.kill(live_id) FROM live_queries WHERE status = 'active'});
shows('killed: it is said, and the rows stay', qr/ENDED/, qr/^\W +11111  after/m);
keys_sent('q');
ended(0, 'q ends it');
poll_ok($node, q{SELECT count(*) = 0 FROM live_queries WHERE status = 'active'}, 'nothing stays on the server');

# ---- several queries ----

start('SELECT id FROM orders WHERE id < $1', '15', '--', 'SELECT note FROM orders ORDER BY id DESC LIMIT 3', '--', 'SELECT count(*) FROM orders');
shows('tiles', qr/\A1: 5 rows .*SELECT id.*\[15\]\n(?:.*\n)*2: 3 rows  delta .*\n.*\n  after *\n  note 50\n  note 49\n(?:.*\n)*3: 1 row  delta .*\n.*\n +42\n/);
psql(q{INSERT INTO orders VALUES (1000, 'between', 1)});
shows('in the order of the query', qr/  after *\n[+ ] between\n  note 50\n/, qr/3: 1 row .*\n.*\n[~ ] +43\n/);
keys_sent('Tab');
keys_sent('?');
shows('Tab: the query in focus', qr/How query 2 is watched/);
keys_sent('x');
keys_sent('C-c');
ended(130, 'Ctrl-C ends it');

# A reset is answered after a wait of any length up to a second, and longer if the next one comes soon.
psql('CREATE TABLE shelf (id int PRIMARY KEY)');
start('SELECT id, note FROM orders JOIN shelf USING (id)');
shows('a join', qr/\A1: 0 rows  delta  SELECT/);
ok(wait_until(sub {
    psql('TRUNCATE shelf; INSERT INTO shelf VALUES (1000)');
    return seen_soon(qr/\A1: \d rows?  delta  RESET, to be read again  SELECT/);
}), 'a result that is reset is marked until it is read again');
shows('and read again', qr/\A1: 1 row  delta  SELECT.*\n.*\n. +1000  between/);
keys_sent('q');
ended(0, 'q ends it');

start('SELECT nothing FROM orders');
shows('what is refused is said on the terminal', qr/^pg_live: column "nothing" does not exist\.$/m);
ended(3, 'with its status');

# ---- terminals that can do less, and results that are large ----

sub with_environment {
    my ($environment, @arguments) = @_;
    local $terminal->{environment} = $environment;
    return start(@arguments);
}

with_environment(['TERM=dumb'], 'SELECT id FROM orders');
shows('TERM=dumb', qr/^pg_live: nothing can be drawn on this terminal \(TERM\): use --json, --changes or/m, [qr/stream/]);
ended(1, 'TERM=dumb: with its status');

# Colours of tmux stand in the attributes of what is captured.
for my $case ([ ['NO_COLOR=1'], 0, 'NO_COLOR' ], [ ['NO_COLOR='], 1, 'NO_COLOR that is empty' ]) {
    my ($environment, $coloured, $name) = @$case;
    with_environment($environment, 'SELECT id, note FROM orders WHERE id >= 1000');
    shows("$name: the rows", qr/^   1000  between/m);
    my $seen = 0;
    ok(wait_until(sub {
        psql(q{DELETE FROM orders WHERE id = 1001; INSERT INTO orders VALUES (1001, 'sign', 1)});
        for (1 .. 10) {
            my $screen = tmux('capture-pane', '-p', '-e', '-t', 'main');
            $seen ||= $screen =~ /\x1b\[(?:\d+;)*3[1-6]m/;
            return 1 if $screen =~ /^(?:\x1b\[[\d;]*m)*[+~](?:\x1b\[[\d;]*m| )*1001/m;
            sleep 0.1;
        }
        return 0;
    }), "$name: what enters has its sign") || diag(tmux('capture-pane', '-p', '-e', '-t', 'main'));
    is($seen ? 1 : 0, $coloured, "$name: colours");
    keys_sent('q');
    ended(0, "$name: q");
}
psql('DELETE FROM orders WHERE id = 1001');

# Characters of two columns, one that has none of its own, and one that is cut in half.
psql(q{CREATE TABLE wide (id int PRIMARY KEY, name text, more text); INSERT INTO wide VALUES (1, '你好', 'x'), (2, U&'e\0301a', 'x'), (3, repeat('好', 50), 'x')});
start('SELECT id, name, more FROM wide ORDER BY id');
my $chinese = qr/(?:\xe4\xbd\xa0|\xe5\xa5\xbd)/;
shows('wide characters', qr/^   1  $chinese$chinese *$/m, qr/^   2  e\xcc\x81a *$/m, qr/^   3  ${chinese}{36}\xe2\x80\xa6/m);
keys_sent('Right', 'Right');
shows('wide characters: what is to the right of them', qr/\A.*\n  more\s*\n  x\s*\n  x\s*\n  x\s*\n/);
keys_sent('q');
ended(0, 'wide characters: q');

# What is not seen costs nothing: neither the rest of a long value nor the columns to the right.
psql(q{CREATE TABLE much (id int PRIMARY KEY, text text); INSERT INTO much SELECT g, repeat('x', 1000000) FROM generate_series(1, 20) g});
start('SELECT id, text FROM much ORDER BY id');
shows('long values', qr/\A1: 20 rows .*\n.*\n   1  x+\xe2\x80\xa6?\n/);
keys_sent('End');
keys_sent('/', 'y');
shows('long values: keys are answered', qr{^/y_}m, qr/\A1: 20 rows, 0 shown/);
keys_sent('Escape');
shows('long values: all of them again', qr/\A1: 20 rows  delta/);
keys_sent('q');
ended(0, 'long values: q');
my $columns = join ', ', map { "$_ AS c$_" } 1 .. 1000;
start("SELECT id, $columns FROM wide ORDER BY id");
shows('a thousand columns', qr/\A1: 3 rows .*\n  id  c1  c2  /);
keys_sent(('Right') x 999);
shows('a thousand columns: the last but one', qr/\A.*\n  c999  c1000\s*\n   999   1000\s*\n/);
keys_sent('q');
ended(0, 'a thousand columns: q');

start('--until-empty', 'SELECT id FROM orders WHERE id = 1000');
shows('until empty', qr/^1: 1 row/m);
psql('DELETE FROM orders WHERE id = 1000');
ended(0, 'until empty: ends');

$node->stop;
done_testing();
