/* Reading and writing memory by the backend: contract rows T4 and T5, exact to the byte, by each of its three
 * ways, with the others taken away by a seccomp filter or for lack of descriptors. No fixture: each tracee is a
 * fork of this test. */
#include "os_support.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* In every child: pages open, open, closed, text, hole, open. */
enum { OPEN, OPEN_TOO, CLOSED, TEXT, HOLE, OPEN_AGAIN, PAGES };

static unsigned char *base;
static size_t page;
static int child;
static struct os_memory memory;

static uint64_t address_of_page(int number, long offset)
{
    return (uint64_t)(uintptr_t)base + (uint64_t)number * page + (uint64_t)offset;
}

static unsigned char pattern(size_t offset)
{
    return (unsigned char)(offset * 7 + offset / 256 + 1);
}

static void make_pages(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    base = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED);
    for (size_t i = 0; i < PAGES * page; i++)
        base[i] = pattern(i);
}

static bool live_on_pages(void *arg)
{
    mprotect(base + CLOSED * page, page, PROT_NONE);
    mprotect(base + TEXT * page, page, PROT_READ | PROT_EXEC);
    munmap(base + HOLE * page, page);
    *(volatile int *)arg = 1;
    return pauses(NULL);
}

static int setup(void **state)
{
    volatile int *ready = shared_memory(sizeof *ready);

    (void)state;
    make_pages();
    child = start_child(live_on_pages, (void *)(uintptr_t)ready);
    wait_until(*ready != 0);
    linux_memory_init(&memory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    linux_memory_close(&memory);
    kill_child(child);
    munmap(base, PAGES * page);
    return 0;
}

/* ---- What every way must do ---- */

/* Reads from start and expects count bytes. 0 when that is so. */
static int read_gives(int number, long offset, size_t size, size_t count)
{
    static unsigned char buffer[1 << 16];
    uint64_t start = address_of_page(number, offset);
    size_t first = (size_t)(start - (uint64_t)(uintptr_t)base);

    memset(buffer, 0xee, sizeof buffer);
    int64_t result = linux_read(&memory, child, start, buffer, size);
    if (result != (int64_t)count) {
        print_error("read of %zu at page %d%+ld: %lld instead of %zu\n", size, number, offset, (long long)result,
                    count);
        return 1;
    }
    for (size_t i = 0; i < sizeof buffer; i++)
        if (buffer[i] != (i < count ? pattern(first + i) : 0xee)) {
            print_error("read of %zu at page %d%+ld: byte %zu is wrong\n", size, number, offset, i);
            return 1;
        }
    return 0;
}

/* Writes bytes that are unlike what is there, looks at them and their neighbours, and puts all back. */
static int write_gives(int number, long offset, size_t size, size_t count)
{
    unsigned char data[64], back[64 + 32];
    uint64_t start = address_of_page(number, offset);
    size_t first = (size_t)(start - (uint64_t)(uintptr_t)base);

    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)~pattern(first + i);
    int64_t result = linux_write(&memory, child, start, data, size);
    if (result != (int64_t)count) {
        print_error("write of %zu at page %d%+ld: %lld instead of %zu\n", size, number, offset, (long long)result,
                    count);
        return 1;
    }
    /* 16 bytes before, which are there for every offset that is used here */
    int64_t seen = linux_read(&memory, child, start - 16, back, count + 16);
    if (seen != (int64_t)count + 16)
        return 1;
    for (size_t i = 0; i < count + 16; i++) {
        unsigned char was = pattern(first - 16 + i);
        if (back[i] != (i < 16 ? was : (unsigned char)~was)) {
            print_error("write of %zu at page %d%+ld: byte %zd is wrong\n", size, number, offset, (ssize_t)i - 16);
            return 1;
        }
    }
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(first + i);
    if (linux_write(&memory, child, start, data, size) != (int64_t)count)
        return 1;
    return size < 24 ? read_gives(number, offset - 16, size + 40 < page ? 16 : 1, size + 40 < page ? 16 : 1) : 0;
}

/* The whole of T4 and T5 with whatever ways there are; to be called in a child that has taken some away, too. */
static int check_everything(void)
{
    long end = (long)page;
    int bad = 0;

    /* up to the byte before memory that is not there, however it is approached */
    for (long before = 1; before <= 20; before++)
        for (size_t size = 1; size <= 40; size++) {
            size_t there = (size_t)before < size ? (size_t)before : size;
            bad += read_gives(TEXT, end - before, size, there);
            bad += write_gives(TEXT, end - before, size, there);
        }
    /* within and across pages of every kind */
    for (int number = OPEN; number <= CLOSED; number++)
        for (long before = 1; before <= 17; before += 4)
            for (size_t size = 1; size <= 33; size += 3) {
                bad += read_gives(number, end - before, size, size);
                bad += write_gives(number, end - before, size, size);
            }
    bad += read_gives(OPEN, 1, 4 * page - 1, 4 * page - 1);
    bad += read_gives(OPEN, 3, 6 * page, 4 * page - 3);
    /* nothing there at all; nothing asked */
    bad += read_gives(HOLE, 0, 1, 0);
    bad += read_gives(HOLE, 5, 64, 0);
    bad += read_gives(HOLE, end - 1, 2, 0);
    bad += read_gives(HOLE, 0, 0, 0);
    bad += read_gives(OPEN, 0, 0, 0);
    bad += read_gives(OPEN_AGAIN, 0, 100, 100);
    return bad;
}

