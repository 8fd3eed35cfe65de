#include <rein/rein.h>
#include <stdio.h>

/* Runs a program and says what its threads do. */
int main(int argc, char **argv)
{
    rein_process *process;
    if (argc < 2 || rein_spawn(NULL, argv[1], argv + 1, NULL, NULL, NULL, 0, NULL, &process) != 0) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: example PROGRAM [ARGUMENT...]" : rein_error_message());
        return 1;
    }
    while (rein_process_continue(process) == 0 && rein_process_wait(process, -1) == 0) {
        struct rein_event event; /* all threads are stopped here, until the next continue */
        while (rein_process_next_event(process, 0, &event) == 0) {
            char text[64];
            rein_cause_text(&event.cause, text, sizeof text);
            printf("thread %d: %s\n", rein_thread_id(event.thread), text);
            rein_event_clear(&event);
        }
    }
    rein_process_unref(process);
    return 0;
}
