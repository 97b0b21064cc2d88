// SPDX-License-Identifier: Apache-2.0
// What a box is made of. The compiler's arguments are fixed: nothing of them comes from a user but
// the file's name, which is limited to plain characters and stands behind nothing that reads it as
// an option.
#include "agent/boxer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/confine.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/check.h"
#include "ebpf/image.h"
#include "ebpf/object.h"

#if defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#else
#define MULTIARCH "x86_64-linux-gnu"
#endif

#define COMPILE_MEMORY (2ull << 30)
#define COMPILE_CPU_S  8u
#define OBJECT_MEMORY  (1ull << 30)
#define OBJECT_CPU_S   4u
#define FILE_MAX       (4ull << 20)

static const char *const compilers[] = {"/usr/bin/clang-19", "/usr/bin/clang-18",
        "/usr/bin/clang-17", "/usr/bin/clang-16", "/usr/bin/clang-15", "/usr/bin/clang-14",
        "/usr/bin/clang"};

static void give_up(const char *what)
{
	dprintf(2, "box: %s\n", what);
	_exit(127);
}

static const char *find_compiler(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(compilers); i++)
		if (access(compilers[i], X_OK) == 0)
			return compilers[i];
	give_up("no clang on this machine: install clang-19 (or clang-14), or send an object file");
	return NULL;
}

// bubblewrap's own arguments; descriptors 3 (source) and 4 (filter) are open.
static void run_in_bubblewrap(const char *compiler, const char *name, const char *headers)
{
	char path[BOXER_NAME_MAX + 8];
	snprintf(path, sizeof(path), "/src/%s", name);
	const char *const args[] = {"bwrap", "--unshare-all", "--die-with-parent", "--new-session",
	        "--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr", "--symlink",
	        "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin",
	        "/bin", "--tmpfs", "/tmp", "--ro-bind", headers, "/headers", "--dir", "/src",
	        "--ro-bind-data", "3", path, "--chdir", "/src", "--remount-ro", "/", "--seccomp",
	        "4", compiler, "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wno-unused",
	        "-fno-color-diagnostics", "-I/headers", "-idirafter", "/headers/compat",
	        "-I/usr/include/" MULTIARCH, "-c", "-x", "c", "-o", "-", "--", name, NULL};
	char *const environment[] = {NULL};
	execve("/usr/bin/bwrap", (char *const *)args, environment);
	give_up("bubblewrap cannot be started");
}

// The source on standard input, behind a line that tells clang what to call it. (It then finds no
// text of lines for the object's BTF; in bubblewrap it reads a file of that name, and does.)
static void name_input(const char *name)
{
	uint8_t *source = NULL;
	size_t size;
	int fd = memfd_create("source", 0);
	if (fd < 0 || file_read_fd(0, "the source", FILE_MAX, &source, &size, NULL))
		give_up("the source cannot be read");
	dprintf(fd, "# 1 \"%s\"\n", name);
	if (file_write_fd(fd, source, size) || lseek(fd, 0, SEEK_SET) || dup2(fd, 0) < 0)
		give_up("the source cannot be handed on");
	free(source);
	close(fd);
}

static void run_under_landlock(const char *compiler, const char *headers)
{
	struct error err;
	const struct confine_path paths[] = {{"/usr", false, true}, {"/lib", false, true},
	        {"/lib64", false, true}, {headers, false, false}};
	if (confine_files(paths, ARRAY_SIZE(paths), &err) ||
	        confine_calls(CONFINE_COMPILER, &err)) {
		dprintf(2,
		        "box: neither user namespaces nor Landlock can hold the compiler here: "
		        "%s\n",
		        err.text);
		_exit(127);
	}
	char include[512], compat[512];
	snprintf(include, sizeof(include), "-I%s", headers);
	snprintf(compat, sizeof(compat), "%s/compat", headers);
	const char *const args[] = {compiler, "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall",
	        "-Wno-unused", "-fno-color-diagnostics", include, "-idirafter", compat,
	        "-I/usr/include/" MULTIARCH, "-c", "-x", "c", "-o", "-", "-", NULL};
	char *const environment[] = {NULL};
	execve(compiler, (char *const *)args, environment);
	give_up("clang cannot be started");
}

void boxer_compile(const char *name, const char *headers, bool namespaces)
{
	const char *compiler = find_compiler();
	confine_limits(COMPILE_MEMORY, COMPILE_CPU_S, FILE_MAX);
	if (name[0] == '-' ||
	        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	                     "._-") != strlen(name))
		give_up("that file name is not allowed");
	if (!namespaces) {
		if (chdir("/usr"))
			give_up("there is no /usr");
		name_input(name);
		run_under_landlock(compiler, headers);
	}
	int filter = confine_calls_fd();
	if (filter < 0 || dup2(filter, 4) < 0 || dup2(0, 3) < 0)
		give_up("the system call filter cannot be made");
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0)
		give_up("there is no /dev/null");
	run_in_bubblewrap(compiler, name, headers);
	_exit(127);
}

// The answer: u32 code, text, image.
static void answer(int code, const char *text, const struct buffer *image)
{
	cleanup(buffer_free) struct buffer out = {0};
	buffer_u32(&out, (uint32_t)code);
	buffer_str(&out, text);
	buffer_blob(&out, image->data, image->size);
	_exit(out.failed || file_write_fd(1, out.data, out.size) ? 1 : 0);
}

void boxer_object(const char *program)
{
	struct error err = {0};
	uint8_t *data = NULL;
	size_t size = 0;
	struct image *image = NULL;
	struct buffer encoded = {0};
	confine_limits(OBJECT_MEMORY, OBJECT_CPU_S, 0);
	if (confine_calls(CONFINE_READER, &err))
		give_up(err.text);
	int rc = file_read_fd(0, "the object", OBJECT_SIZE_MAX, &data, &size, &err);
	if (!rc)
		rc = object_read(data, size, *program ? program : NULL, NULL, 0, &image, &err);
	if (!rc)
		rc = check_image(image, &err);
	if (!rc) {
		image_encode(image, &encoded);
		if (encoded.failed)
			rc = error_set(&err, ENOMEM, "no memory for the program image");
	}
	answer(-rc, rc ? err.text : "", &encoded);
	_exit(1);
}
