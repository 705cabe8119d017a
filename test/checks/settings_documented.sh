# Every setting that the code defines has a row in the README's table, and every row a setting. The settings of
# the test build (inside #ifdef LIVE_QUERIES_FAULTS) are left out. A table with gaps is worse than none.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mapfile -t sources < <(files src cpp hpp)
defined=$(settings_of "${sources[@]}")
documented=$(sed -nE 's/^\| `(live_queries\.[a-z_]+)` .*/\1/p' README.md | sort -u)
[[ -n $defined ]] || complain "found no setting in src: is this check still right?"
while read -r name; do
  complain "src defines $name, and README.md has no row for it"
done < <(comm -23 <(echo "$defined") <(echo "$documented") | grep . || true)
while read -r name; do
  complain "README.md has a row for $name, and src does not define it"
done < <(comm -13 <(echo "$defined") <(echo "$documented") | grep . || true)
