# What the TAP tests share: servers with the extension, a client that speaks the protocol itself, and the state that
# a subscriber builds from its snapshot and its messages.
#
# Why a client of our own: psql shows notifications only after a command, cannot stop reading, and shows neither the
# bytes nor the moment of a message. This one does all that, and needs nothing but Perl's own modules.
package LiveQueries;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(new_node connect_client decoder_pid wait_until restart_with wal_levels seconds_of refused_at_once poll_ok comes_back temp_files temp_sizes temp_bytes apply_changes);

# new_node(NAME, LINES): a running server in UTF-8 with the extension in database postgres, and LINES in its
# postgresql.conf.
sub new_node {
    my ($name, $lines) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--no-locale' ]);
    $node->append_conf('postgresql.conf', <<~CONF);
        shared_preload_libraries = 'live_queries'
        max_prepared_transactions = 5
        max_connections = 100
        autovacuum = off
        live_queries.evaluation_timeout = 20s
        CONF
    $node->append_conf('postgresql.conf', $lines) if defined $lines;
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION live_queries');
    return $node;
}

# restart_with(NODE, LINES): restarts with more settings, which stay.
sub restart_with {
    my ($node, $lines) = @_;
    $node->append_conf('postgresql.conf', $lines);
    $node->restart;
    return;
}

# wal_levels(NODE): the highest wal_level with which a running server can have no live queries, and the least with which it can.
sub wal_levels {
    my ($node) = @_;
    return $node->safe_psql('postgres', 'SHOW server_version_num') >= 190000 ? ('minimal', 'replica') : ('replica', 'logical');
}

# connect_client(NODE, dbname => .., user => .., options => {name => value})
sub connect_client {
    my ($node, %how) = @_;
    return LiveQueries::Client->new($node, %how);
}

# The decoder of a database that serves; waits for one.
sub decoder_pid {
    my ($node, $database) = @_;
    $database //= 'postgres';
    my $sql = "SELECT pid FROM live.workers WHERE kind = 'decoder' AND database = '$database' AND state = 'running'";
    my $pid = '';
    wait_until(sub { $pid = $node->safe_psql('postgres', $sql); $pid ne '' }) or die "no decoder for $database";
    return $pid;
}

# Calls a function until it returns true; false if it never does.
sub wait_until {
    my ($done) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    until ($done->()) {
        return 0 if time > $end;
        sleep 0.05;
    }
    return 1;
}

# How long a function takes, in seconds.
sub seconds_of {
    my ($work) = @_;
    my $start = time;
    $work->();
    return time - $start;
}

