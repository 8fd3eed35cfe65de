/* See log.h. Runs on the monitor only. */
#include "engine/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_line(struct log *log, enum rein_log_level level, const char *format, ...)
{
    if (log->busy)
        return;
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log->busy = true;
    log->callback(level, line, log->arg);
    log->busy = false;
}
