/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The ledger's files, read without Guardian: STATE/ledger. Nothing is written and no lock is kept. A log that
 * its ledger is writing (live) is read up to what is whole; what its note covers must be whole in any case.
 */
#include "chunks/ledger/log-reader.h"
#include "chunks/ledger/note.h"
#include "guardian/ctl/records.h"

/* Behind EACCES: the files are for Guardian's user alone, but Guardian answers whom its roles name. */
#define OFFLINE_DENIED " (as root or Guardian's user; or ask Guardian: guardianctl ledger tail)"

enum { LOG_FILES_PATH_MAX = 1100 };
typedef struct LogFiles {
        char path[LOG_FILES_PATH_MAX];
        LogDir dir;
        LogSource src;           /* its user is &dir: a LogFiles stays where it is */
        char note[NOTE_MAX + 1]; /* "" without one */
        uint64_t noted;          /* records that the note covers */
} LogFiles;

/* 0, or -errno: then nothing is open, and f->path is what could not be read. */
int log_files_open(LogFiles *f, const char *state_dir);
void log_files_close(LogFiles *f);
/* True while a ledger holds the directory's lock. */
bool log_files_live(const LogFiles *f);

/* The directory of the ledger to read: --state, else what a Guardian that can be reached uses, else the
 * default. */
const char *offline_state(Ctl *c);
/* True when the records are to be read from files: --state was given, or no Guardian can be reached. */
bool offline_wanted(Ctl *c);

/* As records_walk(), from files. leaf: lines of `ledger export`. */
int offline_walk(Ctl *c, const RecordQuery *q, bool leaf, RecordLineFn fn, void *user);
/* `ledger head` and `ledger key` from files. Exit status. */
int offline_head(Ctl *c);
int offline_key(Ctl *c);
/* `ledger verify`: pin is the text of a key or a file that holds it, note a file; both may be NULL. */
int offline_verify(Ctl *c, const char *pin, const char *note);
