// SPDX-License-Identifier: Apache-2.0
// glibc's <features.h> asks for this file on targets that are not x86-64, such as bpf, and Debian
// installs it only with 32-bit support. Functions that include <linux/icmp.h> and its like reach
// it; nothing of it is used.
#pragma once
