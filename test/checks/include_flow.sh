# Includes point one way: from a folder to those below it in the list, or to another file of the same folder; and the
# files of a folder, a .cpp and its .hpp taken as one, include each other in no circle. So a reader can take the
# house from the top or from the bottom, and a change that would have to point up shows itself to be in the wrong room.
# test/selftest gives it a directory of its own, in the place of src and clients.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

trees=("$@")
((${#trees[@]})) || trees=(src clients)
mapfile -t trees < <(realpath "${trees[@]}")
top_to_bottom=(pg_live sql_api client worker deliver subscribers match evaluate template decode query delta analyze registry model pg)
declare -A level=()
for at in "${!top_to_bottom[@]}"; do
  level[${top_to_bottom[at]}]=$at
done

# includes_of FOLDER: "FILE INCLUDED" for all that a folder's files include of the project.
includes_of() {
  grep -HoP '^\s*#\s*include\s*"\K\w+/\w+\.hpp(?=")' "$1"/*.[ch]pp 2>/dev/null | tr ':' ' ' |
    while read -r file included; do
      # "access/xact.h" and the like are the server's.
      [[ ! -e $included ]] || echo "$file $included"
    done || true
}

for tree in "${trees[@]}"; do
  cd "$tree"
  for directory in */; do
    folder=${directory%/}
    # Clients in other languages include nothing.
    compgen -G "$folder/*.[ch]pp" >/dev/null || continue
    if [[ -z ${level[$folder]:-} ]]; then
      complain "$folder/ has no place in the order of folders"
      continue
    fi
    within=
    while read -r file included; do
      [[ -n $file ]] || continue
      target=${included%%/*}
      if [[ $target == "$folder" ]]; then
        # Each file on its own as well, so that tsort knows it.
        within+="${file%.?pp} ${included%.?pp}"$'\n'
      elif ((${level[$target]:-0} < level[$folder])); then
        complain "$file includes $included: that points up"
      fi
    done < <(includes_of "$folder")
    if ! circle=$(tsort <<<"$within" 2>&1 >/dev/null); then
      complain "these include each other in a circle:$(sed -n 's/^tsort: -*:* *\(.*\/.*\)/\1/p' <<<"$circle" | tr '\n' ' ' | sed 's/^/ /; s/ $//')"
    fi
  done
done
