/* Which sanitizer a test was built with: gcc and clang tell in different ways. */
#ifndef REIN_TESTS_SANITIZED_H
#define REIN_TESTS_SANITIZED_H

#include <stdbool.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED true
#else
#define ADDRESS_SANITIZED false
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define THREAD_SANITIZED true
#else
#define THREAD_SANITIZED false
#endif

#endif
