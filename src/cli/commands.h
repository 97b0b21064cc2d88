// SPDX-License-Identifier: Apache-2.0
// The handlers that the command table names. Each returns the exit code and has said what went
// wrong.
#pragma once

struct cli;

int function_new(struct cli *cli);
int function_create(struct cli *cli);
int function_update(struct cli *cli);
int function_delete(struct cli *cli);
int function_list(struct cli *cli);
int function_describe(struct cli *cli);
int function_logs(struct cli *cli);
int function_check(struct cli *cli);
int function_disasm(struct cli *cli);
int function_test(struct cli *cli);
int run_start(struct cli *cli);
int run_cancel(struct cli *cli);
int run_renew(struct cli *cli);
int run_confirm(struct cli *cli);
int run_list(struct cli *cli);
int run_describe(struct cli *cli);
int queue_list(struct cli *cli);
int map_list(struct cli *cli);
int map_show(struct cli *cli);
int map_set(struct cli *cli);
int map_delete_entries(struct cli *cli);
int map_load(struct cli *cli);
int map_events(struct cli *cli);
int port_list(struct cli *cli);
int card_show(struct cli *cli);
int swap_list(struct cli *cli);
int top_main(struct cli *cli);
int version_main(struct cli *cli);
