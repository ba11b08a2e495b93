#!/usr/bin/env python3
"""mutants.py - is there a test for every operator, boundary, constant and statement of the safety core?

    tools/mutants.py                 every mutant; ends with "killed N of N"
    tools/mutants.py --sample 10     one in ten of them (another tenth with --offset)
    tools/mutants.py --show 17       what mutant 17 changes

Every function of src/safety is rewritten from clang's syntax tree so that each site asks which mutant is on: all of
them are compiled once, into one program with all tests, which tries one after the other. A mutant is killed when a test
program fails or does not end. Those that mean the same as the original stand in tests/safety/equivalent.txt, one a
line with the reason; one of them that is killed, or that no longer exists, is an error, and so is a survivor.
"""
import argparse, json, os, re, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPARE = {"<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"], "==": ["!="], "!=": ["=="]}
COMPUTE = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "&": "|", "|": "&", "<<": ">>", ">>": "<<"}
ASSIGN = {"+=": "-=", "-=": "+=", "*=": "/=", "|=": "&=", "&=": "|=", ">>=": "<<="}
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-ffp-contract=off", "-O2", "-w", "-fwrapv", "-ftrivial-auto-var-init=pattern"]
QUICKLY = ["-fsanitize=bounds", "-fsanitize-undefined-trap-on-error"]
STRICTLY = ["-fsanitize=address,bounds", "-fno-sanitize-recover=all"]  # for those that survive: out of bounds is a death


QUICK = ["watch", "safety", "limits", "geometry", "filter", "motion", "plant", "machine"]  # quickest first


class Site:
    def __init__(self, file, function, was, becomes):
        self.file, self.function, self.was, self.becomes = file, function, " ".join(was.split()), becomes
        self.number = 1  # of several alike in one function

    def key(self):
        return f"{self.file} | {self.function} | {self.was} | {self.becomes} | {self.number}"


