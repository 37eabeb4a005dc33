#include "client/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void ours(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
}

int signals_open(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	ours(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd >= 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
	return fd;
}

int signals_take(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

void signals_close(int *fd)
{
	sigset_t set;

	if (*fd < 0)
		return;
	close(*fd);
	*fd = -1;
	ours(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void signals_default(void)
{
	sigset_t set;

	ours(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGPIPE, SIG_DFL);
}
