/* SPDX-License-Identifier: Apache-2.0 */
/* /proc text holds a name that the process chose itself; captured output is whatever the unit wrote. */
#include "supervisor/lines.h"
#include "supervisor/procinfo.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Count {
        size_t bytes, lines;
} Count;

static void on_line(void *user, Str text, bool cut) {
        Count *c = user;

        (void)cut;
        if (text.n > LINE_MAX_BYTES)
                abort();
        c->bytes += text.n;
        c->lines++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        LineSplitter s = {0};
        Count c = {0};
        char *line = malloc(size + 1);
        ProcStatus status;
        ProcStat stat;

        if (!line)
                return 0;
        memcpy(line, data, size);
        line[size] = '\0';
        proc_stat_parse(line, &stat);
        proc_status_parse(line, size, &status);
        for (size_t i = 0, step = 1; i < size; i += step, step = step * 3 % 7919)
                line_split(&s, line + i, step < size - i ? step : size - i, on_line, &c);
        line_flush(&s, on_line, &c);
        if (c.bytes > size || c.lines > size)
                abort();
        free(line);
        return 0;
}
