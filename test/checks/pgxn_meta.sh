# META.json is what the PostgreSQL Extension Network takes: version 1.0.0 of its Meta Spec (https://pgxn.org/spec/). Another file
# may be given, for the test of this check.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

found=$(
  python3 - "${1:-META.json}" <<'END'
import json, os, re, sys

LICENSES = "agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3 lgpl_2_1 lgpl_3_0 mit"
LICENSES += " mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown"
REQUIRED = {"name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"}
OPTIONAL = {"description", "generated_by", "no_index", "prereqs", "release_status", "resources", "tags"}

complain = lambda text: print("META.json: " + text)
is_text = lambda value: isinstance(value, str) and value != ""
is_term = lambda value: is_text(value) and len(value) > 1 and not re.search(r"[\s\x00-\x1f/\\]", value)
# Semantic versions, with three numbers; and, for what is needed, several of them with a comparison each.
VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-?[A-Za-z][0-9A-Za-z-]*)?"
is_version = lambda value: isinstance(value, str) and re.fullmatch(VERSION, value)
COMPARED = rf"((==|!=|<=|<|>=|>)\s*)?({VERSION}|0)"
is_range = lambda value: value == 0 or isinstance(value, str) and re.fullmatch(rf"{COMPARED}(\s*,\s*{COMPARED})*", value)
is_texts = lambda value: is_text(value) or isinstance(value, list) and value and all(map(is_text, value))
is_url = lambda value: is_text(value) and re.match(r"[a-z][a-z0-9+.-]*://[^/]+", value)


def known(where, members, names):
    for name in set(members) - set(names):
        if not re.match(r"x_", name, re.I):
            complain(f"{where}there is no member {name}; one's own begin with x_")


try:
    meta = json.load(open(sys.argv[1], encoding="utf-8"))
except ValueError as error:
    complain(f"no JSON: {error}")
    sys.exit()
for name in sorted(REQUIRED - set(meta)):
    complain(f"{name} is missing")
known("", meta, REQUIRED | OPTIONAL)
checks = {
    "name": is_term,
    "version": is_version,
    "abstract": is_text,
    "description": is_text,
    "generated_by": is_text,
    "maintainer": is_texts,
    "license": lambda value: all(one in LICENSES.split() for one in ([value] if isinstance(value, str) else value))
    if not isinstance(value, dict)
    else value and all(map(is_url, value.values())),
    "release_status": lambda value: value in ("stable", "testing", "unstable"),
    "tags": lambda value: isinstance(value, list)
    and all(is_text(tag) and len(tag) <= 256 and not re.search(r"[\x00-\x1f/\\]", tag) for tag in value),
    "meta-spec": lambda value: value.get("version") == "1.0.0" and ("url" not in value or is_url(value["url"])),
}
for name, check in checks.items():
    if name in meta and not check(meta[name]):
        complain(f"{name} is {json.dumps(meta[name])}")
for name, extension in meta.get("provides", {}).items():
    where = f"provides, {name}: "
    known(where, extension, ("file", "version", "abstract", "docfile"))
    if not is_term(name) or not is_version(extension.get("version")):
        complain(f"{where}its name or version")
    for member in ("file", "docfile"):
        if member == "file" or member in extension:
            if not os.path.isfile(extension.get(member, "")):
                complain(f"{where}{member} names no file")
for phase, relations in meta.get("prereqs", {}).items():
    if phase not in ("configure", "build", "test", "runtime", "develop"):
        complain(f"prereqs: there is no phase {phase}")
    for relation, packages in relations.items():
        if relation not in ("requires", "recommends", "suggests", "conflicts"):
            complain(f"prereqs, {phase}: there is no relation {relation}")
        for package, version in packages.items():
            if not is_term(package) or not is_range(version):
                complain(f"prereqs, {phase}, {relation}: {package} {version}")
# The oldest version of PostgreSQL is that of the packages.
needed = meta.get("prereqs", {}).get("runtime", {}).get("requires", {}).get("PostgreSQL", "")
oldest = min(map(int, open("debian/pgversions").read().split()))
if needed != f"{oldest}.0.0":
    complain(f'runtime needs PostgreSQL "{needed}", debian/pgversions begins with {oldest}')
END
)
[[ -z $found ]] || while read -r line; do
  complain "$line"
done <<<"$found"