class Rewriter:
    """One source file: collects sites and writes the text in which all of them can be turned on."""

    def __init__(self, path, sites):
        self.path, self.name, self.sites = path, os.path.basename(path), sites
        self.bytes = open(path, "rb").read()
        out = subprocess.run(["clang", "-x", "c", "-std=gnu11", "-I", os.path.join(ROOT, "src"), "-fsyntax-only", "-Xclang",
                              "-ast-dump=json", path], capture_output=True, check=True)
        self.tree = json.loads(out.stdout)
        self.function = ""

    def text(self, a, b):
        return self.bytes[a:b].decode()

    @staticmethod
    def span(node):
        """Offsets of a node; what a macro wrote stands where the macro's name does."""
        r = node.get("range", {})
        a, b = (end.get("expansionLoc", end) for end in (r.get("begin", {}), r.get("end", {})))
        if "offset" not in a or "offset" not in b:
            return None
        return a["offset"], b["offset"] + b["tokLen"]

    @staticmethod
    def is_macro(node):
        a, b = node["range"]["begin"], node["range"]["end"]
        return "expansionLoc" in a and a["expansionLoc"]["offset"] == b.get("expansionLoc", {}).get("offset")

    def site(self, was, becomes):
        self.sites.append(Site(self.name, self.function, was, becomes))
        return len(self.sites) - 1

    def whole(self):
        """The file with every function body and every scalar constant rewritten."""
        edits = []
        for node in self.tree["inner"]:
            if "includedFrom" in node.get("loc", {}) or self.span(node) is None:
                continue
            if node["kind"] == "FunctionDecl":
                body = [n for n in node.get("inner", []) if n["kind"] == "CompoundStmt"]
                if body:
                    self.function = node["name"]
                    edits.append((*self.span(body[0]), self.render(body[0])))
            elif node["kind"] == "VarDecl" and "inner" in node and "[" not in node["type"]["qualType"]:
                edits += self.constant(node)
        return self.spliced(0, len(self.bytes), edits)

    def constant(self, node):
        """static const float X = 2.0F;  ->  #define X (mutant ? 2.25F : 2.0F)"""
        a, b = self.span(node)
        init = node["inner"][0]
        if self.span(init) is None or node["type"]["qualType"].startswith("const fw_") or "reaction" in node["type"]["qualType"]:
            return []
        self.function = node["name"]
        while init["kind"] in ("ImplicitCastExpr", "UnaryOperator"):
            init = init["inner"][0]
        if init["kind"] not in ("IntegerLiteral", "FloatingLiteral"):
            return []
        value = self.text(*self.span(init))
        full = self.text(self.span(node["inner"][0])[0], b)
        id_ = self.site(value, self.other(value))
        full = full.replace(value, f"(fw_mutant == {id_} ? {self.other(value)} : {value})")
        end = self.bytes.index(b";", b) + 1
        return [(a, end, f"#define {node['name']} ({full})\n")]

    @staticmethod
    def other(value):
        if re.fullmatch(r"(0x)?[0-9A-Fa-f]+U?L*", value):
            digits = value.rstrip("UL")
            return str(int(digits, 0) + 1) + value[len(digits):]
        number = float(value.rstrip("Ff"))
        return repr(number * 1.125 if number != 0.0 else 1.0) + "F"

    def spliced(self, a, b, edits):
        out, at = [], a
        for x, y, text in sorted(edits):
            out += [self.text(at, x), text]
            at = y
        return "".join(out + [self.text(at, b)])

    def render(self, node):
        """The text of a node with everything below it rewritten."""
        span = self.span(node)
        if span is None:
            return None
        if self.is_macro(node):
            return self.macro(node)
        make = getattr(self, "render_" + node["kind"], None)
        text = make(node) if make else None
        return text if text is not None else self.plain(node)

    def macro(self, node):
        """A number by its name is a number."""
        was = self.text(*self.span(node))
        while node["kind"] == "ImplicitCastExpr":
            node = node["inner"][0]
        if node["kind"] != "IntegerLiteral":
            return was
        if was in ("true", "false"):
            id_ = self.site(was, "the other")
            return f"((_Bool)({was} != (fw_mutant == {id_})))"
        id_ = self.site(was, f"{was} + 1")
        return f"(fw_mutant == {id_} ? {was} + 1 : {was})"

    def plain(self, node):
        edits = []
        for n in node.get("inner", []):
            if not n or n.get("kind") in (None, "ConstantExpr") or self.span(n) is None:
                continue
            if n["kind"] == "VarDecl" and n.get("storageClass") == "static":
                continue
            edits.append((*self.span(n), self.render(n)))
        edits = [e for k, e in enumerate(edits) if e not in edits[:k]]
        return self.spliced(*self.span(node), edits)

    def two(self, node):
        return [self.render(n) for n in node["inner"]]

    def render_BinaryOperator(self, node):
        op, was = node["opcode"], self.text(*self.span(node))
        if op == "=":
            return None
        left, right = self.two(node)
        if op in ("&&", "||"):
            id_ = self.site(was, "||" if op == "&&" else "&&")
            go_on = f"(fw_mutant == {id_}) {'!=' if op == '&&' else '=='} l{id_}"
            return f"({{ _Bool l{id_} = ({left}); ({go_on}) ? (_Bool)({right}) : l{id_}; }})"
        others = COMPARE.get(op) or [COMPUTE[op]]
        ids = [self.site(was, f"{op} -> {o}") for o in others]
        k = ids[0]
        choice = f"l{k} {op} r{k}"
        for id_, o in zip(ids, others):
            l, r = f"l{k}", f"r{k}"
            if op == "/" or o != "/" or "float" in node["type"]["qualType"]:
                mutant = f"{l} {o} {r}" if not (o in ("<<", ">>", "|", "&", "%")) else f"{l} {o} {r}"
            else:
                mutant = f"({r} == 0 ? 0 : {l} / {r})"
            choice = f"fw_mutant == {id_} ? ({mutant}) : ({choice})"
        return f"({{ __auto_type l{k} = ({left}); __auto_type r{k} = ({right}); {choice}; }})"

    def render_CompoundAssignOperator(self, node):
        op, was = node["opcode"], self.text(*self.span(node))
        if op not in ASSIGN:
            return None
        right = self.render(node["inner"][1])
        left = self.text(*self.span(node["inner"][0]))
        id_ = self.site(was, f"{op} -> {ASSIGN[op]}")
        return f"({{ __auto_type r{id_} = ({right}); if (fw_mutant == {id_}) {left} {ASSIGN[op]} r{id_}; else {left} {op} r{id_}; }})"

    def render_UnaryOperator(self, node):
        op, was = node["opcode"], self.text(*self.span(node))
        if op not in ("!", "-", "~", "++", "--"):
            return None
        inner = self.render(node["inner"][0])
        if op in ("++", "--"):
            id_ = self.site(was, f"{op} -> {'--' if op == '++' else '++'}")
            return f"(fw_mutant == {id_} ? {inner}{'--' if op == '++' else '++'} : {inner}{op})"
        id_ = self.site(was, f"without {op}")
        return f"({{ __auto_type x{id_} = ({inner}); fw_mutant == {id_} ? x{id_} : {op}x{id_}; }})"

    def literal(self, node):
        value = self.text(*self.span(node))
        id_ = self.site(value, self.other(value))
        return f"(fw_mutant == {id_} ? {self.other(value)} : {value})"

    render_IntegerLiteral = literal
    render_FloatingLiteral = literal

    def render_ConditionalOperator(self, node):
        parts = self.two(node)
        id_ = self.site(self.text(*self.span(node)), "other way round")
        return f"(((_Bool)({parts[0]}) != (fw_mutant == {id_})) ? ({parts[1]}) : ({parts[2]}))"

    def render_IfStmt(self, node):
        condition = node["inner"][0]
        was, new = self.span(condition), self.render(condition)
        id_ = self.site("if (" + self.text(*was) + ")", "negated")
        edits = [(*was, f"(_Bool)({new}) != (fw_mutant == {id_})")]
        edits += [(*self.span(n), self.render(n)) for n in node["inner"][1:]]
        return self.spliced(*self.span(node), edits)

    def render_CompoundStmt(self, node):
        edits = []
        for n in node.get("inner", []):
            a, b = self.span(n)
            text = self.render(n)
            is_void = n["kind"] == "CStyleCastExpr"
            if n["kind"] in ("CallExpr", "CompoundAssignOperator", "UnaryOperator") or is_void or \
                    (n["kind"] == "BinaryOperator" and n["opcode"] == "="):
                id_ = self.site(self.text(a, b), "deleted")
                edits.append((a, self.bytes.index(b";", b) + 1, f"if (fw_mutant != {id_}) {{ {text}; }}"))
            else:
                edits.append((a, b, text))
        return self.spliced(*self.span(node), edits)


