/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses what guardianctl takes the document for, the rest is the document. It is told as a
 * sentence and as an envelope too: one line, and JSON. */
#include "common/json-writer.h"
#include "guardian/ctl/records.h"
#include "guardian/ctl/show.h"
#include "guardian/ctl/story.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void (*const shows[])(Ctl *, Str) = {
        show_status,
        show_log_line,
        show_version,
        show_dot,
        show_mermaid,
        show_pairs,
        show_boot,
        show_reply,
        show_code,
        show_vote,
        show_mode,
        show_approvals,
        show_trust,
        show_policy,
        show_incidents,
        show_incident,
        show_workflows,
        show_queues,
        show_dlq,
        show_record,
        show_event,
        show_why,
};

/* What is printed goes to a memory file first. */
static FILE *sink(char **text, size_t *n) {
        FILE *f = open_memstream(text, n);
        if (!f)
                abort();
        return f;
}

static void sentence(Str body) {
        char text[STORY_TEXT];
        Buf out = BUF_INIT(4 * 1024 * 1024);
        json_t *j = show_parse(body);
        if (!j)
                return;
        story_sentence(j, text);
        if (!memchr(text, 0, sizeof(text)) || strchr(text, '\n'))
                abort();
        if (record_envelope(j, &out) == 0 && json_check((Str){(char *)out.data, out.len}, NULL, NULL) < 0)
                abort();
        buf_done(&out);
        json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 1)
                return 0;
        Str body = {(const char *)data + 1, size - 1};
        unsigned which = (unsigned char)(data[0] - 'a') % (sizeof(shows) / sizeof(shows[0]));
        Ctl c = {.verb = "status", .quiet = data[0] & 128};
        FILE *out = stdout;
        char *text = NULL;
        size_t n = 0;
        show_units_named = show_settled_too = true;
        stdout = sink(&text, &n);
        shows[which](&c, body);
        fclose(stdout);
        stdout = out;
        free(text);
        sentence(body);
        return 0;
}
