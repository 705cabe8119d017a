# What users of other systems of this kind report as broken, form by form: a query, and transactions after each of which
# the client's state, built from its first result and its messages alone, has to be what SELECT gives.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use Test::More;

my $node = new_node('elsewhere');
my @writers = map { connect_client($node) } 0 .. 1;
my $watcher = connect_client($node);

# follows(NAME, DEFINITIONS, QUERY, STEPS): each step is a text, which is run as one transaction, or code; after it is what the
# query gives.
sub follows {
    my ($name, $definitions, $query, @steps) = @_;
    subtest $name => sub {
        $writers[0]->rows("DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s; SET search_path = s; $definitions");
        $_->rows('SET search_path = s') for @writers, $watcher;
        my $made = $watcher->subscribe('q', $query);
        isnt($made->{strategy}, 'stream', "strategy $made->{strategy}");
        my $before = $writers[0]->rows_now($query);
        is_deeply($watcher->state_of('q'), $before, 'the first result');
        for my $n (1 .. @steps) {
            ref $steps[$n - 1] ? $steps[$n - 1]->() : $writers[0]->rows("BEGIN; $steps[$n - 1]; COMMIT");
            my @messages = map { $_->{message} } $watcher->synced;
            apply_changes($watcher->{states}{q}, $_) for grep { $_->{type} eq 'changes' } @messages;
            my $after = $writers[0]->rows_now($query);
            is_deeply($watcher->state_of('q'), $after, "after step $n");
            is_deeply([ grep { $_->{type} ne 'changes' } @messages ], [], 'nothing but changes');
            my $alike = "@$after" eq "@$before";
            is(@messages > 0 ? 'told' : 'not told', $alike ? 'not told' : 'told', $alike ? 'the same result' : 'another result');
            $before = $after;
        }
        $watcher->rows(q{SELECT live.unsubscribe('q')});
    };
    return;
}

follows(
    'id IN (SELECT id FROM members), and a delete that cascades in the same transaction', <<~SQL,
    CREATE TABLE rooms (id int PRIMARY KEY, name text);
    CREATE TABLE members (room int REFERENCES rooms ON DELETE CASCADE, who int, PRIMARY KEY (room, who));
    CREATE TABLE messages (id int PRIMARY KEY, room int REFERENCES rooms ON DELETE CASCADE, body text);
    INSERT INTO rooms VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO members VALUES (1, 7), (2, 7), (3, 8);
    INSERT INTO messages VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z'), (4, 1, 'w');
    SQL
    'SELECT id, body FROM messages WHERE room IN (SELECT room FROM members WHERE who = 7)',
    'DELETE FROM rooms WHERE id = 1',
    "INSERT INTO rooms VALUES (1, 'a'); INSERT INTO messages VALUES (1, 1, 'again'); INSERT INTO members VALUES (1, 7)",
    'UPDATE members SET who = 8 WHERE room = 2; DELETE FROM rooms WHERE id = 2',
    'INSERT INTO members VALUES (3, 7); DELETE FROM rooms WHERE id = 3',
    "INSERT INTO members VALUES (1, 9); DELETE FROM members WHERE who = 7");

follows(
    'a row of a sub-select that changes twice in a transaction, by way of a value that matches', <<~SQL,
    CREATE TABLE tasks (id int PRIMARY KEY, owner int, body text);
    CREATE TABLE people (id int PRIMARY KEY, state text);
    INSERT INTO tasks VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 1, 'z');
    INSERT INTO people VALUES (1, 'off'), (2, 'on');
    SQL
    q{SELECT id, body FROM tasks WHERE owner IN (SELECT id FROM people WHERE state = 'on')},
    q{UPDATE people SET state = 'on' WHERE id = 1; UPDATE people SET state = 'away' WHERE id = 1},
    q{UPDATE people SET state = 'off' WHERE id = 2; UPDATE people SET state = 'on' WHERE id = 2},
    q{UPDATE people SET state = 'off' WHERE id = 1; UPDATE people SET state = 'on' WHERE id = 1},
    q{UPDATE people SET id = 3 WHERE id = 1; UPDATE people SET id = 4 WHERE id = 3},
    q{INSERT INTO people VALUES (1, 'off'); UPDATE people SET state = 'on' WHERE id = 1; UPDATE tasks SET body = 'v' WHERE id = 3});

