/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Signal names of unit files, the command line and messages. */

/* "TERM", "SIGTERM", "15", "RTMIN+3"; -EINVAL. */
int signal_from_string(const char *s);
/* "SIGTERM", "SIGRTMIN+3"; "SIG?" for no signal. A static buffer for the latter kind of real-time names. */
const char *signal_name(int sig);
