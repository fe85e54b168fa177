/* SPDX-License-Identifier: Apache-2.0 */
#include "common/gme.h"

Lane gme_lane(Str priority) {
        if (str_eq(priority, "P0"))
                return LANE_CRITICAL;
        return str_eq(priority, "P3") ? LANE_BULK : LANE_NORMAL;
}
