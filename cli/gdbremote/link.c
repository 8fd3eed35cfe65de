/* Sockets and other ways to a client. One client at a time: whoever calls meanwhile waits in the listener's queue. */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* A full queue is no refusal: the kernel of who calls tries again after a second, and after ever more. */
enum { QUEUE = 16 };

static int open_unix(struct link *link, const char *path, char *why, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) == 0 || strlen(path) >= sizeof address.sun_path) {
        snprintf(why, size, "the path of a unix socket has 1 to %zu bytes", sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    link->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* One that a server has left behind; anything else that is there stays. */
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
        /* Of another type than a server's, which so does not take it for a client: EPROTOTYPE if one lives there. */
        int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool is_dead =
            probe >= 0 && connect(probe, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED;
        if (probe >= 0)
            close(probe);
        if (is_dead)
            unlink(path);
    }
    mode_t before = umask(077);
    bool bound = link->listener >= 0 && bind(link->listener, (struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    if (!bound || listen(link->listener, QUEUE) != 0) {
        snprintf(why, size, "cannot listen on %s: %s", path, strerror(errno));
        return -1;
    }
    link->path = strdup(path);
    return 0;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24) == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int port_of(int socket)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(socket, (struct sockaddr *)&address, &length) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static int open_tcp(struct link *link, const char *address, bool all_interfaces, char *why, size_t size)
{
    char host[256] = "";
    const char *port = strrchr(address, ':');
    if (!port) {
        port = address;
    } else {
        size_t length = (size_t)(port++ - address);
        const char *start = address;
        if (length >= 2 && start[0] == '[' && start[length - 1] == ']') {
            start++;
            length -= 2;
        }
        if (length >= sizeof host) {
            snprintf(why, size, "the host's name is too long");
            return -1;
        }
        memcpy(host, start, length);
    }
    char *end;
    errno = 0;
    unsigned long number = strtoul(port, &end, 10);
    if (*port < '0' || *port > '9' || *end || errno || number > 65535) {
        snprintf(why, size, "'%s' has no port: host:port, :port, unix:/path, - or stdio are understood", address);
        return -1;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    const char *name = *host ? host : all_interfaces ? NULL : "127.0.0.1";
    int error = getaddrinfo(name, port, &hints, &found);
    if (error) {
        snprintf(why, size, "%s: cannot resolve name: %s", host, gai_strerror(error));
        return -1;
    }
    errno = EADDRNOTAVAIL;
    for (struct addrinfo *each = found; each && link->listener < 0; each = each->ai_next) {
        link->listener = socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol);
        int yes = 1;
        if (link->listener < 0)
            continue;
        setsockopt(link->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(link->listener, each->ai_addr, each->ai_addrlen) != 0 || listen(link->listener, QUEUE) != 0) {
            error = errno;
            close(link->listener);
            link->listener = -1;
            errno = error;
        } else {
            link->everywhere = !is_loopback(each->ai_addr);
        }
    }
    freeaddrinfo(found);
    if (link->listener < 0) {
        snprintf(why, size, "cannot listen on %s: %s", address, strerror(errno));
        return -1;
    }
    link->port = port_of(link->listener);
    return 0;
}

static int open_terminal(struct link *link, const char *path, char *why, size_t size)
{
    link->input = link->output = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (link->input < 0) {
        snprintf(why, size, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    struct termios mode;
    if (tcgetattr(link->input, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(link->input, TCSANOW, &mode);
    }
    return 0;
}

/* ---- The terminal of the server's session ---- */

/* What comes from there is read by a thread of the process that was started: the server's loop is in the monitor's, which leaves
 * the process group when it attaches, and a group that is not the terminal's is refused (EIO). Writing is not. */
static void *pass_on(void *arg)
{
    int *ends = arg, from = ends[0], to = ends[1];
    char data[4096];
    bool goes_on = true;
    free(ends);
    while (goes_on) {
        ssize_t length = read(from, data, sizeof data), done = 0;
        goes_on = length > 0 || (length < 0 && errno == EINTR);
        while (goes_on && done < length) {
            ssize_t written = write(to, data + done, (size_t)(length - done));
            goes_on = written > 0 || (written < 0 && errno == EINTR);
            done += written > 0 ? written : 0;
        }
    }
    close(from);
    close(to);
    return NULL;
}

static int read_by_thread(struct link *link)
{
    int ends[2], *passed = malloc(2 * sizeof *passed);
    pthread_t thread;
    sigset_t all, before;
    if (!passed || pipe2(ends, O_CLOEXEC) != 0) {
        free(passed);
        return -1;
    }
    passed[0] = link->input;
    passed[1] = ends[1];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, pass_on, passed);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        close(ends[0]);
        close(ends[1]);
        free(passed);
        errno = error;
        return -1;
    }
    pthread_detach(thread);
    link->input = ends[0];
    return 0;
}

int link_open(struct link *link, const char *address, bool all_interfaces, char *why, size_t size)
{
    *link = (struct link){.listener = -1, .input = -1, .output = -1, .end_fd = -1};
    if (strcmp(address, "-") == 0 || strcmp(address, "stdio") == 0) {
        /* The program must not talk into the protocol: it gets standard error for its output. */
        link->input = fcntl(0, F_DUPFD_CLOEXEC, 3);
        link->output = fcntl(1, F_DUPFD_CLOEXEC, 3);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        link->is_stdio = true;
        if (link->input < 0 || link->output < 0 || null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0) {
            snprintf(why, size, "standard input and output: %s", strerror(errno));
            return -1;
        }
        close(null);
        if (tcgetsid(link->input) == getsid(0) && read_by_thread(link) != 0) {
            snprintf(why, size, "standard input: %s", strerror(errno));
            return -1;
        }
        return 0;
    }
    if (strncmp(address, "unix:", 5) == 0)
        return open_unix(link, address + 5, why, size);
    if (*address == '/')
        return open_terminal(link, address, why, size);
    return open_tcp(link, address, all_interfaces, why, size);
}

/* Errors of one connection, which is gone, not of the listener; see accept(2). */
static bool is_passing(int error)
{
    return error == EINTR || error == EAGAIN || error == ECONNABORTED || error == EPROTO || error == ENETDOWN ||
           error == ENETUNREACH || error == EHOSTDOWN || error == EHOSTUNREACH || error == ENOPROTOOPT ||
           error == ENONET || error == EOPNOTSUPP;
}

bool link_accept(struct link *link, char *peer, size_t size)
{
    if (link->listener < 0) {
        snprintf(peer, size, "using stdio");
        return link->input >= 0;
    }
    struct sockaddr_storage address;
    socklen_t length;
    int client;
    do {
        struct pollfd ready[] = {{.fd = link->listener, .events = POLLIN},
                                 {.fd = link->end_fd, .events = POLLIN},
                                 {.fd = link->wake ? link->wake_fd : -1, .events = POLLIN}};
        int polled = link->poll(link->poll_arg, ready, 3, -1);
        if (polled < 0 && errno != EINTR) {
            snprintf(peer, size, "cannot wait for a client: %s", strerror(errno));
            return false;
        }
        if (polled > 0 && ready[2].revents)
            link->wake(link->wake_arg);
        if (polled > 0 && ready[1].revents) {
            *peer = '\0';
            return false;
        }
        length = sizeof address;
        errno = EINTR;
        client = polled < 0 || !ready[0].revents
                     ? -1
                     : accept4(link->listener, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
    } while (client < 0 && is_passing(errno));
    if (client < 0) {
        snprintf(peer, size, "cannot take a client: %s", strerror(errno));
        return false;
    }
    int yes = 1;
    char host[64] = "", port[16] = "";
    if (address.ss_family == AF_UNIX) {
        snprintf(peer, size, "from a unix socket");
    } else {
        /* Each answer is a packet of its own, and the client waits for it. */
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
        getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
        snprintf(peer, size, "from host %s, port %s", host, port);
    }
    link->input = link->output = client;
    return true;
}

void link_hang_up(struct link *link)
{
    if (link->input >= 0)
        close(link->input);
    if (link->output >= 0 && link->output != link->input)
        close(link->output);
    link->input = link->output = -1;
}

void link_close(struct link *link)
{
    link_hang_up(link);
    if (link->listener >= 0)
        close(link->listener);
    link->listener = -1;
    if (link->path)
        unlink(link->path);
    free(link->path);
    link->path = NULL;
}
