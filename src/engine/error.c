/* Failures in words, and the one piece of state that the library keeps for each thread: its last message. */
#include "engine/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_message[sizeof((struct error *)0)->text];

static void set_text(struct error *error, int code, int system, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

static void set_text(struct error *error, int code, int system, const char *format, va_list arguments)
{
    error->code = code;
    error->system = abs(system);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    if (system && length >= 0 && (size_t)length < sizeof error->text) {
        char buffer[128];
        snprintf(error->text + length, sizeof error->text - (size_t)length, ": %s",
                 strerror_r(abs(system), buffer, sizeof buffer));
    }
}

int error_set(struct error *error, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_text(error, code, 0, format, arguments);
    va_end(arguments);
    return code;
}

int error_set_system(struct error *error, int code, int system, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_text(error, code, system, format, arguments);
    va_end(arguments);
    return code;
}

int error_publish(const struct error *error)
{
    memcpy(last_message, error->text, sizeof last_message);
    if (error->system)
        errno = error->system;
    return error->code;
}

int error_fail(int code, const char *format, ...)
{
    struct error error;
    va_list arguments;
    va_start(arguments, format);
    set_text(&error, code, 0, format, arguments);
    va_end(arguments);
    return error_publish(&error);
}

const char *rein_error_message(void)
{
    return last_message;
}

const char *rein_error_name(int error)
{
    switch (error) {
    case REIN_OK:
        return "REIN_OK";
#define CASE(name, value, text)                                                                                        \
    case value:                                                                                                        \
        return "REIN_" #name;
        REIN_ERRORS(CASE)
#undef CASE
    default:
        return "REIN_UNKNOWN";
    }
}

const char *rein_error_text(int error)
{
    switch (error) {
    case REIN_OK:
        return "no error";
#define CASE(name, value, text)                                                                                        \
    case value:                                                                                                        \
        return text;
        REIN_ERRORS(CASE)
#undef CASE
    default:
        return "unknown error";
    }
}

#define STRING(x) #x
#define VERSION(major, minor, patch) STRING(major) "." STRING(minor) "." STRING(patch)

const char *rein_version(void)
{
    return VERSION(REIN_VERSION_MAJOR, REIN_VERSION_MINOR, REIN_VERSION_PATCH);
}
