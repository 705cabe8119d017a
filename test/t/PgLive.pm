# Running pg_live, the terminal client, in TAP tests: it is found in the server that the tests run on.
package PgLive;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run ();
use JSON::PP ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(run_pg_live start_pg_live);

my $json = JSON::PP->new->utf8;

sub connection_of {
    my ($node) = @_;
    return ('-w', '-d', $node->connstr('postgres'));
}

# run_pg_live(NODE, ARGUMENTS...): until it ends by itself. Returns {status, out, err}.
sub run_pg_live {
    my ($node, @arguments) = @_;
    my $client = start_pg_live($node, @arguments);
    $client->finish;
    return $client;
}

# start_pg_live(NODE, ARGUMENTS...): one that runs. Its output so far is in {out} and {err} once wait_for or finish has looked.
sub start_pg_live {
    my ($node, @arguments) = @_;
    my $self = bless { out => '', err => '' }, __PACKAGE__;
    my $timeout = $PostgreSQL::Test::Utils::timeout_default;
    # PGAPPNAME would stand for the name that the program gives itself.
    delete local $ENV{PGAPPNAME};
    $self->{run} = IPC::Run::start([ 'pg_live', connection_of($node), @arguments ],
        '<', \undef, '>', \$self->{out}, '2>', \$self->{err}, IPC::Run::timeout($timeout * 2));
    return $self;
}

# Waits until what it has written to standard output ('out') or standard error ('err') matches; a test.
sub wait_for {
    my ($self, $stream, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $there = wait_until(sub {
        eval { $self->{run}->pump_nb } if $self->{run}->pumpable;
        return $self->{$stream} =~ $pattern || !$self->{run}->pumpable;
    });
    return ok($there && $self->{$stream} =~ $pattern, $name)
      || diag("out: $self->{out}\nerr: $self->{err}");
}

sub signal {
    my ($self, $signal) = @_;
    $self->{run}->signal($signal);
    return;
}

# Waits for its end.
sub finish {
    my ($self) = @_;
    $self->{run}->finish;
    # 128 + n is its own doing, a signal itself would be a status below 128.
    $self->{status} = $self->{run}->full_result(0) >> 8;
    $self->{signal} = $self->{run}->full_result(0) & 127;
    return $self;
}

# The messages that it has written so far.
sub messages {
    my ($self) = @_;
    return map { $json->decode($_) } grep { /\}\n\z/ } split /(?<=\n)/, $self->{out};
}

# The rows, by key, that its messages come to, of one subscription id or of all.
sub state_of_messages {
    my ($self, $id) = @_;
    my $text = JSON::PP->new->canonical->allow_nonref;
    my %state;
    for my $message ($self->messages) {
        next if defined $id && $message->{subscription_id} ne $id;
        if ($message->{type} eq 'snapshot') {
            %state = map { $text->encode($_->{key}) => $text->encode($_->{row}) } @{ $message->{rows} };
        } elsif ($message->{type} eq 'changes') {
            apply_changes(\%state, $message);
        }
    }
    return \%state;
}

# clients/conformance/proxy.py, between clients and the server of a test.
package PgLive::Proxy;

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use File::Spec;
use IPC::Run ();
use PostgreSQL::Test::Utils;

our $conformance = File::Spec->rel2abs(dirname(__FILE__) . '/../../clients/conformance');

sub new {
    my ($class, $node) = @_;
    my $self = bless { in => '', out => '' }, $class;
    my $timeout = $PostgreSQL::Test::Utils::timeout_default;
    $self->{run} = IPC::Run::start([ 'python3', "$conformance/proxy.py", '--host', $node->host, '--port', $node->port ],
        '<', \$self->{in}, '>', \$self->{out}, IPC::Run::timeout($timeout * 4));
    $self->{run}->pump until $self->{out} =~ /^listening (\d+)\n/;
    $self->{port} = $1;
    return $self;
}

