/* A build without the Linux backend: there are no notes, and none can be checked. */
#include "notes.h"

const struct notes_section notes_sections[] = {{"", NULL}};
const size_t notes_section_count = 0;

void notes_check(const struct note *note, int limit_seconds, struct notes_outcome *outcome)
{
    (void)note;
    (void)limit_seconds;
    *outcome = (struct notes_outcome){.verdict = NOTES_UNTRIED, .why = "this build has no Linux backend"};
}
