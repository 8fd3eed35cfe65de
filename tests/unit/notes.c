/* The notes are whole: numbers without a gap, a title, a text and a demonstration each, and a page that has them all. And
 * checking them tells what happened, and leaves nobody behind, whatever a demonstration does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "notes/demo.h"

static size_t count_notes(void)
{
    size_t count = 0;
    for (size_t i = 0; i < notes_section_count; i++)
        for (const struct note *const *note = notes_sections[i].notes; *note != NULL; note++)
            count++;
    return count;
}

static void every_number_once(void **state)
{
    (void)state;
    size_t count = count_notes();
    assert_true(count > 50);
    for (size_t number = 1; number <= count; number++) {
        const struct note *note = notes_find((int)number);
        if (note == NULL)
            fail_msg("there is no note %zu, and there are %zu", number, count);
        assert_int_equal(note->number, number);
    }
    assert_null(notes_find((int)count + 1));
    assert_null(notes_find(0));
}

static void assert_is_prose(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        assert_true((*c >= ' ' && *c <= '~') || *c == '\n');
    assert_null(strstr(text, "  "));
    assert_true(text[0] > ' ');
}

static void every_note_is_whole(void **state)
{
    (void)state;
    size_t count = count_notes();
    for (size_t number = 1; number <= count; number++) {
        const struct note *note = notes_find((int)number);
        assert_is_prose(note->title);
        assert_is_prose(note->text);
        assert_null(strpbrk(note->title, "\"\n\\"));
        assert_int_equal(note->text[strlen(note->text) - 1], '.');
        assert_non_null(note->demonstrate);
        for (size_t other = 1; other < number; other++)
            assert_string_not_equal(note->title, notes_find((int)other)->title);
    }
}

/* What a writer has written. */
static char *written_by(void (*write)(FILE *file))
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    write(file);
    fclose(file);
    return text;
}

static void pages_have_all(void **state)
{
    (void)state;
    char *manual = written_by(notes_write_manual), *plain = written_by(notes_write_text);
    size_t count = count_notes();
    for (size_t number = 1; number <= count; number++) {
        const struct note *note = notes_find((int)number);
        char head[32], *heading = NULL;
        assert_true(asprintf(&heading, "\n.Ss \"%zu. %s\"\n", number, note->title) > 0);
        assert_non_null(strstr(manual, heading));
        free(heading);
        snprintf(head, sizeof head, "\n%zu. ", number);
        assert_non_null(strstr(plain, head));
    }
    free(manual);
    free(plain);
}

static void every_note_shows_its_code(void **state)
{
    (void)state;
    size_t count = count_notes();
    for (size_t number = 1; number <= count; number++) {
        char *text = NULL, head[32];
        size_t size = 0;
        FILE *file = open_memstream(&text, &size);
        notes_write_note(notes_find((int)number), file);
        fclose(file);
        snprintf(head, sizeof head, "%zu. ", number);
        assert_int_equal(strncmp(text, head, strlen(head)), 0);
        const char *code = strstr(text, "\nvoid demonstrate(struct demo *d)\n{\n");
        assert_non_null(code);
        assert_null(strstr(text, "NOTE("));
        assert_null(strstr(text, "#include"));
        assert_non_null(strstr(code, "EXPECT("));
        assert_string_equal(text + size - 3, "\n}\n");
        free(text);
    }
}

/* ---- Checking ---- */

static struct notes_outcome check(demo_body *demonstrate, int limit_seconds)
{
    struct note note = {.number = 1, .title = "A note", .text = "Of a test.", .demonstrate = demonstrate};
    struct notes_outcome outcome;
    notes_check(&note, limit_seconds, &outcome);
    return outcome;
}

static void says_yes(struct demo *d)
{
    pid_t pid = start(d, block);
    open_gate(d);
    EXPECT(is_exit(wait_for(d, pid), 0));
}

static void says_no(struct demo *d)
{
    EXPECT(d->count == 1);
}

static void tracee_says_no(struct demo *d)
{
    start(d, says_no);
    sleeps(d);
}

static void may_not(struct demo *d)
{
    errno = EPERM;
    TRY(-1);
}

static void fails_oddly(struct demo *d)
{
    errno = EDOM;
    TRY(-1);
}

static void crashes(struct demo *d)
{
    (void)d;
    raise(SIGSEGV);
}

static void verdicts(void **state)
{
    (void)state;
    struct notes_outcome outcome = check(says_yes, 60);
    assert_int_equal(outcome.verdict, NOTES_HOLDS);
    assert_string_equal(outcome.why, "");
    outcome = check(says_no, 60);
    assert_int_equal(outcome.verdict, NOTES_FAILS);
    assert_non_null(strstr(outcome.why, "notes.c:"));
    assert_non_null(strstr(outcome.why, "not so: d->count == 1"));
    outcome = check(tracee_says_no, 60);
    assert_int_equal(outcome.verdict, NOTES_FAILS);
    assert_non_null(strstr(outcome.why, "not so: d->count == 1"));
    outcome = check(may_not, 60);
    assert_int_equal(outcome.verdict, NOTES_UNTRIED);
    assert_string_equal(outcome.why, "-1: Operation not permitted");
    outcome = check(fails_oddly, 60);
    assert_int_equal(outcome.verdict, NOTES_FAILS);
    assert_non_null(strstr(outcome.why, "-1: "));
    outcome = check(crashes, 60);
    assert_int_equal(outcome.verdict, NOTES_FAILS);
    assert_non_null(strstr(outcome.why, "signal 11"));
    outcome = check(sleeps, 1);
    assert_int_equal(outcome.verdict, NOTES_HANGS);
    assert_non_null(strstr(outcome.why, "1 second"));
}

/* A stopped tracee, and a process of another session that has lost its parent. */
static void leaves_the_session(struct demo *d)
{
    if (fork() != 0)
        return;
    setsid();
    d->flag[0] = 1;
    sleeps(d);
}

static void leaves_two(struct demo *d)
{
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    stop(d, pid);
    EXPECT(is_exit(wait_for(d, start(d, leaves_the_session)), 0));
    await(d, 0);
}

/* Who is left has the pipe open. */
static void nobody_is_left(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(check(leaves_two, 60).verdict, NOTES_HOLDS);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_once), cmocka_unit_test(every_note_is_whole),
        cmocka_unit_test(pages_have_all),    cmocka_unit_test(every_note_shows_its_code),
        cmocka_unit_test(verdicts),          cmocka_unit_test(nobody_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
