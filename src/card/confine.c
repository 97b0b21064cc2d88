// SPDX-License-Identifier: Apache-2.0
#include "card/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

static int become(const char *user, struct error *err)
{
	const struct passwd *entry = getpwnam(user);
	if (!entry)
		return error_set(
		        err, ENOENT, "no user %s on this machine: name one with --user", user);
	if (!setgroups(0, NULL) && !setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) &&
	        !setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid))
		return 0;
	if (errno == EINVAL || errno == EPERM) // a user namespace without that user
		return 0;
	return error_set(err, errno, "cannot become user %s: %s", user, strerror(errno));
}

int confine_privileges(const char *user, struct error *err)
{
	if (geteuid() == 0) {
		for (int capability = 0; capability <= 63; capability++)
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); // until there are no more
		int rc = become(user, err);
		if (rc)
			return rc;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	if (syscall(SYS_capset, &header, none))
		return error_set(err, errno, "cannot drop capabilities: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set(err, errno, "cannot set no_new_privs: %s", strerror(errno));
	return 0;
}

// What workers, the control loop, the C library and the drivers call.
static const int allowed[] = {
        SCMP_SYS(accept4),
        SCMP_SYS(brk),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(clock_nanosleep),
        SCMP_SYS(close),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(fdatasync),
        SCMP_SYS(fstat),
        SCMP_SYS(futex),
        SCMP_SYS(getpid),
        SCMP_SYS(getrandom),
        SCMP_SYS(getsockopt),
        SCMP_SYS(gettid),
        SCMP_SYS(ioctl),
        SCMP_SYS(lseek),
        SCMP_SYS(madvise),
        SCMP_SYS(membarrier),
        SCMP_SYS(mremap),
        SCMP_SYS(munmap),
        SCMP_SYS(nanosleep),
        SCMP_SYS(newfstatat),
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(pwrite64),
        SCMP_SYS(read),
        SCMP_SYS(readv),
        SCMP_SYS(recvfrom),
        SCMP_SYS(recvmsg),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(rseq),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(sched_getaffinity),
        SCMP_SYS(sched_yield),
        SCMP_SYS(sendmsg),
        SCMP_SYS(sendto),
        SCMP_SYS(set_robust_list),
        SCMP_SYS(setsockopt),
        SCMP_SYS(shutdown),
        SCMP_SYS(tgkill),
        SCMP_SYS(unlink),
        SCMP_SYS(unlinkat),
        SCMP_SYS(write),
        SCMP_SYS(writev),
        // DPDK's thread, which waits for interrupts and alarms (it ends the process where it may
        // not), and for the other end of a memif, with which it then shares memory.
        SCMP_SYS(accept),
        SCMP_SYS(epoll_create),
        SCMP_SYS(epoll_create1),
        SCMP_SYS(epoll_ctl),
        SCMP_SYS(epoll_wait),
        SCMP_SYS(eventfd2),
        SCMP_SYS(fcntl),
        SCMP_SYS(ftruncate),
        SCMP_SYS(memfd_create),
        SCMP_SYS(timerfd_settime),
};

// Nothing in a card ever calls these.
static const int deadly[] = {
        SCMP_SYS(execve),
        SCMP_SYS(execveat),
        SCMP_SYS(fork),
        SCMP_SYS(vfork),
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(init_module),
        SCMP_SYS(finit_module),
        SCMP_SYS(kexec_load),
        SCMP_SYS(mount),
        SCMP_SYS(setuid),
        SCMP_SYS(bpf),
};

static void filter_free(void *filter)
{
	seccomp_release(*(scmp_filter_ctx *)filter);
}

int confine_syscalls(struct error *err)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)err;
	return 0; // the sanitizers' own run time calls what this filter forbids
#endif
	cleanup(filter_free) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return error_set(err, ENOMEM, "cannot make a system call filter");
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(allowed); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(deadly); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	// Memory, but none that can be executed.
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		        SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		        SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!rc)
		rc = seccomp_load(filter);
	if (rc)
		return error_set(
		        err, -rc, "cannot install the system call filter: %s", strerror(-rc));
	return 0;
}
