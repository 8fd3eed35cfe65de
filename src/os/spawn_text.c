/* The words for the steps of a spawn, the same for every backend. */
#include "os/backend.h"

const char *os_spawn_step_text(enum os_spawn_step step)
{
    switch (step) {
    case OS_SPAWN_STEP_FORK:
        return "making the process";
    case OS_SPAWN_STEP_SEIZE:
        return "taking hold of it";
    case OS_SPAWN_STEP_GROUP:
        return "setting its process group";
    case OS_SPAWN_STEP_SESSION:
        return "making its session";
    case OS_SPAWN_STEP_DESCRIPTORS:
        return "setting up its descriptors";
    case OS_SPAWN_STEP_FILTER:
        return "installing its seccomp filter";
    case OS_SPAWN_STEP_CREDENTIALS:
        return "setting its user, group and groups";
    case OS_SPAWN_STEP_CHDIR:
        return "chdir";
    case OS_SPAWN_STEP_ASLR:
        return "switching address randomization off";
    case OS_SPAWN_STEP_EXEC:
        return "exec";
    case OS_SPAWN_STEP_NONE:
    default:
        return "an unknown step";
    }
}
