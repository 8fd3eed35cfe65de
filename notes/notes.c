/* All notes, section by section, in the order in which they are shown. */
#include "notes.h"

#define SIGNALS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12)
#define WAITING(DO) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18) DO(19) DO(20) DO(21) DO(22)
#define STOPPING(DO) DO(23) DO(24) DO(25) DO(26) DO(27) DO(28) DO(29) DO(30) DO(31) DO(32) DO(33)
#define ATTACHING(DO) DO(34) DO(35) DO(36) DO(37) DO(38) DO(39) DO(40) DO(41)
#define BIRTHS(DO) DO(42) DO(43) DO(44) DO(45) DO(46) DO(47) DO(48) DO(49) DO(50)
#define PROGRAMS(DO) DO(51) DO(52) DO(53) DO(54) DO(55)
#define ENDS(DO) DO(56) DO(57) DO(58) DO(59) DO(60) DO(61) DO(62) DO(63) DO(64) DO(65)
#define STATE(DO) DO(66) DO(67) DO(68) DO(69) DO(70) DO(71) DO(72) DO(73) DO(74)
#define CALLS(DO) DO(75) DO(76) DO(77) DO(78) DO(79) DO(80) DO(81)
#define IDENTITY(DO) DO(82) DO(83) DO(84) DO(85) DO(86)

#define DECLARE(number) extern const struct note note_##number;
#define POINTER(number) &note_##number,
#define SECTION(name) name(DECLARE) static const struct note *const notes_of_##name[] = {name(POINTER) NULL};

SECTION(SIGNALS)
SECTION(WAITING)
SECTION(STOPPING)
SECTION(ATTACHING)
SECTION(BIRTHS)
SECTION(PROGRAMS)
SECTION(ENDS)
SECTION(STATE)
SECTION(CALLS)
SECTION(IDENTITY)

const struct notes_section notes_sections[] = {
    {"Signals", notes_of_SIGNALS},
    {"Waiting", notes_of_WAITING},
    {"Stopping", notes_of_STOPPING},
    {"Attaching", notes_of_ATTACHING},
    {"New threads and processes", notes_of_BIRTHS},
    {"Exec", notes_of_PROGRAMS},
    {"The end", notes_of_ENDS},
    {"Registers, memory, steps", notes_of_STATE},
    {"System calls", notes_of_CALLS},
    {"Ids and permissions", notes_of_IDENTITY},
};
const size_t notes_section_count = sizeof notes_sections / sizeof *notes_sections;
