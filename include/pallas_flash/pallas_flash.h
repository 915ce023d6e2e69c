/* Pallas-Flash: attention for the Google TPU v5e, and natively on the CPU.
 * This header includes all the others. SPDX-License-Identifier: Apache-2.0 */
#ifndef PALLAS_FLASH_PALLAS_FLASH_H
#define PALLAS_FLASH_PALLAS_FLASH_H

#include "pallas_flash/attention.h"
#include "pallas_flash/cache.h"
#include "pallas_flash/context.h"
#include "pallas_flash/dtype.h"
#include "pallas_flash/status.h"

#endif
