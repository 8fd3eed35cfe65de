/* The first process of the machine that script/vm starts: mounts what programs expect, runs the command that /command holds, each
 * argument followed by a 0, says how it ended, and switches the machine off. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { ARGUMENTS = 256 };

static void read_command(char **arguments)
{
    FILE *file = fopen("/command", "re");
    size_t room = 0;
    int count = 0;
    while (file != NULL && count < ARGUMENTS && getdelim(&arguments[count], &room, '\0', file) > 0) {
        room = 0;
        count++;
    }
    arguments[count] = NULL;
    if (file != NULL)
        fclose(file);
}

int main(void)
{
    static char *arguments[ARGUMENTS + 1];
    int status = 0;
    pid_t ended;

    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    read_command(arguments);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (arguments[0] != NULL)
            execvp(arguments[0], arguments);
        perror(arguments[0]);
        _exit(127);
    }
    do
        ended = wait(&status);
    while (ended > 0 && ended != pid);
    printf("\nVM-STATUS %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    reboot(RB_POWER_OFF);
    return 1;
}
