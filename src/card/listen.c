// SPDX-License-Identifier: Apache-2.0
#include "card/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

// Whether somebody accepts connections at the address.
static int somebody_answers(const struct sockaddr_un *address)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno == EAGAIN; // its queue is full
}

// Two processes that find the same stale socket must not both replace it: a lock on the folder
// orders them and leaves no file behind.
static int lock_folder(const char *path, int *fd, struct error *err)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	strcpy(copy, path);
	const char *folder = dirname(copy);
	*fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return error_set(
		        err, errno, "%s: %s: cannot make a socket there", folder, strerror(errno));
	flock(*fd, LOCK_EX);
	return 0;
}

static int bind_fresh(int fd, const struct sockaddr_un *address, struct error *err)
{
	const char *path = address->sun_path;
	struct stat status;
	if (!lstat(path, &status)) {
		if (!S_ISSOCK(status.st_mode))
			return error_set(err, EEXIST,
			        "%s is there already and is no socket: choose another path", path);
		if (somebody_answers(address))
			return error_set(err, EADDRINUSE,
			        "%s: another process serves this socket: end it first, or choose "
			        "another path",
			        path);
		if (unlink(path))
			return error_set(err, errno,
			        "%s is left from before and cannot be removed: %s", path,
			        strerror(errno));
	}
	mode_t before = umask(0117);
	int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	int code = errno;
	umask(before);
	if (rc)
		return error_set(err, code, "%s: cannot bind the socket: %s", path, strerror(code));
	return 0;
}

int listen_unix(const char *path, const char *user, int *fd, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return error_set(err, ENAMETOOLONG, "%s: a socket's path has 1 to %zu bytes", path,
		        sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	autoclose int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (made < 0)
		return error_set(err, errno, "cannot make a socket: %s", strerror(errno));
	autoclose int lock = -1;
	int rc = lock_folder(path, &lock, err);
	if (!rc)
		rc = bind_fresh(made, &address, err);
	if (rc)
		return rc;
	const struct passwd *owner = user && geteuid() == 0 ? getpwnam(user) : NULL;
	if (owner && chown(path, owner->pw_uid, owner->pw_gid))
		return error_set(
		        err, errno, "%s: cannot give it to %s: %s", path, user, strerror(errno));
	if (listen(made, 16))
		return error_set(err, errno, "%s: cannot listen: %s", path, strerror(errno));
	*fd = TAKE_FD(made);
	return 0;
}
