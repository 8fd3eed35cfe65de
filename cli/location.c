/* Takes locations apart: SYMBOL, SYMBOL+OFFSET, FILE:SYMBOL+OFFSET, SOURCE:LINE, 0xADDRESS, FILE:0xADDRESS. */
#include "location.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hexadecimal ? text + 2 : text;
    if (hexadecimal ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
        return false;
    errno = 0;
    *value = strtoull(digits, &end, hexadecimal ? 16 : 10);
    return errno == 0 && *end == '\0';
}

/* The colon between FILE and the rest: the last one that stands alone, as "::" is part of a name. */
static const char *find_colon(const char *text)
{
    const char *colon = NULL;
    for (const char *p = text; *p != '\0'; p++)
        if (*p == ':' && p[1] != ':' && (p == text || p[-1] != ':'))
            colon = p;
    return colon;
}

static const char *parse_symbol(const char *text, struct location *location)
{
    const char *plus = strrchr(text, '+');
    uint64_t offset = 0;
    if (plus != NULL) {
        if (!parse_number(plus + 1, &offset))
            return "what follows the + must be a number: 16 or 0x10";
    } else {
        plus = text + strlen(text);
    }
    if (plus == text)
        return "a symbol, a source line or an address is missing";
    location->kind = LOCATION_SYMBOL;
    location->symbol = cli_copy(text);
    location->symbol[plus - text] = '\0';
    location->offset = offset;
    return NULL;
}

static const char *parse_rest(const char *rest, struct location *location)
{
    uint64_t number;
    if (rest[0] == '0' && (rest[1] == 'x' || rest[1] == 'X')) {
        if (!parse_number(rest, &location->address))
            return "what follows 0x must be a hexadecimal number";
        location->kind = LOCATION_ADDRESS;
        return NULL;
    }
    if (!isdigit((unsigned char)rest[0]))
        return parse_symbol(rest, location);
    if (location->file == NULL)
        return "a number alone could be a line or an address: write SOURCE:LINE or 0xADDRESS";
    if (!parse_number(rest, &number) || number == 0 || number > INT_MAX)
        return "the line must be a number from 1 on";
    location->kind = LOCATION_LINE;
    location->line = (int)number;
    return NULL;
}

bool location_parse(const char *text, struct location *location, const char **why)
{
    *location = (struct location){.text = cli_copy(text)};
    const char *colon = find_colon(text), *rest = text;
    if (colon != NULL) {
        rest = colon + 1;
        location->file = cli_copy(text);
        location->file[colon - text] = '\0';
    }
    if (colon == text)
        *why = "a file must stand in front of the colon";
    else
        *why = parse_rest(rest, location);
    if (*why == NULL)
        return true;
    location_clear(location);
    return false;
}

void location_clear(struct location *location)
{
    free(location->text);
    free(location->file);
    free(location->symbol);
    *location = (struct location){0};
}

bool location_names_file(const char *file, const char *path)
{
    size_t length = strlen(file), path_length = strlen(path);
    if (strchr(file, '/') != NULL) {
        while (strncmp(file, "./", 2) == 0)
            file += 2, length -= 2;
        return path_length >= length && strcmp(path + path_length - length, file) == 0 &&
               (path_length == length || file[0] == '/' || path[path_length - length - 1] == '/');
    }
    const char *name = cli_basename(path);
    if (strncmp(name, file, length) != 0)
        return false;
    name += length;
    return name[0] == '\0' || (name[0] == '.' && (name[1] == 's' || isdigit((unsigned char)name[1]))) ||
           (name[0] == '-' && isdigit((unsigned char)name[1]));
}
