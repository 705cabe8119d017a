# Files as CONTRIBUTING.md wants them: small, each with a head that says what it owns, each of a name of its own (so
# that a name in a log or in a backtrace says where), nothing left undone, no line that a diff would wrap.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

while read -r file; do
  lines=$(wc -l <"$file")
  ((lines <= 500)) || complain "$file has $lines lines; 500 is the limit"
  head -n 1 "$file" | grep -qE '^(//|/\*) *[^ ]' || complain "$file does not begin with a comment that says what it is"
  if [[ $file == *.hpp ]] && ! grep -q '^#pragma once$' "$file"; then
    complain "$file has no #pragma once"
  fi
done < <(files src cpp hpp && files clients cpp hpp)

while read -r name; do
  complain "several files are called $name: $(find src -name "$name" | sort | tr '\n' ' ')"
done < <(files src cpp hpp | sed 's|.*/||' | sort | uniq -d)
while read -r line; do
  complain "longer than 100 columns: $line"
done < <(export LC_ALL=C.UTF-8 && { files src cpp hpp && files test/unit cpp hpp && files clients cpp hpp; } | xargs -r grep -HnE '^.{101,}' | cut -c1-80)

mapfile -t all < <(find . \( -name .git -o -name results -o -name output_iso -o -name tmp_check -o -path ./build \) -prune -o -type f \
  \( -name '*.?pp' -o -name '*.c' -o -name '*.h' -o -name '*.sql' -o -name '*.spec' -o -name '*.p[lmy]' -o -name '*.sh' -o -name '*.md' -o \
  -name Makefile -o -path '*/run' \) ! -path ./test/checks/source_files.sh -print)
while read -r line; do
  complain "left undone: $line"
done < <(grep -nwE 'TODO|FIXME|XXX|HACK' "${all[@]}" | cut -c1-100 || true)
while read -r line; do
  complain "white space at the end of a line: $line"
done < <(printf '%s\n' "${all[@]}" | grep -v '\.md$' | xargs -r grep -nE '[[:space:]]+$' | cut -c1-80 || true)
