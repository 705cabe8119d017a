# Whoever comes from an earlier version has in the end what a fresh installation has: the objects of the extension, their definitions,
# rights and comments. The earlier versions are those that have a script to come from; in the end it is shown, with
# versions made up for that, that a script that forgets something is noticed.
use strict;
use warnings FATAL => 'all';
use LiveQueries;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('upgrades');
my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $current = $node->safe_psql('postgres', q{SELECT default_version FROM pg_available_extensions WHERE name = 'live_queries'});
my $databases = 0;
my @written;

END { unlink @written }

# All that the extension of a database has, one object a line.
sub catalog_of {
    my ($database) = @_;
    return $node->safe_psql($database, <<~'SQL');
        SELECT concat_ws(' | ', 'extension', extversion, extrelocatable, extnamespace::regnamespace, extconfig::text, extcondition::text)
            FROM pg_extension WHERE extname = 'live_queries'
        UNION ALL
        SELECT regexp_replace(concat_ws(' | ', pg_describe_object(d.classid, d.objid, d.objsubid),
            CASE WHEN p.oid IS NOT NULL THEN pg_get_functiondef(p.oid)
                WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid)
                WHEN n.oid IS NULL AND view_row.oid IS NULL THEN 'NOT KNOWN HERE' END,
            coalesce(p.proowner, c.relowner, n.nspowner)::regrole,
            coalesce(p.proacl, c.relacl, n.nspacl)::text,
            c.reloptions::text,
            (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attacl::text), ', ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = c.oid),
            (SELECT initprivs::text FROM pg_init_privs i WHERE (i.objoid, i.classoid, i.objsubid) = (d.objid, d.classid, 0)),
            (SELECT string_agg(x.objsubid || ' ' || x.description, ', ' ORDER BY x.objsubid)
                FROM pg_description x WHERE (x.objoid, x.classoid) = (d.objid, d.classid))), '\s+', ' ', 'g')
        FROM pg_depend d
            LEFT JOIN pg_proc p ON (d.classid, d.objid) = ('pg_proc'::regclass, p.oid)
            LEFT JOIN pg_class c ON (d.classid, d.objid) = ('pg_class'::regclass, c.oid)
            LEFT JOIN pg_namespace n ON (d.classid, d.objid) = ('pg_namespace'::regclass, n.oid)
            -- Newer servers count the types of a view's rows, and arrays of them; they are as the view is.
            LEFT JOIN pg_type view_row ON (d.classid, d.objid) = ('pg_type'::regclass, view_row.oid)
                AND 'v' IN (SELECT relkind FROM pg_class JOIN pg_type r ON r.typrelid = pg_class.oid WHERE r.oid IN (view_row.oid, view_row.typelem))
        WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
            AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'live_queries')
        ORDER BY 1
        SQL
}

# What a database has that comes from that version.
sub upgraded_from {
    my ($version) = @_;
    my $database = 'upgraded_' . ++$databases;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, qq{CREATE EXTENSION live_queries VERSION "$version"; ALTER EXTENSION live_queries UPDATE});
    return catalog_of($database);
}

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION live_queries');
my $fresh = catalog_of('fresh');
like($fresh, qr/^extension \| \Q$current\E /m, 'a fresh installation is of the current version');
like($fresh, qr/^function live\.subscribe\(.* \| CREATE OR REPLACE FUNCTION live\.subscribe\(/m, 'its functions are looked at');
like($fresh, qr{^view live\.workers \| +SELECT .*\bretained_wal_bytes\b}m, 'and its views');
unlike($fresh, qr/NOT KNOWN HERE/, 'and all other things');

# ---- the versions that there are ----

my @earlier = split /\n/, $node->safe_psql('postgres', <<~SQL);
    SELECT source FROM pg_extension_update_paths('live_queries') WHERE target = '$current' AND path IS NOT NULL ORDER BY 1
    SQL
note('there is no earlier version to come from') if !@earlier;
is(upgraded_from($_), $fresh, "who comes from $_ has the same") for @earlier;

# ---- versions made up ----

# made_up(VERSION, SCRIPT, UPGRADE): installs a version, and what leads from it to the current one.
sub made_up {
    my ($version, $script, $upgrade) = @_;
    my $base = "$share/extension/live_queries--$version";
    push @written, "$base.sql", "$base--$current.sql";
    append_to_file("$base.sql", $script);
    append_to_file("$base--$current.sql", $upgrade);
    return;
}

my $script = slurp_file("$share/extension/live_queries--$current.sql");
my ($before, $last) = $script =~ /\A(.*)(^CREATE FUNCTION live\.stats\(.*)\z/ms or die 'the last function is another one';
made_up('0.1', $before, $last);
is(upgraded_from('0.1'), $fresh, 'a script that makes what is new is right');
made_up('0.2', $before, $last =~ s/^COMMENT ON FUNCTION live\.stats.*//msr);
isnt(upgraded_from('0.2'), $fresh, 'one that forgets a comment is noticed');
made_up('0.3', $script =~ s/^GRANT SELECT ON live\.workers TO PUBLIC;//mr, '');
isnt(upgraded_from('0.3'), $fresh, 'one that forgets a right is noticed');
made_up('0.4', $script =~ s/count\(DISTINCT database\)/count(database)/r, '');
isnt(upgraded_from('0.4'), $fresh, 'one that leaves a function as it was is noticed');
made_up('0.5', "$script\nCREATE FUNCTION live.old() RETURNS int RETURN 1;", '');
isnt(upgraded_from('0.5'), $fresh, 'one that leaves something there is noticed');

$node->stop;
done_testing();
