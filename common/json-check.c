/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the bytes, nothing built, stack bounded by JSON_DEPTH_MAX. Two sets of rules share it: RFC
 * 8259, and our canonical form, in which a value has exactly one spelling (so that equal hash means equal
 * value).
 */
#include "common/json-writer.h"
#include <errno.h>
#include <string.h>

typedef struct Scan {
        Str s;
        size_t at;
        bool canonical;
        const char *why;
} Scan;

static bool fault(Scan *c, size_t at, const char *why) {
        if (!c->why) {
                c->at = at;
                c->why = why;
        }
        return false;
}

/* The byte at `at`, or -1 at the end. */
static int peek(const Scan *c) {
        return c->at < c->s.n ? (uint8_t)c->s.p[c->at] : -1;
}

static bool skip_space(Scan *c) {
        int b = peek(c);

        while (b == ' ' || b == '\t' || b == '\n' || b == '\r') {
                if (c->canonical)
                        return fault(c, c->at, "white space");
                c->at++;
                b = peek(c);
        }
        return true;
}

static int hex_value(int b) {
        if (b >= '0' && b <= '9')
                return b - '0';
        if (b >= 'a' && b <= 'f')
                return b - 'a' + 10;
        return b >= 'A' && b <= 'F' ? b - 'A' + 10 : -1;
}

/* The four digits after "\u"; at is the backslash. Canonical: lower case, and only what has no shorter
 * spelling. */
static bool scan_unicode(Scan *c, size_t at) {
        unsigned v = 0;

        for (unsigned i = 0; i < 4; i++, c->at++) {
                int b = peek(c), digit = hex_value(b);

                if (digit < 0)
                        return fault(c, at, "bad \\u escape");
                if (c->canonical && b >= 'A' && b <= 'F')
                        return fault(c, at, "escape is not in canonical form");
                v = v * 16 + (unsigned)digit;
        }
        if (c->canonical && (v >= 0x20 || (v && strchr("\b\t\n\f\r", (int)v))))
                return fault(c, at, "escape is not in canonical form");
        return true;
}

static bool scan_escape(Scan *c) {
        size_t at = c->at++;
        int b = peek(c);

        if (b <= 0 || !strchr("\"\\/bfnrtu", b))
                return fault(c, at, "bad escape");
        c->at++;
        if (b == 'u')
                return scan_unicode(c, at);
        if (c->canonical && b == '/')
                return fault(c, at, "escape is not in canonical form");
        return true;
}

static bool scan_string(Scan *c, bool key) {
        if (peek(c) != '"')
                return fault(c, c->at, key ? "a key was due" : "a string was due");
        c->at++;
        for (;;) {
                int b = peek(c);
                size_t step;

                if (b < 0)
                        return fault(c, c->at, "string without end");
                if (b == '"') {
                        c->at++;
                        return true;
                }
                if (b < 0x20)
                        return fault(c, c->at, "control byte in a string");
                if (b == '\\') {
                        if (!scan_escape(c))
                                return false;
                        continue;
                }
                if (b >= 0x80 && key && c->canonical)
                        return fault(c, c->at, "key is not ASCII");
                step = str_utf8_step((Str){c->s.p + c->at, c->s.n - c->at});
                if (step == 0)
                        return fault(c, c->at, "not UTF-8");
                c->at += step;
        }
}

static bool scan_digits(Scan *c) {
        size_t from = c->at;

        while (peek(c) >= '0' && peek(c) <= '9')
                c->at++;
        return c->at > from || fault(c, c->at, "a digit was due");
}

static bool integer_in_range(Scan *c, size_t from) {
        static const char limit[] = "9007199254740992"; /* 2^53 */
        const char *p = c->s.p + from;
        size_t n = c->at - from;
        bool negative = *p == '-';

        p += negative;
        n -= negative;
        if (negative && *p == '0')
                return fault(c, from, "minus zero");
        if (n > sizeof(limit) - 1 || (n == sizeof(limit) - 1 && memcmp(p, limit, n) > 0))
                return fault(c, from, "integer beyond 2^53");
        return true;
}

