/* The log (row M13): lines through the caller's callback, built only when their level is on. */
#ifndef REIN_ENGINE_LOG_H
#define REIN_ENGINE_LOG_H

#include "rein/rein.h"

struct log {
    enum rein_log_level level;
    rein_log_callback callback;
    void *arg;
    bool busy; /* in the callback: what it does is not logged */
};

void log_line(struct log *log, enum rein_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define LOG(log, at, ...) ((log)->level >= (at) && (log)->callback ? log_line(log, at, __VA_ARGS__) : (void)0)

#endif