def number(sites):
    """Sites alike in one function are told apart by a number."""
    seen = {}
    for s in sites:
        k = (s.file, s.function, s.was, s.becomes)
        seen[k] = seen.get(k, 0) + 1
        s.number = seen[k]


RUNNER = """
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int fw_mutant = -1;
%(declared)s
static int (*const all[])(int, char **) = {%(listed)s};
/* a line: mutant, seconds, then test programs in order; answers which of them killed it, -1 for none */
int main(void) {
    char line[1024];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *at = line;
        int answer[2], killer = -1, status;
        fw_mutant = (int)strtol(at, &at, 10);
        long limit = strtol(at, &at, 10);
        if (pipe(answer) != 0)
            return 2;
        pid_t child = fork();
        if (child == 0) {
            char *arg[2] = {(char *)"test", NULL}, *end;
            int null = open("/dev/null", O_WRONLY);
            struct rlimit cpu = {(rlim_t)limit, (rlim_t)limit + 1};
            setrlimit(RLIMIT_CPU, &cpu);
            dup2(null, 1), dup2(null, 2);
            for (long k = strtol(at, &end, 10); end != at; k = strtol(at, &end, 10)) {
                at = end;
                char c = (char)k;
                if (write(answer[1], &c, 1) != 1 || all[k](1, arg) != 0)
                    _exit(1);
            }
            _exit(0);
        }
        close(answer[1]);
        for (char c; read(answer[0], &c, 1) == 1;)
            killer = c;
        close(answer[0]);
        waitpid(child, &status, 0);
        printf("%%d\\n", status == 0 ? -1 : killer);
        fflush(stdout);
    }
    return 0;
}
"""


def build(where, sources, tests, checks):
    """Write the mutated core to `where`, compile it with every test into one program. Returns its sites and its path."""
    sites, objects = [], []
    os.makedirs(f"{where}/safety", exist_ok=True)
    for path in sorted(sources):
        name = os.path.basename(path)
        text = open(path).read() if name == "safety.h" else "extern int fw_mutant;\n" + Rewriter(path, sites).whole()
        open(f"{where}/safety/{name}", "w").write(text)
    number(sites)
    mains = [f"main_{os.path.basename(p)[:-2]}" for p in tests]
    open(f"{where}/run.c", "w").write(RUNNER % {"declared": "\n".join(f"int {m}(int, char **);" for m in mains),
                                               "listed": ", ".join(mains)})
    core = [f"{where}/safety/{os.path.basename(p)}" for p in sources if p.endswith(".c")]
    for path, more in [(p, []) for p in [*core, f"{where}/run.c"]] + [(t, [f"-Dmain={m}"]) for t, m in zip(tests, mains)]:
        out = f"{where}/{os.path.basename(path)[:-2]}.o"
        subprocess.run(["gcc", *FLAGS, *checks, *more, "-I", where, "-I", f"{ROOT}/tests", "-c", path, "-o", out], check=True)
        objects.append(out)
    subprocess.run(["gcc", *checks, *objects, "-lm", "-o", f"{where}/run"], check=True)
    return sites, f"{where}/run"


