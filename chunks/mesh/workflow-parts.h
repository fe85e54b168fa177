/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inner half of the workflow loader: one entry of `workflows`. */
#include "chunks/mesh/workflow.h"
#include "common/yaml/yaml-tree.h"

/* 0 and *ret (owned), -EINVAL after problems, -ENOMEM. */
int workflow_compile(const YamlRead *r, const YamlNode *n, WorkflowFile *file, Workflow **ret);
Workflow *workflow_free(Workflow *w); /* NULL is fine; returns NULL */
