#include "client/exec.h"
#include "client/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_FROM 100 /* no number that a script would use for a descriptor of its own */

extern char **environ;

/* facts of an item that is over must not be taken for this one's */
static void forget_facts(void)
{
	char **to = environ;

	for (char **from = environ; from != NULL && *from != NULL; from++)
		if (strncmp(*from, "NEWSX_", 6) != 0)
			*to++ = *from;
	if (to != NULL)
		*to = NULL;
}

/*
 * A command that outlived us would still be at work when the next of us runs it for the same item.
 * Nobody but us has the writing end of this pipe, and all of the group have inherited the reading
 * end: when we are gone, killed or not, the kernel tells its owner with SIGKILL
 */
static void die_with(pid_t parent, int tie)
{
	int kept = fcntl(tie, F_DUPFD, KEPT_FROM);

	if (kept < 0 || fcntl(kept, F_SETOWN, -getpid()) < 0 ||
	    fcntl(kept, F_SETSIG, SIGKILL) < 0 || fcntl(kept, F_SETFL, O_ASYNC) < 0)
		_exit(126);
	/* what the shell becomes may have closed it; and we may be gone already */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
}

/* what the command has left behind is its own affair */
static void untie(struct exec *exec)
{
	fcntl(exec->tie[0], F_SETFL, 0);
	close(exec->tie[0]);
	close(exec->tie[1]);
}

static void run(pid_t parent, int tie, const char *command, const char *folder,
		const struct exec_fact *facts, unsigned n)
{
	int nothing = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
	die_with(parent, tie);
	signals_default();
	if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(2, 1) < 0)
		_exit(126);
	forget_facts();
	for (unsigned i = 0; i < n; i++) {
		char *value = strndup(facts[i].value.n ? (const char *)facts[i].value.p : "",
				      facts[i].value.n);

		if (value == NULL || setenv(facts[i].name, value, 1) < 0)
			_exit(126);
		free(value);
	}
	execl("/bin/sh", "sh", "-c", command, "newsxctl", folder, (char *)NULL);
	_exit(126);
}

int exec_start(const char *command, const char *folder, const struct exec_fact *facts,
	       unsigned facts_n, int64_t now_ms, struct exec *ret, struct why *why)
{
	struct exec exec = { .fd = -1, .began_ms = now_ms };
	pid_t parent = getpid(), pid;

	fflush(NULL);
	if (pipe2(exec.tie, O_CLOEXEC) < 0)
		return why_set(why, NX_ESYS, "cannot start the command: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		run(parent, exec.tie[0], command, folder, facts, facts_n);
	if (pid < 0) {
		why_set(why, NX_ESYS, "cannot start the command: %s", strerror(errno));
		untie(&exec);
		return NX_ESYS;
	}
	setpgid(pid, pid);
	exec.pid = pid;
	exec.fd = pidfd_open(pid, 0);
	*ret = exec;
	if (ret->fd >= 0)
		return 0;
	why_set(why, NX_ESYS, "cannot watch the command: %s", strerror(errno));
	exec_kill(ret);
	waitpid(pid, NULL, 0);
	untie(ret);
	ret->pid = 0;
	return NX_ESYS;
}

int exec_end(struct exec *exec, int *ret_status)
{
	int status;
	pid_t pid;

	if (exec->pid == 0)
		return 0;
	pid = waitpid(exec->pid, &status, WNOHANG);
	if (pid == 0 || (pid < 0 && errno == EINTR))
		return 0;
	close(exec->fd);
	untie(exec);
	exec->pid = 0;
	exec->fd = -1;
	*ret_status = pid < 0             ? 126
		      : WIFEXITED(status) ? WEXITSTATUS(status)
					  : 128 + WTERMSIG(status);
	return 1;
}

void exec_kill(struct exec *exec)
{
	if (exec->pid > 0)
		kill(-exec->pid, SIGKILL);
	exec->killed = true;
}