follows(
    'a parent becomes active while its child moves away', <<~SQL,
    CREATE TABLE parents (id int PRIMARY KEY, active boolean);
    CREATE TABLE children (id int PRIMARY KEY, parent int);
    INSERT INTO parents VALUES (1, false), (2, false), (3, true);
    INSERT INTO children VALUES (1, 1), (2, 2), (3, 3);
    SQL
    'SELECT c.id, c.parent FROM children c JOIN parents p ON p.id = c.parent WHERE p.active',
    'UPDATE parents SET active = true WHERE id = 1; UPDATE children SET parent = 2 WHERE id = 1',
    'UPDATE children SET parent = 1 WHERE id = 1; UPDATE parents SET active = false WHERE id = 3',
    'UPDATE parents SET active = NOT active; UPDATE children SET parent = 4 - parent',
    sub {
        $writers[0]->rows('BEGIN; UPDATE parents SET active = NOT active');
        $writers[1]->rows('BEGIN; UPDATE children SET parent = parent % 3 + 1; COMMIT');
        $writers[0]->rows('COMMIT');
    },
    'DELETE FROM parents WHERE active; UPDATE children SET id = id + 10');

follows(
    'NOT IN (sub-select), and NULLs that enter it', <<~SQL,
    CREATE TABLE items (id int PRIMARY KEY, n int);
    CREATE TABLE banned (id int PRIMARY KEY, n int);
    INSERT INTO items VALUES (1, 1), (2, 2), (3, NULL);
    INSERT INTO banned VALUES (1, 2);
    SQL
    'SELECT id, n FROM items WHERE n NOT IN (SELECT n FROM banned)',
    'INSERT INTO banned VALUES (2, NULL)',
    'INSERT INTO items VALUES (4, 4)',
    'UPDATE banned SET n = 9 WHERE id = 2',
    'DELETE FROM banned',
    'INSERT INTO banned VALUES (3, NULL); DELETE FROM banned WHERE n IS NULL; INSERT INTO banned VALUES (4, 4)',
    'UPDATE banned SET n = NULL; UPDATE items SET n = 5 WHERE id = 1');

follows(
    'parents with at least one child, of which one of several is deleted', <<~SQL,
    CREATE TABLE parents (id int PRIMARY KEY, name text);
    CREATE TABLE children (id int PRIMARY KEY, parent int);
    INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO children VALUES (1, 1), (2, 1), (3, 2);
    SQL
    'SELECT p.id, p.name FROM parents p WHERE EXISTS (SELECT FROM children c WHERE c.parent = p.id)',
    'DELETE FROM children WHERE id = 1',
    'DELETE FROM children WHERE id = 2',
    'INSERT INTO children VALUES (4, 3), (5, 3); DELETE FROM children WHERE id IN (3, 4)',
    'UPDATE children SET parent = 1 WHERE id = 5',
    'UPDATE parents SET id = 9 WHERE id = 1; INSERT INTO children VALUES (6, 9), (7, NULL)');

follows(
    'ORDER BY DESC LIMIT, which has to fill up again', <<~SQL,
    CREATE TABLE posts (id int PRIMARY KEY, score int);
    INSERT INTO posts SELECT n, n % 7 FROM generate_series(1, 30) n;
    SQL
    'SELECT id, score FROM posts ORDER BY score DESC, id LIMIT 4',
    'DELETE FROM posts WHERE id = 6',
    'DELETE FROM posts WHERE score = 6',
    'UPDATE posts SET score = 100 WHERE id = 1',
    'UPDATE posts SET score = -1 WHERE id = 1; INSERT INTO posts VALUES (50, 99); DELETE FROM posts WHERE score BETWEEN 4 AND 5',
    'DELETE FROM posts WHERE id > 2',
    'DELETE FROM posts',
    'INSERT INTO posts SELECT n, n FROM generate_series(1, 9) n');

