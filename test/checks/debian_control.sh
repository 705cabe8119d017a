# debian/control is what `pg_buildext updatecontrol` makes of debian/control.in, for some of the versions in debian/pgversions. Another
# file may be given, as that which the tool has written.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

control=${1:-debian/control}
versions=$(sed -nE 's/^Package: postgresql-([0-9]+)-live-queries$/\1/p' "$control")
[[ -n $versions ]] || complain "$control has no package of an extension"
for version in $versions; do
  grep -qx "$version" debian/pgversions || complain "$control has version $version, debian/pgversions has not"
done
# The paragraphs that name a version come once for each.
made=$(
  versions=$versions perl -00 -ne '
    my $paragraph = $_;
    print $paragraph and next if !/PGVERSION/;
    print $paragraph =~ s/PGVERSION/$_/gr for split " ", $ENV{versions}' debian/control.in
)
different=$(diff <(echo "$made") "$control") || complain "$control is not what debian/control.in gives: $different"