static void each_way_alone(void **state)
{
    (void)state;
    seize_and_stop(child);
    assert_int_equal(check_everything(), 0);
    assert_true(memory.fd >= 0); /* the text could not be written without */
    assert_int_equal(check_everything(), 0);
}

static void a_running_process(void **state)
{
    (void)state;
    assert_int_equal(linux_seize(child), 0);
    assert_int_equal(check_everything(), 0);
}

/* ---- Ways taken away ---- */

static void forbid_direct(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_writev, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

static void forbid_descriptors(void)
{
    struct rlimit limit = {0, 0};

    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        _exit(77);
}

/* A tracer of its own, for the limits are for a whole process: it makes the tracee, and checks. */
static bool check_without(void *arg)
{
    const char *what = arg;
    volatile int *ready = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;

    child = fork();
    if (child == 0) {
        alarm(60);
        live_on_pages((void *)(uintptr_t)ready);
    }
    while (*ready == 0)
        sleep_ms(1);
    linux_memory_init(&memory);
    if (strchr(what, 'd'))
        forbid_direct();
    if (strchr(what, 'f'))
        forbid_descriptors();
    if (linux_seize(child) != 0 || linux_interrupt(child) != 0 || waitpid(child, &status, __WALL) != child)
        return false;
    int bad = check_everything();
    if (strchr(what, 'f') && memory.fd >= 0)
        bad++;
    kill(child, SIGKILL);
    waitpid(child, &status, __WALL);
    return bad == 0;
}

static void check_ways(const char *without)
{
    int checker = start_child(check_without, (void *)(uintptr_t)without);

    assert_int_equal(end_of(checker), 0);
}

static void without_process_vm(void **state)
{
    (void)state;
    check_ways("d");
}

static void without_descriptors(void **state)
{
    (void)state;
    check_ways("f");
}

static void with_peek_alone(void **state)
{
    (void)state;
    check_ways("df");
}

/* ---- Odd places ---- */

static void ends_of_the_address_space(void **state)
{
    unsigned char bytes[64] = {0};
    const uint64_t nowhere[] = {0,
                                1,
                                4095,
                                UINT64_C(0x0000800000000000), /* not canonical */
                                UINT64_C(0x7fffffffffffffff),
                                UINT64_C(0x8000000000000000),
                                UINT64_C(0xffff888000000000), /* the kernel's */
                                UINT64_MAX - 63,
                                UINT64_MAX - 3,
                                UINT64_MAX};

    (void)state;
    seize_and_stop(child);
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        assert_int_equal(linux_read(&memory, child, nowhere[i], bytes, sizeof bytes), 0);
        assert_int_equal(linux_write(&memory, child, nowhere[i], bytes, sizeof bytes), 0);
        assert_int_equal(linux_read(&memory, child, nowhere[i], bytes, 0), 0);
    }
}

