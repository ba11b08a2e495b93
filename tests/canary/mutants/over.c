/* the core of canary.mutants: its test looks at both sides of the boundary, not at it */
int over(int x);

int over(int x) {
    return x > 3;
}
