#!/bin/sh
# check_misra.sh [DIR] - MISRA C:2012 over the safety core (or DIR) by cppcheck's addon. Deviations stand with their reasons in
# tests/safety/misra.txt, a rule and a file each; one that does not occur any more is an error, too.
cd "$(dirname "$0")/.." || exit 2
dir=${1:-src/safety}
list=tests/safety/misra.txt
command -v cppcheck >/dev/null || {
    echo "skip: no cppcheck; tools/setup.sh --checks installs it" >&2
    exit 77
}
found=$(mktemp)
trap 'rm -f "$found"' EXIT
cppcheck -q --enable=warning,style,performance,portability --addon=misra -Isrc --template='{file}:{line}: {id}' \
    "$dir" 2>&1 | grep -E '^[^ ]+:[0-9]+: ' | sort -u >"$found"
awk -v list="$list" -v all="$([ $# -eq 0 ] && echo 1)" '
BEGIN {
  while ((getline line <list) > 0)
    if (line ~ /^[0-9]/) { split(line, f, " "); allowed[f[2] " misra-c2012-" f[1]] = 0 }
}
{
  file = $1; sub(/:.*/, "", file)
  key = file " " $2
  if (key in allowed) { allowed[key]++; next }
  rule = $2; sub(/misra-c2012-/, "rule ", rule)
  where = $1; sub(/:$/, "", where)
  print where ": " rule; fails++
}
END {
  if (all) for (k in allowed) { n++; if (allowed[k] == 0) { print list ": does not occur: " k; fails++ } }
  if (fails) exit 1
  print "misra ok, " n " deviations listed"
}' "$found"
