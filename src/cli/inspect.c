// SPDX-License-Identifier: Apache-2.0
// `raio function disasm`: a function's instructions.
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/source.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"

int function_disasm(struct cli *cli)
{
	cleanup(image_free) struct image *image = NULL;
	cleanup(buffer_free) struct buffer text = {0};
	int code = source_any(
	        cli, args_word(&cli->args, 0), args_value(&cli->args, "program"), &image);
	if (code != EXIT_DONE)
		return code;
	for (uint32_t i = 0; i < image->program_count; i++) {
		if (i)
			buffer_printf(&text, "\n");
		disasm_program(image, &image->programs[i], &text);
	}
	if (cli->is_json) {
		autojson json_t *answer = json_pack(
		        "{s:s%}", "disasm", text.data ? (char *)text.data : "", text.size);
		cli_json(answer, false);
	} else {
		fwrite(text.data, 1, text.size, stdout);
	}
	return EXIT_DONE;
}
