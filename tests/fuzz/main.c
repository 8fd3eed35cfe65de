/* Runs a fuzzed program's function where libFuzzer does not: on files, on the same changed at random, and for AFL.
 *
 *     fuzz-NAME [--seconds N] [--seed N] [--keep FILE] FILE|DIRECTORY...
 *
 * Each file is an input. Then, for so many seconds, inputs are made of these: no fuzzer, as it learns nothing, but one that needs
 * nothing. They are run in a child: an input that ends it, or takes a minute, is kept as FILE, and the status is 1.
 * Compiled by afl-clang-fast and without arguments it takes its inputs from afl-fuzz. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX = 1 << 16, LIMIT_SECONDS = 60 };

/* ---- Inputs ---- */

struct input {
    size_t size;
    uint8_t data[INPUT_MAX];
};
static struct input **inputs, *now; /* now: in memory that parent and child share */
static size_t input_count;

static void load(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        fuzz_fail("%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode)) {
        struct dirent **names;
        int count = scandir(path, &names, NULL, alphasort); /* in the same order everywhere */
        for (int i = 0; i < count; i++) {
            char name[4096];
            snprintf(name, sizeof name, "%s/%s", path, names[i]->d_name);
            if (names[i]->d_name[0] != '.')
                load(name);
            free(names[i]);
        }
        free(names);
    } else {
        struct input *input = calloc(1, sizeof *input);
        inputs = realloc(inputs, (input_count + 1) * sizeof(struct input *));
        ssize_t size = input && inputs ? read(fd, input->data, INPUT_MAX) : -1;
        if (size < 0)
            fuzz_fail("%s: %s", path, strerror(errno));
        input->size = (size_t)size;
        inputs[input_count++] = input;
    }
    close(fd);
}

/* ---- Changes ---- */

static uint64_t state;

static size_t choose(size_t count)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return count ? (size_t)(state % count) : 0;
}

static void remove_bytes(struct input *input, size_t at, size_t count)
{
    count = count < input->size - at ? count : input->size - at;
    memmove(input->data + at, input->data + at + count, input->size - at - count);
    input->size -= count;
}

static void insert(struct input *input, size_t at, const void *data, size_t count)
{
    count = count < INPUT_MAX - input->size ? count : INPUT_MAX - input->size;
    memmove(input->data + at + count, input->data + at, input->size - at);
    memcpy(input->data + at, data, count);
    input->size += count;
}

static void change(struct input *input)
{
    static const char *const words[] = {
        "ffffffffffffffff", "7fffffff", "80000000", "0", "-1", ",", ";", ":", "}", "$", "#00"};
    size_t at = choose(input->size + 1);
    const struct input *other = inputs[choose(input_count)];
    size_t from = choose(other->size);
    const char *word;
    switch (choose(5)) {
    case 0:
        if (at < input->size)
            input->data[at] = (uint8_t)choose(256);
        break;
    case 1:
        remove_bytes(input, at, choose(16));
        break;
    case 2:
        word = words[choose(sizeof words / sizeof *words)];
        insert(input, at, word, strlen(word));
        break;
    case 3:
        insert(input, at, other->data + from, choose(other->size - from + 1));
        break;
    default:
        input->size = at;
        insert(input, at, other->data + from, other->size - from);
        break;
    }
}

static double seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void run_now(void)
{
    alarm(LIMIT_SECONDS);
    LLVMFuzzerTestOneInput(now->data, now->size);
    alarm(0);
}

static void run_all(double duration)
{
    unsigned long count = 0;
    double end;
    for (size_t i = 0; i < input_count; i++) {
        memcpy(now, inputs[i], sizeof *now);
        run_now();
    }
    for (end = seconds() + duration; input_count && seconds() < end; count++) {
        memcpy(now, inputs[choose(input_count)], sizeof *now);
        for (size_t changes = 1 + choose(4); changes; changes--)
            change(now);
        run_now();
    }
    printf("%zu inputs, %lu made of them\n", input_count, count);
}

static int keep(const char *path, int status)
{
    fprintf(stderr, "fuzz: an input has ended it (%s %d)%s\n", WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
            WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
    FILE *file = fopen(path, "wb");
    if (file && fwrite(now->data, 1, now->size, file) == now->size && fclose(file) == 0)
        fprintf(stderr, "fuzz: it is %s\n", path);
    else
        fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
    return 1;
}

#ifdef __AFL_COMPILER
#pragma clang diagnostic ignored "-Weverything" /* AFL's macros are not C17 */
__AFL_FUZZ_INIT();
#endif

int main(int argc, char **argv)
{
#ifdef __AFL_COMPILER
    if (argc == 1) {
        __AFL_INIT();
        LLVMFuzzerInitialize(&argc, &argv);
        const uint8_t *data = __AFL_FUZZ_TESTCASE_BUF;
        while (__AFL_LOOP(1000))
            LLVMFuzzerTestOneInput(data, (size_t)__AFL_FUZZ_TESTCASE_LEN);
        return 0;
    }
#endif
    double duration = 0;
    const char *path = "failed-input";
    state = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (more && strcmp(argv[i], "--seconds") == 0)
            duration = atof(argv[++i]);
        else if (more && strcmp(argv[i], "--seed") == 0)
            state = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--keep") == 0)
            path = argv[++i];
        else
            load(argv[i]);
    }
    if (duration > 0)
        printf("--seed %llu\n", (unsigned long long)state);
    state = state * UINT64_C(0x9e3779b97f4a7c15) | 1;
    fflush(stdout);
    now = mmap(NULL, sizeof *now, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (now == MAP_FAILED)
        fuzz_fail("no memory");
    pid_t child = fork();
    if (child == 0) {
        LLVMFuzzerInitialize(&argc, &argv);
        run_all(duration);
        return 0;
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        fuzz_fail("fork: %s", strerror(errno));
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77))
        return WEXITSTATUS(status);
    return keep(path, status);
}
