// SPDX-License-Identifier: Apache-2.0
#include "agent/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
	        LANDLOCK_ACCESS_FS_MAKE_REG)
// Of the first version, which every kernel with Landlock has.
#define ACCESS_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static int add_path(int ruleset, const struct confine_path *path)
{
	autoclose int fd = open(path->path, O_PATH | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st))
		return 0;
	struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = ACCESS_READ};
	if (path->write)
		rule.allowed_access |= ACCESS_WRITE;
	if (path->execute)
		rule.allowed_access |= LANDLOCK_ACCESS_FS_EXECUTE;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE |
		                       LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

int confine_files(const struct confine_path *paths, uint32_t count, struct error *err)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = ACCESS_ALL};
	autoclose int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return error_set(err, ENOSYS, "the kernel offers no Landlock: %s", strerror(errno));
	for (uint32_t i = 0; i < count; i++)
		if (add_path(ruleset, &paths[i]))
			return error_set(err, errno, "Landlock refuses a rule for %s: %s",
			        paths[i].path, strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	        syscall(SYS_landlock_restrict_self, ruleset, 0))
		return error_set(err, errno, "Landlock cannot be enforced: %s", strerror(errno));
	return 0;
}

static const char *const agent_denied[] = {"execve", "execveat", "ptrace", "mount", "umount2",
        "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "setns", "unshare",
        "bpf", "perf_event_open", "init_module", "finit_module", "delete_module", "kexec_load",
        "kexec_file_load", "keyctl", "add_key", "request_key", "process_vm_readv",
        "process_vm_writev", "open_by_handle_at", "userfaultfd", "io_uring_setup", "io_uring_enter",
        "io_uring_register", "reboot", "swapon", "swapoff", "acct", "quotactl", "settimeofday",
        "clock_settime", "syslog", "personality", "mknod", "mknodat", "memfd_secret", "pidfd_getfd",
        "sethostname", "setdomainname"};

static const char *const reader_allowed[] = {"read", "write", "close", "fstat", "newfstatat",
        "lseek", "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "futex", "exit",
        "exit_group", "rt_sigreturn", "rt_sigaction", "rt_sigprocmask", "clock_gettime",
        "getrandom", "restart_syscall", "sigaltstack", "sysinfo"}; // the last: qsort()

static const char *const compiler_allowed[] = {"execve", "readv", "writev", "pread64", "openat",
        "open", "access", "faccessat", "faccessat2", "stat", "lstat", "statx", "readlink",
        "readlinkat", "getcwd", "getdents64", "fcntl", "dup", "dup2", "dup3", "pipe2", "ioctl",
        "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrlimit",
        "getrusage", "sysinfo", "uname", "prctl", "getpid", "gettid", "getuid", "geteuid", "getgid",
        "getegid", "sched_yield", "sched_getaffinity", "umask", "clock_nanosleep", "nanosleep",
        "gettimeofday", "times", "statfs", "fstatfs", "unlink", "unlinkat", "rename", "ftruncate",
        "chmod", "fchmod", "poll", "ppoll", "fadvise64", "time", "wait4"}; // the last: bwrap's init

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);
		if (call == __NR_SCMP_ERROR || call < 0)
			continue; // this machine has no such call
		int rc = seccomp_rule_add(filter, action, call, 0);
		if (rc)
			return rc;
	}
	return 0;
}

static scmp_filter_ctx make_filter(enum confine_filter kind)
{
	static const uint32_t other[] = {[CONFINE_AGENT] = SCMP_ACT_ALLOW,
	        [CONFINE_COMPILER] = SCMP_ACT_ERRNO(EPERM),
	        [CONFINE_READER] = SCMP_ACT_KILL_PROCESS};
	scmp_filter_ctx filter = seccomp_init(other[kind]);
	if (!filter)
		return NULL;
	int rc = 0;
	if (kind == CONFINE_AGENT)
		rc = add_all(filter, SCMP_ACT_ERRNO(EPERM), agent_denied, ARRAY_SIZE(agent_denied));
	if (kind != CONFINE_AGENT)
		rc = add_all(filter, SCMP_ACT_ALLOW, reader_allowed, ARRAY_SIZE(reader_allowed));
	if (!rc && kind == CONFINE_COMPILER) {
		rc = add_all(
		        filter, SCMP_ACT_ALLOW, compiler_allowed, ARRAY_SIZE(compiler_allowed));
		// Threads, never processes; clone3 hides its flags, so that libc must use clone.
		if (!rc)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
		if (!rc)
			rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	}
	if (rc)
		seccomp_release(filter);
	return rc ? NULL : filter;
}

int confine_calls(enum confine_filter kind, struct error *err)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	if (kind == CONFINE_READER)
		return 0; // the sanitizers' own run time calls what this filter forbids
#endif
	scmp_filter_ctx filter = make_filter(kind);
	if (!filter)
		return error_set(err, ENOMEM, "cannot make the system call filter");
	int rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc ? error_set(err, -rc, "the kernel refuses the system call filter: %s",
	                    strerror(-rc))
	          : 0;
}

int confine_calls_fd(void)
{
	scmp_filter_ctx filter = make_filter(CONFINE_COMPILER);
	int fd = filter ? memfd_create("filter", 0) : -1; // inherited on purpose
	int rc = !filter ? -ENOMEM : fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
	if (filter)
		seccomp_release(filter);
	if (rc || lseek(fd, 0, SEEK_SET)) {
		if (fd >= 0)
			close(fd);
		return rc ? rc : -EIO;
	}
	return fd;
}

static void limit(int what, uint64_t value)
{
	struct rlimit limits = {.rlim_cur = value, .rlim_max = value};
	setrlimit((__rlimit_resource_t)what, &limits);
}

void confine_limits(uint64_t memory, unsigned cpu_s, uint64_t file_size)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)memory; // the sanitizers' own run time maps terabytes
#else
	limit(RLIMIT_AS, memory);
#endif
	limit(RLIMIT_CPU, cpu_s);
	limit(RLIMIT_FSIZE, file_size);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 64);
}

int confine_user(uid_t *uid, gid_t *gid, struct error *err)
{
	const struct passwd *user = getpwnam("raio");
	if (!user)
		user = getpwnam("nobody");
	if (!user || user->pw_uid == 0)
		return error_set(err, ENOENT,
		        "there is neither a user raio nor nobody to run as: add one with "
		        "adduser --system --group raio");
	*uid = user->pw_uid;
	*gid = user->pw_gid;
	return 0;
}

int confine_become(uid_t uid, gid_t gid, struct error *err)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return error_set(
		        err, errno, "cannot become user %u: %s", (unsigned)uid, strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set(err, errno, "cannot give up gaining rights: %s", strerror(errno));
	return 0;
}