static bool scan_number(Scan *c) {
        size_t from = c->at;

        if (peek(c) == '-')
                c->at++;
        if (peek(c) == '0') {
                c->at++;
                if (peek(c) >= '0' && peek(c) <= '9')
                        return fault(c, from, "number with a leading zero");
        } else if (!scan_digits(c))
                return false;
        if (c->canonical) {
                if (peek(c) == '.' || peek(c) == 'e' || peek(c) == 'E')
                        return fault(c, from, "number is not an integer");
                return integer_in_range(c, from);
        }
        if (peek(c) == '.') {
                c->at++;
                if (!scan_digits(c))
                        return false;
        }
        if (peek(c) == 'e' || peek(c) == 'E') {
                c->at++;
                if (peek(c) == '+' || peek(c) == '-')
                        c->at++;
                return scan_digits(c);
        }
        return true;
}

static bool scan_word(Scan *c, const char *word) {
        size_t n = strlen(word);

        if (c->s.n - c->at < n || memcmp(c->s.p + c->at, word, n) != 0)
                return fault(c, c->at, "unknown word");
        c->at += n;
        return true;
}

/* Byte `*at` of a canonical key, unescaped; -1 at its end. */
static int key_byte(Str key, size_t *at) {
        static const char letters[] = "btnfr\"\\", named[] = "\b\t\n\f\r\"\\";
        const char *p = key.p + *at;

        if (*at >= key.n)
                return -1;
        if (*p != '\\') {
                (*at)++;
                return (uint8_t)*p;
        }
        if (p[1] == 'u') {
                *at += 6;
                return hex_value(p[4]) * 16 + hex_value(p[5]);
        }
        *at += 2;
        return (uint8_t)named[strchr(letters, p[1]) - letters];
}

static bool key_before(Str a, Str b) {
        size_t i = 0, j = 0;

        for (;;) {
                int x = key_byte(a, &i), y = key_byte(b, &j);

                if (x != y)
                        return x < y;
                if (x < 0)
                        return false;
        }
}

static bool scan_value(Scan *c, unsigned depth);

/* One "key":value; *last is the key before it. */
static bool scan_member(Scan *c, unsigned depth, Str *last) {
        size_t from = c->at;
        Str key;

        if (!scan_string(c, true))
                return false;
        key = (Str){c->s.p + from + 1, c->at - from - 2};
        if (c->canonical && last->p && !key_before(*last, key))
                return fault(c, from, "keys are not in ascending order");
        *last = key;
        if (!skip_space(c))
                return false;
        if (peek(c) != ':')
                return fault(c, c->at, "a colon was due");
        c->at++;
        return scan_value(c, depth);
}

static bool scan_container(Scan *c, unsigned depth, bool object) {
        int close = object ? '}' : ']';
        Str last = {0};

        if (depth >= JSON_DEPTH_MAX)
                return fault(c, c->at, "nested too deep");
        c->at++;
        if (!skip_space(c))
                return false;
        if (peek(c) == close) {
                c->at++;
                return true;
        }
        for (;;) {
                if (!skip_space(c) || !(object ? scan_member(c, depth + 1, &last) : scan_value(c, depth + 1)))
                        return false;
                if (peek(c) == close) {
                        c->at++;
                        return true;
                }
                if (peek(c) != ',')
                        return fault(c, c->at, "a comma or a closing bracket was due");
                c->at++;
        }
}

static bool scan_value(Scan *c, unsigned depth) {
        bool good;

        if (!skip_space(c))
                return false;
        switch (peek(c)) {
        case '{':
                good = scan_container(c, depth, true);
                break;
        case '[':
                good = scan_container(c, depth, false);
                break;
        case '"':
                good = scan_string(c, false);
                break;
        case 't':
                good = scan_word(c, "true");
                break;
        case 'f':
                good = scan_word(c, "false");
                break;
        case 'n':
                good = scan_word(c, "null");
                break;
        case '-':
        case '0' ... '9':
                good = scan_number(c);
                break;
        default:
                return fault(c, c->at, "a value was due");
        }
        return good && skip_space(c);
}

static int check(Str s, bool canonical, size_t *offset, const char **why) {
        Scan c = {.s = s, .canonical = canonical};

        if (scan_value(&c, 0) && c.at < s.n)
                fault(&c, c.at, "bytes after the value");
        if (!c.why)
                return 0;
        if (offset)
                *offset = c.at;
        if (why)
                *why = c.why;
        return -EINVAL;
}

int json_check_canonical(Str s, size_t *offset, const char **why) {
        return check(s, true, offset, why);
}

int json_check(Str s, size_t *offset, const char **why) {
        return check(s, false, offset, why);
}
