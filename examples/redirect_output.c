/* Sends the output of a running process to a file, as a shell would have done at its start.
 *
 *     redirect_output PID FILE
 *
 * A thread of the process opens the file (in the process's own working directory), puts it in the place of its standard
 * output, and goes on with what it was doing, a read or a sleep perhaps, which does not notice. */
#include <fcntl.h>
#include <rein/rein.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int redirect(rein_thread *thread, const char *path)
{
    int file;
    int64_t result;
    if (rein_thread_open(thread, path, O_WRONLY | O_CREAT | O_APPEND, 0666, NULL, &file) != 0)
        return -1;
    const rein_word arguments[6] = {(rein_word)file, STDOUT_FILENO};
    if (rein_thread_syscall(thread, SYS_dup3, arguments, NULL, &result) != 0)
        return -1;
    return rein_thread_close(thread, file, NULL);
}

int main(int argc, char **argv)
{
    rein_process *process;
    rein_thread *thread = NULL;
    int pid = argc == 3 ? atoi(argv[1]) : 0;
    if (argc != 3 || rein_attach(NULL, pid, NULL, &process) != 0) {
        fprintf(stderr, "%s\n", argc != 3 ? "usage: redirect_output PID FILE" : rein_error_message());
        return 1;
    }
    int status = rein_process_thread(process, pid, &thread) != 0 || redirect(thread, argv[2]) != 0;
    if (status)
        fprintf(stderr, "%s\n", rein_error_message());
    rein_thread_unref(thread);
    rein_process_detach(process, 0);
    rein_process_unref(process);
    return status;
}
