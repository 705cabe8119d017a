# The deliberate bugs that are patches still fit the sources, all in one tree: whoever changes the code next to one hears
# of it here, and not after minutes of building.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

copy=$(mktemp -d)
cp -r src "$copy/src"
while read -r line; do
  complain "$line"
done < <(bash test/oracle/mutations --apply "$copy" || true)
rm -rf "$copy"

while read -r name; do
  complain "$name is a patch and stands in src"
done < <(comm -12 <(files test/oracle/mutation_patches patch | sed -E 's|.*/(.*)\.patch|\1|' | sort) \
  <(files src cpp | xargs sed -nE 's/.*LIVE_QUERIES_MUTATION\("([a-z_]+)"\).*/\1/p' | sort))
