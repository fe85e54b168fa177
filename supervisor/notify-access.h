/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* NotifyAccess=: whose datagrams count. DEFAULT is what a unit file that says nothing means; it is resolved
 * before use. */
typedef enum NotifyAccess { NOTIFY_DEFAULT, NOTIFY_NONE, NOTIFY_MAIN, NOTIFY_EXEC, NOTIFY_ALL } NotifyAccess;
