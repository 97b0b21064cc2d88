// SPDX-License-Identifier: Apache-2.0
// Refused: nothing to run.
#include <linux/bpf.h>

int number = 3;
