/* cli.h - the table of verbs. A new verb: one line here and cli/cmd_<verb>.c. */
#ifndef FW_CLI_H
#define FW_CLI_H

/* X(name, one line of help) */
#define FW_VERBS(X) X(version, "what this build is")

typedef struct fw_verb {
    const char *name, *help;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit code */
} fw_verb;

#define X(name, help) int cmd_##name(int argc, char **argv);
FW_VERBS(X)
#undef X

#endif /* FW_CLI_H */
