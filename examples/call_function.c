/* Has a thread of a running process call a function, and says what it returns.
 *
 *     call_function PID ADDRESS [ARGUMENT...]
 *
 * ADDRESS is the function's in the process, which may be a 32-bit one. An argument with a point in it is a double, any
 * other an integer. The process goes on with what it was doing, a read or a sleep perhaps, which does not notice. If a
 * signal stops the thread in the function - it crashes, say - the call is abandoned. */
#include <rein/rein.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_MAX = 32, LIMIT_MS = 10000 };

static int call(rein_thread *thread, rein_word pc, int count, char **texts)
{
    struct rein_call_argument arguments[ARGUMENTS_MAX];
    struct rein_call call = REIN_CALL_INIT;
    struct rein_call_result result;
    for (int i = 0; i < count; i++) {
        if (strchr(texts[i], '.'))
            arguments[i] = (struct rein_call_argument){.type = REIN_CALL_DOUBLE, {.real = strtod(texts[i], NULL)}};
        else
            arguments[i] =
                (struct rein_call_argument){.type = REIN_CALL_INTEGER, {.word = strtoull(texts[i], NULL, 0)}};
    }
    call.pc = pc;
    call.arguments = arguments;
    call.count = (size_t)count;
    int error = rein_thread_call(thread, &call, LIMIT_MS, &result);
    if (error) {
        fprintf(stderr, "%s\n", rein_error_message());
        if (error == REIN_CALL_STOPPED || error == REIN_TIMEOUT)
            rein_thread_call_abandon(thread, LIMIT_MS);
        return 1;
    }
    bool narrow = strcmp(rein_process_architecture(rein_thread_process(thread)), "i386") == 0;
    long double extended; /* as which a 32-bit program's functions return a double */
    memcpy(&extended, result.extended, sizeof extended);
    printf("integer %lld, double %g\n", narrow ? (int32_t)result.words[0] : (long long)result.words[0],
           narrow ? (double)extended : result.vectors[0].real);
    return 0;
}

int main(int argc, char **argv)
{
    rein_process *process;
    rein_thread *thread = NULL;
    if (argc < 3 || argc - 3 > ARGUMENTS_MAX) {
        fprintf(stderr, "usage: call_function PID ADDRESS [ARGUMENT...]\n");
        return 1;
    }
    int pid = atoi(argv[1]), status = 1;
    if (rein_attach(NULL, pid, NULL, &process) != 0) {
        fprintf(stderr, "%s\n", rein_error_message());
        return 1;
    }
    if (rein_process_thread(process, pid, &thread) == 0)
        status = call(thread, strtoull(argv[2], NULL, 0), argc - 3, argv + 3);
    else
        fprintf(stderr, "%s\n", rein_error_message());
    rein_thread_unref(thread);
    rein_process_detach(process, 0);
    rein_process_unref(process);
    return status;
}
