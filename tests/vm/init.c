/* The only program of the emulated machine that script/vm makes, its init: runs the command in /command, ARGUMENT by ARGUMENT,
 * each ended by a 0 byte, with NAME=VALUE in front of it as its environment; says its status, and turns the machine off. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 100 };

static void mount_all(void)
{
    static const char *const places[][2] = {
        {"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (mount(places[i][0], places[i][1], places[i][0], 0, NULL) != 0)
            perror(places[i][1]);
    }
}

static char **read_command(void)
{
    static char *arguments[ARGUMENTS_MAX + 1];
    FILE *file = fopen("/command", "r");
    char *argument = NULL;
    size_t count = 0, room = 0;
    while (file && count < ARGUMENTS_MAX && getdelim(&argument, &room, 0, file) > 0) {
        if (count == 0 && strchr(argument, '='))
            putenv(argument);
        else
            arguments[count++] = argument;
        argument = NULL;
        room = 0;
    }
    return arguments;
}

int main(void)
{
    int status = 0;
    mount_all();
    char **command = read_command();
    pid_t child = fork();
    if (child == 0) {
        setsid();
        execv(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    for (;;) { /* whatever has lost its parent is ours, too */
        int one;
        pid_t id = wait(&one);
        if (id == child)
            status = one;
        if (id == child || id < 0)
            break;
    }
    printf("\nvm: status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    fflush(stdout);
    sync();
    sleep(1); /* the console is slow */
    reboot(RB_POWER_OFF);
    return 1;
}