class Runner:
    """The program that tries mutants, one after the other, each in a process of its own."""

    def __init__(self, program, tests, limit):
        self.names, self.limit = [os.path.basename(t)[:-2] for t in tests], limit
        env = dict(os.environ, FW_SAFETY_COMMANDS="8000", FW_SAFETY_AT_ONCE="1")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def killer(self, id_, file=""):
        """The test that kills a mutant, or None; the one that is named after its file is tried first."""
        order = sorted(range(len(self.names)), key=lambda k: self.names[k] != f"test_{os.path.splitext(file)[0]}")
        self.process.stdin.write(" ".join(map(str, [id_, self.limit, *order])) + "\n")
        self.process.stdin.flush()
        k = int(self.process.stdout.readline())
        return None if k < 0 else self.names[k]


def equivalents(path):
    table = {}
    if os.path.exists(path):
        for line in open(path):
            if line.strip() and not line.startswith("#"):
                key, reason = line.strip().rsplit(" | ", 1)
                table[key] = reason
    return table


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sample", type=int, default=1, help="one in so many")
    p.add_argument("--offset", type=int, default=0)
    p.add_argument("--show", type=int)
    p.add_argument("--first", type=int, default=0, help="begin with this one")
    p.add_argument("--only", help="mutants of this file")
    p.add_argument("--again", help="those that a file with the output of another run says survived")
    p.add_argument("--sources", default=f"{ROOT}/src/safety")
    p.add_argument("--tests", default=f"{ROOT}/tests/safety")
    p.add_argument("--work", default=f"{ROOT}/build/mutants")
    p.add_argument("--limit", type=int, default=4, help="seconds of CPU until a test that does not end counts as failed")
    a = p.parse_args()
    listed = lambda d, ends: sorted(os.path.join(d, f) for f in os.listdir(d) if f.endswith(ends))
    tests = [t for t in listed(a.tests, ".c") if os.path.basename(t).startswith("test_") and "label=slow" not in open(t).read(200)]
    tests.sort(key=lambda t: next((k for k, x in enumerate(QUICK) if x in os.path.basename(t)), 9))
    sources = [s for s in listed(a.sources, (".c", ".h")) if s not in tests]
    sites, program = build(a.work, sources, tests, QUICKLY)
    if a.show is not None:
        print(f"mutant {a.show} of {len(sites)}: {sites[a.show].key()}")
        return 0
    runner = Runner(program, tests, a.limit)
    if (by := runner.killer(-1)) is not None:
        print(f"{by} fails without a mutant")
        return 1
    strict = None
    same = equivalents(f"{a.tests}/equivalent.txt")
    unknown = set(same) - {s.key() for s in sites}
    chosen = [k for k, s in enumerate(sites) if k >= a.first and k % a.sample == a.offset and (not a.only or s.file == a.only)]
    if a.again:
        before = set(re.findall(r"^survives: \d+: (.*)$", open(a.again).read(), re.M))
        chosen = [k for k, s in enumerate(sites) if s.key() in before]
    dead, wrong, skipped, began = 0, 0, 0, time.time()
    for n, k in enumerate(chosen):
        by = runner.killer(k, sites[k].file)
        if by is None and sites[k].key() not in same:
            if strict is None:
                strict = Runner(build(f"{a.work}/strict", sources, tests, STRICTLY)[1], tests, 5 * a.limit)
                if (without := strict.killer(-1)) is not None:
                    print(f"{without} fails without a mutant, its addresses checked")
                    return 1
            by = strict.killer(k, sites[k].file)
        if sites[k].key() in same:
            skipped += 1
            if by is not None:
                wrong += 1
                print(f"listed as equivalent, but {by} kills it: {sites[k].key()}", flush=True)
        elif by is not None:
            dead += 1
        else:
            print(f"survives: {k}: {sites[k].key()}", flush=True)
        if (n + 1) % 100 == 0:
            print(f"{n + 1} of {len(chosen)}, {(time.time() - began):.0f} s", file=sys.stderr, flush=True)
    for key in sorted(unknown):
        print(f"listed as equivalent, but not there: {key}")
    print(f"killed {dead} of {len(chosen) - skipped} (and {skipped} listed as equivalent), {time.time() - began:.0f} s")
    return 0 if dead == len(chosen) - skipped and wrong == 0 and not unknown else 1


if __name__ == "__main__":
    sys.exit(main())
