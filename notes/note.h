/* For the files with notes in them: the macro that puts a claim and its demonstration together. */
#ifndef REIN_NOTES_NOTE_H
#define REIN_NOTES_NOTE_H

#include "demo.h"
#include "notes.h"

/* The file that includes this holds its own text, so that `rein notes N` can show the code that it runs. */
__asm__(".pushsection .rodata\n"
        "source_of_this_file:\n"
        ".incbin \"" __BASE_FILE__ "\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char source_of_this_file[] __attribute__((visibility("hidden")));

/* Behind it comes the demonstration's body, which may use d. In front of it, behind the note before it, is what only this
 * demonstration needs: `rein notes N` shows both. */
#define NOTE(number, title, text)                                                                                      \
    static void demonstrate_##number(struct demo *d);                                                                  \
    extern const struct note note_##number;                                                                            \
    const struct note note_##number = {number, title, text, source_of_this_file, demonstrate_##number};                \
    static void demonstrate_##number(struct demo *d)

#endif
