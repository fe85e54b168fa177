/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Text for people: lines of at most 80 columns, words kept whole, nothing that could steer a terminal. */
#include "common/str.h"
#include "guardian/ctl/ctl.h"

enum { TEXT_COLUMNS = 80 };

/* Prints text from column `at` (that much is on the line already), further lines indented by `hang`, and a
 * newline. NULL, which is what a document holds that is no text: "?". */
void text_wrap(int at, int hang, const char *text);
void text_wrapf(int at, int hang, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A whole message on stderr, likewise wrapped. */
void text_errorf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One column of a table: cut to width code points, padded unless it is the last. Programs that read a pipe
 * get it whole: text_whole. */
extern bool text_whole;
void text_cell(const char *text, int width, bool last);
/* As it is, control characters but tab replaced by '?'. */
void text_clean(Str s);

/* Colour of a state word, "" without colour. */
const char *text_paint(const Ctl *c, const char *word);
/* A word in its colour, padded to width. */
void text_word(const Ctl *c, int width, const char *word);
/* "12s", "3min 2s" since a time of a document; "-" when there is none. Returns out. */
const char *text_ago(const char *since, char *out, size_t cap);
/* "HH:MM:SS.mmm" of a time of a document. Returns out. */
const char *text_clock(const char *time, char *out, size_t cap);
/* "54.3 MiB". Returns out. */
const char *text_bytes(uint64_t n, char *out, size_t cap);