follows(
    'row_number() <= 1, with ties', <<~SQL,
    CREATE TABLE bids (id int PRIMARY KEY, lot int, amount int);
    INSERT INTO bids VALUES (1, 1, 10), (2, 1, 10), (3, 2, 5), (4, NULL, 1);
    SQL
    'SELECT id, lot, amount FROM (SELECT *, row_number() OVER (PARTITION BY lot ORDER BY amount DESC, id) AS n FROM bids) b'
      . ' WHERE n <= 1',
    'DELETE FROM bids WHERE id = 1',
    'INSERT INTO bids VALUES (1, 1, 10), (5, 2, 5)',
    'UPDATE bids SET lot = NULL WHERE id = 3',
    'UPDATE bids SET lot = 1, amount = 10 WHERE id IN (3, 4)',
    'UPDATE bids SET id = id + 10 WHERE lot = 1');

follows(
    'NULL as the key of a group, and HAVING at its edge', <<~SQL,
    CREATE TABLE sales (id int PRIMARY KEY, region text, amount int);
    INSERT INTO sales VALUES (1, NULL, 1), (2, NULL, 2), (3, 'n', 1), (4, 'n', NULL);
    SQL
    'SELECT region, count(*) AS n, sum(amount) AS total FROM sales GROUP BY region HAVING count(*) >= 2',
    'DELETE FROM sales WHERE id = 1',
    'INSERT INTO sales VALUES (1, NULL, NULL)',
    'UPDATE sales SET region = NULL WHERE id = 3',
    q{UPDATE sales SET region = 'n' WHERE region IS NULL; UPDATE sales SET region = NULL WHERE id <= 2},
    'UPDATE sales SET amount = NULL',
    q{INSERT INTO sales VALUES (5, '', 1), (6, '', 2); DELETE FROM sales WHERE region IS NULL});

follows(
    'LEFT JOINs in a chain on NULLs, and a row of NULLs that a match replaces', <<~SQL,
    CREATE TABLE a (id int PRIMARY KEY, x int);
    CREATE TABLE b (id int PRIMARY KEY, x int, y int);
    CREATE TABLE c (id int PRIMARY KEY, y int);
    INSERT INTO a VALUES (1, 1), (2, NULL), (3, 3);
    SQL
    'SELECT a.id AS a, b.id AS b, c.id AS c FROM a LEFT JOIN b ON b.x = a.x LEFT JOIN c ON c.y = b.y',
    'INSERT INTO b VALUES (1, 1, NULL)',
    'INSERT INTO c VALUES (1, NULL), (2, 5)',
    'UPDATE b SET y = 5',
    'INSERT INTO c VALUES (3, 5); DELETE FROM c WHERE id = 2',
    'INSERT INTO b VALUES (2, 1, 7), (3, NULL, 5); UPDATE a SET x = NULL WHERE id = 3',
    'DELETE FROM b WHERE id = 1; DELETE FROM c',
    'DELETE FROM b; DELETE FROM a WHERE x IS NULL');

follows(
    'a table joined with itself, and both sides changed by transactions at one time', <<~SQL,
    CREATE TABLE staff (id int PRIMARY KEY, boss int, pay int);
    INSERT INTO staff VALUES (1, NULL, 9), (2, 1, 5), (3, 1, 6), (4, 2, 7);
    SQL
    'SELECT e.id, b.id AS boss, e.pay - b.pay AS more FROM staff e JOIN staff b ON b.id = e.boss WHERE e.pay > b.pay',
    sub {
        $writers[0]->rows('BEGIN; UPDATE staff SET pay = 4 WHERE id = 1');
        $writers[1]->rows('BEGIN; UPDATE staff SET pay = 8 WHERE id = 2; COMMIT');
        $writers[0]->rows('COMMIT');
    },
    sub {
        $writers[1]->rows('BEGIN; UPDATE staff SET boss = 3 WHERE id = 4');
        $writers[0]->rows('BEGIN; UPDATE staff SET pay = 1 WHERE id = 3; COMMIT');
        $writers[1]->rows('COMMIT');
    },
    'UPDATE staff SET boss = id',
    'UPDATE staff SET boss = (id % 4) + 1, pay = 10 - pay',
    'DELETE FROM staff WHERE id = 3; INSERT INTO staff VALUES (3, 3, 100); UPDATE staff SET boss = 3 WHERE id = 1');

done_testing();
