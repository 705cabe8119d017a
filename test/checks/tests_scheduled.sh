# Every test file is run by something: a regression test or an isolation spec that the Makefile does not list
# passes for ever. Also: each has an expected result, no expected result is left over, and every Perl test is where
# test/run looks for it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# variable NAME: the value that make gives it.
variable() {
  # shellcheck disable=SC2016  # make's own
  printf 'include Makefile\nprint-it:\n\t@echo $(%s)\n' "$1" | make -s -f - PG_CONFIG="${PG_CONFIG:-pg_config}" print-it |
    tr ' ' '\n' | grep . | sort || true
}

# schedule VARIABLE DIR EXTENSION EXPECTED
schedule() {
  local scheduled present name result
  scheduled=$(variable "$1")
  present=$(files "$2" "$3" | sed -E "s|^$2/(.*)\.$3\$|\1|" | sort)
  while read -r name; do
    complain "$2/$name.$3 is not in $1"
  done < <(comm -13 <(echo "$scheduled") <(echo "$present") | grep . || true)
  while read -r name; do
    complain "$1 lists $name, and there is no $2/$name.$3"
  done < <(comm -23 <(echo "$scheduled") <(echo "$present") | grep . || true)
  for name in $present; do
    [[ -e $4/$name.out ]] || complain "$2/$name.$3 has no $4/$name.out"
  done
  for result in "$4"/*.out; do
    [[ -e $result ]] || continue
    name=$(basename "$result" .out)
    [[ -e $2/$name.$3 || -e $2/${name%_[0-9]}.$3 ]] || complain "$result belongs to no test"
  done
}

schedule REGRESS sql sql expected
schedule ISOLATION test/specs spec test/expected
while read -r file; do
  case $file in
    test/t/[0-9]*.pl | test/faults/[0-9]*.pl) ;;
    *) complain "$file: Perl tests are test/t/NNN_name.pl or test/faults/NNN_name.pl" ;;
  esac
done < <(files test pl)
while read -r number; do
  complain "test/t has several tests of number $number"
done < <(files test/t pl | sed -E 's|.*/([0-9]+)_.*|\1|' | sort | uniq -d)
