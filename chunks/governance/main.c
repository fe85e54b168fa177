/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/governance/governance.h"

int main(int argc, char **argv) {
        return governance_main(argc, argv);
}
