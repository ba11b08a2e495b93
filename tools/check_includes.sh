#!/bin/sh
# check_includes.sh SRC - fail if a module includes one it may not. The table is the architecture.
cd "$1" || exit 2
awk '
BEGIN {
  allow["base"]    = " base "
  allow["safety"]  = " safety "
  allow["kern"]    = " base kern "
  allow["wire"]    = " base wire "
  allow["tensor"]  = " base kern tensor "
  allow["data"]    = " base tensor data "
  allow["model"]   = " base kern tensor model "
  allow["sim"]     = " base tensor sim "
  allow["task"]    = " base sim data task "
  allow["train"]   = " base tensor data model train sim task "
  allow["robot"]   = " base wire safety data robot "
  allow["serve"]   = " base wire serve "
  allow["fleet"]   = " base wire data fleet "
  allow["home"]    = " base wire home "
  allow["console"] = " base wire console "
}
/^#[ \t]*include "/ {
  split(FILENAME, f, "/"); mod = f[1]
  p = $0; sub(/^[^"]*"/, "", p); sub(/".*/, "", p)
  if (p ~ /^fw\//) next                       # public headers: everybody
  n = split(p, h, "/"); inc = h[1]
  if (n != 2)                        { bad(mod, p, "write the module: \"" mod "/" p "\""); next }
  if (index(allow[mod], " " inc " ") == 0) bad(mod, p, "module " mod " may include only:" allow[mod])
  if (inc != mod && h[2] ~ /_int\.h$/)     bad(mod, p, "private header of " inc)
}
function bad(m, p, why) { printf "%s:%d: \"%s\": %s\n", FILENAME, FNR, p, why; fails++ }
END { if (fails) exit 1; print "includes ok" }
' $(find . -name '*.[ch]' -o -name '*.cu' -o -name '*.cc' | sed 's|^\./||')