# poll_ok(NODE, SQL, NAME, DATABASE): a test that passes once SQL returns true.
sub poll_ok {
    my ($node, $sql, $name, $database) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($node->poll_query_until($database // 'postgres', $sql), $name);
}

# refused_at_once(NODE, SQL, SECONDS, SETTING, NAME): for want of room, within the time, with the setting in the hint. Returns a client
# that was refused, and the error.
sub refused_at_once {
    my ($node, $sql, $most, $setting, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $client = connect_client($node);
    my $error;
    my $seconds = seconds_of(sub { $error = $client->error($sql) });
    is($error->{C}, '53400', "$name: refused");
    like($error->{H} // '', qr/\b$setting\b/, "$name: the hint names the setting");
    cmp_ok($seconds, '<', $most, "$name: at once");
    return ($client, $error);
}

# Waits for a server that starts again after a crash. Not with psql: where it is refused it ends, and its statement breaks
# the pipe.
sub comes_back {
    my ($node, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(wait_until(sub { return eval { connect_client($node)->disconnect; 1 } }), "$name: the server comes back");
}

# The temporary files of a server.
sub temp_files {
    my ($node) = @_;
    return map { s{.*/}{}r } glob($node->data_dir . '/base/pgsql_tmp/*');
}

# How many bytes each has, and all together.
sub temp_sizes {
    my ($node) = @_;
    return map { -s $_ // 0 } glob($node->data_dir . '/base/pgsql_tmp/*');
}

sub temp_bytes {
    my ($node) = @_;
    my $bytes = 0;
    $bytes += $_ for temp_sizes($node);
    return $bytes;
}

my $json = JSON::PP->new->canonical->allow_nonref;

# apply_changes(STATE, MESSAGE): a state maps the key of each row to the row, both as canonical JSON. Dies where a
# change does not fit the state.
sub apply_changes {
    my ($state, $message) = @_;
    for my $change (@{ $message->{changes} }) {
        if ($change->{op} eq 'clear') {
            %$state = ();
            next;
        }
        my $key = $json->encode($change->{key});
        my $is_there = exists $state->{$key};
        die "$change->{op} of $key, which is" . ($is_there ? '' : ' not') . ' there'
          if $is_there != ($change->{op} eq 'insert' ? 0 : 1);
        if ($change->{op} eq 'delete') {
            delete $state->{$key};
        } else {
            $state->{$key} = $json->encode($change->{row});
        }
    }
    return $state;
}

package LiveQueries::Client;

use strict;
use warnings FATAL => 'all';

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Time::HiRes qw(time);

sub new {
    my ($class, $node, %how) = @_;
    my ($host, $port) = ($node->host, $node->port);
    my $socket =
      $host =~ m{^/}
      ? IO::Socket::UNIX->new(Peer => "$host/.s.PGSQL.$port")
      : IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port);
    die "cannot connect to $host:$port: $!" unless defined $socket;
    binmode $socket;
    my $self = bless {
        socket        => $socket,
        input         => '',
        notifications => [],
        states        => {},
    }, $class;
    my %parameters = (
        user            => $how{user} // scalar getpwuid($<),
        database        => $how{dbname} // 'postgres',
        client_encoding => 'UTF8',
        %{ $how{options} // {} });
    my $body = pack('N', 196608) . join('', map { "$_\0$parameters{$_}\0" } sort keys %parameters) . "\0";
    $self->_write(pack('N', 4 + length $body) . $body);
    my $result = $self->finish;
    die "cannot connect: $result->{error}{M}" if $result->{error};
    return $self;
}

sub pid { return $_[0]{pid} }

sub _write {
    my ($self, $bytes) = @_;
    for (my $done = 0; $done < length $bytes;) {
        my $count = syswrite $self->{socket}, $bytes, length($bytes) - $done, $done;
        die "connection lost: $!" unless defined $count;
        $done += $count;
    }
    return;
}

# One message of the protocol, as (type, body); an empty list when the time is up; type '' at the end of the
# connection.
sub _read {
    my ($self, $deadline) = @_;
    for (;;) {
        if (length $self->{input} >= 5) {
            my $size = unpack 'N', substr($self->{input}, 1, 4);
            if (length $self->{input} > $size) {
                my $type = substr $self->{input}, 0, 1;
                my $body = substr $self->{input}, 5, $size - 4;
                substr($self->{input}, 0, $size + 1, '');
                return ($type, $body);
            }
        }
        my $left = $deadline - time;
        local $! = 0;
        unless (IO::Select->new($self->{socket})->can_read($left > 0 ? $left : 0)) {
            next if $!{EINTR}; # a process of the test's own has ended
            return;
        }
        my $count = sysread $self->{socket}, $self->{input}, 1 << 20, length $self->{input};
        return ('', '') unless $count;
    }
}

sub _note {
    my ($self, $body) = @_;
    my $pid = unpack 'N', $body;
    my ($channel, $payload) = split /\0/, substr($body, 4), -1;
    push @{ $self->{notifications} }, { pid => $pid, channel => $channel, payload => $payload, after => $self->{queries} };
    return;
}

sub _fields {
    my ($body) = @_;
    return { map { /^(.)(.*)/s ? ($1 => $2) : () } split /\0/, $body };
}

# Sends without waiting for the result.
sub send_query {
    my ($self, $sql) = @_;
    ++$self->{queries};
    $self->_write('Q' . pack('N', 5 + length $sql) . "$sql\0");
    return;
}

# The result of what was sent: {rows, tag, error, notices}. An error that ends the connection as well.
sub finish {
    my ($self) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    my $result = { rows => [], notices => [] };
    for (;;) {
        my ($type, $body) = $self->_read($deadline);
        die 'no answer from the server in time' unless defined $type;
        if ($type eq '') {
            $result->{error} //= { C => '08006', M => 'connection closed' };
            return $result;
        }
        last if $type eq 'Z';
        if ($type eq 'D') {
            my ($count, $position) = (unpack('n', $body), 2);
            my @row;
            for (1 .. $count) {
                my $length = unpack 'l>', substr($body, $position, 4);
                $position += 4;
                push @row, $length < 0 ? undef : substr($body, $position, $length);
                $position += $length if $length > 0;
            }
            push @{ $result->{rows} }, \@row;
        } elsif ($type eq 'C') {
            $result->{tag} = substr $body, 0, -1;
        } elsif ($type eq 'E') {
            $result->{error} //= _fields($body);
        } elsif ($type eq 'N') {
            push @{ $result->{notices} }, _fields($body);
        } elsif ($type eq 'A') {
            $self->_note($body);
        } elsif ($type eq 'K') {
            $self->{pid} = unpack 'N', $body;
        }
    }
    return $result;
}

# Reads until a notice comes, of a command that goes on.
sub wait_notice {
    my ($self) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (my ($type, $body) = $self->_read($deadline)) {
        return _fields($body) if $type eq 'N';
        die "not a notice: $type" if $type !~ /^[AST]$/;
    }
    die 'no notice in time';
}

# The rows of a command, which must succeed.
sub rows {
    my ($self, $sql) = @_;
    $self->send_query($sql);
    my $result = $self->finish;
    die "$result->{error}{C}: $result->{error}{M}, in: $sql" if $result->{error};
    return $result->{rows};
}

# The first value of a command, which must succeed.
sub value {
    my ($self, $sql) = @_;
    my $rows = $self->rows($sql);
    return @$rows ? $rows->[0][0] : undef;
}

# The error of a command, which must fail: {C => SQLSTATE, M => message, H => hint, ...}.
sub error {
    my ($self, $sql) = @_;
    eval { $self->send_query($sql); 1 } or return { C => '08006', M => "$@" };
    return $self->finish->{error} // { C => '00000', M => 'no error' };
}

# subscribe(ID, QUERY, PARAMS...): subscribes, reads the snapshot and starts a state from it.
sub subscribe {
    my ($self, $id, $query, @params) = @_;
    my $array = @params ? 'ARRAY[' . join(', ', map { "'$_'" } @params) . ']' : q('{}');
    my $row = $self->rows("SELECT * FROM live.subscribe('$id', \$query\$$query\$query\$, $array)")->[0];
    $self->read_snapshot($id);
    return { live_id => $row->[0], channel => $row->[1], strategy => $row->[2], seq => $row->[3] };
}

sub refresh {
    my ($self, $id) = @_;
    $self->rows("SELECT live.refresh('$id')");
    return $self->read_snapshot($id);
}

sub read_snapshot {
    my ($self, $id) = @_;
    my $json = JSON::PP->new->canonical->utf8->allow_nonref;
    my $rows = $self->rows("SELECT key, \"row\" FROM live.snapshot('$id')");
    my $text = JSON::PP->new->canonical->allow_nonref;
    $self->{states}{$id} =
      { map { $text->encode($json->decode($_->[0])) => $text->encode($json->decode($_->[1])) } @$rows };
    return scalar @$rows;
}

# The next message, {pid, channel, payload, message}: one that is here, or comes within the time. Sends nothing.
sub next_message {
    my ($self, $timeout) = @_;
    my $deadline = time + ($timeout // $PostgreSQL::Test::Utils::timeout_default);
    until (@{ $self->{notifications} }) {
        my ($type, $body) = $self->_read($deadline);
        return unless defined $type && $type ne '';
        $self->_note($body) if $type eq 'A';
        die 'connection ended: ' . _fields($body)->{M} if $type eq 'E';
    }
    return $self->_opened(shift @{ $self->{notifications} });
}

sub _opened {
    my ($self, $notification) = @_;
    $notification->{message} = JSON::PP->new->utf8->decode($notification->{payload})
      if $notification->{payload} =~ /^\{/ && length $notification->{payload} < 4_000_000;
    return $notification;
}

# The messages that are here.
sub taken {
    my ($self) = @_;
    my @taken = map { $self->_opened($_) } splice @{ $self->{notifications} };
    return @taken;
}

# arrived(): waits until all that has committed by now is in the connection's mailbox; dies if it does not get there.
sub arrived {
    my ($self) = @_;
    my $reached = $self->value("SELECT live.wait_for(timeout => '${PostgreSQL::Test::Utils::timeout_default}s')");
    die 'live.wait_for() timed out' if $reached ne 't';
    return $reached;
}

# The messages of all that has committed by now.
sub synced {
    my ($self) = @_;
    $self->arrived;
    return $self->taken;
}

# follow(ID): brings its state up to all that has committed; true if no reset and no termination came.
sub follow {
    my ($self, $id) = @_;
    my $whole = 1;
    for my $message (map { $_->{message} } $self->synced) {
        next if ($message->{subscription_id} // '') ne $id;
        $whole = 0 if $message->{type} ne 'changes';
        LiveQueries::apply_changes($self->{states}{$id}, $message) if $message->{type} eq 'changes';
    }
    return $whole;
}

# told(): brings all states up to all that has committed; which live queries were told of changes, or of what else.
sub told {
    my ($self) = @_;
    my %told;
    for my $message (map { $_->{message} } $self->synced) {
        my $id = $message->{subscription_id};
        LiveQueries::apply_changes($self->{states}{$id}, $message) if $message->{type} eq 'changes';
        $told{ $message->{type} eq 'changes' ? $id : "$message->{type} $id" } = 1;
    }
    return [ sort keys %told ];
}

# The state of ID as sorted rows, to compare with rows_now.
sub state_of {
    my ($self, $id) = @_;
    return [ sort values %{ $self->{states}{$id} } ];
}

# The rows that a query gives, in the same form.
sub rows_now {
    my ($self, $query) = @_;
    my $json = JSON::PP->new->canonical->utf8;
    my $text = JSON::PP->new->canonical;
    return [ sort map { $text->encode($json->decode($_->[0])) }
          @{ $self->rows("SELECT row_to_json(q) FROM ($query) q") } ];
}

sub disconnect {
    my ($self) = @_;
    eval { $self->_write('X' . pack('N', 4)) };
    close $self->{socket};
    return;
}

1;
