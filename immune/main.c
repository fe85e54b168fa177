/* SPDX-License-Identifier: Apache-2.0 */
#include "immune/immune.h"

int main(int argc, char **argv) {
        return immune_main(argc, argv);
}
