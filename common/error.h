/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Error grammar of the whole tree: a function that can fail returns int; 0 is success, a negative
 * errno is a failure that is passed up unchanged, and a value > 0 is a condition documented beside
 * the function and handled by its direct caller.
 *
 * What a person must mend (unit, policy, argv) is a Problem: where it is, what is wrong, a hint.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdarg.h>

typedef enum ProblemSeverity { PROBLEM_NOTE, PROBLEM_WARNING, PROBLEM_ERROR } ProblemSeverity;

typedef struct Problem {
        char file[256];
        unsigned line;   /* 1-based, 0: the file as a whole */
        unsigned column; /* 1-based, 0: the line as a whole */
        ProblemSeverity severity;
        char code[40];     /* stable, kebab-case: "unknown-key" */
        char message[320]; /* what is wrong, no full stop, no newline */
        char hint[200];    /* how to mend it, may be "" */
} Problem;

/* Every problem of one load, in the order found. Bounded: past PROBLEMS_MAX only the count grows. */
#define PROBLEMS_MAX 256
typedef struct Problems {
        Problem *items; /* owned, problems_done() frees */
        size_t n, cap;
        size_t errors;  /* how many of them (kept or not) are errors */
        size_t dropped; /* found after PROBLEMS_MAX */
} Problems;

/* Adds one. Any of file and hint may be NULL. Never fails: out of memory only counts. p may be NULL. */
void problem_add(Problems *p, ProblemSeverity sev, const char *file, unsigned line, unsigned column,
        const char *code, const char *hint, const char *fmt, ...) __attribute__((format(printf, 8, 9)));
/* "file:line:column: message (hint)", always NUL terminated; returns out. */
const char *problem_format(const Problem *p, char *out, size_t cap);
void problems_done(Problems *p);

/* -errno that says nothing about what was to be read or run: the machine had no memory, descriptor or process
 * left. */
bool error_is_shortage(int error);

/* Nearest of n names to `name` by edit distance (at most 3 edits), or NULL: for "did you mean" hints. */
const char *nearest_name(const char *name, const char *const *names, size_t n);
/* The hint for a name that is none of n: "did you mean 'x'?", or else "one of: a, b, c", as many as fit.
 * "" without names. Returns out. */
const char *names_hint(const char *name, const char *const *names, size_t n, char *out, size_t cap);
/* Bytes of one problem as text, at most: file, line, column, message, hint. */
#define PROBLEM_TEXT_MAX 900
