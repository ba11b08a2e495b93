#!/usr/bin/env python3
"""coverage.py - is every line and every branch of the safety core taken by its tests?

    tools/coverage.py                  fails under 100 % of either, and names what is left
    tools/coverage.py --without watch  the same without tests/safety/test_watch.c: proves that it looks

gcc's counters, read by gcov. A branch is a direction of a condition, each part of && and || by itself; the inline
functions of safety_int.h count as taken where any file takes them.
"""
import argparse, collections, gzip, json, os, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-ffp-contract=off", "-O0", "-w", "-I", f"{ROOT}/src", "-I", f"{ROOT}/tests"]


def build_and_run(where, sources, tests):
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    objects = []
    for path in sources:
        out = f"{where}/{os.path.basename(path)[:-2]}.o"
        subprocess.run(["gcc", *FLAGS, "--coverage", "-c", path, "-o", out], check=True)
        objects.append(out)
    for path in tests:
        program = f"{where}/{os.path.basename(path)[:-2]}"
        subprocess.run(["gcc", *FLAGS, path, *objects, "--coverage", "-lm", "-o", program], check=True)
        env = dict(os.environ, FW_SAFETY_COMMANDS="20000", FW_SAFETY_AT_ONCE="1")
        subprocess.run([program], check=True, env=env, stdout=subprocess.DEVNULL)


def counts(where, sources):
    """(file, line) -> executions and [taken of each branch], over all that was compiled."""
    lines, branches = collections.Counter(), {}
    for path in sources:
        data = f"{os.path.basename(path)[:-2]}.gcda"
        subprocess.run(["gcov", "--json-format", "--branch-probabilities", data], cwd=where, check=True,
                       stdout=subprocess.DEVNULL)
    for name in sorted(os.listdir(where)):
        if not name.endswith(".gcov.json.gz"):
            continue
        for f in json.load(gzip.open(f"{where}/{name}"))["files"]:
            if "/src/safety/" not in f["file"]:
                continue
            for line in f["lines"]:
                at = (os.path.basename(f["file"]), line["line_number"])
                lines[at] += line["count"]
                taken = [b["count"] for b in line["branches"]]
                before = branches.get(at, [0] * len(taken))
                branches[at] = [x + y for x, y in zip(before, taken)]
    return lines, branches


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--without", default="", help="leave out one test file")
    p.add_argument("--work", default=f"{ROOT}/build/coverage")
    a = p.parse_args()
    src, tests = f"{ROOT}/src/safety", f"{ROOT}/tests/safety"
    sources = sorted(f"{src}/{f}" for f in os.listdir(src) if f.endswith(".c"))
    programs = sorted(f"{tests}/{f}" for f in os.listdir(tests) if f.startswith("test_") and f.endswith(".c"))
    programs = [t for t in programs if "label=slow" not in open(t).read(200) and t != f"{tests}/test_{a.without}.c"]
    build_and_run(a.work, sources, programs)
    lines, branches = counts(a.work, sources)
    for (file, n), count in sorted(lines.items()):
        if count == 0:
            print(f"src/safety/{file}:{n}: never run")
        left = branches[(file, n)].count(0)
        if count > 0 and left > 0:
            print(f"src/safety/{file}:{n}: {left} of {len(branches[(file, n)])} branches never taken")
    run, taken = sum(c > 0 for c in lines.values()), sum(c > 0 for b in branches.values() for c in b)
    n_branch = sum(map(len, branches.values()))
    print(f"lines {run} of {len(lines)}, branches {taken} of {n_branch}: "
          f"{100.0 * run / len(lines):.1f} % and {100.0 * taken / n_branch:.1f} %")
    return 0 if run == len(lines) and taken == n_branch and n_branch > 100 else 1


if __name__ == "__main__":
    sys.exit(main())
