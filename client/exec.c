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

/* a command that outlived us would still be at work when the next of us runs it for the same item
 */
static void die_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
}

static void run(pid_t parent, const char *command, const char *folder,
		const struct exec_fact *facts, unsigned n)
{
	int nothing = open("/dev/null", O_RDONLY);

	die_with(parent);
	setpgid(0, 0);
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
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run(parent, command, folder, facts, facts_n);
	if (pid < 0)
		return why_set(why, NX_ESYS, "cannot start the command: %s", strerror(errno));
	setpgid(pid, pid);
	*ret = (struct exec){ .pid = pid, .fd = pidfd_open(pid, 0), .began_ms = now_ms };
	if (ret->fd >= 0)
		return 0;
	why_set(why, NX_ESYS, "cannot watch the command: %s", strerror(errno));
	exec_kill(ret);
	waitpid(pid, NULL, 0);
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
