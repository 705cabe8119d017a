# More databases in live_queries.databases than there is room for: the first of them have their decoders, and the log says once
# which are left out.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('named_databases', 'live_queries.max_databases = 2');
for my $name (qw(d1 d2 d3 d4)) {
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    $node->safe_psql($name, 'CREATE EXTENSION live_queries');
}

sub name {
    my ($names) = @_;
    $node->safe_psql('postgres', "ALTER SYSTEM SET live_queries.databases = $names");
    $node->reload;
    return;
}

# The databases that warnings were about, in the order of the warnings.
sub warned_of {
    my @lines = split /\n/, slurp_file($node->logfile);
    return join '; ', map { $lines[$_ + 1] =~ /DETAIL: .* for (.*)\. 2 can have/ ? $1 : $lines[$_ + 1] }
      grep { $lines[$_] =~ /WARNING: .*live_queries\.databases names more databases than there is room for/ } 0 .. $#lines;
}

sub warned_is {
    my ($expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_until(sub { warned_of() eq $expected });
    return is(warned_of(), $expected, $name);
}

# The launcher looks at all databases, and starts this one's decoder anew.
sub passes {
    my ($database) = @_;
    my $pid = decoder_pid($node, $database);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
    wait_until(sub { decoder_pid($node, $database) ne $pid });
    return;
}

name('d3, nowhere, d2, d1');
warned_is('"d1"', 'one has no room; one that is not there needs none');
ok(decoder_pid($node, $_), "the decoder of $_ runs") for qw(d3 d2);
passes('d3');
$node->reload;
passes('d2');
name('d3, d2, d1, d4');
warned_is('"d1"; "d1", "d4"', 'no other warning for the same, and one for others');
name('d3, d2');
passes('d3');
name('d3, d2, d4');
warned_is('"d1"; "d1", "d4"; "d4"', 'none where all have room');
$node->safe_psql('postgres', 'DROP DATABASE d2');
ok(decoder_pid($node, 'd4'), 'one that was left out takes the place of one that is gone');
passes('d4');
is(warned_of(), '"d1"; "d1", "d4"; "d4"', 'no warning after that');
like(slurp_file($node->logfile), qr/HINT: .*Raise live_queries\.max_databases/, 'with a hint');

$node->stop;
done_testing();
