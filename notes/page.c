/* The notes as a manual page, and as plain text. */
#include "notes.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { WIDTH = 78 };

static const char introduction[] =
    "What ptrace does to programs with threads, as measured, claim by claim. It begins where the notes of 2009 in Go's "
    "debug/proc began, with what Linux has added since.\n\n"
    "Each note has a demonstration, a small piece of C. `rein notes N` shows note N with it. `rein notes --check` runs "
    "them "
    "all on the kernel that runs here and says which of them hold: see rein-notes(1). They hold on Linux 6.1 and on "
    "6.18, on amd64, where nothing else is said.";

const struct note *notes_find(int number)
{
    for (size_t i = 0; i < notes_section_count; i++)
        for (const struct note *const *note = notes_sections[i].notes; *note != NULL; note++)
            if ((*note)->number == number)
                return *note;
    return NULL;
}

const char *notes_verdict_name(enum notes_verdict verdict)
{
    static const char *const names[NOTES_VERDICTS] = {
        [NOTES_HOLDS] = "holds",
        [NOTES_FAILS] = "does not hold",
        [NOTES_UNTRIED] = "not tried",
        [NOTES_HANGS] = "hangs",
    };
    return names[verdict];
}

/* ---- Lines ---- */

struct lines {
    FILE *file;
    size_t indent;
    bool manual; /* mdoc(7): a sentence begins a line, and some characters mean something */
    size_t column;
};

static void end_line(struct lines *lines)
{
    if (lines->column != 0)
        putc('\n', lines->file);
    lines->column = 0;
}

static bool ends_sentence(const char *word, size_t length)
{
    return strchr(".!?", word[length - 1]) != NULL;
}

static void write_word(struct lines *lines, const char *word, size_t length)
{
    if (lines->column != 0 && lines->column + 1 + length > WIDTH)
        end_line(lines);
    if (lines->column == 0) {
        lines->column = lines->indent;
        fprintf(lines->file, "%*s", (int)lines->indent, "");
        if (lines->manual && (*word == '.' || *word == '\''))
            fputs("\\&", lines->file);
    } else {
        putc(' ', lines->file);
        lines->column++;
    }
    for (size_t i = 0; i < length; i++)
        if (lines->manual && word[i] == '\\')
            fputs("\\e", lines->file);
        else
            putc(word[i], lines->file);
    lines->column += length;
    if (lines->manual && ends_sentence(word, length))
        end_line(lines);
}

/* Paragraphs, with an empty line between them. */
static void write_paragraphs(struct lines *lines, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, " \n");
        if (length > 0)
            write_word(lines, text, length);
        text += length;
        if (strncmp(text, "\n\n", 2) == 0) {
            end_line(lines);
            fputs(lines->manual ? ".Pp\n" : "\n", lines->file);
        }
        text += strspn(text, " \n");
    }
    end_line(lines);
}

/* ---- The page ---- */

void notes_write_manual(FILE *file)
{
    struct lines lines = {.file = file, .manual = true};
    fputs(".\\\" Made of the sources in notes/. SPDX-License-Identifier: BSD-3-Clause\n"
          ".Dd November 26, 2026\n"
          ".Dt REIN-NOTES 7\n"
          ".Os\n"
          ".Sh NAME\n"
          ".Nm rein-notes\n"
          ".Nd ptrace and threads, in claims that can be checked\n"
          ".Sh DESCRIPTION\n",
          file);
    write_paragraphs(&lines, introduction);
    for (size_t i = 0; i < notes_section_count; i++) {
        const struct notes_section *section = &notes_sections[i];
        fprintf(file, ".Sh ");
        for (const char *c = section->title; *c != '\0'; c++)
            putc(toupper((unsigned char)*c), file);
        putc('\n', file);
        for (const struct note *const *note = section->notes; *note != NULL; note++) {
            fprintf(file, ".Ss \"%d. %s\"\n", (*note)->number, (*note)->title);
            write_paragraphs(&lines, (*note)->text);
        }
    }
    fputs(".Sh SEE ALSO\n"
          ".Xr rein 1 ,\n"
          ".Xr rein-notes 1 ,\n"
          ".Xr ptrace 2 ,\n"
          ".Xr wait 2 ,\n"
          ".Xr rein 3 ,\n"
          ".Xr proc 5 ,\n"
          ".Xr pid_namespaces 7 ,\n"
          ".Xr signal 7\n",
          file);
}

static void write_claim(struct lines *lines, const struct note *note)
{
    char number[16];
    size_t indent = lines->indent;
    snprintf(number, sizeof number, "%d.", note->number);
    lines->indent = 0;
    write_word(lines, number, strlen(number));
    lines->indent = indent;
    write_paragraphs(lines, note->title);
    write_paragraphs(lines, note->text);
}

void notes_write_text(FILE *file)
{
    struct lines lines = {.file = file};
    write_paragraphs(&lines, introduction);
    for (size_t i = 0; i < notes_section_count; i++) {
        const struct notes_section *section = &notes_sections[i];
        fprintf(file, "\n\n== %s ==\n", section->title);
        lines.indent = 4;
        for (const struct note *const *note = section->notes; *note != NULL; note++) {
            putc('\n', file);
            write_claim(&lines, *note);
        }
    }
}

/* ---- One note, with its code ---- */

/* Where the code of a note begins: behind the note before it, or behind the file's includes. */
static const char *code_before(const char *source, const char *note)
{
    const char *begin = source, *found;
    for (const char *line = source; line < note && (found = strstr(line, "\n#include")) != NULL && found < note;)
        begin = line = strchr(found + 1, '\n');
    for (const char *line = source; (found = strstr(line, "\nNOTE(")) != NULL && found < note;) {
        line = found + 1;
        begin = strstr(line, "\n}\n") + 2;
    }
    return begin;
}

void notes_write_note(const struct note *note, FILE *file)
{
    struct lines lines = {.file = file, .indent = 4};
    char head[32];
    write_claim(&lines, note);
    snprintf(head, sizeof head, "\nNOTE(%d,", note->number);
    const char *claim = strstr(note->source, head);
    if (claim == NULL)
        return;
    const char *before = code_before(note->source, claim);
    const char *body = strstr(claim, "\n{\n"), *end = strstr(claim, "\n}\n");
    before += strspn(before, "\n");
    putc('\n', file);
    if (before < claim)
        fprintf(file, "%.*s\n", (int)(claim - before), before);
    fprintf(file, "void demonstrate(struct demo *d)%.*s\n}\n", (int)(end - body), body);
}
