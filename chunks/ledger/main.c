/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/ledger/ledger.h"
#include <stddef.h>

int main(int argc, char **argv) {
        Ledger *l = ledger_new();
        if (!l)
                return 1;
        int r = chunk_main(argc, argv, ledger_chunk_ops(), l);
        ledger_free(l);
        return r;
}
