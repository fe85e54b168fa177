/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/notify.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NOTIFY_BYTES_MAX 4096

static bool value_u64(Str v, uint64_t *ret) {
        char text[24];

        if (v.n == 0 || v.n >= sizeof(text))
                return false;
        str_copy(text, sizeof(text), v);
        return parse_u64(text, ret) == 0;
}

/* Copies for display: control characters become blanks, a cut falls on a character's beginning. */
static void value_text(char *out, size_t cap, Str v) {
        size_t n = v.n < cap ? v.n : cap - 1;

        while (n > 0 && n < v.n && ((unsigned char)v.p[n] & 0xc0) == 0x80)
                n--;
        str_copy(out, cap, (Str){v.p, n});
        str_clean(out, n, ' ');
}

static bool set_flag(bool *flag, Str v) {
        *flag = str_eq(v, "1");
        return *flag;
}

static bool set_status(NotifyMessage *m, Str v) {
        m->has_status = str_utf8_valid(v);
        if (m->has_status)
                value_text(m->status, sizeof(m->status), v);
        return m->has_status;
}

static bool set_int(bool *has, int *ret, Str v, uint64_t min, uint64_t max) {
        uint64_t n;

        if (!value_u64(v, &n) || n < min || n > max)
                return false;
        *has = true;
        *ret = (int)n;
        return true;
}

static bool set_us(bool *has, uint64_t *ret, Str v) {
        uint64_t n;

        if (!value_u64(v, &n) || n == 0)
                return false;
        *has = true;
        *ret = n;
        return true;
}

static bool set_watchdog(NotifyMessage *m, Str v) {
        if (str_eq(v, "trigger"))
                m->watchdog_trigger = true;
        else
                m->watchdog = str_eq(v, "1");
        return m->watchdog || m->watchdog_trigger;
}

static bool set_fdname(NotifyMessage *m, Str v) {
        if (v.n == 0 || v.n >= sizeof(m->fdname) || memchr(v.p, ':', v.n))
                return false;
        for (size_t i = 0; i < v.n; i++)
                if ((unsigned char)v.p[i] < 0x21 || (unsigned char)v.p[i] > 0x7e)
                        return false;
        str_copy(m->fdname, sizeof(m->fdname), v);
        return true;
}

/* One assignment. Returns 1 when known and good, 0 when unknown, -1 when its value is bad. */
static int notify_assign(NotifyMessage *m, Str k, Str v) {
        bool good;
        bool ignored;

        if (str_eq(k, "READY"))
                good = set_flag(&m->ready, v);
        else if (str_eq(k, "RELOADING"))
                good = set_flag(&m->reloading, v);
        else if (str_eq(k, "STOPPING"))
                good = set_flag(&m->stopping, v);
        else if (str_eq(k, "WATCHDOG"))
                good = set_watchdog(m, v);
        else if (str_eq(k, "FDSTORE"))
                good = set_flag(&m->fdstore, v);
        else if (str_eq(k, "FDSTOREREMOVE"))
                good = set_flag(&m->fdstore_remove, v);
        else if (str_eq(k, "FDNAME"))
                good = set_fdname(m, v);
        else if (str_eq(k, "BARRIER"))
                good = set_flag(&m->barrier, v);
        else if (str_eq(k, "STATUS"))
                good = set_status(m, v);
        else if (str_eq(k, "ERRNO"))
                good = set_int(&m->has_error, &m->error, v, 0, 4095);
        else if (str_eq(k, "EXIT_STATUS"))
                good = set_int(&m->has_exit_status, &m->exit_status, v, 0, 255);
        else if (str_eq(k, "MAINPID"))
                good = set_int(&m->has_mainpid, &m->mainpid, v, 2, 1U << 22);
        else if (str_eq(k, "EXTEND_TIMEOUT_USEC"))
                good = set_us(&m->has_extend, &m->extend_us, v);
        else if (str_eq(k, "WATCHDOG_USEC"))
                good = set_us(&m->has_watchdog_usec, &m->watchdog_us, v);
        else if (str_eq(k, "MONOTONIC_USEC")) /* beside RELOADING=1; the time of arrival is what we go by */
                good = set_us(&ignored, &(uint64_t){0}, v);
        else
                return 0;
        return good ? 1 : -1;
}

int notify_parse(Str d, NotifyMessage *ret) {
        unsigned seen = 0;

        *ret = (NotifyMessage){0};
        /* One NUL at the end is what a careless sender adds; anywhere else it is no text. */
        if (d.n > 0 && d.p[d.n - 1] == '\0')
                d.n--;
        if (d.n == 0 || d.n > NOTIFY_BYTES_MAX || memchr(d.p, '\0', d.n))
                return -EINVAL;
        while (d.n > 0) {
                const char *nl = memchr(d.p, '\n', d.n);
                Str line = {d.p, nl ? (size_t)(nl - d.p) : d.n}, k, v;
                int r;

                d.p += line.n + (nl ? 1 : 0);
                d.n -= line.n + (nl ? 1 : 0);
                if (!str_split(line, '=', &k, &v) || k.n == 0)
                        continue;
                seen++;
                r = notify_assign(ret, k, v);
                if (r == 0)
                        ret->unknown++;
                else if (r < 0)
                        ret->bad++;
        }
        return seen > 0 ? 0 : -EINVAL;
}

bool notify_allowed(
        NotifyAccess access, pid_t sender, pid_t main, const pid_t *exec, unsigned n_exec, bool member) {
        if (sender <= 0 || access == NOTIFY_NONE || access == NOTIFY_DEFAULT)
                return false;
        if (main > 0 && sender == main)
                return true;
        if (access == NOTIFY_MAIN)
                return false;
        for (unsigned i = 0; i < n_exec; i++)
                if (exec[i] == sender)
                        return true;
        return access == NOTIFY_ALL && member;
}