static void large_and_crooked(void **state)
{
    size_t size = (size_t)5 << 20;
    unsigned char *large = malloc(size), *copy = malloc(size);

    (void)state;
    assert_non_null(large);
    assert_non_null(copy);
    for (size_t i = 0; i < size; i++)
        large[i] = pattern(i);
    int other = start_child(pauses, NULL);
    uint64_t start = (uint64_t)(uintptr_t)large;
    assert_int_equal(linux_read(&memory, other, start + 5, copy, size - 9), (int64_t)size - 9);
    assert_memory_equal(copy, large + 5, size - 9);
    memset(copy, 0x55, size);
    assert_int_equal(linux_write(&memory, other, start + 3, copy, size - 7), (int64_t)size - 7);
    memset(copy, 0, size);
    assert_int_equal(linux_read(&memory, other, start, copy, size), (int64_t)size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(copy[i], i < 3 || i >= size - 4 ? pattern(i) : 0x55);
    kill_child(other);
    free(large);
    free(copy);
}

__attribute__((noinline, aligned(64))) static int some_code(int value)
{
    return value + 41;
}

/* A write to text is the process's own: neither the file nor another process that runs it changes. */
static void text_is_copied(void **state)
{
    unsigned char trap = 0xcc, was = 0, now = 0, here = *(unsigned char *)(uintptr_t)some_code;
    uint64_t address = (uintptr_t)some_code;

    (void)state;
    assert_int_equal(linux_read(&memory, child, address, &was, 1), 1);
    assert_int_equal(was, here);
    assert_int_equal(linux_write(&memory, child, address, &trap, 1), 1);
    assert_int_equal(linux_read(&memory, child, address, &now, 1), 1);
    assert_int_equal(now, trap);
    assert_int_equal(*(volatile unsigned char *)(uintptr_t)some_code, here);
    assert_int_equal(some_code(1), 42);
}

/* ---- The descriptor ---- */

static bool executes(void *arg)
{
    static char text[] = "sleep", time[] = "60", *arguments[] = {text, time, NULL};

    (void)arg;
    sleep_ms(1);
    raise(SIGSTOP);
    execv("/bin/sleep", arguments);
    return false;
}

/* The engine closes it at an exec; even if it did not, the old memory would not be taken for the new one. */
static void stale_after_exec(void **state)
{
    unsigned char byte = 0;
    uint64_t address = (uintptr_t)some_code;
    int other = start_child(executes, NULL);
    int status = 0;

    (void)state;
    assert_int_equal(waitpid(other, &status, WUNTRACED), other);
    assert_int_equal(linux_seize(other), 0);
    assert_int_equal(linux_write(&memory, other, address, (unsigned char *)(uintptr_t)some_code, 1), 1);
    assert_true(memory.fd >= 0);
    kill(other, SIGCONT);
    struct os_event event;
    do {
        event = next_event(other);
        if (event.kind == OS_EVENT_SIGNAL)
            resume(other, OS_RESUME_RUN, event.signal.number);
        else if (event.kind == OS_EVENT_GROUP_STOP)
            resume(other, OS_RESUME_LISTEN, 0);
        else if (event.kind == OS_EVENT_INTERRUPTED)
            resume(other, OS_RESUME_RUN, 0);
    } while (event.kind != OS_EVENT_EXEC);

    struct arch_registers registers;
    assert_int_equal(linux_get_registers(other, &registers), 0);
    uint64_t pc = os_backend.arch->get(&registers, os_backend.arch->pc_index);
    assert_int_equal(linux_read(&memory, other, pc, &byte, 1), 1);
    assert_int_equal(linux_write(&memory, other, pc, &byte, 1), 1);
    kill_child(other);
    assert_int_equal(linux_read(&memory, other, pc, &byte, 1), -ESRCH);
    assert_int_equal(linux_write(&memory, other, pc, &byte, 1), -ESRCH);
}

/* The host closes everything, and opens a file of its own that gets the number. */
static void closed_by_the_host(void **state)
{
    unsigned char trap = 0xcc, now = 0;
    char name[] = "/tmp/rein-os-memory-XXXXXX";
    uint64_t address = (uintptr_t)some_code;

    (void)state;
    assert_int_equal(linux_write(&memory, child, address, &trap, 1), 1);
    int number = memory.fd;
    assert_true(number >= 0);
    int file = mkstemp(name);
    assert_int_equal(dup2(file, number), number); /* closes ours */
    trap = 0x90;
    assert_int_equal(linux_write(&memory, child, address, &trap, 1), 1);
    assert_int_equal(linux_read(&memory, child, address, &now, 1), 1);
    assert_int_equal(now, 0x90);
    assert_int_not_equal(memory.fd, number);
    assert_int_equal(lseek(number, 0, SEEK_END), 0);
    linux_memory_close(&memory);
    assert_true(fcntl(number, F_GETFD) >= 0);
    close(number);
    close(file);
    unlink(name);
}

static void dead_or_never_there(void **state)
{
    unsigned char byte = 0;
    int other = start_child(pauses, NULL);
    siginfo_t info;

    (void)state;
    kill(other, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT), 0); /* a zombie */
    assert_int_equal(linux_read(&memory, other, (uintptr_t)base, &byte, 1), -ESRCH);
    kill_child(other);
    assert_int_equal(linux_read(&memory, other, (uintptr_t)base, &byte, 1), -ESRCH);
    assert_int_equal(linux_write(&memory, other, (uintptr_t)base, &byte, 1), -ESRCH);
    assert_int_equal(linux_read(&memory, other, (uintptr_t)base, &byte, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_way_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_running_process, setup, teardown),
        cmocka_unit_test_setup_teardown(without_process_vm, setup, teardown),
        cmocka_unit_test_setup_teardown(without_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(with_peek_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_of_the_address_space, setup, teardown),
        cmocka_unit_test_setup_teardown(large_and_crooked, setup, teardown),
        cmocka_unit_test_setup_teardown(text_is_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(stale_after_exec, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_by_the_host, setup, teardown),
        cmocka_unit_test_setup_teardown(dead_or_never_there, setup, teardown),
    };

    skip_under_valgrind();
    return cmocka_run_group_tests_name("os_memory", tests, NULL, NULL);
}
