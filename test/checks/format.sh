# clang-format 14 has nothing to change in src, clients and test/unit. `clang-format-14 -i FILE` puts it right.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

program=$(command -v clang-format-14 || command -v clang-format) || leave_out "no clang-format"
"$program" --version | grep -q 'version 14\.' || leave_out "clang-format is not version 14, which formats differently"
while read -r file; do
  "$program" --style=file --dry-run --Werror "$file" >/dev/null 2>&1 || complain "$file is not formatted"
done < <(files src cpp hpp && files clients cpp hpp && files test/unit cpp hpp)
