/* What the kernel's ptrace does to programs with threads, as numbered notes: each one a claim with a demonstration, a small
 * piece of C that shows it on the kernel that runs. The demonstrations call ptrace themselves, for they are about the
 * kernel, not about rein; nothing here knows the library. The command `rein notes` shows the notes and checks them, and
 * the manual page rein-notes(7) is made of them.
 *
 * A new note is a NOTE in the file of its section, and its number in notes.c. Numbers stay: a new note gets the next one. */
#ifndef REIN_NOTES_H
#define REIN_NOTES_H

#include <stddef.h>
#include <stdio.h>

struct demo;

struct note {
    int number;
    const char *title;
    const char *text;   /* paragraphs, with an empty line between them */
    const char *source; /* the file that it is in */
    void (*demonstrate)(struct demo *d);
};

struct notes_section {
    const char *title;
    const struct note *const *notes; /* behind the last one: NULL */
};

extern const struct notes_section notes_sections[];
extern const size_t notes_section_count; /* 0: a build without the Linux backend */

/* NULL: there is none of that number. */
const struct note *notes_find(int number);

/* ---- Showing them ---- */

/* The manual page, in mdoc(7). */
void notes_write_manual(FILE *file);
/* The same as plain text. */
void notes_write_text(FILE *file);
/* One note as plain text, with the C code of its demonstration. */
void notes_write_note(const struct note *note, FILE *file);

/* ---- Checking them ---- */

enum notes_verdict {
    NOTES_HOLDS,   /* the kernel does what the note says */
    NOTES_FAILS,   /* it does not: why says which claim failed */
    NOTES_UNTRIED, /* it could not be tried: why says what is missing */
    NOTES_HANGS,   /* it was not over in time */
    NOTES_VERDICTS
};

struct notes_outcome {
    enum notes_verdict verdict;
    char why[400]; /* "" if it holds */
};

/* Runs a note's demonstration in a process of its own. Whatever it starts is gone when this returns. */
void notes_check(const struct note *note, int limit_seconds, struct notes_outcome *outcome);
/* "holds", "does not hold", "not tried", "hangs". */
const char *notes_verdict_name(enum notes_verdict verdict);

#endif