# What pg_live is started with, to connect through it.
sub connection_of {
    my ($self) = @_;
    return ('-d', "host=127.0.0.1 port=$self->{port} dbname=postgres sslmode=disable gssencmode=disable");
}

# A fault of clients/conformance/README.md; returns once it is there.
sub tell {
    my ($self, $fault) = @_;
    $self->{out} = '';
    $self->{in} .= "$fault\n";
    $self->{run}->pump until $self->{out} eq "ok\n";
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);
    eval { $self->{run}->kill_kill };
    return;
}

# A terminal, which is tmux's, with pg_live in it. A server of tmux is no child of the test: its socket is in a directory of the
# test, it ends with the one command that it runs, and that has a limit.
package PgLive::Terminal;

use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $longest = 900;    # seconds
my $starts = 0;
my %running;          # the names of the servers that may run
my $directory;

sub new {
    my ($class, $node) = @_;
    $directory //= PostgreSQL::Test::Utils::tempdir_short();
    return bless { node => $node }, $class;
}

# run_tmux(NAME, COMMAND...): with the server of that name, for a person who has no configuration. Returns whether it did,
# and what it has written.
sub run_tmux {
    my ($name, @command) = @_;
    my ($out, $err) = ('', '');
    local $ENV{TMUX_TMPDIR} = $directory;
    local $ENV{SHELL} = '/bin/sh';
    delete local $ENV{TMUX};
    my $done = IPC::Run::run([ 'tmux', '-u', '-L', $name, '-f', '/dev/null', @command ], '>', \$out, '2>', \$err);
    return ($done, $out, $err);
}

sub end_server {
    my ($name) = @_;
    run_tmux($name, 'kill-server') if delete $running{$name};
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);
    eval { end_server($self->{server}) if $self->{server} };
    return;
}

END {
    local ($?, $@);
    eval { end_server($_) for keys %running };
}

sub tmux {
    my ($self, @command) = @_;
    my ($done, $out, $err) = run_tmux($self->{server}, @command);
    die "tmux @command: $err" if !$done;
    return $out;
}

# start(WIDTH, HEIGHT, ARGUMENTS...): runs pg_live, with what {environment} has of variables, and the shell, which Ctrl-C does not end, says its status afterwards. A
# server of its own each time: the one before may still be about to end.
sub start {
    my ($self, $width, $height, @arguments) = @_;
    my $command = join ' ', map { s/'/'\\''/gr =~ s/(.*)/'$1'/rs } 'env', @{ $self->{environment} // [] }, 'pg_live',
      PgLive::connection_of($self->{node}), @arguments;
    $self->{server} = 's' . ++$starts;
    $running{ $self->{server} } = 1;
    $self->tmux('new-session', '-d', '-s', 'main', '-x', $width, '-y', $height,
        'timeout', '--foreground', $longest, 'sh', '-c', "trap : INT; $command; echo \"status \$?\"; trap '' INT; exec sleep $longest");
    return;
}

# A hundred at once: a newer tmux refuses a command of thousands of bytes.
sub keys_sent {
    my ($self, @keys) = @_;
    while (my @some = splice @keys, 0, 100) {
        $self->tmux('send-keys', '-t', 'main', @some);
    }
    return;
}

# shows(NAME, PATTERNS...): waits until the screen matches all of them, and none of those that stand in an array; a test.
sub shows {
    my ($self, $name, @patterns) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $screen = '';
    my $there = wait_until(sub {
        $screen = $self->tmux('capture-pane', '-p', '-t', 'main');
        return !grep { ref $_ eq 'ARRAY' ? $screen =~ $_->[0] : $screen !~ $_ } @patterns;
    });
    return ok($there, $name) || diag($screen);
}

# ended(STATUS, NAME): waits for that status; a test.
sub ended {
    my ($self, $status, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->shows($name, qr/^status $status$/m);
    end_server($self->{server});
    return;
}

1;
