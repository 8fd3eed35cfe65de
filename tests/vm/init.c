/* The first process of the machine that script/vm starts: mounts what programs expect, runs the command that /command holds, each
 * argument followed by a 0, says how it ended, and switches the machine off. If there is /each it holds programs, which are run
 * one after the other with the environment that /command holds then; the status is 1 if one of them fails. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { ARGUMENTS = 256 };

static int read_list(const char *path, char **arguments)
{
    FILE *file = fopen(path, "re");
    size_t room = 0;
    int count = 0;
    while (file != NULL && count < ARGUMENTS && getdelim(&arguments[count], &room, '\0', file) > 0) {
        room = 0;
        count++;
    }
    arguments[count] = NULL;
    if (file != NULL)
        fclose(file);
    return count;
}

static int run(char **arguments)
{
    int status = 0;
    pid_t ended, pid = fork();
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
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_each(char **programs, char **environment)
{
    int result = 0;
    for (; *environment != NULL; environment++)
        putenv(*environment);
    for (; *programs != NULL; programs++) {
        char *arguments[] = {*programs, NULL};
        int status = run(arguments);
        printf("==== %s: %s (%d)\n", *programs, status == 0 ? "passed" : status == 77 ? "skipped" : "FAILED", status);
        fflush(stdout);
        if (status != 0 && status != 77)
            result = 1;
    }
    return result;
}

int main(void)
{
    static char *arguments[ARGUMENTS + 1], *programs[ARGUMENTS + 1];

    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    read_list("/command", arguments);
    int status = read_list("/each", programs) > 0 ? run_each(programs, arguments) : run(arguments);
    printf("\nVM-STATUS %d\n", status);
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    reboot(RB_POWER_OFF);
    return 1;
}
