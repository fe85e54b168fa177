/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks/mesh/mesh.h"

int main(int argc, char **argv) {
        static Mesh mesh;
        int status;

        chunk_set_checker(mesh_check);
        status = chunk_main(argc, argv, &mesh_chunk_ops, &mesh);
        if (mesh.core_ready) {
                workflow_engine_done(&mesh.engine);
                ledger_client_free(mesh.ledger);
                dlq_free(mesh.dlq);
        }
        return status;
}
