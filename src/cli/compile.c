// SPDX-License-Identifier: Apache-2.0
// Temporary step until the agent's box stands: runs clang by itself.
#include "cli/compile.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/object.h"

int compile_object(const void *object, size_t size, const char *program, struct image **image,
        struct error *err)
{
	return object_read(object, size, program, NULL, 0, image, err);
}

static const char *include_dir(void)
{
	const char *source = getenv("RAIO_INCLUDE");
	return source ? source : "/usr/include";
}

int compile_source(const char *name, const void *source, size_t size, const char *program,
        struct image **image, struct error *err)
{
	char dir[] = "/tmp/raio-XXXXXX", in[300], out[64], log[64], command[1024];
	if (!mkdtemp(dir))
		return error_set(err, errno, "%s: %s", dir, strerror(errno));
	snprintf(in, sizeof(in), "%s/%s", dir, name);
	snprintf(out, sizeof(out), "%s/o", dir);
	snprintf(log, sizeof(log), "%s/log", dir);
	int result = file_write(in, source, size, 0600, err);
	snprintf(command, sizeof(command),
	        "cd %s && clang -O2 -g -target bpf -I%s -I/usr/include/%s -c '%s' -o %s 2>%s", dir,
	        include_dir(), "x86_64-linux-gnu", name, out, log);
	autofree uint8_t *data = NULL;
	size_t got = 0;
	if (result == 0 && system(command) != 0) {
		file_read(log, 1 << 20, &data, &got, NULL);
		result = error_set(err, EINVAL, "%s", data ? (char *)data : "clang failed");
	} else if (result == 0) {
		result = file_read(out, OBJECT_SIZE_MAX, &data, &got, err);
		if (result == 0)
			result = compile_object(data, got, program, image, err);
	}
	unlink(in);
	unlink(out);
	unlink(log);
	rmdir(dir);
	return result;
}
