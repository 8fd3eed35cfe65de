/* Where a client is reached: a TCP port, a unix socket, standard input and output, or a serial line. */
#ifndef REIN_GDBREMOTE_LINK_H
#define REIN_GDBREMOTE_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct link {
    void (*wake)(void *arg); /* called when wake_fd can be read, while a client is awaited; NULL: none */
    void *wake_arg;
    int wake_fd;
    int listener;      /* -1: there is nothing to wait for: stdio, a tty */
    int input, output; /* of the client; -1: none is connected */
    int end_fd;        /* once it can be read no client is waited for any more; -1: none */
    int (*poll)(void *arg, struct pollfd *fds, size_t count, int timeout_ms); /* as poll(2) */
    void *poll_arg;
    bool is_stdio;
    char *path;      /* of a unix socket, to be removed at the end */
    int port;        /* that was chosen, of TCP */
    bool everywhere; /* it listens on more than the loopback interface */
};

/* host:port, :port, port, [v6]:port, unix:/path, `-` or stdio, /dev/tty. Without a host it listens on the loopback interface
 * only, or, if wanted, on all. -1 and why, in words. */
int link_open(struct link *link, const char *address, bool all_interfaces, char *why, size_t size);
/* Waits for a client. peer: who it is, "host 127.0.0.1, port 4711". False: the listener is broken, and peer says why; or nobody is
 * to be waited for any more, and it is empty. */
bool link_accept(struct link *link, char *peer, size_t size);
void link_hang_up(struct link *link);
void link_close(struct link *link);

#endif
