/* Failures: a code and a sentence. A request carries one from the monitor to the caller, where it becomes the calling
 * thread's rein_error_message(). */
#ifndef REIN_ENGINE_ERROR_H
#define REIN_ENGINE_ERROR_H

#include "rein/rein.h"

struct error {
    int code;
    int system; /* the errno behind it, or 0: becomes the caller's errno */
    char text[320];
};

/* Fill in an error; all return its code. */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* system: a positive or negative errno, put behind the text in words. */
int error_set_system(struct error *error, int code, int system, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Make it the calling thread's last failure; return its code. */
int error_publish(const struct error *error);
int error_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
