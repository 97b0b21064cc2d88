// SPDX-License-Identifier: Apache-2.0
// `raio new`: a function that builds, runs and shows maps and rules, to begin from.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "api/paths.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/commands.h"

// @ stands for the function's name, $ for the name as C has it.
static const char starter_source[] =
        "// @: sends each packet on to the port that map `forward` names for the port it came by, "
        "and\n"
        "// counts what it sees. A packet without a rule goes to the host.\n"
        "//\n"
        "//\traio create @ @.c --rules @.rules  # give it to the agent\n"
        "//\traio run @ --slice 10  # run it for ten seconds\n"
        "//\traio map seen  # look into a map while it runs\n"
        "//\traio update @ @.c --maps carry  # change it while it runs, keeping its maps\n"
        "//\traio test @.c --pcap in.pcap --rules @.rules  # offline, over a capture\n"
        "//\n"
        "// It is a standard XDP program: it loads into a plain Linux kernel, too.\n"
        "#include <raio/raio.h>\n"
        "\n"
        "struct counter {\n"
        "\t__u64 packets, bytes;\n"
        "};\n"
        "\n"
        "// Filled by @.rules: port it came by -> port it leaves by, plus one (0 = no rule).\n"
        "struct {\n"
        "\t__uint(type, BPF_MAP_TYPE_ARRAY);\n"
        "\t__uint(max_entries, RAIO_PORTS_MAX);\n"
        "\t__type(key, __u32);\n"
        "\t__type(value, __u32);\n"
        "} forward SEC(\".maps\");\n"
        "\n"
        "struct {\n"
        "\t__uint(type, BPF_MAP_TYPE_ARRAY);\n"
        "\t__uint(max_entries, RAIO_PORTS_MAX);\n"
        "\t__type(key, __u32);\n"
        "\t__type(value, struct counter);\n"
        "} seen SEC(\".maps\");\n"
        "\n"
        "SEC(\"xdp\")\n"
        "int $(struct xdp_md *ctx)\n"
        "{\n"
        "\t__u32 port = raio_port(ctx);\n"
        "\tstruct counter *counter = bpf_map_lookup_elem(&seen, &port);\n"
        "\t__u32 *out = bpf_map_lookup_elem(&forward, &port);\n"
        "\n"
        "\tif (counter) {\n"
        "\t\t__sync_fetch_and_add(&counter->packets, 1);\n"
        "\t\t__sync_fetch_and_add(&counter->bytes, ctx->data_end - ctx->data);\n"
        "\t}\n"
        "\tif (!out || !*out)\n"
        "\t\treturn XDP_PASS;\n"
        "\treturn bpf_redirect_map(&raio_ports, *out - 1, XDP_DROP);\n"
        "}\n"
        "\n"
        "char _license[] SEC(\"license\") = \"GPL\";\n";

static const char starter_rules[] = "# What fills the maps of @ (raio-rules(5)): MAP KEY = VALUE\n"
                                    "forward 0 = 2\n"
                                    "forward 1 = 1\n";

// The template with its names put in. NULL: out of memory.
static char *expand(const char *template, const char *name)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	for (const char *c = template; out && *c; c++) {
		if (*c == '@')
			fputs(name, out);
		else if (*c != '$')
			fputc(*c, out);
		for (const char *n = name; *c == '$' && *n; n++) {
			if (n == name && *n >= '0' && *n <= '9')
				fputc('_', out);
			fputc(*n == '-' ? '_' : *n, out);
		}
	}
	if (out)
		fclose(out);
	return text;
}

static int write_new(struct cli *cli, const char *path, const char *template, const char *name)
{
	autofree char *text = expand(template, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return cli_fail(cli, EXIT_BUSY, "%s exists; it is not overwritten", path);
	if (fd < 0 || !text || file_write_fd(fd, text, strlen(text)) < 0)
		return cli_fail(cli, EXIT_FAILED, "%s: %s", path, strerror(errno));
	return EXIT_DONE;
}

int function_new(struct cli *cli)
{
	const char *name = args_word(&cli->args, 0);
	char source[80], rules[80];
	if (!name_is_valid(name))
		return cli_usage(cli,
		        "'%s' is no function name: lower-case letters, digits, and - between "
		        "them, at most 63",
		        name);
	snprintf(source, sizeof(source), "%s.c", name);
	snprintf(rules, sizeof(rules), "%s.rules", name);
	// Neither file is written where the other cannot be.
	if (access(rules, F_OK) == 0)
		return cli_fail(cli, EXIT_BUSY, "%s exists; it is not overwritten", rules);
	int code = write_new(cli, source, starter_source, name);
	if (code == EXIT_DONE)
		code = write_new(cli, rules, starter_rules, name);
	if (code != EXIT_DONE)
		return code;
	if (cli->is_json)
		printf("{\n  \"source\": \"%s\",\n  \"rules\": \"%s\"\n}\n", source, rules);
	else
		printf("%s\n%s\n", source, rules);
	cli_note(cli, "next: raio create %s %s --rules %s && raio run %s", name, source, rules,
	        name);
	return EXIT_DONE;
}
